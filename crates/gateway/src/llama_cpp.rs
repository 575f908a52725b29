//! llama.cpp's `/infill`, as llama.vim and llama.vscode speak it, and `/completion`, as Continue does.
//!
//! Differences from llama.cpp, each on purpose:
//! - Absent `temperature` is greedy, where llama.cpp has 0.8: neither editor sends one with a
//!   completion.
//! - `n_cmpl` above 1 runs once when greedy and repeats the one answer, since each run would give the
//!   same bytes; otherwise it runs one after the other with the seeds `seed`, `seed + 1`, …, each a
//!   record of its own, and `x-cloister-record` lists them.
//! - `until`, `"line"` or `"block"`, is ours; `n_indent` gives a block its indentation, as there.
//! - `samplers`, `id_slot`, `cache_prompt`, `lora` and `t_max_prompt_ms` are passed over: the
//!   filters' order is fixed, the cache is always on, and a prompt is never cut short.
//! - A prompt that does not fit is refused, so `truncated` is always false.

pub(crate) mod stated;
pub(crate) mod vocabulary;

use assist::{Answer, Ask, Extra, Findings, Parameters, Usage};
use protocol::RecordNumber;
use protocol::worker::{Stop, Until};
use serde_json::{Map, Value, json};

use crate::dialect::{Call, Form, Frame, Head, ours};
use crate::errors::Shape;
use crate::fields::{DialectError, Fields, is_array, text_at};
use crate::parameters::{context, deployment, sampling, schema, stop, subject, timings, tokens_max, until};

/// Files in `input_extra`; llama.vim keeps 16.
const EXTRA_MAX: usize = 256;

/// Names in `response_fields`.
const RESPONSE_FIELDS_MAX: usize = 64;

/// Completions of one request; llama.vscode asks for 3.
const COUNT_MAX: i64 = 8;

/// The name of a file that the client gives none.
const FILE_NAME_DEFAULT: &str = "tmp";

/// How an answer of `/infill` or `/completion` is worded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Native {
    /// Only these fields, where there are any.
    response_fields: Vec<String>,
    /// As understood, for `generation_settings` and `stopping_word`.
    parameters: Parameters,
    /// The answer is an array.
    several: bool,
}

/// Reads the body of `POST /infill`.
pub(crate) fn parse_infill(body: &[u8]) -> Result<Call<Native>, DialectError> {
    let fields = Fields::of_body(body)?;
    let mut prefix = fields.required_text("input_prefix")?;
    prefix.push_str(&fields.text("prompt")?.unwrap_or_default());
    let suffix = fields.required_text("input_suffix")?;
    let extra = extra(&fields)?;
    let until = until(&fields, &prefix)?;
    call(&fields, Ask::Fill { prefix, suffix, extra }, until, None)
}

/// Reads the body of `POST /completion`. Special tokens spelled in the prompt are those tokens.
pub(crate) fn parse_completion(body: &[u8]) -> Result<Call<Native>, DialectError> {
    let fields = Fields::of_body(body)?;
    let message = "must be a string or an array of one string; token numbers are not read here";
    let raw = fields.raw("prompt").ok_or_else(|| fields.error("prompt", "is required: a string"))?;
    let elements = if is_array(raw) {
        fields.list("prompt", 1).map_err(|_| fields.error("prompt", message))?
    } else {
        vec![(fields.place("prompt"), raw)]
    };
    let Some((place, raw)) = elements.first() else { return Err(fields.error("prompt", message)) };
    let prompt = text_at(place, raw).map_err(|_| fields.error("prompt", message))?;
    if fields.raw("grammar").is_some_and(|raw| raw.get() != "\"\"") {
        return Err(fields.error("grammar", "is not enforced here: leave it out, or send a `json_schema`"));
    }
    // Clients mean none by an empty one.
    let json_schema = schema(&fields, "json_schema")?.filter(|schema| schema != "{}");
    let until = until(&fields, &prompt)?;
    call(&fields, Ask::Complete { prompt }, until, json_schema)
}

/// The fields that both have.
fn call(
    fields: &Fields<'_>,
    ask: Ask,
    until: Until,
    json_schema: Option<String>,
) -> Result<Call<Native>, DialectError> {
    let parameters = Parameters {
        sampling: sampling(fields)?,
        tokens_max: tokens_max(fields, &["n_predict", "max_tokens"])?,
        stop: stop(fields)?,
        predict_ms_max: predict_ms_max(fields)?,
        until,
        json_schema,
        syntax: None,
    };
    let stream = fields.flag("stream")?;
    let count = fields.integer("n_cmpl", 1..=COUNT_MAX)?.unwrap_or(1);
    let count = u32::try_from(count).unwrap_or(1);
    if stream && count > 1 {
        return Err(fields.error("n_cmpl", "above 1 cannot be streamed"));
    }
    let response_fields = fields.texts("response_fields", RESPONSE_FIELDS_MAX)?;
    let form = Native { response_fields, parameters: parameters.clone(), several: count > 1 };
    let (subject, context) = (subject(fields)?, context(fields)?);
    Ok(Call { deployment: deployment(fields)?, ask, parameters, subject, context, stream, count, form })
}

