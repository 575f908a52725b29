//! Copying a ledger, which may be in use: what the checkpoint speaks of, exactly, so that the copy verifies.
//!
//! The checkpoint is read first and written last. Tiles and bundles only ever grow, so what is found later
//! holds at least what it says; what it does not speak of is cut off. Full tiles, bundles and packs never
//! change and are copied once; pages of keys change where bodies are erased, and are compared each time.

use std::io;

use serde::Serialize;
use tlog::note::NoteError;
use tlog::proof::verify_consistency;
use tlog::tile::{levels, widths};
use tlog::{Checkpoint, Edge, Frontier, Note, TileName};

use crate::disk::{self, Access, Disk, parent};
use crate::leaf::{Event, Leaf};
use crate::pack::{PACK_LEAVES, SLOT_BYTES, pack_path, page_path, slot_offset};
use crate::store::{CHECKPOINT, RELATIONS, WITNESSED, read_tile};
use crate::wal;
use crate::witnessed::{consistency, size_of};

/// Times a copy is begun again because bodies were erased meanwhile.
const ATTEMPTS: usize = 8;

/// The most that is copied at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// Lies in a copy until it is whole.
const INCOMPLETE: &str = "incomplete";

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Leaves that the copy's checkpoint signs.
    pub leaves: u64,
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub files_kept: u64,
}

/// Why a ledger was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Nothing is signed yet.
    #[error("the log has no signed checkpoint yet")]
    NothingSigned,
    /// A file cannot be read or written.
    #[error("{file} cannot be {intent}")]
    Io {
        /// The file.
        file: String,
        /// As `read`.
        intent: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A checkpoint is none.
    #[error("a checkpoint cannot be read: {0}")]
    Checkpoint(String),
    /// The ledger holds something that it never wrote.
    #[error("{file} is damaged: {what}; run `cloister ledger verify`")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// The earlier copy has more leaves.
    #[error("the copy there has {there} signed leaves, the ledger has {here}: it was rolled back")]
    RolledBack {
        /// Leaves of the copy.
        there: u64,
        /// Leaves of the ledger.
        here: u64,
    },
    /// The earlier copy has other leaves.
    #[error("the {0} leaves of the copy there are others than the ledger's first: another log, or rewritten")]
    OtherHistory(u64),
    /// Bodies are erased all the time.
    #[error("bodies were erased while they were copied, again and again: copy again later")]
    Busy,
    /// The log could not be signed.
    #[error("the log could not be signed: {0}")]
    Sign(String),
}

/// Whether a copy is not whole.
pub fn is_incomplete(copy: &dyn Disk) -> bool {
    copy.open(INCOMPLETE, Access::Read).is_ok()
}

