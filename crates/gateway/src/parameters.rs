//! Parameters that the dialects share.

use assist::{Ask, Json, Subject};
use protocol::worker::{Sampling, Stop, Until};

use crate::fields::{DialectError, Fields, is_array, text_at};

/// Stop strings of a request.
pub(crate) const STOP_STRINGS_MAX: usize = 16;

/// Bytes of a stop string.
pub(crate) const STOP_STRING_BYTES_MAX: usize = 1024;

/// Bytes of a repository's name or address.
pub(crate) const REPOSITORY_BYTES_MAX: usize = 512;

/// Bytes of a file's path.
pub(crate) const PATH_BYTES_MAX: usize = 1024;

/// Objects within each other in a schema.
pub(crate) const SCHEMA_DEPTH_MAX: usize = 24;

/// Bytes of a schema that an answer must satisfy.
pub(crate) const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// Where any JSON object will do.
pub(crate) const ANY_OBJECT: &str = r#"{"type":"object"}"#;

/// Bytes of a deployment's name, as asked.
const MODEL_BYTES_MAX: usize = 256;

/// `model`; empty is absent, since llama.vim sends it so when none is set.
pub(crate) fn deployment(fields: &Fields<'_>) -> Result<Option<String>, DialectError> {
    let model = fields.text("model")?.filter(|model| !model.is_empty());
    match model {
        Some(model) if model.len() > MODEL_BYTES_MAX => {
            Err(fields.error("model", &format!("is longer than {MODEL_BYTES_MAX} bytes")))
        }
        model => Ok(model),
    }
}

/// `cloister.repository` and `cloister.path`: what the request is about, for the record. Both go into the
/// leaf, which is not encrypted: a repository with a password in its address is refused.
pub(crate) fn subject(fields: &Fields<'_>) -> Result<Subject, DialectError> {
    let Some(raw) = fields.raw("cloister") else { return Ok(Subject::default()) };
    let fields = Fields::of(fields.place("cloister"), raw)?;
    let word = |name: &str, bytes_max: usize| match fields.text(name)?.filter(|text| !text.is_empty()) {
        Some(text) if text.len() > bytes_max => {
            Err(fields.error(name, &format!("is longer than {bytes_max} bytes")))
        }
        Some(text) if text.chars().any(char::is_control) => {
            Err(fields.error(name, "must not have control characters"))
        }
        text => Ok(text),
    };
    let repository = word("repository", REPOSITORY_BYTES_MAX)?;
    let authority = repository.as_deref().and_then(|text| text.split_once("://"));
    let authority = authority.and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    if authority.is_some_and(|authority| authority.contains('@')) {
        let message = "must not name a user or a password: leave out what stands before the `@`";
        return Err(fields.error("repository", message));
    }
    Ok(Subject { repository, path: word("path", PATH_BYTES_MAX)? })
}

/// `cloister.context`: whether what the team knows may go into the prompt. It may, where nothing is said.
pub(crate) fn context(fields: &Fields<'_>) -> Result<bool, DialectError> {
    let Some(raw) = fields.raw("cloister") else { return Ok(true) };
    let fields = Fields::of(fields.place("cloister"), raw)?;
    if fields.raw("context").is_some() { fields.flag("context") } else { Ok(true) }
}

/// `temperature`, `top_k`, `top_p`, `min_p`, `seed`. Absent: greedy, seed 0.
pub(crate) fn sampling(fields: &Fields<'_>) -> Result<Sampling, DialectError> {
    let greedy = Sampling::GREEDY;
    // llama.cpp's clients mean "all" by 0 and by negative numbers.
    let top_k = fields.integer("top_k", i64::from(i32::MIN)..=i64::from(i32::MAX))?.unwrap_or(0);
    Ok(Sampling {
        temperature: fields.number("temperature", 0.0..=2.0)?.unwrap_or(greedy.temperature),
        top_k: u32::try_from(top_k).unwrap_or(0),
        top_p: fields.number("top_p", 0.0..=1.0)?.unwrap_or(greedy.top_p),
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(greedy.min_p),
        seed: seed_of(fields, "seed")?,
    })
}

/// A seed: 64 bits, signed or not. Absent and -1, which asks llama.cpp for a seed of its own choice,
/// are 0: nothing here is chosen by chance.
pub(crate) fn seed_of(fields: &Fields<'_>, name: &str) -> Result<u64, DialectError> {
    if let Ok(seed) = fields.read::<u64>(name, "an integer") {
        return Ok(seed.unwrap_or(0));
    }
    let signed = fields.read::<i64>(name, "an integer")?.unwrap_or(0);
    Ok(if signed == -1 { 0 } else { signed.cast_unsigned() })
}

