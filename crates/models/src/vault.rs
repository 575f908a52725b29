//! The vault: model files by digest, and the locks of the deployments: those that use a model of it, and those
//! that an upstream engine serves.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use protocol::Digest;
use protocol::worker::EngineProfile;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::gguf::{self, GgufError};

/// Version of the lock's format.
const SCHEMA: u32 = 1;
const ALIAS_BYTES_MAX: usize = 64;
const MODEL_NAME_CHARACTERS_MAX: usize = 200;
const SOCKET_BYTES_MAX: usize = 4096;
const LOCK_BYTES_MAX: u64 = 64 << 10;
const CHUNK_BYTES: usize = 1 << 20;
const CONTEXT_TOKENS_DEFAULT: u32 = 4096;
const SLOTS_DEFAULT: u32 = 8;

/// The directory `models/` of a data directory.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(crate) root: PathBuf,
}

/// A deployment's lock, of either sort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Lock {
    /// A model of the vault serves.
    Model(Deployment),
    /// An upstream engine serves.
    Upstream(Upstream),
}

/// The lock of a deployment that an inference server of the enclave serves. Nothing here determines its
/// answers: its records say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Version of this format.
    pub schema: u32,
    /// The name clients use.
    pub alias: String,
    /// The server's Unix socket, an absolute path. There is no other address.
    pub upstream: String,
    /// The model's name that the server must state; any when absent.
    pub model_stated: Option<String>,
    /// SHA-256 of the relay program.
    pub relay_build: Digest,
}

/// A deployment's lock: everything that determines its answers, besides the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Version of this format.
    pub schema: u32,
    /// The name clients use.
    pub alias: String,
    /// SHA-256 of the weights' file.
    pub model: Digest,
    /// Its length in bytes.
    pub model_bytes: u64,
    /// What the file calls itself.
    pub model_name: String,
    /// Its architecture.
    pub architecture: String,
    /// SHA-256 of the chat template's text; of nothing when there is none.
    pub template: Digest,
    /// SHA-256 of the worker program.
    pub engine_build: Digest,
    /// The arithmetic.
    pub profile: EngineProfile,
    /// Tokens a request can hold, prompt and answer together.
    pub context_tokens: u32,
    /// Requests that run at once.
    pub slots: u32,
    /// Threads; the server's choice when absent.
    pub threads: Option<u32>,
}

/// How an imported model is to be served.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// SHA-256 of the worker program to pin.
    pub engine_build: Digest,
    /// The arithmetic.
    pub profile: EngineProfile,
    /// Tokens a request can hold, at most what the model was trained for.
    pub context_tokens: u32,
    /// Requests that run at once, 1 to 64.
    pub slots: u32,
    /// Threads; the server's choice when absent.
    pub threads: Option<u32>,
}

