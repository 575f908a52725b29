//! Anthropic's Messages, as Claude Code and the anthropic package speak them.
//!
//! Differences, each on purpose:
//! - An absent `temperature` is greedy, as everywhere here, and `max_tokens` may be absent.
//! - `thinking`, `metadata`, `cache_control`, `service_tier` and betas are passed over; so are blocks of thinking in a
//!   conversation, which no model here wrote.
//! - A conversation that ends with the assistant's words is refused: they would not be gone on from.
//! - `input_tokens` of a stream are in its `message_delta`, since they are not known when it opens.

use assist::{
    Answer, Ask, CallReader, Findings, Json, Message, Parameters, Piece, Role, Tool, ToolCall, ToolChoice,
    Tools, Usage,
};
use protocol::worker::{Stop, Until};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::dialect::{Call, Form, Frame, Head, ours};
use crate::errors::{Fault, Shape};
use crate::fields::{DialectError, Fields, is_array, text_at};
use crate::parameters::{context, deployment, ended_of_itself, sampling, stop_by, subject, tokens_max};
use crate::tools::{self, TOOLS_MAX};

/// Messages of a conversation.
const MESSAGES_MAX: usize = 4096;

/// Blocks of a message.
const BLOCKS_MAX: usize = 1024;

/// How a message is worded.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    tools: Tools,
    /// As asked, for `stop_sequence`.
    stop: Vec<String>,
    /// Of a stream: reads calls out of the text.
    reader: Option<CallReader>,
    /// Of a stream: the block that is open, where one is.
    text_is_open: bool,
    /// Of a stream: blocks that were begun.
    blocks: usize,
    /// Calls among them.
    calls: usize,
}

