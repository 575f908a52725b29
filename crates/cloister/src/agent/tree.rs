//! One directory and what is beneath it, as the tools may see and change it. That no path leads out is the kernel's work
//! (`openat2` with `RESOLVE_BENEATH` and without symbolic links); a kernel that cannot do so opens nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};

use super::ignored::{Ignored, RULES};

/// Bytes of a path.
const PATH_BYTES_MAX: usize = 1024;
/// Bytes of a file that is read.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Files that are looked at.
pub(super) const FILES_MAX: usize = 20_000;
/// Directories within each other.
const DEPTH_MAX: usize = 64;

/// Why something is not read or written; for the model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    #[error("a path must be relative, without `..`, and shorter than {PATH_BYTES_MAX} bytes")]
    Form,
    #[error("nothing of git's own is read or written")]
    Git,
    #[error("the file is ignored by .gitignore, and is not read or written")]
    Ignored,
    #[error("there is no such file")]
    Missing,
    #[error("the path leads out of the directory, or through a symbolic link")]
    Outside,
    #[error("that is no regular file")]
    Kind,
    #[error("the file is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the file is not text")]
    NotText,
    #[error("what is ignored is for a person to say: its rules are not changed")]
    Rules,
    #[error("the file was changed meanwhile")]
    Changed,
    #[error("the file cannot be opened: {0}")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for TreeError {
    fn from(error: rustix::io::Errno) -> TreeError {
        match error {
            rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => TreeError::Missing,
            rustix::io::Errno::XDEV | rustix::io::Errno::LOOP => TreeError::Outside,
            other => TreeError::Io(other.into()),
        }
    }
}

/// A path beneath the root: plain names only, none of git's, not ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inside(PathBuf);

impl Inside {
    pub(crate) fn as_path(&self) -> &Path {
        &self.0
    }
}

/// The directory.
pub(crate) struct Tree {
    root: PathBuf,
    directory: OwnedFd,
    ignored: Ignored,
}

/// Files beneath a directory, in order of their names.
pub(crate) struct Listing {
    pub(crate) files: Vec<Inside>,
    /// Whether there are more than [`FILES_MAX`].
    pub(crate) is_cut: bool,
}

