//! Every kind of tampering is detected, and named.

use ledger::disk::Disk as _;
use ledger::fault::{Chance, FaultDisk};
use ledger::verify::{Options, Report, RollBack, Seen, Verdict, verify};
use ledger::{Ledger, Receipt};
use tlog::{Checkpoint, CosigningKey, Policy, SigningKey};

use crate::machine::{KEY, Machine, ORIGIN, administration, check, keys, seed, verifier, written};

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

/// What whoever verifies the log holds, beside the log's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Key,
    BodyKey,
    Checkpoint,
    Receipt,
    Witness,
}

const HELD: [Held; 5] = [Held::Key, Held::BodyKey, Held::Checkpoint, Held::Receipt, Held::Witness];

/// What a problem must say: its file, or else words of what is wrong. `None` where nothing can be told.
type Named = Option<&'static str>;

/// A log with a cosigned checkpoint, an older whole copy of it, another history under the same key, and what
/// was kept elsewhere.
struct Site {
    log: FaultDisk,
    older: FaultDisk,
    other: FaultDisk,
    checkpoint: String,
    receipt: Receipt,
    policy: String,
    witnessed: String,
}

const BUNDLE: &str = "tile/entries/000";
const TILE: &str = "tile/0/000";
const PACK: &str = "bodies/000";
const PAGE: &str = "body-keys/000";
const STRAY: &str = "witnessed/00000000000000000050";

fn site() -> Site {
    let witness = CosigningKey::ed25519("other.example/witness", [7; 32]).unwrap();
    let policy = format!("log {}\nwitness w {}\nquorum w\n", verifier(), witness.verifier());
    let machine = Machine::new();
    let write = |ledger: &Ledger, numbers: std::ops::Range<u64>| {
        let written = numbers.map(|number| ledger.append_blocking(administration(number)).unwrap());
        written.collect::<Vec<_>>().pop().unwrap()
    };
    let ledger = machine.open().unwrap();
    write(&ledger, 0..100);
    ledger.settle().unwrap();
    ledger.close().unwrap();
    let older = machine.log.snapshot();

    let ledger = machine.open().unwrap();
    let receipt = write(&ledger, 100..600);
    ledger.settle().unwrap();
    let request = ledger.witness_request(Some(0)).unwrap();
    let signed = Checkpoint::open(&request.checkpoint, &verifier().parse().unwrap()).unwrap();
    let cosigned = request.checkpoint.clone() + &witness.cosign(&signed, 1_800_000_000).unwrap();
    let checked = ledger.check_witnessed(&cosigned, policy.as_bytes()).unwrap();
    let (size, root, witnesses) = (checked.size, protocol::Digest(checked.root), checked.witnesses.clone());
    let event = ledger::Event::Witness { size, root, witnesses };
    ledger.append_blocking(ledger::Entry { event, body: None }).unwrap();
    ledger.store_witnessed(&checked).unwrap();
    // So that nothing but the tiles says what the leaves are.
    ledger.settle().unwrap();
    ledger.close().unwrap();

    let forger = Machine::new();
    let ledger = forger.open().unwrap();
    write(&ledger, 1000..1610);
    ledger.settle().unwrap();
    ledger.close().unwrap();
    Site {
        checkpoint: String::from_utf8(machine.log.bytes("checkpoint").unwrap()).unwrap(),
        witnessed: format!("witnessed/{size:020}"),
        log: machine.log,
        older,
        other: forger.log,
        receipt,
        policy,
    }
}

impl Site {
    fn verify(&self, log: &FaultDisk, held: Held) -> Report {
        let seen = match held {
            Held::Checkpoint => vec![Seen::Checkpoint(self.checkpoint.clone())],
            Held::Receipt => vec![Seen::Receipt(self.receipt)],
            Held::Key | Held::BodyKey | Held::Witness => Vec::new(),
        };
        let options = Options {
            verifier: Some(verifier()),
            policy: (held == Held::Witness).then(|| Policy::parse(self.policy.as_bytes()).unwrap()),
            keys: (held == Held::BodyKey).then(keys),
            seen,
            ..Options::default()
        };
        verify(log, &options, &mut |_| {}).unwrap()
    }
}

fn change(log: &FaultDisk, path: &str, run: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = log.bytes(path).unwrap();
    run(&mut bytes);
    log.tamper(path, Some(bytes));
}

fn change_leaves(log: &FaultDisk, run: impl FnOnce(&mut Vec<Vec<u8>>)) {
    change_leaves_of(log, BUNDLE, run);
}

fn change_leaves_of(log: &FaultDisk, bundle: &str, run: impl FnOnce(&mut Vec<Vec<u8>>)) {
    change(log, bundle, |bytes| {
        let mut leaves: Vec<Vec<u8>> =
            tlog::entry::parse(bytes, 256).unwrap().into_iter().map(|entry| entry.leaf.to_vec()).collect();
        run(&mut leaves);
        bytes.clear();
        leaves.iter().for_each(|leaf| tlog::entry::append(bytes, leaf).unwrap());
    });
}

