//! `cargo xtask deny`: licences, bans, sources and advisories of what is compiled in.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    failure::{During as _, Failure},
    places::Places,
    process::{cargo, run},
};

/// The version that is built, once, into the cache.
const VERSION: &str = "0.20.2";

/// Runs cargo-deny over the lock file; builds it first where it is missing (a minute or two).
#[derive(clap::Args)]
pub(crate) struct Deny {}

impl Deny {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let program = installed(places)?;
        let deny = || {
            let mut command = Command::new(&program);
            // Cargo's variables of this run would make it look for another manifest.
            command.current_dir(&places.root).env_remove("CARGO_MANIFEST_DIR");
            command
        };
        run(deny().args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))?;
        // The advisory database lives on the network; an enclave and some CI machines reach none.
        match run(deny().args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0")) {
            Ok(()) => run(deny().args(["check", "--disable-fetch", "advisories"])),
            Err(failure) => {
                println!(
                    "deny: advisories were NOT checked, their database could not be reached ({failure})"
                );
                Ok(())
            }
        }
    }
}

fn installed(places: &Places) -> Result<PathBuf, Failure> {
    let root = places.tools().join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    println!("deny: building cargo-deny {VERSION} once, into {}", root.display());
    let scratch = root.join("build");
    let mut install = cargo(places);
    // It runs for seconds: a quick build is worth more than a quick program.
    install
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .args(["install", "--quiet", "--locked", "--no-default-features"])
        .arg(format!("cargo-deny@{VERSION}"))
        .arg("--root")
        .arg(&root)
        .arg("--target-dir")
        .arg(&scratch);
    run(&mut install)?;
    fs::remove_dir_all(&scratch).during(|| scratch.display().to_string())?;
    Ok(program)
}
