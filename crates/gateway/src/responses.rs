//! OpenAI's Responses, as Codex and the openai package speak them.
//!
//! Nothing is stored for later: `store` is answered false, and a `previous_response_id` is refused. Tools that are not
//! functions (web search, a shell of the maker's own) are left out of the prompt; items of reasoning are passed over.

mod wording;

use assist::{Ask, CallReader, Message, Parameters, Role, Tool, ToolCall, ToolChoice, Tools};
use protocol::worker::Until;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialect::Call;
use crate::fields::{DialectError, Fields, is_array, text_at};
use crate::parameters::{
    context, deployment, format, refuse_beside_tools, sampling, stop, subject, tokens_max,
};
use crate::tools::{self, TOOLS_MAX};

/// Items of an input.
const ITEMS_MAX: usize = 4096;

/// Parts of an item.
const PARTS_MAX: usize = 1024;

/// How a response is worded.
#[derive(Clone, Debug)]
pub(crate) struct Responses {
    tools: Tools,
    instructions: Option<String>,
    parameters: Parameters,
    /// Of a stream: reads calls out of the text.
    reader: Option<CallReader>,
    /// Of a stream: the response as it was opened.
    opened: Value,
    /// Of a stream: the next event's number.
    sequence: u64,
    /// Of a stream: what was said so far.
    output: Vec<Value>,
    /// Of a stream: the text of the message that is open, where one is.
    open: Option<String>,
}

/// Reads the body of `POST /v1/responses`.
pub(crate) fn parse(body: &[u8]) -> Result<Call<Responses>, DialectError> {
    let fields = Fields::of_body(body)?;
    for name in ["previous_response_id", "conversation", "prompt"] {
        if fields.raw(name).is_some() {
            return Err(
                fields.error(name, "is not supported: nothing is stored here, so send the whole input")
            );
        }
    }
    if fields.flag("background")? {
        return Err(fields.error("background", "is not supported: nothing is stored here"));
    }
    let json_schema = match fields.raw("text") {
        Some(raw) => format(&Fields::of(fields.place("text"), raw)?, "format")?,
        None => None,
    };
    let instructions = fields.text("instructions")?;
    let mut messages = Vec::new();
    messages.extend(instructions.as_ref().map(|text| Message::new(Role::System, text.as_str())));
    input(&mut messages, &fields)?;
    let tools = tools::offered(&fields, functions(&fields)?, choice(&fields)?)?;
    let ask = Ask::Chat { messages, tools: tools.clone() };
    refuse_beside_tools(&fields, "text", json_schema.as_ref(), &ask)?;
    let parameters = Parameters {
        sampling: sampling(&fields)?,
        tokens_max: tokens_max(&fields, &["max_output_tokens"])?,
        stop: stop(&fields)?,
        predict_ms_max: None,
        until: Until::End,
        json_schema,
        syntax: None,
    };
    let form = Responses {
        tools,
        instructions,
        parameters: parameters.clone(),
        reader: None,
        opened: Value::Null,
        sequence: 0,
        output: Vec::new(),
        open: None,
    };
    Ok(Call {
        deployment: deployment(&fields)?,
        ask,
        parameters,
        subject: subject(&fields)?,
        context: context(&fields)?,
        stream: fields.flag("stream")?,
        count: 1,
        form,
    })
}

fn functions(fields: &Fields<'_>) -> Result<Vec<Tool>, DialectError> {
    let mut functions = Vec::new();
    for (place, raw) in fields.list("tools", TOOLS_MAX)? {
        let tool = Fields::of(place, raw)?;
        if tool.required_text("type")? == "function" {
            functions.push(tools::tool(&tool, "parameters")?);
        }
    }
    Ok(functions)
}

/// `tool_choice`; `None` has no tools called.
fn choice(fields: &Fields<'_>) -> Result<Option<ToolChoice>, DialectError> {
    tools::choice(fields, "{\"type\": \"function\", \"name\": …}", tools::name)
}

fn input(messages: &mut Vec<Message>, fields: &Fields<'_>) -> Result<(), DialectError> {
    let raw = fields.raw("input");
    let raw = raw.ok_or_else(|| fields.error("input", "is required: a string or an array of items"))?;
    if !is_array(raw) {
        let text = text_at("input", raw);
        let text = text.map_err(|_| fields.error("input", "must be a string or an array of items"))?;
        messages.push(Message::new(Role::User, text));
        return Ok(());
    }
    let items = fields.list("input", ITEMS_MAX)?;
    if items.is_empty() {
        return Err(fields.error("input", "is empty: send at least one item"));
    }
    for (place, raw) in items {
        item(messages, &Fields::of(place, raw)?)?;
    }
    Ok(())
}

