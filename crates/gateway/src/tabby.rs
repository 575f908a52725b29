//! Tabby's completions, events and health, as its agent speaks them.
//!
//! - A completion's `segments` are a hole and the other files that the editor thinks matter. What the person copied
//!   (`clipboard`) and how they edited (`edit_history`) is not read.
//! - Tabby's server says how much is written, its clients do not: 64 tokens, as there, and no further than the
//!   hole's block.
//! - Its events say what became of a completion; those of choices are decisions, all others are passed over.
//! - A repository's address loses the user and password in it, which the agent sends as Git has them.

use assist::{Answer, Ask, CLIENT_BYTES_MAX, Choice, Decided, DeploymentView, Extra, Findings, Parameters};
use assist::{Subject, Usage};
use protocol::RecordNumber;
use protocol::worker::Stop;
use serde_json::{Value, json};

use crate::dialect::{Call, Form, Frame, Head, ours};
use crate::errors::Shape;
use crate::fields::{DialectError, Fields};
use crate::parameters::{
    PATH_BYTES_MAX, REPOSITORY_BYTES_MAX, block_of, context, deployment, sampling, stop, subject, tokens_max,
    until,
};

/// Snippets of one kind.
const SNIPPETS_MAX: usize = 256;

/// Tokens of a completion, as Tabby's server has it.
const TOKENS_MAX: u32 = 64;

/// Bytes of an event.
pub(crate) const EVENT_BYTES_MAX: usize = 64 << 10;

/// What stands before a record's number in a completion's id.
const ID: &str = "cmpl-";

/// How a Tabby completion is worded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion;

/// Whether a body of `/v1/completions`, which OpenAI's clients share, is Tabby's.
pub(crate) fn is_meant(body: &[u8]) -> bool {
    Fields::of_body(body)
        .is_ok_and(|fields| fields.raw("segments").is_some() && fields.raw("prompt").is_none())
}

/// Reads the body of `POST /v1/completions` with `segments`.
pub(crate) fn parse_completion(body: &[u8]) -> Result<Call<Completion>, DialectError> {
    let fields = Fields::of_body(body)?;
    let raw = fields.raw("segments").ok_or_else(|| fields.error("segments", "is required: an object"))?;
    let segments = Fields::of(fields.place("segments"), raw)?;
    let prefix = segments.required_text("prefix")?;
    let suffix = segments.text("suffix")?.unwrap_or_default();
    // The most useful last; each list of Tabby's has the most relevant first.
    let mut extra = Vec::new();
    for name in [
        "relevant_snippets_from_recently_opened_files",
        "relevant_snippets_from_changed_files",
        "declarations",
    ] {
        extra.extend(snippets(&segments, name)?.into_iter().rev());
    }
    let asked = until(&fields, &prefix)?;
    let until = if fields.raw("until").is_some() { asked } else { block_of(&prefix) };
    let parameters = Parameters {
        sampling: sampling(&fields)?,
        tokens_max: Some(tokens_max(&fields, &["max_tokens"])?.unwrap_or(TOKENS_MAX)),
        stop: stop(&fields)?,
        predict_ms_max: None,
        until,
        json_schema: None,
        syntax: None,
    };
    let subject = match fields.raw("cloister") {
        Some(_) => subject(&fields)?,
        None => Subject {
            repository: word(&segments, "git_url", REPOSITORY_BYTES_MAX)?.map(|url| without_user(&url)),
            path: word(&segments, "filepath", PATH_BYTES_MAX)?,
        },
    };
    Ok(Call {
        deployment: deployment(&fields)?,
        ask: Ask::Fill { prefix, suffix, extra },
        parameters,
        subject,
        context: context(&fields)?,
        stream: false,
        count: 1,
        form: Completion,
    })
}

fn snippets(segments: &Fields<'_>, name: &str) -> Result<Vec<Extra>, DialectError> {
    let elements = segments.list(name, SNIPPETS_MAX)?;
    elements
        .into_iter()
        .map(|(place, raw)| {
            let snippet = Fields::of(place, raw)?;
            let file_name = snippet.text("filepath")?.unwrap_or_default();
            Ok(Extra { file_name, text: snippet.required_text("body")? })
        })
        .collect()
}

/// A name that goes into the record.
fn word(segments: &Fields<'_>, name: &str, bytes_max: usize) -> Result<Option<String>, DialectError> {
    match segments.text(name)?.filter(|text| !text.is_empty()) {
        Some(text) if text.len() > bytes_max => {
            Err(segments.error(name, &format!("is longer than {bytes_max} bytes")))
        }
        Some(text) if text.chars().any(char::is_control) => {
            Err(segments.error(name, "must not have control characters"))
        }
        text => Ok(text),
    }
}

