//! `cloister lsp` between a real daemon and clients that people use: pytest-lsp's over pygls, and Neovim.

use std::process::Command;

use serde_json::Value;
use testkit::places;
use testkit::server::Server;

/// The decisions of the ledger, the newest first, once there is one of this choice.
fn decisions(server: &Server, choice: &str) -> Vec<Value> {
    for _ in 0..100 {
        let listed = server.cloisterd(&["ledger", "list", "--count", "64", "--json"]).unwrap();
        let leaves: Value = serde_json::from_str(&listed).unwrap();
        let events = leaves.as_array().unwrap().iter().map(|leaf| leaf["leaf"]["event"].clone());
        let found: Vec<Value> = events.filter(|event| event["kind"] == "decision").collect();
        if found.iter().any(|event| event["choice"] == choice) {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no decision {choice}");
}

#[test]
fn pytest_lsp() {
    let python = std::env::var("CLOISTER_TEST_PYTEST_LSP")
        .expect("CLOISTER_TEST_PYTEST_LSP names a Python that has pytest-lsp: run `cargo xtask test`");
    let mut server = Server::started(places::CODER).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/lsp_client.py");
    let address = format!("unix:{}", server.socket().display());
    let output = Command::new(python)
        .arg(script)
        .arg(places::program("cloister").unwrap())
        .args([&address, server.root().to_str().unwrap()])
        .env("HOME", server.root())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}\n{}", server.log());
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&seen["inline"], &seen["reachable"], &seen["from_cache"]),
        (&true.into(), &true.into(), &1.into())
    );
    let first = seen["first"].as_str().unwrap();
    assert!(first.contains("Item"), "{seen}");
    assert_eq!(format!("{}{}", seen["typed"].as_str().unwrap(), seen["second"].as_str().unwrap()), first);
    assert!(seen["hover"].as_str().unwrap().contains("by `coder`"), "{seen}");
    let record: u64 = seen["suggestion"].as_str().unwrap().parse().unwrap();
    let shown = server.show(record).unwrap();
    assert_eq!(shown["leaf"]["event"]["path"], "stacks.adb", "{shown}");
    let decision = &decisions(&server, "accepted")[0];
    assert_eq!((&decision["record"], &decision["client"]), (&record.into(), &"pytest-lsp 1".into()));
    assert!(
        decision["digest_after"].is_string() && decision["digest_after"] != decision["digest_before"],
        "{decision}"
    );
    assert!(
        seen["chat_record"].as_u64().unwrap() > record
            && seen["chat_text"].as_str().is_some_and(|text| !text.is_empty())
    );
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// The one of Debian 12, which has ordinary completion only.
#[test]
fn neovim() {
    let mut server = Server::started(places::CODER).unwrap();
    let (file, seen) = (server.root().join("stacks.adb"), server.root().join("seen.json"));
    let text = "procedure Twice (X : in out Integer) is\nbegin\n   X := X *\nend Twice;\n";
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/lsp_neovim.lua");
    let output = Command::new("nvim")
        .args(["--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", &format!("luafile {script}")])
        // A script that fails comes here.
        .args(["-c", "cquit"])
        .envs([
            ("LSP_TEST_PROGRAM", places::program("cloister").unwrap().as_os_str()),
            ("LSP_TEST_SERVER", format!("unix:{}", server.socket().display()).as_ref()),
            ("LSP_TEST_FILE", file.as_os_str()),
            ("LSP_TEST_LINE", "3".as_ref()),
            ("LSP_TEST_SEEN", seen.as_os_str()),
            ("HOME", server.root().as_os_str()),
        ])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    let seen: Value = serde_json::from_slice(&std::fs::read(&seen).unwrap()).unwrap();
    let text = seen["text"].as_str().unwrap_or_else(|| panic!("{seen}\n{words}"));
    assert!(text.contains('2'), "{seen}");
    assert_eq!(
        seen["lines"][2].as_str().unwrap(),
        format!("   X := X *{}", text.lines().next().unwrap()),
        "{seen}"
    );
    let record: u64 = seen["suggestion"].as_str().unwrap().parse().unwrap();
    let decision = &decisions(&server, "accepted")[0];
    assert_eq!(decision["record"], record);
    assert!(decision["client"].as_str().unwrap().starts_with("Neovim"), "{decision}");
    server.stop().unwrap();
}
