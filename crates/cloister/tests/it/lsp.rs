//! `cloister lsp` and an editor, with a server that the case plays.

mod editor;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{End, Play, Request, Server, completion_reply, json_reply, stream_reply};
use crate::workplace::Workplace;
use editor::{Editor, modern};

const FILL: &str = "/v1/completions";
const DECISIONS: &str = "/v1/cloister/decisions";
const MOMENT: Duration = Duration::from_millis(400);

fn path(request: &Request) -> &str {
    request.line.split(' ').nth(1).unwrap()
}

/// Answers what every server does; `fill` fills holes.
fn usual(fill: impl Fn(&Request) -> Play + Send + Sync + 'static) -> impl Fn(&Request) -> Play + Send + Sync {
    move |request| match path(request) {
        FILL | "/infill" => fill(request),
        DECISIONS => Play::Reply(json_reply("200 OK", "", &json!({ "record": 12, "leaf": 20 }))),
        "/v1/models" => {
            let ours = json!({ "name": "Coder", "model": "sha256:ab", "fill": true, "up": true });
            let data = json!([{ "id": "code", "context_length": 4096, "cloister": ours }]);
            Play::Reply(json_reply("200 OK", "", &json!({ "data": data })))
        }
        "/v1/chat/completions" => {
            Play::Reply(stream_reply(&["```ada\n", "X : T\n  with Pre => X;\n```"], End::Whole))
        }
        "/v1/cloister/records/13" => {
            let context = json!([{ "source": "team", "path": "a.ads", "first_line": 3, "last_line": 9, "text": "secret" },
                                 { "file_name": "b.ads", "text": "theirs" }]);
            let body = json!({ "context_text": context.to_string() });
            Play::Reply(json_reply("200 OK", "", &json!({ "leaf": {}, "body": body })))
        }
        _ => {
            let refusal = json!({ "error": { "message": "not here" } });
            Play::Reply(json_reply("404 Not Found", "", &refusal))
        }
    }
}

/// The same text at every place, with a record of its own.
fn always(text: &'static str) -> impl Fn(&Request) -> Play + Send + Sync {
    let records = AtomicU64::new(100);
    usual(move |_| {
        let record = records.fetch_add(1, Ordering::Relaxed);
        Play::Reply(fill_reply(record, text))
    })
}

fn fill_reply(record: u64, text: &str) -> Vec<u8> {
    let body = json!({ "model": "code", "choices": [{ "text": text, "finish_reason": "stop" }] });
    json_reply("200 OK", &format!("x-cloister-record: {record}\r\n"), &body)
}

fn digest(text: &str) -> String {
    use sha2::Digest as _;
    protocol::Digest(sha2::Sha256::digest(text).into()).to_string()
}

/// A file in the workplace, and its name for the editor.
fn file(place: &Workplace, name: &str, text: &str) -> String {
    format!("file://{}", place.write(name, text).display())
}

