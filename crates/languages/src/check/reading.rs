//! Reading what toolchains write. Nearly all put a line as `file:line:column: severity: words`; a [`Format`] says where
//! one differs.

use super::{DIAGNOSTICS_MAX, Diagnostic, Severity, Unit, Written};

pub(crate) const MESSAGE_BYTES_MAX: usize = 512;
const FILE_BYTES_MAX: usize = 128;
/// So many lines of a run are looked at.
const LINES_MAX: usize = 10_000;

/// How one toolchain's lines are to be understood.
pub(crate) struct Format<'a> {
    /// The name by which it knows the unit.
    pub(crate) unit: &'a str,
    pub(crate) columns: Columns,
    /// What a line is that has a place but no word of severity; `None`: not a remark.
    pub(crate) unnamed: Option<Severity>,
    /// Whether a message is only about the folder that a unit is looked at in.
    pub(crate) noise: fn(&str) -> bool,
}

/// What a toolchain counts as a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    Bytes,
    Characters,
    /// Bytes, but a tabulator goes to the next multiple of eight.
    TabbedBytes,
    /// Characters, likewise.
    TabbedCharacters,
}

/// The remarks on standard error, then those on standard output.
pub(crate) fn remarks(unit: &Unit<'_>, written: &Written<'_>, format: &Format<'_>) -> Vec<Diagnostic> {
    let lines: Vec<&str> = unit.text.split('\n').collect();
    let mut found: Vec<Diagnostic> = Vec::new();
    for bytes in [written.stderr, written.stdout] {
        let words = String::from_utf8_lossy(bytes);
        for line in words.lines().take(LINES_MAX) {
            if found.len() == DIAGNOSTICS_MAX {
                return found;
            }
            if let Some(one) = remark(line, &lines, format)
                && !found.contains(&one)
            {
                found.push(one);
            }
        }
    }
    found
}

/// What is to be said of a run that failed and named no error.
pub(super) fn failure(checker: &str, written: &Written<'_>) -> Diagnostic {
    let said = [written.stderr, written.stdout].map(String::from_utf8_lossy);
    let first = said.iter().flat_map(|words| words.lines()).map(str::trim).find(|line| !line.is_empty());
    Diagnostic::error(&match first {
        Some(first) => format!("{checker} failed: {first}"),
        None => format!("{checker} failed and said nothing"),
    })
}

/// Without control characters and those that turn the direction of writing, and not longer than `bytes_max`.
pub(crate) fn clean(words: &str, bytes_max: usize) -> String {
    let mut kept = String::new();
    for character in words.trim().chars() {
        let turns =
            matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let character = if turns || character.is_control() { ' ' } else { character };
        if kept.len() + character.len_utf8() > bytes_max {
            break;
        }
        kept.push(character);
    }
    kept
}

fn remark(line: &str, lines: &[&str], format: &Format<'_>) -> Option<Diagnostic> {
    // A line that goes on with the one before.
    if line.starts_with([' ', '\t']) || line.starts_with("In file included from ") {
        return None;
    }
    // `%Error: file:1:2: words` and `%Warning-WIDTH: file:1:2: words`.
    let percent = line.strip_prefix('%').and_then(|line| line.split_once(": "));
    let (mark, line) = percent.map_or((None, line), |(mark, rest)| (Some(mark), rest));
    let (file, row, column, rest) = place(line)?;
    let (severity, message) = match mark {
        Some(mark) => {
            let (word, code) = mark.split_once('-').unwrap_or((mark, ""));
            (named(word)?, with_code(rest, code))
        }
        None => severity(rest, format.unnamed)?,
    };
    let message = clean(&message, MESSAGE_BYTES_MAX);
    if message.is_empty() || (format.noise)(&message) {
        return None;
    }
    if file != format.unit {
        let file = clean(file.rsplit(['/', '\\']).next().unwrap_or(file), FILE_BYTES_MAX);
        return Some(Diagnostic { severity, line: None, column: None, file: Some(file), message });
    }
    // The end of the text may be called the line behind it.
    let row = row.filter(|row| (1..=lines.len() + 1).contains(&(*row as usize)));
    let column = row.zip(column).and_then(|(row, column)| {
        let text = lines.get(row as usize - 1).copied().unwrap_or_default();
        byte_of(text, column, format.columns)
    });
    Some(Diagnostic { severity, line: row, column, file: None, message })
}

