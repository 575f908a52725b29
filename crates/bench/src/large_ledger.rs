//! A ledger of a million requests: how long verification, proofs and queries take, and what a record costs.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledger::disk::RealDisk;
use ledger::{
    Commitment, Entry, Event, Filter, Intent, Ledger, LedgerConfig, LedgerKeys, LocalNotary, Opening,
    Outcome, ResultLeaf, Salt, Salts,
};
use protocol::Digest;
use protocol::worker::{Sampling, Stop, Times};
use testkit::{Failure, draw::Draw, places};
use tlog::Policy;

use crate::quantiles::Quantiles;

const WRITERS: u64 = 64;
const BODY_KEY: [u8; 32] = [8; 32];
const NOTARY_KEY: [u8; 32] = [7; 32];
const ORIGIN: &str = "bench.example/log";
const PROOFS: usize = 500;
const QUERIES: usize = 300;
/// A prompt of some hundred tokens, as a completion's; what surrounds the cursor.
const PROMPT_LINES: usize = 30;

pub(crate) fn measure(records: u64, directory: Option<PathBuf>, quick: bool) -> Result<(), Failure> {
    let records = if quick { 2_000 } else { records };
    let temporary = tempfile::tempdir()?;
    let directory = directory.unwrap_or_else(|| temporary.path().to_owned());
    if !directory.join("ledger").is_dir() {
        fill(&directory, records)?;
    }
    println!("\n| a ledger of {records} requests, {} leaves | |\n|---|---|", 2 * records + 1);
    verification(&directory)?;
    size(&directory, records)?;
    let ledger = open(&directory)?;
    queries(&ledger, quick)?;
    ledger.close()?;
    proofs(&directory, records)
}

fn open(directory: &Path) -> Result<Ledger, Failure> {
    let notary = LocalNotary::open(&directory.join("notary"), ORIGIN, NOTARY_KEY)?;
    let verifier = notary.verifier();
    File::create(directory.join("log.policy"))?
        .write_all(format!("log {verifier}\nquorum none\n").as_bytes())?;
    File::create(directory.join("body.key"))?.write_all(&BODY_KEY)?;
    let disk = Arc::new(RealDisk::create(&directory.join("ledger"))?);
    let config = LedgerConfig::new(verifier, LedgerKeys::new(BODY_KEY), disk, Box::new(notary));
    Ok(Ledger::open(config)?.0)
}

/// A ledger of this bench's own.
fn fill(directory: &Path, records: u64) -> Result<(), Failure> {
    fill_ledger(open(directory)?, records)
}

