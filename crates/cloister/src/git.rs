//! What the program `git` says of the repository that a person stands in. It reads, and runs nothing of anybody's: no
//! hook, pager, difference program or file watcher that a repository may name, and it fetches nothing.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use crate::failure::Failure;

/// Directories above one that are looked at.
const LEVELS_MAX: usize = 64;
/// Bytes of git's words when it fails.
const WORDS_BYTES_MAX: u64 = 4 << 10;
/// Bytes of a path, and of the list of what is not committed.
const STATUS_BYTES_MAX: usize = 64 << 10;

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

/// Whether everything in a work tree is committed, or ignored. A repository that names programs which git would run for that
/// is asked nothing.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "for the agent, on Linux only"))]
pub(crate) fn is_clean(root: &Path) -> Result<bool, Failure> {
    let arguments = ["config", "--local", "--includes", "--name-only", "--list"];
    let named = run(root, &arguments, STATUS_BYTES_MAX)?;
    if named.cut || named.text.lines().any(|name| name.to_ascii_lowercase().starts_with("filter.")) {
        return Err(Failure::refused("the repository's configuration names filters, which git would run"));
    }
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
