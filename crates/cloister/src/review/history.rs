//! A repository's history, read by gix: nothing is run, and no configuration is read but the repository's own.

use std::path::Path;

use gix::bstr::ByteSlice as _;
use gix::diff::blob::{Algorithm, InternedInput, diff_with_slider_heuristics};
use gix::object::tree::diff::ChangeDetached;
use gix::objs::tree::EntryMode;
use gix::{ObjectId, Repository};
use lineage::grade::File;

use crate::failure::Failure;

/// Bytes of one file whose lines are graded.
const FILE_BYTES_MAX: usize = 16 << 20;
/// Files of one change.
const FILES_MAX: usize = 200_000;

/// A repository.
pub(crate) struct History {
    repository: Repository,
}

/// Which lines.
pub(crate) enum Wanted<'a> {
    /// What a head has and its last common commit with a base has not.
    Change { base: &'a str, head: &'a str },
    /// What a commit added to its first parent.
    Commit(&'a str),
    /// All of a tree.
    Tree(&'a str),
}

/// Lines of a change, by file.
pub(crate) struct Change {
    pub(crate) files: Vec<File>,
    /// Files that are no text, or too long: their lines are not graded.
    pub(crate) not_graded: Vec<(String, &'static str)>,
    /// The commit whose lines they are, and its tree.
    pub(crate) head: ObjectId,
    pub(crate) tree: ObjectId,
    /// What it was compared with, where it was.
    pub(crate) base: Option<ObjectId>,
}

impl History {
    pub(crate) fn open(directory: &Path) -> Result<History, Failure> {
        let isolated = gix::open::Options::isolated;
        let trust = gix::sec::trust::Mapping { full: isolated(), reduced: isolated() };
        let found = gix::ThreadSafeRepository::discover_opts(directory, Default::default(), trust);
        let found = found.map_err(|error| {
            Failure::usage(format!("{} is in no git repository", directory.display())).caused_by(&error)
        })?;
        let mut repository = found.to_thread_local();
        repository.object_cache_size_if_unset(64 << 20);
        Ok(History { repository })
    }

    /// The directory that files are checked out to.
    pub(crate) fn root(&self) -> Option<&Path> {
        self.repository.workdir()
    }

    fn commit(&self, revision: &str) -> Result<ObjectId, Failure> {
        let unknown = || Failure::usage(format!("there is no commit `{revision}` in this repository"));
        let id = self.repository.rev_parse_single(revision).map_err(|error| {
            unknown()
                .caused_by(&error)
                .hint("Name a branch, a tag or a commit; in a shallow clone, fetch more.")
        })?;
        let object = id.object().map_err(|error| unknown().caused_by(&error))?;
        Ok(object.peel_to_commit().map_err(|error| unknown().caused_by(&error))?.id)
    }

    fn tree(&self, commit: ObjectId) -> Result<gix::Tree<'_>, Failure> {
        let commit = self.repository.find_commit(commit).map_err(|error| unreadable(&error))?;
        commit.tree().map_err(|error| unreadable(&error))
    }

    /// The commit that a revision names, and its tree.
    pub(crate) fn at(&self, revision: &str) -> Result<(ObjectId, ObjectId), Failure> {
        let commit = self.commit(revision)?;
        Ok((commit, self.tree(commit)?.id))
    }

    /// The lines that are wanted.
    pub(crate) fn change(&self, wanted: &Wanted<'_>) -> Result<Change, Failure> {
        let (base, head) = match wanted {
            Wanted::Tree(revision) => (None, self.commit(revision)?),
            Wanted::Commit(revision) => {
                let head = self.commit(revision)?;
                let commit = self.repository.find_commit(head).map_err(|error| unreadable(&error))?;
                (commit.parent_ids().next().map(|id| id.detach()), head)
            }
            Wanted::Change { base, head } => {
                let (base_commit, head) = (self.commit(base)?, self.commit(head)?);
                let common =
                    self.repository.merge_base(base_commit, head).map_err(|error| unreadable(&error))?;
                let common = common.ok_or_else(|| {
                    Failure::usage(format!("`{base}` and the head have no common commit"))
                        .hint("In a shallow clone, fetch the history up to it.")
                })?;
                (Some(common.detach()), head)
            }
        };
        let new = self.tree(head)?;
        let mut change = Change { files: Vec::new(), not_graded: Vec::new(), head, tree: new.id, base };
        let author = match wanted {
            Wanted::Commit(_) => self.author(head),
            _ => None,
        };
        match base {
            None => {
                for entry in new.traverse().breadthfirst.files().map_err(|error| unreadable(&error))? {
                    self.add(&mut change, entry.filepath.as_bstr(), entry.mode, entry.oid, None)?;
                }
            }
            Some(base) => {
                let old = self.tree(base)?;
                let options =
                    gix::diff::Options::default().with_rewrites(Some(gix::diff::Rewrites::default()));
                let changes = self.repository.diff_tree_to_tree(&old, &new, options);
                for changed in changes.map_err(|error| unreadable(&error))? {
                    match changed {
                        ChangeDetached::Addition { location, entry_mode, id, .. } => {
                            self.add(&mut change, location.as_bstr(), entry_mode, id, None)?;
                        }
                        ChangeDetached::Modification { location, entry_mode, id, previous_id, .. } => {
                            self.add(&mut change, location.as_bstr(), entry_mode, id, Some(previous_id))?;
                        }
                        ChangeDetached::Rewrite { location, entry_mode, id, source_id, .. } => {
                            self.add(&mut change, location.as_bstr(), entry_mode, id, Some(source_id))?;
                        }
                        ChangeDetached::Deletion { .. } => {}
                    }
                }
            }
        }
        change.files.iter_mut().for_each(|file| file.author.clone_from(&author));
        change.files.sort_by(|one, other| one.path.cmp(&other.path));
        change.not_graded.sort();
        Ok(change)
    }

    fn author(&self, commit: ObjectId) -> Option<String> {
        let commit = self.repository.find_commit(commit).ok()?;
        Some(commit.author().ok()?.name.to_str().ok()?.to_owned())
    }

    /// Adds what a file has and its older state has not.
    fn add(
        &self,
        change: &mut Change,
        path: &gix::bstr::BStr,
        mode: EntryMode,
        new: ObjectId,
        old: Option<ObjectId>,
    ) -> Result<(), Failure> {
        // A link has no lines, and what it points at has been looked at where it stands.
        if Some(new) == old || !mode.is_blob() && !mode.is_commit() {
            return Ok(());
        }
        if change.files.len() + change.not_graded.len() >= FILES_MAX {
            return Err(Failure::usage(format!("more than {FILES_MAX} files were changed")));
        }
        let name = path.to_str_lossy().into_owned();
        if mode.is_commit() {
            change.not_graded.push((name, super::table::SUBMODULE));
            return Ok(());
        }
        let size = self.repository.find_header(new).map_err(|error| unreadable(&error))?.size();
        if size > FILE_BYTES_MAX as u64 {
            change.not_graded.push((name, "longer than 16 MiB"));
            return Ok(());
        }
        let new = self.blob(new)?;
        // Approvals are about the rest. What is no JSON is none.
        if name.starts_with(&format!("{}/", super::FOLDER))
            && name.ends_with(".json")
            && serde_json::from_slice::<serde::de::IgnoredAny>(&new).is_ok()
        {
            return Ok(());
        }
        if new.contains(&0) {
            change.not_graded.push((name, "no text"));
            return Ok(());
        }
        let old = match old {
            Some(old) => {
                let size = self.repository.find_header(old).map_err(|error| unreadable(&error))?.size();
                // All lines of one that grew out of something that is not read.
                if size > FILE_BYTES_MAX as u64 { Vec::new() } else { self.blob(old)? }
            }
            None => Vec::new(),
        };
        let lines = added(&old, &new);
        if !lines.is_empty() {
            change.files.push(File { path: name, lines, author: None });
        }
        Ok(())
    }

    fn blob(&self, id: ObjectId) -> Result<Vec<u8>, Failure> {
        Ok(self.repository.find_object(id).map_err(|error| unreadable(&error))?.detach().data)
    }

    /// A note of a commit, where there is one.
    pub(crate) fn note(&self, reference: &str, commit: ObjectId, bytes_max: usize) -> Option<Vec<u8>> {
        let mut found = self.repository.find_reference(reference).ok()?;
        let notes = found.peel_to_id().ok()?.object().ok()?.peel_to_tree().ok()?;
        let name = commit.to_string();
        // Many notes lie in folders, by the first digits.
        let (first, rest) = name.split_at(2);
        let (second, third) = rest.split_at(2);
        let paths = [name.clone(), format!("{first}/{rest}"), format!("{first}/{second}/{third}")];
        let entry = paths.iter().find_map(|path| notes.lookup_entry_by_path(path).ok()?)?;
        let size = self.repository.find_header(entry.object_id()).ok()?.size();
        (size <= bytes_max as u64).then(|| self.blob(entry.object_id()).ok())?
    }

    /// A file of a tree.
    pub(crate) fn file(&self, tree: ObjectId, path: &str) -> Option<Vec<u8>> {
        let tree = self.repository.find_tree(tree).ok()?;
        let entry = tree.lookup_entry_by_path(path).ok()??;
        let size = self.repository.find_header(entry.object_id()).ok()?.size();
        (entry.mode().is_blob() && size <= FILE_BYTES_MAX as u64)
            .then(|| self.blob(entry.object_id()).ok())?
    }

    /// The files of a folder of a tree, without those beneath it: names and bytes, each of at most so many.
    pub(crate) fn folder(&self, tree: ObjectId, path: &str, bytes_max: usize) -> Vec<(String, Vec<u8>)> {
        let read = || -> Option<Vec<(String, Vec<u8>)>> {
            let tree = self.repository.find_tree(tree).ok()?;
            let folder = tree.lookup_entry_by_path(path).ok()??;
            let folder = self.repository.find_tree(folder.object_id()).ok()?;
            let mut files = Vec::new();
            for entry in folder.iter() {
                let entry = entry.ok()?;
                let size = self.repository.find_header(entry.object_id()).ok()?.size();
                if entry.mode().is_blob() && size <= bytes_max as u64 {
                    files.push((
                        entry.filename().to_str_lossy().into_owned(),
                        self.blob(entry.object_id()).ok()?,
                    ));
                }
            }
            Some(files)
        };
        read().unwrap_or_default()
    }
}

/// Lines that a text has and an older one has not, with their numbers from 1.
fn added(old: &[u8], new: &[u8]) -> Vec<(u32, String)> {
    let input = InternedInput::new(old, new);
    let diff = diff_with_slider_heuristics(Algorithm::Histogram, &input);
    let mut lines = Vec::new();
    for (at, line) in new.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let Ok(at) = u32::try_from(at) else { break };
        if old.is_empty() || diff.is_added(at) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            lines.push((at + 1, String::from_utf8_lossy(line).into_owned()));
        }
    }
    lines
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::refused("the repository cannot be read").caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_added() {
        let check = |old: &str, new: &str, expected: &[(u32, &str)]| {
            let found = added(old.as_bytes(), new.as_bytes());
            let found: Vec<(u32, &str)> = found.iter().map(|(at, line)| (*at, line.as_str())).collect();
            assert_eq!(found, expected, "{old:?} to {new:?}");
        };
        check("", "a\r\nb", &[(1, "a"), (2, "b")]);
        check("a\nb\n", "a\nx\nb\n", &[(2, "x")]);
        check("a\nb\n", "a\n", &[]);
        check("a\nb", "a\nb\nc", &[(2, "b"), (3, "c")]);
    }
}
