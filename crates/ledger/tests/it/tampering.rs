//! Every kind of tampering is detected, and named.

use ledger::fault::Chance;
use ledger::verify::{RollBack, Seen, Verdict};

use crate::machine::{check, seed, written};

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
    assert!(paths.len() >= 5, "{paths:?}");
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
