//! `cargo xtask test`: everything that must hold before a change is taken, in one command.

use std::{
    env,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{BufRead as _, BufReader, Write as _},
    ops::AddAssign,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    build,
    deny::Deny,
    engine::{self, engine_cargo},
    failure::{During as _, Failure},
    fetch, node,
    places::{ENGINE, Places, TEST_AXE, TEST_MODELS, TEST_PROGRAMS, TEST_SARIF, TEST_SEED, TEST_WEAKENED},
    process::{cargo, run, shown, without_network, words},
    python::pythons,
    release,
    setup::Setup,
    tidy::Tidy,
};

/// Runs all checks and tests, as CI does. Stops at the first step that fails.
#[derive(clap::Args)]
pub(crate) struct Test {
    /// Only tests whose name contains this; the other steps run all the same.
    filter: Option<String>,
}

/// The crates that are built apart, in the engine's configuration.
const ENGINE_PACKAGES: [&str; 6] =
    ["--package", "kernels", "--package", "llama", "--package", "cloister-engine"];

/// Cargo's lock file must already be right: a clean clone builds what was reviewed.
const LOCKED: &str = "--locked";

impl Test {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let steps = Steps { start: Instant::now() };
        let seed = seed()?;

        steps.next("setup");
        Setup {}.run()?;
        let pythons = pythons(places)?;
        let (axe, sarif) = (node::AXE.path(places)?, node::SARIF.path(places)?);
        steps.next("fetch: the test models");
        fetch::fetch_defaults(places)?;
        steps.next("format");
        run(cargo(places).args(["fmt", "--all", "--check"]))?;
        steps.next("tidy");
        Tidy {}.run(places)?;
        steps.next("deny: licences, bans, sources, advisories");
        Deny {}.run(places)?;
        steps.next("release: all that it is made of can be listed");
        release::listable(places)?;

        steps.next("clippy");
        let clippy = ["clippy", "--release", LOCKED, "--all-targets", "--", "-D", "warnings"];
        run(cargo(places).args(clippy))?;
        steps.next("build: programs that can leave a layer of their jails out");
        let weakened = build::weakened(places)?;
        steps.next("engine: the static worker");
        let worker = engine::build(places, engine::LEVEL)?;
        steps.next("clippy of the engine");
        let mut clippy = engine_cargo(places, "clippy", engine::LEVEL);
        run(clippy.args(ENGINE_PACKAGES).args([LOCKED, "--all-targets", "--", "-D", "warnings"]))?;
        steps.next("build");
        run(cargo(places).args(["build", "--release", LOCKED]))?;
        build::put_beside(places, &worker)?;

        steps.next(&format!("test, {TEST_SEED}={seed}"));
        let environment = |mut command: Command| {
            command.env(ENGINE, &worker).env(TEST_MODELS, places.models());
            command.env(TEST_PROGRAMS, places.release()).env(TEST_WEAKENED, &weakened).env(TEST_AXE, &axe);
            command.env(TEST_SARIF, &sarif);
            command
                .envs(pythons.iter().map(|(name, python)| (name, python)))
                .env(TEST_SEED, seed.to_string());
            command
        };
        let mut total = Counts::default();
        let mut test = environment(without_network(&cargo(places)));
        test.args(["test", "--release", LOCKED, "--offline", "--no-fail-fast"]);
        let mut result = self.run_tests(test, &mut total);
        steps.next("test of the engine");
        let mut test = environment(without_network(&engine_cargo(places, "test", engine::LEVEL)));
        test.args(ENGINE_PACKAGES).args([LOCKED, "--offline", "--no-fail-fast"]);
        result = self.run_tests(test, &mut total).and(result);

        match result {
            Ok(()) => steps.next("done"),
            Err(_) => steps.next(&format!("FAILED; the same again: {TEST_SEED}={seed} cargo xtask test")),
        }
        // Either way the counts end the output.
        let counts = format!("{} passed, {} failed", total.passed, total.failed);
        result.map_err(|failure| Failure::new(format!("{failure}: {counts}")))?;
        println!("{counts}");
        Ok(())
    }

    /// Runs `cargo test`, lets its output through and adds up its results.
    fn run_tests(&self, mut command: Command, total: &mut Counts) -> Result<(), Failure> {
        command.args(self.filter.as_ref());
        println!("$ {}", shown(&command));
        let mut child = command.stdout(Stdio::piped()).spawn().during(|| shown(&command))?;
        for line in BufReader::new(child.stdout.take().expect("stdout is piped")).split(b'\n') {
            let line = line.during(|| shown(&command))?;
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&line).and_then(|()| stdout.write_all(b"\n")).during(|| "stdout".to_owned())?;
            if let Some(counts) = Counts::of(&String::from_utf8_lossy(&line)) {
                *total += counts;
            }
        }
        let status = child.wait().during(|| shown(&command))?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}` failed", words(&command)))) }
    }
}

/// Headers with the seconds since the start.
struct Steps {
    start: Instant,
}

impl Steps {
    fn next(&self, name: &str) {
        println!("\n[{:4} s] == {name}", self.start.elapsed().as_secs());
    }
}

/// A fresh seed each time, unless a run is to be repeated.
fn seed() -> Result<u64, Failure> {
    match env::var(TEST_SEED) {
        Ok(text) => text.parse().during(|| format!("{TEST_SEED}={text} is no number")),
        Err(_) => Ok(RandomState::new().build_hasher().finish()),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    /// Of a summary of libtest: `test result: ok. 3 passed; 0 failed; …`.
    fn of(line: &str) -> Option<Counts> {
        let (_, results) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            results.split("; ").find_map(|result| result.strip_suffix(what)?.trim().parse().ok())
        };
        Some(Counts { passed: count("passed")?, failed: count("failed")? })
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_up() {
        let line = "test result: FAILED. 12 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.5s";
        assert_eq!(Counts::of(line), Some(Counts { passed: 12, failed: 2 }));
        assert_eq!(Counts::of("test a::test_result ... ok"), None);
        let mut total = Counts { passed: 1, failed: 0 };
        total += Counts::of("test result: ok. 3 passed; 0 failed; 0 ignored").unwrap();
        assert_eq!(total, Counts { passed: 4, failed: 0 });
    }
}
