//! What is said to a llama-server, and what it may answer: its own endpoints, as its README documents them. Wrong
//! types are errors; what is not known is passed over; every answer has a limit.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use client::{Address, Client, ClientError, ErrorKind, EventStream, Limits};
use protocol::worker::{Failure, FillTokens, Generate, Token};
use serde::Deserialize;
use serde_json::json;

/// The connection is local.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// The tokens of the longest text, as JSON.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// What it states of itself: its chat template above all.
const STATED_BYTES_MAX: usize = 4 << 20;
/// One event holds a token or a few.
const EVENT_BYTES_MAX: usize = 1 << 20;
const STREAM_BYTES_MAX: usize = 64 << 20;
/// What the upstream says of itself is shown to people, and goes into records.
const STATED_CHARACTERS_MAX: usize = 200;
/// A chat template is a page or a few.
const TEMPLATE_BYTES_MAX: usize = 1 << 20;
/// Slots that are used of an upstream at most.
const SLOTS_MAX: u32 = 1024;

/// Spellings of fill-in-the-middle tokens: before the text ahead of the hole, before the text behind it, after both,
/// before a repository's name, between files. A model has those of its family, each as one token.
const FILL_SPELLINGS: [[&str; 5]; 3] = [
    ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"],
    ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<reponame>", "<file_sep>"],
    ["<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "", ""],
];

/// The upstream.
pub(crate) struct Server {
    client: Client,
    /// The same with less patience for length.
    for_statements: Client,
}

/// Why the upstream was of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// There is no connection: who waits for another needs a new relay, which looks for the socket anew.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It says no.
    #[error("it refuses: {message}")]
    Refused { status: u16, message: String },
    /// It is silent, breaks off, or says what cannot be understood.
    #[error("{0}")]
    Broken(String),
    /// It is not what it was when the relay began.
    #[error("it states another model or build than when it was last asked")]
    Changed,
}

/// What it states of itself: `GET /props`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Stated {
    pub(crate) build_info: String,
    #[serde(default)]
    model_alias: String,
    #[serde(default)]
    model_path: String,
    #[serde(default)]
    pub(crate) chat_template: String,
    #[serde(default)]
    pub(crate) bos_token: String,
    #[serde(default)]
    pub(crate) eos_token: String,
    pub(crate) total_slots: u32,
    default_generation_settings: StatedSettings,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct StatedSettings {
    n_ctx: u32,
}

/// What `GET /v1/models` states, where it does.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Sizes {
    #[serde(rename = "n_vocab")]
    pub(crate) vocabulary: u32,
    #[serde(rename = "n_ctx_train")]
    pub(crate) trained_context_tokens: u32,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<ModelEntry>,
}

#[derive(Deserialize)]
struct ModelEntry {
    meta: Option<Sizes>,
}

#[derive(Deserialize)]
struct Tokenized {
    tokens: Vec<Token>,
}

#[derive(Deserialize)]
struct Detokenized {
    content: String,
}

/// A completion under way. Dropping it closes its connection, and the upstream stops.
pub(crate) struct Completion {
    events: EventStream,
}

/// One event of a completion.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Piece {
    /// Whole characters.
    #[serde(default)]
    pub(crate) content: String,
    /// The tokens that it is made of; those inside a character have none of their own.
    #[serde(default)]
    pub(crate) tokens: Vec<Token>,
    /// Whether it is the last.
    #[serde(default)]
    pub(crate) stop: bool,
    /// Of the last: `eos`, `limit`, `word` or `none`.
    #[serde(default)]
    pub(crate) stop_type: String,
    /// Tokens chosen so far, those inside a character included.
    pub(crate) tokens_predicted: Option<u32>,
    #[serde(default)]
    timings: Timings,
    error: Option<StreamError>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Timings {
    cache_n: u32,
}

#[derive(Debug, PartialEq, Deserialize)]
struct StreamError {
    message: String,
}

impl Server {
    pub(crate) fn new(silence_wait: Duration) -> Server {
        let limits = Limits {
            connect_wait: CONNECT_WAIT,
            silence_wait,
            document_bytes_max: DOCUMENT_BYTES_MAX,
            event_bytes_max: EVENT_BYTES_MAX,
            stream_bytes_max: STREAM_BYTES_MAX,
        };
        let statements = Limits { document_bytes_max: STATED_BYTES_MAX, ..limits.clone() };
        let client = |limits| Client::with_limits(Address::Unix(PathBuf::from(jail::SOCKET)), None, limits);
        Server { client: client(limits), for_statements: client(statements) }
    }

