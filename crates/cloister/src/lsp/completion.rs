//! Suggestions while a person types: from the cache, else from the server, one request a document; and the next one ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::{Answer, ClientError, CompletionRequest, Extra};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::ahead::Assumed;
use super::cache::Kept;
use super::documents::Document;
use super::hole::{Hole, line_feeds};
use super::options::ACCEPTED;
use super::server::{Event, Server};
use super::types::{ContentChange, InlineCompletion, OfPosition, Range};
use super::wire::RequestId;
use crate::cursor;

/// `triggerKind`: the person asked.
const INVOKED: u32 = 1;
/// So many times as many tokens where the person asked.
const LONGER: u32 = 4;
/// Other files that are shown to the model.
const OTHER_FILES_MAX: usize = 4;
/// So long a request that was sent goes on though nobody waits for it: the next keystroke may want its answer.
const LEFT_ALONE: Duration = Duration::from_secs(1);
/// Characters of a suggestion in a list of completions.
const LABEL_CHARACTERS_MAX: usize = 60;

/// What is asked of the server for one document: at most a request that somebody waits for, and one ahead.
#[derive(Default)]
pub(super) struct Asking {
    running: Option<Job>,
    ahead: Option<(Job, Assumed)>,
}

/// A request for a suggestion. Dropping it closes its connection, and the server stops.
struct Job {
    number: u64,
    hole: Hole,
    waiter: Option<Waiter>,
    /// Whether the server has it; before that it waits for the next keystroke.
    sent: Arc<AtomicBool>,
    /// How often its waiter left.
    left: u64,
    task: AbortHandle,
}

impl Job {
    /// Whether its answer may be one to what is asked now: somebody typed on at its place.
    fn serves(&self, hole: &Hole) -> bool {
        self.hole == *hole || self.sent.load(Ordering::Relaxed) && hole.goes_on_from(&self.hole)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request of the editor's that waits for a suggestion.
struct Waiter {
    id: RequestId,
    hole: Hole,
    form: Form,
    /// What the answer puts in place of, in the document.
    range: Range,
    /// What it begins with: what is chosen in a list, or the word that stands there.
    begins: String,
    /// Where the suggestion begins in the document.
    offset: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Inline,
    Ordinary,
}

/// How often what happened, since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    asked: u64,
    from_cache: u64,
    /// Counted when they are sent: one that still waited for the next keystroke is none.
    requests: Arc<AtomicU64>,
    ahead: u64,
    cancelled: u64,
}

impl Counts {
    pub(super) fn line(&self) -> String {
        let Counts { asked, from_cache, requests, ahead, cancelled } = self;
        let requests = requests.load(Ordering::Relaxed);
        format!(
            "suggestions: {asked} asked for, {from_cache} from the cache, {requests} requests, {ahead} ahead, \
             {cancelled} cancelled"
        )
    }

    pub(super) fn json(&self) -> Value {
        let Counts { asked, from_cache, requests, ahead, cancelled } = self;
        let requests = requests.load(Ordering::Relaxed);
        json!({ "asked": asked, "from_cache": from_cache, "requests": requests, "ahead": ahead, "cancelled": cancelled })
    }
}

impl Server {
    pub(super) fn inline_completion(&mut self, id: &RequestId, params: &InlineCompletion) -> Option<Value> {
        let is_long = params.context.trigger_kind == INVOKED;
        if !is_long && !self.options.automatic {
            return Some(nothing(Form::Inline));
        }
        let document = self.documents.get(&params.text_document.uri)?;
        let encoding = self.facts.encoding;
        let at = document.offset(params.position, encoding);
        let selected = params.context.selected_completion_info.as_ref();
        let (start, end) = selected.map_or((at, at), |selected| document.offsets(selected.range, encoding));
        let begins = selected.map(|selected| selected.text.clone()).unwrap_or_default();
        let hole = Hole::new(&document.uri, document.text(), (start, end), &line_feeds(&begins), is_long);
        let range = document.range(start, end, encoding);
        self.ask(Waiter { id: id.clone(), hole, form: Form::Inline, range, begins, offset: end })
    }

