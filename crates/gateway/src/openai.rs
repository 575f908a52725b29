//! OpenAI's chat completions, completions and models.
//!
//! What clients send beyond the API and is understood: llama.cpp's `top_k`, `min_p` and `n_predict`
//! (llama.vim warms its chat with `n_predict: 0`); and for completions `until`, as `/infill` has it.
//! A `response_format` holds for tokens as they are chosen; not beside tools.
//! `parallel_tool_calls` is passed over: a model calls as many as it likes.

mod wording;

use assist::{Ask, CallReader, DeploymentView, Message, Parameters, Role, ToolCall, ToolChoice, Tools};
use protocol::worker::Until;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::dialect::Call;
use crate::fields::{DialectError, Fields, is_array, text_at};
use crate::parameters::{
    context, deployment, format, refuse_beside_tools, sampling, stop, subject, tokens_max, until,
};
use crate::tools::{self, CALLS_MAX};

/// Messages of a conversation.
const MESSAGES_MAX: usize = 2048;

/// Text parts of a message.
const PARTS_MAX: usize = 1024;

/// Answers to one request, as with `/infill`.
const COUNT_MAX: i64 = 8;

/// How an OpenAI answer is worded.
#[derive(Clone, Debug)]
pub(crate) struct OpenAi {
    object: Object,
    tools: Tools,
    /// Of a stream: reads calls out of the text.
    reader: Option<CallReader>,
    /// Of a stream: calls so far.
    calls: usize,
    /// `stream_options.include_usage`: a last chunk with the usage.
    include_usage: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Chat,
    Text,
}

/// Reads the body of `POST /v1/chat/completions`.
pub(crate) fn parse_chat(body: &[u8]) -> Result<Call<OpenAi>, DialectError> {
    let fields = Fields::of_body(body)?;
    let messages = messages(&fields)?;
    refuse_flag(&fields, "logprobs", "is not supported: leave it out or send false")?;
    let tools = tools::offered(&fields, tools::functions(&fields)?, choice(&fields)?)?;
    call(
        &fields,
        Object::Chat,
        Ask::Chat { messages, tools },
        &["max_completion_tokens", "max_tokens", "n_predict"],
    )
}

/// `messages`, at least one.
pub(crate) fn messages(fields: &Fields<'_>) -> Result<Vec<Message>, DialectError> {
    if fields.raw("messages").is_none() {
        return Err(fields.error("messages", "is required: an array of messages"));
    }
    let messages = fields.list("messages", MESSAGES_MAX)?;
    if messages.is_empty() {
        return Err(fields.error("messages", "is empty: send at least one message"));
    }
    messages.into_iter().map(|(place, raw)| message(place, raw)).collect()
}

/// Reads the body of `POST /v1/completions`. With a `suffix`, even an empty one, the prompt is the
/// text before a hole; without, special tokens spelled in the prompt are those tokens.
pub(crate) fn parse_completion(body: &[u8]) -> Result<Call<OpenAi>, DialectError> {
    let fields = Fields::of_body(body)?;
    let prompt = prompt(&fields)?;
    refuse_flag(&fields, "echo", "is not supported: leave it out or send false")?;
    if fields.raw("logprobs").is_some_and(|raw| raw.get() != "false") {
        return Err(fields.error("logprobs", "is not supported: leave it out"));
    }
    if fields.integer("best_of", i64::MIN..=i64::MAX)?.is_some_and(|count| count != 1) {
        return Err(fields.error("best_of", "can only be 1"));
    }
    let ask = match fields.text("suffix")? {
        Some(suffix) => Ask::Fill { prefix: prompt, suffix, extra: Vec::new() },
        None => Ask::Complete { prompt },
    };
    call(&fields, Object::Text, ask, &["max_tokens", "max_completion_tokens", "n_predict"])
}

/// The body of `GET /v1/models`. Continue reads `max_model_len` of the first; llama.vscode reads
/// `n_ctx`, `n_ctx_train` and `context_length`, there or in `meta`.
pub(crate) fn models(deployments: &[DeploymentView]) -> Value {
    let data: Vec<Value> = deployments.iter().map(model).collect();
    json!({"object": "list", "data": data})
}

