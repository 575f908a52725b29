//! PDF (ISO 32000-1): the text of each page in reading order.
//!
//! Our own reader of the file's objects, one by one as pages need them, because hostile files are bounded
//! best where every step is counted. Pictures are never decoded.

mod cmap;
mod content;
mod crypt;
mod filters;
mod fonts;
mod layout;
mod objects;
mod outline;

use std::collections::{HashMap, HashSet};

use crate::{Document, DocumentError, Format, PAGES_MAX, Place, damaged, passages::Passages};
use content::{Glyph, IDENTITY, Matrix, Shared, multiply};
use layout::{Row, Segment};
use objects::{Dict, File, Object};
use outline::Entry;

/// Nodes of the tree of pages, pages among them.
const NODES_MAX: usize = 100_000;
const TREE_DEPTH_MAX: usize = 64;
/// Rows at the top and at the bottom of a page that may be a header or a footer.
const EDGE_ROWS: usize = 3;
/// How far beside a page a glyph may begin.
const EDGE: f64 = 2.0;
/// How far a line may run over a page's right side, as listings do.
const RUN_OVER: f64 = 200.0;
/// Entries of the outline for one page.
const ENTRIES_OF_PAGE_MAX: usize = 200;

/// A page of the tree, with what it inherits.
struct Page {
    dict: Object,
    inherited: Inherited,
}

#[derive(Clone)]
struct Inherited {
    resources: Object,
    media_box: Object,
    crop_box: Object,
    rotate: i64,
}

pub(crate) fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let file = File::open(bytes)?;
    let root = file.root().ok_or_else(|| damaged(Format::Pdf, "it has no catalog"))?;
    let root = root.dict().cloned().unwrap_or_default();
    let (pages, numbers) = page_tree(&file, &root)?;
    file.check()?;
    if pages.is_empty() {
        return Err(damaged(Format::Pdf, "it has no page"));
    }
    let mut passages = Passages::new();
    passages.pages(u32::try_from(pages.len()).unwrap_or(u32::MAX));
    if let Some(title) = file.get(&file.trailer, b"Info").dict().map(|info| file.get(info, b"Title")) {
        let title = title.text().map(text_string).unwrap_or_default();
        if !matches!(title.trim().to_ascii_lowercase().as_str(), "untitled" | "title") {
            passages.title(title.trim_start_matches("Microsoft Word - "));
        }
    }
    let labels = outline::labels(&file, &root, pages.len());
    let entries = outline::outline(&file, &root, &numbers);
    file.check()?;

    let mut shared = Shared::default();
    let mut sheets = Vec::with_capacity(pages.len());
    let mut bytes = 0;
    for (number, page) in (1u32..).zip(&pages) {
        let sheet = sheet(&file, page, number, &mut shared, &mut passages);
        file.check()?;
        bytes += sheet.rows.iter().flatten().map(|segment| segment.text.len() + 64).sum::<usize>();
        if bytes > crate::TEXT_BYTES_MAX {
            return Err(DocumentError::Limit { what: "bytes of text", max: crate::TEXT_BYTES_MAX as u64 });
        }
        sheets.push(sheet);
    }
    drop_edges(&mut sheets);
    let words = Words::of(&sheets);
    let mut writer = Writer { passages, words: &words, entries: HashMap::new(), sizes: Vec::new() };
    for entry in &entries {
        let here: &mut Vec<&Entry> = writer.entries.entry(entry.page).or_default();
        if here.len() < ENTRIES_OF_PAGE_MAX {
            here.push(entry);
        }
    }
    if entries.is_empty() {
        writer.sizes = heading_sizes(&sheets);
    }
    for (index, sheet) in sheets.into_iter().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let label = labels.as_ref().and_then(|labels| labels.get(index)).map(String::as_str);
        writer.passages.page(Some(number), label.filter(|label| !label.is_empty()))?;
        writer.page(index, sheet)?;
    }
    writer.passages.finish()
}

