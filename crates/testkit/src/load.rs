//! Requests as people's editors send them, many at a time: holes and conversations, short and long,
//! repeated beginnings, sampled and greedy, streamed and whole, and clients that hang up.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::Failure;
use crate::draw::Draw;
use crate::http::{self, Response};

/// Files that editors are open on. Prefixes of them repeat, so caches are hit.
pub const ADA: &str = include_str!("../data/buffers.adb");
/// Of more answers than these, so many are drawn to be replayed.
const SAMPLE: u64 = 500;
/// Not as many as the load ran with on most machines.
const THREADS_OF_REPLAY: u32 = 3;
const QUESTIONS: [&str; 5] = [
    "What does `in out` mean in Ada? One sentence.",
    "Write an Ada function that returns the larger of two integers.",
    "Why is a bounded buffer useful between two tasks?",
    "Write a C function that reverses a string in place.",
    "Name three differences between a VHDL signal and a variable.",
];

/// One request of a load.
#[derive(Clone, Debug)]
pub struct Request {
    /// The endpoint.
    pub path: &'static str,
    /// The body.
    pub body: Value,
    /// Bytes of the response after which the client hangs up.
    pub hang_up_after: Option<usize>,
}

/// What a request came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The client has the whole answer.
    Answered {
        /// The record's number.
        record: u64,
        /// The text that the client has.
        text: String,
    },
    /// The client hung up on purpose.
    HungUp,
    /// The server refused, or the connection broke.
    Broken {
        /// In words.
        what: String,
        /// The record, and the text that a broken stream had shown.
        shown: Option<(u64, String)>,
    },
}

/// Draws a request. A model without fill-in-the-middle gets conversations only.
pub fn draw(draw: &mut Draw, fills: bool) -> Request {
    let stream = draw.once_in(3);
    let sampled = draw.once_in(3);
    let tokens_max = 4 + draw.below(44);
    let mut body = json!({ "max_tokens": tokens_max, "stream": stream });
    if sampled {
        body["temperature"] = json!(0.8);
        body["top_p"] = json!(0.95);
        body["top_k"] = json!(40);
        body["seed"] = json!(draw.below(1000));
    }
    let path = if fills && !draw.once_in(3) {
        let (prefix, suffix) = hole(draw);
        body["prompt"] = json!(prefix);
        body["suffix"] = json!(suffix);
        if draw.once_in(3) {
            body["until"] = json!(draw.one_of(&["line", "block"]));
        }
        "/v1/completions"
    } else {
        body["messages"] = json!([{ "role": "user", "content": draw.one_of(&QUESTIONS) }]);
        "/v1/chat/completions"
    };
    let hang_up_after = draw.once_in(6).then(|| usize::try_from(draw.below(600)).unwrap_or(0));
    Request { path, body, hang_up_after }
}

/// A place in the file, and what is around it.
fn hole(draw: &mut Draw) -> (String, String) {
    let lines: Vec<&str> = ADA.lines().collect();
    let limit = u64::try_from(lines.len()).unwrap_or(1);
    let start = usize::try_from(draw.below(limit / 2)).unwrap_or(0);
    let at = start + usize::try_from(draw.below(limit / 3)).unwrap_or(0);
    let end = (at + 1 + usize::try_from(draw.below(12)).unwrap_or(0)).min(lines.len());
    // Most editors send the file from its top: a shared prefix.
    let start = if draw.once_in(4) { start } else { 0 };
    (lines[start..at].join("\n") + "\n", lines[at.min(end)..end].join("\n"))
}

/// Sends one request and waits for what it comes to.
pub fn send(socket: &Path, request: &Request) -> Outcome {
    let sent = match http::send(socket, "POST", request.path, &request.body.to_string()) {
        Ok(sent) => sent,
        Err(error) => return Outcome::broken(error.to_string()),
    };
    if let Some(bytes) = request.hang_up_after {
        let _already_gone = sent.hang_up_after(bytes);
        return Outcome::HungUp;
    }
    match sent.receive() {
        Ok(response) => outcome(request, &response),
        Err(error) => Outcome::broken(error.to_string()),
    }
}

impl Outcome {
    fn broken(what: String) -> Outcome {
        Outcome::Broken { what, shown: None }
    }
}

