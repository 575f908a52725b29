//! Tools, as the dialects share them.

use assist::{Json, Message, Tool, ToolCall, ToolChoice, Tools};

use crate::fields::{DialectError, Fields, text_at};
use crate::parameters::{SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX};

/// Tools of a request.
pub(crate) const TOOLS_MAX: usize = 256;

/// Bytes of all of them.
const TOOLS_BYTES_MAX: usize = 1 << 20;

/// Bytes of a tool's name.
const NAME_BYTES_MAX: usize = 128;

/// Calls of one message.
pub(crate) const CALLS_MAX: usize = 256;

/// The field `tools`, as OpenAI and Ollama have it: functions are all there are.
pub(crate) fn functions(fields: &Fields<'_>) -> Result<Vec<Tool>, DialectError> {
    let tools = fields.list("tools", TOOLS_MAX)?.into_iter().map(|(place, raw)| {
        let fields = Fields::of(place, raw)?;
        if fields.text("type")?.is_some_and(|kind| kind != "function") {
            return Err(fields.error("type", "must be `function`: no other tools are called here"));
        }
        tool(&function(&fields)?, "parameters")
    });
    tools.collect()
}

/// The field `function` of a tool or a call.
pub(crate) fn function<'a>(fields: &Fields<'a>) -> Result<Fields<'a>, DialectError> {
    let raw = fields.raw("function").ok_or_else(|| fields.error("function", "is required: an object"))?;
    Fields::of(fields.place("function"), raw)
}

/// Arguments of a call as an object; none is an empty one.
pub(crate) fn arguments(fields: &Fields<'_>, name: &str) -> Result<String, DialectError> {
    match fields.read(name, "an object")?.unwrap_or(Json::Map(Vec::new())) {
        arguments @ Json::Map(_) => Ok(serde_json::to_string(&arguments).unwrap_or_default()),
        _ => Err(fields.error(name, "must be an object")),
    }
}

/// A tool, whose schema is in the field `schema`. Without one it takes no arguments.
pub(crate) fn tool(fields: &Fields<'_>, schema: &str) -> Result<Tool, DialectError> {
    let parameters: Option<Json> = fields.read(schema, "an object")?;
    let parameters = match parameters {
        None => Json::Map(vec![
            ("type".to_owned(), Json::Text("object".to_owned())),
            ("properties".to_owned(), Json::Map(Vec::new())),
        ]),
        Some(map @ Json::Map(_)) if map.depth() <= SCHEMA_DEPTH_MAX => map,
        Some(Json::Map(_)) => {
            let message = format!("has more than {SCHEMA_DEPTH_MAX} objects within each other");
            return Err(fields.error(schema, &message));
        }
        Some(_) => return Err(fields.error(schema, "must be an object")),
    };
    let (name, description, strict) = (name(fields)?, fields.text("description")?, fields.flag("strict")?);
    Ok(Tool { name, description, parameters, strict })
}

/// A tool's name.
pub(crate) fn name(fields: &Fields<'_>) -> Result<String, DialectError> {
    let name = fields.required_text("name")?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(|c| c.is_control() || c == ' ') {
        let message =
            format!("must have from 1 to {NAME_BYTES_MAX} bytes, and no blanks or control characters");
        return Err(fields.error("name", &message));
    }
    Ok(name)
}

/// What is offered, and whether it must be used; `None` has none used. Errors are about the fields `tools` and `tool_choice`.
pub(crate) fn offered(
    fields: &Fields<'_>,
    tools: Vec<Tool>,
    choice: Option<ToolChoice>,
) -> Result<Tools, DialectError> {
    if fields.raw("tools").is_some_and(|raw| raw.get().len() > TOOLS_BYTES_MAX) {
        return Err(fields.error("tools", &format!("has more than {TOOLS_BYTES_MAX} bytes")));
    }
    let Some(choice) = choice else { return Ok(Tools::default()) };
    let tools = Tools { offered: tools, choice };
    if held_bytes(&tools) > SCHEMA_BYTES_MAX {
        let message = format!("has more than {SCHEMA_BYTES_MAX} bytes of schemas that a call is held to");
        return Err(fields.error("tools", &message));
    }
    match &tools.choice {
        ToolChoice::Named(name) if !tools.has(name) => {
            Err(fields.error("tool_choice", "must name one of `tools`"))
        }
        ToolChoice::Required if tools.offered.is_empty() => {
            Err(fields.error("tool_choice", "cannot require a call where there are no `tools`"))
        }
        _ => Ok(tools),
    }
}

/// Bytes of the schemas that a call which must be made is held to.
fn held_bytes(tools: &Tools) -> usize {
    if tools.choice == ToolChoice::Auto {
        return 0;
    }
    let bytes = |tool: &Tool| serde_json::to_string(&tool.parameters).unwrap_or_default().len();
    tools.callable().filter(|tool| tool.strict).map(bytes).sum()
}

/// OpenAI's `tool_choice`; `None` has no tools called. `named` reads the name out of an object that names a function, whose
/// form `example` shows.
pub(crate) fn choice(
    fields: &Fields<'_>,
    example: &str,
    named: impl FnOnce(&Fields<'_>) -> Result<String, DialectError>,
) -> Result<Option<ToolChoice>, DialectError> {
    let Some(raw) = fields.raw("tool_choice") else { return Ok(Some(ToolChoice::Auto)) };
    if let Ok(word) = text_at("tool_choice", raw) {
        return match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(None),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => {
                let known = format!("must be auto, none, required, or {example}");
                Err(fields.error("tool_choice", &known))
            }
        };
    }
    let choice = Fields::of(fields.place("tool_choice"), raw)?;
    match choice.required_text("type")?.as_str() {
        "function" => Ok(Some(ToolChoice::Named(named(&choice)?))),
        _ => Err(choice.error("type", "must be `function`: no other tools are called here")),
    }
}

/// Puts a call behind a conversation: into the assistant's turn that it ends with, or into a new one.
pub(crate) fn add_call(messages: &mut Vec<Message>, call: ToolCall) {
    match messages.last_mut() {
        Some(last) if last.role == assist::Role::Assistant => last.tool_calls.push(call),
        _ => {
            let turn = Message::new(assist::Role::Assistant, "");
            messages.push(Message { tool_calls: vec![call], ..turn });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_schemas_that_a_call_is_held_to_are_counted() {
        let tool = |name: &str, strict| Tool {
            name: name.to_owned(),
            description: None,
            parameters: Json::Text("12345678".to_owned()),
            strict,
        };
        let offered = vec![tool("f", true), tool("g", false), tool("h", true)];
        for (choice, bytes) in [
            (ToolChoice::Auto, 0),
            (ToolChoice::Required, 20),
            (ToolChoice::Named("f".to_owned()), 10),
            (ToolChoice::Named("g".to_owned()), 0),
        ] {
            assert_eq!(held_bytes(&Tools { offered: offered.clone(), choice }), bytes);
        }
    }
}
