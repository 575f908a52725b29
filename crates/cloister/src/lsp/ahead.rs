//! The suggestion after this one, asked for as if this one were accepted: it is there when it is.

use super::documents::Document;
use super::hole::line_feeds;

/// Bytes around a suggestion by which its place is known again.
const AROUND_BYTES: usize = 256;

/// A document as it would be if a suggestion were accepted.
#[derive(Debug)]
pub(super) struct Assumed {
    offset: usize,
    document_bytes: usize,
    /// What stands before the suggestion and behind it.
    before: String,
    behind: String,
    /// The suggestion, with line feeds.
    text: String,
}

impl Assumed {
    pub(super) fn new(document: &Document, offset: usize, text: &str) -> Assumed {
        let (before, behind) = around(document.text(), offset, offset);
        Assumed {
            offset,
            document_bytes: document.text().len(),
            before: before.to_owned(),
            behind: behind.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Whether the document is on the way there: what was put in is a beginning of the suggestion, and nothing else is
    /// different around it.
    pub(super) fn holds(&self, document: &Document) -> bool {
        let text = document.text();
        let Some(inserted) = text.len().checked_sub(self.document_bytes) else { return false };
        let Some(typed) = text.get(self.offset..self.offset + inserted) else { return false };
        let (before, behind) = around(text, self.offset, self.offset + inserted);
        self.text.starts_with(&line_feeds(typed)) && (before, behind) == (&self.before, &self.behind)
    }
}

fn around(text: &str, start: usize, end: usize) -> (&str, &str) {
    let first = text.ceil_char_boundary(start.saturating_sub(AROUND_BYTES));
    let last = text.floor_char_boundary(end.saturating_add(AROUND_BYTES).min(text.len()));
    (&text[first.min(start)..start], &text[end..last.max(end)])
}

#[cfg(test)]
mod tests {
    use super::super::documents::{Documents, Encoding};
    use super::super::types::{ContentChange, TextDocumentItem};
    use super::*;

    #[test]
    fn on_the_way_there() {
        let mut documents = Documents::default();
        let text = "é := ;\r\n".to_owned();
        documents.open(TextDocumentItem { uri: "u".into(), language_id: String::new(), version: 1, text });
        let at = "é := ".len();
        let assumed = Assumed::new(documents.get("u").unwrap(), at, "größe\n + 1");
        let mut check = |text: &str, holds: bool| {
            let change = ContentChange { range: None, text: text.into() };
            documents.change("u", None, &[change], Encoding::Utf8).unwrap();
            assert_eq!(assumed.holds(documents.get("u").unwrap()), holds, "{text:?}");
        };
        check("é := ;\r\n", true);
        check("é := grö;\r\n", true);
        check("é := größe\r\n + 1;\r\n", true);
        check("é := größe\r\n + 1 ;\r\n", false);
        check("é := x;\r\n", false);
        check("é :=;\r\n", false);
        check("é  := gr;\r\n", false);
        check("é := gr);\r\n", false);
        check("", false);
    }
}
