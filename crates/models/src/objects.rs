//! What lies in the vault: descriptions by their digests, found by name, and checked blob by blob.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use protocol::Digest;
use protocol::digest::unhex;

use crate::deployment::means;
use crate::hashing::hash_range;
use crate::import::open_plain;
use crate::object::{OBJECT_BYTES_MAX, Object, ObjectError, ObjectFile};
use crate::vault::Vault;

/// The folder of descriptions, in the vault.
pub const OBJECTS: &str = "objects";
/// Objects of a vault at most.
pub const OBJECTS_MAX: usize = 65_536;
/// Candidates that an error names at most.
const CANDIDATES_MAX: usize = 10;
/// Messages between threads that hash and the one that tells of it.
const MESSAGES_MAX: usize = 64;

/// Why an object cannot be had, or is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// No such object.
    #[error("there is no object `{0}` in the vault: see `cloisterd model list`")]
    Missing(String),
    /// Several.
    #[error("`{wanted}` can be {candidates}: say which, by name@version or by the digest", candidates = .candidates.join(", or "))]
    Ambiguous {
        /// As asked for.
        wanted: String,
        /// Titles and digests.
        candidates: Vec<String>,
    },
    /// A description is damaged.
    #[error("{}: not an object's description", .path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// A description under another name.
    #[error("{path}: its digest is {found}, which is not its name", path = .path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// As read.
        found: Digest,
    },
    /// More than [`OBJECTS_MAX`].
    #[error("{} holds more than {OBJECTS_MAX} objects", .0.display())]
    Many(PathBuf),
    /// Blobs are missing or changed.
    #[error("{title}: {} of its files are damaged: {}", .damaged.len(), describe(.damaged))]
    Damaged {
        /// The object.
        title: String,
        /// Each file that is, in the object's order.
        damaged: Vec<Damaged>,
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
        source: io::Error,
    },
}

/// A file of an object whose blob is not what it must be.
#[derive(Debug)]
pub struct Damaged {
    /// The file's name.
    pub name: String,
    /// As the object says.
    pub expected: Digest,
    /// What is wrong.
    pub damage: Damage,
}

/// What is wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is not there.
    #[error("missing")]
    Missing,
    /// It has another length.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// As it is.
        found: u64,
        /// As the object says.
        expected: u64,
    },
    /// It has another digest.
    #[error("its digest is {0}")]
    Changed(Digest),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

fn describe(damaged: &[Damaged]) -> String {
    const NAMED_MAX: usize = 5;
    let named = damaged.iter().take(NAMED_MAX);
    named.map(|file| format!("`{}`: {}", file.name, file.damage)).collect::<Vec<_>>().join("; ")
}

impl Vault {
    /// Writes a description, whole or not at all; one that is there already is left.
    pub fn put_object(&self, object: &Object) -> Result<Digest, ObjectsError> {
        let digest = object.digest();
        let directory = self.objects_directory()?;
        let path = object_path(&directory, &digest);
        let failed = |source| ObjectsError::Io { path: path.clone(), intent: "cannot be written", source };
        if path.try_exists().map_err(failed)? {
            self.object(&digest)?;
            return Ok(digest);
        }
        let temporary = path.with_extension("new");
        let write = || {
            // What a crash left is read-only.
            match std::fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o400).open(&temporary)?;
            file.write_all(&object.bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(&directory)?.sync_all()
        };
        write().map_err(failed)?;
        Ok(digest)
    }

