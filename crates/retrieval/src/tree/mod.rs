//! What a source holds: the files of a commit, or of a folder, and what is left out of them, with the reason.

mod folder;
mod git;

use std::path::Path;

/// A path that is longer is left out.
const PATH_BYTES_MAX: usize = 1024;
/// Files of a source at most.
pub(crate) const FILES_MAX: usize = 2_000_000;
/// Folder names that hold what others wrote.
const VENDORED: &[&str] = &[
    "vendor",
    "vendored",
    "third_party",
    "third-party",
    "thirdparty",
    "node_modules",
    "external",
    "bower_components",
];
/// Folder names that hold what tools wrote.
const GENERATED: &[&str] =
    &["target", "build", "dist", "obj", "__pycache__", ".gradle", "generated", "autogen"];

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// From the source's root, with `/`.
    pub(crate) path: String,
    /// What changes when its content does: a blob's id, or a file's size and time.
    pub(crate) id: String,
}

/// A file that is not in the index.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// From the source's root; made readable, where it is not UTF-8.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// More, in words; perhaps nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Why a file is not in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A `.gitignore` says so.
    Ignored,
    /// It is in a folder of what others wrote, as `vendor`.
    Vendored,
    /// It is in a folder of what tools wrote, as `target`, or says of itself that a tool wrote it.
    Generated,
    /// It is no text, and no document that can be read.
    Binary,
    /// It is larger than what is read.
    TooLarge,
    /// A symbolic link, a device or the like.
    NoFile,
    /// Another repository inside: add it as a source of its own.
    Submodule,
    /// Its path is no UTF-8, or too long.
    Path,
    /// It cannot be read, or is no document of its kind.
    Unreadable,
    /// There are more files than a source may have.
    TooMany,
}

impl Reason {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Ignored => "ignored",
            Reason::Vendored => "vendored",
            Reason::Generated => "generated",
            Reason::Binary => "binary",
            Reason::TooLarge => "too large",
            Reason::NoFile => "no file",
            Reason::Submodule => "submodule",
            Reason::Path => "path",
            Reason::Unreadable => "unreadable",
            Reason::TooMany => "too many",
        }
    }
}

/// Why a source cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// There is nothing.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The source's root.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A repository of git's, which cannot be read.
    #[error("the repository cannot be read: {what}")]
    Repository {
        /// Git's own words.
        what: String,
    },
    /// A repository whose `.git` is a file.
    #[error(
        "this is a linked worktree, whose objects are in another repository: add that one, with --branch"
    )]
    LinkedWorktree,
    /// There is no such branch.
    #[error("there is no branch {branch}")]
    Branch {
        /// As it was asked for.
        branch: String,
    },
}

/// A source, opened.
pub(crate) enum Tree {
    Git(Box<git::Repository>),
    Folder(folder::Folder),
}

/// Reads files of a tree, on one thread.
pub(crate) enum Reader {
    Git(Box<git::Reader>),
    Folder(folder::Folder),
}

/// What is in a tree.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The commit; empty for a folder.
    pub(crate) revision: String,
    /// The branch; empty for a folder, and where none is checked out.
    pub(crate) branch: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) left_out: Vec<LeftOut>,
    /// Files whose change may mean another revision, from the root.
    pub(crate) watch: Vec<String>,
}

impl Tree {
    /// A repository where there is one, bare or with a work tree; a folder otherwise.
    pub(crate) fn open(root: &Path, branch: Option<&str>) -> Result<Tree, TreeError> {
        std::fs::read_dir(root)
            .map_err(|source| TreeError::Unreadable { path: root.display().to_string(), source })?;
        let dot_git = root.join(".git");
        if dot_git.is_file() {
            return Err(TreeError::LinkedWorktree);
        }
        let is_bare = root.join("HEAD").is_file() && root.join("objects").is_dir();
        if dot_git.is_dir() || is_bare {
            let git_folder = if is_bare { root.to_owned() } else { dot_git };
            let repository = git::Repository::open(&git_folder, !is_bare, branch)?;
            return Ok(Tree::Git(Box::new(repository)));
        }
        match branch {
            Some(branch) => Err(TreeError::Branch { branch: branch.to_owned() }),
            None => Ok(Tree::Folder(folder::Folder::new(root))),
        }
    }

    /// What is in it.
    pub(crate) fn list(&self) -> Result<Listing, TreeError> {
        match self {
            Tree::Git(repository) => repository.list(),
            Tree::Folder(folder) => folder.list(),
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        match self {
            Tree::Git(repository) => Reader::Git(Box::new(repository.reader())),
            Tree::Folder(folder) => Reader::Folder(folder.clone()),
        }
    }
}

impl Reader {
    /// The bytes of a file, if they are not more than `bytes_max`.
    pub(crate) fn read(&self, entry: &Entry, bytes_max: u64) -> Result<Vec<u8>, (Reason, String)> {
        match self {
            Reader::Git(reader) => reader.read(entry, bytes_max),
            Reader::Folder(folder) => folder.read(entry, bytes_max),
        }
    }
}

/// Whether a path tells that a file is not the team's own work.
fn by_path(path: &str) -> Option<Reason> {
    let mut folders: Vec<&str> = path.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    for folder in folders {
        let folder = folder.to_ascii_lowercase();
        if VENDORED.contains(&folder.as_str()) {
            return Some(Reason::Vendored);
        }
        if GENERATED.contains(&folder.as_str()) {
            return Some(Reason::Generated);
        }
    }
    let generated = [".min.js", ".min.css", ".lock", ".map"].iter().any(|end| name.ends_with(end));
    generated.then_some(Reason::Generated)
}
