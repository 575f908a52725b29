//! One flipped byte anywhere is refused or reported with its place; so are truncation and roll-back, given
//! something that somebody kept.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{http, places};

/// A stopped server with a few answers; its ledger verifies.
fn answered() -> Server {
    let mut server = Server::started(places::SMALL).unwrap();
    for question in ["one", "two", "three"] {
        let answer = server.cloister(&["ask", question, "--max-tokens", "8", "--json"]).unwrap();
        assert!(answer.contains("record"), "{answer}");
    }
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
    server
}

fn flip(path: &Path, from_end: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() - from_end.min(bytes.len());
    bytes[at] ^= 1;
    fs::remove_file(path).unwrap();
    testkit_write(path, &bytes);
}

fn testkit_write(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// The largest file below a directory, whose name is not excluded.
fn largest(directory: &Path) -> PathBuf {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    files.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// Verification, whatever comes of it.
fn report(server: &Server, more: &[&str]) -> Value {
    let data = server.data();
    let path = |name: &str| data.join(name).to_str().unwrap().to_owned();
    let (ledger, policy, key) = (path("ledger"), path("log.policy"), path("keys/body.key"));
    let mut arguments = vec!["ledger", "verify", &ledger, "--policy", &policy, "--body-key", &key, "--json"];
    arguments.extend(more);
    let output = server.cloister_output(&arguments).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), report["verdict"] == json!("passed"), "{report}");
    report
}

#[track_caller]
fn is_reported(server: &Server, words: &str) {
    let report = report(server, &[]);
    assert_ne!(report["verdict"], json!("passed"), "{report}");
    assert!(report["problems"].to_string().contains(words), "{words}: {report}");
}

#[test]
fn a_flipped_byte_in_the_ledger() {
    let server = answered();
    let ledger = server.data().join("ledger");
    let backup = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("-aT").args([from, to]).status().unwrap();
        assert!(status.success());
    };
    copy(&ledger, &backup.path().join("ledger"));
    for (place, words) in [
        ("tile/0", "tile/0"),
        ("tile/entries", "tile/entries"),
        ("bodies", "bodies"),
        ("checkpoint", "checkpoint"),
    ] {
        let path = ledger.join(place);
        let file = if path.is_dir() { largest(&path) } else { path };
        flip(&file, 20);
        is_reported(&server, words);
        fs::remove_dir_all(&ledger).unwrap();
        copy(&backup.path().join("ledger"), &ledger);
    }
    assert_eq!(report(&server, &[])["verdict"], "passed");
}

#[test]
fn a_flipped_byte_in_the_model_or_the_engine_is_refused() {
    let server = answered();
    let lock = server.data().join("deployments.lock");
    let text = fs::read_to_string(&lock).unwrap();
    let model = text.lines().find_map(|line| line.strip_prefix("model = \"sha256:")?.strip_suffix('"'));
    let blob = server.data().join("models/blobs").join(format!("sha256-{}", model.unwrap()));
    let kept = text.lines().find_map(|line| line.strip_prefix("engine_build = \"sha256:")?.strip_suffix('"'));
    let kept = server.data().join("models/blobs").join(format!("sha256-{}", kept.unwrap()));
    let original = fs::read(&blob).unwrap();
    flip(&blob, 1000);
    let serve = server.cloisterd_output(&["serve"]).unwrap();
    let words = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert!(!serve.status.success() && words.contains("refused"), "{words}");
    assert!(!server.cloisterd_output(&["model", "verify", "coder"]).unwrap().status.success());
    fs::remove_file(&blob).unwrap();
    testkit_write(&blob, &original);
    server.cloisterd(&["model", "verify", "coder"]).unwrap();
    // The copy of the engine that answers again when another one is installed.
    flip(&kept, 1000);
    let verify = server.cloisterd_output(&["model", "verify", "coder"]).unwrap();
    let words = String::from_utf8_lossy(&verify.stderr).into_owned();
    assert!(!verify.status.success() && words.contains("copy of the engine"), "{words}");
    flip(&kept, 1000);
    // Another lock than the one that the ledger knows.
    testkit_write(&lock, text.replace("slots = 8", "slots = 9").as_bytes());
    assert!(refused(&server).contains("model restore-lock"), "{}", refused(&server));
    fs::remove_file(&lock).unwrap();
    server.cloisterd(&["model", "restore-lock"]).unwrap();
    assert_eq!(fs::read_to_string(&lock).unwrap(), text);
    // Something else is wanted than what is deployed.
    let wanted = server.data().join("deployments.toml");
    let before = fs::read_to_string(&wanted).unwrap();
    testkit_write(&wanted, format!("{before}slots = 9\n").as_bytes());
    let words = refused(&server);
    assert!(words.contains("coder: slots: 8 is locked, 9 is wanted"), "{words}");
    testkit_write(&wanted, before.as_bytes());
    // A proof of something else, and none.
    let proofs = server.data().join("models/locks");
    let mut proof = fs::read_dir(&proofs).unwrap().map(|entry| entry.unwrap().path());
    let proof = proof.find(|path| path.extension().is_some_and(|end| end == "proof")).unwrap();
    let promotions = server.data().join("models/promotions");
    let promotion = fs::read_dir(promotions).unwrap().next().unwrap().unwrap().path();
    let kept = fs::read(&proof).unwrap();
    testkit_write(&proof, &fs::read(&promotion).unwrap());
    assert!(refused(&server).contains("of another step"), "{}", refused(&server));
    // In the leaf that the proof carries.
    flip(&proof, fs::read(&proof).unwrap().len() - 200);
    assert!(refused(&server).contains("no leaf of the ledger"), "{}", refused(&server));
    testkit_write(&proof, &kept);
    // Another engine than the one that the deployment pins.
    let other = server.root().join("another-engine");
    fs::copy(places::program("cloister-engine").unwrap(), &other).unwrap();
    fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"x").unwrap();
    // By the variable: it goes before the configuration, and who runs tests may have set it.
    let mut serve = Command::new(places::program("cloisterd").unwrap());
    serve.env("CLOISTER_ENGINE", &other).arg("--data").arg(server.data()).arg("serve");
    let output = serve.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("if you changed the engine on purpose: `cloisterd model deploy`"), "{words}");
}

