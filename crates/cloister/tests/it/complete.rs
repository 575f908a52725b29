use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::server::{Server, completion_reply, json_reply};
use crate::workplace::Workplace;

const STACK: &str = "procedure Push is\nbegin\n   \nend Push;\n";

#[test]
fn a_suggestion_goes_to_stdout_and_its_record_to_stderr() {
    let place = Workplace::new();
    place.write("stack.adb", STACK);
    let server = Server::play(&place.socket(), vec![completion_reply("Top := Top + 1;")]);

    let run =
        place.run(&["complete", "stack.adb:3:4", "--max-tokens", "40", "--stop", r"\n   end "]).check(0);
    assert_eq!(run.out, "Top := Top + 1;");
    run.says("[record 12 · code · prompt 30 tokens (20 cached) · answer 4]");
    assert_eq!(place.read("stack.adb"), STACK);

    let request = server.request();
    assert_eq!(request.line, "POST /v1/completions HTTP/1.1");
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.body,
        json!({"prompt": "procedure Push is\nbegin\n   ", "suffix": "\nend Push;\n",
               "max_tokens": 40, "stop": ["\n   end "], "temperature": 0.0, "cloister": {"path": "stack.adb"}})
    );
}

#[test]
fn receipts_are_kept() {
    let place = Workplace::new();
    place.write("stack.adb", STACK);
    let _server = Server::play(&place.socket(), vec![completion_reply("x"), completion_reply("x")]);
    place.run(&["complete", "stack.adb:3:4"]).check(0);
    place.run(&["complete", "stack.adb:3:4"]).check(0);

    let receipts = place.read("home/.local/state/cloister/receipts.jsonl");
    let lines: Vec<Value> = receipts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["record"], 12);
    assert_eq!(lines[0]["leaf"], json!({"index": 12, "hash": "ab".repeat(32)}));
    assert_eq!(lines[0]["server"], format!("unix:{}", place.socket().display()));
}

#[test]
fn json_for_scripts() {
    let place = Workplace::new();
    place.write("stack.adb", STACK);
    let _server = Server::play(&place.socket(), vec![completion_reply("a\nb")]);
    let run = place.run(&["complete", "stack.adb:3:4", "--json"]).check(0);
    assert_eq!(
        serde_json::from_str::<Value>(&run.out).unwrap(),
        json!({"record": 12, "deployment": "code", "text": "a\nb", "stop": "stop", "applied": false, "checks": [],
               "usage": {"prompt_tokens": 30, "prompt_tokens_cached": 20, "answer_tokens": 4}})
    );
}

/// Applies `completion` at `at` and compares what was sent and what the file became.
#[track_caller]
fn check_apply(file: &str, at: &str, completion: &str, sent: (&str, &str), expected: &str) {
    let place = Workplace::new();
    let path = place.write("a file:1.adb", file);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let server = Server::play(&place.socket(), vec![completion_reply(completion)]);
    let run = place.run(&["complete", &format!("a file:1.adb:{at}"), "--apply"]).check(0);
    assert_eq!(run.out, completion);
    run.says(&format!("inserted at a file:1.adb:{at}"));
    let body = server.request().body;
    assert_eq!((body["prompt"].as_str(), body["suffix"].as_str()), (Some(sent.0), Some(sent.1)));
    assert_eq!(place.read("a file:1.adb"), expected);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let left = fs::read_dir(place.directory.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".cloister-"));
    assert_eq!(left.count(), 0, "a temporary file was left");
}

#[test]
fn applied_in_the_middle() {
    check_apply("a\nbc\n", "2:2", "x\ny", ("a\nb", "c\n"), "a\nbx\nyc\n");
}

#[test]
fn applied_at_the_end_of_the_file() {
    check_apply("a\n", "2:1", "x\n", ("a\n", ""), "a\nx\n");
    check_apply("a", "1:2", "x", ("a", ""), "ax");
}

#[test]
fn applied_to_an_empty_file() {
    check_apply("", "1:1", "x\n", ("", ""), "x\n");
}

#[test]
fn columns_count_characters() {
    check_apply("-- Größe 🙂\nx\n", "1:11", "!", ("-- Größe 🙂", "\nx\n"), "-- Größe 🙂!\nx\n");
    check_apply("äö\n", "1:2", "ü", ("ä", "ö\n"), "äüö\n");
}

#[test]
fn carriage_returns_stay_with_the_file_and_are_not_sent() {
    check_apply("a\r\nb\r\n", "1:2", "x\ny", ("a", "\nb\n"), "ax\r\ny\r\nb\r\n");
}

#[test]
fn a_byte_order_mark_is_no_column() {
    check_apply("\u{feff}ab\n", "1:2", "x", ("a", "b\n"), "\u{feff}axb\n");
}