/// The pages in order, and the index of each by the number of its object.
fn page_tree(file: &File<'_>, root: &Dict) -> Result<(Vec<Page>, HashMap<u32, usize>), DocumentError> {
    let mut pages: Vec<Page> = Vec::new();
    let mut numbers = HashMap::new();
    let mut seen = HashSet::new();
    let mut nodes = 0;
    let top = root.get(b"Pages".as_slice()).cloned().unwrap_or(Object::Null);
    let none =
        Inherited { resources: Object::Null, media_box: Object::Null, crop_box: Object::Null, rotate: 0 };
    let mut next = vec![(top, none, 0usize)];
    while let Some((reference, inherited, depth)) = next.pop() {
        nodes += 1;
        if nodes > NODES_MAX {
            return Err(DocumentError::Limit { what: "nodes in its tree of pages", max: NODES_MAX as u64 });
        }
        let number = match reference {
            Object::Ref(number) => Some(number),
            _ => None,
        };
        // A node that is its own ancestor, or stands twice.
        if depth > TREE_DEPTH_MAX || number.is_some_and(|number| !seen.insert(number)) {
            continue;
        }
        let object = file.resolve(&reference);
        let Some(dict) = object.dict() else { continue };
        let own = |key: &[u8], inherited: Object| match file.get(dict, key) {
            Object::Null => inherited,
            own => own,
        };
        let inherited = Inherited {
            resources: own(b"Resources", inherited.resources),
            media_box: own(b"MediaBox", inherited.media_box),
            crop_box: own(b"CropBox", inherited.crop_box),
            rotate: file.get(dict, b"Rotate").int().unwrap_or(inherited.rotate),
        };
        let kids = file.get(dict, b"Kids");
        match kids.array() {
            Some(kids) => {
                if next.len() + kids.len() > NODES_MAX {
                    return Err(DocumentError::Limit {
                        what: "nodes in its tree of pages",
                        max: NODES_MAX as u64,
                    });
                }
                next.extend(kids.iter().rev().map(|kid| (kid.clone(), inherited.clone(), depth + 1)));
            }
            None => {
                if pages.len() >= PAGES_MAX as usize {
                    return Err(DocumentError::Limit { what: "pages", max: u64::from(PAGES_MAX) });
                }
                if let Some(number) = number {
                    numbers.insert(number, pages.len());
                }
                pages.push(Page { dict: object.clone(), inherited });
            }
        }
    }
    Ok((pages, numbers))
}

/// What stands on a page.
struct Sheet {
    rows: Vec<Row>,
    matrix: Matrix,
}

fn sheet(file: &File<'_>, page: &Page, number: u32, shared: &mut Shared, passages: &mut Passages) -> Sheet {
    let matrix = match page.inherited.rotate.rem_euclid(360) {
        90 => [0.0, -1.0, 1.0, 0.0, 0.0, 0.0],
        180 => [-1.0, 0.0, 0.0, -1.0, 0.0, 0.0],
        270 => [0.0, 1.0, -1.0, 0.0, 0.0, 0.0],
        _ => IDENTITY,
    };
    let empty = Dict::new();
    let dict = page.dict.dict().unwrap_or(&empty);
    let parts = match file.get(dict, b"Contents") {
        Object::Array(parts) => parts.iter().take(4096).map(|part| file.resolve(part)).collect(),
        part => vec![part],
    };
    let mut content = Vec::new();
    let mut broken = false;
    for part in &parts {
        if let Object::Stream(stream) = part {
            match file.decode(stream) {
                Some(data) => content.extend(data),
                None => broken = true,
            }
            content.push(b'\n');
        }
        if file.check().is_err() {
            break;
        }
    }
    let mut shown =
        content::run(file, shared, &content, page.inherited.resources.dict().unwrap_or(&empty), matrix);
    if let Some(visible) = visible(file, &page.inherited, &matrix) {
        shown.glyphs.retain(|glyph| visible(glyph));
    }
    if broken {
        passages.left_out(format!("page {number}: content that could not be unpacked"));
    }
    if let Some(limit) = &shown.limit {
        passages.left_out(format!("page {number}: {limit}; the rest of it is left out"));
    }
    let letters: usize = shown.glyphs.iter().filter(|glyph| !glyph.text.trim().is_empty()).count();
    let unknown = shown.glyphs.iter().filter(|glyph| glyph.text.contains('\u{fffd}')).count();
    if unknown * 2 > letters && letters > 0 {
        passages.left_out(format!("page {number}: its fonts do not say which letters they show"));
        return Sheet { rows: Vec::new(), matrix };
    }
    if letters == 0 && shown.picture {
        passages.left_out(format!("page {number}: no text, probably a scan"));
    }
    Sheet { rows: layout::rows(shown.glyphs), matrix }
}