#[test]
fn edits_are_followed_and_holes_are_filled() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), usual(|_| Play::Reply(completion_reply("Top := Top + 1;"))));
    let uri = file(&place, "stack.adb", "");
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "-- 🙂 Größe\r\nbegin\r\n   \r\nend;\r\n");
    // Columns count UTF-16 units: the picture is two.
    editor.edit(&uri, (0, 11), 0, " der 🙂");
    editor.edit(&uri, (0, 3), 3, "");
    editor.edit(&uri, (2, 3), 0, "T");
    editor.edit(&uri, (2, 3), 1, "");
    let asked = editor.suggest(&uri, (2, 3), 1);
    let answer = editor.answer(asked);
    let item = &answer["result"]["items"][0];
    let here = json!({ "line": 2, "character": 3 });
    assert_eq!(item["insertText"], "Top := Top + 1;");
    assert_eq!(item["range"], json!({ "start": here, "end": here }));
    assert_eq!(item["command"]["command"], "cloister.accepted");
    assert_eq!(item["command"]["arguments"], json!([{ "suggestion": "12" }]));
    let body = server.request_to(FILL).body;
    assert_eq!(body["prompt"], "-- Größe der 🙂\nbegin\n   ");
    assert_eq!((&body["suffix"], &body["until"]), (&json!("\nend;\n"), &json!("block")));
    assert_eq!(body["cloister"], json!({ "path": "stack.adb" }));
    assert!(place.read("home/.local/state/cloister/receipts.jsonl").contains(r#""record":12"#));
    assert_eq!(editor.stop(), Some(0));
}

#[test]
fn what_was_predicted_costs_no_request() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always("Top := Top + 1;"));
    let uri = file(&place, "stack.adb", "");
    let options = json!({ "completion": { "ahead": false, "debounce_ms_max": 0 } });
    let mut editor = Editor::start(&place, &modern(), &options);
    editor.open(&uri, "begin\n   \nend;\n");
    let at = |editor: &mut Editor, column, kind| {
        let asked = editor.suggest(&uri, (1, column), kind);
        editor.suggestion(asked)
    };
    assert_eq!(at(&mut editor, 3, 2), "Top := Top + 1;");
    for (column, letter) in [(3, "T"), (4, "o"), (5, "p")] {
        editor.edit(&uri, (1, column), 0, letter);
        assert_eq!(at(&mut editor, column + 1, 2), "Top := Top + 1;"[column as usize - 2..]);
    }
    // Letters deleted again, and a line that comes in above.
    editor.edit(&uri, (1, 4), 2, "");
    assert_eq!(at(&mut editor, 4, 2), "op := Top + 1;");
    assert_eq!(server.requests_to(FILL, MOMENT).len(), 1);
    // Something else.
    editor.edit(&uri, (1, 3), 1, "X");
    assert_eq!(at(&mut editor, 4, 2), "Top := Top + 1;");
    assert_eq!(server.requests_to(FILL, MOMENT).len(), 1);
    let status = editor.call("cloister/status", &json!({}));
    assert_eq!(
        (&status["suggestions"]["from_cache"], &status["suggestions"]["requests"]),
        (&json!(4), &json!(2))
    );
}

#[test]
fn the_next_suggestion_is_there_when_this_one_is_accepted() {
    let place = Workplace::new();
    let server = Server::serve(
        &place.socket(),
        usual(|request| {
            let next = request.body["prompt"].as_str().unwrap().ends_with("A;");
            Play::Reply(fill_reply(if next { 2 } else { 1 }, if next { "\n   B;" } else { "A;" }))
        }),
    );
    let uri = file(&place, "a.adb", "");
    let options = json!({ "completion": { "debounce_ms_max": 0 } });
    let mut editor = Editor::start(&place, &modern(), &options);
    editor.open(&uri, "begin\n   \nend;\n");
    let asked = editor.suggest(&uri, (1, 3), 2);
    assert_eq!(editor.suggestion(asked), "A;");
    let prompts: Vec<_> = (0..2).map(|_| server.request_to(FILL).body["prompt"].clone()).collect();
    assert_eq!(prompts, ["begin\n   ", "begin\n   A;"]);
    editor.edit(&uri, (1, 3), 0, "A;");
    let asked = editor.suggest(&uri, (1, 5), 2);
    assert_eq!(editor.suggestion(asked), "\n   B;");
    // Only the one after that was asked for.
    let more = server.requests_to(FILL, MOMENT);
    assert_eq!(more.len(), 1);
    assert_eq!(more[0].body["prompt"], "begin\n   A;\n   B;");
}

