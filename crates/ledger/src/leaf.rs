//! What the ledger records: leaves, as JSON of at most 65,535 bytes. Prompts, contexts and answers are
//! not in a leaf; salted commitments to them are, and the texts lie in the encrypted body beside it.

use std::fmt;

use approval::{Approval, ApprovalError};
use protocol::Digest;
use protocol::control::ClockState;
use protocol::worker::{Sampling, Stop, Times};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::admission::Admission;
use crate::opening::Salt;
use crate::policies::PolicyChange;

/// The schema of leaves that this crate writes.
pub const SCHEMA: u32 = 1;

/// The longest leaf, in bytes: an entry of a C2SP bundle has a 16-bit length.
pub const LEAF_BYTES_MAX: usize = tlog::entry::ENTRY_BYTES_MAX;

/// One leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When the ledger wrote it, in milliseconds since 1970, by this machine's clock.
    pub time_unix_ms: u64,
    /// What happened.
    pub event: Event,
    /// The body beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyCommitment>,
}

/// What a leaf says of the body beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyCommitment {
    /// SHA-256 of the stored, encrypted bytes, without the wrapped key.
    pub digest: Digest,
    /// Their length.
    pub bytes: u64,
    /// SHA-384 of 16 bytes of salt and the plain bytes; the salt is inside the encryption.
    pub content: ContentDigest,
}

/// A SHA-384 digest. Shown as `sha384:` and 96 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest(pub [u8; 48]);

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The first leaf.
    Genesis {
        /// The log's name.
        origin: String,
        /// The key that signs its checkpoints.
        verifier: String,
        /// The software that began it, with its version.
        software: String,
        /// How the clock stood; absent where nobody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<ClockState>,
    },
    /// The daemon's process that answers requests began.
    Start {
        /// The software, with its version.
        software: String,
        /// How the clock stood; absent where nobody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<ClockState>,
    },
    /// A request is about to be answered. Its index is the record's number.
    Intent(Box<Intent>),
    /// A piece of a streamed answer is about to be shown.
    Block(Block),
    /// An answer is about to be shown, or will never be.
    Result(Box<ResultLeaf>),
    /// A request was refused.
    Refusal(Refusal),
    /// Somebody came in, or was not let in.
    Login(Login),
    /// What a person did with an answer.
    Decision(Box<Decision>),
    /// What a checker said of an answer.
    Check(Box<Check>),
    /// Someone administered something.
    Administration {
        /// Who.
        actor: String,
        /// What, as `token.issue`.
        action: String,
        /// To whom or what.
        subject: String,
        /// More, in words.
        detail: String,
    },
    /// Recovery set a damaged tail of the write-ahead log aside. What it held was not acknowledged, or
    /// was damaged later: the two cannot be told apart without a receipt.
    Recovered {
        /// The file it was in.
        file: String,
        /// Where it began.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// SHA-256 of what was set aside.
        digest: Digest,
        /// Where it lies now.
        set_aside: String,
    },
    /// Bodies' keys are destroyed: nobody can read them again.
    Erasure(Box<Erasure>),
    /// A model took a step on its way through the vault.
    Model(Box<Admission>),
    /// Another policy is about to be in force. The site's files are in the body.
    Policy(Box<PolicyChange>),
    /// Somebody looked into the sources of local context. The question, and where what was shown stands, are in the body.
    Lookup(Box<Lookup>),
    /// A record was run again.
    Replay {
        /// The record.
        record: u64,
        /// How it went.
        outcome: ReplayOutcome,
        /// More, in words.
        detail: String,
    },
    /// The jails were probed. The table is in the body.
    Posture {
        /// Why now: `start`, `interval`, `change` or `request`.
        occasion: String,
        /// Probes that came out as they must.
        passed: u32,
        /// Probes that did not.
        failed: u32,
        /// Probes that this machine cannot make, or whose outcome is accepted by name.
        untried: u32,
        /// How the clock stood; absent where nobody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<ClockState>,
    },
    /// A checkpoint came back from witnesses and is about to be stored beside the log.
    Witness {
        /// Leaves that it covers: all before this one, or fewer.
        size: u64,
        /// The root over them.
        root: Digest,
        /// Whose cosignatures are new, by their names in the policy of that time.
        witnesses: Vec<String>,
    },
}

