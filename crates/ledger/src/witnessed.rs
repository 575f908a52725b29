//! Cosigned checkpoints, and proofs that lead to them: what goes out to a witness, what comes back, and
//! what is handed to someone who asks whether a leaf is in the log.
//!
//! A checkpoint that was cosigned elsewhere stays as it came, in a file named by its size; tiles are never
//! rewritten, so that later proofs may lead to it. Before it is stored, a leaf tells of it.

use std::io;

use tlog::checkpoint::CheckpointError;
use tlog::note::NoteError;
use tlog::policy::{JudgeError, Judged, PolicyError};
use tlog::proof::{
    ProofError, ProveError, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use tlog::witness::Request;
use tlog::{Checkpoint, Hash, Note, Policy, TileName, TlogProof, leaf_hash};

use crate::disk::{self, Disk};
use crate::log::Ledger;
use crate::store::{CHECKPOINT, EXPORTED, WITNESSED, bundle_of, read_tile, sized_path};

/// Checkpoints that went out and are kept until they come back.
const EXPORTED_MAX: usize = 64;

/// Times a proof is begun again because integration moved what it was about to read.
const ATTEMPTS: usize = 16;

/// A checkpoint that came back from a witness and was checked: [`Ledger::check_witnessed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedCheckpoint {
    /// Its leaves.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Witnesses, by their names in the policy, whose cosignatures are new. Empty where all are stored.
    pub witnesses: Vec<String>,
    /// What is to be stored.
    note: String,
}

/// Why a checkpoint does not go out, or is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Nothing is signed yet.
    #[error("the log has no signed checkpoint yet")]
    NothingSigned,
    /// The witness is said to have more leaves than there are.
    #[error(
        "the log has {size} signed leaves, fewer than the {since} that the witness is said to have cosigned"
    )]
    Since {
        /// What was asked for.
        since: u64,
        /// Leaves signed.
        size: u64,
    },
    /// A file of the log cannot be read or written.
    #[error("{file} cannot be {intent}")]
    Io {
        /// The file or directory.
        file: String,
        /// As `read`.
        intent: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log's own checkpoint cannot be read.
    #[error("the log's checkpoint is not accepted")]
    Checkpoint(#[source] CheckpointError),
    /// The policy cannot be read.
    #[error("the policy cannot be used")]
    Policy(#[from] PolicyError),
    /// The policy does not accept the checkpoint.
    #[error("the cosigned checkpoint is not accepted")]
    Judge(#[from] JudgeError),
    /// No witness but the log itself signed.
    #[error(
        "no witness of the policy cosigned this checkpoint: add the witness first (`cloisterd ledger witness add`)"
    )]
    NotCosigned,
    /// The checkpoint is of more leaves than there are, or of other leaves.
    #[error(
        "the cosigned checkpoint of {size} leaves is not of this log, which has {signed} signed leaves: it was rolled back or rewritten"
    )]
    OtherLog {
        /// The checkpoint's leaves.
        size: u64,
        /// Leaves signed here.
        signed: u64,
    },
}

