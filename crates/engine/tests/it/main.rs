//! The real worker on a real model, through the same launch as the supervisor's.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and prints its seed"
)]

use std::io::Read;
use std::time::{Duration, Instant};

use engine::launch::{self, Frozen, LaunchError, Launched};
use engine::{Event, Order, Worker, WorkerError};
use jail::probe::{ProbeResult, Verdict};
use protocol::Digest;
use protocol::worker::{
    Class, Device, EngineProfile, Failure, Part, Ready, Sampling, Speculation, Stop, Token, Until, VERSION,
    WorkerSettings,
};
use testkit::places;

mod experts;
mod hostile;
mod invariance;
mod schemas;
mod syntax;
mod turns;

fn settings() -> WorkerSettings {
    WorkerSettings {
        version: VERSION,
        supervisor_pid: std::process::id(),
        profile: EngineProfile::Reproducible,
        device: Device::Cpu,
        context_tokens: 1024,
        slots: 4,
        queue_max: 8,
        threads: 2,
        kept_bytes_max: 64 << 20,
        speculation: Speculation::Measured,
        accept: Vec::new(),
    }
}

fn frozen(model: &str) -> (Frozen, Frozen) {
    let program = launch::freeze_program(&places::program("cloister-engine").unwrap()).unwrap();
    (program, launch::freeze_model(&places::model(model).unwrap(), &mut |_| {}).unwrap())
}

fn launched(model: &str, settings: &WorkerSettings) -> Launched {
    let (program, model) = frozen(model);
    launch::launch(&program, &model, settings).unwrap()
}

async fn worker(model: &str) -> (Worker, Ready, jail::spawn::Child) {
    let Launched { child, socket, oversight: _until_it_is_ready } = launched(model, &settings());
    let (worker, ready) = Worker::connect(socket).await.unwrap();
    (worker, ready, child)
}

async fn tokens(worker: &Worker, text: &str) -> Vec<Token> {
    worker.tokenize(vec![Part::Template(text.to_owned())]).await.unwrap()
}

fn order(prompt: Vec<Token>) -> Order {
    Order {
        prompt,
        sampling: Sampling::GREEDY,
        tokens_max: 24,
        stop: Vec::new(),
        predict_ms_max: None,
        until: Until::End,
        heal: false,
        cache_scope: Digest([0; 32]),
        person: Digest([0; 32]),
        class: Class::Completion,
        digest_rows: false,
        json_schema: None,
        syntax: None,
    }
}

#[derive(Debug, PartialEq)]
struct Generated {
    text: String,
    tokens: Vec<Token>,
    stop: Stop,
    cached: u32,
    /// Tokens that were guessed.
    accepted: u32,
    rows: Option<Digest>,
}

