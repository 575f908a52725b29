//! Gateway and engine worker. Whoever starts the worker says [`WorkerSettings`] and [`ToWorker::Hello`], in the version
//! that its program speaks, and hands the socket to the gateway; the worker answers [`FromWorker::Ready`] once the model
//! is loaded. One gateway connection a worker's life: when it ends, the worker stops every generation and exits.
//!
//! A worker speaks one version. A daemon speaks all from [`OLDEST`] on, since engines that a vault kept run old records
//! again: what a version changes is written out for those before it.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::frame::{self, FrameError};
use crate::ids::GenerationId;

/// The version of this conversation.
///
/// 7: [`WorkerSettings`] name a device.
/// 8: [`Generate`] has a schema.
/// 9: [`Generate`] has a syntax.
pub const VERSION: u32 = 9;

/// The oldest version that a daemon speaks.
pub const OLDEST: u32 = 6;

/// Stands in every worker's program, so that its version is known before it runs. Programs without it speak version 6.
pub const MARK: &str = "cloister worker protocol 9;";

/// A token's number in the model's vocabulary.
pub type Token = i32;

/// From the gateway to the worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// First message, from whoever starts the worker.
    Hello {
        /// The worker's.
        version: u32,
    },
    /// Asks for the tokens of texts; answered by [`FromWorker::Tokenized`].
    Tokenize {
        /// Repeated in the answer.
        id: GenerationId,
        /// Each text's parts, joined in order.
        texts: Vec<Vec<Part>>,
    },
    /// Asks how tokens are spelled; answered by [`FromWorker::Spelled`].
    Spell {
        /// Repeated in the answer.
        id: GenerationId,
        /// Each text's tokens.
        texts: Vec<Vec<Token>>,
    },
    /// Starts a generation.
    Generate(Box<Generate>),
    /// Allows that many more tokens of a generation to be sent.
    Credit {
        /// Which generation.
        id: GenerationId,
        /// Tokens allowed beyond those allowed before.
        tokens: u32,
    },
    /// Stops a generation before its next token; answered by [`FromWorker::Done`] with
    /// [`Stop::Cancelled`] unless it had ended already.
    Cancel {
        /// Which generation.
        id: GenerationId,
    },
}

impl ToWorker {
    /// The message's frame, as that version has it; `None` where it has no words for it.
    pub fn frame(&self, version: u32) -> Option<Result<Vec<u8>, FrameError>> {
        let ToWorker::Generate(generate) = self else { return Some(frame::encode(self)) };
        // What a version has no field for is one byte where it is absent, and the last.
        let beyond = [(8, generate.json_schema.is_some()), (9, generate.syntax.is_some())];
        let beyond = beyond.into_iter().filter(|(since, _)| version < *since);
        let unknown = beyond.clone().count();
        if beyond.into_iter().any(|(_, is_there)| is_there) {
            return None;
        }
        let shorter = |frame: Vec<u8>| {
            let payload = frame.get(frame::HEADER_BYTES..frame.len() - unknown).unwrap_or_default();
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            [&length.to_le_bytes()[..], payload].concat()
        };
        Some(frame::encode(self).map(shorter))
    }
}

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Part {
    /// Text a person wrote: special tokens spelled in it stay ordinary text.
    Text(String),
    /// Text of a template: special tokens spelled in it are those tokens.
    Template(String),
    /// A token by number.
    Token(Token),
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// Chosen by the gateway, never reused on this connection.
    pub id: GenerationId,
    /// Token-exact prompt, not empty.
    pub prompt: Vec<Token>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// At most that many tokens are generated; 0 evaluates the prompt only.
    pub tokens_max: u32,
    /// The text ends before the first of these (each not empty).
    pub stop: Vec<String>,
    /// Time allowed for generation after the prompt's evaluation, in milliseconds; `None` has no limit.
    pub predict_ms_max: Option<u32>,
    /// Ends the text before it would go on for no use.
    pub until: Until,
    /// Whether the prompt's last word may be an unfinished one: then its tokens are chosen again, among those
    /// that spell what the prompt says or go on from it. The text begins behind what the prompt says.
    pub heal: bool,
    /// KV entries are reused only between generations of the same scope (person and label set).
    pub cache_scope: Digest,
    /// Turns are shared out fairly between these.
    pub person: Digest,
    /// What goes first.
    pub class: Class,
    /// Whether [`FromWorker::Done`] shall tell the rows of logits, for tests of reproducibility.
    pub digest_rows: bool,
    /// Tokens that may be sent before the first [`ToWorker::Credit`].
    pub credit: u32,
    /// The text is a value that this JSON Schema admits, or the beginning of one where it is cut off: tokens that do not
    /// go on so are not chosen. Not together with `heal`. What workers of version 7 read ends before it.
    pub json_schema: Option<String>,
    /// The text goes on as a language's syntax allows. Not together with `json_schema`. What workers of version 8 read ends
    /// before it.
    pub syntax: Option<Syntax>,
}

