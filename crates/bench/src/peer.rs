//! Beside llama.cpp's own server: the same model, prompts, threads and counts of tokens, in turns.

use std::time::{Duration, Instant};

use protocol::worker::{EngineProfile, Part, Token};
use serde_json::{Value, json};
use testkit::peer::Peer;
use testkit::server::Server;
use testkit::{Failure, http, load};
use tokio::runtime::Runtime;

use crate::Table;
use crate::bare::{self, Bare};
use crate::quantiles::Quantiles;
use crate::speed::{rate, row};

const SLOTS: u32 = 8;
const SLOT_TOKENS: u32 = 4096;
const PROMPT_TOKENS: [usize; 2] = [512, 2048];
const ANSWER_TOKENS: u32 = 48;
const REPETITIONS: u64 = 5;
const CLIENTS: [usize; 3] = [1, 4, 8];
/// Requests of each client.
const CLIENT_REQUESTS: usize = 3;
const KEYSTROKES: usize = 200;
/// Lines of the file that is edited, and where the typing begins.
const FILE_LINES: usize = 600;
const FIRST_LINE: usize = 300;
/// As llama.vim asks: lines around the cursor, tokens of a suggestion.
const PREFIX_LINES: usize = 256;
const SUFFIX_LINES: usize = 64;
const SUGGESTION_TOKENS: u32 = 16;

pub(crate) fn measure(
    runtime: &Runtime,
    model: &str,
    program: &std::path::Path,
    wanted: impl Fn(Table) -> bool,
    quick: bool,
) -> Result<(), Failure> {
    let peer = Peer::started(program, model, bare::threads(), SLOTS, SLOT_TOKENS)?;
    if wanted(Table::Speed) {
        one_client(runtime, model, &peer, quick)?;
    }
    let slots = ["--slots", &SLOTS.to_string(), "--context-tokens", &SLOT_TOKENS.to_string()];
    let mut server = Server::new(model, &slots)?;
    server.start()?;
    if wanted(Table::Clients) {
        clients(&server, &peer, quick)?;
    }
    if wanted(Table::Editing) {
        editing(&server, &peer, quick)?;
    }
    Ok(())
}

/// Prefill and decode of exactly the same tokens, by the engines' own clocks.
fn one_client(runtime: &Runtime, model: &str, peer: &Peer, quick: bool) -> Result<(), Failure> {
    let ours = runtime.block_on(Bare::start(model, EngineProfile::Reproducible, 1, SLOT_TOKENS))?;
    let text = vec![Part::Text(load::ADA.to_owned())];
    let source = runtime.block_on(ours.worker.tokenize(text))?;
    println!(
        "\n| tokens a second, one client | reproducible | llama.cpp's server | ratio |\n|---|---|---|---|"
    );
    for size in PROMPT_TOKENS.into_iter().take(if quick { 1 } else { PROMPT_TOKENS.len() }) {
        let prompt: Vec<Token> = source.iter().copied().cycle().take(size).collect();
        let mut rates = [(); 4].map(|()| Vec::new());
        for repetition in 0..if quick { 1 } else { REPETITIONS } {
            let run = runtime.block_on(ours.run(prompt.clone(), ANSWER_TOKENS, repetition))?;
            rates[0].push(rate(size, run.times.prompt_us));
            rates[2].push(rate(run.tokens.saturating_sub(1), run.times.predict_us));
            let answer = peer.post(
                "/completion",
                &json!({
                    "prompt": prompt, "n_predict": ANSWER_TOKENS, "temperature": 0, "ignore_eos": true,
                    "cache_prompt": false,
                }),
            )?;
            let timings = &answer["timings"];
            if timings["prompt_n"] != json!(size) {
                return Err(
                    format!("the peer evaluated {} tokens and not {size}", timings["prompt_n"]).into()
                );
            }
            rates[1].push(figure(timings, "prompt_per_second")?);
            rates[3].push(figure(timings, "predicted_per_second")?);
        }
        let [prefill, peer_prefill, decode, peer_decode] = rates.map(|rates| Quantiles::of(rates).median());
        row(&format!("prefill of {size}"), prefill, peer_prefill);
        row(&format!("decode after {size}"), decode, peer_decode);
    }
    Ok(())
}

/// How one of several clients asks, and for how many tokens.
type Ask<'a> = dyn Fn(&Value) -> Result<Value, Failure> + Sync + 'a;

/// Several clients at a time, each with prompts of its own, through HTTP on both sides. The peer is made
/// to give as many tokens as ours gave.
fn clients(server: &Server, peer: &Peer, quick: bool) -> Result<(), Failure> {
    println!(
        "\n| answer tokens a second, all clients, prompts included | reproducible | llama.cpp's server | ratio |\n|---|---|---|---|"
    );
    for count in CLIENTS.into_iter().take(if quick { 1 } else { CLIENTS.len() }) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..if quick { 1 } else { 3 } {
            let most = vec![vec![ANSWER_TOKENS.into(); CLIENT_REQUESTS]; count];
            let (rate, tokens) = together(&|body| infill(server, body), round, &most)?;
            ours.push(rate);
            theirs.push(together(&|body| peer.post("/infill", body), round, &tokens)?.0);
        }
        let [ours, theirs] = [ours, theirs].map(|rates| Quantiles::of(rates).median());
        row(&format!("{count} at a time"), ours, theirs);
    }
    Ok(())
}

