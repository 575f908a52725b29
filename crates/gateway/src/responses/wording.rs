//! How a response is worded, whole or in events.

use assist::{Answer, CallReader, Findings, Piece, ToolChoice, Usage};
use protocol::worker::Stop;
use serde_json::{Value, json};

use super::Responses;
use crate::dialect::{Form, Frame, Head, ours};
use crate::errors::{Fault, Shape};
use crate::parameters::ended_of_itself;

impl Responses {
    /// The response itself, as far as it is.
    fn response(&self, head: &Head, status: &str, output: &[Value], usage: Option<&Usage>) -> Value {
        let tools = self.tools.offered.iter().map(|tool| {
            json!({
                "type": "function", "name": tool.name, "description": tool.description,
                "parameters": tool.parameters, "strict": tool.strict,
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
            "text": {"format": self.format()},
            "tool_choice": choice,
            "tools": tools.collect::<Vec<_>>(),
            "top_p": self.parameters.sampling.top_p,
            "truncation": "disabled",
            "usage": usage.map(usage_body),
        })
    }

    /// What was asked for, as this dialect has it.
    fn format(&self) -> Value {
        let schema = self.parameters.json_schema.as_deref().map(serde_json::from_str::<Value>);
        match schema {
            Some(schema) => {
                json!({"type": "json_schema", "name": "answer", "schema": schema.unwrap_or_default()})
            }
            None => json!({"type": "text"}),
        }
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