/// `input_extra`: `time`, a number or a list according to the client, is not read.
fn extra(fields: &Fields<'_>) -> Result<Vec<Extra>, DialectError> {
    let elements = fields.list("input_extra", EXTRA_MAX)?;
    elements
        .into_iter()
        .map(|(place, raw)| {
            let chunk = Fields::of(place, raw)?;
            let file_name = chunk.text("filename")?.unwrap_or_else(|| FILE_NAME_DEFAULT.to_owned());
            Ok(Extra { file_name, text: chunk.required_text("text")? })
        })
        .collect()
}

/// `t_max_predict_ms`: 0 and negative numbers have no limit.
fn predict_ms_max(fields: &Fields<'_>) -> Result<Option<u32>, DialectError> {
    let ms = fields.integer("t_max_predict_ms", i64::from(i32::MIN)..=i64::from(u32::MAX))?;
    Ok(ms.and_then(|ms| u32::try_from(ms).ok()).filter(|ms| *ms > 0))
}

impl Native {
    fn body(&self, head: &Head, index: usize, answer: &Answered<'_>) -> Value {
        let Answered { record, text, stop, usage, findings } = *answer;
        let (stop_type, stopping_word) = self.stop_words(stop);
        let Parameters { sampling, tokens_max, stop: stop_strings, .. } = &self.parameters;
        let body = json!({
            "index": index,
            "content": text,
            "stop": true,
            "model": head.deployment,
            "tokens_predicted": usage.answer_tokens,
            "tokens_evaluated": usage.prompt_tokens,
            // What llama.cpp's server puts here is the tokens that the sequence holds afterwards.
            "tokens_cached": u64::from(usage.prompt_tokens) + u64::from(usage.answer_tokens),
            "truncated": false,
            "stop_type": stop_type,
            "stopping_word": stopping_word,
            "has_new_line": text.contains('\n'),
            "generation_settings": {
                "n_ctx": head.context_tokens,
                "n_predict": tokens_max.map_or(-1, i64::from),
                "temperature": sampling.temperature,
                "top_k": sampling.top_k,
                "top_p": sampling.top_p,
                "min_p": sampling.min_p,
                "seed": sampling.seed,
                "stop": stop_strings,
            },
            "timings": timings(usage),
            "cloister": ours(record, Some(findings)),
        });
        if self.response_fields.is_empty() { body } else { selected(&self.response_fields, &body) }
    }

    fn stop_words(&self, stop: Stop) -> (&'static str, &str) {
        match stop {
            Stop::EndOfText => ("eos", ""),
            Stop::StopString(index) => {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                ("word", self.parameters.stop.get(index).map_or("", String::as_str))
            }
            Stop::Until | Stop::TokensMax | Stop::ContextFull | Stop::Deadline | Stop::Cancelled => {
                ("limit", "")
            }
        }
    }
}

/// What a body is made of.
#[derive(Clone, Copy)]
struct Answered<'a> {
    record: RecordNumber,
    text: &'a str,
    stop: Stop,
    usage: &'a Usage,
    findings: &'a Findings,
}

impl<'a> Answered<'a> {
    fn of(answer: &'a Answer) -> Answered<'a> {
        let Answer { record, text, stop, usage, findings, .. } = answer;
        Answered { record: *record, text, stop: *stop, usage, findings }
    }
}

/// The fields of `body` that are asked for. `a/b` is the field `b` in the object `a`, and goes to the
/// top under the name `a/b`; a field that does not exist is left out, so `[""]` leaves nothing.
fn selected(names: &[String], body: &Value) -> Value {
    let mut out = Map::new();
    for name in names {
        let found = name.split('/').try_fold(body, |value, key| value.as_object()?.get(key));
        if let Some(value) = found {
            out.insert(name.clone(), value.clone());
        }
    }
    Value::Object(out)
}

impl Form for Native {
    const SHAPE: Shape = Shape::LlamaCpp;

    fn whole(&self, head: &Head, answers: &[Answer]) -> Value {
        let mut bodies =
            answers.iter().enumerate().map(|(index, answer)| self.body(head, index, &Answered::of(answer)));
        if self.several { bodies.collect() } else { bodies.next().unwrap_or(Value::Null) }
    }

    fn opening(&mut self, _head: &Head) -> Vec<Frame> {
        Vec::new()
    }

