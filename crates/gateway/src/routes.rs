//! The routes: who asks, the body within its limits, the dialect, the walk, and the answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use assist::{Answer, Parameters, Receipt, Refusal};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::Authority;
use axum::http::{Method, Response, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use identity::Credential;
use protocol::RecordNumber;
use serde_json::json;
use tokio::time::timeout;
use tracing::Instrument;

use crate::dialect::{Call, Form, Head};
use crate::errors::{
    DEPLOYMENT_HEADER, Fault, RECEIPT_HEADER, RECORD_HEADER, Shape, TRAINING_DATA_HEADER, json_response,
    json_text,
};
use crate::fields::DialectError;
use crate::listen::Source;
use crate::metrics::Metrics;
use crate::walk::Walk;
use crate::{context, decisions, generate, llama_cpp, openai, sse, trace};

/// For a whole body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A body that is refused is read and thrown away up to this many times its limit, so that the client
/// reads the refusal instead of a broken pipe.
const DISCARD_FACTOR: usize = 8;

/// What every handler has.
pub(crate) struct App<W> {
    pub(crate) walk: Arc<W>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) body_bytes_max: usize,
    /// The header in which a reverse proxy names persons, over its own socket only.
    pub(crate) proxy_header: HeaderName,
}

/// The header of reverse proxies where none is set up: it is refused as it would be otherwise.
pub(crate) const PROXY_HEADER: HeaderName = HeaderName::from_static("x-cloister-user");

/// The whole HTTP surface.
pub(crate) fn router<W: Walk>(app: Arc<App<W>>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::<W>))
        .route("/v1/completions", post(completion::<W>))
        .route("/infill", post(infill::<W>))
        .route("/v1/models", get(models::<W>))
        .route("/v1beta/server_setting", get(server_setting::<W>))
        .route("/v1/cloister/records/{record}", get(record::<W>))
        .route("/v1/cloister/decisions", post(decision::<W>))
        .route("/v1/cloister/ledger/query", get(query::<W>))
        .route("/v1/cloister/context", post(look_up::<W>))
        .route("/v1/cloister/trace", post(trace::<W>))
        .route("/v1/cloister/generate", post(generate::<W>))
        .route("/metrics", get(metrics::<W>))
        .route("/health", get(health::<W>))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(refuse_foreign_hosts))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), refuse_foreign_proxies))
        .with_state(app)
}

async fn chat<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "openai.chat", openai::parse_chat).await
}

async fn completion<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "openai.completions", openai::parse_completion).await
}

async fn infill<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "llama_cpp.infill", llama_cpp::parse_infill).await
}

/// One request that wants text. When the client goes, hyper drops this future or the body it
/// returned, and with it whatever the walk was doing.
async fn ask<W: Walk, F: Form>(
    app: Arc<App<W>>,
    request: Request,
    dialect: &'static str,
    parse: fn(&[u8]) -> Result<Call<F>, DialectError>,
) -> Response<Body> {
    let mut observation = app.metrics.observe(dialect);
    let begun = begin(&app, request, dialect, parse).instrument(observation.span()).await;
    match begun {
        Err(fault) => {
            observation.refused(&fault);
            fault.into_response(F::SHAPE)
        }
        Ok((head, form, Begun::Whole(answers))) => {
            observation.recorded(head.record, &head.deployment);
            let mut records: Vec<RecordNumber> = Vec::with_capacity(answers.len());
            for answer in &answers {
                // A repeated answer cost its tokens once.
                if !records.contains(&answer.record) {
                    records.push(answer.record);
                    observation.answered(&answer.usage);
                }
            }
            let response = json_response(StatusCode::OK, &form.whole(&head, &answers));
            with_headers(
                response,
                &records,
                answers.iter().map(|answer| answer.receipt).max_by_key(|receipt| receipt.index),
                Some(&head),
            )
        }
        Ok((head, form, Begun::Streamed(events))) => {
            observation.recorded(head.record, &head.deployment);
            let (about, receipt) = (head.clone(), crate::Events::receipt(&events));
            let response = sse::response(events, form, head, observation);
            with_headers(response, &[about.record], Some(receipt), Some(&about))
        }
    }
}

