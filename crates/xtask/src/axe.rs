//! axe-core, by which the test of the console tells what people who see or move otherwise cannot use. Of the
//! registry of Node's packages, one file of it; it runs in a test's browser and is part of no product.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    engine::sha256_of,
    failure::{During as _, Failure},
    places::Places,
    process::run_quietly,
};

const VERSION: &str = "4.14.1";
/// Of the file itself, whatever it was packed in.
const SHA256: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// `axe.min.js`, in the cache; fetched on first use.
pub(crate) fn axe(places: &Places) -> Result<PathBuf, Failure> {
    let folder = places.tools().join(format!("axe-core-{VERSION}"));
    let file = folder.join("package/axe.min.js");
    if !file.is_file() {
        fs::create_dir_all(&folder).during(|| folder.display().to_string())?;
        let package = format!("axe-core@{VERSION}");
        run_quietly(Command::new("npm").args(["pack", "--silent", &package]).current_dir(&folder))?;
        let packed = format!("axe-core-{VERSION}.tgz");
        run_quietly(Command::new("tar").args(["-xzf", &packed]).current_dir(&folder))?;
    }
    if sha256_of(&file)? != SHA256 {
        let message = format!("{} is not axe-core {VERSION}", file.display());
        return Err(Failure::new(message).hint("Remove its folder; it is fetched again."));
    }
    Ok(file)
}
