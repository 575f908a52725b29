//! The tamper-evident ledger: an append-only log of what Cloister was asked and what it answered.
//!
//! A leaf is durable before its bytes are shown to anyone ([`Ledger::append`]): one writer thread puts
//! frames into a write-ahead log, syncs once a batch, then answers. Off that path, an integrator has a
//! [`Notary`] sign the growing Merkle tree and moves leaves into C2SP tiles and entry bundles, and the
//! encrypted bodies into files beside them. Anyone with the directory and the public key can check all
//! of it with [`verify`], without the daemon.
//!
//! ```text
//! ledger/checkpoint            signed note: origin, size, root
//!        tile/<L>/<N>          hashes      (C2SP tlog-tiles)
//!        tile/entries/<N>      leaves
//!        bodies/<N>            encrypted bodies of an entry bundle's leaves
//!        body-keys/<N>         their keys, wrapped; erased with the body
//!        witnessed/<size>      checkpoints that witnesses cosigned
//!        exported/<size>       checkpoints that went out to be cosigned
//!        relations             which leaf names which record; made from the leaves
//!        index.db        where a query finds records; made from the leaves, never trusted over them
//!        wal/<first>.wal       what is not integrated yet
//!        set-aside/            damaged tails of the write-ahead log; the ledger itself deletes none
//! ```
//!
//! What fails, fails closed: an error of a write or a sync poisons the ledger until it is opened again,
//! and a wrong byte found at [`Ledger::open`] is an error that names its place. What it does not do: a
//! restored older directory is valid by itself; only the notary's state, a witness, a kept checkpoint or
//! a receipt shows a roll-back. Superseded partial tiles are removed, so the directory is not meant to
//! be served to other readers as it is.

mod admission;
pub mod backup;
mod body;
pub mod disk;
pub mod doctor;
mod erase;
pub mod fault;
mod fingerprint;
mod index;
mod integrator;
mod leaf;
mod log;
mod notary;
mod open;
mod opening;
mod pack;
mod policies;
mod query;
mod read;
mod shared;
mod store;
pub mod verify;
mod wal;
mod witnessed;
mod writer;

use std::sync::Arc;
use std::time::SystemTime;

pub use admission::{
    ADMISSION_NAMESPACE, ADMISSION_PERSONS, Admission, AdmissionError, Admissions, AdmissionsError, Alias,
    Deployed, NOBODY, Standing, Step,
};
pub use body::{BODY_BYTES_MAX, LedgerKeys, UnsealError};
pub use erase::{ERASED_LEAVES_MAX, EraseError, RewrapError, rewrap};
pub use fingerprint::{
    Fingerprint, Fingerprints, Keyed, LineFingerprint, SHINGLE_LEXEMES, fingerprints, lexemes,
};
pub use index::{Index, IndexError};
pub use leaf::{
    Block, BodyCommitment, Check, CheckOutcome, Choice, Commitment, ContentDigest, Decision, ENROL_KEY,
    ERASURE_NAMESPACE, ERASURE_PERSONS, ErasedLeaf, Erasure, Event, Intent, LEAF_BYTES_MAX, Leaf, Login,
    LoginOutcome, Lookup, Outcome, REVOKE_KEY, Refusal, ReplayOutcome, ResultLeaf, SCHEMA, Upstream,
};
pub use log::{AppendError, CloseError, Entry, Head, Ledger, Receipt, ReceiptError, SignError};
pub use notary::{LEAF_HASHES_MAX, LocalNotary, Notary, NotaryError};
pub use open::{LedgerConfig, OpenError, Recovery, SetAside};
pub use opening::{Opened, Opening, Salt, Salts};
pub use policies::{POLICY_NAMESPACE, POLICY_PERSONS, PolicyChange, PolicyChangeError};
pub use protocol::control::ClockState;
pub use query::{
    EXPORT_LEAVES_MAX, Exported, ExportedLeaf, Filter, Page, QUERY_ROWS_MAX, QueryError, Row,
    TEXT_CANDIDATES_MAX,
};
pub use read::{LIST_RECORDS_MAX, Leaves, ReadError, Record};
pub use witnessed::{ProveLeafError, WitnessError, WitnessedCheckpoint, prove, prove_many};

/// This software, with its version, as in leaves.
pub const SOFTWARE: &str = concat!("cloister ", env!("CARGO_PKG_VERSION"));

/// Milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Fills a buffer with random bytes that nobody can guess.
pub type Randomness = Arc<dyn Fn(&mut [u8]) -> Result<(), RandomnessError> + Send + Sync>;

/// The system's randomness failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the system gives no randomness: {0}")]
pub struct RandomnessError(pub String);

/// This machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// This machine's randomness.
pub fn system_randomness() -> Randomness {
    Arc::new(|buffer| getrandom::fill(buffer).map_err(|error| RandomnessError(error.to_string())))
}
