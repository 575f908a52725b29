//! Documents of people, read: from the bytes of a manual, a standard or a list of requirements to passages of
//! text, each with the headings above it and the page or line where it stands.
//!
//! Formats: Markdown, reStructuredText, AsciiDoc, plain text, HTML, PDF (ISO 32000-1), DOCX and XLSX (ECMA-376),
//! CSV (RFC 4180), ReqIF 1.2. Pure functions: no file, no clock, no network. The bytes may be hostile: every
//! size, depth and count has a limit, and an error names it. It renders nothing, runs no script, follows no
//! link, and recognises no letters in pictures.

mod html;
mod markup;
mod package;
mod passages;
mod pdf;
mod reqif;
mod sheets;
mod table;
mod text;
mod word;
mod xml;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes of a file.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Bytes of all parts of a file, decompressed.
pub const DECOMPRESSED_BYTES_MAX: u64 = 256 << 20;
/// Bytes of all passages of a document.
pub const TEXT_BYTES_MAX: usize = 128 << 20;
/// Passages of a document.
pub const PASSAGES_MAX: usize = 200_000;
/// Bytes of a passage.
pub const PASSAGE_BYTES_MAX: usize = 2048;
/// Pages of a PDF document.
pub const PAGES_MAX: u32 = 20_000;

/// What a document is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// CommonMark and its relatives.
    Markdown,
    /// reStructuredText, of Docutils and Sphinx.
    ReStructuredText,
    /// AsciiDoc.
    AsciiDoc,
    /// Text without markup.
    PlainText,
    /// HTML, of any age.
    Html,
    /// PDF with text in it.
    Pdf,
    /// Word's documents.
    Docx,
    /// Excel's workbooks.
    Xlsx,
    /// Separated values: by comma, semicolon or tab.
    Csv,
    /// Requirements Interchange Format, bare or in a ZIP archive.
    ReqIf,
}

impl Format {
    /// The format of a file, by its name and its first bytes (some hundreds are enough). None for what
    /// cannot be read, also where name and bytes contradict each other.
    pub fn detect(path: &str, beginning: &[u8]) -> Option<Format> {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_ascii_lowercase();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let begins = |magic: &[u8]| {
            let window = &beginning[..beginning.len().min(1024)];
            window.windows(magic.len()).any(|at| at == magic)
        };
        let zip = beginning.starts_with(b"PK\x03\x04");
        if begins(b"%PDF-") && !zip {
            return matches!(extension, "pdf" | "" | "ai").then_some(Format::Pdf);
        }
        if zip {
            return match extension {
                "docx" | "docm" | "dotx" | "dotm" => Some(Format::Docx),
                "xlsx" | "xlsm" | "xltx" | "xltm" => Some(Format::Xlsx),
                "reqifz" => Some(Format::ReqIf),
                _ => None,
            };
        }
        let utf16 = beginning.starts_with(b"\xff\xfe") || beginning.starts_with(b"\xfe\xff");
        if beginning.contains(&0) && !utf16 {
            return None;
        }
        match extension {
            "md" | "markdown" | "mkd" | "mdown" | "mdx" => Some(Format::Markdown),
            "rst" | "rest" => Some(Format::ReStructuredText),
            "adoc" | "asciidoc" | "asc" => Some(Format::AsciiDoc),
            "html" | "htm" | "xhtml" => Some(Format::Html),
            "csv" | "tsv" => Some(Format::Csv),
            "reqif" => Some(Format::ReqIf),
            "xml" if begins(b"<REQ-IF") => Some(Format::ReqIf),
            "txt" | "text" => Some(Format::PlainText),
            "" => {
                let stem = name.trim_start_matches('.');
                let known =
                    ["readme", "license", "licence", "copying", "changelog", "changes", "news", "notice"];
                (known.contains(&stem) || ["authors", "install", "todo", "history"].contains(&stem))
                    .then_some(Format::PlainText)
            }
            _ => None,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Format::Markdown => "Markdown",
            Format::ReStructuredText => "reStructuredText",
            Format::AsciiDoc => "AsciiDoc",
            Format::PlainText => "plain text",
            Format::Html => "HTML",
            Format::Pdf => "PDF",
            Format::Docx => "DOCX",
            Format::Xlsx => "XLSX",
            Format::Csv => "CSV",
            Format::ReqIf => "ReqIF",
        }
    }
}