/// Requests by 64 writers at a time, each with its result; the ledger is signed, indexed and closed then.
pub(crate) fn fill_ledger(ledger: Ledger, records: u64) -> Result<(), Failure> {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let write = || -> Result<(), Failure> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= records {
                return Ok(());
            }
            if number.is_multiple_of(100_000) {
                eprintln!("bench: {number} of {records} requests, {:.0} s", start.elapsed().as_secs_f64());
            }
            let mut draw = Draw::new(number);
            let (intent, result) = request(&mut draw);
            let record = ledger.append_blocking(intent)?.index;
            ledger.append_blocking(result(record))?;
        }
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a writer panicked")?)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    ledger.catch_up_index(u64::MAX)?;
    ledger.close()?;
    eprintln!(
        "bench: written in {seconds:.0} s, signed and indexed in {:.0} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A request's intent, and its result once the record's number is known.
fn request(draw: &mut Draw) -> (Entry, impl FnOnce(u64) -> Entry) {
    let salt = Salt::from(std::array::from_fn(|_| u8::try_from(draw.below(256)).unwrap_or(0)));
    let digest = Digest([1; 32]);
    let mut prompt = String::new();
    for _ in 0..PROMPT_LINES {
        prompt.push_str(&format!(
            "   Sensor_{} := Read (Port => {}, Mask => 16#{:x}#);\n",
            draw.below(900),
            draw.below(64),
            draw.below(65536)
        ));
    }
    let answer = format!(
        "   Put_Line (Integer'Image ({}));\n   return Sensor_{};\n",
        draw.below(10_000),
        draw.below(900)
    );
    let salts = Salts { prompt: Some(salt), context: Some(salt), output: None, diagnostics: None };
    let opening = Opening {
        salts,
        prompt_text: Some(prompt.clone()),
        context_text: Some(String::new()),
        ..Opening::default()
    };
    let intent = Intent {
        identity: format!("person{}", draw.below(50)),
        credential: format!("token:{:012x}", draw.below(1 << 40)),
        labels: vec!["flight".to_owned()],
        policy: digest,
        action: draw.one_of(&["fill", "chat", "complete"]).to_string(),
        dialect: "openai.completions".to_owned(),
        deployment: draw.one_of(&["coder", "large", "chat"]).to_string(),
        repository: Some(format!("https://git.example/repository{}", draw.below(20))),
        path: Some(format!("src/unit{}/body{}.adb", draw.below(40), draw.below(20))),
        model: Some(digest),
        upstream: None,
        template: digest,
        engine_build: digest,
        lock: None,
        cpu_level: "x86-64-v3".to_owned(),
        cpu_features: "avx2,fma".to_owned(),
        llama_version: "b1".to_owned(),
        profile: "reproducible".to_owned(),
        reproducible: true,
        sampling: Sampling::GREEDY,
        tokens_max: 64,
        stop_strings: 0,
        predict_ms_max: None,
        prompt_tokens: 400,
        prompt: Commitment::new(&salt, prompt.as_bytes()),
        context: Commitment::new(&salt, b""),
    };
    let body = serde_json::to_vec(&opening).unwrap_or_default();
    let outcome =
        *draw.one_of(&[Outcome::Answered, Outcome::Answered, Outcome::Answered, Outcome::Cancelled]);
    let result = move |record| {
        let fingerprints = ledger::fingerprints(&[3; 32], &answer);
        let leaf = ResultLeaf {
            record,
            outcome,
            detail: String::new(),
            stop: Some(Stop::EndOfText),
            output: Commitment::new(&salt, answer.as_bytes()),
            answer_tokens: 20,
            prompt_tokens_cached: 380,
            times: Times::default(),
            fingerprints: fingerprints.digest(),
        };
        let opening = Opening {
            salts: Salts { output: Some(salt), ..Salts::default() },
            output_text: Some(answer),
            fingerprints: Some(fingerprints),
            ..Opening::default()
        };
        Entry { event: Event::Result(Box::new(leaf)), body: serde_json::to_vec(&opening).ok() }
    };
    (Entry { event: Event::Intent(Box::new(intent)), body: Some(body) }, result)
}

/// The program that auditors run, in a process of its own.
fn verification(directory: &Path) -> Result<(), Failure> {
    for (what, keyed) in [("without the body key", false), ("with it, every body opened", true)] {
        let mut command = Command::new(places::program("cloister")?);
        command.args(["ledger", "verify", "--json"]).arg(directory.join("ledger"));
        command.arg("--policy").arg(directory.join("log.policy"));
        if keyed {
            command.arg("--body-key").arg(directory.join("body.key"));
        }
        let start = Instant::now();
        let mut child = command.stdout(std::process::Stdio::piped()).spawn()?;
        let (mut peak_bytes, pid) = (0, child.id());
        let output = child.stdout.take().ok_or("no output")?;
        let reader = std::thread::spawn(move || std::io::read_to_string(output));
        while child.try_wait()?.is_none() {
            if let Ok((_, peak)) = testkit::server::memory_bytes(pid) {
                peak_bytes = peak_bytes.max(peak);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let seconds = start.elapsed().as_secs_f64();
        let report: serde_json::Value =
            serde_json::from_str(&reader.join().map_err(|_| "the reader panicked")??)?;
        if report["verdict"] != "passed" {
            return Err(format!("the ledger does not verify: {}", report["problems"]).into());
        }
        let leaves = report["leaves_signed"].as_f64().unwrap_or(0.0);
        println!(
            "| verification {what} | {seconds:.1} s, {:.0} leaves/s, at most {} MB of memory |",
            leaves / seconds,
            peak_bytes / 1_000_000
        );
    }
    Ok(())
}

fn size(directory: &Path, records: u64) -> Result<(), Failure> {
    let ledger = directory.join("ledger");
    for (name, what) in [
        ("", "bytes a request, all in all"),
        ("tile/entries", "of them leaves"),
        ("bodies", "bodies"),
        ("body-keys", "bodies' keys"),
        ("index.db", "the index of queries"),
    ] {
        println!("| {what} | {} |", bytes_below(&ledger.join(name))? / records.max(1));
    }
    Ok(())
}

fn bytes_below(path: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    std::fs::read_dir(path)?.try_fold(0, |sum, entry| Ok(sum + bytes_below(&entry?.path())?))
}

fn queries(ledger: &Ledger, quick: bool) -> Result<(), Failure> {
    let start = Instant::now();
    ledger.catch_up_index(u64::MAX)?;
    eprintln!("bench: index caught up in {:.1} s", start.elapsed().as_secs_f64());
    let mut draw = Draw::new(1);
    let mut times = Vec::new();
    for _ in 0..if quick { 20 } else { QUERIES } {
        let filter = drawn(&mut draw);
        let start = Instant::now();
        ledger.query(&filter, None, 50)?;
        times.push(start.elapsed());
    }
    let times = Quantiles::of_times(times);
    println!(
        "| queries of metadata, 50 rows, drawn filters | p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms |",
        times.median(),
        times.at(95),
        times.at(99)
    );
    Ok(())
}

/// One to three of what people ask for.
fn drawn(draw: &mut Draw) -> Filter {
    let mut filter = Filter::default();
    for _ in 0..1 + draw.below(3) {
        match draw.below(7) {
            0 => filter.person = Some(format!("person{}", draw.below(60))),
            1 => filter.repository = Some(format!("https://git.example/repository{}", draw.below(22))),
            2 => filter.path = Some(format!("src/unit{}/", draw.below(45))),
            3 => filter.deployment = Some("large".to_owned()),
            4 => filter.outcome = Some("cancelled".to_owned()),
            5 => filter.action = Some("chat".to_owned()),
            _ => filter.label = Some(draw.one_of(&["flight", "other"]).to_string()),
        }
    }
    filter
}

fn proofs(directory: &Path, records: u64) -> Result<(), Failure> {
    let disk = RealDisk::existing(&directory.join("ledger"))?;
    let policy = Policy::parse(&std::fs::read(directory.join("log.policy"))?)?;
    let mut draw = Draw::new(2);
    let (mut made, mut checked, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PROOFS {
        let start = Instant::now();
        let proof = ledger::prove(&disk, draw.below(2 * records), None)?;
        made.push(start.elapsed());
        let text = proof.to_string();
        let start = Instant::now();
        let again: tlog::TlogProof = text.parse()?;
        let leaf = tlog::leaf_hash(again.extra.as_deref().unwrap_or_default());
        again.verify(&leaf, &policy)?;
        checked.push(start.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        bytes.push((text.len() - again.extra.as_deref().unwrap_or_default().len().div_ceil(3) * 4) as f64);
    }
    let (made, checked, bytes) =
        (Quantiles::of_times(made), Quantiles::of_times(checked), Quantiles::of(bytes));
    println!(
        "| a proof of one leaf | {:.0} bytes beside the leaf; made in {:.2} ms, checked in {:.2} ms (p50) |",
        bytes.median(),
        made.median(),
        checked.median()
    );
    Ok(())
}
