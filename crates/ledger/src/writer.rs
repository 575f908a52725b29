//! The writer: one thread that gives leaves their indexes and makes them durable.
//!
//! Group commit without a timer: a leaf that finds the writer idle is written and synced at once; those
//! that arrive while a sync is in flight go together into the next.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tokio::sync::{mpsc, oneshot};

use crate::body::{LedgerKeys, Sealed};
use crate::disk::Disk;
use crate::leaf::{LEAF_BYTES_MAX, Leaf};
use crate::log::AppendError;
use crate::shared::{PENDING_LEAVES_MAX, Pending, Shared, chain};
use crate::wal::{self, Place, Segment};
use crate::{Clock, Receipt};

/// Leaves that one sync makes durable at most.
const BATCH_LEAVES_MAX: usize = 64;

/// Memory kept for the next batch.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) keys: LedgerKeys,
    pub(crate) clock: Clock,
    pub(crate) disk_free_bytes_min: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) segment: Segment,
    /// Where the next batch goes in the segment.
    pub(crate) position: u64,
    /// Index of the next batch's first leaf.
    pub(crate) next: u64,
    /// Frames of the batch that is being made.
    pub(crate) buffer: Vec<u8>,
    pub(crate) staged: Vec<Staged>,
}

pub(crate) enum Message {
    Append(Box<Submission>),
    /// Goes on in a new segment, and removes those of which everything is integrated.
    Turn(SyncSender<Result<(), AppendError>>),
    Close,
}

/// A leaf on its way.
pub(crate) struct Submission {
    /// The event's JSON.
    pub(crate) event: String,
    /// The record it names.
    pub(crate) record: Option<u64>,
    /// Whether it erases bodies.
    pub(crate) erases: bool,
    pub(crate) body: Option<Sealed>,
    pub(crate) reply: oneshot::Sender<Result<Receipt, AppendError>>,
}

pub(crate) struct Staged {
    pending: Pending,
    reply: oneshot::Sender<Result<Receipt, AppendError>>,
}

