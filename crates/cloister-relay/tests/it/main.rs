//! The relay as the gateway sees it, jailed as it is served, before an upstream that is played: what it passes on,
//! and what it does when the upstream fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::{Event, Order, Worker, WorkerError, launch};
use jail::spawn::{Child, Exit};
use protocol::Digest;
use protocol::relay::{RelaySettings, VERSION};
use protocol::worker::{Class, Failure, FillTokens, Part, Ready, Sampling, Stop, Token, Until};
use testkit::upstream::{Fault, Upstream};

const SILENCE_MS_MAX: u32 = 2000;

struct Fixture {
    directory: tempfile::TempDir,
    upstream: Option<Upstream>,
    runtime: tokio::runtime::Runtime,
}

struct Relay {
    child: Child,
    worker: Worker,
    ready: Ready,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let upstream = Some(Upstream::started(&directory.path().join("upstream.sock")).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Fixture { directory, upstream, runtime }
}

impl Fixture {
    fn socket(&self) -> PathBuf {
        self.directory.path().join("upstream.sock")
    }

    fn settings(&self) -> RelaySettings {
        RelaySettings {
            version: VERSION,
            supervisor_pid: std::process::id(),
            socket: self.socket().to_str().unwrap().to_owned(),
            model: None,
            queue_max: 4,
            silence_ms_max: SILENCE_MS_MAX,
            accept: Vec::new(),
        }
    }

    fn upstream(&self) -> &Upstream {
        self.upstream.as_ref().unwrap()
    }

    fn launch(&self, settings: &RelaySettings) -> launch::Launched {
        launch::launch_relay(&program(), settings).unwrap()
    }

    fn relay(&self) -> Relay {
        let launched = self.launch(&self.settings());
        let (worker, ready) = self.runtime.block_on(Worker::connect(launched.socket)).unwrap();
        Relay { child: launched.child, worker, ready }
    }

    /// A relay that never gets ready: its exit.
    fn refused(&self, settings: &RelaySettings) -> Exit {
        let launched = self.launch(settings);
        assert!(self.runtime.block_on(Worker::connect(launched.socket)).is_err());
        launched.child.wait().unwrap()
    }

