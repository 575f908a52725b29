//! A llama-server, played: its endpoints over a Unix socket, a token a character, and faults on purpose.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Failure;

/// Numbers of special tokens begin here, above all characters.
const SPECIAL: u32 = 2_000_000;
/// Spellings of special tokens, in the order of their numbers.
pub const SPECIALS: [&str; 7] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_suffix|>",
    "<|fim_middle|>",
    "<|repo_name|>",
    "<|file_sep|>",
];
const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
    {{ message.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";
/// Longer than any test waits.
const SILENCE: Duration = Duration::from_secs(120);
/// Between two pieces of a slow answer.
const SLOW: Duration = Duration::from_millis(20);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Nothing; but an answer takes its time.
    Slow,
    /// An answer ends after a few pieces, as if the server had died.
    BreaksOff,
    /// An answer ends after a few pieces, in good order but without its last.
    NoLast,
    /// A piece is no JSON.
    Garbage,
    /// A piece never ends.
    Endless,
    /// A piece has a number for its text.
    WrongTypes,
    /// A piece has no tokens.
    NoTokens,
    /// There are more pieces than tokens were asked for.
    TooMany,
    /// Nothing comes.
    Silent,
    /// 500, with words.
    Refuses,
    /// An error inside the stream.
    FailsLater,
    /// What it states of itself has wrong types.
    StatesWrongTypes,
    /// What it states of itself never ends.
    StatesEndlessly,
}

/// A running one. Its socket is gone when it is dropped.
pub struct Upstream {
    path: PathBuf,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    ended: AtomicBool,
    fault: Mutex<Fault>,
    model: Mutex<String>,
    answer: Mutex<String>,
    asked: Mutex<Vec<Value>>,
    hung_up: AtomicUsize,
}

impl Upstream {
    /// Serves at a path.
    pub fn started(path: &Path) -> Result<Upstream, Failure> {
        let listener = UnixListener::bind(path)?;
        let state = Arc::new(State {
            ended: AtomicBool::new(false),
            fault: Mutex::new(Fault::None),
            model: Mutex::new("played".to_owned()),
            answer: Mutex::new("Temp := A; -- é\nend".to_owned()),
            asked: Mutex::new(Vec::new()),
            hung_up: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&state);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), state) = (stream, Arc::clone(&serving)) else { return };
                std::thread::spawn(move || {
                    if state.serve(&stream).is_err() {
                        state.hung_up.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Ok(Upstream { path: path.to_owned(), state, accepting: Some(accepting) })
    }

    /// From now on.
    pub fn set_fault(&self, fault: Fault) {
        *lock(&self.state.fault) = fault;
    }

    /// The model it states from now on.
    pub fn set_model(&self, model: &str) {
        *lock(&self.state.model) = model.to_owned();
    }

    /// What it answers from now on.
    pub fn set_answer(&self, answer: &str) {
        *lock(&self.state.answer) = answer.to_owned();
    }

    /// Bodies of the completions that were asked for.
    pub fn asked(&self) -> Vec<Value> {
        lock(&self.state.asked).clone()
    }

    /// Clients that did not wait for their answer's end.
    pub fn hung_up(&self) -> usize {
        self.state.hung_up.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, which closes the listener; unless its folder was removed before.
        #[expect(clippy::disallowed_methods, reason = "its own socket")]
        if UnixStream::connect(&self.path).is_ok() {
            let _panicked = self.accepting.take().map(JoinHandle::join);
        }
        let _best_effort = std::fs::remove_file(&self.path);
    }
}

impl State {
    /// One request.
    fn serve(&self, stream: &UnixStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match target.as_str() {
            "/props" => self.props(stream),
            "/v1/models" => {
                let meta = json!({ "n_vocab": 3_000_000, "n_ctx_train": 8192 });
                document(stream, 200, &json!({ "data": [{ "id": "any", "meta": meta }] }))
            }
            "/tokenize" => document(stream, 200, &json!({ "tokens": tokens(&body) })),
            "/completion" => {
                lock(&self.asked).push(body.clone());
                self.complete(stream, &body)
            }
            // A probe that only connects asks for nothing.
            "" => Ok(()),
            _ => document(stream, 404, &json!({ "error": { "message": "no such path" } })),
        }
    }

    fn props(&self, stream: &UnixStream) -> std::io::Result<()> {
        let fault = *lock(&self.fault);
        let context = if fault == Fault::StatesWrongTypes { json!("many") } else { json!(4096) };
        let props = json!({
            "default_generation_settings": { "n_ctx": context, "params": {} },
            "total_slots": 2,
            "model_alias": *lock(&self.model),
            "model_path": "/models/played.gguf",
            "chat_template": TEMPLATE,
            "bos_token": "",
            "eos_token": "<|im_end|>",
            "build_info": "b0-played",
            "added_later": [1],
        });
        if fault == Fault::StatesEndlessly {
            begin_chunks(stream)?;
            chunk(stream, "{\"build_info\":\"")?;
            return endless(stream);
        }
        document(stream, 200, &props)
    }

    fn complete(&self, stream: &UnixStream, body: &Value) -> std::io::Result<()> {
        let fault = *lock(&self.fault);
        match fault {
            Fault::Silent => {
                std::thread::sleep(SILENCE);
                return Ok(());
            }
            Fault::Refuses => {
                return document(stream, 500, &json!({ "error": { "message": "out of\nmemory" } }));
            }
            _ => {}
        }
        let asked = usize::try_from(body["n_predict"].as_i64().unwrap_or(0)).unwrap_or(0);
        let allowed = if fault == Fault::TooMany { usize::MAX } else { asked.max(1) };
        let answer = lock(&self.answer).clone();
        let cached = if body["cache_prompt"] == true { 1 } else { 0 };
        begin_chunks(stream)?;
        for (number, c) in answer.chars().enumerate().take(allowed) {
            let piece = json!({
                "content": c.to_string(), "tokens": [u32::from(c)], "stop": false,
                "timings": { "cache_n": cached },
            });
            match fault {
                Fault::Slow => std::thread::sleep(SLOW),
                Fault::BreaksOff if number == 3 => return stream.shutdown(std::net::Shutdown::Both),
                Fault::NoLast if number == 3 => return chunk(stream, ""),
                Fault::Garbage if number == 3 => event(stream, "{not JSON")?,
                Fault::WrongTypes if number == 3 => event(stream, r#"{"content":7,"tokens":[1]}"#)?,
                Fault::NoTokens if number == 3 => event(stream, r#"{"content":"x"}"#)?,
                Fault::FailsLater if number == 3 => {
                    event(stream, r#"{"error":{"code":500,"message":"lost it"}}"#)?;
                }
                Fault::Endless if number == 3 => {
                    chunk(stream, "data: {\"content\":\"")?;
                    return endless(stream);
                }
                _ => {}
            }
            event(stream, &piece.to_string())?;
        }
        let stop_type = if allowed < answer.chars().count() { "limit" } else { "eos" };
        let predicted = answer.chars().count().min(allowed);
        let last = json!({
            "content": "", "tokens": [], "stop": true, "stop_type": stop_type, "tokens_predicted": predicted,
        });
        event(stream, &last.to_string())?;
        chunk(stream, "")
    }
}

/// Special tokens where they are asked for; else a token a character.
fn tokens(body: &Value) -> Vec<u32> {
    let mut rest = body["content"].as_str().unwrap_or_default();
    let special = body["parse_special"] == true;
    let mut tokens = Vec::new();
    while let Some(c) = rest.chars().next() {
        let found = (SPECIAL..).zip(SPECIALS).find(|(_, spelling)| special && rest.starts_with(spelling));
        let (token, length) = found.map_or((u32::from(c), c.len_utf8()), |(token, s)| (token, s.len()));
        tokens.push(token);
        rest = &rest[length..];
    }
    tokens
}

fn document(mut stream: &UnixStream, status: u16, value: &Value) -> std::io::Result<()> {
    let body = value.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn begin_chunks(mut stream: &UnixStream) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )
}

fn event(stream: &UnixStream, data: &str) -> std::io::Result<()> {
    chunk(stream, &format!("data: {data}\n\n"))
}

/// The empty one is the last.
fn chunk(mut stream: &UnixStream, text: &str) -> std::io::Result<()> {
    write!(stream, "{:x}\r\n{text}\r\n", text.len())
}

/// Until the client has had enough.
fn endless(stream: &UnixStream) -> std::io::Result<()> {
    let more = "x".repeat(1 << 16);
    loop {
        chunk(stream, &more)?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
