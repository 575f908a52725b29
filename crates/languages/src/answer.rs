//! Code in a model's answer: where its blocks are, and whether one is a whole unit.

use std::ops::Range;

use crate::Language;
use crate::lexis::Lexer;

/// A fenced code block of a Markdown text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fenced {
    /// The language that its info string names first, if there is a pack for it.
    pub language: Option<Language>,
    /// Where its text is, in bytes of the answer: whole lines without the fences, in its own indentation.
    pub text: Range<usize>,
    /// Whether its end is there; an answer that was cut off has none.
    pub is_closed: bool,
}

/// Blocks between fences of at least three backticks or tildes, by the rules of CommonMark 0.31 section 4.5; but a fence
/// may stand as deep as a list puts it.
pub fn fenced(answer: &str) -> Vec<Fenced> {
    let mut blocks = Vec::new();
    let mut open: Option<(u8, usize, Option<Language>, usize)> = None;
    let mut at = 0;
    for line in answer.split_inclusive('\n') {
        let behind = at + line.len();
        let words = line.trim();
        let mark = words.bytes().next().filter(|mark| matches!(mark, b'`' | b'~'));
        let length = mark.map_or(0, |mark| words.bytes().take_while(|byte| *byte == mark).count());
        let info = words.get(length..).unwrap_or_default();
        match (&open, mark) {
            (Some((opened, opened_length, language, from)), Some(mark))
                if *opened == mark && length >= *opened_length && info.is_empty() =>
            {
                blocks.push(Fenced { language: *language, text: *from..at, is_closed: true });
                open = None;
            }
            (None, Some(mark)) if length >= 3 && !(mark == b'`' && info.contains('`')) => {
                open = Some((mark, length, language_of(info), behind));
            }
            _ => {}
        }
        at = behind;
    }
    if let Some((_, _, language, from)) = open {
        blocks.push(Fenced { language, text: from..answer.len(), is_closed: false });
    }
    blocks
}

/// `ada`, `ada title="x"`, `{.ada}` and `ada,linenos`.
fn language_of(info: &str) -> Option<Language> {
    let info = info.trim().trim_start_matches(['{', '.']);
    let word = info
        .split(|character: char| character.is_whitespace() || matches!(character, ',' | '}' | '{'))
        .next()?;
    Language::from_name(word)
}

/// Whether the text may be a whole unit by its first word. A fragment, such as a few statements, is said to be one and is
/// handed to no checker.
pub fn is_whole_unit(language: Language, text: &str) -> bool {
    let pack = language.pack();
    if pack.unit_begins.is_empty() {
        return true;
    }
    let first = Lexer::new(&pack.lexis, text).next().map(|lexeme| &text[lexeme.start..lexeme.end]);
    first.is_some_and(|first| pack.unit_begins.iter().any(|word| word.eq_ignore_ascii_case(first)))
}
