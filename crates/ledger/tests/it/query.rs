//! Queries against a plain scan over the leaves, and an index that is lost, damaged or of another log.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ledger::disk::RealDisk;
use ledger::{
    Commitment, Entry, Event, Filter, Intent, Leaf, Ledger, LedgerConfig, LocalNotary, Opening, Outcome,
    Refusal, ReplayOutcome, ResultLeaf, Salt, Salts,
};
use protocol::Digest;
use protocol::worker::{Sampling, Stop, Times};

use crate::machine::{KEY, ORIGIN, keys, seed};

/// What no file but an encrypted body may hold.
const CANARY: &str = "kestrel-quince-4711";

const PEOPLE: [&str; 4] = ["ada", "bob", "eve", "owner"];
const DEPLOYMENTS: [&str; 2] = ["coder", "small"];
const REPOSITORIES: [&str; 3] = ["https://git.example/flight.git", "flight", "ground"];
const PATHS: [&str; 5] = ["src/a.adb", "src/deep/b.adb", "README.md", "src/c.rs", "src2/a.adb"];
const LABELS: [&str; 3] = ["flight", "secret", "eu"];
const ACTIONS: [&str; 4] = ["chat", "complete", "fill", "token issue"];
const OUTCOMES: [&str; 5] = ["answered", "cancelled", "failed", "same", "different"];
const KINDS: [&str; 6] = ["intent", "refusal", "administration", "replay", "posture", "genesis"];

/// A generator of numbers, for tests.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn maybe(&mut self, one_in: usize, words: &[&str]) -> Option<String> {
        (self.below(one_in) == 0).then(|| self.of(words).to_owned())
    }
}

fn open(directory: &Path) -> Ledger {
    let notary = LocalNotary::open(&directory.join("notary"), ORIGIN, KEY).unwrap();
    let disk = Arc::new(RealDisk::create(&directory.join("ledger")).unwrap());
    let config = LedgerConfig::new(notary.verifier(), keys(), disk, Box::new(notary));
    let config = LedgerConfig { disk_free_bytes_min: 0, ..config };
    // A clock that falls back now and then.
    let steps = std::sync::atomic::AtomicU64::new(0);
    let clock = Arc::new(move || {
        let step = steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        1_000_000 + step * 10 - (step % 7) * 300 * u64::from(step > 1000)
    });
    Ledger::open(LedgerConfig { clock, ..config }).unwrap().0
}

fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    fs::File::create(path).unwrap().write_all(bytes.as_ref()).unwrap();
}

fn salts() -> Salt {
    Salt::from([5; 16])
}

fn intent(draw: &mut Draw, text: Option<&str>) -> Entry {
    let digest = Digest([u8::try_from(draw.below(3)).unwrap(); 32]);
    let labels: Vec<String> = LABELS.iter().filter(|_| draw.below(8) == 0).map(|&l| l.to_owned()).collect();
    let prompt = text.unwrap_or_default();
    let event = Intent {
        identity: draw.of(&PEOPLE).to_owned(),
        credential: "token:1".to_owned(),
        labels,
        policy: digest,
        action: draw.of(&ACTIONS[..3]).to_owned(),
        dialect: "openai.chat".to_owned(),
        deployment: draw.of(&DEPLOYMENTS).to_owned(),
        repository: draw.maybe(2, &REPOSITORIES),
        path: draw.maybe(2, &PATHS),
        model: (draw.below(4) > 0).then_some(digest),
        upstream: None,
        template: digest,
        engine_build: digest,
        lock: None,
        cpu_level: String::new(),
        cpu_features: String::new(),
        llama_version: String::new(),
        profile: "reproducible".to_owned(),
        reproducible: true,
        sampling: Sampling::GREEDY,
        tokens_max: 1,
        stop_strings: 0,
        predict_ms_max: None,
        prompt_tokens: 1,
        prompt: Commitment::new(&salts(), prompt.as_bytes()),
        context: Commitment::new(&salts(), b""),
    };
    let opening = Opening {
        salts: Salts { prompt: Some(salts()), context: Some(salts()), output: None, diagnostics: None },
        prompt_text: Some(prompt.to_owned()),
        context_text: Some(String::new()),
        ..Opening::default()
    };
    let body = text.map(|_| serde_json::to_vec(&opening).unwrap());
    Entry { event: Event::Intent(Box::new(event)), body }
}

