//! The ledger on a storage that crashes, and verification of ledgers that were tampered with.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and prints its seed"
)]

mod query;

use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::disk::{Access, Disk, DiskFile};
use ledger::fault::{Chance, Fault, FaultDisk, Survivors};
use ledger::verify::{Options, Report, RollBack, Seen, Verdict, verify};
use ledger::{
    Commitment, Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary, Opening, Receipt, Salt, Salts,
};

const ORIGIN: &str = "test.example/log";
const KEY: [u8; 32] = [3; 32];

fn keys() -> LedgerKeys {
    LedgerKeys { body: [9; 32] }
}

/// The log's storage and the notary's, which crash together.
#[derive(Clone)]
struct Machine {
    log: FaultDisk,
    notary: FaultDisk,
}

impl Machine {
    fn new() -> Machine {
        Machine { log: FaultDisk::new(), notary: FaultDisk::new() }
    }

    fn open(&self) -> Result<Ledger, Box<dyn std::error::Error>> {
        self.open_on(Arc::new(self.log.clone()))
    }

    fn open_on(&self, log: Arc<dyn Disk>) -> Result<Ledger, Box<dyn std::error::Error>> {
        let notary = LocalNotary::open_on(Arc::new(self.notary.clone()), ORIGIN, KEY)?;
        let verifier = notary.verifier();
        let config = LedgerConfig::new(verifier, keys(), log, Box::new(notary));
        // Short, so that crashes meet the integrator too.
        let config = LedgerConfig {
            integrate_interval: std::time::Duration::from_millis(1),
            wal_segment_bytes: 16 << 10,
            ..config
        };
        Ok(Ledger::open(config)?.0)
    }

    fn crash(&self, survivors: Survivors) -> Machine {
        Machine { log: self.log.crash(survivors), notary: self.notary.crash(survivors) }
    }
}

fn verifier() -> String {
    LocalNotary::open_on(Arc::new(FaultDisk::new()), ORIGIN, KEY).unwrap().verifier()
}

fn check(disk: &dyn Disk, seen: Vec<Seen>) -> Report {
    let options = Options { verifier: Some(verifier()), keys: Some(keys()), seen, ..Options::default() };
    verify(disk, &options, &mut |_| {}).unwrap()
}

fn administration(number: u64) -> Entry {
    let event = Event::Administration {
        actor: "tester".to_owned(),
        action: "test".to_owned(),
        subject: number.to_string(),
        detail: "x".repeat(usize::try_from(number % 700).unwrap()),
    };
    let body = number.is_multiple_of(3).then(|| format!("{{\"number\":{number}}}").into_bytes());
    Entry { event, body }
}

fn seed() -> u64 {
    let given = std::env::var("CLOISTER_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let fresh = || {
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() & u128::from(u64::MAX))
            .unwrap()
    };
    let seed = given.unwrap_or_else(fresh);
    eprintln!("CLOISTER_TEST_SEED={seed}");
    seed
}

/// A crash at a random operation, also during recovery: whatever was acknowledged is there afterwards, and
/// the log verifies, on a storage that keeps only what was synced, or that and some of the rest.
#[test]
fn acknowledged_leaves_survive_crashes() {
    let mut chance = Chance(seed());
    for round in 0..150 {
        let mut machine = Machine::new();
        let mut acknowledged: Vec<Receipt> = Vec::new();
        let mut number = 0;
        for _life in 0..4 {
            let fault = if chance.below(2) == 0 { Fault::CrashBefore } else { Fault::CrashAfter };
            let victim = if chance.below(4) == 0 { &machine.notary } else { &machine.log };
            victim.fail_at(u64::try_from(chance.below(60)).unwrap(), fault);
            if let Ok(ledger) = machine.open() {
                for _ in 0..chance.below(30) {
                    number += 1;
                    match ledger.append_blocking(administration(number)) {
                        Ok(receipt) => acknowledged.push(receipt),
                        Err(_) => break,
                    }
                }
            }
            let survivors = match chance.below(2) {
                0 => Survivors::Synced,
                _ => Survivors::SyncedAndSome { seed: chance.draw() },
            };
            machine = machine.crash(survivors);
        }
        let ledger = machine.open().unwrap_or_else(|error| panic!("round {round}: {error}"));
        for receipt in &acknowledged {
            ledger
                .record(receipt.index)
                .unwrap_or_else(|error| panic!("round {round}, leaf {}: {error}", receipt.index));
        }
        ledger.close().unwrap();
        let seen = acknowledged.iter().copied().map(Seen::Receipt).collect();
        let report = check(&machine.log, seen);
        assert_eq!(report.verdict, Verdict::Passed, "round {round}: {:?}", report.problems);
    }
}

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

