//! What `review`, `blame`, `approve`, `gate` and `evidence` share: a change, graded by a slice of the ledger, with its approvals.

mod approvals;
mod decided;
mod history;
mod language;
pub(crate) mod notes;
pub(crate) mod qualified;
pub(crate) mod statement;
mod table;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use lineage::grade::{self, Graded, Sought};
use lineage::slice::{Reader, Slice};

use crate::failure::Failure;
use crate::file;

pub(crate) use approvals::{Approvals, FOLDER, Refused};
pub(crate) use decided::{Decided, Gated, Gatekeeper, decided};
pub(crate) use history::{Change, History, Wanted};
pub(crate) use language::of_path as language_of;
pub(crate) use table::{Answer, NotGraded, Row, Source, Table, is_whole};

/// The slice and the log's policy that say what to believe of it.
#[derive(clap::Args)]
pub(crate) struct Ledger {
    /// The slice of the ledger, as `cloisterd ledger slice` writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) slice: PathBuf,
    /// The policy that names the log and its witnesses (C2SP tlog-policy)
    #[arg(long, visible_alias = "policy", value_name = "FILE")]
    pub(crate) log_policy: PathBuf,
}

/// Which lines.
#[derive(clap::Args)]
pub(crate) struct Selection {
    /// What a change goes to: lines that the head has and the last common commit has not
    #[arg(long, value_name = "REV", default_value = "main", conflicts_with_all = ["commit", "tag"])]
    base: String,
    /// The change's newest commit
    #[arg(long, value_name = "REV", default_value = "HEAD", conflicts_with_all = ["commit", "tag"])]
    head: String,
    /// Lines that one commit added to its first parent
    #[arg(long, value_name = "REV", conflicts_with = "tag")]
    commit: Option<String>,
    /// All lines of all files, at a tag or any other revision
    #[arg(long, value_name = "REV")]
    tag: Option<String>,
    /// The repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) repository: PathBuf,
}

impl Selection {
    pub(crate) fn wanted(&self) -> Wanted<'_> {
        match (&self.commit, &self.tag) {
            (Some(commit), _) => Wanted::Commit(commit),
            (_, Some(tag)) => Wanted::Tree(tag),
            _ => Wanted::Change { base: &self.base, head: &self.head },
        }
    }

    /// Whether the lines are those of one commit.
    pub(crate) fn is_commit(&self) -> bool {
        self.commit.is_some()
    }

    /// Where the change goes, as it was named.
    pub(crate) fn base(&self) -> &str {
        if self.commit.is_some() || self.tag.is_some() { "" } else { &self.base }
    }
}

/// A change whose lines are graded.
pub(crate) struct Reviewed {
    pub(crate) change: Change,
    pub(crate) slice: Slice,
    /// For each file of the change.
    pub(crate) graded: Vec<Vec<Graded>>,
}

/// Reads the slice, believing what the policy lets it, and grades a change's lines.
pub(crate) fn review(ledger: &Ledger, change: Change) -> Result<Reviewed, Failure> {
    let policy = file::read_policy(&ledger.log_policy)?;
    let path: &Path = &ledger.slice;
    let input = File::open(path).map_err(|error| Failure::file("cannot read", path, &error))?;
    let refused = |error: &lineage::slice::SliceError| {
        Failure::refused(format!("the slice {} is not believed", path.display()))
            .caused_by(error)
            .hint("Have it made again by `cloisterd ledger slice`, and take the log's policy from the site's auditor.")
    };
    let reader = Reader::open(BufReader::with_capacity(1 << 20, input)).map_err(|error| refused(&error))?;
    let mut sought = Sought::new(&change.files, reader.key());
    let slice = reader.read(&policy, &mut sought).map_err(|error| refused(&error))?;
    let graded = grade::grade(&sought, &slice.records);
    drop(sought);
    Ok(Reviewed { change, slice, graded })
}
