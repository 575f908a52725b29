//! Witnesses: what another house's cosignature shows that the operator's keys cannot undo.

use std::fs;
use std::sync::Arc;

use ledger::disk::RealDisk;
use ledger::{Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary};
use protocol::Digest;
use serde_json::{Value, json};

use crate::workplace::{Run, Workplace};

const ORIGIN: &str = "site.example/log";
const SEED: [u8; 32] = [9; 32];
const SECOND_SEED: [u8; 32] = [8; 32];
const TIME_UNIX_MS: u64 = 1_700_000_000_000;

/// The site: its ledger, with its real keys. Another `history` is the same operator's, written anew.
fn open(place: &Workplace, history: &str) -> Ledger {
    let notary = LocalNotary::open(&place.path(&format!("notary-{history}")), ORIGIN, SEED).unwrap();
    let notary = notary.signing_twice(SECOND_SEED, Arc::new(|| TIME_UNIX_MS)).unwrap();
    let verifier = notary.verifier();
    let second = notary.second_verifier().unwrap();
    place.write("log.vkey", format!("{verifier}\n"));
    let policy = format!("log {verifier}\nwitness log-mldsa {second}\nquorum log-mldsa\n");
    place.write("own.policy", policy);
    let disk = Arc::new(RealDisk::create(&place.path(history)).unwrap());
    let config = LedgerConfig::new(verifier, LedgerKeys::new([7; 32]), disk, Box::new(notary));
    Ledger::open(LedgerConfig { clock: Arc::new(|| TIME_UNIX_MS), ..config }).unwrap().0
}

fn append(ledger: &Ledger, occasion: &str, count: usize) {
    for _ in 0..count {
        let event =
            Event::Posture { occasion: occasion.to_owned(), passed: 1, failed: 0, untried: 0, clock: None };
        ledger.append_blocking(Entry { event, body: None }).unwrap();
    }
    ledger.sign().unwrap();
}

/// What `cloisterd ledger witness export` does.
fn export(place: &Workplace, ledger: &Ledger, since: Option<u64>) {
    place.write("request", ledger.witness_request(since).unwrap().to_string());
}

/// What `cloisterd ledger witness import` does.
fn import(place: &Workplace, ledger: &Ledger, policy: &str) -> Vec<String> {
    let checked = ledger.check_witnessed(&place.read("cosigned"), place.read(policy).as_bytes()).unwrap();
    let event = Event::Witness {
        size: checked.size,
        root: Digest(checked.root),
        witnesses: checked.witnesses.clone(),
    };
    ledger.append_blocking(Entry { event, body: None }).unwrap();
    ledger.store_witnessed(&checked).unwrap();
    checked.witnesses
}

/// Makes a witness of another house, and the policy that demands it too.
fn add_witness(place: &Workplace, name: &str) {
    let run = place.run(&["witness", "init", "--name", name, "--key", &format!("{name}.key")]).check(0);
    let key = run.out.lines().next().unwrap().parse().unwrap();
    let policy = tlog::Policy::parse(place.read("own.policy").as_bytes()).unwrap();
    place.write("policy", policy.with_witness(name, &key).unwrap().to_bytes());
}

fn sign(place: &Workplace, name: &str) -> Run {
    let (key, state) = (format!("{name}.key"), format!("{name}.state"));
    place.run(&[
        "witness", "sign", "request", "--key", &key, "--state", &state, "--log", "log.vkey", "--out",
        "cosigned",
    ])
}

