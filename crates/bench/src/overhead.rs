//! What gateway and ledger add to a request: the same prompts by a bare worker and through the server.

use std::process::Command;
use std::time::{Duration, Instant};

use protocol::worker::EngineProfile;
use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{Failure, http, load};
use tokio::runtime::Runtime;

use crate::bare::Bare;
use crate::encrypted::Encrypted;
use crate::quantiles::Quantiles;

/// Pairs of a bare and a whole request.
const PAIRS: u64 = 400;
/// Few, so that the engine's own time, which varies, is short.
const ANSWER_TOKENS: u32 = 2;
const FIRST_TOKEN_PAIRS: u64 = 9;
/// New connections of each kind.
const CONNECTIONS: usize = 200;

pub(crate) fn measure(runtime: &Runtime, model: &str, quick: bool) -> Result<(), Failure> {
    let mut server = Server::new(model, &[])?;
    // What compilers add is measured by `bench checks`.
    server.configure("[limits]\ncompletion_check_ms_max = 0\n")?;
    server.start()?;
    // The daemon's defaults.
    let bare = runtime.block_on(Bare::start(model, EngineProfile::Reproducible, 4, 4096))?;
    per_request(runtime, &server, &bare, if quick { 2 } else { PAIRS })?;
    first_token(runtime, &server, &bare, if quick { 1 } else { FIRST_TOKEN_PAIRS })?;
    transport(model, if quick { 3 } else { CONNECTIONS })
}

