//! Ollama's `/api/generate` and `/api/chat`. Streams are the default, and are lines of JSON.
//!
//! Differences from Ollama, each on purpose:
//! - Absent `options.temperature` is greedy, where Ollama has 0.8 or what a model file says.
//! - `template` and `keep_alive` are passed over: a deployment has its own template, and stays. So are options of the
//!   runner, as `num_ctx` and `num_gpu`, and `think`: these models do not.
//! - `format`, `images` and `context` are refused, since an answer that ignores them would look as if it had obeyed.
//! - A request without a prompt or messages, which asks Ollama to load a model, is answered at once.

pub(crate) mod stated;

use assist::{
    Answer, Ask, CallReader, Findings, Json, Message, Parameters, Piece, Role, ToolCall, ToolChoice, Tools,
    Usage,
};
use protocol::worker::{Stop, Until};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::dialect::{Call, Form, Frame, Framing, Head, ours};
use crate::errors::Shape;
use crate::fields::{DialectError, Fields};
use crate::parameters::{
    ANY_OBJECT, context, deployment, ended_of_itself, refuse_beside_tools, sampling, schema, stop, subject,
    tokens_max, until,
};
use crate::tools::{self, CALLS_MAX};

/// Messages of a conversation.
const MESSAGES_MAX: usize = 2048;

/// Entries of a list that must be empty.
const REFUSED_MAX: usize = 1 << 20;

/// What Ollama writes behind an alias that has no tag.
const TAG: &str = ":latest";

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// An answer.
    Answer(Box<Call<Ollama>>),
    /// Nothing, but that the model be there.
    Load(Endpoint, Option<String>),
}

/// How an answer is worded.
#[derive(Clone, Debug)]
pub(crate) struct Ollama {
    endpoint: Endpoint,
    tools: Tools,
    /// Of a stream: reads calls out of the text.
    reader: Option<CallReader>,
    /// Of a stream: calls so far.
    calls: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `response`, a text.
    Generate,
    /// `message`, an object.
    Chat,
}

/// Reads the body of `POST /api/generate`.
pub(crate) fn parse_generate(body: &[u8]) -> Result<Asked, DialectError> {
    let fields = Fields::of_body(body)?;
    let prompt = fields.text("prompt")?.unwrap_or_default();
    let suffix = fields.text("suffix")?.filter(|suffix| !suffix.is_empty());
    let (system, raw) = (fields.text("system")?, fields.flag("raw")?);
    refuse_list(&fields, "context", "is not kept here: send a conversation to /api/chat instead")?;
    let ask = match suffix {
        Some(suffix) => Ask::Fill { prefix: prompt, suffix, extra: Vec::new() },
        None if prompt.is_empty() => return load(&fields, Endpoint::Generate),
        None if raw => Ask::Complete { prompt },
        None => {
            let system = system.filter(|text| !text.is_empty()).map(|text| Message::new(Role::System, text));
            let messages = system.into_iter().chain([Message::new(Role::User, prompt)]).collect();
            Ask::Chat { messages, tools: Tools::default() }
        }
    };
    call(&fields, ask, Endpoint::Generate)
}

/// Reads the body of `POST /api/chat`.
pub(crate) fn parse_chat(body: &[u8]) -> Result<Asked, DialectError> {
    let fields = Fields::of_body(body)?;
    let messages = fields.list("messages", MESSAGES_MAX)?;
    if messages.is_empty() {
        return load(&fields, Endpoint::Chat);
    }
    let mut calls = Calls::default();
    let messages =
        messages.into_iter().map(|(place, raw)| message(place, raw, &mut calls)).collect::<Result<_, _>>()?;
    let tools = tools::offered(&fields, tools::functions(&fields)?, Some(ToolChoice::Auto))?;
    call(&fields, Ask::Chat { messages, tools }, Endpoint::Chat)
}

