//! OpenAI's Responses, as Codex and the openai package speak them.
//!
//! Nothing is stored for later: `store` is answered false, and a `previous_response_id` is refused. Tools that are not
//! functions (web search, a shell of the maker's own) are left out of the prompt; items of reasoning are passed over.

use assist::{
    Answer, Ask, CallReader, Findings, Message, Parameters, Piece, Role, Tool, ToolCall, ToolChoice, Tools,
    Usage,
};
use protocol::worker::{Stop, Until};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::dialect::{Call, Form, Frame, Head, ours};
use crate::errors::{Fault, Shape};
use crate::fields::{DialectError, Fields, is_array, text_at};
use crate::parameters::{context, deployment, ended_of_itself, sampling, stop, subject, tokens_max};
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
    if let Some(raw) = fields.raw("text") {
        refuse_format(&Fields::of(fields.place("text"), raw)?)?;
    }
    let instructions = fields.text("instructions")?;
    let mut messages = Vec::new();
    messages.extend(instructions.as_ref().map(|text| Message::new(Role::System, text.as_str())));
    input(&mut messages, &fields)?;
    let tools = tools::offered(&fields, functions(&fields)?, choice(&fields)?)?;
    let parameters = Parameters {
        sampling: sampling(&fields)?,
        tokens_max: tokens_max(&fields, &["max_output_tokens"])?,
        stop: stop(&fields)?,
        predict_ms_max: None,
        until: Until::End,
    };
    let form = Responses {
        tools: tools.clone(),
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
        ask: Ask::Chat { messages, tools },
        parameters,
        subject: subject(&fields)?,
        context: context(&fields)?,
        stream: fields.flag("stream")?,
        count: 1,
        form,
    })
}

fn refuse_format(text: &Fields<'_>) -> Result<(), DialectError> {
    let Some(raw) = text.raw("format") else { return Ok(()) };
    let format = Fields::of(text.place("format"), raw)?;
    match format.required_text("type")?.as_str() {
        "text" => Ok(()),
        _ => Err(format.error("type", "must be `text`: other formats are not enforced here")),
    }
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
    let known = "must be auto, none, required, or {\"type\": \"function\", \"name\": …}";
    let Some(raw) = fields.raw("tool_choice") else { return Ok(Some(ToolChoice::Auto)) };
    if let Ok(word) = text_at("tool_choice", raw) {
        return match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(None),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(fields.error("tool_choice", known)),
        };
    }
    let choice = Fields::of(fields.place("tool_choice"), raw)?;
    match choice.required_text("type")?.as_str() {
        "function" => Ok(Some(ToolChoice::Named(tools::name(&choice)?))),
        _ => Err(choice.error("type", "must be `function`: no other tools are called here")),
    }
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

impl Responses {
    /// The response itself, as far as it is.
    fn response(&self, head: &Head, status: &str, output: &[Value], usage: Option<&Usage>) -> Value {
        let tools = self.tools.offered.iter().map(|tool| {
            json!({
                "type": "function", "name": tool.name, "description": tool.description,
                "parameters": tool.parameters, "strict": false,
            })
        });
        let choice = match &self.tools.choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Named(name) => json!({"type": "function", "name": name}),
        };
        json!({
            "id": format!("resp_{}", head.record),
            "object": "response",
            "created_at": head.created_unix_s,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null },
            "instructions": self.instructions,
            "max_output_tokens": self.parameters.tokens_max,
            "metadata": {},
            "model": head.deployment,
            "output": output,
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "store": false,
            "temperature": self.parameters.sampling.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": choice,
            "tools": tools.collect::<Vec<_>>(),
            "top_p": self.parameters.sampling.top_p,
            "truncation": "disabled",
            "usage": usage.map(usage_body),
        })
    }

    fn event(&mut self, name: &'static str, mut body: Value) -> Frame {
        body["type"] = name.into();
        body["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        Frame::named(name, body)
    }

    fn pieces(&mut self, head: &Head, pieces: Vec<Piece>) -> Vec<Frame> {
        let mut frames = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.say(head, &text, &mut frames),
                Piece::Call { name, arguments } => {
                    self.end_text(head, &mut frames);
                    self.call(head, &name, &arguments, &mut frames);
                }
            }
        }
        frames
    }

    fn say(&mut self, head: &Head, text: &str, frames: &mut Vec<Frame>) {
        let (index, id) = (self.output.len(), item_id("msg", head, self.output.len()));
        if self.open.is_none() {
            self.open = Some(String::new());
            let item = json!({"id": id, "type": "message", "role": "assistant", "status": "in_progress", "content": []});
            frames
                .push(self.event("response.output_item.added", json!({"output_index": index, "item": item})));
            let part = json!({"item_id": id, "output_index": index, "content_index": 0, "part": part("")});
            frames.push(self.event("response.content_part.added", part));
        }
        if let Some(open) = &mut self.open {
            open.push_str(text);
        }
        let delta =
            json!({"item_id": id, "output_index": index, "content_index": 0, "delta": text, "logprobs": []});
        frames.push(self.event("response.output_text.delta", delta));
    }

    fn end_text(&mut self, head: &Head, frames: &mut Vec<Frame>) {
        let Some(text) = self.open.take() else { return };
        let (index, id) = (self.output.len(), item_id("msg", head, self.output.len()));
        let done =
            json!({"item_id": id, "output_index": index, "content_index": 0, "text": text, "logprobs": []});
        frames.push(self.event("response.output_text.done", done));
        let done = json!({"item_id": id, "output_index": index, "content_index": 0, "part": part(&text)});
        frames.push(self.event("response.content_part.done", done));
        let item = message(head, index, &text);
        frames.push(self.event("response.output_item.done", json!({"output_index": index, "item": item})));
        self.output.push(item);
    }

    fn call(&mut self, head: &Head, name: &str, arguments: &str, frames: &mut Vec<Frame>) {
        let index = self.output.len();
        let item = function_call(head, index, name, arguments);
        let id = item["id"].clone();
        let mut begun = item.clone();
        (begun["arguments"], begun["status"]) = ("".into(), "in_progress".into());
        frames.push(self.event("response.output_item.added", json!({"output_index": index, "item": begun})));
        let delta = json!({"item_id": id, "output_index": index, "delta": arguments});
        frames.push(self.event("response.function_call_arguments.delta", delta));
        let done = json!({"item_id": id, "output_index": index, "name": name, "arguments": arguments});
        frames.push(self.event("response.function_call_arguments.done", done));
        frames.push(self.event("response.output_item.done", json!({"output_index": index, "item": item})));
        self.output.push(item);
    }
}