async fn generate(worker: &Worker, order: Order) -> Result<Generated, WorkerError> {
    let mut generation = worker.generate(order).await?;
    let mut out = Generated {
        text: String::new(),
        tokens: Vec::new(),
        stop: Stop::Cancelled,
        cached: 0,
        accepted: 0,
        rows: None,
    };
    while let Some(event) = generation.next().await {
        match event? {
            Event::Queued { .. } => {}
            Event::Started { prompt_tokens_cached } => out.cached = prompt_tokens_cached,
            Event::Text { tokens, text } => {
                out.tokens.extend(tokens);
                out.text.push_str(&text);
            }
            Event::Done { stop, rows, drafts, .. } => {
                (out.stop, out.rows, out.accepted) = (stop, rows, drafts.accepted)
            }
        }
    }
    Ok(out)
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_reused_within_a_scope_only() {
    let (worker, _ready, _child) = worker(places::SMALL).await;
    let prompt = tokens(&worker, &"one two three four five ".repeat(20)).await;
    let len = u32::try_from(prompt.len()).unwrap();
    let first = generate(&worker, order(prompt.clone())).await.unwrap();
    let again = generate(&worker, order(prompt.clone())).await.unwrap();
    assert_eq!((first.cached, again.cached), (0, len - 1));
    let stranger = Order { cache_scope: Digest([1; 32]), ..order(prompt) };
    assert_eq!(generate(&worker, stranger).await.unwrap().cached, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_where_it_should() {
    let (worker, ready, _child) = worker(places::SMALL).await;
    assert!(ready.fill.is_none() && ready.model.chat_template.is_some());
    let prompt = tokens(&worker, "1, 2, 3, 4, 5, 6, 7, 8,").await;
    let plain = generate(&worker, order(prompt.clone())).await.unwrap();
    assert_eq!((plain.stop, plain.tokens.len()), (Stop::TokensMax, 24));
    let stop = plain.text[6..9].to_owned();
    let before = plain.text.find(&stop).unwrap();
    let stopped = generate(&worker, Order { stop: vec![stop], ..order(prompt.clone()) }).await.unwrap();
    assert_eq!((stopped.stop, stopped.text.as_str()), (Stop::StopString(0), &plain.text[..before]));
    let warm = generate(&worker, Order { tokens_max: 0, ..order(prompt.clone()) }).await.unwrap();
    assert_eq!((warm.tokens.len(), warm.stop), (0, Stop::TokensMax));
    let hurried = Order { tokens_max: 900, predict_ms_max: Some(60), ..order(prompt.clone()) };
    assert_eq!(generate(&worker, hurried).await.unwrap().stop, Stop::Deadline);
    let long: Vec<Token> = prompt.iter().copied().cycle().take(1020).collect();
    let full = generate(&worker, Order { tokens_max: 100, ..order(long) }).await.unwrap();
    assert!(matches!(full.stop, Stop::ContextFull | Stop::EndOfText), "{full:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused() {
    let (worker, ready, _child) = worker(places::SMALL).await;
    let refused = async |order| match generate(&worker, order).await {
        Err(WorkerError::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    };
    let vocabulary = Token::try_from(ready.vocabulary).unwrap();
    assert!(matches!(refused(order(vec![])).await, Failure::Invalid(_)));
    assert!(matches!(refused(order(vec![vocabulary])).await, Failure::Invalid(_)));
    assert!(matches!(refused(order(vec![-1])).await, Failure::Invalid(_)));
    assert!(matches!(
        refused(order(vec![5; 1024])).await,
        Failure::PromptTooLong { tokens: 1024, tokens_max: 1023 }
    ));
    let hot = Sampling { temperature: f32::NAN, ..Sampling::GREEDY };
    assert!(matches!(refused(Order { sampling: hot, ..order(vec![5]) }).await, Failure::Invalid(_)));
    assert!(matches!(
        refused(Order { stop: vec![String::new()], ..order(vec![5]) }).await,
        Failure::Invalid(_)
    ));
    assert!(worker.tokenize(vec![Part::Token(vocabulary)]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_so() {
    let (worker, _ready, _child) = worker(places::SMALL).await;
    let prompt = tokens(&worker, "count: 1 2 3").await;
    let mut running = Vec::new();
    // Four run, eight wait.
    for _ in 0..12 {
        running.push(worker.generate(Order { tokens_max: 500, ..order(prompt.clone()) }).await.unwrap());
    }
    let refused = generate(&worker, order(prompt)).await;
    assert!(matches!(refused, Err(WorkerError::Failed(Failure::QueueFull { .. }))), "{refused:?}");
}

/// A reader that does not read stops its generation, and nobody else's; a dropped one ends it.
#[tokio::test(flavor = "multi_thread")]
async fn back_pressure_and_cancellation() {
    let (worker, _ready, _child) = worker(places::SMALL).await;
    let prompt = tokens(&worker, "Once upon a time").await;
    let long = || Order { tokens_max: 900, ..order(prompt.clone()) };
    let mut unread = worker.generate(long()).await.unwrap();
    let other = generate(&worker, order(prompt.clone())).await.unwrap();
    assert_eq!(other.tokens.len(), 24);
    let mut read = 0;
    while let Some(event) = unread.next().await {
        match event.unwrap() {
            Event::Text { tokens, .. } => read += tokens.len(),
            Event::Done { stop, .. } => assert!(matches!(stop, Stop::TokensMax | Stop::EndOfText)),
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    }
    assert!(read > 300, "credit was given again: {read}");

    let mut cancelled = worker.generate(long()).await.unwrap();
    let mut chosen = 0;
    while chosen < 3 {
        if let Some(Ok(Event::Text { tokens, .. })) = cancelled.next().await {
            chosen += tokens.len();
        }
    }
    cancelled.cancel().await;
    let asked = Instant::now();
    let mut after = 0;
    let stop = loop {
        match cancelled.next().await.unwrap().unwrap() {
            Event::Text { tokens, .. } => after += tokens.len(),
            Event::Done { stop, .. } => break stop,
            Event::Queued { .. } | Event::Started { .. } => {}
        }
    };
    assert_eq!(stop, Stop::Cancelled);
    // Tokens that were on their way, not tokens that were started after the message was read.
    assert!(after < 50, "{after} tokens after {:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_worker_is_gone_at_once() {
    let (worker, _ready, child) = worker(places::SMALL).await;
    let prompt = tokens(&worker, "Once upon a time").await;
    let generation = generate(&worker, Order { tokens_max: 900, ..order(prompt.clone()) });
    let killer = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        child.kill().unwrap();
    };
    let (result, ()) = tokio::join!(generation, killer);
    assert_eq!(result, Err(WorkerError::Gone));
    assert!(worker.is_gone());
    assert_eq!(generate(&worker, order(prompt)).await, Err(WorkerError::Gone));
}

/// Every row by errno, on the first thread and on threads started after the jail.
#[test]
fn nothing_gets_out_of_the_jail() {
    let (program, model) = frozen(places::SMALL);
    let launched = launch::launch_probe(&program, &model, &settings()).unwrap();
    let mut answer = Vec::new();
    (&launched.socket).read_to_end(&mut answer).unwrap();
    let rows: Vec<ProbeResult> = serde_json::from_slice(&answer).unwrap();
    let threads: std::collections::BTreeSet<_> = rows.iter().map(|row| row.thread).collect();
    assert!(threads.len() >= 3);
    for row in &rows {
        assert!(!matches!(row.verdict, Verdict::Fail), "{row}");
    }
    let passed = rows.iter().filter(|row| matches!(row.verdict, Verdict::Pass)).count();
    assert!(passed > 15 * threads.len(), "{passed} of {}", rows.len());
}

/// All threads of a worker that serves, as the kernel sees them from outside.
#[tokio::test(flavor = "multi_thread")]
async fn every_thread_of_a_serving_worker_is_confined() {
    let (worker, _ready, child) = worker(places::SMALL).await;
    let prompt = tokens(&worker, "Once upon a time").await;
    generate(&worker, order(prompt)).await.unwrap();
    let inspection = jail::inspect::inspect(child.pid()).unwrap();
    assert!(inspection.threads.len() >= 3, "{inspection:?}");
    assert_eq!(inspection.findings(jail::Kind::Engine, &[]), Vec::<String>::new());
}

#[test]
fn another_digest_is_refused() {
    let (program, model) = frozen(places::SMALL);
    assert!(matches!(model.expect(program.digest), Err(LaunchError::Digest { .. })));
    assert!(model.expect(model.digest).is_ok());
}

/// The worker that `cargo xtask engine` builds computes on the processor: it ends, and nothing is computed elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_is_refused_by_an_engine_without() {
    for profile in [EngineProfile::Fast, EngineProfile::Reproducible] {
        let wanted = WorkerSettings { device: Device::Gpu, profile, ..settings() };
        let Launched { child, socket, oversight: _oversight } = launched(places::SMALL, &wanted);
        assert_eq!(Worker::connect(socket).await.err(), Some(WorkerError::Gone));
        assert_eq!(child.wait().unwrap(), jail::spawn::Exit::Code(1));
    }
}

/// One flipped byte in the header: the worker ends before C++ sees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_header_ends_the_worker() {
    use std::io::Write;
    let mut bytes = std::fs::read(places::model(places::SMALL).unwrap()).unwrap();
    bytes[8] ^= 0x80;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let program = launch::freeze_program(&places::program("cloister-engine").unwrap()).unwrap();
    let model = launch::freeze_model(file.path(), &mut |_| {}).unwrap();
    let Launched { child, socket, oversight: _oversight } =
        launch::launch(&program, &model, &settings()).unwrap();
    assert_eq!(Worker::connect(socket).await.err(), Some(WorkerError::Gone));
    assert_eq!(child.wait().unwrap(), jail::spawn::Exit::Code(1));
}