/// What is about to be asked of an engine, and by whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Who asks.
    pub identity: String,
    /// By which credential, as `token:ID` or `uid:1000`.
    pub credential: String,
    /// Labels of what goes into the answer.
    pub labels: Vec<String>,
    /// The policy that allowed it.
    pub policy: Digest,
    /// What is asked, as `complete`, `chat`, `fill`.
    pub action: String,
    /// The surface and dialect it came by, as `openai.chat`.
    pub dialect: String,
    /// The deployment's alias.
    pub deployment: String,
    /// The repository that the client says the request is about. Nothing verifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The file in it that the client says the request is about. Nothing verifies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The weights; absent where an upstream engine computes, which shows nobody its weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Digest>,
    /// The upstream engine; absent where an engine of ours computes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// The chat template, of an upstream engine the one it states; of nothing when there is none.
    pub template: Digest,
    /// The worker program: the relay, where an upstream engine computes.
    pub engine_build: Digest,
    /// The deployment's lock, as a `model` leaf has it; absent in records from before there were such leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
    /// The CPU level the worker was compiled for.
    pub cpu_level: String,
    /// The CPU's features that the build can use.
    pub cpu_features: String,
    /// llama.cpp's version; empty where an upstream engine computes.
    pub llama_version: String,
    /// The engine's profile.
    pub profile: String,
    /// Whether the same prompt gives the same bits again.
    pub reproducible: bool,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens of the answer at most.
    pub tokens_max: u32,
    /// How many stop strings; their texts are in the body.
    pub stop_strings: u32,
    /// Time allowed for generating, in milliseconds.
    pub predict_ms_max: Option<u32>,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// The prompt.
    pub prompt: Commitment,
    /// The context that was put into it.
    pub context: Commitment,
}

/// Somebody looked into the sources of local context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Who.
    pub identity: String,
    /// By which credential.
    pub credential: String,
    /// Labels of what is shown.
    pub labels: Vec<String>,
    /// The policy that allowed it.
    pub policy: Digest,
    /// What was asked, as `search`, `definition`, `references`, `read`.
    pub action: String,
    /// How many results are shown.
    pub shown: u32,
}

/// An inference server that is not ours, by what it states of itself: nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The Unix socket that the relay reaches it by.
    pub socket: String,
    /// Its build.
    pub server: String,
    /// Its model's name.
    pub model: String,
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The record.
    pub record: u64,
    /// 0 for the record's first block, then one more each.
    pub number: u32,
    /// All text so far, this block's included, under the salt that the result uses.
    pub output: Commitment,
    /// Bytes of all text so far.
    pub output_bytes: u64,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultLeaf {
    /// The record.
    pub record: u64,
    /// In one word.
    pub outcome: Outcome,
    /// In words; empty for an answer.
    pub detail: String,
    /// Why the engine stopped.
    pub stop: Option<Stop>,
    /// The whole text.
    pub output: Commitment,
    /// Its tokens.
    pub answer_tokens: u32,
    /// Tokens of the prompt that the cache held.
    pub prompt_tokens_cached: u32,
    /// Where the time went.
    pub times: Times,
    /// The keyed fingerprint list, which is in the body.
    pub fingerprints: Digest,
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Who asked; `None` when that could not be told.
    pub identity: Option<String>,
    /// The surface and dialect.
    pub dialect: String,
    /// Why.
    pub reason: String,
    /// How many: those that anybody can cause at any rate are aggregated, or they would fill the disk.
    pub count: u32,
    /// What was to be done, as policies name it; absent where no policy refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The policy that refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Digest>,
    /// The rules of it that decided, by their ids; absent too where nothing permits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What two persons approved to be erased. The leaves stay, and every proof of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Whose bodies.
    pub leaves: Vec<ErasedLeaf>,
    /// Why, in words.
    pub reason: String,
    /// Signatures over [`text`](Self::text), of at least [`ERASURE_PERSONS`] persons.
    pub approvals: Vec<Approval>,
}

/// A leaf whose body is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedLeaf {
    /// Its index.
    pub index: u64,
    /// Its RFC 6962 hash.
    pub hash: Digest,
}

/// Persons who must approve an erasure.
pub const ERASURE_PERSONS: usize = 2;

/// What approvals of erasures are made for: `ssh-keygen -Y sign -n` this.
pub const ERASURE_NAMESPACE: &str = "erasure@cloister";

/// The action of an administration leaf that enrols a person's key: subject is the person, detail the key.
pub const ENROL_KEY: &str = "user enrol-key";

/// The one that revokes it.
pub const REVOKE_KEY: &str = "user revoke-key";

