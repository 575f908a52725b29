//! What bodies hold.

use assist::{CANDIDATES_MAX, CLIENT_BYTES_MAX, FIXES_MAX, PATH_BYTES_MAX, SPANS_MAX, TRACE_BYTES_MAX};
use languages::Language;
use serde_json::{Value, json};

use super::schema::{
    flag, integer, joined, list, maybe, nothing, number, object, one_of, plain_text, text, text_of,
};
use super::{Parameter, query};
use crate::parameters::{STOP_STRING_BYTES_MAX, STOP_STRINGS_MAX};

const TOKENS_MAX: i64 = u32::MAX as i64;

/// What every dialect takes beside its own words.
fn shared() -> Value {
    object(&[], json!({"model": text_of(256), "cloister": maybe(about()), "stream": flag()}))
}

fn about() -> Value {
    object(&[], json!({"repository": text_of(512), "path": text_of(1024), "context": flag()}))
}

fn sampling() -> Value {
    object(
        &[],
        json!({
            "temperature": number(0.0, 2.0),
            "top_p": number(0.0, 1.0),
            "min_p": number(0.0, 1.0),
            "top_k": integer(i64::from(i32::MIN), i64::from(i32::MAX)),
            "seed": integer(i64::MIN, i64::MAX),
            "stop": {"anyOf": [text_of(STOP_STRING_BYTES_MAX), list(&json!({"type": "string", "maxLength": STOP_STRING_BYTES_MAX}), STOP_STRINGS_MAX)]},
        }),
    )
}

fn until() -> Value {
    object(
        &[],
        json!({"until": one_of(&["line", "block", "end"]), "n_indent": integer(-1, i64::from(i32::MAX))}),
    )
}

fn tokens() -> Value {
    integer(-2, TOKENS_MAX)
}

/// Functions that a model may ask for; `schema` is what the field of their arguments is called.
fn tool(schema: &str) -> Value {
    object(
        &["name"],
        json!({"name": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\s\\x00-\\x1f\\x7f]+$"},
        "description": text(), "strict": flag(), schema: maybe(object(&[], json!({})))}),
    )
}

fn tools() -> Value {
    let function =
        object(&["type", "function"], json!({"type": {"const": "function"}, "function": tool("parameters")}));
    list(&function, 256)
}

/// Of `POST /v1/messages` and its count.
pub(super) fn messages_of_anthropic() -> Value {
    let part = object(&["type", "text"], json!({"type": {"const": "text"}, "text": text()}));
    let said = json!({"anyOf": [plain_text(), {"type": "array", "items": part, "maxItems": 1024}]});
    let message =
        object(&["role", "content"], json!({"role": one_of(&["user", "assistant"]), "content": said}));
    let own = object(
        &["messages"],
        json!({
            "messages": {"type": "array", "items": message, "minItems": 1, "maxItems": 2048},
            "system": {"anyOf": [text(), {"type": "array", "items": part, "maxItems": 1024}]},
            "max_tokens": tokens(),
            "stop_sequences": list(&json!({"type": "string", "maxLength": STOP_STRING_BYTES_MAX}), STOP_STRINGS_MAX),
            "tools": list(&tool("input_schema"), 256),
        }),
    );
    joined(&[shared(), sampling(), own])
}

/// Of `POST /v1/responses`.
pub(super) fn responses() -> Value {
    let item = object(
        &["role", "content"],
        json!({"role": one_of(&["system", "developer", "user", "assistant"]), "content": plain_text()}),
    );
    let own = object(
        &["input"],
        json!({
            "input": {"anyOf": [plain_text(), {"type": "array", "items": item, "minItems": 1, "maxItems": 2048}]},
            "instructions": text(), "max_output_tokens": tokens(), "previous_response_id": {"type": "null"},
        }),
    );
    joined(&[shared(), sampling(), own])
}

fn messages() -> Value {
    let part = object(&["type", "text"], json!({"type": {"const": "text"}, "text": text()}));
    let said = json!({"anyOf": [plain_text(), {"type": "array", "items": part, "maxItems": 1024}]});
    let role = one_of(&["system", "developer", "user", "assistant"]);
    let message = object(&["role", "content"], json!({"role": role, "content": said}));
    json!({"type": "array", "items": message, "minItems": 1, "maxItems": 2048})
}