fn model(view: &DeploymentView) -> Value {
    json!({
        "id": view.alias,
        "object": "model",
        "created": 0,
        "owned_by": "cloister",
        "max_model_len": view.context_tokens,
        "context_length": view.context_tokens,
        "n_ctx": view.context_tokens,
        "n_ctx_train": view.trained_context_tokens,
        "meta": {"n_ctx": view.context_tokens, "n_ctx_train": view.trained_context_tokens},
        "cloister": {
            "model": view.model,
            "upstream": view.model.is_none(),
            "name": view.name,
            "slots": view.slots,
            "fill": view.fill,
            "tools": view.tools.is_some(),
            "up": view.up,
            "training_data": view.training_data,
        },
    })
}

/// The fields that both endpoints have.
fn call(
    fields: &Fields<'_>,
    object: Object,
    ask: Ask,
    limits: &[&str],
) -> Result<Call<OpenAi>, DialectError> {
    let count = fields.integer("n", 1..=COUNT_MAX)?.unwrap_or(1);
    let count = u32::try_from(count).unwrap_or(1);
    let include_usage = match fields.raw("stream_options") {
        Some(raw) => Fields::of(fields.place("stream_options"), raw)?.flag("include_usage")?,
        None => false,
    };
    let parameters = Parameters {
        sampling: sampling(fields)?,
        tokens_max: tokens_max(fields, limits)?,
        stop: stop(fields)?,
        predict_ms_max: None,
        until: match &ask {
            Ask::Fill { prefix, .. } | Ask::Complete { prompt: prefix } => until(fields, prefix)?,
            Ask::Chat { .. } => Until::End,
        },
        json_schema: format(fields, "response_format")?,
        syntax: None,
    };
    refuse_beside_tools(fields, "response_format", parameters.json_schema.as_ref(), &ask)?;
    let stream = fields.flag("stream")?;
    if stream && count > 1 {
        return Err(fields.error("n", "above 1 cannot be streamed"));
    }
    let tools = match &ask {
        Ask::Chat { tools, .. } => tools.clone(),
        Ask::Complete { .. } | Ask::Fill { .. } => Tools::default(),
    };
    let form = OpenAi { object, include_usage, tools, reader: None, calls: 0 };
    let (subject, context) = (subject(fields)?, context(fields)?);
    Ok(Call { deployment: deployment(fields)?, ask, parameters, subject, context, stream, count, form })
}

/// `tool_choice`; `None` has no tools called.
fn choice(fields: &Fields<'_>) -> Result<Option<ToolChoice>, DialectError> {
    tools::choice(fields, "{\"type\": \"function\", \"function\": {\"name\": …}}", |choice| {
        tools::name(&tools::function(choice)?)
    })
}

fn message(place: String, raw: &RawValue) -> Result<Message, DialectError> {
    let fields = Fields::of(place, raw)?;
    let role = fields.required_text("role")?;
    let role = match role.as_str() {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => {
            return Err(fields.error("role", "must be one of system, developer, user, assistant, tool"));
        }
    };
    let message = Message::new(role, content(&fields, role)?);
    match role {
        Role::Assistant => {
            let calls = fields.list("tool_calls", CALLS_MAX)?.into_iter().map(|(place, raw)| {
                let call = Fields::of(place, raw)?;
                let function = tools::function(&call)?;
                Ok(ToolCall {
                    id: call.required_text("id")?,
                    name: tools::name(&function)?,
                    arguments: function.required_text("arguments")?,
                })
            });
            Ok(Message { tool_calls: calls.collect::<Result<_, DialectError>>()?, ..message })
        }
        Role::Tool => Ok(Message { tool_call_id: Some(fields.required_text("tool_call_id")?), ..message }),
        Role::System | Role::User => Ok(message),
    }
}

/// A message's text: a string, or text parts, which are joined by line breaks.
fn content(fields: &Fields<'_>, role: Role) -> Result<String, DialectError> {
    let Some(raw) = fields.raw("content") else {
        // Clients repeat an assistant's empty turn as null.
        return if role == Role::Assistant {
            Ok(String::new())
        } else {
            Err(fields.error("content", "is required: a string or an array of text parts"))
        };
    };
    if !is_array(raw) {
        return text_at(&fields.place("content"), raw)
            .map_err(|_| fields.error("content", "must be a string or an array of text parts"));
    }
    let parts = fields.list("content", PARTS_MAX)?;
    let texts: Vec<String> = parts
        .into_iter()
        .map(|(place, raw)| {
            let part = Fields::of(place, raw)?;
            if part.required_text("type")? != "text" {
                return Err(part.error("type", "must be `text`: only text is read here"));
            }
            part.required_text("text")
        })
        .collect::<Result<_, _>>()?;
    Ok(texts.join("\n"))
}

