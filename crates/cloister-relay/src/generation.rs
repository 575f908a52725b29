//! One generation, from the gateway's order to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::released::Released;
use protocol::worker::{Drafts, Failure, FromWorker, Generate, Stop, Times};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::server::{Completion, Piece, Server, ServerError, Stated};
use crate::slots::Slots;

/// Tokens of one piece at most: with drafts an upstream chooses several at once.
const PIECE_TOKENS_MAX: usize = 64;

/// What all generations share.
pub(crate) struct Upstream {
    pub(crate) server: Server,
    /// As the gateway was told.
    pub(crate) stated: Stated,
    pub(crate) slots: Arc<Slots>,
}

/// How the gateway reaches a generation that runs.
#[derive(Clone)]
pub(crate) struct Handle {
    /// Tokens that may be sent.
    pub(crate) credit: Arc<Semaphore>,
    pub(crate) cancel: Arc<Notify>,
}

impl Handle {
    pub(crate) fn new(credit: u32) -> Handle {
        let handle = Handle { credit: Arc::new(Semaphore::new(0)), cancel: Arc::new(Notify::new()) };
        handle.add_credit(credit);
        handle
    }

    pub(crate) fn add_credit(&self, tokens: u32) {
        let room = Semaphore::MAX_PERMITS - self.credit.available_permits();
        self.credit.add_permits(usize::try_from(tokens).unwrap_or(0).min(room));
    }
}

/// Why a generation failed.
enum Broken {
    Request(Failure),
    Server(ServerError),
}

impl From<ServerError> for Broken {
    fn from(error: ServerError) -> Broken {
        Broken::Server(error)
    }
}

