//! What of a source a unit is checked against: its folders that hold files of the language, the nearest first.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use ignore::{DirEntry, WalkBuilder};
use languages::{Language, Project};
use rustix::fs::{Mode, OFlags, ResolveFlags};

/// Entries of a source that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// Folders deep.
const DEPTH_MAX: usize = 32;
/// Bytes of all files of a source that a check is granted.
const COPY_BYTES_MAX: u64 = 256 << 20;
/// Of a file that is read here.
const TEXT_BYTES_MAX: u64 = 256 << 10;
/// Folders that a compiler is given.
const DIRECTORIES_MAX: usize = 400;

/// Files of one language in a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Where the source is.
    pub root: PathBuf,
    /// The files, sorted; links are not followed, hidden folders and names with control characters are passed over.
    pub files: Vec<PathBuf>,
    /// Changes when a file comes, goes or is written.
    pub state: u64,
}

/// Why a source cannot be used.
pub fn unusable(root: &Path) -> Option<String> {
    if !root.is_dir() {
        return Some("it is not there".to_owned());
    }
    let is_bare = root.join("HEAD").is_file() && root.join("objects").is_dir();
    is_bare.then(|| "it is a bare repository, whose files are not on disk".to_owned())
}

/// Lists a source: what git ignores, hidden names, names with control characters, links, and repositories within it, which
/// are sources of their own, are passed over.
pub fn list(root: &Path, language: Language) -> Listing {
    let mut listing = Listing { root: root.to_owned(), ..Listing::default() };
    let mut hasher = DefaultHasher::new();
    let is_own = |entry: &DirEntry| entry.depth() == 0 || !entry.path().join(".git").exists();
    let walk = WalkBuilder::new(root)
        .follow_links(false)
        .require_git(false)
        .git_global(false)
        .parents(false)
        .max_depth(Some(DEPTH_MAX))
        .sort_by_file_name(Ord::cmp)
        .filter_entry(is_own)
        .build();
    for entry in walk.flatten().take(ENTRIES_MAX) {
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let Some(name) = entry.path().strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        // A tool that writes names into a file of its own, a line each, takes a line feed for the next one.
        if name.contains(char::is_control) || !is_of(language, name) {
            continue;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        (name, metadata.len(), changed).hash(&mut hasher);
        listing.files.push(entry.into_path());
    }
    listing.state = hasher.finish();
    listing
}

/// Whether a file of that name is looked at beside a unit of the language. C and C++ share their headers.
fn is_of(language: Language, name: &str) -> bool {
    let found = Language::detect(name, "");
    let is_c = |language| matches!(language, Language::C | Language::Cpp);
    found == Some(language) || (is_c(language) && found.is_some_and(is_c))
}

/// Copies a listing's files into a folder: a check is granted these and nothing else of the source.
pub fn copy(listing: &Listing, folder: &Path) -> io::Result<Listing> {
    let root = fs::File::open(&listing.root)?;
    let mut copied = Listing { root: folder.to_owned(), state: listing.state, ..Listing::default() };
    let mut left = COPY_BYTES_MAX;
    for file in &listing.files {
        let Ok(name) = file.strip_prefix(&listing.root) else { continue };
        // Whoever may write there may have put a link in its place meanwhile.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(from) = rustix::fs::openat2(&root, name, flags, Mode::empty(), resolve) else { continue };
        let to = folder.join(name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let bytes = io::copy(&mut fs::File::from(from).take(left + 1), &mut fs::File::create_new(&to)?)?;
        left = left
            .checked_sub(bytes)
            .ok_or_else(|| io::Error::other(format!("its files have more than {COPY_BYTES_MAX} bytes")))?;
        copied.files.push(to);
    }
    Ok(copied)
}

impl Listing {
    /// As a unit at a path of the source, relative to its root, is checked against it. A path that leads out of it is
    /// none.
    pub fn project(&self, path: Option<&str>, library: Option<PathBuf>) -> Project {
        let parent = path.and_then(|path| Path::new(path).parent());
        let is_inside = |parent: &&Path| parent.components().all(|part| matches!(part, Component::Normal(_)));
        let own = parent.filter(is_inside).map(|parent| self.root.join(parent));
        let directories: BTreeSet<&Path> = self.files.iter().filter_map(|file| file.parent()).collect();
        let mut directories: Vec<&Path> = directories.into_iter().collect();
        // The unit's own first, then those that share most of its path; else by name.
        let shared = |directory: &Path| {
            let own = own.as_deref().unwrap_or(&self.root);
            own.components().zip(directory.components()).take_while(|(one, other)| one == other).count()
        };
        directories.sort_by_key(|directory| {
            (own.as_deref() != Some(directory), std::cmp::Reverse(shared(directory)))
        });
        let directories = directories.into_iter().take(DIRECTORIES_MAX).map(Path::to_owned).collect();
        Project { directory: own.filter(|own| own.is_dir()), directories, library, specification: None }
    }

    /// The text of a file of that name: in the directory, or else the one that there is.
    pub fn text(&self, directory: Option<&Path>, name: &str) -> Option<String> {
        let beside = directory.map(|directory| directory.join(name));
        let mut named = self.files.iter().filter(|file| file.file_name().is_some_and(|other| other == name));
        let file = match beside.and_then(|beside| self.files.iter().find(|file| **file == beside)) {
            Some(file) => file,
            None => named.next().filter(|_| named.next().is_none())?,
        };
        let mut text = String::new();
        let file = fs::File::open(file).ok()?;
        let read = file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text).ok()?;
        (read as u64 <= TEXT_BYTES_MAX).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that cannot go on fails")]

    use super::*;

    #[test]
    fn the_nearest_first() {
        let root = tempfile::tempdir().unwrap();
        for file in ["a/x.ads", "b/c/y.ads", "b/d/z.adb", ".hidden/h.ads", "b/readme.md", "n\nl/n.ads"] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(root.path(), root.path().join("b/loop")).unwrap();
        let listing = list(root.path(), Language::Ada);
        assert_eq!(listing.files.len(), 3);
        let project = listing.project(Some("b/d/z.adb"), None);
        let names: Vec<&str> = project
            .directories
            .iter()
            .map(|directory| directory.strip_prefix(root.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["b/d", "b/c", "a"]);
        for path in ["/etc/passwd", "../b/d/z.adb", "b/../../x.ads"] {
            let outside = listing.project(Some(path), None);
            assert_eq!((outside.directory, outside.directories.len()), (None, 3), "{path}");
        }
        let before = listing.state;
        fs::write(root.path().join("a/x.ads"), "package X is end X;").unwrap();
        assert_ne!(list(root.path(), Language::Ada).state, before);
    }

    #[test]
    fn bare_repositories_are_told() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(unusable(root.path()), None);
        fs::create_dir(root.path().join("objects")).unwrap();
        fs::write(root.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert!(unusable(root.path()).unwrap().contains("bare"));
        assert!(unusable(&root.path().join("nowhere")).is_some());
    }
}
