//! The Agent Client Protocol, version 1, over standard input and output: JSON-RPC, one message a line. An editor shows what the
//! agent does, asks its person about each edit, and can stop it. The editor's own files, terminals and MCP servers are not used.

mod link;

use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value, json};
use tokio::sync::mpsc;

pub(crate) use link::Link;

use crate::agent::{Agent, Consent, End, Limits, Tree, opening};
use crate::commands::Session;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::subject;

/// The version that is spoken.
const VERSION: u64 = 1;
/// Bytes of a message.
const MESSAGE_BYTES_MAX: u64 = 4 << 20;
/// Sessions at once.
const SESSIONS_MAX: usize = 64;

/// JSON-RPC's own numbers of errors.
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

/// A conversation about a directory.
struct Talk {
    root: PathBuf,
    messages: Vec<Value>,
    link: Link,
}

/// Serves one editor until it goes.
pub(crate) async fn serve(
    session: &mut Session,
    settings: &Settings,
    deployment: Option<&str>,
    limits: Limits,
) -> Result<(), Failure> {
    let mut lines = lines();
    let mut talks: HashMap<String, Talk> = HashMap::new();
    while let Some(line) = lines.recv().await {
        let Ok(message) = serde_json::from_slice::<Value>(&line) else {
            link::failed(&Value::Null, PARSE_ERROR, "this is no JSON")?;
            continue;
        };
        // A notification, or an answer that came too late, asks for nothing.
        let Some(id) = message.get("id").filter(|_| message.get("method").is_some()) else { continue };
        let params = &message["params"];
        match message["method"].as_str() {
            Some("initialize") => link::answered(id, initialised())?,
            Some("authenticate") => link::answered(id, json!({}))?,
            Some("session/new") => match root(params) {
                Ok(root) if talks.len() < SESSIONS_MAX => {
                    let name = format!("session-{}", talks.len() + 1);
                    let talk = Talk { root, messages: vec![opening()], link: Link::new(&name) };
                    talks.insert(name.clone(), talk);
                    link::answered(id, json!({ "sessionId": name }))?;
                }
                Ok(_) => link::failed(id, INVALID_REQUEST, "there are too many sessions")?,
                Err(reason) => link::failed(id, INVALID_PARAMS, &reason)?,
            },
            Some("session/prompt") => {
                let name = params["sessionId"].as_str().unwrap_or_default();
                let (Some(talk), Some(text)) = (talks.get_mut(name), words(&params["prompt"])) else {
                    link::failed(id, INVALID_PARAMS, "the session or the prompt's words are missing")?;
                    continue;
                };
                // A turn that is stopped leaves nothing half said.
                let Talk { root, messages: said, link } = talk;
                let mut messages = said.clone();
                messages.push(json!({"role": "user", "content": text}));
                let tree = Tree::open(root).map_err(|error| Failure::file("cannot open", root, &error))?;
                let agent = Agent {
                    settings,
                    deployment: deployment.map(str::to_owned),
                    subject: subject::of_directory(root),
                    tree,
                    checker: None,
                    consent: Consent::Editor(link),
                    limits,
                    shows_changes: false,
                };
                let turn = turn(session, &agent, link, &mut messages, &mut lines).await;
                match turn {
                    Ok(Some(end)) => {
                        *said = messages;
                        link::answered(id, json!({ "stopReason": stop_reason(end) }))?;
                    }
                    Ok(None) => link::answered(id, json!({ "stopReason": "cancelled" }))?,
                    Err(failure) if failure.is_broken_pipe() => return Err(failure),
                    Err(failure) => link::failed(id, INTERNAL_ERROR, failure.message())?,
                }
            }
            _ => link::failed(id, METHOD_NOT_FOUND, "there is no such method")?,
        }
    }
    Ok(())
}

