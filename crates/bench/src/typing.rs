//! From a keystroke to a suggestion, while a person types: through `cloister lsp` as it is, with one request for each
//! keystroke at once and nothing kept, and as a plug-in for Vim does it before llama.cpp's own server, looking up in Vim what it keeps.
//!
//! Each side types the same text, with the same seeded rhythm, at the same place of the same file, on a server of its own.
//! What is suggested and agrees with the text is taken over, when it is worth it.

mod plugin;
mod vim;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::peer::Peer;
use testkit::server::Server;
use testkit::{Failure, load, places};

use crate::bare;
use crate::quantiles::Quantiles;
use plugin::Plugin;

/// Lines that are typed, and fewer where it is only tried.
const LINES: usize = 40;
const LINES_QUICK: usize = 3;
/// The line at which the person begins.
const FIRST_LINE: usize = 45;
/// Between two keystrokes, in milliseconds: the shortest, and what varies.
const INTERVAL_MS: (u64, u64) = (60, 180);
/// At a line's end people think.
const PAUSE_MS: (u64, u64) = (700, 1500);
/// A shorter suggestion is typed faster than it is read.
const ACCEPTED_CHARACTERS_MIN: usize = 6;
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const SEED: u64 = 20;
/// The peer's context: the file and what is typed fit.
const PEER_TOKENS: u32 = 4096;

/// Where a person types, as an editor or a plug-in sees it. What is behind the cursor stays as it is.
trait Side {
    /// A character was typed, and a suggestion is wanted: it comes until then, or not.
    fn typed(&mut self, typed: char, until: Instant) -> Result<Option<String>, Failure>;
    /// Nothing happens until then.
    fn rested(&mut self, until: Instant) -> Result<(), Failure> {
        thread::sleep(until.saturating_duration_since(Instant::now()));
        Ok(())
    }
    /// The suggestion was taken over.
    fn taken(&mut self, suggestion: &str) -> Result<(), Failure>;
    /// What it counted.
    fn counts(&mut self) -> Result<Counts, Failure>;
}

/// How a side came by its suggestions.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Suggestions without a request at that keystroke.
    from_cache: u64,
    requests: u64,
    /// Of the requests, those that nobody waited for yet.
    ahead: u64,
}

/// What one side brought.
#[derive(Default)]
struct Session {
    keystrokes: usize,
    /// Of keystrokes that had a suggestion before the next one.
    times: Vec<Duration>,
    accepted_characters: usize,
    counts: Counts,
}

pub(crate) fn measure(model: &str, peer: Option<&Path>, vim: &Path, quick: bool) -> Result<(), Failure> {
    let (before, typed, behind) = text(if quick { LINES_QUICK } else { LINES });
    println!(
        "\n| typing {} characters | keystrokes | with a suggestion before the next | to it, p50 | p95 | a twentieth, a tenth, a quarter of all keystrokes had one within | from the cache | requests | ahead | characters taken over |\n|---|---|---|---|---|---|---|---|---|---|",
        typed.chars().count()
    );
    let sides = [("`cloister lsp`", true), ("a request each keystroke at once, nothing kept", false)];
    for (name, is_whole) in sides {
        let server = Server::started(model)?;
        let mut editor = Editor::start(&server, is_whole, &before, &behind)?;
        row(name, session(&mut editor, &typed)?);
    }
    if let Some(program) = peer {
        let server = Peer::started(program, model, bare::threads(), 1, PEER_TOKENS)?;
        let mut plugin = Plugin::start(server, vim, &before, &behind)?;
        row("llama.vim's strategy, llama.cpp's server", session(&mut plugin, &typed)?);
    }
    Ok(())
}

fn row(name: &str, session: Session) {
    let Session { keystrokes, times, accepted_characters, counts } = session;
    let with = times.len();
    let within = [20, 10, 4].map(|part| within(&times, keystrokes / part)).join(", ");
    let times = Quantiles::of_times(times);
    println!(
        "| {name} | {keystrokes} | {with} | {:.1} ms | {:.1} ms | {within} | {:.0} % | {} | {} | {accepted_characters} |",
        times.median(),
        times.at(95),
        per_cent(counts.from_cache, keystrokes),
        counts.requests,
        counts.ahead,
    );
}

/// In what time so many keystrokes had a suggestion: those that had none count, as they do not in the quantiles of times.
fn within(times: &[Duration], keystrokes: usize) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = keystrokes.checked_sub(1).and_then(|last| times.get(last));
    last.map_or_else(|| "never".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3))
}

fn per_cent(part: u64, of: usize) -> f64 {
    let of = u32::try_from(of).unwrap_or(u32::MAX).max(1);
    f64::from(u32::try_from(part).unwrap_or(u32::MAX)) * 100.0 / f64::from(of)
}

/// What stands before the cursor, what is typed, and what stands behind: whole lines, so that nothing is on the cursor's own.
fn text(lines: usize) -> (String, String, String) {
    let all: Vec<&str> = load::ADA.lines().collect();
    let first = FIRST_LINE.min(all.len() / 2);
    let last = (first + lines).min(all.len());
    let join = |lines: &[&str]| lines.join("\n");
    (join(&all[..first]) + "\n", join(&all[first..last]), format!("\n{}\n", join(&all[last..])))
}

