//! Records found and exported, by administrators and by people.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::{http, places};

fn query(server: &Server, arguments: &[&str]) -> Value {
    let mut all = vec!["ledger", "query", "--json"];
    all.extend(arguments);
    serde_json::from_str(&server.cloisterd(&all).unwrap()).unwrap()
}

fn leaves(page: &Value) -> Vec<u64> {
    page["rows"].as_array().unwrap().iter().map(|row| row["leaf"].as_u64().unwrap()).collect()
}

fn ask(server: &Server, words: &str, subject: &Value) -> u64 {
    let request = json!({
        "messages": [{ "role": "user", "content": words }], "max_tokens": 4, "cloister": subject,
    });
    let response = http::post(&server.socket(), "/v1/chat/completions", &request).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    response.record().unwrap()
}

#[test]
fn records_are_found() {
    let mut server = Server::started(places::SMALL).unwrap();
    let flight = json!({ "repository": "https://git.example/flight.git", "path": "src/deep/wing.adb" });
    let first = ask(&server, "What is a pelican-sextant?", &flight);
    let second = ask(&server, "Hello.", &json!({}));
    for wrong in [
        json!({ "repository": "https://ada:secret@git.example/x.git" }),
        json!({ "path": "a\nb" }),
        json!({ "path": "x".repeat(1025) }),
        json!({ "path": 1 }),
    ] {
        let request = json!({ "messages": [{ "role": "user", "content": "a" }], "cloister": wrong });
        let response = http::post(&server.socket(), "/v1/chat/completions", &request).unwrap();
        assert_eq!(response.status, 400, "{wrong}");
        assert!(response.text().contains("cloister."), "{}", response.text());
    }

    let intents = query(&server, &["--kind", "intent", "--since", "1h", "--person", "owner"]);
    assert_eq!(leaves(&intents), [second, first], "{intents}");
    let row = &intents["rows"][1];
    assert_eq!((&row["outcome"], &row["action"]), (&json!("answered"), &json!("chat")));
    assert_eq!(row["path"], "src/deep/wing.adb");
    let found = |arguments: &[&str]| leaves(&query(&server, arguments));
    assert_eq!(found(&["--path", "src/**.adb", "--outcome", "answered"]), [first]);
    assert_eq!(found(&["--repository", "https://git.example/flight.git"]), [first]);
    assert_eq!(found(&["--kind", "intent", "--before", &second.to_string(), "--count", "1"]), [first]);
    assert_eq!(found(&["--path", "src/*.adb"]), Vec::<u64>::new());
    assert_eq!(found(&["--person", "nobody"]), Vec::<u64>::new());
    assert_eq!(found(&["--until", "2020-01-01"]), Vec::<u64>::new());
    let table = server.cloisterd(&["ledger", "query", "--kind", "intent"]).unwrap();
    assert!(table.starts_with("LEAF") && table.contains("src/deep/wing.adb"), "{table}");

    // A search is on record before it is done, with its filter in the body.
    assert_eq!(found(&["--text", "SEXTANT pelican"]), [first]);
    let searched = query(&server, &["--action", "ledger query"]);
    assert_eq!(searched["rows"].as_array().map(Vec::len), Some(1), "{searched}");
    assert!(!searched.to_string().contains("SEXTANT"), "{searched}");
    let shown = server.show(searched["rows"][0]["leaf"].as_u64().unwrap()).unwrap();
    assert_eq!(shown["body"]["filter"]["text"], "SEXTANT pelican", "{shown}");

    // The same over HTTP.
    let asked = |path: &str| {
        let response = http::get(&server.socket(), path).unwrap();
        (response.status, response.json().unwrap_or_default())
    };
    let (status, page) = asked("/v1/cloister/ledger/query?kind=intent&path=src%2F");
    assert_eq!((status, leaves(&page)), (200, vec![first]), "{page}");
    assert_eq!(asked("/v1/cloister/ledger/query?persons=x").0, 400);

    server.stop().unwrap();
    assert_eq!(leaves(&query(&server, &["--path", "src/deep"])), [first], "without a daemon");
    std::fs::remove_file(server.data().join("ledger/index.db")).unwrap();
    assert_eq!(leaves(&query(&server, &["--path", "src/deep"])), [first], "an index that is gone");
    let report = server.verify().unwrap();
    assert_eq!(report["verdict"], "passed", "{report}");
    let listing = std::fs::read_dir(server.data().join("ledger")).unwrap();
    for entry in listing.map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        let word = b"pelican-sextant";
        assert!(!bytes.windows(word.len()).any(|window| window == word), "{}", entry.path().display());
    }
}

