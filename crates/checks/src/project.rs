//! What of a source a unit is checked against: its folders that hold files of the language, the nearest first.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use languages::{Language, Project};

/// Entries of a source that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// Folders deep.
const DEPTH_MAX: usize = 32;
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

/// Lists a source.
pub fn list(root: &Path, language: Language) -> Listing {
    let mut listing = Listing { root: root.to_owned(), ..Listing::default() };
    let mut hasher = DefaultHasher::new();
    let mut left = ENTRIES_MAX;
    walk(root, language, DEPTH_MAX, &mut left, &mut listing.files, &mut hasher);
    listing.state = hasher.finish();
    listing
}

fn walk(
    folder: &Path,
    language: Language,
    depth: usize,
    left: &mut usize,
    files: &mut Vec<PathBuf>,
    hasher: &mut DefaultHasher,
) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.flatten().take(*left).collect();
    *left -= entries.len();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
        // A tool that writes names into a file of its own, a line each, takes a line feed for the next one.
        let is_usable = |name: &&str| !name.starts_with('.') && !name.contains(char::is_control);
        let Some(name) = name.to_str().filter(is_usable) else { continue };
        if kind.is_dir() && depth > 0 {
            walk(&entry.path(), language, depth - 1, left, files, hasher);
        } else if kind.is_file() && Language::detect(name, "") == Some(language) {
            let Ok(metadata) = entry.metadata() else { continue };
            let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            (entry.path(), metadata.len(), changed).hash(hasher);
            files.push(entry.path());
        }
    }
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
        Project { directory: own.filter(|own| own.is_dir()), directories, library }
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