fn outcome(request: &Request, response: &Response) -> Outcome {
    let words = |what: &str| format!("{what}: {} {}", response.status, response.text());
    let Some(record) = response.record().filter(|_| response.status == 200) else {
        return Outcome::broken(words("not answered"));
    };
    let choice_text = |value: &Value| {
        let choice = &value["choices"][0];
        let text = [&choice["text"], &choice["message"]["content"], &choice["delta"]["content"]];
        text.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned()
    };
    if request.body["stream"] == json!(true) {
        let (events, done) = http::events(&response.body);
        let text = events.iter().map(choice_text).collect();
        if !response.complete || !done || events.iter().any(|event| !event["error"].is_null()) {
            return Outcome::Broken { what: words("broke off"), shown: Some((record, text)) };
        }
        return Outcome::Answered { record, text };
    }
    match response.json() {
        Ok(value) if response.complete => Outcome::Answered { record, text: choice_text(&value) },
        _ => Outcome::broken(words("cut off")),
    }
}

/// Sends `count` drawn requests, `clients` at a time; outcomes in the order of their ends.
pub fn run(socket: &Path, seed: u64, count: u64, clients: usize, fills: bool) -> Vec<Outcome> {
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let request = draw(&mut Draw::new(seed.wrapping_add(number)), fills);
                    let outcome = send(socket, &request);
                    outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What a replayed load came to.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// Answers that were replayed, each the same; also those whose clients hung up before the end.
    pub matches: u64,
    /// Clients that hung up.
    pub hung_up: u64,
    /// Prompt tokens of those answers that were not evaluated again.
    pub prompt_tokens_cached: u64,
}

/// The whole check: a load, a restart with another number of threads, and each answer replayed alone with
/// the same bytes, which are also the bytes that the client had.
pub fn load_and_replay(
    server: &mut crate::server::Server,
    seed: u64,
    count: u64,
    clients: usize,
    fills: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Replayed, Failure> {
    let outcomes = run(&server.socket(), seed, count, clients, fills);
    server.stop()?;
    server.configure(&format!("[engine]\nthreads = {THREADS_OF_REPLAY}\n"))?;
    server.start()?;
    let (mut replayed, mut finished) = (Replayed::default(), 0);
    for outcome in outcomes {
        match outcome {
            Outcome::HungUp => replayed.hung_up += 1,
            Outcome::Broken { what, .. } => {
                return Err(format!("seed {seed}: a request broke: {what}").into());
            }
            Outcome::Answered { record, text } => {
                let shown = server.show(record)?;
                replayed.prompt_tokens_cached += prompt_tokens_cached(&shown);
                let recorded = result_text(&shown).ok_or_else(|| format!("record {record} has no result"))?;
                if recorded != text {
                    return Err(format!(
                        "seed {seed}, record {record}: recorded {recorded:?}, answered {text:?}"
                    )
                    .into());
                }
                finished += 1;
            }
        }
        progress(finished + replayed.hung_up);
    }
    let replays = if finished < SAMPLE { server.replay_all() } else { server.replay_sample(SAMPLE) };
    let replays = replays.map_err(|error| format!("seed {seed}: {error}"))?;
    replayed.matches = replays["same"].as_u64().unwrap_or(0);
    if replayed.matches < finished.min(SAMPLE) {
        return Err(format!("seed {seed}: {finished} were finished, {replays}").into());
    }
    Ok(replayed)
}

/// The recorded text of a shown record's result.
pub fn result_text(shown: &Value) -> Option<String> {
    Some(result(shown)?["body"]["output_text"].as_str()?.to_owned())
}

/// The recorded text of a shown record: its result's or, while that is missing, its blocks'.
pub fn recorded_text(shown: &Value) -> Option<String> {
    result_text(shown).or_else(|| {
        let related = shown["related"].as_array()?.iter();
        let blocks = related.filter(|leaf| leaf["leaf"]["event"]["kind"] == "block");
        blocks.map(|leaf| leaf["body"]["block_text"].as_str()).collect()
    })
}

fn prompt_tokens_cached(shown: &Value) -> u64 {
    let leaf = result(shown).map(|result| &result["leaf"]["event"]["prompt_tokens_cached"]);
    leaf.and_then(Value::as_u64).unwrap_or(0)
}

fn result(shown: &Value) -> Option<&Value> {
    let related = shown["related"].as_array()?;
    related.iter().find(|leaf| leaf["leaf"]["event"]["kind"] == "result")
}