fn load(fields: &Fields<'_>, endpoint: Endpoint) -> Result<Asked, DialectError> {
    // What is wrong is refused though nothing comes of what is right.
    call(fields, Ask::Complete { prompt: String::new() }, endpoint)?;
    Ok(Asked::Load(endpoint, alias(fields)?))
}

/// `format`: `json`, or a JSON Schema.
fn format(fields: &Fields<'_>) -> Result<Option<String>, DialectError> {
    match fields.raw("format").map(RawValue::get) {
        None | Some("\"\"") => Ok(None),
        Some("\"json\"") => Ok(Some(ANY_OBJECT.to_owned())),
        Some(text) if text.starts_with('{') => schema(fields, "format"),
        Some(_) => Err(fields.error("format", "must be \"json\" or a JSON Schema")),
    }
}

/// The fields that both have.
fn call(fields: &Fields<'_>, ask: Ask, endpoint: Endpoint) -> Result<Asked, DialectError> {
    let empty = Box::<RawValue>::default();
    let options = fields.raw("options").unwrap_or(&empty);
    let options = match options.get() {
        "null" => Fields::of_body(b"{}")?,
        _ => Fields::of(fields.place("options"), options)?,
    };
    let json_schema = format(fields)?;
    refuse_beside_tools(fields, "format", json_schema.as_ref(), &ask)?;
    refuse_list(fields, "images", "is not supported: only text is read here")?;
    let tokens_max = tokens_max(&options, &["num_predict"])?;
    let parameters = Parameters {
        sampling: sampling(&options)?,
        tokens_max,
        stop: stop(&options)?,
        predict_ms_max: None,
        until: match &ask {
            Ask::Fill { prefix, .. } | Ask::Complete { prompt: prefix } => until(fields, prefix)?,
            Ask::Chat { .. } => Until::End,
        },
        json_schema,
        syntax: None,
    };
    let stream = fields.raw("stream").is_none() || fields.flag("stream")?;
    let tools = match &ask {
        Ask::Chat { tools, .. } => tools.clone(),
        Ask::Complete { .. } | Ask::Fill { .. } => Tools::default(),
    };
    Ok(Asked::Answer(Box::new(Call {
        deployment: alias(fields)?,
        ask,
        parameters,
        subject: subject(fields)?,
        context: context(fields)?,
        // Of no tokens there is one line either way.
        stream: stream && tokens_max != Some(0),
        count: 1,
        form: Ollama { endpoint, tools, reader: None, calls: 0 },
    })))
}

/// `model`, as we name it.
fn alias(fields: &Fields<'_>) -> Result<Option<String>, DialectError> {
    Ok(deployment(fields)?.map(|model| untagged(&model).to_owned()))
}

/// An alias as we know it: Ollama's clients put `:latest` behind what has no tag.
pub(crate) fn untagged(model: &str) -> &str {
    model.strip_suffix(TAG).unwrap_or(model)
}

/// Calls of a conversation that have no result yet, by name: Ollama's clients give them no numbers, or need not.
#[derive(Default)]
struct Calls {
    open: Vec<(String, String)>,
    count: usize,
}

impl Calls {
    fn made(&mut self, fields: &Fields<'_>) -> Result<ToolCall, DialectError> {
        let function = tools::function(fields)?;
        let (id, name) = (fields.text("id")?, tools::name(&function)?);
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", self.count));
        self.count += 1;
        self.open.push((id.clone(), name.clone()));
        Ok(ToolCall { id, name, arguments: tools::arguments(&function, "arguments")? })
    }

    /// Which call a result is of: the one that it names, by number or name, else the first without one.
    fn ended(&mut self, id: Option<String>, name: Option<&str>) -> String {
        let is_it = |(open, called): &(String, String)| match (&id, name) {
            (Some(id), _) => open == id,
            (None, Some(name)) => called == name,
            (None, None) => true,
        };
        let found = self.open.iter().position(is_it).map(|place| self.open.remove(place).0);
        found.or(id).unwrap_or_else(|| "call".to_owned())
    }
}