/// Why a model was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The alias cannot be a name.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// Another deployment has the alias.
    #[error("there is a deployment {0} already: remove it first, or choose another name")]
    Taken(String),
    /// It is a link, a directory or a device.
    #[error("{} is not a regular file: give the path of the GGUF file itself", .0.display())]
    NotAFile(PathBuf),
    /// The header was refused.
    #[error("{} is refused", .0.display())]
    Header(PathBuf, #[source] GgufError),
    /// Slots or context are out of range.
    #[error("{0}")]
    Options(String),
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

/// Why a deployment cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The alias cannot be a name.
    #[error(transparent)]
    Alias(#[from] AliasError),
    /// No such deployment.
    #[error("there is no deployment {0}: see `cloisterd model list`")]
    Missing(String),
    /// There is nothing of it to hash.
    #[error("{0} is served by an upstream engine: its model is not here and cannot be verified")]
    NoModel(String),
    /// Its lock is damaged.
    #[error("{}: not a deployment's lock", .0.display())]
    Lock(PathBuf, #[source] serde_json::Error),
    /// Its lock is of another version or under another name.
    #[error("{path}: {what}", path = .path.display())]
    Mismatch {
        /// The lock.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The model's file is not what the lock says.
    #[error("{path}: its digest is {found}, the lock of {alias} says {expected}", path = .path.display())]
    Changed {
        /// The deployment.
        alias: String,
        /// The model's file.
        path: PathBuf,
        /// Its digest now.
        found: Digest,
        /// The lock's.
        expected: Digest,
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

/// Why a text is no alias.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be a deployment's name: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit"
)]
pub struct AliasError(String);

impl ImportOptions {
    /// Defaults for everything but the engine.
    pub fn new(engine_build: Digest) -> ImportOptions {
        ImportOptions {
            engine_build,
            profile: EngineProfile::Reproducible,
            context_tokens: CONTEXT_TOKENS_DEFAULT,
            slots: SLOTS_DEFAULT,
            threads: None,
        }
    }
}

impl Vault {
    /// Opens the vault, making its directories where they are missing.
    pub fn open(root: &Path) -> Result<Vault, VaultError> {
        for directory in ["blobs", "deployments"] {
            let path = root.join(directory);
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|source| VaultError::Io {
                path,
                intent: "cannot be made",
                source,
            })?;
        }
        Ok(Vault { root: root.to_owned() })
    }

    /// Where a model lies.
    pub fn blob_path(&self, model: &Digest) -> PathBuf {
        self.root.join("blobs").join(format!("sha256-{}", model.hex()))
    }

    /// Copies a model in, checks it, and locks a deployment to it. `progress` gets bytes done and all
    /// bytes. Repeating an import whose lock is missing is fine: a model that lies there already is kept.
    pub fn import(
        &self,
        path: &Path,
        alias: &str,
        options: &ImportOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Deployment, ImportError> {
        check_alias(alias)?;
        if self.lock_path(alias).exists() {
            return Err(ImportError::Taken(alias.to_owned()));
        }
        if options.slots == 0 || options.slots > 64 {
            return Err(ImportError::Options(format!("{} slots: 1 to 64 are possible", options.slots)));
        }
        let failed = |path: &Path, intent, source| ImportError::Io { path: path.to_owned(), intent, source };
        let metadata = std::fs::symlink_metadata(path).map_err(|e| failed(path, "cannot be read", e))?;
        if !metadata.is_file() {
            return Err(ImportError::NotAFile(path.to_owned()));
        }
        let mut source = File::open(path).map_err(|e| failed(path, "cannot be read", e))?;
        // The name may have come to mean another file since it was looked at.
        let opened = source.metadata().map_err(|e| failed(path, "cannot be read", e))?;
        if (opened.dev(), opened.ino()) != (metadata.dev(), metadata.ino()) {
            return Err(ImportError::NotAFile(path.to_owned()));
        }
        // Only so that a wrong file is refused before gigabytes are copied; the copy is what counts, as the
        // original may change meanwhile.
        gguf::read(&mut source).map_err(|e| ImportError::Header(path.to_owned(), e))?;
        let temporary = self.root.join("blobs").join(format!("importing-{alias}"));
        let copied = copy_hashed(&mut source, &temporary, metadata.len(), progress)
            .map_err(|e| failed(&temporary, "cannot be written", e))
            .and_then(|(mut copy, model, model_bytes)| {
                let header = gguf::read(&mut copy).map_err(|e| ImportError::Header(path.to_owned(), e))?;
                Ok((copy, model, model_bytes, header))
            });
        // A full disk must not stay full of half a model.
        let (copy, model, model_bytes, header) =
            copied.inspect_err(|_| drop(std::fs::remove_file(&temporary)))?;
        let blob = self.blob_path(&model);
        copy.set_permissions(Permissions::from_mode(0o400))
            .and_then(|()| copy.sync_all())
            .and_then(|()| std::fs::rename(&temporary, &blob))
            .and_then(|()| sync_directory(&self.root.join("blobs")))
            .map_err(|e| failed(&blob, "cannot be put in place", e))?;
        let trained =
            header.context_length().and_then(|tokens| u32::try_from(tokens).ok()).unwrap_or(u32::MAX);
        let deployment = Deployment {
            schema: SCHEMA,
            alias: alias.to_owned(),
            model,
            model_bytes,
            model_name: shown(header.name().unwrap_or_default()),
            architecture: header.architecture().to_owned(),
            template: Digest(Sha256::digest(header.chat_template().unwrap_or_default()).into()),
            engine_build: options.engine_build,
            profile: options.profile,
            context_tokens: options.context_tokens.min(trained),
            slots: options.slots,
            threads: options.threads,
        };
        let lock = Lock::Model(deployment.clone());
        self.write_lock(&lock).map_err(|e| failed(&self.lock_path(alias), "cannot be written", e))?;
        Ok(deployment)
    }

    /// The lock of a deployment that an upstream engine is to serve; not written yet.
    pub fn upstream(
        &self,
        alias: &str,
        socket: &Path,
        model_stated: Option<String>,
        relay_build: Digest,
    ) -> Result<Upstream, ImportError> {
        check_alias(alias)?;
        if self.lock_path(alias).exists() {
            return Err(ImportError::Taken(alias.to_owned()));
        }
        let fits = |path: &&str| path.len() <= SOCKET_BYTES_MAX && !path.contains(|c: char| c.is_control());
        let upstream = socket.to_str().filter(|_| socket.is_absolute()).filter(fits).ok_or_else(|| {
            let path = socket.display().to_string().escape_debug().collect::<String>();
            ImportError::Options(format!("`{path}` is not the absolute path of a Unix socket"))
        })?;
        let upstream = upstream.to_owned();
        Ok(Upstream { schema: SCHEMA, alias: alias.to_owned(), upstream, model_stated, relay_build })
    }

    /// Locks a deployment to an upstream engine.
    pub fn add(&self, upstream: &Upstream) -> Result<(), VaultError> {
        self.write(&Lock::Upstream(upstream.clone()))
    }

    /// All deployments, by name.
    pub fn list(&self) -> Result<Vec<Lock>, VaultError> {
        let directory = self.root.join("deployments");
        let failed = |source| VaultError::Io { path: directory.clone(), intent: "cannot be read", source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::to_owned));
        }
        names.sort_unstable();
        names.iter().map(|name| self.get(name)).collect()
    }

    /// A deployment's lock.
    pub fn get(&self, alias: &str) -> Result<Lock, VaultError> {
        check_alias(alias)?;
        let path = self.lock_path(alias);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(LOCK_BYTES_MAX).read_to_end(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(VaultError::Missing(alias.to_owned()));
            }
            Err(source) => return Err(VaultError::Io { path, intent: "cannot be read", source }),
        }
        let lock = parse_lock(&text).map_err(|error| VaultError::Lock(path.clone(), error))?;
        let (schema, of) = match &lock {
            Lock::Model(deployment) => (deployment.schema, &deployment.alias),
            Lock::Upstream(upstream) => (upstream.schema, &upstream.alias),
        };
        if schema != SCHEMA {
            return Err(VaultError::Mismatch { path, what: format!("version {schema} is not supported") });
        }
        if of != alias {
            return Err(VaultError::Mismatch { path, what: format!("it is the lock of {of}") });
        }
        Ok(lock)
    }

    /// Hashes a deployment's model and compares it with the lock.
    pub fn verify(&self, alias: &str, progress: &mut dyn FnMut(u64, u64)) -> Result<Deployment, VaultError> {
        let deployment = match self.get(alias)? {
            Lock::Model(deployment) => deployment,
            Lock::Upstream(_) => return Err(VaultError::NoModel(alias.to_owned())),
        };
        let path = self.blob_path(&deployment.model);
        let found = File::open(&path)
            .and_then(|mut file| hash(&mut file, &mut |done| progress(done, deployment.model_bytes)))
            .map_err(|source| VaultError::Io { path: path.clone(), intent: "cannot be read", source })?;
        if found == deployment.model {
            return Ok(deployment);
        }
        Err(VaultError::Changed { alias: alias.to_owned(), path, found, expected: deployment.model })
    }

    /// Pins another build of the worker program.
    pub fn relock(&self, alias: &str, engine_build: Digest) -> Result<Lock, VaultError> {
        let lock = match self.get(alias)? {
            Lock::Model(deployment) => Lock::Model(Deployment { engine_build, ..deployment }),
            Lock::Upstream(upstream) => Lock::Upstream(Upstream { relay_build: engine_build, ..upstream }),
        };
        self.write(&lock)?;
        Ok(lock)
    }

    /// Removes a deployment's lock; its model stays, so that records of it can be run again.
    pub fn remove(&self, alias: &str) -> Result<(), VaultError> {
        self.get(alias)?;
        let path = self.lock_path(alias);
        std::fs::remove_file(&path)
            .and_then(|()| sync_directory(&self.root.join("deployments")))
            .map_err(|source| VaultError::Io { path, intent: "cannot be removed", source })
    }

    fn lock_path(&self, alias: &str) -> PathBuf {
        self.root.join("deployments").join(format!("{alias}.json"))
    }

    fn write(&self, lock: &Lock) -> Result<(), VaultError> {
        self.write_lock(lock).map_err(|source| VaultError::Io {
            path: self.lock_path(lock.alias()),
            intent: "cannot be written",
            source,
        })
    }

    fn write_lock(&self, lock: &Lock) -> std::io::Result<()> {
        let path = self.lock_path(lock.alias());
        let temporary = path.with_extension("new");
        let mut text = serde_json::to_vec_pretty(lock)?;
        text.push(b'\n');
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        sync_directory(&self.root.join("deployments"))
    }
}

