//! Corpora of known code: what the supervisor, the gateway, and who builds them tell each other.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The version of what a builder is asked.
pub const VERSION: u32 = 1;

/// Corpora at most.
pub const CORPORA_MAX: usize = 256;

/// Sources of one corpus at most.
pub const SOURCES_MAX: usize = 4096;

/// Bytes of a builder's message at most.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A corpus, as the gateway is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusFacts {
    /// Its name, unique on this server.
    pub name: String,
    /// Its folder's name, in the corpus's own.
    pub folder: String,
    /// The digest that it was taken in by; another one is refused.
    pub root: Digest,
    /// Groups and persons who may see what of it matches; [`EVERYONE`](crate::context::EVERYONE) for all.
    pub readers: Vec<String>,
    /// Labels that everything of it carries.
    pub labels: Vec<String>,
}

/// What a site does about text that matches known code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What is done where no rule applies.
    pub action: Action,
    /// Lexemes of a match from which on anything but annotating is done.
    pub lexemes_min: u32,
    /// The first that applies decides.
    pub rules: Vec<Rule>,
}

/// What is done about a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is named beside the answer.
    #[default]
    Annotate,
    /// It is named as something to look at.
    Warn,
    /// The answer is withheld, and the match named.
    Block,
}

/// When something else is done. What is not given does not matter; all that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Identifiers of SPDX, such as `GPL-3.0-only`, or beginnings of them with a star, such as `GPL-*`; `unknown` and
    /// `conflict`. An origin is hit when its licence cannot be kept without one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<String>,
    /// Names of corpora.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corpora: Vec<String>,
    /// Names of repositories that the answer is meant for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Lexemes of the match; [`Policy::lexemes_min`] otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lexemes_min: Option<u32>,
    /// What is done.
    pub action: Action,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { action: Action::Annotate, lexemes_min: 65, rules: Vec::new() }
    }
}

impl Policy {
    /// Whether any answer could be withheld.
    pub fn may_block(&self) -> bool {
        self.action == Action::Block || self.rules.iter().any(|rule| rule.action == Action::Block)
    }
}

/// What a builder is to do: its first and only message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRequest {
    /// [`VERSION`].
    pub version: u32,
    /// Who asks, and must outlive it.
    pub parent_pid: u32,
    /// Names of what its jail may go without, where the kernel lacks it.
    pub accept: Vec<String>,
    /// The corpus's name.
    pub name: String,
    /// Absolute paths of repositories, folders and archives, or of segments that are merged.
    pub sources: Vec<Vec<u8>>,
    /// Whether the sources are segments.
    pub merge: bool,
    /// An empty folder that the segment is made in: an absolute path.
    pub building: Vec<u8>,
}

/// What it answers: any number of the first sorts, then one of the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildAnswer {
    /// The jail goes without something that was accepted.
    Weakened {
        /// What, in words.
        warning: String,
    },
    /// How far it is.
    Progress {
        /// The source that is read, counted from 0.
        source: u32,
        /// Files so far, of all.
        files: u64,
        /// Bytes so far, of all.
        bytes: u64,
    },
    /// Files of a source that are in no corpus.
    LeftOut {
        /// The source, counted from 0.
        source: u32,
        /// Why.
        reason: String,
        /// How many.
        files: u64,
    },
    /// The segment is in the folder.
    Done {
        /// Its digest.
        root: Digest,
        /// Files in it, each with its bytes once.
        documents: u64,
        /// Bytes of these.
        bytes: u64,
    },
    /// Why there is none.
    Failed {
        /// On one line.
        reason: String,
    },
}
