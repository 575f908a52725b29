//! The routes: who asks, the body within its limits, the dialect, the walk, and the answer.

mod embeddings;
pub(crate) mod incoming;
mod llama_cpp;
mod ollama;
mod tabby;

use std::sync::Arc;
use std::time::SystemTime;

use assist::{Answer, DeploymentView, Parameters, Receipt, Refusal};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Method, Response, StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post};
use protocol::RecordNumber;
use serde_json::json;
use tracing::Instrument;

use crate::dialect::{Call, Form, Head};
use crate::errors::{
    DEPLOYMENT_HEADER, Fault, RECEIPT_HEADER, RECORD_HEADER, Shape, TRAINING_DATA_HEADER, json_response,
    json_text,
};
use crate::fields::DialectError;
use crate::metrics::{Metrics, Observation};
use crate::walk::Walk;
use incoming::{
    Received, credential, discard, read_body, receive, refuse_foreign_hosts, refuse_foreign_proxies,
};

use crate::{
    anthropic, console, context, decisions, file_check, generate, mistral, openai, responses, standing,
    stream, trace,
};

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
        .route("/v1/responses", post(responses::<W>))
        .route("/v1/messages", post(messages::<W>))
        .route("/v1/messages/count_tokens", post(count_tokens::<W>))
        .merge(llama_cpp::router())
        .merge(ollama::router())
        .merge(tabby::router())
        .merge(embeddings::router())
        .route("/v1/fim/completions", post(fim::<W>))
        .route("/v1/models", get(models::<W>))
        .route("/v1/cloister/records/{record}", get(record::<W>))
        .route("/v1/cloister/decisions", post(decision::<W>))
        .route("/v1/cloister/ledger/query", get(query::<W>))
        .route("/v1/cloister/context", post(look_up::<W>))
        .route("/v1/cloister/trace", post(trace::<W>))
        .route("/v1/cloister/check", post(check_file::<W>))
        .route("/v1/cloister/generate", post(generate::<W>))
        .merge(standing::routes())
        .merge(console::routes())
        .route("/metrics", get(metrics::<W>))
        .route("/health", get(health::<W>))
        .route("/openapi.json", get(description::<W>))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(refuse_foreign_hosts))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), refuse_foreign_proxies))
        .with_state(app)
}

async fn chat<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "openai.chat", openai::parse_chat).await
}

/// OpenAI's clients and Tabby's share the path; what a body has says whose it is.
async fn completion<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let dialect = "openai.completions";
    match receive(&app, request, dialect).await {
        Ok(received) if crate::tabby::is_meant(&received.body) => {
            let observation = app.metrics.observe("tabby.completions");
            answer(app, received, observation, "tabby.completions", crate::tabby::parse_completion).await
        }
        Ok(received) => {
            let observation = app.metrics.observe(dialect);
            answer(app, received, observation, dialect, openai::parse_completion).await
        }
        Err(fault) => {
            app.metrics.observe(dialect).refused(&fault);
            fault.into_response(Shape::OpenAi)
        }
    }
}

async fn responses<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "openai.responses", responses::parse).await
}

async fn messages<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "anthropic.messages", anthropic::parse).await
}

/// Tokens of a conversation, as the deployment would read it. Nothing is answered, so nothing is recorded but who came.
async fn count_tokens<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    const DIALECT: &str = "anthropic.count_tokens";
    let counted = async {
        let Received { credential, body } = receive(&app, request, DIALECT).await?;
        let call = anthropic::parse(&body)?;
        Ok::<u32, Fault>(app.walk.count(call.request(credential, DIALECT).0).await?)
    };
    match counted.await {
        Ok(tokens) => json_response(StatusCode::OK, &json!({ "input_tokens": tokens })),
        Err(fault) => fault.into_response(Shape::Anthropic),
    }
}

async fn fim<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    ask(app, request, "mistral.fim", mistral::parse_fim).await
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
    match receive(&app, request, dialect).instrument(observation.span()).await {
        Ok(received) => answer(app, received, observation, dialect, parse).await,
        Err(fault) => {
            observation.refused(&fault);
            fault.into_response(F::SHAPE)
        }
    }
}