#[test]
fn a_long_file_is_sent_in_part() {
    let place = Workplace::new();
    let line = "x".repeat(99) + "\n";
    place.write("long.c", line.repeat(1000));
    let server = Server::play(&place.socket(), vec![completion_reply("y")]);
    place.run(&["complete", "long.c:501:1"]).check(0);
    let body = server.request().body;
    assert_eq!(body["prompt"], line.repeat(245)); // 24 KiB are 245.76 lines
    assert_eq!(body["suffix"], line.repeat(81)); // 8 KiB are 81.92 lines
}

#[test]
fn a_symbolic_link_goes_on_pointing() {
    let place = Workplace::new();
    place.write("src/real.adb", "ab\n");
    symlink("src/real.adb", place.path("link.adb")).unwrap();
    let _server = Server::play(&place.socket(), vec![completion_reply("x")]);
    place.run(&["complete", "link.adb:1:2", "--apply"]).check(0);
    assert_eq!(place.read("src/real.adb"), "axb\n");
    assert!(place.path("link.adb").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn nothing_to_add_writes_nothing() {
    let place = Workplace::new();
    place.write("stack.adb", STACK);
    let _server = Server::play(&place.socket(), vec![completion_reply("")]);
    let run = place.run(&["complete", "stack.adb:3:4", "--apply"]).check(0);
    assert_eq!(run.out, "");
    run.says("the model has nothing to add here");
}

#[test]
fn wrong_places_are_refused_before_anything_is_sent() {
    let place = Workplace::new();
    place.write("stack.adb", STACK);
    place.write("latin1.adb", b"-- Gr\xf6\xdfe\n");
    for (at, code, words) in [
        ("stack.adb", 2, "expected FILE:LINE:COL"),
        ("stack.adb:0:1", 2, "count from 1"),
        ("stack.adb:9:1", 2, "error[usage]: stack.adb: there is no line 9: the file has 5"),
        ("stack.adb:2:7", 2, "there is no column 7: line 2 ends at column 6"),
        ("latin1.adb:1:1", 2, "latin1.adb is not UTF-8 (at byte 5)"),
        ("missing.adb:1:1", 1, "error[file]: cannot read missing.adb\n  cause: No such file"),
        (".:1:1", 1, "cannot read ."),
    ] {
        place.run(&["complete", at]).check(code).says(words);
    }
}

#[test]
fn the_servers_errors_reach_the_person() {
    let place = Workplace::new();
    place.write("stack.adb", STACK);
    let refusal = |message: &str| json!({"error": {"message": message, "type": "t", "code": "c"}});
    let not_json = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec();
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\nx-cloister-record: 4\r\n\r\n{".to_vec();
    let cases = [
        (
            json_reply("401 Unauthorized", "", &refusal("no token")),
            "error[unauthenticated]: no token\n  hint: Set CLOISTER_TOKEN",
        ),
        (json_reply("403 Forbidden", "", &refusal("not yours")), "error[forbidden]: not yours"),
        (json_reply("429 Too Many Requests", "", &refusal("slow")), "error[busy]: slow\n  hint: Try again"),
        (
            json_reply("503 Service Unavailable", "x-cloister-record: 7\r\n", &refusal("ledger full")),
            "error[unavailable]: ledger full\n  cause: this is record 7; `cloister explain 7` shows it",
        ),
        (json_reply("400 Bad Request", "", &refusal("\u{1b}[2Jred")), "error[invalid]: ␛[2Jred"),
        (
            json_reply("502 Bad Gateway", "", &json!("?")),
            "error[unavailable]: the server answered with status 502",
        ),
        (not_json, "error[protocol]: the server's answer is not what was expected of POST /v1/completions"),
        (cut, "error[broken-off]: the answer broke off before its end"),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), "error[protocol]"),
        (Vec::new(), "error[protocol]"),
    ];
    let (replies, words): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let _server = Server::play(&place.socket(), replies);
    for words in words {
        let run = place.run(&["complete", "stack.adb:3:4", "--apply"]).check(1);
        run.says(words);
        assert_eq!(run.out, "");
    }
    assert_eq!(place.read("stack.adb"), STACK);
}

#[test]
fn an_edit_made_meanwhile_is_not_overwritten() {
    let place = Workplace::new();
    place.write("stack.adb", STACK);
    let listener = std::os::unix::net::UnixListener::bind(place.socket()).unwrap();
    let path = place.path("stack.adb");
    let editor = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        fs::File::create(path).unwrap().write_all(b"-- edited\n").unwrap();
        stream.write_all(&completion_reply("x")).unwrap();
    });
    place
        .run(&["complete", "stack.adb:3:4", "--apply"])
        .check(2)
        .says("was changed meanwhile; nothing was written");
    editor.join().unwrap();
    assert_eq!(place.read("stack.adb"), "-- edited\n");
}