/// A completion whose prompt is in the cache, as while a person types.
fn per_request(runtime: &Runtime, server: &Server, bare: &Bare, pairs: u64) -> Result<(), Failure> {
    let (prefix, suffix) = hole(12);
    let prompt = runtime.block_on(bare.fill(&prefix, &suffix))?;
    let request = json!({
        "input_prefix": prefix, "input_suffix": suffix, "prompt": "", "n_predict": ANSWER_TOKENS,
    });
    let (mut alone, mut whole, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..=pairs {
        let bare_run = runtime.block_on(bare.run(prompt.clone(), ANSWER_TOKENS, 0))?;
        let start = Instant::now();
        let response = http::post(&server.socket(), "/infill", &request)?;
        let elapsed = start.elapsed();
        if response.status != 200 {
            return Err(response.text().into());
        }
        // The first of each filled the cache.
        if pair > 0 {
            alone.push(bare_run.whole);
            whole.push(elapsed);
            beside.push(elapsed.saturating_sub(engine_time(&response.json()?)?));
        }
    }
    let [alone, whole, beside] = [alone, whole, beside].map(Quantiles::of_times);
    println!(
        "\n| a request of {} prompt tokens, cached, {ANSWER_TOKENS} answer tokens, {pairs} pairs | p50 | p99 |\n|---|---|---|",
        prompt.len()
    );
    println!("| bare engine | {:.2} ms | {:.2} ms |", alone.median(), alone.at(99));
    println!("| through gateway and ledger | {:.2} ms | {:.2} ms |", whole.median(), whole.at(99));
    println!(
        "| difference of the two rows | {:.2} ms | {:.2} ms |",
        whole.median() - alone.median(),
        whole.at(99) - alone.at(99)
    );
    println!(
        "| a request's time beside its own time in the engine | {:.2} ms | {:.2} ms |",
        beside.median(),
        beside.at(99)
    );
    Ok(())
}

/// Until the first text, streamed, for a prompt of about 512 tokens: none of it cached, then all.
fn first_token(runtime: &Runtime, server: &Server, bare: &Bare, pairs: u64) -> Result<(), Failure> {
    let mut times = [(); 4].map(|()| Vec::new());
    let mut prompt_tokens = 0;
    for pair in 0..pairs {
        // Another beginning each time, so that nothing of it is cached the first time.
        let (rest, suffix) = hole(80);
        let prefix = format!("--  Revision {pair} of {pairs}.\n{rest}");
        let prompt = runtime.block_on(bare.fill(&prefix, &suffix))?;
        prompt_tokens = prompt.len();
        let request = json!({ "prompt": prefix, "suffix": suffix, "max_tokens": 4, "stream": true });
        for cached in [0, 1] {
            times[cached].push(runtime.block_on(bare.run(prompt.clone(), 4, pair))?.first);
            times[2 + cached].push(first_event(server, &request)?);
        }
    }
    let [cold, warm, cold_server, warm_server] = times.map(|times| Quantiles::of_times(times).median());
    println!(
        "\n| time to the first text, {prompt_tokens} prompt tokens, median of {pairs} | not cached | cached |\n|---|---|---|"
    );
    println!("| bare engine | {cold:.1} ms | {warm:.1} ms |");
    println!("| through gateway and ledger, streamed | {cold_server:.1} ms | {warm_server:.1} ms |");
    Ok(())
}

/// The list of models over the loopback, in the clear, encrypted, and with a client's certificate: by curl, whose own
/// clock says how long the parts took. Two requests a connection.
fn transport(model: &str, connections: usize) -> Result<(), Failure> {
    let Encrypted { server: _server, tcp, tls, certificate, key, token, .. } = Encrypted::start(model)?;
    let bearer = format!("authorization: Bearer {token}");
    println!(
        "\n| `GET /v1/models`, {connections} connections each, p50 (p99) | first request, connection and all | next request |\n|---|---|---|"
    );
    let (plain, encrypted) = (format!("http://{tcp}/v1/models"), format!("https://{tls}/v1/models"));
    let with_token = ["-H", &bearer];
    let with_certificate = ["--cert", &certificate, "--key", &key];
    for (name, url, who) in [
        ("loopback TCP, a token", &plain, &with_token[..]),
        ("TLS 1.3, a token", &encrypted, &with_token),
        ("TLS 1.3, a client's certificate", &encrypted, &with_certificate),
    ] {
        let mut times = [(); 2].map(|()| Vec::new());
        for _ in 0..connections {
            for (times, time) in times.iter_mut().zip(curl(url, &certificate, who)?) {
                times.push(time);
            }
        }
        let [first, next] = times.map(Quantiles::of_times);
        let shown = |times: &Quantiles| format!("{:.2} ms ({:.2})", times.median(), times.at(99));
        println!("| {name} | {} | {} |", shown(&first), shown(&next));
    }
    Ok(())
}

/// The whole first request and the whole second one, of one connection. What curl says of a handshake alone is zero at
/// times where there was one.
fn curl(url: &str, ca: &str, who: &[&str]) -> Result<[Duration; 2], Failure> {
    let output = Command::new("curl")
        .args(["-s", "--fail", "--cacert", ca, "-o", "/dev/null", "-o", "/dev/null"])
        .args(["-w", "%{time_total}\n"])
        .args(who)
        .args([url, url])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [first, next] = figures[..] else {
        return Err(format!("curl said {text:?}").into());
    };
    Ok([first, next].map(Duration::from_secs_f64))
}

fn first_event(server: &Server, request: &Value) -> Result<Duration, Failure> {
    let start = Instant::now();
    let mut sent = http::send(&server.socket(), "POST", "/v1/completions", &request.to_string())?;
    // At the beginning of a line: a header's name ends so, too.
    sent.wait_for(b"\ndata: ")?;
    let first = start.elapsed();
    // To the end, so that the next request finds the engine idle.
    let response = sent.receive_rest()?;
    if response.is_empty() {
        return Err("a streamed answer had no end".into());
    }
    Ok(first)
}

/// What is before and behind a place `lines` into a source.
fn hole(lines: usize) -> (String, String) {
    let all: Vec<&str> = load::ADA.lines().collect();
    let (before, after) = all.split_at(lines.min(all.len().saturating_sub(4)));
    (before.join("\n") + "\n", after.iter().take(4).copied().collect::<Vec<_>>().join("\n"))
}

/// What the worker itself took, by the answer's own figures.
fn engine_time(answer: &Value) -> Result<Duration, Failure> {
    let timings = &answer["timings"];
    let ms = |name: &str| timings[name].as_f64().ok_or_else(|| format!("no {name} in {answer}"));
    Ok(Duration::from_secs_f64((ms("prompt_ms")? + ms("predicted_ms")?) / 1e3))
}