/// Copies a ledger, or what is new of it where it was copied before. `sign` has what is durable signed; it is
/// called before and after the bodies' keys are copied, so that no destroyed key comes without the leaf that
/// erases it.
pub fn copy(
    source: &dyn Disk,
    target: &dyn Disk,
    sign: &mut dyn FnMut() -> Result<(), String>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Copied, CopyError> {
    let mut copied = Copied::default();
    let before = read_checkpoint(target)?;
    sign().map_err(CopyError::Sign)?;
    for _ in 0..ATTEMPTS {
        let (note, checkpoint) = read_checkpoint(source)?.ok_or(CopyError::NothingSigned)?;
        if let Some((_, before)) = &before {
            continues(source, before, &checkpoint)?;
        }
        write(target, INCOMPLETE, b"this copy is not whole: copy again\n")?;
        let mut copy = Copy { source, target, size: checkpoint.size, copied };
        copy.tiles()?;
        copy.bodies(progress)?;
        copy.witnessed()?;
        copy.relations()?;
        copied = copy.copied;
        sign().map_err(CopyError::Sign)?;
        let now = read_checkpoint(source)?.ok_or(CopyError::NothingSigned)?.1.size;
        if erases(source, checkpoint.size, now)? {
            continue;
        }
        segment(target, checkpoint.size)?;
        write(target, CHECKPOINT, note.as_bytes())?;
        remove_superseded(target, checkpoint.size);
        target.remove(INCOMPLETE).map_err(cannot(INCOMPLETE, "removed"))?;
        target.sync_dir("").map_err(cannot("", "synced"))?;
        return Ok(Copied { leaves: checkpoint.size, ..copied });
    }
    Err(CopyError::Busy)
}

/// The tree's right edge as a copy's tiles have it, which a notary without a state goes on from.
pub fn frontier(copy: &dyn Disk) -> Result<(String, Frontier), CopyError> {
    let (note, checkpoint) = read_checkpoint(copy)?.ok_or(CopyError::NothingSigned)?;
    let read = |name: TileName| {
        let (found, bytes) = read_tile(copy, name).map_err(cannot(&name.to_string(), "read"))?;
        tlog::tile::decode(&bytes, name.width)
            .ok_or_else(|| damaged(&found.to_string(), "its length is wrong"))
    };
    let edge = Edge::read(checkpoint.size, read)?;
    match edge.frontier() {
        Some(frontier) if frontier.root() == checkpoint.root => Ok((note, frontier)),
        _ => Err(damaged(CHECKPOINT, "the tiles do not lead to its root")),
    }
}

struct Copy<'c> {
    source: &'c dyn Disk,
    target: &'c dyn Disk,
    size: u64,
    copied: Copied,
}

