//! A machine that a ledger runs on: its storage, its notary's, and what people there hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use approval::{Approval, PublicKey};
use ledger::disk::Disk;
use ledger::fault::{FaultDisk, Survivors};
use ledger::verify::{Options, Report, Seen, verify};
use ledger::{
    ENROL_KEY, ERASURE_NAMESPACE, Entry, ErasedLeaf, Erasure, Event, Ledger, LedgerConfig, LedgerKeys,
    LocalNotary, Receipt,
};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

pub(crate) const ORIGIN: &str = "test.example/log";
pub(crate) const KEY: [u8; 32] = [3; 32];

pub(crate) fn keys() -> LedgerKeys {
    LedgerKeys::new([9; 32])
}

/// The log's storage and the notary's, which crash together.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) log: FaultDisk,
    pub(crate) notary: FaultDisk,
    /// What its clock is off by, in milliseconds.
    pub(crate) clock_ms: Arc<AtomicI64>,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        Machine { log: FaultDisk::new(), notary: FaultDisk::new(), clock_ms: Arc::default() }
    }

    pub(crate) fn open(&self) -> Result<Ledger, Box<dyn std::error::Error>> {
        self.open_on(Arc::new(self.log.clone()))
    }

    pub(crate) fn open_on(&self, log: Arc<dyn Disk>) -> Result<Ledger, Box<dyn std::error::Error>> {
        let notary = LocalNotary::open_on(Arc::new(self.notary.clone()), ORIGIN, KEY)?;
        let verifier = notary.verifier();
        let config = LedgerConfig::new(verifier, keys(), log, Box::new(notary));
        // Short, so that crashes meet the integrator too.
        let config = LedgerConfig {
            integrate_interval: std::time::Duration::from_millis(1),
            wal_segment_bytes: 16 << 10,
            clock: self.clock(),
            ..config
        };
        Ok(Ledger::open(config)?.0)
    }

    fn clock(&self) -> ledger::Clock {
        let (real, off) = (ledger::system_clock(), Arc::clone(&self.clock_ms));
        Arc::new(move || real().saturating_add_signed(off.load(Ordering::Relaxed)))
    }

    pub(crate) fn crash(&self, survivors: Survivors) -> Machine {
        Machine {
            log: self.log.crash(survivors),
            notary: self.notary.crash(survivors),
            clock_ms: Arc::clone(&self.clock_ms),
        }
    }
}

pub(crate) fn verifier() -> String {
    LocalNotary::open_on(Arc::new(FaultDisk::new()), ORIGIN, KEY).unwrap().verifier()
}

pub(crate) fn check(disk: &dyn Disk, seen: Vec<Seen>) -> Report {
    let options = Options { verifier: Some(verifier()), keys: Some(keys()), seen, ..Options::default() };
    verify(disk, &options, &mut |_| {}).unwrap()
}

pub(crate) fn administration(number: u64) -> Entry {
    let event = Event::Administration {
        actor: "tester".to_owned(),
        action: "test".to_owned(),
        subject: number.to_string(),
        detail: "x".repeat(usize::try_from(number % 700).unwrap()),
    };
    let body = number.is_multiple_of(3).then(|| format!("{{\"number\":{number}}}").into_bytes());
    Entry { event, body }
}

pub(crate) fn seed() -> u64 {
    let given = std::env::var("CLOISTER_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let fresh = || {
        u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() & u128::from(u64::MAX))
            .unwrap()
    };
    let seed = given.unwrap_or_else(fresh);
    eprintln!("CLOISTER_TEST_SEED={seed}");
    seed
}

pub(crate) fn written(count: u64) -> (Machine, Vec<Receipt>) {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let receipts = (0..count).map(|number| ledger.append_blocking(administration(number)).unwrap()).collect();
    ledger.close().unwrap();
    (machine, receipts)
}

/// A person who approves, with a key that is the same in each run.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    key: PrivateKey,
}

impl Person {
    pub(crate) fn ada() -> Person {
        Person::new("ada", 1)
    }

    pub(crate) fn grace() -> Person {
        Person::new("grace", 2)
    }

    pub(crate) fn new(name: &'static str, seed: u8) -> Person {
        Person { name, key: PrivateKey::new(Ed25519Keypair::from_seed(&[seed; 32]).into(), "").unwrap() }
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.key.public_key().to_openssh().unwrap().parse().unwrap()
    }

    /// The leaf that enrols the key.
    pub(crate) fn enrolment(&self) -> Entry {
        let event = Event::Administration {
            actor: "tester".to_owned(),
            action: ENROL_KEY.to_owned(),
            subject: self.name.to_owned(),
            detail: self.public().to_string(),
        };
        Entry { event, body: None }
    }

    pub(crate) fn approves(&self, leaves: &[ErasedLeaf], reason: &str) -> Approval {
        let text = Erasure::text(ORIGIN, leaves, reason);
        let signature = self.key.sign(ERASURE_NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
        let signature = signature.to_pem(LineEnding::LF).unwrap().trim().to_owned();
        Approval { person: self.name.to_owned(), key: self.public(), signature }
    }
}

/// An erasure that ada and grace approve.
pub(crate) fn approved(leaves: Vec<ErasedLeaf>) -> Erasure {
    let reason = "spillage".to_owned();
    let approvals = [Person::ada(), Person::grace()].map(|person| person.approves(&leaves, &reason)).to_vec();
    Erasure { leaves, reason, approvals }
}