/// Whether a glyph begins on the page. What lies beside it, nobody sees.
fn visible(file: &File<'_>, page: &Inherited, matrix: &Matrix) -> Option<impl Fn(&Glyph) -> bool + use<>> {
    let corners = |object: &Object| {
        let sides: Vec<f64> = object.array()?.iter().filter_map(|side| file.resolve(side).number()).collect();
        let [x, y, x_end, y_end] = sides[..] else { return None };
        let turned = |x: f64, y: f64| {
            let place = multiply(&[1.0, 0.0, 0.0, 1.0, x, y], matrix);
            (place[4], place[5])
        };
        Some((turned(x, y), turned(x_end, y_end)))
    };
    let (one, other) = corners(&page.crop_box).or_else(|| corners(&page.media_box))?;
    let (left, right) = (one.0.min(other.0) - EDGE, one.0.max(other.0) + EDGE);
    let (bottom, top) = (one.1.min(other.1) - EDGE, one.1.max(other.1) + EDGE);
    // A box that holds nothing is a mistake.
    if right - left < 20.0 || top - bottom < 20.0 {
        return None;
    }
    Some(move |glyph: &Glyph| {
        (left..right + RUN_OVER).contains(&glyph.from.0) && (bottom..top).contains(&glyph.from.1)
    })
}

/// Takes away headers and footers: segments near an edge that stand there on many pages, but for digits.
fn drop_edges(sheets: &mut [Sheet]) {
    let key = |segment: &Segment| {
        let text: String = segment
            .text
            .trim()
            .chars()
            .map(|letter| if letter.is_ascii_digit() { '#' } else { letter })
            .collect();
        let page_number = text.chars().all(|letter| "ivxlcdm#- ".contains(letter.to_ascii_lowercase()));
        let mut text = if page_number { "#".to_owned() } else { text };
        while text.contains("##") {
            text = text.replace("##", "#");
        }
        #[expect(clippy::cast_possible_truncation, reason = "places on a page are small")]
        let y = (segment.y / 4.0).round() as i64;
        (text, y)
    };
    let edges =
        |rows: usize| (0..rows.min(EDGE_ROWS)).chain(rows.saturating_sub(EDGE_ROWS).max(EDGE_ROWS)..rows);
    let mut counts: HashMap<(String, i64), usize> = HashMap::new();
    for sheet in sheets.iter() {
        let mut here = HashSet::new();
        for at in edges(sheet.rows.len()) {
            here.extend(sheet.rows[at].iter().filter(|segment| segment.text.len() <= 300).map(key));
        }
        for key in here {
            *counts.entry(key).or_default() += 1;
        }
    }
    // On odd and on even pages stand different ones, and the first page of a chapter has none.
    let enough = if sheets.len() < 8 { sheets.len() * 2 / 3 + 1 } else { (sheets.len() / 4).max(4) }.max(3);
    for sheet in sheets {
        for at in edges(sheet.rows.len()).collect::<Vec<_>>() {
            sheet.rows[at].retain(|segment| {
                let near = |shift: i64| {
                    let (text, y) = key(segment);
                    counts.get(&(text, y + shift)).copied().unwrap_or(0)
                };
                // The same place may round to either of two neighbours.
                near(0) + near(1).max(near(-1)) < enough
            });
        }
        sheet.rows.retain(|row| !row.is_empty());
    }
}

/// Words that the document writes with a hyphen inside a line, and without.
struct Words {
    hyphened: HashSet<String>,
    plain: HashSet<String>,
}

impl Words {
    const MAX: usize = 500_000;

