//! The vault: imported models by digest, and the lock of each deployment.
//!
//! ```text
//! blobs/sha256-<hex>        a GGUF file, mode 0444, named by its digest
//! deployments/<alias>.json  a [`Deployment`]: what serves under that alias, pinned
//! ```
//!
//! Files appear whole or not at all: written under a temporary name, synced, renamed, and the
//! directory synced. Whoever changes the vault holds the data directory's lock; readers need none.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use protocol::Digest;
use protocol::worker::EngineProfile;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::gguf::{self, Gguf, GgufError};

/// Bytes of an alias.
pub const ALIAS_BYTES_MAX: usize = 64;
/// Tokens a sequence holds where neither the administrator nor the model says less.
pub const CONTEXT_TOKENS_DEFAULT: u32 = 4096;
/// Sequences that run at once where the administrator does not say, and memory allows.
pub const SLOTS_DEFAULT: u32 = 8;
/// Bytes of keys and values, all sequences together, that [`SLOTS_DEFAULT`] is lowered to fit.
pub const KV_BYTES_DEFAULT: u64 = 4 << 30;
/// Sequences that may be asked for.
pub const SLOTS_MAX: u32 = 256;
/// Characters of a model's own name that are kept.
const MODEL_NAME_CHARACTERS_MAX: usize = 200;
/// Bytes of a lock file.
const LOCK_BYTES_MAX: u64 = 64 << 10;
/// Bytes read at once while hashing.
const CHUNK_BYTES: usize = 1 << 20;
/// Begins the names of files that are not whole yet; no alias or blob begins so.
const TEMPORARY: &str = ".new-";

/// The part of the data directory that holds models.
#[derive(Clone, Debug)]
pub struct Vault {
    blobs: PathBuf,
    deployments: PathBuf,
}

/// The lock of a deployment: everything its answers depend on, besides the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Version of this document: 1.
    pub schema: u32,
    /// The name clients use.
    pub alias: String,
    /// SHA-256 of the GGUF file.
    pub model: Digest,
    /// Length of the GGUF file.
    pub model_bytes: u64,
    /// What the model calls itself, or the alias; no control characters.
    pub model_name: String,
    /// `general.architecture`.
    pub architecture: String,
    /// SHA-256 of the chat template's text; of nothing when there is none.
    pub template: Digest,
    /// SHA-256 of the worker program.
    pub engine_build: Digest,
    /// Arithmetic.
    pub profile: EngineProfile,
    /// Tokens a sequence can hold, prompt and answer together.
    pub context_tokens: u32,
    /// Sequences that run at once.
    pub slots: u32,
    /// Threads for arithmetic; `None` leaves it to the configuration.
    pub threads: Option<u32>,
}

/// How an imported model will serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// SHA-256 of the worker program.
    pub engine_build: Digest,
    /// Arithmetic.
    pub profile: EngineProfile,
    /// Tokens a sequence can hold; 0 chooses [`CONTEXT_TOKENS_DEFAULT`], or less where the model was
    /// trained for less.
    pub context_tokens: u32,
    /// Sequences at once; 0 chooses at most [`SLOTS_DEFAULT`], fewer where keys and values would take
    /// more than [`KV_BYTES_DEFAULT`].
    pub slots: u32,
    /// Threads for arithmetic; `None` leaves it to the configuration.
    pub threads: Option<u32>,
}

impl ImportOptions {
    /// Reproducible, everything else chosen by the model.
    pub fn new(engine_build: Digest) -> Self {
        ImportOptions {
            engine_build,
            profile: EngineProfile::Reproducible,
            context_tokens: 0,
            slots: 0,
            threads: None,
        }
    }
}

