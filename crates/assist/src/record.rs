//! What the ledger keeps of a request: leaves that anybody may see, and bodies that only the key opens.

use ledger::{Opening, ResultLeaf, Salts};
use protocol::control::Source;
use protocol::worker::{Drafts, EngineProfile, Sampling, Stop, Times, Token, Until};
use protocol::{Digest, RecordNumber};
use retrieval::Passage;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::prompt::Prompt;
use crate::provenance::{Provenance, Withheld};
use crate::{Ask, Message, Tool, ToolChoice};

/// The body of an intent leaf: everything a replay needs.
#[derive(Serialize, Deserialize)]
pub(crate) struct IntentBody {
    /// What was asked, and the texts of other files that went with it (empty without any), both as JSON.
    #[serde(flatten)]
    pub(crate) opening: Opening,
    /// The prompt as the engine got it.
    pub(crate) prompt_tokens: Vec<Token>,
    /// Bytes of a hole's surroundings that did not fit.
    #[serde(default)]
    pub(crate) bytes_left_out: u64,
    /// Which indexes were asked, and what was found and did not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retrieval: Option<serde_json::Value>,
    /// The clock the template saw.
    pub(crate) template_time_unix_s: i64,
    pub(crate) sampling: Sampling,
    pub(crate) tokens_max: u32,
    pub(crate) stop: Vec<String>,
    pub(crate) predict_ms_max: Option<u32>,
    #[serde(default)]
    pub(crate) until: Until,
    #[serde(default)]
    pub(crate) heal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) json_schema: Option<String>,
    /// The language whose syntax the engine held the answer to, as far as it can be. What stands before the answer is a part
    /// of what was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) syntax: Option<String>,
}

/// The body of a result leaf.
#[derive(Serialize, Deserialize)]
pub(crate) struct OutputBody {
    #[serde(flatten)]
    pub(crate) opening: Opening,
    pub(crate) output_tokens: Vec<Token>,
    /// What it has in common with known code; absent in records from before this was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provenance: Option<serde_json::Value>,
    /// Why it was withheld: for administrators, since whoever asked must not learn of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) withheld: Option<serde_json::Value>,
}

/// What an answer has in common with known code, before it is in a body.
pub(crate) struct Found<'a> {
    pub(crate) provenance: &'a Provenance,
    pub(crate) withheld: Option<&'a Withheld>,
}

/// The body of a block leaf: what a client was shown, should there never be a result.
#[derive(Serialize)]
pub(crate) struct BlockBody<'a> {
    /// The salt is the result's.
    pub(crate) salts: Salts,
    /// This block's own text.
    pub(crate) block_text: &'a str,
}

/// What was asked, as the body keeps it.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum AskedText<'a> {
    Chat {
        messages: &'a [Message],
        #[serde(skip_serializing_if = "<[Tool]>::is_empty")]
        tools: &'a [Tool],
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_choice: Option<&'a ToolChoice>,
    },
    Complete {
        prompt: &'a str,
    },
    Fill {
        prefix: &'a str,
        suffix: &'a str,
    },
}

/// The text before what answers it, of what a body keeps; empty for a conversation.
pub(crate) fn text_before(prompt_text: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kept {
        Complete { prompt: String },
        Fill { prefix: String },
    }
    match serde_json::from_str(prompt_text) {
        Ok(Kept::Complete { prompt: before } | Kept::Fill { prefix: before }) => before,
        Err(_) => String::new(),
    }
}

/// What went with it: what the client sent, and what was found.
#[derive(Serialize)]
#[serde(untagged)]
enum ContextText<'a> {
    Sent {
        file_name: &'a str,
        text: &'a str,
    },
    Found {
        file_name: String,
        #[serde(flatten)]
        passage: &'a Passage,
    },
}

/// Passages that are told of as left out.
const LEFT_OUT_MAX: usize = 32;

/// What the body says of a search: the versions, and what there was no room for. `None` where nothing was searched.
pub(crate) fn retrieval(found: &retrieval::Found, prompt: &Prompt) -> Option<serde_json::Value> {
    if found.versions.is_empty() {
        return None;
    }
    let place = |passage: &Passage| {
        serde_json::json!({
            "source": passage.source,
            "path": passage.path,
            "first_line": passage.first_line,
            "last_line": passage.last_line,
            "page": passage.page,
            "score": passage.score,
            "why": passage.why,
        })
    };
    let left_out = prompt.left_out(found).take(LEFT_OUT_MAX);
    Some(serde_json::json!({
        "versions": found.versions,
        "tokens": prompt.context_tokens,
        "no_room_for": left_out.map(place).collect::<Vec<_>>(),
    }))
}

