//! Opening a ledger: recovery is reading what the last run left and going on as that run would have.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tlog::checkpoint::CheckpointError;
use tlog::note::KeyError;
use tlog::{Checkpoint, Edge, Frontier, Hash, TileName, VerifierKey};
use tokio::sync::mpsc;

use crate::disk::{self, Access, Disk};
use crate::index;
use crate::integrator::{IntegrateError, Integrator, Written};
use crate::leaf::{Event, Leaf};
use crate::log::{AppendError, Inner, Ledger, QUEUE_LEAVES_MAX, submission};
use crate::notary::{Notary, NotaryError};
use crate::pack::Packing;
use crate::shared::{Pending, Shared, State};
use crate::store::{
    BUNDLE_BYTES_MAX, CHECKPOINT, NAMES_NOTHING, RELATIONS, SET_ASIDE, TILE_BYTES_MAX, UNRECORDED,
};
use crate::wal::{self, Place, ScanError, Tail};
use crate::writer::Writer;
use crate::{Clock, ClockState, LedgerKeys, Randomness, SOFTWARE, system_clock, system_randomness};

/// What a ledger needs.
pub struct LedgerConfig {
    /// The notary's public key, as a C2SP verifier key; its name is the log's origin.
    pub verifier: String,
    /// Encrypts bodies.
    pub keys: LedgerKeys,
    /// The ledger's directory.
    pub disk: Arc<dyn Disk>,
    /// Signs checkpoints.
    pub notary: Box<dyn Notary>,
    /// Dates leaves.
    pub clock: Clock,
    /// Makes bodies' keys.
    pub randomness: Randomness,
    /// Free bytes under which nothing is appended.
    pub disk_free_bytes_min: u64,
    /// Goes into the first leaf, as `cloister 0.1.0`.
    pub software: String,
    /// How the clock stands; goes into the first leaf.
    pub clock_state: Option<ClockState>,
    /// The integrator works at most once in that time, unless someone waits for it.
    pub integrate_interval: Duration,
    /// Bytes of a segment of the write-ahead log, unless one leaf needs more.
    pub wal_segment_bytes: u64,
}

impl LedgerConfig {
    /// The system's clock and randomness, 256 MiB kept free, 200 ms, segments of 16 MiB.
    pub fn new(verifier: String, keys: LedgerKeys, disk: Arc<dyn Disk>, notary: Box<dyn Notary>) -> Self {
        LedgerConfig {
            verifier,
            keys,
            disk,
            notary,
            clock: system_clock(),
            randomness: system_randomness(),
            disk_free_bytes_min: 256 << 20,
            software: SOFTWARE.to_owned(),
            clock_state: None,
            integrate_interval: Duration::from_millis(200),
            wal_segment_bytes: wal::SEGMENT_BYTES,
        }
    }
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the log was new.
    pub created: bool,
    /// Leaves of the write-ahead log that were not integrated yet.
    pub leaves_waiting: u64,
    /// Of these, leaves the notary had signed already.
    pub leaves_signed_before: u64,
    /// Damaged tails, each with the index of the leaf that tells of it.
    pub set_aside: Vec<SetAside>,
    /// Whether the relations were made again from the leaves.
    pub relations_rebuilt: bool,
}