/// `stop`: a string or an array of them. Empty ones, which some clients send for none, are dropped.
pub(crate) fn stop(fields: &Fields<'_>) -> Result<Vec<String>, DialectError> {
    stop_by(fields, "stop")
}

/// The same by another name.
pub(crate) fn stop_by(fields: &Fields<'_>, name: &str) -> Result<Vec<String>, DialectError> {
    let mut stop = match fields.raw(name) {
        None => Vec::new(),
        Some(raw) if is_array(raw) => fields.texts(name, STOP_STRINGS_MAX)?,
        Some(raw) => vec![text_at(&fields.place(name), raw).map_err(|_| {
            fields.error(name, &format!("must be a string or an array of at most {STOP_STRINGS_MAX} strings"))
        })?],
    };
    if stop.iter().any(|text| text.len() > STOP_STRING_BYTES_MAX) {
        return Err(fields.error(name, &format!("has a string longer than {STOP_STRING_BYTES_MAX} bytes")));
    }
    stop.retain(|text| !text.is_empty());
    Ok(stop)
}

/// A JSON Schema by that name: an object, kept as it was written, since properties come in its order.
pub(crate) fn schema(fields: &Fields<'_>, name: &str) -> Result<Option<String>, DialectError> {
    let Some(schema) = fields.read::<Json>(name, "an object")? else { return Ok(None) };
    if !matches!(schema, Json::Map(_)) {
        return Err(fields.error(name, "must be an object: a JSON Schema"));
    }
    if schema.depth() > SCHEMA_DEPTH_MAX {
        let message = format!("has more than {SCHEMA_DEPTH_MAX} objects within each other");
        return Err(fields.error(name, &message));
    }
    let text = serde_json::to_string(&schema).unwrap_or_default();
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(fields.error(name, &format!("is longer than {SCHEMA_BYTES_MAX} bytes")));
    }
    Ok(Some(text))
}

/// What an answer must be, of a field with a `type`: `text`; `json_object`, with a `schema` or without; `json_schema`, whose
/// `schema` stands in the object of that name, or beside it.
pub(crate) fn format(fields: &Fields<'_>, name: &str) -> Result<Option<String>, DialectError> {
    let Some(raw) = fields.raw(name) else { return Ok(None) };
    let format = Fields::of(fields.place(name), raw)?;
    match format.required_text("type")?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(schema(&format, "schema")?.unwrap_or_else(|| ANY_OBJECT.to_owned()))),
        "json_schema" => {
            let inner = match format.raw("json_schema") {
                Some(raw) => Fields::of(format.place("json_schema"), raw)?,
                None => format,
            };
            let schema = schema(&inner, "schema")?;
            schema.map(Some).ok_or_else(|| inner.error("schema", "is required: a JSON Schema"))
        }
        _ => Err(format.error("type", "must be `text`, `json_object` or `json_schema`")),
    }
}

/// A model that may call tools writes calls, which no schema of an answer admits.
pub(crate) fn refuse_beside_tools(
    fields: &Fields<'_>,
    name: &str,
    schema: Option<&String>,
    ask: &Ask,
) -> Result<(), DialectError> {
    match ask {
        Ask::Chat { tools, .. } if schema.is_some() && !tools.offered.is_empty() => Err(fields
            .error(name, "cannot be had together with `tools`: send one of them, or `tool_choice` none")),
        _ => Ok(()),
    }
}

/// `until`: `"line"` or `"block"`, which ends before a line indented less than the one the hole is in;
/// `n_indent`, llama.cpp's, ends before a line of fewer blanks, and 0 does not.
pub(crate) fn until(fields: &Fields<'_>, prefix: &str) -> Result<Until, DialectError> {
    match fields.text("until")?.as_deref() {
        Some("line") => return Ok(Until::Line),
        Some("block") => return Ok(block_of(prefix)),
        Some("end") => return Ok(Until::End),
        Some(_) => return Err(fields.error("until", "must be \"line\", \"block\" or \"end\"")),
        None => {}
    }
    let indent = fields.integer("n_indent", i64::from(i32::MIN)..=i64::from(i32::MAX))?.unwrap_or(0);
    Ok(match u32::try_from(indent) {
        Ok(0) | Err(_) => Until::End,
        Ok(indent) => Until::Block { indent },
    })
}

