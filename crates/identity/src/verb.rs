//! What can be done, and to what, as policies name it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Have a text completed, or a hole filled.
    Complete,
    /// Ask in words.
    Chat,
    /// Have code written, checked and mended.
    Generate,
    /// Find passages of a source.
    SearchSource,
    /// Read a source, or have an answer made with it.
    ReadSource,
    /// See what a text has in common with a corpus.
    Trace,
    /// Read prompt and answer of a record.
    ReadRecord,
    /// Search for words in everybody's prompts and answers.
    SearchRecords,
    /// See lists and states.
    Inspect,
    /// See leaves, without their bodies.
    QueryLedger,
    /// Take leaves along, without their bodies.
    Export,
    /// Run an administration command that changes something.
    Administer,
    /// Take a step of a model's way into the vault.
    AdmitModel,
    /// Have a model serve, or serve no more.
    Deploy,
    /// Install another policy.
    ChangePolicy,
    /// Erase bodies.
    Erase,
    /// Approve what needs approval.
    Approve,
}

/// There is no such action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no action `{0}`; the schema lists them: `cloisterd policy show --schema`")]
pub struct NoVerb(String);

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 17] = [
        Verb::Complete,
        Verb::Chat,
        Verb::Generate,
        Verb::SearchSource,
        Verb::ReadSource,
        Verb::Trace,
        Verb::ReadRecord,
        Verb::SearchRecords,
        Verb::Inspect,
        Verb::QueryLedger,
        Verb::Export,
        Verb::Administer,
        Verb::AdmitModel,
        Verb::Deploy,
        Verb::ChangePolicy,
        Verb::Erase,
        Verb::Approve,
    ];

    /// As the schema names it.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Complete => "complete",
            Verb::Chat => "chat",
            Verb::Generate => "generate",
            Verb::SearchSource => "search-source",
            Verb::ReadSource => "read-source",
            Verb::Trace => "trace",
            Verb::ReadRecord => "read-record",
            Verb::SearchRecords => "search-records",
            Verb::Inspect => "inspect",
            Verb::QueryLedger => "query-ledger",
            Verb::Export => "export",
            Verb::Administer => "administer",
            Verb::AdmitModel => "admit-model",
            Verb::Deploy => "deploy",
            Verb::ChangePolicy => "change-policy",
            Verb::Erase => "erase",
            Verb::Approve => "approve",
        }
    }

    /// The group of actions it is in, if any.
    pub(crate) fn group(self) -> Option<&'static str> {
        match self {
            Verb::Complete | Verb::Chat | Verb::Generate => Some("use"),
            Verb::SearchSource | Verb::ReadSource | Verb::Trace => Some("read"),
            Verb::Inspect | Verb::QueryLedger | Verb::Export => Some("see"),
            Verb::Administer
            | Verb::AdmitModel
            | Verb::Deploy
            | Verb::ChangePolicy
            | Verb::Erase
            | Verb::Approve => Some("change"),
            Verb::ReadRecord | Verb::SearchRecords => None,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Verb {
    type Err = NoVerb;

    fn from_str(name: &str) -> Result<Verb, NoVerb> {
        let found = Verb::ALL.into_iter().find(|verb| verb.name() == name);
        found.ok_or_else(|| NoVerb(name.escape_debug().to_string()))
    }
}

/// What it is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A deployment.
    Deployment {
        /// Its alias.
        alias: String,
    },
    /// A source of local context.
    Source {
        /// Its name.
        name: String,
        /// Groups and persons who may; `everyone` for all.
        readers: Vec<String>,
    },
    /// A corpus of known code.
    Corpus {
        /// Its name.
        name: String,
        /// Groups and persons who may; `everyone` for all.
        readers: Vec<String>,
    },
    /// A record.
    Record {
        /// Its number.
        number: u64,
        /// Who asked; empty where nobody did.
        owner: String,
    },
    /// The server.
    Server,
}