#[test]
fn what_is_ahead_ends_when_something_else_is_typed() {
    let place = Workplace::new();
    let play = usual(|request| match request.body["prompt"].as_str().unwrap().ends_with("A;") {
        true => Play::Hold,
        false => Play::Reply(fill_reply(1, "A;")),
    });
    let server = Server::serve(&place.socket(), play);
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &json!({ "completion": { "debounce_ms_max": 0 } }));
    editor.open(&uri, "begin\n   \nend;\n");
    let asked = editor.suggest(&uri, (1, 3), 2);
    assert_eq!(editor.suggestion(asked), "A;");
    server.request_to(FILL);
    server.request_to(FILL);
    // On the way there it goes on.
    editor.edit(&uri, (1, 3), 0, "A");
    assert_eq!(server.requests_to(FILL, MOMENT).len(), 0);
    editor.edit(&uri, (1, 4), 0, "B");
    server.until_gone();
}

#[test]
fn a_burst_of_keystrokes_is_one_request() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always("y;"));
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &json!({ "completion": { "ahead": false } }));
    editor.open(&uri, "x");
    // A person who needs a fifth of a second, and then is quick for a moment.
    for column in 1..7 {
        editor.edit(&uri, (0, column), 0, "x");
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut asked = Vec::new();
    for column in 7..12 {
        editor.edit(&uri, (0, column), 0, "x");
        asked.push(editor.suggest(&uri, (0, column + 1), 2));
    }
    let last = asked.pop().unwrap();
    // The others are answered at once, with nothing.
    assert!(asked.into_iter().all(|id| editor.suggestion(id).is_empty()));
    assert_eq!(editor.suggestion(last), "y;");
    let requests = server.requests_to(FILL, MOMENT);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body["prompt"], "x".repeat(12));
    // Whoever asks does not wait.
    let asked = editor.suggest(&uri, (0, 3), 1);
    assert_eq!(editor.suggestion(asked), "y;");
    assert_eq!(server.requests_to(FILL, MOMENT)[0].body["max_tokens"], 256);
}

#[test]
fn a_request_goes_on_while_a_person_types_on() {
    let place = Workplace::new();
    let ((heard, hears), (says, said)) = (channel(), channel::<()>());
    let said = Mutex::new(said);
    let play = usual(move |request| {
        heard.send(()).unwrap();
        said.lock().unwrap().recv().unwrap();
        let begun = request.body["prompt"].as_str().unwrap().ends_with("x := ");
        Play::Reply(fill_reply(if begun { 1 } else { 2 }, if begun { "alpha;" } else { "eta;" }))
    });
    let server = Server::serve(&place.socket(), play);
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &json!({ "completion": { "ahead": false } }));
    editor.open(&uri, "x := \n");
    // What is typed agrees with the answer: it serves every keystroke, also where the editor cancels first.
    let first = editor.suggest(&uri, (0, 5), 2);
    hears.recv().unwrap();
    editor.notify("$/cancelRequest", &json!({ "id": first }));
    assert_eq!(editor.answer(first)["error"]["code"], -32800);
    editor.edit(&uri, (0, 5), 0, "a");
    let second = editor.suggest(&uri, (0, 6), 2);
    editor.edit(&uri, (0, 6), 0, "l");
    let third = editor.suggest(&uri, (0, 7), 2);
    assert_eq!(editor.suggestion(second), "");
    says.send(()).unwrap();
    assert_eq!(editor.suggestion(third), "pha;");
    // It does not agree: what is there now is asked for when it has come.
    editor.edit(&uri, (0, 5), 2, "");
    editor.edit(&uri, (0, 0), 0, "y");
    let first = editor.suggest(&uri, (0, 6), 1);
    hears.recv().unwrap();
    editor.edit(&uri, (0, 6), 0, "b");
    assert_eq!(editor.suggestion(first), "");
    let second = editor.suggest(&uri, (0, 7), 2);
    says.send(()).unwrap();
    hears.recv().unwrap();
    says.send(()).unwrap();
    assert_eq!(editor.suggestion(second), "eta;");
    let prompts: Vec<_> = (0..3).map(|_| server.request_to(FILL).body["prompt"].clone()).collect();
    assert_eq!(prompts, ["x := ", "yx := ", "yx := b"]);
    let status = editor.call("cloister/status", &json!({}));
    let counts = &status["suggestions"];
    let counts = ["from_cache", "requests", "cancelled"].map(|name| counts[name].as_u64().unwrap());
    assert_eq!(counts, [1, 3, 0]);
}