fn message(place: String, raw: &RawValue, calls: &mut Calls) -> Result<Message, DialectError> {
    let fields = Fields::of(place, raw)?;
    let role = match fields.required_text("role")?.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(fields.error("role", "must be one of system, user, assistant, tool")),
    };
    refuse_list(&fields, "images", "is not supported: only text is read here")?;
    let message = Message::new(role, fields.text("content")?.unwrap_or_default());
    match role {
        Role::Assistant => {
            let made = fields.list("tool_calls", CALLS_MAX)?.into_iter();
            let made = made.map(|(place, raw)| calls.made(&Fields::of(place, raw)?));
            Ok(Message { tool_calls: made.collect::<Result<_, _>>()?, ..message })
        }
        Role::Tool => {
            let name = fields.text("tool_name")?.or(fields.text("name")?);
            let id = calls.ended(fields.text("tool_call_id")?, name.as_deref());
            Ok(Message { tool_call_id: Some(id), ..message })
        }
        Role::System | Role::User => Ok(message),
    }
}

fn refuse_list(fields: &Fields<'_>, name: &str, message: &str) -> Result<(), DialectError> {
    if fields.list(name, REFUSED_MAX)?.is_empty() { Ok(()) } else { Err(fields.error(name, message)) }
}

impl Endpoint {
    /// A line, or a whole answer.
    fn body(self, model: &str, created_unix_s: u64, text: &str) -> Value {
        let mut body = json!({"model": model, "created_at": time(created_unix_s), "done": false});
        match self {
            Endpoint::Generate => body["response"] = json!(text),
            Endpoint::Chat => body["message"] = json!({"role": "assistant", "content": text}),
        }
        body
    }

    /// The answer to who asks that a model be loaded.
    pub(crate) fn loaded(self, model: &str, now_unix_s: u64) -> Value {
        let mut body = self.body(model, now_unix_s, "");
        (body["done"], body["done_reason"]) = (json!(true), json!("load"));
        body
    }
}

impl Ollama {
    fn last(&self, head: &Head, text: &str, stop: Stop, usage: &Usage, findings: &Findings) -> Value {
        let mut body = self.endpoint.body(&head.deployment, head.created_unix_s, text);
        let ns = |us: u64| us.saturating_mul(1000);
        let times = usage.times;
        let fields = json!({
            "done": true,
            "done_reason": if ended_of_itself(stop) { "stop" } else { "length" },
            "total_duration": ns(times.queued_us.saturating_add(times.prompt_us).saturating_add(times.predict_us)),
            "load_duration": ns(times.queued_us),
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": ns(times.prompt_us),
            "eval_count": usage.answer_tokens,
            "eval_duration": ns(times.predict_us),
            "cloister": ours(head.record, Some(findings)),
        });
        if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
            body.extend(fields);
        }
        body
    }

    fn pieces(&mut self, head: &Head, pieces: Vec<Piece>) -> Vec<Frame> {
        let line = |text: &str| self.endpoint.body(&head.deployment, head.created_unix_s, text);
        let lines = pieces.into_iter().map(|piece| match piece {
            Piece::Text(text) => line(&text).into(),
            Piece::Call { name, arguments } => {
                let mut line = line("");
                line["message"]["tool_calls"] = json!([call_body(head, self.calls, &name, &arguments)]);
                self.calls += 1;
                line.into()
            }
        });
        lines.collect()
    }
}

/// A call; its number in the answer makes its name.
fn call_body(head: &Head, number: usize, name: &str, arguments: &str) -> Value {
    let arguments: Json = serde_json::from_str(arguments).unwrap_or(Json::Map(Vec::new()));
    let id = format!("call_{}_{number}", head.record);
    json!({"id": id, "function": {"index": number, "name": name, "arguments": arguments}})
}

/// As RFC 3339 has it.
fn time(unix_s: u64) -> String {
    let time = i64::try_from(unix_s).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or_default().to_string()
}

impl Form for Ollama {
    const SHAPE: Shape = Shape::Ollama;
    const FRAMING: Framing = Framing::Lines;
    const WAITING: &str = "";

