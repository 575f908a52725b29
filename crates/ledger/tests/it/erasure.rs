//! Erasing a body: its key is nowhere any more, and every proof holds.

use approval::Approval;
use ledger::fault::FaultDisk;
use ledger::verify::{FindingKind, Seen, Verdict};
use ledger::{EraseError, Erasure, Ledger, LedgerKeys, Receipt, rewrap};

use crate::machine::{Machine, Person, administration, approved, check, keys};

/// A log with the two who approve, and some leaves, every third with a body.
fn filled(machine: &Machine) -> (Ledger, Vec<Receipt>) {
    let ledger = machine.open().unwrap();
    for person in [Person::ada(), Person::grace()] {
        ledger.append_blocking(person.enrolment()).unwrap();
    }
    let receipts = (0..300).map(|number| ledger.append_blocking(administration(number)).unwrap()).collect();
    (ledger, receipts)
}

/// The wrapped key of a leaf's body, as its page has it.
fn wrapped(disk: &FaultDisk, index: u64) -> Vec<u8> {
    const SLOT_BYTES: usize = 96;
    let page = disk.bytes(&format!("body-keys/{:03}", index / 256)).unwrap();
    let start = usize::try_from(index % 256).unwrap() * SLOT_BYTES;
    page[start + 16..start + 92].to_vec()
}

/// Files that hold these bytes. One that the integrator removes meanwhile holds none.
fn holding(disk: &FaultDisk, bytes: &[u8]) -> Vec<String> {
    let holds = |path: &String| {
        disk.bytes(path).is_some_and(|file| file.windows(bytes.len()).any(|window| window == bytes))
    };
    disk.paths().into_iter().filter(holds).collect()
}

#[test]
fn the_key_is_nowhere_and_every_proof_holds() {
    let machine = Machine::new();
    let (ledger, receipts) = filled(&machine);
    ledger.sign().unwrap();
    let victim = receipts[297].index;
    let key = wrapped(&machine.log, victim);
    assert!(key.iter().any(|byte| *byte != 0));
    let places = holding(&machine.log, &key);
    assert!(places.iter().any(|path| path.starts_with("body-keys/")), "{places:?}");
    assert!(places.iter().any(|path| path.starts_with("wal/")), "{places:?}");

    let leaves = ledger.erasable(&[victim]).unwrap();
    let erasure = ledger.erase(approved(leaves)).unwrap();
    assert_eq!(holding(&machine.log, &key), Vec::<String>::new());
    // Nor any part of it.
    for part in [&key[4..28], &key[28..60], &key[60..]] {
        assert_eq!(holding(&machine.log, part), Vec::<String>::new());
    }
    let record = ledger.record(victim).unwrap();
    assert!(record.erased && record.body.is_none());
    assert!(ledger.record(receipts[6].index).unwrap().body.is_some());
    assert!(matches!(ledger.erasable(&[victim]), Err(EraseError::Erased(_))));
    ledger.close().unwrap();

    let seen = receipts.into_iter().chain([erasure]).map(Seen::Receipt).collect();
    let report = check(&machine.log, seen);
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.problems);
    assert_eq!((report.bodies_erased, report.bodies), (1, 100));
    let erased: Vec<_> =
        report.findings.iter().filter(|finding| finding.kind == FindingKind::Erased).collect();
    assert_eq!((erased.len(), erased[0].index), (1, Some(victim)));
    // Opened again, it stays so.
    let ledger = machine.open().unwrap();
    assert!(ledger.record(victim).unwrap().erased);
    ledger.close().unwrap();
}

#[test]
fn only_what_two_persons_approved() {
    let machine = Machine::new();
    let (ledger, receipts) = filled(&machine);
    let leaves = ledger.erasable(&[receipts[3].index]).unwrap();
    let whole = approved(leaves.clone());
    let refused = |erasure: Erasure| ledger.erase(erasure).unwrap_err().to_string();
    let approvals = |approvals: &[Approval]| Erasure { approvals: approvals.to_vec(), ..whole.clone() };
    let one = refused(approvals(&whole.approvals[..1]));
    assert!(one.contains("2 different persons"), "{one}");
    let twice = refused(approvals(&[whole.approvals[0].clone(), whole.approvals[0].clone()]));
    assert!(twice.contains("2 different persons"), "{twice}");
    let other_reason = refused(Erasure { reason: "another".to_owned(), ..whole.clone() });
    assert!(other_reason.contains("not over this text"), "{other_reason}");
    let more = ledger.erasable(&[receipts[3].index, receipts[6].index]).unwrap();
    let other_leaves = refused(Erasure { leaves: more, ..whole.clone() });
    assert!(other_leaves.contains("not over this text"), "{other_leaves}");
    let mut other_history = leaves;
    other_history[0].hash.0[0] ^= 1;
    assert!(refused(approved(other_history)).contains("another history"));
    let two_lines = Erasure { reason: "one\nleaf 1".to_owned(), ..whole };
    assert!(matches!(ledger.erase(two_lines), Err(EraseError::Reason)));
    assert!(matches!(ledger.erasable(&[receipts[4].index]), Err(EraseError::NoBody(_))));
    assert!(ledger.record(receipts[3].index).unwrap().body.is_some());
    ledger.close().unwrap();
}