/// What the walk gave.
enum Begun<S> {
    Whole(Vec<Answer>),
    Streamed(S),
}

async fn begin<W: Walk, F: Form>(
    app: &App<W>,
    request: Request,
    dialect: &'static str,
    parse: fn(&[u8]) -> Result<Call<F>, DialectError>,
) -> Result<(Head, F, Begun<W::Stream>), Fault> {
    let credential = credential(&request);
    let body = request.into_body();
    if let Err(refusal) = app.walk.identify(&credential, dialect).await {
        discard(body, app.body_bytes_max).await;
        return Err(refusal.into());
    }
    let body = read_body(body, app.body_bytes_max).await?;
    let Call { deployment, ask, parameters, subject, context, stream, count, form } = parse(&body)?;
    drop(body);
    let request =
        assist::Request { credential, dialect, deployment, ask, parameters, subject, context, check: true };
    let warm = request.parameters.tokens_max == Some(0);
    if stream && !warm {
        let events = app.walk.stream(request).await?;
        let head = head(app, crate::Events::record(&events), crate::Events::deployment(&events));
        return Ok((head, form, Begun::Streamed(events)));
    }
    if stream {
        let message = "`stream` must be false when no tokens are asked for: there is nothing to stream";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "invalid_request", message));
    }
    let answers = if warm {
        vec![app.walk.warm(request).await?; usize::try_from(count).unwrap_or(1)]
    } else {
        answers(app.walk.as_ref(), request, count).await?
    };
    let head = answers.first().map(|first| head(app, first.record, &first.deployment));
    let head = head.ok_or_else(|| {
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "no_answer", "the walk gave no answer")
    })?;
    Ok((head, form, Begun::Whole(answers)))
}

/// `count` answers, those that a compiler has nothing against first. Greedy ones would be the same bytes, so one is made and repeated; drawn ones are
/// made one after the other, each from its own seed, and share the prompt's KV entries.
async fn answers<W: Walk>(walk: &W, request: assist::Request, count: u32) -> Result<Vec<Answer>, Refusal> {
    let Parameters { sampling, .. } = request.parameters;
    let first = walk.answer(request.clone()).await?;
    let mut answers = vec![first];
    for number in 1..count {
        let answer = match answers.first() {
            Some(first) if sampling.temperature == 0.0 => first.clone(),
            _ => {
                let mut next = request.clone();
                next.parameters.sampling.seed = sampling.seed.wrapping_add(u64::from(number));
                walk.answer(next).await?
            }
        };
        answers.push(answer);
    }
    answers.sort_by_key(|answer| answer.findings.checks.iter().any(|check| check.errors > 0));
    Ok(answers)
}

fn head<W: Walk>(app: &App<W>, record: RecordNumber, deployment: &str) -> Head {
    let view = app.walk.deployments().into_iter().find(|view| view.alias == deployment);
    let (context_tokens, training_data) =
        view.map(|view| (view.context_tokens, view.training_data)).unwrap_or_default();
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Head {
        record,
        deployment: deployment.to_owned(),
        context_tokens,
        training_data,
        created_unix_s: since_1970.map_or(0, |time| time.as_secs()),
    }
}

fn with_headers(
    mut response: Response<Body>,
    records: &[RecordNumber],
    receipt: Option<Receipt>,
    head: Option<&Head>,
) -> Response<Body> {
    let records: Vec<String> = records.iter().map(RecordNumber::to_string).collect();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&records.join(", ")) {
        headers.insert(RECORD_HEADER, value);
    }
    if let Some(value) = receipt.and_then(|receipt| HeaderValue::from_str(&receipt.to_string()).ok()) {
        headers.insert(RECEIPT_HEADER, value);
    }
    let Some(head) = head else { return response };
    for (name, text) in [(DEPLOYMENT_HEADER, &head.deployment), (TRAINING_DATA_HEADER, &head.training_data)] {
        let text = visible(text);
        if let Some(value) = HeaderValue::from_str(&text).ok().filter(|value| !value.is_empty()) {
            headers.insert(name, value);
        }
    }
    response
}