fn session(side: &mut impl Side, text: &str) -> Result<Session, Failure> {
    let text: Vec<char> = text.chars().collect();
    let (mut session, mut random, mut at) = (Session::default(), Random(SEED), 0);
    while at < text.len() {
        let typed = text[at];
        at += 1;
        session.keystrokes += 1;
        let start = Instant::now();
        let (least, vary) = if typed == '\n' { PAUSE_MS } else { INTERVAL_MS };
        let next = start + Duration::from_millis(least + random.below(vary));
        if let Some(suggestion) = side.typed(typed, next)?.filter(|text| !text.is_empty()) {
            session.times.push(start.elapsed());
            let rest: String = text[at..].iter().collect();
            let length = suggestion.chars().count();
            if length >= ACCEPTED_CHARACTERS_MIN && rest.starts_with(&suggestion) {
                side.taken(&suggestion)?;
                at += length;
                session.accepted_characters += length;
            }
        }
        side.rested(next)?;
    }
    session.counts = side.counts()?;
    Ok(session)
}

/// Line and column behind a text, in UTF-8.
fn position(text: &str) -> Value {
    let line = text.matches('\n').count();
    json!({ "line": line, "character": text.len() - text.rfind('\n').map_or(0, |at| at + 1) })
}

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The editor's end of `cloister lsp`.
struct Editor {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    number: u64,
    uri: String,
    /// Whether it is asked as it is; else its cache is emptied before each keystroke.
    is_whole: bool,
    written: String,
    behind: String,
}

impl Side for Editor {
    fn typed(&mut self, typed: char, until: Instant) -> Result<Option<String>, Failure> {
        self.insert(&typed.to_string())?;
        let asked = self.ask(position(&self.written))?;
        let answer = self.answer(asked, until)?;
        Ok(answer.and_then(|answer| Some(answer["items"][0]["insertText"].as_str()?.to_owned())))
    }

    fn taken(&mut self, suggestion: &str) -> Result<(), Failure> {
        self.insert(suggestion)
    }

    fn counts(&mut self) -> Result<Counts, Failure> {
        let counts = self.status()?["suggestions"].take();
        let count = |name: &str| counts[name].as_u64().ok_or_else(|| format!("no {name} in {counts}"));
        let ahead = count("ahead")?;
        // It counts those ahead apart.
        Ok(Counts { from_cache: count("from_cache")?, requests: count("requests")? + ahead, ahead })
    }
}

impl Editor {
    fn start(server: &Server, is_whole: bool, before: &str, behind: &str) -> Result<Editor, Failure> {
        let mut child = Command::new(places::program("cloister")?)
            .arg("--server")
            .arg(format!("unix:{}", server.socket().display()))
            .arg("lsp")
            .env("HOME", server.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("there is no standard input")?;
        let output = child.stdout.take().ok_or("there is no standard output")?;
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let uri = format!("file://{}/typed.adb", server.root().display());
        let (written, behind) = (before.to_owned(), behind.to_owned());
        let mut editor = Editor { child, input, messages, number: 0, uri, is_whole, written, behind };
        let completion = if is_whole { json!({}) } else { json!({ "debounce_ms_max": 0, "ahead": false }) };
        let capabilities = json!({
            "general": { "positionEncodings": ["utf-8"] }, "textDocument": { "inlineCompletion": {} },
        });
        let params =
            json!({ "capabilities": capabilities, "initializationOptions": { "completion": completion } });
        let id = editor.request("initialize", &params)?;
        editor.answer(id, Instant::now() + ANSWER_WAIT)?.ok_or("the language server does not start")?;
        editor.open()?;
        Ok(editor)
    }

    fn write(&mut self, message: &Value) -> Result<(), Failure> {
        let body = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{body}", body.len())?;
        Ok(self.input.flush()?)
    }

    fn notify(&mut self, method: &str, params: &Value) -> Result<(), Failure> {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
    }

    fn request(&mut self, method: &str, params: &Value) -> Result<u64, Failure> {
        self.number += 1;
        let number = self.number;
        self.write(&json!({ "jsonrpc": "2.0", "id": number, "method": method, "params": params }))?;
        Ok(number)
    }

    /// The answer, where it comes until then.
    fn answer(&mut self, id: u64, until: Instant) -> Result<Option<Value>, Failure> {
        loop {
            let Ok(mut message) = self.messages.recv_timeout(until.saturating_duration_since(Instant::now()))
            else {
                return Ok(None);
            };
            if message.get("method").is_none() && message["id"] == id {
                if message.get("error").is_some() {
                    return Err(message.to_string().into());
                }
                return Ok(Some(message["result"].take()));
            }
        }
    }

    fn open(&mut self) -> Result<(), Failure> {
        let text = format!("{}{}", self.written, self.behind);
        let document = json!({ "uri": self.uri, "languageId": "ada", "version": 1, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }))
    }

    /// Text comes before the cursor.
    fn insert(&mut self, text: &str) -> Result<(), Failure> {
        let place = position(&self.written);
        self.written.push_str(text);
        if self.is_whole {
            return self.change(place, text);
        }
        // What is kept goes with the document.
        self.notify("textDocument/didClose", &json!({ "textDocument": { "uri": self.uri } }))?;
        self.open()
    }

    fn change(&mut self, at: Value, text: &str) -> Result<(), Failure> {
        let document = json!({ "uri": self.uri, "version": self.number + 2 });
        let change = json!({ "range": { "start": at, "end": at }, "text": text });
        self.notify(
            "textDocument/didChange",
            &json!({ "textDocument": document, "contentChanges": [change] }),
        )
    }

    fn ask(&mut self, at: Value) -> Result<u64, Failure> {
        let document = json!({ "uri": self.uri });
        self.request(
            "textDocument/inlineCompletion",
            &json!({ "textDocument": document, "position": at, "context": { "triggerKind": 2 } }),
        )
    }

    fn status(&mut self) -> Result<Value, Failure> {
        let id = self.request("cloister/status", &json!({}))?;
        Ok(self.answer(id, Instant::now() + ANSWER_WAIT)?.ok_or("the language server does not answer")?)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((_, value)) => length = value.parse().ok()?,
            None => break,
        }
    }
    let mut body = Vec::new();
    output.take(length).read_to_end(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
