//! Passages, made from blocks: paragraphs, tables, listings, in reading order.

use crate::{Document, DocumentError, PASSAGE_BYTES_MAX, PASSAGES_MAX, Passage, Place, TEXT_BYTES_MAX};

const HEADINGS_MAX: usize = 6;
const HEADING_CHARS_MAX: usize = 200;
const LEFT_OUT_MAX: usize = 200;

/// Gathers blocks into passages under their headings.
pub(crate) struct Passages {
    document: Document,
    headings: Vec<(u8, String)>,
    /// The innermost heading, while nothing stands under it.
    bare: Option<(String, Place)>,
    text: String,
    place: Place,
    page: Option<u32>,
    page_label: Option<String>,
    bytes: usize,
    left_out_more: usize,
}

impl Passages {
    pub(crate) fn new() -> Passages {
        Passages {
            document: Document::default(),
            headings: Vec::new(),
            bare: None,
            text: String::new(),
            place: Place::Whole,
            page: None,
            page_label: None,
            bytes: 0,
            left_out_more: 0,
        }
    }

    /// The document's title; the first one counts.
    pub(crate) fn title(&mut self, title: &str) {
        let title = one_line(title);
        if self.document.title.is_none() && !title.is_empty() {
            self.document.title = Some(title);
        }
    }

    pub(crate) fn has_title(&self) -> bool {
        self.document.title.is_some()
    }

    pub(crate) fn pages(&mut self, pages: u32) {
        self.document.pages = Some(pages);
    }

    /// What is not in the passages, in words.
    pub(crate) fn left_out(&mut self, what: String) {
        if self.document.left_out.len() < LEFT_OUT_MAX {
            self.document.left_out.push(what);
        } else {
            self.left_out_more += 1;
        }
    }

    /// A heading; 1 is outermost. It ends the passage before it.
    pub(crate) fn heading(&mut self, level: u8, text: &str, place: Place) -> Result<(), DocumentError> {
        let text = one_line(text);
        if text.is_empty() {
            return Ok(());
        }
        self.flush()?;
        let deeper = self.headings.last().is_some_and(|(above, _)| *above < level);
        if !deeper {
            self.flush_bare()?;
        }
        while self.headings.last().is_some_and(|(above, _)| *above >= level) {
            self.headings.pop();
        }
        self.headings.push((level, text.clone()));
        self.bare = Some((text, place));
        Ok(())
    }

    /// Headings as they are from here, outermost first, without any of them counting as text.
    pub(crate) fn under(&mut self, headings: &[String]) -> Result<(), DocumentError> {
        if self.headings.iter().map(|(_, text)| text).eq(headings.iter()) {
            return Ok(());
        }
        self.flush()?;
        self.headings.clear();
        for (level, text) in (1u8..).zip(headings) {
            self.headings.push((level, one_line(text)));
        }
        Ok(())
    }

    /// The page that what follows is on.
    pub(crate) fn page(&mut self, page: Option<u32>, label: Option<&str>) -> Result<(), DocumentError> {
        if self.page != page {
            self.flush()?;
            self.page = page;
            self.page_label = label.map(str::to_owned);
        }
        Ok(())
    }

    /// Ends the passage, so that what follows is not joined to what came before.
    pub(crate) fn flush(&mut self) -> Result<(), DocumentError> {
        let text = std::mem::take(&mut self.text);
        let place = std::mem::replace(&mut self.place, Place::Whole);
        self.push(text.trim_end(), place)
    }

    fn push(&mut self, text: &str, place: Place) -> Result<(), DocumentError> {
        if text.is_empty() {
            return Ok(());
        }
        if self.document.passages.len() >= PASSAGES_MAX {
            return Err(DocumentError::Limit { what: "passages", max: PASSAGES_MAX as u64 });
        }
        self.bytes += text.len();
        if self.bytes > TEXT_BYTES_MAX {
            return Err(DocumentError::Limit { what: "bytes of text", max: TEXT_BYTES_MAX as u64 });
        }
        let headings = self.headings.iter().take(HEADINGS_MAX).map(|(_, text)| text.clone()).collect();
        let (page, page_label) = (self.page, self.page_label.clone());
        self.document.passages.push(Passage { text: text.to_owned(), headings, page, page_label, place });
        Ok(())
    }

    fn flush_bare(&mut self) -> Result<(), DocumentError> {
        match self.bare.take() {
            Some((text, place)) => self.push(&text, place),
            None => Ok(()),
        }
    }

