//! The data directory: where everything lies, its keys, and its lock.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use custody::{FormError, KeyFile, SealingKey};
use rustix::fs::FlockOperation;
use zeroize::Zeroize;

use crate::format;
use crate::key_files::{self, BODY, BODY_NEW, FINGERPRINT, NAMES, NOTARY, NOTARY_ML_DSA, Opener};

/// Directories in it, all of them the owner's alone.
const DIRECTORIES: [&str; 7] =
    ["keys", "notary", "ledger", "identity", "models", "run", "models/deployments"];

/// A data directory that exists.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    root: PathBuf,
    owner_uid: u32,
}

/// The keys. Never shown, and erased when dropped.
pub(crate) struct Keys {
    pub(crate) notary: [u8; 32],
    /// The notary's second one; a data directory from before there was one has none.
    pub(crate) notary_ml_dsa: Option<[u8; 32]>,
    pub(crate) body: [u8; 32],
    /// The body key before, while a change of it is not finished.
    pub(crate) body_older: Option<[u8; 32]>,
    pub(crate) fingerprint: [u8; 32],
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.notary_ml_dsa.zeroize();
        self.body_older.zeroize();
        for key in [&mut self.notary, &mut self.body, &mut self.fingerprint] {
            key.zeroize();
        }
    }
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
    #[error("{path} is not a key", path = .0.display())]
    NotAKey(PathBuf, #[source] FormError),
    #[error("the passphrase does not open {path}: another one, or the file was changed. Nothing was started. Where `cloisterd keys seal` was interrupted, run it again with the old and the new passphrase", path = .0.display())]
    WrongPassphrase(PathBuf),
    #[error("the credential does not open {path}: another one, or the file was changed. Nothing was started", path = .0.display())]
    WrongCredential(PathBuf),
    #[error(
        "the keys are sealed by a passphrase, and there is no terminal to ask: name a file that holds it with --passphrase-file or CLOISTER_PASSPHRASE_FILE"
    )]
    NoPassphrase,
    #[error("a new passphrase has {0} characters at least")]
    WeakPassphrase(usize),
    #[error("the two passphrases differ: nothing was done")]
    Differ,
    #[error("interrupted: nothing was done")]
    Interrupted,
    #[error(
        "the keys are sealed by a credential, and there is none: $CREDENTIALS_DIRECTORY/cloister-key must hold it; docs/keys.md shows LoadCredentialEncrypted="
    )]
    NoCredential,
    #[error("the sealing key cannot be made: {0}")]
    Derive(#[from] custody::DeriveError),
    #[error("keys of this custody cannot be opened by this version")]
    UnknownCustody,
    #[error(
        "some keys are sealed and {path} is in the clear: either `cloisterd keys seal` was interrupted, or somebody put another key there. Compare `cloisterd keys status` with what the ledger says of keys, then run `cloisterd keys seal` again", path = .0.display()
    )]
    Mixed(PathBuf),
    #[error(
        "{path} is of format {format}, made by cloister {version}; this is cloister {ours}, which knows formats up to {newest}: install cloister {version} or later again, or restore a backup from before into a new data directory (docs/release.md)", path = .path.display()
    )]
    Newer { path: PathBuf, format: u32, version: String, newest: u32, ours: &'static str },
    #[error("{path} does not say a format: restore that file from a backup, or remove it if no later version was ever started here", path = .0.display())]
    Format(PathBuf),
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
        let data = Data { root, owner_uid: metadata.uid() };
        format::check(&data)?;
        Ok(data)
    }

    /// Makes a new one, with new keys: sealed, where there is what seals them. An existing empty directory is
    /// used. `origin` is the log's name.
    pub(crate) fn create(root: &Path, origin: &str, by: Option<&SealingKey>) -> Result<Data, DataError> {
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
        let data = Data::open(root)?;
        format::write(&data)?;
        data.write("origin", format!("{origin}\n").as_bytes())?;
        for name in NAMES {
            let key = key_files::random_key()?;
            let bytes = key_files::encoded(&key, name, origin, by)?;
            key_files::write_new(&data.keys_directory().join(name), &bytes)?;
        }
        sync_directory(&data.keys_directory())?;
        sync_directory(root)?;
        Ok(data)
    }

    /// Where the keys lie.
    pub(crate) fn keys_directory(&self) -> PathBuf {
        self.path("keys")
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

    /// Takes the lock; `None` when another process holds it. Who has it finds the newest format.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, DataError> {
        let lock = self.lock_of("lock")?;
        if lock.is_some() {
            format::migrate(self)?;
        }
        Ok(lock)
    }

    /// Takes a lock of a part; `None` when another process holds it.
    pub(crate) fn lock_of(&self, name: &str) -> Result<Option<Lock>, DataError> {
        let path = self.path(name);
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

    /// Reads the keys; refuses ones that others can read. Asks for what opens them, where they are sealed.
    pub(crate) fn keys(&self) -> Result<Keys, DataError> {
        self.keys_by(&mut Opener::new())
    }

    /// Reads the keys by what opens them; refused where only some of them are sealed.
    pub(crate) fn keys_by(&self, opener: &mut Opener) -> Result<Keys, DataError> {
        let files = self.key_files()?;
        let in_clear = |(_, file): &&(_, KeyFile)| matches!(file, KeyFile::Clear(_));
        match files.iter().find(in_clear) {
            Some((name, _)) if !files.iter().all(|file| in_clear(&file)) => {
                Err(DataError::Mixed(self.keys_directory().join(name)))
            }
            _ => self.keys_of(&files, opener),
        }
    }

    /// The key files, the unfinished one of a change too.
    pub(crate) fn key_files(&self) -> Result<Vec<(&'static str, KeyFile)>, DataError> {
        let there = |name: &&str| {
            let may_lack = [NOTARY_ML_DSA, BODY_NEW].contains(name);
            !may_lack || self.keys_directory().join(name).exists()
        };
        let read = |name| Ok((name, key_files::read(&self.keys_directory().join(name))?));
        NAMES.into_iter().chain([BODY_NEW]).filter(there).map(read).collect()
    }

    /// The keys of those files.
    pub(crate) fn keys_of(
        &self,
        files: &[(&'static str, KeyFile)],
        opener: &mut Opener,
    ) -> Result<Keys, DataError> {
        let origin = self.origin()?;
        let mut key = |wanted: &str| {
            let Some((name, file)) = files.iter().find(|(name, _)| *name == wanted) else { return Ok(None) };
            // The new body key bears the name that it will have.
            let named = if *name == BODY_NEW { BODY } else { *name };
            opener.open(file, &self.keys_directory().join(name), named, &origin).map(|key| Some(*key))
        };
        let lacking = |name: &str| DataError::NotAKey(self.keys_directory().join(name), FormError::Form);
        let body = key(BODY)?.ok_or_else(|| lacking(BODY))?;
        let (body, body_older) = match key(BODY_NEW)? {
            Some(new) => (new, Some(body)),
            None => (body, None),
        };
        Ok(Keys {
            notary: key(NOTARY)?.ok_or_else(|| lacking(NOTARY))?,
            notary_ml_dsa: key(NOTARY_ML_DSA)?,
            body,
            body_older,
            fingerprint: key(FINGERPRINT)?.ok_or_else(|| lacking(FINGERPRINT))?,
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

pub(crate) fn sync_directory(path: &Path) -> Result<(), DataError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|e| io(path, "cannot be synced", e))
}

pub(crate) fn io(path: &Path, intent: &'static str, source: std::io::Error) -> DataError {
    DataError::Io { path: path.to_owned(), intent, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_locked_once() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("data");
        let data = Data::create(&root, "log", None).unwrap();
        assert!(matches!(Data::create(&root, "log", None), Err(DataError::Exists(_))));
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
        let data = Data::create(&root, "log", None).unwrap();
        std::fs::set_permissions(root.join("keys/body.key"), Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(data.keys(), Err(DataError::Exposed(_))));
        assert!(matches!(Data::open(temporary.path()), Err(DataError::Missing(_))));
    }
}
