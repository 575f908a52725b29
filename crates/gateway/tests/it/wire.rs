//! The served surface, and a client that writes HTTP/1.1 by hand, to leave when it likes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use gateway::{Listener, ServeError, serve};
use protocol::admin::Response;
use protocol::control::Limits;
use protocol::frame;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::walk::{Script, ScriptedWalk};

/// The limit that the tests serve with.
pub(crate) const BODY_BYTES_MAX: usize = 64 << 10;

pub(crate) struct Server {
    pub(crate) walk: Arc<ScriptedWalk>,
    directory: tempfile::TempDir,
    tcp: SocketAddr,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    task: Mutex<Option<JoinHandle<Result<(), ServeError>>>>,
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        let walk = Arc::new(ScriptedWalk::new(script));
        let directory = tempfile::tempdir().unwrap();
        let bind = |name| std::os::unix::net::UnixListener::bind(directory.path().join(name)).unwrap();
        let (unix, admin) = (bind("cloister.sock"), bind("admin.sock"));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let limits = Limits { body_bytes_max: BODY_BYTES_MAX as u64, ..Limits::default() };
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&walk);
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            serve(served, vec![Listener::Unix(unix), Listener::Tcp(tcp)], admin, &limits, shutdown).await
        });
        Server { walk, directory, tcp: address, stop: Mutex::new(Some(stop)), task: Mutex::new(Some(task)) }
    }

    /// Begins the shutdown; the handle gives what serving returned.
    pub(crate) fn shut_down(&self) -> JoinHandle<Result<(), ServeError>> {
        self.stop.lock().unwrap().take().unwrap().send(()).unwrap();
        self.task.lock().unwrap().take().unwrap()
    }

    pub(crate) async fn post(&self, route: &str, body: &str) -> Reply {
        self.post_with(route, &[], body).await
    }

    pub(crate) async fn post_with(&self, route: &str, headers: &[&str], body: &str) -> Reply {
        self.connect().await.ask("POST", route, headers, body).await
    }

    pub(crate) async fn get(&self, route: &str, headers: &[&str]) -> Reply {
        self.connect().await.ask("GET", route, headers, "").await
    }

    pub(crate) async fn tcp_post(&self, route: &str, headers: &[&str], body: &str) -> Reply {
        self.connect_tcp().await.ask("POST", route, headers, body).await
    }

    pub(crate) async fn tcp_get(&self, route: &str, headers: &[&str]) -> Reply {
        self.connect_tcp().await.ask("GET", route, headers, "").await
    }

    pub(crate) async fn connect(&self) -> Connection<UnixStream> {
        self.try_connect().await.unwrap()
    }

    pub(crate) async fn try_connect(&self) -> std::io::Result<Connection<UnixStream>> {
        Ok(Connection { stream: unix(self.path("cloister.sock")).await?, read: Vec::new() })
    }

    async fn connect_tcp(&self) -> Connection<TcpStream> {
        #[expect(clippy::disallowed_methods, reason = "a test is the client")]
        let stream = TcpStream::connect(self.tcp).await.unwrap();
        Connection { stream, read: Vec::new() }
    }

    /// Sends bytes to the admin socket and reads its answer.
    pub(crate) async fn admin(&self, bytes: &[u8]) -> Response {
        let mut stream = unix(self.path("admin.sock")).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let (header, payload) = answer.split_at(frame::HEADER_BYTES);
        assert_eq!(frame::payload_len(header.try_into().unwrap()).unwrap(), payload.len());
        frame::decode(payload).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

pub(crate) fn my_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

async fn unix(path: PathBuf) -> std::io::Result<UnixStream> {
    #[expect(clippy::disallowed_methods, reason = "a test is the client")]
    UnixStream::connect(path).await
}

/// A client's end of a connection.
pub(crate) struct Connection<S> {
    stream: S,
    /// Bytes that came and were not yet taken.
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) async fn send(&mut self, method: &str, route: &str, headers: &[&str], body: &str) {
        let mut head = format!("{method} {route} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        for header in headers {
            head.push_str(&format!("{header}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body.as_bytes()).await.unwrap();
    }

    async fn ask(mut self, method: &str, route: &str, headers: &[&str], body: &str) -> Reply {
        self.send(method, route, headers, body).await;
        self.reply().await
    }

    /// Reads until `words` have come; keeps what came.
    pub(crate) async fn read_until(&mut self, words: &str) {
        while !String::from_utf8_lossy(&self.read).contains(words) {
            assert!(self.more().await, "the connection ended before {words:?}");
        }
    }

    /// Everything until the connection ends.
    pub(crate) async fn reply_rest(mut self) -> String {
        while self.more().await {}
        String::from_utf8(self.read).unwrap()
    }

    /// One whole answer.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.read_until("\r\n\r\n").await;
        let end = self.read.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        if let Some(length) = reply.header("content-length") {
            reply.body = self.take(length.parse().unwrap()).await;
        } else if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                self.read_until("\r\n").await;
                let line = self.read.windows(2).position(|window| window == b"\r\n").unwrap();
                let length = String::from_utf8(self.read.drain(..line + 2).collect()).unwrap();
                let length = usize::from_str_radix(length.trim(), 16).unwrap();
                let chunk = self.take(length + 2).await;
                reply.body.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    break;
                }
            }
        }
        reply
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.more().await, "the connection ended inside a body");
        }
        self.read.drain(..length).collect()
    }

    async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.read).await.unwrap() > 0
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The names and data of server-sent events that have names.
    pub(crate) fn named_events(&self) -> Vec<(String, serde_json::Value)> {
        let text = self.text();
        let named = |event: &str| {
            let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            (name.to_owned(), serde_json::from_str(data).unwrap())
        };
        text.split_terminator("\n\n").map(named).collect()
    }

    /// The data of server-sent events.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = self.text();
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap().to_owned()).collect()
    }
}
