//! Each limit has its own error, and the server goes on.

use serde_json::json;
use testkit::server::Server;
use testkit::{http, places};

fn chat(content: &str, tokens_max: u32) -> serde_json::Value {
    json!({ "messages": [{ "role": "user", "content": content }], "max_tokens": tokens_max })
}

#[test]
fn each_limit_says_which() {
    let mut server = Server::new(places::SMALL, &["--context-tokens", "512", "--slots", "1"]).unwrap();
    server
        .configure("[limits]\nbody_bytes_max = 20000\nrequests_max = 3\nrequests_per_person_max = 2\n")
        .unwrap();
    server.start().unwrap();
    let socket = server.socket();
    let post = |body: &serde_json::Value| http::post(&socket, "/v1/chat/completions", body).unwrap();

    let long = post(&chat(&"word ".repeat(2000), 4));
    assert_eq!(long.status, 400);
    assert_eq!(long.json().unwrap()["error"]["code"], "context_length_exceeded", "{}", long.text());
    let large = post(&chat(&"x".repeat(30_000), 4));
    assert_eq!(large.status, 413, "{}", large.text());
    let wrong = post(&json!({ "messages": "hello" }));
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("messages"), "{}", wrong.text());
    let unknown = post(&json!({ "model": "nobody", "messages": [{ "role": "user", "content": "x" }] }));
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("coder"), "{}", unknown.text());

    let running: Vec<_> = (0..2)
        .map(|_| {
            http::send(&socket, "POST", "/v1/chat/completions", &chat("Write a long story.", 400).to_string())
                .unwrap()
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    let third = post(&chat("x", 1));
    assert_eq!(third.status, 429, "{}", third.text());
    assert!(third.header("retry-after").is_some());
    drop(running);

    let metrics = http::get(&socket, "/metrics").unwrap().text();
    assert!(metrics.contains("# TYPE"), "{metrics}");
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// Below the low-water mark nothing is answered, nothing is lost, and it says why.
#[test]
fn no_ledger_no_answer() {
    let mut server = Server::started(places::SMALL).unwrap();
    let answered = http::post(&server.socket(), "/v1/chat/completions", &chat("Say a word.", 3)).unwrap();
    assert_eq!(answered.status, 200);
    server.stop().unwrap();
    server.configure(&format!("[limits]\ndisk_free_bytes_min = {}\n", 1u64 << 60)).unwrap();
    server.start().unwrap();
    let refused = http::post(&server.socket(), "/v1/chat/completions", &chat("Say a word.", 3)).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("nothing is"), "{}", refused.text());
    assert!(refused.record().is_none());
    server.stop().unwrap();
    server.configure("").unwrap();
    server.start().unwrap();
    assert_eq!(
        http::post(&server.socket(), "/v1/chat/completions", &chat("Say a word.", 3)).unwrap().status,
        200
    );
    assert_eq!(server.replay(answered.record().unwrap()).unwrap()["matches"], true);
}

/// A full disk under the ledger: an error, no answer; what was acknowledged stays.
#[test]
fn a_full_disk() {
    let disk = SmallDisk::mount(48 << 20);
    let mut server = Server::new_with_ledger(places::SMALL, disk.path()).unwrap();
    server.configure("[limits]\ndisk_free_bytes_min = 0\n").unwrap();
    server.start().unwrap();
    let answered = http::post(&server.socket(), "/v1/chat/completions", &chat("Say a word.", 3)).unwrap();
    assert_eq!(answered.status, 200, "{}", answered.text());
    disk.fill();
    let refused = (0..2000).find_map(|_| {
        let response = http::post(&server.socket(), "/v1/chat/completions", &chat("Say a word.", 1)).unwrap();
        (response.status != 200).then_some(response)
    });
    let refused = refused.expect("the disk never became full");
    assert_eq!(refused.status, 503, "{}", refused.text());
    disk.relieve();
    server.kill().unwrap();
    server.start().unwrap();
    assert_eq!(server.replay(answered.record().unwrap()).unwrap()["matches"], true);
    server.stop().unwrap();
    assert_eq!(server.verify().unwrap()["verdict"], "passed");
}

/// A file system of a few megabytes, in memory.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(bytes: u64) -> SmallDisk {
        let directory = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "small"])
            .arg(directory.path())
            .status()
            .unwrap();
        assert!(status.success(), "a small file system could not be mounted: this test needs root");
        SmallDisk { directory }
    }

    fn path(&self) -> &std::path::Path {
        self.directory.path()
    }

    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        let block = vec![0; 1 << 16];
        while file.write_all(&block).is_ok() {}
    }

    fn relieve(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _best_effort = std::process::Command::new("umount").arg("-l").arg(self.directory.path()).status();
    }
}