fn result(draw: &mut Draw, record: u64, text: Option<&str>) -> Entry {
    let outcome = [Outcome::Answered, Outcome::Answered, Outcome::Cancelled, Outcome::Failed][draw.below(4)];
    let event = ResultLeaf {
        record,
        outcome,
        detail: String::new(),
        stop: [None, Some(Stop::StopString(2)), Some(Stop::Cancelled)][draw.below(3)],
        output: Commitment::new(&salts(), text.unwrap_or_default().as_bytes()),
        answer_tokens: 3,
        prompt_tokens_cached: 0,
        times: Times::default(),
        fingerprints: Digest([0; 32]),
    };
    let opening = Opening { output_text: text.map(str::to_owned), ..Opening::default() };
    let body = text.map(|_| serde_json::to_vec(&opening).unwrap());
    Entry { event: Event::Result(Box::new(event)), body }
}

fn other(draw: &mut Draw) -> Entry {
    let event = match draw.below(4) {
        0 => Event::Refusal(Refusal {
            identity: draw.maybe(2, &PEOPLE),
            dialect: "openai.chat".to_owned(),
            reason: "no".to_owned(),
            count: 1,
            action: None,
            policy: None,
            rule: None,
        }),
        1 => Event::Administration {
            actor: format!("{} (uid:1)", draw.of(&PEOPLE)),
            action: "token issue".to_owned(),
            subject: "x".to_owned(),
            detail: String::new(),
        },
        2 => Event::Replay {
            record: 0,
            outcome: [ReplayOutcome::Same, ReplayOutcome::Different, ReplayOutcome::Failed][draw.below(3)],
            detail: String::new(),
        },
        _ => Event::Posture { occasion: "start".to_owned(), passed: 1, failed: 0, untried: 0, clock: None },
    };
    Entry { event, body: None }
}

/// Appends leaves from several threads, as one that waits for each sync would take long.
fn fill(ledger: &Ledger, seed: u64, leaves: u64) {
    const THREADS: u64 = 64;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut draw = Draw(seed ^ (thread << 32));
                let mut left = leaves / THREADS;
                while left > 0 {
                    left -= 1;
                    if draw.below(5) == 0 {
                        ledger.append_blocking(other(&mut draw)).unwrap();
                        continue;
                    }
                    let record = ledger.append_blocking(intent(&mut draw, None)).unwrap().index;
                    if left > 0 && draw.below(10) > 0 {
                        left -= 1;
                        ledger.append_blocking(result(&mut draw, record, None)).unwrap();
                    }
                }
            });
        }
    });
}

/// The same question, asked of the leaves' types one by one.
fn scan(leaves: &[Leaf], results: &[Option<usize>], filter: &Filter, before: u64, count: usize) -> Vec<u64> {
    let takes = |index: usize| {
        let leaf = &leaves[index];
        let (mut person, mut model, mut deployment, mut repository, mut path) =
            (None, None, None, None, None);
        let (mut outcome, mut action, mut labels) = (None, None, Vec::new());
        match &leaf.event {
            Event::Block(_) | Event::Result(_) => return false,
            Event::Intent(intent) => {
                person = Some(intent.identity.clone());
                model = intent.model.map(|model| model.to_string());
                deployment = Some(intent.deployment.clone());
                (repository, path) = (intent.repository.clone(), intent.path.clone());
                action = Some(intent.action.clone());
                labels.clone_from(&intent.labels);
                if let Some(Event::Result(result)) = results[index].map(|index| &leaves[index].event) {
                    outcome = Some(format!("{:?}", result.outcome).to_lowercase());
                }
            }
            Event::Refusal(refusal) => person.clone_from(&refusal.identity),
            Event::Administration { actor, action: done, .. } => {
                person = actor.split(' ').next().map(str::to_owned);
                action = Some(done.clone());
            }
            Event::Replay { outcome: ended, .. } => outcome = Some(format!("{ended:?}").to_lowercase()),
            _ => {}
        }
        let equal = |asked: &Option<String>, held: &Option<String>| asked.is_none() || asked == held;
        let path_fits = filter.path.as_deref().is_none_or(|asked| {
            path.as_deref().is_some_and(|path| match asked {
                "src/*.adb" => path == "src/a.adb",
                "**.adb" => path.ends_with(".adb"),
                "src" => path.starts_with("src"),
                _ => path.starts_with(asked),
            })
        });
        let model_fits = filter
            .model
            .as_deref()
            .is_none_or(|asked| model.as_deref().is_some_and(|model| model[7..].starts_with(asked)));
        equal(&filter.person, &person)
            && equal(&filter.deployment, &deployment)
            && equal(&filter.repository, &repository)
            && equal(&filter.outcome, &outcome)
            && equal(&filter.action, &action)
            && model_fits
            && path_fits
            && filter.kind.as_deref().is_none_or(|kind| kind == leaf.event.kind())
            && filter.label.as_ref().is_none_or(|label| labels.contains(label))
            && filter.since_unix_ms.is_none_or(|since| leaf.time_unix_ms >= since)
            && filter.until_unix_ms.is_none_or(|until| leaf.time_unix_ms < until)
    };
    let end = usize::try_from(before).unwrap().min(leaves.len());
    (0..end).rev().filter(|&index| takes(index)).take(count).map(|index| index as u64).collect()
}

