//! Who may come in, over TCP.

use std::process::Command;

use serde_json::Value;
use testkit::places;
use testkit::server::{self, Server};

pub(crate) fn free_port() -> u16 {
    server::free_port().unwrap()
}

/// A server with TCP, and a token of a person's.
pub(crate) fn with_token(model: &str) -> (Server, String, String) {
    Server::with_token(model, &[]).unwrap()
}

fn status(url: &str, token: Option<&str>) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &format!("{url}/v1/models")]);
    if let Some(token) = token {
        command.args(["-H", &format!("authorization: Bearer {token}")]);
    }
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_token_opens_and_its_revocation_closes() {
    let (server, url, token) = with_token(places::SMALL);
    assert_eq!(status(&url, None), "401");
    assert_eq!(status(&url, Some("clst_000000000000_00")), "401");
    assert_eq!(status(&url, Some(&token)), "200");
    assert_eq!(status(&url, Some(&token)), "200");
    let listed: Value =
        serde_json::from_str(&server.cloisterd(&["token", "list", "--json"]).unwrap()).unwrap();
    assert!(!listed.to_string().contains(token.rsplit('_').next().unwrap()));
    let id = listed[0]["id"].as_str().unwrap();
    server.cloisterd(&["token", "revoke", id]).unwrap();
    assert_eq!(status(&url, Some(&token)), "401");

    // Changes are on record before they are made; failures without a name are counted.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let list: Value =
        serde_json::from_str(&server.cloisterd(&["ledger", "list", "--count", "50", "--json"]).unwrap())
            .unwrap();
    let events: Vec<_> = list.as_array().unwrap().iter().map(|row| row["leaf"]["event"].clone()).collect();
    let has = |action: &str| {
        events.iter().any(|event| event["kind"] == "administration" && event["action"] == action)
    };
    assert!(has("user add") && has("token issue") && has("token revoke"), "{events:?}");
    let steps: Vec<_> = events.iter().filter(|event| event["kind"] == "model").collect();
    assert!(steps.iter().any(|event| event["step"] == "imported"), "{steps:?}");
    let refused: u64 = events
        .iter()
        .filter(|event| event["kind"] == "login" && event["outcome"] == "refused")
        .filter_map(|event| event["count"].as_u64())
        .sum();
    assert_eq!(refused, 3);
    // Two requests of ada's are one leaf.
    let accepted: Vec<_> =
        events.iter().filter(|event| event["kind"] == "login" && event["outcome"] == "accepted").collect();
    let credential = format!("token:{id}");
    let of_ada = accepted.iter().filter(|event| event["credential"] == credential.as_str());
    assert_eq!(of_ada.count(), 1, "{accepted:?}");
    assert!(events.iter().any(|event| event["kind"] == "start" && event["clock"].is_object()), "{events:?}");
}

fn chat(url: &str, token: &str) -> (String, String) {
    let body = r#"{"messages":[{"role":"user","content":"hello"}],"max_tokens":1}"#;
    let mut command = Command::new("curl");
    command.args(["-s", "-w", "\n%{http_code}", "-H", "content-type: application/json", "-d", body]);
    command.args(["-H", &format!("authorization: Bearer {token}"), &format!("{url}/v1/chat/completions")]);
    let answer = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let (body, status) = answer.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn a_token_is_for_what_it_was_issued_for() {
    let (server, url, everything) = with_token(places::SMALL);
    let issue = ["token", "issue", "ada", "--scope", "complete,read", "--days", "7", "--json"];
    let issued: Value = serde_json::from_str(&server.cloisterd(&issue).unwrap()).unwrap();
    assert!(issued["scope"].as_array().unwrap().iter().any(|action| action == "read-source"), "{issued}");
    let listed: Value =
        serde_json::from_str(&server.cloisterd(&["token", "list", "--json"]).unwrap()).unwrap();
    let row = listed.as_array().unwrap().iter().find(|row| row["id"] == issued["id"]).unwrap();
    let seconds = row["expires_unix_s"].as_i64().unwrap() - row["created_unix_s"].as_i64().unwrap();
    assert!((seconds - 7 * 86_400).abs() < 60, "{row}");
    let (status, words) = chat(&url, issued["token"].as_str().unwrap());
    assert!(status == "403" && words.contains("limited to complete"), "{status} {words}");
    assert_eq!(chat(&url, &everything).0, "200");
    let list = server.cloisterd(&["ledger", "list", "--count", "50", "--json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let refusals: Vec<_> =
        list.as_array().unwrap().iter().filter(|row| row["leaf"]["event"]["kind"] == "refusal").collect();
    assert!(refusals.iter().any(|row| row.to_string().contains("cloister.token-scope")), "{refusals:?}");
    let words = server.cloisterd_output(&["token", "issue", "ada", "--scope", "fly"]).unwrap();
    assert!(String::from_utf8_lossy(&words.stderr).contains("no action `fly`"));
}
