//! What a request gets.

use ledger::Receipt;
use protocol::RecordNumber;
use protocol::worker::{Drafts, Stop, Times};
use retrieval::Passage;

use crate::{Check, Provenance};

/// A whole answer. It exists only when its result leaf is durable.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request's record.
    pub record: RecordNumber,
    /// Proof that the result leaf was in the ledger, for the client to keep.
    pub receipt: Receipt,
    /// The deployment's alias.
    pub deployment: String,
    /// The text.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
    /// What it cost.
    pub usage: Usage,
    /// What was found out about it.
    pub findings: Findings,
}

/// What was found out about an answer before it was shown.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Findings {
    /// What compilers say of it.
    pub checks: Vec<Check>,
    /// What it has in common with known code.
    pub provenance: Provenance,
    /// The passages of the team's sources that its prompt had, the most useful first.
    pub sources: Vec<PassagePlace>,
}

/// Where a passage of a source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PassagePlace {
    /// The source's name.
    pub source: String,
    /// The commit; empty of a folder.
    pub commit: String,
    /// The file, from the source's root.
    pub path: String,
    /// The first line, from 1; 0 in a document without lines.
    pub first_line: u32,
    /// The last line.
    pub last_line: u32,
    /// The page, from 1, in a document that has pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

impl PassagePlace {
    pub(crate) fn of(passage: &Passage) -> PassagePlace {
        PassagePlace {
            source: passage.source.clone(),
            commit: passage.revision.clone(),
            path: passage.path.clone(),
            first_line: passage.first_line,
            last_line: passage.last_line,
            page: passage.page,
        }
    }
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those of them whose KV entries were reused.
    pub prompt_tokens_cached: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
    /// Where the time went.
    pub times: Times,
    /// Tokens that were guessed.
    pub drafts: Drafts,
}

/// A streamed answer: blocks, then one end. Each block is durable before it is handed out.
/// Dropping it cancels the generation; the ledger still gets its result leaf.
#[derive(Debug)]
pub struct AnswerStream {
    /// The request's record.
    pub record: RecordNumber,
    /// Proof that the intent leaf was in the ledger, for the client to keep.
    pub receipt: Receipt,
    /// The deployment's alias.
    pub deployment: String,
    pub(crate) events: tokio::sync::mpsc::Receiver<Event>,
}

impl AnswerStream {
    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// One step of a streamed answer.
#[derive(Clone, Debug)]
pub enum Event {
    /// It waits, and that many others go before it.
    Queued(u32),
    /// A block of text, unchecked.
    Block(String),
    /// The end; its result leaf is durable.
    End {
        /// Why it ended.
        stop: Stop,
        /// What it cost.
        usage: Usage,
        /// What was found out about it.
        findings: Findings,
    },
    /// The answer broke off; the blocks before stand in the ledger.
    Broken(crate::Refusal),
}
