//! Text files, with markup or without, line by line: each passage knows its lines.

use crate::{Document, DocumentError, Place, passages::Passages, text::decode};

/// Of a text file.
const LINES_MAX: usize = 8_000_000;

/// A file's lines, and the paragraph that is being gathered.
struct Lines<'a> {
    lines: Vec<&'a str>,
    passages: Passages,
    /// The first line of the paragraph, from 0.
    from: Option<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Result<Lines<'a>, DocumentError> {
        if text.bytes().filter(|byte| *byte == b'\n').count() >= LINES_MAX {
            return Err(DocumentError::Limit { what: "lines", max: LINES_MAX as u64 });
        }
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
        Ok(Lines { lines, passages: Passages::new(), from: None })
    }

    fn place(first: usize, last: usize) -> Place {
        let number = |index: usize| u32::try_from(index + 1).unwrap_or(u32::MAX);
        Place::Lines { first: number(first), last: number(last) }
    }

    /// Ends the paragraph before line `end`.
    fn paragraph(&mut self, end: usize) -> Result<(), DocumentError> {
        match self.from.take() {
            Some(from) => self.block(from, end),
            None => Ok(()),
        }
    }

    fn block(&mut self, from: usize, end: usize) -> Result<(), DocumentError> {
        let end = end.min(self.lines.len());
        if from >= end {
            return Ok(());
        }
        self.passages.block(&self.lines[from..end].join("\n"), Lines::place(from, end - 1))
    }

    fn heading(&mut self, level: u8, text: &str, line: usize) -> Result<(), DocumentError> {
        if level == 1 {
            self.passages.title(text);
        }
        self.passages.heading(level, text, Lines::place(line, line))
    }

    /// The line that ends what began before `from`, or the end of the file.
    fn find(&self, from: usize, ends: impl Fn(&str) -> bool) -> usize {
        (from..self.lines.len()).find(|index| ends(self.lines[*index])).unwrap_or(self.lines.len())
    }
}

pub(crate) fn plain(bytes: &[u8]) -> Result<Document, DocumentError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text)?;
    for index in 0..lines.lines.len() {
        if lines.lines[index].trim().is_empty() {
            lines.paragraph(index)?;
        } else if lines.from.is_none() {
            lines.from = Some(index);
        }
    }
    lines.paragraph(lines.lines.len())?;
    lines.passages.finish()
}

pub(crate) fn markdown(bytes: &[u8]) -> Result<Document, DocumentError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text)?;
    let mut index = front_matter(&mut lines);
    while index < lines.lines.len() {
        let line = lines.lines[index];
        let trimmed = line.trim();
        let indent = line.len() - line.trim_start().len();
        if trimmed.is_empty() {
            lines.paragraph(index)?;
            index += 1;
        } else if let Some(fence) = fence(trimmed) {
            // A fence and the sentence that leads to it stay together: no end of the paragraph before it.
            let from = lines.from.take().unwrap_or(index);
            let end = lines.find(index + 1, |line| {
                let line = line.trim();
                line.starts_with(fence) && line.trim_start_matches(&fence[..1]).is_empty()
            });
            lines.block(from, end + 1)?;
            index = end + 1;
        } else if trimmed.starts_with("<!--") {
            lines.paragraph(index)?;
            let end = lines.find(index, |line| line.contains("-->"));
            index = end + 1;
        } else if let Some((level, text)) = atx(trimmed).filter(|_| indent < 4) {
            lines.paragraph(index)?;
            lines.heading(level, &plain_words(text), index)?;
            index += 1;
        } else if let Some(level) = setext(trimmed).filter(|_| indent < 4)
            && let Some(from) = lines.from
            && !lines.lines[from].contains('|')
            && !lines.lines[from].trim_start().starts_with(['-', '*', '+', '>'])
        {
            lines.from = None;
            let text = lines.lines[from..index].join(" ");
            lines.heading(level, &plain_words(&text), from)?;
            index += 1;
        } else {
            lines.from.get_or_insert(index);
            index += 1;
        }
    }
    lines.paragraph(lines.lines.len())?;
    lines.passages.finish()
}

/// Skips front matter, from which it takes the title. The line after it.
fn front_matter(lines: &mut Lines<'_>) -> usize {
    let Some(mark @ ("---" | "+++")) = lines.lines.first().map(|line| line.trim_end()) else { return 0 };
    let end = lines.find(1, |line| line.trim_end() == mark || (mark == "---" && line.trim_end() == "..."));
    if end == lines.lines.len() {
        return 0;
    }
    for index in 1..end {
        if let Some((key, value)) = lines.lines[index].split_once([':', '='])
            && key.trim() == "title"
        {
            lines.passages.title(value.trim().trim_matches(['"', '\'']));
        }
    }
    end + 1
}

fn fence(line: &str) -> Option<&str> {
    let letter = line.chars().next().filter(|letter| matches!(letter, '`' | '~'))?;
    let marks = line.len() - line.trim_start_matches(letter).len();
    (marks >= 3 && !(letter == '`' && line[marks..].contains('`'))).then_some(&line[..marks])
}

fn atx(line: &str) -> Option<(u8, &str)> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    if !(1..=6).contains(&level) || !(text.is_empty() || text.starts_with([' ', '\t'])) {
        return None;
    }
    let text = text.trim();
    let without = text.trim_end_matches('#');
    let text = if without.is_empty() || without.ends_with([' ', '\t']) { without.trim_end() } else { text };
    Some((u8::try_from(level).unwrap_or(6), text))
}

