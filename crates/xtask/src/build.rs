//! `cargo xtask build`: the programs, side by side in the target's release folder.

use std::{fs, path::Path};

use crate::{
    engine,
    failure::{During as _, Failure},
    places::Places,
    process::{cargo, run},
};

/// Builds cloister, cloisterd, cloister-pkcs11, cloister-relay and cloister-engine into one folder, in release.
#[derive(clap::Args)]
pub(crate) struct Build {}

impl Build {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let worker = engine::build(places, engine::LEVEL)?;
        let packages =
            ["cloister", "cloisterd", "cloister-pkcs11", "cloister-relay"].map(|name| ["--package", name]);
        run(cargo(places).args(["build", "--release"]).args(packages.as_flattened()))?;
        put_beside(places, &worker)?;
        println!(
            "built: {}/{{cloister,cloisterd,cloister-pkcs11,cloister-relay,cloister-engine}}",
            places.release().display()
        );
        Ok(())
    }
}

/// Puts the worker where cloisterd looks for it: beside its own executable.
pub(crate) fn put_beside(places: &Places, worker: &Path) -> Result<(), Failure> {
    let destination = places.release().join("cloister-engine");
    let part = destination.with_extension("part");
    // Renamed into place: a daemon that runs from this folder keeps the file it has open. A copy, not
    // a link: the next build writes into the original.
    fs::copy(worker, &part)
        .and_then(|_| fs::rename(&part, &destination))
        .during(|| format!("{} could not be put in place", destination.display()))
}
