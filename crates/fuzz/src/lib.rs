//! Fuzz targets, one for each parser of bytes that a stranger may have written. `cargo xtask fuzz` builds
//! them with coverage and runs them; each is a program of `src/bin` on libFuzzer.
//!
//! A target fails by a panic, by an endless loop, or by using more memory than libFuzzer's limit; those
//! that know more assert more.

use std::sync::{Arc, LazyLock};

use ledger::fault::FaultDisk;
use ledger::{Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary};

/// A ledger that was closed, and one that was killed with leaves still in its write-ahead log.
pub static LEDGERS: LazyLock<[Kept; 2]> = LazyLock::new(|| [kept(true), kept(false)]);

/// A ledger's files and what opens them.
pub struct Kept {
    /// Its files.
    pub disk: FaultDisk,
    /// Its notary's public key.
    pub verifier: String,
    notary: FaultDisk,
}

/// The key of both ledgers' bodies.
pub fn keys() -> LedgerKeys {
    LedgerKeys::new([9; 32])
}

fn kept(closed: bool) -> Kept {
    let (disk, notary) = (FaultDisk::new(), FaultDisk::new());
    let (ledger, verifier) = open(&disk, &notary).expect("a new ledger opens");
    for number in 0..5u8 {
        let event = Event::Administration {
            actor: "fuzz".to_owned(),
            action: "fuzz".to_owned(),
            subject: number.to_string(),
            detail: String::new(),
        };
        let entry = Entry { event, body: Some(b"{}".to_vec()) };
        ledger.append_blocking(entry).expect("a leaf is appended");
        if number == 2 {
            ledger.sign().expect("what is there is signed");
        }
    }
    if closed {
        ledger.close().expect("it closes");
        return Kept { disk, verifier, notary };
    }
    let (killed_disk, killed_notary) = (disk.kill(), notary.kill());
    drop(ledger);
    Kept { disk: killed_disk, verifier, notary: killed_notary }
}

fn open(disk: &FaultDisk, notary: &FaultDisk) -> Result<(Ledger, String), Box<dyn std::error::Error>> {
    let notary = LocalNotary::open_on(Arc::new(notary.clone()), "fuzz.example/log", [3; 32])?;
    let verifier = notary.verifier();
    let config = LedgerConfig::new(verifier.clone(), keys(), Arc::new(disk.clone()), Box::new(notary));
    // No integration but when it is asked for: what is killed still has a log.
    let integrate_interval = std::time::Duration::from_secs(3600);
    let config = LedgerConfig { integrate_interval, wal_segment_bytes: 16 << 10, ..config };
    Ok((Ledger::open(config)?.0, verifier))
}

impl Kept {
    /// A copy of both storages, as a restarted machine finds them.
    pub fn copy(&self) -> Kept {
        let Kept { disk, verifier, notary } = self;
        Kept { disk: disk.snapshot(), verifier: verifier.clone(), notary: notary.snapshot() }
    }

    /// Opens it, as the daemon does at its start.
    pub fn open(&self) -> Result<Ledger, Box<dyn std::error::Error>> {
        Ok(open(&self.disk, &self.notary)?.0)
    }
}
