//! The proof that nothing leaves: that it holds while everything runs, that it is in the ledger, and that it can fail.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::server::{Server, signal};
use testkit::{http, places};

/// Something that happens soon, and on a busy machine later.
fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn postures(server: &Server) -> Vec<Value> {
    let listed = server.cloisterd(&["ledger", "list", "--count", "500", "--json"]).unwrap();
    let records: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let events = records.into_iter().map(|record| record["leaf"]["event"].clone());
    events.filter(|event| event["kind"] == "posture").collect()
}

fn of_occasion(server: &Server, occasion: &str) -> Option<Value> {
    postures(server).into_iter().find(|leaf| leaf["occasion"] == occasion)
}

fn verify(server: &Server) -> (bool, Value) {
    let output = server.cloisterd_output(&["airgap", "verify", "--json"]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let looked = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), looked)
}

fn rows(looked: &Value) -> &Vec<Value> {
    looked["posture"]["rows"].as_array().unwrap()
}

#[test]
fn the_proof_holds_and_is_in_the_ledger() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    server.configure("[server]\ntcp = '127.0.0.1:0'\n").unwrap();
    server.start().unwrap();
    let request =
        serde_json::json!({ "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 4 });
    assert_eq!(http::post(&server.socket(), "/v1/chat/completions", &request).unwrap().status, 200);

    let (holds, looked) = verify(&server);
    let wrong: Vec<_> = rows(&looked).iter().filter(|row| row["verdict"] == "fail").collect();
    assert!(holds && wrong.is_empty(), "{wrong:#?}");
    let passed = |place: &str| {
        let of = rows(&looked).iter().filter(|row| row["place"] == place && row["verdict"] == "pass");
        of.map(|row| row["name"].as_str().unwrap()).collect::<BTreeSet<_>>()
    };
    for place in ["gateway", "engine coder"] {
        let passed = passed(place);
        for wanted in [
            "tcp over IPv4",
            "dns",
            "vsock",
            "io_uring",
            "abstract unix socket",
            "a filter on every thread",
            "no capability",
            "a network of its own",
            "bytes over its interfaces",
            "its routes",
            "its open descriptors",
            "a file and a TCP port, before seccomp",
            "the program that it runs",
        ] {
            assert!(passed.contains(wanted), "{place}: {wanted}: {passed:?}");
        }
    }
    assert!(passed("gateway").contains("listing beside the grants"));
    assert!(passed("supervisor").contains("sockets of any network"));
    assert!(passed("program").contains("name lookups that it imports"));
    assert!(passed("outside").contains("tcp over IPv4"), "the control");
    let control = looked["control"].as_array().unwrap();
    assert!(control.iter().any(|row| row["name"] == "dns" && row["verdict"] == "pass"));
    let names: Vec<_> =
        looked["posture"]["processes"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["supervisor", "gateway", "engine coder"]);

    // The table is the record's body, word by word; the first look was taken without being asked for.
    let shown = server.show(looked["record"].as_u64().unwrap()).unwrap();
    assert_eq!(shown["body"], looked["posture"]);
    assert_eq!(of_occasion(&server, "start").unwrap()["failed"], 0);
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["problems"], Value::Array(Vec::new()));
}

#[test]
fn the_jails_are_looked_at_by_themselves() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    server.configure("[airgap]\ninterval_s = 1\n").unwrap();
    server.start().unwrap();
    eventually("at intervals", || of_occasion(&server, "interval"));
    signal("KILL", server.child_pid("cloister-engine").unwrap()).unwrap();
    let changed = eventually("on change", || of_occasion(&server, "change"));
    assert_eq!(changed["failed"], 0);
    // A gateway that was killed is looked at again, too, and nothing of that is a finding.
    signal("KILL", server.child_pid("cloister-gateway").unwrap()).unwrap();
    server.wait_until_up().unwrap();
    let before = postures(&server).len();
    eventually("after the gateway came back", || (postures(&server).len() > before + 1).then_some(()));
    assert!(postures(&server).iter().all(|leaf| leaf["failed"] == 0));
    server.stop().unwrap();
}