    /// A description, by its digest, which is compared.
    pub fn object(&self, digest: &Digest) -> Result<Object, ObjectsError> {
        let path = object_path(&self.objects_directory()?, digest);
        let mut bytes = Vec::new();
        match open_plain(&path)
            .and_then(|file| file.take(OBJECT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ObjectsError::Missing(digest.to_string()));
            }
            Err(source) => return Err(ObjectsError::Io { path, intent: "cannot be read", source }),
        }
        let object =
            Object::parse(&bytes).map_err(|source| ObjectsError::Form { path: path.clone(), source })?;
        let found = object.digest();
        if found == *digest { Ok(object) } else { Err(ObjectsError::Name { path, found }) }
    }

    /// All objects, by name and version.
    pub fn objects(&self) -> Result<Vec<Object>, ObjectsError> {
        let directory = self.objects_directory()?;
        let failed = |source| ObjectsError::Io { path: directory.clone(), intent: "cannot be read", source };
        let mut objects = BTreeMap::new();
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(unhex);
            let Some(digest) = digest.and_then(|digest| digest.try_into().ok()).map(Digest) else { continue };
            let object = self.object(&digest)?;
            objects.insert((object.name.clone(), object.version.clone(), digest), object);
            if objects.len() > OBJECTS_MAX {
                return Err(ObjectsError::Many(directory));
            }
        }
        Ok(objects.into_values().collect())
    }

    /// The one object that is meant: by name, by `name@version`, or by at least eight hexadecimal digits of
    /// its own digest or its weights', with or without `sha256:`.
    pub fn find(&self, wanted: &str) -> Result<Object, ObjectsError> {
        let fits = |object: &Object| {
            let digests = object.weights().map(|weights| weights.digest).into_iter().chain([object.digest()]);
            means(wanted, &object.title(), &digests.collect::<Vec<Digest>>())
        };
        let mut found: Vec<Object> = self.objects()?.into_iter().filter(fits).collect();
        match found.len() {
            0 => Err(ObjectsError::Missing(wanted.escape_debug().take(100).collect())),
            1 => Ok(found.remove(0)),
            _ => {
                let candidate = |object: &Object| format!("{} ({})", object.title(), object.digest());
                let candidates = found.iter().take(CANDIDATES_MAX).map(candidate).collect();
                Err(ObjectsError::Ambiguous { wanted: wanted.to_owned(), candidates })
            }
        }
    }

    /// Hashes every blob of an object, several files at a time on at most `threads` threads. All that is
    /// wrong is reported, not the first of it. `progress` gets bytes done and all bytes.
    pub fn verify_object(
        &self,
        object: &Object,
        threads: usize,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), ObjectsError> {
        let mut distinct: BTreeMap<(Digest, u64), usize> = BTreeMap::new();
        for (at, file) in object.files.iter().enumerate() {
            distinct.entry((file.digest, file.bytes)).or_insert(at);
        }
        // The largest first, so that the threads end together.
        let mut queue: Vec<usize> = distinct.into_values().collect();
        queue.sort_by_key(|&at| std::cmp::Reverse(object.files[at].bytes));
        let total = queue.iter().fold(0_u64, |sum, &at| sum.saturating_add(object.files[at].bytes));
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::sync_channel(MESSAGES_MAX);
        let mut damaged = Vec::new();
        std::thread::scope(|scope| {
            for _ in 0..threads.clamp(1, queue.len().max(1)) {
                let (sender, queue, next) = (sender.clone(), &queue, &next);
                scope.spawn(move || {
                    while let Some(&at) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let file = &object.files[at];
                        let damage =
                            self.verify_blob(file, &mut |bytes| drop(sender.send(Told::Bytes(bytes))));
                        if let Err(damage) = damage {
                            drop(sender.send(Told::Damage(at, damage)));
                        }
                    }
                });
            }
            drop(sender);
            let mut done = 0;
            for told in receiver {
                match told {
                    Told::Bytes(bytes) => {
                        done += bytes;
                        progress(done, total);
                    }
                    Told::Damage(at, damage) => damaged.push((at, damage)),
                }
            }
        });
        if damaged.is_empty() {
            return Ok(());
        }
        damaged.sort_by_key(|(at, _)| *at);
        let damaged = damaged.into_iter().map(|(at, damage)| {
            let ObjectFile { name, digest, .. } = &object.files[at];
            Damaged { name: name.clone(), expected: *digest, damage }
        });
        Err(ObjectsError::Damaged { title: object.title(), damaged: damaged.collect() })
    }

    fn verify_blob(&self, expected: &ObjectFile, progress: &mut dyn FnMut(u64)) -> Result<(), Damage> {
        let file = match open_plain(&self.blob_path(&expected.digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Damage::Missing),
            Err(error) => return Err(error.into()),
        };
        let found = file.metadata()?.len();
        if found != expected.bytes {
            return Err(Damage::Length { found, expected: expected.bytes });
        }
        let (found, _) = hash_range(&file, 0, expected.bytes, progress)?;
        if found == expected.digest { Ok(()) } else { Err(Damage::Changed(found)) }
    }

    fn objects_directory(&self) -> Result<PathBuf, ObjectsError> {
        let path = self.root.join(OBJECTS);
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(ObjectsError::Io { path, intent: "cannot be made", source }),
        }
    }
}

/// What a thread that hashes tells.
enum Told {
    Bytes(u64),
    Damage(usize, Damage),
}

fn object_path(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join(format!("{}.json", digest.hex()))
}
