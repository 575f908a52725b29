//! The handle: append, sign, close.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::Digest;
use tlog::Hash;
use tokio::sync::{mpsc, oneshot};

use crate::body::{LedgerKeys, SealError, Sealed};
use crate::disk::Disk;
use crate::index::Index;
use crate::leaf::{Event, LEAF_BYTES_MAX};
use crate::shared::{Shared, chain};
use crate::writer::{Message, Submission};
use crate::{BODY_BYTES_MAX, Randomness};

/// Leaves that may wait for the writer; beyond it, whoever appends waits.
pub(crate) const QUEUE_LEAVES_MAX: usize = 256;

/// A handle on an open ledger; clones are the same ledger. When the last is dropped without
/// [`close`](Ledger::close), what was acknowledged is durable all the same and is integrated in the
/// background or at the next opening.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keys: LedgerKeys,
    pub(crate) randomness: Randomness,
    pub(crate) origin: String,
    /// The notary's public key.
    pub(crate) verifier: String,
    pub(crate) sender: mpsc::Sender<Message>,
    /// The writer's and the integrator's, until someone closes.
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Opened when it is first needed.
    pub(crate) index: Mutex<Option<Index>>,
}

/// What to append.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// What happened.
    pub event: Event,
    /// The body beside it, as plain bytes: the JSON of [`Opening`](crate::Opening), where it opens
    /// commitments. At most [`BODY_BYTES_MAX`].
    pub body: Option<Vec<u8>>,
}

/// Proof, kept by a client, that a leaf was in the ledger: shown as `index:sha256:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The leaf's index.
    pub index: u64,
    /// Its RFC 6962 hash.
    pub leaf_hash: Hash,
}

/// How far the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Durable leaves.
    pub size: u64,
    /// Of these, leaves in the signed tree.
    pub size_signed: u64,
    /// The signed note over them; `None` before the first.
    pub checkpoint: Option<String>,
    /// Why nothing can be appended any more, if so.
    pub poisoned: Option<Arc<str>>,
}

/// Why a leaf was not appended. It is safe to show: it holds nothing of the leaf.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk is low. Appending goes on by itself once there is room.
    #[error(
        "the ledger's disk has {free_bytes} bytes free, less than the {bytes_min} kept in reserve: \
         nothing is recorded, so nothing is answered"
    )]
    DiskLow {
        /// Bytes free.
        free_bytes: u64,
        /// The low-water mark.
        bytes_min: u64,
    },
    /// How much is free cannot be told.
    #[error("the free space of the ledger's disk cannot be read: {reason}")]
    FreeSpaceUnknown {
        /// Why.
        reason: Arc<str>,
    },
    /// Writing failed before. Final, until the ledger is opened again.
    #[error("the ledger takes nothing more until it is opened again: {reason}")]
    Poisoned {
        /// What failed first.
        reason: Arc<str>,
    },
    /// The event is too long for a leaf.
    #[error("a leaf of {bytes} bytes is longer than {LEAF_BYTES_MAX}")]
    LeafTooLong {
        /// The leaf's length.
        bytes: usize,
    },
    /// The body is too long.
    #[error("a body of {bytes} bytes is longer than {BODY_BYTES_MAX}")]
    BodyTooLong {
        /// The body's length.
        bytes: usize,
    },
    /// The event has no JSON that reads back as the same event, such as a number that is infinite.
    #[error("the event cannot be recorded: {reason}")]
    Malformed {
        /// Why.
        reason: Arc<str>,
    },
    /// The body cannot be encrypted.
    #[error("the body cannot be encrypted: {reason}")]
    Randomness {
        /// Why.
        reason: Arc<str>,
    },
    /// The ledger is closed.
    #[error("the ledger is closed")]
    Closed,
}

/// Why leaves are not signed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignError {
    /// Writing or signing failed. Final, until the ledger is opened again.
    #[error("the ledger takes nothing more until it is opened again: {reason}")]
    Poisoned {
        /// What failed first.
        reason: Arc<str>,
    },
}

/// Why closing did not sign everything. Nothing that was acknowledged is lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CloseError {
    /// Writing or signing failed.
    #[error("the ledger was closed without signing its last leaves: {reason}")]
    Poisoned {
        /// What failed first.
        reason: Arc<str>,
    },
}

