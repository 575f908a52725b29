//! HTML, token by token: what a reader would see of it, without its style sheets.

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use crate::{Document, DocumentError, Place, passages::Passages, text::decode_as};

/// Elements whose content nobody reads as text of the document.
const DROPPED: [&str; 20] = [
    "script",
    "style",
    "nav",
    "template",
    "noscript",
    "svg",
    "math-annotation",
    "iframe",
    "object",
    "select",
    "textarea",
    "canvas",
    "audio",
    "video",
    "noframes",
    "noembed",
    "datalist",
    "dialog",
    "button",
    "map",
];
/// Elements that begin and end a paragraph.
const BLOCKS: [&str; 38] = [
    "p",
    "div",
    "section",
    "article",
    "aside",
    "main",
    "header",
    "footer",
    "ul",
    "ol",
    "dl",
    "dt",
    "dd",
    "li",
    "table",
    "tr",
    "pre",
    "blockquote",
    "figure",
    "figcaption",
    "form",
    "fieldset",
    "hr",
    "address",
    "details",
    "summary",
    "body",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "caption",
    "thead",
    "tbody",
    "center",
    "menu",
];
/// Elements without an end tag.
const VOID: [&str; 13] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];
/// Elements whose end tag may be missing before the next of their kind.
const OPEN_ENDED: [&str; 8] = ["p", "li", "dt", "dd", "td", "th", "tr", "option"];
const BUFFER_BYTES_MAX: usize = 1 << 20;

pub(crate) fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let text = decode_as(bytes, charset(bytes));
    let mut page = Page {
        passages: Passages::new(),
        text: String::new(),
        hidden: None,
        heading: None,
        title: None,
        pre: 0,
        tables: 0,
        row: None,
        space: false,
    };
    for piece in Tokenizer::new_with_emitter(&*text, emitter()) {
        let Ok(piece) = piece;
        match piece {
            Piece::Start(tag) => page.start(&tag)?,
            Piece::End(name) => page.end(&name)?,
            Piece::Text(characters) => page.characters(&characters)?,
        }
    }
    page.paragraph()?;
    page.passages.finish()
}

/// The encoding that the file names, in a `meta` or an XML declaration near its beginning.
fn charset(bytes: &[u8]) -> Option<&[u8]> {
    let head = &bytes[..bytes.len().min(2048)];
    let at = head.windows(8).position(|window| window.eq_ignore_ascii_case(b"charset="));
    let at = at.map(|at| at + 8).or_else(|| {
        let declared = head.starts_with(b"<?xml");
        head.windows(9).position(|window| declared && window == b"encoding=").map(|at| at + 9)
    })?;
    let label = head[at..].trim_ascii_start();
    let label = label.strip_prefix(b"\"").or(label.strip_prefix(b"'")).unwrap_or(label);
    let end = label.iter().position(|letter| !letter.is_ascii_alphanumeric() && !b"-_:.".contains(letter));
    Some(&label[..end.unwrap_or(label.len())])
}

/// What of a token matters here.
enum Piece {
    Start(Tag),
    End(String),
    Text(String),
}

#[derive(Default)]
struct Tag {
    name: String,
    self_closing: bool,
    /// Whether it says itself that it is not shown.
    hidden: bool,
    /// What stands in its place for those who do not see it.
    alt: Option<String>,
}

/// Keeps of each tag what matters, so that a tag of a million attributes costs no memory.
fn emitter() -> CallbackEmitter<impl FnMut(CallbackEvent<'_>, Span<()>) -> Option<Piece>, Piece> {
    let mut tag = Tag::default();
    let mut attribute = Vec::new();
    let mut emitter = CallbackEmitter::new(move |event: CallbackEvent<'_>, _: Span<()>| match event {
        CallbackEvent::OpenStartTag { name } => {
            tag = Tag { name: text_of(name), ..Tag::default() };
            None
        }
        CallbackEvent::AttributeName { name } => {
            tag.hidden |= name == b"hidden";
            attribute.clear();
            attribute.extend(name.iter().take(8));
            None
        }
        CallbackEvent::AttributeValue { value } => {
            match attribute.as_slice() {
                b"style" => tag.hidden |= hides(&text_of(value)),
                b"alt" if tag.alt.is_none() => tag.alt = Some(text_of(value)),
                _ => {}
            }
            None
        }
        CallbackEvent::CloseStartTag { self_closing } => {
            tag.self_closing = self_closing;
            Some(Piece::Start(std::mem::take(&mut tag)))
        }
        CallbackEvent::EndTag { name } => Some(Piece::End(text_of(name))),
        CallbackEvent::String { value } => Some(Piece::Text(text_of(value))),
        _ => None,
    });
    emitter.naively_switch_states(true);
    emitter
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

struct Page {
    passages: Passages,
    /// The paragraph that is being gathered.
    text: String,
    /// The element that hides what is in it, and how many of its name are open in it.
    hidden: Option<(String, usize)>,
    heading: Option<u8>,
    title: Option<String>,
    pre: usize,
    tables: usize,
    /// Cells of the row so far, in `text`.
    row: Option<usize>,
    /// White space came, and no word yet.
    space: bool,
}