impl Tree {
    /// `root` is a directory's canonical path.
    pub(crate) fn open(root: &Path) -> io::Result<Tree> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Tree { root: root.to_owned(), directory, ignored: Ignored::new(root) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path as a model writes it.
    pub(crate) fn path(&self, text: &str) -> Result<Inside, TreeError> {
        let path = plain(text)?;
        if path.as_os_str().is_empty() {
            return Err(TreeError::Kind);
        }
        if self.is_ignored(&path, false) { Err(TreeError::Ignored) } else { Ok(Inside(path)) }
    }

    /// Files beneath a directory that are not ignored. Links, and names that are not UTF-8, are left out.
    pub(crate) fn files(&self, under: &str) -> Result<Listing, TreeError> {
        let under = plain(under)?;
        if self.is_ignored(&under, true) {
            return Err(TreeError::Ignored);
        }
        let mut listing = Listing { files: Vec::new(), is_cut: false };
        self.list(&under, 0, &mut listing)?;
        Ok(listing)
    }

    fn list(&self, under: &Path, depth: usize, listing: &mut Listing) -> Result<(), TreeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let path = if under.as_os_str().is_empty() { Path::new(".") } else { under };
        let directory = self.open_beneath(path, flags, Mode::empty())?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let status = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(status.st_mode)
                }
                kind => kind,
            };
            entries.push((name.to_owned(), kind));
        }
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (name, kind) in entries {
            let is_directory = kind == FileType::Directory;
            // No path that the tools would not take either.
            let Ok(path) = under.join(name).to_str().ok_or(TreeError::Form).and_then(plain) else { continue };
            // `.` is the directory itself; `..` is no path.
            if !is_directory && kind != FileType::RegularFile
                || path == under
                || self.is_ignored(&path, is_directory)
            {
                continue;
            }
            if listing.files.len() >= FILES_MAX || is_directory && depth >= DEPTH_MAX {
                listing.is_cut = true;
            } else if !is_directory {
                listing.files.push(Inside(path));
            } else {
                match self.list(&path, depth + 1, listing) {
                    // One that went away, became a link or may not be read is not there.
                    Ok(()) | Err(TreeError::Missing | TreeError::Outside | TreeError::Io(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if listing.is_cut {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A whole file, which is text.
    pub(crate) fn read(&self, path: &Inside) -> Result<String, TreeError> {
        String::from_utf8(self.read_bytes(path)?.0).map_err(|_| TreeError::NotText)
    }

    /// A whole file, and its permissions.
    pub(super) fn read_bytes(&self, path: &Inside) -> Result<(Vec<u8>, u32), TreeError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.open_beneath(path.as_path(), flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(TreeError::Kind);
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(TreeError::TooLong);
        }
        Ok((bytes, metadata.mode() & 0o7777))
    }

    /// Puts a file in place of the one that still holds `old`, or where there is none: whole or not at all, its permissions
    /// kept. Directories are not made.
    pub(crate) fn write(&self, path: &Inside, old: Option<&str>, new: &str) -> Result<(), TreeError> {
        let name = path.as_path().file_name().ok_or(TreeError::Form)?;
        if name.eq_ignore_ascii_case(RULES) {
            return Err(TreeError::Rules);
        }
        let parent = path.as_path().parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = self.open_beneath(
            parent.unwrap_or(Path::new(".")),
            OFlags::RDONLY | OFlags::DIRECTORY,
            Mode::empty(),
        )?;
        let mode = old.map(|_| self.read_bytes(path)).transpose()?.map(|(_, mode)| mode);
        if mode.is_some_and(|mode| mode & 0o222 == 0) {
            return Err(TreeError::Io(io::ErrorKind::PermissionDenied.into()));
        }
        let temporary = format!(".cloister-{}", std::process::id());
        // One that a process of this number left when it was killed.
        let _ = rustix::fs::unlinkat(&parent, &temporary, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // A new file has what the person's umask leaves.
        let bits = if mode.is_some() { 0o600 } else { 0o666 };
        let file = rustix::fs::openat(&parent, &temporary, flags, Mode::from_raw_mode(bits))?;
        let written = (|| {
            let mut file = File::from(file);
            file.write_all(new.as_bytes())?;
            if let Some(mode) = mode {
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777))?;
            }
            file.sync_all()?;
            match old {
                Some(old) if self.read(path)? != old => return Err(TreeError::Changed),
                Some(_) => rustix::fs::renameat(&parent, &temporary, &parent, name)?,
                None => {
                    let flags = rustix::fs::RenameFlags::NOREPLACE;
                    rustix::fs::renameat_with(&parent, &temporary, &parent, name, flags)?;
                }
            }
            Ok(())
        })();
        match written {
            // It is there; whether a crash at this moment undoes it is all that is not known.
            Ok(()) => {
                let _ = rustix::fs::fsync(&parent);
            }
            Err(_) => {
                let _ = rustix::fs::unlinkat(&parent, &temporary, AtFlags::empty());
            }
        }
        written
    }

    fn open_beneath(&self, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, TreeError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.directory, path, flags | OFlags::CLOEXEC, mode, resolve)?)
    }

    fn is_ignored(&self, path: &Path, is_directory: bool) -> bool {
        self.ignored.is_ignored(&self.root, path, is_directory)
    }
}

/// A path of plain names; an empty one is the root.
fn plain(text: &str) -> Result<PathBuf, TreeError> {
    if text.len() > PATH_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(TreeError::Form);
    }
    let mut path = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) if is_gits(name.to_str().unwrap_or_default()) => {
                return Err(TreeError::Git);
            }
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(TreeError::Form),
        }
    }
    Ok(path)
}

