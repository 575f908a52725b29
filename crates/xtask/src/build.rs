//! `cargo xtask build`: the programs, side by side in the target's release folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    engine,
    failure::{During as _, Failure},
    places::Places,
    process::{cargo, run},
};

/// What is built of the workspace, by program and not by package: so that all packages agree on the features of the
/// libraries, which are then compiled once for programs, tests and measurements.
const PROGRAMS: [[&str; 2]; 4] = [
    ["--bin", "cloister"],
    ["--bin", "cloisterd"],
    ["--bin", "cloister-pkcs11"],
    ["--bin", "cloister-relay"],
];

/// Builds cloister, cloisterd, cloister-pkcs11, cloister-relay and cloister-engine into one folder, in release.
#[derive(clap::Args)]
pub(crate) struct Build {}

impl Build {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let worker = engine::build(places, engine::LEVEL)?;
        run(cargo(places).args(["build", "--release"]).args(PROGRAMS.as_flattened()))?;
        put_beside(places, &worker)?;
        println!(
            "built: {}/{{cloister,cloisterd,cloister-pkcs11,cloister-relay,cloister-engine}}",
            places.release().display()
        );
        Ok(())
    }
}

/// Builds programs of the same sources that can leave a layer of their jails out, for the tests that see whether its
/// absence is noticed, and returns their folder. To be called before what ships is built: Cargo puts both into one
/// place, and what is built last stays there.
pub(crate) fn weakened(places: &Places) -> Result<PathBuf, Failure> {
    const FEATURE: &str = "cloisterd/weaken,cloister-relay/weaken";
    let programs = ["--bin", "cloisterd", "--bin", "cloister-relay"];
    run(cargo(places).args(["build", "--release", "--locked", "--features", FEATURE]).args(programs))?;
    let mut worker = engine::engine_cargo(places, "build", engine::LEVEL);
    let worker_feature = ["--package", "cloister-engine", "--features", "cloister-engine/weaken"];
    run(worker.arg("--locked").args(worker_feature))?;
    let folder = places.release().join("weakened");
    fs::create_dir_all(&folder).during(|| folder.display().to_string())?;
    let programs = [
        places.release().join("cloisterd"),
        places.release().join("cloister-relay"),
        engine::program(places),
    ];
    for program in programs {
        let name = program.file_name().unwrap_or_default();
        copy(&program, &folder.join(name))?;
    }
    Ok(folder)
}

/// Puts the worker where cloisterd looks for it: beside its own executable.
pub(crate) fn put_beside(places: &Places, worker: &Path) -> Result<(), Failure> {
    copy(worker, &places.release().join("cloister-engine"))
}

fn copy(program: &Path, destination: &Path) -> Result<(), Failure> {
    let part = destination.with_extension("part");
    // Renamed into place: a daemon that runs from this folder keeps the file it has open. A copy, not
    // a link: the next build writes into the original.
    fs::copy(program, &part)
        .and_then(|_| fs::rename(&part, destination))
        .during(|| format!("{} could not be put in place", destination.display()))
}
