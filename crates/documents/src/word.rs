//! DOCX: paragraphs, headings by outline level, tables, notes; pages by the breaks that Word recorded when
//! it last laid the document out.

use std::collections::HashMap;

use crate::{
    Document, DocumentError, Format, Place, damaged,
    package::Package,
    passages::Passages,
    xml::{self, Element, Event},
};

const NOTES_MAX: usize = 100_000;
const STYLES_MAX: usize = 20_000;

pub(crate) fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let mut package = Package::open(Format::Docx, bytes)?;
    let main = main_part(&mut package)?;
    let folder = main.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let text =
        package.text(&main)?.ok_or_else(|| damaged(Format::Docx, format!("it has no part {main:?}")))?;
    let styles = match package.text(&format!("{folder}styles.xml"))? {
        Some(text) => Styles::read(&text)?,
        None => Styles::default(),
    };
    let mut notes = HashMap::new();
    for (part, element) in [("footnotes.xml", "footnote"), ("endnotes.xml", "endnote")] {
        if let Some(text) = package.text(&format!("{folder}{part}"))? {
            read_notes(&text, element, &mut notes)?;
        }
    }
    let mut body =
        Body::new(styles, notes, text.contains("lastRenderedPageBreak"), text.contains("\"page\""));
    if let Some(text) = package.text("docProps/core.xml")? {
        let mut title = None;
        xml::walk(&text, wrong("docProps/core.xml"), |event| {
            match event {
                Event::Start(element) => title = (element.name() == "title").then_some(()),
                Event::Text(text) if title.is_some() => body.passages.title(text),
                _ => title = None,
            }
            Ok(())
        })?;
    }
    xml::walk(&text, wrong(&main), |event| body.take(event))?;
    body.finish()
}

fn wrong(part: &str) -> impl Fn(String) -> DocumentError {
    move |what| damaged(Format::Docx, format!("part {part:?}: {what}"))
}

/// The part that the package's relations call the document.
fn main_part(package: &mut Package<'_>) -> Result<String, DocumentError> {
    let mut main = None;
    if let Some(text) = package.text("_rels/.rels")? {
        xml::walk(&text, wrong("_rels/.rels"), |event| {
            if let Event::Start(element) = event
                && element.name() == "Relationship"
                && element.attribute("Type").is_some_and(|kind| kind.ends_with("/officeDocument"))
            {
                main = element.attribute("Target").map(|target| target.trim_start_matches('/').to_owned());
            }
            Ok(())
        })?;
    }
    Ok(main.unwrap_or_else(|| "word/document.xml".to_owned()))
}

/// Which styles are headings, by their identifiers.
#[derive(Default)]
struct Styles(HashMap<String, Style>);

#[derive(Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    /// From 0; 9 is body text.
    outline: Option<u8>,
    list: bool,
}

