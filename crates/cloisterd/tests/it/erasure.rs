//! Two persons erase what a third asked: their keys are OpenSSH's own, and nothing of the body's key stays.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{http, persons, places};

use crate::leftovers::{holding, wrapped_key};

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
    let keys = [wrapped_key(&server, record), wrapped_key(&server, result)];
    for key in &keys {
        assert!(key.iter().any(|byte| *byte != 0));
        assert!(!holding(&server.data(), &[key.as_slice()]).is_empty());
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
        assert_eq!(holding(&server.data(), &[key.as_slice()]), Vec::<PathBuf>::new());
        // Nor a part of it, nonce or key.
        assert_eq!(holding(&server.data(), &[&key[..24]]), Vec::<PathBuf>::new());
        assert_eq!(holding(&server.data(), &[&key[24..56]]), Vec::<PathBuf>::new());
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
