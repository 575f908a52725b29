//! `cargo xtask fuzz`: the fuzz targets, built with coverage by the ordinary toolchain, and run for a while.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    failure::{During as _, Failure},
    places::{NATIVE, Places},
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

/// As `cargo xtask test` runs each.
pub(crate) const SECONDS_IN_TEST: u64 = 5;

/// What libFuzzer needs to see where an input leads. Plain code generation options: no other toolchain.
const FLAGS: &str = "--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=3 \
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
    -C llvm-args=-sanitizer-coverage-trace-compares -C debug-assertions -C codegen-units=1";

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
        fuzz(places, if self.targets.is_empty() { &known } else { &self.targets }, self.seconds)
    }
}

/// Runs every target for a few seconds.
pub(crate) fn briefly(places: &Places) -> Result<(), Failure> {
    fuzz(places, &targets(places)?, SECONDS_IN_TEST)
}

fn targets(places: &Places) -> Result<Vec<String>, Failure> {
    let folder = places.root.join("crates/fuzz/src/bin");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .during(|| folder.display().to_string())?
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn fuzz(places: &Places, targets: &[String], seconds: u64) -> Result<(), Failure> {
    let target = places.target.join("fuzz");
    let mut build = cargo(places);
    build.env("RUSTFLAGS", FLAGS).args(["build", "--release", "--locked", "--package", "fuzz", "--bins"]);
    // With a target named, build scripts and macros are built without the coverage.
    run(build.args(["--target", NATIVE, "--target-dir"]).arg(&target))?;
    for name in targets {
        // What was found interesting before is where the next run begins.
        let corpus: PathBuf = target.join("corpus").join(name);
        fs::create_dir_all(&corpus).during(|| corpus.display().to_string())?;
        let mut fuzzer = Command::new(target.join(NATIVE).join("release").join(name));
        fuzzer.current_dir(&target).arg(&corpus);
        let seeds = places.root.join("crates/fuzz/seeds").join(name);
        fuzzer.args(seeds.is_dir().then_some(seeds)).args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-max_len={INPUT_BYTES_MAX}"),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
            format!("-artifact_prefix={}-", target.join(name).display()),
            "-print_final_stats=1".to_owned(),
            "-verbosity=0".to_owned(),
        ]);
        report(&mut fuzzer)?;
    }
    Ok(())
}

/// Runs a fuzzer. All it says is shown when it found something, else how much it tried.
fn report(fuzzer: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(fuzzer));
    let output = fuzzer.output().during(|| shown(fuzzer))?;
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Failure::new(format!("{words}\n`{}` found something: {}", shown(fuzzer), output.status)));
    }
    for statistic in words.lines().filter_map(|line| line.strip_prefix("stat::")) {
        println!("{statistic}");
    }
    Ok(())
}
