//! A place in a text as an editor names it, and the text around it.

use std::path::PathBuf;
use std::str::FromStr;

/// Text sent from before the cursor, in bytes at most.
pub(crate) const BEFORE_BYTES_MAX: usize = 24 << 10;
/// Text sent from behind the cursor, in bytes at most.
pub(crate) const BEHIND_BYTES_MAX: usize = 8 << 10;

/// `FILE:LINE:COL`. Line and column count from 1; the column counts characters (Unicode scalar
/// values) and is the place before that character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Why there is no such place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum PlaceError {
    #[error("expected FILE:LINE:COL, as in src/stack.adb:12:7")]
    Form,
    #[error("lines and columns count from 1")]
    Zero,
    #[error("there is no line {line}: the file has {lines}")]
    Line { line: usize, lines: usize },
    #[error("there is no column {column}: line {line} ends at column {column_max}")]
    Column { line: usize, column: usize, column_max: usize },
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        // From the right: a path may hold colons, as C:\stack.adb does.
        let mut parts = text.rsplitn(3, ':');
        let mut number = || parts.next()?.parse::<usize>().ok();
        let (Some(column), Some(line)) = (number(), number()) else { return Err(PlaceError::Form) };
        let file = parts.next().filter(|file| !file.is_empty()).ok_or(PlaceError::Form)?;
        if line == 0 || column == 0 {
            return Err(PlaceError::Zero);
        }
        Ok(Place { file: file.into(), line, column })
    }
}

impl Place {
    /// The byte offset of the place in a text. A text that ends with a line's end has an empty line
    /// behind it; the last column of a line is behind its last character, before its line's end.
    pub(crate) fn offset(&self, text: &str) -> Result<usize, PlaceError> {
        let mut start = 0;
        let mut lines = text.split('\n');
        for _ in 1..self.line {
            start += lines.next().map_or(0, |line| line.len() + 1);
        }
        let Some(line) = lines.next() else {
            return Err(PlaceError::Line { line: self.line, lines: text.split('\n').count() });
        };
        let line =
            if start + line.len() < text.len() { line.strip_suffix('\r').unwrap_or(line) } else { line };
        let ends = line.char_indices().map(|(offset, _)| offset).chain([line.len()]);
        match ends.clone().nth(self.column - 1) {
            Some(offset) => Ok(start + offset),
            None => {
                Err(PlaceError::Column { line: self.line, column: self.column, column_max: ends.count() })
            }
        }
    }
}

/// The text before and behind an offset, each at most its limit long, cut at a line's start where
/// there is one.
pub(crate) fn around(text: &str, offset: usize) -> (&str, &str) {
    (before(&text[..offset], BEFORE_BYTES_MAX), behind(&text[offset..], BEHIND_BYTES_MAX))
}

fn before(text: &str, bytes_max: usize) -> &str {
    let Some(over) = text.len().checked_sub(bytes_max).filter(|over| *over > 0) else { return text };
    // The byte before the window tells whether it begins a line.
    match text.as_bytes()[over - 1..].iter().position(|byte| *byte == b'\n') {
        Some(line_end) if over + line_end < text.len() => &text[over + line_end..],
        _ => &text[text.ceil_char_boundary(over)..],
    }
}

fn behind(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    match text.as_bytes()[..bytes_max].iter().rposition(|byte| *byte == b'\n') {
        Some(line_end) => &text[..=line_end],
        None => &text[..text.floor_char_boundary(bytes_max)],
    }
}

/// Whether most lines of a text end with carriage return and line feed.
pub(crate) fn ends_lines_with_crlf(text: &str) -> bool {
    let crlf = text.matches("\r\n").count();
    crlf > 0 && crlf * 2 > text.matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |file: &str, line, column| Ok(Place { file: file.into(), line, column });
        let cases = [
            ("a.adb:1:2", place("a.adb", 1, 2)),
            (r"C:\a b\c.adb:10:20", place(r"C:\a b\c.adb", 10, 20)),
            ("a:b:3:4", place("a:b", 3, 4)),
            ("a.adb", Err(PlaceError::Form)),
            ("a.adb:1", Err(PlaceError::Form)),
            (":1:1", Err(PlaceError::Form)),
            ("a:x:1", Err(PlaceError::Form)),
            ("a:1:-1", Err(PlaceError::Form)),
            ("a:0:1", Err(PlaceError::Zero)),
            ("a:1:0", Err(PlaceError::Zero)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Place>(), expected, "{text}");
        }
    }

    /// `|` is where the place must be.
    fn check(marked: &str, line: usize, column: usize) {
        let text = marked.replace('|', "");
        let place = Place { file: "f".into(), line, column };
        assert_eq!(place.offset(&text), Ok(marked.find('|').unwrap()), "{marked:?}");
    }

    #[test]
    fn offsets() {
        check("|", 1, 1);
        check("|ab\ncd", 1, 1);
        check("ab|\ncd", 1, 3);
        check("ab\n|cd", 2, 1);
        check("ab\ncd|", 2, 3);
        check("ab\ncd\n|", 3, 1);
        check("ab|\r\ncd", 1, 3);
        check("ab\r\nc|d\r\n", 2, 2);
        check("ab\r\ncd\r\n|", 3, 1);
        check("äö|ü 🙂\n", 1, 3);
        check("äöü 🙂|\n", 1, 6);
        check("ab\r|", 1, 4); // no line's end behind it: a character like any other
    }

    #[test]
    fn places_that_are_not_there() {
        let offset = |text: &str, line, column| Place { file: "f".into(), line, column }.offset(text);
        assert_eq!(offset("ab\ncd\n", 4, 1), Err(PlaceError::Line { line: 4, lines: 3 }));
        assert_eq!(offset("", 2, 1), Err(PlaceError::Line { line: 2, lines: 1 }));
        let column = |column_max| PlaceError::Column { line: 1, column: 9, column_max };
        assert_eq!(offset("ab\r\ncd", 1, 9), Err(column(3)));
        assert_eq!(offset("äö", 1, 9), Err(column(3)));
    }

    #[test]
    fn windows_are_cut_at_lines() {
        assert_eq!(before("aa\nbb\ncc", 100), "aa\nbb\ncc");
        assert_eq!(before("aa\nbb\ncc", 6), "bb\ncc");
        assert_eq!(before("aa\nbb\ncc", 5), "bb\ncc");
        assert_eq!(before("aa\nbb\ncc", 4), "cc");
        assert_eq!(before("aaaa\n", 3), "aa\n"); // nothing would be left
        assert_eq!(before("ääää", 3), "ä");
        assert_eq!(behind("aa\nbb\ncc", 100), "aa\nbb\ncc");
        assert_eq!(behind("aa\nbb\ncc", 6), "aa\nbb\n");
        assert_eq!(behind("aa\nbb\ncc", 5), "aa\n");
        assert_eq!(behind("ääää", 3), "ä");
    }

    #[test]
    fn line_ends() {
        assert!(ends_lines_with_crlf("a\r\nb\r\nc\n"));
        assert!(!ends_lines_with_crlf("a\r\nb\n"));
        assert!(!ends_lines_with_crlf("a"));
    }
}
