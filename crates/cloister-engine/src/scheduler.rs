//! Continuous batching over the context's sequences: each step evaluates the next token of every
//! running generation and a chunk of the prompts that wait for evaluation.
//!
//! In the reproducible profile no kernel's result depends on its company, so batching, chunking and
//! the reuse of a prefix change the time an answer takes and never its bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use llama::{Batch, Context, Model};
use protocol::Digest;
use protocol::ids::GenerationId;
use protocol::worker::{Failure, Generate, Part, Stop, Times, ToWorker, Token};
use sha2::{Digest as _, Sha256};

use crate::replies::Replies;
use crate::sampler::Sampler;
use crate::text::Released;

/// Prompt tokens evaluated in a step beside running generations: bounds how long those wait.
const PROMPT_CHUNK_BESIDE_OTHERS: usize = 64;
/// Prompt tokens evaluated in a step when nothing else runs: bounds how long a cancellation waits.
pub(crate) const PROMPT_CHUNK_ALONE: usize = 64;

/// What the scheduler may do.
pub(crate) struct Limits {
    pub(crate) sequences: u32,
    pub(crate) sequence_tokens: u32,
    pub(crate) queue_max: u32,
    /// Whether [`protocol::worker::Ready`] promised so: then it is kept, or nothing is answered.
    pub(crate) reproducible: bool,
}

pub(crate) struct Scheduler {
    model: Arc<Model>,
    context: Context,
    batch: Batch,
    limits: Limits,
    replies: Replies,
    sampler: Sampler,
    slots: Vec<Slot>,
    queue: VecDeque<Waiting>,
    /// Counts admissions; the slot with the lowest number was used longest ago.
    admissions: u64,
}

struct Waiting {
    request: Box<Generate>,
    since: Instant,
}

/// One KV sequence: what it holds, and who runs on it.
struct Slot {
    sequence: u32,
    /// Tokens whose KV entries are at cells `0..held.len()`.
    held: Vec<Token>,
    /// Whose they are: entries never serve another scope.
    scope: Option<Digest>,
    last_admission: u64,
    running: Option<Running>,
}

struct Running {
    id: GenerationId,
    request: Box<Generate>,
    /// Chosen and sent, not evaluated yet.
    pending: Option<Token>,
    chosen: u32,
    credit: u32,
    released: Released,
    queued_us: u64,
    admitted: Instant,
    first_row: Option<Instant>,
    /// Digests the rows of logits, where that was asked for.
    rows: Option<Sha256>,
}

/// A row of logits that a step will produce.
struct Row {
    slot: usize,
    row: usize,
}

impl Scheduler {
    pub(crate) fn new(model: Arc<Model>, context: Context, limits: Limits, replies: Replies) -> Scheduler {
        let capacity = u32::try_from(PROMPT_CHUNK_ALONE).unwrap_or(u32::MAX).max(64) + limits.sequences;
        let slots = (0..limits.sequences)
            .map(|sequence| Slot {
                sequence,
                held: Vec::new(),
                scope: None,
                last_admission: 0,
                running: None,
            })
            .collect();
        Scheduler {
            model,
            context,
            batch: Batch::new(capacity),
            limits,
            replies,
            sampler: Sampler::default(),
            slots,
            queue: VecDeque::new(),
            admissions: 0,
        }
    }