/// A damaged tail of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The segment it was in.
    pub file: String,
    /// Where it began.
    pub offset: u64,
    /// Its length; 0 for a segment that was cut.
    pub bytes: u64,
    /// Where it lies now, beside the log.
    pub moved_to: String,
    /// The `recovered` leaf.
    pub leaf: u64,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The verifier key is malformed.
    #[error("the ledger's verifier key cannot be used")]
    Verifier(#[source] KeyError),
    /// Another process has it open.
    #[error("another process has the ledger open: there is one writer at a time")]
    Locked,
    /// A file cannot be read or written.
    #[error("{path} cannot be {intent}")]
    Io {
        /// The file or directory, relative to the ledger's.
        path: String,
        /// As `read`.
        intent: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The checkpoint is not one of this log.
    #[error("{CHECKPOINT} is not accepted")]
    Checkpoint(#[source] CheckpointError),
    /// A file is not what the ledger wrote.
    #[error("{file} is damaged at offset {offset}: {what}; run `cloister ledger verify`")]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The notary signed more than is here.
    #[error(
        "the notary has signed {signed} leaves, but only {found} are here: the ledger was rolled back or \
         lost its end"
    )]
    RollBack {
        /// Leaves signed.
        signed: u64,
        /// Leaves found.
        found: u64,
    },
    /// The notary has signed less than the checkpoint says.
    #[error(
        "{CHECKPOINT} speaks of {size} leaves, but the notary has signed {signed}: its state was rolled back"
    )]
    NotaryBehind {
        /// Leaves of the checkpoint.
        size: u64,
        /// Leaves signed.
        signed: u64,
    },
    /// The notary signed another log.
    #[error("the notary signed another history of {size} leaves than the one that is here")]
    Disagrees {
        /// Leaves signed.
        size: u64,
    },
    /// The notary fails.
    #[error("the notary cannot be asked")]
    Notary(#[source] NotaryError),
    /// What was signed could not be integrated.
    #[error("leaves that the notary has signed could not be integrated")]
    Integrate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The first or the `recovered` leaf could not be written.
    #[error("the ledger's {kind} leaf could not be written")]
    Append {
        /// Its kind.
        kind: &'static str,
        /// Why.
        #[source]
        source: AppendError,
    },
    /// A thread could not be started.
    #[error("a thread of the ledger could not be started")]
    Thread(#[source] io::Error),
}

impl Ledger {
    /// Opens the ledger, or begins it. Blocks on the disk and the notary.
    ///
    /// A torn or damaged end of the write-ahead log is set aside, and a leaf tells of it; any other
    /// wrong byte that is found is an error. Not every byte is looked at: that is
    /// [`verify`](crate::verify)'s work.
    pub fn open(config: LedgerConfig) -> Result<(Ledger, Recovery), OpenError> {
        let disk = config.disk;
        let mut notary = config.notary;
        let verifier: VerifierKey = config.verifier.parse().map_err(OpenError::Verifier)?;
        let mut recovery = Recovery::default();
        let lock = disk.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked,
            _ => cannot("", "locked")(error),
        })?;
        prepare_directories(&*disk)?;

        let integrated = read_integrated(&*disk, &verifier)?;
        recovery.relations_rebuilt = rebuild_relations(&*disk, integrated.edge.size())?;
        let wal = read_wal(&*disk, integrated.edge.size())?;
        recovery.leaves_waiting = wal.pending.len() as u64;
        let signed_before = ask_notary(&mut *notary, &verifier, &integrated, &wal.pending)?;

        let size = integrated.edge.size() + wal.pending.len() as u64;
        recovery.created = size == 0;
        no_segment(&wal, integrated.edge.size())?;
        if let Some(tail) = &wal.scan.tail {
            set_aside(&*disk, tail, wal.scan.length)?;
        }
        let integrated_size = integrated.edge.size();
        let shared = Arc::new(Shared::new(
            State {
                size,
                integrated: integrated_size,
                checkpoint: integrated.checkpoint,
                pending: wal.pending.clone().into(),
                segments: wal.scan.segments.clone().into(),
                ..State::default()
            },
            lock,
        ));
        let mut integrator = Integrator {
            disk: disk.clone(),
            shared: shared.clone(),
            notary,
            verifier: verifier.clone(),
            edge: integrated.edge,
            frontier: integrated.frontier,
            bundle: integrated.bundle,
            packing: Packing::new(integrated_size, integrated.packed_bytes),
            interval: config.integrate_interval,
            segment_bytes: config.wal_segment_bytes,
            written: Written::default(),
            spares: 0,
        };
        if let Some((note, leaves)) = signed_before {
            recovery.leaves_signed_before = leaves.len() as u64;
            let stored = integrator.store(&leaves, &note);
            stored.map_err(|error: IntegrateError| OpenError::Integrate(Box::new(error)))?;
        }

        let mut writer = open_writer(
            WriterParts {
                disk: disk.clone(),
                shared: shared.clone(),
                keys: config.keys.clone(),
                clock: config.clock,
                disk_free_bytes_min: config.disk_free_bytes_min,
                segment_bytes: config.wal_segment_bytes,
            },
            &wal.scan,
            size,
        )?;
        if recovery.created {
            let event = Event::Genesis {
                origin: verifier.name().to_owned(),
                verifier: verifier.to_string(),
                software: config.software,
                clock: config.clock_state,
            };
            append_now(&mut writer, &event, &config.randomness)?;
        }
        record_set_aside(&mut writer, &mut recovery, &config.randomness)?;

        let (sender, inbox) = mpsc::channel(QUEUE_LEAVES_MAX);
        let threads = vec![
            spawn("ledger-writer", move || writer.run(inbox))?,
            spawn("ledger-integr", move || integrator.run())?,
        ];
        let inner = Inner {
            disk,
            shared,
            keys: config.keys,
            randomness: config.randomness,
            origin: verifier.name().to_owned(),
            verifier: verifier.to_string(),
            sender,
            threads: Mutex::new(threads),
            index: Mutex::default(),
        };
        let inner = Arc::new(inner);
        if inner.disk.directory().is_some() {
            let (ledger, shared) = (Arc::downgrade(&inner), inner.shared.clone());
            let disk_free_bytes_min = config.disk_free_bytes_min;
            let index = spawn("ledger-index", move || index::follow(&ledger, &shared, disk_free_bytes_min))?;
            inner.threads.lock().unwrap_or_else(PoisonError::into_inner).push(index);
        }
        let ledger = Ledger { inner };
        if wal.erases {
            // A crash may have come between an erasure and the end of the segment that held the key.
            ledger.settle().map_err(|source| OpenError::Append { kind: "erasure", source })?;
        }
        Ok((ledger, recovery))
    }
}

