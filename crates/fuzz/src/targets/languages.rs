//! Sources, which the indexer cuts and the gateway looks at while people type, and what a toolchain writes of them. The
//! first byte is the language.

use languages::{Diagnostic, Language, Project, Rules, Unit, Written};

pub(crate) fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let language = Language::ALL[usize::from(*first) % Language::ALL.len()];
    let text = String::from_utf8_lossy(bytes);
    let parsed = languages::parse(language, &text);
    let mut at = 0;
    for chunk in &parsed.chunks {
        assert!(at <= chunk.bytes.start, "chunks are in order and apart");
        assert!(text[at..chunk.bytes.start].trim().is_empty(), "what is in no chunk is white space");
        at = chunk.bytes.end;
    }
    assert!(text[at..].trim().is_empty());
    for definition in &parsed.definitions {
        assert!(text.get(definition.bytes.clone()).is_some());
    }
    let cursor = text.floor_char_boundary(text.len() / 2);
    let found = languages::surroundings(language, &text[..cursor], &text[cursor..]);
    assert!(found.near.is_sorted_by_key(|named| named.distance_lines));
    for token in languages::tokens(&text) {
        assert!(text.get(token.offset_from..token.offset_to).is_some());
    }
    let (project, rules) = (Project::default(), Rules::default());
    let unit = Unit { language, file_name: None, text: &text, project: &project, rules: &rules };
    for checker in language.checkers() {
        // A plan is refused, or writes the text as it is.
        if let Some(plan) = checker.plan(&unit) {
            assert!(plan.files.iter().any(|(_, written)| *written == *text));
            assert!(plan.files.iter().all(|(name, _)| !name.contains('/') && !name.starts_with(['-', '.'])));
        }
        let written = Written { stdout: b"", stderr: bytes, succeeded: false };
        let found = checker.read(&unit, &written);
        assert!(!found.is_empty() && found.len() <= 100);
        let fit = |one: &Diagnostic| one.message.len() <= 512 && !one.message.contains(char::is_control);
        assert!(found.iter().all(fit));
        // Programs that a plan makes write on standard output, and end well.
        let found = checker.read(&unit, &Written { stdout: bytes, stderr: b"", succeeded: true });
        assert!(found.len() <= 100 && found.iter().all(fit));
    }
    for block in languages::fenced(&text) {
        assert!(text.get(block.text).is_some());
    }
}