    fn of(sheets: &[Sheet]) -> Words {
        let mut words = Words { hyphened: HashSet::new(), plain: HashSet::new() };
        for segment in sheets.iter().flat_map(|sheet| sheet.rows.iter().flatten()) {
            for word in segment.text.split(|letter: char| !letter.is_alphanumeric() && letter != '-') {
                if word.len() < 5 || word.len() > 60 {
                    continue;
                }
                let set = match word.trim_matches('-').contains('-') {
                    true => &mut words.hyphened,
                    false => &mut words.plain,
                };
                if set.len() < Words::MAX && !word.ends_with('-') {
                    set.insert(word.to_lowercase());
                }
            }
        }
        words
    }

    /// Appends a line to a paragraph: a word that was divided at the line's end is whole again.
    fn append(&self, text: &mut String, line: &str) {
        let line = line.trim_end();
        if text.is_empty() {
            text.push_str(line);
            return;
        }
        let body = line.trim_start();
        let soft = text.ends_with('\u{ad}') || text.ends_with('\u{2010}');
        let divided = (soft || text.ends_with('-')) && body.chars().next().is_some_and(char::is_lowercase);
        if divided {
            let before = text.trim_end_matches(['-', '\u{ad}', '\u{2010}']);
            let head =
                before.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '-').next().unwrap_or("");
            let tail =
                body.split(|letter: char| !letter.is_alphanumeric() && letter != '-').next().unwrap_or("");
            let known_apart = self.hyphened.contains(&format!("{head}-{tail}").to_lowercase());
            let known_whole = self.plain.contains(&format!("{head}{tail}").to_lowercase());
            if !head.is_empty() && head.chars().next_back().is_some_and(char::is_alphabetic) {
                let before = before.len();
                text.truncate(before);
                if known_apart && !known_whole && !soft {
                    text.push('-');
                }
                // The rest of the word belongs to this line.
                let word_len = body.find(char::is_whitespace).unwrap_or(body.len());
                text.push_str(&body[..word_len]);
                let rest = body[word_len..].trim_start();
                if !rest.is_empty() {
                    text.push('\n');
                    text.push_str(rest);
                }
                return;
            }
        }
        text.push('\n');
        text.push_str(line);
    }
}

/// Sizes of lines that are headings, largest first: for files without an outline.
fn heading_sizes(sheets: &[Sheet]) -> Vec<i64> {
    let mut letters: HashMap<i64, usize> = HashMap::new();
    for segment in sheets.iter().flat_map(|sheet| sheet.rows.iter().flatten()) {
        *letters.entry(half_points(segment.size)).or_default() += segment.text.len();
    }
    let all: usize = letters.values().sum();
    let body = letters.iter().max_by_key(|(_, count)| **count).map_or(0, |(size, _)| *size);
    let mut sizes: Vec<i64> = letters
        .iter()
        .filter(|(size, count)| **size * 100 >= body * 112 && **count * 8 < all)
        .map(|(size, _)| *size)
        .collect();
    sizes.sort_unstable_by(|one, other| other.cmp(one));
    sizes
}

fn half_points(size: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "sizes of letters are small")]
    let half_points = (size * 2.0).round() as i64;
    half_points
}

struct Writer<'a> {
    passages: Passages,
    words: &'a Words,
    /// The outline, by page.
    entries: HashMap<usize, Vec<&'a Entry>>,
    /// Of headings, where there is no outline.
    sizes: Vec<i64>,
}

