//! What the writer, the integrator and readers know together.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tlog::Hash;

use crate::disk::{Disk, Lock};
use crate::wal::{self, Place, Spare};

/// Leaves that may wait for integration; beyond it, the writer waits.
pub(crate) const PENDING_LEAVES_MAX: usize = 1 << 18;

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Held until the ledger is closed, or all its threads have ended.
    lock: Mutex<Option<Lock>>,
    /// There is work for the integrator.
    pub(crate) work: Condvar,
    /// The integrator has got further, or nothing goes any further.
    pub(crate) progress: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    /// Durable leaves. Grown by the writer.
    pub(crate) size: u64,
    /// Leaves in the signed tree. Grown by the integrator.
    pub(crate) integrated: u64,
    /// The signed note over them.
    pub(crate) checkpoint: Option<String>,
    /// The leaves between the two. Pushed by the writer, taken by the integrator.
    pub(crate) pending: VecDeque<Pending>,
    /// First indexes of the write-ahead log's segments; the last is the one written to.
    pub(crate) segments: VecDeque<u64>,
    /// Prepared by the integrator, taken by the writer.
    pub(crate) spare: Option<Spare>,
    /// Leaves that someone waits to see signed, without pause.
    pub(crate) sign_up_to: u64,
    /// The writer has ended: the integrator does the rest and ends too.
    pub(crate) writer_ended: bool,
    /// Why nothing is written any more. Never taken back.
    pub(crate) poisoned: Option<Arc<str>>,
}

/// A durable leaf that is not integrated yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) place: Place,
    pub(crate) hash: Hash,
    /// The record it names.
    pub(crate) record: Option<u64>,
    /// Whether it erases bodies.
    pub(crate) erases: bool,
}

impl Shared {
    pub(crate) fn new(state: State, lock: Lock) -> Self {
        let lock = Mutex::new(Some(lock));
        Shared { state: Mutex::new(state), lock, work: Condvar::new(), progress: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets another writer have the directory, after the threads have ended.
    pub(crate) fn release(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Stops all writing for good. The first reason stays.
    pub(crate) fn poison(&self, reason: String) -> Arc<str> {
        let mut state = self.lock();
        let reason = state.poisoned.get_or_insert_with(|| reason.into()).clone();
        self.work.notify_all();
        self.progress.notify_all();
        tracing::error!(%reason, "the ledger is poisoned: nothing is written until it is opened again");
        reason
    }

    /// Removes the write-ahead log's segments of which everything is integrated, but for the last, which is
    /// written to.
    pub(crate) fn remove_finished_segments(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut finished = Vec::new();
        let mut state = self.lock();
        while state.segments.get(1).is_some_and(|next| *next <= state.integrated) {
            finished.extend(state.segments.pop_front());
        }
        drop(state);
        finished.into_iter().try_for_each(|first| disk.remove(&wal::path(first)))
    }

    /// Waits for progress.
    pub(crate) fn wait_for_progress<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.progress.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error and what caused it, on one line, for a reason that outlives both.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
