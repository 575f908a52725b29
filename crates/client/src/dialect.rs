//! The part of OpenAI's dialect that the people's command speaks, and the marks Cloister adds to it.

use hyper::header::HeaderMap;
use protocol::RecordNumber;
use serde::{Deserialize, Serialize};

use crate::connection::{Client, EventStream, error_message, header};
use crate::error::ClientError;
use crate::provenance::Provenance;

/// Asks for the text between a prefix and a suffix: `POST /v1/completions`.
#[derive(Clone, Serialize)]
pub struct CompletionRequest {
    /// The deployment's alias; the server's first when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Text before the hole.
    pub prompt: String,
    /// Text behind the hole.
    pub suffix: String,
    /// Tokens of the answer at most; the server's limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer before them; at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// `line` or `block`: ends the answer with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<&'static str>,
    /// 0 takes the most probable token always.
    pub temperature: f32,
    /// The draw's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What it is about, for the server's record.
    #[serde(rename = "cloister", skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
}

impl CompletionRequest {
    /// The most probable text between two others, from the server's first deployment.
    pub fn fill(prefix: impl Into<String>, suffix: impl Into<String>) -> Self {
        CompletionRequest {
            model: None,
            prompt: prefix.into(),
            suffix: suffix.into(),
            max_tokens: None,
            stop: Vec::new(),
            until: None,
            temperature: 0.0,
            seed: None,
            subject: None,
        }
    }
}

/// Asks for the next message of a conversation: `POST /v1/chat/completions`, streamed.
#[derive(Clone, Serialize)]
pub struct ChatRequest {
    /// The deployment's alias; the server's first when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// In order, at least one.
    pub messages: Vec<Message>,
    /// Tokens of the answer at most; the server's limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// 0 takes the most probable token always.
    pub temperature: f32,
    /// The draw's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What it is about, for the server's record.
    #[serde(rename = "cloister", skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
}

/// What a request is about. The server keeps it in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The repository, without a password: at most 512 bytes, no control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The file, from the repository's root: at most 1024 bytes, no control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether what the team knows may go into the prompt; it may, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<bool>,
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// Prompts are a person's own words: never in a log line.
macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
redacted!(CompletionRequest, ChatRequest, Message, Answer);

/// A whole answer.
#[derive(Clone)]
pub struct Answer {
    /// Record and receipt.
    pub mark: Mark,
    /// The deployment's alias, as the server names it.
    pub deployment: String,
    /// The text.
    pub text: String,
    /// Why it ended: `stop`, `length`, …
    pub stop: String,
    /// What it cost.
    pub usage: Usage,
    /// What the server found out about it.
    pub findings: Findings,
}

/// What the server found out about an answer before it showed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// What its compilers say.
    pub checks: Vec<Check>,
    /// What it has in common with known code; `None` of a server that does not look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// What one checker of the server's said of an answer, or of a code block of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// The language's name.
    pub language: String,
    /// The checker's name.
    pub checker: String,
    /// Its version; empty when it was not run.
    pub version: String,
    /// `passed`, `failed` or `not_run`.
    pub outcome: String,
    /// Why it was not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it claims when it passed.
    pub claims: String,
    /// The first and the last line of the answer that were looked at, from 1.
    pub lines: (u32, u32),
    /// Errors that the answer brings.
    pub errors: u32,
    /// Errors that were there without it.
    pub errors_before: u32,
    /// What was said, errors first.
    pub remarks: Vec<Remark>,
}

/// One remark of a checker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remark {
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// The line of the answer, from 1; `None` when it is about what stands around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The byte in that line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Another file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// In the checker's words.
    pub message: String,
}

/// What an answer cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those of them that were in the cache.
    pub prompt_tokens_cached: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
}

/// What the server wrote on an answer, so that it can be found and proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Header `x-cloister-record`: the request's record.
    pub record: Option<RecordNumber>,
    /// Header `x-cloister-receipt`: what the ledger must still hold there, for good.
    pub receipt: Option<Receipt>,
}

/// A leaf that the server said is in its ledger. A copy of the ledger without it was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The leaf's index.
    pub index: u64,
    /// Its RFC 6962 leaf hash.
    pub leaf_hash: [u8; 32],
}

impl Mark {
    /// Reads the headers. What cannot be read counts as absent: a mark is worth nothing in parts.
    pub(crate) fn of(headers: &HeaderMap) -> Mark {
        let record = header(headers, "x-cloister-record").and_then(|text| text.parse().ok());
        let receipt = header(headers, "x-cloister-receipt").and_then(|text| {
            let (index, leaf_hash) = text.split_once(':')?;
            let leaf_hash = leaf_hash.strip_prefix("sha256:").unwrap_or(leaf_hash);
            let leaf_hash = protocol::digest::unhex(leaf_hash)?.try_into().ok()?;
            Some(Receipt { index: index.parse().ok()?, leaf_hash })
        });
        Mark { record: record.map(RecordNumber), receipt }
    }
}

impl Client {
    /// Fills a hole.
    pub async fn complete(&self, request: &CompletionRequest) -> Result<Answer, ClientError> {
        let answer = self.post::<WireCompletion>("/v1/completions", request).await?;
        let WireCompletion { model, choices: [choice], usage, cloister } = answer.value;
        Ok(Answer {
            mark: answer.mark,
            deployment: model,
            text: choice.text,
            stop: choice.finish_reason,
            usage: usage.into(),
            findings: cloister,
        })
    }

