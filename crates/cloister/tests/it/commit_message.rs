use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{End, Play, Server, json_reply, stream_reply};
use crate::workplace::Workplace;

pub(crate) fn git(place: &Workplace, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .env("HOME", place.path("home"))
        .env(
            "PATH",
            std::env::var("PATH").unwrap()
                + ":"
                + env!("CARGO_BIN_EXE_cloister").trim_end_matches("/cloister"),
        )
        .env("CLOISTER_SERVER", format!("unix:{}", place.socket().display()))
        .current_dir(place.directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn answering(place: &Workplace, answer: &'static str) -> Server {
    Server::serve(&place.socket(), move |request| match request.line.contains("/chat/") {
        true => Play::Reply(stream_reply(&[answer], End::Whole)),
        false => Play::Reply(json_reply("200 OK", "", &json!({"record": 13, "leaf": 14}))),
    })
}

fn run(place: &Workplace, arguments: &[&str]) -> crate::workplace::Run {
    let mut command = place.command();
    command
        .env("CLOISTER_SERVER", format!("unix:{}", place.socket().display()))
        .env("PATH", std::env::var_os("PATH").unwrap())
        .arg("commit-message")
        .args(arguments);
    crate::workplace::finish(command, "")
}

#[test]
fn what_is_staged_gets_its_message() {
    let place = Workplace::new();
    git(&place, &["init", "-q"]);
    run(&place, &[]).check(2).says("nothing is staged");
    // None of what a repository may name is run.
    let trap = place.write("trap", "#!/bin/sh\ntouch \"$(dirname \"$0\")/sprung\"\ncat\n");
    std::fs::set_permissions(&trap, PermissionsExt::from_mode(0o755)).unwrap();
    for name in
        ["diff.external", "core.pager", "pager.diff", "core.fsmonitor", "diff.x.textconv", "diff.x.command"]
    {
        git(&place, &["config", name, trap.to_str().unwrap()]);
    }
    place.write(".gitattributes", "*.txt diff=x\n");
    place.write("a.txt", "one\n");
    git(&place, &["-c", "core.fsmonitor=false", "add", "a.txt", ".gitattributes"]);
    std::fs::remove_file(place.path("sprung")).ok();

    let server = answering(&place, "Add a file\n\nIt has one line.\n\nSigned-off-by: Model <m@x>\n");
    let printed = run(&place, &[]).check(0);
    assert_eq!(printed.out, "Add a file\n\nIt has one line.\n\nAssisted-by: cloister:code record 13\n");
    assert!(!place.path("sprung").exists());
    let question = server.request_to("/v1/chat/completions").body["messages"][0]["content"].to_string();
    assert!(question.contains("+one") && question.contains("A\\ta.txt"), "{question}");
    assert_eq!(server.request_to("/v1/cloister/decisions").body["choice"], "shown");

    place.write("a.txt", "line of text\n".repeat(1000));
    git(&place, &["-c", "core.fsmonitor=false", "add", "a.txt"]);
    let run = run(&place, &["--json", "--diff-bytes", "1024"]).check(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&report["subject"], &report["cut"]), (&json!("Add a file"), &json!(true)));
    let question = server.request_to("/v1/chat/completions").body["messages"][0]["content"].to_string();
    assert!(
        question.len() < 2400 && question.contains("of which this is the beginning"),
        "{}",
        question.len()
    );
}

/// The hook of docs/terminal.md, in a real commit.
#[test]
fn a_hook_fills_the_message_in() {
    let place = Workplace::new();
    git(&place, &["init", "-q"]);
    let documentation = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/terminal.md");
    let documentation = std::fs::read_to_string(documentation).unwrap();
    let hook = &documentation[documentation.find("#!/bin/sh\n").unwrap()..];
    let hook = &hook[..hook.find("```").unwrap()];
    let path = place.write(".git/hooks/prepare-commit-msg", hook);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let server = answering(&place, "Add a file\n\nIt has one line.\n");
    place.write("a.txt", "one\n");
    git(&place, &["add", "a.txt"]);
    git(&place, &["-c", "core.editor=true", "commit", "-q"]);
    let mut log = Command::new("git");
    let message =
        log.args(["log", "-1", "--format=%B"]).current_dir(place.directory.path()).output().unwrap();
    let message = String::from_utf8(message.stdout).unwrap();
    assert!(
        message.starts_with("Add a file\n\nIt has one line.\n\nAssisted-by: cloister:code record 13\n"),
        "{message}"
    );
    // A message that a person gave is theirs.
    drop(server);
    place.write("a.txt", "two\n");
    git(&place, &["commit", "-q", "-a", "-m", "Mine"]);
}
