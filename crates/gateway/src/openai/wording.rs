//! How chat completions and completions are worded.

use assist::{Answer, CallReader, Findings, Piece, Usage};
use protocol::RecordNumber;
use protocol::worker::Stop;
use serde_json::{Value, json};

use super::{Object, OpenAi};
use crate::dialect::{Form, Frame, Head, ours};
use crate::errors::Shape;
use crate::parameters::{ended_of_itself, timings};

impl OpenAi {
    fn id(&self, head: &Head) -> String {
        match self.object {
            Object::Chat => format!("chatcmpl-{}", head.record),
            Object::Text => format!("cmpl-{}", head.record),
        }
    }

    /// One event of a stream with one choice.
    fn chunk(&self, head: &Head, delta: Value, finish_reason: Option<&str>) -> Value {
        let choice = match self.object {
            Object::Chat => json!({"index": 0, "delta": delta, "finish_reason": finish_reason}),
            Object::Text => {
                let text = delta.get("content").cloned().unwrap_or_else(|| "".into());
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish_reason})
            }
        };
        self.envelope(head, json!([choice]))
    }

    fn pieces(&mut self, head: &Head, pieces: Vec<Piece>) -> Vec<Frame> {
        let delta = |piece| match piece {
            Piece::Text(text) => json!({"content": text}),
            Piece::Call { name, arguments } => {
                let mut call = call_body(head.record, self.calls, &name, &arguments);
                call["index"] = self.calls.into();
                self.calls += 1;
                json!({"tool_calls": [call]})
            }
        };
        let deltas: Vec<Value> = pieces.into_iter().map(delta).collect();
        deltas.into_iter().map(|delta| self.chunk(head, delta, None).into()).collect()
    }

    /// An answer of several.
    fn choice(&self, head: &Head, index: usize, answer: &Answer) -> Value {
        let finish_reason = finish_reason(answer.stop);
        match self.object {
            Object::Chat => {
                let (text, calls) = CallReader::new(head.tools, self.tools.clone()).read(&answer.text);
                let finish_reason = if calls.is_empty() { finish_reason } else { "tool_calls" };
                let mut message = json!({"role": "assistant", "content": text});
                if !calls.is_empty() {
                    if text.is_empty() {
                        message["content"] = Value::Null;
                    }
                    let calls = calls.iter().enumerate();
                    let call = |(number, (name, arguments)): (usize, &(String, String))| {
                        call_body(answer.record, number, name, arguments)
                    };
                    message["tool_calls"] = calls.map(call).collect();
                }
                json!({"index": index, "message": message, "logprobs": null, "finish_reason": finish_reason})
            }
            Object::Text => json!({
                "index": index,
                "text": answer.text,
                "logprobs": null,
                "finish_reason": finish_reason,
            }),
        }
    }

    fn envelope(&self, head: &Head, choices: Value) -> Value {
        let object = match self.object {
            Object::Chat => "chat.completion.chunk",
            Object::Text => "text_completion",
        };
        let mut chunk = json!({
            "id": self.id(head),
            "object": object,
            "created": head.created_unix_s,
            "model": head.deployment,
            "choices": choices,
        });
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

impl Form for OpenAi {
    const SHAPE: Shape = Shape::OpenAi;
    const TERMINATOR: Option<&'static str> = Some("[DONE]");

    fn whole(&self, head: &Head, answers: &[Answer]) -> Value {
        let mut choices: Vec<Value> = Vec::with_capacity(answers.len());
        let mut total = Usage::default();
        let mut records = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            let mut choice = self.choice(head, index, answer);
            // A repeated answer cost its tokens once.
            if !records.contains(&answer.record) {
                records.push(answer.record);
                let answer_tokens = total.answer_tokens.saturating_add(answer.usage.answer_tokens);
                total = Usage { answer_tokens, ..answer.usage };
            }
            if answers.len() > 1 {
                choice["cloister"] = ours(answer.record, Some(&answer.findings));
            }
            choices.push(choice);
        }
        let object = match self.object {
            Object::Chat => "chat.completion",
            Object::Text => "text_completion",
        };
        json!({
            "id": self.id(head),
            "object": object,
            "created": head.created_unix_s,
            "model": head.deployment,
            "choices": choices,
            "usage": usage_body(&total),
            "timings": timings(&total),
            "cloister": ours(head.record, answers.first().map(|answer| &answer.findings)),
        })
    }

    fn opening(&mut self, head: &Head) -> Vec<Frame> {
        self.reader = Some(CallReader::new(head.tools, self.tools.clone()));
        match self.object {
            Object::Chat => {
                let delta = json!({"role": "assistant", "content": ""});
                let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
                vec![self.envelope(head, json!([choice])).into()]
            }
            Object::Text => Vec::new(),
        }
    }

    fn block(&mut self, head: &Head, text: &str) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(|reader| reader.push(text)).unwrap_or_default();
        self.pieces(head, pieces)
    }

    fn closing(&mut self, head: &Head, stop: Stop, usage: &Usage, findings: &Findings) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(CallReader::finish).unwrap_or_default();
        let mut events = self.pieces(head, pieces);
        let finish_reason = if self.calls > 0 { "tool_calls" } else { finish_reason(stop) };
        let mut last = self.chunk(head, json!({}), Some(finish_reason));
        last["timings"] = timings(usage);
        last["cloister"] = ours(head.record, Some(findings));
        events.push(last.into());
        if self.include_usage {
            let mut chunk = self.envelope(head, json!([]));
            chunk["usage"] = usage_body(usage);
            events.push(chunk.into());
        }
        events
    }
}

fn finish_reason(stop: Stop) -> &'static str {
    if ended_of_itself(stop) { "stop" } else { "length" }
}

/// A call; its number in the answer makes its name.
fn call_body(record: RecordNumber, number: usize, name: &str, arguments: &str) -> Value {
    json!({
        "id": format!("call_{record}_{number}"),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    })
}

fn usage_body(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.answer_tokens,
        "total_tokens": u64::from(usage.prompt_tokens) + u64::from(usage.answer_tokens),
        "prompt_tokens_details": {"cached_tokens": usage.prompt_tokens_cached},
    })
}