    /// Serves until the gateway is gone.
    pub(crate) fn run(&mut self, inbox: &Receiver<ToWorker>) {
        loop {
            if !self.runnable() {
                let Ok(message) = inbox.recv() else { return };
                self.handle(message);
            }
            loop {
                match inbox.try_recv() {
                    Ok(message) => self.handle(message),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.expire();
            self.admit();
            self.step();
        }
    }

    /// Whether a step would do anything; a generation without credit waits for a message.
    fn runnable(&self) -> bool {
        let any_free = self.slots.iter().any(|slot| slot.running.is_none());
        (any_free && !self.queue.is_empty())
            || self.slots.iter().any(|slot| slot.running.as_ref().is_some_and(|running| running.may_go_on()))
    }

    fn handle(&mut self, message: ToWorker) {
        match message {
            // The connection's opening checked the version.
            ToWorker::Hello { .. } => {}
            ToWorker::Tokenize { id, texts } => {
                match texts.iter().map(|text| self.tokenize(text)).collect() {
                    Ok(tokens) => self.replies.send(protocol::worker::FromWorker::Tokenized { id, tokens }),
                    Err(error) => self.replies.failed(id, Failure::Invalid(error)),
                }
            }
            ToWorker::Generate(request) => self.enqueue(request),
            ToWorker::Credit { id, tokens } => {
                if let Some(running) =
                    self.slots.iter_mut().filter_map(|s| s.running.as_mut()).find(|r| r.id == id)
                {
                    running.credit = running.credit.saturating_add(tokens);
                }
                if let Some(waiting) = self.queue.iter_mut().find(|waiting| waiting.request.id == id) {
                    waiting.request.credit = waiting.request.credit.saturating_add(tokens);
                }
            }
            ToWorker::Cancel { id } => self.cancel(id),
        }
    }

    fn tokenize(&self, parts: &[Part]) -> Result<Vec<Token>, String> {
        let mut tokens = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => {
                    tokens.extend(self.model.tokenize(text, false).map_err(|e| e.to_string())?)
                }
                Part::Template(text) => {
                    tokens.extend(self.model.tokenize(text, true).map_err(|e| e.to_string())?)
                }
                Part::Token(token) if self.model.contains(*token) => tokens.push(*token),
                Part::Token(token) => return Err(format!("token {token} is not in the vocabulary")),
            }
        }
        Ok(tokens)
    }

    fn enqueue(&mut self, request: Box<Generate>) {
        if let Err(error) = self.check(&request) {
            self.replies.failed(request.id, error);
            return;
        }
        self.queue.push_back(Waiting { request, since: Instant::now() });
    }

    fn check(&self, request: &Generate) -> Result<(), Failure> {
        let invalid = |what: &str| Err(Failure::Invalid(what.to_owned()));
        let queued = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let free = self.slots.iter().filter(|slot| slot.running.is_none()).count();
        let free = u32::try_from(free).unwrap_or(0);
        if queued >= self.limits.queue_max.saturating_add(free) {
            return Err(Failure::QueueFull(queued));
        }
        let tokens = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
        let tokens_max = self.limits.sequence_tokens.saturating_sub(1);
        if tokens > tokens_max {
            return Err(Failure::PromptTooLong { tokens, tokens_max });
        }
        if request.prompt.is_empty() {
            return invalid("the prompt is empty");
        }
        if !request.prompt.iter().all(|&token| self.model.contains(token)) {
            return invalid("the prompt has a token that is not in the vocabulary");
        }
        if request.stop.iter().any(String::is_empty) {
            return invalid("a stop string is empty");
        }
        let sampling = &request.sampling;
        let in_range = |value: f32, high: f32| (0.0..=high).contains(&value);
        if !in_range(sampling.temperature, 100.0)
            || !in_range(sampling.top_p, 1.0)
            || !in_range(sampling.min_p, 1.0)
        {
            return invalid("temperature must be 0 to 100, top_p and min_p 0 to 1");
        }
        Ok(())
    }

    fn cancel(&mut self, id: GenerationId) {
        if let Some(position) = self.queue.iter().position(|waiting| waiting.request.id == id) {
            if let Some(waiting) = self.queue.remove(position) {
                let times = Times { queued_us: micros(waiting.since), ..Times::default() };
                self.replies.done(id, Stop::Cancelled, times, None);
            }
        } else if let Some(slot) =
            self.slots.iter().position(|slot| slot.running.as_ref().is_some_and(|running| running.id == id))
        {
            self.end(slot, Stop::Cancelled);
        }
    }

    /// Ends generations whose time is up.
    fn expire(&mut self) {
        for slot in 0..self.slots.len() {
            let late = self.slots[slot].running.as_ref().is_some_and(Running::is_late);
            if late {
                self.end(slot, Stop::Deadline);
            }
        }
    }