fn drawn(draw: &mut Draw, leaves: u64) -> Filter {
    let time = |draw: &mut Draw| 1_000_000 + draw.next() % (leaves * 11);
    Filter {
        person: draw.maybe(3, &["ada", "bob", "eve", "owner", "nobody"]),
        since_unix_ms: (draw.below(4) == 0).then(|| time(draw)),
        until_unix_ms: (draw.below(4) == 0).then(|| time(draw)),
        kind: draw.maybe(5, &KINDS),
        model: draw.maybe(5, &["0000", "0101", "ffff"]),
        deployment: draw.maybe(5, &DEPLOYMENTS),
        repository: draw.maybe(5, &REPOSITORIES),
        path: draw.maybe(5, &["src/*.adb", "**.adb", "src", "README.md", "none"]),
        label: draw.maybe(5, &LABELS),
        outcome: draw.maybe(5, &OUTCOMES),
        action: draw.maybe(5, &ACTIONS),
        text: None,
    }
}

#[test]
fn queries_find_what_a_scan_finds() {
    const LEAVES: u64 = 20_000;
    let seed = seed();
    eprintln!("CLOISTER_TEST_SEED={seed}");
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    fill(&ledger, seed, LEAVES);
    let size = ledger.head().size;
    assert!(size > LEAVES * 9 / 10, "{size}");
    let (mut leaves, mut at) = (Vec::new(), size);
    while at > 0 {
        let page = ledger.list(Some(at), 1000).unwrap();
        at = page.last().unwrap().index;
        leaves.extend(page.into_iter().map(|record| record.leaf));
    }
    leaves.reverse();
    let mut results = vec![None; leaves.len()];
    for (index, leaf) in leaves.iter().enumerate() {
        if let Event::Result(result) = &leaf.event {
            results[usize::try_from(result.record).unwrap()] = Some(index);
        }
    }
    let mut draw = Draw(seed);
    let mut found = 0;
    for _ in 0..400 {
        let filter = drawn(&mut draw, LEAVES);
        let count = 1 + draw.below(50);
        let before = if draw.below(2) == 0 { size } else { draw.next() % (size + 10) };
        let page = ledger.query(&filter, Some(before), u32::try_from(count).unwrap()).unwrap();
        let indexes: Vec<u64> = page.rows.iter().map(|row| row.leaf).collect();
        let expected = scan(&leaves, &results, &filter, before, count + 1);
        assert_eq!(indexes, expected[..expected.len().min(count)], "{filter:?} before {before}");
        assert_eq!(page.before.is_some(), expected.len() > count, "{filter:?}");
        for row in &page.rows {
            let result = results[usize::try_from(row.leaf).unwrap()];
            assert_eq!(row.result, result.map(|index| index as u64));
        }
        found += indexes.len();
    }
    assert!(found > 1000, "the filters are too narrow: {found}");

    // An export in pages holds every leaf, in order, with its hash.
    let (mut next, mut exported) = (0, Vec::new());
    loop {
        let page = ledger.export(&Filter::default(), next, 1000).unwrap();
        exported.extend(page.leaves.iter().map(|leaf| leaf.row.leaf));
        assert_eq!(page.origin, ORIGIN);
        if page.next == page.size {
            break;
        }
        next = page.next;
    }
    assert_eq!(exported, (0..size).collect::<Vec<_>>());
    let ada = Filter { person: Some("ada".to_owned()), kind: Some("result".to_owned()), ..Filter::default() };
    let page = ledger.export(&ada, 0, 4096).unwrap();
    assert!(!page.leaves.is_empty());
    for leaf in page.leaves {
        let Event::Intent(intent) = &leaves[usize::try_from(leaf.row.record.unwrap()).unwrap()].event else {
            panic!("{leaf:?}")
        };
        assert_eq!(intent.identity, "ada");
    }
    ledger.close().unwrap();
}