fn item(messages: &mut Vec<Message>, item: &Fields<'_>) -> Result<(), DialectError> {
    match item.text("type")?.as_deref() {
        None | Some("message") => {
            let role = match item.required_text("role")?.as_str() {
                "system" | "developer" => Role::System,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                _ => return Err(item.error("role", "must be one of system, developer, user, assistant")),
            };
            let raw = item.raw("content");
            let raw =
                raw.ok_or_else(|| item.error("content", "is required: a string or an array of parts"))?;
            messages.push(Message::new(role, text_of(item, "content", raw)?));
        }
        Some("function_call") => {
            let call = ToolCall {
                id: item.required_text("call_id")?,
                name: tools::name(item)?,
                arguments: item.required_text("arguments")?,
            };
            tools::add_call(messages, call);
        }
        Some("function_call_output") => {
            let id = item.required_text("call_id")?;
            let raw = item.raw("output");
            let raw =
                raw.ok_or_else(|| item.error("output", "is required: a string or an array of parts"))?;
            messages.push(Message::result(id, text_of(item, "output", raw)?));
        }
        Some("reasoning") => {}
        Some(kind) => return Err(item.error("type", &unknown(kind))),
    }
    Ok(())
}

fn unknown(kind: &str) -> String {
    let kind: String = kind.chars().take(32).filter(|c| c.is_ascii_graphic()).collect();
    format!("is `{kind}`, which is not read here")
}

/// A string, or parts of text.
fn text_of(fields: &Fields<'_>, name: &str, raw: &RawValue) -> Result<String, DialectError> {
    if !is_array(raw) {
        return text_at(&fields.place(name), raw)
            .map_err(|_| fields.error(name, "must be a string or an array of text parts"));
    }
    let texts = fields.list(name, PARTS_MAX)?.into_iter().map(|(place, raw)| {
        let part = Fields::of(place, raw)?;
        match part.required_text("type")?.as_str() {
            "input_text" | "output_text" | "text" => part.required_text("text"),
            "refusal" => part.required_text("refusal"),
            kind => Err(part.error("type", &unknown(kind))),
        }
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Codex sends, shortened.
    const BODY: &str = r#"{
        "model": "coder", "instructions": "You are a coding agent.", "stream": true, "store": false,
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look."}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "shell", "arguments": "{\"command\":[\"ls\"]}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a.ads"}
        ],
        "tools": [
            {"type": "function", "name": "shell", "description": "Runs.", "strict": false, "parameters": {"type": "object"}},
            {"type": "web_search"}, {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}}
        ],
        "tool_choice": "auto", "parallel_tool_calls": false, "reasoning": {"effort": "medium"},
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "text": {"verbosity": "low"},
        "max_output_tokens": 64
    }"#;

    #[test]
    fn codex() {
        let call = parse(BODY.as_bytes()).unwrap();
        let made =
            ToolCall { id: "call_1".into(), name: "shell".into(), arguments: r#"{"command":["ls"]}"#.into() };
        let messages = vec![
            Message::new(Role::System, "You are a coding agent."),
            Message::new(Role::System, "<permissions>"),
            Message::new(Role::User, "Look."),
            Message { tool_calls: vec![made], ..Message::new(Role::Assistant, "I look.") },
            Message::result("call_1".into(), "a.ads".into()),
        ];
        let parameters = serde_json::from_str(r#"{"type":"object"}"#).unwrap();
        let shell =
            Tool { name: "shell".into(), description: Some("Runs.".into()), parameters, strict: false };
        let tools = Tools { offered: vec![shell], choice: ToolChoice::Auto };
        assert!(call.ask == Ask::Chat { messages, tools });
        assert_eq!((call.parameters.tokens_max, call.stream), (Some(64), true));
        let plain = parse(br#"{"input":"Why?","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}}"#);
        let Ask::Chat { messages, tools } = plain.unwrap().ask else { panic!("no chat") };
        assert_eq!(messages, [Message::new(Role::User, "Why?")]);
        assert_eq!(tools.choice, ToolChoice::Named("f".into()));
    }

    #[test]
    fn refused() {
        for (body, field, words) in [
            ("{}", "input", "is required"),
            (r#"{"input":[]}"#, "input", "is empty"),
            (r#"{"input":"a","previous_response_id":"resp_1"}"#, "previous_response_id", "nothing is stored"),
            (r#"{"input":"a","background":true}"#, "background", "nothing is stored"),
            (r#"{"input":[{"role":"user"}]}"#, "input[0].content", "is required"),
            (r#"{"input":[{"type":"item_reference","id":"a"}]}"#, "input[0].type", "is `item_reference`"),
            (
                r#"{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:"}]}]}"#,
                "input[0].content[0].type",
                "is `input_image`",
            ),
            (
                r#"{"input":[{"type":"function_call","call_id":"a","name":"f"}]}"#,
                "input[0].arguments",
                "is required",
            ),
            (
                r#"{"input":"a","text":{"format":{"type":"json_schema"}}}"#,
                "text.format.schema",
                "is required",
            ),
            (r#"{"input":"a","tool_choice":"required"}"#, "tool_choice", "where there are no `tools`"),
            (
                r#"{"input":"a","tool_choice":{"type":"web_search"}}"#,
                "tool_choice.type",
                "must be `function`",
            ),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{body}");
            assert!(error.message.contains(words), "{}", error.message);
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", place in 0..BODY.len(), cut in 0usize..40) {
            let _ = parse(noise.as_bytes());
            let mut bytes = BODY.as_bytes().to_vec();
            bytes.splice(place..(place + cut).min(BODY.len()), noise.bytes().take(8));
            let _ = parse(&bytes);
        }
    }
}