/// An address without what stands before the `@` of its authority: records are not encrypted.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

impl Form for Completion {
    /// Tabby's server answers errors with a status alone, so its clients read no body.
    const SHAPE: Shape = Shape::OpenAi;

    fn whole(&self, head: &Head, answers: &[Answer]) -> Value {
        let choice = |(index, answer): (usize, &Answer)| json!({"index": index, "text": answer.text});
        json!({
            "id": format!("{ID}{}", head.record),
            "choices": answers.iter().enumerate().map(choice).collect::<Vec<_>>(),
            "mode": "standard",
            "cloister": ours(head.record, answers.first().map(|answer| &answer.findings)),
        })
    }

    // Tabby's completions are never streamed.

    fn opening(&mut self, _head: &Head) -> Vec<Frame> {
        Vec::new()
    }

    fn block(&mut self, _head: &Head, _text: &str) -> Vec<Frame> {
        Vec::new()
    }

    fn closing(&mut self, _head: &Head, _stop: Stop, _usage: &Usage, _findings: &Findings) -> Vec<Frame> {
        Vec::new()
    }
}

/// Reads the body of `POST /v1/events`: a decision, or `None` for an event that is none. `select_kind` is the query's,
/// where Tabby's clients put it; `client` is what the client calls itself.
pub(crate) fn parse_event(
    body: &[u8],
    select_kind: Option<&str>,
    client: Option<String>,
) -> Result<Option<Decided>, DialectError> {
    let fields = Fields::of_body(body)?;
    let named = fields.text("select_kind")?;
    let choice = match fields.required_text("type")?.as_str() {
        "view" => Choice::Shown,
        "select" if named.as_deref().or(select_kind) == Some("line") => Choice::PartlyAccepted,
        "select" => Choice::Accepted,
        "dismiss" => Choice::Rejected,
        _ => return Ok(None),
    };
    let id = fields.required_text("completion_id")?;
    let record = id.strip_prefix(ID).and_then(|number| number.parse().ok());
    let record = record
        .ok_or_else(|| fields.error("completion_id", "must be the `id` of a completion of this server"))?;
    fields.integer("choice_index", 0..=i64::from(u32::MAX))?;
    fields.text("view_id")?;
    fields.integer("elapsed", 0..=i64::MAX)?;
    Ok(Some(Decided {
        record: RecordNumber(record),
        choice,
        accepted_bytes: None,
        path: None,
        digest_before: None,
        digest_after: None,
        client: client.filter(|name| {
            !name.is_empty() && name.len() <= CLIENT_BYTES_MAX && !name.chars().any(char::is_control)
        }),
    }))
}

