//! Approvals that travel with the repository: files of a folder, since notes are neither fetched nor merged by default,
//! and hang on commits that a rebase replaces.

use std::collections::BTreeSet;
use std::path::Path;

use gix::ObjectId;
use lineage::approval::{Approval, Approved, FILE_BYTES_MAX, Keys};
use serde::{Deserialize, Serialize};

use super::History;
use crate::failure::Failure;
use crate::file;

/// Where they lie, from the repository's root.
pub(crate) const FOLDER: &str = ".cloister/approvals";

/// Files that are looked at.
const FILES_MAX: usize = 20_000;

/// All approvals, looked at.
pub(crate) struct Approvals {
    /// Those that count.
    pub(crate) good: Vec<Good>,
    /// Those that count for nothing.
    pub(crate) void: Vec<Refused>,
}

/// An approval that counts: its file, and where in which file of the tree.
pub(crate) struct Good {
    pub(crate) bytes: Vec<u8>,
    pub(crate) path: String,
    pub(crate) approved: Vec<Approved>,
}

/// An approval that counts for nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub(crate) file: String,
    pub(crate) why: String,
}

impl Approvals {
    /// Those in a tree, and in further folders, against the tree's files as they are.
    pub(crate) fn read(
        history: &History,
        tree: ObjectId,
        folders: &[std::path::PathBuf],
        keys: &Keys,
    ) -> Result<Approvals, Failure> {
        let mut files = history.folder(tree, FOLDER, FILE_BYTES_MAX);
        for folder in folders {
            files.extend(of_folder(folder)?);
        }
        let mut approvals = Approvals { good: Vec::new(), void: Vec::new() };
        for (name, bytes) in files.into_iter().take(FILES_MAX) {
            let parsed = serde_json::from_slice::<Approval>(&bytes);
            let parsed = parsed.map_err(|_| lineage::approval::Void::Form);
            match parsed.and_then(|approval| approval.verify(keys, |path| history.file(tree, path))) {
                Ok((path, approved)) => approvals.good.push(Good { bytes, path, approved }),
                Err(void) => approvals.void.push(Refused { file: name, why: void.to_string() }),
            }
        }
        Ok(approvals)
    }

    /// Who approved these lines, or more.
    pub(crate) fn of(&self, path: &str, first: u32, last: u32) -> BTreeSet<String> {
        let covers = |approved: &&Approved| approved.first <= first && approved.last >= last;
        let of_path = self.good.iter().filter(|good| good.path == path);
        of_path
            .flat_map(|good| good.approved.iter().filter(covers))
            .map(|approved| approved.person.clone())
            .collect()
    }
}

fn of_folder(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let cannot = |error: &std::io::Error| Failure::file("cannot read", folder, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| cannot(&error))?.take(FILES_MAX) {
        let path = entry.map_err(|error| cannot(&error))?.path();
        if path.is_file() {
            files.push((path.display().to_string(), file::read(&path, FILE_BYTES_MAX as u64)?));
        }
    }
    files.sort();
    Ok(files)
}
