//! What git ignores of a directory's files, as this directory's own rules stood when they were first looked at. Rules that cannot be
//! read hide all that they are about.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{Mode, OFlags};

use crate::git;

/// Bytes of one file of rules.
const RULES_BYTES_MAX: u64 = 1 << 20;
/// Bytes of the file that stands for `.git` in a linked work tree.
const LINK_BYTES_MAX: u64 = 4 << 10;
/// The name of the files of rules, within the tree.
pub(super) const RULES: &str = ".gitignore";

/// The rules of the repository that a root is in.
pub(super) struct Ignored {
    /// The root of the repository; the root itself where it is in none.
    top: PathBuf,
    /// Of each directory, by its path; `None` where they cannot be read.
    read: RefCell<HashMap<PathBuf, Option<Rc<Gitignore>>>>,
    /// The repository's own, which is no file of it.
    own: Option<Gitignore>,
    /// The person's own.
    everywhere: Gitignore,
}

impl Ignored {
    /// Of a directory's canonical path.
    pub(super) fn new(root: &Path) -> Ignored {
        let top = git::root(root).unwrap_or(root).to_owned();
        let own = git_directory(&top).and_then(|git| rules(&top, &git.join("info/exclude")).ok());
        let everywhere = GitignoreBuilder::new(&top).build_global().0;
        Ignored { top, read: RefCell::default(), own, everywhere }
    }

    /// Whether git ignores a path of the root's, or a directory that it is in. What is of a repository within is ignored, too.
    pub(super) fn is_ignored(&self, root: &Path, path: &Path, is_directory: bool) -> bool {
        let whole = root.join(path);
        let Ok(below) = whole.strip_prefix(&self.top) else { return true };
        let count = below.components().count();
        let mut part = self.top.clone();
        below.components().enumerate().any(|(number, name)| {
            part.push(name);
            let is_directory = is_directory || number + 1 < count;
            let is_within = part.starts_with(root) && part != *root;
            self.is_ignored_itself(&part, is_directory)
                || is_directory && is_within && part.join(".git").symlink_metadata().is_ok()
        })
    }

    /// By the nearest rule that says something of it.
    fn is_ignored_itself(&self, path: &Path, is_directory: bool) -> bool {
        let says = |rules: &Gitignore| match rules.matched(path, is_directory) {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        };
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.top));
        for directory in above {
            match self.of(directory) {
                Some(rules) => {
                    if let Some(said) = says(&rules) {
                        return said;
                    }
                }
                None => return true,
            }
        }
        self.own.as_ref().map_or(Some(true), says).or_else(|| says(&self.everywhere)).unwrap_or(false)
    }

    fn of(&self, directory: &Path) -> Option<Rc<Gitignore>> {
        if let Some(read) = self.read.borrow().get(directory) {
            return read.clone();
        }
        let read = rules(directory, &directory.join(RULES)).ok().map(Rc::new);
        self.read.borrow_mut().insert(directory.to_owned(), read.clone());
        read
    }
}

/// A file of rules; none where there is no file. As git does, no link is followed.
fn rules(directory: &Path, path: &Path) -> io::Result<Gitignore> {
    let mut builder = GitignoreBuilder::new(directory);
    for line in text(path, RULES_BYTES_MAX)?.unwrap_or_default().lines() {
        builder.add_line(None, line).map_err(io::Error::other)?;
    }
    builder.build().map_err(io::Error::other)
}

/// A short file; `None` where there is none.
fn text(path: &Path, bytes_max: u64) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("no regular file"));
    }
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other("too long"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Where git keeps what is no file of the work tree: `.git`, or, of a linked work tree, where that says. `None` where it
/// cannot be told.
fn git_directory(top: &Path) -> Option<PathBuf> {
    let git = top.join(".git");
    if !git.is_file() {
        return Some(git);
    }
    let linked = text(&git, LINK_BYTES_MAX).ok()??;
    let linked = top.join(linked.trim().strip_prefix("gitdir:")?.trim());
    match text(&linked.join("commondir"), LINK_BYTES_MAX).ok()? {
        Some(common) => Some(linked.join(common.trim())),
        None => Some(linked),
    }
}
