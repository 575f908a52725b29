//! Texts as lexemes: what stays of a text when its layout goes.
//!
//! One normaliser for all languages, so that a text matches whatever the name of its file:
//!
//! - Letters of ASCII are folded to small ones: in Ada and VHDL case says nothing, and headers are copied across languages.
//! - White space goes, and so does a byte order mark.
//! - Letters, digits, `_` and bytes above 0x7f make a word: one lexeme. Every other byte is a lexeme of its own. What
//!   stands inside strings and comments is read in the same way: the header of a file is words like its code.
//! - Marks of comments go: `--` and longer, `//` and longer, `/*`, `*/`, and `#`, `*`, `!`, `;`, `%`. They go wherever they
//!   stand, in code as well: where a line begins is layout, and a mark that went there only would come and go with it.
//! - Drawn lines go: four or more of one of `= + ~ ^ . :`.
//!
//! These rules are [`NORMALISER`]; a segment says with which it was made, and another is refused.

use std::sync::LazyLock;

/// Version of the rules. To be raised with each change of them, of the keywords or of a hash.
pub const NORMALISER: u32 = 1;

/// Words that stay as they are where names do not matter: what a person who renames does not rename. Small letters,
/// sorted.
const KEYWORDS: &[&str] = &[
    "abs",
    "abstract",
    "accept",
    "access",
    "alias",
    "aliased",
    "all",
    "and",
    "architecture",
    "array",
    "as",
    "assert",
    "async",
    "attribute",
    "auto",
    "await",
    "begin",
    "bit",
    "block",
    "body",
    "bool",
    "boolean",
    "box",
    "break",
    "buffer",
    "bus",
    "byte",
    "case",
    "catch",
    "char",
    "character",
    "class",
    "component",
    "configuration",
    "const",
    "constant",
    "continue",
    "crate",
    "declare",
    "def",
    "default",
    "define",
    "defined",
    "del",
    "delay",
    "delete",
    "delta",
    "digits",
    "disconnect",
    "do",
    "double",
    "downto",
    "dyn",
    "elif",
    "else",
    "elsif",
    "end",
    "endif",
    "entity",
    "entry",
    "enum",
    "err",
    "except",
    "exception",
    "exit",
    "extends",
    "extern",
    "f32",
    "f64",
    "false",
    "file",
    "final",
    "finally",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "generate",
    "generic",
    "goto",
    "group",
    "guarded",
    "i16",
    "i32",
    "i64",
    "i8",
    "if",
    "ifdef",
    "ifndef",
    "impl",
    "implements",
    "import",
    "impure",
    "in",
    "include",
    "inertial",
    "inline",
    "inout",
    "int",
    "integer",
    "interface",
    "is",
    "lambda",
    "let",
    "library",
    "limited",
    "linkage",
    "literal",
    "long",
    "loop",
    "map",
    "match",
    "mod",
    "move",
    "mut",
    "namespace",
    "nand",
    "natural",
    "new",
    "next",
    "none",
    "nor",
    "not",
    "null",
    "of",
    "ok",
    "on",
    "open",
    "option",
    "or",
    "others",
    "out",
    "package",
    "pass",
    "port",
    "positive",
    "postponed",
    "pragma",
    "private",
    "procedure",
    "process",
    "protected",
    "pub",
    "public",
    "pure",
    "raise",
    "range",
    "real",
    "record",
    "ref",
    "register",
    "reject",
    "rem",
    "renames",
    "report",
    "requeue",
    "result",
    "return",
    "reverse",
    "rol",
    "ror",
    "select",
    "self",
    "separate",
    "severity",
    "shared",
    "short",
    "signal",
    "signed",
    "sizeof",
    "sla",
    "sll",
    "some",
    "sra",
    "srl",
    "static",
    "std_logic",
    "std_logic_vector",
    "str",
    "string",
    "struct",
    "subtype",
    "super",
    "switch",
    "synchronized",
    "tagged",
    "task",
    "template",
    "terminate",
    "then",
    "this",
    "throw",
    "throws",
    "to",
    "trait",
    "transport",
    "true",
    "try",
    "type",
    "typedef",
    "typename",
    "u16",
    "u32",
    "u64",
    "u8",
    "unaffected",
    "undef",
    "union",
    "units",
    "unsafe",
    "unsigned",
    "until",
    "use",
    "using",
    "usize",
    "variable",
    "vec",
    "virtual",
    "void",
    "volatile",
    "wait",
    "when",
    "where",
    "while",
    "with",
    "xnor",
    "xor",
    "yield",
];

