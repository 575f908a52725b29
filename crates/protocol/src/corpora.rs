//! Corpora of known code: what the supervisor, the gateway, and who builds them tell each other.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The version of what a builder is asked.
pub const VERSION: u32 = 1;

/// Corpora at most.
pub const CORPORA_MAX: usize = 256;

/// Sources of one corpus at most.
pub const SOURCES_MAX: usize = 4096;

/// The segment's folder, in the one that it is made in.
pub const SEGMENT: &str = "segment";

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
    #[serde(default)]
    pub licences: Vec<String>,
    /// Names of corpora.
    #[serde(default)]
    pub corpora: Vec<String>,
    /// Names of repositories that the answer is meant for.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// Lexemes of the match; [`Policy::lexemes_min`] otherwise.
    #[serde(default)]
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
    /// Whether anything but annotating is ever done.
    pub fn may_warn(&self) -> bool {
        self.action != Action::Annotate || self.rules.iter().any(|rule| rule.action != Action::Annotate)
    }

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
    /// The data directory, all of which but what is granted must be closed to it: an absolute path. There need be none.
    pub data: Option<Vec<u8>>,
    /// What for.
    pub task: BuildTask,
    /// Bytes of the segments that it reads, which are mapped.
    pub mapped_bytes: u64,
    /// Threads that read texts.
    pub threads: u32,
}

/// What a builder is for. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildTask {
    /// Makes a segment of what sources hold.
    Build {
        /// The corpus's name.
        name: String,
        /// Repositories, folders and archives.
        sources: Vec<Vec<u8>>,
        /// An empty folder, in which [`SEGMENT`] is made.
        building: Vec<u8>,
    },
    /// Makes one segment of several.
    Merge {
        /// The corpus's name.
        name: String,
        /// Folders of segments.
        segments: Vec<Vec<u8>>,
        /// An empty folder, in which [`SEGMENT`] is made.
        building: Vec<u8>,
    },
    /// Hashes every file of a segment.
    Verify {
        /// Its folder.
        segment: Vec<u8>,
    },
}

/// What it answers: any number of the first sorts, then one of the last three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuildAnswer {
    /// The jail goes without something that was accepted. First, and only then.
    Weakened {
        /// What, in words.
        warning: String,
    },
    /// How far it is.
    Progress {
        /// The source that is read, counted from 0.
        source: u32,
        /// Files so far, of all sources.
        files: u64,
        /// Bytes so far, of all sources.
        bytes: u64,
    },
    /// A source was read to its end.
    Read {
        /// The source, counted from 0.
        source: u32,
        /// What it is, such as `git:flight-core`.
        package: String,
        /// Its version, as it states it.
        version: Option<String>,
        /// The commit that was read.
        commit: Option<String>,
        /// Files that were taken.
        files: u64,
        /// Files that were not: why, and how many.
        left_out: Vec<(String, u64)>,
    },
    /// All is read; the segment is being sorted and written.
    Writing,
    /// The segment is right.
    Done {
        /// Its digest.
        root: Digest,
        /// Files in it, each with its bytes once.
        documents: u64,
        /// Bytes of these.
        bytes: u64,
    },
    /// The segment that was to be verified is not what was written.
    Damaged {
        /// Each file of it that is not, and what is wrong with it.
        files: Vec<(String, String)>,
    },
    /// Why nothing comes of it.
    Failed {
        /// On one line.
        reason: String,
    },
}