impl Form for Responses {
    const SHAPE: Shape = Shape::OpenAi;

    fn whole(&self, head: &Head, answers: &[Answer]) -> Value {
        let Some(answer) = answers.first() else { return Value::Null };
        let (text, calls) = CallReader::new(head.tools, self.tools.clone()).read(&answer.text);
        let mut output = Vec::new();
        if !text.is_empty() || calls.is_empty() {
            output.push(message(head, 0, &text));
        }
        for (name, arguments) in calls {
            output.push(function_call(head, output.len(), &name, &arguments));
        }
        let mut response = self.response(head, status(answer.stop), &output, Some(&answer.usage));
        response["cloister"] = ours(head.record, Some(&answer.findings));
        response
    }

    fn opening(&mut self, head: &Head) -> Vec<Frame> {
        self.reader = Some(CallReader::new(head.tools, self.tools.clone()));
        let response = self.response(head, "in_progress", &[], None);
        self.opened = response.clone();
        vec![
            self.event("response.created", json!({"response": response})),
            self.event("response.in_progress", json!({"response": response})),
        ]
    }

    fn block(&mut self, head: &Head, text: &str) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(|reader| reader.push(text)).unwrap_or_default();
        self.pieces(head, pieces)
    }

    fn closing(&mut self, head: &Head, stop: Stop, usage: &Usage, findings: &Findings) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(CallReader::finish).unwrap_or_default();
        let mut frames = self.pieces(head, pieces);
        if self.output.is_empty() && self.open.is_none() {
            self.say(head, "", &mut frames);
        }
        self.end_text(head, &mut frames);
        let status = status(stop);
        let mut response = self.response(head, status, &self.output, Some(usage));
        response["cloister"] = ours(head.record, Some(findings));
        let name = if status == "completed" { "response.completed" } else { "response.incomplete" };
        frames.push(self.event(name, json!({"response": response})));
        frames
    }

    fn failing(&mut self, fault: &Fault) -> Frame {
        let mut response = std::mem::take(&mut self.opened);
        response["status"] = "failed".into();
        response["error"] = json!({"code": fault.code, "message": fault.message});
        response["output"] = json!(self.output);
        self.event("response.failed", json!({"response": response}))
    }
}

fn status(stop: Stop) -> &'static str {
    if ended_of_itself(stop) { "completed" } else { "incomplete" }
}

fn item_id(kind: &str, head: &Head, index: usize) -> String {
    format!("{kind}_{}_{index}", head.record)
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn message(head: &Head, index: usize, text: &str) -> Value {
    json!({
        "id": item_id("msg", head, index),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part(text)],
    })
}

fn function_call(head: &Head, index: usize, name: &str, arguments: &str) -> Value {
    json!({
        "id": item_id("fc", head, index),
        "type": "function_call",
        "status": "completed",
        "call_id": item_id("call", head, index),
        "name": name,
        "arguments": arguments,
    })
}

fn usage_body(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.prompt_tokens_cached},
        "output_tokens": usage.answer_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": u64::from(usage.prompt_tokens) + u64::from(usage.answer_tokens),
    })
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
        let shell = Tool { name: "shell".into(), description: Some("Runs.".into()), parameters };
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
                "text.format.type",
                "must be `text`",
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
