//! A seeded simulation: a machine that crashes, fails and runs out of room at any operation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use ledger::fault::{Chance, Fault, Survivors};
use ledger::verify::{FindingKind, Seen, Verdict};
use ledger::{AppendError, Entry, EraseError, Event, Ledger, Receipt};

use crate::machine::{Machine, Person, administration, approved, check, seed};

/// How many machines; a soak sets more.
const MACHINES: &str = "CLOISTER_TEST_MACHINES";
const MACHINES_DEFAULT: u64 = 500;

/// What was asked of a machine, over all its lives.
#[derive(Default)]
struct History {
    /// By number: what was submitted, whatever came of it.
    submitted: BTreeMap<u64, Entry>,
    /// By number: where it is, as was acknowledged.
    acknowledged: BTreeMap<u64, Receipt>,
    /// Leaves whose erasure was acknowledged.
    erased: BTreeSet<u64>,
    /// Leaves whose erasure was asked for.
    erasing: BTreeSet<u64>,
    crashes: u64,
    errors: u64,
}

/// Whatever was acknowledged is there afterwards, as it was submitted; what was not acknowledged is there
/// once or not at all; nothing else is; the log verifies; what was erased is nowhere.
#[test]
fn machines_that_crash() {
    let seed = seed();
    let machines: u64 = std::env::var(MACHINES).map_or(MACHINES_DEFAULT, |count| count.parse().unwrap());
    let (mut leaves, mut crashes, mut errors, mut erased) = (0, 0, 0, 0);
    for number in 0..machines {
        let history = run(Chance(seed.wrapping_add(number)), &format!("machine {number}"));
        leaves += history.acknowledged.len();
        crashes += history.crashes;
        errors += history.errors;
        erased += history.erased.len();
    }
    println!(
        "simulation: {machines} machines, {crashes} crashes, {errors} errors of the storage, \
         {leaves} leaves acknowledged and found, {erased} bodies erased"
    );
}

fn run(mut chance: Chance, name: &str) -> History {
    let mut machine = Machine::new();
    let mut history = History::default();
    for _life in 0..1 + chance.below(4) {
        let fault = match chance.below(8) {
            0 | 1 => Fault::CrashBefore,
            2 | 3 => Fault::CrashAfter,
            4 => Fault::ErrorBefore,
            5 => Fault::ErrorAfter,
            6 => Fault::NoSpace,
            _ => Fault::Short,
        };
        let victim = if chance.below(4) == 0 { &machine.notary } else { &machine.log };
        victim.fail_at(u64::try_from(chance.below(90)).unwrap(), fault);
        if chance.below(4) == 0 {
            let back = i64::try_from(chance.below(100_000)).unwrap() - 90_000;
            machine.clock_ms.fetch_add(back, Ordering::Relaxed);
        }
        if let Ok(ledger) = machine.open() {
            live(&ledger, &machine, &mut history, &mut chance);
            if chance.below(5) == 0 {
                let _ = ledger.close();
            }
        }
        match fault {
            _ if machine.log.has_crashed() || machine.notary.has_crashed() => history.crashes += 1,
            Fault::CrashBefore | Fault::CrashAfter => {}
            _ => history.errors += 1,
        }
        let survivors = match chance.below(2) {
            0 => Survivors::Synced,
            _ => Survivors::SyncedAndSome { seed: chance.draw() },
        };
        machine = machine.crash(survivors);
        mend(&machine, name);
    }
    examine(&machine, &history, name);
    history
}