    pub(super) fn completion(&mut self, id: &RequestId, params: &OfPosition) -> Option<Value> {
        if self.facts.inline_completion || !self.options.automatic {
            return Some(nothing(Form::Ordinary));
        }
        let document = self.documents.get(&params.text_document.uri)?;
        let encoding = self.facts.encoding;
        let at = document.offset(params.position, encoding);
        let before = &document.text()[..at];
        let word = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        let hole = Hole::new(&document.uri, document.text(), (at, at), "", false);
        let (range, begins) = (document.range(word, at, encoding), before[word..].to_owned());
        self.ask(Waiter { id: id.clone(), hole, form: Form::Ordinary, range, begins, offset: at })
    }

    /// The answer, where it is known; otherwise it comes later.
    fn ask(&mut self, waiter: Waiter) -> Option<Value> {
        self.counts.asked += 1;
        let hole = &waiter.hole;
        if let Some(found) = self.cache.find(hole) {
            self.counts.from_cache += 1;
            // What was asked for before this is not wanted any more.
            self.supersede(&hole.uri);
            return Some(self.answer(&waiter, &found.kept, found.taken));
        }
        let asking = self.asking.entry(hole.uri.clone()).or_default();
        if let Some(running) = asking.running.as_mut().filter(|running| running.serves(hole)) {
            let before = running.waiter.replace(waiter);
            self.superseded(before);
            return None;
        }
        let ahead = asking.ahead.take_if(|(job, _)| job.serves(hole));
        self.supersede(&hole.uri);
        if let Some((job, _)) = ahead {
            self.wait_for(job, waiter);
            return None;
        }
        if !hole.is_long && self.status.is_resting() {
            return Some(nothing(waiter.form));
        }
        let wait = if hole.is_long { 0 } else { self.debounce.wait_ms(self.options.debounce_ms_max) };
        self.ask_server(waiter, Duration::from_millis(wait));
        None
    }

    /// Asks the server, unless another keystroke comes before.
    fn ask_server(&mut self, waiter: Waiter, wait: Duration) {
        let job = self.job(waiter.hole.clone(), wait, Some(Arc::clone(&self.counts.requests)));
        self.wait_for(job, waiter);
    }

    fn wait_for(&mut self, mut job: Job, waiter: Waiter) {
        job.waiter = Some(waiter);
        let asking = self.asking.entry(job.hole.uri.clone()).or_default();
        asking.running = Some(job);
    }