/// The answer to a request that was received.
async fn answer<W: Walk, F: Form>(
    app: Arc<App<W>>,
    received: Received,
    mut observation: Observation,
    dialect: &'static str,
    parse: impl FnOnce(&[u8]) -> Result<Call<F>, DialectError>,
) -> Response<Body> {
    let begun = begin(&app, received, dialect, parse).instrument(observation.span()).await;
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
            let response = stream::response(events, form, head, observation);
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
    Received { credential, body }: Received,
    dialect: &'static str,
    parse: impl FnOnce(&[u8]) -> Result<Call<F>, DialectError>,
) -> Result<(Head, F, Begun<W::Stream>), Fault> {
    let call = parse(&body)?;
    drop(body);
    let (stream, count) = (call.stream, call.count);
    let (request, form) = call.request(credential, dialect);
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
    Head {
        record,
        deployment: deployment.to_owned(),
        context_tokens: view.as_ref().map_or(0, |view| view.context_tokens),
        tools: view.as_ref().and_then(|view| view.tools),
        training_data: view.map(|view| view.training_data).unwrap_or_default(),
        created_unix_s: now_unix_s(),
    }
}

fn now_unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The deployment of that alias, or the first.
fn deployment<W: Walk>(app: &App<W>, alias: Option<&str>) -> Result<DeploymentView, Fault> {
    let views = app.walk.deployments();
    let known = views.iter().map(|view| view.alias.as_str()).collect::<Vec<_>>().join(", ");
    let found = views.iter().position(|view| alias.is_none_or(|alias| view.alias == alias));
    found.and_then(|index| views.into_iter().nth(index)).ok_or_else(|| {
        let message = match alias {
            // The name is the client's own: it is not repeated, since it may be anything.
            Some(_) if !known.is_empty() => format!("there is no such deployment; there are: {known}"),
            _ => "nothing is deployed: an administrator deploys a model".to_owned(),
        };
        Fault::new(StatusCode::NOT_FOUND, "model_not_found", message)
    })
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
        Ok(decided) => decided_response(decided),
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}

fn decided_response((record, receipt): (RecordNumber, Receipt)) -> Response<Body> {
    let response = json_response(StatusCode::OK, &decisions::answer(record, receipt));
    with_headers(response, &[record], Some(receipt), None)
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

/// What a lookup found, with its record.
fn looked_up(record: RecordNumber, mut found: serde_json::Value) -> Response<Body> {
    found["record"] = json!(record);
    with_headers(json_response(StatusCode::OK, &found), &[record], None, None)
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
        Ok((record, provenance)) => looked_up(record, json!(provenance)),
        Err(fault) => fault.into_response(Shape::OpenAi),
    }
}

/// What compilers say of a file.
async fn check_file<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    let credential = credential(&request);
    let bytes_max = file_check::BODY_BYTES_MAX.min(app.body_bytes_max);
    let body = request.into_body();
    let checked = async {
        if let Err(refusal) = app.walk.identify(&credential, "cloister.check").await {
            discard(body, bytes_max).await;
            return Err(Fault::from(refusal));
        }
        let asked = file_check::parse(&read_body(body, bytes_max).await?)?;
        Ok(app.walk.check_file(&credential, asked).await?)
    };
    match checked.await {
        Ok((record, checked)) => looked_up(record, json!(checked)),
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
    match ready(&app) {
        Ok(()) => json_response(StatusCode::OK, &json!({"status": "ok"})),
        Err(fault) => fault.into_response(Shape::LlamaCpp),
    }
}

/// Whether a request would be answered now.
fn ready<W: Walk>(app: &App<W>) -> Result<(), Fault> {
    let unavailable = |code, message: String| Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, code, message));
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
    Ok(())
}

/// What all routes take and give.
async fn description<W: Walk>(State(app): State<Arc<App<W>>>, request: Request) -> Response<Body> {
    match app.walk.identify(&credential(&request), "openapi").await {
        Ok(()) => json_response(StatusCode::OK, &crate::openapi::document()),
        Err(refusal) => Fault::from(refusal).into_response(Shape::OpenAi),
    }
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
