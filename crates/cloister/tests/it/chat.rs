use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::server::{End, Server, json_reply, stream_reply};
use crate::terminal::Terminal;
use crate::workplace::Workplace;

#[test]
fn a_message_comes_from_stdin_when_it_is_no_terminal() {
    let place = Workplace::new();
    let server = Server::play(&place.socket(), vec![stream_reply(&["ok"], End::Whole)]);
    let run = place.run_with(&["chat", "--max-tokens", "7"], "Hello,\nworld\n").check(0);
    assert_eq!(run.out, "ok");
    let body = server.request().body;
    assert_eq!(body["messages"], json!([{"role": "user", "content": "Hello,\nworld\n"}]));
    assert_eq!(body["max_tokens"], 7);
}

#[test]
fn no_message_is_an_error() {
    let place = Workplace::new();
    place.run_with(&["chat"], "\n").check(2).says("standard input holds no message");
}

#[test]
fn a_conversation_remembers_until_it_starts_over() {
    let place = Workplace::new();
    let refusal = json_reply("429 Too Many Requests", "", &json!({"error": {"message": "too many"}}));
    let replies = vec![
        stream_reply(&["An", "swer one"], End::Whole),
        refusal,
        stream_reply(&["Answer \u{1b}[2Jtwo"], End::Whole),
        stream_reply(&["Answer three"], End::Whole),
    ];
    let server = Server::play(&place.socket(), replies);
    let user = |text: &str| json!({"role": "user", "content": text});
    let assistant = |text: &str| json!({"role": "assistant", "content": text});

    let mut terminal = Terminal::open(&place, &["chat"]);
    terminal.shows("> ");
    terminal.types("one\\\nmore\n");
    terminal.shows("Answer one");
    terminal.shows("[record 13");
    assert_eq!(server.request().body["messages"], json!([user("one\nmore")]));

    // A message that is refused is not part of the conversation.
    terminal.types("refused\n");
    terminal.shows("error[busy]: too many");
    assert_eq!(server.request().body["messages"].as_array().unwrap().len(), 3);

    terminal.shows("> ");
    terminal.types("two\n");
    terminal.shows("Answer ␛[2Jtwo");
    let expected = json!([user("one\nmore"), assistant("Answer one"), user("two")]);
    assert_eq!(server.request().body["messages"], expected);

    terminal.types("/new\n");
    terminal.shows("a new conversation");
    terminal.types("three\n");
    terminal.shows("Answer three");
    assert_eq!(server.request().body["messages"], json!([user("three")]));
    terminal.types("/quit\n");
    terminal.ends();
}

#[test]
fn an_interrupt_stops_the_answer_and_then_the_conversation() {
    let place = Workplace::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        stream.write_all(&stream_reply(&["It goes on and"], End::Cut)).unwrap();
        // The rest never comes; the client hangs up instead.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    });
    let mut terminal = Terminal::open(&place, &["chat"]);
    terminal.shows("> ");
    terminal.types("go on\n");
    terminal.shows("It goes on and");
    terminal.interrupt();
    terminal.shows("[stopped]");
    server.join().unwrap();
    terminal.shows("> ");
    terminal.interrupt();
    terminal.ends();
}

#[test]
fn conversations_are_kept_and_forgotten() {
    let place = Workplace::new();
    place.write("a.adb", "null;\n");
    let replies = ["One.", "Two.", "Three.", "Four."].map(|text| stream_reply(&[text], End::Whole));
    let server = Server::play(&place.socket(), replies.to_vec());
    let kept = || {
        let listed = place.run(&["chat", "--list"]).check(0).out;
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    // A message from a pipe is no conversation, and one with --no-history is not kept.
    place.run_with(&["chat", "--file", "a.adb"], "First").check(0);
    let first = server.request().body["messages"][0]["content"].clone();
    assert_eq!(first, "File a.adb:\n```ada\nnull;\n```\n\nFirst");
    let mut terminal = Terminal::open(&place, &["chat", "--no-history"]);
    terminal.types("Second\n");
    terminal.shows("Two.");
    terminal.shows("[record 13");
    terminal.types("/quit\n");
    terminal.ends();
    server.request();
    assert!(kept().is_empty());
    place.run(&["chat", "--continue"]).check(2).says("no conversation is kept");

    let mut terminal = Terminal::open(&place, &["chat"]);
    terminal.types("/file missing\n");
    terminal.shows("cannot read missing");
    terminal.types("/file a.adb\n");
    terminal.shows("a.adb goes into the next message");
    terminal.types("Third\n");
    terminal.shows("Three.");
    terminal.shows("[record 13");
    terminal.types("/quit\n");
    terminal.ends();
    let third = server.request().body["messages"].clone();
    assert_eq!(third[0]["content"], "File a.adb:\n```ada\nnull;\n```\n\nThird");
    let names = kept();
    assert!(names.len() == 1 && names[0].contains("1 answers · record 13  File a.adb:"), "{names:?}");
    let name = names[0].split(' ').next().unwrap();
    let directory = place.path("home/.local/state/cloister/conversations");
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777
    };
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join(format!("{name}.json"))), 0o600);

    place.run_with(&["chat", "--continue", name], "Fourth").check(0);
    let fourth = server.request().body["messages"].clone();
    assert_eq!(fourth.as_array().unwrap().len(), 3);
    assert_eq!((&fourth[1]["content"], &fourth[2]["content"]), (&json!("Three."), &json!("Fourth")));
    assert!(kept()[0].contains("2 answers"));
    place.run(&["chat", "--forget", "../../x"]).check(2);
    place.run(&["chat", "--forget", name]).check(0);
    assert!(kept().is_empty());
}

#[test]
fn the_configuration_can_keep_nothing() {
    let place = Workplace::new();
    place.write("home/.config/cloister/config.toml", "history = false\n");
    let _server = Server::play(&place.socket(), vec![stream_reply(&["One."], End::Whole)]);
    let mut terminal = Terminal::open(&place, &["chat"]);
    terminal.types("First\n");
    terminal.shows("[record 13");
    terminal.types("/quit\n");
    terminal.ends();
    assert_eq!(place.run(&["chat", "--list"]).check(0).out, "");
}