    /// What it is, as it says.
    pub(crate) async fn stated(&self) -> Result<Stated, ServerError> {
        let stated: Stated = self.for_statements.get("/props").await?.value;
        if stated.chat_template.len() > TEMPLATE_BYTES_MAX {
            return Err(ServerError::Broken("its chat template is longer than 1 MiB".to_owned()));
        }
        if stated.context_tokens() < 2 || stated.total_slots == 0 {
            return Err(ServerError::Broken("it states no context or no slot".to_owned()));
        }
        Ok(Stated { total_slots: stated.total_slots.min(SLOTS_MAX), ..stated })
    }

    /// Sizes of its model; zeroes where it does not say.
    pub(crate) async fn sizes(&self) -> Result<Sizes, ServerError> {
        let models: Models = self.for_statements.get("/v1/models").await?.value;
        Ok(models.data.first().and_then(|model| model.meta).unwrap_or_default())
    }

    /// A text's tokens, none added. `special`: tokens spelled in it are those tokens.
    pub(crate) async fn tokenize(&self, text: &str, special: bool) -> Result<Vec<Token>, ServerError> {
        let body = json!({ "content": text, "add_special": false, "parse_special": special });
        Ok(self.client.post::<Tokenized>("/tokenize", &body).await?.value.tokens)
    }

    /// The text that tokens spell.
    pub(crate) async fn detokenize(&self, tokens: &[Token]) -> Result<String, ServerError> {
        Ok(self.client.post::<Detokenized>("/detokenize", &json!({ "tokens": tokens })).await?.value.content)
    }

    /// The token that the model wants before every prompt, if any.
    pub(crate) async fn begin_of_text(&self) -> Result<Option<Token>, ServerError> {
        let body = json!({ "content": "", "add_special": true, "parse_special": true });
        let tokens = self.client.post::<Tokenized>("/tokenize", &body).await?.value.tokens;
        Ok(tokens.first().copied())
    }

    /// Its fill-in-the-middle tokens, if it has some.
    pub(crate) async fn fill(&self) -> Result<Option<FillTokens>, ServerError> {
        for [prefix, suffix, middle, repository, file] in FILL_SPELLINGS {
            let [prefix, suffix, middle] =
                [self.one(prefix).await?, self.one(suffix).await?, self.one(middle).await?];
            if let (Some(prefix), Some(suffix), Some(middle)) = (prefix, suffix, middle) {
                let [repository, file] = [self.one(repository).await?, self.one(file).await?];
                return Ok(Some(FillTokens { prefix, suffix, middle, repository, file }));
            }
        }
        Ok(None)
    }

    /// The one token of a spelling; `None` when it is an ordinary text.
    async fn one(&self, spelling: &str) -> Result<Option<Token>, ServerError> {
        if spelling.is_empty() {
            return Ok(None);
        }
        Ok(match self.tokenize(spelling, true).await?.as_slice() {
            [token] => Some(*token),
            _ => None,
        })
    }

    /// Begins a completion in a slot. `may_reuse`: KV entries there may serve this prompt.
    pub(crate) async fn complete(
        &self,
        request: &Generate,
        slot: usize,
        may_reuse: bool,
    ) -> Result<Completion, ServerError> {
        let sampling = &request.sampling;
        let body = json!({
            "prompt": request.prompt,
            "n_predict": request.tokens_max,
            "id_slot": slot,
            "cache_prompt": may_reuse,
            "n_cache_reuse": 0,
            "stream": true,
            "return_tokens": true,
            "timings_per_token": true,
            // Of the last event, which would repeat the prompt.
            "response_fields": ["content", "tokens", "stop", "stop_type", "tokens_predicted", "timings"],
            // Its own defaults for what a request leaves open belong to its command line, so nothing is left open.
            "stop": [],
            "samplers": ["top_k", "top_p", "min_p", "temperature"],
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            // 31 bits: it reads the number as a signed one, and takes -1 for a random one.
            "seed": sampling.seed & 0x7fff_ffff,
            "mirostat": 0,
            "dynatemp_range": 0.0,
        });
        Ok(Completion { events: self.client.stream("/completion", &body).await? })
    }
}

impl Stated {
    /// Tokens of a slot.
    pub(crate) fn context_tokens(&self) -> u32 {
        self.default_generation_settings.n_ctx
    }

    /// The model's name: its alias where it was given one, else its file's.
    pub(crate) fn model(&self) -> String {
        let named = !self.model_alias.is_empty() && self.model_alias != self.model_path;
        let file = self.model_path.rsplit('/').next().unwrap_or_default();
        shown(if named { &self.model_alias } else { file })
    }