    fn job(&mut self, hole: Hole, wait: Duration, count: Option<Arc<AtomicU64>>) -> Job {
        self.number += 1;
        let number = self.number;
        let max_tokens = self.options.max_tokens.saturating_mul(if hole.is_long { LONGER } else { 1 });
        let request = CompletionRequest {
            model: self.deployment.clone(),
            max_tokens: Some(max_tokens),
            until: Some(hole.until()),
            subject: self.subject(&hole.uri),
            ..CompletionRequest::fill(hole.before.clone(), hole.behind.clone())
        };
        let extra = self.other_files(&hole.uri);
        let (client, events, uri) = (self.client.clone(), self.events.clone(), hole.uri.clone());
        let sent = Arc::new(AtomicBool::new(false));
        let is_sent = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            is_sent.store(true, Ordering::Relaxed);
            if let Some(count) = count {
                count.fetch_add(1, Ordering::Relaxed);
            }
            let start = Instant::now();
            let outcome = if extra.is_empty() {
                client.complete(&request).await
            } else {
                client.infill(&request, &extra).await
            };
            let event = Event::Suggested { uri, number, latency: start.elapsed(), outcome };
            // Nobody hears of it when the loop has ended.
            drop(events.send(event).await);
        });
        Job { number, hole, waiter: None, sent, left: 0, task: task.abort_handle() }
    }

    /// Parts of other documents, around where they were edited last; the last edited at the end, nearest to the hole.
    fn other_files(&self, uri: &str) -> Vec<Extra> {
        let others = self.documents.edited_beside(uri);
        let each = self.options.open_files_bytes_max / others.len().clamp(1, OTHER_FILES_MAX);
        let part = |document: &Document| {
            let text = document.text();
            let first = text.floor_char_boundary(document.edited_at.saturating_sub(each / 2).min(text.len()));
            let first = text[..first].rfind('\n').map_or(0, |at| at + 1);
            let last = text.floor_char_boundary((first + each).min(text.len()));
            let last = text[first..last].rfind('\n').map_or(last, |at| first + at + 1);
            Extra { filename: document.name(), text: line_feeds(&text[first..last]) }
        };
        let mut parts: Vec<Extra> = others.into_iter().take(OTHER_FILES_MAX).map(part).collect();
        parts.retain(|part| !part.text.trim().is_empty());
        parts.reverse();
        parts
    }

    /// A request has ended.
    pub(super) fn suggested(
        &mut self,
        uri: &str,
        number: u64,
        latency: Duration,
        outcome: Result<Answer, ClientError>,
    ) {
        let Some(asking) = self.asking.get_mut(uri) else { return };
        let is_running = asking.running.as_ref().is_some_and(|job| job.number == number);
        let is_ahead = asking.ahead.as_ref().is_some_and(|(job, _)| job.number == number);
        let job = match (is_running, is_ahead) {
            (true, _) => asking.running.take(),
            (_, true) => asking.ahead.take().map(|(job, _)| job),
            _ => None,
        };
        let Some(mut job) = job else { return };
        let waiter = job.waiter.take();
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                self.failed(&error, job.hole.is_long);
                self.superseded(waiter);
                return;
            }
        };
        self.reached();
        if is_running {
            self.debounce.answered(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        }
        self.keep_receipt(&answer.mark);
        let record = answer.mark.record.map_or(0, |record| record.0);
        let text = job.hole.fitted(&answer.text);
        self.suggestions.add(record, answer.deployment, text.clone(), answer.findings);
        self.cache.keep(&job.hole, Kept { record, text });
        let Some(waiter) = waiter else { return };
        match self.cache.find(&waiter.hole) {
            Some(found) => {
                self.counts.from_cache += u64::from(waiter.hole != job.hole);
                let answer = self.answer(&waiter, &found.kept, found.taken);
                self.outgoing.answer(&waiter.id, Ok(answer));
            }
            // Something else was typed meanwhile. Whoever waits has waited long enough.
            None => self.ask_server(waiter, Duration::ZERO),
        }
    }

    /// A suggestion, as the editor wants it; and the next one is asked for.
    fn answer(&mut self, waiter: &Waiter, kept: &Kept, taken: usize) -> Value {
        let (hole, rest) = (&waiter.hole, &kept.text[taken..]);
        let Some(document) = self.documents.get(&hole.uri) else { return nothing(waiter.form) };
        if rest.is_empty() {
            return nothing(waiter.form);
        }
        let ends_with_crlf = cursor::ends_lines_with_crlf(document.text());
        let shown = if ends_with_crlf { rest.replace('\n', "\r\n") } else { rest.to_owned() };
        let text = [waiter.begins.as_str(), &shown].concat();
        self.suggestions.showing(kept.record, document, waiter.offset, taken);
        let assumed = Assumed::new(document, waiter.offset, rest);
        let item = item(waiter, text, kept.record, &document.language);
        if waiter.begins.is_empty() || waiter.form == Form::Ordinary {
            self.ask_ahead(hole.accepted(rest), assumed);
        }
        item
    }

    fn ask_ahead(&mut self, next: Hole, assumed: Assumed) {
        let is_asked = |asking: &Asking| asking.ahead.as_ref().is_some_and(|(job, _)| job.hole == next);
        if !self.options.ahead
            || self.status.is_resting()
            || self.cache.has(&next)
            || self.asking.get(&next.uri).is_some_and(is_asked)
        {
            return;
        }
        self.counts.ahead += 1;
        let job = self.job(next, Duration::ZERO, None);
        let uri = job.hole.uri.clone();
        self.asking.entry(uri).or_default().ahead = Some((job, assumed));
    }

    /// The editor changed a document.
    pub(super) fn changed(&mut self, uri: &str, version: Option<i64>, changes: &[ContentChange]) {
        let now = self.now_ms();
        self.debounce.typed(now);
        let edits = self.documents.change(uri, version, changes, self.facts.encoding);
        if let Some(edits) = &edits {
            self.suggestions.edited(uri, edits);
        }
        let Some(asking) = self.asking.get_mut(uri) else { return };
        let document = self.documents.get(uri);
        if !asking.ahead.as_ref().is_some_and(|(_, assumed)| document.is_some_and(|one| assumed.holds(one))) {
            self.counts.cancelled += u64::from(asking.ahead.take().is_some());
        }
        let waiter = self.leave(uri);
        self.superseded(waiter);
    }

    /// Nobody waits any more, for now. What was not sent is not sent; what was goes on for a moment.
    fn leave(&mut self, uri: &str) -> Option<Waiter> {
        let asking = self.asking.get_mut(uri)?;
        let job = asking.running.as_mut()?;
        let waiter = job.waiter.take();
        if !job.sent.load(Ordering::Relaxed) {
            asking.running = None;
            self.counts.cancelled += 1;
        } else if waiter.is_some() {
            job.left += 1;
            let event = Event::LeftAlone { uri: uri.to_owned(), number: job.number, left: job.left };
            let events = self.events.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LEFT_ALONE).await;
                // Nobody hears of it when the loop has ended.
                drop(events.send(event).await);
            });
        }
        waiter
    }

    /// Nobody came back to a request for a while.
    pub(super) fn left_alone(&mut self, uri: &str, number: u64, left: u64) {
        let Some(asking) = self.asking.get_mut(uri) else { return };
        let is_left = |job: &mut Job| job.number == number && job.left == left && job.waiter.is_none();
        self.counts.cancelled += u64::from(asking.running.take_if(is_left).is_some());
    }

    /// What runs for a document is not wanted any more; what is ahead may be.
    fn supersede(&mut self, uri: &str) {
        let running = self.asking.get_mut(uri).and_then(|asking| asking.running.take());
        self.counts.cancelled += u64::from(running.is_some());
        self.superseded(running.and_then(|mut job| job.waiter.take()));
    }

    /// Whoever waited gets nothing, which is no error.
    fn superseded(&self, waiter: Option<Waiter>) {
        if let Some(waiter) = waiter {
            self.outgoing.answer(&waiter.id, Ok(nothing(waiter.form)));
        }
    }

    /// The editor cancels a request; whether it was one of these.
    pub(super) fn cancel_asking(&mut self, id: &RequestId) -> bool {
        let waits = |job: &Job| job.waiter.as_ref().is_some_and(|waiter| waiter.id == *id);
        let asks = |asking: &Asking| asking.running.as_ref().is_some_and(waits);
        let uri = self.asking.iter().find(|(_, asking)| asks(asking)).map(|(uri, _)| uri.clone());
        uri.and_then(|uri| self.leave(&uri)).is_some()
    }

    /// A document is closed.
    pub(super) fn drop_asking(&mut self, uri: &str) {
        self.supersede(uri);
        self.asking.remove(uri);
    }

    pub(super) fn stop_asking(&mut self) {
        let uris: Vec<String> = self.asking.keys().cloned().collect();
        uris.iter().for_each(|uri| self.drop_asking(uri));
    }
}

