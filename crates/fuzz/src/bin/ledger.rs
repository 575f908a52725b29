//! A ledger of which one file was replaced: `verify` and opening answer, and a changed file never passes.
#![no_main]

use fuzz::{LEDGERS, keys};
use ledger::verify::{Options, Verdict, verify};
use libfuzzer_sys::fuzz_target;
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

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (closed, which, bytes) = input;
    let ledger = LEDGERS[usize::from(closed)].copy();
    let paths = ledger.disk.paths();
    let path = &paths[usize::from(which) % paths.len()];
    let before = ledger.disk.bytes(path);
    ledger.disk.tamper(path, Some(bytes.to_vec()));
    let verifier = Some(ledger.verifier.clone());
    let options = Options { verifier, keys: Some(keys()), ..Options::default() };
    let report = verify(&ledger.disk, &options, &mut |_| {});
    // Spare room of the write-ahead log and the index of relations prove nothing.
    let proves = ["checkpoint", "tile/", "bodies/", "body-keys/"].iter().any(|known| path.starts_with(known));
    let same = before.as_deref() == Some(bytes)
        || path == "checkpoint"
            && before.as_deref().is_some_and(|before| is_signed_alike(before, bytes, &ledger.verifier));
    if proves && !same {
        assert!(!report.is_ok_and(|report| report.verdict == Verdict::Passed), "{path} was changed");
    }
    let _refused = ledger.open();
});