/// Why there is no proof of a leaf.
#[derive(Debug, thiserror::Error)]
pub enum ProveLeafError {
    /// The checkpoint covers fewer leaves.
    #[error("the checkpoint covers {size} leaves: leaf {index} is not among them")]
    NotCovered {
        /// The leaf.
        index: u64,
        /// The checkpoint's leaves.
        size: u64,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The checkpoint is malformed.
    #[error("the checkpoint is not accepted")]
    Checkpoint(#[from] CheckpointError),
    /// What lies there does not lead to the checkpoint's root.
    #[error("leaf {index} does not lead to the checkpoint's root: run `cloister ledger verify`")]
    Damaged {
        /// The leaf.
        index: u64,
        /// Why.
        #[source]
        source: ProofError,
    },
}

impl Ledger {
    /// What a witness is asked: the newest checkpoint, with the proof that it continues the first `since`
    /// leaves; without a number, those of the newest checkpoint that came back. A copy stays here, so that
    /// what comes back may leave signatures out that the witness does not need.
    pub fn witness_request(&self, since: Option<u64>) -> Result<Request, WitnessError> {
        let disk = &*self.inner.disk;
        let checkpoint = self.head().checkpoint.ok_or(WitnessError::NothingSigned)?;
        let signed = parse(&checkpoint)?;
        let old_size = since.unwrap_or_else(|| stored_sizes(disk, WITNESSED).pop().unwrap_or(0));
        if old_size > signed.size {
            return Err(WitnessError::Since { since: old_size, size: signed.size });
        }
        let consistency = consistency(disk, old_size, signed.size)?;

        store(disk, EXPORTED, signed.size, &checkpoint)?;
        let mut sizes = stored_sizes(disk, EXPORTED);
        sizes.truncate(sizes.len().saturating_sub(EXPORTED_MAX));
        for size in sizes {
            let file = sized_path(EXPORTED, size);
            disk.remove(&file).map_err(cannot(&file, "removed"))?;
        }
        Ok(Request { old_size, consistency, checkpoint })
    }

    /// Checks a cosigned checkpoint that came back, against the policy's text and this log's own tiles.
    /// Signatures of keys that the policy does not know are left out; those that went out with the same
    /// checkpoint, or came back before, are put together with it.
    pub fn check_witnessed(&self, note: &str, policy: &[u8]) -> Result<WitnessedCheckpoint, WitnessError> {
        let disk = &*self.inner.disk;
        let policy = Policy::parse(policy)?;
        let Judged { checkpoint, log, .. } = policy.judge(note)?;
        let own = parse(&self.head().checkpoint.ok_or(WitnessError::NothingSigned)?)?;
        let (size, root) = (checkpoint.size, checkpoint.root);
        let other = WitnessError::OtherLog { size, signed: own.size };
        if checkpoint.origin != own.origin || size > own.size || size == 0 {
            return Err(other);
        }
        let proof = consistency(disk, size, own.size)?;
        verify_consistency(size, &root, own.size, &own.root, &proof).map_err(|_| other)?;

        let stored = read_sized(disk, WITNESSED, size)?;
        let exported = read_sized(disk, EXPORTED, size)?;
        let judged = |note: &Option<String>| note.as_deref().and_then(|note| policy.judge(note).ok());
        let before = judged(&stored).map_or(Vec::new(), |judged| judged.cosigned);
        let mut merged = format!("{}\n", checkpoint.text());
        for key in [&log].into_iter().chain(policy.witnesses()) {
            // What is stored stays; the newest last, so that it is only taken where the others have none.
            for source in stored.as_deref().into_iter().chain(exported.as_deref()).chain([note]) {
                let Ok(parsed) = Note::parse(source) else { continue };
                if parsed.text() != checkpoint.text() || !matches!(parsed.signed(key), Ok(Some(_))) {
                    continue;
                }
                merged.push_str(&parsed.lines_of(key).concat());
                break;
            }
        }
        let now = policy.judge(&merged)?;
        let from_elsewhere = |key_name: &str| key_name != checkpoint.origin;
        if !now.cosigned.iter().any(|cosigned| from_elsewhere(&cosigned.key_name)) {
            return Err(WitnessError::NotCosigned);
        }
        let is_new = |name: &String| !before.iter().any(|known| known.witness == *name);
        let witnesses = now.cosigned.into_iter().filter(|cosigned| from_elsewhere(&cosigned.key_name));
        let witnesses = witnesses.map(|cosigned| cosigned.witness).filter(is_new).collect();
        Ok(WitnessedCheckpoint { size, root, witnesses, note: merged })
    }

    /// Stores a cosigned checkpoint, durably. The leaf that tells of it must be in the log.
    pub fn store_witnessed(&self, checkpoint: &WitnessedCheckpoint) -> Result<(), WitnessError> {
        store(&*self.inner.disk, WITNESSED, checkpoint.size, &checkpoint.note)
    }

    /// [`prove`] of a leaf of this ledger, which must be signed.
    pub fn prove(&self, index: u64) -> Result<TlogProof, ProveLeafError> {
        prove(&*self.inner.disk, index, None)
    }
}

/// Proves that a leaf is in a log, from the log's files. The proof leads to the given checkpoint, else to
/// the newest that came back from a witness and covers the leaf, else to the log's newest. It carries the
/// leaf's bytes. Signatures are not checked here: who gets the proof does.
pub fn prove(disk: &dyn Disk, index: u64, checkpoint: Option<String>) -> Result<TlogProof, ProveLeafError> {
    let note = match checkpoint {
        Some(note) => note,
        None => {
            let newest = stored_sizes(disk, WITNESSED).pop().filter(|size| *size > index);
            read_note(disk, &newest.map_or(CHECKPOINT.to_owned(), |size| sized_path(WITNESSED, size)))?
        }
    };
    let text = Note::parse(&note).map_err(CheckpointError::from)?.text();
    let Checkpoint { size, root, .. } = Checkpoint::parse(text)?;
    if index >= size {
        return Err(ProveLeafError::NotCovered { index, size });
    }
    let unreadable = |source| ProveLeafError::Io { file: "tile".to_owned(), source };
    let hashes = attempt(|| {
        prove_inclusion(index, size, |height, at| hash(disk, size, height, at)).map_err(read_failure)
    });
    let hashes = hashes.map_err(unreadable)?;
    let leaf = attempt(|| leaf_bytes(disk, index, size)).map_err(unreadable)?;
    verify_inclusion(index, size, &leaf_hash(&leaf), &root, &hashes)
        .map_err(|source| ProveLeafError::Damaged { index, source })?;
    Ok(TlogProof { extra: Some(leaf), index, hashes, checkpoint: note })
}

fn read_note(disk: &dyn Disk, file: &str) -> Result<String, ProveLeafError> {
    let note = disk::read(disk, file, tlog::note::NOTE_BYTES_MAX as u64);
    let note = note.and_then(|note| String::from_utf8(note).map_err(io::Error::other));
    note.map_err(|source| ProveLeafError::Io { file: file.to_owned(), source })
}

/// Proves that many leaves are in the first `size` of a log: [`tlog::proof::prove_many`].
pub fn prove_many(disk: &dyn Disk, indexes: &[u64], size: u64) -> Result<Vec<Hash>, ProveLeafError> {
    if let Some(index) = indexes.iter().copied().find(|index| *index >= size) {
        return Err(ProveLeafError::NotCovered { index, size });
    }
    attempt(|| {
        tlog::proof::prove_many(indexes, size, |height, at| hash(disk, size, height, at))
            .map_err(read_failure)
    })
    .map_err(|source| ProveLeafError::Io { file: "tile".to_owned(), source })
}

fn leaf_bytes(disk: &dyn Disk, index: u64, size: u64) -> io::Result<Vec<u8>> {
    let (name, place) = bundle_of(index, size);
    let (found, bundle) = read_tile(disk, name)?;
    let (entries, _) = tlog::entry::prefix(&bundle, place + 1)
        .map_err(|error| io::Error::other(format!("{found}: {error}")))?;
    let entry = entries.last().ok_or_else(|| io::Error::other(format!("{found} is empty")))?;
    Ok(entry.leaf.to_vec())
}

/// Proves that the first `size` leaves begin with the first `smaller`.
pub(crate) fn consistency(disk: &dyn Disk, smaller: u64, size: u64) -> Result<Vec<Hash>, WitnessError> {
    attempt(|| {
        prove_consistency(smaller, size, |height, at| hash(disk, size, height, at)).map_err(read_failure)
    })
    .map_err(cannot("tile", "read"))
}

/// Again, while a partial tile that was found is gone: integration has put a wider one in its place.
fn attempt<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    read()
}

fn read_failure(error: ProveError<io::Error>) -> io::Error {
    match error {
        ProveError::Read(error) => error,
        error @ ProveError::OutOfRange { .. } => io::Error::other(error.to_string()),
    }
}

fn hash(disk: &dyn Disk, size: u64, height: u32, index: u64) -> io::Result<Hash> {
    tlog::tile::hash_in_tiles(size, height, index, |name: TileName| {
        let (found, bytes) = read_tile(disk, name)?;
        tlog::tile::decode(&bytes, found.width)
            .ok_or_else(|| io::Error::other(format!("{found} has {} bytes", bytes.len())))
    })
}

/// Sizes of the checkpoints in a directory, smallest first. Names that are no size are passed over.
pub(crate) fn stored_sizes(disk: &dyn Disk, directory: &str) -> Vec<u64> {
    let names = disk.list(directory).unwrap_or_default();
    let mut sizes: Vec<u64> = names.iter().filter_map(|name| size_of(name)).collect();
    sizes.sort_unstable();
    sizes
}

/// The size that a file's name says, in its one spelling.
pub(crate) fn size_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|size: &u64| format!("{size:020}") == name)
}

fn read_sized(disk: &dyn Disk, directory: &str, size: u64) -> Result<Option<String>, WitnessError> {
    let file = sized_path(directory, size);
    match disk::read(disk, &file, tlog::note::NOTE_BYTES_MAX as u64) {
        Ok(note) => Ok(String::from_utf8(note).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot(&file, "read")(error)),
    }
}

fn store(disk: &dyn Disk, directory: &str, size: u64, note: &str) -> Result<(), WitnessError> {
    disk.create_dir(directory).map_err(cannot(directory, "made"))?;
    disk.sync_dir("").map_err(cannot(directory, "synced"))?;
    let file = sized_path(directory, size);
    disk::replace(disk, &file, note.as_bytes()).map_err(cannot(&file, "written"))
}

fn parse(note: &str) -> Result<Checkpoint, WitnessError> {
    let text = Note::parse(note).map_err(|error: NoteError| WitnessError::Checkpoint(error.into()))?.text();
    Checkpoint::parse(text).map_err(WitnessError::Checkpoint)
}

fn cannot(file: &str, intent: &'static str) -> impl FnOnce(io::Error) -> WitnessError {
    move |source| WitnessError::Io { file: file.to_owned(), intent, source }
}