#[test]
fn a_request_that_nobody_waits_for_is_closed() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), usual(|_| Play::Hold));
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "begin\n   \nend;\n");
    let cancelled = editor.suggest(&uri, (1, 3), 1);
    server.request_to(FILL);
    editor.notify("$/cancelRequest", &json!({ "id": cancelled }));
    assert_eq!(editor.answer(cancelled)["error"]["code"], -32800);
    server.until_gone();
    // A change, another place, and the end of the document do the same, and are no error.
    for end in 0..3 {
        let asked = editor.suggest(&uri, (1, 3), 1);
        server.request_to(FILL);
        match end {
            0 => editor.edit(&uri, (1, 3), 0, "X"),
            1 => drop(editor.suggest(&uri, (0, 5), 1)),
            _ => editor.notify("textDocument/didClose", &json!({ "textDocument": { "uri": uri } })),
        }
        assert_eq!(editor.suggestion(asked), "");
        server.until_gone();
    }
}

#[test]
fn an_acceptance_is_a_decision() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always("alpha beta;"));
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &json!({ "completion": { "ahead": false } }));
    editor.open(&uri, "x := ");
    let asked = editor.suggest(&uri, (0, 5), 1);
    let answer = editor.answer(asked);
    let command = answer["result"]["items"][0]["command"].clone();
    let shown = json!({ "command": "cloister.shown", "arguments": command["arguments"] });
    editor.call("workspace/executeCommand", &shown);
    let decision = server.request_to(DECISIONS).body;
    assert_eq!((&decision["choice"], &decision["record"]), (&json!("shown"), &json!(100)));
    editor.edit(&uri, (0, 5), 0, "alpha beta;");
    editor.call("workspace/executeCommand", &command);
    editor.call("workspace/executeCommand", &command);
    let decision = server.request_to(DECISIONS).body;
    assert_eq!(
        decision,
        json!({
            "record": 100, "choice": "accepted", "accepted_bytes": 11, "path": "a.adb", "client": "Test Editor 1",
            "digest_before": digest("x := "), "digest_after": digest("x := alpha beta;"),
        })
    );
    assert!(server.requests_to(DECISIONS, MOMENT).is_empty(), "one final decision");
}

#[test]
fn parts_of_a_suggestion_are_one_decision() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always("alpha beta;"));
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &json!({ "completion": { "ahead": false } }));
    editor.open(&uri, "x := ");
    let asked = editor.suggest(&uri, (0, 5), 1);
    editor.suggestion(asked);
    let part = |bytes: u64| json!({ "command": "cloister.accepted", "arguments": [{ "suggestion": "100", "bytes": bytes }] });
    editor.edit(&uri, (0, 5), 0, "alpha");
    editor.call("workspace/executeCommand", &part(5));
    assert!(server.requests_to(DECISIONS, MOMENT).is_empty(), "there may come more");
    let decision = server.request_to(DECISIONS).body;
    assert_eq!((&decision["choice"], &decision["accepted_bytes"]), (&json!("partly_accepted"), &json!(5)));

    // What is open at the end is settled.
    let asked = editor.suggest(&uri, (0, 0), 1);
    editor.suggestion(asked);
    let part = json!({ "command": "cloister.accepted", "arguments": [{ "suggestion": "101", "bytes": 2 }] });
    editor.call("workspace/executeCommand", &part);
    editor.stop();
    assert_eq!(server.request_to(DECISIONS).body["accepted_bytes"], 2);
}

