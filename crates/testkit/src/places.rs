//! Where programs and models are: said by `cargo xtask`, or beside the running test.

use std::path::PathBuf;

use crate::Failure;

/// The default model of the demonstration; fills holes.
pub const CODER: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m";
/// The smallest model; chats only.
pub const SMALL: &str = "smollm2-135m-instruct-q4_1";

/// A program of this workspace, built by `cargo xtask build`.
pub fn program(name: &str) -> Result<PathBuf, Failure> {
    if let Some(directory) = std::env::var_os("CLOISTER_TEST_PROGRAMS") {
        return existing(PathBuf::from(directory).join(name));
    }
    // target/release/deps/it-0123 or target/release/xtask
    let this = std::env::current_exe()?;
    let mut directory = this.parent().ok_or("the running program has no directory")?.to_owned();
    if directory.ends_with("deps") {
        directory.pop();
    }
    existing(directory.join(name))
}

/// Programs of the same sources that can leave a layer of their jails out, by name, built by `cargo xtask test`.
pub fn weakened(name: &str) -> Result<PathBuf, Failure> {
    let directory = match std::env::var_os("CLOISTER_TEST_WEAKENED") {
        Some(directory) => PathBuf::from(directory),
        None => program("cloisterd")?.with_file_name("weakened"),
    };
    existing(directory.join(name))
}

/// A test model's file, fetched by `cargo xtask fetch`.
pub fn model(name: &str) -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = variable("CLOISTER_TEST_MODELS")
        .or_else(|| Some(variable("CLOISTER_CACHE")?.join("models")))
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("cloister/models")))
        .or_else(|| Some(variable("HOME")?.join(".cache/cloister/models")))
        .ok_or("HOME is not set")?;
    existing(directory.join(format!("{name}.gguf")))
}

/// A missing piece is a failure, never a skipped test.
fn existing(path: PathBuf) -> Result<PathBuf, Failure> {
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is missing: run `cargo xtask build` and `cargo xtask fetch`", path.display()).into())
}
