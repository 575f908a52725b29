//! Rows of tables as lines that make sense alone, and files of separated values.

use csv::{ReaderBuilder, StringRecord};

use crate::{Document, DocumentError, Format, Place, damaged, passages::Passages, text::decode};

const HEADER_CHARS_MAX: usize = 100;
/// Of a table; Excel has 16,384.
pub(crate) const COLUMNS_MAX: usize = 16_384;

/// The names of a table's columns.
pub(crate) struct Header(Vec<String>);

impl Header {
    pub(crate) fn new<'a>(cells: impl Iterator<Item = &'a str>) -> Header {
        let short = |cell: &str| {
            let cell = crate::passages::one_line(cell);
            let cell: String = cell.chars().take(HEADER_CHARS_MAX).collect();
            cell.trim_end_matches(':').trim().to_owned()
        };
        Header(cells.map(short).collect())
    }

    /// `Header: value; Header: value`, without the empty ones.
    pub(crate) fn line<'a>(&self, cells: impl Iterator<Item = (usize, &'a str)>) -> String {
        let mut line = String::new();
        for (column, cell) in cells {
            let cell = cell.trim();
            if cell.is_empty() {
                continue;
            }
            if !line.is_empty() {
                line.push_str("; ");
            }
            match self.0.get(column).filter(|name| !name.is_empty()) {
                Some(name) => line.push_str(name),
                None => line.push_str(&column_letters(column)),
            }
            line.push_str(": ");
            for (index, part) in cell.split(['\n', '\r']).filter(|part| !part.trim().is_empty()).enumerate() {
                if index > 0 {
                    line.push(' ');
                }
                line.push_str(part.trim());
            }
        }
        line
    }
}

/// A, B, …, Z, AA, … as sheets name columns.
fn column_letters(mut column: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + u8::try_from(column % 26).unwrap_or(0)));
        if column < 26 {
            break;
        }
        column = column / 26 - 1;
    }
    letters.iter().rev().collect()
}

pub(crate) fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let text = decode(bytes);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes());
    let mut passages = Passages::new();
    let mut header: Option<Header> = None;
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| damaged(Format::Csv, error.to_string()))? {
        if record.len() > COLUMNS_MAX {
            return Err(DocumentError::Limit { what: "columns in a row", max: COLUMNS_MAX as u64 });
        }
        let Some(header) = &header else {
            header = Some(Header::new(record.iter()));
            continue;
        };
        let number = |line: u64| u32::try_from(line).unwrap_or(u32::MAX);
        let first = record.position().map_or(1, csv::Position::line);
        let last = first.max(reader.position().line().saturating_sub(1));
        let line = header.line(record.iter().enumerate());
        passages.row(&line, Place::Lines { first: number(first), last: number(last) })?;
    }
    passages.finish()
}

/// The separator that the first lines agree on most: outside quotes, equally often in each.
fn delimiter(text: &str) -> u8 {
    let mut best = (0, b',');
    for separator in [b',', b';', b'\t', b'|'] {
        let mut counts = vec![0usize];
        let mut quoted = false;
        for letter in text.bytes().take(64 << 10) {
            match letter {
                b'"' => quoted = !quoted,
                b'\n' if !quoted => counts.push(0),
                letter if letter == separator && !quoted => {
                    if let Some(count) = counts.last_mut() {
                        *count += 1;
                    }
                }
                _ => {}
            }
            if counts.len() > 50 {
                break;
            }
        }
        let first = counts[0];
        let agreeing = counts.iter().filter(|count| **count == first).count();
        let score = if first == 0 { 0 } else { agreeing * 1000 + first.min(999) };
        if score > best.0 {
            best = (score, separator);
        }
    }
    best.1
}