#[test]
fn older_editors_get_ordinary_completions() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always("sh (Item);\nPop;"));
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &json!({}), &json!({ "completion": { "ahead": false } }));
    editor.open(&uri, "   Pu");
    let params = json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 5 } });
    let list = editor.call("textDocument/completion", &params);
    assert_eq!(list["isIncomplete"], true);
    let item = &list["items"][0];
    assert_eq!((&item["label"], &item["filterText"]), (&json!("Push (Item);…"), &json!("Push")));
    let range = json!({ "start": { "line": 0, "character": 3 }, "end": { "line": 0, "character": 5 } });
    assert_eq!(item["textEdit"], json!({ "range": range, "newText": "Push (Item);\nPop;" }));
    assert_eq!(item["command"]["command"], "cloister.accepted");
    assert_eq!(server.request_to(FILL).body["prompt"], "   Pu");
    // Who has ghost text does not see it twice.
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "   Pu");
    assert_eq!(editor.call("textDocument/completion", &params)["items"], json!([]));
}

#[test]
fn a_choice_in_a_list_is_gone_on_with() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always(" (Item);"));
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "   S.Pu;\n");
    let at = |character: u32| json!({ "line": 0, "character": character });
    let range = json!({ "start": at(5), "end": at(7) });
    let asked = editor.request(
        "textDocument/inlineCompletion",
        &json!({
            "textDocument": { "uri": uri }, "position": at(7),
            "context": { "triggerKind": 2, "selectedCompletionInfo": { "range": range, "text": "Push" } },
        }),
    );
    let item = editor.answer(asked)["result"]["items"][0].clone();
    assert_eq!((&item["insertText"], &item["range"]), (&json!("Push (Item)"), &range));
    assert_eq!(server.request_to(FILL).body["prompt"], "   S.Push");
}

#[test]
fn files_edited_beside_are_shown_to_the_model() {
    let place = Workplace::new();
    let infilled = json!({ "content": "x;", "model": "code", "stop_type": "word" });
    let reply = json_reply("200 OK", "x-cloister-record: 5\r\n", &infilled);
    let server = Server::serve(&place.socket(), usual(move |_| Play::Reply(reply.clone())));
    let (uri, other) = (file(&place, "a.adb", ""), file(&place, "b.ads", ""));
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&other, "package B is\nend B;\n");
    editor.edit(&other, (1, 0), 0, "   procedure P;\n");
    editor.open(&uri, "B.");
    let asked = editor.suggest(&uri, (0, 2), 1);
    assert_eq!(editor.suggestion(asked), "x;");
    let body = server.request_to("/infill").body;
    assert_eq!((&body["input_prefix"], &body["until"]), (&json!("B."), &json!("block")));
    let extra = json!([{ "filename": "b.ads", "text": "package B is\n   procedure P;\nend B;\n" }]);
    assert_eq!(body["input_extra"], extra);
}

#[test]
fn a_server_that_is_away_is_told_once() {
    let place = Workplace::new();
    let uri = file(&place, "a.adb", "");
    let mut editor =
        Editor::start(&place, &modern(), &json!({ "completion": { "debounce_ms_max": 0, "ahead": false } }));
    editor.open(&uri, "x");
    for column in 1..6 {
        editor.edit(&uri, (0, column), 0, "x");
        let asked = editor.suggest(&uri, (0, column + 1), 2);
        assert_eq!(editor.suggestion(asked), "");
    }
    let changed = editor.told("cloister/statusChanged");
    assert_eq!(changed["params"]["reachable"], false);
    assert!(changed["params"]["error"].as_str().unwrap().contains("cannot reach the server"));
    assert_eq!(editor.count("window/showMessage", MOMENT), 1);
    assert_eq!(editor.call("cloister/status", &json!({}))["reachable"], false);

    let _server = Server::serve(&place.socket(), always("y;"));
    let asked = editor.suggest(&uri, (0, 6), 1);
    assert_eq!(editor.suggestion(asked), "y;");
    let status = editor.told("cloister/statusChanged");
    assert_eq!(status["params"]["reachable"], true);
    let status = editor.call("cloister/status", &json!({}));
    assert_eq!(
        status["deployments"],
        json!([{ "alias": "code", "name": "Coder", "model": "sha256:ab", "fill": true, "up": true }])
    );
    assert_eq!((&status["posture"], status.get("error")), (&Value::Null, None));
    assert_eq!(editor.count("window/showMessage", MOMENT), 1);
}

