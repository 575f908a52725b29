//! Erasing bodies, and changing the keys that wrap their keys.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use protocol::Digest;
use tokio::sync::mpsc::error::TrySendError;

use crate::body::{LedgerKeys, RenewError};
use crate::disk::{self, Disk};
use crate::leaf::{ErasedLeaf, Erasure, Event};
use crate::log::{AppendError, Entry, Ledger, Receipt, SignError};
use crate::pack::{PACK_LEAVES, SLOT_BYTES, Slot, page_path};
use crate::read::ReadError;
use crate::writer::Message;
use crate::{Randomness, store};

/// Leaves of one erasure at most: the leaf that tells of them must hold them.
pub const ERASED_LEAVES_MAX: usize = 256;

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// No leaf, or too many.
    #[error("an erasure is of 1 to {ERASED_LEAVES_MAX} leaves, not of {0}")]
    Count(usize),
    /// The reason cannot be part of the approved text.
    #[error("the reason must be one line of 1 to 1000 bytes")]
    Reason,
    /// A leaf cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The leaf has none.
    #[error("leaf {0} has no body")]
    NoBody(u64),
    /// It is gone already.
    #[error("the body of leaf {0} was erased before")]
    Erased(u64),
    /// The request was made of another leaf.
    #[error("leaf {0} is not the one that the request names: another log, or another history of it")]
    OtherLeaf(u64),
    /// The approvals do not suffice.
    #[error(transparent)]
    Approval(#[from] approval::ApprovalError),
    /// The erasure could not be recorded, so nothing was erased.
    #[error("the erasure could not be recorded, and nothing was erased")]
    Append(#[source] AppendError),
    /// It is recorded and may be incomplete; opening the ledger again completes it.
    #[error("the erasure is recorded and may be incomplete: opening the ledger again completes it")]
    Incomplete(#[source] AppendError),
}

impl Ledger {
    /// Names leaves for an erasure, after looking that each has a body. Blocks on the disk.
    pub fn erasable(&self, indexes: &[u64]) -> Result<Vec<ErasedLeaf>, EraseError> {
        if !(1..=ERASED_LEAVES_MAX).contains(&indexes.len()) {
            return Err(EraseError::Count(indexes.len()));
        }
        let name = |index: &u64| {
            let record = self.record(*index)?;
            if record.erased {
                return Err(EraseError::Erased(*index));
            }
            if record.leaf.body.is_none() {
                return Err(EraseError::NoBody(*index));
            }
            Ok(ErasedLeaf { index: *index, hash: Digest(record.hash) })
        };
        indexes.iter().map(name).collect()
    }

    /// Destroys bodies' keys, wherever this ledger keeps them, once the leaf that says so is durable.
    /// Blocks on the disk; it must not be called in an asynchronous runtime.
    pub fn erase(&self, erasure: Erasure) -> Result<Receipt, EraseError> {
        let reason = &erasure.reason;
        if reason.is_empty() || reason.len() > 1000 || reason.contains(char::is_control) {
            return Err(EraseError::Reason);
        }
        let indexes: Vec<u64> = erasure.leaves.iter().map(|leaf| leaf.index).collect();
        for (named, found) in erasure.leaves.iter().zip(self.erasable(&indexes)?) {
            if *named != found {
                return Err(EraseError::OtherLeaf(named.index));
            }
        }
        erasure.verify(self.origin())?;
        let entry = Entry { event: Event::Erasure(Box::new(erasure)), body: None };
        let receipt = self.append_blocking(entry).map_err(EraseError::Append)?;
        self.settle().map_err(EraseError::Incomplete)?;
        Ok(receipt)
    }

    /// Has everything that is durable now integrated, and leaves nothing of it in the write-ahead log.
    /// Blocks the calling thread.
    pub fn settle(&self) -> Result<(), AppendError> {
        self.sign().map_err(|SignError::Poisoned { reason }| AppendError::Poisoned { reason })?;
        let (reply, answer) = sync_channel(1);
        let mut message = Message::Turn(reply);
        loop {
            match self.inner.sender.try_send(message) {
                Ok(()) => return answer.recv().unwrap_or(Err(AppendError::Closed)),
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Closed(_)) => return Err(AppendError::Closed),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Why bodies' keys were not all wrapped anew. Doing it again goes on.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// A page of keys cannot be read or written.
    #[error("{file} cannot be {intent}")]
    Io {
        /// The page.
        file: String,
        /// `read` or `written`.
        intent: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key does not open.
    #[error("the key of leaf {index}'s body cannot be wrapped anew: {reason}")]
    Key {
        /// The leaf.
        index: u64,
        /// Why.
        reason: String,
    },
}

/// Wraps every body's key by the key for new bodies, so that the older ones open nothing any more. Nobody
/// may have the ledger open. `progress` gets pages done and pages in all. Returns how many were renewed.
pub fn rewrap(
    disk: &dyn Disk,
    keys: &LedgerKeys,
    randomness: &Randomness,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, RewrapError> {
    let size = store::checkpoint_size(disk);
    let pages = size.div_ceil(PACK_LEAVES);
    let mut renewed = 0;
    for page in 0..pages {
        renewed += rewrap_page(disk, page * PACK_LEAVES, keys, randomness)?;
        progress(page + 1, pages);
    }
    Ok(renewed)
}

fn rewrap_page(
    disk: &dyn Disk,
    first: u64,
    keys: &LedgerKeys,
    randomness: &Randomness,
) -> Result<u64, RewrapError> {
    let file = page_path(first);
    let io = |intent| {
        let file = file.clone();
        move |source| RewrapError::Io { file, intent, source }
    };
    let mut bytes = match disk::read(disk, &file, PACK_LEAVES * SLOT_BYTES as u64) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        bytes => bytes.map_err(io("read"))?,
    };
    let mut renewed = 0;
    for (index, bytes) in (first..).zip(bytes.as_chunks_mut::<SLOT_BYTES>().0) {
        let key = |reason: String| RewrapError::Key { index, reason };
        let slot = Slot::decode(bytes).ok_or_else(|| key("its slot is damaged".to_owned()))?;
        if slot.bytes == 0 || slot.is_erased() || slot.wrap.is_current(keys) {
            continue;
        }
        let wrap = slot.wrap.renewed(keys, index, randomness);
        let wrap = wrap.map_err(|error: RenewError| key(error.to_string()))?;
        *bytes = Slot { wrap, ..slot }.encode();
        renewed += 1;
    }
    if renewed > 0 {
        disk::replace(disk, &file, &bytes).map_err(io("written"))?;
    }
    Ok(renewed)
}