/// `file:line:column: rest`, where the column may be missing. Names with colons are not cut.
fn place(line: &str) -> Option<(&str, Option<u32>, Option<u32>, &str)> {
    let mut from = 0;
    while let Some(found) = line[from..].find(':') {
        let colon = from + found;
        from = colon + 1;
        let Some((row, rest)) = number(&line[from..]) else { continue };
        if colon == 0 {
            return None;
        }
        let (column, rest) = match number(rest) {
            Some((column, rest)) => (column, rest),
            None => (None, rest),
        };
        return Some((&line[..colon], row, column, rest.trim_start()));
    }
    None
}

/// Digits and the colon behind them; a number that is too large is none.
fn number(text: &str) -> Option<(Option<u32>, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
    let rest = text[end..].strip_prefix(':')?;
    (end > 0).then(|| (text[..end].parse().ok(), rest))
}

/// `error: words`, `error[E0308]: words`, `Warning: words`, or words alone.
fn severity(rest: &str, unnamed: Option<Severity>) -> Option<(Severity, String)> {
    if let Some((word, words)) = rest.split_once(':') {
        let (word, code) = word.trim_end_matches(']').split_once('[').unwrap_or((word, ""));
        if let Some(severity) = named(word) {
            return Some((severity, with_code(words, code)));
        }
    }
    let severity = if rest.starts_with("(style)") { Some(Severity::Warning) } else { unnamed };
    severity.map(|severity| (severity, rest.to_owned()))
}

fn with_code(words: &str, code: &str) -> String {
    match code {
        "" => words.trim().to_owned(),
        code => format!("{} [{code}]", words.trim()),
    }
}

fn named(word: &str) -> Option<Severity> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "error" | "fatal error" | "fatal" | "sorry" | "sorry, unimplemented" | "internal error" => {
            Severity::Error
        }
        "internal compiler error" | "catastrophic error" => Severity::Error,
        "warning" => Severity::Warning,
        "note" | "info" | "hint" | "remark" => Severity::Note,
        _ => return None,
    })
}

/// The byte of a line, from 1, that a toolchain calls this column; at most one behind the line's last.
fn byte_of(line: &str, column: u32, columns: Columns) -> Option<u32> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let wanted = column as usize;
    if wanted == 0 {
        return None;
    }
    let byte = match columns {
        Columns::Bytes => wanted.min(line.len() + 1),
        _ => {
            let tabbed = columns != Columns::Characters;
            let mut at = 1;
            let mut byte = line.len() + 1;
            for (offset, character) in line.char_indices() {
                let width = match character {
                    '\t' if tabbed => 8 - (at - 1) % 8,
                    _ if columns == Columns::TabbedBytes => character.len_utf8(),
                    _ => 1,
                };
                if wanted < at + width {
                    // Inside of a character it is that byte of it.
                    let inside = if character == '\t' { 0 } else { wanted - at };
                    byte = offset + 1 + inside;
                    break;
                }
                at += width;
            }
            byte
        }
    };
    u32::try_from(byte).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_bytes() {
        let line = "\tA : String := \"é\" & ZZ;";
        for (column, columns) in [
            (23, Columns::Bytes),
            (22, Columns::Characters),
            (30, Columns::TabbedBytes),
            (29, Columns::TabbedCharacters),
        ] {
            assert_eq!(byte_of(line, column, columns), Some(23));
        }
        assert_eq!(byte_of(line, 0, Columns::Bytes), None);
        assert_eq!(byte_of("ab\r", 99, Columns::TabbedCharacters), Some(3));
    }

    #[test]
    fn places_are_found() {
        assert_eq!(place("a b.c:3:14: error: x"), Some(("a b.c", Some(3), Some(14), "error: x")));
        assert_eq!(place("c:d.v:3: error: x:1:2:"), Some(("c:d.v", Some(3), None, "error: x:1:2:")));
        assert_eq!(place("a.vhd:3:4:warning: x"), Some(("a.vhd", Some(3), Some(4), "warning: x")));
        assert_eq!(place("99999999999:4294967296:1:x"), Some(("99999999999", None, Some(1), "x")));
        assert_eq!(place(":3:4: x"), None);
        assert_eq!(place("error: aborting due to 2 previous errors"), None);
    }
}