/// To the last line before one indented less than the text's last.
pub(crate) fn block_of(text: &str) -> Until {
    Until::Block { indent: indent_of_last_line(text) }
}

/// Blanks that the last line begins with; of a line of blanks alone all.
fn indent_of_last_line(text: &str) -> u32 {
    let line = text.rsplit('\n').next().unwrap_or_default();
    let blanks = line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    u32::try_from(blanks).unwrap_or(u32::MAX)
}

/// The first of `names` that is there. -1 and -2, llama.cpp's "no limit" and "what the context
/// holds", leave it to the deployment, as absence does.
pub(crate) fn tokens_max(fields: &Fields<'_>, names: &[&str]) -> Result<Option<u32>, DialectError> {
    for name in names {
        if let Some(tokens) = fields.integer(name, -2..=i64::from(u32::MAX))? {
            return Ok(u32::try_from(tokens).ok());
        }
    }
    Ok(None)
}

/// Where an answer's time went, in llama.cpp's words. `prompt_n` counts the tokens that were
/// evaluated, not those whose KV entries were reused (`cache_n`).
pub(crate) fn timings(usage: &assist::Usage) -> serde_json::Value {
    let prompt_n = usage.prompt_tokens.saturating_sub(usage.prompt_tokens_cached);
    let (prompt_ms, prompt_per_token_ms, prompt_per_second) = rates(prompt_n, usage.times.prompt_us);
    let predicted_n = usage.answer_tokens;
    let (predicted_ms, predicted_per_token_ms, predicted_per_second) =
        rates(predicted_n, usage.times.predict_us);
    serde_json::json!({
        "cache_n": usage.prompt_tokens_cached,
        "prompt_n": prompt_n,
        "prompt_ms": prompt_ms,
        "prompt_per_token_ms": prompt_per_token_ms,
        "prompt_per_second": prompt_per_second,
        "predicted_n": predicted_n,
        "predicted_ms": predicted_ms,
        "predicted_per_token_ms": predicted_per_token_ms,
        "predicted_per_second": predicted_per_second,
    })
}

/// Milliseconds, milliseconds a token, tokens a second; 0 where there is nothing to divide by.
fn rates(tokens: u32, microseconds: u64) -> (f64, f64, f64) {
    let ms = std::time::Duration::from_micros(microseconds).as_secs_f64() * 1000.0;
    let tokens = f64::from(tokens);
    let per_token = if tokens > 0.0 { ms / tokens } else { 0.0 };
    let per_second = if ms > 0.0 { tokens * 1000.0 / ms } else { 0.0 };
    (ms, per_token, per_second)
}

