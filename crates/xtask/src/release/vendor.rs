//! `cargo xtask vendor`: the sources of every crate in the lock file, to be carried where there is no registry.

use std::{fs, path::PathBuf};

use super::{absolute, git};
use crate::{
    failure::{During as _, Failure},
    places::Places,
    process::{cargo, output_of},
};

/// Notes the commit's date, for a build from sources without git.
pub(super) const EPOCH: &str = "source-date-epoch";
/// The configuration that has Cargo use the folder.
pub(super) const CONFIGURATION: &str = ".cargo/config.toml";
/// The sources, a folder for each crate and version.
pub(super) const CRATES: &str = "crates";

/// Copies the sources of every crate in the lock file into a folder, with Cargo's configuration for it.
///
/// On the connected side. What is carried over is this folder and the repository's own sources.
#[derive(clap::Args)]
pub(crate) struct Vendor {
    /// The folder [default: `vendored` in the target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Vendor {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let out = match &self.out {
            Some(out) => absolute(out)?,
            None => places.target.join("vendored"),
        };
        vendor(places, &out)?;
        let count = fs::read_dir(out.join(CRATES)).during(|| out.display().to_string())?.count();
        println!("{count} crates in {}", out.display());
        println!(
            "on the other side: cargo --config {0}/{CONFIGURATION} run --release --offline --package xtask -- \
             release --vendored {0}",
            out.display()
        );
        Ok(())
    }
}

pub(super) fn vendor(places: &Places, out: &std::path::Path) -> Result<(), Failure> {
    let crates = out.join(CRATES);
    fs::create_dir_all(&crates).during(|| out.display().to_string())?;
    // With their versions in the folders' names, as Cargo's own folder has them: paths are the same in both.
    let mut vendor = cargo(places);
    vendor.args(["vendor", "--quiet", "--locked", "--versioned-dirs"]).arg(&crates);
    println!("$ {}", crate::process::shown(&vendor));
    // It prints a configuration with this machine's path in it; ours is by the folder's own place.
    output_of(&mut vendor)?;
    let configuration = format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"{CRATES}\"\n\n\
         [net]\noffline = true\n"
    );
    super::write(&out.join(CONFIGURATION), configuration.as_bytes())?;
    let epoch = git(places, &["log", "-1", "--format=%ct"])?;
    super::write(&out.join(EPOCH), epoch.as_bytes())
}