impl Writer {
    /// Serves until told to close or nobody is left to ask.
    pub(crate) fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let _end = WriterEnd(self.shared.clone());
        let mut next = inbox.blocking_recv();
        while let Some(message) = next.take() {
            match message {
                Message::Append(first) => {
                    let mut batch = vec![*first];
                    while batch.len() < BATCH_LEAVES_MAX && next.is_none() {
                        match inbox.try_recv() {
                            Ok(Message::Append(submission)) => batch.push(*submission),
                            Ok(other) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    self.commit(batch);
                }
                // Whoever asked may have gone.
                Message::Turn(reply) => drop(reply.send(self.turn())),
                Message::Close => break,
            }
            if next.is_none() {
                next = inbox.blocking_recv();
            }
        }
    }

    /// Goes on in a new segment, and removes those of which everything is integrated: what they held of
    /// bodies is gone.
    pub(crate) fn turn(&mut self) -> Result<(), AppendError> {
        if let Some(reason) = self.shared.lock().poisoned.clone() {
            return Err(AppendError::Poisoned { reason });
        }
        let turned = if self.position > wal::SEGMENT_HEADER_BYTES { self.rotate(0) } else { Ok(()) };
        turned.and_then(|()| self.shared.remove_finished_segments(&*self.disk)).map_err(|error| {
            let reason = self.poison("a segment of the write-ahead log could not be replaced", &error);
            AppendError::Poisoned { reason }
        })
    }

    /// Makes leaves durable and answers each.
    pub(crate) fn commit(&mut self, batch: Vec<Submission>) {
        if let Err(error) = self.check_room() {
            for submission in batch {
                answer(submission.reply, Err(error.clone()));
            }
            return;
        }
        for submission in batch {
            self.stage(submission);
        }
        self.flush();
    }

    /// Waits while too much waits for integration; refuses when the disk is low or the ledger poisoned.
    fn check_room(&self) -> Result<(), AppendError> {
        let mut state = self.shared.lock();
        while state.pending.len() >= PENDING_LEAVES_MAX && state.poisoned.is_none() {
            state.sign_up_to = state.size;
            self.shared.work.notify_all();
            state = self.shared.wait_for_progress(state);
        }
        if let Some(reason) = &state.poisoned {
            return Err(AppendError::Poisoned { reason: reason.clone() });
        }
        drop(state);
        let free_bytes = self.disk.free_bytes();
        let free_bytes =
            free_bytes.map_err(|error| AppendError::FreeSpaceUnknown { reason: chain(&error).into() })?;
        if free_bytes < self.disk_free_bytes_min {
            return Err(AppendError::DiskLow { free_bytes, bytes_min: self.disk_free_bytes_min });
        }
        Ok(())
    }

    fn stage(&mut self, submission: Submission) {
        if let Some(reason) = self.shared.lock().poisoned.clone() {
            return answer(submission.reply, Err(AppendError::Poisoned { reason }));
        }
        let index = self.next + self.staged.len() as u64;
        let bound = submission.body.map(|body| body.bind(&self.keys, index));
        let (body, commitment) = bound.map_or((Vec::new(), None), |(body, made)| (body, Some(made)));
        let leaf = match Leaf::compose((self.clock)(), &submission.event, commitment.as_ref()) {
            Ok(leaf) if leaf.len() <= LEAF_BYTES_MAX => leaf,
            Ok(leaf) => {
                return answer(submission.reply, Err(AppendError::LeafTooLong { bytes: leaf.len() }));
            }
            Err(error) => {
                let reason = chain(&error).into();
                return answer(submission.reply, Err(AppendError::Malformed { reason }));
            }
        };

        let length = wal::FRAME_HEADER_BYTES + leaf.len() + body.len();
        if self.position + (self.buffer.len() + length) as u64 > self.segment.length {
            self.flush();
            // Only what is durable is left behind: a later segment's first index proves it.
            if let Err(error) = self.rotate(length as u64) {
                self.poison("a new segment of the write-ahead log could not be made", &error);
            }
            if let Some(reason) = self.shared.lock().poisoned.clone() {
                return answer(submission.reply, Err(AppendError::Poisoned { reason }));
            }
        }
        let offset = self.position + self.buffer.len() as u64;
        wal::encode(&mut self.buffer, index, self.next, &leaf, &body);
        let place = Place { segment: self.segment.first, offset, length };
        let (record, erases) = (submission.record, submission.erases);
        let pending = Pending { place, hash: tlog::leaf_hash(&leaf), record, erases };
        self.staged.push(Staged { pending, reply: submission.reply });
    }

    /// Writes and syncs the staged frames, once. An error is final: what a failed sync left in the
    /// page cache or on the medium cannot be known, so it is never tried again.
    fn flush(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let file = &self.segment.file;
        if let Err(error) = file.write_at(self.position, &self.buffer).and_then(|()| file.sync()) {
            let reason = self.poison("the write-ahead log could not be written", &error);
            for staged in self.staged.drain(..) {
                answer(staged.reply, Err(AppendError::Poisoned { reason: reason.clone() }));
            }
            self.buffer.clear();
            return;
        }
        let first = self.next;
        self.position += self.buffer.len() as u64;
        self.next += self.staged.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);

        let mut state = self.shared.lock();
        let idle = state.pending.is_empty();
        state.pending.extend(self.staged.iter().map(|staged| staged.pending));
        state.size = self.next;
        drop(state);
        if idle {
            self.shared.work.notify_all();
        }
        for (index, staged) in (first..).zip(self.staged.drain(..)) {
            answer(staged.reply, Ok(Receipt { index, leaf_hash: staged.pending.hash }));
        }
    }

    fn rotate(&mut self, frame_bytes: u64) -> io::Result<()> {
        let needed = wal::SEGMENT_HEADER_BYTES + frame_bytes;
        let prepared = self.shared.lock().spare.take();
        let spare = match prepared.filter(|spare| spare.length() >= needed) {
            Some(spare) => spare,
            None => wal::prepare(&*self.disk, wal::WRITERS_SPARE, self.segment_bytes.max(needed))?,
        };
        self.segment = wal::create(&*self.disk, self.next, spare)?;
        self.position = wal::SEGMENT_HEADER_BYTES;
        let mut state = self.shared.lock();
        // One that was too short for the first frame had the same name, and is gone.
        if state.segments.back() != Some(&self.segment.first) {
            state.segments.push_back(self.segment.first);
        }
        Ok(())
    }

    fn poison(&self, what: &str, error: &io::Error) -> Arc<str> {
        self.shared.poison(format!("{what}: {error}"))
    }
}

/// Whoever asked may have gone: the leaf is written all the same.
fn answer(reply: oneshot::Sender<Result<Receipt, AppendError>>, result: Result<Receipt, AppendError>) {
    let _ = reply.send(result);
}

/// Tells the integrator that nothing more comes, however the writer ends.
struct WriterEnd(Arc<Shared>);

impl Drop for WriterEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer's thread panicked".to_owned());
        }
        self.0.lock().writer_ended = true;
        self.0.work.notify_all();
    }
}
