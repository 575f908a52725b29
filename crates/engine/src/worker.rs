//! The gateway's end of a worker's socket.

use std::collections::HashMap;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Digest;
use protocol::frame::{self, FrameError};
use protocol::ids::GenerationId;
use protocol::worker::{
    Class, Drafts, Failure, FromWorker, Generate, OLDEST, Part, Ready, Sampling, Stop, Syntax, Times,
    ToWorker, Token, Until, VERSION,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Tokens a worker may be ahead of a generation's reader.
const CREDIT: u32 = 256;
/// Changes of a place in the queue that a generation's reader may be behind by.
const PLACES_MAX: usize = 8;
/// Messages that can wait for a generation's reader: one a token, those changes, and the opening and closing
/// ones.
const EVENTS_MAX: usize = CREDIT as usize + PLACES_MAX + 8;
/// Bytes of text that one message may hold: what a stop string held back, at most. Many messages can wait.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Of a worker that is older than schemas.
const NO_SCHEMAS: &str =
    "this deployment's engine is of a version that holds no answer to a schema: leave the schema out";
const NO_SYNTAX: &str = "this deployment's engine is of a version that holds no answer to a syntax";
/// Messages that can wait for the worker to read them.
const OUTBOX_MAX: usize = 1024;

/// A running worker. Cheap to clone; the last clone's end closes the socket, and the worker exits.
#[derive(Clone, Debug)]
pub struct Worker {
    shared: Arc<Shared>,
}

/// What is to be generated. See [`Generate`] for the fields' meaning.
#[derive(Clone, Debug)]
pub struct Order {
    /// Token-exact prompt.
    pub prompt: Vec<Token>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens at most.
    pub tokens_max: u32,
    /// Stop strings.
    pub stop: Vec<String>,
    /// Milliseconds after the prompt's evaluation.
    pub predict_ms_max: Option<u32>,
    /// How far the text goes.
    pub until: Until,
    /// Whether the prompt's last word may be unfinished.
    pub heal: bool,
    /// Person and label set: KV entries never cross it.
    pub cache_scope: Digest,
    /// Turns are shared out fairly between these.
    pub person: Digest,
    /// What goes first.
    pub class: Class,
    /// Whether [`Event::Done`] shall tell the rows of logits, for tests of reproducibility.
    pub digest_rows: bool,
    /// What the text must be. Not together with `heal`.
    pub json_schema: Option<String>,
    /// How the text goes on; only where the worker [knows](Worker::knows_syntax) any.
    pub syntax: Option<Syntax>,
}

/// Why a worker did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The worker said so.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The worker died or broke the protocol; the supervisor starts another.
    #[error("the engine worker ended while it served this request; it is being restarted")]
    Gone,
}

/// A generation's progress.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It waits.
    Queued {
        /// Others that go before it, as things stand.
        ahead: u32,
    },
    /// It left the queue.
    Started {
        /// Prompt tokens whose KV entries were reused.
        prompt_tokens_cached: u32,
    },
    /// Tokens, and the text they released.
    Text {
        /// Tokens chosen.
        tokens: Vec<Token>,
        /// Whole characters.
        text: String,
    },
    /// It ended.
    Done {
        /// Why.
        stop: Stop,
        /// Where the time went.
        times: Times,
        /// SHA-256 of all rows of logits, where that was asked for.
        rows: Option<Digest>,
        /// What speculation did.
        drafts: Drafts,
    },
}

/// A running generation. Dropping it stops it before its next token.
#[derive(Debug)]
pub struct Generation {
    id: GenerationId,
    events: mpsc::Receiver<Result<Event, WorkerError>>,
    shared: Arc<Shared>,
    /// Tokens read since credit was last given.
    read: u32,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    /// What the worker speaks.
    version: u32,
    outbox: mpsc::Sender<ToWorker>,
    next_id: AtomicU64,
    waiting: Mutex<Waiting>,
}

/// Each text's tokens.
type Tokenized = Result<Vec<Vec<Token>>, WorkerError>;
/// Each text's bytes.
type Spelled = Result<Vec<Vec<u8>>, WorkerError>;

/// Who waits for what. Locked for moments only, never across an await.
#[derive(Debug, Default)]
struct Waiting {
    generations: HashMap<GenerationId, mpsc::Sender<Result<Event, WorkerError>>>,
    tokenizations: HashMap<GenerationId, oneshot::Sender<Tokenized>>,
    spellings: HashMap<GenerationId, oneshot::Sender<Spelled>>,
    gone: bool,
}

