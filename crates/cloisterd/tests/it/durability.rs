//! What is answered is on disk before: seen by the system calls.

use std::process::Command;

use serde_json::json;
use testkit::server::Server;
use testkit::{http, places};

/// In the trace of a request, a sync of the log has returned before the answer's bytes are written to the
/// client's socket.
#[test]
fn fdatasync_returns_before_the_answer_is_written() {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut server = Server::new(places::SMALL, &[]).unwrap();
    let mut tracer = Command::new("strace");
    tracer.args([
        "-f",
        "-qq",
        "-y",
        "-s",
        "120",
        "-e",
        "trace=fdatasync,write,writev,sendto,sendmsg,accept4",
        "-o",
    ]);
    tracer.arg(trace.path());
    server.start_under(tracer).unwrap();
    for stream in [false, true] {
        let request = json!({
            "messages": [{ "role": "user", "content": "Say a word." }], "max_tokens": 3, "stream": stream,
        });
        let response = http::post(&server.socket(), "/v1/chat/completions", &request).unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
    }
    server.stop_traced().unwrap();
    let text = std::fs::read_to_string(trace.path()).unwrap();
    let answers = check(&text);
    assert!(answers >= 2, "{answers} answers in the trace:\n{text}");
}

/// Every write of an answer's text comes after a sync that began after the write before it.
fn check(trace: &str) -> usize {
    let mut answers = 0;
    let mut synced_since_answer = 0;
    for line in trace.lines() {
        let is_sync = line.contains("fdatasync") && line.contains("/ledger/wal/") && line.ends_with("= 0")
            || line.contains("fdatasync resumed") && line.ends_with("= 0");
        if is_sync {
            synced_since_answer += 1;
        }
        let is_write = ["write(", "writev(", "sendto(", "sendmsg("].iter().any(|call| line.contains(call));
        let holds_answer = line.contains("HTTP/1.1 200 OK") && line.contains("x-cloister-record")
            || line.contains("data: {");
        if is_write && holds_answer {
            // An intent and a result, or an intent and a block, or a block, or the closing result.
            assert!(synced_since_answer >= 1, "an answer was written before its leaf was durable: {line}");
            synced_since_answer = 0;
            answers += 1;
        }
    }
    answers
}