impl Erasure {
    /// The text that is approved, for the log of that name.
    pub fn text(origin: &str, leaves: &[ErasedLeaf], reason: &str) -> String {
        let mut text = format!("cloister erasure 1\nlog {origin}\n");
        for leaf in leaves {
            text.push_str(&format!("leaf {} {}\n", leaf.index, leaf.hash));
        }
        text.push_str(&format!("reason {reason}\n"));
        text
    }

    /// The leaves and the reason in a text that is to be approved, for the log of that name; `None` for any
    /// other text.
    pub fn parse_text(origin: &str, text: &str) -> Option<(Vec<ErasedLeaf>, String)> {
        let mut lines = text.strip_prefix("cloister erasure 1\n")?.lines().skip(1).peekable();
        let mut leaves = Vec::new();
        while let Some(line) = lines.peek().and_then(|line| line.strip_prefix("leaf ")) {
            let (index, hash) = line.split_once(' ')?;
            leaves.push(ErasedLeaf { index: index.parse().ok()?, hash: hash.parse().ok()? });
            lines.next();
        }
        let reason = lines.next()?.strip_prefix("reason ")?.to_owned();
        // The one spelling is the one that is written back.
        (Erasure::text(origin, &leaves, &reason) == text).then_some((leaves, reason))
    }

    /// Whether enough persons approved exactly this.
    pub fn verify(&self, origin: &str) -> Result<(), ApprovalError> {
        let text = Erasure::text(origin, &self.leaves, &self.reason);
        approval::verify_all(&self.approvals, ERASURE_PERSONS, ERASURE_NAMESPACE, text.as_bytes())
    }
}

/// A credential that was shown. One that is known is recorded at its first use in each hour of Unix time and
/// again when the daemon has started anew, not at each request: a request's own leaf names its credential. One
/// that is not known is counted, with others of its sort, once a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Who; `None` when that could not be told.
    pub identity: Option<String>,
    /// By which credential, as `token:ID` or `uid:1000`. Of a refused one, no more than its sort: `token`,
    /// `uid:1000` or `none`.
    pub credential: String,
    /// The surface and dialect it came by, as `openai.chat`.
    pub surface: String,
    /// Whether they came in.
    pub outcome: LoginOutcome,
    /// Why not; empty for those who came in.
    pub reason: String,
    /// How many attempts the leaf stands for.
    pub count: u32,
}

/// Whether somebody came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginOutcome {
    /// They did.
    Accepted,
    /// They did not.
    Refused,
}

/// What a person did with an answer, as their editor says. The digests are the editor's word too: the server
/// has not seen the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The record of the answer.
    pub record: u64,
    /// Who decided: the person that the record is of.
    pub identity: String,
    /// By which credential, as `token:ID` or `uid:1000`.
    pub credential: String,
    /// What they did.
    pub choice: Choice,
    /// How many bytes of the answer were taken over, where the editor says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_bytes: Option<u64>,
    /// The file, as the editor names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// SHA-256 of the file's bytes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_before: Option<Digest>,
    /// SHA-256 of the file's bytes after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_after: Option<Digest>,
    /// The editor or program, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// What a person did with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// It was shown and nothing more is known.
    Shown,
    /// It was taken over whole.
    Accepted,
    /// A part of it was taken over.
    PartlyAccepted,
    /// It was taken over and then changed.
    EditedAfter,
    /// It was not taken over.
    Rejected,
}

/// What a compiler, prover or other checker said of an answer. Its diagnostics quote code, so that they are in
/// the body, as `diagnostics_text` of the opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The record of the answer.
    pub record: u64,
    /// The checker's name, as `gnatprove`.
    pub checker: String,
    /// Its version, as it states it.
    pub version: String,
    /// The program and its arguments, without paths of the machine.
    pub command: Vec<String>,
    /// What came of it.
    pub outcome: CheckOutcome,
    /// Errors among its diagnostics.
    pub errors: u32,
    /// Warnings among them.
    pub warnings: u32,
    /// All other diagnostics.
    pub notes: u32,
    /// The diagnostics.
    pub diagnostics: Commitment,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// The checker has no objection.
    Passed,
    /// It has.
    Failed,
    /// It could not be run; the diagnostics say why.
    NotRun,
}

/// How a request ended, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// The client went away.
    Cancelled,
    /// With an error.
    Failed,
    /// With an answer that the site's policy withheld, since it matches known code.
    Withheld,
}

/// How a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    /// The same bytes.
    Same,
    /// Other bytes.
    Different,
    /// Without an answer.
    Failed,
}

/// SHA-256 of a salt and bytes: it binds to the bytes and, without the salt, tells nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Commitment(pub Digest);