impl Worker {
    /// Waits until the worker's model is loaded. It was greeted when it was started.
    pub async fn connect(stream: StdUnixStream) -> Result<(Worker, Ready), WorkerError> {
        stream.set_nonblocking(true).map_err(|_| WorkerError::Gone)?;
        let (mut reading, writing) =
            UnixStream::from_std(stream).map_err(|_| WorkerError::Gone)?.into_split();
        let ready = match receive(&mut reading).await? {
            FromWorker::Ready(ready) if (OLDEST..=VERSION).contains(&ready.version) => *ready,
            _ => return Err(WorkerError::Gone),
        };
        let (outbox, outbox_receiver) = mpsc::channel(OUTBOX_MAX);
        let shared = Arc::new(Shared {
            version: ready.version,
            outbox,
            next_id: AtomicU64::new(1),
            waiting: Mutex::new(Waiting::default()),
        });
        tokio::spawn(write_all(writing, ready.version, outbox_receiver));
        let weak = Arc::downgrade(&shared);
        tokio::spawn(async move {
            while let Ok(message) = receive(&mut reading).await {
                let Some(shared) = weak.upgrade() else { break };
                if !shared.deliver(message) {
                    tracing::error!("the worker broke the protocol");
                    break;
                }
            }
            if let Some(shared) = weak.upgrade() {
                shared.end();
            }
        });
        Ok((Worker { shared }, ready))
    }

    /// Whether the worker has ended.
    pub fn is_gone(&self) -> bool {
        self.shared.lock().gone
    }

    /// The tokens of a text's parts.
    pub async fn tokenize(&self, parts: Vec<Part>) -> Result<Vec<Token>, WorkerError> {
        Ok(self.tokenize_all(vec![parts]).await?.concat())
    }

    /// The tokens of several texts, in one exchange: as many lists as texts.
    pub async fn tokenize_all(&self, texts: Vec<Vec<Part>>) -> Result<Vec<Vec<Token>>, WorkerError> {
        let count = texts.len();
        let id = self.shared.new_id();
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.shared.lock();
            if waiting.gone {
                return Err(WorkerError::Gone);
            }
            waiting.tokenizations.insert(id, sender);
        }
        self.shared.outbox.send(ToWorker::Tokenize { id, texts }).await.map_err(|_| WorkerError::Gone)?;
        let tokens = receiver.await.map_err(|_| WorkerError::Gone)??;
        // A worker that answers another number broke the protocol.
        if tokens.len() == count { Ok(tokens) } else { Err(WorkerError::Gone) }
    }

    /// How tokens are spelled, each text's in one piece: bytes, which may begin or end inside a character.
    pub async fn spell_all(&self, texts: Vec<Vec<Token>>) -> Result<Vec<Vec<u8>>, WorkerError> {
        let count = texts.len();
        let id = self.shared.new_id();
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.shared.lock();
            if waiting.gone {
                return Err(WorkerError::Gone);
            }
            waiting.spellings.insert(id, sender);
        }
        self.shared.outbox.send(ToWorker::Spell { id, texts }).await.map_err(|_| WorkerError::Gone)?;
        let texts = receiver.await.map_err(|_| WorkerError::Gone)??;
        // As above.
        if texts.len() == count { Ok(texts) } else { Err(WorkerError::Gone) }
    }

    /// Generations under way, those that wait included.
    pub fn running(&self) -> usize {
        self.shared.lock().generations.len()
    }

    /// Whether answers can be held to the syntax of a language that the worker knows.
    pub fn knows_syntax(&self) -> bool {
        self.shared.version >= 9
    }

    /// Starts a generation.
    pub async fn generate(&self, order: Order) -> Result<Generation, WorkerError> {
        if order.json_schema.is_some() && self.shared.version < 8 {
            return Err(Failure::Invalid(NO_SCHEMAS.to_owned()).into());
        }
        if order.syntax.is_some() && !self.knows_syntax() {
            return Err(Failure::Invalid(NO_SYNTAX.to_owned()).into());
        }
        let id = self.shared.new_id();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        {
            let mut waiting = self.shared.lock();
            if waiting.gone {
                return Err(WorkerError::Gone);
            }
            waiting.generations.insert(id, sender);
        }
        // Made before the message is sent: if this future is dropped meanwhile, its drop cancels.
        let generation = Generation { id, events, shared: Arc::clone(&self.shared), read: 0, ended: false };
        let request = Generate {
            id,
            prompt: order.prompt,
            sampling: order.sampling,
            tokens_max: order.tokens_max,
            stop: order.stop,
            predict_ms_max: order.predict_ms_max,
            until: order.until,
            heal: order.heal,
            cache_scope: order.cache_scope,
            person: order.person,
            class: order.class,
            digest_rows: order.digest_rows,
            credit: CREDIT,
            json_schema: order.json_schema,
            syntax: order.syntax,
        };
        let message = ToWorker::Generate(Box::new(request));
        self.shared.outbox.send(message).await.map_err(|_| WorkerError::Gone)?;
        Ok(generation)
    }
}

impl Generation {
    /// The next event; `None` after the end. An error is the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Event, WorkerError>> {
        if self.ended {
            return None;
        }
        if self.read >= CREDIT / 2
            && let Ok(place) = self.shared.outbox.reserve().await
        {
            place.send(ToWorker::Credit { id: self.id, tokens: std::mem::take(&mut self.read) });
        }
        let event = self.events.recv().await.unwrap_or(Err(WorkerError::Gone));
        match &event {
            Ok(Event::Text { tokens, .. }) => {
                self.read = self.read.saturating_add(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
            }
            Ok(Event::Queued { .. } | Event::Started { .. }) => {}
            Ok(Event::Done { .. }) | Err(_) => self.ended = true,
        }
        Some(event)
    }

