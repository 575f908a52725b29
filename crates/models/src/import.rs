//! Importing a medium: its files are copied beside the vault's blobs, hashed while they are copied,
//! checked as copies, and only then put in place, each by one rename.
//!
//! Under a blob's final name there is never anything but that blob, whole and durable. An import that was
//! interrupted goes on where it was, and believes nothing that lies there before it has hashed it again.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oms::{Serialization, Signer, Verified};
use protocol::Digest;
use rustix::fs::{FlockOperation, Mode, OFlags};
use sha2::{Digest as _, Sha256};

use crate::hashing::{hash_range, read_range};
use crate::media::content::{self, Carried, HEAD_BYTES};
use crate::media::names::shown;
use crate::media::tree::{Opened, TreeError};
use crate::media::{Entry, Layer, Medium, Signed, Source};
use crate::object::{self, Kind, Object, ObjectFile, Role, SignedBy};
use crate::vault::Vault;
use gguf::GgufError;

/// The folder of unfinished copies, in the vault.
pub const INCOMING: &str = "incoming";
/// Files that an error names at most.
const NAMED_MAX: usize = 5;
/// Left free on the vault's disk, for the ledger beside it.
const SPACE_LEFT_BYTES: u64 = 64 << 20;

/// Whose signature is believed, and what is done without one.
#[derive(Clone, Copy)]
pub struct ImportPolicy<'a> {
    /// Keys and authorities.
    pub trust: &'a oms::Trust,
    /// Whether a medium without a signature may be imported. One that is there must verify in any case.
    pub unsigned: bool,
    /// The time for certificates, in seconds since 1970.
    pub now_unix_s: u64,
}

