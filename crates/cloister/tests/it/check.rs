//! Files that compilers look at: what is told, what is mended, and how it ends.

use std::process::Command;

use serde_json::{Value, json};

use crate::formats::ask;
use crate::server::{Play, Request, Server, json_reply};
use crate::workplace::Workplace;

const WRONG: &str = "function Twice (X : Integer) return Integer is\nbegin\n   return X + X\nend Twice;\n";
const DOUBTFUL: &str = "--  doubtful\n";
const UNSEEN: &str = "--  unseen\n";
const PROSE: &str = "Words.\n";

fn right() -> String {
    WRONG.replace("X + X\n", "X + X;\n")
}

/// A server that says of each text what it says of such.
fn looking(place: &Workplace) -> Server {
    let check = |outcome: &str, remarks: Value| {
        let errors =
            remarks.as_array().unwrap().iter().filter(|remark| remark["severity"] == "error").count();
        json!({
            "language": "ada", "checker": "gnat", "version": "12.2.0", "outcome": outcome, "claims": "legal", "lines": [1, 4],
            "errors": errors, "errors_before": 0, "remarks": remarks,
        })
    };
    let remark = |severity: &str, line: u32| json!({ "severity": severity, "line": line, "column": 16, "message": "missing \";\"" });
    let play = move |request: &Request| {
        assert!(request.line.starts_with("POST /v1/cloister/check "), "{}", request.line);
        let answer = match request.body["text"].as_str().unwrap() {
            WRONG => {
                let mended =
                    json!({ "text": right(), "what": ["missing ;"], "checks": [check("passed", json!([]))] });
                let mended = if request.body["mend"] == true { mended } else { Value::Null };
                json!({ "checks": [check("failed", json!([remark("error", 3)]))], "mended": mended, "record": 7 })
            }
            DOUBTFUL => json!({ "checks": [check("passed", json!([remark("warning", 1)]))], "record": 8 }),
            UNSEEN => {
                let mut unseen = check("not_run", json!([]));
                unseen["reason"] = json!("gcc is not installed here");
                json!({ "checks": [unseen], "record": 9 })
            }
            PROSE => json!({ "checks": [], "record": 10 }),
            _ => json!({ "checks": [check("passed", json!([]))], "record": 11 }),
        };
        Play::Reply(json_reply("200 OK", "", &answer))
    };
    Server::serve(&place.socket(), play)
}

#[test]
fn what_is_said_is_told_and_mended() {
    let place = Workplace::new();
    let server = looking(&place);
    place.write("wrong.adb", WRONG);
    place.write("right.adb", right());
    let run = place.run(&["check", "wrong.adb", "right.adb", "--mend"]).check(1);
    run.says("1 of 2 files have errors");
    assert!(run.out.contains("  3:16: error: missing \";\"\n"), "{}", run.out);
    assert!(run.out.contains("--- a/wrong.adb\n+++ b/wrong.adb\n"), "{}", run.out);
    assert!(run.out.contains("-   return X + X\n+   return X + X;\n"), "{}", run.out);
    let asked = server.request_to("/v1/cloister/check").body;
    assert_eq!(
        (&asked["text"], &asked["mend"], &asked["cloister"]["path"]),
        (&json!(WRONG), &json!(true), &json!("wrong.adb"))
    );
    // It is for `git apply`, with what stands around it.
    let patch = place.write("mended.patch", &run.out);
    let elsewhere = place.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    place.write("elsewhere/wrong.adb", WRONG);
    let apply = ["apply", "--unsafe-paths", patch.to_str().unwrap()];
    assert!(Command::new("git").args(apply).current_dir(&elsewhere).status().unwrap().success());
    assert_eq!(place.read("elsewhere/wrong.adb"), right());
    // Nothing was written, until that is said.
    assert_eq!(place.read("wrong.adb"), WRONG);
    place.run(&["check", "wrong.adb", "--write"]).check(2);
    place
        .run(&["check", "wrong.adb", "--mend", "--write", "--fail-on", "never"])
        .check(0)
        .says("wrong.adb: mended");
    assert_eq!(place.read("wrong.adb"), right());
    place.run(&["check", "wrong.adb"]).check(0).says("0 of 1 files have errors");
    place.run(&["check"]).check(2);
}

#[test]
fn what_nobody_looked_at_is_a_failure() {
    let place = Workplace::new();
    let _server = looking(&place);
    place.write("unseen.adb", UNSEEN);
    place.write("doubtful.adb", DOUBTFUL);
    place.write("prose.txt", PROSE);
    place.run(&["check", "unseen.adb"]).check(1).says("1 files were not looked at");
    place.run(&["check", "prose.txt"]).check(1).says("the server knows no compiler for it");
    place.run(&["check", "nowhere.adb"]).check(1);
    place.run(&["check", "doubtful.adb"]).check(0);
    place.run(&["check", "doubtful.adb", "--fail-on", "warning"]).check(1);
}

#[test]
fn what_changed_is_looked_at() {
    let place = Workplace::new();
    let _server = looking(&place);
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example"];
        let output =
            Command::new("git").args(who).args(arguments).current_dir(place.path(".")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    git(&["init", "-q"]);
    place.write("kept.adb", WRONG);
    git(&["add", "kept.adb"]);
    git(&["commit", "-q", "-m", "first"]);
    place.write("new.adb", right());
    place.write("prose.txt", PROSE);
    let run = place.run(&["check", "--changed", "--json"]).check(0);
    run.says("files were left out: no text, or in no language with a compiler here");
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let files = document["files"].as_array().unwrap();
    assert!(
        files.iter().any(|file| file["path"] == "new.adb") && !run.out.contains("kept.adb"),
        "{document}"
    );
    // Source that cannot be read is no picture.
    place.write("latin.adb", b"--  Z\xfcrich\n");
    place.run(&["check", "--changed"]).check(1).says("latin.adb");
    place.run(&["check", "--changed=--output=x"]).check(2);
}

#[test]
fn sarif_is_valid() {
    let schema = std::env::var("CLOISTER_TEST_SARIF")
        .expect("CLOISTER_TEST_SARIF names the schema of SARIF: run `cargo xtask test`");
    let place = Workplace::new();
    let _server = looking(&place);
    place.write("wrong.adb", WRONG);
    place.write("unseen.adb", UNSEEN);
    let run = place.run(&["check", "wrong.adb", "unseen.adb", "--mend", "--format", "sarif"]).check(1);
    let file = place.write("checks.sarif", &run.out);
    ask(&json!({ "of": "schema", "file": file, "schema": schema })).unwrap();
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let invocation = &document["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert!(invocation["toolExecutionNotifications"][0].to_string().contains("gcc is not installed here"));
}
