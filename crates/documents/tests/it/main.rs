//! Documents made for the tests, read; and the same ones damaged.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod detection;
mod hostile;
mod make;
mod markup;
mod office;
mod pdf;
mod reqif;

use documents::{Document, Format, Place};

/// A document as text: each passage under a line that says where it is.
fn show(document: &Document) -> String {
    let mut shown = String::new();
    if let Some(title) = &document.title {
        shown.push_str(&format!("title {title}\n"));
    }
    if let Some(pages) = document.pages {
        shown.push_str(&format!("pages {pages}\n"));
    }
    for passage in &document.passages {
        let place = match &passage.place {
            Place::Lines { first, last } => format!("lines {first}-{last}"),
            Place::Sheet { name, first_row, last_row } => format!("{name} {first_row}-{last_row}"),
            Place::Page => "page".to_owned(),
            Place::Requirement { id } => format!("requirement {id}"),
            Place::Whole => "whole".to_owned(),
        };
        let page = passage.page.map_or(String::new(), |page| format!(" p{page}"));
        let label = passage.page_label.as_ref().map_or(String::new(), |label| format!(" ({label})"));
        let headings = match passage.headings.is_empty() {
            true => String::new(),
            false => format!(" {}", passage.headings.join(" > ")),
        };
        shown.push_str(&format!("[{place}{page}{label}]{headings}\n{}\n", passage.text));
    }
    for left_out in &document.left_out {
        shown.push_str(&format!("left out: {left_out}\n"));
    }
    shown
}

fn read(format: Format, bytes: &[u8]) -> String {
    match documents::read(format, bytes) {
        Ok(document) => show(&document),
        Err(error) => format!("error: {error}"),
    }
}
