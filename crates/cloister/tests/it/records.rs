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
fn anothers_record_is_refused() {
    let place = Workplace::new();
    let refusal = json!({"error": {"message": "record 5 is not yours, or does not exist"}});
    let _server = Server::play(&place.socket(), vec![json_reply("403 Forbidden", "", &refusal)]);
    place.run(&["explain", "5"]).check(1).says("error[forbidden]: record 5 is not yours");
    place.run(&["explain", "five"]).check(2);
}
