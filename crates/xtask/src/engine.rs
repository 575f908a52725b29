//! `cargo xtask engine`: the worker, statically linked, so that its digest covers libm and libgomp.

use std::{
    env,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{
    elf::{self, Linkage},
    failure::{During as _, Failure},
    places::{NATIVE, Places},
    process::{cargo, run},
};

/// Builds cloister-engine, asserts that it is static, and prints its path and SHA-256.
#[derive(clap::Args)]
pub(crate) struct Engine {
    /// The CPU level that the worker needs (`x86-64-v2`, `x86-64-v3`, `x86-64-v4`); not on aarch64.
    #[arg(long, default_value = LEVEL)]
    level: String,
}

/// CPUs since 2013 (Haswell) and 2015 (Excavator) have it: AVX2, FMA, BMI2.
pub(crate) const LEVEL: &str = "x86-64-v3";

impl Engine {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        build(places, &self.level).map(drop)
    }
}

/// Builds the worker for `level` and returns its path.
pub(crate) fn build(places: &Places, level: &str) -> Result<PathBuf, Failure> {
    run(engine_cargo(places, "build", level).args(["--package", "cloister-engine"]))?;
    let program = program(places);
    if elf::linkage(&program).during(|| program.display().to_string())? != Linkage::Static {
        return Err(Failure::new(format!("{} is not linked statically", program.display()))
            .hint("Look at the features `static-openmp` and `static-stdcxx` of llama-cpp-sys-2."));
    }
    println!("{}\nstatic, SHA-256 {}", program.display(), sha256_of(&program)?);
    Ok(program)
}

/// Where the worker is once it is built.
pub(crate) fn program(places: &Places) -> PathBuf {
    places.engine_target().join(NATIVE).join("release/cloister-engine")
}

/// Cargo in the engine's configuration. Builds, lints and tests of `llama` and `cloister-engine` all
/// go through here: with any other flags llama.cpp would be compiled once more.
pub(crate) fn engine_cargo(places: &Places, subcommand: &str, level: &str) -> Command {
    let mut command = cargo(places);
    // The package's build script passes these on to CMake; a stray one would change the kernels.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GGML_") || name.starts_with("LLAMA_")) {
            command.env_remove(&name);
        }
    }
    command
        .env("RUSTFLAGS", flags(level).join(" "))
        // These kernels sum in an order that depends on the batch (DESIGN: reproducible by default).
        .env("GGML_LLAMAFILE", "OFF")
        .arg(subcommand)
        .args(["--release", "--target", NATIVE, "--target-dir"])
        .arg(places.engine_target());
    command
}

/// What rustc is told for the worker: static, and for one CPU level where there are such.
pub(crate) fn flags(level: &str) -> Vec<String> {
    let mut flags = vec!["-C".to_owned(), "target-feature=+crt-static".to_owned()];
    if cfg!(target_arch = "x86_64") {
        flags.extend(["-C".to_owned(), format!("target-cpu={level}")]);
    }
    flags
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<String, Failure> {
    let digest = || -> io::Result<String> {
        let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hexadecimal(&hasher.finalize())),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    digest().during(|| path.display().to_string())
}

/// Lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