/// The two texts that an intent commits to.
pub(crate) fn texts(ask: &Ask, chosen: &[&Passage]) -> Result<(String, String), serde_json::Error> {
    let (asked, extra) = match ask {
        Ask::Chat { messages, tools } => {
            let tool_choice = (!tools.offered.is_empty()).then_some(&tools.choice);
            (AskedText::Chat { messages, tools: &tools.offered, tool_choice }, None)
        }
        Ask::Complete { prompt } => (AskedText::Complete { prompt }, None),
        Ask::Fill { prefix, suffix, extra } => (AskedText::Fill { prefix, suffix }, Some(extra)),
    };
    let sent = extra.into_iter().flatten();
    let sent = sent.map(|extra| ContextText::Sent { file_name: &extra.file_name, text: &extra.text });
    let found = chosen.iter().map(|passage| ContextText::Found { file_name: passage.file_name(), passage });
    let texts: Vec<ContextText<'_>> = sent.chain(found).collect();
    let context = if texts.is_empty() { String::new() } else { serde_json::to_string(&texts)? };
    Ok((serde_json::to_string(&asked)?, context))
}

/// What an intent leaf says of the deployment; also what a replay compares.
pub(crate) struct Engine {
    pub(crate) profile: &'static str,
    pub(crate) reproducible: bool,
    pub(crate) model: Option<Digest>,
    pub(crate) template: Digest,
    pub(crate) llama_version: String,
    pub(crate) upstream: Option<ledger::Upstream>,
}

impl Engine {
    pub(crate) fn of(deployment: &engine::Deployment) -> Engine {
        let ready = &deployment.ready;
        match &deployment.facts.source {
            Source::Model { model, template } => Engine {
                profile: match ready.profile {
                    EngineProfile::Reproducible => "reproducible",
                    EngineProfile::Fast => "fast",
                },
                reproducible: ready.reproducible,
                model: Some(*model),
                template: *template,
                llama_version: ready.llama_version.clone(),
                upstream: None,
            },
            // Whatever the relay says: what the upstream runs, and with which arithmetic, is not known here.
            Source::Upstream { socket } => Engine {
                profile: "upstream",
                reproducible: false,
                model: None,
                template: Digest(Sha256::digest(ready.model.chat_template.as_deref().unwrap_or("")).into()),
                llama_version: String::new(),
                upstream: Some(ledger::Upstream {
                    socket: socket.clone(),
                    server: ready.llama_version.clone(),
                    model: ready.model.name.clone(),
                }),
            },
        }
    }
}

/// What came of a generation, before it is a leaf.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) stop: Option<Stop>,
    pub(crate) prompt_tokens_cached: u32,
    pub(crate) times: Times,
    pub(crate) drafts: Drafts,
}

/// The result leaf and its body.
pub(crate) fn result(
    record: RecordNumber,
    outcome: ledger::Outcome,
    detail: String,
    output: Output,
    salt: ledger::Salt,
    found: &Found<'_>,
    fingerprint_key: &[u8; 32],
) -> Result<(ResultLeaf, OutputBody), serde_json::Error> {
    let fingerprints = ledger::fingerprints(fingerprint_key, &output.text);
    let leaf = ResultLeaf {
        record: record.0,
        outcome,
        detail,
        stop: output.stop,
        output: ledger::Commitment::new(&salt, output.text.as_bytes()),
        answer_tokens: u32::try_from(output.tokens.len()).unwrap_or(u32::MAX),
        prompt_tokens_cached: output.prompt_tokens_cached,
        times: output.times,
        fingerprints: fingerprints.digest(),
    };
    let opening = Opening {
        salts: Salts { output: Some(salt), ..Salts::default() },
        output_text: Some(output.text),
        fingerprints: Some(fingerprints),
        ..Opening::default()
    };
    let provenance = Some(serde_json::to_value(found.provenance)?);
    let withheld = found.withheld.map(serde_json::to_value).transpose()?;
    Ok((leaf, OutputBody { opening, output_tokens: output.tokens, provenance, withheld }))
}