/// Reads the body of `POST /v1/messages`, and of `POST /v1/messages/count_tokens`.
pub(crate) fn parse(body: &[u8]) -> Result<Call<Messages>, DialectError> {
    let fields = Fields::of_body(body)?;
    let mut messages = Vec::new();
    if let Some(system) = fields.raw("system") {
        let text = text_of(&fields, "system", system)?;
        messages.push(Message::new(Role::System, text));
    }
    if fields.raw("messages").is_none() {
        return Err(fields.error("messages", "is required: an array of messages"));
    }
    let turns = fields.list("messages", MESSAGES_MAX)?;
    if turns.is_empty() {
        return Err(fields.error("messages", "is empty: send at least one message"));
    }
    for (place, raw) in turns {
        turn(&mut messages, &Fields::of(place, raw)?)?;
    }
    if messages.last().is_some_and(|last| last.role == Role::Assistant) {
        return Err(fields
            .error("messages", "must not end with the assistant's words: they are not gone on from here"));
    }
    let offered: Vec<Tool> = fields
        .list("tools", TOOLS_MAX)?
        .into_iter()
        .map(|(place, raw)| {
            let fields = Fields::of(place, raw)?;
            // The maker's own tools have a version in their type, and no schema.
            match fields.text("type")?.as_deref() {
                None | Some("custom") => Ok(Some(tools::tool(&fields, "input_schema")?)),
                Some(_) => Ok(None),
            }
        })
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    let tools = tools::offered(&fields, offered, choice(&fields)?)?;
    let parameters = Parameters {
        sampling: sampling(&fields)?,
        tokens_max: tokens_max(&fields, &["max_tokens"])?,
        stop: stop_by(&fields, "stop_sequences")?,
        predict_ms_max: None,
        until: Until::End,
        json_schema: None,
        syntax: None,
    };
    let form = Messages {
        tools: tools.clone(),
        stop: parameters.stop.clone(),
        reader: None,
        text_is_open: false,
        blocks: 0,
        calls: 0,
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

/// `tool_choice`; `None` has no tools called.
fn choice(fields: &Fields<'_>) -> Result<Option<ToolChoice>, DialectError> {
    let Some(raw) = fields.raw("tool_choice") else { return Ok(Some(ToolChoice::Auto)) };
    let choice = Fields::of(fields.place("tool_choice"), raw)?;
    match choice.required_text("type")?.as_str() {
        "auto" => Ok(Some(ToolChoice::Auto)),
        "any" => Ok(Some(ToolChoice::Required)),
        "tool" => Ok(Some(ToolChoice::Named(tools::name(&choice)?))),
        "none" => Ok(None),
        _ => Err(choice.error("type", "must be one of auto, any, tool, none")),
    }
}

/// One message, whose blocks may be several turns of a conversation: what tools gave, and words.
fn turn(messages: &mut Vec<Message>, fields: &Fields<'_>) -> Result<(), DialectError> {
    let role = match fields.required_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(fields.error("role", "must be one of user, assistant, system")),
    };
    let raw = fields.raw("content");
    let raw = raw.ok_or_else(|| fields.error("content", "is required: a string or an array of blocks"))?;
    if !is_array(raw) {
        messages.push(Message::new(role, text_of(fields, "content", raw)?));
        return Ok(());
    }
    let mut words: Vec<String> = Vec::new();
    let flush = |messages: &mut Vec<Message>, words: &mut Vec<String>| {
        if !words.is_empty() {
            messages.push(Message::new(role, std::mem::take(words).join("\n")));
        }
    };
    let mut calls = Vec::new();
    for (place, raw) in fields.list("content", BLOCKS_MAX)? {
        let block = Fields::of(place, raw)?;
        match (block.required_text("type")?.as_str(), role) {
            ("text", _) => words.push(block.required_text("text")?),
            ("thinking" | "redacted_thinking", Role::Assistant) => {}
            ("tool_use", Role::Assistant) => {
                calls.push(ToolCall {
                    id: block.required_text("id")?,
                    name: tools::name(&block)?,
                    arguments: tools::arguments(&block, "input")?,
                });
            }
            ("tool_result", Role::User) => {
                flush(messages, &mut words);
                let text = match block.raw("content") {
                    Some(raw) => text_of(&block, "content", raw)?,
                    None => String::new(),
                };
                messages.push(Message::result(block.required_text("tool_use_id")?, text));
            }
            (kind, _) => return Err(block.error("type", &unknown(kind))),
        }
    }
    if role == Role::Assistant {
        let turn = Message::new(role, words.join("\n"));
        messages.push(Message { tool_calls: calls, ..turn });
    } else {
        flush(messages, &mut words);
    }
    Ok(())
}

/// Names a kind of block that is not read, where its name is short.
fn unknown(kind: &str) -> String {
    let kind: String = kind.chars().take(32).filter(|c| c.is_ascii_graphic()).collect();
    format!("is `{kind}`, which is not read here: send text, tool_use and tool_result")
}

/// A string, or blocks of text.
fn text_of(fields: &Fields<'_>, name: &str, raw: &RawValue) -> Result<String, DialectError> {
    if !is_array(raw) {
        return text_at(&fields.place(name), raw)
            .map_err(|_| fields.error(name, "must be a string or an array of text blocks"));
    }
    let texts = fields.list(name, BLOCKS_MAX)?.into_iter().map(|(place, raw)| {
        let block = Fields::of(place, raw)?;
        match block.required_text("type")?.as_str() {
            "text" => block.required_text("text"),
            kind => Err(block.error("type", &unknown(kind))),
        }
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

impl Messages {
    fn envelope(head: &Head, content: Vec<Value>, usage: &Usage) -> Value {
        json!({
            "id": format!("msg_{}", head.record),
            "type": "message",
            "role": "assistant",
            "model": head.deployment,
            "content": content,
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage_body(usage),
        })
    }

    /// `stop_reason` and `stop_sequence`.
    fn stopped(&self, stop: Stop, calls: usize) -> Value {
        let (reason, sequence) = match stop {
            _ if calls > 0 => ("tool_use", None),
            Stop::StopString(index) => {
                ("stop_sequence", usize::try_from(index).ok().and_then(|index| self.stop.get(index)))
            }
            stop if ended_of_itself(stop) => ("end_turn", None),
            _ => ("max_tokens", None),
        };
        json!({"stop_reason": reason, "stop_sequence": sequence})
    }

    fn pieces(&mut self, head: &Head, pieces: Vec<Piece>) -> Vec<Frame> {
        let mut frames = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    if !std::mem::replace(&mut self.text_is_open, true) {
                        frames.push(self.begun(json!({"type": "text", "text": ""})));
                    }
                    frames.push(self.delta(json!({"type": "text_delta", "text": text})));
                }
                Piece::Call { name, arguments } => {
                    self.end_text(&mut frames);
                    let block = json!({
                        "type": "tool_use", "id": call_id(head, self.calls), "name": name, "input": {},
                    });
                    self.calls += 1;
                    frames.push(self.begun(block));
                    frames.push(self.delta(json!({"type": "input_json_delta", "partial_json": arguments})));
                    frames.push(self.ended());
                }
            }
        }
        frames
    }

    fn end_text(&mut self, frames: &mut Vec<Frame>) {
        if std::mem::replace(&mut self.text_is_open, false) {
            frames.push(self.ended());
        }
    }

    fn begun(&mut self, block: Value) -> Frame {
        self.blocks += 1;
        let index = self.blocks - 1;
        event("content_block_start", json!({"index": index, "content_block": block}))
    }

    fn delta(&self, delta: Value) -> Frame {
        event("content_block_delta", json!({"index": self.blocks.saturating_sub(1), "delta": delta}))
    }

    fn ended(&self) -> Frame {
        event("content_block_stop", json!({"index": self.blocks.saturating_sub(1)}))
    }
}

impl Form for Messages {
    const SHAPE: Shape = Shape::Anthropic;
    // Its clients count events, not bytes.
    const WAITING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

    fn whole(&self, head: &Head, answers: &[Answer]) -> Value {
        let Some(answer) = answers.first() else { return Value::Null };
        let (text, calls) = CallReader::new(head.tools, self.tools.clone()).read(&answer.text);
        let mut content = Vec::new();
        if !text.is_empty() {
            content.push(json!({"type": "text", "text": text}));
        }
        for (number, (name, arguments)) in calls.iter().enumerate() {
            let input: Json = serde_json::from_str(arguments).unwrap_or(Json::Map(Vec::new()));
            let id = call_id(head, number);
            content.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
        }
        let mut body = Messages::envelope(head, content, &answer.usage);
        let stopped = self.stopped(answer.stop, calls.len());
        for name in ["stop_reason", "stop_sequence"] {
            body[name] = stopped[name].clone();
        }
        body["cloister"] = ours(head.record, Some(&answer.findings));
        body
    }

    fn opening(&mut self, head: &Head) -> Vec<Frame> {
        self.reader = Some(CallReader::new(head.tools, self.tools.clone()));
        let message = Messages::envelope(head, Vec::new(), &Usage::default());
        vec![event("message_start", json!({"message": message}))]
    }

    fn block(&mut self, head: &Head, text: &str) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(|reader| reader.push(text)).unwrap_or_default();
        self.pieces(head, pieces)
    }

    fn closing(&mut self, head: &Head, stop: Stop, usage: &Usage, findings: &Findings) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(CallReader::finish).unwrap_or_default();
        let mut frames = self.pieces(head, pieces);
        self.end_text(&mut frames);
        frames.push(event(
            "message_delta",
            json!({
                "delta": self.stopped(stop, self.calls),
                "usage": usage_body(usage),
                "cloister": ours(head.record, Some(findings)),
            }),
        ));
        frames.push(event("message_stop", json!({})));
        frames
    }

    fn failing(&mut self, fault: &Fault) -> Frame {
        Frame::named("error", fault.body(Self::SHAPE))
    }
}