#[test]
fn a_chat_is_told_as_it_comes() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always(""));
    let (uri, other) = (file(&place, "a.adb", ""), file(&place, "b.ads", "type T;\n"));
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "one\ntwo\nthree\n");
    let at = |line: u32| json!({ "line": line, "character": 0 });
    let params = json!({
        "id": "c1", "uri": uri, "selection": { "start": at(1), "end": at(2) }, "files": [other], "deployment": "big",
        "messages": [{ "role": "user", "content": "Why?" }],
    });
    let answer = editor.call("cloister/chat", &params);
    assert_eq!(
        (&answer["record"], &answer["deployment"], &answer["stop"]),
        (&json!(13), &json!("code"), &json!("stop"))
    );
    assert_eq!(answer["text"], "```ada\nX : T\n  with Pre => X;\n```");
    let sources = json!([{ "source": "team", "path": "a.ads", "first_line": 3, "last_line": 9, "heading": "team/a.ads:3-9" }]);
    assert_eq!(answer["findings"], json!({ "checks": [], "provenance": null, "sources": sources }));
    assert_eq!(editor.told("cloister/chatText")["params"], json!({ "id": "c1", "text": "```ada\n" }));
    let body = server.request_to("/v1/chat/completions").body;
    assert_eq!(body["model"], "big");
    assert_eq!(
        body["messages"][0]["content"],
        "Why?\n\na.adb, from line 2:\n```ada\ntwo\n```\n\nb.ads:\n```\ntype T;\n```"
    );
    let document = editor.call("cloister/explain", &json!({ "record": 13 }));
    assert!(document["body"]["context_text"].is_string());
    let id = editor.request("cloister/chat", &json!({ "id": "c", "messages": [] }));
    assert_eq!(editor.answer(id)["error"]["code"], -32602);
}

#[test]
fn a_chat_that_is_cancelled_is_closed() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), |request| match path(request) {
        "/v1/chat/completions" => Play::Hold,
        _ => Play::Reply(json_reply("404 Not Found", "", &json!({}))),
    });
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    let params = json!({ "id": "c", "messages": [{ "role": "user", "content": "Why?" }] });
    let id = editor.request("cloister/chat", &params);
    server.request_to("/v1/chat/completions");
    editor.notify("$/cancelRequest", &json!({ "id": id }));
    assert_eq!(editor.answer(id)["error"]["code"], -32800);
    server.until_gone();
}

/// The code actions at a place, by title.
fn action(editor: &mut Editor, uri: &str, title: &str, diagnostics: &Value) -> Value {
    let at = json!({ "line": 1, "character": 4 });
    let params = json!({
        "textDocument": { "uri": uri }, "range": { "start": at, "end": at }, "context": { "diagnostics": diagnostics },
    });
    let actions = editor.call("textDocument/codeAction", &params);
    let found =
        actions.as_array().unwrap().iter().find(|action| action["title"].as_str().unwrap().contains(title));
    found.unwrap_or_else(|| panic!("{actions}"))["command"].clone()
}

