//! What is mended of a ledger, and what is left alone.

use std::sync::Arc;

use ledger::doctor::{AilmentKind, Diagnosis, MendError, destroy_set_aside, diagnose, set_aside};
use ledger::fault::FaultDisk;
use ledger::verify::{Options, Seen, Verdict};
use ledger::{LocalNotary, Receipt};

use crate::machine::{KEY, Machine, ORIGIN, administration, check, keys, verifier};

pub(crate) fn examine(machine: &Machine) -> Diagnosis {
    let mut notary = LocalNotary::open_on(Arc::new(machine.notary.clone()), ORIGIN, KEY).unwrap();
    let options = Options { verifier: Some(verifier()), keys: Some(keys()), ..Options::default() };
    diagnose(&machine.log, &options, &verifier().parse().unwrap(), &mut notary).unwrap()
}

/// 300 leaves and two more.
fn closed() -> (Machine, Vec<Receipt>) {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    let mut receipts: Vec<Receipt> =
        (0..300).map(|number| ledger.append_blocking(administration(number)).unwrap()).collect();
    ledger.settle().unwrap();
    // Without a body, so that the write-ahead log ends in a byte that is not zero.
    receipts.extend([1, 2].map(|number| ledger.append_blocking(administration(number)).unwrap()));
    ledger.close().unwrap();
    (machine, receipts)
}

fn tear(log: &FaultDisk) {
    let path = log.paths().into_iter().rfind(|path| path.ends_with(".wal")).unwrap();
    let mut bytes = log.bytes(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[end..end + 9].copy_from_slice(b"CLF1torn!");
    log.tamper(&path, Some(bytes));
}

fn kinds(diagnosis: &Diagnosis) -> Vec<AilmentKind> {
    diagnosis.ailments.iter().map(|ailment| ailment.kind).collect()
}

#[test]
fn what_crashes_leave_is_mended() {
    let (machine, receipts) = closed();
    let healthy = examine(&machine);
    assert!(healthy.ailments.is_empty() && healthy.damage.is_empty(), "{healthy:?}");
    assert_eq!((healthy.good_up_to, healthy.leaves_signed), (303, 303));

    let log = &machine.log;
    tear(log);
    log.tamper("wal/spare-9", Some(vec![0; 100]));
    let tile = log.bytes("tile/0/001.p/47").unwrap();
    log.tamper("tile/0/001.p/3", Some(tile[..96].to_vec()));
    let mut relations = log.bytes("relations").unwrap();
    relations[77] ^= 1;
    log.tamper("relations", Some(relations));

    let found = examine(&machine);
    assert!(found.damage.is_empty(), "{:?}", found.damage);
    let mut sorted = kinds(&found);
    sorted.sort_by_key(|kind| format!("{kind:?}"));
    use AilmentKind as Kind;
    assert_eq!(sorted, [Kind::Relations, Kind::SupersededTile, Kind::TornTail]);
    assert!(found.spares >= 1);
    found.mend(log).unwrap();
    assert!(log.bytes("wal/spare-9").is_none());
    machine.open().unwrap().close().unwrap();

    let mended = examine(&machine);
    assert!(mended.ailments.is_empty() && mended.damage.is_empty(), "{mended:?}");
    assert!(log.bytes("tile/0/001.p/3").is_none());
    let report = check(log, receipts.into_iter().map(Seen::Receipt).collect());
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.problems);
    assert_eq!(report.leaves_by_kind["recovered"], 1);

    // What was set aside may hold bodies of nobody's record.
    let path = log.paths().into_iter().find(|path| path.starts_with("set-aside/")).unwrap();
    let name = path.strip_prefix("set-aside/").unwrap();
    assert_eq!(set_aside(log, name).unwrap().0, 9);
    destroy_set_aside(log, name).unwrap();
    assert!(log.bytes(&path).is_none());
    for wrong in [name, "../checkpoint", ""] {
        assert!(destroy_set_aside(log, wrong).is_err(), "{wrong}");
    }
    assert!(log.bytes("checkpoint").is_some());
}

/// What is damaged, the file that must be named, and how.
type Damage = (&'static str, &'static str, fn(&FaultDisk));

/// Nothing at all is touched where a backup is needed, and the place is named.
#[test]
fn damage_is_named_and_left_alone() {
    let damages: [Damage; 4] = [
        ("a leaf", "tile/entries/000", |log| {
            let mut bytes = log.bytes("tile/entries/000").unwrap();
            bytes[3000] ^= 1;
            log.tamper("tile/entries/000", Some(bytes));
        }),
        ("a body", "bodies/000", |log| log.tamper("bodies/000", None)),
        ("a tile of the right edge", "tile/0/001.p/47", |log| log.tamper("tile/0/001.p/47", None)),
        ("no write-ahead log", "wal", |log| {
            let segments = log.paths().into_iter().filter(|path| path.starts_with("wal/"));
            segments.for_each(|path| log.tamper(&path, None));
        }),
    ];
    for (name, file, damage) in damages {
        let (machine, _receipts) = closed();
        tear(&machine.log);
        machine.log.tamper("relations", None);
        damage(&machine.log);
        let before = machine.log.snapshot();
        let found = examine(&machine);
        assert!(
            found.damage.iter().any(|problem| problem.file.as_deref() == Some(file)),
            "{name}: {found:?}"
        );
        assert!(matches!(found.mend(&machine.log), Err(MendError::Damaged)), "{name}");
        assert_eq!(machine.log.paths(), before.paths());
        for path in before.paths() {
            assert_eq!(machine.log.bytes(&path), before.bytes(&path), "{name}: {path}");
        }
    }
}

/// What is left of a log, without checkpoint, write-ahead log and notary, is no log that has not begun.
#[test]
fn leftovers_are_no_new_log() {
    let (machine, _receipts) = closed();
    let wal = machine.log.paths().into_iter().filter(|path| path.starts_with("wal/"));
    wal.chain(["checkpoint".to_owned()]).for_each(|path| machine.log.tamper(&path, None));
    let found = examine(&Machine { notary: FaultDisk::new(), ..machine });
    assert!(found.damage.iter().any(|problem| problem.file.as_deref() == Some("checkpoint")), "{found:?}");
    let new = examine(&Machine::new());
    assert!(new.damage.is_empty() && kinds(&new).contains(&AilmentKind::NotBegun), "{new:?}");
}

/// An older copy is whole in itself; the notary knows better.
#[test]
fn an_older_copy_is_no_ailment() {
    let machine = Machine::new();
    let ledger = machine.open().unwrap();
    ledger.append_blocking(administration(1)).unwrap();
    ledger.close().unwrap();
    let older = machine.log.snapshot();
    let ledger = machine.open().unwrap();
    ledger.append_blocking(administration(2)).unwrap();
    ledger.close().unwrap();
    let found = examine(&Machine { log: older, ..machine });
    assert_eq!(found.damage_total, 1, "{found:?}");
    assert!(found.damage[0].what.contains("rolled back"), "{found:?}");
}
