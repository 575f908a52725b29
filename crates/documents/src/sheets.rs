//! XLSX: each row of each sheet as a line that names its columns.
//!
//! Cells are read as a stream. The size that a sheet claims is never allocated.

use std::collections::HashMap;

use crate::{
    Document, DocumentError, Format, Place, damaged,
    package::Package,
    passages::Passages,
    table::{COLUMNS_MAX, Header},
    xml::{self, Event},
};

const SHEETS_MAX: usize = 1000;
const STRINGS_MAX: usize = 4_000_000;
/// Of one cell; Excel has 32,767 characters.
const CELL_BYTES_MAX: usize = 128 << 10;

pub(crate) fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let mut package = Package::open(Format::Xlsx, bytes)?;
    let workbook = package
        .text("xl/workbook.xml")?
        .ok_or_else(|| damaged(Format::Xlsx, "it has no part \"xl/workbook.xml\""))?;
    let mut sheets: Vec<(String, String, bool)> = Vec::new();
    let mut from_1904 = false;
    xml::walk(&workbook, wrong("xl/workbook.xml"), |event| {
        if let Event::Start(element) = event {
            match element.name() {
                "sheet" => {
                    let name = element.attribute("name").unwrap_or_default();
                    let id = element.attribute("id").unwrap_or_default();
                    let hidden = element.attribute("state").is_some_and(|state| state != "visible");
                    sheets.push((name, id, hidden));
                }
                "workbookPr" => {
                    from_1904 = matches!(element.attribute("date1904").as_deref(), Some("1" | "true"))
                }
                _ => {}
            }
        }
        if sheets.len() > SHEETS_MAX {
            return Err(DocumentError::Limit { what: "sheets", max: SHEETS_MAX as u64 });
        }
        Ok(())
    })?;
    let mut parts = HashMap::new();
    if let Some(text) = package.text("xl/_rels/workbook.xml.rels")? {
        xml::walk(&text, wrong("xl/_rels/workbook.xml.rels"), |event| {
            if let Event::Start(element) = event
                && let (Some(id), Some(target)) = (element.attribute("Id"), element.attribute("Target"))
            {
                let target = match target.strip_prefix('/') {
                    Some(absolute) => absolute.to_owned(),
                    None => format!("xl/{target}"),
                };
                parts.insert(id, target);
            }
            Ok(())
        })?;
    }
    let strings = match package.text("xl/sharedStrings.xml")? {
        Some(text) => shared_strings(&text)?,
        None => Vec::new(),
    };
    let dates = match package.text("xl/styles.xml")? {
        Some(text) => date_styles(&text)?,
        None => Vec::new(),
    };
    let mut passages = Passages::new();
    for (index, (name, id, hidden)) in sheets.into_iter().enumerate() {
        if hidden {
            passages.left_out(format!("sheet {name:?}: it is hidden"));
            continue;
        }
        let part = parts.get(&id).cloned().unwrap_or_else(|| format!("xl/worksheets/sheet{}.xml", index + 1));
        let Some(text) = package.text(&part)? else {
            passages.left_out(format!("sheet {name:?}: its part {part:?} is missing"));
            continue;
        };
        let sheet = Sheet {
            name,
            strings: &strings,
            dates: &dates,
            from_1904,
            header: None,
            row: 0,
            cells: Vec::new(),
            column: 0,
            kind: String::new(),
            style: 0,
            text: String::new(),
            in_value: false,
            phonetic: 0,
        };
        sheet.read(&text, &part, &mut passages)?;
    }
    passages.finish()
}

fn wrong(part: &str) -> impl Fn(String) -> DocumentError {
    move |what| damaged(Format::Xlsx, format!("part {part:?}: {what}"))
}

