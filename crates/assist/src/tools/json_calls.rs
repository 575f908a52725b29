//! Calls as JSON objects, `{"name": …, "arguments": {…}}`: between tags, in a code block, or bare.

use protocol::worker::Part;
use serde::Deserialize;

use super::{Tool, Tools};
use crate::Json;

/// Opens a call in the tagged form.
pub(super) const TAG: &str = "<tool_call>";
/// Closes it.
pub(super) const TAG_END: &str = "</tool_call>";

/// The call's beginning, up to where the model goes on. No blank at its end: tokens of code begin with one.
pub(super) fn opening(name: Option<&str>) -> Vec<Part> {
    let template = |text: &str| Part::Template(text.to_owned());
    match name {
        None => vec![template("<tool_call>\n{\"name\":")],
        Some(name) => {
            let quoted = Json::Text(name.to_owned());
            let quoted = serde_json::to_string(&quoted).unwrap_or_default();
            let escaped = quoted.trim_start_matches('"').trim_end_matches('"').to_owned();
            vec![template("<tool_call>\n{\"name\": \""), Part::Text(escaped), template("\", \"arguments\":")]
        }
    }
}

/// The tag alone, behind which a call is held to its [`schema`].
pub(super) fn tag() -> Vec<Part> {
    vec![Part::Template(format!("{TAG}\n"))]
}

/// The JSON Schema of a call of one of the tools that can be called: by its name, with arguments that its own schema admits
/// where that is strict, and any object otherwise.
pub(super) fn schema(tools: &Tools) -> String {
    let (strict, free): (Vec<&Tool>, Vec<&Tool>) = tools.callable().partition(|tool| tool.strict);
    let mut calls = Vec::new();
    for (at, tool) in strict.into_iter().enumerate() {
        let mut arguments = tool.parameters.clone();
        refer(&mut arguments, &format!("#/anyOf/{at}/properties/arguments"));
        calls.push(call_schema(&[tool], arguments));
    }
    if !free.is_empty() {
        calls.push(call_schema(&free, map([("type", text("object"))])));
    }
    serde_json::to_string(&map([("anyOf", Json::List(calls))])).unwrap_or_default()
}

/// Of a call of one of some tools.
fn call_schema(tools: &[&Tool], arguments: Json) -> Json {
    let names = tools.iter().map(|tool| text(&tool.name)).collect();
    map([
        ("type", text("object")),
        ("properties", map([("name", map([("enum", Json::List(names))])), ("arguments", arguments)])),
        ("required", Json::List(vec![text("name"), text("arguments")])),
        ("additionalProperties", Json::Bool(false)),
    ])
}