/// The bytes of a leaf's slot: offset, length, wrapped key.
fn slot(index: usize) -> std::ops::Range<usize> {
    index * 96..(index + 1) * 96
}

fn swap(bytes: &mut [u8], one: std::ops::Range<usize>, two: std::ops::Range<usize>) {
    let (first, second) = (bytes[one.clone()].to_vec(), bytes[two.clone()].to_vec());
    assert_eq!(first.len(), second.len());
    bytes[one].copy_from_slice(&second);
    bytes[two].copy_from_slice(&first);
}

/// Where a body lies in its pack.
fn payload(log: &FaultDisk, index: usize) -> std::ops::Range<usize> {
    let page = log.bytes(PAGE).unwrap();
    let number =
        |at: usize| usize::try_from(u64::from_le_bytes(page[at..at + 8].try_into().unwrap())).unwrap();
    let at = slot(index).start;
    number(at)..number(at) + number(at + 8)
}

/// One kind of tampering: its name, how it is done, and what each of [`HELD`] finds.
struct Tampering {
    name: &'static str,
    run: fn(&Site, &mut FaultDisk),
    named: [Named; 5],
}

const fn by_all(name: &'static str, word: &'static str, run: fn(&Site, &mut FaultDisk)) -> Tampering {
    Tampering { name, run, named: [Some(word); 5] }
}

/// Two leaves with bodies of the same length, and one without.
const ONE: usize = 31;
const TWO: usize = 34;
const NONE: usize = 20;

fn tamperings() -> Vec<Tampering> {
    vec![
        by_all("a bit of a leaf flipped", BUNDLE, |_, log| change(log, BUNDLE, |bytes| bytes[5000] ^= 1)),
        by_all("a leaf dropped", BUNDLE, |_, log| change_leaves(log, |leaves| drop(leaves.remove(NONE)))),
        by_all("two leaves reordered", BUNDLE, |_, log| change_leaves(log, |leaves| leaves.swap(20, 21))),
        by_all("a leaf inserted a second time", BUNDLE, |_, log| {
            change_leaves(log, |leaves| leaves.insert(NONE, leaves[NONE].clone()));
        }),
        by_all("a leaf in the place of another", BUNDLE, |_, log| {
            change_leaves(log, |leaves| leaves[NONE] = leaves[NONE + 1].clone());
        }),
        by_all("a leaf replaced, and its hashes in the tiles", "checkpoint", |_, log| {
            let mut hash = [0; 32];
            change_leaves(log, |leaves| {
                let text = String::from_utf8(leaves[NONE].clone()).unwrap();
                leaves[NONE] = text.replace("\"tester\"", "\"nobody\"").into_bytes();
                hash = tlog::leaf_hash(&leaves[NONE]);
            });
            let mut root = [0; 32];
            change(log, TILE, |bytes| {
                bytes[NONE * 32..(NONE + 1) * 32].copy_from_slice(&hash);
                let hashes = tlog::tile::decode(bytes, 256).unwrap();
                root = tlog::tile::full_tile_root(&hashes.try_into().unwrap());
            });
            change(log, "tile/1/000.p/2", |bytes| bytes[..32].copy_from_slice(&root));
        }),
        by_all("a leaf replaced, and its hash in the lowest tile alone", "tile/1/000.p/2", |_, log| {
            let mut hash = [0; 32];
            change_leaves_of(log, "tile/entries/001", |leaves| {
                let text = String::from_utf8(leaves[9].clone()).unwrap();
                leaves[9] = text.replace("\"tester\"", "\"nobody\"").into_bytes();
                hash = tlog::leaf_hash(&leaves[9]);
            });
            change(log, "tile/0/001", |bytes| bytes[9 * 32..10 * 32].copy_from_slice(&hash));
        }),
        by_all("a bit of a tile flipped", TILE, |_, log| change(log, TILE, |bytes| bytes[900] ^= 1)),
        by_all("a bit of a tile above flipped", "tile/1/000.p/2", |_, log| {
            change(log, "tile/1/000.p/2", |bytes| bytes[9] ^= 1);
        }),
        by_all("a tile of another history", TILE, |site, log| log.tamper(TILE, site.other.bytes(TILE))),
        by_all("the last entries cut off", "tile/entries/002.p", |_, log| {
            let path = log.paths().into_iter().find(|path| path.starts_with("tile/entries/002.p")).unwrap();
            change(log, &path, |bytes| bytes.truncate(bytes.len() / 2));
        }),
        by_all("the last tile removed", "tile/0/002.p", |_, log| {
            let path = log.paths().into_iter().find(|path| path.starts_with("tile/0/002.p")).unwrap();
            log.tamper(&path, None);
        }),
        // Still base64, whatever the root is.
        by_all("a letter of the checkpoint's root changed", "checkpoint", |_, log| {
            change(log, "checkpoint", |bytes| bytes[25] = if bytes[25] == b'A' { b'B' } else { b'A' });
        }),
        by_all("the checkpoint of another history", "checkpoint", |site, log| {
            log.tamper("checkpoint", site.other.bytes("checkpoint"));
        }),
        by_all("a bit of a body flipped", PACK, |_, log| change(log, PACK, |bytes| bytes[100] ^= 1)),
        by_all("two bodies swapped", PACK, |_, log| {
            let (one, two) = (payload(log, ONE), payload(log, TWO));
            change(log, PACK, |bytes| swap(bytes, one, two));
        }),
        by_all("the bodies of 256 leaves removed", PACK, |_, log| log.tamper(PACK, None)),
        by_all("two slots of keys swapped", PAGE, |_, log| {
            change(log, PAGE, |bytes| swap(bytes, slot(ONE), slot(TWO)));
        }),
        Tampering {
            name: "two wrapped keys swapped",
            run: |_, log| {
                let key = |index| slot(index).start + 16..slot(index).end;
                change(log, PAGE, |bytes| swap(bytes, key(ONE), key(TWO)));
            },
            named: [None, Some(PACK), None, None, None],
        },
        by_all("a key destroyed without an erasure", PAGE, |_, log| {
            change(log, PAGE, |bytes| bytes[slot(ONE)][16..92].fill(0));
        }),
        by_all("a cosigned checkpoint of another history, stray", "witnessed/", |_, log| {
            let key = SigningKey::new(ORIGIN, KEY).unwrap();
            let forged = Checkpoint { origin: ORIGIN.to_owned(), size: 50, root: [1; 32] };
            log.tamper(STRAY, Some(forged.sign(&key).unwrap().into_bytes()));
        }),
        by_all("a cosigned checkpoint by another key, stray", "witnessed/", |_, log| {
            let key = SigningKey::new(ORIGIN, [5; 32]).unwrap();
            let forged = Checkpoint { origin: ORIGIN.to_owned(), size: 50, root: [1; 32] };
            log.tamper(STRAY, Some(forged.sign(&key).unwrap().into_bytes()));
        }),
        Tampering {
            name: "the cosigned checkpoint removed",
            run: |site, log| log.tamper(&site.witnessed, None),
            named: [None, None, None, None, Some("cosignatures")],
        },
        Tampering {
            name: "rolled back: an older copy of the whole log",
            run: |site, log| *log = site.older.snapshot(),
            named: [None, None, Some("rolled back"), Some("rolled back"), Some("cosignatures")],
        },
        Tampering {
            name: "forked: another history, signed with the log's own key",
            run: |site, log| *log = site.other.snapshot(),
            named: [None, None, Some("rewritten"), Some("rewritten"), Some("cosignatures")],
        },
        by_all("forked, with the cosigned checkpoint beside it", "witnessed/", |site, log| {
            let cosigned = log.bytes(&site.witnessed);
            *log = site.other.snapshot();
            log.create_dir("witnessed").unwrap();
            log.tamper(&site.witnessed, cosigned);
        }),
    ]
}

