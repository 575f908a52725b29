//! Sources of local context: what the supervisor, the gateway and the indexer tell each other of them.

use serde::{Deserialize, Serialize};

/// The version of what an indexer is asked.
pub const VERSION: u32 = 1;

/// Sources at most.
pub const SOURCES_MAX: usize = 1000;

/// Bytes of an indexer's message at most.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Everybody who may come in, as a reader of a source.
pub const EVERYONE: &str = "everyone";

/// A source, as far as rights go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Its name, unique on this server.
    pub name: String,
    /// Groups and persons who may read it; [`EVERYONE`] for all.
    pub readers: Vec<String>,
    /// Labels that everything of it carries.
    pub labels: Vec<String>,
    /// The file of it that holds its coding rules, from its root.
    pub rules_file: Option<String>,
}

/// How a source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing was tried yet.
    Waiting,
    /// It is being indexed.
    Indexing {
        /// Files that are done.
        done: u64,
        /// Files that are to be read.
        total: u64,
    },
    /// It is indexed.
    Ready,
    /// It could not be indexed; an index from before still serves.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What an indexer is to do: its first and only message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRequest {
    /// [`VERSION`].
    pub version: u32,
    /// Who asks, and must outlive it.
    pub parent_pid: u32,
    /// Names of what its jail may go without, where the kernel lacks it.
    pub accept: Vec<String>,
    /// The source's folder: an absolute path, in whatever bytes it is.
    pub root: Vec<u8>,
    /// A branch; what is checked out, otherwise.
    pub branch: Option<String>,
    /// Where the index is made: an absolute path.
    pub building: Vec<u8>,
    /// The index that serves now: an absolute path.
    pub published: Option<Vec<u8>>,
    /// Files that are read at once.
    pub threads: u32,
}

/// What it answers: any number of the first sorts, then one of the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexAnswer {
    /// The jail goes without something that was accepted.
    Weakened {
        /// What, in words.
        warning: String,
    },
    /// Files.
    Progress {
        /// That are done.
        done: u64,
        /// That are to be read.
        total: u64,
    },
    /// What serves is as the source is, or a new index is in the folder.
    Done {
        /// Whether there is a new index.
        changed: bool,
        /// Files beneath the root whose change may mean that there is something new: relative, at most 8.
        watch: Vec<String>,
    },
    /// Why there is no index.
    Failed {
        /// On one line.
        reason: String,
    },
}
