//! Continuous batching over the context's sequences: each step evaluates the next token of every running
//! generation, tokens guessed to follow it, and a chunk of the prompts that wait for evaluation.
//!
//! Who goes first: completions, then whose person got least (`queue`). How long a step may take beside
//! running generations is limited, and so how long a prompt keeps them waiting (`pace`).
//!
//! In the reproducible profile no kernel's result depends on its company, so batching, chunking, guessing
//! and the reuse of entries change the time an answer takes and never its bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use llama::{Batch, Context, Model};
use protocol::Digest;
use protocol::ids::GenerationId;
use protocol::released::Released;
use protocol::worker::{Class, Drafts, Failure, Generate, Stop, Times, ToWorker, Token};
use sha2::{Digest as _, Sha256};

use crate::connection::Inbound;
use crate::drafts::{self, Acceptance, DRAFT_MAX, Pays};
use crate::grammar::Grammar;
use crate::kept::{self, Entries, Kept, shared_len};
use crate::pace::{CHUNK_MAX, Pace};
use crate::queue::{Queue, Shares, Waiting};
use crate::replies::Replies;
use crate::sampler::Sampler;
use crate::slot::{Running, Slot, micros};
use crate::vocabulary::Vocabulary;

/// Of a chunk, completions leave at least that part to chats that wait for their evaluation.
const CHATS_SHARE: usize = 4;
/// Requests whose times tell when a place in a full queue is free.
const ENDED_MAX: usize = 16;
/// Where no request has ended yet.
const RETRY_AFTER_S: u32 = 5;

/// Tokens of a step at most.
pub(crate) fn batch_tokens(sequences: u32) -> u32 {
    u32::try_from(CHUNK_MAX).unwrap_or(u32::MAX) + sequences * (1 + u32::try_from(DRAFT_MAX).unwrap_or(0))
}

/// What the scheduler may do.
pub(crate) struct Limits {
    pub(crate) sequences: u32,
    pub(crate) sequence_tokens: u32,
    pub(crate) queue_max: u32,
    pub(crate) kept_bytes_max: u64,
    /// Whether [`protocol::worker::Ready`] promised so: then it is kept, or nothing is answered.
    pub(crate) reproducible: bool,
}

pub(crate) struct Scheduler {
    model: Arc<Model>,
    vocabulary: Arc<Vocabulary>,
    context: Context,
    batch: Batch,
    limits: Limits,
    replies: Replies,
    sampler: Sampler,
    slots: Vec<Slot>,
    queue: Queue,
    shares: Shares,
    kept: Kept,
    pace: Pace,
    pays: Pays,
    /// How long the last requests ran.
    ended: VecDeque<Duration>,
    admissions: u64,
}

/// Rows of logits that a step will produce for a slot: after its last token, and after each guess.
struct Rows {
    slot: usize,
    first: usize,
    guesses: Vec<Token>,
}

