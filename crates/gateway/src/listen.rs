//! Listeners and connections. Every listener was opened by somebody else: nothing here binds or dials.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::HeaderName;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use identity::Credential;
use protocol::access;
use protocol::control::Limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Sleep, sleep, timeout};

use crate::admin;
use crate::metrics::Metrics;
use crate::routes::{App, PROXY_HEADER, router};
use crate::tls::{Peer, Tls};
use crate::walk::Walk;

/// Connections at once, a listener: strangers on TCP cannot use up the Unix socket's.
const CONNECTIONS_MAX: usize = 512;

/// For a request's head to arrive; a connection that is kept alive may idle as long.
const HEAD_TIMEOUT: Duration = PATIENCE;

/// For a client to take the next bytes of an answer. One that does not would hold a sequence.
const WRITE_TIMEOUT: Duration = PATIENCE;

/// Short where its end is waited for.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(60) };

/// For requests to end after the shutdown began; then they are cut off.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Header lines of a request.
const HEADERS_MAX: usize = 64;

/// A listener that is already bound.
#[derive(Debug)]
pub enum Listener {
    /// Peers need a token.
    Tcp(std::net::TcpListener),
    /// Peers are who the kernel says they are, unless they bring a token.
    Unix(std::os::unix::net::UnixListener),
    /// Peers show a certificate, or bring a token.
    Tls(std::net::TcpListener, Arc<Tls>),
    /// The one peer is a reverse proxy, which names persons.
    Proxy(std::os::unix::net::UnixListener, access::Proxy),
}

/// Why serving ended other than by the shutdown.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener cannot be used.
    #[error("an inherited listener could not be taken over")]
    TakeOver(#[source] io::Error),
    /// The proxy's header cannot be one.
    #[error("`{0}` is not a header's name")]
    Header(String),
    /// A listener's task broke.
    #[error("a listener's task ended")]
    ListenerEnded(#[source] Option<JoinError>),
}

/// Where a request came in.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Tcp,
    Unix {
        /// The peer's user, as the kernel knows it.
        uid: u32,
    },
    Tls(Arc<Peer>),
    Proxy {
        /// The proxy's user, as the kernel knows it.
        uid: u32,
        /// The header in which it names persons.
        header: HeaderName,
    },
}

/// Serves until `shutdown`; then what runs may end, for a limited time.
pub async fn serve<W: Walk>(
    walk: Arc<W>,
    listeners: Vec<Listener>,
    admin: std::os::unix::net::UnixListener,
    limits: &Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let proxy = listeners.iter().find_map(|listener| match listener {
        Listener::Proxy(_, proxy) => Some(proxy.clone()),
        _ => None,
    });
    let header = match &proxy {
        Some(proxy) => HeaderName::from_bytes(proxy.header.as_bytes())
            .map_err(|_| ServeError::Header(proxy.header.clone()))?,
        None => PROXY_HEADER,
    };
    let app = Arc::new(App {
        proxy_header: header.clone(),
        walk: Arc::clone(&walk),
        metrics: Arc::new(Metrics::new()),
        body_bytes_max: usize::try_from(limits.body_bytes_max).unwrap_or(usize::MAX),
    });
    let router = router(app);
    let (stop, stopped) = watch::channel(false);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let door = match &listener {
            Listener::Tcp(_) | Listener::Unix(_) => Door::Plain,
            Listener::Tls(_, tls) => Door::Tls(Arc::clone(tls)),
            Listener::Proxy(_, proxy) => Door::Proxy { uid: proxy.uid, header: header.clone() },
        };
        let listener = Bound::of(listener).map_err(ServeError::TakeOver)?;
        let (walk, router, until) = (Arc::clone(&walk), router.clone(), stopped.clone());
        accepting.spawn(accept_each(listener, CONNECTIONS_MAX, stopped.clone(), move |accepted| {
            serve_http(Arc::clone(&walk), door.clone(), accepted, router.clone(), until.clone())
        }));
    }
    let admin = Bound::of(Listener::Unix(admin)).map_err(ServeError::TakeOver)?;
    accepting.spawn(accept_each(admin, admin::CONNECTIONS_MAX, stopped, move |accepted| {
        let walk = Arc::clone(&walk);
        async move {
            if let Accepted::Unix(stream, uid) = accepted {
                admin::converse(walk.as_ref(), stream, uid).await;
            }
        }
    }));
    tokio::select! {
        () = shutdown => {}
        ended = accepting.join_next() => {
            return Err(ServeError::ListenerEnded(ended.and_then(Result::err)));
        }
    }
    stop.send_replace(true);
    let all_ended = async { while accepting.join_next().await.is_some() {} };
    if timeout(SHUTDOWN_GRACE, all_ended).await.is_err() {
        tracing::warn!("requests that still ran at the shutdown are cut off");
    }
    Ok(())
}

/// A listener, in the runtime.
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What is asked of who comes in by a listener.
#[derive(Clone)]
enum Door {
    Plain,
    Tls(Arc<Tls>),
    Proxy { uid: u32, header: HeaderName },
}

/// A connection, with its peer.
enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream, u32),
}