fn verify(place: &Workplace, directory: &str, policy: &str) -> Value {
    let run = place.run(&["ledger", "verify", directory, "--policy", policy, "--json"]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(run.code == Some(0), report["verdict"] == json!("passed"), "{report}");
    report
}

/// A site with a witness that cosigned its first 6 leaves; 3 more stand behind them.
fn witnessed() -> (Workplace, Ledger) {
    let place = Workplace::new();
    let ledger = open(&place, "ledger");
    append(&ledger, "start", 5);
    add_witness(&place, "w1");
    export(&place, &ledger, None);
    sign(&place, "w1").check(0).says("cosigned site.example/log with 6 leaves, the first of this log");
    assert_eq!(import(&place, &ledger, "policy"), ["w1"]);
    append(&ledger, "interval", 2);
    (place, ledger)
}

#[test]
fn a_witnessed_ledger_is_verified() {
    let (place, ledger) = witnessed();
    let report = verify(&place, "ledger", "policy");
    assert_eq!(report["verdict"], json!("passed"), "{report}");
    assert_eq!(report["checkpoints_witnessed"], json!(1));
    assert_eq!(report["roll_back"], json!({"excluded_up_to": 6}));
    assert_eq!(
        (&report["witnessed"]["leaves"], &report["witnessed"]["leaves_behind"]),
        (&json!(6), &json!(3))
    );
    let by = &report["witnessed"]["by"];
    assert_eq!(by[0], json!({"witness": "log-mldsa", "time_unix_s": 1_700_000_000, "is_the_log": true}));
    assert_eq!((&by[1]["witness"], &by[1]["is_the_log"]), (&json!("w1"), &json!(false)));
    let run = place.run(&["ledger", "verify", "ledger", "--policy", "policy"]).check(0);
    assert!(
        run.out.contains(
            "witnessed    6 leaves, by the log's own second key log-mldsa at 2023-11-14T22:13:20Z, w1 at "
        ),
        "{run:#?}"
    );
    assert!(run.out.contains("; 3 behind them\n") && run.out.contains("1 witness"), "{run:#?}");

    // The next one continues it, and by default begins there.
    export(&place, &ledger, None);
    assert!(place.read("request").starts_with("old 6\n"));
    sign(&place, "w1").check(0);
    assert_eq!(import(&place, &ledger, "policy"), ["w1"]);
    assert_eq!(verify(&place, "ledger", "policy")["witnessed"]["leaves"], json!(9));
    // The log's own second key alone is enough for its own policy, and excludes no roll-back.
    fs::remove_dir_all(place.path("ledger/witnessed")).unwrap();
    let report = verify(&place, "ledger", "own.policy");
    assert_eq!((&report["verdict"], &report["roll_back"]), (&json!("passed"), &json!("not_excluded")));
    assert!(report["findings"].to_string().contains("is not there: it was taken away"), "{report}");
    // For the other policy the cosigned checkpoint may also come from elsewhere.
    assert_eq!(verify(&place, "ledger", "policy")["verdict"], json!("failed"));
    place.run(&["ledger", "verify", "ledger", "--policy", "policy", "--seen", "cosigned"]).check(0);
}

#[test]
fn what_the_witness_leaves_out_is_put_together_again() {
    let (place, ledger) = witnessed();
    export(&place, &ledger, None);
    // As a picture carries it: without the log's second signature, which is long.
    let request = place.read("request");
    let lines: Vec<&str> = request.lines().filter(|line| line.len() < 1000).collect();
    assert_eq!(lines.len() + 1, request.lines().count());
    place.write("request", lines.join("\n") + "\n");
    sign(&place, "w1").check(0);
    import(&place, &ledger, "policy");
    assert_eq!(verify(&place, "ledger", "policy")["witnessed"]["leaves"], json!(9));
}

/// The operator writes another history and signs all of it with the real keys.
#[test]
fn a_rewritten_history_is_caught_by_the_witness_alone() {
    let (place, ledger) = witnessed();
    ledger.close().unwrap();
    let rewritten = open(&place, "rewritten");
    append(&rewritten, "start, said otherwise", 9);
    assert_eq!(verify(&place, "rewritten", "own.policy")["verdict"], json!("passed"), "no key is missing");

    // The witness's answer was deleted.
    let report = verify(&place, "rewritten", "policy");
    assert!(
        report["problems"].to_string().contains("no checkpoint of this log has the cosignatures"),
        "{report}"
    );
    // It lies there, on another tree.
    fs::create_dir(place.path("rewritten/witnessed")).unwrap();
    let name = "witnessed/00000000000000000006";
    fs::copy(place.path(&format!("ledger/{name}")), place.path(&format!("rewritten/{name}"))).unwrap();
    for policy in ["policy", "own.policy"] {
        let report = verify(&place, "rewritten", policy);
        assert!(report["problems"].to_string().contains("the log was rewritten"), "{report}");
        assert_eq!((&report["verdict"], &report["roll_back"]), (&json!("failed"), &json!("found")));
    }
    // Nor does the witness cosign it.
    export(&place, &rewritten, Some(6));
    sign(&place, "w1").check(1).says("FORKED: the checkpoint of 10 leaves does not continue the 6 leaves");
    // Nor does the ledger take what was cosigned of another.
    let error =
        rewritten.check_witnessed(&place.read("cosigned"), place.read("policy").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("is not of this log"), "{error}");
}

#[test]
fn a_ledger_rolled_back_behind_its_witness_is_caught() {
    let (place, ledger) = witnessed();
    ledger.close().unwrap();
    let shorter = open(&place, "shorter");
    append(&shorter, "start", 3);
    fs::create_dir(place.path("shorter/witnessed")).unwrap();
    let name = "witnessed/00000000000000000006";
    fs::copy(place.path(&format!("ledger/{name}")), place.path(&format!("shorter/{name}"))).unwrap();
    let report = verify(&place, "shorter", "policy");
    assert!(report["problems"].to_string().contains("it was rolled back"), "{report}");
    export(&place, &shorter, Some(0));
    sign(&place, "w1").check(1).says("ROLLED BACK: the checkpoint has 4 leaves, but 6 were cosigned before");
}

#[test]
fn a_changed_cosigned_checkpoint_is_a_problem() {
    let (place, ledger) = witnessed();
    ledger.close().unwrap();
    let file = "ledger/witnessed/00000000000000000006";
    let note = place.read(file);
    for (at, _) in note.char_indices().filter(|(at, c)| c.is_ascii_alphanumeric() && at % 97 == 0) {
        let mut bytes = note.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        place.write(file, bytes);
        assert_eq!(verify(&place, "ledger", "policy")["verdict"], json!("failed"), "byte {at}");
    }
    fs::rename(place.path(file), place.path("ledger/witnessed/00000000000000000007")).unwrap();
    place.write("ledger/witnessed/00000000000000000007", &note);
    let report = verify(&place, "ledger", "policy");
    assert!(report["problems"].to_string().contains("not of as many as its name says"), "{report}");
    place.write("ledger/witnessed/6", &note);
    let report = verify(&place, "ledger", "policy");
    assert!(report["problems"].to_string().contains("no cosigned checkpoint's name"), "{report}");
}

#[test]
fn a_witness_remembers() {
    let (place, ledger) = witnessed();
    export(&place, &ledger, Some(0));
    sign(&place, "w1").check(1).says("export it again with --since 6");
    export(&place, &ledger, None);
    sign(&place, "w1").check(0);
    // The answer got lost: it may be given again.
    sign(&place, "w1").check(0);
    // Another witness has seen nothing yet.
    add_witness(&place, "w2");
    sign(&place, "w2").check(1).says("export it again with --since 0");
    export(&place, &ledger, Some(0));
    sign(&place, "w2").check(0);
    // A state that is damaged is not forgotten.
    let names = fs::read_dir(place.path("w2.state")).unwrap().map(|entry| entry.unwrap().file_name());
    let state = names.into_iter().find(|name| name != "lock").unwrap();
    place.write(&format!("w2.state/{}", state.to_str().unwrap()), "nonsense");
    sign(&place, "w2").check(1).says("Nothing is cosigned until it is put back");
}

#[test]
fn witness_arguments() {
    let (place, ledger) = witnessed();
    export(&place, &ledger, None);
    let key = place.read("w1.key");
    place.run(&["witness", "init", "--name", "w1", "--key", "w1.key"]).check(1).says("cannot write w1.key");
    assert_eq!(place.read("w1.key"), key);
    place.run(&["witness", "init", "--name", "a b", "--key", "k"]).check(2).says("cannot have this name");
    let sign = ["witness", "sign", "request", "--key", "w1.key", "--state", "s"];
    let with = |more: &[&str]| place.run(&[&sign[..], more].concat());
    with(&[]).check(2);
    with(&["--log", "nonsense"]).check(2).says("the log's key cannot be used");
    with(&["--policy", "w1.key"]).check(2).says("cannot be used");
    place.write("none", "quorum none\n");
    with(&["--policy", "none"]).check(1).says("knows no log `site.example/log`");
    let run =
        place.run(&["witness", "sign", "log.vkey", "--key", "w1.key", "--state", "s", "--policy", "policy"]);
    run.check(1).says("not a request for a cosignature");
    let run =
        place.run(&["witness", "sign", "request", "--key", "log.vkey", "--state", "s", "--policy", "policy"]);
    run.check(2).says("is not a witness's key");
}

#[test]
fn a_proof_of_a_leaf_is_checked_offline() {
    let (place, ledger) = witnessed();
    let check = |file: &str, policy: &str| place.run(&["ledger", "check-proof", file, "--policy", policy]);
    place.run(&["ledger", "proof", "ledger", "2", "--out", "leaf.tlog-proof"]).check(0);
    let run = check("leaf.tlog-proof", "policy").check(0);
    run.says("leaf 2 is in site.example/log, a log of 6 leaves, cosigned by log-mldsa, w1");
    assert!(run.out.contains("\"kind\":\"posture\""), "{run:#?}");
    let json =
        place.run(&["ledger", "check-proof", "leaf.tlog-proof", "--policy", "policy", "--json"]).check(0);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["index"], &json["leaf"]["event"]["occasion"]), (&json!(2), &json!("start")));
    // A leaf behind what was cosigned is proved to the log's own checkpoint.
    let out = place.run(&["ledger", "proof", "ledger", "7"]).check(0).out;
    place.write("later", &out);
    check("later", "own.policy").check(0);
    check("later", "policy").check(1).says("do not make the policy's quorum: it has those of log-mldsa");
    place
        .run(&["ledger", "proof", "ledger", "7", "--checkpoint", "cosigned"])
        .check(1)
        .says("covers 6 leaves");
    place.run(&["ledger", "proof", "ledger", "9"]).check(1).says("covers 9 leaves");
    place.run(&["ledger", "proof", "ledger", "1", "--checkpoint", "ledger/checkpoint"]).check(0);
    place.write("changed", place.read("leaf.tlog-proof").replace("index 2", "index 1"));
    check("changed", "policy").check(1).says("changed proves nothing");
    ledger.close().unwrap();
}