#[test]
fn the_page_names_every_socket_file_and_flow() {
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    server.configure("[server]\ntcp = '127.0.0.1:0'\n").unwrap();
    server.start().unwrap();
    let out = server.root().join("egress.md");
    server.cloisterd(&["airgap", "report", "--out", out.to_str().unwrap()]).unwrap();
    let page = std::fs::read_to_string(out).unwrap();
    for wanted in [
        "Nothing got out.",
        "## Every process",
        "| gateway | tcp listener | 127.0.0.1:",
        "| gateway | unix listener | ",
        &server.data().join("ledger").display().to_string(),
        "| people | gateway | ",
        "| gateway | engine coder | a socket pair |",
        "## What this does not show",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    let lines = server.cloisterd(&["airgap", "verify", "--watch", "--times", "2", "--json"]).unwrap();
    let counters: Vec<Value> =
        lines.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(counters.len(), 4, "two processes, twice: {lines}");
    assert!(
        counters.iter().all(|line| line["sent_bytes"] == 0 && line["threads"] == line["threads_filtered"])
    );
    let rules = server.cloisterd(&["airgap", "nftables"]).unwrap();
    assert!(rules.contains("counter drop"), "{rules}");
    server.stop().unwrap();
}

#[test]
fn without_a_daemon_there_is_nothing_to_look_at() {
    let server = Server::empty().unwrap();
    let output = server.cloisterd_output(&["airgap", "verify"]).unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("no daemon runs"), "{words}");
}

/// Layers that can be left out, and what must fail then. Without `no_new_privs` no jail can be applied at all: both
/// Landlock and seccomp set it themselves.
const LAYERS: [&str; 8] = [
    "environment",
    "descriptors",
    "limits",
    "network-namespace",
    "ipc-namespace",
    "hostname-namespace",
    "capabilities",
    "landlock",
];

#[test]
fn a_layer_that_is_missing_is_named() {
    let mut server = Server::weakened(places::SMALL).unwrap();
    server.configure("[airgap]\non_failure = 'record'\n").unwrap();
    server.start().unwrap();
    let (holds, looked) = verify(&server);
    assert!(holds, "with all layers: {:?}", rows(&looked).iter().find(|row| row["verdict"] == "fail"));
    assert_eq!(looked["posture"]["accepted"][0], "airgap.on_failure = \"record\"");
    server.stop().unwrap();
    for layer in LAYERS.into_iter().chain(["seccomp"]) {
        server.start_without(layer).unwrap();
        let (holds, looked) = verify(&server);
        assert!(!holds, "{layer}");
        for place in ["gateway", "engine coder"] {
            let failed: BTreeSet<_> = rows(&looked)
                .iter()
                .filter(|row| row["place"] == place && row["verdict"] == "fail")
                .map(|row| row["layer"].as_str().unwrap())
                .collect();
            assert!(failed.contains(layer), "{place} without {layer}: {failed:?}");
        }
        let shown = server.show(looked["record"].as_u64().unwrap()).unwrap();
        assert!(shown["leaf"]["event"]["failed"].as_u64().unwrap() > 0);
        server.stop().unwrap();
    }
    let report = server.verify().unwrap();
    let findings = report["findings"].to_string();
    let found = findings.matches("probes of the jails did not come out as they must").count();
    assert!(found > LAYERS.len(), "an auditor finds them: {report:#}");
}

/// By default the daemon serves nobody from a jail that does not hold, and the ledger says why it stopped.
#[test]
fn a_jail_that_does_not_hold_stops_the_daemon() {
    let mut server = Server::weakened(places::SMALL).unwrap();
    // It may end before it was seen to be up.
    let _ended_early = server.start_without("capabilities");
    eventually("the daemon ends", || server.log().contains("so nothing is served").then_some(()));
    let log = server.log();
    assert!(log.contains("the jails do not hold") && log.contains("capabilities: gateway"), "{log}");
    let _stopped = server.stop();
    assert!(postures(&server).iter().any(|leaf| leaf["failed"].as_u64() > Some(0)));
}