impl Page {
    fn start(&mut self, tag: &Tag) -> Result<(), DocumentError> {
        let name = tag.name.as_str();
        if let Some((hiding, open)) = &mut self.hidden {
            if hiding == name {
                match OPEN_ENDED.contains(&name) && *open == 1 {
                    // The next of its kind ends it.
                    true => self.hidden = None,
                    false if !tag.self_closing => {
                        *open += 1;
                        return Ok(());
                    }
                    false => return Ok(()),
                }
            } else {
                return Ok(());
            }
        }
        if self.title.is_some() && name != "title" {
            self.title = None;
        }
        if (DROPPED.contains(&name) || tag.hidden) && !VOID.contains(&name) {
            // Of these, HTML knows no empty form.
            if !(tag.self_closing && matches!(name, "svg" | "object")) {
                self.hidden = Some((name.to_owned(), 1));
            }
            return Ok(());
        }
        let row_goes_on = self.row.is_some() && !matches!(name, "tr" | "table" | "caption");
        if BLOCKS.contains(&name) && !row_goes_on {
            self.paragraph()?;
        }
        match name {
            "title" if !self.passages.has_title() => self.title = Some(String::new()),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.heading = Some(name.as_bytes()[1] - b'0'),
            "br" if self.row.is_none() && self.heading.is_none() => {
                self.text.push('\n');
                self.space = false;
            }
            "br" | "p" | "div" | "li" if self.row.is_some() => self.space = true,
            "li" => self.text.push_str("- "),
            "pre" => self.pre += 1,
            "table" => self.tables += 1,
            "tr" => self.row = Some(0),
            "td" | "th" => {
                if let Some(cells) = &mut self.row {
                    if *cells > 0 {
                        self.text.push_str(" | ");
                    }
                    *cells += 1;
                    self.space = false;
                }
            }
            "img" => {
                if let Some(text) = &tag.alt
                    && self.heading.is_none()
                {
                    self.characters(text)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), DocumentError> {
        if let Some((hiding, open)) = &mut self.hidden {
            if hiding == name {
                *open -= 1;
                if *open == 0 {
                    self.hidden = None;
                }
            } else if name == "body" || (hiding != "body" && name == "table") {
                // A cell or a row that was never closed.
                if OPEN_ENDED.contains(&hiding.as_str()) {
                    self.hidden = None;
                }
            }
            return Ok(());
        }
        match name {
            "title" => {
                if let Some(title) = self.title.take() {
                    self.passages.title(&title);
                }
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                if let Some(level) = self.heading.take() {
                    let text = std::mem::take(&mut self.text);
                    self.space = false;
                    self.passages.heading(level, &text, Place::Whole)?;
                }
            }
            "pre" => {
                self.paragraph()?;
                self.pre = self.pre.saturating_sub(1);
            }
            "tr" => {
                self.paragraph()?;
                self.row = None;
            }
            "table" => {
                self.paragraph()?;
                self.row = None;
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    // What follows is no row.
                    self.text.clear();
                }
            }
            name if BLOCKS.contains(&name) && self.row.is_none() => self.paragraph()?,
            _ => {}
        }
        Ok(())
    }

    fn characters(&mut self, characters: &str) -> Result<(), DocumentError> {
        if self.hidden.is_some() {
            return Ok(());
        }
        if let Some(title) = &mut self.title {
            if title.len() + characters.len() < 4096 {
                title.push_str(characters);
            }
            return Ok(());
        }
        if self.pre > 0 && self.row.is_none() && self.heading.is_none() {
            self.text.push_str(characters);
        } else {
            for letter in characters.chars() {
                // A no-break space is a space here: passages are for search.
                if letter.is_whitespace() {
                    self.space = true;
                    continue;
                }
                if self.space && !self.text.is_empty() && !self.text.ends_with(['\n', ' ']) {
                    self.text.push(' ');
                }
                self.space = false;
                if letter != '\u{ad}' {
                    self.text.push(letter);
                }
            }
        }
        if self.text.len() > BUFFER_BYTES_MAX {
            self.paragraph()?;
        }
        Ok(())
    }

    fn paragraph(&mut self) -> Result<(), DocumentError> {
        let text = std::mem::take(&mut self.text);
        self.space = false;
        if let Some(level) = self.heading.take() {
            // Never closed: what came so far is the heading.
            return self.passages.heading(level, &text, Place::Whole);
        }
        let empty = text.bytes().all(|letter| matches!(letter, b' ' | b'|' | b'-' | b'\n' | b'\r' | b'\t'));
        if empty {
            return Ok(());
        }
        let text = if self.pre > 0 { text.as_str() } else { text.trim() };
        match self.row.is_some() || text.starts_with("- ") {
            true => self.passages.row(text, Place::Whole),
            false => self.passages.block(text, Place::Whole),
        }
    }
}

/// Whether a style hides what it is for.
fn hides(style: &str) -> bool {
    let style: String = style
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    style.split(';').any(|rule| {
        matches!(
            rule.trim_end_matches("!important"),
            "display:none" | "visibility:hidden" | "font-size:0" | "font-size:0px" | "opacity:0"
        )
    })
}
