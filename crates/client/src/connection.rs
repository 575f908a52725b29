//! One connection a request: dial, send, read within limits.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::dialect::Mark;
use crate::error::ClientError;
use crate::events::EventParser;
use crate::{Address, Token};

/// Before another look at a full queue of connections.
#[cfg(unix)]
const QUEUE_WAIT: Duration = Duration::from_millis(2);

/// What a client will wait for and hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until there is a connection.
    pub connect_wait: Duration,
    /// Between two signs of life of the server. A long prompt on a small machine is evaluated in
    /// silence, so this is minutes.
    pub silence_wait: Duration,
    /// Bytes of an answer that is one JSON document.
    pub document_bytes_max: usize,
    /// Bytes of one event of a streamed answer.
    pub event_bytes_max: usize,
    /// Bytes of a whole streamed answer.
    pub stream_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect_wait: Duration::from_secs(10),
            silence_wait: Duration::from_secs(600),
            document_bytes_max: 64 << 20,
            event_bytes_max: 1 << 20,
            stream_bytes_max: 64 << 20,
        }
    }
}

/// A connection, whatever it is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Encrypts a connection and makes sure of who is at its other end. Not here, but where a program needs it: a relay
/// needs none of that code.
pub trait Secure: fmt::Debug + Send + Sync {
    /// Shakes hands with the server, which must be the one that the address names.
    fn secure<'s>(&'s self, stream: TcpStream, address: &'s Address) -> Secured<'s>;
}

/// What becomes of a handshake.
pub type Secured<'s> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 's>>;

/// One server, and what it is shown. Holds no connection.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    token: Option<Token>,
    limits: Limits,
    secure: Option<Arc<dyn Secure>>,
}

/// A JSON document the server answered with, and its marks.
#[derive(Clone, Debug, PartialEq)]
pub struct Document<T> {
    /// The document.
    pub value: T,
    /// Record and receipt.
    pub mark: Mark,
}

impl Client {
    /// A client of one server, with the default [`Limits`]. A Unix socket needs no token: the
    /// server asks the system who is there.
    pub fn new(address: Address, token: Option<Token>) -> Self {
        Client::with_limits(address, token, Limits::default())
    }

    /// The same with other limits.
    pub fn with_limits(address: Address, token: Option<Token>, limits: Limits) -> Self {
        Client { address, token, limits, secure: None }
    }

    /// The same, which can dial a [`Address::Tls`].
    #[must_use]
    pub fn secured(self, secure: Arc<dyn Secure>) -> Self {
        Client { secure: Some(secure), ..self }
    }

    /// The server.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Gets a JSON document. `path` begins with `/` and is sent as it is.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Document<T>, ClientError> {
        let exchange = self.send(Method::GET, path, Bytes::new()).await?;
        self.document(&format!("GET {path}"), exchange).await
    }

    /// Posts a JSON document and gets another.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Document<T>, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Encode)?;
        let exchange = self.send(Method::POST, path, body.into()).await?;
        self.document(&format!("POST {path}"), exchange).await
    }

    /// Posts a JSON document and gets a stream of events. Dropping it closes the connection.
    pub async fn stream(&self, path: &str, body: &impl Serialize) -> Result<EventStream, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Encode)?;
        let exchange = self.send(Method::POST, path, body.into()).await?;
        let mark = Mark::of(exchange.response.headers());
        if !exchange.response.status().is_success() {
            return Err(self.refusal(mark, exchange).await);
        }
        Ok(EventStream {
            address: self.address.clone(),
            mark,
            body: exchange.response.into_body(),
            _connection: exchange.connection,
            parser: EventParser::new(self.limits.event_bytes_max),
            ended: VecDeque::new(),
            bytes_left: self.limits.stream_bytes_max,
            limits: self.limits.clone(),
        })
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Exchange, ClientError> {
        let request = self.request(method, path, body).map_err(ClientError::Request)?;
        let http = |source| ClientError::Http { address: self.address.clone(), source };
        let (mut sender, connection) = self.dial().await?;
        let response = match timeout(self.limits.silence_wait, sender.send_request(request)).await {
            Ok(response) => response.map_err(http)?,
            Err(_) => return Err(self.silent()),
        };
        Ok(Exchange { response, connection })
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> hyper::http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.host())
            .header(USER_AGENT, concat!("cloister/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, text/event-stream");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&token.authorization())?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.body(Full::new(body))
    }

    async fn dial(&self) -> Result<(http1::SendRequest<Full<Bytes>>, Connection), ClientError> {
        let connect = |source| ClientError::Connect { address: self.address.clone(), source };
        let late = || connect(std::io::ErrorKind::TimedOut.into());
        let wait = self.limits.connect_wait;
        match &self.address {
            #[cfg(unix)]
            Address::Unix(path) => {
                let stream = timeout(wait, connect_unix(path)).await;
                self.shake_hands(stream.map_err(|_| late())?.map_err(connect)?).await
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(connect(std::io::ErrorKind::Unsupported.into())),
            Address::Tcp(address) => {
                let stream = timeout(wait, connect_tcp(address)).await;
                self.shake_hands(stream.map_err(|_| late())?.map_err(connect)?).await
            }
            Address::Tls { address, .. } => {
                let secure = self.secure.as_ref().ok_or_else(|| {
                    connect(io::Error::new(io::ErrorKind::Unsupported, "no authority is named (`ca_file`)"))
                })?;
                let secured = async { secure.secure(connect_tcp(address).await?, &self.address).await };
                let stream = timeout(wait, secured).await;
                self.shake_hands(stream.map_err(|_| late())?.map_err(connect)?).await
            }
        }
    }

    async fn shake_hands<S>(
        &self,
        stream: S,
    ) -> Result<(http1::SendRequest<Full<Bytes>>, Connection), ClientError>
    where
        S: Stream + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| ClientError::Http { address: self.address.clone(), source })?;
        // Its errors also reach whoever waits for the answer.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok((sender, Connection(task)))
    }

    async fn document<T: DeserializeOwned>(
        &self,
        what: &str,
        exchange: Exchange,
    ) -> Result<Document<T>, ClientError> {
        let mark = Mark::of(exchange.response.headers());
        if !exchange.response.status().is_success() {
            return Err(self.refusal(mark, exchange).await);
        }
        let bytes = self.read(&mark, exchange, self.limits.document_bytes_max).await?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|source| ClientError::Malformed { what: what.to_owned(), source })?;
        Ok(Document { value, mark })
    }

    async fn refusal(&self, mark: Mark, exchange: Exchange) -> ClientError {
        /// A refusal is a sentence or two; more is not a message for a person.
        const REFUSAL_BYTES_MAX: usize = 64 << 10;
        let status = exchange.response.status();
        let message = match self.read(&mark, exchange, REFUSAL_BYTES_MAX).await {
            Ok(bytes) => serde_json::from_slice::<serde_json::Value>(&bytes)
                .ok()
                .and_then(|value| error_message(&value).map(str::to_owned)),
            Err(_) => None,
        };
        let message = message.unwrap_or_else(|| format!("the server answered with status {status}"));
        ClientError::Refused { status: status.as_u16(), message, record: mark.record }
    }

    async fn read(&self, mark: &Mark, exchange: Exchange, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = exchange.response.into_body();
        let mut bytes = Vec::new();
        loop {
            let Ok(frame) = timeout(self.limits.silence_wait, body.frame()).await else {
                return Err(self.silent());
            };
            match frame {
                None => return Ok(bytes),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    if bytes.len() + data.len() > bytes_max {
                        return Err(ClientError::TooLong { bytes_max });
                    }
                    bytes.extend_from_slice(&data);
                }
                Some(Err(source)) => {
                    return Err(ClientError::BrokenOff { record: mark.record, source: Some(source) });
                }
            }
        }
    }

    fn silent(&self) -> ClientError {
        ClientError::Silent { address: self.address.clone(), wait: self.limits.silence_wait }
    }
}

