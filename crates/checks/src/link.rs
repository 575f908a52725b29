//! The gateway's end of the checker's socket.

use std::collections::HashMap;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::check::{Against, FromChecker, Order, Ran, Toolchain, VERSION};
use protocol::frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Nobody waits longer for an outcome: a run has its own limits, and may wait for others.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(150);
/// Words of a command that are kept.
const WORDS_MAX: usize = 64;
/// Characters of a word or a reason that are kept.
const CHARACTERS_MAX: usize = 1000;
/// Orders that can wait for the checker to read them.
const OUTBOX_MAX: usize = 64;

/// Whoever has compilers run; there may be nobody for a while. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Checkers {
    shared: Arc<Mutex<State>>,
    next_id: Arc<AtomicU64>,
}

/// Why nothing was run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChecked {
    /// There is no checker at the moment.
    #[error("the checker is not up: it is being started")]
    Gone,
    /// It says why.
    #[error("{0}")]
    NotRun(String),
    /// What it needs is being made: it says what.
    #[error("{0}")]
    NotYet(String),
    /// The checker is none for such a text.
    #[error("this checker has nothing to say of such a text")]
    NothingToSay,
}

#[derive(Debug, Default)]
struct State {
    /// Of frames.
    outbox: Option<mpsc::Sender<Vec<u8>>>,
    toolchains: Vec<Toolchain>,
    waiting: HashMap<u64, oneshot::Sender<Result<Ran, NotChecked>>>,
    /// Which connection the rest is of.
    connection: u64,
}

impl Checkers {
    /// Takes a checker's socket, and uses it until it is closed. Returns once the checker has said what there is.
    pub async fn connect(&self, stream: StdUnixStream) -> Result<(), NotChecked> {
        stream.set_nonblocking(true).map_err(|_| NotChecked::Gone)?;
        let (mut reading, writing) = UnixStream::from_std(stream).map_err(|_| NotChecked::Gone)?.into_split();
        let toolchains = match receive(&mut reading).await {
            Some(FromChecker::Ready { version: VERSION, toolchains }) => toolchains,
            _ => return Err(NotChecked::Gone),
        };
        let (outbox, frames) = mpsc::channel(OUTBOX_MAX);
        let connection = self.next_id.fetch_add(1, Ordering::Relaxed);
        {
            let mut state = self.lock();
            *state = State { outbox: Some(outbox), toolchains, connection, ..State::default() };
        }
        tokio::spawn(write_all(writing, frames));
        let checkers = self.clone();
        tokio::spawn(async move {
            loop {
                let (id, outcome) = match receive(&mut reading).await {
                    Some(FromChecker::Ran { id, ran }) => (id, Ok(ran)),
                    Some(FromChecker::NotRun { id, reason }) => (id, Err(NotChecked::NotRun(plain(&reason)))),
                    Some(FromChecker::NotYet { id, reason }) => (id, Err(NotChecked::NotYet(plain(&reason)))),
                    Some(FromChecker::NothingToSay { id }) => (id, Err(NotChecked::NothingToSay)),
                    Some(FromChecker::Ready { .. }) | None => break,
                };
                if let Some(waiting) = checkers.lock().waiting.remove(&id) {
                    let _nobody_waits = waiting.send(outcome);
                }
            }
            let mut state = checkers.lock();
            if state.connection == connection {
                *state = State::default();
            }
        });
        Ok(())
    }

    /// What is here and what is not; nothing while there is no checker.
    pub fn toolchains(&self) -> Vec<Toolchain> {
        self.lock().toolchains.clone()
    }

    /// Has a text checked; [`Order::id`] is set here.
    pub async fn check(&self, mut order: Order) -> Result<Ran, NotChecked> {
        order.id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let id = order.id;
        let frame = frame::encode(&order).map_err(|error| NotChecked::NotRun(error.to_string()))?;
        let (sender, outcome) = oneshot::channel();
        let outbox = {
            let mut state = self.lock();
            let outbox = state.outbox.clone().ok_or(NotChecked::Gone)?;
            state.waiting.insert(id, sender);
            outbox
        };
        // Whoever does not wait any more leaves nothing behind.
        let _entry = Entry { checkers: self, id };
        outbox.send(frame).await.map_err(|_| NotChecked::Gone)?;
        let outcome = tokio::time::timeout(ANSWER_WAIT_MAX, outcome).await;
        let outcome = outcome.map_err(|_| NotChecked::NotRun("the checker does not answer".to_owned()))?;
        outcome.map_err(|_| NotChecked::Gone)?.map(bounded)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Entry<'a> {
    checkers: &'a Checkers,
    id: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.checkers.lock().waiting.remove(&self.id);
    }
}

/// What a checker says, as far as it is kept.
fn bounded(ran: Ran) -> Ran {
    let command = ran.command.iter().take(WORDS_MAX).map(|word| plain(word)).collect();
    let against = match ran.against {
        Against::Unusable { name, reason } => {
            Against::Unusable { name: plain(&name), reason: plain(&reason) }
        }
        Against::Source { name } => Against::Source { name: plain(&name) },
        Against::Nothing => Against::Nothing,
    };
    Ran { command, against, ..ran }
}

/// Without control characters, of a bearable length.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect()
}

async fn write_all(mut writing: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if writing.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn receive(reading: &mut OwnedReadHalf) -> Option<FromChecker> {
    let mut header = [0; frame::HEADER_BYTES];
    reading.read_exact(&mut header).await.ok()?;
    let mut payload = vec![0; frame::payload_len(header).ok()?];
    reading.read_exact(&mut payload).await.ok()?;
    frame::decode(&payload).ok()
}
