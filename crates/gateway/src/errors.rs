//! What goes wrong at the edge, and how each dialect words it.

use assist::{Refusal, RefusalKind};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use protocol::RecordNumber;
use serde_json::{Value, json};

use crate::fields::DialectError;

/// The record number of a request, on every answer and every refusal that has one.
pub(crate) const RECORD_HEADER: HeaderName = HeaderName::from_static("x-cloister-record");

/// Proof for the client to keep that a leaf was in the ledger: its index and hash.
pub(crate) const RECEIPT_HEADER: HeaderName = HeaderName::from_static("x-cloister-receipt");

/// The deployment that answered.
pub(crate) const DEPLOYMENT_HEADER: HeaderName = HeaderName::from_static("x-cloister-deployment");

/// What the model's publisher says of the data that it was trained on.
pub(crate) const TRAINING_DATA_HEADER: HeaderName = HeaderName::from_static("x-cloister-training-data");

/// Whose shape an error takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"error":{"message","type","param","code"}}`, the code a word.
    OpenAi,
    /// `{"error":{"code","message","type"}}`, the code the status.
    LlamaCpp,
    /// `{"type":"error","error":{"type","message"}}`.
    Anthropic,
    /// `{"object":"error","message","type","param","code"}`, the code a word.
    Mistral,
    /// `{"error"}`, the message alone.
    Ollama,
}

impl Shape {
    /// The shape that a path's clients expect.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/infill" | "/health" | "/completion" | "/completions" | "/tokenize" | "/detokenize"
            | "/apply-template" | "/props" | "/slots" => Shape::LlamaCpp,
            path if path.starts_with("/v1/fim/") => Shape::Mistral,
            path if path.starts_with("/api/") => Shape::Ollama,
            path if path.starts_with("/v1/messages") => Shape::Anthropic,
            _ => Shape::OpenAi,
        }
    }
}

/// A request that got no answer, or an answer that broke off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    /// A word for programs and metrics.
    pub(crate) code: &'static str,
    /// For people: what is wrong and what to do.
    pub(crate) message: String,
    /// The field that is wrong.
    field: Option<String>,
    pub(crate) record: Option<RecordNumber>,
    /// Seconds after which trying again makes sense.
    retry_after_s: Option<u32>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Fault { status, code, message, field: None, record: None, retry_after_s: None }
    }

    /// The answer's body, or a stream's last event.
    pub(crate) fn body(&self, shape: Shape) -> Value {
        match shape {
            Shape::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.openai_type(),
                "param": self.field,
                "code": self.code,
            }}),
            Shape::LlamaCpp => json!({"error": {
                "code": self.status.as_u16(),
                "message": self.message,
                "type": self.llama_cpp_type(),
            }}),
            Shape::Anthropic => json!({"type": "error", "error": {
                "type": self.anthropic_type(),
                "message": self.message,
            }}),
            Shape::Mistral => json!({
                "object": "error",
                "message": self.message,
                "type": self.openai_type(),
                "param": self.field,
                "code": self.code,
            }),
            Shape::Ollama => json!({"error": self.message}),
        }
    }

    pub(crate) fn into_response(self, shape: Shape) -> Response<Body> {
        let mut response = json_response(self.status, &self.body(shape));
        let headers = response.headers_mut();
        if let Some(record) = self.record {
            headers.insert(RECORD_HEADER, HeaderValue::from(record.0));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    fn openai_type(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn llama_cpp_type(&self) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST if self.code == CONTEXT_LENGTH => "exceed_context_size_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "unavailable_error",
            StatusCode::INTERNAL_SERVER_ERROR => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
            status if status.is_server_error() => "api_error",
            _ => "invalid_request_error",
        }
    }
}