    fn block(&mut self, _head: &Head, text: &str) -> Vec<Frame> {
        vec![json!({"index": 0, "content": text, "stop": false}).into()]
    }

    fn closing(&mut self, head: &Head, stop: Stop, usage: &Usage, findings: &Findings) -> Vec<Frame> {
        vec![self.body(head, 0, &Answered { record: head.record, text: "", stop, usage, findings }).into()]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::worker::{Drafts, Sampling, Times};

    use super::*;

    /// What Continue sends to `completion`.
    const CONTINUE: &str = r#"{"model":"coder","prompt":"<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>",
        "stream":true,"n_predict":4096,"temperature":0.01,"stop":["<|fim_pad|>","\n\n"],
        "top_k":40,"frequency_penalty":0,"mirostat":0,"raw":true}"#;

    /// The fields of llama.vim's completion request; a Vim reltime is a list.
    const VIM: &str = r#"{
        "id_slot": 0, "input_prefix": "procedure P is\n", "input_suffix": "\nend P;\n",
        "input_extra": [{"text": "package Q is", "time": [12, 345678], "filename": "q.ads"}],
        "prompt": "begin", "n_predict": 128, "stop": [], "n_indent": 3, "top_k": 40, "top_p": 0.90,
        "samplers": ["top_k", "top_p", "infill"], "stream": false, "cache_prompt": true,
        "t_max_prompt_ms": 500, "t_max_predict_ms": 1000,
        "response_fields": ["content", "timings/prompt_n", "timings/prompt_ms", "timings/prompt_per_token_ms",
            "timings/prompt_per_second", "timings/predicted_n", "timings/predicted_ms",
            "timings/predicted_per_token_ms", "timings/predicted_per_second", "truncated", "tokens_cached"],
        "model": ""
    }"#;

