//! The ledger on a storage that crashes, and verification of ledgers that were tampered with.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and prints its seed"
)]

mod crashes;
mod erasure;
mod machine;
mod tampering;

use std::sync::Arc;

use ledger::fault::{Fault, FaultDisk, Survivors};
use ledger::verify::{Options, Seen, Verdict, verify};
use ledger::{Commitment, Entry, Event, Ledger, LedgerConfig, LocalNotary, Opening, Salt, Salts};
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
        assert!(ledger.append_blocking(administration(2)).is_err());
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
    let intent = |text: &str, committed: &str| {
        let salt = Salt::from([1; 16]);
        let opening = Opening {
            salts: Salts { prompt: Some(salt), context: Some(salt), output: None },
            prompt_text: Some(text.to_owned()),
            context_text: Some(String::new()),
            ..Opening::default()
        };
        let digest = protocol::Digest([0; 32]);
        let intent = ledger::Intent {
            identity: "ada".to_owned(),
            credential: "uid:1".to_owned(),
            labels: Vec::new(),
            policy: digest,
            action: "chat".to_owned(),
            dialect: "test".to_owned(),
            deployment: "d".to_owned(),
            model: Some(digest),
            upstream: None,
            template: digest,
            engine_build: digest,
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
            prompt: Commitment::new(&salt, committed.as_bytes()),
            context: Commitment::new(&salt, b""),
        };
        Entry { event: Event::Intent(Box::new(intent)), body: Some(serde_json::to_vec(&opening).unwrap()) }
    };
    let receipt = ledger.append_blocking(intent("asked", "asked")).unwrap();
    let record = ledger.record(receipt.index).unwrap();
    let opening: Opening = serde_json::from_slice(&record.body.unwrap()).unwrap();
    assert_eq!(opening.check(&record.leaf.event).broken, Vec::<&str>::new());
    ledger.append_blocking(intent("asked", "something else")).unwrap();
    ledger.close().unwrap();
    let report = check(&machine.log, Vec::new());
    assert_eq!(report.verdict, Verdict::Failed, "a body that is not the leaf's");
    assert_eq!(report.problems_total, 1, "{:?}", report.problems);
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
