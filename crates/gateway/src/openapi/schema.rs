//! The pieces that schemas are made of, as [`Fields`](crate::fields::Fields) reads them: `null` is absent.

use serde_json::{Value, json};

pub(super) fn plain_text() -> Value {
    json!({"type": "string"})
}

/// A record's number in a path.
pub(super) fn record() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub(super) fn text() -> Value {
    json!({"type": ["string", "null"]})
}

pub(super) fn text_of(bytes_max: usize) -> Value {
    json!({"type": ["string", "null"], "maxLength": bytes_max})
}

pub(super) fn one_of(words: &[&str]) -> Value {
    json!({ "enum": words })
}

pub(super) fn flag() -> Value {
    json!({"type": ["boolean", "null"]})
}

pub(super) fn integer(minimum: i64, maximum: i64) -> Value {
    json!({"type": ["integer", "null"], "minimum": minimum, "maximum": maximum})
}

pub(super) fn number(minimum: f64, maximum: f64) -> Value {
    json!({"type": ["number", "null"], "minimum": minimum, "maximum": maximum})
}

pub(super) fn list(items: &Value, count_max: usize) -> Value {
    json!({"type": ["array", "null"], "items": items, "maxItems": count_max})
}

/// A list that must be empty, since what is in it cannot be given.
pub(super) fn nothing() -> Value {
    json!({"type": ["array", "null"], "maxItems": 0})
}

/// An object with some fields that must be there, and not null.
pub(super) fn object(required: &[&str], properties: Value) -> Value {
    let mut object = json!({"type": "object", "required": required, "properties": properties});
    for name in required {
        let kind = object.pointer(&format!("/properties/{name}/type/0")).cloned();
        if let Some(kind) = kind {
            object["properties"][*name]["type"] = kind;
        }
    }
    object
}

/// The same, or absent.
pub(super) fn maybe(mut object: Value) -> Value {
    object["type"] = json!(["object", "null"]);
    object
}

/// Several sets of fields in one object.
pub(super) fn joined(objects: &[Value]) -> Value {
    let mut all = json!({"type": "object", "required": [], "properties": {}});
    for object in objects {
        for (name, schema) in object["properties"].as_object().into_iter().flatten() {
            all["properties"][name] = schema.clone();
        }
        if let (Some(required), Some(more)) = (all["required"].as_array_mut(), object["required"].as_array())
        {
            required.extend(more.iter().cloned());
        }
    }
    all
}