fn prompt(fields: &Fields<'_>) -> Result<String, DialectError> {
    let message = "must be a string or an array of one string; token numbers are not read here";
    let raw = fields.raw("prompt").ok_or_else(|| fields.error("prompt", "is required: a string"))?;
    if !is_array(raw) {
        return text_at(&fields.place("prompt"), raw).map_err(|_| fields.error("prompt", message));
    }
    let Ok(elements) = fields.list("prompt", 1) else { return Err(fields.error("prompt", message)) };
    match elements.first() {
        Some((place, raw)) => text_at(place, raw).map_err(|_| fields.error("prompt", message)),
        None => Err(fields.error("prompt", message)),
    }
}

fn refuse_flag(fields: &Fields<'_>, name: &str, message: &str) -> Result<(), DialectError> {
    if fields.flag(name)? { Err(fields.error(name, message)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use assist::Tool;
    use proptest::prelude::*;

    use super::*;

    /// What the openai client for Python sends for a streamed chat with the usual options.
    const CHAT: &str = r#"{
        "messages": [
            {"role": "developer", "content": "Answer in Ada."},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null},
            {"role": "user", "content": "c", "name": "x"}
        ],
        "model": "coder", "max_completion_tokens": 64, "n": 1, "seed": 7, "stop": ["\n\n"],
        "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.5, "top_p": 0.9,
        "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto",
        "response_format": {"type": "text"}, "user": "somebody", "frequency_penalty": 0
    }"#;

    fn message(role: Role, content: &str) -> Message {
        Message::new(role, content)
    }

    #[test]
    fn a_chat() {
        let call = parse_chat(CHAT.as_bytes()).unwrap();
        let messages = vec![
            message(Role::System, "Answer in Ada."),
            message(Role::User, "a\nb"),
            message(Role::Assistant, ""),
            message(Role::User, "c"),
        ];
        let empty = serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap();
        let offered = vec![Tool { name: "f".into(), description: None, parameters: empty, strict: false }];
        assert!(call.ask == Ask::Chat { messages, tools: Tools { offered, choice: ToolChoice::Auto } });
        assert_eq!(call.deployment.as_deref(), Some("coder"));
        assert!(call.stream && call.form.include_usage);
        assert_eq!(call.parameters.tokens_max, Some(64));
        assert_eq!(call.parameters.stop, ["\n\n"]);
        assert_eq!(call.parameters.sampling.seed, 7);
        assert_eq!((call.parameters.sampling.temperature, call.parameters.sampling.top_p), (0.5, 0.9));
    }

    #[test]
    fn the_warm_up_of_llama_vim() {
        let body = r#"{"id_slot":0,"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"}],
            "samplers":[],"n_predict":0,"stream":false,"cache_prompt":true,"response_fields":[""],"model":""}"#;
        let call = parse_chat(body.as_bytes()).unwrap();
        assert_eq!((call.parameters.tokens_max, call.deployment), (Some(0), None));
    }

    #[test]
    fn chats_that_are_refused() {
        for (body, field, words) in [
            (r#"{}"#, "messages", "is required"),
            (r#"{"messages":"hello"}"#, "messages", "must be an array, not a string"),
            (r#"{"messages":[]}"#, "messages", "is empty"),
            (r#"{"messages":["hello"]}"#, "messages[0]", "must be an object, not a string"),
            (r#"{"messages":[{"content":"a"}]}"#, "messages[0].role", "is required"),
            (r#"{"messages":[{"role":"critic","content":"a"}]}"#, "messages[0].role", "must be one of"),
            (r#"{"messages":[{"role":"tool","content":"a"}]}"#, "messages[0].tool_call_id", "is required"),
            (
                r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":{}}}]}]}"#,
                "messages[0].tool_calls[0].function.arguments",
                "must be a string",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"web_search"}]}"#,
                "tools[0].type",
                "must be `function`",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f g"}}]}"#,
                "tools[0].function.name",
                "no blanks",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"function":{"name":"f","parameters":[]}}]}"#,
                "tools[0].function.parameters",
                "must be an object",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"function":{"name":"f"}}],
                    "tool_choice":{"type":"function","function":{"name":"g"}}}"#,
                "tool_choice",
                "must name one of",
            ),
            (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content", "is required"),
            (r#"{"messages":[{"role":"user","content":7}]}"#, "messages[0].content", "must be a string or"),
            (
                r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}"#,
                "messages[0].content[0].type",
                "only text",
            ),
            (r#"{"messages":[{"role":"user","content":"a"}],"n":9}"#, "n", "must be from 1 to 8"),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"n":2,"stream":true}"#,
                "n",
                "cannot be streamed",
            ),
            (r#"{"messages":[{"role":"user","content":"a"}],"logprobs":true}"#, "logprobs", "not supported"),
            (r#"{"messages":[{"role":"user","content":"a"}],"stream":"yes"}"#, "stream", "must be a boolean"),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"stream_options":1}"#,
                "stream_options",
                "an object",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"tool_choice":"required"}"#,
                "tool_choice",
                "tools",
            ),
            (r#"{"messages":[{"role":"user","content":"a"}],"max_tokens":"5"}"#, "max_tokens", "an integer"),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"grammar"}}"#,
                "response_format.type",
                "must be `text`, `json_object` or `json_schema`",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{}}}"#,
                "response_format.json_schema.schema",
                "is required",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_object","schema":[]}}"#,
                "response_format.schema",
                "must be an object",
            ),
            (
                r#"{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_object"},"tools":[{"type":"function","function":{"name":"f"}}]}"#,
                "response_format",
                "together with `tools`",
            ),
        ] {
            let error = parse_chat(body.as_bytes()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{body}");
            assert!(error.message.contains(words) && error.message.contains(field), "{}", error.message);
        }
    }

    #[test]
    fn a_conversation_with_calls() {
        let body = r#"{"messages":[{"role":"user","content":"a"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"r"}]}],"n":3,
            "tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":{"b":1,"a":{}}}}],
            "tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false}"#;
        let call = parse_chat(body.as_bytes()).unwrap();
        let made = ToolCall { id: "c1".into(), name: "f".into(), arguments: "{}".into() };
        let messages = vec![
            message(Role::User, "a"),
            Message { tool_calls: vec![made], ..message(Role::Assistant, "") },
            Message::result("c1".into(), "r".into()),
        ];
        let parameters = serde_json::from_str(r#"{"b":1,"a":{}}"#).unwrap();
        let offered =
            vec![Tool { name: "f".into(), description: Some("d".into()), parameters, strict: true }];
        let tools = Tools { offered, choice: ToolChoice::Named("f".into()) };
        assert!(call.ask == Ask::Chat { messages, tools });
        assert_eq!(call.count, 3);
        let none = r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"function":{"name":"f"}}],"tool_choice":"none"}"#;
        let none = parse_chat(none.as_bytes()).unwrap();
        assert!(matches!(none.ask, Ask::Chat { tools, .. } if tools == Tools::default()));
    }

    #[test]
    fn completions() {
        let parse = |body: &str| parse_completion(body.as_bytes());
        let raw =
            parse(r#"{"model":"m","prompt":"<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>","max_tokens":9}"#);
        assert!(
            raw.unwrap().ask
                == Ask::Complete { prompt: "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>".into() }
        );
        assert!(parse(r#"{"prompt":["one"]}"#).unwrap().ask == Ask::Complete { prompt: "one".into() });
        let fill = |prefix: &str, suffix: &str| Ask::Fill {
            prefix: prefix.into(),
            suffix: suffix.into(),
            extra: vec![],
        };
        assert!(parse(r#"{"prompt":"a","suffix":"b"}"#).unwrap().ask == fill("a", "b"));
        assert!(parse(r#"{"prompt":"a","suffix":""}"#).unwrap().ask == fill("a", ""));
        assert!(parse(r#"{"prompt":"a","suffix":null,"echo":false,"logprobs":null,"best_of":1}"#).is_ok());
        for (body, field) in [
            (r#"{}"#, "prompt"),
            (r#"{"prompt":["a","b"]}"#, "prompt"),
            (r#"{"prompt":[1,2]}"#, "prompt"),
            (r#"{"prompt":[]}"#, "prompt"),
            (r#"{"prompt":"a","suffix":1}"#, "suffix"),
            (r#"{"prompt":"a","echo":true}"#, "echo"),
            (r#"{"prompt":"a","logprobs":0}"#, "logprobs"),
            (r#"{"prompt":"a","best_of":3}"#, "best_of"),
        ] {
            assert_eq!(parse(body).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }

    proptest! {
        /// Bodies that are nearly right reach further than noise.
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", place in 0..CHAT.len(), cut in 0usize..40) {
            let _ = parse_chat(noise.as_bytes());
            let _ = parse_completion(noise.as_bytes());
            let mut bytes = CHAT.as_bytes().to_vec();
            bytes.splice(place..(place + cut).min(CHAT.len()), noise.bytes().take(8));
            let _ = parse_chat(&bytes);
            let _ = parse_completion(&bytes);
        }
    }
}
