//! As much of HTTP as a test needs, by hand, so that a client can be killed at any byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::Failure;

const ANSWER_WAIT_MAX: Duration = Duration::from_secs(120);

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// Whether the body ended as HTTP says it must.
    pub complete: bool,
}

/// An open connection that has sent its request.
pub struct Sent {
    reader: BufReader<Box<dyn Read>>,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The record's number.
    pub fn record(&self) -> Option<u64> {
        self.header("x-cloister-record")?.parse().ok()
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value, Failure> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Posts JSON and waits for the whole response.
pub fn post(socket: &Path, path: &str, body: &Value) -> Result<Response, Failure> {
    send(socket, "POST", path, &body.to_string())?.receive()
}

/// Gets.
pub fn get(socket: &Path, path: &str) -> Result<Response, Failure> {
    send(socket, "GET", path, "")?.receive()
}

/// Sends a request; drop the result to hang up.
pub fn send(socket: &Path, method: &str, path: &str, body: &str) -> Result<Sent, Failure> {
    #[expect(clippy::disallowed_methods, reason = "a test's client")]
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    send_over(stream, method, path, body)
}

/// As [`send`], over TCP.
pub fn send_tcp(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<Sent, Failure> {
    #[expect(clippy::disallowed_methods, reason = "a test's client")]
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    send_over(stream, method, path, body)
}

/// Gets over TCP, as the person of a token.
pub fn get_as(address: SocketAddr, token: &str, path: &str) -> Result<Response, Failure> {
    post_as(address, token, path, None)
}

/// The same, and posts where there is a body.
pub fn post_as(
    address: SocketAddr,
    token: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Response, Failure> {
    #[expect(clippy::disallowed_methods, reason = "a test's client")]
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    let (method, body) = body.map_or(("GET", String::new()), |body| ("POST", body.to_string()));
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    Sent { reader: BufReader::new(Box::new(stream)) }.receive()
}

fn send_over(
    mut stream: impl Read + Write + 'static,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Sent, Failure> {
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    Ok(Sent { reader: BufReader::new(Box::new(stream)) })
}

impl Sent {
    /// Reads until these bytes have come.
    pub fn wait_for(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut seen = Vec::new();
        while !seen.ends_with(bytes) {
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            seen.push(byte[0]);
        }
        Ok(())
    }

    /// Everything that still comes, as it is on the wire.
    pub fn receive_rest(mut self) -> Result<Vec<u8>, Failure> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Reads that many bytes of the response, or fewer at its end, and hangs up.
    pub fn hang_up_after(mut self, bytes: usize) -> Result<(), Failure> {
        let mut part = vec![0; bytes];
        let mut read = 0;
        while read < bytes {
            match self.reader.read(&mut part[read..])? {
                0 => break,
                more => read += more,
            }
        }
        Ok(())
    }

    /// The whole response.
    pub fn receive(mut self) -> Result<Response, Failure> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("no status line")?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new(), complete: false };
        if response.header("transfer-encoding") == Some("chunked") {
            response.complete = self.chunks(&mut response.body).is_ok();
        } else {
            let expected = response.header("content-length").and_then(|text| text.parse::<usize>().ok());
            self.reader.read_to_end(&mut response.body)?;
            response.complete = expected.is_none_or(|expected| expected == response.body.len());
        }
        Ok(response)
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), Failure> {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim_end(), 16)?;
            let mut chunk = vec![0; length + 2];
            self.reader.read_exact(&mut chunk)?;
            chunk.truncate(length);
            body.extend(chunk);
            if length == 0 {
                return Ok(());
            }
        }
    }
}

/// The `data:` lines of an event stream, without the closing `[DONE]`, and whether that was there.
pub fn events(body: &[u8]) -> (Vec<Value>, bool) {
    let text = String::from_utf8_lossy(body);
    let mut done = false;
    let mut events = Vec::new();
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            done = true;
        } else if let Ok(event) = serde_json::from_str(data) {
            events.push(event);
        }
    }
    (events, done)
}