fn shared_strings(text: &str) -> Result<Vec<String>, DocumentError> {
    let mut strings = Vec::new();
    let mut current = String::new();
    let (mut in_text, mut phonetic) = (false, 0usize);
    xml::walk(text, wrong("xl/sharedStrings.xml"), |event| {
        match event {
            Event::Start(element) => match element.name() {
                "si" => current.clear(),
                "t" => in_text = true,
                "rPh" => phonetic += 1,
                _ => {}
            },
            Event::End("t") => in_text = false,
            Event::End("rPh") => phonetic = phonetic.saturating_sub(1),
            Event::End("si") => {
                if strings.len() >= STRINGS_MAX {
                    return Err(DocumentError::Limit { what: "shared strings", max: STRINGS_MAX as u64 });
                }
                strings.push(std::mem::take(&mut current));
            }
            Event::Text(text) if in_text && phonetic == 0 && current.len() < CELL_BYTES_MAX => {
                current.push_str(text);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(strings)
}

/// For each cell style, whether its numbers are dates.
fn date_styles(text: &str) -> Result<Vec<bool>, DocumentError> {
    let mut custom = HashMap::new();
    let mut styles = Vec::new();
    let mut in_cells = false;
    xml::walk(text, wrong("xl/styles.xml"), |event| {
        match event {
            Event::Start(element) => match element.name() {
                "numFmt" => {
                    let code = element.attribute("formatCode").unwrap_or_default();
                    if let Some(id) = element.attribute("numFmtId") {
                        custom.insert(id, is_date_format(&code));
                    }
                }
                "cellXfs" => in_cells = true,
                "xf" if in_cells && styles.len() < 1 << 20 => {
                    let id = element.attribute("numFmtId").unwrap_or_default();
                    let built_in = matches!(id.parse::<u32>(), Ok(14..=22 | 27..=36 | 45..=47 | 50..=58));
                    styles.push(custom.get(&id).copied().unwrap_or(built_in));
                }
                _ => {}
            },
            Event::End("cellXfs") => in_cells = false,
            _ => {}
        }
        Ok(())
    })?;
    Ok(styles)
}

/// Whether a format code shows a day or a year, outside quotes and brackets.
fn is_date_format(code: &str) -> bool {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for letter in code.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '[' => bracketed = true,
            ']' => bracketed = false,
            'd' | 'D' | 'y' | 'Y' | 'h' | 'H' if !quoted && !bracketed => return true,
            _ => {}
        }
    }
    false
}

struct Sheet<'a> {
    name: String,
    strings: &'a [String],
    dates: &'a [bool],
    from_1904: bool,
    header: Option<Header>,
    row: u32,
    cells: Vec<(usize, String)>,
    column: usize,
    kind: String,
    style: usize,
    text: String,
    in_value: bool,
    phonetic: usize,
}

impl Sheet<'_> {
    fn read(mut self, text: &str, part: &str, passages: &mut Passages) -> Result<(), DocumentError> {
        passages.flush()?;
        xml::walk(text, wrong(part), |event| {
            match event {
                Event::Start(element) => match element.name() {
                    "row" => {
                        let row = element.attribute("r").and_then(|row| row.parse().ok());
                        self.row = row.unwrap_or(self.row.saturating_add(1));
                        self.cells.clear();
                        self.column = 0;
                    }
                    "c" => {
                        let column = element.attribute("r").and_then(|cell| column_of(&cell));
                        self.column = column.unwrap_or(self.column);
                        if self.column >= COLUMNS_MAX || self.cells.len() >= COLUMNS_MAX {
                            let max = COLUMNS_MAX as u64;
                            return Err(DocumentError::Limit { what: "columns in a row", max });
                        }
                        self.kind = element.attribute("t").unwrap_or_default();
                        self.style = element.attribute("s").and_then(|style| style.parse().ok()).unwrap_or(0);
                        self.text.clear();
                    }
                    "rPh" => self.phonetic += 1,
                    "v" | "t" => self.in_value = true,
                    _ => {}
                },
                Event::Text(text)
                    if self.in_value && self.phonetic == 0 && self.text.len() < CELL_BYTES_MAX =>
                {
                    self.text.push_str(text);
                }
                Event::Text(_) => {}
                Event::End("v" | "t") => self.in_value = false,
                Event::End("rPh") => self.phonetic = self.phonetic.saturating_sub(1),
                Event::End("c") => {
                    let value = self.value();
                    if !value.trim().is_empty() {
                        self.cells.push((self.column, value));
                    }
                    self.column += 1;
                }
                Event::End("row") => self.end_of_row(passages)?,
                Event::End(_) => {}
            }
            Ok(())
        })?;
        passages.flush()
    }

    fn value(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        match self.kind.as_str() {
            "s" => text
                .trim()
                .parse()
                .ok()
                .and_then(|at: usize| self.strings.get(at))
                .cloned()
                .unwrap_or_default(),
            "b" => if text.trim() == "1" { "yes" } else { "no" }.to_owned(),
            "" | "n" if self.dates.get(self.style) == Some(&true) => {
                date(&text, self.from_1904).unwrap_or(text)
            }
            "" | "n" => number(text),
            _ => text,
        }
    }

    fn end_of_row(&mut self, passages: &mut Passages) -> Result<(), DocumentError> {
        if self.cells.is_empty() {
            return Ok(());
        }
        let Some(header) = &self.header else {
            // A title over the table stands alone in its row.
            if self.cells.len() == 1 && self.row < 10 {
                let text = format!("{}: {}", self.name, self.cells[0].1);
                return passages.row(&text, self.place());
            }
            let width = self.cells.last().map_or(0, |(column, _)| column + 1);
            let mut names = vec![""; width];
            for (column, cell) in &self.cells {
                if let Some(name) = names.get_mut(*column) {
                    *name = cell;
                }
            }
            self.header = Some(Header::new(names.into_iter()));
            return Ok(());
        };
        let line = header.line(self.cells.iter().map(|(column, cell)| (*column, cell.as_str())));
        passages.row(&line, self.place())
    }

    fn place(&self) -> Place {
        Place::Sheet { name: self.name.clone(), first_row: self.row, last_row: self.row }
    }
}

/// The column of a cell's name, from 0.
fn column_of(cell: &str) -> Option<usize> {
    let letters = cell.bytes().take_while(u8::is_ascii_alphabetic);
    let mut column = 0usize;
    for letter in letters.take(4) {
        column = column * 26 + usize::from(letter.to_ascii_uppercase() - b'A' + 1);
    }
    column.checked_sub(1)
}

/// A number as people write it: files hold 0.1 as 0.10000000000000001.
fn number(text: String) -> String {
    if text.len() < 16 {
        return text;
    }
    match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value.abs() < 1e15 => {
            let short = format!("{value:.12}");
            short.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => text,
    }
}

/// A day number as a date, and a time where it has one.
fn date(text: &str, from_1904: bool) -> Option<String> {
    let value: f64 = text.trim().parse().ok()?;
    if !(0.0..3_000_000.0).contains(&value) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the range above")]
    let (mut days, mut seconds) = (value.floor() as i64, ((value - value.floor()) * 86_400.0).round() as i64);
    if seconds >= 86_400 {
        days += 1;
        seconds = 0;
    }
    let time = format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if days == 0 && !from_1904 {
        return Some(time);
    }
    // Days since 1970-01-01; Excel's 1900 has a 29th of February.
    let days = if from_1904 { days - 24_107 } else { days - 25_569 + i64::from(days < 60) };
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let date = format!("{year:04}-{month:02}-{day:02}");
    Some(if seconds == 0 { date } else { format!("{date} {time}") })
}