impl Copy<'_> {
    fn tiles(&mut self) -> Result<(), CopyError> {
        for level in levels(self.size).map(Some).chain([None]) {
            let (full, partial) = widths(level.unwrap_or(0), self.size);
            for index in 0..full {
                let name = TileName { level, index, width: 256 };
                self.whole(&name.to_string())?;
            }
            if partial > 0 {
                let name = TileName { level, index: full, width: partial };
                let bytes = exactly(self.source, name)?;
                self.put(&name.to_string(), &bytes)?;
            }
        }
        Ok(())
    }

    fn bodies(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), CopyError> {
        let (full, partial) = widths(0, self.size);
        for bundle in 0..full {
            let first = bundle * PACK_LEAVES;
            self.whole_if_there(&pack_path(first))?;
            if let Some(page) = if_there(self.source, &page_path(first))? {
                self.put(&page_path(first), &page)?;
            }
            progress(first + PACK_LEAVES, self.size);
        }
        if partial > 0 {
            self.partial_bodies(TileName { level: None, index: full, width: partial })?;
        }
        progress(self.size, self.size);
        Ok(())
    }

    /// Bodies and keys of the leaves of the bundle that is not full, and no others.
    fn partial_bodies(&mut self, name: TileName) -> Result<(), CopyError> {
        let first = name.index * PACK_LEAVES;
        let (mut pack_bytes, mut page_bytes) = (0, 0);
        for (index, leaf) in (first..).zip(leaves(self.source, name)?) {
            if let Some(body) = leaf.body {
                pack_bytes += body.bytes;
                page_bytes = slot_offset(index) + SLOT_BYTES as u64;
            }
        }
        for (path, bytes) in [(pack_path(first), pack_bytes), (page_path(first), page_bytes)] {
            if bytes > 0 {
                let bytes = beginning(self.source, &path, bytes)?;
                self.put(&path, &bytes)?;
            }
        }
        Ok(())
    }

    fn witnessed(&mut self) -> Result<(), CopyError> {
        for name in self.source.list(WITNESSED).unwrap_or_default() {
            if size_of(&name).is_some_and(|size| size <= self.size) {
                let path = format!("{WITNESSED}/{name}");
                let note = disk::read(self.source, &path, tlog::note::NOTE_BYTES_MAX as u64);
                self.put(&path, &note.map_err(cannot(&path, "read"))?)?;
            }
        }
        Ok(())
    }

    fn relations(&mut self) -> Result<(), CopyError> {
        let bytes = beginning(self.source, RELATIONS, self.size * 8)?;
        self.put(RELATIONS, &bytes)
    }

    /// A file that never changes: one of its length is there already.
    fn whole(&mut self, path: &str) -> Result<(), CopyError> {
        let file = self.source.open(path, Access::Read).map_err(cannot(path, "read"))?;
        let length = file.length().map_err(cannot(path, "read"))?;
        let there = self.target.open(path, Access::Read).and_then(|file| file.length()).ok();
        if there == Some(length) {
            self.copied.files_kept += 1;
            return Ok(());
        }
        let unfinished = format!("{path}.tmp");
        make_directories(self.target, parent(path))?;
        let written = (|| {
            let out = self.target.open(&unfinished, Access::Create)?;
            let mut at = 0;
            while at < length {
                let mut chunk = vec![0; usize::try_from(CHUNK_BYTES.min(length - at)).unwrap_or(0)];
                file.read_at(at, &mut chunk)?;
                out.write_at(at, &chunk)?;
                at += chunk.len() as u64;
            }
            out.sync()?;
            self.target.rename(&unfinished, path)?;
            self.target.sync_dir(parent(path))
        })();
        written.map_err(cannot(path, "copied"))?;
        self.copied.files += 1;
        self.copied.bytes += length;
        Ok(())
    }

    fn whole_if_there(&mut self, path: &str) -> Result<(), CopyError> {
        match self.whole(path) {
            Err(CopyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), CopyError> {
        if if_there(self.target, path)?.as_deref() == Some(bytes) {
            self.copied.files_kept += 1;
            return Ok(());
        }
        make_directories(self.target, parent(path))?;
        write(self.target, path, bytes)?;
        self.copied.files += 1;
        self.copied.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// A tile or bundle of that width, cut from a wider one where integration went on.
fn exactly(source: &dyn Disk, name: TileName) -> Result<Vec<u8>, CopyError> {
    let path = name.to_string();
    let (found, mut bytes) = read_again(source, name)?;
    let length = match name.level {
        Some(_) => usize::from(name.width) * 32,
        None => {
            let (_, end) = tlog::entry::prefix(&bytes, usize::from(name.width))
                .map_err(|error| damaged(&found.to_string(), &error.to_string()))?;
            end
        }
    };
    if bytes.len() < length {
        return Err(damaged(&path, "it is too short"));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Again, while a partial tile that was found is gone: integration has put a wider one in its place.
fn read_again(source: &dyn Disk, name: TileName) -> Result<(TileName, Vec<u8>), CopyError> {
    let mut read = read_tile(source, name);
    for _ in 0..ATTEMPTS {
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => read = read_tile(source, name),
            done => return done.map_err(cannot(&name.to_string(), "read")),
        }
    }
    read.map_err(cannot(&name.to_string(), "read"))
}

fn leaves(source: &dyn Disk, name: TileName) -> Result<Vec<Leaf>, CopyError> {
    let (found, bytes) = read_again(source, name)?;
    let wrong = |what: String| damaged(&found.to_string(), &what);
    let (entries, _) =
        tlog::entry::prefix(&bytes, usize::from(name.width)).map_err(|error| wrong(error.to_string()))?;
    let leaf = |entry: &tlog::entry::BundleEntry<'_>| {
        Leaf::parse(entry.leaf).map_err(|error| wrong(format!("a leaf cannot be read: {error}")))
    };
    entries.iter().map(leaf).collect()
}

/// Whether a leaf of that range erases bodies.
fn erases(source: &dyn Disk, from: u64, to: u64) -> Result<bool, CopyError> {
    let (full, partial) = widths(0, to);
    for bundle in from / 256..to.div_ceil(256) {
        let width = if bundle < full { 256 } else { partial };
        let leaves = leaves(source, TileName { level: None, index: bundle, width })?;
        let new = (bundle * 256..).zip(leaves).filter(|(index, _)| *index >= from);
        if new.into_iter().any(|(_, leaf)| matches!(leaf.event, Event::Erasure(_))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The ledger must begin with what was copied before.
fn continues(source: &dyn Disk, before: &Checkpoint, now: &Checkpoint) -> Result<(), CopyError> {
    if before.size > now.size {
        return Err(CopyError::RolledBack { there: before.size, here: now.size });
    }
    let proof = consistency(source, before.size, now.size)
        .map_err(|error| CopyError::Checkpoint(crate::shared::chain(&error)))?;
    let same = before.origin == now.origin
        && verify_consistency(before.size, &before.root, now.size, &now.root, &proof).is_ok();
    if same { Ok(()) } else { Err(CopyError::OtherHistory(before.size)) }
}

/// An empty end of the write-ahead log, behind the last leaf; the one of an earlier copy goes.
fn segment(target: &dyn Disk, size: u64) -> Result<(), CopyError> {
    let io = |intent| cannot(wal::DIRECTORY, intent);
    target.create_dir(wal::DIRECTORY).map_err(io("made"))?;
    target.sync_dir("").map_err(io("synced"))?;
    let path = wal::path(size);
    for name in target.list(wal::DIRECTORY).map_err(io("read"))? {
        let old = format!("{}/{name}", wal::DIRECTORY);
        if old != path {
            target.remove(&old).map_err(io("removed"))?;
        }
    }
    let made = wal::prepare(target, wal::WRITERS_SPARE, wal::SEGMENT_HEADER_BYTES)
        .and_then(|spare| wal::create(target, size, spare));
    made.map(drop).map_err(io("made"))
}

/// Partial tiles of an earlier copy. What stays behind does no harm.
fn remove_superseded(target: &dyn Disk, size: u64) {
    for tile in crate::doctor::superseded(target, size) {
        let path = tile.to_string();
        let _ = target.remove(&path);
        let _ = target.remove(parent(&path));
    }
}

fn read_checkpoint(disk: &dyn Disk) -> Result<Option<(String, Checkpoint)>, CopyError> {
    let Some(bytes) = if_there(disk, CHECKPOINT)? else { return Ok(None) };
    let note = String::from_utf8(bytes).map_err(|_| CopyError::Checkpoint("it is not text".to_owned()))?;
    let text = Note::parse(&note).map(|note| note.text().to_owned());
    let text = text.map_err(|error: NoteError| CopyError::Checkpoint(error.to_string()))?;
    let checkpoint = Checkpoint::parse(&text).map_err(|error| CopyError::Checkpoint(error.to_string()))?;
    Ok(Some((note, checkpoint)))
}

fn if_there(disk: &dyn Disk, path: &str) -> Result<Option<Vec<u8>>, CopyError> {
    match disk::read(disk, path, u64::MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => bytes.map(Some).map_err(cannot(path, "read")),
    }
}

fn beginning(source: &dyn Disk, path: &str, length: u64) -> Result<Vec<u8>, CopyError> {
    let read = || {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        source.open(path, Access::Read)?.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(cannot(path, "read"))
}

fn write(target: &dyn Disk, path: &str, bytes: &[u8]) -> Result<(), CopyError> {
    disk::replace(target, path, bytes).map_err(cannot(path, "written"))
}

/// Each directory of a path, its name durable.
fn make_directories(target: &dyn Disk, path: &str) -> Result<(), CopyError> {
    if path.is_empty() || target.list(path).is_ok() {
        return Ok(());
    }
    make_directories(target, parent(path))?;
    let made = target.create_dir(path).and_then(|()| target.sync_dir(parent(path)));
    made.map_err(cannot(path, "made"))
}

fn damaged(file: &str, what: &str) -> CopyError {
    CopyError::Damaged { file: file.to_owned(), what: what.to_owned() }
}

fn cannot(file: &str, intent: &'static str) -> impl FnOnce(io::Error) -> CopyError {
    move |source| CopyError::Io { file: file.to_owned(), intent, source }
}