    /// Asks the worker to stop; the remaining events still come, the end among them.
    pub async fn cancel(&self) {
        let _gone = self.shared.outbox.send(ToWorker::Cancel { id: self.id }).await;
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.shared.lock().generations.remove(&self.id);
        if !self.ended && self.shared.outbox.try_send(ToWorker::Cancel { id: self.id }).is_err() {
            // The outbox is full or closed. A worker that lives gets it a little later.
            let (outbox, id) = (self.shared.outbox.clone(), self.id);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { outbox.send(ToWorker::Cancel { id }).await });
            }
        }
    }
}

impl Shared {
    fn new_id(&self) -> GenerationId {
        GenerationId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a message to who waits for it; false when the worker broke the protocol. Messages for
    /// generations that were dropped are still on their way here for a while: those are ignored.
    fn deliver(&self, message: FromWorker) -> bool {
        let (id, event) = match message {
            FromWorker::Ready(_) => return false,
            FromWorker::Tokenized { id, tokens } => {
                if let Some(sender) = self.lock().tokenizations.remove(&id) {
                    let _dropped = sender.send(Ok(tokens));
                }
                return true;
            }
            FromWorker::Spelled { id, texts } => {
                if let Some(sender) = self.lock().spellings.remove(&id) {
                    let _dropped = sender.send(Ok(texts));
                }
                return true;
            }
            FromWorker::Queued { id, ahead } => (id, Ok(Event::Queued { ahead })),
            FromWorker::Started { id, prompt_tokens_cached } => {
                (id, Ok(Event::Started { prompt_tokens_cached }))
            }
            FromWorker::Text { tokens, text, .. }
                if tokens.len() > CREDIT as usize || text.len() > TEXT_BYTES_MAX =>
            {
                return false;
            }
            FromWorker::Text { id, tokens, text } => (id, Ok(Event::Text { tokens, text })),
            FromWorker::Done { id, stop, times, rows, drafts } => {
                (id, Ok(Event::Done { stop, times, rows, drafts }))
            }
            FromWorker::Failed { id, error } => {
                if let Some(sender) = self.lock().tokenizations.remove(&id) {
                    let _dropped = sender.send(Err(error.into()));
                    return true;
                }
                if let Some(sender) = self.lock().spellings.remove(&id) {
                    let _dropped = sender.send(Err(error.into()));
                    return true;
                }
                (id, Err(WorkerError::Failed(error)))
            }
        };
        let mut waiting = self.lock();
        let ends = matches!(event, Ok(Event::Done { .. }) | Err(_));
        let sender =
            if ends { waiting.generations.remove(&id) } else { waiting.generations.get(&id).cloned() };
        // A place in the queue may be passed over where its reader is behind.
        if matches!(event, Ok(Event::Queued { .. }))
            && sender.as_ref().is_some_and(|sender| sender.capacity() <= EVENTS_MAX - PLACES_MAX)
        {
            return true;
        }
        // Credit limits what can be under way, so a full channel means more tokens than allowed.
        sender.is_none_or(|sender| !matches!(sender.try_send(event), Err(mpsc::error::TrySendError::Full(_))))
    }

    fn end(&self) {
        let mut waiting = self.lock();
        waiting.gone = true;
        // Dropped senders read as `Gone`.
        waiting.generations.clear();
        waiting.tokenizations.clear();
        waiting.spellings.clear();
    }
}

async fn write_all(mut writing: OwnedWriteHalf, version: u32, mut outbox: mpsc::Receiver<ToWorker>) {
    while let Some(message) = outbox.recv().await {
        if send(&mut writing, version, &message).await.is_err() {
            return;
        }
    }
}

async fn send(writing: &mut OwnedWriteHalf, version: u32, message: &ToWorker) -> Result<(), WorkerError> {
    let frame = message.frame(version).ok_or_else(|| Failure::Invalid(NO_SCHEMAS.to_owned()))?;
    writing.write_all(&frame.map_err(too_long)?).await.map_err(|_| WorkerError::Gone)
}

fn too_long(error: FrameError) -> WorkerError {
    WorkerError::Failed(Failure::Invalid(error.to_string()))
}

async fn receive(reading: &mut OwnedReadHalf) -> Result<FromWorker, WorkerError> {
    let mut header = [0; frame::HEADER_BYTES];
    reading.read_exact(&mut header).await.map_err(|_| WorkerError::Gone)?;
    let len = frame::payload_len(header).map_err(|_| WorkerError::Gone)?;
    let mut payload = vec![0; len];
    reading.read_exact(&mut payload).await.map_err(|_| WorkerError::Gone)?;
    frame::decode(&payload).map_err(|_| WorkerError::Gone)
}
