//! Rust.

mod check;
mod outline;
pub(crate) mod tree;

use std::sync::OnceLock;

use crate::language::Pack;
use crate::lexis::{Lexis, Quotes};

pub(crate) static PACK: Pack = Pack {
    name: "rust",
    aliases: &["rs"],
    extensions: &["rs"],
    telling: &["\nfn main()", "use std::", "#![forbid", "pub fn "],
    lexis: Lexis {
        folds_case: false,
        line_comments: &["//"],
        block_comments: &[("/*", "*/")],
        quotes: Quotes::Rust,
        word_bytes: &[],
        qualifier: "::",
        keywords: &[
            "Self", "as", "async", "await", "bool", "box", "break", "char", "const", "continue", "crate",
            "dyn", "else", "enum", "extern", "f32", "f64", "false", "fn", "for", "i128", "i16", "i32", "i64",
            "i8", "if", "impl", "in", "isize", "let", "loop", "match", "mod", "move", "mut", "pub", "ref",
            "return", "self", "static", "str", "struct", "super", "trait", "true", "type", "u128", "u16",
            "u32", "u64", "u8", "unsafe", "use", "usize", "where", "while", "yield",
        ],
        keyword_slots: OnceLock::new(),
    },
    outline: outline::outline,
    unit_begins: &[],
    checkers: check::CHECKERS,
    accepts_switch: check::accepts_switch,
};
