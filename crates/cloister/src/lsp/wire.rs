//! JSON-RPC over standard input and output, framed as the base protocol of LSP says.
//!
//! By hand, since the crate that does it (`lsp-server`) takes a message of any length.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, oneshot};

/// Bytes of a message. A document of the size that is kept, with all that JSON escapes.
pub(super) const MESSAGE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of the headers of a message.
const HEADERS_BYTES_MAX: u64 = 4 << 10;
/// Messages that wait for the client to read.
const WAITING_MAX: usize = 4096;

/// JSON-RPC's and LSP's own numbers of errors.
pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
pub(super) const NOT_INITIALIZED: i64 = -32002;
pub(super) const REQUEST_FAILED: i64 = -32803;
pub(super) const REQUEST_CANCELLED: i64 = -32800;

/// A request's name: the client's choice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum RequestId {
    Number(i64),
    Text(String),
}

/// What a client sends.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    Request { id: RequestId, method: String, params: Value },
    Notification { method: String, params: Value },
    Response { id: RequestId, result: Result<Value, Value> },
}

/// What comes of standard input.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming {
    Message(Message),
    /// It is no message; the next one can be read all the same.
    Malformed(&'static str),
    /// It was over the limit, and read over.
    TooLong,
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ResponseError {
    pub(super) code: i64,
    pub(super) message: String,
}

impl ResponseError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        ResponseError { code, message: message.into() }
    }
}

/// The next message; `None` at the end of input.
pub(super) fn read(input: &mut impl BufRead) -> io::Result<Option<Incoming>> {
    let Some(length) = read_headers(input)? else { return Ok(None) };
    if length > MESSAGE_BYTES_MAX {
        io::copy(&mut input.take(length), &mut io::sink())?;
        return Ok(Some(Incoming::TooLong));
    }
    let mut body = Vec::new();
    if input.take(length).read_to_end(&mut body)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(parse(&body)))
}

fn read_headers(input: &mut impl BufRead) -> io::Result<Option<u64>> {
    let malformed = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut input = input.take(HEADERS_BYTES_MAX);
    let (mut length, mut is_first) = (None, true);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return if is_first { Ok(None) } else { Err(malformed("the headers of a message do not end")) };
        }
        is_first = false;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return length.map(Some).ok_or_else(|| malformed("a message has no Content-Length"));
        }
        let (name, value) =
            line.split_once(':').ok_or_else(|| malformed("this is no header of a message"))?;
        if name.eq_ignore_ascii_case("content-length") {
            let value = value.trim().parse().map_err(|_| malformed("Content-Length is no number"))?;
            length = Some(value);
        }
    }
}

/// Reads a body.
pub(super) fn parse(body: &[u8]) -> Incoming {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        id: Option<RequestId>,
        #[serde(default)]
        method: Option<String>,
        #[serde(default)]
        params: Value,
        #[serde(default)]
        result: Value,
        #[serde(default)]
        error: Option<Value>,
    }
    let Ok(Wire { id, method, params, result, error }) = serde_json::from_slice(body) else {
        return Incoming::Malformed("this is no message of JSON-RPC");
    };
    Incoming::Message(match (id, method) {
        (Some(id), Some(method)) => Message::Request { id, method, params },
        (None, Some(method)) => Message::Notification { method, params },
        (Some(id), None) => Message::Response { id, result: error.map_or(Ok(result), Err) },
        (None, None) => return Incoming::Malformed("a message has neither a method nor an id"),
    })
}

/// Where messages to the client go. They are written by a thread of its own, in order.
#[derive(Clone)]
pub(super) struct Outgoing {
    sender: mpsc::Sender<Vec<u8>>,
    stuck: Arc<Notify>,
}

