//! The conversation with the gateway: what it asks for runs in tasks of one thread, beside the reading.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use protocol::frame;
use protocol::ids::GenerationId;
use protocol::relay::RelaySettings;
use protocol::worker::{
    EngineProfile, Failure, FromWorker, ModelFacts, Part, Ready, ToWorker, Token, VERSION,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::generation::{self, Handle, Upstream};
use crate::server::{Server, ServerError, Sizes};
use crate::slots::Slots;

/// Messages that wait to be handled, and to be sent.
const MESSAGES_MAX: usize = 256;
/// Texts whose spelling is asked for at once: each is a request of its own.
const SPELLINGS_MAX: usize = 1024;
/// Requests of the gateway under way at once.
const TASKS_MAX: usize = 1024;
/// When a place is likely to be free, where too many requests are under way.
pub(crate) const RETRY_AFTER_S: u32 = 5;
/// Last words have that long to be taken.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(5);

/// What a task was, and whether the relay can go on.
type Ended = (GenerationId, Result<(), ServerError>);

/// Serves until the gateway is gone, or the upstream cannot be reached. `weaker` names what its jail goes without.
pub(crate) async fn serve(
    socket: StdUnixStream,
    settings: RelaySettings,
    weaker: Vec<String>,
) -> Result<(), Box<dyn Error>> {
    socket.set_nonblocking(true)?;
    let (mut reading, mut writing) = UnixStream::from_std(socket)?.into_split();
    match receive(&mut reading).await? {
        Some(ToWorker::Hello { version: VERSION }) => {}
        Some(ToWorker::Hello { version }) => {
            return Err(
                format!("the supervisor greets in version {version}, this relay speaks {VERSION}").into()
            );
        }
        Some(_) => return Err("the first message is no greeting".into()),
        None => return Ok(()),
    }
    // The gateway waits for the answer to its greeting: what is read meanwhile is its end.
    let mut early = [0];
    let (upstream, mut ready) = tokio::select! {
        asked = ask(&settings) => asked.map_err(|error| {
            format!("the upstream engine at {} cannot be used: {error}", settings.socket)
        })?,
        _ = reading.read(&mut early) => return Ok(()),
    };
    ready.weaker = weaker;
    let sizes = (ready.vocabulary > 0).then_some(ready.vocabulary);
    send(&mut writing, &FromWorker::Ready(Box::new(ready))).await?;

    let (inbox_sender, mut inbox) = mpsc::channel(MESSAGES_MAX);
    tokio::spawn(async move {
        // A malformed frame ends the conversation as the end of the stream does.
        while let Ok(Some(message)) = receive(&mut reading).await {
            if inbox_sender.send(message).await.is_err() {
                return;
            }
        }
    });
    let (outbox, outbox_receiver) = mpsc::channel(MESSAGES_MAX);
    let writer = tokio::spawn(write_all(writing, outbox_receiver));
    let outcome = Relay {
        upstream: Arc::new(upstream),
        vocabulary: sizes,
        outbox,
        running: HashMap::new(),
        tasks: JoinSet::new(),
    }
    .run(&mut inbox)
    .await;
    // All senders are gone: the writer ends once what they said is sent.
    let _late = tokio::time::timeout(LAST_WORDS_WAIT, writer).await;
    outcome.map_err(|error| format!("the upstream engine at {}: {error}", settings.socket).into())
}

/// Asks the upstream what it is.
async fn ask(settings: &RelaySettings) -> Result<(Upstream, Ready), ServerError> {
    let server = Server::new(Duration::from_millis(u64::from(settings.silence_ms_max)));
    let stated = server.stated().await?;
    let model = stated.model();
    if let Some(wanted) = settings.model.as_ref().filter(|wanted| **wanted != model) {
        return Err(ServerError::Broken(format!("it states the model `{model}`, not `{wanted}`")));
    }
    let sizes: Sizes = server.sizes().await?;
    let begin_of_text = server.begin_of_text().await?;
    let fill = server.fill().await?;
    let context_tokens = stated.context_tokens();
    let ready = Ready {
        version: VERSION,
        // The gateway knows that this is a relay, and records that.
        profile: EngineProfile::Fast,
        reproducible: false,
        cpu_features: String::new(),
        cpu_level: String::new(),
        llama_version: stated.server(),
        context_tokens,
        trained_context_tokens: sizes.trained_context_tokens.max(context_tokens),
        slots: stated.total_slots,
        vocabulary: sizes.vocabulary,
        step_costs: Vec::new(),
        fill,
        begin_of_text,
        end_of_text_spelling: stated.eos_token.clone(),
        begin_of_text_spelling: stated.bos_token.clone(),
        model: ModelFacts {
            architecture: String::new(),
            name: model,
            chat_template: Some(stated.chat_template.clone()).filter(|template| !template.is_empty()),
        },
        weaker: Vec::new(),
    };
    let slots = Slots::new(stated.total_slots, settings.queue_max);
    Ok((Upstream { server, stated, slots }, ready))
}

struct Relay {
    upstream: Arc<Upstream>,
    /// Size of the vocabulary, where the upstream states it.
    vocabulary: Option<u32>,
    outbox: mpsc::Sender<FromWorker>,
    running: HashMap<GenerationId, Handle>,
    tasks: JoinSet<Ended>,
}

impl Relay {
    async fn run(mut self, inbox: &mut mpsc::Receiver<ToWorker>) -> Result<(), ServerError> {
        loop {
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => return Ok(()),
                },
                Some(ended) = self.tasks.join_next() => {
                    let Ok((id, outcome)) = ended else { continue };
                    self.running.remove(&id);
                    outcome?;
                }
            }
        }
    }

    async fn handle(&mut self, message: ToWorker) {
        let (upstream, outbox) = (Arc::clone(&self.upstream), self.outbox.clone());
        match message {
            // The conversation's opening checked the version.
            ToWorker::Hello { .. } => {}
            ToWorker::Tokenize { id, .. } if self.is_full() => self.refuse(id).await,
            ToWorker::Tokenize { id, texts } => {
                let vocabulary = self.vocabulary;
                self.tasks.spawn(async move {
                    let (message, outcome) = match tokenize(&upstream.server, &texts, vocabulary).await {
                        Ok(tokens) => (FromWorker::Tokenized { id, tokens }, Ok(())),
                        Err(error) => (FromWorker::Failed { id, error: error.failure() }, Err(error)),
                    };
                    let _gone = outbox.send(message).await;
                    (id, outcome.or_else(|error| if error.ends_the_relay() { Err(error) } else { Ok(()) }))
                });
            }
            ToWorker::Spell { id, .. } if self.is_full() => self.refuse(id).await,
            ToWorker::Spell { id, texts } => {
                self.tasks.spawn(async move {
                    let (message, outcome) = match spell(&upstream.server, &texts).await {
                        Ok(texts) => (FromWorker::Spelled { id, texts }, Ok(())),
                        Err(error) => (FromWorker::Failed { id, error: error.failure() }, Err(error)),
                    };
                    let _gone = outbox.send(message).await;
                    (id, outcome.or_else(|error| if error.ends_the_relay() { Err(error) } else { Ok(()) }))
                });
            }
            ToWorker::Generate(request) if self.is_full() => self.refuse(request.id).await,
            ToWorker::Generate(request) => {
                let handle = Handle::new(request.credit);
                self.running.insert(request.id, handle.clone());
                self.tasks.spawn(async move {
                    (request.id, generation::run(&upstream, &request, &handle, &outbox).await)
                });
            }
            ToWorker::Credit { id, tokens } => {
                if let Some(handle) = self.running.get(&id) {
                    handle.add_credit(tokens);
                }
            }
            ToWorker::Cancel { id } => {
                if let Some(handle) = self.running.get(&id) {
                    handle.cancel.notify_one();
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        self.tasks.len() >= TASKS_MAX
    }

    async fn refuse(&self, id: GenerationId) {
        let tasks = u32::try_from(TASKS_MAX).unwrap_or(u32::MAX);
        let _gone = self
            .outbox
            .send(FromWorker::Failed {
                id,
                error: Failure::QueueFull { waiting: tasks, retry_after_s: RETRY_AFTER_S },
            })
            .await;
    }
}

/// Each text's tokens. Parts are tokenized one by one, as the engine worker does.
async fn tokenize(
    server: &Server,
    texts: &[Vec<Part>],
    vocabulary: Option<u32>,
) -> Result<Vec<Vec<Token>>, ServerError> {
    let known = |token: &Token| {
        u32::try_from(*token).is_ok_and(|token| vocabulary.is_none_or(|vocabulary| token < vocabulary))
    };
    let mut all = Vec::new();
    for parts in texts {
        let mut tokens = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) if text.is_empty() => {}
                Part::Text(text) => tokens.extend(server.tokenize(text, false).await?),
                Part::Template(text) => tokens.extend(server.tokenize(text, true).await?),
                Part::Token(token) => tokens.push(*token),
            }
        }
        if let Some(token) = tokens.iter().find(|token| !known(token)) {
            return Err(ServerError::Broken(format!("token {token} is not in its vocabulary")));
        }
        all.push(tokens);
    }
    Ok(all)
}