/// Whether the answer ended of itself, and not at a limit.
pub(crate) fn ended_of_itself(stop: Stop) -> bool {
    match stop {
        Stop::EndOfText | Stop::StopString(_) | Stop::Until => true,
        Stop::TokensMax | Stop::ContextFull | Stop::Deadline | Stop::Cancelled => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(body: &str) -> Fields<'_> {
        Fields::of_body(body.as_bytes()).unwrap()
    }

    #[test]
    fn absent_is_greedy() {
        assert_eq!(sampling(&fields("{}")), Ok(Sampling::GREEDY));
        assert_eq!(sampling(&fields(r#"{"temperature":null,"seed":null}"#)), Ok(Sampling::GREEDY));
    }

    #[test]
    fn subjects() {
        let said = |body: &str| subject(&fields(body));
        let whole = said(r#"{"cloister":{"repository":"https://h/f.git","path":"src/é@b.adb"}}"#).unwrap();
        assert_eq!(whole.repository.as_deref(), Some("https://h/f.git"));
        assert_eq!(whole.path.as_deref(), Some("src/é@b.adb"));
        for nothing in ["{}", r#"{"cloister":null}"#, r#"{"cloister":{"path":"","other":1}}"#] {
            assert_eq!(said(nothing), Ok(Subject::default()), "{nothing}");
        }
        let long = format!(r#"{{"cloister":{{"repository":"{}"}}}}"#, "x".repeat(513));
        for (body, field) in [
            (r#"{"cloister":1}"#, "cloister"),
            (r#"{"cloister":{"path":["a"]}}"#, "cloister.path"),
            (r#"{"cloister":{"path":"a\u0007"}}"#, "cloister.path"),
            (r#"{"cloister":{"repository":"https://ada:pass@h/f.git"}}"#, "cloister.repository"),
            (&long, "cloister.repository"),
        ] {
            assert_eq!(said(body).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }

    #[test]
    fn context_is_on() {
        let read = |body: &str| context(&fields(body));
        for on in ["{}", r#"{"cloister":null}"#, r#"{"cloister":{}}"#, r#"{"cloister":{"context":true}}"#] {
            assert_eq!(read(on), Ok(true), "{on}");
        }
        assert_eq!(read(r#"{"cloister":{"context":false}}"#), Ok(false));
        let wrong = read(r#"{"cloister":{"context":"no"}}"#).unwrap_err();
        assert_eq!(wrong.field.as_deref(), Some("cloister.context"));
    }

    #[test]
    fn seeds() {
        let seed = |text: &str| sampling(&fields(&format!(r#"{{"seed":{text}}}"#))).map(|s| s.seed);
        assert_eq!(seed("7"), Ok(7));
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(seed("-1"), Ok(0));
        assert_eq!(seed("-2"), Ok(u64::MAX - 1));
        assert!(seed("1.5").is_err());
        assert!(seed("18446744073709551616").is_err());
    }

    #[test]
    fn ranges() {
        for (body, field) in [
            (r#"{"temperature":-0.1}"#, "temperature"),
            (r#"{"temperature":1e400}"#, "temperature"),
            (r#"{"temperature":"0"}"#, "temperature"),
            (r#"{"top_p":1.01}"#, "top_p"),
            (r#"{"min_p":2}"#, "min_p"),
            (r#"{"top_k":1.5}"#, "top_k"),
        ] {
            assert_eq!(sampling(&fields(body)).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
        assert_eq!(sampling(&fields(r#"{"top_k":-1}"#)).unwrap().top_k, 0);
        assert_eq!(sampling(&fields(r#"{"top_k":40}"#)).unwrap().top_k, 40);
    }

    #[test]
    fn stop_strings() {
        assert_eq!(stop(&fields(r#"{"stop":"end"}"#)), Ok(vec!["end".to_owned()]));
        assert_eq!(stop(&fields(r#"{"stop":["a","","b"]}"#)), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(stop(&fields(r#"{"stop":[]}"#)), Ok(vec![]));
        assert_eq!(stop(&fields(r#"{"stop":[1]}"#)).unwrap_err().field.as_deref(), Some("stop[0]"));
        assert_eq!(stop(&fields(r#"{"stop":5}"#)).unwrap_err().field.as_deref(), Some("stop"));
        let many = format!(r#"{{"stop":[{}"x"]}}"#, r#""x","#.repeat(STOP_STRINGS_MAX));
        assert!(stop(&fields(&many)).unwrap_err().message.contains("at most 16"));
        let long = format!(r#"{{"stop":"{}"}}"#, "x".repeat(STOP_STRING_BYTES_MAX + 1));
        assert!(stop(&fields(&long)).unwrap_err().message.contains("longer than 1024 bytes"));
    }

    #[test]
    fn ends() {
        let read = |body: &str| until(&fields(body), "begin\n   x := ");
        assert_eq!(read("{}"), Ok(Until::End));
        assert_eq!(read(r#"{"n_indent":0}"#), Ok(Until::End));
        assert_eq!(read(r#"{"n_indent":-1}"#), Ok(Until::End));
        assert_eq!(read(r#"{"n_indent":5}"#), Ok(Until::Block { indent: 5 }));
        assert_eq!(read(r#"{"until":"line","n_indent":5}"#), Ok(Until::Line));
        assert_eq!(read(r#"{"until":"block"}"#), Ok(Until::Block { indent: 3 }));
        assert_eq!(read(r#"{"until":"page"}"#).unwrap_err().field.as_deref(), Some("until"));
    }

    #[test]
    fn token_limits() {
        let read = |body: &str| tokens_max(&fields(body), &["max_completion_tokens", "max_tokens"]);
        assert_eq!(read(r#"{"max_tokens":5,"max_completion_tokens":7}"#), Ok(Some(7)));
        assert_eq!(read(r#"{"max_tokens":-1}"#), Ok(None));
        assert_eq!(read(r#"{"max_tokens":0}"#), Ok(Some(0)));
        assert!(read(r#"{"max_tokens":-3}"#).is_err());
        assert!(read(r#"{"max_tokens":4294967296}"#).is_err());
    }

    #[test]
    fn timings_never_divide_by_nothing() {
        let timings = timings(&assist::Usage::default());
        assert_eq!(timings["prompt_per_second"], 0.0);
        assert_eq!(timings["predicted_per_token_ms"], 0.0);
    }
}
