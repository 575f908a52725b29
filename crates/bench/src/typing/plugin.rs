//! How llama.vim asks: a request at each keystroke unless one is under way, an answer kept for the place that it is for and
//! for those up to 128 characters on, and a further request, as if the suggestion were taken over, once it is shown.
//! After its `autoload/llama.vim` of January 2026, at its defaults; other files it reads only where nobody types.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Failure;
use testkit::peer::Peer;

use super::vim::Vim;
use super::{Counts, Side};

const PREFIX_LINES: usize = 256;
const SUFFIX_LINES: usize = 64;
const SUGGESTION_TOKENS: u32 = 128;
const PROMPT_MS_MAX: u32 = 500;
/// Of a first request, and of one ahead.
const PREDICT_MS_MAX: (u32, u32) = (250, 1000);
/// A request waits so long while another is under way, and then asks again.
const RETRY: Duration = Duration::from_millis(100);

/// The request under way.
struct Job {
    /// What stood before its cursor.
    before: String,
    answer: Receiver<Result<String, String>>,
    thread: JoinHandle<()>,
}

pub(super) struct Plugin {
    peer: Arc<Peer>,
    /// All that is before the cursor, and all behind it.
    written: String,
    behind: String,
    /// What stood before the cursor wherever there was an answer.
    answered: HashSet<String>,
    /// And the answers.
    table: Vim,
    job: Option<Job>,
    /// When what waits is sent, and for what.
    retry: Option<(Instant, String, bool)>,
    counts: Counts,
}

impl Plugin {
    pub(super) fn start(peer: Peer, vim: &Path, before: &str, behind: &str) -> Result<Plugin, Failure> {
        Ok(Plugin {
            peer: Arc::new(peer),
            written: before.to_owned(),
            behind: behind.to_owned(),
            answered: HashSet::new(),
            table: Vim::start(vim, before, behind)?,
            job: None,
            retry: None,
            counts: Counts::default(),
        })
    }

    /// Asks for what comes behind `before`, unless it is known; later, where another request is under way.
    fn ask(&mut self, before: &str, is_ahead: bool) {
        if self.job.is_some() {
            self.retry = Some((Instant::now() + RETRY, before.to_owned(), is_ahead));
            return;
        }
        if self.answered.contains(before) {
            return;
        }
        self.counts.requests += 1;
        self.counts.ahead += u64::from(is_ahead);
        let body = self.body(before, if is_ahead { PREDICT_MS_MAX.1 } else { PREDICT_MS_MAX.0 });
        let (sender, receiver) = channel();
        let peer = Arc::clone(&self.peer);
        let thread = thread::spawn(move || {
            let answer = peer.post("/infill", &body).map_err(|error| error.to_string());
            let content = answer.map(|answer| answer["content"].as_str().unwrap_or_default().to_owned());
            // Nobody waits for it at the end.
            drop(sender.send(content));
        });
        self.job = Some(Job { before: before.to_owned(), answer: receiver, thread });
    }

    fn body(&self, before: &str, predict_ms_max: u32) -> Value {
        let (lines, line) = before.rsplit_once('\n').unwrap_or(("", before));
        let lines: Vec<&str> = lines.lines().collect();
        let prefix = lines[lines.len().saturating_sub(PREFIX_LINES)..].join("\n") + "\n";
        let indent = line.len() - line.trim_start().len();
        // A line of blanks is begun anew.
        let line = if line.trim().is_empty() { "" } else { line };
        let suffix: Vec<&str> = self.behind.lines().take(SUFFIX_LINES + 1).collect();
        json!({
            "id_slot": 0, "input_prefix": prefix, "input_suffix": suffix.join("\n") + "\n", "input_extra": [],
            "prompt": line, "n_predict": SUGGESTION_TOKENS, "stop": [], "n_indent": indent,
            "top_k": 40, "top_p": 0.9, "samplers": ["top_k", "top_p", "infill"],
            "stream": false, "cache_prompt": true,
            "t_max_prompt_ms": PROMPT_MS_MAX, "t_max_predict_ms": predict_ms_max,
        })
    }

    /// What is known of this place: the longest rest of an answer for a place shortly before it that agrees with what was
    /// typed since. Its end is no line of its own; a line of blanks is part of what is suggested.
    fn known(&mut self) -> Result<Option<String>, Failure> {
        let known = self.table.known()?;
        let line = self.written.rsplit('\n').next().unwrap_or_default();
        let blank = if known.is_of_this_place && line.trim().is_empty() { line } else { "" };
        let text = known.text.trim_end_matches('\n');
        let text = text.strip_prefix(blank).unwrap_or(text);
        Ok(Some(text.to_owned()).filter(|text| !text.trim().is_empty()))
    }

    /// Waits for the request under way and sends what waits for it, until then. Whether an answer came.
    fn wait(&mut self, until: Instant) -> Result<bool, Failure> {
        loop {
            let now = Instant::now();
            if let Some((_, before, is_ahead)) = self.retry.take_if(|(at, ..)| *at <= now) {
                self.ask(&before, is_ahead);
            }
            let wake = self.retry.as_ref().map_or(until, |(at, ..)| until.min(*at));
            let wait = wake.saturating_duration_since(now);
            let Some(Job { before, answer, .. }) = &self.job else {
                thread::sleep(wait);
                if wake == until {
                    return Ok(false);
                }
                continue;
            };
            match answer.recv_timeout(wait) {
                Ok(answer) => {
                    self.table.keep(before, &answer?)?;
                    self.answered.insert(before.clone());
                    self.job = None;
                    return Ok(true);
                }
                Err(RecvTimeoutError::Timeout) if wake == until => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err("the request's thread is gone".into()),
            }
        }
    }
}

/// The request's thread holds the server, which must end with this.
impl Drop for Plugin {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            drop(job.thread.join());
        }
    }
}

impl Side for Plugin {
    fn typed(&mut self, typed: char, until: Instant) -> Result<Option<String>, Failure> {
        self.written.push(typed);
        self.table.typed(typed.encode_utf8(&mut [0; 4]))?;
        let mut suggestion = self.known()?;
        if let Some(suggestion) = &suggestion {
            self.counts.from_cache += 1;
            let taken = format!("{}{suggestion}", self.written);
            self.ask(&taken, true);
            return Ok(Some(suggestion.clone()));
        }
        let here = self.written.clone();
        self.ask(&here, false);
        while suggestion.is_none() && self.wait(until)? {
            suggestion = self.known()?;
        }
        if let Some(suggestion) = &suggestion {
            let taken = format!("{here}{suggestion}");
            self.ask(&taken, true);
        }
        Ok(suggestion)
    }

    fn rested(&mut self, until: Instant) -> Result<(), Failure> {
        while self.wait(until)? {}
        Ok(())
    }

    fn taken(&mut self, suggestion: &str) -> Result<(), Failure> {
        self.written.push_str(suggestion);
        self.table.typed(suggestion)
    }

    fn counts(&mut self) -> Result<Counts, Failure> {
        Ok(self.counts)
    }
}