/// One lexeme of a text: what it is, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lexeme {
    /// FNV-1a of its folded bytes, finished; equal lexemes have equal hashes, and unequal ones may.
    pub hash: u64,
    /// First byte in the text.
    pub start: u32,
    /// The byte after its last.
    pub end: u32,
}

impl Lexeme {
    /// Its bytes, not folded; none where `text` is another text than that it was read from.
    pub fn of<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// What it is where names and numbers do not matter: all words but keywords are one, all numbers are one.
    pub(crate) fn class(&self, text: &[u8]) -> Class {
        match text.get(self.start as usize) {
            Some(first) if first.is_ascii_digit() => Class::Number,
            Some(first)
                if KINDS[usize::from(*first)] == Kind::Word && !Keywords::get().contains(self.hash) =>
            {
                Class::Name
            }
            _ => Class::Itself(self.hash),
        }
    }
}

/// The hash of the [`Class`] of a word, without a branch: which of them it is cannot be foreseen.
fn class_of_word(first: u8, hash: u64, keywords: &Keywords) -> u64 {
    let class = if keywords.contains(hash) { hash } else { const { finish(1) } };
    if first.is_ascii_digit() { const { finish(2) } } else { class }
}

/// A lexeme where names and numbers do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Name,
    Number,
    Itself(u64),
}

impl Class {
    pub(crate) fn hash(self) -> u64 {
        match self {
            Class::Name => finish(1),
            Class::Number => finish(2),
            Class::Itself(hash) => hash,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Word,
    Mark,
}

static KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Mark; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let it = byte as u8;
        if it <= b' ' || it == 0x7f {
            kinds[byte] = Kind::Space;
        } else if it.is_ascii_alphanumeric() || it == b'_' || it > 0x7f {
            kinds[byte] = Kind::Word;
        }
        byte += 1;
    }
    kinds
};

/// Bytes of words, folded; 0 for all others.
static FOLDED: [u8; 256] = {
    let mut folded = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if matches!(KINDS[byte], Kind::Word) {
            #[expect(clippy::cast_possible_truncation, reason = "below 256")]
            let it = byte as u8;
            folded[byte] = it.to_ascii_lowercase();
        }
        byte += 1;
    }
    folded
};

/// Of so many equal bytes in a row none is a lexeme: marks of comments, and drawn lines.
static DROPPED: [usize; 256] = {
    let mut dropped = [usize::MAX; 256];
    let rules: [(&[u8], usize); 3] = [(b"#*!;%", 1), (b"-/", 2), (b"=+~^.:", 4)];
    let mut rule = 0;
    while rule < rules.len() {
        let mut byte = 0;
        while byte < rules[rule].0.len() {
            dropped[rules[rule].0[byte] as usize] = rules[rule].1;
            byte += 1;
        }
        rule += 1;
    }
    dropped
};

/// Hashes of lexemes of one byte that is in no word.
static MARKS: [u64; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        marks[byte] = finish((FNV_BASIS ^ byte as u64).wrapping_mul(FNV_PRIME));
        byte += 1;
    }
    marks
};

/// The lexemes of `text`, in order, appended to `lexemes`. Linear. What lies behind 4 GiB is not read.
///
/// A part of a text that begins with a lexeme gives the lexemes that the whole has there: each is decided by what follows.
pub fn lex(text: &[u8], lexemes: &mut Vec<Lexeme>) {
    each(text, |lexeme, _| lexemes.push(lexeme));
}

