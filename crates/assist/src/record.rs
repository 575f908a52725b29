//! What the ledger keeps of a request: leaves that anybody may see, and bodies that only the key opens.

use ledger::{Commitment, Fingerprints, Intent, ResultLeaf};
use protocol::RecordNumber;
use protocol::worker::{EngineProfile, Sampling, Stop, Times, Token};
use serde::{Deserialize, Serialize};

use crate::{Ask, Message};

/// Bytes of salt of a commitment.
pub(crate) const SALT_BYTES: usize = 16;
/// A salt, in hexadecimal in bodies.
pub(crate) type Salt = [u8; SALT_BYTES];

/// The body of an intent leaf: everything a replay needs.
#[derive(Serialize, Deserialize)]
pub(crate) struct IntentBody {
    pub(crate) salts: IntentSalts,
    /// What was asked, as JSON.
    pub(crate) prompt_text: String,
    /// Texts of other files that went with it, as JSON; empty without any.
    pub(crate) context_text: String,
    /// The prompt as the engine got it.
    pub(crate) prompt_tokens: Vec<Token>,
    /// Tokens of a hole's surroundings that did not fit.
    pub(crate) tokens_left_out: u32,
    /// The clock the template saw.
    pub(crate) template_time_unix_s: i64,
    pub(crate) sampling: Sampling,
    pub(crate) tokens_max: u32,
    pub(crate) stop: Vec<String>,
    pub(crate) predict_ms_max: Option<u32>,
}

/// Salts of an intent's commitments.
#[derive(Serialize, Deserialize)]
pub(crate) struct IntentSalts {
    pub(crate) prompt: String,
    pub(crate) context: String,
}

/// The body of a block leaf or a result leaf.
#[derive(Serialize, Deserialize)]
pub(crate) struct OutputBody {
    pub(crate) salts: OutputSalts,
    /// A block's own text; a result's whole text.
    pub(crate) output_text: String,
    /// A result's tokens; none in a block.
    pub(crate) output_tokens: Vec<Token>,
    /// A result's keyed fingerprints; none in a block.
    pub(crate) fingerprints: Option<Fingerprints>,
}

/// Salt of an output's commitment.
#[derive(Serialize, Deserialize)]
pub(crate) struct OutputSalts {
    pub(crate) output: String,
}

/// What was asked, as the body keeps it.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum AskedText<'a> {
    Chat { messages: &'a [Message] },
    Complete { prompt: &'a str },
    Fill { prefix: &'a str, suffix: &'a str },
}

#[derive(Serialize)]
struct ExtraText<'a> {
    file_name: &'a str,
    text: &'a str,
}

/// The two texts that an intent commits to.
pub(crate) fn texts(ask: &Ask) -> Result<(String, String), serde_json::Error> {
    let (asked, extra) = match ask {
        Ask::Chat { messages } => (AskedText::Chat { messages }, None),
        Ask::Complete { prompt } => (AskedText::Complete { prompt }, None),
        Ask::Fill { prefix, suffix, extra } => (AskedText::Fill { prefix, suffix }, Some(extra)),
    };
    let context = match extra {
        Some(extra) if !extra.is_empty() => {
            let texts: Vec<_> =
                extra.iter().map(|extra| ExtraText { file_name: &extra.file_name, text: &extra.text }).collect();
            serde_json::to_string(&texts)?
        }
        _ => String::new(),
    };
    Ok((serde_json::to_string(&asked)?, context))
}

/// The deployment's side of an intent leaf.
pub(crate) fn intent(deployment: &engine::Deployment) -> Intent {
    let (facts, ready) = (&deployment.facts, &deployment.ready);
    let reproducible = ready.profile == EngineProfile::Reproducible;
    Intent {
        identity: String::new(),
        credential: String::new(),
        labels: Vec::new(),
        policy: protocol::Digest([0; 32]),
        action: String::new(),
        dialect: String::new(),
        deployment: facts.alias.clone(),
        model: facts.model,
        template: facts.template,
        engine_build: facts.engine_build,
        cpu_level: ready.cpu_level.clone(),
        cpu_features: ready.cpu_features.clone(),
        llama_version: ready.llama_version.clone(),
        profile: if reproducible { "reproducible" } else { "fast" }.to_owned(),
        reproducible,
        sampling: Sampling::GREEDY,
        tokens_max: 0,
        stop_strings: 0,
        predict_ms_max: None,
        prompt_tokens: 0,
        prompt: Commitment::new(&[0; SALT_BYTES], b""),
        context: Commitment::new(&[0; SALT_BYTES], b""),
    }
}

/// What came of a generation, before it is a leaf.
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) stop: Option<Stop>,
    pub(crate) prompt_tokens_cached: u32,
    pub(crate) times: Times,
}

/// The result leaf and its body.
pub(crate) fn result(
    record: RecordNumber,
    outcome: ledger::Outcome,
    detail: String,
    output: &Output,
    salt: Salt,
    fingerprint_key: &[u8; 32],
) -> (ResultLeaf, OutputBody) {
    let fingerprints = ledger::fingerprints(fingerprint_key, &output.text);
    let leaf = ResultLeaf {
        record: record.0,
        outcome,
        detail,
        stop: output.stop,
        output: Commitment::new(&salt, output.text.as_bytes()),
        answer_tokens: u32::try_from(output.tokens.len()).unwrap_or(u32::MAX),
        prompt_tokens_cached: output.prompt_tokens_cached,
        times: output.times,
        fingerprints: fingerprints.digest(),
    };
    let body = OutputBody {
        salts: OutputSalts { output: protocol::digest::hex(&salt) },
        output_text: output.text.clone(),
        output_tokens: output.tokens.clone(),
        fingerprints: Some(fingerprints),
    };
    (leaf, body)
}