    /// Gives free sequences to the requests that waited longest.
    fn admit(&mut self) {
        while !self.queue.is_empty() && self.slots.iter().any(|slot| slot.running.is_none()) {
            let Some(waiting) = self.queue.pop_front() else { return };
            let request = waiting.request;
            let Some((slot, reused)) = self.best_slot(&request) else { return };
            self.admissions += 1;
            let slot = &mut self.slots[slot];
            let position = u32::try_from(reused).unwrap_or(u32::MAX);
            if !self.context.truncate(slot.sequence, position) {
                self.replies.failed(request.id, Failure::Engine("the KV cache could not be cut".to_owned()));
                continue;
            }
            slot.held.truncate(reused);
            slot.scope = Some(request.cache_scope);
            slot.last_admission = self.admissions;
            debug_assert_eq!(self.context.last_position(slot.sequence), position.checked_sub(1));
            self.replies.started(request.id, position);
            slot.running = Some(Running {
                id: request.id,
                pending: None,
                chosen: 0,
                credit: request.credit,
                released: Released::new(request.stop.clone()),
                queued_us: micros(waiting.since),
                admitted: Instant::now(),
                first_row: None,
                rows: request.digest_rows.then(Sha256::new),
                request,
            });
        }
    }

    /// The free slot that holds the longest prefix of the prompt, else the one used longest ago, and
    /// the tokens that can be reused there. The prompt's last token is always evaluated: its row of
    /// logits is needed.
    fn best_slot(&self, request: &Generate) -> Option<(usize, usize)> {
        let free = self.slots.iter().enumerate().filter(|(_, slot)| slot.running.is_none());
        let rated = free.map(|(index, slot)| {
            let same_scope = slot.scope == Some(request.cache_scope);
            let reused = if same_scope { common_prefix_len(&slot.held, &request.prompt) } else { 0 };
            (index, reused.min(request.prompt.len() - 1), slot.last_admission)
        });
        rated
            .max_by_key(|&(_, reused, last_admission)| (reused, std::cmp::Reverse(last_admission)))
            .map(|(index, reused, _)| (index, reused))
    }

