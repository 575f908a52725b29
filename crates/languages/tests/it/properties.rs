//! What holds for any text.

use std::ops::Range;

use languages::{Chunk, Language, parse, surroundings, tokens, windows};
use proptest::prelude::*;

use crate::ALL;
use crate::parse::SOURCES;

fn assert_cover(text: &str, chunks: &[Chunk]) {
    let mut at = 0;
    for chunk in chunks {
        let Range { start, end } = chunk.bytes;
        assert!(at <= start && start < end, "{chunk:?}");
        assert!(text[at..start].trim().is_empty(), "not in a chunk: {:?}", &text[at..start]);
        let line = |byte: usize| text.as_bytes()[..byte].iter().filter(|byte| **byte == b'\n').count() + 1;
        assert_eq!((chunk.first_line as usize, chunk.last_line as usize), (line(start), line(end - 1)));
        assert!(chunk.bytes.len() <= 2560 && chunk.last_line - chunk.first_line < 60, "{chunk:?}");
        assert!(chunk.references.len() <= 256);
        at = end;
    }
    assert!(text[at..].trim().is_empty(), "not in a chunk: {:?}", &text[at..]);
}

fn assert_sound(language: Language, text: &str) {
    let parsed = parse(language, text);
    assert_cover(text, &parsed.chunks);
    for definition in &parsed.definitions {
        assert!(text.get(definition.bytes.clone()).is_some());
        assert!(definition.signature.len() <= 2048 + 16 && definition.comment.len() <= 512);
        assert!(definition.line <= definition.end_line);
    }
    let cursor = text.floor_char_boundary(text.len() / 2);
    let found = surroundings(language, &text[..cursor], &text[cursor..]);
    assert!(found.near.is_sorted_by_key(|named| named.distance_lines));
    assert!(found.near.iter().all(|named| !found.defined.contains(&named.name)));
}

#[test]
fn every_cut_of_a_source_is_taken() {
    for (language, text) in SOURCES {
        for cursor in (0..text.len()).filter(|at| text.is_char_boundary(*at)).step_by(7) {
            assert_sound(*language, &text[..cursor]);
            surroundings(*language, &text[..cursor], &text[cursor..]);
        }
    }
}

#[test]
fn long_and_deep_texts_are_taken() {
    for language in ALL {
        for text in [
            "x".repeat(100_000),
            "(".repeat(100_000),
            "begin ".repeat(20_000),
            "package a is\n".repeat(5_000),
            "\"".repeat(10_001),
            "a.".repeat(50_000),
            "{\n".repeat(20_000),
            "é ".repeat(9_999),
        ] {
            assert_sound(language, &text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_taken(text in "\\PC{0,400}|(?s).{0,400}|[a-z\"'(){};:\\-\\.\\n/*#!\\\\]{0,400}") {
        for language in ALL {
            assert_sound(language, &text);
        }
        assert_cover(&text, &windows(&text));
        for token in tokens(&text) {
            prop_assert!(text.get(token.offset_from..token.offset_to).is_some());
        }
    }

    #[test]
    fn any_change_of_a_source_is_taken(which in 0..SOURCES.len(), cut in 0usize..3000, drop in 0usize..40, put in "\\PC{0,8}") {
        let (language, text) = SOURCES[which];
        let from = text.floor_char_boundary(cut % text.len());
        let to = text.ceil_char_boundary((from + drop).min(text.len()));
        assert_sound(language, &format!("{}{put}{}", &text[..from], &text[to..]));
    }
}