impl Vault {
    /// Opens the vault in `dir`, and makes its directories if they are missing.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let vault = Vault { blobs: dir.join("blobs"), deployments: dir.join("deployments") };
        for path in [&vault.blobs, &vault.deployments] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|source| OpenError { path: path.clone(), source })?;
        }
        Ok(vault)
    }

    /// Copies a GGUF file into the vault and locks `alias` to it.
    ///
    /// Importing the same file under the same alias again repairs the copy and takes the new options;
    /// an alias never moves to another model. `progress` gets the bytes done and those to do.
    pub fn import(
        &self,
        path: &Path,
        alias: &str,
        options: &ImportOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Deployment, ImportError> {
        check_alias(alias)?;
        let unreadable = |source| ImportError::Source { path: path.to_owned(), source };
        // NONBLOCK: opening a FIFO must not wait for its writer.
        let source = open_regular(path).map_err(unreadable)?;
        let Some(mut source) = source else {
            return Err(ImportError::NotRegular(path.to_owned()));
        };
        let total = source.metadata().map_err(unreadable)?.len();
        // Looked at here only so that a wrong file is refused before it is copied; the copy decides.
        let refused = |source| ImportError::Refused { path: path.to_owned(), source };
        gguf::read(&mut source).map_err(refused)?;
        io::Seek::rewind(&mut source).map_err(unreadable)?;

        let kept = |source| ImportError::Vault { path: self.blobs.clone(), source };
        remove_temporaries(&self.blobs).map_err(kept)?;
        let mut copy = Temporary::create(&self.blobs, alias).map_err(kept)?;
        let (model, copied) =
            copy_hashed(&mut source, &mut copy.file, total, progress).map_err(|error| match error {
                CopyError::Source(source) => unreadable(source),
                CopyError::Copy(source) => kept(source),
            })?;
        if copied != total {
            return Err(ImportError::Changed(path.to_owned()));
        }
        let header = gguf::read(&mut copy.file).map_err(refused)?;
        let deployment = deployment(alias, model, total, &header, options)?;
        match self.get(alias) {
            Ok(lock) if lock.model != model => {
                return Err(ImportError::Taken { alias: alias.to_owned(), model: lock.model });
            }
            Ok(_) | Err(LockError::Unknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // Over an older copy too: that one may have rotted.
        copy.file.set_permissions(Permissions::from_mode(0o444)).map_err(kept)?;
        copy.rename(&self.blob_path(&model)).map_err(kept)?;
        self.write(&deployment)?;
        Ok(deployment)
    }

    /// All deployments, by alias.
    pub fn list(&self) -> Result<Vec<Deployment>, LockError> {
        let failed = |source| LockError::Io { path: self.deployments.clone(), source };
        let mut aliases = Vec::new();
        for entry in fs::read_dir(&self.deployments).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            // Others are temporaries of an interrupted write.
            if let Some(alias) = name.to_str().and_then(|name| name.strip_suffix(".json")) {
                aliases.push(alias.to_owned());
            }
        }
        aliases.sort_unstable();
        aliases.iter().map(|alias| self.get(alias)).collect()
    }

    /// The deployment of that alias.
    pub fn get(&self, alias: &str) -> Result<Deployment, LockError> {
        check_alias(alias)?;
        let path = self.lock_path(alias);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let file = match open_regular(&path) {
            Ok(Some(file)) => file,
            Ok(None) => return Err(LockError::Malformed { path, reason: "not a regular file".to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LockError::Unknown(alias.to_owned()));
            }
            Err(error) => return Err(failed(error)),
        };
        let mut text = Vec::new();
        file.take(LOCK_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
        let malformed = |reason: String| LockError::Malformed { path: path.clone(), reason };
        let lock: Deployment =
            serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if lock.schema != SCHEMA {
            return Err(malformed(format!("schema {} is not known, only {SCHEMA} is", lock.schema)));
        }
        if lock.alias != alias {
            return Err(malformed(format!("it is the lock of `{}`", lock.alias)));
        }
        Ok(lock)
    }

    /// Removes a deployment. The model's file stays: records name it, and other aliases may use it.
    pub fn remove(&self, alias: &str) -> Result<(), LockError> {
        check_alias(alias)?;
        let path = self.lock_path(alias);
        match fs::remove_file(&path).and_then(|()| sync_directory(&self.deployments)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(LockError::Unknown(alias.to_owned()))
            }
            Err(source) => Err(LockError::Io { path, source }),
        }
    }

    /// Pins another build of the worker program.
    pub fn relock(&self, alias: &str, engine_build: Digest) -> Result<Deployment, LockError> {
        let deployment = Deployment { engine_build, ..self.get(alias)? };
        self.write(&deployment)?;
        Ok(deployment)
    }

    /// Where the model of that digest is kept, or would be.
    pub fn blob_path(&self, model: &Digest) -> PathBuf {
        self.blobs.join(format!("sha256-{}", model.hex()))
    }

    /// Hashes a deployment's model again and compares it, and what the lock says of it, with the lock.
    pub fn verify(&self, alias: &str, progress: &mut dyn FnMut(u64, u64)) -> Result<(), VerifyError> {
        let lock = self.get(alias)?;
        let path = self.blob_path(&lock.model);
        let failed = |source| VerifyError::Blob { path: path.clone(), source };
        let Some(mut file) = open_regular(&path).map_err(failed)? else {
            return Err(failed(io::Error::other("not a regular file")));
        };
        let model = hash_file(&mut file, &mut |done| progress(done, lock.model_bytes)).map_err(failed)?;
        if model != lock.model {
            return Err(VerifyError::Model { alias: alias.to_owned(), locked: lock.model, found: model });
        }
        let header = gguf::read(&mut file)
            .map_err(|source| VerifyError::Refused { alias: alias.to_owned(), source })?;
        let template = template_digest(&header);
        if template != lock.template {
            return Err(VerifyError::Template {
                alias: alias.to_owned(),
                locked: lock.template,
                found: template,
            });
        }
        Ok(())
    }

    fn write(&self, deployment: &Deployment) -> Result<(), LockError> {
        let path = self.lock_path(&deployment.alias);
        let failed = |source| LockError::Io { path: path.clone(), source };
        remove_temporaries(&self.deployments).map_err(failed)?;
        let mut temporary = Temporary::create(&self.deployments, &deployment.alias).map_err(failed)?;
        let mut text = serde_json::to_vec_pretty(deployment).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        temporary.file.write_all(&text).map_err(failed)?;
        temporary.rename(&path).map_err(failed)
    }

    fn lock_path(&self, alias: &str) -> PathBuf {
        self.deployments.join(format!("{alias}.json"))
    }
}

/// Hashes a file from where it stands to its end; `progress` gets the bytes done.
pub fn hash_file(reader: &mut impl Read, progress: &mut dyn FnMut(u64)) -> io::Result<Digest> {
    let hashed = copy_hashed(reader, &mut io::sink(), u64::MAX, &mut |done, _| progress(done));
    match hashed {
        Ok((digest, _)) => Ok(digest),
        Err(CopyError::Source(error) | CopyError::Copy(error)) => Err(error),
    }
}

/// Why the vault cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot make {path}")]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

/// Why a text is no alias.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a deployment's name: 1 to {ALIAS_BYTES_MAX} of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit",
    .0.escape_debug()
)]
pub struct AliasError(String);

