//! A directory of a medium, opened once. Every file is opened beneath that descriptor without following
//! any link, so that nobody can put another tree in its place between two looks.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags};

use super::names::{self, NameError, NameProblem};

/// Entries of a medium at most, folders counted.
pub const ENTRIES_MAX: usize = 16_384;

/// An opened directory.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    path: PathBuf,
}

/// A regular file of a medium, by name, with its length when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Relative to the tree.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Why something on a medium cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A link, or a path through one.
    #[error("{} is a symbolic link, or lies behind one: put the file itself there (cp -L copies what links lead to)", .0.display())]
    Link(PathBuf),
    /// Neither a regular file nor a folder.
    #[error("{path} is {sort}: a medium holds regular files only", path = .path.display())]
    Special {
        /// Where.
        path: PathBuf,
        /// What it is.
        sort: &'static str,
    },
    /// It is not there.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// More than [`ENTRIES_MAX`].
    #[error("{} holds more than {ENTRIES_MAX} files and folders", .0.display())]
    Entries(PathBuf),
    /// More than what such a file may have.
    #[error("{path} has {bytes} bytes, more than {limit} for such a file", path = .path.display())]
    Long {
        /// Where.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// As allowed.
        limit: u64,
    },
    /// A name is refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The disk.
    #[error("{path} cannot be read", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// An opened regular file and its length.
#[derive(Debug)]
pub struct Opened {
    /// For reading.
    pub file: File,
    /// Its length when it was opened.
    pub bytes: u64,
}

impl Tree {
    /// Opens a directory. The path is the operator's own: links in it are followed.
    ///
    /// Only as a place to open files beneath: a jail that lets one file be read denies its folder's listing.
    pub fn open(path: &Path) -> Result<Tree, TreeError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(path, error))?;
        Ok(Tree { root, path: path.to_owned() })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file. Nothing but a regular file is ever opened for reading: a FIFO would block, and
    /// to open a device can do something.
    pub fn file(&self, name: &str) -> Result<Opened, TreeError> {
        names::check(name)?;
        let path = self.path.join(name);
        let looked = self.beneath(name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)?;
        let seen = rustix::fs::fstat(&looked).map_err(|error| failed(&path, error))?;
        refuse_special(&path, FileType::from_raw_mode(seen.st_mode))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = self.beneath(name, flags)?;
        let stat = rustix::fs::fstat(&opened).map_err(|error| failed(&path, error))?;
        if (stat.st_dev, stat.st_ino) != (seen.st_dev, seen.st_ino) {
            let source = io::Error::other("it became another file while it was opened");
            return Err(TreeError::Io { path, source });
        }
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Opened { file: File::from(opened), bytes })
    }

    /// Reads a whole file of at most `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        let Opened { file, bytes } = self.file(name)?;
        let path = self.path.join(name);
        let Some(length) = usize::try_from(bytes).ok().filter(|_| bytes <= limit) else {
            return Err(TreeError::Long { path, bytes, limit });
        };
        let mut content = vec![0; length];
        file.read_exact_at(&mut content, 0).map_err(|source| TreeError::Io { path, source })?;
        Ok(content)
    }

    /// All regular files, sorted by name, without those for which `skips` says so by their path at any
    /// depth. Links, FIFOs, sockets, devices and names that are refused are errors.
    pub fn list(&self, skips: &dyn Fn(&str) -> bool) -> Result<Vec<Listed>, TreeError> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        let mut entries = 0;
        while let Some(folder) = folders.pop() {
            let path = self.path.join(&folder);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = if folder.is_empty() {
                rustix::fs::openat(&self.root, ".", flags, Mode::empty())
                    .map_err(|error| failed(&path, error))?
            } else {
                self.beneath(&folder, flags)?
            };
            for entry in Dir::new(opened).map_err(|error| failed(&path, error))? {
                let entry = entry.map_err(|error| failed(&path, error))?;
                if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    continue;
                }
                entries += 1;
                if entries > ENTRIES_MAX {
                    return Err(TreeError::Entries(self.path.clone()));
                }
                let Ok(part) = entry.file_name().to_str() else {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    return Err(NameError { name, problem: NameProblem::Encoding }.into());
                };
                let name = if folder.is_empty() { part.to_owned() } else { format!("{folder}/{part}") };
                if skips(&name) {
                    continue;
                }
                names::check(&name)?;
                let path = self.path.join(&name);
                let looked = self.beneath(&name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)?;
                let stat = rustix::fs::fstat(&looked).map_err(|error| failed(&path, error))?;
                let sort = FileType::from_raw_mode(stat.st_mode);
                if sort == FileType::Directory {
                    folders.push(name);
                } else {
                    refuse_special(&path, sort)?;
                    found.push(Listed { name, bytes: u64::try_from(stat.st_size).unwrap_or(0) });
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn beneath(&self, name: &str, flags: OFlags) -> Result<OwnedFd, TreeError> {
        // With O_PATH a link is opened as itself and seen for what it is; on the way to it none is followed.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, name, flags, Mode::empty(), resolve)
            .map_err(|error| failed(&self.path.join(name), error))
    }
}

fn failed(path: &Path, error: rustix::io::Errno) -> TreeError {
    match error {
        rustix::io::Errno::LOOP => TreeError::Link(path.to_owned()),
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => TreeError::Missing(path.to_owned()),
        error => TreeError::Io { path: path.to_owned(), source: error.into() },
    }
}

fn refuse_special(path: &Path, sort: FileType) -> Result<(), TreeError> {
    let sort = match sort {
        FileType::RegularFile => return Ok(()),
        FileType::Symlink => return Err(TreeError::Link(path.to_owned())),
        FileType::Directory => "a folder",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "of an unknown sort",
    };
    Err(TreeError::Special { path: path.to_owned(), sort })
}