fn cannot(path: &str, intent: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { path: path.to_owned(), intent, source }
}

/// Names that a killed process left visible but not durable are made durable before anything relies on
/// them.
fn prepare_directories(disk: &dyn Disk) -> Result<(), OpenError> {
    for directory in [wal::DIRECTORY, SET_ASIDE] {
        disk.create_dir(directory).map_err(cannot(directory, "made"))?;
    }
    for directory in ["", wal::DIRECTORY, SET_ASIDE] {
        disk.sync_dir(directory).map_err(cannot(directory, "synced"))?;
    }
    wal::remove_spares(disk).map_err(cannot(wal::DIRECTORY, "cleaned"))
}

/// The right edge of what is integrated.
struct Integrated {
    checkpoint: Option<String>,
    edge: Edge,
    frontier: Frontier,
    /// The entries of the bundle that is not full.
    bundle: Vec<u8>,
    /// Bytes that the bodies of its leaves have in their pack.
    packed_bytes: u64,
}

fn read_integrated(disk: &dyn Disk, verifier: &VerifierKey) -> Result<Integrated, OpenError> {
    let note = match disk::read(disk, CHECKPOINT, tlog::note::NOTE_BYTES_MAX as u64) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (edge, frontier) = (Edge::new(), Frontier::new());
            return Ok(Integrated { checkpoint: None, edge, frontier, bundle: Vec::new(), packed_bytes: 0 });
        }
        note => note.map_err(cannot(CHECKPOINT, "read"))?,
    };
    let note = String::from_utf8(note).map_err(|error| OpenError::Damaged {
        file: CHECKPOINT.to_owned(),
        offset: error.utf8_error().valid_up_to() as u64,
        what: "it is not text".to_owned(),
    })?;
    let checkpoint = Checkpoint::open(&note, verifier).map_err(OpenError::Checkpoint)?;
    let edge = Edge::read(checkpoint.size, |name| read_hashes(disk, name))?;
    let (bundle, packed_bytes) = read_partial_bundle(disk, &edge)?;
    match edge.frontier() {
        Some(frontier) if frontier.root() == checkpoint.root => {
            Ok(Integrated { checkpoint: Some(note), edge, frontier, bundle, packed_bytes })
        }
        _ => Err(wrong_tile(disk, &edge)),
    }
}

fn read_hashes(disk: &dyn Disk, name: TileName) -> Result<Vec<Hash>, OpenError> {
    let file = name.to_string();
    let bytes = disk::read(disk, &file, TILE_BYTES_MAX).map_err(cannot(&file, "read"))?;
    let (length, expected) = (bytes.len(), usize::from(name.width) * 32);
    tlog::tile::decode(&bytes, name.width).ok_or_else(|| OpenError::Damaged {
        file,
        offset: length.min(expected) as u64,
        what: format!("it has {length} bytes instead of {expected}"),
    })
}

