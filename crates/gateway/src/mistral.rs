//! Mistral's fill-in-the-middle, as its clients and Continue speak it: `{"prompt", "suffix", "max_tokens", "stop",
//! "stream", "random_seed"}`. A request has the words of a completion, its answer those of a chat.

use assist::{Answer, Ask, Findings, Parameters, Usage};
use protocol::worker::Stop;
use serde_json::{Value, json};

use crate::dialect::{Call, Form, Frame, Head, ours};
use crate::errors::Shape;
use crate::fields::{DialectError, Fields};
use crate::parameters::{
    context, deployment, ended_of_itself, sampling, seed_of, stop, subject, tokens_max, until,
};

/// How an answer is worded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fim;

/// Reads the body of `POST /v1/fim/completions`.
pub(crate) fn parse_fim(body: &[u8]) -> Result<Call<Fim>, DialectError> {
    let fields = Fields::of_body(body)?;
    let prefix = fields.required_text("prompt")?;
    let suffix = fields.text("suffix")?.unwrap_or_default();
    let mut sampling = sampling(&fields)?;
    if fields.raw("random_seed").is_some() {
        sampling.seed = seed_of(&fields, "random_seed")?;
    }
    let parameters = Parameters {
        sampling,
        tokens_max: tokens_max(&fields, &["max_tokens"])?,
        stop: stop(&fields)?,
        predict_ms_max: None,
        until: until(&fields, &prefix)?,
        json_schema: None,
        syntax: None,
    };
    if fields.integer("min_tokens", 0..=i64::from(u32::MAX))?.is_some_and(|tokens| tokens > 0) {
        return Err(fields.error("min_tokens", "is not supported: leave it out"));
    }
    Ok(Call {
        deployment: deployment(&fields)?,
        ask: Ask::Fill { prefix, suffix, extra: Vec::new() },
        parameters,
        subject: subject(&fields)?,
        context: context(&fields)?,
        stream: fields.flag("stream")?,
        count: 1,
        form: Fim,
    })
}

impl Fim {
    fn envelope(head: &Head, object: &str, choice: Value) -> Value {
        json!({
            "id": format!("fim-{}", head.record),
            "object": object,
            "created": head.created_unix_s,
            "model": head.deployment,
            "choices": [choice],
        })
    }

    fn chunk(head: &Head, delta: Value, finish_reason: Option<&str>) -> Value {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        Fim::envelope(head, "chat.completion.chunk", choice)
    }
}

fn finish_reason(stop: Stop) -> &'static str {
    if ended_of_itself(stop) { "stop" } else { "length" }
}

fn usage_body(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.answer_tokens,
        "total_tokens": u64::from(usage.prompt_tokens) + u64::from(usage.answer_tokens),
    })
}

impl Form for Fim {
    const SHAPE: Shape = Shape::Mistral;
    const TERMINATOR: Option<&'static str> = Some("[DONE]");

    fn whole(&self, head: &Head, answers: &[Answer]) -> Value {
        let Some(answer) = answers.first() else { return Value::Null };
        let message =
            json!({"role": "assistant", "content": answer.text, "tool_calls": null, "prefix": false});
        let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason(answer.stop)});
        let mut body = Fim::envelope(head, "chat.completion", choice);
        body["usage"] = usage_body(&answer.usage);
        body["cloister"] = ours(head.record, Some(&answer.findings));
        body
    }

    fn opening(&mut self, head: &Head) -> Vec<Frame> {
        vec![Fim::chunk(head, json!({"role": "assistant", "content": ""}), None).into()]
    }

    fn block(&mut self, head: &Head, text: &str) -> Vec<Frame> {
        vec![Fim::chunk(head, json!({ "content": text }), None).into()]
    }

    fn closing(&mut self, head: &Head, stop: Stop, usage: &Usage, findings: &Findings) -> Vec<Frame> {
        let mut last = Fim::chunk(head, json!({"content": ""}), Some(finish_reason(stop)));
        last["usage"] = usage_body(usage);
        last["cloister"] = ours(head.record, Some(findings));
        vec![last.into()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Continue sends for a completion with Mistral as the provider.
    const CONTINUE: &str = r#"{"model":"coder","prompt":"a","suffix":"b","max_tokens":64,"temperature":0.01,
        "top_p":1,"frequency_penalty":0,"presence_penalty":0,"stop":["\n\n"],"stream":true}"#;

    #[test]
    fn fills() {
        let call = parse_fim(CONTINUE.as_bytes()).unwrap();
        assert!(call.ask == Ask::Fill { prefix: "a".into(), suffix: "b".into(), extra: vec![] });
        assert_eq!((call.stream, call.parameters.tokens_max), (true, Some(64)));
        assert_eq!(call.parameters.stop, ["\n\n"]);
        let seeded = parse_fim(br#"{"prompt":"a","random_seed":7,"suffix":null,"min_tokens":0}"#).unwrap();
        assert_eq!(seeded.parameters.sampling.seed, 7);
        assert!(seeded.ask == Ask::Fill { prefix: "a".into(), suffix: String::new(), extra: vec![] });
    }

    #[test]
    fn refused() {
        for (body, field) in [
            (r#"{}"#, "prompt"),
            (r#"{"prompt":["a"]}"#, "prompt"),
            (r#"{"prompt":"a","suffix":7}"#, "suffix"),
            (r#"{"prompt":"a","min_tokens":1}"#, "min_tokens"),
            (r#"{"prompt":"a","random_seed":"7"}"#, "random_seed"),
            (r#"{"prompt":"a","stream":"yes"}"#, "stream"),
        ] {
            assert_eq!(parse_fim(body.as_bytes()).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", place in 0..CONTINUE.len(), cut in 0usize..40) {
            let _ = parse_fim(noise.as_bytes());
            let mut bytes = CONTINUE.as_bytes().to_vec();
            bytes.splice(place..(place + cut).min(CONTINUE.len()), noise.bytes().take(8));
            let _ = parse_fim(&bytes);
        }
    }
}