    /// The server's build.
    pub(crate) fn server(&self) -> String {
        format!("llama-server {}", shown(&self.build_info))
    }
}

impl Completion {
    /// The next event. The end without a last piece is an error.
    pub(crate) async fn next(&mut self) -> Result<Piece, ServerError> {
        let data = self.events.next().await?;
        parse(&data.ok_or_else(|| ServerError::Broken("it broke off before its answer's end".to_owned()))?)
    }
}

impl Piece {
    /// Tokens of the prompt whose KV entries were reused, as it says.
    pub(crate) fn prompt_tokens_cached(&self) -> u32 {
        self.timings.cache_n
    }
}

fn parse(data: &str) -> Result<Piece, ServerError> {
    let piece: Piece = serde_json::from_str(data).map_err(|error| {
        ServerError::Broken(format!("an event of its answer is not as expected: {error}"))
    })?;
    match piece.error {
        Some(error) => Err(ServerError::Broken(format!("it fails: {}", shown(&error.message)))),
        None => Ok(piece),
    }
}

impl From<ClientError> for ServerError {
    fn from(error: ClientError) -> ServerError {
        match &error {
            ClientError::Connect { source, .. } => ServerError::Unreachable(source.to_string()),
            ClientError::Refused { status, message, .. } => {
                ServerError::Refused { status: *status, message: shown(message) }
            }
            ClientError::Silent { wait, .. } => {
                ServerError::Broken(format!("it was silent for {} ms", wait.as_millis()))
            }
            _ => {
                let mut words = match error.kind() {
                    ErrorKind::BrokenOff => "it broke off its answer".to_owned(),
                    _ => error.to_string(),
                };
                let mut cause = error.source();
                while let Some(error) = cause {
                    words.push_str(&format!(": {error}"));
                    cause = error.source();
                }
                ServerError::Broken(shown(&words))
            }
        }
    }
}

impl ServerError {
    /// As the gateway is told.
    pub(crate) fn failure(&self) -> Failure {
        let words = format!("the upstream engine cannot be used: {self}");
        match self {
            ServerError::Refused { status: 400 | 413, .. } => Failure::Invalid(words),
            _ => Failure::Engine(words),
        }
    }

    /// Whether only a new relay can mend it.
    pub(crate) fn ends_the_relay(&self) -> bool {
        matches!(self, ServerError::Unreachable(_) | ServerError::Changed)
    }
}

/// A stranger's words, as they may be shown: one line, not too long.
fn shown(text: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(STATED_CHARACTERS_MAX).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        let piece = parse(r#"{"content":"é","tokens":[5,6],"stop":false,"id_slot":0}"#).unwrap();
        assert_eq!((piece.content.as_str(), piece.tokens.as_slice(), piece.stop), ("é", &[5, 6][..], false));
        let last = r#"{"content":"","stop":true,"stop_type":"eos","timings":{"cache_n":7,"prompt_ms":1.5}}"#;
        let piece = parse(last).unwrap();
        assert_eq!((piece.stop, piece.stop_type.as_str(), piece.prompt_tokens_cached()), (true, "eos", 7));
        for (text, words) in [
            (r#"{"error":{"code":500,"message":"out of\nmemory"}}"#, "it fails: out of\u{fffd}memory"),
            (r#"{"content":7}"#, "expected a string"),
            (r#"{"tokens":["a"]}"#, "expected i32"),
            (r#"{"stop":"yes"}"#, "expected a boolean"),
            ("[DONE]", "not as expected"),
            ("", "not as expected"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn stated() {
        let parsed = |text: &str| serde_json::from_str::<Stated>(text);
        let text = r#"{"build_info":"b1-abc","model_path":"/m/coder.gguf","total_slots":4,
            "default_generation_settings":{"n_ctx":4096,"params":{}},"bos_token":"<s>","ui":true}"#;
        let stated = parsed(text).unwrap();
        assert_eq!(stated.model(), "coder.gguf");
        assert_eq!((stated.server().as_str(), stated.context_tokens()), ("llama-server b1-abc", 4096));
        assert_ne!(parsed(&text.replace("b1-abc", "b2")).unwrap(), stated);
        assert_eq!(
            parsed(&text.replace("\"ui\"", "\"model_alias\":\"\\u001b[31m\",\"ui\"")).unwrap().model(),
            "\u{fffd}[31m"
        );
        for wrong in [text.replace("4096", "-1"), text.replace("4096", "\"many\""), "{}".to_owned()] {
            assert!(parsed(&wrong).is_err(), "{wrong}");
        }
    }
}
