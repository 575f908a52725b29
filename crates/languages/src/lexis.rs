//! One lexer for all languages, told by a [`Lexis`] what comments, strings and words look like. It takes any
//! text, skips comments, and passes over every byte once.

use std::sync::OnceLock;

/// What a language's words look like.
pub(crate) struct Lexis {
    pub(crate) folds_case: bool,
    pub(crate) line_comments: &'static [&'static str],
    /// What opens one, and what closes it.
    pub(crate) block_comments: &'static [(&'static str, &'static str)],
    pub(crate) quotes: Quotes,
    /// Bytes of identifiers beside letters, digits and `_`.
    pub(crate) word_bytes: &'static [u8],
    /// What joins the parts of a qualified name.
    pub(crate) qualifier: &'static str,
    /// Lower-case where the language folds case, sorted; at most 255.
    pub(crate) keywords: &'static [&'static str],
    /// Made of them when first used.
    pub(crate) keyword_slots: OnceLock<Slots>,
}

/// Where each keyword is by its hash, 1 for the first, or 0: most words that are none end at an empty slot.
pub(crate) type Slots = [u8; KEYWORD_SLOTS];
const KEYWORD_SLOTS: usize = 1024;

/// How strings and characters are quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quotes {
    /// `"a ""quoted"" word"`, `'x'`, and the tick of attributes.
    Ada,
    /// `"a \"quoted\" word"`, `'\n'`.
    C,
    /// As C, over lines; `r#"raw"#`, lifetimes.
    Rust,
    /// Both quotes, also three of them.
    Python,
    /// `"..."`, and the tick of sized numbers and casts.
    Verilog,
    /// Both quotes, doubled inside.
    Fortran,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Keyword,
    Number,
    Text,
    Symbol(u8),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// No keyword is longer.
const KEYWORD_BYTES_MAX: usize = 24;

pub(crate) struct Lexer<'t> {
    lexis: &'static Lexis,
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// What came before, for the tick.
    before: Option<Kind>,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(lexis: &'static Lexis, text: &'t str) -> Lexer<'t> {
        Lexer { lexis, text, bytes: text.as_bytes(), at: 0, before: None }
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Where `what` is at or behind `from` (a character's begin), or the end.
    fn place_of(&self, from: usize, what: &str) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let found = match what {
            "\n" => rest.find('\n'),
            what => rest.find(what),
        };
        found.map_or(self.bytes.len(), |found| from + found)
    }

    fn is_word_byte(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 || self.lexis.word_bytes.contains(&byte)
    }

    /// Goes behind white space and comments.
    fn skip(&mut self) {
        loop {
            while self.byte(self.at).is_ascii_whitespace()
                || (self.byte(self.at) < b' ' && self.at < self.bytes.len())
            {
                self.at += 1;
            }
            let Some(rest @ [first, ..]) = self.bytes.get(self.at..) else { return };
            let begins = |mark: &str| mark.as_bytes()[0] == *first && rest.starts_with(mark.as_bytes());
            if self.lexis.line_comments.iter().any(|mark| begins(mark)) {
                self.at = self.place_of(self.at, "\n");
            } else if let Some((open, close)) =
                self.lexis.block_comments.iter().find(|(open, _)| begins(open))
            {
                let end = self.place_of(self.at + open.len(), close);
                self.at = (end + close.len()).min(self.bytes.len());
            } else {
                return;
            }
        }
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        while self.is_word_byte(self.byte(self.at)) {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        if is_keyword(self.lexis, word) { Kind::Keyword } else { Kind::Word }
    }

    fn number(&mut self) {
        loop {
            let byte = self.byte(self.at);
            let goes_on = match byte {
                b'.' => self.byte(self.at + 1).is_ascii_digit(),
                b'#' => self.lexis.quotes == Quotes::Ada,
                b'\'' => self.lexis.quotes == Quotes::Verilog,
                _ => byte.is_ascii_alphanumeric() || byte == b'_',
            };
            if !goes_on {
                return;
            }
            self.at += 1;
        }
    }

    /// Behind a string that began with `quote`, which `at` is behind of: its end, or its line's.
    fn string(&mut self, quote: u8, escapes: bool, lines: bool) {
        while self.at < self.bytes.len() {
            let byte = self.byte(self.at);
            if byte == b'\n' && !lines {
                return;
            }
            self.at += 1;
            if escapes && byte == b'\\' {
                self.at = (self.at + 1).min(self.bytes.len());
            } else if byte == quote {
                if escapes || self.byte(self.at) != quote {
                    return;
                }
                self.at += 1;
            }
        }
    }

    /// What begins with a quote, or none: then the quote is a symbol.
    fn quoted(&mut self, quote: u8) -> bool {
        let open = self.at;
        let next_bytes = character_bytes(self.byte(open + 1));
        match (self.lexis.quotes, quote) {
            (Quotes::Ada, b'"') | (Quotes::Fortran, _) => {
                self.at += 1;
                self.string(quote, false, false);
            }
            (Quotes::Ada, _) => {
                let attribute =
                    matches!(self.before, Some(Kind::Word | Kind::Keyword | Kind::Symbol(b')' | b']')));
                if self.byte(open + 1 + next_bytes) != b'\'' || (attribute && self.byte(open + 1) == b'(') {
                    return false;
                }
                self.at = open + 2 + next_bytes;
            }
            (Quotes::Verilog, b'\'') => return false,
            (Quotes::Verilog | Quotes::C, _) => {
                self.at += 1;
                self.string(quote, true, false);
            }
            (Quotes::Rust, b'\'') => {
                if self.byte(open + 1) == b'\\' {
                    self.at += 1;
                    self.string(quote, true, false);
                } else if self.byte(open + 1 + next_bytes) == b'\'' {
                    self.at = open + 2 + next_bytes;
                } else {
                    // A lifetime or a label.
                    self.at += 1;
                    while self.is_word_byte(self.byte(self.at)) {
                        self.at += 1;
                    }
                }
            }
            (Quotes::Rust, _) => {
                self.at += 1;
                self.string(quote, true, true);
            }
            (Quotes::Python, _) => {
                let three = [quote; 3];
                if self.bytes[open..].starts_with(&three) {
                    self.at = open + 3;
                    while self.at < self.bytes.len() && !self.bytes[self.at..].starts_with(&three) {
                        self.at += if self.byte(self.at) == b'\\' { 2 } else { 1 };
                    }
                    self.at = (self.at + 3).min(self.bytes.len());
                } else {
                    self.at += 1;
                    self.string(quote, true, false);
                }
            }
        }
        self.at = self.at.min(self.bytes.len());
        true
    }

    /// Behind Rust's `r#"..."#`, when one is here.
    fn raw(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let letters = rest.iter().take(2).take_while(|byte| matches!(byte, b'b' | b'r' | b'c')).count();
        let hashes = rest[letters..].iter().take(64).take_while(|byte| **byte == b'#').count();
        let raw = rest[..letters].last() == Some(&b'r') && rest.get(letters + hashes) == Some(&b'"');
        if raw {
            let close = format!("\"{}", "#".repeat(hashes));
            let end = self.place_of(self.at + letters + hashes + 1, &close);
            self.at = (end + close.len()).min(self.bytes.len());
        }
        raw
    }
}