/// The same, with the hash of each one's [`Class`] in a row of its own.
pub(crate) fn lex_with_classes(text: &[u8], lexemes: &mut Vec<Lexeme>, classes: &mut Vec<u64>) {
    let keywords = Keywords::get();
    each(text, |lexeme, word| {
        lexemes.push(lexeme);
        classes.push(word.map_or(lexeme.hash, |first| class_of_word(first, lexeme.hash, keywords)));
    });
}

/// Calls `push` with each lexeme, and with the first byte of those that are words.
fn each(text: &[u8], mut push: impl FnMut(Lexeme, Option<u8>)) {
    let text = &text[..text.len().min(u32::MAX as usize)];
    let mut at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    #[expect(clippy::cast_possible_truncation, reason = "the text ends before")]
    let lexeme = |hash: u64, start: usize, end: usize| Lexeme { hash, start: start as u32, end: end as u32 };
    while let Some(&byte) = text.get(at) {
        match KINDS[usize::from(byte)] {
            Kind::Space => at += 1,
            Kind::Word => {
                let start = at;
                let mut hash = FNV_BASIS;
                while let Some(&byte) = text.get(at) {
                    let folded = FOLDED[usize::from(byte)];
                    if folded == 0 {
                        break;
                    }
                    hash = fnv(hash, folded);
                    at += 1;
                }
                push(lexeme(finish(hash), start, at), Some(byte));
            }
            Kind::Mark => {
                let run = text[at..].iter().take_while(|other| **other == byte).count();
                let encloses =
                    byte == b'/' && (text.get(at + run) == Some(&b'*') || (at > 0 && text[at - 1] == b'*'));
                if run < DROPPED[usize::from(byte)] && !encloses {
                    for start in at..at + run {
                        push(lexeme(MARKS[usize::from(byte)], start, start + 1), None);
                    }
                }
                at += run;
            }
        }
    }
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// `byte` is folded.
fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
}