fn nothing(form: Form) -> Value {
    match form {
        Form::Inline => json!({ "items": [] }),
        Form::Ordinary => json!({ "isIncomplete": true, "items": [] }),
    }
}

fn item(waiter: &Waiter, text: String, record: u64, language: &str) -> Value {
    let command = json!({
        "title": "Cloister: accepted",
        "command": ACCEPTED,
        "arguments": [{ "suggestion": record.to_string() }],
    });
    let mut item = match waiter.form {
        Form::Inline => json!({ "insertText": text, "range": waiter.range }),
        Form::Ordinary => {
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
            let mut label: String = first.chars().take(LABEL_CHARACTERS_MAX).collect();
            if text.trim().lines().count() > 1 || label.len() < first.len() {
                label.push('…');
            }
            let fence = crate::fences::fence(&text);
            json!({
                "label": label,
                "kind": 1,
                "detail": format!("Cloister, record {record}"),
                "documentation": { "kind": "markdown", "value": format!("{fence}{language}\n{text}\n{fence}") },
                "filterText": text.split_whitespace().next().unwrap_or_default(),
                "insertText": text,
                "textEdit": { "range": waiter.range, "newText": text },
            })
        }
    };
    if record > 0 {
        item["command"] = command;
    }
    match waiter.form {
        Form::Inline => json!({ "items": [item] }),
        Form::Ordinary => json!({ "isIncomplete": true, "items": [item] }),
    }
}
