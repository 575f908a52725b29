//! A witness of another house, by files that are carried: beside the running daemon and without it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{http, places};

/// What the witness's machine has: its key, its state, and what is carried to and fro.
struct Witness {
    directory: tempfile::TempDir,
}

impl Witness {
    fn new(server: &Server) -> Witness {
        let witness = Witness { directory: tempfile::tempdir().unwrap() };
        let key = witness.path("key");
        let made = server.cloister(&["witness", "init", "--name", "w1.example", "--key", &key]).unwrap();
        let key = made.lines().next().unwrap();
        server.cloisterd(&["ledger", "witness", "add", "w1", key]).unwrap();
        witness
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// There and back; what `import` says.
    fn round(&self, server: &Server, since: &[&str]) -> String {
        let (request, answer, qr) = (self.path("request"), self.path("answer"), self.path("qr.svg"));
        let export = ["ledger", "witness", "export", "--out", &request, "--qr", &qr];
        server.cloisterd(&[&export[..], since].concat()).unwrap();
        assert!(fs::read_to_string(&qr).unwrap().contains("<svg"));
        let (key, state) = (self.path("key"), self.path("state"));
        let policy = server.data().join("log.policy").to_str().unwrap().to_owned();
        let sign = ["witness", "sign", &request, "--key", &key, "--state", &state, "--policy", &policy];
        server.cloister(&[&sign[..], &["--out", &answer]].concat()).unwrap();
        self.import(server, "answer")
    }

    fn import(&self, server: &Server, name: &str) -> String {
        let output = server.cloisterd_output(&["ledger", "witness", "import", &self.path(name)]).unwrap();
        String::from_utf8(output.stderr).unwrap()
    }
}

fn ask(server: &Server) {
    let request = json!({ "messages": [{ "role": "user", "content": "one" }], "max_tokens": 2 });
    assert_eq!(http::post(&server.socket(), "/v1/chat/completions", &request).unwrap().status, 200);
}

fn covered(report: &Value) -> u64 {
    assert_eq!(report["verdict"], "passed", "{report}");
    report["witnessed"]["leaves"].as_u64().unwrap()
}

#[test]
fn there_and_back_beside_the_daemon_and_without_it() {
    let mut server = Server::started(places::SMALL).unwrap();
    ask(&server);
    // The log's own two keys are what the first policy demands.
    let alone = server.verify().unwrap();
    assert!(covered(&alone) > 0);
    assert_eq!(alone["witnessed"]["by"][0]["is_the_log"], json!(true), "{alone}");
    assert_eq!(alone["roll_back"], json!("not_excluded"));

    let witness = Witness::new(&server);
    let error = server.verify().unwrap_err().to_string();
    assert!(error.contains("no checkpoint of this log has the cosignatures"), "{error}");
    let said = witness.round(&server, &[]);
    assert!(said.contains("cosigned by w1"), "{said}");
    let report = server.verify().unwrap();
    let first = covered(&report);
    assert_eq!(report["roll_back"], json!({ "excluded_up_to": first }));
    assert!(report["leaves_by_kind"]["witness"] == json!(1), "{report}");
    let said = witness.import(&server, "answer");
    assert!(said.contains("nothing new"), "{said}");

    ask(&server);
    witness.round(&server, &[]);
    let second = covered(&server.verify().unwrap());
    assert!(second > first);
    server.stop().unwrap();

    // Under the lock, and the daemon goes on behind it.
    witness.round(&server, &[]);
    let third = covered(&server.verify().unwrap());
    assert!(third > second);
    server.start().unwrap();
    ask(&server);
    let report = server.verify().unwrap();
    assert_eq!((covered(&report), &report["checkpoints_witnessed"]), (third, &json!(3)));
    let listed = server.cloisterd(&["ledger", "list", "--count", "1000", "--json"]).unwrap();
    assert!(listed.contains("ledger witness add"), "{listed}");

    // A proof leads to what the witness cosigned.
    let ledger = server.data().join("ledger");
    let policy = server.data().join("log.policy");
    let proof = witness.path("leaf.tlog-proof");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    server.cloister(&["ledger", "proof", &text(&ledger), "1", "--out", &proof]).unwrap();
    let checked = ["ledger", "check-proof", &proof, "--policy", &text(&policy), "--json"];
    let checked: Value = serde_json::from_str(&server.cloister(&checked).unwrap()).unwrap();
    assert_eq!((&checked["index"], &checked["leaves"]), (&json!(1), &json!(third)));
    assert_eq!(checked["cosigned"][1]["witness"], json!("w1"));
}

#[test]
fn what_is_not_of_this_log_or_not_cosigned_is_refused() {
    let (server, other) = (Server::empty().unwrap(), Server::empty().unwrap());
    let witness = Witness::new(&server);
    let elsewhere = Witness::new(&other);
    elsewhere.round(&other, &[]);
    fs::copy(elsewhere.path("answer"), witness.path("foreign")).unwrap();
    let said = witness.import(&server, "foreign");
    assert!(said.contains("no log of the policy signed"), "{said}");
    fs::copy(server.data().join("ledger/checkpoint"), witness.path("own")).unwrap();
    let said = witness.import(&server, "own");
    assert!(said.contains("no witness of the policy cosigned"), "{said}");
    let said = witness.import(&server, "key");
    assert!(said.contains("not a signed note"), "{said}");
    let since = ["ledger", "witness", "export", "--since", "1000", "--out", &witness.path("request")];
    let output = server.cloisterd_output(&since).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("fewer than the 1000"), "{said}");
    assert!(!server.data().join("ledger/witnessed").exists());
    let again = ["ledger", "witness", "add", "w1", "log+1+a"];
    assert!(!server.cloisterd_output(&again).unwrap().status.success());
    witness.round(&server, &["--since", "0"]);
    server.verify().unwrap();
}