/// A language's syntax, and where in a text an answer begins.
///
/// Worker and model need not obey it to the end: a text that is not of the language as the worker knows it, before or where
/// it no longer can be, goes on as the model writes it. What the compiler says is what counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syntax {
    /// `ada` or `vhdl`; any other is refused.
    pub language: String,
    /// The text from its file's beginning to where the answer goes on.
    pub before: String,
}

/// What goes first where not everything can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Somebody waits for it while typing.
    Completion,
    /// Everything else.
    Chat,
}

/// How far a text goes at most, beside its limits and stop strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// As far as the model writes.
    #[default]
    End,
    /// To the end of the first line that has more than blanks.
    Line,
    /// To the end of the last line before one that is indented less.
    Block {
        /// Blanks at the beginning of a line that belongs to the block, at least.
        indent: u32,
    },
}

/// How the next token is chosen: filters in the order top-k, top-p, min-p, then temperature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 is greedy: the highest logit, the lowest token number among equals.
    pub temperature: f32,
    /// Keep that many tokens of highest probability; 0 keeps all.
    pub top_k: u32,
    /// Keep the fewest tokens whose probabilities add up to this; 1 keeps all.
    pub top_p: f32,
    /// Drop tokens below this share of the highest probability; 0 drops none.
    pub min_p: f32,
    /// The draw at step `n` depends on the seed and `n` alone.
    pub seed: u64,
}

impl Sampling {
    /// The highest logit always.
    pub const GREEDY: Sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 0 };
}

/// From the worker to the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The model is loaded.
    Ready(Box<Ready>),
    /// Answer to [`ToWorker::Tokenize`].
    Tokenized {
        /// As asked.
        id: GenerationId,
        /// Each text's tokens.
        tokens: Vec<Vec<Token>>,
    },
    /// Answer to [`ToWorker::Spell`].
    Spelled {
        /// As asked.
        id: GenerationId,
        /// Each text's bytes, special tokens spelled out. They may begin or end inside a character.
        texts: Vec<Vec<u8>>,
    },
    /// The generation waits. Sent when that changes, too.
    Queued {
        /// Which generation.
        id: GenerationId,
        /// Others that go before it, as things stand.
        ahead: u32,
    },
    /// The prompt's evaluation began: the generation left the queue.
    Started {
        /// Which generation.
        id: GenerationId,
        /// Tokens of the prompt whose KV entries were reused.
        prompt_tokens_cached: u32,
    },
    /// More text. Bytes are whole UTF-8 sequences, and never part of a stop string.
    Text {
        /// Which generation.
        id: GenerationId,
        /// Tokens chosen since the last message, whether or not their text is released yet.
        tokens: Vec<Token>,
        /// Text released.
        text: String,
    },
    /// A generation ended. Last message of its id.
    Done {
        /// Which generation.
        id: GenerationId,
        /// Why it ended.
        stop: Stop,
        /// Times, in microseconds.
        times: Times,
        /// SHA-256 of all rows of logits that tokens were chosen from, as bytes, where that was asked for.
        rows: Option<Digest>,
        /// What speculation did.
        drafts: Drafts,
    },
    /// A request could not be served. Last message of its id.
    Failed {
        /// Which generation or tokenization.
        id: GenerationId,
        /// What was wrong.
        error: Failure,
    },
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model's end-of-generation token.
    EndOfText,
    /// One of the stop strings, by its index in [`Generate::stop`].
    StopString(u32),
    /// The line or block of [`Generate::until`] is complete.
    Until,
    /// [`Generate::tokens_max`] was reached.
    TokensMax,
    /// The sequence's context is full.
    ContextFull,
    /// [`Generate::predict_ms_max`] has passed.
    Deadline,
    /// [`ToWorker::Cancel`].
    Cancelled,
}

/// Where the time of a generation went, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Waiting for a sequence slot.
    pub queued_us: u64,
    /// Evaluating the prompt.
    pub prompt_us: u64,
    /// Generating.
    pub predict_us: u64,
}

/// Tokens that were guessed and evaluated together with the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drafts {
    /// Guessed.
    pub proposed: u32,
    /// Of those, chosen.
    pub accepted: u32,
}

/// Why the worker could not serve a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Failure {
    /// The prompt does not fit.
    #[error("the prompt has {tokens} tokens; this deployment's context holds {tokens_max}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: u32,
        /// Tokens a sequence can hold, prompt and answer together, less one.
        tokens_max: u32,
    },
    /// A field is out of its range.
    #[error("{0}")]
    Invalid(String),
    /// Too many generations wait.
    #[error("the engine's queue is full: {waiting} requests wait; try again in {retry_after_s} s")]
    QueueFull {
        /// As many.
        waiting: u32,
        /// When a place is likely to be free, by the requests that ended lately.
        retry_after_s: u32,
    },
    /// llama.cpp reported an error.
    #[error("the engine failed: {0}")]
    Engine(String),
}

