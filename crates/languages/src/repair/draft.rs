//! A text with a hole, read as tokens, and edits of it.

use std::ops::Range;

use super::Fixed;
use crate::lexis::{self, Lexer};
use crate::{Diagnostic, Language, Severity};

/// So many errors of a run are looked at, and so many words of one.
const REPORTS_MAX: usize = 16;
const MESSAGES_MAX: usize = 6;

/// One kind of mistake.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// What it is called in records.
    pub(crate) what: &'static str,
    /// Whether nothing else is mended in the same go, since everything behind may have been misread.
    pub(crate) alone: bool,
    /// Whether what is put there only stands for what is missing.
    pub(crate) stub: bool,
    /// What to do about a report, if it is one of this kind.
    pub(crate) fix: Fix,
}

pub(crate) type Fix = fn(&Draft<'_>, &Report<'_>) -> Option<Vec<Edit>>;

impl Kind {
    pub(crate) const fn new(what: &'static str, fix: Fix) -> Kind {
        Kind { what, alone: false, stub: false, fix }
    }

    pub(crate) const fn alone(self) -> Kind {
        Kind { alone: true, ..self }
    }

    pub(crate) const fn stub(self) -> Kind {
        Kind { stub: true, ..self }
    }
}

/// What a compiler said of one place.
pub(crate) struct Report<'a> {
    /// Byte of the text.
    pub(crate) at: usize,
    /// The token that is there, or the first behind.
    pub(crate) token: usize,
    /// In the compiler's order.
    pub(crate) messages: Vec<&'a str>,
}

impl Report<'_> {
    pub(crate) fn says(&self, words: &str) -> bool {
        self.messages.iter().any(|message| message.contains(words))
    }

    /// What stands between the `nth` (from 0) two double quotes of the first message that has `words`.
    pub(crate) fn quoted(&self, words: &str, nth: usize) -> Option<&str> {
        let message = self.messages.iter().find(|message| message.contains(words))?;
        message.split('"').nth(2 * nth + 1)
    }
}

/// Bytes of the text, and what comes in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) at: Range<usize>,
    pub(crate) with: String,
    /// Whether it is a context clause, which may stand outside the hole.
    pub(crate) clause: bool,
}

pub(crate) fn insert(at: usize, with: impl Into<String>) -> Edit {
    Edit { at: at..at, with: with.into(), clause: false }
}

pub(crate) fn replace(at: Range<usize>, with: impl Into<String>) -> Edit {
    Edit { at, with: with.into(), clause: false }
}

impl Edit {
    /// Whether the two cannot both be done.
    pub(crate) fn touches(&self, other: &Edit) -> bool {
        if self.at == other.at {
            return !self.clause || self.with == other.with;
        }
        self.at.start < other.at.end && other.at.start < self.at.end
    }
}

/// A text as tokens. Symbols of two characters are one token.
pub(crate) struct Draft<'a> {
    pub(crate) text: &'a str,
    pub(crate) hole: Range<usize>,
    clauses: bool,
    tokens: Vec<Range<usize>>,
    kinds: Vec<lexis::Kind>,
    line_starts: Vec<usize>,
}

const PAIRS: &[&str] = &[
    ":=", "<=", ">=", "/=", "=>", "..", "**", "<>", "==", "!=", "&&", "||", "+=", "-=", "*=", "++", "<<",
    ">>", "?=",
];