    const VIM_WARM_UP: &str = r#"{
        "id_slot": 0, "input_prefix": "", "input_suffix": "",
        "input_extra": [{"text": "x", "time": [-1, 5], "filename": "a.adb"}], "prompt": "", "n_predict": 0,
        "temperature": 0.0, "samplers": [], "stream": false, "cache_prompt": true, "t_max_prompt_ms": 1,
        "t_max_predict_ms": 1, "response_fields": [""], "model": ""
    }"#;

    /// The fields of llama.vscode's completion request.
    const VSCODE: &str = r#"{
        "id_slot": 0, "input_prefix": "a", "input_suffix": "b",
        "input_extra": [{"text": "x", "time": 1754550000000, "filename": "/w/a.c"}],
        "prompt": "", "n_predict": 128, "n_cmpl": 3, "top_k": 40, "top_p": 0.99, "stream": false,
        "samplers": ["top_k", "top_p", "infill"], "cache_prompt": true, "n_indent": 4,
        "t_max_prompt_ms": 500, "t_max_predict_ms": 2500, "lora": [{"id": 0, "scale": 0.5}], "model": "coder"
    }"#;

    fn head() -> Head {
        Head {
            record: RecordNumber(7),
            deployment: "coder".into(),
            context_tokens: 4096,
            tools: None,
            training_data: String::new(),
            created_unix_s: 0,
        }
    }

    fn answer(text: &str) -> Answer {
        Answer {
            receipt: assist::Receipt { index: 1, leaf_hash: [0; 32] },
            record: RecordNumber(7),
            deployment: "coder".into(),
            text: text.into(),
            stop: Stop::EndOfText,
            findings: Findings::default(),
            usage: Usage {
                prompt_tokens: 100,
                prompt_tokens_cached: 60,
                answer_tokens: 5,
                times: Times { queued_us: 1, prompt_us: 20_000, predict_us: 50_000 },
                drafts: Drafts::default(),
            },
        }
    }

    #[test]
    fn llama_vim() {
        let call = parse_infill(VIM.as_bytes()).unwrap();
        let extra = vec![Extra { file_name: "q.ads".into(), text: "package Q is".into() }];
        let prefix = "procedure P is\nbegin".to_owned();
        assert!(call.ask == Ask::Fill { prefix, suffix: "\nend P;\n".into(), extra });
        assert_eq!((call.deployment, call.count, call.stream), (None, 1, false));
        assert_eq!(call.parameters.tokens_max, Some(128));
        assert_eq!(call.parameters.predict_ms_max, Some(1000));
        assert_eq!(call.parameters.sampling, Sampling { top_k: 40, top_p: 0.9, ..Sampling::GREEDY });
        assert_eq!(call.parameters.until, Until::Block { indent: 3 });

        let body = call.form.whole(&head(), &[answer("null;")]);
        assert_eq!(
            body,
            json!({
                "content": "null;", "truncated": false, "tokens_cached": 105,
                "timings/prompt_n": 40, "timings/prompt_ms": 20.0, "timings/prompt_per_token_ms": 0.5,
                "timings/prompt_per_second": 2000.0, "timings/predicted_n": 5, "timings/predicted_ms": 50.0,
                "timings/predicted_per_token_ms": 10.0, "timings/predicted_per_second": 100.0,
            })
        );
    }

    #[test]
    fn llama_vim_warms_up() {
        let call = parse_infill(VIM_WARM_UP.as_bytes()).unwrap();
        assert_eq!(call.parameters.tokens_max, Some(0));
        assert_eq!(call.form.whole(&head(), &[answer("")]), json!({}));
    }

    #[test]
    fn llama_vscode() {
        let call = parse_infill(VSCODE.as_bytes()).unwrap();
        assert_eq!((call.deployment.as_deref(), call.count), (Some("coder"), 3));
        let body = call.form.whole(&head(), &[answer("x"), answer("y"), answer("z")]);
        assert_eq!(body[1]["content"], "y");
        assert_eq!(body[2]["index"], 2);
        assert_eq!(body[0]["generation_settings"]["n_ctx"], 4096);
        assert_eq!(body[0]["tokens_cached"], 105);
        assert_eq!(body[0]["timings"]["cache_n"], 60);
        assert_eq!(body[0]["stop_type"], "eos");
    }

    #[test]
    fn the_word_that_stopped_it() {
        let body = r#"{"input_prefix":"","input_suffix":"","stop":["","end"]}"#;
        let form = parse_infill(body.as_bytes()).unwrap().form;
        let stopped = Answer { stop: Stop::StopString(0), ..answer("x") };
        let whole = form.whole(&head(), &[stopped]);
        assert_eq!((&whole["stop_type"], &whole["stopping_word"]), (&json!("word"), &json!("end")));
    }

    #[test]
    fn refused() {
        for (body, field) in [
            (r#"{}"#, "input_prefix"),
            (r#"{"input_prefix":""}"#, "input_suffix"),
            (r#"{"input_prefix":1,"input_suffix":""}"#, "input_prefix"),
            (r#"{"input_prefix":"","input_suffix":"","prompt":[1]}"#, "prompt"),
            (r#"{"input_prefix":"","input_suffix":"","input_extra":{}}"#, "input_extra"),
            (r#"{"input_prefix":"","input_suffix":"","input_extra":["a"]}"#, "input_extra[0]"),
            (
                r#"{"input_prefix":"","input_suffix":"","input_extra":[{"filename":"a"}]}"#,
                "input_extra[0].text",
            ),
            (r#"{"input_prefix":"","input_suffix":"","n_cmpl":9}"#, "n_cmpl"),
            (r#"{"input_prefix":"","input_suffix":"","n_cmpl":2,"stream":true}"#, "n_cmpl"),
            (r#"{"input_prefix":"","input_suffix":"","response_fields":[1]}"#, "response_fields[0]"),
            (r#"{"input_prefix":"","input_suffix":"","t_max_predict_ms":"1"}"#, "t_max_predict_ms"),
        ] {
            let error = parse_infill(body.as_bytes()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{body}");
            assert!(error.message.contains(field), "{}", error.message);
        }
    }

    #[test]
    fn continue_completes() {
        let call = parse_completion(CONTINUE.as_bytes()).unwrap();
        assert!(call.ask == Ask::Complete { prompt: "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>".into() });
        assert_eq!((call.stream, call.parameters.tokens_max), (true, Some(4096)));
        assert_eq!(call.parameters.stop, ["<|fim_pad|>", "\n\n"]);
        assert!(parse_completion(br#"{"prompt":["a"],"grammar":"","json_schema":{}}"#).is_ok());
        for (body, field) in [
            (r#"{}"#, "prompt"),
            (r#"{"prompt":[1,2]}"#, "prompt"),
            (r#"{"prompt":[1]}"#, "prompt"),
            (r#"{"prompt":[]}"#, "prompt"),
            (r#"{"prompt":"a","grammar":"root ::= \"x\""}"#, "grammar"),
            (r#"{"prompt":"a","json_schema":[]}"#, "json_schema"),
            (r#"{"prompt":"a","stream":"no"}"#, "stream"),
            (r#"{"prompt":"a","n_predict":"5"}"#, "n_predict"),
        ] {
            assert_eq!(
                parse_completion(body.as_bytes()).unwrap_err().field.as_deref(),
                Some(field),
                "{body}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", place in 0..VIM.len(), cut in 0usize..40) {
            let _ = parse_infill(noise.as_bytes());
            let _ = parse_completion(noise.as_bytes());
            let mut bytes = VIM.as_bytes().to_vec();
            bytes.splice(place..(place + cut).min(VIM.len()), noise.bytes().take(8));
            let _ = parse_infill(&bytes);
            let _ = parse_completion(&bytes);
        }
    }
}
