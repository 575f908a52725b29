//! `POST /v1/cloister/generate`: fills a hole with what a compiler has nothing against.
//!
//! `{"prefix": "…", "suffix": "…", "language": "ada", "candidates": 4, "stream": true, "cloister": {"path": …}}`. Streamed, each
//! text that was looked at is an event, `{"round": …}`, and the last one is `{"done": …}`; otherwise the latter's
//! object is the answer.

use std::convert::Infallible;

use assist::{Ask, CANDIDATES_MAX, FIXES_MAX, Generate, Refusal, Request, SPANS_MAX, Step};
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use identity::Credential;
use languages::{Language, Limits};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::errors::{Fault, Shape, json_response};
use crate::fields::{DialectError, Fields};
use crate::parameters::{context, deployment, sampling, subject, tokens_max};

/// Bytes of an instruction.
const INSTRUCTION_BYTES_MAX: usize = 4096;

/// As records name the surface.
pub(crate) const DIALECT: &str = assist::GENERATE_DIALECT;

/// Reads the body: what is to be generated, and whether its steps are streamed.
pub(crate) fn parse(body: &[u8], credential: Credential) -> Result<(Generate, bool), DialectError> {
    let fields = Fields::of_body(body)?;
    let (prefix, suffix) =
        (fields.text("prefix")?.unwrap_or_default(), fields.text("suffix")?.unwrap_or_default());
    let instruction = fields.text("instruction")?;
    if instruction.as_ref().is_some_and(|text| text.len() > INSTRUCTION_BYTES_MAX) {
        return Err(fields.error("instruction", &format!("is longer than {INSTRUCTION_BYTES_MAX} bytes")));
    }
    let language = match fields.text("language")? {
        Some(name) => Some(Language::from_name(&name).ok_or_else(|| {
            let known: Vec<&str> = Language::ALL.into_iter().map(Language::name).collect();
            fields.error("language", &format!("must be one of {}", known.join(", ")))
        })?),
        None => None,
    };
    let default = Limits::default();
    let count = |name: &str, least: i64, most: u32, default: u32| {
        let count = fields.integer(name, least..=i64::from(most))?;
        Ok::<_, DialectError>(count.and_then(|count| u32::try_from(count).ok()).unwrap_or(default))
    };
    let sampling = sampling(&fields)?;
    let limits = Limits {
        candidates_max: count("candidates", 1, CANDIDATES_MAX, default.candidates_max)?,
        fixes_max: count("fixes", 0, FIXES_MAX, default.fixes_max)?,
        spans_max: count("spans", 0, SPANS_MAX, default.spans_max)?,
        tokens_max: tokens_max(&fields, &["max_tokens"])?.unwrap_or(default.tokens_max),
        temperature: if sampling.temperature > 0.0 { sampling.temperature } else { default.temperature },
        seed: sampling.seed,
        clauses: true,
        agree: count("agree", 1, CANDIDATES_MAX, default.agree)?,
        ..default
    };
    let parameters = assist::Parameters {
        sampling,
        tokens_max: None,
        stop: Vec::new(),
        predict_ms_max: None,
        until: protocol::worker::Until::End,
        json_schema: None,
        syntax: None,
    };
    let request = Request {
        credential,
        dialect: DIALECT,
        deployment: deployment(&fields)?,
        ask: Ask::Fill { prefix, suffix, extra: Vec::new() },
        parameters,
        subject: subject(&fields)?,
        context: context(&fields)?,
        check: false,
    };
    Ok((Generate { request, language, instruction, limits }, fields.flag("stream")?))
}

/// The last step, as one answer.
pub(crate) async fn whole(mut steps: mpsc::Receiver<Result<Step, Refusal>>) -> Response<Body> {
    while let Some(step) = steps.recv().await {
        match step {
            Ok(Step::Round(_)) => {}
            Ok(Step::Done(generated)) => return json_response(StatusCode::OK, &json!(generated)),
            Err(refusal) => return Fault::from(refusal).into_response(Shape::OpenAi),
        }
    }
    broken_off().into_response(Shape::OpenAi)
}

/// All steps, as they come.
pub(crate) fn streamed(steps: mpsc::Receiver<Result<Step, Refusal>>) -> Response<Body> {
    let chunks = futures_util::stream::unfold(Some(steps), |steps| async move {
        let mut steps = steps?;
        let (event, rest) = match steps.recv().await {
            Some(Ok(step @ Step::Round(_))) => (json!(step), Some(steps)),
            Some(Ok(step @ Step::Done(_))) => (json!(step), None),
            Some(Err(refusal)) => (Fault::from(refusal).body(Shape::OpenAi), None),
            None => (broken_off().body(Shape::OpenAi), None),
        };
        Some((Ok::<Bytes, Infallible>(event_text(&event).into()), rest))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn event_text(event: &Value) -> String {
    format!("data: {event}\n\n")
}

fn broken_off() -> Fault {
    let message = "the generation broke off: the records of its draws say how far it got";
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "broken_off", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let read = |body: &str| parse(body.as_bytes(), Credential::None);
        let (generate, stream) = read(
            r#"{"prefix":"a","language":"VHDL","candidates":2,"spans":0,"stream":true,"cloister":{"path":"a.vhd"}}"#,
        )
        .unwrap();
        assert!(stream && generate.language == Some(Language::Vhdl));
        assert_eq!((generate.limits.candidates_max, generate.limits.spans_max), (2, 0));
        assert_eq!(generate.request.subject.path.as_deref(), Some("a.vhd"));
        for (body, field) in [
            (r#"{"prefix":1}"#, "prefix"),
            (r#"{"prefix":"","language":"klingon"}"#, "language"),
            (r#"{"prefix":"","candidates":0}"#, "candidates"),
            (r#"{"prefix":"","fixes":13}"#, "fixes"),
            (r#"{"prefix":"","stream":1}"#, "stream"),
        ] {
            assert_eq!(read(body).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }
}