/// What an answer must be. A schema may be one that cannot be held to: that is said, with status 400.
fn format() -> Value {
    let any = object(&[], json!({}));
    let schema = object(&["schema"], json!({"schema": any}));
    json!({"anyOf": [
        object(&["type"], json!({"type": one_of(&["text", "json_object"])})),
        object(&["type", "json_schema"], json!({"type": {"const": "json_schema"}, "json_schema": schema})),
    ]})
}

pub(super) fn anything() -> Value {
    object(&[], json!({}))
}

pub(super) fn conversation() -> Value {
    object(&["messages"], json!({"messages": messages(), "model": text_of(256)}))
}

pub(super) fn chat() -> Value {
    let own = object(
        &["messages"],
        json!({
            "messages": messages(),
            "max_tokens": tokens(), "max_completion_tokens": tokens(), "n_predict": tokens(),
            "n": integer(1, 8),
            "logprobs": {"enum": [false, null]},
            "tools": tools(),
            "stream_options": maybe(object(&[], json!({"include_usage": flag()}))),
            "tool_choice": {"enum": ["auto", "none", null]},
            "response_format": maybe(format()),
        }),
    );
    joined(&[shared(), sampling(), own])
}

fn completion() -> Value {
    let own = object(
        &["prompt"],
        json!({
            "prompt": {"anyOf": [plain_text(), {"type": "array", "items": plain_text(), "minItems": 1, "maxItems": 1}]},
            "suffix": text(),
            "max_tokens": tokens(), "max_completion_tokens": tokens(), "n_predict": tokens(),
            "n": integer(1, 8), "best_of": {"enum": [1, null]},
            "echo": {"enum": [false, null]}, "logprobs": {"enum": [false, null]},
            "stream_options": maybe(object(&[], json!({"include_usage": flag()}))),
        }),
    );
    joined(&[shared(), sampling(), until(), own])
}

fn segments() -> Value {
    let snippets = list(&object(&["body"], json!({"filepath": text(), "body": text()})), 256);
    let segments = object(
        &["prefix"],
        json!({
            "prefix": text(), "suffix": text(), "filepath": text_of(1024), "git_url": text_of(512),
            "declarations": snippets,
            "relevant_snippets_from_changed_files": snippets,
            "relevant_snippets_from_recently_opened_files": snippets,
        }),
    );
    let own = object(&["segments"], json!({"segments": segments, "max_tokens": tokens()}));
    joined(&[shared(), sampling(), until(), own])
}

pub(super) fn completion_of_either() -> Value {
    json!({"anyOf": [completion(), segments()]})
}

fn native_own() -> Value {
    object(
        &[],
        json!({
            "n_predict": tokens(), "max_tokens": tokens(),
            "t_max_predict_ms": integer(i64::from(i32::MIN), TOKENS_MAX),
            "n_cmpl": integer(1, 8),
            "response_fields": list(&plain_text(), 64),
        }),
    )
}

pub(super) fn infill() -> Value {
    let extra = object(&["text"], json!({"text": text(), "filename": text()}));
    let own = object(
        &["input_prefix", "input_suffix"],
        json!({"input_prefix": text(), "input_suffix": text(), "prompt": text(), "input_extra": list(&extra, 256)}),
    );
    joined(&[shared(), sampling(), until(), native_own(), own])
}

pub(super) fn native() -> Value {
    let prompt = json!({"anyOf": [plain_text(), {"type": "array", "items": plain_text(), "minItems": 1, "maxItems": 1}]});
    let own = object(&["prompt"], json!({ "prompt": prompt }));
    joined(&[shared(), sampling(), until(), native_own(), own])
}

pub(super) fn tokenize() -> Value {
    object(
        &["content"],
        json!({
            "content": text(), "add_special": flag(), "parse_special": flag(), "with_pieces": flag(),
            "model": text_of(256),
        }),
    )
}

pub(super) fn detokenize() -> Value {
    let token = json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX});
    object(&["tokens"], json!({"tokens": list(&token, assist::SPELLED_TOKENS_MAX), "model": text_of(256)}))
}

pub(super) fn show() -> Value {
    object(&["model"], json!({"model": text(), "name": text()}))
}

fn ollama_shared() -> Value {
    let mut options = sampling();
    options["properties"]["num_predict"] = tokens();
    let own = object(
        &[],
        json!({"options": maybe(options), "format": {"anyOf": [{"enum": ["", "json", null]}, object(&[], json!({}))]}, "images": nothing()}),
    );
    joined(&[shared(), until(), own])
}