/// Each kind of tampering, by what whoever verifies the log holds; the table is in docs/threat-model.md.
#[test]
fn every_kind_of_tampering() {
    let site = site();
    for held in HELD {
        let report = site.verify(&site.log, held);
        assert_eq!(report.verdict, Verdict::Passed, "{held:?}: {:?}", report.problems);
        let excluded = matches!(report.roll_back, RollBack::ExcludedUpTo(_));
        assert_eq!(excluded, !matches!(held, Held::Key | Held::BodyKey), "{held:?}");
    }
    let mut table = String::from(
        "| what was done | the log's key | and the body key | and a kept checkpoint | and a receipt | and a policy with a witness | leaves still good |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Tampering { name, run, named } in tamperings() {
        let mut log = site.log.snapshot();
        run(&site, &mut log);
        table.push_str(&format!("| {name} |"));
        for (held, named) in HELD.into_iter().zip(named) {
            let report = site.verify(&log, held);
            let is_named = |problem: &ledger::verify::Problem, word: &str| {
                problem.file.as_deref().is_some_and(|file| file.starts_with(word))
                    || problem.what.contains(word)
            };
            match named {
                Some(word) => {
                    assert_eq!(report.verdict, Verdict::Failed, "{name}, {held:?}");
                    assert!(
                        report.problems.iter().any(|problem| is_named(problem, word)),
                        "{name}, {held:?}: {:?}",
                        report.problems
                    );
                    table.push_str(&format!(" {word} |"));
                }
                None => {
                    assert_eq!(report.verdict, Verdict::Passed, "{name}, {held:?}: {:?}", report.problems);
                    if matches!(held, Held::Key | Held::BodyKey) {
                        assert_eq!(report.roll_back, RollBack::NotExcluded, "{name}, {held:?}");
                    }
                    table.push_str(" **passes** |");
                }
            }
        }
        table.push_str(&format!(" {} |\n", site.verify(&log, Held::Key).good_up_to));
    }
    println!("{table}");
    let page = include_str!("../../../../docs/threat-model.md");
    assert!(page.contains(&table), "docs/threat-model.md has another table than this:\n{table}");
}