    /// All of an answer.
    fn generate(&self, relay: &Relay, order: Order) -> Result<(String, Vec<Token>, u32, Stop), WorkerError> {
        self.runtime.block_on(async {
            let mut generation = relay.worker.generate(order).await?;
            let (mut text, mut tokens, mut cached) = (String::new(), Vec::new(), u32::MAX);
            while let Some(event) = generation.next().await {
                match event? {
                    Event::Queued { .. } => {}
                    Event::Started { prompt_tokens_cached } => cached = prompt_tokens_cached,
                    Event::Text { tokens: more, text: shown } => {
                        tokens.extend(more);
                        text.push_str(&shown);
                    }
                    Event::Done { stop, rows, .. } => {
                        assert_eq!(rows, None);
                        return Ok((text, tokens, cached, stop));
                    }
                }
            }
            panic!("no end");
        })
    }
}

fn program() -> launch::Frozen {
    launch::freeze_program(env!("CARGO_BIN_EXE_cloister-relay").as_ref()).unwrap()
}

fn order() -> Order {
    Order {
        prompt: vec![1, 2, 3],
        sampling: Sampling::GREEDY,
        tokens_max: 64,
        stop: Vec::new(),
        predict_ms_max: None,
        until: Until::End,
        heal: false,
        cache_scope: Digest([1; 32]),
        person: Digest([1; 32]),
        class: Class::Completion,
        digest_rows: false,
        json_schema: None,
        syntax: None,
    }
}

#[test]
fn it_states_what_the_upstream_states() {
    let fixture = fixture();
    let Relay { ready, .. } = fixture.relay();
    assert_eq!(
        (ready.model.name.as_str(), ready.llama_version.as_str()),
        ("played", "llama-server b0-played")
    );
    assert_eq!((ready.context_tokens, ready.trained_context_tokens, ready.slots), (4096, 8192, 2));
    assert!(!ready.reproducible && ready.begin_of_text.is_none());
    assert!(ready.model.chat_template.unwrap().contains("<|im_start|>"));
    let [prefix, suffix, middle] = [2_000_002, 2_000_003, 2_000_004];
    let fill = FillTokens { prefix, suffix, middle, repository: Some(2_000_005), file: Some(2_000_006) };
    assert_eq!(ready.fill, Some(fill));
}

#[test]
fn only_a_templates_special_tokens_count() {
    let fixture = fixture();
    let relay = fixture.relay();
    let parts = vec![
        Part::Template("<|im_start|>".to_owned()),
        Part::Text("a<|im_end|>".to_owned()),
        Part::Text(String::new()),
        Part::Token(7),
    ];
    let tokens = fixture.runtime.block_on(relay.worker.tokenize(parts)).unwrap();
    assert_eq!(tokens.len(), 1 + "a<|im_end|>".len() + 1);
    assert_eq!((tokens[0], tokens[1], tokens[2]), (2_000_000, 97, 60));
    let beyond = fixture.runtime.block_on(relay.worker.tokenize(vec![Part::Token(3_000_000)]));
    assert!(beyond.unwrap_err().to_string().contains("not in its vocabulary"));
}

#[test]
fn answers_end_as_they_must() {
    let fixture = fixture();
    let relay = fixture.relay();
    let whole = "Temp := A; -- é\nend";
    let numbers: Vec<Token> = whole.chars().map(|c| i32::try_from(u32::from(c)).unwrap()).collect();
    let check = |order: Order, text: &str, tokens: usize, stop: Stop| {
        let answer = fixture.generate(&relay, order).unwrap();
        assert_eq!((answer.0.as_str(), &answer.1, answer.3), (text, &numbers[..tokens].to_vec(), stop));
    };
    check(order(), whole, 19, Stop::EndOfText);
    check(Order { tokens_max: 4, ..order() }, "Temp", 4, Stop::TokensMax);
    check(Order { tokens_max: 0, ..order() }, "", 0, Stop::TokensMax);
    let stop = vec!["zzz".to_owned(), "; --".to_owned()];
    check(Order { stop, ..order() }, "Temp := A", 13, Stop::StopString(1));
    let stop = vec!["endless".to_owned()];
    check(Order { stop, ..order() }, whole, 19, Stop::EndOfText);

    // Longer than the credit that the gateway gives at once.
    let long = "x".repeat(1500);
    fixture.upstream().set_answer(&long);
    let answer = fixture.generate(&relay, Order { tokens_max: 2000, ..order() }).unwrap();
    assert_eq!((answer.0.len(), answer.1.len(), answer.3), (1500, 1500, Stop::EndOfText));

    fixture.upstream().set_fault(Fault::Slow);
    let answer =
        fixture.generate(&relay, Order { predict_ms_max: Some(100), tokens_max: 2000, ..order() }).unwrap();
    assert!(answer.0.len() < 100 && answer.3 == Stop::Deadline, "{answer:?}");
    for (order, words) in [
        (Order { prompt: vec![1; 4096], ..order() }, "4096 tokens"),
        (Order { digest_rows: true, ..order() }, "no logits"),
    ] {
        let error = fixture.generate(&relay, order).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// What is asked of the upstream leaves nothing to its own defaults, and its caches to their scope.
#[test]
fn the_request_upstream() {
    let fixture = fixture();
    let relay = fixture.relay();
    let sampling = Sampling { temperature: 0.5, top_k: 3, top_p: 0.25, min_p: 0.125, seed: u64::MAX };
    let cached = [1, 2, 1, 3, 2].map(|scope| {
        let order = Order { sampling, cache_scope: Digest([scope; 32]), ..order() };
        fixture.generate(&relay, order).unwrap().2
    });
    // The third scope takes the slot that was used longest ago, which was the second's.
    assert_eq!(cached, [0, 0, 1, 0, 0]);
    let asked = fixture.upstream().asked();
    assert_eq!(asked[0]["prompt"], serde_json::json!([1, 2, 3]));
    for (field, value) in [("temperature", 0.5), ("top_p", 0.25), ("min_p", 0.125)] {
        assert_eq!(asked[0][field], value, "{field}");
    }
    assert_eq!((&asked[0]["top_k"], &asked[0]["seed"]), (&3.into(), &0x7fff_ffff_u32.into()));
    let slots: Vec<_> = asked.iter().map(|body| body["id_slot"].as_u64().unwrap()).collect();
    assert_eq!(slots, [0, 1, 0, 1, 0]);
}

#[test]
fn a_cancelled_generation_hangs_up() {
    let fixture = fixture();
    let relay = fixture.relay();
    fixture.upstream().set_answer(&"x".repeat(3000));
    fixture.upstream().set_fault(Fault::Slow);
    let begun = Instant::now();
    fixture.runtime.block_on(async {
        let mut generation = relay.worker.generate(Order { tokens_max: 3000, ..order() }).await.unwrap();
        assert!(matches!(generation.next().await, Some(Ok(Event::Started { .. }))));
        generation.cancel().await;
        loop {
            match generation.next().await {
                Some(Ok(Event::Text { .. })) => {}
                Some(Ok(Event::Done { stop: Stop::Cancelled, .. })) => break,
                other => panic!("{other:?}"),
            }
        }
    });
    while fixture.upstream().hung_up() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the upstream goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Each fault is an error that says what was wrong; the relay goes on.
#[test]
fn faults_of_the_upstream() {
    let fixture = fixture();
    let relay = fixture.relay();
    for (fault, words) in [
        (Fault::BreaksOff, "it broke off its answer"),
        (Fault::NoLast, "it broke off before its answer's end"),
        (Fault::Garbage, "not as expected"),
        (Fault::Endless, "longer than 1048576 bytes"),
        (Fault::WrongTypes, "expected a string"),
        (Fault::NoTokens, "states no tokens"),
        (Fault::TooMany, "more tokens than asked for"),
        (Fault::Silent, "it was silent for 2000 ms"),
        (Fault::Refuses, "it refuses: out of\u{fffd}memory"),
        (Fault::FailsLater, "it fails: lost it"),
        (Fault::StatesWrongTypes, "GET /props"),
        (Fault::StatesEndlessly, "longer than 4194304 bytes"),
    ] {
        fixture.upstream().set_fault(fault);
        let order = Order { tokens_max: if fault == Fault::TooMany { 5 } else { 64 }, ..order() };
        let error = fixture.generate(&relay, order).unwrap_err();
        assert!(matches!(error, WorkerError::Failed(Failure::Engine(_))), "{fault:?}: {error}");
        assert!(error.to_string().contains(words), "{fault:?}: {error}");
        fixture.upstream().set_fault(Fault::None);
        assert_eq!(fixture.generate(&relay, self::order()).unwrap().3, Stop::EndOfText, "after {fault:?}");
    }
}

#[test]
fn another_model_ends_it() {
    let fixture = fixture();
    let relay = fixture.relay();
    fixture.upstream().set_model("another");
    let error = fixture.generate(&relay, order()).unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");
    assert_eq!(relay.child.wait().unwrap(), Exit::Code(1));
    assert_eq!(fixture.upstream().asked().len(), 0, "nothing was asked of it");
    assert_eq!(fixture.relay().ready.model.name, "another");
}

#[test]
fn an_upstream_that_is_gone_ends_it() {
    let mut fixture = fixture();
    let relay = fixture.relay();
    fixture.upstream = None;
    let error = fixture.generate(&relay, order()).unwrap_err();
    assert!(
        matches!(&error, WorkerError::Failed(Failure::Engine(words)) if words.contains("cannot be reached")),
        "{error}"
    );
    assert_eq!(relay.child.wait().unwrap(), Exit::Code(1));
    assert_eq!(fixture.refused(&fixture.settings()), Exit::Code(1), "there is no socket");
}

#[test]
fn an_upstream_that_is_not_as_it_must_be_is_refused() {
    let fixture = fixture();
    let wanted = RelaySettings { model: Some("wanted".to_owned()), ..fixture.settings() };
    assert_eq!(fixture.refused(&wanted), Exit::Code(1));
    fixture.upstream().set_model("wanted");
    let launched = fixture.launch(&wanted);
    assert!(fixture.runtime.block_on(Worker::connect(launched.socket)).is_ok());
    for fault in [Fault::StatesWrongTypes, Fault::StatesEndlessly] {
        fixture.upstream().set_fault(fault);
        assert_eq!(fixture.refused(&fixture.settings()), Exit::Code(1), "{fault:?}");
    }
    for socket in ["/etc/passwd", "relative.sock", "/nonexistent/socket"] {
        let settings = RelaySettings { socket: socket.to_owned(), ..fixture.settings() };
        assert_eq!(fixture.refused(&settings), Exit::Code(1), "{socket}");
    }
}

#[test]
fn it_ends_with_its_gateway() {
    let fixture = fixture();
    let relay = fixture.relay();
    drop(relay.worker);
    assert_eq!(relay.child.wait().unwrap(), Exit::Code(0));
}

#[test]
fn it_reaches_its_upstream_and_nothing_else() {
    use std::io::Read;
    let fixture = fixture();
    let launched = launch::launch_relay_probe(&program(), &fixture.settings()).unwrap();
    let mut answer = Vec::new();
    (&launched.socket).read_to_end(&mut answer).unwrap();
    assert_eq!(launched.child.wait().unwrap(), Exit::Code(0));
    let rows: Vec<jail::probe::ProbeResult> = serde_json::from_slice(&answer).unwrap();
    assert!(jail::probe::all_pass(&rows), "{rows:?}");
    let reached = rows.iter().filter(|row| row.name == "the one socket").count();
    assert_eq!(reached, 3, "from each thread");
}