/// Spreads a hash over all its bits (the end of SplitMix64).
pub(crate) const fn finish(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Hashes of [`KEYWORDS`]: each stands at its own place, so that one look tells. It is asked for each word of a corpus.
struct Keywords {
    /// What sends each of them to a place of its own.
    factor: u64,
    /// Of a place, which hash may be it.
    places: [u8; 1 << PLACE_BITS],
    hashes: [u64; 256],
}

const PLACE_BITS: u32 = 13;
const _: () = assert!(KEYWORDS.len() <= 256, "a place names one by a byte");

impl Keywords {
    fn get() -> &'static Keywords {
        static KEPT: LazyLock<Keywords> = LazyLock::new(|| {
            let mut hashes = [0; 256];
            for (kept, word) in hashes.iter_mut().zip(KEYWORDS) {
                *kept = finish(word.bytes().fold(FNV_BASIS, fnv));
            }
            // One of some twenty factors does.
            let mut kept = Keywords { factor: 1, places: [0; 1 << PLACE_BITS], hashes };
            while !kept.is_placed() {
                kept.factor += 2;
            }
            kept
        });
        &KEPT
    }

    /// Gives all their places, if no two have the same.
    fn is_placed(&mut self) -> bool {
        let mut taken = [false; 1 << PLACE_BITS];
        for (number, hash) in (0..=u8::MAX).zip(&self.hashes[..KEYWORDS.len()]) {
            let place = self.place(*hash);
            if std::mem::replace(&mut taken[place], true) {
                return false;
            }
            self.places[place] = number;
        }
        true
    }

    fn place(&self, hash: u64) -> usize {
        (hash.wrapping_mul(self.factor) >> (64 - PLACE_BITS)) as usize
    }

    fn contains(&self, hash: u64) -> bool {
        self.hashes[usize::from(self.places[self.place(hash)])] == hash
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut lexemes = Vec::new();
        lex(text.as_bytes(), &mut lexemes);
        lexemes
            .iter()
            .map(|lexeme| String::from_utf8_lossy(lexeme.of(text.as_bytes())).to_lowercase())
            .collect()
    }

    #[test]
    fn layout_and_marks_of_comments_go() {
        for (text, expected) in [
            ("X := Y + 16#FF#; -- sum", "x := y + 16ff sum"),
            ("-------\n-- Copyright (C) 2001 --\n-------", "copyright (c) 2001"),
            ("/*\n * Copyright (C) 2001\n */", "copyright (c) 2001"),
            ("//! Copyright (C) 2001", "copyright (c) 2001"),
            ("\u{feff}#include <a.h>", "include <a.h>"),
            ("; Copyright (C) 2001\n; by us", "copyright (c) 2001 by us"),
            ("a - b; a\n - b / c\n;", "a - b a - b / c"),
            ("a /* why */ / b", "a why / b"),
            ("==== x === y", "x === y"),
            ("\"the words of it\"", "\"the words of it\""),
            ("Größe", "größe"),
        ] {
            let alone: String = words(text).concat();
            assert_eq!(alone, expected.replace(' ', ""), "{text}");
        }
    }

    #[test]
    fn keywords_are_sorted_and_found() {
        assert!(KEYWORDS.is_sorted() && KEYWORDS.len() < 512);
        let text = "while counter 12 )";
        let mut lexemes = Vec::new();
        lex(text.as_bytes(), &mut lexemes);
        let classes: Vec<Class> = lexemes.iter().map(|lexeme| lexeme.class(text.as_bytes())).collect();
        assert_eq!(classes[1..3], [Class::Name, Class::Number]);
        assert_eq!(classes[0], Class::Itself(lexemes[0].hash));
        assert_eq!(classes[3], Class::Itself(lexemes[3].hash));
    }

    #[test]
    fn every_keyword_is_found_and_classes_are_told_alike() {
        let keywords = Keywords::get();
        let hash = |word: &str| finish(fnv_of(word));
        assert!(KEYWORDS.iter().all(|word| keywords.contains(hash(word))));
        assert!(!KEYWORDS.iter().any(|word| keywords.contains(hash(&format!("{word}x")))));
        let text = "While X_1 < 16#ff# and größe loop";
        let (mut lexemes, mut classes) = (Vec::new(), Vec::new());
        lex_with_classes(text.as_bytes(), &mut lexemes, &mut classes);
        let told: Vec<u64> = lexemes.iter().map(|lexeme| lexeme.class(text.as_bytes()).hash()).collect();
        assert_eq!(classes, told);
    }

    /// The normaliser's version stands for these.
    #[test]
    fn hashes_are_those_of_this_version() {
        let mut lexemes = Vec::new();
        lex(b"Begin )", &mut lexemes);
        let hashes: Vec<u64> = lexemes.iter().map(|lexeme| lexeme.hash).collect();
        assert_eq!((NORMALISER, hashes), (1, vec![finish(fnv_of("begin")), finish(fnv_of(")"))]));
        assert_eq!(fnv_of("foobar"), 0x8594_4171_f739_67e8, "FNV-1a's own test vector");
    }

    fn fnv_of(word: &str) -> u64 {
        word.bytes().fold(FNV_BASIS, fnv)
    }

    proptest! {
        #[test]
        fn a_part_has_the_lexemes_of_the_whole(text in "[a-c \n;/*#=!%.-]{0,60}", cut in 0usize..60) {
            let mut whole = Vec::new();
            lex(text.as_bytes(), &mut whole);
            if let Some(first) = whole.get(cut) {
                let mut part = Vec::new();
                lex(&text.as_bytes()[first.start as usize..], &mut part);
                let moved: Vec<Lexeme> = part
                    .iter()
                    .map(|lexeme| Lexeme { start: lexeme.start + first.start, end: lexeme.end + first.start, ..*lexeme })
                    .collect();
                prop_assert_eq!(&moved, &whole[cut..]);
            }
        }
    }
}