    /// A paragraph, a table, a listing: kept whole where it fits into a passage. For [`Place::Lines`], the
    /// text's lines are those of the file from the first on.
    pub(crate) fn block(&mut self, text: &str, place: Place) -> Result<(), DocumentError> {
        self.add(text, place, "\n\n")
    }

    /// As `block`, but with one line end before it only: a row.
    pub(crate) fn row(&mut self, text: &str, place: Place) -> Result<(), DocumentError> {
        self.add(text, place, "\n")
    }

    fn add(&mut self, text: &str, place: Place, between: &str) -> Result<(), DocumentError> {
        let text = clean(text);
        let mut skipped = 0;
        let mut text = text.as_str();
        // Blank lines before it are not its lines.
        while let Some((line, rest)) = text.split_once('\n')
            && line.trim().is_empty()
        {
            text = rest;
            skipped += 1;
        }
        let text = text.trim_end();
        if text.is_empty() {
            return Ok(());
        }
        self.bare = None;
        let joined = if self.text.is_empty() { None } else { join(&self.place, &place) };
        if joined.is_none() || self.text.len() + between.len() + text.len() > PASSAGE_BYTES_MAX {
            self.flush()?;
        }
        let mut line = match place {
            Place::Lines { first, .. } => first.saturating_add(skipped),
            _ => 0,
        };
        let mut rest = text;
        while !rest.is_empty() {
            let piece_len = piece(rest, PASSAGE_BYTES_MAX);
            let whole = piece_len == rest.len();
            let (this, after) = rest.split_at(piece_len);
            let lines = u32::try_from(this.trim_end_matches('\n').matches('\n').count()).unwrap_or(u32::MAX);
            let ends = u32::try_from(this.matches('\n').count()).unwrap_or(u32::MAX);
            let this_place = match &place {
                Place::Lines { .. } => Place::Lines { first: line, last: line.saturating_add(lines) },
                other => other.clone(),
            };
            line = line.saturating_add(ends);
            if self.text.is_empty() {
                self.place = this_place;
            } else {
                self.place = join(&self.place, &this_place).unwrap_or(this_place);
                self.text.push_str(between);
            }
            self.text.push_str(this.trim_end());
            if !whole {
                self.flush()?;
            }
            rest = after;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Document, DocumentError> {
        self.flush()?;
        self.flush_bare()?;
        if self.left_out_more > 0 {
            self.document.left_out.push(format!("and {} more", self.left_out_more));
        }
        Ok(self.document)
    }
}

/// The place of two neighbours together, or None where they are to stay apart.
fn join(one: &Place, other: &Place) -> Option<Place> {
    match (one, other) {
        (Place::Lines { first, .. }, Place::Lines { last, .. }) => {
            Some(Place::Lines { first: *first, last: *last })
        }
        (Place::Sheet { name, first_row, .. }, Place::Sheet { name: name_other, last_row, .. })
            if name == name_other =>
        {
            Some(Place::Sheet { name: name.clone(), first_row: *first_row, last_row: *last_row })
        }
        (Place::Page, Place::Page) => Some(Place::Page),
        (Place::Whole, Place::Whole) => Some(Place::Whole),
        (Place::Requirement { id }, Place::Requirement { id: id_other }) if id == id_other => {
            Some(one.clone())
        }
        _ => None,
    }
}

/// How many bytes of the text to take for one passage: up to a line end, else the end of a sentence, else a
/// space, else a character.
fn piece(text: &str, max: usize) -> usize {
    if text.len() <= max {
        return text.len();
    }
    let head = &text[..text.floor_char_boundary(max)];
    for (mark, from) in [("\n\n", max / 2), ("\n", max / 2), (". ", max / 2), (" ", max / 4), ("\n", 1)] {
        if let Some(at) = head.rfind(mark)
            && at >= from
        {
            return at + mark.len();
        }
    }
    head.len()
}

/// Without control characters, and without spaces at the ends of lines.
fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            cleaned.push('\n');
        }
        let line = line.trim_end();
        cleaned.extend(line.chars().filter(|letter| *letter == '\t' || !letter.is_control()));
    }
    cleaned
}

/// On one line, spaces single, at most so long as a heading may be.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > HEADING_CHARS_MAX * 4 {
            break;
        }
    }
    if let Some((at, _)) = line.char_indices().nth(HEADING_CHARS_MAX) {
        line.truncate(at);
    }
    line
}
