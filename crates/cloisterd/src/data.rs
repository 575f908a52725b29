//! The data directory: where everything lies, its keys, and its lock.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Directories in it, all of them the owner's alone.
const DIRECTORIES: [&str; 7] =
    ["keys", "notary", "ledger", "identity", "models", "run", "models/deployments"];

/// The notary's second key.
const NOTARY_ML_DSA: &str = "notary-mldsa.key";

/// A data directory that exists.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    root: PathBuf,
    owner_uid: u32,
}

/// The keys. Never shown.
pub(crate) struct Keys {
    pub(crate) notary: [u8; 32],
    /// The notary's second one; a data directory from before there was one has none.
    pub(crate) notary_ml_dsa: Option<[u8; 32]>,
    pub(crate) body: [u8; 32],
    pub(crate) fingerprint: [u8; 32],
}

/// The one writer's lock, held until dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "open as long as the lock is held")] File);

/// Why the data directory is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("there is no Cloister data directory at {path}: make one with `cloisterd init --data {path}`", path = .0.display())]
    Missing(PathBuf),
    #[error("{path} exists already and is a data directory", path = .0.display())]
    Exists(PathBuf),
    #[error("{path} is not empty: choose an empty or a new directory", path = .0.display())]
    NotEmpty(PathBuf),
    #[error("{path}: {intent}", path = .path.display())]
    Io {
        path: PathBuf,
        intent: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} can be read by others: `chmod 600 {path}`", path = .0.display())]
    Exposed(PathBuf),
    #[error("{path} is not a key: 32 bytes are expected", path = .0.display())]
    NotAKey(PathBuf),
    #[error("no randomness from the system")]
    Randomness(#[source] std::io::Error),
}

impl Data {
    /// Opens an existing one.
    pub(crate) fn open(root: &Path) -> Result<Data, DataError> {
        let root = std::path::absolute(root).map_err(|e| io(root, "cannot be found", e))?;
        if !root.join("keys").is_dir() {
            return Err(DataError::Missing(root));
        }
        let metadata = std::fs::metadata(&root).map_err(|e| io(&root, "cannot be read", e))?;
        Ok(Data { root, owner_uid: metadata.uid() })
    }

    /// Makes a new one, with new keys. An existing empty directory is used.
    pub(crate) fn create(root: &Path) -> Result<Data, DataError> {
        if root.join("keys").exists() {
            return Err(DataError::Exists(root.to_owned()));
        }
        if std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(DataError::NotEmpty(root.to_owned()));
        }
        let make = |path: &Path| {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| io(path, "cannot be made", e))
        };
        make(root)?;
        std::fs::set_permissions(root, Permissions::from_mode(0o700))
            .map_err(|e| io(root, "cannot be closed", e))?;
        for name in DIRECTORIES {
            make(&root.join(name))?;
        }
        for name in ["notary.key", NOTARY_ML_DSA, "body.key", "fingerprint.key"] {
            write_key(&root.join("keys").join(name))?;
        }
        sync_directory(&root.join("keys"))?;
        sync_directory(root)?;
        Data::open(root)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Who administers: the user the directory belongs to.
    pub(crate) fn owner_uid(&self) -> u32 {
        self.owner_uid
    }

    /// Takes the lock; `None` when another process holds it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, DataError> {
        let path = self.path("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| io(&path, "cannot be opened", e))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(io(&path, "cannot be locked", errno.into())),
        }
    }

    /// Reads the keys; refuses ones that others can read.
    pub(crate) fn keys(&self) -> Result<Keys, DataError> {
        let key = |name: &str| read_key(&self.path("keys").join(name));
        let second = self.path("keys").join(NOTARY_ML_DSA).exists();
        Ok(Keys {
            notary: key("notary.key")?,
            notary_ml_dsa: second.then(|| key(NOTARY_ML_DSA)).transpose()?,
            body: key("body.key")?,
            fingerprint: key("fingerprint.key")?,
        })
    }

    /// The log's name, which its checkpoints carry: fixed when the directory is made.
    pub(crate) fn origin(&self) -> Result<String, DataError> {
        let path = self.path("origin");
        let text = std::fs::read_to_string(&path).map_err(|e| io(&path, "cannot be read", e))?;
        Ok(text.trim_end().to_owned())
    }

    /// Writes a file of it whole or not at all.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        let (path, temporary) = (self.path(name), self.path(&format!("{name}.new")));
        let written = (|| {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        })();
        written.map_err(|e| io(&path, "cannot be written", e))?;
        sync_directory(&self.root)
    }
}

fn write_key(path: &Path) -> Result<(), DataError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| DataError::Randomness(error.into()))?;
    let written =
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).and_then(|mut file| {
            file.write_all(&key)?;
            file.sync_all()
        });
    written.map_err(|e| io(path, "cannot be written", e))
}

fn read_key(path: &Path) -> Result<[u8; 32], DataError> {
    let unreadable = |e| io(path, "cannot be read", e);
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode();
    if mode & 0o077 != 0 {
        return Err(DataError::Exposed(path.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(33).read_to_end(&mut bytes).map_err(unreadable)?;
    bytes.try_into().map_err(|_| DataError::NotAKey(path.to_owned()))
}

fn sync_directory(path: &Path) -> Result<(), DataError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|e| io(path, "cannot be synced", e))
}

fn io(path: &Path, intent: &'static str, source: std::io::Error) -> DataError {
    DataError::Io { path: path.to_owned(), intent, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_locked_once() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("data");
        let data = Data::create(&root).unwrap();
        assert!(matches!(Data::create(&root), Err(DataError::Exists(_))));
        assert_ne!(data.keys().unwrap().body, data.keys().unwrap().notary);
        let lock = data.try_lock().unwrap();
        assert!(lock.is_some());
        assert!(data.try_lock().unwrap().is_none());
        drop(lock);
        assert!(data.try_lock().unwrap().is_some());
    }

    #[test]
    fn exposed_keys_are_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("data");
        let data = Data::create(&root).unwrap();
        std::fs::set_permissions(root.join("keys/body.key"), Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(data.keys(), Err(DataError::Exposed(_))));
        assert!(matches!(Data::open(temporary.path()), Err(DataError::Missing(_))));
    }
}
