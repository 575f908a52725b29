//! The files of a commit, read without a work tree. Nothing is run, and no configuration read but the repository's own.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{File, Files, Reason, Visitor, is_of_git, plain};
use crate::reading::{Error, Limits};

pub(super) struct Repository {
    path: PathBuf,
    limits: Limits,
    repository: gix::Repository,
    /// None of a repository without a commit.
    commit: Option<gix::ObjectId>,
    seen_unix_s: Option<i64>,
}

/// Whether a folder is a repository without a work tree.
pub(crate) fn is_bare(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

impl Repository {
    pub(super) fn open(path: &Path, branch: Option<&str>, limits: &Limits) -> Result<Repository, Error> {
        let dot_git = path.join(".git");
        if dot_git.is_file() {
            return Err(Error::LinkedWorktree { path: path.to_owned() });
        }
        let folder = if dot_git.is_dir() { dot_git } else { path.to_owned() };
        let refused = |error: &dyn std::error::Error| refused(path, error);
        let options = gix::open::Options::isolated().open_path_as_is(true);
        let mut repository = gix::ThreadSafeRepository::open_opts(folder, options)
            .map_err(|error| refused(&error))?
            .to_thread_local();
        repository.object_cache_size_if_unset(4 << 20);
        let commit = match branch {
            Some(branch) => {
                let unknown = || Error::Branch { path: path.to_owned(), branch: branch.to_owned() };
                let full = format!("refs/heads/{branch}");
                let mut reference = repository.find_reference(full.as_str()).map_err(|_| unknown())?;
                Some(reference.peel_to_id().map_err(|error| refused(&error))?.detach())
            }
            None => {
                let head = repository.head().map_err(|error| refused(&error))?;
                match head.is_unborn() {
                    true => None,
                    false => Some(repository.head_id().map_err(|error| refused(&error))?.detach()),
                }
            }
        };
        let seen_unix_s = match commit {
            Some(id) => {
                let commit = repository.find_commit(id).map_err(|error| refused(&error))?;
                Some(commit.time().map_err(|error| refused(&error))?.seconds)
            }
            None => None,
        };
        Ok(Repository { path: path.to_owned(), limits: limits.clone(), repository, commit, seen_unix_s })
    }

    /// Path and blob of each file, by path; and what is no file.
    fn list(&self) -> Result<Listing, Error> {
        let refused = |error: &dyn std::error::Error| refused(&self.path, error);
        let mut listing = Listing::default();
        let Some(commit) = self.commit else { return Ok(listing) };
        let commit = self.repository.find_commit(commit).map_err(|error| refused(&error))?;
        let tree = commit.tree().map_err(|error| refused(&error))?;
        let mut entries = 0u64;
        for entry in tree.traverse().breadthfirst.files().map_err(|error| refused(&error))? {
            entries += 1;
            if entries > self.limits.entries_max {
                let max = self.limits.entries_max;
                return Err(Error::Limit { path: self.path.clone(), what: "files and folders", max });
            }
            if entry.mode.is_tree() {
                continue;
            }
            if entry.mode.is_commit() {
                listing.left_out.push(Reason::Submodule);
            } else if entry.mode.is_link() {
                listing.left_out.push(Reason::NoFile);
            } else {
                match plain(entry.filepath.as_ref()) {
                    Some(path) if is_of_git(&path) => {}
                    Some(path) => listing.files.push((path, entry.oid)),
                    None => listing.left_out.push(Reason::Path),
                }
            }
        }
        listing.files.sort();
        Ok(listing)
    }
}

#[derive(Default)]
struct Listing {
    files: Vec<(String, gix::ObjectId)>,
    left_out: Vec<Reason>,
}

impl Files for Repository {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<ControlFlow<()>, Error> {
        visitor.part(0);
        let Listing { files, left_out } = self.list()?;
        left_out.into_iter().for_each(|reason| visitor.left_out(reason));
        let mut bytes_left = self.limits.bytes_max;
        for (path, id) in files {
            let Some(bytes_max) = visitor.wants(&path) else { continue };
            // The size first: nothing is inflated that is not wanted. What a partial clone lacks is not there.
            let Ok(size) = self.repository.find_header(id).map(|header| header.size()) else {
                visitor.left_out(Reason::Unreadable);
                continue;
            };
            if size > bytes_max as u64 {
                visitor.left_out(Reason::TooLarge);
                continue;
            }
            let Ok(object) = self.repository.find_object(id) else {
                visitor.left_out(Reason::Unreadable);
                continue;
            };
            let over = Error::Limit { path: self.path.clone(), what: "bytes", max: self.limits.bytes_max };
            bytes_left = bytes_left.checked_sub(object.data.len() as u64).ok_or(over)?;
            let file = File { path: &path, bytes: &object.data, seen_unix_s: self.seen_unix_s };
            if visitor.file(file).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn commit(&self) -> Option<String> {
        self.commit.map(|commit| commit.to_string())
    }
}

fn refused(path: &Path, error: &dyn std::error::Error) -> Error {
    // An error and its causes, on one line.
    let mut what = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        what = format!("{what}: {error}");
        cause = error.source();
    }
    Error::Repository { path: path.to_owned(), what: what.replace('\n', " ") }
}
