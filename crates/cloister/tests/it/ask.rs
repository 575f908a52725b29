use std::process::Stdio;

use serde_json::{Value, json};

use crate::server::{End, Server, stream_reply};
use crate::workplace::Workplace;

#[test]
fn an_answer_streams() {
    let place = Workplace::new();
    let server = Server::play(&place.socket(), vec![stream_reply(&["Grö", "ße ", "zählt."], End::Whole)]);
    let run = place.run(&["ask", "Why?", "--system", "Be brief.", "--seed", "3"]).check(0);
    assert_eq!(run.out, "Größe zählt.");
    run.says("[record 13 · code · prompt 9 tokens (0 cached) · answer 5]");

    let request = server.request();
    assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(
        request.body,
        json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
               "temperature": 0.0, "seed": 3, "stream": true, "stream_options": {"include_usage": true}})
    );
}

#[test]
fn files_go_before_the_question() {
    let place = Workplace::new();
    place.write("a.adb", "null;\n");
    place.write("notes.md", "```\nx\n```\n");
    let server = Server::play(&place.socket(), vec![stream_reply(&["ok"], End::Whole)]);
    let arguments = ["ask", "-", "--file", "a.adb", "-f", "notes.md", "-d", "code"];
    place.run_with(&arguments, "What is it?").check(0);
    let body = server.request().body;
    assert_eq!(body["model"], "code");
    assert_eq!(
        body["messages"][0]["content"],
        "File a.adb:\n```ada\nnull;\n```\n\nFile notes.md:\n````\n```\nx\n```\n````\n\nWhat is it?"
    );
}

#[test]
fn json_for_scripts() {
    let place = Workplace::new();
    let _server = Server::play(&place.socket(), vec![stream_reply(&["a", "b"], End::Whole)]);
    let run = place.run(&["ask", "Why?", "--json"]).check(0);
    assert_eq!(
        serde_json::from_str::<Value>(&run.out).unwrap(),
        json!({"record": 13, "deployment": "code", "text": "ab", "stop": "stop", "checks": [],
               "usage": {"prompt_tokens": 9, "prompt_tokens_cached": 0, "answer_tokens": 5}})
    );
}

#[test]
fn a_broken_stream_is_said_to_be_broken() {
    let place = Workplace::new();
    let replies = vec![
        stream_reply(&["half an "], End::Cut),
        stream_reply(&["half an "], End::Unfinished),
        stream_reply(&["half an "], End::Error("the engine failed")),
        stream_reply(&["half an "], End::Cut),
    ];
    let _server = Server::play(&place.socket(), replies);
    for words in [
        "error[broken-off]: the answer broke off before its end\n  cause: ",
        "error[broken-off]: the answer broke off before its end\n  cause: this is record 13;",
        "error[broken-off]: the answer broke off: the engine failed",
    ] {
        let run = place.run(&["ask", "Why?"]).check(1);
        assert_eq!(run.out, "half an ");
        run.says(words).says("`cloister explain 13` shows it");
    }
    // Half an answer is no JSON document, and its receipt is kept all the same.
    let run = place.run(&["ask", "Why?", "--json"]).check(1);
    assert_eq!(run.out, "");
    assert_eq!(place.read("home/.local/state/cloister/receipts.jsonl").lines().count(), 4);
}

#[test]
fn streams_of_another_kind_are_refused() {
    let place = Workplace::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let long = format!("{head}data: {}", "x".repeat((1 << 20) + 1));
    let replies = vec![
        format!("{head}data: hello\n\n").into_bytes(),
        long.into_bytes(),
        [head.as_bytes(), b"data: \xff\n\n"].concat(),
        format!("{head}data: [DONE]\n\n").into_bytes(),
    ];
    let _server = Server::play(&place.socket(), replies);
    for words in [
        "error[protocol]: the server's answer is not what was expected of an event of a streamed answer",
        "cause: an event is longer than 1048576 bytes",
        "cause: an event is not UTF-8",
        "error[broken-off]",
    ] {
        place.run(&["ask", "Why?"]).check(1).says(words);
    }
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let place = Workplace::new();
    let text = "x".repeat(1000);
    let texts = vec![text.as_str(); 1000];
    let _server = Server::play(&place.socket(), vec![stream_reply(&texts, End::Whole)]);
    let mut child = place
        .command()
        .args(["ask", "Why?", "--server", &format!("unix:{}", place.socket().display())])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn an_empty_question_is_not_sent() {
    let place = Workplace::new();
    place.run(&["ask", " "]).check(2).says("the question is empty");
    place.run(&["ask", "x", "--file", "missing"]).check(1).says("cannot read missing");
}
