//! An editor, as far as the protocol sees one: the real `cloister lsp`, driven over its standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::workplace::Workplace;

const WAIT: Duration = Duration::from_secs(20);

pub(crate) struct Editor {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    /// Came while something else was waited for.
    kept: Vec<Value>,
    next: u64,
}

/// What editors of today can do.
pub(crate) fn modern() -> Value {
    json!({
        "general": { "positionEncodings": ["utf-16"] },
        "textDocument": { "inlineCompletion": {} },
        "window": { "showDocument": { "support": true }, "workDoneProgress": true },
        "workspace": { "workspaceEdit": {
            "documentChanges": true, "changeAnnotationSupport": {}, "resourceOperations": ["create"],
        } },
    })
}

impl Editor {
    /// Starts it without a word.
    pub(crate) fn spawn(place: &Workplace) -> Editor {
        let mut command = place.command();
        command.env("CLOISTER_SERVER", format!("unix:{}", place.socket().display())).arg("lsp");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read(&mut output) {
                // A test that has ended does not listen any more.
                drop(sender.send(message));
            }
        });
        Editor { child, input, messages, kept: Vec::new(), next: 0 }
    }

    /// Starts it and shakes hands.
    pub(crate) fn start(place: &Workplace, capabilities: &Value, options: &Value) -> Editor {
        let mut editor = Editor::spawn(place);
        let params = json!({
            "processId": null, "rootUri": null, "capabilities": capabilities,
            "clientInfo": { "name": "Test Editor", "version": "1" }, "initializationOptions": options,
        });
        editor.call("initialize", &params);
        editor.notify("initialized", &json!({}));
        editor
    }

    fn write(&mut self, message: &Value) {
        let body = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.input.flush().unwrap();
    }

    pub(crate) fn notify(&mut self, method: &str, params: &Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Sends a request; its name.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.next += 1;
        self.write(&json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params }));
        self.next
    }

    /// Answers a request of the server's.
    pub(crate) fn reply(&mut self, request: &Value, result: &Value) {
        self.write(&json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }));
    }

    /// The message that `is` it.
    fn wait(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + WAIT;
        loop {
            if let Some(at) = self.kept.iter().position(&is) {
                return self.kept.remove(at);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            self.kept.push(message.unwrap_or_else(|_| panic!("no {what}: {:#?}", self.kept)));
        }
    }

    /// The whole answer to a request.
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        self.wait(&format!("answer {id}"), |message| message.get("method").is_none() && message["id"] == id)
    }

    /// Its result.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        let mut answer = self.answer(id);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// The next request or notification of the server's with this method.
    pub(crate) fn told(&mut self, method: &str) -> Value {
        self.wait(method, |message| message["method"] == method)
    }

    /// How many with this method came so far, and within a moment.
    pub(crate) fn count(&mut self, method: &str, moment: Duration) -> usize {
        while let Ok(message) = self.messages.recv_timeout(moment) {
            self.kept.push(message);
        }
        self.kept.iter().filter(|message| message["method"] == method).count()
    }

    pub(crate) fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "ada", "version": 1, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }));
    }

    /// Puts a text at a place, or in place of characters behind it.
    pub(crate) fn edit(&mut self, uri: &str, (line, character): (u32, u32), removed: u32, text: &str) {
        let start = json!({ "line": line, "character": character });
        let end = json!({ "line": line, "character": character + removed });
        self.next += 1;
        self.notify(
            "textDocument/didChange",
            &json!({
                "textDocument": { "uri": uri, "version": self.next + 1 },
                "contentChanges": [{ "range": { "start": start, "end": end }, "text": text }],
            }),
        );
    }

    /// Asks for a suggestion; the request's name.
    pub(crate) fn suggest(&mut self, uri: &str, (line, character): (u32, u32), kind: u32) -> u64 {
        self.request(
            "textDocument/inlineCompletion",
            &json!({
                "textDocument": { "uri": uri },
                "position": { "line": line, "character": character },
                "context": { "triggerKind": kind },
            }),
        )
    }

    /// The text of the suggestion that answers a request; empty where there is none.
    pub(crate) fn suggestion(&mut self, id: u64) -> String {
        let answer = self.answer(id);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"]["items"][0]["insertText"].as_str().unwrap_or_default().to_owned()
    }

    /// Ends it as editors do; its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.call("shutdown", &Value::Null);
        self.notify("exit", &Value::Null);
        self.exit_code()
    }

    /// When it has ended by itself.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((_, value)) => length = value.parse().unwrap(),
            None => break,
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}
