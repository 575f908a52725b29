//! An editor's side of the Agent Client Protocol, message by message.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::agent::{calling, propose, results};
use crate::server::{Play, Server};
use crate::workplace::Workplace;

struct Editor {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Editor {
    fn open(place: &Workplace) -> Editor {
        let mut child = place
            .command()
            .args(["acp", "--server", &format!("unix:{}", place.socket().display())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Editor { child, input, output }
    }

    fn sends(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
    }

    fn asks(&mut self, id: u64, method: &str, params: Value) {
        self.sends(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
    }

    fn hears(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    /// Opens a session; says which.
    fn begins(&mut self, place: &Workplace) -> String {
        self.asks(1, "initialize", json!({"protocolVersion": 1, "clientCapabilities": {}}));
        assert_eq!(self.hears()["result"]["protocolVersion"], 1);
        self.asks(2, "session/new", json!({"cwd": place.path("work"), "mcpServers": []}));
        self.hears()["result"]["sessionId"].as_str().unwrap().to_owned()
    }

    fn prompts(&mut self, id: u64, session: &str) {
        let prompt = json!([{"type": "text", "text": "Do it."}]);
        self.asks(id, "session/prompt", json!({"sessionId": session, "prompt": prompt}));
    }

    /// The end of input ends it.
    fn closes(self) {
        let Editor { mut child, input, output } = self;
        drop((input, output));
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn an_edit_is_the_persons_to_allow() {
    for (option, text, result) in [("take", "two\n", "taken"), ("leave", "one\n", "not taken by the person")]
    {
        let place = Workplace::new();
        place.write("work/a.txt", "one\n");
        let server = calling(&place, vec![propose("a.txt", "one", "two")]);
        let mut editor = Editor::open(&place);
        let session = editor.begins(&place);
        editor.prompts(3, &session);
        let update = editor.hears();
        assert_eq!(update["method"], "session/update");
        assert_eq!(update["params"]["update"]["sessionUpdate"], "agent_message_chunk");
        assert!(
            update["params"]["update"]["content"]["text"].as_str().unwrap().contains("record 20"),
            "{update}"
        );
        let call = editor.hears()["params"]["update"].clone();
        assert_eq!((&call["sessionUpdate"], &call["kind"]), (&json!("tool_call"), &json!("edit")));
        let asked = editor.hears();
        assert_eq!(asked["method"], "session/request_permission");
        let shown = &asked["params"]["toolCall"];
        assert_eq!(shown["toolCallId"], call["toolCallId"]);
        let path = place.path("work/a.txt").canonicalize().unwrap();
        let difference = json!({"type": "diff", "path": path, "oldText": "one\n", "newText": "two\n"});
        assert_eq!(shown["content"], json!([difference]));
        assert_eq!(place.read("work/a.txt"), "one\n", "nobody said yes yet");
        let outcome = json!({"outcome": {"outcome": "selected", "optionId": option}});
        editor.sends(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": outcome}));
        assert_eq!(editor.hears()["params"]["update"]["sessionUpdate"], "tool_call_update");
        assert!(
            editor.hears()["params"]["update"]["content"]["text"].as_str().unwrap().contains("It is done.")
        );
        let end = editor.hears();
        assert_eq!((&end["id"], &end["result"]["stopReason"]), (&json!(3), &json!("end_turn")));
        editor.closes();
        assert_eq!(place.read("work/a.txt"), text);
        assert_eq!(results(&server, 2), [result]);
    }
}

#[test]
fn a_cancelled_turn_stops_the_server_and_changes_nothing() {
    let place = Workplace::new();
    place.write("work/a.txt", "one\n");
    let server = Server::serve(&place.socket(), |_| Play::Hold);
    let mut editor = Editor::open(&place);
    let session = editor.begins(&place);
    editor.prompts(3, &session);
    server.request_to("/v1/chat/completions");
    editor.prompts(4, &session);
    assert_eq!(editor.hears()["error"]["message"], "a turn is running");
    editor.sends(&json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": session}}));
    assert_eq!(editor.hears()["result"]["stopReason"], "cancelled");
    server.until_gone();
    editor.closes();
}

#[test]
fn a_cancelled_question_is_no_consent() {
    let place = Workplace::new();
    place.write("work/a.txt", "one\n");
    let _server = calling(&place, vec![propose("a.txt", "one", "two")]);
    let mut editor = Editor::open(&place);
    let session = editor.begins(&place);
    editor.prompts(3, &session);
    let asked = loop {
        let message = editor.hears();
        if message["method"] == "session/request_permission" {
            break message;
        }
    };
    editor.sends(
        &json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"outcome": {"outcome": "cancelled"}}}),
    );
    while editor.hears()["id"] != 3 {}
    editor.closes();
    assert_eq!(place.read("work/a.txt"), "one\n");
}

#[test]
fn what_is_not_understood_is_refused() {
    let place = Workplace::new();
    let mut editor = Editor::open(&place);
    writeln!(editor.input, "nonsense").unwrap();
    assert_eq!(editor.hears()["error"]["code"], -32700);
    for (method, params, code) in [
        ("session/load", json!({}), -32601),
        ("session/new", json!({"cwd": "relative"}), -32602),
        ("session/new", json!({"cwd": "/nowhere/at/all"}), -32602),
        ("session/prompt", json!({"sessionId": "x", "prompt": []}), -32602),
    ] {
        editor.asks(7, method, params);
        let answer = editor.hears();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(code)), "{method}");
    }
    editor.closes();
}