/// Why a medium was not imported. The vault's blobs and objects are as they were, but for blobs that were
/// whole and right already.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Nobody signed it.
    #[error("{} is not signed: have it signed (`cloister bundle sign`), or allow it explicitly with --unsigned", .0.display())]
    Unsigned(PathBuf),
    /// The signature does not verify.
    #[error("{}: its signature is not accepted", .path.display())]
    Untrusted {
        /// The medium.
        path: PathBuf,
        /// Why not.
        #[source]
        source: oms::VerifyError,
    },
    /// Blobs that are neither on the medium nor in the vault.
    #[error("{count} files are neither on the medium nor in the vault, such as {named}: bring a medium that has them, or import what this one builds upon first", named = .names.join(", "))]
    Missing {
        /// How many.
        count: usize,
        /// Some of them, with their digests.
        names: Vec<String>,
    },
    /// A file is not what the medium says.
    #[error(
        "`{name}` has the digest {found}, and the medium states {expected}: it was changed, or damaged on the way; copy the medium again"
    )]
    Digest {
        /// Which, harmless.
        name: String,
        /// As read.
        found: Digest,
        /// As stated.
        expected: Digest,
    },
    /// A file is shorter or longer than it was when the medium was opened.
    #[error("`{name}` has {found} bytes, and {expected} were expected: the medium changed meanwhile")]
    Length {
        /// Which, harmless.
        name: String,
        /// As read.
        found: u64,
        /// As listed.
        expected: u64,
    },
    /// A file is of a sort that is not let in.
    #[error("`{name}` is refused: it is {carried}")]
    Carried {
        /// Which, harmless.
        name: String,
        /// What it is.
        carried: Carried,
    },
    /// The weights' header is refused.
    #[error("the weights `{name}` are refused")]
    Weights {
        /// Which, harmless.
        name: String,
        /// Why.
        #[source]
        source: GgufError,
    },
    /// A layer is not the archive whose headers were read.
    #[error("the layer {} changed while it was read", .0.display())]
    Frame(PathBuf),
    /// The shards of the files are not those that were signed.
    #[error("{path}: its files are not those that were signed", path = .path.display())]
    Shards {
        /// The medium.
        path: PathBuf,
        /// Which differ.
        #[source]
        source: oms::TreeError,
    },
    /// It would not fit.
    #[error("{needed} bytes are needed in {path}, and {free} are free", path = .path.display())]
    Space {
        /// The vault.
        path: PathBuf,
        /// For what is to be copied, with what is left free.
        needed: u64,
        /// As the file system says.
        free: u64,
    },
    /// Somebody else imports.
    #[error("another import is running in {}: wait for it", .0.display())]
    Busy(PathBuf),
    /// Something on the medium cannot be read.
    #[error(transparent)]
    Medium(#[from] TreeError),
    /// The vault's disk.
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

impl Vault {
    /// Copies a medium's files into the vault and describes them. Nothing points at them yet: the caller
    /// records the object, then writes it with [`Vault::put_object`].
    ///
    /// `progress` gets bytes done and all bytes, those hashed again included. An import that was interrupted
    /// may be repeated, and so may one that was not.
    pub fn stage(
        &self,
        medium: &Medium,
        policy: &ImportPolicy<'_>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Object, StageError> {
        let signed_by = verify_signature(medium, policy)?;
        let (here, absent) = medium.bytes();
        let mut staging = Staging {
            vault: self,
            incoming: Incoming::open(self)?,
            done: 0,
            total: here.saturating_add(absent),
            progress,
        };
        let found = staging.take(medium).inspect_err(|error| {
            // A full disk must not stay full of half a model.
            if is_full(error) {
                let _left = staging.incoming.clean();
            }
        })?;
        let signature = match (&medium.signature, signed_by) {
            (Some(signed), Some(signed_by)) => Some((signed, signed_by)),
            _ => None,
        };
        let mut files: Vec<ObjectFile> = medium
            .entries
            .iter()
            .zip(found)
            .map(|(entry, digest)| ObjectFile {
                name: entry.name.clone(),
                role: entry.role,
                digest,
                bytes: entry.bytes,
            })
            .collect();
        files.extend(signature.as_ref().map(|(signed, signed_by)| ObjectFile {
            name: signed.name.clone(),
            role: Role::Evidence,
            digest: signed_by.file,
            bytes: signed.bytes.len() as u64,
        }));
        files.sort();
        Ok(Object {
            schema: object::SCHEMA,
            kind: medium.kind,
            name: medium.name.clone(),
            version: medium.version.clone(),
            training_data: medium.training_data.clone(),
            licence: medium.licence.clone(),
            medium: medium.sort,
            files,
            signature: signature.map(|(_, signed_by)| signed_by),
        })
    }

    /// Removes unfinished copies; returns how many there were.
    pub fn clean_incoming(&self) -> Result<usize, StageError> {
        Incoming::open(self)?.clean()
    }
}

/// Who signed it; `None` when nobody did and that is allowed.
fn verify_signature(medium: &Medium, policy: &ImportPolicy<'_>) -> Result<Option<SignedBy>, StageError> {
    let path = || medium.path().to_owned();
    let signed = match &medium.signature {
        Some(signed) if signed.signature.method() != oms::Method::None => signed,
        _ if policy.unsigned => return Ok(None),
        _ => return Err(StageError::Unsigned(path())),
    };
    let Verified { signer, root } = signed
        .signature
        .verify(policy.trust, policy.now_unix_s)
        .map_err(|source| StageError::Untrusted { path: path(), source })?;
    let (method, signer, chain) = match signer {
        Signer::Key { fingerprint } => ("key", fingerprint, Vec::new()),
        Signer::Certificate { subject, chain, .. } => {
            ("certificate", subject, chain.into_iter().map(Digest).collect())
        }
        Signer::Sigstore { identity, issuer, chain, .. } => {
            ("sigstore", format!("{identity} by {issuer}"), chain.into_iter().map(Digest).collect())
        }
    };
    Ok(Some(SignedBy {
        method: method.to_owned(),
        signer,
        root,
        chain,
        statement: Digest(signed.signature.statement_digest()),
        file: Digest(Sha256::digest(&signed.bytes).into()),
    }))
}

/// The folder of unfinished copies, held by one import at a time.
struct Incoming {
    path: PathBuf,
    /// Locked while this lives: two that write to one copy would each vouch for the other's bytes.
    directory: Locked,
}

impl Incoming {
    fn open(vault: &Vault) -> Result<Incoming, StageError> {
        let path = vault.root.join(INCOMING);
        let failed = |intent, source| StageError::Io { path: path.clone(), intent, source };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| failed("cannot be made", source))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|error| failed("cannot be opened", error.into()))?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StageError::Busy(path)),
            Err(error) => return Err(failed("cannot be locked", error.into())),
        }
        Ok(Incoming { path, directory: Locked(File::from(directory)) })
    }

    fn clean(&self) -> Result<usize, StageError> {
        let failed = |intent, source| StageError::Io { path: self.path.clone(), intent, source };
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.path).map_err(|source| failed("cannot be read", source))? {
            let entry = entry.map_err(|source| failed("cannot be read", source))?;
            std::fs::remove_file(entry.path()).map_err(|source| failed("cannot be cleaned", source))?;
            removed += 1;
        }
        self.directory.0.sync_all().map_err(|source| failed("cannot be synced", source))?;
        Ok(removed)
    }
}

