//! What answers hold: the fields that clients go by. There may be more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::schema::plain_text;
use crate::errors::Shape;

/// A schema of `components`.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The name of an error's schema.
pub(super) fn error_of(shape: Shape) -> &'static str {
    match shape {
        Shape::OpenAi => "OpenAiError",
        Shape::Anthropic => "AnthropicError",
        Shape::LlamaCpp => "LlamaCppError",
        Shape::Mistral => "MistralError",
        Shape::Ollama => "OllamaError",
    }
}

/// All fields are there.
fn having(properties: Value) -> Value {
    let required: BTreeSet<&String> =
        properties.as_object().into_iter().flat_map(|fields| fields.keys()).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn listed(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

fn usage() -> Value {
    having(json!({"prompt_tokens": count(), "completion_tokens": count(), "total_tokens": count()}))
}

/// What is referred to.
pub(super) fn components() -> Value {
    let maybe = || json!({"type": ["string", "null"]});
    let openai =
        json!({"message": plain_text(), "type": plain_text(), "param": maybe(), "code": plain_text()});
    let native = json!({"message": plain_text(), "type": plain_text(), "code": count()});
    let mut mistral = openai.clone();
    mistral["object"] = json!({"const": "error"});
    json!({
        "OpenAiError": having(json!({"error": having(openai)})),
        "AnthropicError": having(json!({
            "type": {"const": "error"}, "error": having(json!({"type": plain_text(), "message": plain_text()})),
        })),
        "LlamaCppError": having(json!({"error": having(native)})),
        "MistralError": having(mistral),
        "OllamaError": having(json!({"error": plain_text()})),
        "Cloister": {
            "type": "object",
            "required": ["record"],
            "properties": {
                "record": count(),
                "checks": {"type": "array", "items": {"type": "object"}},
                "provenance": {"type": "object"},
                "sources": {"type": "array", "items": {"type": "object"}},
            },
        },
    })
}

pub(super) fn any_object() -> Value {
    json!({"type": "object"})
}

fn choice(of: &str, schema: &Value) -> Value {
    having(json!({"index": count(), of: schema, "finish_reason": {"enum": ["stop", "length", "tool_calls"]}}))
}

fn completion_envelope(object: &str, choice: &Value) -> Value {
    having(json!({
        "id": plain_text(), "object": {"const": object}, "created": count(), "model": plain_text(),
        "choices": listed(choice), "usage": usage(), "cloister": reference("Cloister"),
    }))
}

fn message() -> Value {
    having(json!({"role": {"const": "assistant"}, "content": {"type": ["string", "null"]}}))
}

pub(super) fn chat() -> Value {
    completion_envelope("chat.completion", &choice("message", &message()))
}

/// Of `POST /v1/messages`.
pub(super) fn messages() -> Value {
    having(json!({
        "id": plain_text(), "type": {"const": "message"}, "role": {"const": "assistant"}, "model": plain_text(),
        "content": listed(&any_object()), "usage": any_object(), "cloister": reference("Cloister"),
    }))
}

pub(super) fn counted() -> Value {
    having(json!({"input_tokens": count()}))
}

/// Of `POST /v1/responses`.
pub(super) fn responses() -> Value {
    having(json!({
        "id": plain_text(), "object": {"const": "response"}, "model": plain_text(), "status": plain_text(),
        "output": listed(&any_object()), "cloister": reference("Cloister"),
    }))
}

pub(super) fn fim() -> Value {
    chat()
}

pub(super) fn completion_of_either() -> Value {
    let tabby = having(json!({
        "id": plain_text(), "mode": {"const": "standard"}, "cloister": reference("Cloister"),
        "choices": listed(&having(json!({"index": count(), "text": plain_text()}))),
    }));
    json!({"anyOf": [completion_envelope("text_completion", &choice("text", &plain_text())), tabby]})
}

pub(super) fn models() -> Value {
    let model = having(json!({
        "id": plain_text(), "object": {"const": "model"}, "max_model_len": count(), "context_length": count(),
        "n_ctx": count(), "n_ctx_train": count(),
    }));
    having(json!({"object": {"const": "list"}, "data": listed(&model)}))
}

/// One answer, or several where `n_cmpl` asks for them. `response_fields` leaves fields out.
pub(super) fn native_or_several() -> Value {
    let native = json!({
        "type": "object",
        "properties": {
            "content": plain_text(), "stop": {"const": true}, "model": plain_text(),
            "tokens_predicted": count(), "tokens_evaluated": count(), "tokens_cached": count(),
            "truncated": {"const": false}, "stop_type": {"enum": ["eos", "word", "limit"]},
            "cloister": reference("Cloister"),
        },
    });
    json!({"anyOf": [native, listed(&native)]})
}

pub(super) fn tokens() -> Value {
    let piece = json!({"anyOf": [plain_text(), listed(&count())]});
    let token =
        json!({"anyOf": [{"type": "integer"}, having(json!({"id": {"type": "integer"}, "piece": piece}))]});
    having(json!({ "tokens": listed(&token) }))
}

pub(super) fn content() -> Value {
    having(json!({ "content": plain_text() }))
}

pub(super) fn prompt() -> Value {
    having(json!({ "prompt": plain_text() }))
}

pub(super) fn props() -> Value {
    having(json!({
        "default_generation_settings": having(json!({ "n_ctx": count() })), "total_slots": count(),
        "model_alias": plain_text(), "model_path": plain_text(), "chat_template": plain_text(),
        "build_info": plain_text(),
    }))
}

pub(super) fn slots() -> Value {
    listed(&having(json!({"id": count(), "n_ctx": count(), "is_processing": {"type": "boolean"}})))
}

pub(super) fn version() -> Value {
    having(json!({ "version": plain_text() }))
}

pub(super) fn ollama_models() -> Value {
    let model = having(json!({
        "name": plain_text(), "model": plain_text(), "digest": plain_text(), "size": count(),
        "details": {"type": "object"},
    }));
    having(json!({ "models": listed(&model) }))
}

pub(super) fn show() -> Value {
    having(json!({
        "template": plain_text(), "details": {"type": "object"}, "model_info": {"type": "object"},
        "capabilities": listed(&plain_text()),
    }))
}

fn ollama(of: &str, schema: &Value) -> Value {
    having(json!({
        "model": plain_text(), "created_at": plain_text(), of: schema, "done": {"const": true},
        "done_reason": {"enum": ["stop", "length", "load"]},
    }))
}

pub(super) fn ollama_generate() -> Value {
    ollama("response", &plain_text())
}

pub(super) fn ollama_chat() -> Value {
    ollama("message", &message())
}

pub(super) fn tabby_health() -> Value {
    let maybe = || json!({"type": ["string", "null"]});
    having(json!({
        "model": maybe(), "chat_model": maybe(), "device": plain_text(), "arch": plain_text(),
        "version": {"type": "object"},
    }))
}

pub(super) fn server_setting() -> Value {
    having(json!({"disable_client_side_telemetry": {"const": true}}))
}

pub(super) fn decided() -> Value {
    having(json!({"record": count(), "leaf": count()}))
}

pub(super) fn health() -> Value {
    having(json!({"status": {"const": "ok"}}))
}
