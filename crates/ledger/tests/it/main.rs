//! The ledger on a storage that crashes, and verification of ledgers that were tampered with.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and prints its seed"
)]

mod backups;
mod crashes;
mod doctor;
mod erasure;
mod independent;
mod machine;
mod query;
mod segments;
mod tampering;

use std::sync::Arc;

use ledger::fault::{Fault, FaultDisk, Survivors};
use ledger::verify::{Options, Report, Seen, Verdict, verify};
use ledger::{Entry, Event, Ledger, LedgerConfig, LocalNotary, Opening, Salt, Salts};
use machine::{Machine, ORIGIN, administration, check, keys, written};

/// An error, rather than a crash, poisons the writer: nothing is retried, nothing is lost.
#[test]
fn an_error_is_final() {
    for fault in [Fault::ErrorBefore, Fault::ErrorAfter] {
        let machine = Machine::new();
        let ledger = machine.open().unwrap();
        let first = ledger.append_blocking(administration(1)).unwrap();
        ledger.sign().unwrap();
        machine.log.fail_at(0, fault);
        // The writer meets it, or the integrator, which may have been about to prepare a segment.
        assert!((2..1000).any(|number| ledger.append_blocking(administration(number)).is_err()));
        let again = ledger.append_blocking(administration(3)).unwrap_err();
        assert!(again.to_string().contains("opened again"), "{again}");
        assert!(ledger.head().poisoned.is_some());
        let machine = machine.crash(Survivors::Synced);
        let ledger = machine.open().unwrap();
        ledger.record(first.index).unwrap();
        ledger.close().unwrap();
        assert_eq!(check(&machine.log, vec![Seen::Receipt(first)]).verdict, Verdict::Passed);
    }
}

#[test]
fn a_low_disk_refuses_and_recovers() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    machine.log.set_free_bytes(1 << 20);
    let error = ledger.append_blocking(administration(1)).unwrap_err();
    assert!(error.to_string().contains("bytes free"), "{error}");
    machine.log.set_free_bytes(1 << 40);
    ledger.append_blocking(administration(2)).unwrap();
    ledger.close().unwrap();
}

/// A body opens its leaf's commitments, and only its own.
#[test]
fn commitments_are_opened() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let asked = |text: &str, committed: &str| {
        let salt = Salt::from([1; 16]);
        let opening = |text: &str| Opening {
            salts: Salts { prompt: Some(salt), context: Some(salt), ..Salts::default() },
            prompt_text: Some(text.to_owned()),
            context_text: Some(String::new()),
            ..Opening::default()
        };
        Entry {
            event: intent("ada", &opening(committed)),
            body: Some(serde_json::to_vec(&opening(text)).unwrap()),
        }
    };
    let receipt = ledger.append_blocking(asked("asked", "asked")).unwrap();
    let record = ledger.record(receipt.index).unwrap();
    let opening: Opening = serde_json::from_slice(&record.body.unwrap()).unwrap();
    assert_eq!(opening.check(&record.leaf.event).broken, Vec::<&str>::new());
    ledger.append_blocking(asked("asked", "something else")).unwrap();
    ledger.close().unwrap();
    let report = check(&machine.log, Vec::new());
    assert_eq!(report.verdict, Verdict::Failed, "a body that is not the leaf's");
    assert_eq!(report.problems_total, 1, "{:?}", report.problems);
}

fn intent(identity: &str, opening: &Opening) -> Event {
    let digest = protocol::Digest([0; 32]);
    Event::Intent(Box::new(ledger::Intent {
        identity: identity.to_owned(),
        credential: "uid:1".to_owned(),
        labels: Vec::new(),
        policy: digest,
        action: "chat".to_owned(),
        dialect: "test".to_owned(),
        repository: None,
        path: None,
        deployment: "d".to_owned(),
        model: Some(digest),
        upstream: None,
        template: digest,
        engine_build: digest,
        lock: None,
        cpu_level: String::new(),
        cpu_features: String::new(),
        llama_version: String::new(),
        profile: "reproducible".to_owned(),
        reproducible: true,
        sampling: protocol::worker::Sampling::GREEDY,
        tokens_max: 1,
        stop_strings: 0,
        predict_ms_max: None,
        prompt_tokens: 1,
        prompt: opening.prompt().unwrap(),
        context: opening.context().unwrap(),
    }))
}