impl Lock {
    /// The name clients use.
    pub fn alias(&self) -> &str {
        match self {
            Lock::Model(deployment) => &deployment.alias,
            Lock::Upstream(upstream) => &upstream.alias,
        }
    }
}

/// By the field that only one sort has, so that an error names the field that is wrong.
fn parse_lock(text: &[u8]) -> Result<Lock, serde_json::Error> {
    #[derive(Deserialize)]
    struct Sort {
        upstream: Option<serde::de::IgnoredAny>,
    }
    match serde_json::from_slice::<Sort>(text)?.upstream {
        Some(_) => serde_json::from_slice(text).map(Lock::Upstream),
        None => serde_json::from_slice(text).map(Lock::Model),
    }
}

/// A model's name for itself is a stranger's text, and is printed on terminals.
fn shown(name: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(MODEL_NAME_CHARACTERS_MAX).map(visible).collect()
}

fn check_alias(alias: &str) -> Result<(), AliasError> {
    let fits = (1..=ALIAS_BYTES_MAX).contains(&alias.len())
        && alias.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && alias.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c));
    if fits { Ok(()) } else { Err(AliasError(alias.escape_debug().take(ALIAS_BYTES_MAX).collect())) }
}

fn copy_hashed(
    source: &mut File,
    path: &Path,
    total: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> std::io::Result<(File, Digest, u64)> {
    let mut copy =
        OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        let read = source.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        copy.write_all(&chunk[..read])?;
        done += read as u64;
        progress(done, total);
    }
    copy.sync_all()?;
    copy.seek(SeekFrom::Start(0))?;
    Ok((copy, Digest(hasher.finalize().into()), done))
}

fn hash(source: &mut impl Read, progress: &mut dyn FnMut(u64)) -> std::io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        let read = source.read(&mut chunk)?;
        if read == 0 {
            return Ok(Digest(hasher.finalize().into()));
        }
        hasher.update(&chunk[..read]);
        done += read as u64;
        progress(done);
    }
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}
