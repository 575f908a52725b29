//! A change of a file, as hunks of which each may be taken or left.

use std::fmt::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use crate::output::{Colour, Output};

/// Lines around what changes.
const CONTEXT_LINES: usize = 3;
/// Behind it a coarser difference is made do with.
const DIFF_TIME: Duration = Duration::from_secs(2);

/// A file as it is, and as it might be.
pub(crate) struct Change {
    /// As it is shown.
    path: String,
    old: String,
    new: String,
    hunks: Vec<Hunk>,
    is_new_file: bool,
}

/// Lines that change together, with those around them.
struct Hunk {
    /// Indices of lines, from 0.
    old: Range<usize>,
    new: Range<usize>,
    steps: Vec<DiffOp>,
}

impl Change {
    /// A change of a file that is there.
    pub(crate) fn new(path: &str, old: String, new: String) -> Change {
        let hunks = hunks(&lines(&old), &lines(&new));
        Change { path: path.to_owned(), old, new, hunks, is_new_file: false }
    }

    /// A file that is not there yet.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the agent makes files, on Linux only"))]
    pub(crate) fn of_new_file(path: &str, new: String) -> Change {
        Change { is_new_file: true, ..Change::new(path, String::new(), new) }
    }

    /// How many hunks there are; none where nothing changes.
    pub(crate) fn len(&self) -> usize {
        self.hunks.len()
    }

    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "the agent makes files, on Linux only"))]
    pub(crate) fn is_new_file(&self) -> bool {
        self.is_new_file
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn old(&self) -> &str {
        &self.old
    }

    /// The file with those hunks that are taken.
    pub(crate) fn with(&self, taken: &[bool]) -> String {
        let (old, new) = (lines(&self.old), lines(&self.new));
        let mut text = String::with_capacity(self.new.len());
        let mut at = 0;
        for hunk in self.hunks.iter().zip(taken).filter(|(_, taken)| **taken).map(|(hunk, _)| hunk) {
            text.extend(old[at..hunk.old.start].iter().copied());
            text.extend(new[hunk.new.clone()].iter().copied());
            at = hunk.old.end;
        }
        text.extend(old[at..].iter().copied());
        text
    }

    /// Bytes of the lines that the taken hunks bring, their ends as line feeds.
    pub(crate) fn bytes_brought(&self, taken: &[bool]) -> u64 {
        let new = lines(&self.new);
        let taken = self.hunks.iter().zip(taken).filter(|(_, taken)| **taken);
        let steps = taken.flat_map(|(hunk, _)| &hunk.steps);
        let brought = steps.filter(|step| !matches!(step, DiffOp::Equal { .. }));
        let lines = brought.flat_map(|step| &new[step.new_range()]);
        lines.map(|line| line.replace("\r\n", "\n").len() as u64).sum()
    }

    /// The whole of it as `diff -u` writes it, for `patch` and `git apply`.
    pub(crate) fn unified(&self) -> String {
        let mut text = String::new();
        for (_, line) in self.head().into_iter().chain((0..self.len()).flat_map(|n| self.lines_of(n))) {
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// The same for people, in colours.
    pub(crate) fn show(&self, output: &mut Output) -> std::io::Result<()> {
        self.show_head(output)?;
        (0..self.len()).try_for_each(|number| self.show_hunk(number, output))
    }

    pub(crate) fn show_head(&self, output: &mut Output) -> std::io::Result<()> {
        self.head().iter().try_for_each(|(colour, line)| output.coloured(*colour, line))
    }

    /// One hunk, counted from 0.
    pub(crate) fn show_hunk(&self, number: usize, output: &mut Output) -> std::io::Result<()> {
        let lines = self.lines_of(number);
        // A carriage return at each changed line's end is the file's way to end lines, and no news; at some, it is what changes.
        let mut changed = lines.iter().filter(|(_, line)| line.starts_with(['+', '-']));
        let is_news = !changed.all(|(_, line)| line.ends_with('\r'));
        let bare = |line: &str| match line.strip_suffix('\r') {
            Some(bare) if !is_news || !line.starts_with(['+', '-']) => bare.to_owned(),
            _ => line.to_owned(),
        };
        let is_terminal = output.is_terminal();
        lines.iter().try_for_each(|(colour, line)| match is_terminal {
            true => output.coloured(*colour, &bare(line)),
            false => output.line(line),
        })
    }

    fn head(&self) -> Vec<(Colour, String)> {
        if self.hunks.is_empty() {
            return Vec::new();
        }
        let old = if self.is_new_file { "/dev/null".to_owned() } else { format!("a/{}", self.path) };
        vec![
            (Colour::Magenta, format!("--- {}", one_line(&old))),
            (Colour::Magenta, format!("+++ b/{}", one_line(&self.path))),
        ]
    }

    fn lines_of(&self, number: usize) -> Vec<(Colour, String)> {
        let hunk = &self.hunks[number];
        let (old, new) = (lines(&self.old), lines(&self.new));
        let mut shown = vec![(Colour::Blue, format!("@@ -{} +{} @@", extent(&hunk.old), extent(&hunk.new)))];
        let mut push = |colour, sign: char, line: &str| {
            let mut text = String::from(sign);
            text.push_str(line.strip_suffix('\n').unwrap_or(line));
            shown.push((colour, text));
            if !line.ends_with('\n') {
                shown.push((Colour::None, "\\ No newline at end of file".to_owned()));
            }
        };
        for step in &hunk.steps {
            if matches!(step, DiffOp::Equal { .. }) {
                old[step.old_range()].iter().for_each(|line| push(Colour::None, ' ', line));
            } else {
                old[step.old_range()].iter().for_each(|line| push(Colour::Red, '-', line));
                new[step.new_range()].iter().for_each(|line| push(Colour::Green, '+', line));
            }
        }
        shown
    }
}

fn hunks(old: &[&str], new: &[&str]) -> Vec<Hunk> {
    let deadline = Some(Instant::now() + DIFF_TIME);
    let steps = capture_diff_slices_deadline(Algorithm::Myers, old, new, deadline);
    let groups = group_diff_ops(steps, CONTEXT_LINES);
    let hunk = |steps: Vec<DiffOp>| {
        let (first, last) = (steps.first()?, steps.last()?);
        Some(Hunk {
            old: first.old_range().start..last.old_range().end,
            new: first.new_range().start..last.new_range().end,
            steps,
        })
    };
    groups.into_iter().filter_map(hunk).collect()
}

/// Lines with their ends: line feeds.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// A hunk's lines as in its head: the first from 1, and how many where they are not one.
fn extent(lines: &Range<usize>) -> String {
    let first = if lines.is_empty() { lines.start } else { lines.start + 1 };
    let mut text = first.to_string();
    if lines.len() != 1 {
        // A String takes all that is written to it.
        let _ = write!(text, ",{}", lines.len());
    }
    text
}

/// A path in a head: one with a line feed would forge lines of the difference.
fn one_line(path: &str) -> String {
    path.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(changed: &[usize]) -> String {
        (1..=20).map(|n| if changed.contains(&n) { format!("{n}!\n") } else { format!("{n}\n") }).collect()
    }

    #[test]
    fn hunks_are_taken_one_by_one() {
        let change = Change::new("a.txt", numbered(&[]), numbered(&[2, 18]));
        assert_eq!(change.len(), 2);
        assert_eq!(change.with(&[true, false]), numbered(&[2]));
        assert_eq!(change.with(&[false, true]), numbered(&[18]));
        assert_eq!(change.with(&[false, false]), numbered(&[]));
        assert_eq!(change.with(&[true, true]), numbered(&[2, 18]));
        assert_eq!(change.bytes_brought(&[true, false]), 3);
        assert_eq!(change.bytes_brought(&[true, true]), 7);
    }

    #[test]
    fn as_diff_writes_it() {
        let change = Change::new("a.txt", "one\ntwo\n".into(), "one\n2".into());
        let expected =
            "--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\\ No newline at end of file\n";
        assert_eq!(change.unified(), expected);
        let new = Change::of_new_file("b.txt", "x\n".into());
        assert_eq!(new.unified(), "--- /dev/null\n+++ b/b.txt\n@@ -0,0 +1 @@\n+x\n");
        assert_eq!(Change::new("a.txt", "x\n".into(), "x\n".into()).unified(), "");
        let forged = Change::new("a\n+++ b/c", "x\n".into(), "y\n".into());
        assert_eq!(forged.unified().lines().count(), 5);
    }

    proptest! {
        #[test]
        fn all_hunks_are_the_new_file_and_none_the_old(old in "([ab]?\n){0,40}[ab]?", new in "([ab]?\n){0,40}[ab]?") {
            let change = Change::new("x", old.clone(), new.clone());
            prop_assert_eq!(change.with(&vec![true; change.len()]), new);
            prop_assert_eq!(change.with(&vec![false; change.len()]), old);
        }
    }
}