impl Iterator for Lexer<'_> {
    type Item = Lexeme;

    fn next(&mut self) -> Option<Lexeme> {
        self.skip();
        let start = self.at;
        let byte = *self.bytes.get(start)?;
        let kind = match byte {
            b'"' if self.quoted(byte) => Kind::Text,
            b'\'' if self.quoted(byte) => Kind::Text,
            b'b' | b'r' | b'c' if self.lexis.quotes == Quotes::Rust && self.raw() => Kind::Text,
            b'0'..=b'9' => {
                self.number();
                Kind::Number
            }
            // VHDL's and Verilog's extended identifiers.
            b'\\' if self.lexis.word_bytes.contains(&b'\\') => {
                let end =
                    self.bytes[start + 1..].iter().position(|byte| matches!(byte, b'\\' | b'\n' | b' '));
                self.at = start + 1 + end.unwrap_or(self.bytes.len() - start - 1);
                self.at += usize::from(self.byte(self.at) == b'\\');
                Kind::Word
            }
            _ if self.is_word_byte(byte) => self.word(),
            _ => {
                self.at += 1;
                Kind::Symbol(byte)
            }
        };
        self.before = Some(kind);
        Some(Lexeme { kind, start, end: self.at })
    }
}

fn is_keyword(lexis: &Lexis, word: &[u8]) -> bool {
    if word.len() > KEYWORD_BYTES_MAX {
        return false;
    }
    let slots = lexis.keyword_slots.get_or_init(|| {
        let mut slots = [0; KEYWORD_SLOTS];
        for (number, keyword) in (1u8..).zip(lexis.keywords) {
            let mut slot = slot(lexis.folds_case, keyword.as_bytes());
            while slots[slot] != 0 {
                slot = (slot + 1) % KEYWORD_SLOTS;
            }
            slots[slot] = number;
        }
        slots
    });
    let mut slot = slot(lexis.folds_case, word);
    while slots[slot] != 0 {
        let keyword = lexis.keywords[usize::from(slots[slot]) - 1].as_bytes();
        if keyword == word || lexis.folds_case && keyword.eq_ignore_ascii_case(word) {
            return true;
        }
        slot = (slot + 1) % KEYWORD_SLOTS;
    }
    false
}

fn slot(folds_case: bool, word: &[u8]) -> usize {
    let case = if folds_case { 0x20 } else { 0 };
    word.iter().fold(word.len(), |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte | case)))
        % KEYWORD_SLOTS
}

/// How many bytes a character takes whose first byte is this.
fn character_bytes(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}
