use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use client::{Findings, Usage};
use serde::Serialize;

use super::{Session, wait};
use crate::conversation::{Manner, WholeAnswer, answer, closing_line, message};
use crate::decision::{self, Choice};
use crate::failure::Failure;
use crate::fences::{fence, language, only_block};
use crate::hunks::Change;
use crate::{consent, cursor, file, findings, subject};

/// A longer file is not source that a person edits.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes that a model is asked to write again.
const LINES_BYTES_MAX: usize = 64 << 10;
/// Bytes of the file on each side of the lines that are edited.
const AROUND_BYTES_MAX: usize = 4 << 10;

/// Changes a file as you say, hunk by hunk with your consent
///
/// The server is sent the file, or some lines of it, and answers with them written anew. The difference is shown, and on
/// a terminal each hunk is asked about: y takes it, n leaves it, a takes it and the rest, q leaves it and the rest.
/// Where nobody can be asked, the difference is printed and nothing is changed. The file is written in one step, unless it
/// was changed meanwhile. What was taken is recorded as a decision.
#[derive(clap::Args)]
pub(crate) struct Edit {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What is to be done, in a sentence or a few; `-` reads it from standard input
    #[arg(long, short, value_name = "TEXT")]
    instruction: String,
    /// Only these lines, from 1, the last included
    #[arg(long, short, value_name = "A-B")]
    lines: Option<Lines>,
    /// Take all hunks, and ask nothing
    #[arg(long, conflicts_with = "diff")]
    apply: bool,
    /// Print the difference, for `git apply`, and change nothing
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    manner: Manner,
    /// Print {record, deployment, path, diff, hunks, taken, choice, usage, checks, provenance} as JSON; takes nothing but
    /// with --apply
    #[arg(long)]
    json: bool,
}

/// `A-B`, or `A` for one line. They count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lines {
    first: usize,
    last: usize,
}

impl FromStr for Lines {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected A-B with line numbers from 1, as in 12-20";
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.parse().map_err(|_| FORM)?, last.parse().map_err(|_| FORM)?);
        if first == 0 || last < first { Err(FORM) } else { Ok(Lines { first, last }) }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    record: Option<u64>,
    deployment: &'a str,
    path: &'a str,
    diff: String,
    hunks: usize,
    taken: usize,
    choice: &'static str,
    usage: Option<Usage>,
    #[serde(flatten)]
    findings: &'a Findings,
}

impl Edit {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let instruction = match self.instruction.as_str() {
            "-" => file::read_stdin(FILE_BYTES_MAX)?,
            text => text.to_owned(),
        };
        if instruction.trim().is_empty() {
            return Err(Failure::usage("the instruction is empty"));
        }
        let text = file::read_text(&self.file, FILE_BYTES_MAX)?;
        let (start, end) = self.extent(&text)?;
        let name = self.file.to_str().ok_or_else(|| Failure::usage("the file's name is not UTF-8"))?;

        let settings = session.settings()?;
        let question = question(name, &text, (start, end), instruction.trim());
        let mut request = self.manner.request(&settings, &[message("user", question)]);
        request.subject = subject::of_file(&self.file);
        let answer = wait(answer(session, &settings, &request, false))?;
        let rewritten = rewritten(&answer, &text, (start, end));
        let rewritten = rewritten.inspect_err(|_| self.say_findings(session, &answer))?;

        let whole = [&text[..start], &rewritten, &text[end..]].concat();
        let change = Change::new(name, text, whole);
        let (choice, taken) = self.decide(session, &change)?;
        if taken.contains(&true) {
            file::replace(&self.file, change.old().as_bytes(), change.with(&taken).as_bytes())?;
        }
        let path = request.subject.as_ref().and_then(|subject| subject.path.as_deref());
        wait(async {
            let told = Some((&change, taken.as_slice()));
            decision::tell(&settings.client, &answer.mark, choice, told, path, &mut session.output).await;
            Ok(())
        })?;
        self.show(session, &answer, &change, choice, &taken)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Where the lines begin and end, in bytes.
    fn extent(&self, text: &str) -> Result<(usize, usize), Failure> {
        let starts = text.split_inclusive('\n').scan(0, |at, line| {
            let start = *at;
            *at += line.len();
            Some((start, *at))
        });
        let (start, end) = match self.lines {
            None => (0, text.len()),
            Some(Lines { first, last }) => {
                let all: Vec<(usize, usize)> = starts.collect();
                let lines = all.get(first - 1..last).ok_or_else(|| {
                    Failure::usage(format!("{} has {} lines", self.file.display(), all.len()))
                })?;
                (lines[0].0, lines[lines.len() - 1].1)
            }
        };
        if text[start..end].trim().is_empty() {
            return Err(Failure::usage("there is nothing to change in lines without text")
                .hint("`cloister generate` writes what is not there yet."));
        }
        if end - start > LINES_BYTES_MAX {
            return Err(Failure::usage(format!("these are more than {LINES_BYTES_MAX} bytes"))
                .hint("Name fewer lines with --lines."));
        }
        Ok((start, end))
    }