/// The body of `/v1/health`. What hardware there is, is not told.
pub(crate) fn health(deployments: &[DeploymentView]) -> Value {
    let first = |what: fn(&&DeploymentView) -> bool| {
        deployments.iter().filter(|view| view.up).find(what).map(|view| view.alias.clone())
    };
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    json!({
        "model": first(|view| view.fill),
        "chat_model": first(|view| view.chat_template.is_some()),
        "device": "cpu",
        "arch": std::env::consts::ARCH,
        "cpu_info": "",
        "cpu_count": 0,
        "cuda_devices": [],
        "version": {"build_date": "", "build_timestamp": "", "git_sha": "", "git_describe": version},
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::worker::Until;

    use super::*;

    /// What Tabby's agent sends.
    const AGENT: &str = r#"{
        "language": "ada",
        "segments": {
            "prefix": "procedure P is\nbegin\n   ", "suffix": "\nend P;\n", "filepath": "src/p.adb",
            "git_url": "https://ada:secret@git.example/team/queues.git",
            "declarations": [{"filepath": "src/q.ads", "body": "procedure Put;"}],
            "relevant_snippets_from_changed_files": [
                {"filepath": "a.adb", "body": "A", "score": 1.5}, {"filepath": "b.adb", "body": "B", "score": 1.0}],
            "relevant_snippets_from_recently_opened_files": [{"filepath": "c.adb", "body": "C", "score": 0.1}],
            "clipboard": "secret", "edit_history": {"original_code": "x", "edits_diff": "y"}
        },
        "user": "ada", "temperature": 0.1, "seed": 7, "mode": "standard"
    }"#;

    #[test]
    fn segments() {
        assert!(is_meant(AGENT.as_bytes()));
        let call = parse_completion(AGENT.as_bytes()).unwrap();
        let Ask::Fill { prefix, suffix, extra } = &call.ask else { panic!("no hole") };
        assert_eq!((prefix.as_str(), suffix.as_str()), ("procedure P is\nbegin\n   ", "\nend P;\n"));
        let names: Vec<&str> = extra.iter().map(|extra| extra.file_name.as_str()).collect();
        assert_eq!(names, ["c.adb", "b.adb", "a.adb", "src/q.ads"]);
        assert_eq!(call.subject.repository.as_deref(), Some("https://git.example/team/queues.git"));
        assert_eq!(call.subject.path.as_deref(), Some("src/p.adb"));
        assert_eq!(call.parameters.tokens_max, Some(64));
        assert_eq!(call.parameters.until, Until::Block { indent: 3 });
        assert_eq!((call.parameters.sampling.seed, call.context, call.stream), (7, true, false));
    }

    #[test]
    fn whose_completions() {
        for (body, tabby) in [
            (r#"{"segments":{"prefix":""}}"#, true),
            (r#"{"prompt":"a"}"#, false),
            (r#"{"prompt":"a","segments":{"prefix":""}}"#, false),
            (r#"{"segments":null}"#, false),
            ("{", false),
            ("", false),
        ] {
            assert_eq!(is_meant(body.as_bytes()), tabby, "{body}");
        }
    }

    #[test]
    fn users_stay_out_of_records() {
        for (url, told) in [
            ("https://ada@h/f.git", "https://h/f.git"),
            ("https://a:b@c@h", "https://h"),
            ("https://h/a@b", "https://h/a@b"),
            ("git@h:f.git", "git@h:f.git"),
            ("/srv/f", "/srv/f"),
        ] {
            assert_eq!(without_user(url), told);
        }
    }

    #[test]
    fn refused() {
        for (body, field) in [
            (r#"{}"#, "segments"),
            (r#"{"segments":[]}"#, "segments"),
            (r#"{"segments":{}}"#, "segments.prefix"),
            (r#"{"segments":{"prefix":"","suffix":1}}"#, "segments.suffix"),
            (r#"{"segments":{"prefix":"","filepath":"a\nb"}}"#, "segments.filepath"),
            (r#"{"segments":{"prefix":"","git_url":[]}}"#, "segments.git_url"),
            (r#"{"segments":{"prefix":"","declarations":{}}}"#, "segments.declarations"),
            (
                r#"{"segments":{"prefix":"","declarations":[{"filepath":"a"}]}}"#,
                "segments.declarations[0].body",
            ),
            (r#"{"segments":{"prefix":""},"temperature":9}"#, "temperature"),
        ] {
            let error = parse_completion(body.as_bytes()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{body}");
        }
    }

    #[test]
    fn events() {
        let read =
            |body: &str, kind: Option<&str>| parse_event(body.as_bytes(), kind, Some("vim".to_owned()));
        for (kind, select_kind, choice) in [
            ("view", None, Choice::Shown),
            ("select", None, Choice::Accepted),
            ("select", Some("line"), Choice::PartlyAccepted),
            ("dismiss", None, Choice::Rejected),
        ] {
            let body = format!(
                r#"{{"type":"{kind}","completion_id":"cmpl-41","choice_index":0,"view_id":"v","elapsed":9}}"#
            );
            let decided = read(&body, select_kind).unwrap().unwrap();
            assert_eq!((decided.record, decided.choice), (RecordNumber(41), choice));
            assert_eq!(decided.client.as_deref(), Some("vim"));
        }
        assert_eq!(read(r#"{"type":"chat_apply","completion_id":7}"#, None), Ok(None));
        for (body, field) in [
            (r#"{}"#, "type"),
            (r#"{"type":"view"}"#, "completion_id"),
            (r#"{"type":"view","completion_id":"x"}"#, "completion_id"),
            (r#"{"type":"view","completion_id":"cmpl--1"}"#, "completion_id"),
            (r#"{"type":"view","completion_id":"cmpl-1","choice_index":"0"}"#, "choice_index"),
        ] {
            assert_eq!(read(body, None).unwrap_err().field.as_deref(), Some(field), "{body}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(noise in ".{0,200}", place in 0..AGENT.len(), cut in 0usize..40) {
            let _ = parse_completion(noise.as_bytes());
            let _ = parse_event(noise.as_bytes(), None, Some(noise.clone()));
            let _ = without_user(&noise);
            let mut bytes = AGENT.as_bytes().to_vec();
            bytes.splice(place..(place + cut).min(AGENT.len()), noise.bytes().take(8));
            let _ = is_meant(&bytes);
            let _ = parse_completion(&bytes);
        }
    }
}
