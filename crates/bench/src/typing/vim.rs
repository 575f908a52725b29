//! The plug-in's table, in a Vim of its own: its look-up is what the plug-in's person waits for, so that it runs where it
//! runs for them, by [`table.vim`](table.vim).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::NamedTempFile;
use testkit::Failure;

/// Of this place itself, or the rest of what was known of a place before it.
pub(super) struct Known {
    pub(super) is_of_this_place: bool,
    pub(super) text: String,
}

pub(super) struct Vim {
    child: Child,
    commands: ChildStdin,
    lines: BufReader<ChildStdout>,
    /// Vim reads it while it starts.
    _script: NamedTempFile,
}

impl Vim {
    /// With a text opened, the cursor between its two parts.
    pub(super) fn start(program: &Path, before: &str, behind: &str) -> Result<Vim, Failure> {
        let mut script = NamedTempFile::with_suffix(".vim")?;
        script.write_all(include_bytes!("table.vim"))?;
        let mut child = Command::new(program)
            // As it is, without a file of anybody's, and by commands from standard input.
            .args(["-N", "-u", "NONE", "-i", "NONE", "-n", "-es", "-S"])
            .arg(script.path())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}; Debian has it in the package vim", program.display()))?;
        let commands = child.stdin.take().ok_or("there is no standard input")?;
        let lines = BufReader::new(child.stdout.take().ok_or("there is no standard output")?);
        let mut vim = Vim { child, commands, lines, _script: script };
        vim.call("Open", &[before, behind])?;
        // It has started when it answers.
        vim.known()?;
        Ok(vim)
    }

    /// The text comes before the cursor.
    pub(super) fn typed(&mut self, text: &str) -> Result<(), Failure> {
        self.call("Typed", &[text])
    }

    pub(super) fn keep(&mut self, before: &str, answer: &str) -> Result<(), Failure> {
        self.call("Keep", &[before, answer])
    }

    /// What is known of where the cursor is.
    pub(super) fn known(&mut self) -> Result<Known, Failure> {
        self.call("Look", &[])?;
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err("Vim ended".into());
        }
        let (is_of_this_place, text) = serde_json::from_str(&line)?;
        Ok(Known { is_of_this_place, text })
    }

    fn call(&mut self, function: &str, arguments: &[&str]) -> Result<(), Failure> {
        // What JSON escapes in a string, Vim reads in its own.
        let arguments: Vec<_> = arguments.iter().map(|argument| Value::from(*argument).to_string()).collect();
        writeln!(self.commands, "call {function}({})", arguments.join(", "))?;
        Ok(self.commands.flush()?)
    }
}

impl Drop for Vim {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