/// What a step costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCost {
    /// Tokens evaluated together, of one sequence.
    pub tokens: u32,
    /// Microseconds it took, at best.
    pub us: u32,
}

/// What the worker is and has loaded. Goes into every record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The worker's version.
    pub version: u32,
    /// The profile, with the settings that make it.
    pub profile: EngineProfile,
    /// Whether the profile is reproducible and every operation of this model ran in a kernel that is.
    pub reproducible: bool,
    /// The features of this CPU that the build can use, as `AVX2 FMA …`, in the engine's own words; on a GPU also its
    /// name and the version of its driver.
    pub cpu_features: String,
    /// The CPU level the worker was compiled for, as `x86-64-v3`.
    pub cpu_level: String,
    /// The version of llama.cpp, in its own words.
    pub llama_version: String,
    /// Tokens a sequence can hold, prompt and answer together.
    pub context_tokens: u32,
    /// Tokens of context the model was trained for.
    pub trained_context_tokens: u32,
    /// Sequences that run at once.
    pub slots: u32,
    /// Size of the vocabulary.
    pub vocabulary: u32,
    /// What steps of several tokens cost, as measured at start; speculation goes by it.
    pub step_costs: Vec<StepCost>,
    /// Fill-in-the-middle tokens; `None` for a model that has none.
    pub fill: Option<FillTokens>,
    /// Put before every prompt, where the model wants it.
    pub begin_of_text: Option<Token>,
    /// End-of-text token's spelling and begin-of-text token's, for templates.
    pub end_of_text_spelling: String,
    /// See `end_of_text_spelling`.
    pub begin_of_text_spelling: String,
    /// What the GGUF says of itself.
    pub model: ModelFacts,
    /// Names of what the worker's jail goes without, as it found when it was applied; empty for a whole one.
    pub weaker: Vec<String>,
}

/// What a GGUF says of itself, read in the worker's jail by our own reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`, or empty.
    pub name: String,
    /// The chat template's text, or `None`.
    pub chat_template: Option<String>,
}

/// Tokens of fill-in-the-middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillTokens {
    /// Before the text ahead of the hole.
    pub prefix: Token,
    /// Before the text behind the hole.
    pub suffix: Token,
    /// After both: the model writes the hole's text from here.
    pub middle: Token,
    /// Before a repository's name, where the model has it.
    pub repository: Option<Token>,
    /// Between files, where the model has it.
    pub file: Option<Token>,
}

/// The arithmetic a worker runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineProfile {
    /// No kernel whose result depends on the batch runs: the same prompt gives the same bits alone or
    /// in company, cached or not.
    Reproducible,
    /// llama.cpp's own choices. Records say `reproducible: no`.
    Fast,
}

/// Where a worker computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// On the processor, and nowhere else.
    #[default]
    Cpu,
    /// On the machine's NVIDIA GPUs: all layers, or nothing is served.
    Gpu,
}

impl Device {
    /// Why that profile cannot be had on it. The GPU's kernels sum in an order that depends on the batch
    /// (BENCHMARKS.md), so what they answer may be called reproducible nowhere.
    pub fn refuses(self, profile: EngineProfile) -> Option<&'static str> {
        (self == Device::Gpu && profile == EngineProfile::Reproducible).then_some(
            "the profile `reproducible` cannot be had on a GPU, whose kernels answer otherwise in other company: \
             set profile = \"fast\", and every record says so",
        )
    }
}

/// What the worker is told on its command line's place: the first frame the supervisor sends, before
/// the gateway's conversation begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// [`VERSION`].
    pub version: u32,
    /// The supervisor's process: the worker dies with it.
    pub supervisor_pid: u32,
    /// Arithmetic.
    pub profile: EngineProfile,
    /// Where it is done.
    pub device: Device,
    /// Tokens a sequence can hold.
    pub context_tokens: u32,
    /// Sequences that run at once.
    pub slots: u32,
    /// Generations that may wait for a slot.
    pub queue_max: u32,
    /// Threads for arithmetic.
    pub threads: u32,
    /// Memory for KV entries of sequences that gave their place to others, in bytes.
    pub kept_bytes_max: u64,
    /// When to guess tokens.
    pub speculation: Speculation,
    /// Names of what its jail may go without, where the kernel lacks it.
    pub accept: Vec<String>,
}

