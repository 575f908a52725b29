//! An HTTP server that plays what a case wants and keeps what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What a client sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// `Null` for an empty body.
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Server {
    requests: Receiver<Request>,
    /// Of connections that were held: that the client closed them.
    gone: Receiver<()>,
}

/// What is done with a request.
pub(crate) enum Play {
    Reply(Vec<u8>),
    /// Nothing is said until the client closes the connection.
    Hold,
}

impl Server {
    /// Listens, and answers one connection with each of the replies, which are whole HTTP messages;
    /// what it plays ends where the reply does, in the middle of an answer or not.
    pub(crate) fn play(socket: &Path, replies: Vec<Vec<u8>>) -> Server {
        let listener = UnixListener::bind(socket).unwrap();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read(&mut BufReader::new(stream.try_clone().unwrap()));
                sender.send(request).unwrap();
                // A client that has gone is a case, not a failure of this server.
                drop(stream.write_all(&reply));
            }
        });
        Server { requests, gone: channel().1 }
    }

    /// Listens, and does with each request what `play` says; connections at the same time are a thread each.
    pub(crate) fn serve(socket: &Path, play: impl Fn(&Request) -> Play + Send + Sync + 'static) -> Server {
        let listener = UnixListener::bind(socket).unwrap();
        let ((sender, requests), (gone_sender, gone)) = (channel(), channel());
        let play = std::sync::Arc::new(play);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, play) = (stream.unwrap(), std::sync::Arc::clone(&play));
                let (sender, gone) = (sender.clone(), gone_sender.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let request = read(&mut reader);
                    let played = play(&request);
                    // A test that has ended does not listen any more; nor may a client.
                    drop(sender.send(request));
                    match played {
                        Play::Reply(reply) => drop(stream.write_all(&reply)),
                        Play::Hold => {
                            drop(reader.read_to_end(&mut Vec::new()));
                            // Likewise.
                            gone.send(()).ok();
                        }
                    }
                });
            }
        });
        Server { requests, gone }
    }

    /// Waits until a connection that was held is closed.
    pub(crate) fn until_gone(&self) {
        self.gone.recv_timeout(Duration::from_secs(20)).expect("the client closed the connection");
    }

    /// The next request to a path; others are passed over.
    pub(crate) fn request_to(&self, path: &str) -> Request {
        loop {
            let request = self.request();
            if request.line.split(' ').nth(1) == Some(path) {
                return request;
            }
        }
    }

    /// Requests that came so far, and within a moment, to a path.
    pub(crate) fn requests_to(&self, path: &str, moment: Duration) -> Vec<Request> {
        let mut all = Vec::new();
        while let Ok(request) = self.requests.recv_timeout(moment) {
            all.push(request);
        }
        all.retain(|request| request.line.split(' ').nth(1) == Some(path));
        all
    }

    /// The next request that was sent.
    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(Duration::from_secs(20)).expect("a request was sent")
    }
}

fn read(stream: &mut impl BufRead) -> Request {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body).unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    Request { line: line.trim_end().to_owned(), headers, body }
}

/// A JSON answer.
pub(crate) fn json_reply(status: &str, headers: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// A whole fill of a hole, with record 12.
pub(crate) fn completion_reply(text: &str) -> Vec<u8> {
    let receipt = format!("x-cloister-record: 12\r\nx-cloister-receipt: 12:{}\r\n", "ab".repeat(32));
    let body = json!({
        "id": "cmpl-12", "object": "text_completion", "created": 1, "model": "code",
        "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34,
                  "prompt_tokens_details": {"cached_tokens": 20}},
    });
    json_reply("200 OK", &receipt, &body)
}

/// How a streamed answer ends.
pub(crate) enum End {
    /// In good order.
    Whole,
    /// The connection closes between two chunks.
    Cut,
    /// The body ends in good order, but the answer does not.
    Unfinished,
    /// The server says what broke.
    Error(&'static str),
}

/// A streamed chat answer with record 13, in the shape of the gateway.
pub(crate) fn stream_reply(texts: &[&str], end: End) -> Vec<u8> {
    let chunk = |delta: Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        json!({"id": "chatcmpl-13", "object": "chat.completion.chunk", "model": "code", "choices": choices,
               "usage": null})
        .to_string()
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
    events.extend(texts.iter().map(|text| chunk(json!({"content": text}), Value::Null)));
    match end {
        End::Whole => {
            events.push(chunk(json!({}), json!("stop")));
            let usage = json!({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14});
            events.push(json!({"model": "code", "choices": [], "usage": usage}).to_string());
            events.push("[DONE]".to_owned());
        }
        End::Error(message) => events.push(json!({"error": {"message": message}}).to_string()),
        End::Cut | End::Unfinished => {}
    }
    let mut reply = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        x-cloister-record: 13\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for event in &events {
        let event = format!("data: {event}\n\n");
        // Cut where it hurts: in the middle of a line, maybe of a character.
        let (first, second) = event.as_bytes().split_at(event.len() / 2);
        for piece in [first, second] {
            reply.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            reply.extend_from_slice(piece);
            reply.extend_from_slice(b"\r\n");
        }
    }
    if !matches!(end, End::Cut) {
        reply.extend_from_slice(b"0\r\n\r\n");
    }
    reply
}