impl Bound {
    fn of(listener: Listener) -> io::Result<Self> {
        Ok(match listener {
            Listener::Tcp(listener) | Listener::Tls(listener, _) => {
                listener.set_nonblocking(true)?;
                Bound::Tcp(TcpListener::from_std(listener)?)
            }
            Listener::Unix(listener) | Listener::Proxy(listener, _) => {
                listener.set_nonblocking(true)?;
                Bound::Unix(UnixListener::from_std(listener)?)
            }
        })
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Bound::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A block is small and wanted at once.
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, peer.ip()))
            }
            Bound::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(Accepted::Unix(stream, uid))
            }
        }
    }
}

/// Accepts until `stopped`, then waits for the connections to end. Dropping it drops them all.
async fn accept_each<S, F>(
    listener: Bound,
    connections_max: usize,
    mut stopped: watch::Receiver<bool>,
    serve: S,
) where
    S: Fn(Accepted) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop_of(&mut stopped) => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept(), if connections.len() < connections_max => match accepted {
                Ok(accepted) => {
                    connections.spawn(serve(accepted));
                }
                // The peer may have gone already, or descriptors are short: neither lasts.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

/// The shutdown; also when nobody is left who could begin one.
async fn stop_of(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task broke");
    }
}

async fn serve_http<W: Walk>(
    walk: Arc<W>,
    door: Door,
    accepted: Accepted,
    router: axum::Router,
    stopped: watch::Receiver<bool>,
) {
    match (accepted, door) {
        (Accepted::Tcp(stream, address), Door::Tls(tls)) => {
            let Some(_place) = tls.place(address) else {
                keep_out(walk.as_ref(), "tls", "tls: too many connections from one address").await;
                return;
            };
            match tls.accept(stream).await {
                Ok((stream, peer)) => serve_stream(stream, Source::Tls(peer), router, stopped).await,
                Err(reason) => keep_out(walk.as_ref(), "tls", reason).await,
            }
        }
        (Accepted::Unix(stream, uid), Door::Proxy { uid: proxy, header }) if uid == proxy => {
            serve_stream(stream, Source::Proxy { uid, header }, router, stopped).await;
        }
        (Accepted::Unix(..), Door::Proxy { .. }) => {
            keep_out(walk.as_ref(), "proxy", "another user than the proxy's at its socket").await;
        }
        (Accepted::Tcp(stream, _), _) => serve_stream(stream, Source::Tcp, router, stopped).await,
        (Accepted::Unix(stream, uid), _) => {
            serve_stream(stream, Source::Unix { uid }, router, stopped).await;
        }
    }
}

/// Has it written down that somebody was not let in before there was a request.
async fn keep_out<W: Walk>(walk: &W, surface: &'static str, reason: &'static str) {
    let _always_refused = walk.identify(&Credential::Void { kind: surface, reason }, surface).await;
}

async fn serve_stream<S>(stream: S, source: Source, router: axum::Router, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let router = TowerToHyperService::new(router);
    let told = source.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(told.clone());
        hyper::service::Service::call(&router, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(Impatient { stream, waiting: None }), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop_of(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, ?source, "a connection ended early");
    }
}

/// A stream whose writes fail once the peer has taken nothing for [`WRITE_TIMEOUT`].
struct Impatient<S> {
    stream: S,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn unless_late<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_late(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.unless_late(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.unless_late(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let mut stream = Impatient { stream: ours, waiting: None };
        stream.write_all(&[0; 8]).await.unwrap();
        let late = stream.write_all(&[0; 8]).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    /// Serves one peer that says `words`; what it got back, and when the connection ended.
    async fn until_closed(words: &str) -> (String, Duration) {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let (_stop, stopped) = watch::channel(false);
        let router = axum::Router::new().route("/", axum::routing::get(async || "here"));
        tokio::spawn(serve_stream(ours, Source::Tcp, router, stopped));
        let began = Instant::now();
        theirs.write_all(words.as_bytes()).await.unwrap();
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        (answer, began.elapsed())
    }

    #[tokio::test]
    async fn half_a_head_and_an_idle_connection_are_given_up() {
        let (_, after) = until_closed("GET / HTTP/1.1\r\nhost: loc").await;
        assert!(after >= HEAD_TIMEOUT, "{after:?}");
        let (answer, after) = until_closed("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(answer.ends_with("here"), "{answer}");
        assert!(after >= HEAD_TIMEOUT, "{after:?}");
    }

    #[tokio::test]
    async fn no_more_connections_than_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener =
            Bound::of(Listener::Unix(std::os::unix::net::UnixListener::bind(&path).unwrap())).unwrap();
        let (_stop, stopped) = watch::channel(false);
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        tokio::spawn(accept_each(listener, 2, stopped, move |accepted| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                let Accepted::Unix(mut stream, _) = accepted else { return pending().await };
                let _ = stream.read_u8().await;
            }
        }));
        let connect = || {
            #[expect(clippy::disallowed_methods, reason = "a test is the client")]
            std::os::unix::net::UnixStream::connect(&path).unwrap()
        };
        let first = connect();
        let _second = connect();
        let _third = connect();
        let wait_for = async |count: usize| {
            while served.load(Ordering::SeqCst) < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        wait_for(2).await;
        sleep(Duration::from_millis(50)).await;
        assert_eq!(served.load(Ordering::SeqCst), 2);
        drop(first);
        timeout(Duration::from_secs(10), wait_for(3)).await.unwrap();
    }
}