/// Characters of a header's value.
const HEADER_CHARACTERS_MAX: usize = 256;

/// A publisher's statement may be any text; a header may not.
fn visible(text: &str) -> String {
    let visible = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(HEADER_CHARACTERS_MAX).map(visible).collect()
}

async fn models<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    match app.walk.identify(&credential(&request), "openai.models").await {
        Ok(()) => json_response(StatusCode::OK, &openai::models(&app.walk.deployments())),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

/// Tabby's clients ask the server whether they may send telemetry to their makers. They may not.
async fn server_setting<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    match app.walk.identify(&credential(&request), "tabby.server_setting").await {
        Ok(()) => json_response(StatusCode::OK, &json!({ "disable_client_side_telemetry": true })),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

/// A record, as `cloister explain` shows it.
async fn record<W: Walk>(
    State(app): State<Arc<App<W>>>,
    Path(record): Path<String>,
    request: Request,
) -> Response<Body> {
    let credential = credential(&request);
    if let Err(refusal) = app.walk.identify(&credential, "cloister.records").await {
        return Fault::from(refusal).into_response(Shape::OpenAi);
    }
    let Ok(record) = record.parse().map(RecordNumber) else {
        let message = "a record is a number, as in the header x-cloister-record";
        return Fault::new(StatusCode::BAD_REQUEST, "invalid_request", message).into_response(Shape::OpenAi);
    };
    match app.walk.explain(&credential, record).await {
        Ok(document) => json_text(StatusCode::OK, document),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

/// What a person did with an answer of theirs.
async fn decision<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    match decide(&app, request).await {
        Ok((record, receipt)) => {
            let response = json_response(StatusCode::OK, &decisions::answer(record, receipt));
            with_headers(response, &[record], Some(receipt), None)
        }
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}

async fn decide<W: Walk>(app: &App<W>, request: Request) -> Result<(RecordNumber, Receipt), Fault> {
    let credential = credential(&request);
    let bytes_max = decisions::BODY_BYTES_MAX.min(app.body_bytes_max);
    let body = request.into_body();
    if let Err(refusal) = app.walk.identify(&credential, "cloister.decisions").await {
        discard(body, bytes_max).await;
        return Err(refusal.into());
    }
    let decided = decisions::parse(&read_body(body, bytes_max).await?)?;
    let record = decided.record;
    Ok((record, app.walk.decide(&credential, decided).await?))
}

/// What the team knows, for people and for tools that act in their name.
async fn look_up<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    let bytes_max = context::BODY_BYTES_MAX.min(app.body_bytes_max);
    let body = request.into_body();
    let looked_up = async {
        if let Err(refusal) = app.walk.identify(&credential, "cloister.context").await {
            discard(body, bytes_max).await;
            return Err(Fault::from(refusal));
        }
        let lookup = context::parse(&read_body(body, bytes_max).await?)?;
        Ok(app.walk.look_up(&credential, lookup).await?)
    };
    match looked_up.await {
        Ok((record, document)) => with_headers(json_text(StatusCode::OK, document), &[record], None, None),
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}

/// What a text has in common with known code.
async fn trace<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    let bytes_max = trace::BODY_BYTES_MAX.min(app.body_bytes_max);
    let body = request.into_body();
    let traced = async {
        if let Err(refusal) = app.walk.identify(&credential, "cloister.trace").await {
            discard(body, bytes_max).await;
            return Err(Fault::from(refusal));
        }
        let asked = trace::parse(&read_body(body, bytes_max).await?)?;
        Ok(app.walk.trace(&credential, asked).await?)
    };
    match traced.await {
        Ok((record, provenance)) => {
            let response = json_response(StatusCode::OK, &trace::answer(record, &provenance));
            with_headers(response, &[record], None, None)
        }
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}

/// A hole, filled with what a compiler has nothing against. When the client goes, what was begun ends.
async fn generate<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    let body = request.into_body();
    let begun = async {
        if let Err(refusal) = app.walk.identify(&credential, generate::DIALECT).await {
            discard(body, app.body_bytes_max).await;
            return Err(Fault::from(refusal));
        }
        let body = read_body(body, app.body_bytes_max).await?;
        Ok(generate::parse(&body, credential)?)
    };
    match begun.await {
        Ok((asked, true)) => generate::streamed(app.walk.generate(asked)),
        Ok((asked, false)) => generate::whole(app.walk.generate(asked)).await,
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}

/// Records found by what they are, as `cloisterd ledger query --json` shows them.
async fn query<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    if let Err(refusal) = app.walk.identify(&credential, "cloister.query").await {
        return Fault::from(refusal).into_response(Shape::OpenAi);
    }
    let query = match crate::query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return Fault::from(error).into_response(Shape::OpenAi),
    };
    match app.walk.query(&credential, query).await {
        Ok(document) => json_text(StatusCode::OK, document),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
}

async fn metrics<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    if let Err(refusal) = app.walk.identify(&credential(&request), "metrics").await {
        return Fault::from(refusal).into_response(Shape::OpenAi);
    }
    match app.metrics.render(&app.walk.status()) {
        Ok(text) => {
            let mut response = Response::new(Body::from(text));
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        }
        Err(error) => Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics_failed", error.to_string())
            .into_response(Shape::OpenAi),
    }
}

/// Whether a request would be answered now. Asks no credential and names nothing.
async fn health<W: Walk>(State(app): State<Arc<App<W>>>) -> Response<Body> {
    let unavailable = |code, message: String| {
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, code, message).into_response(Shape::LlamaCpp)
    };
    let status = app.walk.status();
    if let Some(reason) = status.ledger_error {
        return unavailable("ledger_unavailable", format!("the ledger cannot be written: {reason}"));
    }
    if status.deployments_up == 0 {
        return unavailable(
            "engine_unavailable",
            "no engine is running: it starts, or no model is deployed".into(),
        );
    }
    json_response(StatusCode::OK, &serde_json::json!({"status": "ok"}))
}

async fn unknown_route(uri: Uri) -> Response<Body> {
    let message = format!("there is no {}: see the documentation for the routes that are served", uri.path());
    Fault::new(StatusCode::NOT_FOUND, "not_found", message).into_response(Shape::of(uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response<Body> {
    let message = format!("{} does not take {method}", uri.path());
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        .into_response(Shape::of(uri.path()))
}

/// A web page that resolves its own name to 127.0.0.1 reaches a TCP listener with that name as the
/// host: only this machine's own names are answered there. Browsers always send a host; a client
/// that sends none is not one.
async fn refuse_foreign_hosts(request: Request, next: Next) -> Response<Body> {
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
async fn refuse_foreign_proxies<W: Walk>(
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
fn credential(request: &Request) -> Credential {
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
async fn read_body(mut body: Body, bytes_max: usize) -> Result<Bytes, Fault> {
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
async fn discard(mut body: Body, bytes_max: usize) {
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

    #[test]
    fn a_proxy_says_one_name() {
        let said = |pairs: &[(&'static str, &'static str)], has_token| {
            let mut all = HeaderMap::new();
            for (name, value) in pairs {
                all.append(*name, HeaderValue::from_static(value));
            }
            match proxied(&all, 33, &PROXY_HEADER, has_token) {
                Credential::Proxied { uid: 33, name } => Ok(name),
                Credential::Void { reason, .. } => Err(reason),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(said(&[("x-cloister-user", "ada")], false).as_deref(), Ok("ada"));
        assert!(said(&[("x-cloister-user", "ada")], true).is_err());
        assert!(said(&[], false).is_err());
        assert!(said(&[("x-cloister-user", "ada"), ("x-cloister-user", "ada")], false).is_err());
    }
}
