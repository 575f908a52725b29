//! The integrator: off the path of requests, it has the notary sign what is durable, and moves it from
//! the write-ahead log into tiles, bundles and bodies.
//!
//! Order: leaf hashes to the notary, the checkpoint checked, files and their names synced, then the
//! checkpoint, then the write-ahead log's segments go. A crash anywhere leaves the log whole: what the
//! checkpoint does not cover is still in the write-ahead log, and doing it again writes the same bytes.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tlog::checkpoint::CheckpointError;
use tlog::{Checkpoint, Edge, Frontier, Hash, TileName, VerifierKey};

use crate::disk::{Access, Disk, DiskFile, open_or_create, parent, replace};
use crate::leaf::{Event, Leaf};
use crate::notary::{LEAF_HASHES_MAX, Notary, NotaryError};
use crate::pack::{self, Packing};
use crate::shared::{Pending, Shared, chain};
use crate::store::{CHECKPOINT, NAMES_NOTHING, RELATIONS};
use crate::{body, wal};

/// Leaves of one round.
const ROUND_LEAVES_MAX: usize = 8 * LEAF_HASHES_MAX;

/// Directories remembered as durable.
const KNOWN_DIRECTORIES_MAX: usize = 4096;

/// Files that are written before the first of them is synced, so that the file system can make them durable
/// together.
const FILES_OPEN_MAX: usize = 64;

pub(crate) struct Integrator {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) notary: Box<dyn Notary>,
    pub(crate) verifier: VerifierKey,
    pub(crate) edge: Edge,
    pub(crate) frontier: Frontier,
    /// Entries of the bundle that is not full.
    pub(crate) bundle: Vec<u8>,
    pub(crate) packing: Packing,
    pub(crate) interval: Duration,
    pub(crate) segment_bytes: u64,
    pub(crate) written: Written,
    /// Spare segments made so far.
    pub(crate) spares: u64,
}

