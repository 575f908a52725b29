//! The notary: it alone holds the signing key, keeps the tree's frontier, and signs only the root that
//! it computed itself from the leaf hashes it was handed in order.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tlog::checkpoint::CheckpointError;
use tlog::note::{KeyError, NoteError};
use tlog::{Checkpoint, CosigningKey, Frontier, Hash, Note, SigningKey};

use crate::Clock;
use crate::disk::{Disk, RealDisk, read, replace};

/// Leaf hashes that [`Notary::extend`] takes at once.
pub const LEAF_HASHES_MAX: usize = protocol::control::LEAF_HASHES_MAX;

/// Who signs checkpoints: [`LocalNotary`] in this process, or the supervisor's behind a socket.
pub trait Notary: Send + 'static {
    /// The last checkpoint that was signed; `None` for a new log.
    fn last(&mut self) -> Result<Option<String>, NotaryError>;

    /// Appends leaf hashes, of which the first is that of leaf `from`, and signs the new checkpoint:
    /// durable with the notary before it is handed out. At most [`LEAF_HASHES_MAX`].
    fn extend(&mut self, from: u64, hashes: &[Hash]) -> Result<String, NotaryError>;
}

/// Why the notary does not sign.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// The notary's state cannot be read or written.
    #[error("the notary's state cannot be {intent}")]
    Storage {
        /// `read` or `written`.
        intent: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The notary's state is damaged.
    #[error("the notary's state is damaged: {0}")]
    Damaged(&'static str),
    /// The key cannot be used.
    #[error("the notary's key cannot be used")]
    Key(#[from] KeyError),
    /// The checkpoint could not be signed, or a stored one is not the notary's.
    #[error("the notary's checkpoint is wrong")]
    Checkpoint(#[from] CheckpointError),
    /// Leaves are missing before those handed over.
    #[error("leaf hashes from {from} on were handed over, but the notary has {size} leaves: a gap")]
    Gap {
        /// Index of the first hash.
        from: u64,
        /// The notary's size.
        size: u64,
    },
    /// The hashes are not those signed before, or cannot be compared with them any more.
    #[error("leaf hashes from {from} on do not continue or repeat the {size} leaves signed before")]
    Disagrees {
        /// Index of the first hash.
        from: u64,
        /// The notary's size.
        size: u64,
    },
    /// More than [`LEAF_HASHES_MAX`] hashes.
    #[error("{0} leaf hashes at once are more than {LEAF_HASHES_MAX}")]
    TooMany(usize),
    /// Writing the state failed before; what is durable is not known until it is opened again.
    #[error("the notary's state could not be written before; nothing is signed until it is opened again")]
    Poisoned,
    /// The notary is in another process, which says no.
    #[error("the notary refuses: {0}")]
    Refused(String),
    /// The notary is in another process, which does not answer.
    #[error("the notary does not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

const STATE: &str = "state";
const STATE_BYTES_MAX: u64 = 1 << 21;
const MAGIC: &[u8; 8] = b"CLSTRNT1";

/// A notary in this process. Its state is one file, `state`: the frontier, the one before it (so that
/// the last call may be repeated, and is checked), and the last checkpoint.
pub struct LocalNotary {
    disk: Arc<dyn Disk>,
    key: SigningKey,
    /// The log's second key, and the clock that dates what it signs.
    second: Option<(CosigningKey, Clock)>,
    before: Frontier,
    frontier: Frontier,
    checkpoint: Option<String>,
    poisoned: bool,
}

impl LocalNotary {
    /// The notary of a directory, which is made when it is missing. `seed` is the Ed25519 secret and
    /// `origin` the log's name, which is the key's.
    pub fn open(dir: &Path, origin: &str, seed: [u8; 32]) -> Result<Self, NotaryError> {
        let disk = RealDisk::create(dir);
        let disk = disk.map_err(|source| NotaryError::Storage { intent: "read", source })?;
        LocalNotary::open_on(Arc::new(disk), origin, seed)
    }

    /// The notary of a storage.
    pub fn open_on(disk: Arc<dyn Disk>, origin: &str, seed: [u8; 32]) -> Result<Self, NotaryError> {
        let key = SigningKey::new(origin, seed)?;
        // A process that was killed may have left a name that is visible and not durable.
        disk.sync_dir("").map_err(|source| NotaryError::Storage { intent: "read", source })?;
        let (before, frontier, checkpoint) = match read(&*disk, STATE, STATE_BYTES_MAX) {
            Ok(bytes) => {
                let (before, frontier, note) = decode(&bytes)?;
                let signed = Checkpoint::open(&note, key.verifier())?;
                if (signed.size, signed.root) != (frontier.size(), frontier.root()) {
                    return Err(NotaryError::Damaged("the checkpoint is not the frontier's"));
                }
                (before, frontier, Some(note))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                (Frontier::new(), Frontier::new(), None)
            }
            Err(source) => return Err(NotaryError::Storage { intent: "read", source }),
        };
        Ok(LocalNotary { disk, key, second: None, before, frontier, checkpoint, poisoned: false })
    }

    /// Has each checkpoint signed a second time, with ML-DSA-44 by a key of the log's name: for when
    /// Ed25519 can be broken. `seed` is its secret; the clock dates what it signs.
    pub fn signing_twice(mut self, seed: [u8; 32], clock: Clock) -> Result<Self, NotaryError> {
        let key = CosigningKey::ml_dsa_44(self.key.verifier().name(), seed)?;
        if let Some(note) = &self.checkpoint {
            // The last checkpoint may be from before the second key was made; a wrong signature is no such.
            Note::parse(note).and_then(|note| note.signed(key.verifier())).map_err(CheckpointError::from)?;
        }
        self.second = Some((key, clock));
        Ok(self)
    }

    /// The second public key, where there is one, as a C2SP verifier key.
    pub fn second_verifier(&self) -> Option<String> {
        self.second.as_ref().map(|(key, _)| key.verifier().to_string())
    }

    fn sign(&self, checkpoint: &Checkpoint) -> Result<String, NotaryError> {
        let mut note = checkpoint.sign(&self.key)?;
        if let Some((key, clock)) = &self.second {
            // A clock that was not set yet is no reason to stop; a time of 0 would state none.
            let line = key.cosign(checkpoint, (clock() / 1000).max(1));
            note.push_str(&line.map_err(|error: NoteError| CheckpointError::from(error))?);
        }
        Ok(note)
    }

    /// Goes on from a checkpoint that this key signed, where there is no state: that of a ledger that is put
    /// back from a copy. Whoever does it must know that nothing later was signed.
    pub fn adopt(&mut self, note: &str, frontier: Frontier) -> Result<(), NotaryError> {
        if self.checkpoint.is_some() {
            return Err(NotaryError::Refused("it has a state already".to_owned()));
        }
        let signed = Checkpoint::open(note, self.key.verifier())?;
        if (signed.size, signed.root) != (frontier.size(), frontier.root()) {
            return Err(NotaryError::Damaged("the checkpoint is not the frontier's"));
        }
        replace(&*self.disk, STATE, &encode(&frontier, &frontier, note))
            .map_err(|source| NotaryError::Storage { intent: "written", source })?;
        (self.before, self.frontier, self.checkpoint) = (frontier.clone(), frontier, Some(note.to_owned()));
        Ok(())
    }

    /// The public key, as a C2SP verifier key.
    pub fn verifier(&self) -> String {
        self.key.verifier().to_string()
    }

    fn repeat(&self, from: u64, hashes: &[Hash]) -> Option<String> {
        if from != self.before.size() {
            return None;
        }
        let mut again = self.before.clone();
        hashes.iter().for_each(|hash| again.push(*hash));
        if again == self.frontier { self.checkpoint.clone() } else { None }
    }
}

impl Notary for LocalNotary {
    fn last(&mut self) -> Result<Option<String>, NotaryError> {
        if self.poisoned { Err(NotaryError::Poisoned) } else { Ok(self.checkpoint.clone()) }
    }

    fn extend(&mut self, from: u64, hashes: &[Hash]) -> Result<String, NotaryError> {
        let size = self.frontier.size();
        if self.poisoned {
            return Err(NotaryError::Poisoned);
        }
        if hashes.len() > LEAF_HASHES_MAX {
            return Err(NotaryError::TooMany(hashes.len()));
        }
        if from > size {
            return Err(NotaryError::Gap { from, size });
        }
        if from < size {
            return self.repeat(from, hashes).ok_or(NotaryError::Disagrees { from, size });
        }

        let mut frontier = self.frontier.clone();
        hashes.iter().for_each(|hash| frontier.push(*hash));
        let origin = self.key.verifier().name().to_owned();
        let checkpoint = Checkpoint { origin, size: frontier.size(), root: frontier.root() };
        let note = self.sign(&checkpoint)?;
        let state = encode(&self.frontier, &frontier, &note);
        if let Err(source) = replace(&*self.disk, STATE, &state) {
            self.poisoned = true;
            return Err(NotaryError::Storage { intent: "written", source });
        }
        self.before = std::mem::replace(&mut self.frontier, frontier);
        self.checkpoint = Some(note.clone());
        Ok(note)
    }
}

/// Magic, both frontiers each with its length (big-endian, 2 bytes), the note, and SHA-256 of all.
fn encode(before: &Frontier, frontier: &Frontier, note: &str) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for frontier in [before.to_bytes(), frontier.to_bytes()] {
        // A frontier has at most 65 times 32 bytes.
        bytes.extend(u16::try_from(frontier.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(frontier);
    }
    bytes.extend(note.as_bytes());
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

fn decode(bytes: &[u8]) -> Result<(Frontier, Frontier, String), NotaryError> {
    let damaged = |what| move || NotaryError::Damaged(what);
    let (content, digest) = bytes.split_last_chunk::<32>().ok_or_else(damaged("it is cut off"))?;
    if Sha256::digest(content).as_slice() != digest {
        return Err(NotaryError::Damaged("its digest is wrong"));
    }
    let mut rest = content.strip_prefix(MAGIC).ok_or_else(damaged("it is of another kind"))?;
    let mut frontier = || {
        let (length, behind) = rest.split_first_chunk()?;
        let (bytes, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = behind;
        Frontier::from_bytes(bytes).ok()
    };
    let before = frontier().ok_or_else(damaged("its frontier is malformed"))?;
    let frontier = frontier().ok_or_else(damaged("its frontier is malformed"))?;
    let note = String::from_utf8(rest.to_vec()).map_err(|_| NotaryError::Damaged("its note is no text"))?;
    Ok((before, frontier, note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, FaultDisk, Survivors};

    const ORIGIN: &str = "example.org/log";

    fn open(disk: &FaultDisk) -> Result<LocalNotary, NotaryError> {
        LocalNotary::open_on(Arc::new(disk.clone()), ORIGIN, [1; 32])
    }

    fn hashes(range: std::ops::Range<u8>) -> Vec<Hash> {
        range.map(|i| [i; 32]).collect()
    }

    #[test]
    fn refuses_gaps_and_other_histories() {
        let disk = FaultDisk::new();
        let mut notary = open(&disk).unwrap();
        assert_eq!(notary.last().unwrap(), None);
        assert!(matches!(notary.extend(1, &hashes(0..1)), Err(NotaryError::Gap { from: 1, size: 0 })));
        let first = notary.extend(0, &hashes(0..3)).unwrap();
        assert_eq!(notary.extend(0, &hashes(0..3)).unwrap(), first);
        assert!(matches!(notary.extend(0, &hashes(1..4)), Err(NotaryError::Disagrees { .. })));
        assert!(matches!(notary.extend(0, &hashes(0..2)), Err(NotaryError::Disagrees { .. })));
        assert!(matches!(notary.extend(2, &hashes(2..4)), Err(NotaryError::Disagrees { .. })));
        let second = notary.extend(3, &hashes(3..9)).unwrap();
        assert!(matches!(notary.extend(0, &hashes(0..3)), Err(NotaryError::Disagrees { .. })));
        assert!(matches!(notary.extend(9, &vec![[0; 32]; 1025]), Err(NotaryError::TooMany(1025))));

        let mut frontier = Frontier::new();
        hashes(0..9).into_iter().for_each(|hash| frontier.push(hash));
        let key: tlog::VerifierKey = notary.verifier().parse().unwrap();
        assert_eq!(Checkpoint::open(&second, &key).unwrap().root, frontier.root());
        let mut again = open(&disk).unwrap();
        assert_eq!(again.last().unwrap(), Some(second.clone()));
        assert_eq!(again.extend(3, &hashes(3..9)).unwrap(), second);
    }

    #[test]
    fn signs_twice() {
        let disk = FaultDisk::new();
        let once = open(&disk).unwrap().extend(0, &hashes(0..1)).unwrap();
        let twice = |seed| open(&disk).unwrap().signing_twice([seed; 32], Arc::new(|| 5_999));
        let mut notary = twice(2).unwrap();
        let key: tlog::VerifierKey = notary.second_verifier().unwrap().parse().unwrap();
        assert_eq!(key.name(), ORIGIN);
        assert_eq!(notary.last().unwrap(), Some(once));
        let note = notary.extend(1, &hashes(1..3)).unwrap();
        let signed = Note::parse(&note).unwrap().signed(&key).unwrap().unwrap();
        assert_eq!(signed.time_unix_s, Some(5));
        let first: tlog::VerifierKey = notary.verifier().parse().unwrap();
        assert_eq!(Checkpoint::open(&note, &first).unwrap().size, 3);
        // Asked again, the note that was signed is given, whatever time it is.
        let mut again = open(&disk).unwrap().signing_twice([2; 32], Arc::new(|| 9_000)).unwrap();
        assert_eq!(again.extend(1, &hashes(1..3)).unwrap(), note);
        assert_eq!(again.last().unwrap(), Some(note));
        // Another second key does not make the old notes wrong: they are not of it.
        assert!(twice(3).is_ok());
    }

    #[test]
    fn what_was_handed_out_is_durable() {
        for operation in 0..5 {
            for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::ErrorBefore, Fault::ErrorAfter] {
                let disk = FaultDisk::new();
                let mut notary = open(&disk).unwrap();
                let first = notary.extend(0, &hashes(0..2)).unwrap();
                disk.fail_at(operation, fault);
                assert!(notary.extend(2, &hashes(2..5)).is_err());
                assert!(notary.extend(2, &hashes(2..5)).is_err(), "an error poisons");
                let found = disk.crash(Survivors::SyncedAndSome { seed: operation });
                let mut again = open(&found).unwrap();
                if again.last().unwrap().as_ref() == Some(&first) {
                    again.extend(2, &hashes(2..5)).unwrap();
                }
                assert_eq!(again.frontier.size(), 5);
            }
        }
    }

    #[test]
    fn every_changed_byte_of_the_state_is_refused() {
        let disk = FaultDisk::new();
        open(&disk).unwrap().extend(0, &hashes(0..5)).unwrap();
        let state = disk.bytes(STATE).unwrap();
        for at in 0..state.len() {
            let mut changed = state.clone();
            changed[at] ^= 4;
            disk.tamper(STATE, Some(changed));
            assert!(open(&disk).is_err(), "byte {at}");
        }
        disk.tamper(STATE, Some(state));
        let other = LocalNotary::open_on(Arc::new(disk), ORIGIN, [2; 32]);
        assert!(matches!(other, Err(NotaryError::Checkpoint(_))));
    }
}
