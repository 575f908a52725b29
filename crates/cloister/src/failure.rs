//! A failure as a person reads it: kind, causes, hint; and as a script does: an exit code.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use client::ClientError;

use crate::output::Output;

/// The server or a file said no, or a verification found problems.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The command line or the configuration is wrong; nothing was tried.
pub(crate) const EXIT_USAGE: u8 = 2;
/// Whoever read stdout has gone: what a program gets that the signal ends (128 + SIGPIPE).
const EXIT_BROKEN_PIPE: u8 = 141;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: &'static str,
    message: String,
    /// From the nearest cause to the deepest.
    causes: Vec<String>,
    hint: Option<String>,
    exit: u8,
}

impl Failure {
    /// The arguments do not make sense together, or with the file they name.
    pub(crate) fn usage(message: impl Display) -> Self {
        Failure::new("usage", message, EXIT_USAGE)
    }

    /// The configuration is wrong.
    pub(crate) fn configuration(message: impl Display) -> Self {
        Failure::new("configuration", message, EXIT_USAGE)
    }

    /// A file's content, or a checkpoint, was examined and refused.
    pub(crate) fn refused(message: impl Display) -> Self {
        Failure::new("refused", message, EXIT_FAILED)
    }

    /// A file could not be read or written; `intent` as in `cannot read`.
    pub(crate) fn file(intent: &str, path: &Path, source: &io::Error) -> Self {
        Failure::new("file", format!("{intent} {}", path.display()), EXIT_FAILED).caused_by(source)
    }

    /// Something on this machine failed that no argument names.
    pub(crate) fn system(message: impl Display, source: &io::Error) -> Self {
        Failure::new("system", message, EXIT_FAILED).caused_by(source)
    }

    fn new(kind: &'static str, message: impl Display, exit: u8) -> Self {
        Failure { kind, message: message.to_string(), causes: Vec::new(), hint: None, exit }
    }

    pub(crate) fn caused_by(mut self, cause: &dyn Error) -> Self {
        self.causes.extend(with_causes(cause));
        self
    }

    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// What is said of it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether whoever read stdout has gone: then there is nothing left to do.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.exit == EXIT_BROKEN_PIPE
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(self, output: &mut Output) -> ExitCode {
        if !self.is_broken_pipe() {
            output.complain(&self.lines());
        }
        ExitCode::from(self.exit)
    }

    fn lines(&self) -> String {
        let mut lines = format!("error[{}]: {}", self.kind, self.message);
        for cause in &self.causes {
            lines.push_str("\n  cause: ");
            lines.push_str(cause);
        }
        if let Some(hint) = &self.hint {
            lines.push_str("\n  hint: ");
            lines.push_str(hint);
        }
        lines
    }
}

/// An error, and what caused it, one after the other.
pub(crate) fn with_causes(error: &dyn Error) -> Vec<String> {
    let (mut words, mut next) = (Vec::new(), Some(error));
    while let Some(error) = next {
        words.push(error.to_string());
        next = error.source();
    }
    words
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let mut failure = Failure::new(error.kind().name(), &error, EXIT_FAILED);
        if let Some(cause) = error.source() {
            failure = failure.caused_by(cause);
        }
        if let Some(record) = error.record() {
            failure.causes.push(format!("this is record {record}; `cloister explain {record}` shows it"));
        }
        failure.hint = error.hint().map(str::to_owned);
        failure
    }
}

/// Writing to stdout failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let exit = if error.kind() == io::ErrorKind::BrokenPipe { EXIT_BROKEN_PIPE } else { EXIT_FAILED };
        Failure::new("file", "cannot write to standard output", exit).caused_by(&error)
    }
}