/// What people ask of it until it breaks, or they have enough.
fn live(ledger: &Ledger, machine: &Machine, history: &mut History, chance: &mut Chance) {
    for _ in 0..chance.below(40) {
        match chance.below(40) {
            0 => drop(ledger.sign()),
            1 => drop(ledger.settle()),
            2 => {
                machine.log.set_free_bytes(1 << 20);
                let number = submit(history);
                let refused = ledger.append_blocking(history.submitted[&number].clone());
                assert!(refused.is_err(), "a low disk takes nothing");
                if matches!(refused, Err(AppendError::DiskLow { .. })) {
                    history.submitted.remove(&number);
                }
                machine.log.set_free_bytes(1 << 40);
            }
            3 | 4 => {
                let with_body = |(number, receipt): (&u64, &Receipt)| {
                    history.submitted[number].body.is_some().then_some(receipt.index)
                };
                let bodies: Vec<u64> = history.acknowledged.iter().filter_map(with_body).collect();
                let enrolled = [0, 1].iter().all(|number| history.acknowledged.contains_key(number));
                if bodies.is_empty() || !enrolled {
                    continue;
                }
                let victim = bodies[chance.below(bodies.len())];
                let Ok(leaves) = ledger.erasable(&[victim]) else { continue };
                history.erasing.insert(victim);
                match ledger.erase(approved(leaves)) {
                    Ok(_) => drop(history.erased.insert(victim)),
                    Err(EraseError::Append(_) | EraseError::Incomplete(_)) => return,
                    Err(EraseError::Read(_)) if machine.log.has_crashed() => return,
                    Err(error) => panic!("{error}"),
                }
            }
            _ => {
                let number = submit(history);
                match ledger.append_blocking(history.submitted[&number].clone()) {
                    Ok(receipt) => drop(history.acknowledged.insert(number, receipt)),
                    Err(_) => return,
                }
            }
        }
    }
}

/// The first two enrol those who approve erasures.
fn submit(history: &mut History) -> u64 {
    let number = history.submitted.last_key_value().map_or(0, |(last, _)| last + 1);
    let entry = match number {
        0 => Person::ada().enrolment(),
        1 => Person::grace().enrolment(),
        number => administration(number),
    };
    history.submitted.insert(number, entry);
    number
}

/// Whatever a crash leaves, the doctor calls none of it damage; what it mends takes nothing away.
fn mend(machine: &Machine, name: &str) {
    let found = crate::doctor::examine(machine);
    assert!(found.damage.is_empty(), "{name}: {:?}", found.damage);
    found.mend(&machine.log).unwrap_or_else(|error| panic!("{name}: {error}"));
}

fn examine(machine: &Machine, history: &History, name: &str) {
    let ledger = machine.open().unwrap_or_else(|error| panic!("{name}: {error}"));
    ledger.settle().unwrap();
    assert!(machine.open().is_err(), "{name}: a second writer");
    for (number, receipt) in &history.acknowledged {
        let record = ledger
            .record(receipt.index)
            .unwrap_or_else(|error| panic!("{name}, leaf {}: {error}", receipt.index));
        let submitted = &history.submitted[number];
        assert_eq!(record.leaf.event, submitted.event, "{name}, leaf {}", receipt.index);
        if record.erased {
            assert!(history.erasing.contains(&receipt.index), "{name}, leaf {}", receipt.index);
        } else {
            assert!(!history.erased.contains(&receipt.index), "{name}, leaf {}", receipt.index);
            assert_eq!(record.body, submitted.body, "{name}, leaf {}", receipt.index);
        }
    }
    // Nothing is there that nobody submitted, nothing twice.
    let by_index: BTreeMap<u64, u64> =
        history.acknowledged.iter().map(|(number, receipt)| (receipt.index, *number)).collect();
    assert_eq!(by_index.len(), history.acknowledged.len(), "{name}: one index for two leaves");
    let mut unacknowledged: Vec<&Entry> = history
        .submitted
        .iter()
        .filter(|(number, _)| !history.acknowledged.contains_key(number))
        .map(|(_, entry)| entry)
        .collect();
    for index in 0..ledger.head().size {
        let event = ledger.record(index).unwrap().leaf.event;
        let ours = matches!(event, Event::Genesis { .. } | Event::Recovered { .. } | Event::Erasure(_));
        if !ours && !by_index.contains_key(&index) {
            let place = unacknowledged.iter().position(|entry| entry.event == event);
            let place = place.unwrap_or_else(|| panic!("{name}: leaf {index} is nobody's, or there twice"));
            unacknowledged.remove(place);
        }
    }
    // A forged receipt is not found.
    let forged = Receipt { index: 1, leaf_hash: [9; 32] };
    ledger.close().unwrap();

    let seen = history.acknowledged.values().copied().map(Seen::Receipt);
    let report = check(&machine.log, seen.clone().collect());
    assert_eq!(report.verdict, Verdict::Passed, "{name}: {:?}", report.problems);
    let erased = report.findings.iter().filter(|finding| finding.kind == FindingKind::Erased).count();
    assert!(erased >= history.erased.len(), "{name}");
    let report = check(&machine.log, seen.chain([Seen::Receipt(forged)]).collect());
    assert_eq!(report.verdict, Verdict::Failed, "{name}");
}
