use serde_json::{Value, json};

use crate::server::{Server, json_reply};
use crate::workplace::Workplace;

#[test]
fn a_record_is_explained() {
    let place = Workplace::new();
    let intent = json!({"kind": "intent", "identity": "alice", "deployment": "code", "prompt_tokens": 9});
    let asked = json!({"fill": {"prefix": "a\u{1b}[2J\n", "suffix": "c"}}).to_string();
    let document = json!({
        "index": 5, "leaf": {"schema": 1, "time_unix_ms": 1_700_000_000_000_u64, "event": intent},
        "body": {"prompt_text": asked, "context_text": ""}, "related": [],
    });
    let reply = || json_reply("200 OK", "", &document);
    let server = Server::play(&place.socket(), vec![reply(), reply()]);
    let run = place.run(&["explain", "5"]).check(0);
    for words in ["record 5: intent\n", "2023-11-14T22:13:20Z", "alice", "prompt: before the cursor\n  | a"] {
        assert!(run.out.contains(words), "{words:?} is not in {run:#?}");
    }
    assert_eq!(server.request().line, "GET /v1/cloister/records/5 HTTP/1.1");
    let run = place.run(&["explain", "5", "--json"]).check(0);
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), document);
}

#[test]
fn a_decision_is_sent_with_digests() {
    let place = Workplace::new();
    place.write("before.adb", "");
    let receipt = format!("x-cloister-record: 5\r\nx-cloister-receipt: 9:sha256:{}\r\n", "ab".repeat(32));
    let reply = || json_reply("200 OK", &receipt, &json!({"record": 5, "leaf": 9}));
    let server = Server::play(&place.socket(), vec![reply(), reply()]);
    let run = place
        .run(&[
            "decide",
            "5",
            "edited_after",
            "--path",
            "src/a.adb",
            "--before",
            "before.adb",
            "--client",
            "ed",
        ])
        .check(0);
    assert_eq!(run.out, "9\n");
    let request = server.request();
    assert_eq!(request.line, "POST /v1/cloister/decisions HTTP/1.1");
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(
        request.body,
        json!({"record": 5, "choice": "edited_after", "accepted_bytes": null, "path": "src/a.adb",
               "digest_before": empty, "digest_after": null, "client": "ed"})
    );
    let run = place.run(&["decide", "5", "rejected", "--json"]).check(0);
    assert_eq!(serde_json::from_str::<Value>(&run.out).unwrap(), json!({"record": 5, "leaf": 9}));

    place.run(&["decide", "5", "liked"]).check(2).says("partly_accepted");
    place
        .run(&["decide", "5", "accepted", "--after", "missing.adb"])
        .check(1)
        .says("cannot read missing.adb");
}

#[test]
fn anothers_record_is_refused() {
    let place = Workplace::new();
    let refusal = json!({"error": {"message": "record 5 is not yours, or does not exist"}});
    let _server = Server::play(&place.socket(), vec![json_reply("403 Forbidden", "", &refusal)]);
    place.run(&["explain", "5"]).check(1).says("error[forbidden]: record 5 is not yours");
    place.run(&["explain", "five"]).check(2);
}
