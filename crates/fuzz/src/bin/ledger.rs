//! A ledger of which one file was replaced: `verify` and opening answer, and a changed file never passes.
#![no_main]

use fuzz::{LEDGERS, keys};
use ledger::verify::{Options, Verdict, verify};
use libfuzzer_sys::fuzz_target;

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
    if proves && before.as_deref() != Some(bytes) {
        assert!(!report.is_ok_and(|report| report.verdict == Verdict::Passed), "{path} was changed");
    }
    let _refused = ledger.open();
});
