//! The transparency log's formats and proofs, as pure functions of bytes.
//!
//! Follows RFC 6962 section 2 (tree hashing, with RFC 9162's proof verification) and the C2SP
//! specifications tlog-tiles, tlog-checkpoint, signed-note, tlog-cosignature, tlog-policy, tlog-proof and the
//! request of tlog-witness. Parsers are strict: what they accept is
//! what the encoders here would have written, so a text has one meaning and a changed byte shows.
//!
//! No I/O, no clock, no randomness: storage is the `ledger` crate's.

pub mod checkpoint;
pub mod entry;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
pub mod witness;

pub use checkpoint::Checkpoint;
pub use note::{Algorithm, CosigningKey, Note, SigningKey, VerifierKey};
pub use policy::Policy;
pub use tile::{Edge, TileName};
pub use tlog_proof::TlogProof;
pub use tree::{Frontier, Hash, leaf_hash, node_hash};
