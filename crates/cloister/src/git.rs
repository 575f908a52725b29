//! What the program `git` says of the repository that a person stands in. It reads, and runs nothing of anybody's: no
//! hook, pager, difference program or file watcher that a repository may name, and it fetches nothing.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::failure::Failure;

/// Directories above one that are looked at.
const LEVELS_MAX: usize = 64;
/// Bytes of git's words when it fails.
const WORDS_BYTES_MAX: u64 = 4 << 10;
/// Bytes of a path, and of the list of what is not committed.
const STATUS_BYTES_MAX: usize = 64 << 10;

/// Bytes of a list of changed files.
const CHANGED_BYTES_MAX: usize = 4 << 20;

/// What git wrote, and whether there was more.
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) cut: bool,
}

/// What is staged, as differences, at most so many bytes, cut at a line.
pub(crate) fn staged(bytes_max: usize) -> Result<Said, Failure> {
    let arguments = ["diff", "--cached", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short"];
    run(Path::new("."), &arguments, bytes_max)
}

/// The staged files with what happened to each, at most so many bytes.
pub(crate) fn staged_files(bytes_max: usize) -> Result<Said, Failure> {
    let arguments = ["diff", "--cached", "--no-ext-diff", "--no-textconv", "--no-color", "--name-status"];
    run(Path::new("."), &arguments, bytes_max)
}

/// The root of the work tree that a directory, by its canonical path, is in: the nearest that has `.git`, whatever a
/// repository's configuration names.
pub(crate) fn root(directory: &Path) -> Option<&Path> {
    directory.ancestors().take(LEVELS_MAX).find(|above| above.join(".git").exists())
}

/// The files of a work tree that differ from a commit, from where the two parted, what is not committed included; and those
/// that git does not know and does not ignore. In order, none twice.
pub(crate) fn changed(directory: &Path, base: &str) -> Result<Vec<PathBuf>, Failure> {
    if base.starts_with('-') {
        return Err(Failure::usage(format!("{base:?} is no commit, branch or tag")));
    }
    let directory =
        directory.canonicalize().map_err(|error| Failure::file("cannot find", directory, &error))?;
    let Some(root) = root(&directory) else {
        return Err(Failure::usage("there is no repository here").hint("Name files, or go where it is."));
    };
    refuse_filters(root)?;
    let tree = format!("--work-tree={}", root.display());
    let difference = [
        &tree,
        "diff",
        "--merge-base",
        "--name-only",
        "-z",
        "--diff-filter=d",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
        "--ignore-submodules=all",
        base,
        "--",
    ];
    let unknown = [&tree, "ls-files", "-z", "--others", "--exclude-standard"];
    let mut names = BTreeSet::new();
    for arguments in [difference.as_slice(), unknown.as_slice()] {
        let said = run(root, arguments, CHANGED_BYTES_MAX)?;
        if said.cut {
            return Err(Failure::refused("too many files differ: name them, or a nearer commit"));
        }
        names.extend(said.text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned));
    }
    let path = |name: String| root.join(name);
    // As a person would name them from where they stand.
    let named = |path: PathBuf| path.strip_prefix(&directory).map(Path::to_owned).unwrap_or(path);
    Ok(names.into_iter().map(path).map(named).collect())
}

/// A repository that names programs which git would run to compare files is asked nothing.
fn refuse_filters(root: &Path) -> Result<(), Failure> {
    let arguments = ["config", "--local", "--includes", "--name-only", "--list"];
    let named = run(root, &arguments, STATUS_BYTES_MAX)?;
    if named.cut || named.text.lines().any(|name| name.to_ascii_lowercase().starts_with("filter.")) {
        return Err(Failure::refused("the repository's configuration names filters, which git would run"));
    }
    Ok(())
}