/// `.git`, also as file systems without case, or with short names, spell it.
fn is_gits(name: &str) -> bool {
    let name = name.trim_end_matches(['.', ' ']);
    name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn place() -> (tempfile::TempDir, Tree) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("work");
        for folder in ["src", ".git", "out"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let put = |name: &str, text: &str| {
            File::create(root.join(name)).unwrap().write_all(text.as_bytes()).unwrap()
        };
        put("../secret", "secret");
        put("a.txt", "a\n");
        put("src/b.txt", "b\n");
        put(".git/config", "c\n");
        put("out/x.o", "x\n");
        put("key.pem", "k\n");
        put("src/.gitignore", "!keep.pem\n/local\n");
        put("src/keep.pem", "k\n");
        put("src/local", "l\n");
        put(".gitignore", "/out/\n*.pem\n");
        symlink("../secret", root.join("link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("a.txt", root.join("near")).unwrap();
        let tree = Tree::open(&root).unwrap();
        (directory, tree)
    }

    #[test]
    fn no_path_leads_out() {
        let (_directory, tree) = place();
        let long = "a/".repeat(600);
        for (path, words) in [
            ("../secret", "must be relative"),
            ("src/../../secret", "must be relative"),
            ("/etc/passwd", "must be relative"),
            ("a.txt\0b", "must be relative"),
            (&long, "must be relative"),
            ("link", "symbolic link"),
            ("up/secret", "symbolic link"),
            ("near", "symbolic link"),
            (".git/config", "git's own"),
            (".GIT/config", "git's own"),
            ("src/.git", "git's own"),
            ("git~1/config", "git's own"),
            (".git./config", "git's own"),
            ("out/x.o", "ignored"),
            ("key.pem", "ignored"),
            ("src/local", "ignored"),
            ("src", "no regular file"),
            ("", "no regular file"),
            ("missing", "no such file"),
            ("a.txt/b", "no such file"),
        ] {
            let read = tree.path(path).and_then(|path| tree.read(&path));
            let error = read.err().unwrap_or_else(|| panic!("{path} was read")).to_string();
            assert!(error.contains(words), "{path}: {error}");
            let written = tree.path(path).and_then(|path| tree.write(&path, Some("x"), "y"));
            assert!(written.is_err(), "{path}");
            if path != "missing" {
                let made = tree.path(path).and_then(|path| tree.write(&path, None, "y"));
                assert!(made.is_err(), "{path}");
            }
        }
        let read = |path: &str| tree.read(&tree.path(path).unwrap()).unwrap();
        assert_eq!(
            (read("a.txt"), read("./src/b.txt"), read("src/keep.pem")),
            ("a\n".into(), "b\n".into(), "k\n".into())
        );
    }

    #[test]
    fn what_is_listed_is_what_may_be_read() {
        let (_directory, tree) = place();
        let files = tree.files("").unwrap().files;
        let names: Vec<&str> = files.iter().map(|file| file.as_path().to_str().unwrap()).collect();
        assert_eq!(names, [".gitignore", "a.txt", "src/.gitignore", "src/b.txt", "src/keep.pem"]);
        assert!(names.iter().all(|file| tree.path(file).and_then(|path| tree.read(&path)).is_ok()));
        assert_eq!(tree.files("src").unwrap().files.len(), 3);
        for bad in ["..", "up", "out", ".git", "/etc"] {
            assert!(tree.files(bad).is_err(), "{bad}");
        }
    }

    /// A root within a repository is under the rules above it; a repository within is another's.
    #[test]
    fn the_repositorys_rules_hold_everywhere() {
        let (_directory, tree) = place();
        let put = |name: &str, text: &str| {
            let path = tree.root().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        put("src/deep/own.pem", "k\n");
        put("src/deep/fine", "f\n");
        put("src/deep/local.o", "l\n");
        put(".git/info/exclude", "*.o\n");
        put("src/other/.git/config", "c\n");
        put("src/other/file", "o\n");
        put("src/broken/file", "b\n");
        symlink("/dev/zero", tree.root().join("src/broken/.gitignore")).unwrap();
        for root in ["src", "src/deep"] {
            let tree = Tree::open(&tree.root().join(root)).unwrap();
            let prefix = if root == "src" { "deep/" } else { "" };
            for (name, is_ignored) in [("own.pem", true), ("fine", false), ("local.o", true)] {
                assert_eq!(tree.path(&format!("{prefix}{name}")).is_err(), is_ignored, "{root} {name}");
            }
        }
        let tree = Tree::open(&tree.root().join("src")).unwrap();
        for name in ["other/file", "other/new", "broken/file"] {
            assert!(matches!(tree.path(name), Err(TreeError::Ignored)), "{name}");
        }
        let files = tree.files("").unwrap().files;
        let names: Vec<&str> = files.iter().map(|file| file.as_path().to_str().unwrap()).collect();
        assert_eq!(names, [".gitignore", "b.txt", "deep/fine", "keep.pem"]);
        // Nothing unhides itself.
        let rules = tree.path("deep/.gitignore").unwrap();
        assert!(matches!(tree.write(&rules, None, "!*.pem\n"), Err(TreeError::Rules)));
        let rules = tree.path(".gitignore").unwrap();
        assert!(matches!(tree.write(&rules, Some("!keep.pem\n/local\n"), ""), Err(TreeError::Rules)));
    }

    #[test]
    fn files_are_replaced_only_as_they_were_seen() {
        let (_directory, tree) = place();
        let path = tree.path("a.txt").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
        fs::set_permissions(tree.root().join("a.txt"), mode).unwrap();
        assert!(matches!(tree.write(&path, Some("other"), "new"), Err(TreeError::Changed)));
        tree.write(&path, Some("a\n"), "new\n").unwrap();
        assert_eq!((tree.read(&path).unwrap(), tree.read_bytes(&path).unwrap().1), ("new\n".into(), 0o750));
        assert!(tree.write(&path, None, "x").is_err(), "it is there");
        tree.write(&tree.path("src/new.txt").unwrap(), None, "x").unwrap();
        assert!(tree.write(&tree.path("nowhere/new.txt").unwrap(), None, "x").is_err());
        let left = fs::read_dir(tree.root())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with(".cloister-"));
        assert_eq!(left.count(), 0);
    }
}