#[test]
fn an_index_is_made_again_and_holds_no_text() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("ledger");
    let ada = Filter { person: Some("ada".to_owned()), ..Filter::default() };
    let mut draw = Draw(7);
    let ledger = open(directory.path());
    fill(&ledger, 7, 640);
    let text = format!("where is the {CANARY}?");
    let asked = ledger.append_blocking(intent(&mut draw, Some(&text))).unwrap().index;
    ledger.append_blocking(result(&mut draw, asked, Some("It flew away."))).unwrap();

    // Words of prompt and answer, in any case and order.
    for (words, expected) in [("AWAY kestrel-quince", 1), ("kestrel nowhere", 0)] {
        let filter = Filter { text: Some(words.to_owned()), ..Filter::default() };
        let page = ledger.query(&filter, None, 10).unwrap();
        assert_eq!(page.rows.iter().filter(|row| row.leaf == asked).count(), expected, "{words}");
        assert_eq!((page.rows.len(), page.truncated), (expected, false));
        assert!(page.searched > 100);
    }
    let expected = ledger.query(&ada, None, 1000).unwrap();
    assert!(expected.rows.len() > 50);
    ledger.clone().close().unwrap();
    drop(ledger);

    // No byte of a body, in whatever SQLite keeps.
    for entry in fs::read_dir(&place).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("index.db") {
            let bytes = fs::read(&path).unwrap();
            for part in [CANARY.as_bytes(), b"flew away"] {
                assert!(!bytes.windows(part.len()).any(|window| window == part), "{}", path.display());
            }
        }
    }
    assert!(place.join("index.db").is_file());

    let gone = || ["index.db-wal", "index.db-shm"].map(|name| fs::remove_file(place.join(name)).ok());
    let check = |what: &str| {
        let ledger = open(directory.path());
        assert_eq!(ledger.query(&ada, None, 1000).unwrap(), expected, "{what}");
        ledger.clone().close().unwrap();
        drop(ledger);
    };
    check("as it was");
    let whole = fs::read(place.join("index.db")).unwrap();
    gone();
    fs::remove_file(place.join("index.db")).unwrap();
    check("deleted");
    gone();
    write(place.join("index.db"), vec![0x5a; 4096]);
    check("no database");
    gone();
    write(place.join("index.db"), &whole[..whole.len() / 2]);
    check("cut off");
    // Damage anywhere is found or does no harm.
    for at in (4096..whole.len()).step_by(whole.len() / 48) {
        gone();
        let mut bytes = whole.clone();
        for byte in &mut bytes[at..(at + 64).min(whole.len())] {
            *byte = !*byte;
        }
        write(place.join("index.db"), bytes);
        let ledger = open(directory.path());
        let rows = ledger.query(&ada, None, 1000).unwrap().rows;
        assert!(rows.iter().all(|row| expected.rows.contains(row)), "a row that no leaf has, from {at}");
        ledger.close().unwrap();
    }

    // The log of another machine, shorter and of other leaves, under this index.
    gone();
    fs::remove_file(place.join("index.db")).unwrap();
    check("again");
    for leaves in [640, 1280] {
        let other = tempfile::tempdir().unwrap();
        let ledger = open(other.path());
        fill(&ledger, 8, leaves);
        let expected = ledger.query(&ada, None, 1000).unwrap();
        ledger.close().unwrap();
        let index = other.path().join("ledger/index.db");
        fs::copy(place.join("index.db"), &index).unwrap();
        for ending in ["-wal", "-shm"] {
            fs::remove_file(other.path().join(format!("ledger/index.db{ending}"))).ok();
        }
        let ledger = open(other.path());
        assert_eq!(ledger.query(&ada, None, 1000).unwrap(), expected, "{leaves} other leaves");
        ledger.close().unwrap();
    }
}

#[test]
fn filters_that_cannot_be_meant() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let asked = |filter: Filter| ledger.query(&filter, None, 1).unwrap_err().to_string();
    assert!(asked(Filter { kind: Some("result".to_owned()), ..Filter::default() }).contains("`intent`"));
    assert!(asked(Filter { text: Some(" ".to_owned()), ..Filter::default() }).contains("empty"));
    assert!(asked(Filter { path: Some("x".repeat(2000)), ..Filter::default() }).contains("1024"));
    let text = Filter { text: Some("a".to_owned()), ..Filter::default() };
    assert!(ledger.export(&text, 0, 1).unwrap_err().to_string().contains("ledger query --text"));
    ledger.close().unwrap();
}