/// What verification says of decisions, checks and logins, right and wrong.
#[test]
fn leaves_about_answers() {
    use ledger::verify::FindingKind as Kind;
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let salt = Salt::from([1; 16]);
    let opening = Opening {
        salts: Salts { prompt: Some(salt), context: Some(salt), output: Some(salt), diagnostics: Some(salt) },
        prompt_text: Some(String::new()),
        context_text: Some(String::new()),
        output_text: Some("x".to_owned()),
        diagnostics_text: Some("a.adb:1: warning".to_owned()),
        ..Opening::default()
    };
    let body = serde_json::to_vec(&opening).unwrap();
    let append = |event, body| ledger.append_blocking(Entry { event, body }).unwrap().index;
    let asked = append(intent("ada", &opening), Some(body.clone()));
    let decision = |identity: &str, record, choice, accepted_bytes| {
        Event::Decision(Box::new(ledger::Decision {
            record,
            identity: identity.to_owned(),
            credential: "uid:1".to_owned(),
            choice,
            accepted_bytes,
            path: None,
            digest_before: None,
            digest_after: Some(protocol::Digest([2; 32])),
            client: None,
        }))
    };
    let check = |record, outcome, errors, committed: &Opening| {
        Event::Check(Box::new(ledger::Check {
            record,
            checker: "gnat".to_owned(),
            version: "1".to_owned(),
            command: vec!["gcc".to_owned()],
            outcome,
            errors,
            warnings: 1,
            notes: 0,
            diagnostics: committed.diagnostics().unwrap(),
        }))
    };
    let login = |identity: Option<&str>, count| {
        Event::Login(ledger::Login {
            identity: identity.map(str::to_owned),
            credential: "uid:1".to_owned(),
            surface: "test".to_owned(),
            outcome: ledger::LoginOutcome::Accepted,
            reason: String::new(),
            count,
        })
    };
    use ledger::{CheckOutcome, Choice};
    // Right ones, after a block was shown.
    append(login(Some("ada"), 1), None);
    let early = append(decision("ada", asked, Choice::Shown, None), None);
    let output = opening.output().unwrap();
    append(Event::Block(ledger::Block { record: asked, number: 0, output, output_bytes: 1 }), None);
    append(decision("ada", asked, Choice::Accepted, Some(1)), None);
    append(check(asked, CheckOutcome::Passed, 0, &opening), Some(body.clone()));
    // Wrong ones.
    let others = append(decision("eve", asked, Choice::Accepted, None), None);
    let of_none = append(decision("ada", early, Choice::Accepted, None), None);
    let torn = append(decision("ada", asked, Choice::Rejected, Some(1)), None);
    let errors = append(check(asked, CheckOutcome::Passed, 2, &opening), Some(body.clone()));
    let nowhere = append(check(9999, CheckOutcome::NotRun, 0, &opening), Some(body.clone()));
    let nobody = append(login(None, 1), None);
    let nothing = append(login(Some("ada"), 0), None);
    assert_eq!(ledger.related(asked).unwrap().len(), 7);
    ledger.close().unwrap();

    let report = check_of(&machine);
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.problems);
    let mut found: Vec<_> =
        report.findings.iter().map(|finding| (finding.index.unwrap(), finding.kind)).collect();
    found.sort_by_key(|(index, _)| *index);
    let expected = [
        (asked, Kind::IntentWithoutResult),
        (early, Kind::DecisionWithoutAnswer),
        (others, Kind::Contradiction),
        (of_none, Kind::MissingIntent),
        (torn, Kind::Contradiction),
        (errors, Kind::Contradiction),
        (nowhere, Kind::MissingIntent),
        (nobody, Kind::Contradiction),
        (nothing, Kind::Contradiction),
    ];
    assert_eq!(found, expected, "{:?}", report.findings);
    for (kind, count) in [("decision", 5), ("check", 3), ("login", 3)] {
        assert_eq!(report.leaves_by_kind[kind], count, "{kind}");
    }

    // A check whose body is another's.
    let ledger = machine.open().unwrap();
    let other = Opening { diagnostics_text: Some("none".to_owned()), ..opening.clone() };
    let event = check(asked, CheckOutcome::NotRun, 0, &other);
    ledger.append_blocking(Entry { event, body: Some(body) }).unwrap();
    ledger.close().unwrap();
    let report = check_of(&machine);
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(report.problems[0].what.contains("diagnostics"), "{:?}", report.problems);
}

fn check_of(machine: &Machine) -> Report {
    check(&machine.log, Vec::new())
}

/// Many writers at once: every one is acknowledged with its own index.
#[test]
fn many_writers() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let mut indices: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    (0..50)
                        .map(|n| ledger.append_blocking(administration(writer * 50 + n)).unwrap().index)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    indices.sort_unstable();
    assert_eq!(indices, (1..=400).collect::<Vec<_>>());
    ledger.close().unwrap();
    let report = check(&machine.log, Vec::new());
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.problems);
}

#[test]
fn another_key_is_refused() {
    let (machine, _receipts) = written(3);
    let other = LocalNotary::open_on(Arc::new(FaultDisk::new()), ORIGIN, [4; 32]).unwrap();
    let options = Options { verifier: Some(other.verifier()), ..Options::default() };
    assert_eq!(verify(&machine.log, &options, &mut |_| {}).unwrap().verdict, Verdict::Failed);
    let config = LedgerConfig::new(other.verifier(), keys(), Arc::new(machine.log.kill()), Box::new(other));
    assert!(Ledger::open(config).is_err());
}
