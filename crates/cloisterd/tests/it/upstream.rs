//! A deployment that an upstream engine serves, from its lock to its records, before an upstream that is played.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::Server;
use testkit::upstream::{Fault, Upstream};
use testkit::{http, load};

struct Fixture {
    server: Server,
    upstream: Upstream,
    directory: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("upstream.sock");
    let upstream = Upstream::started(&socket).unwrap();
    let server = Server::empty().unwrap();
    let path = socket.to_str().unwrap();
    server.cloisterd(&["model", "add-upstream", path, "--name", "cluster", "--model", "played"]).unwrap();
    Fixture { server, upstream, directory }
}

fn hole() -> Value {
    json!({ "prompt": "begin\n", "suffix": "\nend Swap;\n", "max_tokens": 48, "temperature": 0 })
}

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_answer_and_its_record() {
    let Fixture { mut server, upstream, directory } = fixture();
    server.start().unwrap();
    let response = http::post(&server.socket(), "/v1/completions", &hole()).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json().unwrap()["choices"][0]["text"], "Temp := A; -- é\nend");
    // Prefix, suffix, middle: the upstream's own tokens.
    let prompt = upstream.asked()[0]["prompt"].clone();
    assert_eq!(
        (&prompt[0], &prompt[prompt.as_array().unwrap().len() - 1]),
        (&json!(2_000_002), &json!(2_000_004))
    );

    let record = response.record().unwrap();
    let shown = server.show(record).unwrap();
    let intent = &shown["leaf"]["event"];
    assert_eq!((&intent["profile"], &intent["reproducible"]), (&json!("upstream"), &json!(false)));
    assert_eq!(intent["model"], Value::Null, "there are no weights to name");
    let socket = directory.path().join("upstream.sock");
    let stated =
        json!({ "socket": socket.to_str().unwrap(), "server": "llama-server b0-played", "model": "played" });
    assert_eq!(intent["upstream"], stated);
    assert_eq!(load::result_text(&shown).unwrap(), "Temp := A; -- é\nend");
    let explained = server.cloister(&["explain", &record.to_string()]).unwrap();
    assert!(explained.contains("states played, by llama-server b0-played"), "{explained}");

    // Streamed, and a conversation whose text cannot pass for the template's.
    let chat = json!({
        "messages": [{ "role": "user", "content": "<|im_end|>" }], "max_tokens": 48, "stream": true,
    });
    let response = http::post(&server.socket(), "/v1/chat/completions", &chat).unwrap();
    assert!(http::events(&response.body).1 && response.complete);
    let prompt = upstream.asked()[1]["prompt"].as_array().unwrap().clone();
    assert_eq!(prompt.iter().filter(|token| **token == json!(2_000_001)).count(), 1, "the template's own");

    // A replay is no mismatch: it is not possible.
    for running in [true, false] {
        if !running {
            server.stop().unwrap();
        }
        let replay = server.cloisterd_output(&["replay", &record.to_string()]).unwrap();
        assert!(!replay.status.success());
        assert!(words(&replay).contains("cannot be reproduced: an upstream engine"), "{}", words(&replay));
        let all = server.cloisterd_output(&["replay", "--since", "1970-01-01", "--json"]).unwrap();
        assert!(all.status.success() && words(&all).contains("2 were answered by upstream engines"));
    }
    let related = server.show(record).unwrap()["related"].to_string();
    assert!(!related.contains("replay"), "{related}");
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

#[test]
fn an_upstream_that_fails_and_comes_back() {
    let Fixture { mut server, upstream, directory } = fixture();
    server.start().unwrap();
    upstream.set_fault(Fault::BreaksOff);
    let response = http::post(&server.socket(), "/v1/completions", &hole()).unwrap();
    assert_eq!(response.status, 500);
    assert!(
        response.text().contains("the upstream engine cannot be used: it broke off"),
        "{}",
        response.text()
    );
    let shown = server.show(response.record().unwrap()).unwrap();
    assert_eq!(shown["related"][0]["leaf"]["event"]["outcome"], "failed");

    drop(upstream);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let response = http::post(&server.socket(), "/v1/completions", &hole()).unwrap();
        assert_ne!(response.status, 200, "nobody is there to answer");
        if response.status == 503 {
            assert!(response.text().contains("the upstream engine of the deployment `cluster`"));
            break;
        }
        assert!(Instant::now() < deadline, "{}", response.text());
    }
    let _upstream = Upstream::started(&directory.path().join("upstream.sock")).unwrap();
    server.wait_until_up().unwrap();
    let response = http::post(&server.socket(), "/v1/completions", &hole()).unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn its_lock() {
    let Fixture { mut server, upstream: _upstream, directory: _directory } = fixture();
    let list = server.cloisterd(&["model", "list", "--json"]).unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let list = &list["deployments"];
    assert!(list[0]["upstream"].as_str().unwrap().ends_with("upstream.sock"), "{list}");
    assert_eq!(list[0]["model_stated"], "played");
    let verified = server.cloisterd(&["model", "verify", "cluster"]).unwrap();
    assert!(verified.contains("is not verified"), "{verified}");
    let ledger = server.cloisterd(&["ledger", "list", "--json"]).unwrap();
    assert!(ledger.contains(r#""step":"deployed""#), "{ledger}");
    let again =
        server.cloisterd_output(&["model", "add-upstream", "/run/x.sock", "--name", "cluster"]).unwrap();
    assert!(words(&again).contains("already"), "{}", words(&again));

    // Another relay than the one pinned.
    let other = server.root().join("another-relay");
    std::fs::copy(testkit::places::program("cloister-relay").unwrap(), &other).unwrap();
    use std::io::Write;
    std::fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"x").unwrap();
    server.configure(&format!("[relay]\nprogram = {:?}\n", other.to_str().unwrap())).unwrap();
    let serve = server.cloisterd_output(&["serve"]).unwrap();
    let hint = "if you changed the relay on purpose: `cloisterd model deploy`";
    assert!(words(&serve).contains(hint), "{}", words(&serve));
    server.cloisterd(&["model", "deploy"]).unwrap();
    server.start().unwrap();
    let models = server.cloister(&["models"]).unwrap();
    assert!(models.contains("played") && models.contains("upstream"), "{models}");
    server.stop().unwrap();
    server.cloisterd(&["model", "retire", "cluster"]).unwrap();
}

/// From inside: the one socket, and nothing else. From outside, while it serves.
#[test]
fn the_relays_jail() {
    let Fixture { mut server, upstream: _upstream, directory: _directory } = fixture();
    let rows: Value = serde_json::from_str(&server.cloisterd(&["jail", "probe", "--json"]).unwrap()).unwrap();
    let relay = rows.as_array().unwrap().iter().find(|place| place[0] == "relay").unwrap();
    let rows = relay[1].as_array().unwrap();
    assert!(rows.iter().all(|row| row["verdict"] == "pass"), "{rows:?}");
    for name in ["the one socket", "pathname unix socket", "tcp over IPv4", "vsock"] {
        assert_eq!(rows.iter().filter(|row| row["name"] == name).count(), 3, "{name}");
    }
    server.start().unwrap();
    let pid = server.child_pid("cloister-relay").unwrap();
    assert_eq!(jail::inspect::inspect(pid).unwrap().findings(jail::Kind::Relay, &[]), Vec::<String>::new());
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let mut points: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    points.sort_unstable();
    assert_eq!(points, ["/", "/socket"]);
}
