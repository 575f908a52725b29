//! A token in a folder: SoftHSM, which is hardware to whoever calls it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Failure;

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];
const PIN: &str = "482913";

/// A token, gone when dropped.
pub struct Token {
    folder: TempDir,
    label: String,
    /// Its PKCS#11 module.
    pub module: &'static str,
}

impl Token {
    /// An empty one with a label.
    pub fn new(label: &str) -> Result<Token, Failure> {
        let module = MODULES.into_iter().find(|module| Path::new(module).exists());
        let module = module.ok_or("SoftHSM is not there: `cargo xtask setup` installs it")?;
        let token = Token { folder: tempfile::tempdir()?, label: label.to_owned(), module };
        let tokens = token.folder.path().join("tokens");
        fs::create_dir(&tokens)?;
        let settings = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        File::create(token.configuration())?.write_all(settings.as_bytes())?;
        File::create(token.pin_file())?.write_all(format!("{PIN}\n").as_bytes())?;
        token.util(&["--init-token", "--free", "--label", label, "--so-pin", "5678", "--pin", PIN])?;
        Ok(token)
    }

    /// Puts a private key on it: a file of PKCS#8.
    pub fn import(&self, key: &Path, label: &str, id: &str) -> Result<(), Failure> {
        let key = key.to_str().ok_or("a path that is no text")?;
        self.util(&["--import", key, "--token", &self.label, "--label", label, "--id", id, "--pin", PIN])
    }

    /// What `SOFTHSM2_CONF` names.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    /// A file that holds its PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    fn util(&self, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new("softhsm2-util");
        let output = command.env("SOFTHSM2_CONF", self.configuration()).args(arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("softhsm2-util: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
