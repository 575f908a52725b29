//! From an answer to an assessor's desk: a decision on record, the pack, and its own line that checks it.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{http, places};

#[test]
fn from_a_decision_to_an_assessors_pack() {
    let mut server = Server::started(places::SMALL).unwrap();
    let answer = server.cloister(&["ask", "Say a secret word.", "--max-tokens", "8", "--json"]).unwrap();
    let record = serde_json::from_str::<Value>(&answer).unwrap()["record"].as_u64().unwrap();

    // An editor, over HTTP; then a script.
    let decided = json!({"record": record, "choice": "shown", "client": "vim"});
    let response = http::post(&server.socket(), "/v1/cloister/decisions", &decided).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json().unwrap()["record"], record);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("words.adb");
    fs::File::create(&file).unwrap();
    let path = file.to_str().unwrap();
    let number = record.to_string();
    let leaf = server
        .cloister(&[
            "decide",
            &number,
            "partly_accepted",
            "--accepted-bytes",
            "3",
            "--path",
            "src/words.adb",
            "--after",
            path,
        ])
        .unwrap();
    let explained = server.cloister(&["explain", &number]).unwrap();
    for words in [
        "partly accepted",
        "src/words.adb",
        &format!("decision: leaf {}", leaf.trim()),
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        assert!(explained.contains(words), "{words}: {explained}");
    }
    // Of no answer, and of what is no request.
    for other in ["0", "99999"] {
        let refused = server.cloister_output(&["decide", other, "accepted"]).unwrap();
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && words.contains("is not yours, or does not exist"), "{words}");
    }

    // The daemon runs, then it does not.
    for (name, running) in [("running", true), ("stopped", false)] {
        if !running {
            server.stop().unwrap();
        }
        let out = directory.path().join(name);
        let out_text = out.to_str().unwrap();
        let arguments =
            ["ledger", "evidence", "--from", "2000-01-01", "--to", "2999-12-31", "--out", out_text];
        let line = server.cloisterd(&arguments).unwrap();
        assert!(!server.cloisterd_output(&arguments).unwrap().status.success(), "a pack is not written over");

        let readme = fs::read_to_string(out.join("README.md")).unwrap();
        let commands: Vec<&str> =
            readme.lines().filter(|line| line.starts_with("cloister ledger verify")).collect();
        assert_eq!(commands, [line.trim()]);
        let programs = places::program("cloister").unwrap();
        let mut verify = Command::new("sh");
        verify.arg("-c").arg(commands[0]).current_dir(&out);
        verify.env("PATH", format!("{}:/usr/bin:/bin", programs.parent().unwrap().display()));
        let verified = verify.output().unwrap();
        let words = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(verified.status.success(), "{words}{}", String::from_utf8_lossy(&verified.stderr));
        assert!(
            words.contains("verified: no problem was found") && words.contains("excluded up to"),
            "{words}"
        );

        // Each example's proof, and the line for one.
        let policy = out.join("log.policy");
        let mut proofs = 0;
        for proof in fs::read_dir(out.join("proofs")).unwrap() {
            let proof = proof.unwrap().path();
            let arguments =
                ["ledger", "check-proof", proof.to_str().unwrap(), "--policy", policy.to_str().unwrap()];
            let checked = server.cloister_output(&arguments).unwrap();
            assert!(checked.status.success(), "{proof:?}: {}", String::from_utf8_lossy(&checked.stderr));
            proofs += 1;
        }
        assert_eq!(proofs, fs::read_to_string(out.join("examples.jsonl")).unwrap().lines().count());
        let line = readme.lines().find(|line| line.starts_with("cloister ledger check-proof")).unwrap();
        assert!(out.join(line.split(' ').nth(3).unwrap()).exists(), "{line}");

        let report = fs::read_to_string(out.join("report.html")).unwrap();
        assert!(report.contains("partly_accepted") && report.contains("<svg"), "{report}");
        let controls = fs::read_to_string(out.join("controls/nist-800-53.md")).unwrap();
        assert!(
            controls.contains("## AU-10 Non-repudiation") && controls.contains("| `decision` | 2 |"),
            "{controls}"
        );
        for file in ["controls/nist-800-171.md", "controls/eu-ai-act-12.md", "controls/do-330.md"] {
            assert!(
                fs::read_to_string(out.join(file)).unwrap().contains("Not evidenced by the ledger"),
                "{file}"
            );
        }
        for entry in ["README.md", "report.html", "examples.jsonl"] {
            let text = fs::read_to_string(out.join(entry)).unwrap();
            assert!(!text.contains("secret word"), "{entry} holds a prompt");
        }
    }
    let report = server.verify().unwrap();
    assert_eq!(report["verdict"], "passed", "{report}");
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    let kinds = &report["leaves_by_kind"];
    assert_eq!((&kinds["decision"], &kinds["start"]), (&json!(2), &json!(1)), "{kinds}");
    assert!(kinds["login"].as_u64().is_some_and(|count| count >= 1), "{kinds}");
    let list = server.cloisterd(&["ledger", "list", "--count", "50", "--json"]).unwrap();
    assert_eq!(list.matches(r#""action":"ledger evidence""#).count(), 2, "each pack is on record: {list}");
}