fn written(count: u64) -> (Machine, Vec<Receipt>) {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let receipts = (0..count).map(|number| ledger.append_blocking(administration(number)).unwrap()).collect();
    ledger.close().unwrap();
    (machine, receipts)
}

/// Every byte of every file of a signed log, one at a time: reported, with the file's name.
#[test]
fn every_damage_is_reported() {
    let (machine, receipts) = written(20);
    assert_eq!(check(&machine.log, Vec::new()).verdict, Verdict::Passed);
    assert_eq!(check(&machine.log, Vec::new()).roll_back, RollBack::NotExcluded);
    let mut chance = Chance(seed());
    // `relations` is an index that is made again from the leaves; the log's proof does not rest on it.
    let paths: Vec<_> = machine
        .log
        .paths()
        .into_iter()
        .filter(|path| path != "relations" && !path.starts_with("wal/"))
        .collect();
    assert!(paths.len() > 5, "{paths:?}");
    for path in paths {
        let bytes = machine.log.bytes(&path).unwrap();
        for _ in 0..bytes.len().min(12) {
            let mut flipped = bytes.clone();
            let at = chance.below(bytes.len());
            flipped[at] ^= 1 << chance.below(8);
            machine.log.tamper(&path, Some(flipped));
            let report = check(&machine.log, Vec::new());
            assert_eq!(report.verdict, Verdict::Failed, "{path} at {at}");
            assert!(
                report
                    .problems
                    .iter()
                    .any(|problem| problem.file.as_deref() == Some(path.as_str()) || problem.index.is_some()),
                "{path}: {:?}",
                report.problems
            );
        }
        let cut = bytes[..chance.below(bytes.len())].to_vec();
        let grown = [bytes.as_slice(), &[0]].concat();
        for (how, changed) in
            [("emptied", Some(vec![])), ("cut", Some(cut)), ("grown", Some(grown)), ("removed", None)]
        {
            machine.log.tamper(&path, changed);
            assert_eq!(check(&machine.log, Vec::new()).verdict, Verdict::Failed, "{path} {how}");
        }
        machine.log.tamper(&path, Some(bytes));
    }
    let all: Vec<_> = receipts.into_iter().map(Seen::Receipt).collect();
    assert_eq!(check(&machine.log, all).verdict, Verdict::Passed);
    machine.log.tamper("checkpoint", None);
    assert_eq!(check(&machine.log, Vec::new()).verdict, Verdict::Failed);
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
            repository: None,
            path: None,
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

/// A disk that takes its time to sync, as real ones do.
struct SlowDisk(FaultDisk);

/// A file of it, and how long it takes to sync.
struct SlowFile(Box<dyn DiskFile>, std::time::Duration);

impl Disk for SlowDisk {
    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        // The write-ahead log's alone, so that the integrator comes round often.
        let sync_ms = if path.starts_with("wal/") { 2 } else { 0 };
        Ok(Box::new(SlowFile(self.0.open(path, access)?, std::time::Duration::from_millis(sync_ms))))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.remove(path)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.0.create_dir(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.0.list(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.0.sync_dir(path)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
}

impl DiskFile for SlowFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        std::thread::sleep(self.1);
        self.0.sync()
    }
}

/// The integrator prepares the next segment of the write-ahead log while the writer puts one to use.
#[test]
fn segments_are_prepared_beside_a_busy_writer() {
    let machine = Machine::new();
    let ledger = machine.open_on(Arc::new(SlowDisk(machine.log.clone()))).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..16 {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0..150 {
                    ledger.append_blocking(administration(writer * 150 + number)).unwrap();
                }
            });
        }
    });
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