/// Its bytes, and how many its leaves' bodies have.
fn read_partial_bundle(disk: &dyn Disk, edge: &Edge) -> Result<(Vec<u8>, u64), OpenError> {
    let (index, width) = tlog::tile::widths(0, edge.size());
    let level0 = edge.partials().find(|(name, _)| name.level == Some(0));
    let Some((_, hashes)) = level0 else { return Ok((Vec::new(), 0)) };
    let file = TileName { level: None, index, width }.to_string();
    let bundle = disk::read(disk, &file, BUNDLE_BYTES_MAX).map_err(cannot(&file, "read"))?;
    let damaged =
        |offset: usize, what: String| OpenError::Damaged { file: file.clone(), offset: offset as u64, what };
    let entries = tlog::entry::parse(&bundle, usize::from(width)).map_err(|error| match error {
        tlog::entry::BundleError::Truncated { offset } => damaged(offset, error.to_string()),
        tlog::entry::BundleError::Trailing { offset } => damaged(offset, error.to_string()),
    })?;
    let mut packed_bytes = 0;
    for (entry, hash) in entries.iter().zip(hashes) {
        if tlog::leaf_hash(entry.leaf) != *hash {
            return Err(damaged(
                entry.offset,
                format!("an entry is not the leaf that tile/0/{} has", tlog::tile::index_path(index)),
            ));
        }
        let leaf = Leaf::parse(entry.leaf)
            .map_err(|error| damaged(entry.offset, format!("the leaf cannot be read: {error}")))?;
        packed_bytes += leaf.body.map_or(0, |body| body.bytes);
    }
    Ok((bundle, packed_bytes))
}

/// Finds which hash of the right edge is not that of the tile below it.
fn wrong_tile(disk: &dyn Disk, edge: &Edge) -> OpenError {
    for (name, hashes) in edge.partials() {
        let Some(below) = name.level.and_then(|level| level.checked_sub(1)) else { continue };
        for (place, hash) in (0u64..).zip(hashes) {
            let child = TileName { level: Some(below), index: name.index * 256 + place, width: 256 };
            let made = match read_hashes(disk, child) {
                Ok(hashes) => {
                    hashes.try_into().map(|hashes: [Hash; 256]| tlog::tile::full_tile_root(&hashes))
                }
                Err(error) => return error,
            };
            if made.as_ref() != Ok(hash) {
                let what = format!("the hash of {child} is another");
                return OpenError::Damaged { file: name.to_string(), offset: place * 32, what };
            }
        }
    }
    let what = "the tiles do not lead to its root".to_owned();
    OpenError::Damaged { file: CHECKPOINT.to_owned(), offset: 0, what }
}

/// Makes the relations again where they are missing or too short.
fn rebuild_relations(disk: &dyn Disk, size: u64) -> Result<bool, OpenError> {
    let length = match disk.open(RELATIONS, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        file => file.and_then(|file| file.length()).map_err(cannot(RELATIONS, "read"))?,
    };
    if length >= size * 8 {
        return Ok(false);
    }
    let mut relations = Vec::new();
    for index in 0..size.div_ceil(256) {
        let (name, _) = crate::store::bundle_of(index * 256, size);
        let file = name.to_string();
        let bundle = disk::read(disk, &file, BUNDLE_BYTES_MAX).map_err(cannot(&file, "read"))?;
        let damaged = |offset: usize, what: String| OpenError::Damaged {
            file: file.clone(),
            offset: offset as u64,
            what,
        };
        let entries = tlog::entry::parse(&bundle, usize::from(name.width))
            .map_err(|error| damaged(0, error.to_string()))?;
        for entry in entries {
            let leaf = Leaf::parse(entry.leaf)
                .map_err(|error| damaged(entry.offset, format!("the leaf cannot be read: {error}")))?;
            relations.extend(leaf.event.record().unwrap_or(NAMES_NOTHING).to_le_bytes());
        }
    }
    disk::replace(disk, RELATIONS, &relations).map_err(cannot(RELATIONS, "written"))?;
    Ok(true)
}

struct Wal {
    scan: wal::Scan,
    /// Leaves that are not integrated.
    pending: Vec<Pending>,
    /// Whether an erasure is in it: then it may hold what was erased.
    erases: bool,
}