/// A locked file or folder. Unlocked by name: a program that another thread is about to start holds the descriptor, too,
/// until it runs.
pub(crate) struct Locked(pub(crate) File);

impl Drop for Locked {
    fn drop(&mut self) {
        // What cannot be unlocked is when its last descriptor is closed.
        let _ = self.0.unlock();
    }
}

/// An import under way.
struct Staging<'a> {
    vault: &'a Vault,
    incoming: Incoming,
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

/// Where a file is on its way.
#[derive(Clone, Debug)]
enum Place {
    /// In the vault already, its digest compared.
    Kept,
    /// Copied, durable, under this name among the unfinished ones.
    Copied(PathBuf),
}

impl Staging<'_> {
    /// Everything of it; returns the digests of the medium's entries, in their order.
    fn take(&mut self, medium: &Medium) -> Result<Vec<Digest>, StageError> {
        // What is stated or held is known before anything is read.
        let mut digests: Vec<Option<Digest>> = medium
            .entries
            .iter()
            .map(|entry| match &entry.source {
                Source::Held(bytes) => Some(Digest(Sha256::digest(bytes).into())),
                _ => entry.expected,
            })
            .collect();
        let mut places: BTreeMap<Digest, Place> = BTreeMap::new();
        self.hash_what_may_be_here(medium, &mut digests)?;
        self.keep(medium, &digests, &mut places)?;
        refuse_early(medium)?;
        self.refuse_too_much(medium, &digests, &places)?;

        for (entry, digest) in medium.entries.iter().zip(&mut digests) {
            if digest.is_some_and(|digest| places.contains_key(&digest)) {
                continue;
            }
            let (found, path) = match &entry.source {
                Source::Absent | Source::Piece { .. } => continue,
                Source::Held(bytes) => self.write(bytes)?,
                Source::File(_) => {
                    let Opened { file, bytes } = match medium.file(entry) {
                        Some(opened) => opened?,
                        None => continue,
                    };
                    if bytes != entry.bytes {
                        return Err(length(entry, bytes));
                    }
                    self.copy(entry, &file, *digest)?
                }
            };
            *digest = Some(found);
            copied(&mut places, found, path);
        }
        for layer in 0..medium.layers.len() {
            self.unpack(medium, layer, &mut digests, &mut places)?;
        }
        if let Some(Signed { bytes, signature, .. }) = &medium.signature
            && signature.method() != oms::Method::None
        {
            let (digest, path) = self.write(bytes)?;
            copied(&mut places, digest, path);
        }

        let digests: Option<Vec<Digest>> = digests.into_iter().collect();
        let digests = digests.ok_or_else(|| TreeError::Missing(medium.path().to_owned()))?;
        for (entry, digest) in medium.entries.iter().zip(&digests) {
            self.examine(medium.kind, entry, digest, places.get(digest))?;
        }
        if let Some(Signed { signature, .. }) = &medium.signature
            && let Serialization::Shards { .. } = signature.manifest().serialization
        {
            self.compare_shards(medium, signature.manifest(), &digests, &places)?;
        }
        self.put_in_place(&places)?;
        Ok(digests)
    }

    /// Files whose digest nothing states are hashed first where the vault has a blob of that length: it is
    /// quicker than to copy what is here already.
    fn hash_what_may_be_here(
        &self,
        medium: &Medium,
        digests: &mut [Option<Digest>],
    ) -> Result<(), StageError> {
        let blobs = self.vault.root.join("blobs");
        let failed = |source| StageError::Io { path: blobs.clone(), intent: "cannot be read", source };
        let mut lengths = BTreeSet::new();
        for blob in std::fs::read_dir(&blobs).map_err(failed)? {
            lengths.insert(blob.and_then(|blob| blob.metadata()).map_err(failed)?.len());
        }
        for (entry, digest) in medium.entries.iter().zip(digests) {
            if digest.is_none()
                && lengths.contains(&entry.bytes)
                && let Some(opened) = medium.file(entry)
            {
                let path = PathBuf::from(&entry.name);
                let hashed = hash_range(&opened?.file, 0, entry.bytes, &mut |_| {});
                *digest = Some(hashed.map_err(|source| TreeError::Io { path, source })?.0);
            }
        }
        Ok(())
    }

    /// Finds blobs that the vault has, and hashes them: what is not on the medium must be among them. What
    /// is on the medium is hashed too, so that a medium that was changed is refused whatever the vault has.
    fn keep(
        &mut self,
        medium: &Medium,
        digests: &[Option<Digest>],
        places: &mut BTreeMap<Digest, Place>,
    ) -> Result<(), StageError> {
        let mut missing = Vec::new();
        for (entry, digest) in medium.entries.iter().zip(digests) {
            let Some(digest) = digest else { continue };
            let absent = matches!(entry.source, Source::Absent);
            if places.contains_key(digest) || matches!(entry.source, Source::Piece { .. }) {
                continue;
            }
            if self.has(digest, entry.bytes, absent)? {
                self.compare(medium, entry, digest)?;
                places.insert(*digest, Place::Kept);
            } else if absent {
                missing.push(format!("`{}` ({digest})", shown(&entry.name)));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let count = missing.len();
        missing.truncate(NAMED_MAX);
        Err(StageError::Missing { count, names: missing })
    }

    /// Whether the vault has a blob, of that length and, hashed again, of that digest.
    fn has(&mut self, digest: &Digest, bytes: u64, counts: bool) -> Result<bool, StageError> {
        let path = self.vault.blob_path(digest);
        let failed = |source| StageError::Io { path: path.clone(), intent: "cannot be read", source };
        let file = match open_plain(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        if file.metadata().map_err(failed)?.len() != bytes {
            return Ok(false);
        }
        let before = self.done;
        let (found, _) = hash_range(&file, 0, bytes, &mut |read| {
            if counts {
                advance(&mut self.done, self.total, self.progress, read);
            }
        })
        .map_err(failed)?;
        if found != *digest {
            self.done = before;
        }
        Ok(found == *digest)
    }

    /// Hashes a file on the medium that need not be copied.
    fn compare(&mut self, medium: &Medium, entry: &Entry, expected: &Digest) -> Result<(), StageError> {
        let Some(opened) = medium.file(entry) else { return Ok(()) };
        let Opened { file, bytes } = opened?;
        if bytes != entry.bytes {
            return Err(length(entry, bytes));
        }
        let (found, read) = hash_range(&file, 0, bytes, &mut |read| {
            advance(&mut self.done, self.total, self.progress, read);
        })
        .map_err(|source| TreeError::Io { path: PathBuf::from(&entry.name), source })?;
        if read != bytes {
            return Err(length(entry, read));
        }
        if found == *expected {
            return Ok(());
        }
        Err(StageError::Digest { name: shown(&entry.name), found, expected: *expected })
    }

    fn refuse_too_much(
        &self,
        medium: &Medium,
        digests: &[Option<Digest>],
        places: &BTreeMap<Digest, Place>,
    ) -> Result<(), StageError> {
        let mut needed = SPACE_LEFT_BYTES;
        for (entry, digest) in medium.entries.iter().zip(digests) {
            if digest.is_some_and(|digest| places.contains_key(&digest)) {
                continue;
            }
            let there = digest.and_then(|digest| self.staged(&digest).metadata().ok());
            let there = there.map_or(0, |metadata| metadata.len().min(entry.bytes));
            needed = needed.saturating_add(entry.bytes - there);
        }
        let path = self.incoming.path.clone();
        let space = rustix::fs::statvfs(&path).map_err(|error| StageError::Io {
            path: path.clone(),
            intent: "cannot be asked",
            source: error.into(),
        })?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if needed > SPACE_LEFT_BYTES && free < needed {
            return Err(StageError::Space { path, needed, free });
        }
        Ok(())
    }

    fn staged(&self, digest: &Digest) -> PathBuf {
        self.incoming.path.join(format!("sha256-{}", digest.hex()))
    }

    /// Writes bytes that are held.
    fn write(&mut self, bytes: &[u8]) -> Result<(Digest, PathBuf), StageError> {
        let digest = Digest(Sha256::digest(bytes).into());
        let path = self.staged(&digest);
        let written = open_staged(&path).and_then(|file| {
            file.set_len(0)?;
            file.write_all_at(bytes, 0)?;
            file.sync_all()
        });
        written.map_err(|source| StageError::Io {
            path: path.clone(),
            intent: "cannot be written",
            source,
        })?;
        advance(&mut self.done, self.total, self.progress, bytes.len() as u64);
        Ok((digest, path))
    }

    /// Copies a file of the medium, going on where an earlier copy of the same digest ended.
    fn copy(
        &mut self,
        entry: &Entry,
        source: &File,
        expected: Option<Digest>,
    ) -> Result<(Digest, PathBuf), StageError> {
        let path = match &expected {
            Some(digest) => self.staged(digest),
            // Nothing says what was copied before, so it is copied anew.
            None => self.incoming.path.join(unnamed(&entry.name)),
        };
        let failed = |intent, source| StageError::Io { path: path.clone(), intent, source };
        let target = open_staged(&path).map_err(|source| failed("cannot be made", source))?;
        let before = self.done;
        let there = target.metadata().map_err(|source| failed("cannot be read", source))?.len();
        let mut resumed = if expected.is_some() && there <= entry.bytes { there } else { 0 };
        loop {
            target.set_len(resumed).map_err(|source| failed("cannot be written", source))?;
            let found = self.copy_from(entry, source, &target, resumed, &path)?;
            match expected {
                Some(expected) if found != expected && resumed > 0 => {
                    // What lay there was no beginning of this file: after a power cut, say.
                    self.done = before;
                    resumed = 0;
                }
                Some(expected) if found != expected => {
                    drop(std::fs::remove_file(&path));
                    return Err(StageError::Digest { name: shown(&entry.name), found, expected });
                }
                _ => {
                    target.sync_all().map_err(|source| failed("cannot be written", source))?;
                    return Ok((found, path));
                }
            }
        }
    }

    /// Hashes `resumed` bytes of the copy, then copies the rest.
    fn copy_from(
        &mut self,
        entry: &Entry,
        source: &File,
        target: &File,
        resumed: u64,
        path: &Path,
    ) -> Result<Digest, StageError> {
        let unreadable =
            |source| StageError::Medium(TreeError::Io { path: PathBuf::from(&entry.name), source });
        let mut hasher = Sha256::new();
        let mut end = 0;
        let (done, total, progress) = (&mut self.done, self.total, &mut *self.progress);
        let again = read_range(target, 0, resumed, &mut |chunk| {
            hasher.update(chunk);
            advance(done, total, progress, chunk.len() as u64);
            io::Result::Ok(())
        });
        end += again.map_err(|source| StageError::Io {
            path: path.to_owned(),
            intent: "cannot be read",
            source,
        })?;
        end += read_range(source, resumed, entry.bytes - resumed, &mut |chunk| {
            hasher.update(chunk);
            target.write_all_at(chunk, end).map_err(Failed::Write)?;
            end += chunk.len() as u64;
            advance(done, total, progress, chunk.len() as u64);
            Ok(())
        })
        .map_err(|error| match error {
            Failed::Read(source) => unreadable(source),
            Failed::Write(source) => {
                StageError::Io { path: path.to_owned(), intent: "cannot be written", source }
            }
        })
        .map(|_| 0)?;
        if end != entry.bytes {
            return Err(length(entry, end));
        }
        Ok(Digest(hasher.finalize().into()))
    }

    /// Copies the pieces of a tar layer in one pass over it, which also hashes the whole and the headers.
    fn unpack(
        &mut self,
        medium: &Medium,
        layer: usize,
        digests: &mut [Option<Digest>],
        places: &mut BTreeMap<Digest, Place>,
    ) -> Result<(), StageError> {
        let Layer { path: name, digest: stated, bytes, frame: seen } = &medium.layers[layer];
        let layer_path = medium.path().join(name);
        let Opened { file, bytes: found } = medium.tree.file(name)?;
        let short = |found| StageError::Length { name: shown(name), found, expected: *bytes };
        if found != *bytes {
            return Err(short(found));
        }
        let mut pieces: Vec<(u64, usize)> = Vec::new();
        for (at, entry) in medium.entries.iter().enumerate() {
            if let Source::Piece { layer: of, offset } = entry.source
                && of == layer
            {
                pieces.push((offset, at));
            }
        }
        pieces.sort_unstable();
        let (mut whole, mut frame) = (Sha256::new(), Sha256::new());
        let mut at = 0;
        let unreadable = |source| StageError::Medium(TreeError::Io { path: layer_path.clone(), source });
        for (offset, index) in pieces {
            let entry = &medium.entries[index];
            at += read_range(&file, at, offset - at, &mut |chunk| {
                whole.update(chunk);
                frame.update(chunk);
                io::Result::Ok(())
            })
            .map_err(unreadable)?;
            let path = self.incoming.path.join(unnamed(&entry.name));
            let failed = |source| StageError::Io { path: path.clone(), intent: "cannot be written", source };
            let target = open_staged(&path).map_err(failed)?;
            target.set_len(0).map_err(failed)?;
            let mut hasher = Sha256::new();
            let mut written = 0;
            let (done, total, progress) = (&mut self.done, self.total, &mut *self.progress);
            at += read_range(&file, at, entry.bytes, &mut |chunk| {
                whole.update(chunk);
                hasher.update(chunk);
                target.write_all_at(chunk, written).map_err(Failed::Write)?;
                written += chunk.len() as u64;
                advance(done, total, progress, chunk.len() as u64);
                Ok(())
            })
            .map_err(|error| match error {
                Failed::Read(source) => unreadable(source),
                Failed::Write(source) => failed(source),
            })?;
            if written != entry.bytes {
                return Err(short(at));
            }
            target.sync_all().map_err(failed)?;
            let found = Digest(hasher.finalize().into());
            if let Some(expected) = digests[index].filter(|expected| *expected != found) {
                drop(std::fs::remove_file(&path));
                return Err(StageError::Digest { name: shown(&entry.name), found, expected });
            }
            digests[index] = Some(found);
            copied(places, found, path);
        }
        at += read_range(&file, at, bytes - at, &mut |chunk| {
            whole.update(chunk);
            frame.update(chunk);
            io::Result::Ok(())
        })
        .map_err(unreadable)?;
        if at != *bytes {
            return Err(short(at));
        }
        let found = Digest(whole.finalize().into());
        if found != *stated {
            return Err(StageError::Digest { name: shown(name), found, expected: *stated });
        }
        if Digest(frame.finalize().into()) != *seen {
            return Err(StageError::Frame(layer_path));
        }
        Ok(())
    }

    /// Looks at a file as it was copied, or as the vault has it.
    fn examine(
        &self,
        kind: Kind,
        entry: &Entry,
        digest: &Digest,
        place: Option<&Place>,
    ) -> Result<(), StageError> {
        let path = match place {
            Some(Place::Copied(path)) => path.clone(),
            _ => self.vault.blob_path(digest),
        };
        let failed = |source| StageError::Io { path: path.clone(), intent: "cannot be read", source };
        let mut file = open_plain(&path).map_err(failed)?;
        let refused = examine(kind, entry, &mut file).map_err(failed)?;
        refused.map_or(Ok(()), |error| {
            if matches!(place, Some(Place::Copied(_))) {
                drop(std::fs::remove_file(&path));
            }
            Err(error)
        })
    }

    /// What was signed by shards, against the shards of the copies.
    fn compare_shards(
        &self,
        medium: &Medium,
        manifest: &oms::Manifest,
        digests: &[Digest],
        places: &BTreeMap<Digest, Place>,
    ) -> Result<(), StageError> {
        let single = manifest.paths() == ["."];
        let mut shards = Vec::new();
        for (entry, digest) in medium.entries.iter().zip(digests) {
            let path = match places.get(digest) {
                Some(Place::Copied(path)) => path.clone(),
                _ => self.vault.blob_path(digest),
            };
            let failed = |source| StageError::Io { path: path.clone(), intent: "cannot be read", source };
            let file = open_plain(&path).map_err(failed)?;
            let name = if single { "." } else { &entry.name };
            for (name, range) in manifest.serialization.pieces(name, entry.bytes) {
                if shards.len() > oms::RESOURCES_MAX {
                    break;
                }
                let (Digest(digest), _) =
                    hash_range(&file, range.start, range.end - range.start, &mut |_| {}).map_err(failed)?;
                shards.push(oms::Resource { name, digest });
            }
        }
        let path = medium.path().to_owned();
        manifest.check_tree(&shards).map_err(|source| StageError::Shards { path, source })
    }

    /// All that was copied gets its final name, and the names are made durable.
    fn put_in_place(&self, places: &BTreeMap<Digest, Place>) -> Result<(), StageError> {
        let blobs = self.vault.root.join("blobs");
        for (digest, place) in places {
            let Place::Copied(path) = place else { continue };
            let blob = self.vault.blob_path(digest);
            set_mode(path, 0o400)
                .and_then(|()| std::fs::rename(path, &blob))
                .map_err(|source| StageError::Io { path: blob, intent: "cannot be put in place", source })?;
        }
        let failed =
            |path: PathBuf, source| StageError::Io { path, intent: "cannot be made durable", source };
        File::open(&blobs)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| failed(blobs, source))?;
        let incoming = &self.incoming;
        incoming.directory.0.sync_all().map_err(|source| failed(incoming.path.clone(), source))
    }
}

/// Two files of one content are one blob.
fn copied(places: &mut BTreeMap<Digest, Place>, digest: Digest, path: PathBuf) {
    match places.entry(digest) {
        btree_map::Entry::Vacant(place) => drop(place.insert(Place::Copied(path))),
        btree_map::Entry::Occupied(place) => {
            if !matches!(place.get(), Place::Copied(first) if *first == path) {
                // Left behind, it would be cleaned later all the same.
                drop(std::fs::remove_file(path));
            }
        }
    }
}

/// Which side of a copy failed.
enum Failed {
    Read(io::Error),
    Write(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Read(error)
    }
}

fn advance(done: &mut u64, total: u64, progress: &mut dyn FnMut(u64, u64), bytes: u64) {
    *done = done.saturating_add(bytes).min(total);
    progress(*done, total);
}

fn length(entry: &Entry, found: u64) -> StageError {
    StageError::Length { name: shown(&entry.name), found, expected: entry.bytes }
}

/// A file whose digest is not known before it was read.
fn unnamed(name: &str) -> String {
    format!("unnamed-{}", Digest(Sha256::digest(name).into()).hex())
}

fn is_full(error: &StageError) -> bool {
    matches!(error, StageError::Io { source, .. }
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// Looks at files on the medium, so that a wrong one is refused before gigabytes are copied. The copies are
/// looked at again: they are what counts.
fn refuse_early(medium: &Medium) -> Result<(), StageError> {
    for entry in &medium.entries {
        if let Some(opened) = medium.file(entry) {
            let Opened { mut file, bytes } = opened?;
            if bytes != entry.bytes {
                return Err(length(entry, bytes));
            }
            let path = PathBuf::from(&entry.name);
            let refused =
                examine(medium.kind, entry, &mut file).map_err(|source| TreeError::Io { path, source })?;
            refused.map_or(Ok(()), Err)?;
        } else if let Some(carried) = content::refused(&entry.name, entry.role, &[]) {
            return Err(StageError::Carried { name: shown(&entry.name), carried });
        }
    }
    Ok(())
}

/// Why a file's content is refused, if it is.
fn examine(kind: Kind, entry: &Entry, file: &mut File) -> io::Result<Option<StageError>> {
    let mut head = vec![0; HEAD_BYTES.min(usize::try_from(entry.bytes).unwrap_or(HEAD_BYTES))];
    match file.read_exact_at(&mut head, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(length(entry, 0))),
        Err(error) => return Err(error),
    }
    let name = || shown(&entry.name);
    if let Some(carried) = content::refused(&entry.name, entry.role, &head) {
        return Ok(Some(StageError::Carried { name: name(), carried }));
    }
    if entry.role != Role::Weights {
        return Ok(None);
    }
    let read = if kind == Kind::Adapter { gguf::read_adapter(file) } else { gguf::read(file) };
    Ok(read.err().map(|source| StageError::Weights { name: name(), source }))
}

/// Opens a regular file of the vault for reading; a link is none.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// Sets the mode of a regular file of the vault. By a descriptor: Landlock does not restrict modes by path, so the
/// jail in which media are read has no call for that.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    open_plain(path)?.set_permissions(Permissions::from_mode(mode))
}

/// Opens an unfinished copy, made where it is missing. One that was about to get its final name is
/// read-only already.
fn open_staged(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits();
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    options.custom_flags(flags.cast_signed());
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            set_mode(path, 0o600)?;
            options.open(path)
        }
        opened => opened,
    }
}