    /// What is done with the change. Nothing is written here.
    fn decide(&self, session: &mut Session, change: &Change) -> Result<(Choice, Vec<bool>), Failure> {
        let none = vec![false; change.len()];
        if change.len() == 0 {
            return Ok((Choice::Shown, none));
        }
        if self.apply {
            if !self.json {
                change.show(&mut session.output)?;
            }
            return Ok((Choice::Accepted, vec![true; change.len()]));
        }
        if self.json || self.diff || !consent::can_ask() {
            if !self.json {
                change.show(&mut session.output)?;
            }
            return Ok((Choice::Shown, none));
        }
        let taken = consent::ask(change, &mut session.output)?;
        Ok((Choice::of(&taken), taken))
    }

    fn show(
        &self,
        session: &mut Session,
        answer: &WholeAnswer,
        change: &Change,
        choice: Choice,
        taken: &[bool],
    ) -> Result<(), Failure> {
        let count = taken.iter().filter(|taken| **taken).count();
        if self.json {
            session.output.json(&Report {
                record: answer.mark.record.map(|record| record.0),
                deployment: &answer.deployment,
                path: change.path(),
                diff: change.unified(),
                hunks: change.len(),
                taken: count,
                choice: choice.word(),
                usage: answer.usage,
                findings: &answer.findings,
            })?;
            return Ok(());
        }
        let file = self.file.display();
        session.output.say(match (choice, change.len()) {
            (_, 0) => "the model would change nothing".to_owned(),
            (Choice::Shown, _) => format!("{file} is as it was: --apply takes the change"),
            (Choice::Rejected, _) => format!("{file} is as it was"),
            (_, hunks) => format!("{count} of {hunks} hunks are in {file}"),
        });
        self.say_findings(session, answer);
        Ok(())
    }

    fn say_findings(&self, session: &mut Session, answer: &WholeAnswer) {
        if self.json {
            return;
        }
        for line in findings::lines(&answer.findings) {
            session.output.say(line);
        }
        let line = closing_line(&answer.mark, &answer.deployment, &answer.stop, answer.usage);
        session.output.say(line);
    }
}

/// The message to the model.
fn question(name: &str, text: &str, (start, end): (usize, usize), instruction: &str) -> String {
    let lines = &text[start..end];
    let language = language(Path::new(name));
    let is_whole = lines.len() == text.len();
    let mut asked = String::new();
    if !is_whole {
        let from = text.ceil_char_boundary(start.saturating_sub(AROUND_BYTES_MAX));
        let to = text.floor_char_boundary((end + AROUND_BYTES_MAX).min(text.len()));
        let around = text[from..to].replace("\r\n", "\n");
        let fence = fence(&around);
        let around = around.strip_suffix('\n').unwrap_or(&around);
        asked = format!("The file {name}:\n{fence}{language}\n{around}\n{fence}\n\nThese lines of it:\n");
    } else {
        asked.push_str(&format!("The file {name}:\n"));
    }
    let lines = lines.replace("\r\n", "\n");
    let fence = fence(&lines);
    let lines = lines.strip_suffix('\n').unwrap_or(&lines);
    let what = if is_whole { "the whole file" } else { "these lines" };
    asked.push_str(&format!(
        "{fence}{language}\n{lines}\n{fence}\n\nChange {what} as follows: {instruction}\n\nAnswer with {what} again, \
         changed, in one block of code between {fence} and {fence}. Leave all else as it is, and write nothing beside the block."
    ));
    asked
}

/// The lines that the answer puts in place of those that were sent, their ends as the file's are.
fn rewritten(answer: &WholeAnswer, text: &str, (start, end): (usize, usize)) -> Result<String, Failure> {
    if answer.stop == "length" {
        return Err(Failure::refused("the answer was cut off at the limit of tokens; nothing is changed")
            .hint("Name fewer lines with --lines, or raise --max-tokens."));
    }
    let mut block = only_block(&answer.text).map_err(|error| {
        Failure::refused("the answer cannot be taken over; nothing is changed").caused_by(&error).hint(
            "Say it in other words, or name fewer lines with --lines. `cloister explain` shows the answer.",
        )
    })?;
    if !text[start..end].ends_with('\n') {
        block.pop();
    }
    if cursor::ends_lines_with_crlf(text) {
        block = block.replace('\n', "\r\n");
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_they_are_named() {
        assert_eq!("3-7".parse(), Ok(Lines { first: 3, last: 7 }));
        assert_eq!("3".parse(), Ok(Lines { first: 3, last: 3 }));
        for bad in ["", "0-2", "7-3", "-3", "3-", "a-b", "1-2-3"] {
            assert!(bad.parse::<Lines>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_question_shows_what_is_around() {
        let whole = question("a.adb", "X;\n", (0, 3), "double it");
        assert!(whole.starts_with(
            "The file a.adb:\n```ada\nX;\n```\n\nChange the whole file as follows: double it\n"
        ));
        let part = question("a.md", "a\r\n```\r\nb\r\n", (3, 8), "double it");
        assert!(
            part.contains("The file a.md:\n````\na\n```\nb\n````\n\nThese lines of it:\n````\n```\n````\n"),
            "{part}"
        );
    }
}