impl Styles {
    fn read(text: &str) -> Result<Styles, DocumentError> {
        let mut styles = HashMap::new();
        let mut current: Option<(String, Style)> = None;
        xml::walk(text, wrong("styles.xml"), |event| {
            match event {
                Event::Start(element) => match (element.name(), &mut current) {
                    ("style", _) => {
                        let id = element.attribute("styleId").unwrap_or_default();
                        current = Some((id, Style::default()));
                    }
                    ("name", Some((_, style))) => style.name = value(element).to_ascii_lowercase(),
                    ("basedOn", Some((_, style))) => style.based_on = Some(value(element)),
                    ("numId", Some((_, style))) => style.list = value(element) != "0",
                    ("outlineLvl", Some((_, style))) => style.outline = value(element).parse().ok(),
                    _ => {}
                },
                Event::End("style") => {
                    if let Some((id, style)) = current.take()
                        && styles.len() < STYLES_MAX
                    {
                        styles.insert(id, style);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(Styles(styles))
    }

    /// The heading level of a style, from 1.
    fn level(&self, id: &str) -> Option<u8> {
        let mut id = id;
        // A style may be based on itself, by a mistake or on purpose.
        for _ in 0..16 {
            let Some(style) = self.0.get(id) else { return heading_by_name(id) };
            match style.outline {
                Some(level) if level < 9 => return Some(level + 1),
                Some(_) => return None,
                None => {}
            }
            if let Some(level) = heading_by_name(&style.name) {
                return Some(level);
            }
            id = style.based_on.as_deref()?;
        }
        None
    }

    fn is_title(&self, id: &str) -> bool {
        id == "Title" || self.0.get(id).is_some_and(|style| style.name == "title")
    }

    fn is_list(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|style| style.list)
    }

    fn is_contents(&self, id: &str) -> bool {
        let name = self.0.get(id).map_or(id, |style| &style.name).to_ascii_lowercase();
        name.strip_prefix("toc").is_some_and(|rest| rest.trim().parse::<u8>().is_ok())
    }
}

fn heading_by_name(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let level = name.strip_prefix("heading")?.trim().parse().ok()?;
    (1..=9).contains(&level).then_some(level)
}

fn value(element: &Element<'_>) -> String {
    element.attribute("val").unwrap_or_default()
}

/// A switch such as `w:vanish`, which may say that it is off.
fn is_on(element: &Element<'_>) -> bool {
    !matches!(value(element).as_str(), "0" | "false" | "off" | "none")
}

fn read_notes(
    text: &str,
    name: &str,
    notes: &mut HashMap<(bool, String), String>,
) -> Result<(), DocumentError> {
    let end_note = name == "endnote";
    let mut current: Option<(String, String)> = None;
    let (mut in_text, mut deleted) = (false, 0usize);
    xml::walk(text, wrong(name), |event| {
        match event {
            Event::Start(element) if element.name() == name => {
                // Separators have a type; notes of people have none.
                current = match element.attribute("type") {
                    None => element.attribute("id").map(|id| (id, String::new())),
                    Some(_) => None,
                };
            }
            Event::Start(element) => match element.name() {
                "t" => in_text = true,
                "del" | "moveFrom" => deleted += 1,
                "tab" | "br" | "p" => {
                    if let Some((_, text)) = &mut current {
                        text.push(' ');
                    }
                }
                _ => {}
            },
            Event::End(end) if end == name => {
                if let Some((id, text)) = current.take()
                    && notes.len() < NOTES_MAX
                {
                    notes.insert((end_note, id), text);
                }
            }
            Event::End("t") => in_text = false,
            Event::End("del" | "moveFrom") => deleted = deleted.saturating_sub(1),
            Event::Text(characters) if in_text && deleted == 0 => {
                if let Some((_, text)) = &mut current {
                    text.push_str(characters);
                }
            }
            Event::Text(_) | Event::End(_) => {}
        }
        Ok(())
    })
}

/// The document's body, while it is read.
struct Body {
    passages: Passages,
    styles: Styles,
    notes: HashMap<(bool, String), String>,
    /// Whether Word recorded where pages began; if so, breaks by hand are among those.
    rendered_breaks: bool,
    page: Option<u32>,
    /// Paragraphs that are open: a text box has paragraphs inside one.
    paragraphs: Vec<Paragraph>,
    /// Tables that are open, outermost first.
    tables: Vec<Table>,
    /// Depth inside what is left out: deletions, fallbacks of text boxes.
    skipped: usize,
    in_text: bool,
    in_run: bool,
    run_hidden: bool,
}

#[derive(Default)]
struct Paragraph {
    text: String,
    style: Option<String>,
    outline: Option<u8>,
    list_depth: Option<usize>,
    notes: Vec<String>,
    /// The page on which its first character is.
    page: Option<u32>,
}

#[derive(Default)]
struct Table {
    cells: Vec<String>,
    rows: usize,
}

impl Body {
    fn new(
        styles: Styles,
        notes: HashMap<(bool, String), String>,
        rendered_breaks: bool,
        breaks: bool,
    ) -> Body {
        Body {
            passages: Passages::new(),
            styles,
            notes,
            rendered_breaks,
            page: (rendered_breaks || breaks).then_some(1),
            paragraphs: Vec::new(),
            tables: Vec::new(),
            skipped: 0,
            in_text: false,
            in_run: false,
            run_hidden: false,
        }
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), DocumentError> {
        match event {
            Event::Start(element) => self.start(element),
            Event::End(name) => self.end(name),
            Event::Text(text) => {
                if self.in_text && self.skipped == 0 && !self.run_hidden {
                    self.write(text);
                }
                Ok(())
            }
        }
    }

    fn start(&mut self, element: &Element<'_>) -> Result<(), DocumentError> {
        let name = element.name();
        if matches!(name, "del" | "moveFrom" | "Fallback") {
            self.skipped += 1;
        }
        if self.skipped > 0 {
            return Ok(());
        }
        let paragraph = self.paragraphs.last_mut();
        match (name, paragraph) {
            ("p", _) => self.paragraphs.push(Paragraph::default()),
            ("pStyle", Some(paragraph)) => paragraph.style = Some(value(element)),
            ("outlineLvl", Some(paragraph)) => paragraph.outline = value(element).parse().ok(),
            ("ilvl", Some(paragraph)) => {
                paragraph.list_depth = Some(value(element).parse::<usize>().unwrap_or(0).min(8));
            }
            // Number 0 takes a paragraph out of its list.
            ("numId", Some(paragraph)) => match value(element).as_str() {
                "0" => paragraph.list_depth = None,
                _ => paragraph.list_depth = Some(paragraph.list_depth.unwrap_or(0)),
            },
            ("r", _) => {
                self.in_run = true;
                self.run_hidden = false;
            }
            ("vanish" | "webHidden", _) if self.in_run => self.run_hidden = is_on(element),
            ("t", _) => self.in_text = true,
            ("tab", Some(_)) if self.in_run => self.write("\t"),
            ("noBreakHyphen", Some(_)) => self.write("-"),
            ("cr", Some(_)) => self.write("\n"),
            ("br", _) => {
                if element.attribute("type").as_deref() == Some("page") {
                    if !self.rendered_breaks {
                        self.next_page();
                    }
                } else {
                    self.write("\n");
                }
            }
            ("lastRenderedPageBreak", _) => self.next_page(),
            ("footnoteReference" | "endnoteReference", Some(paragraph)) => {
                let id = element.attribute("id").unwrap_or_default();
                // Once: a note that is referred to a thousand times is not written a thousand times.
                if let Some(note) = self.notes.remove(&(name == "endnoteReference", id.clone())) {
                    paragraph.text.push_str(&format!("[{id}]"));
                    paragraph.notes.push(format!("[{id}] {}", note.trim()));
                }
            }
            ("tbl", _) => {
                if self.tables.is_empty() {
                    self.passages.page(self.page, None)?;
                }
                self.tables.push(Table::default());
            }
            ("tc", _) => {
                if let Some(table) = self.tables.last_mut() {
                    table.cells.push(String::new());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), DocumentError> {
        if matches!(name, "del" | "moveFrom" | "Fallback") {
            self.skipped = self.skipped.saturating_sub(1);
            return Ok(());
        }
        if self.skipped > 0 {
            return Ok(());
        }
        match name {
            "p" => self.paragraph()?,
            "t" => self.in_text = false,
            "r" => {
                self.in_run = false;
                self.run_hidden = false;
            }
            "tr" => self.row()?,
            "tbl" => {
                // A table in a cell is words of that cell.
                if let Some(inner) = self.tables.pop()
                    && self.tables.is_empty()
                    && inner.rows > 0
                {
                    self.passages.flush()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, text: &str) {
        let page = self.page;
        if let Some(paragraph) = self.paragraphs.last_mut() {
            if paragraph.text.trim().is_empty() && !text.trim().is_empty() {
                paragraph.page = page;
            }
            paragraph.text.push_str(text);
        }
    }

    fn next_page(&mut self) {
        self.page = self.page.map(|page| page.saturating_add(1));
    }

    fn paragraph(&mut self) -> Result<(), DocumentError> {
        let Some(paragraph) = self.paragraphs.pop() else { return Ok(()) };
        let text = paragraph.text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(cell) = self.tables.last_mut().and_then(|table| table.cells.last_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&single_line(text));
            for note in &paragraph.notes {
                cell.push(' ');
                cell.push_str(note);
            }
            return Ok(());
        }
        let style = paragraph.style.as_deref().unwrap_or_default();
        if self.styles.is_contents(style) {
            return Ok(());
        }
        self.passages.page(paragraph.page.or(self.page), None)?;
        let level = match paragraph.outline {
            Some(level) if level < 9 => Some(level + 1),
            Some(_) => None,
            None => self.styles.level(style),
        };
        if let Some(level) = level {
            self.passages.heading(level, text, Place::Whole)?;
        } else if self.styles.is_title(style) {
            self.passages.title(text);
            self.passages.block(text, Place::Whole)?;
        } else if let Some(depth) = paragraph.list_depth.or(self.styles.is_list(style).then_some(0)) {
            self.passages.row(&format!("{}- {text}", "  ".repeat(depth)), Place::Whole)?;
        } else {
            self.passages.block(paragraph.text.trim_end(), Place::Whole)?;
        }
        for note in &paragraph.notes {
            self.passages.block(note, Place::Whole)?;
        }
        Ok(())
    }

    fn row(&mut self) -> Result<(), DocumentError> {
        let Some(table) = self.tables.last_mut() else { return Ok(()) };
        table.rows += 1;
        let row = table.cells.join(" | ");
        table.cells.clear();
        if row.trim_matches([' ', '|']).is_empty() {
            return Ok(());
        }
        let depth = self.tables.len();
        if depth > 1 {
            if let Some(cell) = self.tables[depth - 2].cells.last_mut() {
                if !cell.is_empty() {
                    cell.push_str("; ");
                }
                cell.push_str(&row);
            }
            return Ok(());
        }
        let between_pages = self.page;
        self.passages.page(between_pages, None)?;
        self.passages.row(&row, Place::Whole)
    }

    fn finish(mut self) -> Result<Document, DocumentError> {
        if let Some(pages) = self.page {
            self.passages.pages(pages);
        }
        self.passages.finish()
    }
}

/// On one line, however long.
fn single_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
