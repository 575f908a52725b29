//! From a keystroke to a suggestion, while a person types: through `cloister lsp` as it is, and with one request for each
//! keystroke at once and nothing kept.
//!
//! Each side types the same text, with the same seeded rhythm, at the same place of the same file, on a daemon of its own. What is suggested and
//! agrees with the text is taken over, when it is worth it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{Failure, load, places};

use crate::quantiles::Quantiles;

/// Characters that are typed, and fewer where it is only tried.
const CHARACTERS: usize = 600;
const CHARACTERS_QUICK: usize = 60;
/// Where in the text the person begins.
const BEGIN: usize = 2000;
/// Between two keystrokes, in milliseconds: the shortest, and what varies.
const INTERVAL_MS: (u64, u64) = (60, 180);
/// At a line's end people think.
const PAUSE_MS: (u64, u64) = (700, 1500);
/// A shorter suggestion is typed faster than it is read.
const ACCEPTED_CHARACTERS_MIN: usize = 6;
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const SEED: u64 = 20;

/// What one side brought.
#[derive(Default)]
struct Session {
    keystrokes: usize,
    /// Of keystrokes that had a suggestion before the next one.
    times: Vec<Duration>,
    accepted_characters: usize,
    counts: Value,
}

pub(crate) fn measure(model: &str, quick: bool) -> Result<(), Failure> {
    let characters = if quick { CHARACTERS_QUICK } else { CHARACTERS };
    let sides = [("`cloister lsp`", true), ("a request each keystroke at once, nothing kept", false)];
    println!(
        "\n| typing {characters} characters | keystrokes | with a suggestion before the next | to it, p50 | p95 | from the cache | requests | ahead | characters taken over |\n|---|---|---|---|---|---|---|---|---|"
    );
    for (name, is_whole) in sides {
        let server = Server::started(model)?;
        let Session { keystrokes, times, accepted_characters, counts } =
            session(&server, characters, is_whole)?;
        let (with, times) = (times.len(), Quantiles::of_times(times));
        let share = |part: u64| format!("{:.0} %", per_cent(part, keystrokes));
        let count = |name: &str| counts[name].as_u64().unwrap_or(0);
        println!(
            "| {name} | {keystrokes} | {with} | {:.1} ms | {:.1} ms | {} | {} | {} | {accepted_characters} |",
            times.median(),
            times.at(95),
            share(count("from_cache")),
            count("requests"),
            count("ahead"),
        );
    }
    Ok(())
}

fn per_cent(part: u64, of: usize) -> f64 {
    let of = u32::try_from(of).unwrap_or(u32::MAX).max(1);
    f64::from(u32::try_from(part).unwrap_or(u32::MAX)) * 100.0 / f64::from(of)
}

fn session(server: &Server, characters: usize, is_whole: bool) -> Result<Session, Failure> {
    let text: Vec<char> = load::ADA.chars().collect();
    let (begin, end) = (BEGIN.min(text.len() / 2), (BEGIN.min(text.len() / 2) + characters).min(text.len()));
    let before: String = text[..begin].iter().collect();
    let behind: String = text[end..].iter().collect();
    let mut editor = Editor::start(server, is_whole)?;
    let mut written = before;
    editor.open(&format!("{written}{behind}"))?;
    let (mut session, mut random, mut at) = (Session::default(), Random(SEED), begin);
    while at < end {
        let typed = text[at];
        let place = position(&written);
        written.push(typed);
        at += 1;
        session.keystrokes += 1;
        let start = Instant::now();
        if is_whole {
            editor.change(place, &typed.to_string())?;
        } else {
            // What is kept goes with the document.
            editor.reopen(&format!("{written}{behind}"))?;
        }
        let (least, vary) = if typed == '\n' { PAUSE_MS } else { INTERVAL_MS };
        let next = start + Duration::from_millis(least + random.below(vary));
        let asked = editor.ask(position(&written))?;
        let suggestion = editor.suggestion(asked, next)?;
        let Some(suggestion) = suggestion.filter(|text| !text.is_empty()) else {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            continue;
        };
        session.times.push(start.elapsed());
        let rest: String = text[at..end].iter().collect();
        let length = suggestion.chars().count();
        if length >= ACCEPTED_CHARACTERS_MIN && rest.starts_with(&suggestion) {
            if is_whole {
                editor.change(position(&written), &suggestion)?;
            }
            written.push_str(&suggestion);
            at += length;
            session.accepted_characters += length;
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    session.counts = editor.status()?["suggestions"].take();
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
}

impl Editor {
    fn start(server: &Server, is_whole: bool) -> Result<Editor, Failure> {
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
        let mut editor = Editor { child, input, messages, number: 0, uri };
        let completion = if is_whole { json!({}) } else { json!({ "debounce_ms_max": 0, "ahead": false }) };
        let capabilities = json!({
            "general": { "positionEncodings": ["utf-8"] }, "textDocument": { "inlineCompletion": {} },
        });
        let params =
            json!({ "capabilities": capabilities, "initializationOptions": { "completion": completion } });
        let id = editor.request("initialize", &params)?;
        editor.answer(id, Instant::now() + ANSWER_WAIT)?.ok_or("the language server does not start")?;
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

    fn open(&mut self, text: &str) -> Result<(), Failure> {
        let document = json!({ "uri": self.uri, "languageId": "ada", "version": 1, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }))
    }

    fn reopen(&mut self, text: &str) -> Result<(), Failure> {
        let closed = json!({ "textDocument": { "uri": self.uri } });
        self.notify("textDocument/didClose", &closed)?;
        self.open(text)
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

    fn suggestion(&mut self, asked: u64, until: Instant) -> Result<Option<String>, Failure> {
        let answer = self.answer(asked, until)?;
        Ok(answer.and_then(|answer| Some(answer["items"][0]["insertText"].as_str()?.to_owned())))
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
