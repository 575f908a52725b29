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
    places::{self, NATIVE, Places},
    process::{cargo, run},
};

/// Builds cloister-engine, asserts that it is static, and prints its path and SHA-256. With `--cuda` one for NVIDIA's
/// GPUs, which the C library and the driver's are a part of at run time.
#[derive(clap::Args)]
pub(crate) struct Engine {
    /// The CPU level that the worker needs (`x86-64-v2`, `x86-64-v3`, `x86-64-v4`); not on aarch64.
    #[arg(long, default_value = LEVEL)]
    level: String,
    /// Build for NVIDIA's GPUs of these kinds, as CMake names them, with semicolons between: each with machine code, so
    /// that nothing is compiled in the jail. Needs the CUDA toolkit, and many minutes.
    #[arg(long, value_name = "ARCHITECTURES", num_args = 0..=1, default_missing_value = GPUS)]
    cuda: Option<String>,
}

/// CPUs since 2013 (Haswell) and 2015 (Excavator) have it: AVX2, FMA, BMI2.
pub(crate) const LEVEL: &str = "x86-64-v3";

/// Ampere, Ada and Hopper.
const GPUS: &str = "80-real;86-real;89-real;90-real";

/// What is taken of a toolkit, below its folder: the compiler, and what is linked into the worker.
const OF_TOOLKIT: [&str; 6] = [
    "bin/nvcc",
    "lib64/libcudart_static.a",
    "lib64/libcublas_static.a",
    "lib64/libcublasLt_static.a",
    "lib64/libculibos.a",
    // In place of the driver's, which is found at run time.
    "lib64/stubs/libcuda.so",
];

impl Engine {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        match &self.cuda {
            Some(gpus) => build_cuda(places, &self.level, gpus),
            None => build(places, &self.level).map(drop),
        }
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

/// Builds the worker for GPUs. The driver's library has to be the machine's, so the C library is, too; everything else
/// is inside.
fn build_cuda(places: &Places, level: &str, gpus: &str) -> Result<(), Failure> {
    let toolkit = toolkit(&places::cuda_toolkits())?;
    let mut command = configured(places, "build", &places.cuda_target(), &flags(level)[STATIC.len()..]);
    command
        .env("CUDACXX", toolkit.join("bin/nvcc"))
        .env("CUDA_LIBRARY_PATH", &toolkit)
        .env("CMAKE_CUDA_ARCHITECTURES", gpus)
        .args(["--package", "cloister-engine", "--features", "cloister-engine/cuda"]);
    run(&mut command)?;
    let program = cuda_folder(places).join("cloister-engine");
    println!("{}\nfor GPUs {gpus}, dynamic, SHA-256 {}", program.display(), sha256_of(&program)?);
    Ok(())
}

/// Where the worker for GPUs is once it is built.
pub(crate) fn cuda_folder(places: &Places) -> PathBuf {
    places.cuda_target().join(NATIVE).join("release")
}

/// The first toolkit that is whole.
fn toolkit(roots: &[PathBuf]) -> Result<PathBuf, Failure> {
    let lacking = |root: &PathBuf| -> Vec<PathBuf> {
        OF_TOOLKIT.map(|name| root.join(name)).into_iter().filter(|path| !path.exists()).collect()
    };
    if let Some(root) = roots.iter().find(|root| lacking(root).is_empty()) {
        return Ok(root.clone());
    }
    let missing: Vec<String> = roots
        .iter()
        .flat_map(|root| if root.is_dir() { lacking(root) } else { vec![root.clone()] })
        .map(|path| path.display().to_string())
        .collect();
    Err(Failure::new(format!("there is no whole CUDA toolkit: no {}", missing.join(", no ")))
        .hint(
        "Install NVIDIA's cuda-nvcc, cuda-cudart-dev, libcublas-dev and cuda-driver-dev, 12.8 or later, or name the \
         toolkit's folder as CUDA_PATH.",
    ))
}

/// Where the worker is once it is built.
pub(crate) fn program(places: &Places) -> PathBuf {
    places.engine_target().join(NATIVE).join("release/cloister-engine")
}

/// Cargo in the engine's configuration. Builds, lints and tests of `llama` and `cloister-engine` all
/// go through here: with any other flags llama.cpp would be compiled once more.
pub(crate) fn engine_cargo(places: &Places, subcommand: &str, level: &str) -> Command {
    configured(places, subcommand, &places.engine_target(), &flags(level))
}

fn configured(places: &Places, subcommand: &str, target: &Path, flags: &[String]) -> Command {
    let mut command = cargo(places);
    // The package's build script passes these on to CMake; a stray one would change the kernels.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GGML_") || name.starts_with("LLAMA_")) {
            command.env_remove(&name);
        }
    }
    command
        .env("RUSTFLAGS", flags.join(" "))
        // These kernels sum in an order that depends on the batch (DESIGN: reproducible by default).
        .env("GGML_LLAMAFILE", "OFF")
        .arg(subcommand)
        .args(["--release", "--target", NATIVE, "--target-dir"])
        .arg(target);
    command
}

/// The C library inside.
const STATIC: [&str; 2] = ["-C", "target-feature=+crt-static"];

/// What rustc is told for the worker: static, and for one CPU level where there are such.
pub(crate) fn flags(level: &str) -> Vec<String> {
    let mut flags = STATIC.map(str::to_owned).to_vec();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_toolkit_lacks_is_named() {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap();
        };
        let roots = [PathBuf::from("/nonexistent"), root.path().to_owned()];
        OF_TOOLKIT[1..].iter().copied().for_each(place);
        let error = toolkit(&roots).unwrap_err().to_string();
        assert!(error.contains("/nonexistent") && error.contains("bin/nvcc"), "{error}");
        assert!(!error.contains("cublas_static"), "{error}");
        place(OF_TOOLKIT[0]);
        assert_eq!(toolkit(&roots).unwrap(), roots[1]);
    }
}
