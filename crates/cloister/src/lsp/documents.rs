//! The texts that are open in the editor, as it says they are.

use std::collections::HashMap;
use std::path::PathBuf;

use super::paths;
use super::types::{ContentChange, Position, Range, TextDocumentItem};

/// A longer document is not kept: nobody completes in it.
pub(super) const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Documents that are kept.
const DOCUMENTS_MAX: usize = 1024;
/// Bytes of all of them.
const BYTES_MAX: usize = 256 << 20;

/// What a column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16,
}

impl Encoding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16 => "utf-16",
        }
    }

    fn units(self, c: char) -> u32 {
        match self {
            Encoding::Utf8 => u32::try_from(c.len_utf8()).unwrap_or(1),
            Encoding::Utf16 => u32::try_from(c.len_utf16()).unwrap_or(1),
        }
    }
}

/// A part of a text that was replaced, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) removed: usize,
    pub(super) inserted: usize,
}

/// One document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) uri: String,
    /// `None` where it is no file.
    pub(super) path: Option<PathBuf>,
    pub(super) language: String,
    pub(super) version: i64,
    text: String,
    /// Where lines begin.
    lines: Vec<usize>,
    /// Grows with each edit of any document; 0 as it was opened.
    pub(super) edited: u64,
    /// Where it was edited last.
    pub(super) edited_at: usize,
}