fn read_wal(disk: &dyn Disk, integrated: u64) -> Result<Wal, OpenError> {
    let mut pending = Vec::new();
    let mut unreadable = None;
    let mut erases_any = false;
    let scan = wal::scan(disk, integrated, &mut |place: Place, frame| match Leaf::parse(frame.leaf) {
        Ok(leaf) => {
            let erases = matches!(leaf.event, Event::Erasure(_));
            erases_any |= erases;
            if frame.index >= integrated {
                let (hash, record) = (tlog::leaf_hash(frame.leaf), leaf.event.record());
                pending.push(Pending { place, hash, record, erases });
            }
        }
        Err(error) => unreadable = unreadable.take().or(Some((place, error.to_string()))),
    });
    let scan = scan.map_err(|error| match error {
        ScanError::Io { file, source } => OpenError::Io { path: file, intent: "read", source },
        ScanError::Damaged { file, offset, what } => OpenError::Damaged { file, offset, what },
    })?;
    if let Some((place, error)) = unreadable {
        let what = format!("the leaf cannot be read: {error}");
        return Err(OpenError::Damaged { file: wal::path(place.segment), offset: place.offset, what });
    }
    // What a killed process wrote is visible, durable or not. It may be signed now: make it durable.
    for first in &scan.segments {
        let file = wal::path(*first);
        let synced = disk.open(&file, Access::Write).and_then(|segment| segment.sync());
        synced.map_err(cannot(&file, "synced"))?;
    }
    Ok(Wal { scan, pending, erases: erases_any })
}

/// What opening would find.
pub(crate) struct Examined {
    pub(crate) leaves_integrated: u64,
    /// Leaves that it would integrate.
    pub(crate) leaves_waiting: u64,
    /// Segment and offset of a torn end of the write-ahead log, which it would set aside.
    pub(crate) tail: Option<(u64, u64)>,
}

/// Does what opening does as far as that changes nothing.
pub(crate) fn examine(
    disk: &dyn Disk,
    verifier: &VerifierKey,
    notary: &mut dyn Notary,
) -> Result<Examined, OpenError> {
    let integrated = read_integrated(disk, verifier)?;
    let leaves_integrated = integrated.edge.size();
    let wal = read_wal(disk, leaves_integrated)?;
    ask_notary(notary, verifier, &integrated, &wal.pending)?;
    let leaves_waiting = wal.pending.len() as u64;
    no_segment(&wal, leaves_integrated)?;
    let tail = wal.scan.tail.map(|tail| (tail.segment, tail.offset));
    Ok(Examined { leaves_integrated, leaves_waiting, tail })
}

/// A log that has begun has a segment.
fn no_segment(wal: &Wal, integrated: u64) -> Result<(), OpenError> {
    if wal.scan.segments.is_empty() && integrated > 0 {
        let what = format!("no segment is here, although {integrated} leaves are");
        return Err(OpenError::Damaged { file: wal::DIRECTORY.to_owned(), offset: 0, what });
    }
    Ok(())
}

/// Compares with what the notary signed. Returns the note and the leaves that it signed and that are
/// not integrated yet.
fn ask_notary(
    notary: &mut dyn Notary,
    verifier: &VerifierKey,
    integrated: &Integrated,
    pending: &[Pending],
) -> Result<Option<(String, Vec<Pending>)>, OpenError> {
    let size = integrated.edge.size();
    let Some(note) = notary.last().map_err(OpenError::Notary)? else {
        return if size == 0 { Ok(None) } else { Err(OpenError::NotaryBehind { size, signed: 0 }) };
    };
    let signed = Checkpoint::open(&note, verifier).map_err(|error| OpenError::Notary(error.into()))?;
    let ahead = signed.size.checked_sub(size);
    let ahead = ahead.ok_or(OpenError::NotaryBehind { size, signed: signed.size })?;
    let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
    let Some(leaves) = pending.get(..ahead) else {
        let found = size + pending.len() as u64;
        return Err(OpenError::RollBack { signed: signed.size, found });
    };
    let mut frontier = integrated.frontier.clone();
    leaves.iter().for_each(|pending| frontier.push(pending.hash));
    if frontier.root() != signed.root {
        return Err(OpenError::Disagrees { size: signed.size });
    }
    Ok((!leaves.is_empty()).then(|| (note, leaves.to_vec())))
}

/// Copies a damaged tail to a file of its own, then puts zeros in its place. A crash in between leaves
/// both; doing it again makes no second copy of the same bytes and never writes over other ones.
fn set_aside(disk: &dyn Disk, tail: &Tail, segment_bytes: u64) -> Result<(), OpenError> {
    let digest = protocol::digest::hex(&Sha256::digest(&tail.bytes)[..8]);
    let name = format!("{SET_ASIDE}/wal-{:020}-{}-{digest}{UNRECORDED}", tail.segment, tail.offset);
    disk::write(disk, &name, &tail.bytes).map_err(cannot(&name, "written"))?;
    disk.sync_dir(SET_ASIDE).map_err(cannot(SET_ASIDE, "synced"))?;

    let file = wal::path(tail.segment);
    let rest = usize::try_from(segment_bytes.saturating_sub(tail.offset)).unwrap_or(0);
    disk.open(&file, Access::Write)
        .and_then(|segment| {
            segment.write_at(tail.offset, &vec![0; rest])?;
            segment.sync()
        })
        .map_err(cannot(&file, "cleared"))?;
    tracing::warn!(
        file,
        offset = tail.offset,
        bytes = tail.bytes.len(),
        moved_to = name,
        "damaged tail set aside"
    );
    Ok(())
}