/// The code that clients look for to shorten a prompt.
const CONTEXT_LENGTH: &str = "context_length_exceeded";

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        use RefusalKind as Kind;
        let (status, code, retry_after_s) = match refusal.kind {
            Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, "invalid_api_key", None),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", None),
            Kind::UnknownDeployment => (StatusCode::NOT_FOUND, "model_not_found", None),
            Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid_request", None),
            Kind::PromptTooLong => (StatusCode::BAD_REQUEST, CONTEXT_LENGTH, None),
            Kind::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", Some(1)),
            Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", Some(1)),
            Kind::LedgerUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", None),
            Kind::PolicyUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "policy_unavailable", None),
            Kind::EngineUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "engine_unavailable", None),
            Kind::Withheld => (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, "withheld", None),
            Kind::EngineFailed => (StatusCode::INTERNAL_SERVER_ERROR, "engine_failed", None),
        };
        Fault {
            status,
            code,
            message: refusal.message,
            field: None,
            record: refusal.record,
            retry_after_s: refusal.retry_after_s.or(retry_after_s),
        }
    }
}

impl From<DialectError> for Fault {
    fn from(error: DialectError) -> Self {
        let code = if error.field.is_some() { "invalid_field" } else { "malformed_body" };
        Fault { field: error.field, ..Fault::new(StatusCode::BAD_REQUEST, code, error.message) }
    }
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    json_text(status, body.to_string())
}

/// An answer that is JSON text already.
pub(crate) fn json_text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status() {
        use RefusalKind as Kind;
        for (kind, status, code, retry) in [
            (Kind::Unauthenticated, 401, "invalid_api_key", false),
            (Kind::Forbidden, 403, "forbidden", false),
            (Kind::UnknownDeployment, 404, "model_not_found", false),
            (Kind::Invalid, 400, "invalid_request", false),
            (Kind::PromptTooLong, 400, "context_length_exceeded", false),
            (Kind::TooManyRequests, 429, "rate_limit_exceeded", true),
            (Kind::Busy, 503, "overloaded", true),
            (Kind::LedgerUnavailable, 503, "ledger_unavailable", false),
            (Kind::PolicyUnavailable, 503, "policy_unavailable", false),
            (Kind::EngineUnavailable, 503, "engine_unavailable", false),
            (Kind::EngineFailed, 500, "engine_failed", false),
            (Kind::Withheld, 451, "withheld", false),
        ] {
            let record = Some(RecordNumber(7));
            let refusal = Refusal { kind, message: "why".to_owned(), record, retry_after_s: None };
            let fault = Fault::from(refusal);
            assert_eq!((fault.status.as_u16(), fault.code), (status, code));
            let response = fault.into_response(Shape::OpenAi);
            assert_eq!(response.headers().get(RETRY_AFTER).is_some(), retry, "{kind:?}");
            assert_eq!(response.headers()[RECORD_HEADER], "7");
        }
    }

    #[test]
    fn all_shapes() {
        let fault = Fault::from(DialectError::of("stop", "must be a string"));
        assert_eq!(
            fault.body(Shape::OpenAi),
            json!({"error": {"message": "`stop` must be a string", "type": "invalid_request_error",
                "param": "stop", "code": "invalid_field"}})
        );
        assert_eq!(
            fault.body(Shape::LlamaCpp),
            json!({"error": {"code": 400, "message": "`stop` must be a string", "type": "invalid_request_error"}})
        );
        assert_eq!(
            fault.body(Shape::Anthropic),
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "`stop` must be a string"}})
        );
        assert_eq!(
            fault.body(Shape::Mistral),
            json!({"object": "error", "message": "`stop` must be a string", "type": "invalid_request_error",
                "param": "stop", "code": "invalid_field"})
        );
        assert_eq!(fault.body(Shape::Ollama), json!({"error": "`stop` must be a string"}));
        for (path, shape) in [
            ("/v1/chat/completions", Shape::OpenAi),
            ("/completion", Shape::LlamaCpp),
            ("/v1/fim/completions", Shape::Mistral),
            ("/api/none", Shape::Ollama),
        ] {
            assert_eq!(Shape::of(path), shape);
        }
    }
}