/// The message of an error in the dialects the server speaks: `{"error":{"message":…}}` or
/// `{"error":"…"}`.
pub(crate) fn error_message(value: &serde_json::Value) -> Option<&str> {
    let error = value.get("error")?;
    error.as_str().or_else(|| error.get("message")?.as_str()).filter(|message| !message.is_empty())
}

async fn connect_tcp(address: &SocketAddr) -> io::Result<TcpStream> {
    #[expect(clippy::disallowed_methods, reason = "this crate is the one that dials")]
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The kernel turns away at once who finds the server's queue of connections full, where a connect that blocks
/// would wait; so this waits.
#[cfg(unix)]
async fn connect_unix(path: &std::path::Path) -> std::io::Result<tokio::net::UnixStream> {
    loop {
        #[expect(clippy::disallowed_methods, reason = "this crate is the one that dials")]
        match tokio::net::UnixStream::connect(path).await {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                tokio::time::sleep(QUEUE_WAIT).await;
            }
            outcome => return outcome,
        }
    }
}

struct Exchange {
    response: Response<Incoming>,
    connection: Connection,
}

/// The task that moves a connection's bytes. Dropping it closes the connection at once: that is how
/// the server learns that nobody waits for an answer any more.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The data of events, in order.
#[derive(Debug)]
pub struct EventStream {
    address: Address,
    pub(crate) mark: Mark,
    body: Incoming,
    _connection: Connection,
    parser: EventParser,
    /// Events read and not handed out; bounded by one network read.
    ended: VecDeque<String>,
    bytes_left: usize,
    limits: Limits,
}

impl EventStream {
    /// The next event's data; `None` when the server has closed the stream in good order.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(data) = self.ended.pop_front() {
                return Ok(Some(data));
            }
            let frame = timeout(self.limits.silence_wait, self.body.frame()).await.map_err(|_| {
                ClientError::Silent { address: self.address.clone(), wait: self.limits.silence_wait }
            })?;
            let frame = match frame {
                None => return Ok(None),
                Some(Ok(frame)) => frame,
                Some(Err(source)) => {
                    return Err(ClientError::BrokenOff { record: self.mark.record, source: Some(source) });
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            self.bytes_left = self
                .bytes_left
                .checked_sub(data.len())
                .ok_or(ClientError::TooLong { bytes_max: self.limits.stream_bytes_max })?;
            self.parser.push(&data, &mut self.ended).map_err(ClientError::Stream)?;
        }
    }
}

/// A header's text, where it is there and is text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A server that is busy for a moment is not one that is gone.
    #[tokio::test]
    async fn a_full_queue_of_connections_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let first = connect_unix(&path).await.unwrap();
        let waited = timeout(Duration::from_millis(50), connect_unix(&path)).await;
        assert!(waited.is_err(), "the queue holds one");
        let accepting = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            [listener.accept().unwrap(), listener.accept().unwrap()]
        });
        let second = timeout(Duration::from_secs(30), connect_unix(&path)).await.unwrap().unwrap();
        drop((first, second));
        accepting.join().unwrap();
    }
}