impl Writer<'_> {
    fn page(&mut self, index: usize, sheet: Sheet) -> Result<(), DocumentError> {
        let rows = layout::in_order(sheet.rows, 0);
        let pitch = pitch(&rows);
        let headings = self.headings(index, &rows, &sheet.matrix);
        let mut headings = headings.into_iter().peekable();
        let mut text = String::new();
        let mut above: Option<(f64, f64)> = None;
        // Where fixed-pitch lines begin, for the indentation of listings.
        let left = rows.iter().flatten().map(|segment| segment.x).min_by(f64::total_cmp).unwrap_or(0.0);
        for (at, row) in rows.iter().enumerate() {
            let first = &row[0];
            let here = headings.peek().is_some_and(|(line, ..)| *line <= at);
            let by_size = self.heading_by_size(row);
            let ends = above.is_some_and(|(y, size)| {
                let gap = y - first.y;
                gap > pitch * 1.35 || (size - first.size).abs() > 0.15 * size
            });
            if here || ends || by_size.is_some() {
                self.paragraph(&mut text)?;
            }
            while let Some((_, level, title)) = headings.next_if(|(line, ..)| *line <= at) {
                self.passages.heading(level, &title, Place::Page)?;
            }
            if let Some(level) = by_size {
                let title = line_of(row, left);
                self.passages.heading(level, &title, Place::Page)?;
            }
            self.words.append(&mut text, &line_of(row, left));
            above = Some((first.y, first.size));
        }
        self.paragraph(&mut text)?;
        for (_, level, title) in headings {
            self.passages.heading(level, &title, Place::Page)?;
        }
        Ok(())
    }

    fn paragraph(&mut self, text: &mut String) -> Result<(), DocumentError> {
        self.passages.block(&std::mem::take(text), Place::Page)
    }

    fn heading_by_size(&self, row: &Row) -> Option<u8> {
        let letters: usize = row.iter().map(|segment| segment.text.len()).sum();
        let alphabetic =
            row.iter().any(|segment| segment.text.chars().filter(|c| c.is_alphabetic()).count() >= 3);
        if letters > 150 || !alphabetic {
            return None;
        }
        let rank = self.sizes.iter().position(|size| *size == half_points(row[0].size))?;
        u8::try_from(rank + 1).ok().map(|level| level.min(6))
    }

    /// The outline's entries for this page: the row that each stands at, its level, its title.
    fn headings(&self, index: usize, rows: &[Row], matrix: &Matrix) -> Vec<(usize, u8, String)> {
        let lines: Vec<String> = rows.iter().map(|row| letters(&line_of(row, 0.0))).collect();
        let mut headings: Vec<(usize, u8, String)> = Vec::new();
        let mut from = 0;
        for entry in self.entries.get(&index).into_iter().flatten() {
            let wanted = letters(&entry.title);
            let named = (from..lines.len()).find(|at| {
                let line = &lines[*at];
                line == &wanted
                    || (line.len() >= 6 && wanted.len() >= 6 && line.len() <= wanted.len() + 12 && {
                        // The title may go on in the next line, or a number may stand before it.
                        wanted.starts_with(line.as_str())
                            || line.ends_with(&wanted)
                            || line.starts_with(&wanted)
                    })
            });
            let at = named.or_else(|| {
                let (x, y) = entry.at?;
                let place = multiply(&[1.0, 0.0, 0.0, 1.0, x, y], matrix);
                (from..rows.len()).find(|at| rows[*at][0].y <= place[5] + 1.0)
            });
            let at = at.unwrap_or(from);
            from = at;
            headings.push((at, entry.level, entry.title.clone()));
        }
        headings
    }
}

/// The usual distance of lines on a page.
fn pitch(rows: &[Row]) -> f64 {
    let mut gaps: Vec<f64> = rows
        .windows(2)
        .map(|pair| pair[0][0].y - pair[1][0].y)
        .zip(rows)
        .filter(|(gap, row)| *gap > 0.0 && *gap < 2.5 * row[0].size)
        .map(|(gap, _)| gap)
        .collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied().unwrap_or(f64::MAX)
}

fn line_of(row: &Row, left: f64) -> String {
    let mut line = String::new();
    let first = &row[0];
    if first.fixed_pitch {
        let indent = (first.x - left) / (first.size * 0.6).max(0.1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let indent = indent.clamp(0.0, 60.0).round() as usize;
        line.extend(std::iter::repeat_n(' ', indent));
    }
    for segment in row {
        if !line.trim().is_empty() {
            line.push_str("  ");
        }
        line.push_str(segment.text.trim());
    }
    line
}

/// What is compared of a title.
fn letters(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A text string (ISO 32000-1, 7.9.2.2): UTF-16 with a mark, UTF-8 with a mark, or PDFDocEncoding, which is
/// near enough to Windows-1252 but for a few marks.
fn text_string(bytes: &[u8]) -> String {
    let text = crate::text::decode_as(bytes, Some(b"windows-1252"));
    text.chars().filter(|letter| !letter.is_control() || letter.is_whitespace()).collect()
}
