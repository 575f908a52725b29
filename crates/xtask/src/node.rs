//! Files of the registry of Node's packages that tests need: one of each, and part of no product.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    engine::sha256_of,
    failure::{During as _, Failure},
    places::Places,
    process::{run, run_quietly},
};

/// The folder with other people's programs, as `.ci/clients` pins them; made on first use. npm compares each archive with
/// its digest there.
pub(crate) fn clients(places: &Places) -> Result<PathBuf, Failure> {
    const LOCK: &str = "package-lock.json";
    let pinned = places.root.join(".ci/clients");
    let folder = places.tools().join(format!("clients-{}", &sha256_of(&pinned.join(LOCK))?[..12]));
    let done = folder.join("installed");
    if !done.is_file() {
        fs::create_dir_all(&folder).during(|| folder.display().to_string())?;
        for name in ["package.json", LOCK] {
            fs::copy(pinned.join(name), folder.join(name)).during(|| name.to_owned())?;
        }
        run(Command::new("npm")
            .args(["install", "--no-save", "--no-audit", "--no-fund"])
            .current_dir(&folder))?;
        fs::File::create(&done).during(|| done.display().to_string())?;
    }
    Ok(folder)
}

/// A file of a package.
pub(crate) struct Packed {
    package: &'static str,
    version: &'static str,
    /// Within the package.
    file: &'static str,
    /// Of the file itself, whatever it was packed in.
    sha256: &'static str,
}

/// axe-core, by which the test of the console tells what people who see or move otherwise cannot use. It runs in a test's
/// browser.
pub(crate) const AXE: Packed = Packed {
    package: "axe-core",
    version: "4.14.1",
    file: "axe.min.js",
    sha256: "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
};

/// The schema of SARIF 2.1.0, as OASIS has it.
pub(crate) const SARIF: Packed = Packed {
    package: "@microsoft/jest-sarif",
    version: "1.0.0-beta.0",
    file: "lib/schemas/sarif-2.1.0-rtm.5.json",
    sha256: "2d99159ae54a3eea97f81781cff48780548657c35949f4b7f25e99a2ba4de4f8",
};

impl Packed {
    /// The file, in the cache; fetched on first use.
    pub(crate) fn path(&self, places: &Places) -> Result<PathBuf, Failure> {
        let Packed { package, version, .. } = self;
        // As `npm pack` names what it writes.
        let name = format!("{}-{version}", package.trim_start_matches('@').replace('/', "-"));
        let folder = places.tools().join(&name);
        let file = folder.join("package").join(self.file);
        if !file.is_file() {
            fs::create_dir_all(&folder).during(|| folder.display().to_string())?;
            let package = format!("{package}@{version}");
            run_quietly(Command::new("npm").args(["pack", "--silent", &package]).current_dir(&folder))?;
            let packed = format!("{name}.tgz");
            run_quietly(Command::new("tar").args(["-xzf", &packed]).current_dir(&folder))?;
        }
        if sha256_of(&file)? != self.sha256 {
            let message = format!("{} is not of {package} {version}", file.display());
            return Err(Failure::new(message).hint("Remove its folder; it is fetched again."));
        }
        Ok(file)
    }
}