    /// Asks for the next message. Dropping the stream cancels the generation.
    pub async fn chat(&self, request: &ChatRequest) -> Result<ChatStream, ClientError> {
        #[derive(Serialize)]
        struct Streamed<'a> {
            #[serde(flatten)]
            request: &'a ChatRequest,
            stream: bool,
            stream_options: Options,
        }
        #[derive(Serialize)]
        struct Options {
            include_usage: bool,
        }
        let request = Streamed { request, stream: true, stream_options: Options { include_usage: true } };
        let events = self.stream("/v1/chat/completions", &request).await?;
        Ok(ChatStream {
            events,
            deployment: String::new(),
            stop: None,
            usage: None,
            findings: Findings::default(),
        })
    }
}

/// A streamed answer: texts, then one end.
#[derive(Debug)]
pub struct ChatStream {
    events: EventStream,
    deployment: String,
    stop: Option<String>,
    usage: Option<Usage>,
    findings: Findings,
}

/// A step of a streamed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatEvent {
    /// More text.
    Text(String),
    /// The answer is whole.
    End {
        /// The deployment's alias, as the server names it.
        deployment: String,
        /// Why it ended: `stop`, `length`, …
        stop: String,
        /// What it cost; `None` when the server did not say.
        usage: Option<Usage>,
        /// What the server found out about it.
        findings: Findings,
    },
}

impl ChatStream {
    /// Record and receipt: known before the first text.
    pub fn mark(&self) -> &Mark {
        &self.events.mark
    }

    /// The next step. [`ChatEvent::End`] is the last; a stream that stops before it is an error.
    pub async fn next(&mut self) -> Result<ChatEvent, ClientError> {
        loop {
            let Some(data) = self.events.next().await? else {
                return Err(self.broken_off());
            };
            if data == "[DONE]" {
                let stop = self.stop.take().ok_or_else(|| self.broken_off())?;
                let deployment = std::mem::take(&mut self.deployment);
                let findings = std::mem::take(&mut self.findings);
                return Ok(ChatEvent::End { deployment, stop, usage: self.usage, findings });
            }
            if let Some(text) = self.read(&data)? {
                return Ok(ChatEvent::Text(text));
            }
        }
    }

    /// Takes one chunk in; its text, if it brings any.
    fn read(&mut self, data: &str) -> Result<Option<String>, ClientError> {
        let malformed =
            |source| ClientError::Malformed { what: "an event of a streamed answer".to_owned(), source };
        let value: serde_json::Value = serde_json::from_str(data).map_err(malformed)?;
        if value.get("error").is_some() {
            let message = error_message(&value).unwrap_or("the server does not say why").to_owned();
            return Err(ClientError::Broken { record: self.events.mark.record, message });
        }
        let chunk = WireChunk::deserialize(value).map_err(malformed)?;
        if !chunk.model.is_empty() {
            self.deployment = chunk.model;
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.into());
        }
        if let Some(findings) = chunk.cloister {
            self.findings = findings;
        }
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(None) };
        if choice.finish_reason.is_some() {
            self.stop = choice.finish_reason;
        }
        Ok(choice.delta.content.filter(|text| !text.is_empty()))
    }

    fn broken_off(&self) -> ClientError {
        ClientError::BrokenOff { record: self.events.mark.record, source: None }
    }
}

// What comes over the wire. Fields that other servers leave out are defaults; the rest is required.

#[derive(Deserialize)]
struct WireCompletion {
    model: String,
    choices: [WireChoice; 1],
    #[serde(default)]
    usage: WireUsage,
    #[serde(default)]
    cloister: Findings,
}

#[derive(Deserialize)]
struct WireChoice {
    text: String,
    finish_reason: String,
}

#[derive(Deserialize)]
struct WireChunk {
    #[serde(default)]
    model: String,
    #[serde(default)]
    choices: Vec<WireDeltaChoice>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    cloister: Option<Findings>,
}

#[derive(Deserialize)]
struct WireDeltaChoice {
    #[serde(default)]
    delta: WireDelta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireDelta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireUsage {
    prompt_tokens: u32,
    completion_tokens: u32,
    #[serde(default)]
    prompt_tokens_details: Option<WirePromptDetails>,
}

#[derive(Default, Deserialize)]
struct WirePromptDetails {
    #[serde(default)]
    cached_tokens: u32,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Usage {
        Usage {
            prompt_tokens: wire.prompt_tokens,
            prompt_tokens_cached: wire.prompt_tokens_details.map_or(0, |details| details.cached_tokens),
            answer_tokens: wire.completion_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(headers: &[(&'static str, &str)]) -> Mark {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Mark::of(&map)
    }

    #[test]
    fn marks() {
        let hex = "ab".repeat(32);
        let whole = mark(&[("x-cloister-record", "7"), ("x-cloister-receipt", &format!("7:{hex}"))]);
        assert_eq!(whole.record, Some(RecordNumber(7)));
        assert_eq!(whole.receipt, Some(Receipt { index: 7, leaf_hash: [0xab; 32] }));
        let named = mark(&[("x-cloister-receipt", &format!("7:sha256:{hex}"))]);
        assert_eq!(named.receipt, whole.receipt);
        assert_eq!(mark(&[]), Mark::default());
        for bad in ["7", "7:", "7:abcd", &format!("-1:{hex}"), &format!("7:{}", hex.to_uppercase())] {
            assert_eq!(mark(&[("x-cloister-receipt", bad)]).receipt, None, "{bad}");
        }
    }

    #[test]
    fn absent_options_are_not_sent() {
        let json = serde_json::to_string(&CompletionRequest::fill("a", "b")).unwrap();
        assert_eq!(json, r#"{"prompt":"a","suffix":"b","temperature":0.0}"#);
    }

    #[test]
    fn prompts_are_not_shown() {
        let request = CompletionRequest::fill("secret", "");
        assert_eq!(format!("{request:?}"), "CompletionRequest(…)");
    }
}
