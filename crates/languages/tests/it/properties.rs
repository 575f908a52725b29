//! What holds for any text.

use std::ops::Range;

use languages::{
    Chunk, Diagnostic, Language, Project, Rules, Severity, Unit, Written, fenced, new_diagnostics, parse,
    surroundings, tokens, windows,
};
use proptest::prelude::*;

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
    for language in Language::ALL {
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
        for language in Language::ALL {
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

/// What a reader promises of any bytes.
fn assert_read(text: &str, stderr: &[u8], stdout: &[u8], succeeded: bool) {
    let (project, rules) = (Project::default(), Rules::default());
    for (language, checker) in Language::all_checkers() {
        let unit = Unit { language, file_name: None, text, project: &project, rules: &rules };
        // Foreign subprograms are refused; all else is written as it is, beside files of plain names.
        if let Some(plan) = checker.plan(&unit) {
            assert!(checker.refuse(&unit).is_none());
            assert!(plan.files.iter().any(|(_, written)| *written == *text));
            assert!(plan.files.iter().all(|(name, _)| !name.contains('/') && !name.starts_with(['-', '.'])));
        }
        let found = checker.read(&unit, &Written { stdout, stderr, succeeded });
        assert!(found.len() <= 100);
        let lines: Vec<&str> = text.split('\n').collect();
        for one in &found {
            assert!(!one.message.is_empty() && one.message.len() <= 512, "{one:?}");
            assert!(!one.message.contains(char::is_control), "{one:?}");
            assert!(one.file.as_ref().is_none_or(|file| file.len() <= 128 && !file.contains('/')), "{one:?}");
            let line = one.line.map(|line| line as usize);
            assert!(line.is_none_or(|line| line >= 1 && line <= lines.len() + 1), "{one:?}");
            let bytes = line.map_or(0, |line| lines.get(line - 1).map_or(0, |line| line.len()));
            assert!(one.column.is_none_or(|column| column >= 1 && column as usize <= bytes + 1), "{one:?}");
        }
        let is_error = |one: &Diagnostic| one.severity == Severity::Error;
        assert!(succeeded || found.iter().any(is_error), "{}: a failure is an error", checker.name);
    }
}

proptest! {
    #[test]
    fn readers_take_any_bytes(
        text in ".{0,200}",
        stderr in prop::collection::vec(any::<u8>(), 0..400),
        stdout in prop::collection::vec(any::<u8>(), 0..200),
        succeeded: bool,
    ) {
        assert_read(&text, &stderr, &stdout, succeeded);
    }

    #[test]
    fn readers_take_lines_like_those_of_tools(
        text in "([a-zé\t]{0,9}\r?\n){0,5}",
        lines in prop::collection::vec(
            "(%Error: |%Warning-A: )?(unit\\.(ada|adb|vhd|sv|c|rs|py|f90|s|cob|pas)|/etc/x\u{7}y)[:(][0-9]{0,11}\
             [:,]?[0-9]{0,3}[:)] ?(error|warning|info|medium)?:? [^\n]{0,600}",
            0..16,
        ),
        succeeded: bool,
    ) {
        assert_read(&text, lines.join("\n").as_bytes(), b"", succeeded);
    }

    #[test]
    fn a_bench_may_write_anything(
        lines in prop::collection::vec(
            "(outputs |inputs |raised |bench)?(F |P.F |CONSTRAINT_ERROR|ASSERT_FAILURE)?( : )?(failed (pre|post)condition)?( from )?(unit.ada:[0-9]{0,12})?[^\n]{0,300}",
            0..16,
        ),
        succeeded: bool,
    ) {
        let text = "package P with SPARK_Mode is\n   function F (A : Integer) return Integer with Pre => A > 0;\nend P;\npackage body P is\n   function F (A : Integer) return Integer is (A);\nend P;\n";
        assert_read(text, b"", lines.join("\n").as_bytes(), succeeded);
    }

    #[test]
    fn a_bench_of_any_declarations_names_them_alone(
        types in prop::collection::vec("(sub)?type T[0-9] is (new )?(range 1 \\.\\. 9|\\(A, B\\)|array \\(T[0-9]( range <>)?(, T[0-9])?\\) of T[0-9]|record X, Y : T[0-9]; end record|T[0-9]( range 1 \\.\\. 2)?|digits 6|mod 8);", 0..6),
        mode in "(in |out |in out )?",
        mark in "(T[0-9]|Integer|String|Interfaces.Unsigned_8|Q.T|T1'Class)",
    ) {
        let types = types.join("\n");
        let text = format!("package P is\n{types}\nprocedure F (A, B : {mode}{mark} := 1; C : Boolean);\nend P;\npackage body P is\nend P;\n");
        let (project, rules) = (Project::default(), Rules::default());
        let unit = Unit { language: Language::Ada, file_name: None, text: &text, project: &project, rules: &rules };
        if let Some(plan) = Language::driver(&unit).and_then(|driver| driver.plan(&unit)) {
            assert!(plan.executes && plan.files[1].1.contains("P.F (A => Given_A, B => Given_B, C => Given_C);"), "{text}");
        }
    }

    #[test]
    fn what_was_there_before_is_not_new(
        found in prop::collection::vec((0u32..40, 1u32..9, 0usize..3), 0..30),
        at in 1u32..40,
        added in 0u32..9,
    ) {
        let words = ["not declared", "declared at line 7", "missing"];
        let remark = |line: u32, column: u32, word: usize| Diagnostic {
            severity: Severity::Error,
            line: (line > 0).then_some(line),
            column: Some(column),
            file: None,
            message: words[word].to_owned(),
        };
        let before: Vec<_> = found.iter().map(|(line, column, word)| remark(*line, *column, *word)).collect();
        assert_eq!(new_diagnostics(&before, &before, at..at), []);
        let moved = |line: u32| if line >= at { line + added } else { line };
        let after: Vec<_> =
            found.iter().map(|(line, column, word)| remark(moved(*line), *column, *word)).collect();
        assert_eq!(new_diagnostics(&before, &after, at..at + added), []);
        let mut more = after.clone();
        more.push(remark(at, 1, 0));
        more.push(Diagnostic { message: "new".to_owned(), ..remark(at, 1, 0) });
        assert!(new_diagnostics(&before, &more, at..at + added).iter().any(|one| one.message == "new"));
    }

    #[test]
    fn blocks_of_any_answer_are_in_it(answer in "(`{1,4}|~{3}|\n| |ada|[^\n]){0,60}") {
        let mut at = 0;
        for block in fenced(&answer) {
            assert!(answer.get(block.text.clone()).is_some());
            assert!(block.text.start >= at && block.text.start <= block.text.end);
            at = block.text.end;
        }
    }
}