impl<'a> Draft<'a> {
    pub(crate) fn new(language: Language, text: &'a str, hole: Range<usize>, clauses: bool) -> Draft<'a> {
        let (mut tokens, mut kinds): (Vec<Range<usize>>, Vec<lexis::Kind>) = (Vec::new(), Vec::new());
        for lexeme in Lexer::new(&language.pack().lexis, text) {
            let pair = tokens.last().is_some_and(|last| {
                last.end == lexeme.start
                    && last.len() == 1
                    && text.get(last.start..lexeme.end).is_some_and(|both| PAIRS.contains(&both))
            });
            match tokens.last_mut() {
                Some(last) if pair => last.end = lexeme.end,
                _ => {
                    tokens.push(lexeme.start..lexeme.end);
                    kinds.push(lexeme.kind);
                }
            }
        }
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Draft { text, hole, clauses, tokens, kinds, line_starts }
    }

    /// What was said, a report for each place, in the compiler's order.
    pub(crate) fn reports<'d>(&self, diagnostics: &'d [Diagnostic]) -> Vec<Report<'d>> {
        let mut reports: Vec<Report<'d>> = Vec::new();
        for diagnostic in diagnostics {
            let Some(line) = diagnostic.line.filter(|_| diagnostic.severity == Severity::Error) else {
                continue;
            };
            let at = self.offset(line, diagnostic.column.unwrap_or(1));
            let message = diagnostic.message.as_str();
            if let Some(report) = reports.iter_mut().find(|report| report.at == at) {
                if report.messages.len() < MESSAGES_MAX && !report.messages.contains(&message) {
                    report.messages.push(message);
                }
            } else if reports.len() < REPORTS_MAX {
                reports.push(Report { at, token: self.at(at), messages: vec![message] });
            }
        }
        reports
    }

    /// The byte at a line and a column, both from 1; the line's end where it has no such column.
    pub(crate) fn offset(&self, line: u32, column: u32) -> usize {
        let line = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(start) = self.line_starts.get(line).copied() else { return self.text.len() };
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let column = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
        self.text.floor_char_boundary(start.saturating_add(column).min(end))
    }

    /// How many tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The token at that byte, or the first behind.
    pub(crate) fn at(&self, byte: usize) -> usize {
        self.tokens.partition_point(|token| token.end <= byte)
    }

    /// Its text; empty where there is no such token.
    pub(crate) fn word(&self, token: usize) -> &'a str {
        self.tokens.get(token).and_then(|bytes| self.text.get(bytes.clone())).unwrap_or("")
    }

    pub(crate) fn is(&self, token: usize, word: &str) -> bool {
        self.word(token).eq_ignore_ascii_case(word)
    }

    pub(crate) fn is_any(&self, token: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(token, word))
    }

    pub(crate) fn is_name(&self, token: usize) -> bool {
        self.kinds.get(token) == Some(&lexis::Kind::Word)
    }

    pub(crate) fn is_number(&self, token: usize) -> bool {
        self.kinds.get(token) == Some(&lexis::Kind::Number)
    }

    /// A string or a character.
    pub(crate) fn is_literal(&self, token: usize) -> bool {
        self.kinds.get(token) == Some(&lexis::Kind::Text)
    }

    /// Its first byte; the text's end where there is no such token.
    pub(crate) fn start(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(self.text.len(), |bytes| bytes.start)
    }

    /// The byte behind it.
    pub(crate) fn end(&self, token: usize) -> usize {
        self.tokens.get(token).map_or(self.text.len(), |bytes| bytes.end)
    }

    pub(crate) fn bytes(&self, token: usize) -> Range<usize> {
        self.start(token)..self.end(token)
    }

    /// The text of tokens, from the first to the one before `tokens.end`.
    pub(crate) fn source(&self, tokens: Range<usize>) -> &'a str {
        if tokens.is_empty() {
            return "";
        }
        self.text.get(self.start(tokens.start)..self.end(tokens.end - 1)).unwrap_or("")
    }

    /// The tokens that lie in the hole.
    pub(crate) fn hole_tokens(&self) -> Range<usize> {
        let first = self.tokens.partition_point(|token| token.start < self.hole.start);
        let end = self.tokens.partition_point(|token| token.end <= self.hole.end);
        first..end.max(first)
    }

    /// The parenthesis that closes the one at `open`.
    pub(crate) fn close(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for token in open..self.len() {
            match self.word(token) {
                "(" => depth += 1,
                ")" => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(token);
            }
        }
        None
    }

    /// The parenthesis that the one at `close` closes.
    pub(crate) fn open(&self, close: usize) -> Option<usize> {
        let mut depth = 0usize;
        for token in (0..=close).rev() {
            match self.word(token) {
                ")" => depth += 1,
                "(" => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(token);
            }
        }
        None
    }

    /// The blanks that the token's line begins with.
    pub(crate) fn indentation(&self, byte: usize) -> &'a str {
        let line = self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1);
        let rest = &self.text[self.line_starts.get(line).copied().unwrap_or(0)..];
        &rest[..rest.len() - rest.trim_start_matches(' ').len()]
    }

    /// Whether it may be done, and changes something.
    pub(crate) fn allows(&self, edit: &Edit) -> bool {
        if self.text.get(edit.at.clone()) == Some(edit.with.as_str()) {
            return false;
        }
        match edit.clause {
            true => self.clauses && edit.at.is_empty() && edit.at.end <= self.hole.start,
            false => self.hole.start <= edit.at.start && edit.at.end <= self.hole.end,
        }
    }

    /// Does them all. They do not touch.
    pub(crate) fn apply(&self, mut edits: Vec<(Edit, &'static str)>) -> Option<Fixed> {
        edits.sort_by_key(|(edit, _)| (edit.at.start, edit.at.end, !edit.clause));
        let mut text = String::with_capacity(self.text.len() + 64);
        let (mut at, mut hole) = (0, self.hole.clone());
        let mut what = Vec::with_capacity(edits.len());
        for (edit, kind) in &edits {
            text.push_str(self.text.get(at..edit.at.start)?);
            text.push_str(&edit.with);
            at = edit.at.end;
            if edit.clause {
                hole.start += edit.with.len();
            }
            hole.end = (hole.end + edit.with.len()).checked_sub(edit.at.len())?;
            what.push(*kind);
        }
        text.push_str(self.text.get(at..)?);
        Some(Fixed { text, hole, what, stub: false })
    }
}