/// Somebody with the daemon's rights destroys a key, or writes an erasure that nobody approved.
#[test]
fn verification_finds_what_was_not_approved() {
    let machine = Machine::new();
    let (ledger, receipts) = filled(&machine);
    // Two persons who are enrolled nowhere.
    let strangers = [Person::new("ada", 7), Person::new("grace", 8)];
    let leaves = ledger.erasable(&[receipts[6].index]).unwrap();
    let approvals = strangers.map(|person| person.approves(&leaves, "spillage")).to_vec();
    let erasure = Erasure { leaves, reason: "spillage".to_owned(), approvals };
    ledger.erase(erasure).unwrap();
    ledger.close().unwrap();
    let report = check(&machine.log, Vec::new());
    assert_eq!(report.verdict, Verdict::Failed);
    assert!(report.problems.iter().any(|problem| problem.what.contains("not enrolled to ada")));

    let machine = Machine::new();
    let (ledger, receipts) = filled(&machine);
    ledger.close().unwrap();
    let page = "body-keys/000";
    let mut bytes = machine.log.bytes(page).unwrap();
    let start = usize::try_from(receipts[3].index).unwrap() * 96 + 16;
    bytes[start..start + 76].fill(0);
    machine.log.tamper(page, Some(bytes));
    let report = check(&machine.log, Vec::new());
    assert_eq!(report.problems_total, 1, "{:?}", report.problems);
    assert!(report.problems[0].what.contains("no leaf tells of an erasure"));
    assert_eq!(report.problems[0].index, Some(receipts[3].index));
}

/// A key that was put back, from a copy, after it was erased.
#[test]
fn verification_finds_what_was_not_erased() {
    let machine = Machine::new();
    let (ledger, receipts) = filled(&machine);
    ledger.sign().unwrap();
    let page = machine.log.bytes("body-keys/000").unwrap();
    let leaves = ledger.erasable(&[receipts[3].index]).unwrap();
    ledger.erase(approved(leaves)).unwrap();
    ledger.close().unwrap();
    machine.log.tamper("body-keys/000", Some(page));
    let report = check(&machine.log, Vec::new());
    assert_eq!(report.problems_total, 1, "{:?}", report.problems);
    assert!(report.problems[0].what.contains("whose key is still there"));
}

#[test]
fn a_new_body_key_opens_everything_and_the_old_one_nothing() {
    let machine = Machine::new();
    let (ledger, receipts) = filled(&machine);
    let leaves = ledger.erasable(&[receipts[0].index]).unwrap();
    ledger.erase(approved(leaves)).unwrap();
    ledger.settle().unwrap();
    ledger.close().unwrap();
    let old = wrapped(&machine.log, receipts[3].index);
    let both = LedgerKeys::new([7; 32]).with_older([9; 32]);
    let random = ledger::system_randomness();
    let mut pages = Vec::new();
    let renewed = rewrap(&machine.log, &both, &random, &mut |done, all| pages.push((done, all))).unwrap();
    assert_eq!(renewed, 99, "100 bodies, of which one is erased");
    assert_eq!(pages, [(1, 2), (2, 2)]);
    assert_eq!(holding(&machine.log, &old), Vec::<String>::new());
    assert_eq!(rewrap(&machine.log, &both, &random, &mut |_, _| {}).unwrap(), 0, "done before");
    let with = |keys: LedgerKeys| {
        let options = ledger::verify::Options { keys: Some(keys), ..Default::default() };
        ledger::verify::verify(&machine.log, &options, &mut |_| {}).unwrap()
    };
    let report = with(LedgerKeys::new([7; 32]));
    assert_eq!((report.verdict, report.bodies_opened), (Verdict::Passed, 99), "{:?}", report.problems);
    assert_eq!(with(keys()).bodies_opened, 0);
}
