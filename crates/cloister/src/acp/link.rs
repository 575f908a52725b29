//! What is said to an editor, and its answers to what it is asked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::hunks::Change;

/// The editor, during one turn of a session. One task uses it.
pub(crate) struct Link {
    session: String,
    /// Requests that are not answered.
    waiting: RefCell<HashMap<u64, oneshot::Sender<Value>>>,
}

impl Link {
    pub(super) fn new(session: &str) -> Link {
        Link { session: session.to_owned(), waiting: RefCell::default() }
    }

    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// An answer of the editor's.
    pub(super) fn heard(&self, id: &Value, message: &Value) {
        let sender = id.as_u64().and_then(|id| self.waiting.borrow_mut().remove(&id));
        if let Some(sender) = sender {
            // Who asked may have stopped waiting.
            drop(sender.send(message["result"].clone()));
        }
    }

    /// Words of the model's.
    pub(crate) fn says(&self, text: &str) -> io::Result<()> {
        let content = json!({ "type": "text", "text": text });
        self.update(json!({ "sessionUpdate": "agent_message_chunk", "content": content }))
    }

    /// A call begins; its name for what follows.
    pub(crate) fn calls(&self, tool: &str, title: &str, record: &str) -> io::Result<String> {
        let name = format!("{}-call-{}", self.session, self.number());
        let kind = match tool {
            "list_files" | "search_text" => "search",
            "read_file" => "read",
            "propose_edit" => "edit",
            _ => "other",
        };
        self.update(json!({
            "sessionUpdate": "tool_call", "toolCallId": name, "title": format!("{title} [{record}]"), "kind": kind,
            "status": "in_progress",
        }))?;
        Ok(name)
    }

    /// A call ended with this result.
    pub(crate) fn called(&self, name: &str, is_done: bool, result: &str) -> io::Result<()> {
        let status = if is_done { "completed" } else { "failed" };
        let content = json!([{ "type": "content", "content": { "type": "text", "text": result } }]);
        self.update(json!({
            "sessionUpdate": "tool_call_update", "toolCallId": name, "status": status, "content": content,
        }))
    }

    /// Whether the person allows a change. An editor that answers anything but yes has not allowed it.
    pub(crate) async fn allows(&self, name: &str, root: &Path, change: &Change) -> io::Result<bool> {
        let old = if change.is_new_file() { Value::Null } else { change.old().into() };
        let difference = json!({
            "type": "diff", "path": root.join(change.path()), "oldText": old, "newText": change.with(&vec![true; change.len()]),
        });
        let number = self.number();
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, sender);
        send(&json!({
            "jsonrpc": "2.0", "id": number, "method": "session/request_permission",
            "params": {
                "sessionId": self.session,
                "toolCall": { "toolCallId": name, "title": format!("Edit {}", change.path()), "kind": "edit",
                    "status": "pending", "content": [difference] },
                "options": [
                    { "optionId": "take", "name": "Take the change", "kind": "allow_once" },
                    { "optionId": "leave", "name": "Leave the file as it is", "kind": "reject_once" },
                ],
            },
        }))?;
        let answer = receiver.await.unwrap_or_default();
        Ok(answer["outcome"]["outcome"] == "selected" && answer["outcome"]["optionId"] == "take")
    }

    /// No two sessions' requests have one number: an answer that comes late is nobody else's.
    fn number(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    fn update(&self, update: Value) -> io::Result<()> {
        send(&json!({
            "jsonrpc": "2.0", "method": "session/update", "params": { "sessionId": self.session, "update": update },
        }))
    }
}

pub(super) fn answered(id: &Value, result: Value) -> io::Result<()> {
    send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

pub(super) fn failed(id: &Value, code: i64, message: &str) -> io::Result<()> {
    send(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
}

fn send(message: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{message}")?;
    output.flush()
}
