//! What the program `git` says of the repository that a person stands in. It reads, and runs nothing of anybody's: no
//! hook, pager, difference program or file watcher that a repository may name, and it fetches nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;

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

/// The root of the work tree that a directory is in.
pub(crate) fn root(directory: &Path) -> Result<PathBuf, Failure> {
    let said = run(directory, &["rev-parse", "--show-toplevel"], STATUS_BYTES_MAX)?;
    Ok(said.text.trim_end_matches('\n').into())
}

/// Whether everything in a work tree is committed, or ignored.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "for the agent, on Linux only"))]
pub(crate) fn is_clean(root: &Path) -> Result<bool, Failure> {
    let arguments = ["status", "--porcelain=v1", "--untracked-files=normal", "--ignore-submodules=none"];
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
    // What git complains of is short, and fits the pipe until it is read.
    let mut bytes = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
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
        let mut words = Vec::new();
        if let Some(stderr) = stderr {
            stderr.take(WORDS_BYTES_MAX).read_to_end(&mut words).map_err(cannot)?;
        }
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