/// Runs it to its end, whichever that is. An error when the relay cannot go on.
pub(crate) async fn run(
    upstream: &Upstream,
    request: &Generate,
    handle: &Handle,
    outbox: &mpsc::Sender<FromWorker>,
) -> Result<(), ServerError> {
    let mut times = Times::default();
    // Whatever is dropped here closes its connection, and the upstream stops.
    let outcome = tokio::select! {
        () = handle.cancel.notified() => Ok(Stop::Cancelled),
        outcome = generate(upstream, request, handle, outbox, &mut times) => outcome,
    };
    let id = request.id;
    let (message, ends) = match outcome {
        Ok(stop) => (FromWorker::Done { id, stop, times, rows: None, drafts: Drafts::default() }, None),
        Err(Broken::Request(error)) => (FromWorker::Failed { id, error }, None),
        Err(Broken::Server(error)) => (FromWorker::Failed { id, error: error.failure() }, Some(error)),
    };
    let _gone = outbox.send(message).await;
    match ends.filter(ServerError::ends_the_relay) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn generate(
    upstream: &Upstream,
    request: &Generate,
    handle: &Handle,
    outbox: &mpsc::Sender<FromWorker>,
    times: &mut Times,
) -> Result<Stop, Broken> {
    check(upstream, request).map_err(Broken::Request)?;
    let begun = Instant::now();
    let place = upstream.slots.enter(request.cache_scope).await.map_err(Broken::Request)?;
    times.queued_us = micros(begun);
    let admitted = Instant::now();
    // A proxy may lead to another server than before. Its answer would be on record as this one's.
    if upstream.server.stated().await? != upstream.stated {
        return Err(ServerError::Changed.into());
    }
    let mut completion = upstream.server.complete(request, place.number, place.may_reuse).await?;

    let mut released = Released::new(request.stop.clone(), request.until);
    let mut chosen = 0;
    let mut first: Option<Instant> = None;
    let stop = loop {
        let Some(piece) = next(&mut completion, request, first).await? else { break Stop::Deadline };
        // What only opens the stream was sent before the prompt's evaluation.
        let evaluated = piece.stop || !piece.tokens.is_empty() || !piece.content.is_empty();
        if !evaluated {
            continue;
        }
        if first.is_none() {
            times.prompt_us = micros(admitted);
            place.evaluated();
            let prompt_tokens_cached = piece.prompt_tokens_cached();
            send(outbox, FromWorker::Started { id: request.id, prompt_tokens_cached }).await;
        }
        // It chooses one token even where none is asked for, once the prompt is evaluated.
        if request.tokens_max == 0 {
            return Ok(Stop::TokensMax);
        }
        times.predict_us = micros(*first.get_or_insert_with(Instant::now));
        if piece.tokens.is_empty() && !piece.stop {
            return Err(ServerError::Broken("a piece of its answer states no tokens".to_owned()).into());
        }
        if piece.tokens.len() > PIECE_TOKENS_MAX {
            return Err(ServerError::Broken("a piece of its answer has too many tokens".to_owned()).into());
        }
        chosen += u32::try_from(piece.tokens.len()).unwrap_or(u32::MAX);
        if chosen > request.tokens_max {
            return Err(ServerError::Broken("its answer has more tokens than asked for".to_owned()).into());
        }
        released.bytes().extend_from_slice(piece.content.as_bytes());
        let (text, stopped) = released.take();
        let last = piece.stop.then(|| stop(&piece, chosen, request.tokens_max)).transpose()?;
        if !piece.tokens.is_empty() || !text.is_empty() {
            pay(handle, piece.tokens.len()).await;
            send(outbox, FromWorker::Text { id: request.id, tokens: piece.tokens, text }).await;
        }
        match (stopped, last) {
            (Some(stop), _) => return Ok(stop),
            (None, Some(last)) => break last,
            (None, None) => {}
        }
    };
    let text = released.finish();
    if !text.is_empty() {
        send(outbox, FromWorker::Text { id: request.id, tokens: Vec::new(), text }).await;
    }
    Ok(stop)
}

fn check(upstream: &Upstream, request: &Generate) -> Result<(), Failure> {
    let tokens = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
    let tokens_max = upstream.stated.context_tokens() - 1;
    if tokens == 0 {
        return Err(Failure::Invalid("the prompt is empty".to_owned()));
    }
    if tokens > tokens_max {
        return Err(Failure::PromptTooLong { tokens, tokens_max });
    }
    if request.json_schema.is_some() {
        return Err(Failure::Invalid("an upstream engine is held to no schema: leave it out".to_owned()));
    }
    if request.syntax.is_some() {
        return Err(Failure::Invalid("an upstream engine is held to no syntax".to_owned()));
    }
    if request.digest_rows {
        return Err(Failure::Invalid("an upstream engine shows no logits".to_owned()));
    }
    Ok(())
}

/// The next piece; `None` when the time allowed since the first has passed.
async fn next(
    completion: &mut Completion,
    request: &Generate,
    first: Option<Instant>,
) -> Result<Option<Piece>, ServerError> {
    match (first, request.predict_ms_max) {
        (Some(first), Some(allowed)) => {
            let deadline = first + Duration::from_millis(u64::from(allowed));
            tokio::time::timeout_at(deadline.into(), completion.next()).await.ok().transpose()
        }
        _ => completion.next().await.map(Some),
    }
}

/// Why the upstream stopped.
fn stop(piece: &Piece, chosen: u32, tokens_max: u32) -> Result<Stop, ServerError> {
    match piece.stop_type.as_str() {
        "eos" => Ok(Stop::EndOfText),
        // Tokens inside a character are counted upstream and not stated.
        "limit" if piece.tokens_predicted.unwrap_or(chosen) >= tokens_max => Ok(Stop::TokensMax),
        "limit" => Ok(Stop::ContextFull),
        other => Err(ServerError::Broken(format!("its answer ended for a reason not known: {other:?}"))),
    }
}

/// Waits until the gateway has read enough.
async fn pay(handle: &Handle, tokens: usize) {
    // At most `PIECE_TOKENS_MAX`; and nobody closes the semaphore.
    if let Ok(permits) = handle.credit.acquire_many(u32::try_from(tokens).unwrap_or(0)).await {
        permits.forget();
    }
}

/// A gateway that is gone is noticed where it is read from.
async fn send(outbox: &mpsc::Sender<FromWorker>, message: FromWorker) {
    let _gone = outbox.send(message).await;
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