impl WorkerSettings {
    /// Their frame, as that version has it; `None` where it has no words for them.
    pub fn frame(&self, version: u32) -> Option<Result<Vec<u8>, FrameError>> {
        match version {
            7..=VERSION => Some(frame::encode(&WorkerSettings { version, ..self.clone() })),
            6 if self.device == Device::Cpu => {
                let WorkerSettings { supervisor_pid, profile, context_tokens, slots, .. } = self;
                let WorkerSettings { queue_max, threads, kept_bytes_max, speculation, accept, .. } = self;
                let first = (version, supervisor_pid, profile, context_tokens, slots);
                Some(frame::encode(&(first, (queue_max, threads, kept_bytes_max, speculation, accept))))
            }
            _ => None,
        }
    }
}

/// When tokens are guessed from what stands in the prompt already, and evaluated together with the one
/// before. The answer is the same either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speculation {
    /// Where it pays, by the costs measured at start and by how often guesses were right.
    #[default]
    Measured,
    /// Never.
    Off,
    /// As often and as far as possible: for tests.
    Always,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_says_the_version() {
        assert_eq!(MARK, format!("cloister worker protocol {VERSION};"));
    }

    /// What older workers read is what newer ones do, less the last bytes.
    #[test]
    fn generations_of_older_versions() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Old {
            id: GenerationId,
            prompt: Vec<Token>,
            sampling: Sampling,
            tokens_max: u32,
            stop: Vec<String>,
            predict_ms_max: Option<u32>,
            until: Until,
            heal: bool,
            cache_scope: Digest,
            person: Digest,
            class: Class,
            digest_rows: bool,
            credit: u32,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        enum OldMessage<T> {
            Hello,
            Tokenize,
            Spell,
            Generate(T),
        }
        let generate = |json_schema, syntax| {
            ToWorker::Generate(Box::new(Generate {
                id: GenerationId(7),
                prompt: vec![1, 300],
                sampling: Sampling::GREEDY,
                tokens_max: 9,
                stop: vec!["x".to_owned()],
                predict_ms_max: None,
                until: Until::Line,
                heal: true,
                cache_scope: Digest([3; 32]),
                person: Digest([4; 32]),
                class: Class::Chat,
                digest_rows: false,
                credit: 256,
                json_schema,
                syntax,
            }))
        };
        let schema = || Some("{}".to_owned());
        let syntax = || Some(Syntax { language: "ada".to_owned(), before: String::new() });
        for version in [6, 7] {
            let frame = generate(None, None).frame(version).unwrap().unwrap();
            let (header, payload) = frame.split_at(frame::HEADER_BYTES);
            assert_eq!(frame::payload_len(header.try_into().unwrap()).unwrap(), payload.len());
            let OldMessage::<Old>::Generate(old) = frame::decode(payload).unwrap() else {
                panic!("{frame:?}")
            };
            assert_eq!((old.id, old.person, old.credit), (GenerationId(7), Digest([4; 32]), 256));
            assert!(generate(schema(), None).frame(version).is_none());
            assert!(generate(None, syntax()).frame(version).is_none());
        }
        let frame = generate(schema(), None).frame(8).unwrap().unwrap();
        let read: OldMessage<(Old, Option<String>)> = frame::decode(&frame[frame::HEADER_BYTES..]).unwrap();
        assert!(matches!(read, OldMessage::Generate((old, of)) if old.credit == 256 && of == schema()));
        assert!(generate(None, syntax()).frame(8).is_none());
        let whole = generate(schema(), syntax()).frame(VERSION).unwrap().unwrap();
        let read: ToWorker = frame::decode(&whole[frame::HEADER_BYTES..]).unwrap();
        assert_eq!(read, generate(schema(), syntax()));
    }

    /// As a daemon of version 6 wrote them.
    #[test]
    fn settings_of_version_6() {
        let settings = WorkerSettings {
            version: VERSION,
            supervisor_pid: 300,
            profile: EngineProfile::Fast,
            device: Device::Cpu,
            context_tokens: 4096,
            slots: 2,
            queue_max: 64,
            threads: 3,
            kept_bytes_max: 1 << 20,
            speculation: Speculation::Off,
            accept: vec!["ab".to_owned()],
        };
        let payload = [6, 0xac, 2, 1, 0x80, 0x20, 2, 64, 3, 0x80, 0x80, 0x40, 1, 1, 2, b'a', b'b'];
        assert_eq!(settings.frame(6).unwrap().unwrap(), [&[17, 0, 0, 0][..], &payload].concat());
        let whole = settings.frame(VERSION).unwrap().unwrap();
        assert_eq!(frame::decode::<WorkerSettings>(&whole[frame::HEADER_BYTES..]).unwrap(), settings);
        assert!(settings.frame(5).is_none() && settings.frame(VERSION + 1).is_none());
        assert!(WorkerSettings { device: Device::Gpu, ..settings }.frame(6).is_none());
    }
}
