//! What Ollama's clients ask about a server: its version, its models, one of them.

use assist::DeploymentView;
use serde_json::{Value, json};

use crate::fields::{DialectError, Fields};
use crate::ollama::{TAG, untagged};

/// Whose interface is spoken here: clients compare it with the one that they need.
const VERSION: &str = "0.12.0";

/// When a model was last changed: it never is, and clients want a time.
const NEVER: &str = "1970-01-01T00:00:00Z";

/// Until when a model stays loaded: always, and clients want a time.
const ALWAYS: &str = "9999-12-31T23:59:59Z";

/// The answer to `/`, for which clients look.
pub(crate) const RUNNING: &str = "Ollama is running";

/// The body of `GET /api/version`.
pub(crate) fn version() -> Value {
    json!({ "version": VERSION })
}

/// The body of `GET /api/tags`.
pub(crate) fn tags(deployments: &[DeploymentView]) -> Value {
    json!({ "models": deployments.iter().map(model).collect::<Vec<_>>() })
}

/// The body of `GET /api/ps`: what is loaded.
pub(crate) fn running(deployments: &[DeploymentView]) -> Value {
    let entry = |view: &DeploymentView| {
        let mut entry = model(view);
        entry["expires_at"] = json!(ALWAYS);
        entry["size_vram"] = json!(0);
        entry["context_length"] = json!(view.context_tokens);
        entry
    };
    json!({ "models": deployments.iter().filter(|view| view.up).map(entry).collect::<Vec<_>>() })
}

/// Reads the body of `POST /api/show`: the model's name, as we know it.
pub(crate) fn parse_show(body: &[u8]) -> Result<String, DialectError> {
    let fields = Fields::of_body(body)?;
    let name = fields.text("model")?.or(fields.text("name")?).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| fields.error("model", "is required: a deployment's name"))?;
    Ok(untagged(&name).to_owned())
}

/// The body of `POST /api/show`. Sizes are those that requests have here.
pub(crate) fn show(view: &DeploymentView) -> Value {
    let architecture = if view.architecture.is_empty() { "unknown" } else { &view.architecture };
    let mut capabilities = vec!["completion"];
    if view.tools.is_some() {
        capabilities.push("tools");
    }
    // Continue looks for the word in the template to know that a model fills holes.
    let template = if view.fill {
        capabilities.push("insert");
        "{{ .Prompt }}{{ if .Suffix }}{{ .Suffix }}{{ end }}"
    } else {
        "{{ .Prompt }}"
    };
    json!({
        "modelfile": "",
        "parameters": "",
        "license": "",
        "template": template,
        "modified_at": NEVER,
        "details": details(view),
        "model_info": {
            "general.architecture": architecture,
            "general.basename": view.name,
            format!("{architecture}.context_length"): view.context_tokens,
        },
        "capabilities": capabilities,
    })
}

/// Bytes of a model are not told: clients show them, no more.
fn model(view: &DeploymentView) -> Value {
    let name = if view.alias.contains(':') { view.alias.clone() } else { format!("{}{TAG}", view.alias) };
    let digest = view.model.map(|digest| digest.to_string().trim_start_matches("sha256:").to_owned());
    json!({
        "name": name,
        "model": name,
        "modified_at": NEVER,
        "size": 0,
        "digest": digest.unwrap_or_default(),
        "details": details(view),
    })
}

fn details(view: &DeploymentView) -> Value {
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": view.architecture,
        "families": [view.architecture],
        "parameter_size": "",
        "quantization_level": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_show() {
        for (body, name) in [
            (r#"{"model":"coder:latest"}"#, "coder"),
            (r#"{"name":"coder","verbose":true}"#, "coder"),
            (r#"{"model":"team:7b"}"#, "team:7b"),
        ] {
            assert_eq!(parse_show(body.as_bytes()).unwrap(), name);
        }
        for body in [r#"{}"#, r#"{"model":""}"#, r#"{"model":7}"#] {
            assert_eq!(parse_show(body.as_bytes()).unwrap_err().field.as_deref(), Some("model"), "{body}");
        }
    }
}
