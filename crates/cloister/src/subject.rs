//! What a request is about, for the server's record: the file, and the repository that it is in. It is said in
//! clear, so nothing secret may be in it; and a request never fails for want of it.

use std::path::Path;

use client::Subject;

use crate::file;
use crate::git::root;

/// A longer configuration of Git is not read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// As the server takes them.
const REPOSITORY_BYTES_MAX: usize = 512;
const PATH_BYTES_MAX: usize = 1024;

/// A file's. Outside of a repository its name alone: the directories above are a person's own.
pub(crate) fn of_file(path: &Path) -> Option<Subject> {
    let path = path.canonicalize().ok()?;
    let directory = path.parent()?;
    let subject = match root(directory) {
        Some(root) => Subject {
            context: None,
            repository: repository(root),
            path: path.strip_prefix(root).ok().and_then(|path| fit(path.to_str()?, PATH_BYTES_MAX)),
        },
        None => Subject { path: fit(path.file_name()?.to_str()?, PATH_BYTES_MAX), ..Subject::default() },
    };
    Some(subject).filter(|subject| *subject != Subject::default())
}

/// The repository that a person stands in.
pub(crate) fn of_directory(directory: &Path) -> Option<Subject> {
    let directory = directory.canonicalize().ok()?;
    let repository = repository(root(&directory)?)?;
    Some(Subject { repository: Some(repository), path: None, context: None })
}

/// The address of the remote `origin`, or the name of the root.
fn repository(root: &Path) -> Option<String> {
    let config = file::read_text(&root.join(".git/config"), CONFIG_BYTES_MAX).ok();
    let address = config.as_deref().and_then(origin).and_then(public);
    address.or_else(|| fit(root.file_name()?.to_str()?, REPOSITORY_BYTES_MAX))
}

/// The `url` of `[remote "origin"]`.
fn origin(config: &str) -> Option<&str> {
    let mut lines = config.lines().map(str::trim).skip_while(|line| *line != r#"[remote "origin"]"#).skip(1);
    lines.by_ref().take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "url").then(|| value.trim())
    })
}

/// An address without user, password and parameters; none for a directory of this machine.
fn public(address: &str) -> Option<String> {
    let address = address.split(['?', '#']).next()?;
    let (scheme, rest) = match address.split_once("://") {
        Some(("file", _)) => return None,
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        // As `git@host:path`; a path has its first slash before any colon.
        None if address.split('/').next()?.contains(':') => (String::new(), address),
        None => return None,
    };
    let end = if scheme.is_empty() { ':' } else { '/' };
    let (authority, path) = rest.split_at(rest.find(end).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next()?;
    fit(&format!("{scheme}{host}{path}"), REPOSITORY_BYTES_MAX)
}

fn fit(text: &str, bytes_max: usize) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    #[test]
    fn addresses_without_secrets() {
        let cases = [
            ("https://git.example/a/b.git", Some("https://git.example/a/b.git")),
            ("https://ada:pass@git.example/b.git", Some("https://git.example/b.git")),
            ("https://ada:p@ss@git.example:8443/b.git", Some("https://git.example:8443/b.git")),
            ("https://token@git.example/b@c.git?key=1#x", Some("https://git.example/b@c.git")),
            ("ssh://git@git.example:22/b.git", Some("ssh://git.example:22/b.git")),
            ("git@git.example:a/b.git", Some("git.example:a/b.git")),
            ("/srv/git/b.git", None),
            ("../b.git", None),
            ("file:///srv/b.git", None),
        ];
        for (address, expected) in cases {
            assert_eq!(public(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn a_file_in_a_repository_and_one_outside() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("flight");
        fs::create_dir_all(root.join("src/deep")).unwrap();
        File::create(root.join("src/deep/a.adb")).unwrap();
        let file = root.join("src/deep/a.adb");
        let said = |repository: Option<&str>, path: &str| {
            Some(Subject {
                repository: repository.map(str::to_owned),
                path: Some(path.to_owned()),
                context: None,
            })
        };
        assert_eq!(of_file(&file), said(None, "a.adb"));
        fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(of_file(&file), said(Some("flight"), "src/deep/a.adb"));
        let config = "[core]\n\turl = no\n[remote \"origin\"]\n\tfetch = x\n\turl = https://a:b@h/f.git\n";
        File::create(root.join(".git/config")).unwrap().write_all(config.as_bytes()).unwrap();
        assert_eq!(of_file(&file), said(Some("https://h/f.git"), "src/deep/a.adb"));
        assert_eq!(of_directory(&root.join("src")).unwrap().repository.as_deref(), Some("https://h/f.git"));
        assert_eq!(of_file(&root.join("missing")), None);
    }
}
