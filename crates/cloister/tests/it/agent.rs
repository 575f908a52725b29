//! The agent against a model that plays what it wants: what the tools refuse, and who decides about edits.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::commit_message::git;
use crate::server::{Play, Server, json_reply};
use crate::terminal::Terminal;
use crate::workplace::{Run, Workplace, finish};

/// A server whose model makes these calls, one an answer, and then says that it is done.
pub(crate) fn calling(place: &Workplace, calls: Vec<(&'static str, String)>) -> Server {
    let next = std::sync::atomic::AtomicUsize::new(0);
    Server::serve(&place.socket(), move |request| {
        if !request.line.contains("/chat/completions") {
            return Play::Reply(json_reply("200 OK", "", &json!({"record": 13, "leaf": 14})));
        }
        let number = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let message = match calls.get(number) {
            None => json!({"role": "assistant", "content": "It is done."}),
            Some((name, arguments)) => {
                let function = json!({"name": name, "arguments": arguments});
                let call = json!({"id": format!("call_{number}"), "type": "function", "function": function});
                json!({"role": "assistant", "content": null, "tool_calls": [call]})
            }
        };
        let body = json!({"model": "code", "choices": [{"index": 0, "message": message}],
            "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}});
        Play::Reply(json_reply("200 OK", &format!("x-cloister-record: {}\r\n", 20 + number), &body))
    })
}

fn agent(place: &Workplace, arguments: &[&str]) -> Run {
    let mut command = place.command();
    command
        .env("CLOISTER_SERVER", format!("unix:{}", place.socket().display()))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .args(["agent", "Do it.", "--root", "work"])
        .args(arguments);
    finish(command, "")
}

/// What the tools answered, in order, as the model was told in its last prompt.
pub(crate) fn results(server: &Server, answers: usize) -> Vec<String> {
    let mut messages = Value::Null;
    for _ in 0..answers {
        messages = server.request_to("/v1/chat/completions").body["messages"].clone();
    }
    let tools = messages.as_array().unwrap().iter().filter(|message| message["role"] == "tool");
    tools.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn propose(path: &str, old: &str, new: &str) -> (&'static str, String) {
    ("propose_edit", json!({"path": path, "old_text": old, "new_text": new}).to_string())
}

#[test]
fn hostile_calls_are_refused_and_the_loop_goes_on() {
    let place = Workplace::new();
    place.write("secret", "the secret\n");
    place.write("work/a.txt", "one\ntwo\n");
    place.write("work/.git/config", "[core]\n");
    place.write("work/.gitignore", "*.key\n");
    place.write("work/my.key", "the secret\n");
    symlink("../secret", place.path("work/link")).unwrap();
    let path = |path: &str| json!({ "path": path }).to_string();
    let huge = "a".repeat(70_000);
    let calls = vec![
        ("read_file", path("../secret")),
        ("read_file", path(place.path("secret").to_str().unwrap())),
        ("read_file", path("link")),
        ("read_file", path("a.txt\0")),
        ("read_file", path(&"a/".repeat(2000))),
        ("read_file", path(&huge)),
        ("read_file", path("my.key")),
        ("read_file", path(".git/config")),
        ("read_file", "{\"path\": ".to_owned()),
        ("read_file", "[]".to_owned()),
        ("read_file", r#"{"path": "a.txt", "mode": "w"}"#.to_owned()),
        ("run_shell", r#"{"command": "cat ../secret"}"#.to_owned()),
        ("check", "{}".to_owned()),
        ("list_files", path("..")),
        ("search_text", r#"{"text": ""}"#.to_owned()),
        propose("../secret", "the", "my"),
        propose("link", "the", "my"),
        propose(".git/config", "[core]", "[core]\n\thooksPath = x"),
        propose(".git/hooks/pre-commit", "", "#!/bin/sh"),
        propose("a.txt", "three", "four"),
        ("search_text", r#"{"text": "secret"}"#.to_owned()),
        ("list_files", "".to_owned()),
        ("read_file", path("a.txt")),
    ];
    let count = calls.len();
    let server = calling(&place, calls);
    let run = agent(&place, &["--json", "--steps", "40"]).check(0);
    let outcome: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&outcome["end"], &outcome["text"]), (&json!("done"), &json!("It is done.")));
    assert_eq!(outcome["records"].as_array().unwrap().len(), count + 1);
    assert_eq!(outcome["edits"], json!([]));
    run.says("[step 1 of 40 · record 20]").says("error: the path leads out");
    let results = results(&server, count + 1);
    for result in &results[..20] {
        assert!(result.starts_with("error: "), "{result}");
    }
    assert_eq!(results[20], "nothing was found");
    assert_eq!(results[21], ".gitignore\na.txt");
    assert_eq!(results[22], "a.txt has 2 lines\n1: one\n2: two\n");
    assert_eq!(
        (place.read("secret"), place.read("work/a.txt")),
        ("the secret\n".into(), "one\ntwo\n".into())
    );
    assert_eq!(place.read("work/.git/config"), "[core]\n");
}

#[test]
fn a_loop_that_never_ends_is_ended() {
    let place = Workplace::new();
    place.write("work/a.txt", "one\n");
    let calls = vec![("list_files", "{}".to_owned()); 500];
    let _server = calling(&place, calls);
    for (limit, number, words, steps) in [
        ("--steps", "3", "limit of steps", 3),
        ("--tokens", "450", "limit of tokens", 5),
        ("--seconds", "0", "limit of time", 0),
    ] {
        let run = agent(&place, &["--json", limit, number]).check(3);
        run.says(words);
        let outcome: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(outcome["steps"], steps, "{limit}");
    }
}

#[test]
fn nobody_asked_means_nothing_taken() {
    let place = Workplace::new();
    place.write("work/a.txt", "one\n");
    let server = calling(&place, vec![propose("a.txt", "one", "two"), propose("b.txt", "", "new\n")]);
    let run = agent(&place, &[]).check(0);
    assert!(run.out.contains("--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+two\n"), "{}", run.out);
    assert!(run.out.ends_with("It is done.\n"));
    assert_eq!(place.read("work/a.txt"), "one\n");
    assert!(!place.path("work/b.txt").exists());
    let decisions = server.requests_to("/v1/cloister/decisions", std::time::Duration::from_millis(300));
    let choices: Vec<&Value> = decisions.iter().map(|decision| &decision.body["choice"]).collect();
    assert_eq!(choices, ["shown", "shown"]);
}

#[test]
fn a_person_decides_hunk_by_hunk() {
    let place = Workplace::new();
    place.write("work/a.txt", "one\n");
    place.write("work/b.txt", "one\n");
    let server = calling(&place, vec![propose("a.txt", "one", "two"), propose("b.txt", "one", "two")]);
    let mut terminal = Terminal::open(&place, &["agent", "Do it.", "--root", "work"]);
    terminal.shows("+++ b/a.txt");
    terminal.shows("Take this hunk");
    terminal.types("y\n");
    terminal.shows("+++ b/b.txt");
    terminal.shows("Take this hunk");
    terminal.types("n\n");
    terminal.shows("It is done.");
    terminal.ends();
    assert_eq!((place.read("work/a.txt"), place.read("work/b.txt")), ("two\n".into(), "one\n".into()));
    assert_eq!(results(&server, 3), ["taken", "not taken by the person"]);
}

#[test]
fn yes_is_for_a_clean_work_tree() {
    let place = Workplace::new();
    place.write("work/a.txt", "one\n");
    agent(&place, &["--yes"]).check(2).says("--yes is for the root of a git work tree");
    git(&place, &["init", "-q", "work"]);
    agent(&place, &["--yes"]).check(2).says("nothing uncommitted");
    git(&place, &["-C", "work", "add", "."]);
    git(&place, &["-C", "work", "commit", "-q", "-m", "first"]);
    let server = calling(&place, vec![propose("a.txt", "one", "two"), propose("b.txt", "", "new\n")]);
    agent(&place, &["--yes"]).check(0);
    assert_eq!((place.read("work/a.txt"), place.read("work/b.txt")), ("two\n".into(), "new\n".into()));
    assert_eq!(server.request_to("/v1/cloister/decisions").body["choice"], "accepted");
    place.write("work/sub/c.txt", "x");
    agent(&place, &["--yes"]).check(2);
}

/// The command runs where it can read the files and the system's programs, and nothing else; what it writes is gone.
#[test]
fn a_check_is_jailed() {
    let place = Workplace::new();
    place.write("secret", "the secret\n");
    let script = place.write("work/test.sh", "echo it runs\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let secret = place.path("secret");
    let command = format!(
        "sh ./test.sh; echo x > written; cat {0} && echo READ; ls {1} && echo SEEN; cat /proc/net/dev && echo NET; exit 3",
        secret.display(),
        place.path("work").display(),
    );
    let server = calling(&place, vec![("check", String::new())]);
    agent(&place, &["--check", &command]).check(0);
    let results = results(&server, 2);
    assert!(results[0].starts_with("failed with status 3\nit runs\n"), "{results:?}");
    for word in ["READ", "SEEN", "NET", "the secret"] {
        assert!(!results[0].lines().any(|line| line == word), "{results:?}");
    }
    assert!(!place.path("work/written").exists());

    // The same command without a jail shows what it could see: the jail is what hides it.
    let free = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(place.path("work"))
        .output()
        .unwrap();
    let free = String::from_utf8(free.stdout).unwrap();
    assert!(free.contains("READ") && free.contains("SEEN") && free.contains("NET"), "{free}");
}
