use std::process::ExitCode;

use client::{Answer, CompletionRequest, Findings, Usage};
use serde::Serialize;

use super::{Session, wait};
use crate::conversation::closing_line;
use crate::cursor::{self, Place};
use crate::failure::Failure;
use crate::{file, findings, subject};

/// A longer file is not source that a person completes in.
const FILE_BYTES_MAX: u64 = 16 << 20;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Completes code at a place in a file
///
/// Sends the text around the place to the server and prints what the model puts there. Lines and
/// columns count from 1, columns in characters. At most 24 KiB before and 8 KiB behind the place
/// are sent, cut at line boundaries.
#[derive(clap::Args)]
pub(crate) struct Complete {
    /// The place, as in src/stack.adb:12:7
    #[arg(value_name = "FILE:LINE:COL")]
    place: Place,
    /// The deployment to ask; `cloister models` lists them
    #[arg(long, short, value_name = "ALIAS")]
    deployment: Option<String>,
    /// Tokens of the completion at most
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_tokens: u32,
    /// End the completion before this text, as '\n   end '; `\n` is a line break. May be repeated
    #[arg(long, value_name = "TEXT", value_parser = unescaped)]
    stop: Vec<String>,
    /// End the completion with its first line, or with the block that the place is in, by indentation
    #[arg(long, value_enum, value_name = "WHAT")]
    until: Option<Until>,
    /// Write the completion into the file, in one step
    #[arg(long)]
    apply: bool,
    /// Print {record, deployment, text, stop, usage, applied} as JSON
    #[arg(long)]
    json: bool,
}

/// Where a completion ends.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Until {
    Line,
    Block,
}

impl Until {
    fn word(self) -> &'static str {
        match self {
            Until::Line => "line",
            Until::Block => "block",
        }
    }
}

/// A shell's user writes a line break as `\n`.
#[expect(clippy::unnecessary_wraps, reason = "as clap asks for")]
fn unescaped(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.replace("\\n", "\n"))
}

#[derive(Serialize)]
struct Report<'a> {
    record: Option<u64>,
    deployment: &'a str,
    text: &'a str,
    stop: &'a str,
    usage: Usage,
    #[serde(flatten)]
    findings: &'a Findings,
    applied: bool,
}

impl Complete {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let place = &self.place;
        let file = file::read_text(&place.file, FILE_BYTES_MAX)?;
        // Editors do not count the byte order mark as a column.
        let text = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&file);
        let offset = place
            .offset(text)
            .map_err(|error| Failure::usage(format!("{}: {error}", place.file.display())))?;

        let settings = session.settings()?;
        let (before, behind) = cursor::around(text, offset);
        let request = CompletionRequest {
            model: self.deployment.clone().or_else(|| settings.deployment.clone()),
            max_tokens: Some(self.max_tokens),
            stop: self.stop.clone(),
            until: self.until.map(Until::word),
            subject: subject::of_file(&place.file),
            ..CompletionRequest::fill(line_feeds(before), line_feeds(behind))
        };
        let answer = wait(async { Ok(settings.client.complete(&request).await?) })?;
        session.keep_receipt(&settings, &answer.mark);

        let applied = self.apply && !answer.text.is_empty();
        if applied {
            let at = offset + (file.len() - text.len());
            file::replace(&place.file, file.as_bytes(), insert(&file, at, &answer.text).as_bytes())?;
        }
        self.show(session, &answer, applied)?;
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, session: &mut Session, answer: &Answer, applied: bool) -> Result<(), Failure> {
        if self.json {
            session.output.json(&Report {
                record: answer.mark.record.map(|record| record.0),
                deployment: &answer.deployment,
                text: &answer.text,
                stop: &answer.stop,
                usage: answer.usage,
                findings: &answer.findings,
                applied,
            })?;
            return Ok(());
        }
        session.output.text(&answer.text)?;
        session.output.end_text()?;
        if answer.text.is_empty() {
            session.output.say("the model has nothing to add here");
        } else if applied {
            let Place { file, line, column } = &self.place;
            session.output.say(format!("inserted at {}:{line}:{column}", file.display()));
        }
        for line in findings::lines(&answer.findings) {
            session.output.say(line);
        }
        session.output.say(closing_line(&answer.mark, &answer.deployment, &answer.stop, Some(answer.usage)));
        Ok(())
    }
}

/// Models are trained on line feeds, and answer with what they see.
fn line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// The file with the completion in it, its lines ended as the file's are.
fn insert(file: &str, at: usize, completion: &str) -> String {
    let mut completion = line_feeds(completion);
    if cursor::ends_lines_with_crlf(file) {
        completion = completion.replace('\n', "\r\n");
    }
    let (before, behind) = file.split_at(at);
    [before, &completion, behind].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insertions_end_lines_as_the_file_does() {
        assert_eq!(insert("a\r\nb\r\n", 1, "x\ny"), "ax\r\ny\r\nb\r\n");
        assert_eq!(insert("a\nb\n", 1, "x\ny"), "ax\ny\nb\n");
        assert_eq!(insert("a\nb\n", 4, "x\r\n"), "a\nb\nx\n");
        assert_eq!(insert("", 0, "x\n"), "x\n");
    }
}
