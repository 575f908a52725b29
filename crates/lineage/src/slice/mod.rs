//! A slice of a ledger, for whoever grades lines without access to prompts or answers.
//!
//! ```text
//! "cloister slice 1\n"
//! header      u32 length, JSON: Header
//! chunks      u32 items (0: the end), u32 plain bytes, u32 compressed bytes, LZ4 block: items
//! proof       u32 hashes, 32 bytes each: tlog::proof::Many over all leaves, the seal among them
//!
//! item        u8 kind (1 record, 2 leaf), u8 leaves, each: u64 index, u16 bytes, the leaf
//!             of a record also: u16 lines, 16 bytes each; u32 shingles, 8 bytes each; u32 bytes, JSON: Facts
//! ```
//!
//! Numbers are little-endian. The seal is an `administration` leaf by which the daemon recorded the export before it
//! handed anything out: its detail has the digest of all chunks, so that nothing can be left out, added or moved. Whoever
//! reads it needs the log's policy, and believes nothing else.

mod item;
mod read;
mod select;

use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tlog::Hash;

pub use protocol::admin::SliceScope as Scope;

pub use item::{Facts, Finding, Lists, Record};
pub use read::{Everything, Hits, Reader, Slice, SliceError, Wanted};
pub use select::{Chunk, Selection, page, prove, seal};

/// The first line.
pub const FIRST_LINE: &[u8] = b"cloister slice 1\n";
/// Bytes of a header.
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// Records of one chunk.
pub const CHUNK_RECORDS_MAX: u32 = 256;
/// Bytes of a chunk, before it is compressed. Items beyond it go into the next.
pub const CHUNK_BYTES_MAX: usize = 8 << 20;
/// Leaves of one record: an intent, a result, decisions and checks.
pub const RECORD_LEAVES_MAX: usize = 48;
/// Leaves of a slice.
pub const LEAVES_MAX: usize = 1 << 25;
/// What the seal's leaf says was done.
pub const ACTION: &str = "ledger slice";

/// The first part of a slice.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The log's name.
    pub origin: String,
    /// What was taken.
    pub scope: Scope,
    /// Only leaves before this one were looked at.
    pub end: u64,
    /// The key of the fingerprints, in hexadecimal: who has it can test guesses.
    pub key: String,
    /// The seal's number.
    pub seal: u64,
    /// The seal's bytes.
    pub seal_leaf: String,
    /// The signed note that covers every leaf.
    pub checkpoint: String,
}

/// What the seal binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Records.
    pub records: u64,
    /// Over scope, key and chunks.
    pub digest: Digest,
}

impl Contents {
    /// The detail of the seal's leaf.
    pub fn detail(&self, end: u64) -> String {
        format!("{} records before leaf {end}, {}", self.records, self.digest)
    }
}

/// What stands behind the chunks.
pub fn end(proof: &[Hash]) -> Vec<u8> {
    let mut out = 0_u32.to_le_bytes().to_vec();
    // At most [`LEAVES_MAX`] of them.
    out.extend(u32::try_from(proof.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(proof.as_flattened());
    out
}

impl Header {
    /// What stands before the chunks.
    pub fn beginning(&self) -> serde_json::Result<Vec<u8>> {
        let header = serde_json::to_vec(self)?;
        let mut out = FIRST_LINE.to_vec();
        // A reader refuses one that is longer than [`HEADER_BYTES_MAX`].
        out.extend(u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(header);
        Ok(out)
    }

    /// The key's bytes.
    pub fn key(&self) -> Option<[u8; 32]> {
        protocol::digest::unhex(&self.key)?.try_into().ok()
    }
}

/// The key is for nobody's log.
impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Header")
            .field("origin", &self.origin)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// Makes a [`Contents`] of digests of chunks, in order.
struct Sealing {
    hash: Sha256,
    records: u64,
}

impl Sealing {
    fn new(scope: &Scope, end: u64, key: &[u8; 32]) -> Self {
        let mut hash = Sha256::new_with_prefix(FIRST_LINE);
        // A struct of strings and numbers is always JSON.
        let scope = serde_json::to_vec(scope).unwrap_or_default();
        hash.update((scope.len() as u64).to_le_bytes());
        hash.update(&scope);
        hash.update(end.to_le_bytes());
        hash.update(key);
        Sealing { hash, records: 0 }
    }

    fn add(&mut self, records: u64, digest: &Digest) {
        self.records += records;
        self.hash.update(digest.0);
    }

    fn finish(self) -> Contents {
        Contents { records: self.records, digest: Digest(self.hash.finalize().into()) }
    }
}