/// Files of a round, and what must be synced before they count.
#[derive(Default)]
pub(crate) struct Written {
    /// Written, not synced.
    files: Vec<Box<dyn DiskFile>>,
    /// Names in them are not durable yet.
    directories: BTreeSet<String>,
    /// Made by us, or found and synced since: their own names are durable, or about to be.
    known: HashSet<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum IntegrateError {
    #[error(transparent)]
    Notary(#[from] NotaryError),
    #[error("the notary's checkpoint is not accepted")]
    Checkpoint(#[from] CheckpointError),
    #[error("the notary signed {size} leaves with another root than this log's {expected} leaves have")]
    Disagrees { size: u64, expected: u64 },
    #[error("tiles or bodies could not be written")]
    Io(#[from] io::Error),
    #[error("the write-ahead log's frame of leaf {index} in {file} at offset {offset} has changed")]
    Changed { index: u64, file: String, offset: u64 },
    #[error("leaf {index} cannot be read")]
    Leaf {
        index: u64,
        #[source]
        source: serde_json::Error,
    },
}

impl Integrator {
    /// Serves until the writer has ended and everything is integrated, or nothing goes any further.
    pub(crate) fn run(mut self) {
        let _end = IntegratorEnd(self.shared.clone());
        while let Some(pending) = self.wait_for_work() {
            if let Err(error) = self.round(&pending) {
                self.shared.poison(format!("the log could not be integrated: {}", chain(&error)));
                return;
            }
        }
    }

    /// The next round's leaves; `None` at the end. At most one round an interval, unless someone waits.
    fn wait_for_work(&self) -> Option<Vec<Pending>> {
        let mut since = Instant::now();
        let mut state = self.shared.lock();
        loop {
            if state.poisoned.is_some() {
                return None;
            }
            if state.pending.is_empty() {
                if state.writer_ended {
                    return None;
                }
                state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                since = Instant::now();
                continue;
            }
            let urgent = state.writer_ended || state.sign_up_to > state.integrated;
            let rest = self.interval.saturating_sub(since.elapsed());
            if urgent || rest.is_zero() {
                return Some(state.pending.iter().take(ROUND_LEAVES_MAX).copied().collect());
            }
            let waited = self.shared.work.wait_timeout(state, rest);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn round(&mut self, pending: &[Pending]) -> Result<(), IntegrateError> {
        let note = self.sign(pending)?;
        self.store(pending, &note)?;
        self.prepare_spare()
    }

    /// Has the notary sign the leaves, and checks what it says.
    fn sign(&mut self, pending: &[Pending]) -> Result<String, IntegrateError> {
        let mut note = String::new();
        let mut frontier = self.frontier.clone();
        for chunk in pending.chunks(LEAF_HASHES_MAX) {
            let hashes: Vec<Hash> = chunk.iter().map(|pending| pending.hash).collect();
            note = self.notary.extend(frontier.size(), &hashes)?;
            hashes.iter().for_each(|hash| frontier.push(*hash));
            let signed = Checkpoint::open(&note, &self.verifier)?;
            if (signed.size, signed.root) != (frontier.size(), frontier.root()) {
                return Err(IntegrateError::Disagrees { size: signed.size, expected: frontier.size() });
            }
        }
        Ok(note)
    }

    /// Moves leaves, which the note signs, from the write-ahead log to where they stay.
    pub(crate) fn store(&mut self, pending: &[Pending], note: &str) -> Result<(), IntegrateError> {
        let superseded = self.partials();
        let first = self.edge.size();
        let mut relations = Vec::with_capacity(pending.len() * 8);
        for (index, pending) in (first..).zip(pending) {
            self.store_leaf(index, pending)?;
            relations.extend(pending.record.unwrap_or(NAMES_NOTHING).to_le_bytes());
        }
        self.flush_bodies()?;
        let partials: Vec<_> = self.edge.partials().map(|(name, hashes)| (name, hashes.concat())).collect();
        // One that is as it was stays as it is: the checkpoint that counts until the next one needs it, and readers read it.
        for (name, bytes) in partials.into_iter().filter(|(name, _)| !superseded.contains(name)) {
            self.write(&name.to_string(), &bytes)?;
        }
        if let Some(name) = self.partial_bundle() {
            let bundle = std::mem::take(&mut self.bundle);
            self.write(&name.to_string(), &bundle)?;
            self.bundle = bundle;
        }
        let file = open_or_create(&*self.disk, RELATIONS)?;
        file.write_at(first * 8, &relations)?;
        self.written.files.push(file);
        self.sync()?;
        replace(&*self.disk, CHECKPOINT, note.as_bytes())?;

        let integrated = self.edge.size();
        let mut state = self.shared.lock();
        state.integrated = integrated;
        state.checkpoint = Some(note.to_owned());
        state.pending.drain(..pending.len());
        drop(state);
        self.shared.progress.notify_all();
        self.clean(&superseded)?;
        Ok(self.shared.remove_finished_segments(&*self.disk)?)
    }

    fn store_leaf(&mut self, index: u64, pending: &Pending) -> Result<(), IntegrateError> {
        let bytes = wal::read_frame(&*self.disk, pending.place)?;
        let frame = wal::parse(&bytes)
            .filter(|frame| frame.index == index && tlog::leaf_hash(frame.leaf) == pending.hash)
            .ok_or_else(|| IntegrateError::Changed {
                index,
                file: wal::path(pending.place.segment),
                offset: pending.place.offset,
            })?;
        if let Some((payload, wrap)) = body::split(frame.body) {
            if self.packing.is_full_for(index) {
                self.flush_bodies()?;
            }
            self.packing.push(index, payload, wrap);
        }
        if pending.erases {
            self.erase(index, frame.leaf)?;
        }
        tlog::entry::append(&mut self.bundle, frame.leaf).map_err(io::Error::other)?;
        let mut full = Vec::new();
        self.edge.push(pending.hash, |name, hashes| full.push((name, hashes.concat())));
        self.frontier.push(pending.hash);
        for (name, bytes) in full {
            self.write(&name.to_string(), &bytes)?;
        }
        if self.edge.size().is_multiple_of(256) {
            let name = TileName { level: None, index: index / 256, width: 256 };
            let bundle = std::mem::take(&mut self.bundle);
            self.write(&name.to_string(), &bundle)?;
        }
        Ok(())
    }

    /// Bodies before the leaf that erases some of them, so that doing it again ends the same.
    fn erase(&mut self, index: u64, leaf: &[u8]) -> Result<(), IntegrateError> {
        let leaf = Leaf::parse(leaf).map_err(|source| IntegrateError::Leaf { index, source })?;
        let Event::Erasure(erasure) = leaf.event else { return Ok(()) };
        self.flush_bodies()?;
        for erased in erasure.leaves.iter().filter(|erased| erased.index < index) {
            self.written.files.extend(pack::destroy(&*self.disk, erased.index)?);
        }
        Ok(())
    }

    fn flush_bodies(&mut self) -> io::Result<()> {
        for (path, offset, bytes) in self.packing.flush().into_iter().flatten() {
            self.make_directories(parent(&path))?;
            let file = open_or_create(&*self.disk, &path)?;
            file.write_at(offset, &bytes)?;
            self.wrote(&path, file)?;
        }
        Ok(())
    }

    /// Removes what the new checkpoint no longer needs. A crash in between leaves files that nothing
    /// reads.
    fn clean(&mut self, superseded: &[TileName]) -> Result<(), IntegrateError> {
        let still = self.partials();
        for name in superseded.iter().filter(|name| !still.contains(name)) {
            let path = name.to_string();
            self.disk.remove(&path)?;
            if !still.iter().any(|partial| (partial.level, partial.index) == (name.level, name.index)) {
                let directory = parent(&path);
                self.written.known.remove(directory);
                // A partial tile of a round that a crash cut off may be left in it.
                let _ = self.disk.remove(directory);
            }
        }
        Ok(())
    }

    /// Makes the next segment of the write-ahead log while nobody waits for it. The writer may have taken the
    /// one before and not have renamed it yet: each has a name of its own, or this would empty that file.
    fn prepare_spare(&mut self) -> Result<(), IntegrateError> {
        let state = self.shared.lock();
        let needed = state.spare.is_none() && !state.writer_ended;
        drop(state);
        if needed {
            self.spares += 1;
            let name = format!("spare-{}", self.spares);
            let spare = wal::prepare(&*self.disk, &name, self.segment_bytes)?;
            self.shared.lock().spare = Some(spare);
        }
        Ok(())
    }

    fn partials(&self) -> Vec<TileName> {
        self.edge.partials().map(|(name, _)| name).chain(self.partial_bundle()).collect()
    }

    fn partial_bundle(&self) -> Option<TileName> {
        let (index, width) = tlog::tile::widths(0, self.edge.size());
        (width > 0).then_some(TileName { level: None, index, width })
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.make_directories(parent(path))?;
        let file = self.disk.open(path, Access::Create)?;
        file.write_at(0, bytes)?;
        self.wrote(path, file)
    }

    fn wrote(&mut self, path: &str, file: Box<dyn DiskFile>) -> io::Result<()> {
        self.written.files.push(file);
        self.written.directories.insert(parent(path).to_owned());
        if self.written.files.len() >= FILES_OPEN_MAX { self.sync_files() } else { Ok(()) }
    }

    /// A directory that an earlier, killed process made may be visible without being durable: what
    /// this process has not seen before is synced in any case.
    fn make_directories(&mut self, directory: &str) -> io::Result<()> {
        if directory.is_empty() || self.written.known.contains(directory) {
            return Ok(());
        }
        self.make_directories(parent(directory))?;
        self.disk.create_dir(directory)?;
        self.written.directories.insert(parent(directory).to_owned());
        if self.written.known.len() >= KNOWN_DIRECTORIES_MAX {
            self.written.known.clear();
        }
        self.written.known.insert(directory.to_owned());
        Ok(())
    }

    fn sync_files(&mut self) -> io::Result<()> {
        self.written.files.drain(..).try_for_each(|file| file.sync())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_files()?;
        std::mem::take(&mut self.written.directories).iter().try_for_each(|path| self.disk.sync_dir(path))
    }
}

/// Wakes whoever waits, however the integrator ends.
struct IntegratorEnd(Arc<Shared>);

impl Drop for IntegratorEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the integrator's thread panicked".to_owned());
        }
        self.0.progress.notify_all();
    }
}
