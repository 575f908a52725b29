//! Copies of a ledger that is in use, and what is put back from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::backup::{CopyError, copy, frontier};
use ledger::fault::FaultDisk;
use ledger::verify::{RollBack, Seen, Verdict};
use ledger::{Ledger, LocalNotary, Receipt};

use crate::machine::{KEY, Machine, ORIGIN, Person, administration, approved, check};

fn write(ledger: &Ledger, numbers: std::ops::Range<u64>) -> Vec<Receipt> {
    numbers.map(|number| ledger.append_blocking(administration(number)).unwrap()).collect()
}

fn sign(ledger: &Ledger) -> impl FnMut() -> Result<(), String> {
    move || ledger.sign().map(drop).map_err(|error| error.to_string())
}

fn passes(disk: &FaultDisk, receipts: &[Receipt]) {
    let report = check(disk, receipts.iter().copied().map(Seen::Receipt).collect());
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.problems);
}

#[test]
fn a_second_copy_takes_what_is_new() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let mut receipts = write(&ledger, 0..700);
    let target = FaultDisk::new();
    let first = copy(&machine.log, &target, &mut sign(&ledger), &mut |_, _| {}).unwrap();
    assert_eq!((first.leaves, first.files_kept), (701, 0));
    passes(&target, &receipts);

    let again = copy(&machine.log, &target, &mut sign(&ledger), &mut |_, _| {}).unwrap();
    assert_eq!((again.leaves, again.files), (701, 0), "{again:?}");
    receipts.extend(write(&ledger, 700..900));
    let second = copy(&machine.log, &target, &mut sign(&ledger), &mut |_, _| {}).unwrap();
    assert_eq!(second.leaves, 901);
    // Tiles and packs of the first two bundles stay.
    assert!(second.files_kept >= 6 && second.bytes < first.bytes, "{second:?} after {first:?}");
    passes(&target, &receipts);
    // The same bytes as a copy that is made at once.
    let fresh = FaultDisk::new();
    copy(&machine.log, &fresh, &mut sign(&ledger), &mut |_, _| {}).unwrap();
    assert_eq!(fresh.paths(), target.paths());
    assert!(fresh.paths().iter().all(|path| fresh.bytes(path) == target.bytes(path)));
    ledger.close().unwrap();
}

/// Copied while many leaves are written: each copy is a whole ledger.
#[test]
fn copies_of_a_busy_ledger() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..3000 {
                ledger.append_blocking(administration(number)).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let target = FaultDisk::new();
        let mut last = 0;
        while !done.load(Ordering::Relaxed) {
            let copied = copy(&machine.log, &target, &mut sign(&ledger), &mut |_, _| {}).unwrap();
            assert!(copied.leaves >= last);
            last = copied.leaves;
            passes(&target, &[]);
        }
    });
    ledger.close().unwrap();
}

/// What was erased since is erased in the next copy, and the leaf that says so is in it.
#[test]
fn erasures_are_copied() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    for person in [Person::ada(), Person::grace()] {
        ledger.append_blocking(person.enrolment()).unwrap();
    }
    let receipts = write(&ledger, 0..400);
    let target = FaultDisk::new();
    copy(&machine.log, &target, &mut sign(&ledger), &mut |_, _| {}).unwrap();
    ledger.erase(approved(ledger.erasable(&[receipts[3].index]).unwrap())).unwrap();
    // An erasure in the middle of a copy: its leaf comes with it.
    let mut calls = 0;
    let mut erasing = || {
        calls += 1;
        if calls == 2 {
            let leaves = ledger.erasable(&[receipts[6].index]).unwrap();
            ledger.erase(approved(leaves)).unwrap();
        }
        ledger.sign().map(drop).map_err(|error| error.to_string())
    };
    copy(&machine.log, &target, &mut erasing, &mut |_, _| {}).unwrap();
    passes(&target, &receipts);
    assert_eq!(check(&target, Vec::new()).bodies_erased, 2);
    ledger.close().unwrap();
}

#[test]
fn a_copy_of_another_or_an_older_ledger_is_refused() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    write(&ledger, 0..300);
    let (target, mut nothing) = (FaultDisk::new(), || Ok(()));
    copy(&machine.log, &target, &mut sign(&ledger), &mut |_, _| {}).unwrap();
    ledger.close().unwrap();
    for (numbers, older) in [(1000..1100, true), (1000..1400, false)] {
        let other = Machine::new();
        let ledger = other.open().unwrap();
        write(&ledger, numbers);
        ledger.close().unwrap();
        let before = target.snapshot();
        let refused = copy(&other.log, &target, &mut nothing, &mut |_, _| {}).unwrap_err();
        match older {
            true => assert!(matches!(refused, CopyError::RolledBack { there: 301, here: 101 }), "{refused}"),
            false => assert!(matches!(refused, CopyError::OtherHistory(301)), "{refused}"),
        }
        assert!(before.paths().iter().all(|path| before.bytes(path) == target.bytes(path)));
    }
}

/// A ledger that is put back goes on; one that is older than the notary, or than what somebody kept, is told.
#[test]
fn what_is_put_back() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let receipts = write(&ledger, 0..300);
    let backup = FaultDisk::new();
    copy(&machine.log, &backup, &mut sign(&ledger), &mut |_, _| {}).unwrap();
    let later = write(&ledger, 300..310);
    ledger.close().unwrap();

    let put_back = || {
        let log = FaultDisk::new();
        copy(&backup, &log, &mut || Ok(()), &mut |_, _| {}).unwrap();
        log
    };
    // The notary knows of the later leaves.
    let with_notary = Machine { log: put_back(), ..machine.clone() };
    let refused = with_notary.open().err().unwrap();
    assert!(refused.to_string().contains("rolled back"), "{refused}");
    // So does whoever has a receipt of them.
    let report = check(&backup, vec![Seen::Receipt(later[9])]);
    assert_eq!((report.verdict, report.roll_back), (Verdict::Failed, RollBack::Found));

    // Without the notary's state, it is made from the copy, once.
    let without = Machine { log: put_back(), notary: FaultDisk::new(), ..machine };
    assert!(without.open().is_err());
    let mut notary = LocalNotary::open_on(Arc::new(without.notary.clone()), ORIGIN, KEY).unwrap();
    let (note, edge) = frontier(&without.log).unwrap();
    notary.adopt(&note, edge.clone()).unwrap();
    assert!(notary.adopt(&note, edge.clone()).is_err());
    let mut other = LocalNotary::open_on(Arc::new(FaultDisk::new()), ORIGIN, [5; 32]).unwrap();
    assert!(other.adopt(&note, edge).is_err(), "another key");
    let ledger = without.open().unwrap();
    assert_eq!(ledger.record(receipts[3].index).unwrap().body.unwrap(), b"{\"number\":3}");
    // Longer than the copy's empty segment.
    let more = write(&ledger, 600..900);
    ledger.close().unwrap();
    passes(&without.log, &[receipts, more].concat());
}