/// One turn, beside which the editor is listened to. `None` when it was cancelled, or the editor went. Dropping the agent closes
/// the connection of its request, and the server stops generating; an edit is whole or was not begun.
async fn turn(
    session: &mut Session,
    agent: &Agent<'_>,
    link: &Link,
    messages: &mut Vec<Value>,
    lines: &mut mpsc::Receiver<Vec<u8>>,
) -> Result<Option<End>, Failure> {
    let run = agent.run(session, messages);
    tokio::pin!(run);
    loop {
        let line = tokio::select! {
            outcome = &mut run => {
                let outcome = outcome?;
                return Ok(Some(outcome.end));
            }
            line = lines.recv() => line,
        };
        let Some(line) = line else { return Ok(None) };
        let Ok(message) = serde_json::from_slice::<Value>(&line) else {
            link::failed(&Value::Null, PARSE_ERROR, "this is no JSON")?;
            continue;
        };
        match (message["method"].as_str(), message.get("id")) {
            (Some("session/cancel"), None) if message["params"]["sessionId"] == link.session() => {
                return Ok(None);
            }
            (Some(_), Some(id)) => link::failed(id, INVALID_REQUEST, "a turn is running")?,
            (None, Some(id)) => link.heard(id, &message),
            _ => {}
        }
    }
}

fn initialised() -> Value {
    json!({
        "protocolVersion": VERSION,
        "agentCapabilities": {
            "loadSession": false,
            "promptCapabilities": { "image": false, "audio": false, "embeddedContext": true },
        },
        "authMethods": [],
    })
}

/// The directory that a session is about.
fn root(params: &Value) -> Result<PathBuf, String> {
    let root = Path::new(params["cwd"].as_str().unwrap_or_default());
    if !root.is_absolute() {
        return Err("params.cwd: expected an absolute path".to_owned());
    }
    let root = root.canonicalize().map_err(|error| format!("params.cwd: {error}"))?;
    if root.is_dir() { Ok(root) } else { Err("params.cwd: that is no directory".to_owned()) }
}

/// The words of a prompt; `None` where there are none, or something else is in it.
fn words(prompt: &Value) -> Option<String> {
    let mut text = String::new();
    for block in prompt.as_array()? {
        let more = match block["type"].as_str()? {
            "text" => block["text"].as_str()?.to_owned(),
            "resource_link" => format!("\n{}\n", block["uri"].as_str()?),
            "resource" => {
                let resource = &block["resource"];
                let path = Path::new(resource["uri"].as_str()?);
                format!("\n{}", crate::fences::fenced(path, resource["text"].as_str()?))
            }
            _ => return None,
        };
        text.push_str(&more);
    }
    (!text.trim().is_empty()).then_some(text)
}

fn stop_reason(end: End) -> &'static str {
    match end {
        End::Done => "end_turn",
        End::Tokens => "max_tokens",
        End::Steps | End::Time => "max_turn_requests",
    }
}

/// Lines of standard input. Reading blocks, so that a thread of its own does it, which ends with the process. A line that is too
/// long ends it: nothing after it could be told apart.
fn lines() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            let read = std::io::stdin().lock().take(MESSAGE_BYTES_MAX).read_until(b'\n', &mut line);
            let is_whole = line.ends_with(b"\n") || (line.len() as u64) < MESSAGE_BYTES_MAX;
            if !matches!(read, Ok(1..)) || !is_whole || sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_prompt() {
        let prompt = json!([{"type": "text", "text": "Mend "}, {"type": "resource_link", "name": "a", "uri": "file:///a.c"},
            {"type": "resource", "resource": {"uri": "file:///b.c", "text": "int b;"}}]);
        let expected = "Mend \nfile:///a.c\n\nFile file:///b.c:\n```c\nint b;\n```\n\n";
        assert_eq!(words(&prompt).as_deref(), Some(expected));
        for bad in [json!([]), json!("x"), json!([{"type": "image"}]), json!([{"type": "text", "text": " "}])]
        {
            assert_eq!(words(&bad), None, "{bad}");
        }
    }
}