impl Ledger {
    /// Appends a leaf; returns once it is durable. When the future is dropped before, the leaf may
    /// have been written or not.
    pub async fn append(&self, entry: Entry) -> Result<Receipt, AppendError> {
        let (message, reply) = self.prepare(entry)?;
        self.inner.sender.send(message).await.map_err(|_| self.ended())?;
        reply.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// As [`append`](Self::append), for a thread outside any asynchronous runtime; it panics inside
    /// one.
    pub fn append_blocking(&self, entry: Entry) -> Result<Receipt, AppendError> {
        let (message, reply) = self.prepare(entry)?;
        self.inner.sender.blocking_send(message).map_err(|_| self.ended())?;
        reply.blocking_recv().unwrap_or_else(|_| Err(self.ended()))
    }

    /// The log's name, which its checkpoints carry.
    pub fn origin(&self) -> &str {
        &self.inner.origin
    }

    /// The public key that its checkpoints are signed with, as a C2SP verifier key.
    pub fn verifier(&self) -> &str {
        &self.inner.verifier
    }

    /// How far the ledger is.
    pub fn head(&self) -> Head {
        let state = self.inner.shared.lock();
        let (size, size_signed) = (state.size, state.integrated);
        Head { size, size_signed, checkpoint: state.checkpoint.clone(), poisoned: state.poisoned.clone() }
    }

    /// Has everything that is durable now signed and integrated, without waiting for the interval.
    /// Blocks the calling thread.
    pub fn sign(&self) -> Result<Head, SignError> {
        let mut state = self.inner.shared.lock();
        let size = state.size;
        while state.integrated < size {
            if let Some(reason) = &state.poisoned {
                return Err(SignError::Poisoned { reason: reason.clone() });
            }
            state.sign_up_to = state.sign_up_to.max(size);
            self.inner.shared.work.notify_all();
            state = self.inner.shared.wait_for_progress(state);
        }
        drop(state);
        Ok(self.head())
    }

    /// Ends the ledger, whatever other handles there are: what is queued is made durable, everything is
    /// integrated and signed, later appends fail. Blocks the calling thread.
    pub fn close(self) -> Result<(), CloseError> {
        let mut message = Message::Close;
        while let Err(mpsc::error::TrySendError::Full(back)) = self.inner.sender.try_send(message) {
            message = back;
            std::thread::sleep(Duration::from_millis(1));
        }
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                self.inner.shared.poison("a thread of the ledger panicked".to_owned());
            }
        }
        self.inner.shared.release();
        match &self.inner.shared.lock().poisoned {
            Some(reason) => Err(CloseError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Encodes and encrypts, in the caller's thread: the writer's is for what must be in order.
    fn prepare(
        &self,
        entry: Entry,
    ) -> Result<(Message, oneshot::Receiver<Result<Receipt, AppendError>>), AppendError> {
        if let Some(reason) = &self.inner.shared.lock().poisoned {
            return Err(AppendError::Poisoned { reason: reason.clone() });
        }
        submission(&entry.event, entry.body.as_deref(), &self.inner.randomness)
            .map(|(submission, reply)| (Message::Append(Box::new(submission)), reply))
    }

    /// Why nobody answers.
    fn ended(&self) -> AppendError {
        match &self.inner.shared.lock().poisoned {
            Some(reason) => AppendError::Poisoned { reason: reason.clone() },
            None => AppendError::Closed,
        }
    }
}

/// An event that was encoded, checked, and whose body is encrypted.
pub(crate) fn submission(
    event: &Event,
    body: Option<&[u8]>,
    randomness: &Randomness,
) -> Result<(Submission, oneshot::Receiver<Result<Receipt, AppendError>>), AppendError> {
    let malformed = |error: serde_json::Error| AppendError::Malformed { reason: chain(&error).into() };
    let encoded = serde_json::to_string(event).map_err(malformed)?;
    // JSON has no infinite numbers: a leaf that nobody can read must not get in.
    serde_json::from_str::<Event>(&encoded).map_err(malformed)?;
    if encoded.len() > LEAF_BYTES_MAX {
        return Err(AppendError::LeafTooLong { bytes: encoded.len() });
    }
    let sealed = body.map(|body| Sealed::new(body, randomness)).transpose();
    let sealed = sealed.map_err(|error| match error {
        SealError::TooLong { bytes } => AppendError::BodyTooLong { bytes },
        SealError::Randomness(error) => AppendError::Randomness { reason: chain(&error).into() },
    })?;
    let (reply, answer) = oneshot::channel();
    let (record, erases) = (event.record(), matches!(event, Event::Erasure(_)));
    Ok((Submission { event: encoded, record, erases, body: sealed, reply }, answer))
}

/// Events are for the record, bodies are a person's own words: neither is for a log line.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("kind", &self.event.kind()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("head", &self.head()).finish_non_exhaustive()
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.index, Digest(self.leaf_hash))
    }
}

impl std::str::FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        let (index, hash) = text.split_once(':').ok_or(ReceiptError)?;
        let index = index.parse().map_err(|_| ReceiptError)?;
        let hash: Digest = hash.parse().map_err(|_| ReceiptError)?;
        let receipt = Receipt { index, leaf_hash: hash.0 };
        if receipt.to_string() == text { Ok(receipt) } else { Err(ReceiptError) }
    }
}

/// Why a text is not a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a receipt: expected `INDEX:sha256:` and 64 lower-case hexadecimal digits")]
pub struct ReceiptError;
