use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use ledger::disk::RealDisk;
use ledger::{Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary, Receipt};
use protocol::digest::hex;
use serde_json::{Value, json};

use crate::workplace::Workplace;

const BODY_KEY: [u8; 32] = [7; 32];
const SEED: [u8; 32] = [9; 32];

/// Opens the ledger of the workplace, appends that many leaves and closes it. What an auditor keeps
/// lies beside it: `log.vkey` and `body.key`.
fn append(place: &Workplace, count: usize) -> Vec<Receipt> {
    let notary = LocalNotary::open(&place.path("notary"), "site.example/log", SEED).unwrap();
    let verifier = notary.verifier();
    place.write("log.vkey", format!("{verifier}\n"));
    place.write("body.key", BODY_KEY);
    let disk = Arc::new(RealDisk::create(&place.path("ledger")).unwrap());
    let config = LedgerConfig::new(verifier, LedgerKeys::new(BODY_KEY), disk, Box::new(notary));
    let (ledger, _) = Ledger::open(config).unwrap();
    let event =
        Event::Posture { occasion: "start".to_owned(), passed: 1, failed: 0, untried: 0, clock: None };
    let entry = Entry { event, body: Some(b"{}".to_vec()) };
    let receipts = (0..count).map(|_| ledger.append_blocking(entry.clone()).unwrap()).collect();
    ledger.close().unwrap();
    receipts
}

fn receipt_line(server: &str, receipt: Receipt) -> String {
    let leaf = json!({"index": receipt.index, "hash": hex(&receipt.leaf_hash)});
    let line = json!({"server": server, "time_unix_ms": 1, "record": receipt.index, "leaf": leaf});
    format!("{line}\n")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_whole_ledger_is_verified() {
    let place = Workplace::new();
    let receipts = append(&place, 5);
    place.write("receipts.jsonl", receipt_line("s", receipts[4]));
    let arguments = ["ledger", "verify", "ledger", "--verifier", "log.vkey", "--body-key", "body.key"];
    let run = place.run(&[&arguments[..], &["--seen", "receipts.jsonl"]].concat()).check(0);
    for words in [
        "log          site.example/log\n",
        "leaves       6 signed, 0 not signed yet\n",
        "good         all 6 signed leaves\n",
        "bodies       5 compared, 5 opened",
        "roll-back    excluded up to",
        "verified: no problem was found\n",
    ] {
        assert!(run.out.contains(words), "{words:?} is not in {run:#?}");
    }
    assert_eq!(run.err, "");

    let run = place.run(&[&arguments[..], &["--json"]].concat()).check(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&report["verdict"], &report["leaves_signed"]), (&json!("passed"), &json!(6)));
}

#[test]
fn the_key_comes_from_the_policy_or_the_command_line_or_is_doubted() {
    let place = Workplace::new();
    append(&place, 1);
    let key = place.read("log.vkey");
    place.write("policy", format!("log {key}quorum none\n"));
    let out =
        |arguments: &[&str]| place.run(&[&["ledger", "verify", "ledger"], arguments].concat()).check(0).out;
    assert!(!out(&["--policy", "policy"]).contains("taken from the log itself"));
    assert!(!out(&["--verifier", key.trim()]).contains("taken from the log itself"));
    let doubted = out(&[]);
    assert!(doubted.contains("taken from the log itself"), "{doubted}");
    assert!(doubted.contains("roll-back    not excluded"), "{doubted}");
}

#[test]
fn a_flipped_byte_is_a_problem_with_its_place() {
    let place = Workplace::new();
    append(&place, 5);
    let directory = place.path("ledger/bodies");
    let body = fs::read_dir(directory).unwrap().next().unwrap().unwrap().path();
    let mut file = File::options().read(true).write(true).open(&body).unwrap();
    let mut byte = [0];
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    let run = place.run(&["ledger", "verify", "ledger", "--verifier", "log.vkey"]).check(1);
    let name = body.file_name().unwrap().to_str().unwrap();
    assert!(run.out.contains(&format!("problem: bodies/{name}")), "{run:#?}");
    assert!(run.out.contains("NOT VERIFIED: 1 problems"), "{run:#?}");
}

#[test]
fn an_older_copy_is_found_by_what_was_seen() {
    let place = Workplace::new();
    append(&place, 2);
    copy(&place.path("ledger"), &place.path("older"));
    let receipts = append(&place, 2);
    place.write("receipt", receipt_line("s", receipts[1]));
    place.write("number", "{\"server\":\"s\",\"time_unix_ms\":1,\"record\":4}\n");
    fs::copy(place.path("ledger/checkpoint"), place.path("checkpoint")).unwrap();

    place.run(&["ledger", "verify", "older"]).check(0);
    for seen in ["receipt", "number", "checkpoint"] {
        place.run(&["ledger", "verify", "ledger", "--seen", seen]).check(0);
        let run = place.run(&["ledger", "verify", "older", "--seen", seen]).check(1);
        assert!(run.out.contains("roll-back    FOUND"), "{seen}: {run:#?}");
    }
}

#[test]
fn receipts_of_several_servers_are_not_mixed() {
    let place = Workplace::new();
    let receipts = append(&place, 1);
    let foreign = Receipt { index: 900, leaf_hash: [1; 32] };
    let lines = receipt_line("unix:/ours", receipts[0]) + &receipt_line("unix:/theirs", foreign);
    place.write("receipts.jsonl", lines);
    let verify = ["ledger", "verify", "ledger", "--seen", "receipts.jsonl"];
    place
        .run(&verify)
        .check(2)
        .says("the receipts are of several servers")
        .says("--seen-server: unix:/ours, unix:/theirs");
    place.run(&[&verify[..], &["--seen-server", "unix:/ours"]].concat()).check(0);
    place.run(&[&verify[..], &["--seen-server", "unix:/theirs"]].concat()).check(1);
    place.run(&[&verify[..], &["--seen-server", "unix:/nobody"]].concat()).check(2);
}

#[test]
fn wrong_arguments() {
    let place = Workplace::new();
    append(&place, 1);
    place.write("short.key", "short");
    place.write("policy", "log a+1+b\nquorum some\n");
    place.write("unknown", "quorum some\n");
    place.write("none", "quorum none\n");
    for (arguments, code, words) in [
        (&["missing"][..], 2, "cannot read the ledger in missing"),
        (&["ledger", "--verifier", "nonsense"], 2, "the verifier key cannot be used"),
        (&["ledger", "--body-key", "short.key"], 2, "short.key is not a key: it must hold 32 bytes"),
        (&["ledger", "--policy", "policy"], 2, "line 1 of the policy: the key cannot be used"),
        (&["ledger", "--policy", "none"], 2, "the policy names no log"),
        (&["ledger", "--policy", "unknown"], 2, "`some` is no witness or group of a line before"),
        (&["ledger", "--policy", "policy", "--verifier", "a"], 2, "cannot be used with"),
        (&["ledger", "--seen", "missing"], 1, "cannot read missing"),
    ] {
        let arguments = [&["ledger", "verify"], arguments].concat();
        place.run(&arguments).check(code).says(words);
    }
}
