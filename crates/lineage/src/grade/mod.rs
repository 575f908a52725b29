//! Grading lines: which of a change's lines are an answer's, and how much of it they still are.

mod place;
mod sought;
mod spread;

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

pub use sought::Sought;

use crate::slice::Record;

/// Lines that are graded, of one file.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// The path, from the repository's root.
    pub path: String,
    /// Numbers, from 1 and ascending, and texts without their ends.
    pub lines: Vec<(u32, String)>,
    /// Who committed it, where that is one person.
    pub author: Option<String>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// A line of an answer that a person took over, byte for byte.
    AiVerbatim,
    /// One that was changed since: re-indented, broken otherwise, or edited.
    AiModified,
    /// A line of an answer, or like one, that nobody is on record to have taken over: here, for one acceptance accounts for
    /// one place, and in another file than the answer was for a few lines may be anybody's.
    MatchesAi,
    /// A line that a person was seen to type. Nothing says so yet: no line has this grade.
    HumanObserved,
    /// A line that says nothing by itself, as `begin` or `end if;`.
    Common,
    /// Nothing is known of it. It may be a person's or not.
    Unknown,
}

impl Grade {
    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Grade::AiVerbatim => "ai-verbatim",
            Grade::AiModified => "ai-modified",
            Grade::MatchesAi => "matches-ai",
            Grade::HumanObserved => "human-observed",
            Grade::Common => "common",
            Grade::Unknown => "unknown",
        }
    }

    /// Whether it is of the assistant, or looks so.
    pub fn is_ai(self) -> bool {
        matches!(self, Grade::AiVerbatim | Grade::AiModified | Grade::MatchesAi)
    }
}

/// A line's grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Graded {
    /// The line, from 1.
    pub line: u32,
    /// What it is.
    pub grade: Grade,
    /// The record that it is of, as its place in the list of records. A common line has that of the lines around it.
    pub record: Option<usize>,
    /// How much of the line is the answer's, in percent of its lexemes.
    pub kept_percent: u8,
}

/// Lines that follow each other and are of one grade and record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first line, from 1.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// The grade: of lines of one record that are verbatim and modified, modified.
    pub grade: Grade,
    /// The record, as its place in the list.
    pub record: Option<usize>,
    /// How much of them is the answer's, in percent: the mean of the lines that say something.
    pub kept_percent: u8,
}

/// Grades the lines of each file. The order of `records` decides nothing.
pub fn grade(sought: &Sought<'_>, records: &[Record]) -> Vec<Vec<Graded>> {
    let index = place::Index::new(sought, records);
    let mut files: Vec<place::Placed> = sought.files().iter().map(|_| place::Placed::default()).collect();
    on_threads(&mut files, |number, placed| *placed = place::place(&index, number));
    place::settle(&mut files);
    on_threads(&mut files, |number, placed| spread::spread(&index, number, placed));
    sought.files().iter().zip(files).map(|(file, lines)| lines.finish(file)).collect()
}

/// Does something with each item, and its number, on as many threads as the machine has.
fn on_threads<T: Send>(items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let next = Mutex::new(items.iter_mut().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let taken = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some((number, item)) = taken() {
                    work(number, item);
                }
            });
        }
    });
}

/// Groups graded lines: what follows each other, common and empty lines in between included.
pub fn spans(graded: &[Graded]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut weights: Vec<(u32, u32)> = Vec::new();
    for line in graded {
        let counts = u32::from(line.grade.is_ai());
        let kept = u32::from(line.kept_percent) * counts;
        if let (Some(span), Some(weight)) = (spans.last_mut(), weights.last_mut())
            && span.last + 1 == line.line
            && span.record == line.record
            && let Some(grade) = joined(span.grade, line.grade, line.record.is_some())
        {
            span.last = line.line;
            span.grade = grade;
            weight.0 += counts;
            weight.1 += kept;
            continue;
        }
        spans.push(Span {
            first: line.line,
            last: line.line,
            grade: line.grade,
            record: line.record,
            kept_percent: 0,
        });
        weights.push((counts, kept));
    }
    for (span, (lines, kept)) in spans.iter_mut().zip(weights) {
        span.kept_percent = u8::try_from(kept.checked_div(lines).unwrap_or(0)).unwrap_or(100);
    }
    spans
}

/// The grade of two lines that follow each other, where they are one span.
fn joined(one: Grade, other: Grade, of_a_record: bool) -> Option<Grade> {
    match (one, other) {
        (one, other) if one == other => Some(one),
        (Grade::Common, other) | (other, Grade::Common) if of_a_record => Some(other),
        _ => None,
    }
}