/// Answer tokens a second, and how many each request of each client got.
fn together(ask: &Ask<'_>, round: u64, tokens_max: &[Vec<u64>]) -> Result<(f64, Vec<Vec<u64>>), Failure> {
    let start = Instant::now();
    let tokens: Result<Vec<Vec<u64>>, Failure> = std::thread::scope(|scope| {
        let threads: Vec<_> = tokens_max
            .iter()
            .enumerate()
            .map(|(client, tokens_max)| scope.spawn(move || one_of_many(ask, client, round, tokens_max)))
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a client panicked")?).collect()
    });
    let tokens = tokens?;
    let all = usize::try_from(tokens.iter().flatten().sum::<u64>())?;
    let us = u64::try_from(start.elapsed().as_micros())?;
    Ok((rate(all, us), tokens))
}

fn one_of_many(ask: &Ask<'_>, client: usize, round: u64, tokens_max: &[u64]) -> Result<Vec<u64>, Failure> {
    let lines: Vec<&str> = load::ADA.lines().collect();
    let mut tokens = Vec::new();
    for (request, tokens_max) in tokens_max.iter().enumerate() {
        // Another beginning each time: nothing of it is cached.
        let prefix = format!("--  {round} {client} {request}\n{}\n", lines[..40].join("\n"));
        let body = json!({
            "input_prefix": prefix, "input_suffix": lines[60..].join("\n"), "prompt": "",
            "n_predict": tokens_max, "temperature": 0, "ignore_eos": true,
        });
        let count = ask(&body)?["timings"]["predicted_n"].as_u64().ok_or("no count of tokens")?;
        tokens.push(count);
    }
    Ok(tokens)
}

/// A person types in a long file, and after each keystroke a suggestion is asked for, as llama.vim does.
fn editing(server: &Server, peer: &Peer, quick: bool) -> Result<(), Failure> {
    let file: Vec<&str> = load::ADA.lines().cycle().take(FILE_LINES).collect();
    let mut cursors = Vec::new();
    for line in FIRST_LINE.. {
        let text = file[line % FILE_LINES];
        let indent = text.len() - text.trim_start().len();
        cursors.extend((indent..=text.len()).step_by(2).map(|column| (line, column)));
        if cursors.len() >= KEYSTROKES {
            break;
        }
    }
    let (mut ours, mut theirs) = (Session::default(), Session::default());
    for &(line, column) in cursors.iter().take(if quick { 5 } else { KEYSTROKES }) {
        let before = file[line.saturating_sub(PREFIX_LINES)..line].join("\n") + "\n";
        let after = file[(line + 1).min(FILE_LINES)..(line + 1 + SUFFIX_LINES).min(FILE_LINES)].join("\n");
        let body = json!({
            "input_prefix": before, "input_suffix": format!("\n{after}\n"), "input_extra": [],
            "prompt": file[line].get(..column).unwrap_or_default(), "n_predict": SUGGESTION_TOKENS,
            "top_k": 1, "temperature": 0, "stream": false, "cache_prompt": true,
            "samplers": ["top_k", "temperature"],
        });
        ours.ask(&body, |body| infill(server, body))?;
        theirs.ask(&body, |body| peer.post("/infill", body))?;
    }
    println!(
        "\n| {} keystrokes in a file of {FILE_LINES} lines | reproducible | llama.cpp's server | ratio |\n|---|---|---|---|",
        ours.times.len()
    );
    let computed = |session: &Session| session.prompt_tokens + session.answer_tokens;
    let (own, their) = (computed(&ours), computed(&theirs));
    let [ours, theirs] = [ours, theirs].map(|session| Quantiles::of_times(session.times));
    for (name, per_cent) in [("p50", 50), ("p95", 95)] {
        let (own, their) = (ours.at(per_cent), theirs.at(per_cent));
        println!(
            "| time to the full suggestion, {name} | {own:.0} ms | {their:.0} ms | {:.2} |",
            their / own
        );
    }
    println!("| tokens computed | {own:.0} | {their:.0} | |");
    Ok(())
}

#[derive(Default)]
struct Session {
    times: Vec<Duration>,
    prompt_tokens: f64,
    answer_tokens: f64,
}

impl Session {
    fn ask(&mut self, body: &Value, send: impl Fn(&Value) -> Result<Value, Failure>) -> Result<(), Failure> {
        let start = Instant::now();
        let answer = send(body)?;
        self.times.push(start.elapsed());
        self.prompt_tokens += figure(&answer["timings"], "prompt_n")?;
        self.answer_tokens += figure(&answer["timings"], "predicted_n")?;
        Ok(())
    }
}

fn infill(server: &Server, body: &Value) -> Result<Value, Failure> {
    let response = http::post(&server.socket(), "/infill", body)?;
    if response.status == 200 { response.json() } else { Err(response.text().into()) }
}

fn figure(timings: &Value, name: &str) -> Result<f64, Failure> {
    timings[name].as_f64().ok_or_else(|| format!("no {name} in {timings}").into())
}
