//! llama.cpp's `GET /props` and `GET /slots`: what a deployment is, and how busy. Nothing of anybody's request.

use assist::DeploymentView;
use serde_json::{Value, json};

/// Our version, where llama.cpp has its build.
const BUILD: &str = concat!("cloister ", env!("CARGO_PKG_VERSION"));

/// The body of `GET /props`. `model_path` names the model by alias and digest: where its file lies is nobody's
/// business.
pub(crate) fn props(view: &DeploymentView) -> Value {
    json!({
        "default_generation_settings": {
            "id": 0,
            "n_ctx": view.context_tokens,
            "speculative": false,
            "params": {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 0},
        },
        "total_slots": view.slots,
        "model_alias": view.alias,
        "model_path": model_path(view),
        "chat_template": view.chat_template.as_deref().unwrap_or_default(),
        "bos_token": view.begin_of_text,
        "eos_token": view.end_of_text,
        "modalities": {"vision": false, "audio": false},
        "build_info": BUILD,
    })
}

/// The body of `GET /slots`. Which sequence serves which request is the worker's to know: as many are said to work as
/// requests run.
pub(crate) fn slots(view: &DeploymentView) -> Value {
    let slot = |id| json!({"id": id, "n_ctx": view.context_tokens, "is_processing": id < view.running.min(view.slots)});
    (0..view.slots).map(slot).collect()
}

fn model_path(view: &DeploymentView) -> String {
    match &view.model {
        Some(digest) => format!("{}@{digest}", view.alias),
        None => view.alias.clone(),
    }
}
