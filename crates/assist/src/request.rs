//! What a client asks, free of any dialect.

use identity::Credential;
use languages::Language;
use protocol::worker::{Sampling, Until};

use crate::{ToolCall, Tools};

/// One request, as a surface hands it in.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who says they ask.
    pub credential: Credential,
    /// Which surface and dialect it came by, as `openai.chat`; for the record.
    pub dialect: &'static str,
    /// The deployment's alias; `None` takes the first.
    pub deployment: Option<String>,
    /// What is asked.
    pub ask: Ask,
    /// How to answer.
    pub parameters: Parameters,
    /// What it is about, for the record, and for finding context.
    pub subject: Subject,
    /// Whether what the team knows may go into the prompt.
    pub context: bool,
    /// Whether compilers look at the answer; whoever says no has it looked at otherwise.
    pub check: bool,
}

/// What the client says a request is about. It goes into the leaf, which is not encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The repository: its origin, or the name of its directory.
    pub repository: Option<String>,
    /// The file, from the repository's root.
    pub path: Option<String>,
}

/// What is asked.
#[derive(Clone, PartialEq)]
pub enum Ask {
    /// A conversation, rendered with the deployment's own template.
    Chat {
        /// In order, at least one.
        messages: Vec<Message>,
        /// What the model may ask to be done.
        tools: Tools,
    },
    /// Text to go on from. Special tokens spelled in it are those tokens: raw fill-in-the-middle
    /// prompts come this way.
    Complete {
        /// The text.
        prompt: String,
    },
    /// A hole to fill.
    Fill {
        /// Text before the hole.
        prefix: String,
        /// Text behind the hole.
        suffix: String,
        /// Other files' text that belongs in the context, oldest first.
        extra: Vec<Extra>,
    },
}

/// The prompts are a person's own words: never in a log line.
impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ask::Chat { .. } => "Chat(…)",
            Ask::Complete { .. } => "Complete(…)",
            Ask::Fill { .. } => "Fill(…)",
        })
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: String,
    /// What an assistant asked to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool's result is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A text.
    pub fn new(role: Role, content: impl Into<String>) -> Message {
        Message { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None }
    }

    /// What came of a call.
    pub fn result(tool_call_id: String, content: String) -> Message {
        Message { tool_call_id: Some(tool_call_id), ..Message::new(Role::Tool, content) }
    }
}

/// Who speaks in a conversation. A closed list: a template takes a role as its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sets the conversation's rules.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool that the model asked for.
    Tool,
}

impl Role {
    /// As templates and clients know it.
    pub fn text(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }
}

/// Text of another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Its name, as the client gives it.
    pub file_name: String,
    /// Its text.
    pub text: String,
}

/// How to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens of the answer at most; `None` takes the deployment's limit.
    pub tokens_max: Option<u32>,
    /// The answer ends before the first of these.
    pub stop: Vec<String>,
    /// Milliseconds the generation may take after the prompt; `None` has no limit.
    pub predict_ms_max: Option<u32>,
    /// How far the answer goes.
    pub until: Until,
    /// A JSON Schema, as text: the answer is a value that it admits, or the beginning of one where it is cut off.
    pub json_schema: Option<String>,
    /// The language whose syntax the answer goes on in, where the engine knows it; of holes and texts that go on only, whose
    /// text before must be all of the file that stands there. Not beside `json_schema`.
    pub syntax: Option<Language>,
}