pub(super) fn ollama_generate() -> Value {
    let own = object(
        &[],
        json!({"prompt": text(), "suffix": text(), "system": text(), "raw": flag(), "context": nothing()}),
    );
    joined(&[ollama_shared(), own])
}

pub(super) fn ollama_chat() -> Value {
    let message = object(
        &["role"],
        json!({
            "role": one_of(&["system", "user", "assistant", "tool"]), "content": text(), "images": nothing(),
            "tool_name": text(), "tool_call_id": text(),
        }),
    );
    joined(&[ollama_shared(), object(&[], json!({"messages": list(&message, 2048), "tools": tools()}))])
}

pub(super) fn event() -> Value {
    object(
        &["type"],
        json!({
            "type": text(), "completion_id": text(), "choice_index": integer(0, TOKENS_MAX),
            "view_id": text(), "elapsed": integer(0, i64::MAX), "select_kind": text(),
        }),
    )
}

pub(super) fn fim() -> Value {
    let own = object(
        &["prompt"],
        json!({
            "prompt": text(), "suffix": text(), "max_tokens": tokens(), "min_tokens": {"enum": [0, null]},
            "random_seed": integer(i64::MIN, i64::MAX),
        }),
    );
    joined(&[shared(), sampling(), until(), own])
}

/// A text without control characters.
fn line(bytes_max: usize) -> Value {
    json!({"type": ["string", "null"], "maxLength": bytes_max, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"})
}

pub(super) fn decision() -> Value {
    let digest = json!({"type": ["string", "null"], "pattern": "^sha256:[0-9a-f]{64}$"});
    object(
        &["record", "choice"],
        json!({
            "record": integer(0, i64::MAX),
            "choice": one_of(&["shown", "accepted", "partly_accepted", "edited_after", "rejected"]),
            "accepted_bytes": integer(0, i64::MAX),
            "path": line(PATH_BYTES_MAX), "client": line(CLIENT_BYTES_MAX),
            "digest_before": digest, "digest_after": digest,
        }),
    )
}

pub(super) fn lookup() -> Value {
    let words = || json!({"type": "string", "minLength": 1, "maxLength": 8192});
    let question = |name: &str, more: Value| {
        let mut properties = json!({"count": integer(1, 100), "source": words()});
        for (name, schema) in more.as_object().into_iter().flatten() {
            properties[name] = schema.clone();
        }
        properties[name] = words();
        object(&[name], properties)
    };
    let number = || integer(1, TOKENS_MAX);
    json!({"anyOf": [
        question("search", json!({})),
        question("definition", json!({})),
        question("references", json!({})),
        question("read", json!({"first_line": number(), "last_line": number()})),
        object(&["sources"], json!({"sources": {"const": true}})),
    ]})
}

pub(super) fn trace() -> Value {
    object(&["text"], json!({"text": text_of(TRACE_BYTES_MAX), "repository": text_of(512)}))
}

pub(super) fn check() -> Value {
    let own = json!({
        "text": text_of(protocol::check::TEXT_BYTES_MAX), "cloister": maybe(about()),
        "language": one_of(&Language::ALL.map(Language::name)), "mend": flag(),
    });
    object(&["text"], own)
}

pub(super) fn generate() -> Value {
    let own = object(
        &[],
        json!({
            "prefix": text(), "suffix": text(), "instruction": text_of(4096), "language": one_of(&Language::ALL.map(Language::name)),
            "candidates": integer(1, i64::from(CANDIDATES_MAX)),
            "agree": integer(1, i64::from(CANDIDATES_MAX)),
            "fixes": integer(0, i64::from(FIXES_MAX)),
            "spans": integer(0, i64::from(SPANS_MAX)),
            "max_tokens": tokens(), "temperature": number(0.0, 2.0), "seed": integer(i64::MIN, i64::MAX),
        }),
    );
    joined(&[shared(), own])
}

fn number_of_ms() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": i64::MAX})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 1000})
}

/// Filters of `GET /v1/cloister/ledger/query`.
pub(super) const QUERY: &[Parameter] = &[
    query("since_unix_ms", number_of_ms),
    query("until_unix_ms", number_of_ms),
    query("before", number_of_ms),
    query("count", count),
    query("person", plain_text),
    query("kind", plain_text),
    query("model", plain_text),
    query("deployment", plain_text),
    query("repository", plain_text),
    query("path", plain_text),
    query("label", plain_text),
    query("outcome", plain_text),
    query("action", plain_text),
    query("text", plain_text),
];
