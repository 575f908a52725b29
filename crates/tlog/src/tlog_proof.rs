//! Proof that a leaf is in a log, in one text that is checked offline (C2SP tlog-proof).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::note::{NOTE_BYTES_MAX, Note, NoteError};
use crate::policy::{JudgeError, Judged, Policy};
use crate::proof::{ProofError, verify_inclusion};
use crate::tree::Hash;

/// The first line.
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// The longest extra data, in bytes.
pub const EXTRA_BYTES_MAX: usize = 1 << 20;

/// Hashes of a proof: a tree of any `u64` size has no longer one.
pub const HASHES_MAX: usize = 64;

/// The longest proof, in bytes: extra data and hashes in base64, and a checkpoint.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + EXTRA_BYTES_MAX * 2 + (8 << 10);

/// A proof of inclusion with the checkpoint it leads to. Shown and parsed as its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// More data, which nothing authenticates: here, the leaf's bytes.
    pub extra: Option<Vec<u8>>,
    /// The leaf's index.
    pub index: u64,
    /// From the leaf's sibling up. At most [`HASHES_MAX`].
    pub hashes: Vec<Hash>,
    /// The checkpoint's note with its cosignatures.
    pub checkpoint: String,
}

/// Why a text is not a proof.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TlogProofError {
    /// A line is not what the format has at its place.
    #[error("not a proof of inclusion: {0}")]
    Form(&'static str),
    /// What follows the hashes is no note.
    #[error("the proof's checkpoint is malformed")]
    Note(#[from] NoteError),
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TlogProofRefused {
    /// The checkpoint is not one of the policy's logs.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// Not enough witnesses cosigned.
    #[error("the checkpoint's cosignatures do not make the policy's quorum: it has those of {0}")]
    Quorum(String),
    /// The hashes do not lead to the root.
    #[error("the leaf is not in the checkpoint's tree")]
    Inclusion(#[from] ProofError),
}

impl TlogProof {
    /// Checks that the leaf of that hash is in a log of the policy, and was witnessed as it demands.
    pub fn verify(&self, leaf: &Hash, policy: &Policy) -> Result<Judged, TlogProofRefused> {
        let judged = policy.judge(&self.checkpoint)?;
        if !judged.quorum {
            let by: Vec<&str> = judged.cosigned.iter().map(|cosigned| cosigned.witness.as_str()).collect();
            let by = if by.is_empty() { "nobody".to_owned() } else { by.join(", ") };
            return Err(TlogProofRefused::Quorum(by));
        }
        verify_inclusion(self.index, judged.checkpoint.size, leaf, &judged.checkpoint.root, &self.hashes)?;
        Ok(judged)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", BASE64.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(TlogProofError::Form("it is too long"));
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(TlogProofError::Form("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(TlogProofError::Form("the first line is another"));
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(encoded) => {
                lines.next();
                let extra = BASE64.decode(encoded);
                let extra = extra.map_err(|_| TlogProofError::Form("the extra data is not in base64"))?;
                if extra.len() > EXTRA_BYTES_MAX {
                    return Err(TlogProofError::Form("the extra data is too long"));
                }
                Some(extra)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_decimal);
        let index = index.ok_or(TlogProofError::Form("the index is missing or not a decimal number"))?;
        let hashes = parse_hashes(lines, HASHES_MAX)
            .ok_or(TlogProofError::Form("a hash is not 32 bytes in base64, or there are too many"))?;
        Note::parse(checkpoint)?;
        Ok(TlogProof { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

/// A number in its one spelling.
pub(crate) fn parse_decimal(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

/// One hash a line.
pub(crate) fn parse_hashes<'l>(lines: impl Iterator<Item = &'l str>, count_max: usize) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    for line in lines {
        if hashes.len() == count_max {
            return None;
        }
        hashes.push(BASE64.decode(line).ok()?.try_into().ok()?);
    }
    Some(hashes)
}
