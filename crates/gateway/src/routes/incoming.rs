//! What comes in: who sends it, whether this machine is meant, and the body within its limits.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Response, StatusCode, Uri};
use axum::middleware::Next;
use http_body_util::BodyExt;
use identity::Credential;
use tokio::time::timeout;

use super::App;
use crate::errors::{Fault, Shape};
use crate::listen::Source;
use crate::walk::Walk;

/// For a whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A body that is refused is read and thrown away up to this many times its limit, so that the client
/// reads the refusal instead of a broken pipe.
const DISCARD_FACTOR: usize = 8;

/// A request whose sender is known, and its whole body.
pub(super) struct Received {
    pub(super) credential: Credential,
    pub(super) body: Bytes,
}

pub(super) async fn receive<W: Walk>(
    app: &App<W>,
    request: Request,
    dialect: &'static str,
) -> Result<Received, Fault> {
    let credential = credential(&request);
    let body = request.into_body();
    if let Err(refusal) = app.walk.identify(&credential, dialect).await {
        discard(body, app.body_bytes_max).await;
        return Err(refusal.into());
    }
    Ok(Received { credential, body: read_body(body, app.body_bytes_max).await? })
}

/// A web page that resolves its own name to 127.0.0.1 reaches a TCP listener with that name as the
/// host: only this machine's own names are answered there. Browsers always send a host; a client
/// that sends none is not one.
pub(super) async fn refuse_foreign_hosts(request: Request, next: Next) -> Response<Body> {
    let (is_answered, message) = match source(&request) {
        Source::Unix { .. } | Source::Proxy { .. } => (true, ""),
        Source::Tls(peer) => (
            names_host(request.uri(), request.headers(), |host| peer.answers_to(host)),
            "this listener does not answer to that host: use a name of its certificate, or one of `tls.hosts`",
        ),
        Source::Tcp => (
            names_this_machine(request.uri(), request.headers()),
            "this listener answers to localhost, 127.0.0.1 and [::1] only: use one of them as the host",
        ),
    };
    if is_answered {
        return next.run(request).await;
    }
    Fault::new(StatusCode::FORBIDDEN, "foreign_host", message).into_response(Shape::of(request.uri().path()))
}

fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let local = |host: &str| matches!(host, "127.0.0.1" | "[::1]") || host.eq_ignore_ascii_case("localhost");
    names_host(uri, headers, local)
}

/// Whether every host that a request states is one of these.
fn names_host(uri: &Uri, headers: &HeaderMap, ours: impl Fn(&str) -> bool) -> bool {
    if uri.host().is_some_and(|host| !ours(host)) {
        return false;
    }
    headers.get_all(HOST).iter().all(|value| {
        let authority = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
        authority.is_some_and(|authority| ours(authority.host()))
    })
}

/// A reverse proxy's word counts over its own socket. Anywhere else somebody tries to be somebody, or a proxy is
/// set up wrongly: either is an error, and on record.
pub(super) async fn refuse_foreign_proxies<W: Walk>(
    State(app): State<Arc<App<W>>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let is_proxy = matches!(source(&request), Source::Proxy { .. });
    if is_proxy || !request.headers().contains_key(&app.proxy_header) {
        return next.run(request).await;
    }
    let void = Credential::Void { kind: "proxy header", reason: "a proxy's header from elsewhere" };
    let _always_refused = app.walk.identify(&void, "proxy").await;
    let message = "that header is a reverse proxy's, and counts over the proxy's own socket only";
    Fault::new(StatusCode::FORBIDDEN, "foreign_proxy", message).into_response(Shape::of(request.uri().path()))
}

/// A bearer token, or `x-api-key`; without either, on a Unix socket, the user that the kernel names. A certificate
/// goes beside a token; over a proxy's socket, the proxy's word is all.
pub(crate) fn credential(request: &Request) -> Credential {
    let token = token(request.headers()).map(str::to_owned);
    match (source(request), token) {
        (Source::Proxy { uid, header }, token) => proxied(request.headers(), uid, &header, token.is_some()),
        (Source::Tls(peer), token) => peer.credential(token),
        (_, Some(token)) => Credential::Bearer(token),
        (Source::Unix { uid }, None) => Credential::Peer { uid },
        (Source::Tcp, None) => Credential::None,
    }
}

fn proxied(headers: &HeaderMap, uid: u32, header: &HeaderName, has_token: bool) -> Credential {
    let void = |reason| Credential::Void { kind: "proxy", reason };
    let mut names = headers.get_all(header).iter();
    match (names.next().map(HeaderValue::to_str), names.next()) {
        _ if has_token => void("a proxy's word and a token in one request"),
        (Some(Ok(name)), None) => Credential::Proxied { uid, name: name.to_owned() },
        (None, _) => void("a proxy's request without its header"),
        _ => void("a proxy's header that is not one name"),
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let key = || headers.get("x-api-key").and_then(|value| value.to_str().ok());
    bearer.or_else(key).map(str::trim).filter(|token| !token.is_empty())
}

/// Where the request came in; the connection put it there. Without it nobody is trusted.
fn source(request: &Request) -> Source {
    request.extensions().get::<Source>().cloned().unwrap_or(Source::Tcp)
}

/// A whole body, within its limit and its time.
pub(super) async fn read_body(mut body: Body, bytes_max: usize) -> Result<Bytes, Fault> {
    let read = async {
        let mut bytes: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let broken = |error| {
                let message = format!("the body could not be read: {error}");
                Fault::new(StatusCode::BAD_REQUEST, "body_broken", message)
            };
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                return Ok(None);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Some(bytes))
    };
    match timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(Some(bytes))) => Ok(bytes.into()),
        Ok(Ok(None)) => {
            discard(body, bytes_max).await;
            let message =
                format!("the body is longer than the limit of {bytes_max} bytes: send less context");
            Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message))
        }
        Ok(Err(fault)) => Err(fault),
        Err(_) => {
            let message = format!("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs());
            Err(Fault::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message))
        }
    }
}

/// Reads what is left of a refused body, keeping nothing.
pub(super) async fn discard(mut body: Body, bytes_max: usize) {
    let read = async {
        let mut left = bytes_max.saturating_mul(DISCARD_FACTOR);
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Late or not, the refusal follows.
    let _ = timeout(BODY_TIMEOUT, read).await;
}

#[cfg(test)]
mod tests {
    use axum::http::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn tokens() {
        assert_eq!(token(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(token(&headers(&[("authorization", "bearer  abc ")])), Some("abc"));
        assert_eq!(token(&headers(&[("x-api-key", "abc")])), Some("abc"));
        assert_eq!(token(&headers(&[("authorization", "Basic abc")])), None);
        assert_eq!(token(&headers(&[("authorization", "Bearer ")])), None);
        assert_eq!(token(&headers(&[])), None);
    }

    #[test]
    fn hosts() {
        let local = |uri: &str, host: &'static str| {
            names_this_machine(&uri.parse().unwrap(), &headers(&[("host", host)]))
        };
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:9", "[::1]"] {
            assert!(local("/", host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "10.0.0.1", ""] {
            assert!(!local("/", host), "{host}");
        }
        assert!(!local("http://evil.example/", "localhost"));
        assert!(names_this_machine(&"/".parse().unwrap(), &HeaderMap::new()));
    }
}
