//! Formats of text, with their encodings, and what becomes of long paragraphs.

use documents::{Format, PASSAGE_BYTES_MAX, Place};
use insta::assert_snapshot;

use crate::{make::HTML, read};

#[test]
fn markdown_keeps_listings_and_tables_under_their_headings() {
    let text = "---\ntitle: \"Valve manual\"\n---\nIntro.\n\n# Scope `of` [it](x.md) #\n\nText:\n```ada\n# no heading\n\nnull;\n```\n\n\
                Limits\n------\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<!-- hidden\n# no -->\n### Deep\n## Last\n";
    assert_snapshot!(read(Format::Markdown, text.as_bytes()), @r#"
    title Valve manual
    [lines 4-4]
    Intro.
    [lines 8-13] Scope of it
    Text:
    ```ada
    # no heading

    null;
    ```
    [lines 17-19] Scope of it > Limits
    | a | b |
    |---|---|
    | 1 | 2 |
    [lines 23-23] Scope of it > Limits > Deep
    Deep
    [lines 24-24] Scope of it > Last
    Last
    "#);
}

#[test]
fn restructured_text_takes_levels_from_the_order_of_styles() {
    let text = "=====\nTitle\n=====\n\nIntro.\n\n.. a comment\n   goes on\n\nFirst\n-----\n\n.. note:: Mind the valve.\n\n.. _target:\n\nSecond\n~~~~~~\n\nText::\n\n   literal\n\nThird\n-----\n\nEnd.\n";
    assert_snapshot!(read(Format::ReStructuredText, text.as_bytes()), @r#"
    title Title
    [lines 5-5] Title
    Intro.
    [lines 13-13] Title > First
    .. note:: Mind the valve.
    [lines 20-22] Title > First > Second
    Text::

       literal
    [lines 27-27] Title > Third
    End.
    "#);
}

#[test]
fn asciidoc_keeps_delimited_blocks() {
    let text = "= Manual\nAuthor\n\n== Scope\n\nText.\n\n////\nhidden\n////\n\n.Listing\n----\n== no heading\n\nnull;\n----\n\n=== Deep\n// comment\nMore.\n";
    assert_snapshot!(read(Format::AsciiDoc, text.as_bytes()), @r#"
    title Manual
    [lines 2-2] Manual
    Author
    [lines 6-17] Manual > Scope
    Text.

    .Listing
    ----
    == no heading

    null;
    ----
    [lines 21-21] Manual > Scope > Deep
    More.
    "#);
}

#[test]
fn html_shows_what_a_reader_sees() {
    assert_snapshot!(read(Format::Html, HTML.as_bytes()), @r#"
    title Valve manual
    [whole] Scope
    The valve & its pump — both.
    Next line.

    shown
    [whole] Scope > Limits
    - first
    - second
    Valve | ms
    V1 | 20

    if open then
       close;
    end if;
    "#);
}

#[test]
fn separated_values_by_whichever_separator() {
    for text in [
        "Name,Note\nV1,\"a, b\nc\"\nV2,\n",
        "Name;Note\nV1;\"a, b\nc\"\nV2;\n",
        "Name\tNote\nV1\t\"a, b\nc\"\nV2\t\n",
    ] {
        assert_eq!(read(Format::Csv, text.as_bytes()), "[lines 2-4]\nName: V1; Note: a, b c\nName: V2\n");
    }
}

#[test]
fn encodings_by_mark_then_utf8_then_windows_1252() {
    let text = "Größe \u{2013} 5";
    let utf16: Vec<u8> =
        [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let utf16_little: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let marked = format!("\u{feff}{text}");
    for bytes in [text.as_bytes(), marked.as_bytes(), &utf16, &utf16_little, b"Gr\xf6\xdfe \x96 5"] {
        assert_eq!(read(Format::PlainText, bytes), format!("[lines 1-1]\n{text}\n"));
    }
    let html = b"<meta charset=iso-8859-2><p>\xb1</p>";
    assert_eq!(read(Format::Html, html), "[whole]\n\u{105}\n");
}

#[test]
fn long_paragraphs_are_divided_and_know_their_lines() {
    let lines: Vec<String> =
        (1..=200).map(|line| format!("Line {line} of a paragraph that is long.")).collect();
    let document = documents::read(Format::PlainText, lines.join("\r\n").as_bytes()).unwrap();
    let mut next = 1;
    for passage in &document.passages {
        assert!(passage.text.len() <= PASSAGE_BYTES_MAX);
        let Place::Lines { first, last } = passage.place else { panic!("{:?}", passage.place) };
        assert_eq!(first, next);
        assert!(passage.text.starts_with(&format!("Line {first} ")), "{first}: {}", passage.text);
        assert!(passage.text.lines().last().unwrap().starts_with(&format!("Line {last} ")));
        next = last + 1;
    }
    assert_eq!(next, 201);
    // One line without any place to divide it.
    let document = documents::read(Format::PlainText, "ä".repeat(5000).as_bytes()).unwrap();
    assert_eq!(document.passages.iter().map(|passage| passage.text.len()).sum::<usize>(), 10_000);
    assert!(document.passages.iter().all(|passage| passage.place == Place::Lines { first: 1, last: 1 }));
}