    fn whole(&self, head: &Head, answers: &[Answer]) -> Value {
        let Some(answer) = answers.first() else { return Value::Null };
        let (text, calls) = CallReader::new(head.tools, self.tools.clone()).read(&answer.text);
        let mut body = self.last(head, &text, answer.stop, &answer.usage, &answer.findings);
        if !calls.is_empty() {
            let calls = calls.iter().enumerate();
            body["message"]["tool_calls"] =
                calls.map(|(number, (name, arguments))| call_body(head, number, name, arguments)).collect();
        }
        body
    }

    fn opening(&mut self, head: &Head) -> Vec<Frame> {
        self.reader = Some(CallReader::new(head.tools, self.tools.clone()));
        Vec::new()
    }

    fn block(&mut self, head: &Head, text: &str) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(|reader| reader.push(text)).unwrap_or_default();
        self.pieces(head, pieces)
    }

    fn closing(&mut self, head: &Head, stop: Stop, usage: &Usage, findings: &Findings) -> Vec<Frame> {
        let pieces = self.reader.as_mut().map(CallReader::finish).unwrap_or_default();
        let mut lines = self.pieces(head, pieces);
        lines.push(self.last(head, "", stop, usage, findings).into());
        lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Continue sends for a completion.
    const GENERATE: &str = r#"{"model":"coder:latest","prompt":"a","suffix":"b","raw":false,"stream":true,
        "keep_alive":1800,"template":"x","options":{"num_predict":64,"temperature":0.01,"top_k":40,"top_p":0.9,
        "seed":7,"stop":["\n\n"],"num_ctx":4096,"repeat_penalty":1.1}}"#;

    /// What the package `ollama` sends for a chat.
    const CHAT: &str = r#"{"model":"coder","messages":[{"role":"system","content":"s","images":null},
        {"role":"user","content":"u"},{"role":"assistant"}],"tools":[],"stream":false,"options":null,"format":"",
        "keep_alive":null,"think":false}"#;

    fn answer(asked: Result<Asked, DialectError>) -> Call<Ollama> {
        match asked.unwrap() {
            Asked::Answer(call) => *call,
            Asked::Load(..) => panic!("an answer was asked for"),
        }
    }

    #[test]
    fn generates() {
        let read = |body: &str| answer(parse_generate(body.as_bytes()));
        let call = read(GENERATE);
        assert!(call.ask == Ask::Fill { prefix: "a".into(), suffix: "b".into(), extra: vec![] });
        assert_eq!((call.deployment.as_deref(), call.stream), (Some("coder"), true));
        assert_eq!((call.parameters.tokens_max, call.parameters.sampling.seed), (Some(64), 7));
        assert_eq!(call.parameters.stop, ["\n\n"]);
        assert!(read(r#"{"prompt":"a","raw":true}"#).ask == Ask::Complete { prompt: "a".into() });
        let chat = read(r#"{"prompt":"a","system":"s","suffix":"","context":[]}"#);
        let messages = vec![Message::new(Role::System, "s"), Message::new(Role::User, "a")];
        assert!(chat.ask == Ask::Chat { messages, tools: Tools::default() });
        assert!(chat.stream && !read(r#"{"prompt":"a","stream":false}"#).stream);
        assert!(!read(r#"{"prompt":"a","options":{"num_predict":0}}"#).stream);
    }

    #[test]
    fn chats() {
        let call = answer(parse_chat(CHAT.as_bytes()));
        let Ask::Chat { messages, .. } = &call.ask else { panic!("no chat") };
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User, Role::Assistant]);
        assert!(!call.stream);
    }

    /// Calls have no numbers, and results name them or not.
    #[test]
    fn calls_tools() {
        let call = answer(parse_chat(
            br#"{"messages":[{"role":"user","content":"u"},
                {"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"b":1,"a":"x"}}},{"function":{"name":"g"}}]},
                {"role":"tool","content":"of g","tool_name":"g"},{"role":"tool","content":"of f"}],
                "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}"#,
        ));
        let Ask::Chat { messages, tools } = &call.ask else { panic!("no chat") };
        let [_, made, of_g, of_f] = messages.as_slice() else { panic!("{messages:?}") };
        let arguments: Vec<&str> = made.tool_calls.iter().map(|call| call.arguments.as_str()).collect();
        assert_eq!(arguments, [r#"{"b":1,"a":"x"}"#, "{}"]);
        assert_eq!(of_f.tool_call_id.as_deref(), Some("call_0"));
        assert_eq!(of_g.tool_call_id.as_deref(), Some("call_1"));
        assert!(tools.has("f") && tools.choice == ToolChoice::Auto);
    }

    #[test]
    fn loads() {
        let loads = |body: &str| parse_generate(body.as_bytes()).unwrap();
        let coder = Some("coder".to_owned());
        assert!(
            matches!(loads(r#"{"model":"coder"}"#), Asked::Load(Endpoint::Generate, alias) if alias == coder)
        );
        let empty = loads(r#"{"model":"coder:latest","prompt":""}"#);
        assert!(matches!(empty, Asked::Load(Endpoint::Generate, alias) if alias == coder));
        assert!(matches!(parse_chat(b"{}").unwrap(), Asked::Load(Endpoint::Chat, None)));
        let body = Endpoint::Generate.loaded("coder", 0);
        assert_eq!(
            (&body["done_reason"], &body["created_at"]),
            (&json!("load"), &json!("1970-01-01T00:00:00Z"))
        );
    }

    #[test]
    fn refused() {
        type Parse = fn(&[u8]) -> Result<Asked, DialectError>;
        for (parse, body, field) in [
            (parse_generate as Parse, r#"{"prompt":1}"#, "prompt"),
            (parse_generate, r#"{"prompt":"a","suffix":1}"#, "suffix"),
            (parse_generate, r#"{"prompt":"a","raw":"yes"}"#, "raw"),
            (parse_generate, r#"{"prompt":"a","format":"yaml"}"#, "format"),
            (parse_generate, r#"{"prompt":"a","format":[]}"#, "format"),
            (parse_generate, r#"{"prompt":"a","images":["x"]}"#, "images"),
            (parse_generate, r#"{"prompt":"a","context":[1]}"#, "context"),
            (parse_generate, r#"{"prompt":"a","options":[]}"#, "options"),
            (parse_generate, r#"{"prompt":"a","options":{"temperature":"0"}}"#, "options.temperature"),
            (parse_generate, r#"{"prompt":"a","stream":1}"#, "stream"),
            (parse_generate, r#"{"options":{"seed":"7"}}"#, "options.seed"),
            (parse_chat, r#"{"messages":"a"}"#, "messages"),
            (parse_chat, r#"{"messages":[{"role":"function","content":"a"}]}"#, "messages[0].role"),
            (
                parse_chat,
                r#"{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]}"#,
                "messages[0].tool_calls[0].function.arguments",
            ),
            (parse_chat, r#"{"messages":[{"role":"user","content":[]}]}"#, "messages[0].content"),
            (parse_chat, r#"{"messages":[{"role":"user","images":["x"]}]}"#, "messages[0].images"),
            (parse_chat, r#"{"messages":[{"role":"user"}],"tools":[{}]}"#, "tools[0].function"),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", place in 0..CHAT.len(), cut in 0usize..40) {
            for (parse, body) in [(parse_generate as fn(&[u8]) -> _, GENERATE), (parse_chat, CHAT)] {
                let _ = parse(noise.as_bytes());
                let mut bytes = body.as_bytes().to_vec();
                let place = place.min(body.len());
                bytes.splice(place..(place + cut).min(body.len()), noise.bytes().take(8));
                let _ = parse(&bytes);
            }
        }

        #[test]
        fn any_time_is_one(seconds in any::<u64>()) {
            prop_assert!(time(seconds).ends_with('Z'));
        }
    }
}