/// An event, which says its name in its body as well.
fn event(name: &'static str, mut body: Value) -> Frame {
    body["type"] = name.into();
    Frame::named(name, body)
}

fn call_id(head: &Head, number: usize) -> String {
    format!("toolu_{}_{number}", head.record)
}

/// `input_tokens` are those that were read; those that were there already are told of apart.
fn usage_body(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens.saturating_sub(usage.prompt_tokens_cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.prompt_tokens_cached,
        "output_tokens": usage.answer_tokens,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Claude Code sends, shortened.
    const BODY: &str = r#"{
        "model": "coder", "max_tokens": 512, "stream": true, "temperature": 1, "stop_sequences": ["END"],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Ada."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.ads", "lines": [1, 2]}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "package A"}]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true},
                {"type": "text", "text": "Go on."}
            ]}
        ],
        "tools": [
            {"name": "Read", "description": "Reads.", "input_schema": {"type": "object", "properties": {}}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u"}
    }"#;

    #[test]
    fn claude_code() {
        let call = parse(BODY.as_bytes()).unwrap();
        let made = ToolCall {
            id: "toolu_1".into(),
            name: "Read".into(),
            arguments: r#"{"path":"a.ads","lines":[1,2]}"#.into(),
        };
        let messages = vec![
            Message::new(Role::System, "Be brief.\nAda."),
            Message::new(Role::User, "Look"),
            Message { tool_calls: vec![made], ..Message::new(Role::Assistant, "I look.") },
            Message::result("toolu_1".into(), "package A".into()),
            Message::result("toolu_2".into(), String::new()),
            Message::new(Role::User, "Go on."),
        ];
        let parameters = serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap();
        let read =
            Tool { name: "Read".into(), description: Some("Reads.".into()), parameters, strict: false };
        let tools = Tools { offered: vec![read], choice: ToolChoice::Required };
        assert!(call.ask == Ask::Chat { messages, tools });
        assert_eq!((call.parameters.tokens_max, call.stream), (Some(512), true));
        assert_eq!(
            (call.parameters.stop, call.parameters.sampling.temperature),
            (vec!["END".to_owned()], 1.0)
        );
    }

    #[test]
    fn refused() {
        for (body, field, words) in [
            ("{}", "messages", "is required"),
            (r#"{"messages":[]}"#, "messages", "is empty"),
            (r#"{"messages":[{"role":"tool","content":"a"}]}"#, "messages[0].role", "must be one of"),
            (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content", "is required"),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}"#,
                "messages[0].content[0].type",
                "is `image`, which is not read here",
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}]}"#,
                "messages[0].content[0].type",
                "is `tool_use`",
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"tool_result","content":"a"}]}]}"#,
                "messages[0].content[0].tool_use_id",
                "is required",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
                "messages",
                "must not end with the assistant's words",
            ),
            (r#"{"messages":[{"role":"user","content":"a"}],"system":7}"#, "system", "must be a string or"),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"tool_choice":{"type":"any"}}"#,
                "tool_choice",
                "where there are no `tools`",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"input_schema":{}}]}"#,
                "tools[0].name",
                "is required",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"stop_sequences":[1]}"#,
                "stop_sequences[0]",
                "a string",
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