/// Each text's bytes, as far as the upstream's JSON can hold them: what is no whole character comes as it says.
async fn spell(server: &Server, texts: &[Vec<Token>]) -> Result<Vec<Vec<u8>>, ServerError> {
    if texts.len() > SPELLINGS_MAX {
        let message = format!("an upstream engine is asked for {SPELLINGS_MAX} spellings at most");
        return Err(ServerError::Refused { status: 400, message });
    }
    let mut all = Vec::new();
    for tokens in texts {
        all.push(server.detokenize(tokens).await?.into_bytes());
    }
    Ok(all)
}

async fn write_all(mut writing: OwnedWriteHalf, mut outbox: mpsc::Receiver<FromWorker>) {
    while let Some(message) = outbox.recv().await {
        if send(&mut writing, &message).await.is_err() {
            return;
        }
    }
}

/// An answer that is too long for a frame becomes an error.
async fn send(writing: &mut OwnedWriteHalf, message: &FromWorker) -> io::Result<()> {
    let bytes = match (frame::encode(message), message) {
        (Ok(bytes), _) => bytes,
        (
            Err(error),
            FromWorker::Tokenized { id, .. } | FromWorker::Spelled { id, .. } | FromWorker::Text { id, .. },
        ) => {
            let error = Failure::Invalid(format!("the upstream engine's answer: {error}"));
            frame::encode(&FromWorker::Failed { id: *id, error }).map_err(io::Error::other)?
        }
        (Err(error), _) => return Err(io::Error::other(error)),
    };
    writing.write_all(&bytes).await
}

/// One frame; `None` at the end of the stream between frames.
async fn receive(reading: &mut OwnedReadHalf) -> io::Result<Option<ToWorker>> {
    let mut header = [0; frame::HEADER_BYTES];
    match reading.read(&mut header).await? {
        0 => return Ok(None),
        read => reading.read_exact(&mut header[read..]).await?,
    };
    let mut payload = vec![0; frame::payload_len(header).map_err(io::Error::other)?];
    reading.read_exact(&mut payload).await?;
    frame::decode(&payload).map(Some).map_err(io::Error::other)
}
