//! A ledger of which one file was replaced, or a part of it: `verify` and opening answer, and a changed file never passes.

use std::sync::{Arc, LazyLock};

use ledger::fault::FaultDisk;
use ledger::verify::{Options, Verdict, verify};
use ledger::{Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary};
use tlog::{Note, VerifierKey};

/// Whether a note has the same text and the same signatures of the log's key. Lines of keys that nobody knows may
/// be added to a signed note: readers pass over them.
fn is_signed_alike(one: &[u8], other: &[u8], verifier: &str) -> bool {
    let Ok(key) = verifier.parse::<VerifierKey>() else { return false };
    let parsed = |note: &[u8]| {
        let note = Note::parse(std::str::from_utf8(note).ok()?).ok()?;
        Some((note.text().to_owned(), note.lines_of(&key)))
    };
    parsed(one).is_some_and(|one| parsed(other) == Some(one))
}

pub(crate) fn run(input: &[u8]) {
    let Some(([how, which, offset @ ..], bytes)) = input.split_first_chunk::<6>() else { return };
    let ledger = LEDGERS[usize::from(how & 1)].copy();
    let paths = ledger.disk.paths();
    let path = &paths[usize::from(*which) % paths.len()];
    let before = ledger.disk.bytes(path);
    let after = match &before {
        Some(before) if how & 2 == 0 => over(before, u32::from_le_bytes(*offset) as usize, bytes),
        _ => bytes.to_vec(),
    };
    ledger.disk.tamper(path, Some(after.clone()));
    let verifier = Some(ledger.verifier.clone());
    let options = Options { verifier, keys: Some(keys()), ..Options::default() };
    let report = verify(&ledger.disk, &options, &mut |_| {});
    // Spare room of the write-ahead log and the index of relations prove nothing.
    let proves = ["checkpoint", "tile/", "bodies/", "body-keys/"].iter().any(|known| path.starts_with(known));
    // Of a ledger that was killed, leaves were on their way behind the last body and its key.
    let may_grow = how & 1 == 1 && (path.starts_with("bodies/") || path.starts_with("body-keys/"));
    let same = before.as_deref().is_some_and(|before| {
        before == after
            || path == "checkpoint" && is_signed_alike(before, &after, &ledger.verifier)
            || may_grow && after.starts_with(before)
    });
    if proves && !same {
        assert!(!report.is_ok_and(|report| report.verdict == Verdict::Passed), "{path} was changed");
    }
    let _refused = ledger.open();
}

/// A file with other bytes in the place of its own, from somewhere on.
fn over(before: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let start = offset % (before.len() + 1);
    let rest = before.get(start + bytes.len()..).unwrap_or_default();
    [&before[..start], bytes, rest].concat()
}

/// A ledger that was closed, and one that was killed with leaves still in its write-ahead log.
static LEDGERS: LazyLock<[Kept; 2]> = LazyLock::new(|| [kept(true), kept(false)]);

/// A ledger's files and what opens them.
struct Kept {
    /// Its files.
    disk: FaultDisk,
    /// Its notary's public key.
    verifier: String,
    notary: FaultDisk,
}

/// The key of both ledgers' bodies.
fn keys() -> LedgerKeys {
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
    fn copy(&self) -> Kept {
        let Kept { disk, verifier, notary } = self;
        Kept { disk: disk.snapshot(), verifier: verifier.clone(), notary: notary.snapshot() }
    }

    /// Opens it, as the daemon does at its start.
    fn open(&self) -> Result<Ledger, Box<dyn std::error::Error>> {
        Ok(open(&self.disk, &self.notary)?.0)
    }
}
