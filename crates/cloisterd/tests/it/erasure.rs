//! Two persons erase what a third asked: their keys are OpenSSH's own, and nothing of the body's key stays.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{http, persons, places};

struct Approver {
    key: PathBuf,
}

impl Approver {
    fn new(server: &Server, directory: &Path, name: &'static str, kind: &str) -> Approver {
        let key = directory.join(name);
        persons::generate(&key, kind).unwrap();
        server.cloisterd(&["user", "add", name]).unwrap();
        let public = key.with_extension("pub");
        server.cloisterd(&["user", "enrol-key", name, public.to_str().unwrap()]).unwrap();
        Approver { key }
    }

    /// The signature's file.
    fn signs(&self, text: &Path) -> String {
        persons::sign(&self.key, "erasure@cloister", text).unwrap()
    }
}

/// Every file below a directory that holds these bytes.
fn holding(directory: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.is_file()
                && fs::read(&path).unwrap().windows(bytes.len()).any(|part| part == bytes)
            {
                found.push(path);
            }
        }
    }
    found
}

/// The wrapped keys of a leaf's body as the page of the ledger has them.
fn wrapped(server: &Server, leaf: u64) -> Vec<u8> {
    let page = fs::read(server.data().join("ledger/body-keys/000")).unwrap();
    let slot = &page[usize::try_from(leaf).unwrap() * 96..][..96];
    slot[16 + 4..92].to_vec()
}

#[test]
fn by_two_persons() {
    let server = Server::started(places::SMALL).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let ada = Approver::new(&server, directory.path(), "ada", "ed25519");
    let grace = Approver::new(&server, directory.path(), "grace", "ecdsa");
    let request =
        json!({ "messages": [{ "role": "user", "content": "the word is xyzzy" }], "max_tokens": 3 });
    let answer = http::post(&server.socket(), "/v1/chat/completions", &request).unwrap();
    let record = answer.record().unwrap();
    let shown = server.show(record).unwrap();
    assert!(shown.to_string().contains("xyzzy"));
    let result = shown["related"][0]["index"].as_u64().unwrap();
    // Everything is integrated once somebody has it signed.
    let export = directory.path().join("export");
    server
        .cloisterd(&["ledger", "witness", "export", "--since", "0", "--out", export.to_str().unwrap()])
        .unwrap();
    let keys = [wrapped(&server, record), wrapped(&server, result)];
    for key in &keys {
        assert!(key.iter().any(|byte| *byte != 0));
        assert!(!holding(&server.data(), key).is_empty());
    }

    let text = directory.path().join("erasure.txt");
    let number = record.to_string();
    let out = text.to_str().unwrap();
    let make =
        ["ledger", "erase-request", "--record", &number, "--reason", "spillage of the word", "--out", out];
    server.cloisterd(&make).unwrap();
    let (first, second) = (ada.signs(&text), grace.signs(&text));
    let erase = |approvals: &[&str]| {
        let mut arguments = vec!["ledger", "erase", out, "--json"];
        approvals.iter().for_each(|approval| arguments.extend(["--approval", approval]));
        server.cloisterd_output(&arguments).unwrap()
    };
    for approvals in [&[first.as_str()][..], &[&first, &first]] {
        let refused = erase(approvals);
        assert!(!refused.status.success());
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(words.contains("2 different persons"), "{words}");
    }
    assert!(server.show(record).unwrap().to_string().contains("xyzzy"));

    let erased = erase(&[&first, &second]);
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    let erased: Value = serde_json::from_slice(&erased.stdout).unwrap();
    assert_eq!(erased["erased"], json!([record, result]));
    assert_eq!(erased["approved_by"], json!(["ada", "grace"]));
    for key in &keys {
        assert_eq!(holding(&server.data(), key), Vec::<PathBuf>::new());
        // Nor a part of it, nonce or key.
        assert_eq!(holding(&server.data(), &key[..24]), Vec::<PathBuf>::new());
        assert_eq!(holding(&server.data(), &key[24..56]), Vec::<PathBuf>::new());
    }

    let shown = server.show(record).unwrap();
    assert!(!shown.to_string().contains("xyzzy"), "{shown}");
    assert_eq!(shown["erased"], json!(true));
    let report = server.verify().unwrap();
    assert_eq!(report["verdict"], json!("passed"), "{report}");
    assert_eq!(report["bodies_erased"], json!(2), "{report}");
    let again = erase(&[&first, &second]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("was erased before"));
    assert!(
        server.replay(record).is_err()
            || !server.replay(record).unwrap()["matches"].as_bool().unwrap_or(false)
    );
}
