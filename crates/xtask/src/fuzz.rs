//! `cargo xtask fuzz`: the fuzz targets, built with coverage by the ordinary toolchain, and run for a while.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    failure::{During as _, Failure},
    places::{FUZZ_TARGET, NATIVE, Places},
    process::{cargo, run, shown},
    setup::Setup,
};

/// Fuzzes the parsers of outside bytes; what is found lies in the target's folder.
#[derive(clap::Args)]
pub(crate) struct Fuzz {
    /// Which; all, one after the other, by default.
    targets: Vec<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// What libFuzzer needs to see where an input leads. Plain code generation options: no other toolchain.
const FLAGS: &str = "-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=3 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares -C debug-assertions -C codegen-units=1";

/// The program of all targets, and the feature that it is built with.
const PROGRAM: &str = "coverage";

/// A slower input is reported as a hang.
const INPUT_SECONDS_MAX: u64 = 10;
const INPUT_BYTES_MAX: u64 = 16 << 10;
const MEMORY_MIB_MAX: u64 = 2048;

impl Fuzz {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        Setup {}.run()?;
        let known = targets(places)?;
        if let Some(unknown) = self.targets.iter().find(|target| !known.contains(target)) {
            return Err(Failure::new(format!("{unknown:?} is no fuzz target"))
                .hint(format!("There are: {}", known.join(", "))));
        }
        let fuzzer = Fuzzer::built(places)?;
        for name in if self.targets.is_empty() { &known } else { &self.targets } {
            println!("{name}: {} inputs", fuzzer.run(name, self.seconds, None)?);
        }
        Ok(())
    }
}

/// The names of all targets.
pub(crate) fn targets(places: &Places) -> Result<Vec<String>, Failure> {
    let folder = places.root.join("crates/fuzz/src/targets");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .during(|| folder.display().to_string())?
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The program of all targets, built with coverage.
pub(crate) struct Fuzzer {
    program: PathBuf,
    /// Where it was built; what was found interesting is kept here, and what was found wrong.
    folder: PathBuf,
    seeds: PathBuf,
}

impl Fuzzer {
    pub(crate) fn built(places: &Places) -> Result<Fuzzer, Failure> {
        let folder = places.target.join("fuzz");
        let mut build = cargo(places);
        build.env("RUSTFLAGS", FLAGS).args(["build", "--release", "--locked", "--package", "fuzz"]);
        // With a target named, build scripts and macros are built without the coverage.
        build.args(["--bin", PROGRAM, "--features", PROGRAM, "--target", NATIVE, "--target-dir"]);
        run(build.arg(&folder))?;
        let program = folder.join(NATIVE).join("release").join(PROGRAM);
        Ok(Fuzzer { program, folder, seeds: places.root.join("crates/fuzz/seeds") })
    }

    /// Runs one target, and says how many inputs it was given. Draws are fresh unless a seed is given; they depend on
    /// what earlier runs found interesting, too.
    pub(crate) fn run(&self, name: &str, seconds: u64, seed: Option<u32>) -> Result<u64, Failure> {
        // What was found interesting before is where the next run begins.
        let corpus = self.folder.join("corpus").join(name);
        fs::create_dir_all(&corpus).during(|| corpus.display().to_string())?;
        let mut fuzzer = Command::new(&self.program);
        fuzzer.current_dir(&self.folder).env(FUZZ_TARGET, name).arg(&corpus);
        let seeds = self.seeds.join(name);
        fuzzer.args(seeds.is_dir().then_some(seeds)).args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-max_len={INPUT_BYTES_MAX}"),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
            format!("-artifact_prefix={}-", self.folder.join(name).display()),
            "-print_final_stats=1".to_owned(),
            "-verbosity=0".to_owned(),
        ]);
        fuzzer.args(seed.map(|seed| format!("-seed={seed}")));
        let output = fuzzer.output().during(|| shown(&fuzzer))?;
        let words = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let found = format!("{words}\n`{}` found something: {}", shown(&fuzzer), output.status);
            return Err(Failure::new(found).hint(format!("{FUZZ_TARGET}={name} names the target.")));
        }
        let executed = words.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        executed.and_then(|count| count.trim().parse().ok()).ok_or_else(|| {
            Failure::new(format!("{words}\n`{}` does not say how much it tried", shown(&fuzzer)))
        })
    }
}