/// Appends a `recovered` leaf for each tail that no leaf tells of yet, then gives it its final name.
fn record_set_aside(
    writer: &mut Writer,
    recovery: &mut Recovery,
    randomness: &Randomness,
) -> Result<(), OpenError> {
    let disk = writer.disk.clone();
    for name in disk.list(SET_ASIDE).map_err(cannot(SET_ASIDE, "read"))? {
        let Some(final_name) = name.strip_suffix(UNRECORDED) else { continue };
        let (path, moved_to) = (format!("{SET_ASIDE}/{name}"), format!("{SET_ASIDE}/{final_name}"));
        let bytes = disk::read(&*disk, &path, u64::MAX).map_err(cannot(&path, "read"))?;
        let (file, offset) = origin_of(final_name);
        let event = Event::Recovered {
            file: file.clone(),
            offset,
            bytes: bytes.len() as u64,
            digest: protocol::Digest(Sha256::digest(&bytes).into()),
            set_aside: moved_to.clone(),
        };
        let leaf = append_now(writer, &event, randomness)?;
        disk.rename(&path, &moved_to).map_err(cannot(&path, "renamed"))?;
        disk.sync_dir(SET_ASIDE).map_err(cannot(SET_ASIDE, "synced"))?;
        recovery.set_aside.push(SetAside { file, offset, bytes: bytes.len() as u64, moved_to, leaf });
    }
    Ok(())
}

/// Where a tail was, from the name it has now.
fn origin_of(name: &str) -> (String, u64) {
    let mut parts = name.split('-').skip(1);
    let segment = parts.next().and_then(|first| first.parse().ok()).map_or(String::new(), wal::path);
    (segment, parts.next().and_then(|offset| offset.parse().ok()).unwrap_or(0))
}

struct WriterParts {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    keys: LedgerKeys,
    clock: Clock,
    disk_free_bytes_min: u64,
    segment_bytes: u64,
}

/// A writer that goes on in the last segment; in a new one, where that does not reach to the next leaf
/// (a damaged tail of leaves that were integrated).
fn open_writer(parts: WriterParts, scan: &wal::Scan, size: u64) -> Result<Writer, OpenError> {
    let last = scan.segments.last().copied();
    let reaches = last.filter(|_| scan.next == Some(size));
    let (segment, position) = match reaches {
        Some(first) => {
            let path = wal::path(first);
            let file = parts.disk.open(&path, Access::Write).map_err(cannot(&path, "opened"))?;
            (wal::Segment { first, length: scan.length, file }, scan.position)
        }
        None => {
            let made = wal::prepare(
                &*parts.disk,
                wal::WRITERS_SPARE,
                parts.segment_bytes.max(wal::SEGMENT_HEADER_BYTES),
            )
            .and_then(|spare| wal::create(&*parts.disk, size, spare));
            let segment = made.map_err(cannot(&wal::path(size), "made"))?;
            let mut state = parts.shared.lock();
            if state.segments.back() != Some(&segment.first) {
                state.segments.push_back(segment.first);
            }
            drop(state);
            (segment, wal::SEGMENT_HEADER_BYTES)
        }
    };
    Ok(Writer {
        disk: parts.disk,
        shared: parts.shared,
        keys: parts.keys,
        clock: parts.clock,
        disk_free_bytes_min: parts.disk_free_bytes_min,
        segment_bytes: parts.segment_bytes,
        segment,
        position,
        next: size,
        buffer: Vec::new(),
        staged: Vec::new(),
    })
}

/// Appends with the writer itself, whose thread has not begun.
fn append_now(writer: &mut Writer, event: &Event, randomness: &Randomness) -> Result<u64, OpenError> {
    let failed = |source| OpenError::Append { kind: event.kind(), source };
    let (submission, mut reply) = submission(event, None, randomness).map_err(failed)?;
    writer.commit(vec![submission]);
    let receipt = reply.try_recv().unwrap_or(Err(AppendError::Closed)).map_err(failed)?;
    Ok(receipt.index)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Thread)
}