#[test]
fn an_action_that_edits_asks_the_editor_and_tells_what_became_of_it() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), always(""));
    let uri = file(&place, "a.ads", "");
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    let text = "package A is\n   X : T;\nend A;\n";
    editor.open(&uri, text);
    let command = action(&mut editor, &uri, "contract", &json!([]));
    let id = editor.request("workspace/executeCommand", &command);
    let progress = editor.told("window/workDoneProgress/create");
    editor.reply(&progress, &Value::Null);
    assert_eq!(editor.answer(id)["result"], json!({ "record": 13 }));
    let edit = editor.told("workspace/applyEdit");
    let changes = &edit["params"]["edit"]["documentChanges"][0];
    assert_eq!(changes["textDocument"], json!({ "uri": uri, "version": 1 }));
    let new = "   X : T\n     with Pre => X;";
    assert_eq!(changes["edits"][0]["newText"], new);
    assert_eq!(changes["edits"][0]["range"]["start"], json!({ "line": 1, "character": 0 }));
    assert_eq!(changes["edits"][0]["annotationId"], "cloister");
    assert_eq!(edit["params"]["edit"]["changeAnnotations"]["cloister"]["description"], "record 13, by code");
    editor.edit(&uri, (1, 0), 9, new);
    editor.reply(&edit, &json!({ "applied": true }));
    let decision = server.request_to(DECISIONS).body;
    assert_eq!((&decision["choice"], &decision["record"]), (&json!("accepted"), &json!(13)));
    assert_eq!(decision["digest_before"], digest(text));
    assert_eq!(decision["digest_after"], digest(&text.replace("   X : T;", new)));
    // Whoever points at it learns where it is from.
    let params = json!({ "textDocument": { "uri": uri }, "position": { "line": 2, "character": 3 } });
    let hover = editor.call("textDocument/hover", &params);
    let said = hover["contents"]["value"].as_str().unwrap();
    assert!(said.contains("record 13, by `code`") && said.contains("from `team/a.ads:3-9`"), "{said}");
    let params = json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 3 } });
    assert_eq!(editor.call("textDocument/hover", &params), Value::Null);
}

#[test]
fn an_edit_that_is_refused_or_late_is_not_made() {
    let place = Workplace::new();
    // The second answer waits until the text was changed.
    let (release, released) = channel::<()>();
    let (released, chats, answer) = (Mutex::new(released), AtomicU64::new(0), always(""));
    let play = move |request: &Request| {
        if path(request) == "/v1/chat/completions" && chats.fetch_add(1, Ordering::Relaxed) == 1 {
            released.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        }
        answer(request)
    };
    let server = Server::serve(&place.socket(), play);
    let uri = file(&place, "a.ads", "");
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "package A is\n   X : T;\nend A;\n");
    let range = json!({ "start": { "line": 1, "character": 3 }, "end": { "line": 1, "character": 4 } });
    let diagnostics = json!([{ "range": range, "message": "T is undefined" }]);
    let command = action(&mut editor, &uri, "fix: T is undefined", &diagnostics);
    editor.call("workspace/executeCommand", &command);
    let asked = server.request_to("/v1/chat/completions").body;
    assert!(asked["messages"][0]["content"].as_str().unwrap().contains("The compiler says: T is undefined"));
    let edit = editor.told("workspace/applyEdit");
    editor.reply(&edit, &json!({ "applied": false }));
    assert_eq!(server.request_to(DECISIONS).body["choice"], "rejected");

    let id = editor.request("workspace/executeCommand", &command);
    editor.edit(&uri, (0, 0), 0, "--\n");
    // What comes behind the edit is answered behind it.
    let place_of = json!({ "textDocument": { "uri": uri }, "position": { "line": 0, "character": 1 } });
    editor.call("textDocument/hover", &place_of);
    release.send(()).unwrap();
    editor.answer(id);
    let said = editor.told("window/showMessage");
    assert!(said["params"]["message"].as_str().unwrap().contains("changed meanwhile"), "{said}");
    assert_eq!(editor.count("workspace/applyEdit", MOMENT), 0);
}

#[test]
fn words_are_shown_beside() {
    let place = Workplace::new();
    let _server = Server::serve(&place.socket(), always(""));
    let uri = file(&place, "a.ads", "");
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "package A is\n   X : T;\nend A;\n");
    let command = action(&mut editor, &uri, "Explain", &json!([]));
    editor.call("workspace/executeCommand", &command);
    let show = editor.told("window/showDocument");
    let path = show["params"]["uri"].as_str().unwrap().strip_prefix("file://").unwrap().to_owned();
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("```ada\nX : T") && page.contains("Record 13, by `code`."), "{page}");
    std::fs::remove_file(path).unwrap();
    editor.reply(&show, &json!({ "success": true }));

    // A test is a file beside.
    let command = action(&mut editor, &uri, "Write a test", &json!([]));
    editor.call("workspace/executeCommand", &command);
    let edit = editor.told("workspace/applyEdit");
    let changes = &edit["params"]["edit"]["documentChanges"];
    assert_eq!(
        (&changes[0]["kind"], &changes[0]["uri"]),
        (&json!("create"), &json!(uri.replace("a.ads", "a_test.ads")))
    );
}

