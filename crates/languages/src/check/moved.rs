//! Which remarks came with an insertion, and which were there before.

use std::collections::HashMap;
use std::ops::Range;

use super::{Diagnostic, Severity};

/// The remarks of `after` that were not there `before`, in their order.
///
/// Between the two runs, text was inserted that begins in line `inserted.start` and added
/// `inserted.end - inserted.start` lines: none for an insertion within a line, 2 for one that holds two line ends. So
/// what stood behind that line stands that much further down, and the rest of that line itself may be at either end.
/// Two remarks are the same if severity, file, place so moved and message are; columns of the line that was inserted
/// into do not count, nor do numbers of lines within messages. Each remark of `before` takes away one of `after`.
pub fn new_diagnostics(before: &[Diagnostic], after: &[Diagnostic], inserted: Range<u32>) -> Vec<Diagnostic> {
    let mut known: HashMap<Known<'_>, usize> = HashMap::new();
    for one in before {
        *known.entry(known_as(one, one.line, inserted.start)).or_default() += 1;
    }
    let added = inserted.end.saturating_sub(inserted.start);
    let mut new = Vec::new();
    for one in after {
        let stood = match one.line {
            Some(line) if line > inserted.start && line < inserted.end => {
                new.push(one.clone());
                continue;
            }
            Some(line) if line >= inserted.end => Some(line - added),
            line => line,
        };
        match known.get_mut(&known_as(one, stood, inserted.start)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => new.push(one.clone()),
        }
    }
    new
}

/// What makes two remarks the same.
type Known<'a> = (Severity, Option<&'a str>, Option<u32>, Option<u32>, String);

fn known_as(one: &Diagnostic, line: Option<u32>, inserted_into: u32) -> Known<'_> {
    let column = one.column.filter(|_| line != Some(inserted_into));
    (one.severity, one.file.as_deref(), line, column, without_lines(&one.message))
}

/// `defined at line 12` and `declared at unit.adb:12` without the numbers.
fn without_lines(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut names_line = false;
    for character in message.chars() {
        if names_line && character.is_ascii_digit() {
            continue;
        }
        kept.push(character);
        names_line = character == ':' || kept.ends_with("line ");
    }
    kept
}
