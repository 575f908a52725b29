//! The jails of the processes that serve, tried from inside and looked at from outside.

use jail::Kind;
use serde_json::Value;
use testkit::server::Server;
use testkit::{http, places};

#[test]
fn probes_from_every_thread() {
    let server = Server::new(places::SMALL, &[]).unwrap();
    let rows: Value = serde_json::from_str(&server.cloisterd(&["jail", "probe", "--json"]).unwrap()).unwrap();
    let places: Vec<_> = rows.as_array().unwrap().iter().map(|place| place[0].as_str().unwrap()).collect();
    assert_eq!(places, ["outside", "engine", "gateway", "importer"]);
    for place in rows.as_array().unwrap() {
        let (name, rows) = (place[0].as_str().unwrap(), place[1].as_array().unwrap());
        let verdict = |row: &Value| row["verdict"].as_str().unwrap_or("not_tried").to_owned();
        let passed = rows.iter().filter(|row| verdict(row) == "pass").count();
        assert!(rows.iter().all(|row| verdict(row) != "fail"), "{name}: {rows:?}");
        if name == "outside" {
            assert!(passed >= 15, "the control: {passed} of {}", rows.len());
        } else {
            let threads: std::collections::BTreeSet<_> =
                rows.iter().map(|row| row["thread"].to_string()).collect();
            assert!(threads.len() >= 3, "{name}");
            if name == "importer" {
                // Its blobs and unfinished copies it may write; keys, ledger, locks, proofs and roots it may not.
                let at =
                    |wanted: &str| rows.iter().filter(|row| row["name"].as_str() == Some(wanted)).count();
                let each =
                    ["a file in a granted folder", "a file in what is read only", "a file beside the grants"];
                assert_eq!(each.map(at), [2, 2, 9].map(|count| count * threads.len()));
            }
            for wanted in [
                "tcp over IPv4",
                "udp over IPv4",
                "dns",
                "icmp, raw",
                "netlink",
                "packet socket",
                "vsock",
                "io_uring",
                "execve",
            ] {
                let of_row: Vec<_> =
                    rows.iter().filter(|row| row["name"].as_str() == Some(wanted)).map(verdict).collect();
                assert_eq!(of_row.len(), threads.len(), "{name}: {wanted}");
                assert!(of_row.iter().all(|verdict| verdict == "pass"), "{name}: {wanted}: {of_row:?}");
            }
        }
    }
}

/// While they serve: seccomp, no_new_privs, no capability, another and empty network, on every thread.
#[test]
fn serving_processes_from_outside() {
    let server = Server::started(places::SMALL).unwrap();
    let request =
        serde_json::json!({ "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 4 });
    assert_eq!(http::post(&server.socket(), "/v1/chat/completions", &request).unwrap().status, 200);
    for (name, kind) in [("cloister-gateway", Kind::Gateway), ("cloister-engine", Kind::Engine)] {
        let inspection = jail::inspect::inspect(server.child_pid(name).unwrap()).unwrap();
        assert!(inspection.threads.len() >= 3, "{name}");
        assert_eq!(inspection.findings(kind, &[server.data()]), Vec::<String>::new(), "{name}");
    }
}
