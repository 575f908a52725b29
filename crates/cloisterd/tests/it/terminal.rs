//! What `cloister` does at a terminal, with a real daemon and a real model. What a small model writes need not be right; it
//! must be on record, and nothing of it is applied without consent.

use std::fs;
use std::io::Write;
use std::process::Command;

use serde_json::Value;
use testkit::places;
use testkit::server::Server;

const STACK: &str = "procedure Twice (X : in out Integer) is\nbegin\n   X := X * 2;\nend Twice;\n";

#[test]
fn an_edit_is_recorded_and_needs_consent() {
    let mut server = Server::started(places::CODER).unwrap();
    let path = server.root().join("twice.adb");
    fs::File::create(&path).unwrap().write_all(STACK.as_bytes()).unwrap();
    let file = path.to_str().unwrap();
    let instruction = "Rename the procedure from Twice to Doubled, in both places.";
    let edit = |more: &[&str]| {
        let arguments =
            [&["edit", file, "--instruction", instruction, "--json", "--max-tokens", "200"], more].concat();
        server.cloister_output(&arguments).unwrap()
    };

    let seen = edit(&[]);
    assert_eq!(fs::read_to_string(&path).unwrap(), STACK, "nobody said yes");
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
    let report: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(report["choice"], "shown", "{report}");
    let record = report["record"].as_u64().unwrap();
    let shown = server.show(record).unwrap();
    assert_eq!(shown["leaf"]["event"]["path"], "twice.adb", "{shown}");

    let taken = edit(&["--apply"]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let report: Value = serde_json::from_slice(&taken.stdout).unwrap();
    assert_eq!(report["choice"], "accepted", "{report}");
    assert_ne!(fs::read_to_string(&path).unwrap(), STACK);
    let listed = server.cloisterd(&["ledger", "list", "--count", "64", "--json"]).unwrap();
    let leaves: Value = serde_json::from_str(&listed).unwrap();
    let events = leaves.as_array().unwrap().iter().map(|leaf| &leaf["leaf"]["event"]);
    let decision = events.into_iter().find(|event| event["choice"] == "accepted").unwrap();
    assert_eq!(decision["record"], report["record"]);
    assert_ne!(decision["digest_before"], decision["digest_after"]);

    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// Whatever the model makes of it: each of its answers is on record, and nothing is changed where nobody is asked.
#[test]
fn the_agents_steps_are_recorded() {
    let mut server = Server::started(places::CODER).unwrap();
    let root = server.root().join("work");
    fs::create_dir(&root).unwrap();
    let path = root.join("twice.adb");
    fs::File::create(&path).unwrap().write_all(STACK.as_bytes()).unwrap();
    let task = "Read the file twice.adb, then propose an edit that multiplies by 4 instead of 2.";
    let arguments =
        ["agent", task, "--root", root.to_str().unwrap(), "--json", "--steps", "3", "--max-tokens", "160"];
    let run = server.cloister_output(&arguments).unwrap();
    let words = String::from_utf8_lossy(&run.stderr).into_owned();
    eprintln!("{words}");
    assert!(matches!(run.status.code(), Some(0 | 3)), "{words}");
    let outcome: Value = serde_json::from_slice(&run.stdout).unwrap();
    let records = outcome["records"].as_array().unwrap();
    assert!(!records.is_empty() && records.len() as u64 == outcome["steps"].as_u64().unwrap(), "{outcome}");
    for record in records {
        let record = record.as_u64().unwrap();
        assert!(words.contains(&format!("record {record}]")), "{words}");
        let shown = server.show(record).unwrap();
        assert_eq!(shown["leaf"]["record"].as_u64().unwrap_or(record), record, "{shown}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), STACK);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// With the client of the PyPI package `agent-client-protocol`, which refuses messages that are not the protocol's, and whose person
/// allows nothing.
#[test]
fn the_agent_client_protocol() {
    let python = std::env::var("CLOISTER_TEST_ACP")
        .expect("CLOISTER_TEST_ACP names a Python that has agent-client-protocol: run `cargo xtask test`");
    let mut server = Server::started(places::CODER).unwrap();
    let root = server.root().join("work");
    fs::create_dir(&root).unwrap();
    fs::File::create(root.join("twice.adb")).unwrap().write_all(STACK.as_bytes()).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/acp_client.py"))
        .arg(places::program("cloister").unwrap())
        .args([&format!("unix:{}", server.socket().display()), root.to_str().unwrap()])
        .env("HOME", server.root())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}\n{}", server.log());
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    eprintln!("{seen}");
    assert_eq!(seen["version"], 1);
    assert!(["end_turn", "max_turn_requests"].contains(&seen["stop"].as_str().unwrap()), "{seen}");
    assert!(seen["text"].as_str().unwrap().contains("record "), "{seen}");
    assert_eq!(seen["cancelled"], "cancelled", "{seen}");
    assert_eq!(fs::read_to_string(root.join("twice.adb")).unwrap(), STACK);
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}