/// Why a deployment's lock cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is in the message")]
pub enum LockError {
    /// Not a valid alias.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// No such deployment.
    #[error("there is no deployment `{0}`")]
    Unknown(String),
    /// Not a lock that this version wrote.
    #[error("{path} is not a deployment's lock: {reason}")]
    Malformed { path: PathBuf, reason: String },
    /// The file system failed.
    #[error("cannot read or write {path}")]
    Io { path: PathBuf, source: io::Error },
}

/// Why a model was not imported. Nothing serves differently than before.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is in the message")]
pub enum ImportError {
    /// Not a valid alias.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// The file could not be read; `Too many levels of symbolic links` says it is a link.
    #[error("cannot read {path}")]
    Source { path: PathBuf, source: io::Error },
    /// A directory, device, FIFO or socket.
    #[error("{0} is not a regular file")]
    NotRegular(PathBuf),
    /// It changed length while it was copied.
    #[error("{0} changed while it was copied")]
    Changed(PathBuf),
    /// The file is no GGUF that may be loaded.
    #[error("{path} is refused")]
    Refused { path: PathBuf, source: GgufError },
    /// More context than the model was trained for.
    #[error("{asked} tokens of context are more than the model was trained for: {trained}")]
    Context { asked: u32, trained: u64 },
    /// See [`SLOTS_MAX`].
    #[error("{0} requests at once are too many: the limit is {SLOTS_MAX}")]
    Slots(u32),
    /// The alias is another model's.
    #[error("`{alias}` is already {model}: remove it first, or choose another name")]
    Taken { alias: String, model: Digest },
    /// The vault could not be written.
    #[error("cannot write in {path}")]
    Vault { path: PathBuf, source: io::Error },
    /// The lock could not be read or written.
    #[error("cannot lock the deployment")]
    Lock(#[from] LockError),
}

/// Why a deployment is not what its lock says.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each field is in the message")]
pub enum VerifyError {
    /// The lock is not there or not readable.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The model's file is not readable.
    #[error("cannot read the model {path}")]
    Blob { path: PathBuf, source: io::Error },
    /// Other weights.
    #[error("the model of `{alias}` has changed: locked {locked}, found {found}")]
    Model { alias: String, locked: Digest, found: Digest },
    /// Right bytes that this version's reader refuses.
    #[error("the model of `{alias}` is refused")]
    Refused { alias: String, source: GgufError },
    /// Another template than the lock names: the lock was edited.
    #[error("the chat template of `{alias}` is not the locked one: locked {locked}, found {found}")]
    Template { alias: String, locked: Digest, found: Digest },
}

const SCHEMA: u32 = 1;

fn deployment(
    alias: &str,
    model: Digest,
    model_bytes: u64,
    header: &Gguf,
    options: &ImportOptions,
) -> Result<Deployment, ImportError> {
    let trained = header.context_length().unwrap_or(u64::MAX);
    let context_tokens = match options.context_tokens {
        0 => CONTEXT_TOKENS_DEFAULT.min(u32::try_from(trained).unwrap_or(u32::MAX)),
        asked if u64::from(asked) > trained => return Err(ImportError::Context { asked, trained }),
        asked => asked,
    };
    let slots = match options.slots {
        0 => slots_that_fit(header, context_tokens),
        asked if asked > SLOTS_MAX => return Err(ImportError::Slots(asked)),
        asked => asked,
    };
    // The name is a stranger's text, and will be shown on terminals.
    let model_name: String = header
        .name()
        .filter(|name| !name.is_empty())
        .unwrap_or(alias)
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .take(MODEL_NAME_CHARACTERS_MAX)
        .collect();
    Ok(Deployment {
        schema: SCHEMA,
        alias: alias.to_owned(),
        model,
        model_bytes,
        model_name,
        architecture: header.architecture().to_owned(),
        template: template_digest(header),
        engine_build: options.engine_build,
        profile: options.profile,
        context_tokens,
        slots,
        threads: options.threads,
    })
}

fn slots_that_fit(header: &Gguf, context_tokens: u32) -> u32 {
    let sequence_bytes =
        header.kv_bytes_per_token().unwrap_or(0).saturating_mul(u64::from(context_tokens)).max(1);
    let fit = u32::try_from(KV_BYTES_DEFAULT / sequence_bytes).unwrap_or(u32::MAX);
    fit.clamp(1, SLOTS_DEFAULT)
}

fn template_digest(header: &Gguf) -> Digest {
    Digest(Sha256::digest(header.chat_template().unwrap_or_default()).into())
}

/// An alias becomes a file's name and a field of every record.
fn check_alias(alias: &str) -> Result<(), AliasError> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
    let begins = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = alias.as_bytes();
    let valid = bytes.len() <= ALIAS_BYTES_MAX
        && bytes.first().is_some_and(begins)
        && bytes.iter().all(|&c| allowed(c));
    if valid { Ok(()) } else { Err(AliasError(alias.chars().take(ALIAS_BYTES_MAX).collect())) }
}

