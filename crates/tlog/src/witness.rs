//! What a witness does, without its storage: it is asked to cosign a checkpoint, and does only where that
//! continues the last one it cosigned. The request is the body of C2SP tlog-witness's `add-checkpoint`; it
//! may come by any way, also on a medium.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{NOTE_BYTES_MAX, Note, NoteError, VerifierKey};
use crate::proof::verify_consistency;
use crate::tlog_proof::{parse_decimal, parse_hashes};
use crate::tree::{Hash, empty_root};

/// Hashes of a consistency proof, as the specification limits them.
pub const HASHES_MAX: usize = 63;

/// The longest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + (4 << 10);

/// A request for a cosignature. Shown and parsed as its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Leaves of the last checkpoint that the witness cosigned; 0 for a first one.
    pub old_size: u64,
    /// Proves that the checkpoint continues that one. Empty where `old_size` is 0. At most [`HASHES_MAX`].
    pub consistency: Vec<Hash>,
    /// The checkpoint's note.
    pub checkpoint: String,
}

/// What a witness remembers of a log: the last checkpoint that it cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its leaves.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// Why a text is not a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// A line is not what the format has at its place.
    #[error("not a request for a cosignature: {0}")]
    Form(&'static str),
    /// What follows the proof is no note.
    #[error("the request's checkpoint is malformed")]
    Note(#[from] NoteError),
}

/// Why a witness does not cosign.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WitnessRefused {
    /// The checkpoint is not signed by the log's key.
    #[error("the checkpoint is not accepted")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is older than the last one cosigned.
    #[error("ROLLED BACK: the checkpoint has {size} leaves, but {remembered} were cosigned before")]
    Older {
        /// Its leaves.
        size: u64,
        /// Those cosigned.
        remembered: u64,
    },
    /// As many leaves as the last one cosigned, and another root.
    #[error(
        "FORKED: the log shows another tree of {size} leaves than the one cosigned before; keep both: they prove it"
    )]
    Forked {
        /// The leaves.
        size: u64,
    },
    /// The proof does not lead from the last one cosigned to this one.
    #[error(
        "FORKED: the checkpoint of {size} leaves does not continue the {remembered} leaves cosigned before; \
         the log was rewritten, or the request was damaged on its way: have it exported again"
    )]
    Inconsistent {
        /// Its leaves.
        size: u64,
        /// Those cosigned.
        remembered: u64,
    },
    /// The proof begins elsewhere.
    #[error(
        "the request continues {asked} leaves, but {remembered} were cosigned before: export it again with \
         --since {remembered}"
    )]
    OtherStart {
        /// Where it begins.
        asked: u64,
        /// Leaves cosigned.
        remembered: u64,
    },
    /// The tree without leaves has one root only.
    #[error("the checkpoint of no leaves has a root that is not the empty tree's")]
    NotEmpty,
}

impl Request {
    /// The checkpoint to cosign, where the log signed it and it continues what the witness remembers of
    /// that log (`None`: nothing yet). Remember it durably before the cosignature is handed out, and let
    /// nothing come between the two.
    ///
    /// The same checkpoint may be asked for again, whatever the request continues: on a medium an answer
    /// can get lost.
    pub fn check(
        &self,
        log: &VerifierKey,
        remembered: Option<Remembered>,
    ) -> Result<Checkpoint, WitnessRefused> {
        let checkpoint = Checkpoint::open(&self.checkpoint, log)?;
        let (size, root) = (checkpoint.size, checkpoint.root);
        if size == 0 && root != empty_root() {
            return Err(WitnessRefused::NotEmpty);
        }
        let before = remembered.unwrap_or(Remembered { size: 0, root: empty_root() });
        if size < before.size {
            return Err(WitnessRefused::Older { size, remembered: before.size });
        }
        if size == before.size {
            let same = root == before.root;
            return if same { Ok(checkpoint) } else { Err(WitnessRefused::Forked { size }) };
        }
        if self.old_size != before.size {
            return Err(WitnessRefused::OtherStart { asked: self.old_size, remembered: before.size });
        }
        verify_consistency(before.size, &before.root, size, &root, &self.consistency)
            .map_err(|_| WitnessRefused::Inconsistent { size, remembered: before.size })?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        for hash in &self.consistency {
            writeln!(f, "{}", BASE64.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Request {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        if text.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::Form("it is too long"));
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(RequestError::Form("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(parse_decimal);
        let old_size =
            old_size.ok_or(RequestError::Form("the old size is missing or not a decimal number"))?;
        let consistency = parse_hashes(lines, HASHES_MAX)
            .ok_or(RequestError::Form("a hash is not 32 bytes in base64, or there are too many"))?;
        if old_size == 0 && !consistency.is_empty() {
            return Err(RequestError::Form("a proof that continues no leaves is not empty"));
        }
        Note::parse(checkpoint)?;
        Ok(Request { old_size, consistency, checkpoint: checkpoint.to_owned() })
    }
}
