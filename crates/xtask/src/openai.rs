//! A Python that has the real `openai` client, for the tests that run it.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    engine::sha256_of,
    failure::{During as _, Failure},
    places::Places,
    process::{run, succeeds},
};

/// The interpreter of a virtual environment in the cache, made on first use from pinned versions.
pub(crate) fn python(places: &Places) -> Result<PathBuf, Failure> {
    let requirements = places.root.join(".ci/openai.txt");
    let digest = sha256_of(&requirements)?;
    let folder = places.tools().join(format!("openai-{}", &digest[..12]));
    let python = folder.join("bin/python3");
    // An environment whose making was cut off, or whose system Python went away, is made anew.
    if succeeds(Command::new(&python).args(["-c", "import openai"])) {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).during(|| folder.display().to_string())?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    run(install.args(["--only-binary=:all:", "--no-deps", "--requirement"]).arg(&requirements))?;
    Ok(python)
}