    /// One evaluation, and what follows from it.
    fn step(&mut self) {
        self.batch.clear();
        let mut rows = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(running) = slot.running.as_mut().filter(|running| running.may_go_on()) else { continue };
            if let Some(token) = running.pending.take() {
                let position = u32::try_from(slot.held.len()).unwrap_or(u32::MAX);
                rows.push(Row { slot: index, row: self.batch.add(token, position, slot.sequence, true) });
                slot.held.push(token);
            }
        }
        let alone = rows.is_empty();
        self.add_prompts(if alone { PROMPT_CHUNK_ALONE } else { PROMPT_CHUNK_BESIDE_OTHERS }, &mut rows);
        if self.batch.is_empty() {
            return;
        }
        if let Err(error) = self.context.decode(&self.batch) {
            self.fail_all(&error.to_string());
            return;
        }
        if self.limits.reproducible && llama::unproven() {
            self.fail_all("an operation ran in a kernel whose result depends on the batch");
            return;
        }
        for Row { slot, row } in rows {
            self.choose(slot, row);
        }
    }

    /// Fills the batch with prompt tokens, the generation admitted first going first.
    fn add_prompts(&mut self, tokens_max: usize, rows: &mut Vec<Row>) {
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        order.sort_unstable_by_key(|&index| self.slots[index].last_admission);
        let mut left = tokens_max.min(self.batch.room());
        for index in order {
            let slot = &mut self.slots[index];
            let Some(running) = &slot.running else { continue };
            let prompt = &running.request.prompt;
            let wanted = prompt.len().saturating_sub(slot.held.len());
            if running.first_row.is_some() || wanted == 0 {
                continue;
            }
            let start = slot.held.len();
            for (position, &token) in prompt.iter().enumerate().skip(start).take(wanted.min(left)) {
                let last = position + 1 == prompt.len();
                let position = u32::try_from(position).unwrap_or(u32::MAX);
                let row = self.batch.add(token, position, slot.sequence, last);
                slot.held.push(token);
                left -= 1;
                if last {
                    rows.push(Row { slot: index, row });
                }
            }
            if left == 0 {
                return;
            }
        }
    }

    /// Chooses the token after a row, sends it, and ends the generation where it ends.
    fn choose(&mut self, index: usize, row: usize) {
        let slot = &mut self.slots[index];
        let Some(running) = slot.running.as_mut() else { return };
        running.first_row.get_or_insert_with(Instant::now);
        if running.request.tokens_max == 0 {
            self.end(index, Stop::TokensMax);
            return;
        }
        let Some(logits) = self.context.logits(row) else {
            self.fail(index, "a row of logits is missing");
            return;
        };
        if let Some(rows) = &mut running.rows {
            for logit in logits {
                rows.update(logit.to_le_bytes());
            }
        }
        let Some(token) = self.sampler.choose(logits, &running.request.sampling, running.chosen) else {
            self.fail(index, "no logit is finite");
            return;
        };
        running.chosen += 1;
        running.credit = running.credit.saturating_sub(1);
        if self.model.ends_generation(token) {
            let rest = running.released.finish();
            self.replies.text(running.id, vec![token], rest);
            self.end(index, Stop::EndOfText);
            return;
        }
        self.model.append_piece(token, running.released.bytes());
        let (text, stop) = running.released.take();
        self.replies.text(running.id, vec![token], text);
        let full = slot.held.len() + 1 >= usize::try_from(self.limits.sequence_tokens).unwrap_or(0);
        let ended = match stop {
            Some(index) => Some(Stop::StopString(index)),
            None if running.chosen >= running.request.tokens_max => Some(Stop::TokensMax),
            None if full => Some(Stop::ContextFull),
            None => None,
        };
        match ended {
            Some(stop) => self.end(index, stop),
            None => running.pending = Some(token),
        }
    }

    /// Ends a generation; its sequence keeps its KV entries for the next of the same scope.
    fn end(&mut self, index: usize, stop: Stop) {
        let Some(mut running) = self.slots[index].running.take() else { return };
        let rest = running.released.finish();
        if !rest.is_empty() && !matches!(stop, Stop::StopString(_)) {
            self.replies.text(running.id, Vec::new(), rest);
        }
        let rows = running.rows.take().map(|rows| Digest(rows.finalize().into()));
        self.replies.done(running.id, stop, running.times(), rows);
    }

    fn fail(&mut self, index: usize, what: &str) {
        if let Some(running) = self.slots[index].running.take() {
            self.replies.failed(running.id, Failure::Engine(what.to_owned()));
        }
    }

    /// After a failed evaluation nothing is known of the sequences in the batch: all running ones
    /// fail and forget.
    fn fail_all(&mut self, error: &str) {
        for index in 0..self.slots.len() {
            if self.slots[index].running.is_some() {
                self.fail(index, error);
                let slot = &mut self.slots[index];
                slot.held.clear();
                slot.scope = None;
                self.context.truncate(slot.sequence, 0);
            }
        }
    }
}

impl Running {
    /// Not waiting for credit.
    fn may_go_on(&self) -> bool {
        self.pending.is_none() && self.first_row.is_none() || self.credit > 0
    }

    fn is_late(&self) -> bool {
        match (self.request.predict_ms_max, self.first_row) {
            (Some(ms), Some(first)) => first.elapsed().as_millis() >= u128::from(ms),
            _ => false,
        }
    }

    fn times(&self) -> Times {
        let prompt_us = match self.first_row {
            Some(first) => u64::try_from((first - self.admitted).as_micros()).unwrap_or(u64::MAX),
            None => micros(self.admitted),
        };
        Times { queued_us: self.queued_us, prompt_us, predict_us: self.first_row.map_or(0, micros) }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn common_prefix_len(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