/// Whether everything in a work tree is committed, or ignored.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "for the agent, on Linux only"))]
pub(crate) fn is_clean(root: &Path) -> Result<bool, Failure> {
    refuse_filters(root)?;
    let tree = format!("--work-tree={}", root.display());
    let arguments =
        [&tree, "status", "--porcelain=v1", "--untracked-files=normal", "--ignore-submodules=dirty"];
    Ok(run(root, &arguments, STATUS_BYTES_MAX)?.text.is_empty())
}

fn run(directory: &Path, arguments: &[&str], bytes_max: usize) -> Result<Said, Failure> {
    let mut child = Command::new("git")
        .args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::system("cannot start git", &error))?;
    let cannot = |error| Failure::system("cannot read what git says", &error);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Beside: git may complain of more than a pipe holds before it says anything.
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        if let Some(mut stderr) = stderr {
            // What cannot be read of its words is not told.
            let _ = stderr.by_ref().take(WORDS_BYTES_MAX).read_to_end(&mut words);
            let _ = io::copy(&mut stderr, &mut io::sink());
        }
        words
    });
    let mut bytes = Vec::new();
    if let Some(stdout) = stdout
        && let Err(error) = stdout.take(bytes_max as u64 + 1).read_to_end(&mut bytes)
    {
        drop(child.kill());
        drop(child.wait());
        return Err(cannot(error));
    }
    let cut = bytes.len() > bytes_max;
    let status = if cut {
        // There is more than is wanted: it may end now. That it has ended already is no failure.
        drop(child.kill());
        None
    } else {
        Some(child.wait().map_err(cannot)?)
    };
    if let Some(status) = status.filter(|status| !status.success()) {
        let words = words.join().unwrap_or_default();
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        return Err(Failure::refused(format!("git failed ({status}): {words}")));
    }
    if cut {
        child.wait().map_err(cannot)?;
        bytes.truncate(bytes_max);
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(end);
    }
    Ok(Said { text: String::from_utf8_lossy(&bytes).into_owned(), cut })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_changed_since_a_commit() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let git = |arguments: &[&str]| {
            let who = ["-c", "user.name=a", "-c", "user.email=a@example", "-c", "init.defaultBranch=main"];
            let status = Command::new("git").args(who).args(arguments).current_dir(at).output().unwrap();
            assert!(status.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&status.stderr));
        };
        let write = |name: &str, text: &str| {
            fs::create_dir_all(at.join(name).parent().unwrap()).unwrap();
            File::create(at.join(name)).unwrap().write_all(text.as_bytes()).unwrap();
        };
        git(&["init", "-q"]);
        for name in ["kept.adb", "src/é changed.adb", "gone.adb", ".gitignore"] {
            write(name, "ignored.adb\n");
        }
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "first"]);
        git(&["checkout", "-q", "-b", "work"]);
        write("src/committed.adb", "a");
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "second"]);
        git(&["checkout", "-q", "main"]);
        write("elsewhere.adb", "a");
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "on main, after the two parted"]);
        git(&["checkout", "-q", "work"]);
        write("src/é changed.adb", "b");
        write("new.adb", "a");
        write("ignored.adb", "a");
        fs::remove_file(at.join("gone.adb")).unwrap();
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let uncommitted = paths(&["new.adb", "src/é changed.adb"]);
        assert_eq!(changed(at, "HEAD").unwrap(), uncommitted);
        assert_eq!(
            changed(at, "main").unwrap(),
            paths(&["new.adb", "src/committed.adb", "src/é changed.adb"])
        );
        let below = at.canonicalize().unwrap();
        let seen = changed(&at.join("src"), "HEAD").unwrap();
        assert_eq!(seen, [below.join("new.adb"), PathBuf::from("é changed.adb")]);
        assert!(changed(at, "--output=x").is_err() && changed(at, "nowhere").is_err());
        // What git would run is not run.
        git(&["config", "filter.evil.clean", "touch pwned"]);
        assert!(changed(at, "HEAD").unwrap_err().message().contains("filters"));
    }
}