/// A document that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// What the document calls itself.
    pub title: Option<String>,
    /// In reading order.
    pub passages: Vec<Passage>,
    /// How many pages it has, where that is known.
    pub pages: Option<u32>,
    /// What could not be read, in words: "page 7: no text, probably a scan".
    pub left_out: Vec<String>,
}

/// A piece of a document that makes sense alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// At most [`PASSAGE_BYTES_MAX`] bytes; paragraphs are whole where they fit. Never empty.
    pub text: String,
    /// The headings above it, outermost first: at most 6, each at most 200 characters.
    pub headings: Vec<String>,
    /// The physical page, from 1: always for PDF; for DOCX where page breaks were recorded.
    pub page: Option<u32>,
    /// What the PDF document itself calls that page.
    pub page_label: Option<String>,
    /// Where in the document.
    pub place: Place,
}

/// Where in a document a passage stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Lines of a text file, from 1.
    Lines {
        /// The first.
        first: u32,
        /// The last, included.
        last: u32,
    },
    /// Rows of a sheet, from 1.
    Sheet {
        /// The sheet's name.
        name: String,
        /// The first row.
        first_row: u32,
        /// The last row, included.
        last_row: u32,
    },
    /// On [`Passage::page`].
    Page,
    /// A requirement.
    Requirement {
        /// Its identifier in the file.
        id: String,
    },
    /// Nothing closer than the document is known.
    Whole,
}

/// Why a document was not read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The file is larger than [`FILE_BYTES_MAX`].
    #[error("the file has {bytes} bytes; at most {FILE_BYTES_MAX} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A limit inside the file.
    #[error("the file has more {what} than the limit, {max}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is read.
        max: u64,
    },
    /// It opens only with a password.
    #[error("the document is encrypted and opens only with a password: {what}")]
    Encrypted {
        /// How it is encrypted.
        what: String,
    },
    /// It breaks the rules of its format.
    #[error("the {format} document is damaged: {what}")]
    Damaged {
        /// The format that it was read as.
        format: &'static str,
        /// What is wrong.
        what: String,
    },
}

/// Reads a document. The work is bounded by the limits of this crate; memory by some hundreds of megabytes.
///
/// # Errors
/// See [`DocumentError`]. What is wrong with a part only (a page, a sheet) is in [`Document::left_out`].
pub fn read(format: Format, bytes: &[u8]) -> Result<Document, DocumentError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(DocumentError::TooLarge { bytes: bytes.len() });
    }
    // No known input panics; one unknown must not cost the caller its other documents.
    catch_unwind(AssertUnwindSafe(|| match format {
        Format::Markdown => markup::markdown(bytes),
        Format::ReStructuredText => markup::restructured(bytes),
        Format::AsciiDoc => markup::asciidoc(bytes),
        Format::PlainText => markup::plain(bytes),
        Format::Html => html::read(bytes),
        Format::Pdf => pdf::read(bytes),
        Format::Docx => word::read(bytes),
        Format::Xlsx => sheets::read(bytes),
        Format::Csv => table::read(bytes),
        Format::ReqIf => reqif::read(bytes),
    }))
    .unwrap_or_else(|_| {
        Err(DocumentError::Damaged { format: format.name(), what: "its reader gave up on it".to_owned() })
    })
}

/// Of a format, damaged in a way that is told in words.
fn damaged(format: Format, what: impl Into<String>) -> DocumentError {
    DocumentError::Damaged { format: format.name(), what: what.into() }
}
