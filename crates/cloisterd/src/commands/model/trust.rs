use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use models::object::Name;
use models::vault;
use protocol::Digest;
use protocol::admin::Command;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Digest as _;

use super::vault_lock;
use crate::commands::Outcome;
use crate::commands::administer::ask;
use crate::data::Data;
use crate::{file, output};

/// Bytes of a key, of certificates, or of a list of revoked ones.
const FILE_BYTES_MAX: usize = 8 << 20;
/// Files of the store at most.
const FILES_MAX: usize = 1024;

/// Whose signatures on models are believed: public keys, certificate authorities, lists of revoked certificates,
/// identities that Sigstore's certificates name.
#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// Believes signatures by a key, or by certificates that lead to an authority.
    Add {
        /// What it is called in records.
        name: Name,
        /// The file: a public key (PEM), certificates (PEM), a CRL (PEM or DER), or Sigstore's trusted_root.json.
        file: PathBuf,
        /// What it is.
        #[arg(long, value_enum)]
        kind: Sort,
        /// Of Sigstore: who must have signed, as the certificate names them.
        #[arg(long, requires = "issuer", required_if_eq("kind", "sigstore"))]
        identity: Option<String>,
        /// Of Sigstore: who must have vouched for that, as https://accounts.example.com.
        #[arg(long, requires = "identity")]
        issuer: Option<String>,
    },
    /// Believes them no more. What was imported stays as it is.
    Remove {
        /// Its name.
        name: Name,
        /// What it is.
        #[arg(long, value_enum)]
        kind: Sort,
    },
    /// Lists them.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// A public key, P-256, P-384 or P-521.
    Key,
    /// Certificates of an authority.
    Authority,
    /// A list of revoked certificates. With one of an authority, it must be fresh.
    Crl,
    /// An identity that Sigstore's certificates name, checked without its services.
    Sigstore,
}

/// What is kept of an identity that Sigstore's certificates name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keyless {
    identity: String,
    issuer: String,
    trusted_root: String,
}

impl Sort {
    const ALL: [Sort; 4] = [Sort::Key, Sort::Authority, Sort::Crl, Sort::Sigstore];

    fn name(self) -> &'static str {
        match self {
            Sort::Key => "key",
            Sort::Authority => "authority",
            Sort::Crl => "crl",
            Sort::Sigstore => "sigstore",
        }
    }
}

impl Trust {
    pub(super) fn run(self, data: &Data) -> Outcome {
        match self {
            Trust::Add { name, file, kind, identity, issuer } => {
                let _lock = vault_lock(data)?;
                // Before anything was imported there is no folder of roots yet.
                vault::Vault::open(&data.path("models"))?;
                let mut bytes = file::read(&file, FILE_BYTES_MAX)?;
                let mut who = String::new();
                if let (Sort::Sigstore, Some(identity), Some(issuer)) = (kind, identity, issuer) {
                    who = format!(" of {identity} by {issuer}");
                    let trusted_root = String::from_utf8(bytes)?;
                    bytes = serde_json::to_vec(&Keyless { identity, issuer, trusted_root })?;
                }
                // What could not be used is refused now, not at the next import.
                take(&mut oms::Trust::new(), kind, name.as_str(), &bytes)?;
                let detail = format!("{} {}{who}", kind.name(), Digest(sha2::Sha256::digest(&bytes).into()));
                ask(data.root(), Command::ModelTrust { added: true, name: name.to_string(), detail })?;
                vault::replace(&path(data, &name, kind), &bytes)?;
                output::line(&format!("{name}: {} is believed", kind.name()))?;
            }
            Trust::Remove { name, kind } => {
                let _lock = vault_lock(data)?;
                let path = path(data, &name, kind);
                if !path.exists() {
                    return Err(format!(
                        "there is no {} {name}: see `cloisterd model trust list`",
                        kind.name()
                    )
                    .into());
                }
                let detail = kind.name().to_owned();
                ask(data.root(), Command::ModelTrust { added: false, name: name.to_string(), detail })?;
                std::fs::remove_file(path)?;
                output::line(&format!("{name}: {} is believed no more", kind.name()))?;
            }
            Trust::List { json } => {
                let rows = files(&directory(data))?.into_iter().map(|(name, kind, path)| {
                    let digest = file::read(&path, FILE_BYTES_MAX).map(sha2::Sha256::digest)?;
                    Ok(json!({ "name": name, "kind": kind.name(), "digest": Digest(digest.into()) }))
                });
                let rows: Result<Vec<_>, Box<dyn Error>> = rows.collect();
                output::document(&json!(rows?), json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// All that is believed: the folder [`directory`].
pub(crate) fn trusted(directory: &Path) -> Result<oms::Trust, Box<dyn Error>> {
    let mut trust = oms::Trust::new();
    for (name, kind, path) in files(directory)? {
        take(&mut trust, kind, &name, &file::read(&path, FILE_BYTES_MAX)?)?;
    }
    Ok(trust)
}

fn take(trust: &mut oms::Trust, kind: Sort, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    match kind {
        Sort::Key => trust.add_key(name, bytes)?,
        Sort::Authority => trust.add_authority(name, bytes)?,
        Sort::Crl => trust.add_crl(name, bytes)?,
        Sort::Sigstore => {
            let Keyless { identity, issuer, trusted_root } = serde_json::from_slice(bytes)?;
            trust.add_sigstore(name, trusted_root.as_bytes(), &identity, &issuer)?;
        }
    }
    Ok(())
}

/// Where they lie.
pub(crate) fn directory(data: &Data) -> PathBuf {
    data.path("models/trust")
}

fn path(data: &Data, name: &Name, kind: Sort) -> PathBuf {
    directory(data).join(format!("{name}.{}", kind.name()))
}

/// Name, sort and file of something believed.
type Believed = (String, Sort, PathBuf);

/// By name. A file that is none of them was put there by nobody of ours: nothing is believed then.
fn files(directory: &Path) -> Result<Vec<Believed>, Box<dyn Error>> {
    let mut files = Vec::new();
    if !directory.exists() {
        return Ok(files);
    }
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let parsed = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('.'));
        let sort = parsed.and_then(|(name, ending)| {
            let sort = Sort::ALL.into_iter().find(|sort| sort.name() == ending)?;
            Some((name.parse::<Name>().ok()?.to_string(), sort))
        });
        let (name, sort) = sort.ok_or_else(|| stray(&path))?;
        files.push((name, sort, path));
    }
    if files.len() > FILES_MAX {
        return Err(format!("{} holds more than {FILES_MAX} files", directory.display()).into());
    }
    files.sort_by(|a, b| (&a.0, a.1.name()).cmp(&(&b.0, b.1.name())));
    Ok(files)
}

fn stray(path: &Path) -> String {
    format!(
        "{} is no key, authority or CRL that `cloisterd model trust add` put there: take it away",
        path.display()
    )
}