fn refused(server: &Server) -> String {
    let serve = server.cloisterd_output(&["serve"]).unwrap();
    assert!(!serve.status.success(), "it served");
    String::from_utf8_lossy(&serve.stderr).into_owned()
}

/// An older copy of everything verifies by itself, says that roll-back is not excluded, and is caught by
/// a client's receipts, by a kept checkpoint, and by the notary.
#[test]
fn roll_back() {
    let mut server = answered();
    let old = tempfile::tempdir().unwrap();
    let ledger = server.data().join("ledger");
    let copy = |from: &Path, to: &Path| {
        let status = Command::new("cp").arg("-aT").args([from, to]).status().unwrap();
        assert!(status.success());
    };
    copy(&ledger, &old.path().join("ledger"));
    server.start().unwrap();
    server.cloister(&["ask", "four", "--max-tokens", "4", "--json"]).unwrap();
    server.stop().unwrap();
    let checkpoint = old.path().join("kept");
    fs::copy(ledger.join("checkpoint"), &checkpoint).unwrap();
    fs::remove_dir_all(&ledger).unwrap();
    copy(&old.path().join("ledger"), &ledger);

    let alone = report(&server, &[]);
    assert_eq!(alone["verdict"], "passed", "an older log is valid by itself");
    assert!(alone["roll_back"].to_string().contains("not_excluded"), "{alone}");
    let receipts = server.receipts();
    for seen in [receipts.to_str().unwrap(), checkpoint.to_str().unwrap()] {
        let report = report(&server, &["--seen", seen]);
        assert_ne!(report["verdict"], "passed", "{seen}: {report}");
    }
    let error = server.start().unwrap_err().to_string();
    assert!(error.contains("notary") || error.contains("roll"), "{error}");
}

/// A byte of the log that was acknowledged and not yet integrated: the server says where and does not
/// start as if nothing were.
#[test]
fn a_flipped_byte_in_the_write_ahead_log() {
    let mut server = answered();
    server.start().unwrap();
    let request = json!({ "messages": [{ "role": "user", "content": "five" }], "max_tokens": 3 });
    for _ in 0..3 {
        assert_eq!(http::post(&server.socket(), "/v1/chat/completions", &request).unwrap().status, 200);
    }
    server.kill().unwrap();
    let wal = server.data().join("ledger/wal");
    let segment = largest(&wal);
    let bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let mut flipped = bytes;
    flipped[end / 2] ^= 1;
    testkit_write(&segment, &flipped);
    let before = report(&server, &[]);
    assert_ne!(before["verdict"], "passed", "{before}");
    assert!(before.to_string().contains("wal/"), "{before}");
}
