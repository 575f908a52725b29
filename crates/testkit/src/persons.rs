//! Persons who approve: users with a key of OpenSSH's each, which is enrolled to them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::server::Server;

/// Two persons.
#[derive(Debug)]
pub struct Approvers {
    keys: Vec<PathBuf>,
}

impl Approvers {
    /// Makes their keys in the server's folder, adds them as users and enrols the keys.
    pub fn enrolled(server: &Server) -> Result<Approvers, Failure> {
        Approvers::enrolled_as(server, ["amelia", "bessie"])
    }

    /// The same, of these names.
    pub fn enrolled_as(server: &Server, names: [&str; 2]) -> Result<Approvers, Failure> {
        let mut keys = Vec::new();
        for name in names {
            let key = server.root().join(format!("{name}.key"));
            generate(&key, "ed25519")?;
            server.cloisterd(&["user", "add", name])?;
            let public = key.with_added_extension("pub");
            server.cloisterd(&["user", "enrol-key", name, text(&public)?])?;
            keys.push(key);
        }
        Ok(Approvers { keys })
    }

    /// The signatures of both over a file, for that purpose.
    pub fn sign(&self, namespace: &str, file: &Path) -> Result<Vec<String>, Failure> {
        self.keys.iter().map(|key| sign(key, namespace, file)).collect()
    }
}

/// Makes a key of that kind without a passphrase, and its public half beside it.
pub fn generate(key: &Path, kind: &str) -> Result<(), Failure> {
    run(Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", "", "-f"]).arg(key))
}

/// Signs a file, as `ssh-keygen -Y sign` does. Returns the signature's path, which names the key.
pub fn sign(key: &Path, namespace: &str, file: &Path) -> Result<String, Failure> {
    let stem = key.file_stem().unwrap_or_default();
    let signature = file.with_added_extension(stem).with_added_extension("sig");
    let made = file.with_added_extension("sig");
    run(Command::new("ssh-keygen").args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(key).arg(file))?;
    std::fs::rename(made, &signature)?;
    Ok(text(&signature)?.to_owned())
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ssh-keygen failed: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn text(path: &Path) -> Result<&str, Failure> {
    Ok(path.to_str().ok_or("the path is not UTF-8")?)
}