impl Outgoing {
    /// Starts the thread, which ends when all senders are gone; `ended` hears of it.
    pub(super) fn to(mut output: impl Write + Send + 'static) -> (Outgoing, oneshot::Receiver<()>) {
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(WAITING_MAX);
        let (ended, end) = oneshot::channel();
        let stuck = Arc::new(Notify::new());
        let outgoing = Outgoing { sender, stuck: Arc::clone(&stuck) };
        std::thread::spawn(move || {
            while let Some(body) = receiver.blocking_recv() {
                let head = format!("Content-Length: {}\r\n\r\n", body.len());
                let written = output.write_all(head.as_bytes()).and_then(|()| output.write_all(&body));
                if written.and_then(|()| output.flush()).is_err() {
                    stuck.notify_one();
                    break;
                }
            }
            // Nobody may wait for it any more.
            ended.send(()).ok();
        });
        (outgoing, end)
    }

    /// Comes when the client has gone, or does not read what it is sent.
    pub(super) async fn stuck(&self) {
        self.stuck.notified().await;
    }

    pub(super) fn answer(&self, id: &RequestId, result: Result<Value, ResponseError>) {
        self.send(&match result {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(ResponseError { code, message }) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
            }
        });
    }

    /// An error about a message that has no name that could be read.
    pub(super) fn refuse(&self, code: i64, message: &str) {
        self.send(&json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } }));
    }

    pub(super) fn notify(&self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    pub(super) fn request(&self, id: &RequestId, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
    }

    /// Shows a person a message; `level` 1 is an error, 2 a warning, 3 a remark.
    pub(super) fn show(&self, level: u8, message: &str) {
        self.notify("window/showMessage", &json!({ "type": level, "message": message }));
    }

    /// Writes to the editor's log. Never anybody's text.
    pub(super) fn log(&self, level: u8, message: &str) {
        self.notify("window/logMessage", &json!({ "type": level, "message": message }));
    }

    fn send(&self, message: &Value) {
        if self.sender.try_send(message.to_string().into_bytes()).is_err() {
            self.stuck.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> (Vec<Incoming>, io::Result<()>) {
        let mut all = Vec::new();
        loop {
            match read(&mut bytes) {
                Ok(Some(incoming)) => all.push(incoming),
                Ok(None) => return (all, Ok(())),
                Err(error) => return (all, Err(error)),
            }
        }
    }

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn messages() {
        let bodies = [
            r#"{"jsonrpc":"2.0","id":"a","method":"shutdown"}"#,
            r#"{"jsonrpc":"2.0","method":"exit","params":{"é":1}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":1}}"#,
            "3",
            r#"{"jsonrpc":"2.0"}"#,
        ];
        let text = bodies.map(framed).concat();
        let (messages, end) = read_all(text.as_bytes());
        let shutdown = Message::Request {
            id: RequestId::Text("a".into()),
            method: "shutdown".into(),
            params: Value::Null,
        };
        let exit = Message::Notification { method: "exit".into(), params: json!({ "é": 1 }) };
        let failed = Message::Response { id: RequestId::Number(7), result: Err(json!({ "code": 1 })) };
        assert_eq!(
            messages,
            [
                Incoming::Message(shutdown),
                Incoming::Message(exit),
                Incoming::Message(failed),
                Incoming::Malformed("this is no message of JSON-RPC"),
                Incoming::Malformed("a message has neither a method nor an id"),
            ]
        );
        assert!(end.is_ok());
    }

    #[test]
    fn what_is_too_long_is_read_over() {
        let length = MESSAGE_BYTES_MAX + 1;
        let mut bytes = format!("Content-Length: {length}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + usize::try_from(length).unwrap(), b' ');
        bytes.extend(framed(r#"{"method":"exit"}"#).bytes());
        let (messages, _) = read_all(&bytes);
        let exit = Message::Notification { method: "exit".into(), params: Value::Null };
        assert_eq!(messages, [Incoming::TooLong, Incoming::Message(exit)]);
    }

    #[test]
    fn frames_that_cannot_be_read_end_it() {
        let long = format!("X: {}\r\n", "x".repeat(5000));
        for bad in [
            "Content-Length: x\r\n\r\n",
            "hello\r\n\r\n",
            "X: 1\r\n\r\n",
            "Content-Length: 9\r\n\r\n{}",
            &long,
        ] {
            assert!(read_all(bad.as_bytes()).1.is_err(), "{bad}");
        }
    }
}