impl Document {
    fn new(item: TextDocumentItem) -> Document {
        let TextDocumentItem { uri, language_id, version, text } = item;
        Document {
            path: paths::of_uri(&uri),
            uri,
            language: language_id,
            version,
            lines: line_starts(&text),
            text,
            edited: 0,
            edited_at: 0,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The file's name, for people and prompts.
    pub(super) fn name(&self) -> String {
        let path = self.path.as_ref().and_then(|path| path.file_name()?.to_str().map(str::to_owned));
        path.unwrap_or_else(|| self.uri.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// The byte of a position. What is behind a line's end is the line's end, and behind the last line the text's end;
    /// in the middle of a character is before it.
    pub(super) fn offset(&self, position: Position, encoding: Encoding) -> usize {
        let index = usize::try_from(position.line).unwrap_or(usize::MAX);
        let Some(&start) = self.lines.get(index) else { return self.text.len() };
        let mut units = 0;
        for (at, c) in self.line(index).char_indices() {
            let next = units + encoding.units(c);
            if next > position.character {
                return start + at;
            }
            units = next;
        }
        start + self.line(index).len()
    }

    /// The position of a byte.
    pub(super) fn position(&self, offset: usize, encoding: Encoding) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let index = self.lines.partition_point(|start| *start <= offset).saturating_sub(1);
        let before = &self.text[self.lines[index]..offset];
        Position {
            line: u32::try_from(index).unwrap_or(u32::MAX),
            character: before.chars().map(|c| encoding.units(c)).sum(),
        }
    }

    pub(super) fn range(&self, start: usize, end: usize, encoding: Encoding) -> Range {
        Range { start: self.position(start, encoding), end: self.position(end, encoding) }
    }

    /// The bytes of a range; the end is not before the start.
    pub(super) fn offsets(&self, range: Range, encoding: Encoding) -> (usize, usize) {
        let start = self.offset(range.start, encoding);
        (start, self.offset(range.end, encoding).max(start))
    }

    /// Whole lines that a range touches, the last without its end.
    pub(super) fn whole_lines(&self, range: Range, encoding: Encoding) -> (usize, usize) {
        let (start, end) = self.offsets(range, encoding);
        let first = self.lines.partition_point(|line| *line <= start).saturating_sub(1);
        // A selection of whole lines ends at the beginning of the next, of which nothing is meant.
        let last_byte = if end > start && self.lines.binary_search(&end).is_ok() { end - 1 } else { end };
        let last = self.lines.partition_point(|line| *line <= last_byte).saturating_sub(1).max(first);
        (self.lines[first], self.lines[last] + self.line(last).len())
    }

    /// A line without its end.
    fn line(&self, index: usize) -> &str {
        let start = self.lines[index];
        let end = self.lines.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\r', '\n'])
    }

    fn apply(&mut self, change: &ContentChange, encoding: Encoding) -> Edit {
        let Some(range) = change.range else {
            let edit = Edit { start: 0, removed: self.text.len(), inserted: change.text.len() };
            self.text.clone_from(&change.text);
            self.lines = line_starts(&self.text);
            return edit;
        };
        let (start, end) = self.offsets(range, encoding);
        self.text.replace_range(start..end, &change.text);
        self.lines = line_starts(&self.text);
        Edit { start, removed: end - start, inserted: change.text.len() }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == b'\n' || (**byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')));
    std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
}

/// All that are open.
#[derive(Debug, Default)]
pub(super) struct Documents {
    open: HashMap<String, Document>,
    edits: u64,
}

impl Documents {
    pub(super) fn get(&self, uri: &str) -> Option<&Document> {
        self.open.get(uri)
    }

    /// Whether it is kept.
    pub(super) fn open(&mut self, item: TextDocumentItem) -> bool {
        self.open.remove(&item.uri);
        let bytes: usize = self.open.values().map(|document| document.text.len()).sum();
        let fits = item.text.len() <= DOCUMENT_BYTES_MAX
            && self.open.len() < DOCUMENTS_MAX
            && bytes + item.text.len() <= BYTES_MAX;
        if fits {
            self.open.insert(item.uri.clone(), Document::new(item));
        }
        fits
    }

    /// What was changed; `None` of a document that is not kept, or that grew over the limit and is kept no longer.
    pub(super) fn change(
        &mut self,
        uri: &str,
        version: Option<i64>,
        changes: &[ContentChange],
        encoding: Encoding,
    ) -> Option<Vec<Edit>> {
        let document = self.open.get_mut(uri)?;
        let mut edits = Vec::with_capacity(changes.len());
        for change in changes {
            if document.text.len() + change.text.len() > DOCUMENT_BYTES_MAX && change.range.is_some()
                || change.text.len() > DOCUMENT_BYTES_MAX
            {
                self.open.remove(uri);
                return None;
            }
            edits.push(document.apply(change, encoding));
        }
        self.edits += 1;
        document.edited = self.edits;
        document.edited_at = edits.last().map_or(document.edited_at, |edit| edit.start + edit.inserted);
        document.version = version.unwrap_or(document.version + 1);
        Some(edits)
    }

    pub(super) fn close(&mut self, uri: &str) {
        self.open.remove(uri);
    }

    /// Forgets all: what the editor has is not known any more.
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// Others that were edited since they were opened, the last edited first.
    pub(super) fn edited_beside<'a>(&'a self, uri: &str) -> Vec<&'a Document> {
        let mut beside: Vec<&Document> =
            self.open.values().filter(|other| other.edited > 0 && other.uri != uri).collect();
        beside.sort_by_key(|other| std::cmp::Reverse(other.edited));
        beside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> TextDocumentItem {
        TextDocumentItem { uri: "file:///a".into(), language_id: "ada".into(), version: 1, text: text.into() }
    }

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn positions() {
        let document = Document::new(item("aé🙂b\r\ncd\re\n"));
        for (position, utf8, utf16) in [
            (at(0, 1), 1, 1),
            (at(0, 3), 3, 3),
            (at(0, 4), 3, 7),
            (at(0, 99), 8, 8),
            (at(1, 1), 11, 11),
            (at(2, 0), 13, 13),
            (at(3, 0), 15, 15),
            (at(9, 9), 15, 15),
        ] {
            assert_eq!(document.offset(position, Encoding::Utf8), utf8, "{position:?} of UTF-8");
            assert_eq!(document.offset(position, Encoding::Utf16), utf16, "{position:?} of UTF-16");
        }
        assert_eq!(document.position(7, Encoding::Utf16), at(0, 4));
        assert_eq!(document.position(7, Encoding::Utf8), at(0, 7));
        assert_eq!(document.position(15, Encoding::Utf8), at(3, 0));
        let lines = |start, end| document.whole_lines(Range { start, end }, Encoding::Utf8);
        assert_eq!(lines(at(0, 1), at(1, 0)), (0, 8));
        assert_eq!(lines(at(0, 1), at(1, 1)), (0, 12));
        assert_eq!(lines(at(1, 1), at(1, 1)), (10, 12));
    }

    #[test]
    fn changes() {
        let mut documents = Documents::default();
        assert!(documents.open(item("abc\ndef\n")));
        let change = |range: Option<(Position, Position)>, text: &str| ContentChange {
            range: range.map(|(start, end)| Range { start, end }),
            text: text.into(),
        };
        let changes = [
            change(Some((at(0, 1), at(1, 1))), "X\nY\nZ"),
            change(Some((at(2, 1), at(2, 1))), "é"),
            // The end before the start: an insertion.
            change(Some((at(2, 2), at(0, 0))), "!"),
        ];
        let edits = documents.change("file:///a", Some(5), &changes, Encoding::Utf16).unwrap();
        assert_eq!(documents.get("file:///a").unwrap().text(), "aX\nY\nZé!ef\n");
        assert_eq!(edits[0], Edit { start: 1, removed: 4, inserted: 5 });
        assert_eq!(documents.get("file:///a").unwrap().version, 5);
        documents.change("file:///a", None, &[change(None, "whole")], Encoding::Utf16).unwrap();
        assert_eq!(documents.get("file:///a").unwrap().text(), "whole");
        assert_eq!(documents.change("file:///b", None, &changes, Encoding::Utf16), None);
    }

    #[test]
    fn limits() {
        let mut documents = Documents::default();
        assert!(!documents.open(item(&"x".repeat(DOCUMENT_BYTES_MAX + 1))));
        assert!(documents.open(item(&"x".repeat(DOCUMENT_BYTES_MAX))));
        let range = Some(Range::default());
        let one = [ContentChange { range, text: "x".into() }];
        assert_eq!(documents.change("file:///a", None, &one, Encoding::Utf8), None);
        assert!(documents.get("file:///a").is_none());
    }

    #[test]
    fn edited_documents_the_last_first() {
        let mut documents = Documents::default();
        for name in ["a", "b", "c", "d"] {
            documents.open(TextDocumentItem { uri: name.into(), ..item("x") });
        }
        for name in ["b", "a", "c"] {
            let change = ContentChange { range: None, text: "y".into() };
            documents.change(name, None, &[change], Encoding::Utf8).unwrap();
        }
        let beside: Vec<_> =
            documents.edited_beside("c").iter().map(|document| document.uri.as_str()).collect();
        assert_eq!(beside, ["a", "b"]);
    }
}
