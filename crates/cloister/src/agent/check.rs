//! The check command: one that the person named, run in a jail of its own on a copy of the files. It has no network, sees the
//! system's toolchain and the copy and nothing else, and what it writes is thrown away.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use jail::spawn::{Exit, Program};
use jail::tool::{self, End, Launcher, Limits, Task, ToolError};

use super::tree::{FILES_MAX, Tree};

/// The first argument of this program as the launcher of a jailed tool.
pub(crate) const LAUNCHER_ARGUMENT: &str = "tool-process";
/// Bytes of all files that are copied.
const COPY_BYTES_MAX: usize = 64 << 20;
/// Bytes of its words, at the end, that the model is shown of each stream.
const WORDS_BYTES_MAX: usize = 3 << 10;

/// Why a check was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    #[error("the files cannot be copied for the check")]
    Copy(#[source] io::Error),
    #[error("there are more than {FILES_MAX} files, or {COPY_BYTES_MAX} bytes of them: too much to check")]
    TooMuch,
    #[error("the check is not run without its jail")]
    Jail(#[source] ToolError),
}

/// A command for a shell.
pub(crate) struct Checker {
    pub(crate) command: String,
    pub(crate) wall_ms_max: u64,
}

impl Checker {
    /// Runs it on the files as they are; its status and the end of its words.
    pub(crate) fn run(&self, tree: &Tree) -> Result<String, CheckError> {
        let scratch =
            tempfile::Builder::new().prefix("cloister-check-").tempdir().map_err(CheckError::Copy)?;
        let folder = scratch.path().canonicalize().map_err(CheckError::Copy)?;
        copy(tree, &folder)?;
        let limits = Limits {
            wall_ms_max: self.wall_ms_max,
            cpu_s_max: self.wall_ms_max.div_ceil(1000),
            ..Limits::default()
        };
        let task = Task {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), self.command.clone().into()],
            environment: tool::environment(&folder),
            directory: folder.clone(),
            toolchain: tool::debian_toolchain(),
            read_only: Vec::new(),
            scratch: folder,
            scratch_executes: true,
            finds_itself: false,
            stdin: None,
            limits,
        };
        let launcher =
            Launcher { program: Program::Path(Path::new("/proc/self/exe")), arguments: &[LAUNCHER_ARGUMENT] };
        let outcome = tool::run(&launcher, &task).map_err(CheckError::Jail)?;
        let end = match outcome.end {
            End::Exited(Exit::Code(0)) => "passed".to_owned(),
            End::Exited(Exit::Code(code)) => format!("failed with status {code}"),
            End::Exited(Exit::Signal(signal)) => format!("ended by signal {signal}"),
            End::TimedOut => format!("not done after {} ms", self.wall_ms_max),
        };
        Ok(format!("{end}\n{}{}", tail(&outcome.stdout.bytes), tail(&outcome.stderr.bytes)))
    }
}

/// The files that may be read, into an empty folder.
fn copy(tree: &Tree, folder: &Path) -> Result<(), CheckError> {
    let other = |error: super::tree::TreeError| CheckError::Copy(io::Error::other(error.to_string()));
    let mut bytes_left = COPY_BYTES_MAX;
    let listing = tree.files("").map_err(other)?;
    if listing.is_cut {
        return Err(CheckError::TooMuch);
    }
    for file in listing.files {
        // What cannot be read, such as a file that is too long, is not there for the check.
        let Ok((bytes, mode)) = tree.read_bytes(&file) else { continue };
        bytes_left = bytes_left.checked_sub(bytes.len()).ok_or(CheckError::TooMuch)?;
        let target = folder.join(file.as_path());
        let copied = (|| {
            if let Some(parent) = target.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            File::create_new(&target)?.write_all(&bytes)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(mode & 0o700 | 0o600))
        })();
        copied.map_err(CheckError::Copy)?;
    }
    Ok(())
}

fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text[text.ceil_char_boundary(text.len().saturating_sub(WORDS_BYTES_MAX))..].to_owned()
}
