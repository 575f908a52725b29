//! The vault: files by their digests, descriptions of objects, every lock that ever was, and the proofs that
//! the ledger knows of promotions and deployments. Nothing in it changes; what serves is said elsewhere.
//!
//! ```text
//! models/blobs/sha256-HEX          files of objects, and worker programs
//! models/incoming/                 unfinished copies of an import
//! models/objects/HEX.json          descriptions; HEX is what persons approve
//! models/promotions/HEX.proof      that an object was promoted (C2SP tlog-proof)
//! models/locks/HEX.json, .proof    locks, and that they were deployed
//! models/trust/                    roots that signatures must lead to
//! ```

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use protocol::Digest;
use sha2::{Digest as _, Sha256};

use crate::deployment::{DeploymentsError, FILE_BYTES_MAX, Lock};
use crate::hashing::hash_range;
use crate::import::{INCOMING, open_plain};

const CHUNK_BYTES: usize = 1 << 20;
/// A proof carries a leaf, hashes and a checkpoint.
const PROOF_BYTES_MAX: u64 = 1 << 20;

/// The directory `models/` of a data directory.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(crate) root: PathBuf,
}

/// Why the vault does not do something.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no such lock.
    #[error("the vault has no lock {0}")]
    NoLock(Digest),
    /// A lock in it is damaged.
    #[error("{}", .0.display())]
    Lock(PathBuf, #[source] DeploymentsError),
    /// There is no such proof.
    #[error("{}: there is no proof in the vault that the ledger knows of it", .0.display())]
    NoProof(PathBuf),
    /// A file is not what its name says.
    #[error("{path}: its digest is {found}", path = .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its digest now.
        found: Digest,
    },
    /// The disk.
    #[error("{path}: {intent}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What was being done.
        intent: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// What a proof in the vault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// That an object was promoted.
    Promotion(Digest),
    /// That a lock was deployed.
    Deployment(Digest),
}

impl Vault {
    /// Opens the vault, making its directories where they are missing.
    pub fn open(root: &Path) -> Result<Vault, VaultError> {
        for directory in ["blobs", INCOMING, "objects", "promotions", "locks", "trust"] {
            let path = root.join(directory);
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|source| io(&path, "cannot be made", source))?;
        }
        Ok(Vault { root: root.to_owned() })
    }

    /// Where a file lies.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(format!("sha256-{}", digest.hex()))
    }

    /// Whether what lies under a digest still is what the digest says: it reads all of it.
    pub fn holds(&self, digest: &Digest) -> Result<bool, VaultError> {
        let path = self.blob_path(digest);
        let read = || hash_range(&open_plain(&path)?, 0, u64::MAX, &mut |_| ());
        match read() {
            Ok((found, _)) => Ok(found == *digest),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(io(&path, "cannot be read", source)),
        }
    }

    /// Keeps bytes under their digest: a worker program, so that what it answered can be answered again.
    pub fn keep(&self, bytes: &mut dyn Read) -> Result<Digest, VaultError> {
        let temporary = self.root.join("blobs").join(format!("keeping-{}", std::process::id()));
        let failed = |source| io(&temporary, "cannot be written", source);
        let kept = (|| {
            let mut file = create(&temporary)?;
            let mut hasher = Sha256::new();
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let read = bytes.read(&mut chunk)?;
                if read == 0 {
                    break;
                }
                hasher.update(&chunk[..read]);
                file.write_all(&chunk[..read])?;
            }
            let digest = Digest(hasher.finalize().into());
            file.set_permissions(Permissions::from_mode(0o400))?;
            file.sync_all()?;
            std::fs::rename(&temporary, self.blob_path(&digest))?;
            sync_directory(&self.root.join("blobs"))?;
            Ok(digest)
        })();
        kept.inspect_err(|_| drop(std::fs::remove_file(&temporary))).map_err(failed)
    }

    /// Keeps a lock, so that what it pinned can be deployed or run again.
    pub fn put_lock(&self, lock: &Lock) -> Result<(), VaultError> {
        self.put(&self.lock_path(&lock.digest()), lock.text().as_bytes())
    }

    /// A lock that is or was deployed, or was meant to be.
    pub fn lock(&self, digest: &Digest) -> Result<Lock, VaultError> {
        let path = self.lock_path(digest);
        let text = match read_text(&path, FILE_BYTES_MAX) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(VaultError::NoLock(*digest));
            }
            text => text.map_err(|source| io(&path, "cannot be read", source))?,
        };
        let found = Digest(Sha256::digest(&text).into());
        if found != *digest {
            return Err(VaultError::Changed { path, found });
        }
        Lock::parse(&text).map_err(|error| VaultError::Lock(path, error))
    }

    /// Keeps a proof that the ledger knows of something.
    pub fn put_proof(&self, of: Proven, proof: &str) -> Result<(), VaultError> {
        self.put(&self.proof_path(of), proof.as_bytes())
    }

    /// The proof that the ledger knows of something, as it was put: nothing of it is checked yet.
    pub fn proof(&self, of: Proven) -> Result<String, VaultError> {
        let path = self.proof_path(of);
        match read_text(&path, PROOF_BYTES_MAX) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(VaultError::NoProof(path)),
            text => text.map_err(|source| io(&path, "cannot be read", source)),
        }
    }

    fn lock_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("locks").join(format!("{}.json", digest.hex()))
    }

    fn proof_path(&self, of: Proven) -> PathBuf {
        let (directory, digest) = match of {
            Proven::Promotion(object) => ("promotions", object),
            Proven::Deployment(lock) => ("locks", lock),
        };
        self.root.join(directory).join(format!("{}.proof", digest.hex()))
    }

    /// Writes a file whole or not at all.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
        replace(path, bytes).map_err(|source| io(path, "cannot be written", source))
    }
}

/// Writes a file whole or not at all, for its owner alone.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_added_extension("new");
    let mut file = create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)
}

fn read_text(path: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if read as u64 > bytes_max {
        return Err(std::io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(text)
}

pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

fn io(path: &Path, intent: &'static str, source: std::io::Error) -> VaultError {
    VaultError::Io { path: path.to_owned(), intent, source }
}