fn setext(line: &str) -> Option<u8> {
    if !line.is_empty() && line.bytes().all(|letter| letter == b'=') {
        Some(1)
    } else if !line.is_empty() && line.bytes().all(|letter| letter == b'-') {
        Some(2)
    } else {
        None
    }
}

/// A heading without marks of emphasis and code, and with the text of a link in place of it.
fn plain_words(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if letter == '['
            && let Some((label, after)) = rest[1..].split_once("](")
            && !label.contains(['[', ']'])
            && let Some((_, after)) = after.split_once(')')
        {
            words.push_str(label);
            rest = after;
            continue;
        }
        if !matches!(letter, '`' | '*') {
            words.push(letter);
        }
        rest = &rest[letter.len_utf8()..];
    }
    // An anchor as Pandoc and others write it.
    match words.rfind("{#") {
        Some(at) if words.trim_end().ends_with('}') => words[..at].trim().to_owned(),
        _ => words.trim().to_owned(),
    }
}

pub(crate) fn restructured(bytes: &[u8]) -> Result<Document, DocumentError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text)?;
    // Styles of titles in the order of their first use: that is their level.
    let mut styles: Vec<(char, bool)> = Vec::new();
    let mut index = 0;
    while index < lines.lines.len() {
        let line = lines.lines[index];
        let next = lines.lines.get(index + 1).copied().unwrap_or("");
        let after = lines.lines.get(index + 2).copied().unwrap_or("");
        let overlined = adornment(line).filter(|mark| {
            lines.from.is_none()
                && !next.trim().is_empty()
                && adornment(after) == Some(*mark)
                && line.trim_end().len() == after.trim_end().len()
                && next.trim_end().chars().count() <= line.trim_end().len() + 1
        });
        let underlined = adornment(next).filter(|_| {
            let length = line.trim_end().chars().count();
            lines.from.is_none()
                && length > 0
                && !line.starts_with([' ', '\t'])
                && adornment(line).is_none()
                && (next.trim_end().len() >= length || next.trim_end().len() >= 4)
        });
        if let Some((mark, over)) =
            overlined.map(|mark| (mark, true)).or(underlined.map(|mark| (mark, false)))
        {
            let at = styles.iter().position(|style| *style == (mark, over)).unwrap_or_else(|| {
                styles.push((mark, over));
                styles.len() - 1
            });
            let (text, line) = if over { (next, index + 1) } else { (line, index) };
            lines.heading(u8::try_from(at + 1).unwrap_or(u8::MAX), text.trim(), line)?;
            index += if over { 3 } else { 2 };
            continue;
        }
        let comment = line.starts_with(".. ") && !line.contains("::") && !line.starts_with(".. [");
        let target = line.starts_with(".. _") || line.starts_with("__ ");
        if line.trim().is_empty() {
            lines.paragraph(index)?;
        } else if lines.from.is_none() && comment && !target {
            index = lines.find(index + 1, |line| !line.trim().is_empty() && !line.starts_with([' ', '\t']));
            continue;
        } else if lines.from.is_none() && (target || adornment(line).is_some()) && next.trim().is_empty() {
            // A link's target; a transition.
        } else {
            lines.from.get_or_insert(index);
        }
        index += 1;
    }
    lines.paragraph(lines.lines.len())?;
    lines.passages.finish()
}

/// A line of one punctuation mark, repeated.
fn adornment(line: &str) -> Option<char> {
    let line = line.trim_end();
    let mark = line.chars().next().filter(char::is_ascii_punctuation)?;
    (line.len() >= 2 && line.chars().all(|letter| letter == mark)).then_some(mark)
}

pub(crate) fn asciidoc(bytes: &[u8]) -> Result<Document, DocumentError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text)?;
    let mut index = 0;
    while index < lines.lines.len() {
        let line = lines.lines[index].trim_end();
        if line.is_empty() {
            lines.paragraph(index)?;
            index += 1;
        } else if line.len() >= 4 && line.bytes().all(|letter| letter == b'/') {
            lines.paragraph(index)?;
            index = lines.find(index + 1, |other| other.trim_end() == line) + 1;
        } else if line.starts_with("//") && !line.starts_with("///") {
            lines.paragraph(index)?;
            index += 1;
        } else if delimiter(line) {
            // With the title and the attributes that stand before it.
            let from = lines.from.take().unwrap_or(index);
            let end = lines.find(index + 1, |other| other.trim_end() == line);
            lines.block(from, end + 1)?;
            index = end + 1;
        } else if let Some((level, text)) = asciidoc_title(line) {
            lines.paragraph(index)?;
            lines.heading(level, text, index)?;
            index += 1;
        } else {
            lines.from.get_or_insert(index);
            index += 1;
        }
    }
    lines.paragraph(lines.lines.len())?;
    lines.passages.finish()
}

fn delimiter(line: &str) -> bool {
    let all = |mark: u8| line.len() >= 4 && line.bytes().all(|letter| letter == mark);
    all(b'-') || all(b'.') || all(b'+') || line.starts_with("```") || matches!(line, "|===" | ",===" | ":===")
}

fn asciidoc_title(line: &str) -> Option<(u8, &str)> {
    let mark = line.chars().next().filter(|letter| matches!(letter, '=' | '#'))?;
    let text = line.trim_start_matches(mark);
    let level = line.len() - text.len();
    let text = text.strip_prefix(' ')?.trim();
    (level <= 6 && !text.is_empty()).then_some((u8::try_from(level).unwrap_or(6), text))
}
