//! The files of a commit, read without a work tree. Nothing is run, and no configuration read but the repository's own.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{File, Files, Reason, Visitor, is_of_git, plain};
use crate::reading::{Error, Limits};

/// Commits that are looked at for when a file came.
const COMMITS_MAX: usize = 2_000;
/// Entries of their folders that are compared.
const COMPARED_MAX: u64 = 10_000_000;
/// Folders inside each other at most, in that.
const DEPTH_MAX: usize = 64;

pub(super) struct Repository {
    path: PathBuf,
    limits: Limits,
    repository: gix::Repository,
    /// None of a repository without a commit.
    commit: Option<gix::ObjectId>,
    /// When each of its files came; made when it is first needed.
    seen: Option<Seen>,
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
        Ok(Repository { path: path.to_owned(), limits: limits.clone(), repository, commit, seen: None })
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

/// When files came to a branch, in seconds since 1970.
struct Seen {
    /// Those that came after the oldest commit that was looked at.
    later: HashMap<String, i64>,
    oldest: i64,
}

impl Seen {
    /// Goes back from a commit by first parents as far as [`COMMITS_MAX`] and [`COMPARED_MAX`] allow and the repository
    /// has commits: a shallow one has few.
    fn new(repository: &gix::Repository, head: gix::ObjectId) -> Option<Seen> {
        let commit = |id| {
            let commit = repository.find_commit(id).ok()?;
            let time = commit.time().ok()?.seconds;
            let parent = commit.parent_ids().next().map(gix::Id::detach);
            Some((time, commit.tree_id().ok()?.detach(), parent))
        };
        let (time, tree, parent) = commit(head)?;
        let mut seen = Seen { later: HashMap::new(), oldest: time };
        let (mut tree, mut parent) = (tree, parent);
        let mut left = COMPARED_MAX;
        for _ in 1..COMMITS_MAX {
            let Some((time, old, before)) = parent.and_then(commit) else { break };
            let came = seen.oldest;
            let mut paths = Vec::new();
            if added(repository, tree, Some(old), "", 0, &mut left, &mut paths).is_none() {
                break;
            }
            seen.later.extend(paths.into_iter().map(|path| (path, came)));
            (seen.oldest, tree, parent) = (time, old, before);
        }
        Some(seen)
    }

    fn of(&self, path: &str) -> i64 {
        self.later.get(path).copied().unwrap_or(self.oldest)
    }
}

/// The files that a folder has and an older state of it has not. None where that would be too much work, or something is
/// missing.
fn added(
    repository: &gix::Repository,
    new: gix::ObjectId,
    old: Option<gix::ObjectId>,
    beneath: &str,
    depth: usize,
    left: &mut u64,
    paths: &mut Vec<String>,
) -> Option<()> {
    if Some(new) == old {
        return Some(());
    }
    let mut before = HashMap::new();
    if let Some(old) = old {
        for entry in repository.find_tree(old).ok()?.iter() {
            let entry = entry.ok()?;
            *left = left.checked_sub(1)?;
            before.insert(entry.filename().to_vec(), (entry.mode().is_tree(), entry.object_id()));
        }
    }
    for entry in repository.find_tree(new).ok()?.iter() {
        let entry = entry.ok()?;
        *left = left.checked_sub(1)?;
        let known = before.get::<[u8]>(entry.filename());
        let is_tree = entry.mode().is_tree();
        let Ok(name) = std::str::from_utf8(entry.filename()) else { continue };
        match known {
            Some((false, _)) if !is_tree => {}
            _ if !is_tree => paths.push(format!("{beneath}{name}")),
            _ if depth >= DEPTH_MAX => {}
            _ => {
                let old = known.filter(|(is_tree, _)| *is_tree).map(|(_, id)| *id);
                let beneath = format!("{beneath}{name}/");
                added(repository, entry.object_id(), old, &beneath, depth + 1, left, paths)?;
            }
        }
    }
    Some(())
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
        if self.seen.is_none() {
            self.seen = self.commit.and_then(|commit| Seen::new(&self.repository, commit));
        }
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
            let seen_unix_s = self.seen.as_ref().map(|seen| seen.of(&path));
            let file = File { path: &path, bytes: &object.data, seen_unix_s };
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