/// A person finds their own records, and nobody else's.
#[test]
fn people_find_their_own() {
    let (server, url, token) = crate::tokens::with_token(places::SMALL);
    ask(&server, "The owner's walrus-astrolabe.", &json!({}));
    let curl = |path: &str, body: Option<&str>| -> Value {
        let mut command = Command::new("curl");
        command.args(["-s", &format!("{url}{path}"), "-H", &format!("authorization: Bearer {token}")]);
        if let Some(body) = body {
            command.args(["--data", body]);
        }
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
    };
    let body = r#"{"messages":[{"role":"user","content":"A walrus-astrolabe?"}],"max_tokens":2}"#;
    curl("/v1/chat/completions", Some(body));
    for filter in ["", "&person=ada", "&text=walrus-astrolabe"] {
        let page = curl(&format!("/v1/cloister/ledger/query?kind=intent{filter}"), None);
        let people: Vec<_> = page["rows"].as_array().unwrap().iter().map(|row| &row["person"]).collect();
        assert_eq!(people, ["ada"], "{filter}: {page}");
    }
    let refused = curl("/v1/cloister/ledger/query?person=owner", None);
    assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
    // Who administers neither.
    assert_eq!(leaves(&query(&server, &["--text", "walrus-astrolabe"])).len(), 1);
    assert!(server.cloisterd(&["ledger", "query", "--text", "walrus-astrolabe", "--person", "ada"]).is_err());
    let searches = query(&server, &["--action", "ledger query", "--person", "ada"]);
    assert_eq!(searches["rows"][0]["subject"], "ada", "{searches}");
}

#[test]
fn events_are_exported_and_followed() {
    let server = Server::started(places::SMALL).unwrap();
    let record = ask(&server, "Hello.", &json!({ "path": "a=b|c]\".adb" }));
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for format in ["jsonl", "ocsf", "cef", "rfc5424"] {
        let text = server.cloisterd(&["ledger", "export", "--format", format]).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() >= 3, "{text}");
        match format {
            "jsonl" | "ocsf" => {
                for line in lines {
                    serde_json::from_str::<Value>(line).unwrap();
                }
            }
            "cef" => assert!(lines.iter().all(|line| line.starts_with("CEF:0|Cloister|")), "{text}"),
            _ => assert!(lines.iter().all(|line| line.contains(" cloister - ")), "{text}"),
        }
    }
    let from = record.to_string();
    let text = server.cloisterd(&["ledger", "export", "--format", "jsonl", "--from-leaf", &from]).unwrap();
    let event: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&event["leaf"], &event["kind"]), (&json!(record), &json!("intent")));
    assert!(event["leaf_hash"].as_str().unwrap().starts_with("sha256:"), "{event}");
    assert_eq!(event["entry"]["event"]["path"], "a=b|c]\".adb");

    // A cursor goes on where it was; nothing comes twice.
    let (out, cursor) = (path("events"), path("cursor"));
    let export = || {
        let arguments =
            ["ledger", "export", "--format", "jsonl", "--out", &out, "--cursor", &cursor, "--kind", "intent"];
        server.cloisterd(&arguments).unwrap();
        std::fs::read_to_string(&out).unwrap().lines().count()
    };
    assert_eq!([export(), export()], [1, 1]);
    ask(&server, "Again.", &json!({}));
    assert_eq!(export(), 2);

    // A reader on a socket gets what there is, and what comes.
    let socket = directory.path().join("siem.sock");
    let mut serving = Command::new(places::program("cloisterd").unwrap());
    serving.arg("--data").arg(server.data()).args(["ledger", "export", "--format", "jsonl", "--follow"]);
    serving.args(["--kind", "intent", "--socket"]).arg(&socket);
    let mut serving = serving.stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let reader = loop {
        #[expect(clippy::disallowed_methods, reason = "a reader of a SIEM, which this test is")]
        let connected = UnixStream::connect(&socket);
        match connected {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    reader.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut lines = BufReader::new(reader).lines();
    for _ in 0..2 {
        lines.next().unwrap().unwrap();
    }
    let third = ask(&server, "And again.", &json!({}));
    let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(event["leaf"], third);
    serving.kill().unwrap();
    serving.wait().unwrap();
}