/// Opens a regular file without following a link at its name; `None` for what is not one.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    Ok(file.metadata()?.is_file().then_some(file))
}

/// Whose side of a copy failed.
enum CopyError {
    Source(io::Error),
    Copy(io::Error),
}

/// Copies while hashing; reads at most one byte beyond `total`, so that growth shows and ends.
fn copy_hashed(
    source: &mut impl Read,
    copy: &mut impl Write,
    total: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Digest, u64), CopyError> {
    let mut source = source.take(total.saturating_add(1));
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => return Ok((Digest(hash.finalize().into()), done)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Source(error)),
        };
        hash.update(&chunk[..read]);
        copy.write_all(&chunk[..read]).map_err(CopyError::Copy)?;
        done += read as u64;
        progress(done, total);
    }
}

/// A file under a temporary name, removed unless it is renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl Temporary {
    fn create(directory: &Path, name: &str) -> io::Result<Self> {
        let path = directory.join(format!("{TEMPORARY}{name}"));
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Temporary { path, file, renamed: false })
    }

    /// Durable under its name when it returns.
    fn rename(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.renamed = true;
        path.parent().map_or(Ok(()), sync_directory)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Best effort: the next writer removes it otherwise.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what an interrupted writer left; the lock on the data directory rules out a living one.
fn remove_temporaries(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