/// Has a schema's references to itself, `#/…`, lead to where it stands in another.
fn refer(schema: &mut Json, place: &str) {
    match schema {
        Json::Map(entries) => {
            for (key, value) in entries {
                match value {
                    Json::Text(to) if key == "$ref" && to.starts_with('#') => to.replace_range(..1, place),
                    inner => refer(inner, place),
                }
            }
        }
        Json::List(items) => items.iter_mut().for_each(|item| refer(item, place)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => {}
    }
}

fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

fn map<const N: usize>(entries: [(&str, Json); N]) -> Json {
    Json::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

/// A call as models write it.
#[derive(Deserialize)]
struct Written {
    name: String,
    /// Llama's models say `parameters`.
    #[serde(alias = "parameters")]
    arguments: Option<Json>,
}

/// One call of an offered tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// A JSON object, as text.
    pub(super) arguments: String,
}

/// The calls that a text is made of, one or several objects or an array of them; `None` where it is anything else, or a
/// call of a tool that is not offered.
pub(super) fn calls(text: &str, tools: &Tools) -> Option<Vec<Call>> {
    let text = text.trim();
    let written: Vec<Written> = if text.starts_with('[') {
        serde_json::from_str(text).ok()?
    } else {
        let stream = serde_json::Deserializer::from_str(text).into_iter();
        stream.collect::<Result<_, _>>().ok()?
    };
    if written.is_empty() {
        return None;
    }
    written.into_iter().map(|written| call(written, tools)).collect()
}

fn call(written: Written, tools: &Tools) -> Option<Call> {
    if !tools.has(&written.name) {
        return None;
    }
    let arguments = match written.arguments {
        None | Some(Json::Null) => "{}".to_owned(),
        Some(Json::Map(entries)) => serde_json::to_string(&Json::Map(entries)).ok()?,
        // Some write the object as a string.
        Some(Json::Text(text)) => match serde_json::from_str(&text).ok()? {
            object @ Json::Map(_) => serde_json::to_string(&object).ok()?,
            _ => return None,
        },
        Some(_) => return None,
    };
    Some(Call { name: written.name, arguments })
}

/// Where an object that begins the text ends; `None` where it does not end yet.
pub(super) fn object_end(text: &str) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether a text that begins with `{` may yet become a call: its first field is one that calls begin with.
pub(super) fn may_be_call(text: &str) -> bool {
    const FIRST: [&str; 4] = ["\"name\"", "\"arguments\"", "\"parameters\"", "\"type\""];
    let inner = text.trim_start_matches(['[', ' ', '\n', '\r', '\t']);
    let Some(inner) = inner.strip_prefix('{') else { return inner.is_empty() };
    let field = inner.trim_start();
    FIRST.iter().any(|first| field.starts_with(first) || first.starts_with(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ToolChoice;

    fn tools(names: &[&str]) -> Tools {
        let tool = |name: &&str| Tool {
            name: (*name).to_owned(),
            description: None,
            parameters: Json::Null,
            strict: false,
        };
        Tools { offered: names.iter().map(tool).collect(), choice: ToolChoice::Auto }
    }

    #[test]
    fn what_is_a_call() {
        let tools = tools(&["f", "g"]);
        let read = |text: &str| {
            let calls = calls(text, &tools)?;
            Some(calls.into_iter().map(|call| format!("{}{}", call.name, call.arguments)).collect::<Vec<_>>())
        };
        let some = |text: &[&str]| Some(text.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            read(r#" {"name": "f", "arguments": {"b": 1, "a": "x"}} "#),
            some(&[r#"f{"b":1,"a":"x"}"#])
        );
        assert_eq!(read(r#"{"name":"f","parameters":{}}"#), some(&["f{}"]));
        assert_eq!(read(r#"{"name":"f"}"#), some(&["f{}"]));
        assert_eq!(read(r#"{"name":"f","arguments":"{\"a\":1}"}"#), some(&[r#"f{"a":1}"#]));
        assert_eq!(read("{\"name\":\"f\"}\n{\"name\":\"g\"}"), some(&["f{}", "g{}"]));
        assert_eq!(read(r#"[{"name":"f"},{"name":"g"}]"#), some(&["f{}", "g{}"]));
        for text in [
            "",
            "x",
            "{}",
            "[]",
            r#"{"name":"h","arguments":{}}"#,
            r#"{"name":"f","arguments":[1]}"#,
            r#"{"name":"f","arguments":"x"}"#,
            r#"{"name":"f","arguments":{}"#,
            r#"{"name":"f"} x"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_call_is_held_to() {
        let mut tools = tools(&["f", "g", "h"]);
        let schema = |tools: &Tools| serde_json::from_str::<serde_json::Value>(&schema(tools)).unwrap();
        let call = |names: &[&str], arguments: serde_json::Value| {
            serde_json::json!({
                "type": "object", "properties": {"name": {"enum": names}, "arguments": arguments},
                "required": ["name", "arguments"], "additionalProperties": false,
            })
        };
        let object = serde_json::json!({"type": "object"});
        tools.choice = ToolChoice::Required;
        assert_eq!(schema(&tools), serde_json::json!({"anyOf": [call(&["f", "g", "h"], object.clone())]}));
        tools.offered[1].strict = true;
        tools.offered[1].parameters =
            serde_json::from_str(r##"{"properties": {"a": {"$ref": "#/$defs/b"}}}"##).unwrap();
        let strict =
            serde_json::json!({"properties": {"a": {"$ref": "#/anyOf/0/properties/arguments/$defs/b"}}});
        let strict = call(&["g"], strict);
        assert_eq!(schema(&tools), serde_json::json!({"anyOf": [strict, call(&["f", "h"], object.clone())]}));
        tools.choice = ToolChoice::Named("h".to_owned());
        assert_eq!(schema(&tools), serde_json::json!({"anyOf": [call(&["h"], object)]}));
    }

    #[test]
    fn objects_end() {
        assert_eq!(object_end(r#"{"a":"}\"{"} x"#), Some(12));
        assert_eq!(object_end(r#"{"a":{}"#), None);
        assert!(may_be_call("{") && may_be_call("{ \"na") && may_be_call("[\n {\"name\": 1"));
        assert!(!may_be_call("{\"key\"") && !may_be_call("{ x") && !may_be_call("fn"));
    }
}