impl Scheduler {
    pub(crate) fn new(
        model: Arc<Model>,
        vocabulary: Arc<Vocabulary>,
        context: Context,
        limits: Limits,
        replies: Replies,
        pace: Pace,
        pays: Pays,
    ) -> Scheduler {
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
            vocabulary,
            model,
            context,
            batch: Batch::new(batch_tokens(limits.sequences)),
            kept: Kept::new(limits.kept_bytes_max),
            limits,
            replies,
            sampler: Sampler::default(),
            slots,
            queue: Queue::default(),
            shares: Shares::default(),
            pace,
            pays,
            ended: VecDeque::new(),
            admissions: 0,
        }
    }

    /// Serves until the gateway is gone.
    pub(crate) fn run(&mut self, inbox: &Receiver<Inbound>) {
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
        (any_free && self.queue.has_next(self.chats_may()))
            || self.slots.iter().any(|slot| slot.running.as_ref().is_some_and(Running::may_go_on))
    }

    fn handle(&mut self, inbound: Inbound) {
        match inbound.message {
            // The connection's opening checked the version; its reader makes tokens.
            ToWorker::Hello { .. } | ToWorker::Tokenize { .. } | ToWorker::Spell { .. } => {}
            ToWorker::Generate(request) => self.enqueue(request, inbound.grammar),
            ToWorker::Credit { id, tokens } => {
                if let Some(running) = self.running_mut(id) {
                    running.credit = running.credit.saturating_add(tokens);
                }
                if let Some(waiting) = self.queue.get_mut(id) {
                    waiting.request.credit = waiting.request.credit.saturating_add(tokens);
                }
            }
            ToWorker::Cancel { id } => self.cancel(id),
        }
    }

    fn running_mut(&mut self, id: GenerationId) -> Option<&mut Running> {
        self.slots
            .iter_mut()
            .filter_map(|slot| slot.running.as_mut())
            .find(|running| running.request.id == id)
    }

    fn enqueue(&mut self, request: Box<Generate>, grammar: Option<Grammar>) {
        if let Err(error) = self.check(&request) {
            self.replies.failed(request.id, error);
            return;
        }
        self.shares.enter(request.person);
        self.queue.push(request, grammar);
    }

    fn check(&self, request: &Generate) -> Result<(), Failure> {
        let invalid = |what: &str| Err(Failure::Invalid(what.to_owned()));
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        let free = self.slots.iter().filter(|slot| slot.running.is_none()).count();
        let free = u32::try_from(free).unwrap_or(0);
        if waiting >= self.limits.queue_max.saturating_add(free) {
            return Err(Failure::QueueFull { waiting, retry_after_s: self.retry_after_s(waiting) });
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

    /// When a place in the queue is free: as long as a request takes, shared by the sequences.
    fn retry_after_s(&self, waiting: u32) -> u32 {
        let Ok(count) = u32::try_from(self.ended.len()) else { return RETRY_AFTER_S };
        if count == 0 {
            return RETRY_AFTER_S;
        }
        let each = self.ended.iter().sum::<Duration>() / count;
        let all = each * waiting.max(1) / self.limits.sequences.max(1) / 2;
        u32::try_from(all.as_secs()).unwrap_or(u32::MAX).clamp(1, 600)
    }

    fn cancel(&mut self, id: GenerationId) {
        if let Some(waiting) = self.queue.remove(id) {
            self.shares.leave(waiting.request.person, false);
            let times = Times { queued_us: micros(waiting.since), ..Times::default() };
            self.replies.done(id, Stop::Cancelled, times, None, Drafts::default());
        } else if let Some(slot) = self
            .slots
            .iter()
            .position(|slot| slot.running.as_ref().is_some_and(|running| running.request.id == id))
        {
            self.end(slot, Stop::Cancelled);
        }
    }

    /// Ends generations whose time is up.
    fn expire(&mut self) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].running.as_ref().is_some_and(Running::is_late) {
                self.end(slot, Stop::Deadline);
            }
        }
    }

    /// Gives free sequences to those whose turn it is. Chats leave one sequence to completions.
    fn admit(&mut self) {
        while self.slots.iter().any(|slot| slot.running.is_none()) {
            let Some(waiting) = self.queue.next(&self.shares, self.chats_may()) else { break };
            self.start(waiting);
        }
        let replies = &self.replies;
        self.queue.tell(&self.shares, |id, ahead| replies.queued(id, ahead));
    }

    fn chats_may(&self) -> bool {
        let chats = self.running().filter(|running| running.request.class == Class::Chat).count();
        chats + 1 < self.slots.len() || self.slots.len() == 1
    }

    fn running(&self) -> impl Iterator<Item = &Running> {
        self.slots.iter().filter_map(|slot| slot.running.as_ref())
    }

    fn start(&mut self, waiting: Waiting) {
        let mut request = waiting.request;
        let (id, person) = (request.id, request.person);
        let healing =
            if request.heal { self.vocabulary.take_unfinished(&mut request.prompt) } else { Vec::new() };
        let Some((slot, reused)) = self.place(&request) else {
            self.shares.leave(person, false);
            self.replies.failed(id, Failure::Engine("the KV cache could not be cut".to_owned()));
            return;
        };
        self.admissions += 1;
        self.shares.start(person);
        let slot = &mut self.slots[slot];
        slot.held.truncate(reused);
        slot.scope = Some(request.cache_scope);
        slot.last_admission = self.admissions;
        let position = u32::try_from(reused).unwrap_or(u32::MAX);
        debug_assert_eq!(self.context.last_position(slot.sequence), position.checked_sub(1));
        self.replies.started(id, position);
        slot.running = Some(Running {
            pending: None,
            chosen: 0,
            credit: request.credit,
            released: Released::new(request.stop.clone(), request.until),
            healing,
            grammar: waiting.grammar,
            guess: None,
            acceptance: Acceptance::default(),
            drafts: Drafts::default(),
            queued_us: micros(waiting.since),
            admitted: Instant::now(),
            first_row: None,
            rows: request.digest_rows.then(Sha256::new),
            request,
        });
    }

    /// A free slot that holds as much of the prompt's beginning as any does or is kept, and how much. The
    /// prompt's last token is always evaluated: its row of logits is needed.
    fn place(&mut self, request: &Generate) -> Option<(usize, usize)> {
        let free = self.slots.iter().enumerate().filter(|(_, slot)| slot.running.is_none());
        let rated = free.map(|(index, slot)| {
            let same_scope = slot.scope == Some(request.cache_scope);
            let reused = if same_scope { shared_len(&slot.held, &request.prompt) } else { 0 };
            (index, reused.min(request.prompt.len() - 1), slot.last_admission)
        });
        let (index, reused, _) =
            rated.max_by_key(|&(_, reused, last_admission)| (reused, std::cmp::Reverse(last_admission)))?;
        let from_kept = self.kept.longest(request.cache_scope, &request.prompt).min(request.prompt.len() - 1);
        let better = from_kept >= reused + kept::TOKENS_MIN;
        let lost = self.slots[index].held.len() - if better { 0 } else { reused };
        if lost >= kept::TOKENS_MIN {
            self.keep(index);
        }
        let sequence = self.slots[index].sequence;
        let mut reused = reused;
        if better && let Some(entries) = self.kept.get(request.cache_scope, &request.prompt) {
            // Whatever becomes of the entries, they are not those of before.
            self.slots[index].held.clear();
            reused = if self.context.restore(sequence, &entries.bytes) {
                self.slots[index].held.clone_from(&entries.tokens);
                // Not as many as before where those gave way to what was just kept.
                shared_len(&entries.tokens, &request.prompt).min(request.prompt.len() - 1)
            } else {
                0
            };
        }
        let cut = self.context.truncate(sequence, u32::try_from(reused).ok()?);
        cut.then_some((index, reused))
    }

    /// Keeps what a slot holds, for when it is asked for again.
    fn keep(&mut self, index: usize) {
        let slot = &self.slots[index];
        let (Some(scope), sequence) = (slot.scope, slot.sequence) else { return };
        if !self.kept.has_room_for(self.context.saved_len(sequence))
            || self.kept.longest(scope, &slot.held) == slot.held.len()
        {
            return;
        }
        let tokens = slot.held.clone();
        if let Some(bytes) = self.context.save(sequence) {
            self.kept.put(Entries { scope, tokens, bytes });
        }
    }

    /// One evaluation, and what follows from it.
    fn step(&mut self) {
        self.batch.clear();
        let before: Vec<usize> = self.slots.iter().map(|slot| slot.held.len()).collect();
        let mut rows = self.add_tokens();
        let chunk = self.pace.chunk(!rows.is_empty());
        self.add_prompts(chunk, &mut rows);
        if self.batch.is_empty() {
            return;
        }
        let began = Instant::now();
        if let Err(error) = self.context.decode(&self.batch) {
            self.fail_all(&error.to_string());
            return;
        }
        self.pace.note(self.batch.len(), began.elapsed());
        if self.limits.reproducible && llama::unproven() {
            self.fail_all("an operation ran in a kernel whose result depends on the batch");
            return;
        }
        for (slot, held) in self.slots.iter().zip(before) {
            if let Some(running) = &slot.running {
                self.shares.charge(running.request.person, slot.held.len() - held);
            }
        }
        for rows in rows {
            self.choose(&rows);
        }
    }

    /// The next token of each generation that may go on, and guesses where only one runs.
    fn add_tokens(&mut self) -> Vec<Rows> {
        let generating = self.running().filter(|running| running.pending.is_some()).count();
        let mut all = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(running) = slot.running.as_mut().filter(|running| running.may_go_on()) else { continue };
            let Some(token) = running.pending.take() else { continue };
            let room =
                usize::try_from(self.limits.sequence_tokens).unwrap_or(0).saturating_sub(slot.held.len() + 2);
            let wanted =
                usize::try_from(running.request.tokens_max - running.chosen).unwrap_or(0).saturating_sub(1);
            let guess = drafts::look_up(&slot.held, token, DRAFT_MAX.min(room).min(wanted));
            let count =
                if generating == 1 || self.pays.always() { self.pays.tokens(running.acceptance) } else { 0 };
            // One more than is evaluated: it tells whether guessing would have been right.
            running.guess = guess.first().copied();
            let guesses = if running.healing.is_empty() {
                guess[..count.min(guess.len())].to_vec()
            } else {
                Vec::new()
            };
            let first = add(&mut self.batch, slot, token, true);
            for &guess in &guesses {
                add(&mut self.batch, slot, guess, true);
            }
            all.push(Rows { slot: index, first, guesses });
        }
        all
    }

    /// Fills the batch with prompt tokens: those of completions first, but for a part of the chunk; then of
    /// whose person got least.
    fn add_prompts(&mut self, tokens_max: usize, rows: &mut Vec<Rows>) {
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        order.retain(|&index| self.slots[index].prompt_left() > 0);
        let shares = &self.shares;
        order.sort_by_key(|&index| {
            let slot = &self.slots[index];
            let request = slot.running.as_ref().map(|running| &running.request);
            request.map(|request| (request.class, shares.of(request.person), slot.last_admission))
        });
        let is_chat =
            |slot: &Slot| slot.running.as_ref().is_some_and(|running| running.request.class == Class::Chat);
        let any_chat = order.iter().any(|&index| is_chat(&self.slots[index]));
        let mut left = tokens_max.min(self.batch.room());
        let reserved = if any_chat { left / CHATS_SHARE } else { 0 };
        for index in order {
            let slot = &mut self.slots[index];
            let available = if is_chat(slot) { left } else { left.saturating_sub(reserved) };
            let count = slot.prompt_left().min(available);
            left -= count;
            let Some(running) = &slot.running else { continue };
            let start = slot.held.len();
            let tokens = running.request.prompt[start..start + count].to_vec();
            let complete = start + count == running.request.prompt.len();
            let Some((&last, most)) = tokens.split_last() else { continue };
            for &token in most {
                add(&mut self.batch, slot, token, false);
            }
            let first = add(&mut self.batch, slot, last, complete);
            if complete {
                rows.push(Rows { slot: index, first, guesses: Vec::new() });
            }
        }
    }

    /// Chooses the tokens after a slot's rows, as far as the guesses between them were right.
    fn choose(&mut self, rows: &Rows) {
        let slot = rows.slot;
        // What stays, whatever comes: everything but the guesses.
        let mut good = self.slots[slot].held.len() - rows.guesses.len();
        for row in 0..=rows.guesses.len() {
            let chosen = self.choose_one(slot, rows.first + row);
            let Some(token) = chosen else { break };
            let Some(running) = self.slots[slot].running.as_mut() else { break };
            if rows.guesses.get(row) == Some(&token) && running.credit > 0 {
                running.drafts.accepted += 1;
                good += 1;
            } else {
                running.pending = Some(token);
                break;
            }
        }
        let slot = &mut self.slots[slot];
        if let Some(running) = &mut slot.running {
            running.drafts.proposed += u32::try_from(rows.guesses.len()).unwrap_or(0);
        }
        if slot.held.len() > good {
            slot.held.truncate(good);
            let position = u32::try_from(good).unwrap_or(u32::MAX);
            if !self.context.truncate(slot.sequence, position) {
                self.fail_all("the KV cache could not be cut");
            }
        }
    }

    /// Chooses the token after a row and sends it; `None` where the generation ends.
    fn choose_one(&mut self, index: usize, row: usize) -> Option<Token> {
        let slot = &mut self.slots[index];
        let running = slot.running.as_mut()?;
        running.first_row.get_or_insert_with(Instant::now);
        if running.request.tokens_max == 0 {
            self.end(index, Stop::TokensMax);
            return None;
        }
        let Some(logits) = self.context.logits(row) else {
            self.fail(index, "a row of logits is missing");
            return None;
        };
        if let Some(rows) = &mut running.rows {
            for logit in logits {
                rows.update(logit.to_le_bytes());
            }
        }
        let vocabulary = &self.vocabulary;
        let token = match next(&mut self.sampler, vocabulary, logits, running) {
            Ok(token) => token,
            Err(failure) => {
                self.fail_as(index, failure);
                return None;
            }
        };
        if let Some(guess) = running.guess.take() {
            running.acceptance.note(guess == token);
        }
        running.chosen += 1;
        running.credit = running.credit.saturating_sub(1);
        if self.model.ends_generation(token) {
            let rest = running.released.finish();
            self.replies.text(running.request.id, vec![token], rest);
            self.end(index, Stop::EndOfText);
            return None;
        }
        let is_whole = match running.grammar.as_mut().map(|grammar| grammar.advance(token)).transpose() {
            Ok(whole) => whole == Some(true),
            Err(_) if running.grammar.take_if(|grammar| grammar.is_help).is_some() => false,
            Err(error) => {
                self.fail_as(index, Failure::Invalid(error));
                return None;
            }
        };
        let piece = vocabulary.piece(token);
        let spelled = piece.len().min(running.healing.len());
        running.healing.drain(..spelled);
        running.released.bytes().extend_from_slice(&piece[spelled..]);
        let (text, stop) = running.released.take();
        self.replies.text(running.request.id, vec![token], text);
        let full = slot.held.len() + 1 >= usize::try_from(self.limits.sequence_tokens).unwrap_or(0);
        let ended = match stop {
            Some(stop) => Some(stop),
            None if is_whole => Some(Stop::EndOfText),
            None if running.chosen >= running.request.tokens_max => Some(Stop::TokensMax),
            None if full => Some(Stop::ContextFull),
            None => None,
        };
        match ended {
            Some(stop) => {
                self.end(index, stop);
                None
            }
            None => Some(token),
        }
    }

    /// Ends a generation; its sequence keeps its KV entries for the next of the same scope.
    fn end(&mut self, index: usize, stop: Stop) {
        let Some(mut running) = self.slots[index].running.take() else { return };
        let rest = running.released.finish();
        if !rest.is_empty() && !matches!(stop, Stop::StopString(_)) {
            self.replies.text(running.request.id, Vec::new(), rest);
        }
        let rows = running.rows.take().map(|rows| Digest(rows.finalize().into()));
        self.replies.done(running.request.id, stop, running.times(), rows, running.drafts);
        self.shares.leave(running.request.person, true);
        self.ended.push_back(running.admitted.elapsed());
        if self.ended.len() > ENDED_MAX {
            self.ended.pop_front();
        }
    }

    fn fail(&mut self, index: usize, what: &str) {
        self.fail_as(index, Failure::Engine(what.to_owned()));
    }

    fn fail_as(&mut self, index: usize, failure: Failure) {
        if let Some(running) = self.slots[index].running.take() {
            self.shares.leave(running.request.person, true);
            self.replies.failed(running.request.id, failure);
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

/// The token after a row: one that goes on spelling what is healed, and that the grammar admits.
fn next(
    sampler: &mut Sampler,
    vocabulary: &Vocabulary,
    logits: &[f32],
    running: &mut Running,
) -> Result<Token, Failure> {
    let (sampling, step, healing) = (&running.request.sampling, running.chosen, &running.healing);
    let spells = |token| healing.is_empty() || vocabulary.fits(token, healing);
    let free = sampler.choose(logits, sampling, step, spells);
    let free = free.ok_or_else(|| Failure::Engine("no logit is finite".to_owned()))?;
    let Some(grammar) = &mut running.grammar else { return Ok(free) };
    // Mostly it is admitted, and then it alone is asked for.
    let held = grammar.admits(free).and_then(|is_admitted| {
        if is_admitted {
            return Ok(free);
        }
        let admitted = grammar.admitted()?;
        let token = sampler.choose(logits, sampling, step, |token| spells(token) && admitted.has(token));
        token.ok_or_else(|| "the schema cannot be held to: it admits no token here".to_owned())
    });
    match held {
        Err(_) if grammar.is_help => {
            running.grammar = None;
            Ok(free)
        }
        held => held.map_err(Failure::Invalid),
    }
}

/// Adds a token after what the slot holds; returns the number of its row, which has `logits` or has not.
fn add(batch: &mut Batch, slot: &mut Slot, token: Token, logits: bool) -> usize {
    let position = u32::try_from(slot.held.len()).unwrap_or(u32::MAX);
    slot.held.push(token);
    batch.add(token, position, slot.sequence, logits)
}