impl Commitment {
    /// Commits to bytes.
    pub fn new(salt: &Salt, bytes: &[u8]) -> Self {
        Commitment(Digest(Sha256::new().chain_update(salt.bytes()).chain_update(bytes).finalize().into()))
    }
}

impl Leaf {
    /// A leaf from its bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// A leaf's bytes, from an event that was encoded before its time and body were known.
    pub(crate) fn compose(
        time_unix_ms: u64,
        event: &str,
        body: Option<&BodyCommitment>,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let head = format!(r#"{{"schema":{SCHEMA},"time_unix_ms":{time_unix_ms},"event":{event}"#);
        let mut bytes = head.into_bytes();
        if let Some(body) = body {
            bytes.extend(br#","body":"#);
            serde_json::to_writer(&mut bytes, body)?;
        }
        bytes.push(b'}');
        Ok(bytes)
    }
}

impl Event {
    /// The event's kind, as in its JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Event::Genesis { .. } => "genesis",
            Event::Start { .. } => "start",
            Event::Intent(_) => "intent",
            Event::Block(_) => "block",
            Event::Result(_) => "result",
            Event::Refusal(_) => "refusal",
            Event::Login(_) => "login",
            Event::Decision(_) => "decision",
            Event::Check(_) => "check",
            Event::Administration { .. } => "administration",
            Event::Recovered { .. } => "recovered",
            Event::Erasure(_) => "erasure",
            Event::Model(_) => "model",
            Event::Policy(_) => "policy",
            Event::Replay { .. } => "replay",
            Event::Posture { .. } => "posture",
            Event::Lookup(_) => "lookup",
            Event::Witness { .. } => "witness",
        }
    }

    /// The record that the event names.
    pub fn record(&self) -> Option<u64> {
        match self {
            Event::Block(block) => Some(block.record),
            Event::Result(result) => Some(result.record),
            Event::Replay { record, .. } => Some(*record),
            Event::Decision(decision) => Some(decision.record),
            Event::Check(check) => Some(check.record),
            _ => None,
        }
    }
}

impl Choice {
    /// All of them.
    pub const ALL: [Choice; 5] =
        [Choice::Shown, Choice::Accepted, Choice::PartlyAccepted, Choice::EditedAfter, Choice::Rejected];

    /// As in a leaf.
    pub fn name(self) -> &'static str {
        match self {
            Choice::Shown => "shown",
            Choice::Accepted => "accepted",
            Choice::PartlyAccepted => "partly_accepted",
            Choice::EditedAfter => "edited_after",
            Choice::Rejected => "rejected",
        }
    }

    /// Whether something of the answer was taken over.
    pub fn takes_over(self) -> bool {
        matches!(self, Choice::Accepted | Choice::PartlyAccepted | Choice::EditedAfter)
    }
}

impl Decision {
    /// What of it contradicts itself, if anything.
    pub fn contradiction(&self) -> Option<&'static str> {
        if !self.choice.takes_over() && self.accepted_bytes.is_some_and(|bytes| bytes > 0) {
            return Some("`accepted_bytes` is not 0, though nothing was taken over");
        }
        None
    }
}

impl Check {
    /// What of it contradicts itself, if anything.
    fn contradiction(&self) -> Option<&'static str> {
        (self.outcome == CheckOutcome::Passed && self.errors > 0).then_some("it passed with errors")
    }
}

impl Login {
    /// What of it contradicts itself, if anything.
    fn contradiction(&self) -> Option<&'static str> {
        match self.outcome {
            _ if self.count == 0 => Some("it stands for no attempt"),
            LoginOutcome::Accepted if self.identity.is_none() => Some("nobody in particular was let in"),
            _ => None,
        }
    }
}

