use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::server::{End, Play, Request, Server, json_reply, stream_reply};
use crate::terminal::Terminal;
use crate::workplace::Workplace;

/// Twenty lines, some of them changed.
fn numbered(changed: &[usize]) -> String {
    (1..=20).map(|n| if changed.contains(&n) { format!("{n}!\n") } else { format!("{n}\n") }).collect()
}

/// A server whose model answers with this, and which takes decisions.
fn answering(place: &Workplace, answer: String) -> Server {
    let play = move |request: &Request| match request.line.split(' ').nth(1) {
        Some("/v1/chat/completions") => Play::Reply(stream_reply(&[&answer], End::Whole)),
        _ => Play::Reply(json_reply("200 OK", "", &json!({"record": 13, "leaf": 14}))),
    };
    Server::serve(&place.socket(), play)
}

fn block(text: &str) -> String {
    format!("Here it is:\n```\n{text}```\n")
}

const EDIT: [&str; 4] = ["edit", "a.txt", "--instruction", "Mark two lines."];

#[test]
fn without_a_terminal_nothing_is_changed() {
    let place = Workplace::new();
    let path = place.write("a.txt", numbered(&[]));
    let server = answering(&place, block(&numbered(&[2, 18])));
    let run = place.run(&EDIT).check(0);
    assert!(run.out.starts_with("--- a/a.txt\n+++ b/a.txt\n@@ -1,5 +1,5 @@\n 1\n-2\n+2!\n"), "{}", run.out);
    run.says("a.txt is as it was: --apply takes the change").says("[record 13 ");
    assert_eq!(place.read("a.txt"), numbered(&[]));
    let asked = server.request_to("/v1/chat/completions").body;
    let question = asked["messages"][0]["content"].as_str().unwrap();
    assert!(question.starts_with("The file a.txt:\n```\n1\n2\n"), "{question}");
    assert!(question.contains("as follows: Mark two lines.\n"), "{question}");
    let decision = server.request_to("/v1/cloister/decisions").body;
    assert_eq!((&decision["record"], &decision["choice"]), (&json!(13), &json!("shown")));

    // What is printed is for `git apply`.
    let patch = place.write("a.patch", place.run(&[&EDIT[..], &["--diff"]].concat()).check(0).out);
    let patched = std::process::Command::new("git")
        .args(["apply", "--unsafe-paths", patch.to_str().unwrap()])
        .current_dir(path.parent().unwrap())
        .status();
    assert!(patched.unwrap().success());
    assert_eq!(place.read("a.txt"), numbered(&[2, 18]));
}

#[test]
fn all_of_it_is_taken_when_that_is_said() {
    let place = Workplace::new();
    let path = place.write("a.txt", numbered(&[]).replace('\n', "\r\n"));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let server = answering(&place, block("18!\n19\n20\n"));
    let run = place.run(&[&EDIT[..], &["--apply", "--lines", "18-20", "--json"]].concat()).check(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&report["choice"], &report["hunks"]), (&json!("accepted"), &json!(1)));
    assert_eq!((&report["record"], &report["taken"]), (&json!(13), &json!(1)));
    assert_eq!(place.read("a.txt"), numbered(&[18]).replace('\n', "\r\n"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let question = server.request_to("/v1/chat/completions").body["messages"][0]["content"].to_string();
    assert!(question.contains("These lines of it:\\n```\\n18\\n19\\n20\\n```"), "{question}");
    let decision = server.request_to("/v1/cloister/decisions").body;
    assert_eq!((&decision["choice"], &decision["path"]), (&json!("accepted"), &json!("a.txt")));
    assert!(decision["digest_after"].as_str().unwrap().starts_with("sha256:"));
}

#[test]
fn a_person_takes_hunk_by_hunk() {
    for (keys, expected, choice, says) in [
        (["y\n", "n\n"], vec![2], "partly_accepted", "1 of 2 hunks are in a.txt"),
        (["?\nn\n", "y\n"], vec![18], "partly_accepted", "1 of 2"),
        (["y\n", "y\n"], vec![2, 18], "accepted", "2 of 2"),
        (["a\n", ""], vec![2, 18], "accepted", "2 of 2"),
        (["q\n", ""], vec![], "rejected", "a.txt is as it was"),
        (["\u{4}", ""], vec![], "rejected", "a.txt is as it was"),
    ] {
        let place = Workplace::new();
        place.write("a.txt", numbered(&[]));
        let server = answering(&place, block(&numbered(&[2, 18])));
        let mut terminal = Terminal::open(&place, &EDIT);
        terminal.shows("\u{1b}[31m-2");
        terminal.shows("(1/2) Take this hunk [y,n,a,q,?]? ");
        terminal.types(keys[0]);
        if !keys[1].is_empty() {
            terminal.shows("(2/2) Take this hunk");
            terminal.types(keys[1]);
        }
        terminal.shows(says);
        terminal.shows("[record 13");
        terminal.ends();
        assert_eq!(place.read("a.txt"), numbered(&expected), "{keys:?}");
        let decision = server.request_to("/v1/cloister/decisions").body;
        assert_eq!(decision["choice"], choice, "{keys:?}");
        let bytes =
            if choice == "partly_accepted" { json!(expected[0].to_string().len() + 2) } else { Value::Null };
        assert_eq!(decision["accepted_bytes"], bytes);
    }
}

#[test]
fn an_answer_in_another_form_is_refused() {
    for (answer, words) in [
        ("I cannot do that.", "the answer has no block of code"),
        ("```\n1\n", "does not end"),
        ("```\n1\n```\n```\n2\n```\n", "more than one block"),
        ("```\n```\n", "is empty"),
    ] {
        let place = Workplace::new();
        place.write("a.txt", numbered(&[]));
        let _server = answering(&place, answer.to_owned());
        let run = place.run(&[&EDIT[..], &["--apply"]].concat()).check(1);
        run.says("error[refused]: the answer cannot be taken over; nothing is changed").says(words);
        run.says("hint: ").says("[record 13");
        assert_eq!(place.read("a.txt"), numbered(&[]));
    }
}

#[test]
fn a_file_that_was_changed_meanwhile_stays() {
    let place = Workplace::new();
    let path = place.write("a.txt", numbered(&[]));
    let answer = block(&numbered(&[2]));
    let _server = Server::serve(&place.socket(), move |_| {
        std::fs::File::options().append(true).open(&path).unwrap().set_len(2).unwrap();
        Play::Reply(stream_reply(&[&answer], End::Whole))
    });
    place.run(&[&EDIT[..], &["--apply"]].concat()).check(2).says("was changed meanwhile");
    assert_eq!(place.read("a.txt"), "1\n");
}

#[test]
fn what_makes_no_sense_is_not_sent() {
    let place = Workplace::new();
    place.write("a.txt", "one\n\n");
    for (arguments, words) in [
        (&["edit", "a.txt", "-i", " "][..], "the instruction is empty"),
        (&["edit", "a.txt", "-i", "x", "--lines", "2-9"], "a.txt has 2 lines"),
        (&["edit", "a.txt", "-i", "x", "--lines", "2"], "nothing to change"),
        (&["edit", "a.txt", "-i", "x", "--lines", "2-1"], "expected A-B"),
        (&["edit", "a.txt", "-i", "x", "--apply", "--diff"], "cannot be used with"),
    ] {
        place.run(arguments).check(2).says(words);
    }
}