#[test]
fn a_body_is_generated_from_its_specification() {
    let place = Workplace::new();
    let server = Server::serve(&place.socket(), |request| match path(request) {
        "/v1/cloister/generate" => {
            let body = json!({ "text": "   procedure P is null;\n", "unit": "", "clauses": "with B;\n", "record": 31,
                               "checks": [], "rounds": [] });
            Play::Reply(json_reply("200 OK", "x-cloister-record: 30,31\r\n", &body))
        }
        _ => Play::Reply(json_reply("404 Not Found", "", &json!({}))),
    });
    let uri = file(&place, "a.adb", "");
    let mut editor = Editor::start(&place, &modern(), &Value::Null);
    editor.open(&uri, "package body A is\n   procedure P;\nend A;\n");
    let command = action(&mut editor, &uri, "Generate the body", &json!([]));
    assert_eq!(editor.call("workspace/executeCommand", &command), json!({ "record": 31 }));
    let edit = editor.told("workspace/applyEdit");
    let edits = &edit["params"]["edit"]["documentChanges"][0]["edits"];
    assert_eq!(edits[0]["newText"], "\n   procedure P is null;");
    assert_eq!(edits[0]["range"]["start"], json!({ "line": 1, "character": 15 }));
    assert_eq!(edits[1]["newText"], "with B;\n");
    let body = server.request_to("/v1/cloister/generate").body;
    assert_eq!(
        (&body["prefix"], &body["suffix"]),
        (&json!("package body A is\n   procedure P;\n"), &json!("\nend A;\n"))
    );
}

#[test]
fn the_protocol_is_kept() {
    let place = Workplace::new();
    let mut editor = Editor::spawn(&place);
    let id = editor.request("textDocument/hover", &json!({}));
    assert_eq!(editor.answer(id)["error"]["code"], -32002);
    let wrong =
        json!({ "capabilities": {}, "initializationOptions": { "completion": { "max_tokens": "x" } } });
    let id = editor.request("initialize", &wrong);
    let said = editor.answer(id)["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.starts_with("initializationOptions.completion.max_tokens"), "{said}");
    let elsewhere = json!({ "capabilities": {}, "initializationOptions": { "server": "not an address" } });
    let id = editor.request("initialize", &elsewhere);
    assert_eq!(editor.answer(id)["error"]["code"], -32803);
    let hello = json!({ "capabilities": { "general": { "positionEncodings": ["utf-8", "utf-16"] } } });
    assert_eq!(editor.call("initialize", &hello)["capabilities"]["positionEncoding"], "utf-8");
    for (method, params, code) in [
        ("textDocument/rename", json!({}), -32601),
        ("textDocument/hover", json!({ "textDocument": 1 }), -32602),
        ("initialize", hello.clone(), -32600),
        ("workspace/executeCommand", json!({ "command": "rm" }), -32602),
        (
            "workspace/executeCommand",
            json!({ "command": "cloister.accepted", "arguments": [{ "suggestion": "x" }] }),
            -32602,
        ),
    ] {
        let id = editor.request(method, &params);
        assert_eq!(editor.answer(id)["error"]["code"], code, "{method}");
    }
    assert_eq!(editor.stop(), Some(0));
    // Leaving without a word is a failure, as the protocol has it.
    let place = Workplace::new();
    let mut editor = Editor::start(&place, &json!({}), &Value::Null);
    editor.notify("exit", &Value::Null);
    assert_eq!(editor.exit_code(), Some(1));
}