impl Event {
    /// What of it contradicts itself, if anything.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        match self {
            Event::Login(login) => login.contradiction(),
            Event::Decision(decision) => decision.contradiction(),
            Event::Check(check) => check.contradiction(),
            _ => None,
        }
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha384:{}", protocol::digest::hex(&self.0))
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ContentDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("sha384:").and_then(protocol::digest::unhex);
        let bytes = digits.and_then(|digits| digits.try_into().ok());
        bytes.map(ContentDigest).ok_or_else(|| serde::de::Error::custom("not a SHA-384 digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_as_serde_would() {
        let digest = Digest([1; 32]);
        let salt = Salt::from([2; 16]);
        let event = Event::Result(Box::new(ResultLeaf {
            record: 7,
            outcome: Outcome::Answered,
            detail: String::new(),
            stop: Some(Stop::StopString(2)),
            output: Commitment::new(&salt, b"text"),
            answer_tokens: 9,
            prompt_tokens_cached: 0,
            times: Times::default(),
            fingerprints: digest,
        }));
        for body in [None, Some(BodyCommitment { digest, bytes: 3, content: ContentDigest([3; 48]) })] {
            let text = serde_json::to_string(&event).unwrap();
            let composed = Leaf::compose(5, &text, body.as_ref()).unwrap();
            let leaf = Leaf { schema: SCHEMA, time_unix_ms: 5, event: event.clone(), body };
            assert_eq!(composed, serde_json::to_vec(&leaf).unwrap());
            assert_eq!(Leaf::parse(&composed).unwrap(), leaf);
        }
        assert!(serde_json::to_string(&event).unwrap().starts_with(r#"{"kind":"result","record":7"#));
    }

    /// As leaves were before upstream engines, and with one.
    #[test]
    fn intents_with_weights_and_without() {
        let head = r#"{"identity":"ada","credential":"uid:1","labels":[],"policy":"sha256:D","action":"chat","dialect":"t","deployment":"d","#;
        let tail = r#""template":"sha256:D","engine_build":"sha256:D","cpu_level":"","cpu_features":"","llama_version":"","profile":"reproducible","reproducible":true,"sampling":{"temperature":0.0,"top_k":0,"top_p":1.0,"min_p":0.0,"seed":0},"tokens_max":1,"stop_strings":0,"predict_ms_max":null,"prompt_tokens":1,"prompt":"sha256:D","context":"sha256:D"}"#;
        let upstream = r#""upstream":{"socket":"/s","server":"b1","model":"m"},"#;
        for source in [r#""model":"sha256:D","#, upstream] {
            let text = format!("{head}{source}{tail}").replace('D', &"0".repeat(64));
            let intent: Intent = serde_json::from_str(&text).unwrap();
            assert_eq!(intent.model.is_some(), intent.upstream.is_none());
            assert_eq!(serde_json::to_string(&intent).unwrap(), text);
        }
    }

    fn approval() -> Approval {
        let key = include_str!("../../approval/tests/ada.pub").parse().unwrap();
        Approval { person: String::new(), key, signature: String::new() }
    }

    /// One of each kind, nothing left out. A new kind is added here, and to docs/ledger.md.
    fn one_of_each() -> Vec<Event> {
        let digest = Digest([1; 32]);
        let commitment = Commitment(digest);
        let clock = Some(ClockState::default());
        let text = String::new;
        let upstream = Upstream { socket: text(), server: text(), model: text() };
        vec![
            Event::Genesis { origin: text(), verifier: text(), software: text(), clock },
            Event::Start { software: text(), clock },
            Event::Intent(Box::new(Intent {
                identity: text(),
                credential: text(),
                labels: Vec::new(),
                policy: digest,
                action: text(),
                dialect: text(),
                deployment: text(),
                repository: Some(text()),
                path: Some(text()),
                model: Some(digest),
                upstream: Some(upstream),
                template: digest,
                engine_build: digest,
                lock: Some(digest),
                cpu_level: text(),
                cpu_features: text(),
                llama_version: text(),
                profile: text(),
                reproducible: false,
                sampling: Sampling::GREEDY,
                tokens_max: 0,
                stop_strings: 0,
                predict_ms_max: None,
                prompt_tokens: 0,
                prompt: commitment,
                context: commitment,
            })),
            Event::Block(Block { record: 0, number: 0, output: commitment, output_bytes: 0 }),
            Event::Result(Box::new(ResultLeaf {
                record: 0,
                outcome: Outcome::Failed,
                detail: text(),
                stop: None,
                output: commitment,
                answer_tokens: 0,
                prompt_tokens_cached: 0,
                times: Times::default(),
                fingerprints: digest,
            })),
            Event::Refusal(Refusal {
                identity: None,
                dialect: text(),
                reason: text(),
                count: 0,
                action: Some(text()),
                policy: Some(digest),
                rule: Some(text()),
            }),
            Event::Login(Login {
                identity: None,
                credential: text(),
                surface: text(),
                outcome: LoginOutcome::Refused,
                reason: text(),
                count: 1,
            }),
            Event::Decision(Box::new(Decision {
                record: 0,
                identity: text(),
                credential: text(),
                choice: Choice::Shown,
                accepted_bytes: Some(0),
                path: Some(text()),
                digest_before: Some(digest),
                digest_after: Some(digest),
                client: Some(text()),
            })),
            Event::Check(Box::new(Check {
                record: 0,
                checker: text(),
                version: text(),
                command: Vec::new(),
                outcome: CheckOutcome::NotRun,
                errors: 0,
                warnings: 0,
                notes: 0,
                diagnostics: commitment,
            })),
            Event::Administration { actor: text(), action: text(), subject: text(), detail: text() },
            Event::Recovered { file: text(), offset: 0, bytes: 0, digest, set_aside: text() },
            Event::Erasure(Box::new(Erasure { leaves: Vec::new(), reason: text(), approvals: Vec::new() })),
            Event::Model(Box::new(Admission {
                actor: text(),
                step: crate::admission::Step::Promoted,
                object: Some(digest),
                title: text(),
                weights: Some(digest),
                signer: Some(text()),
                alias: Some(text()),
                lock: Some(digest),
                detail: text(),
                approvals: vec![approval()],
            })),
            Event::Policy(Box::new(PolicyChange {
                actor: text(),
                after: 0,
                before: Some(digest),
                files: Some(digest),
                policy: digest,
                approvals: vec![approval()],
            })),
            Event::Witness { size: 0, root: digest, witnesses: Vec::new() },
            Event::Lookup(Box::new(Lookup {
                identity: text(),
                credential: text(),
                labels: Vec::new(),
                policy: digest,
                action: text(),
                shown: 0,
            })),
            Event::Replay { record: 0, outcome: ReplayOutcome::Same, detail: text() },
            Event::Posture { occasion: text(), passed: 0, failed: 0, untried: 0, clock },
        ]
    }

    /// docs/ledger.md has a section for each kind and a row for each of its fields, and no other.
    #[test]
    fn the_documentation_has_every_kind_and_field() {
        let document = include_str!("../../../docs/ledger.md");
        // serde names all variants of the enum when it is shown one that is none.
        let error = serde_json::from_str::<Event>(r#"{"kind":"none of them"}"#).unwrap_err().to_string();
        let named = error.split_once("expected one of ").unwrap().1;
        let mut kinds: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        let events = one_of_each();
        let mut sampled: Vec<&str> = events.iter().map(Event::kind).collect();
        kinds.sort_unstable();
        sampled.sort_unstable();
        assert_eq!(kinds, sampled, "a kind has no sample in this test");
        for event in &events {
            let heading = format!("### `{}`\n", event.kind());
            let section = document.split_once(&heading).unwrap_or_else(|| panic!("no section {heading}")).1;
            let section = section.split("\n#").next().unwrap();
            let mut documented: Vec<&str> =
                section.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
            let value = serde_json::to_value(event).unwrap();
            let mut fields: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
            fields.retain(|field| *field != "kind");
            fields.sort_unstable();
            documented.sort_unstable();
            assert_eq!(documented, fields, "docs/ledger.md, {}", event.kind());
            assert_eq!(serde_json::from_value::<Event>(value).unwrap(), *event);
        }
        assert_eq!(document.matches("\n### `").count(), events.len(), "docs/ledger.md has a kind too many");
    }

    /// As leaves were before there was a clock in them.
    #[test]
    fn leaves_without_a_clock() {
        let posture = r#"{"kind":"posture","occasion":"start","passed":1,"failed":0,"untried":0}"#;
        let genesis = r#"{"kind":"genesis","origin":"o","verifier":"v","software":"s"}"#;
        for text in [posture, genesis] {
            let event: Event = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
        }
    }

    #[test]
    fn erasures_are_read_as_they_are_written() {
        let leaves = vec![
            ErasedLeaf { index: 7, hash: Digest([1; 32]) },
            ErasedLeaf { index: 9, hash: Digest([2; 32]) },
        ];
        let text = Erasure::text("site/log", &leaves, "spillage");
        assert_eq!(Erasure::parse_text("site/log", &text), Some((leaves, "spillage".to_owned())));
        assert_eq!(Erasure::parse_text("other/log", &text), None);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            if let Some((leaves, reason)) = Erasure::parse_text("site/log", &changed) {
                assert_eq!(Erasure::text("site/log", &leaves, &reason), changed);
            }
        }
    }

    #[test]
    fn a_commitment_is_the_digest_of_salt_and_bytes() {
        let expected: [u8; 32] = Sha256::digest([[2; 16].as_slice(), b"text"].concat()).into();
        assert_eq!(Commitment::new(&Salt::from([2; 16]), b"text").0.0, expected);
    }
}
