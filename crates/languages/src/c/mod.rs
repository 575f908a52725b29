//! C.

pub(crate) mod check;

pub(crate) mod outline;
pub(crate) mod tree;

use std::sync::OnceLock;

use crate::language::Pack;
use crate::lexis::{Lexis, Quotes};

pub(crate) static PACK: Pack = Pack {
    name: "c",
    aliases: &["h"],
    extensions: &["c"],
    telling: &["#include <std", "#ifndef "],
    lexis: Lexis {
        folds_case: false,
        line_comments: &["//"],
        block_comments: &[("/*", "*/")],
        quotes: Quotes::C,
        word_bytes: &[],
        qualifier: "::",
        keywords: &[
            "_Alignas",
            "_Alignof",
            "_Atomic",
            "_Bool",
            "_Complex",
            "_Generic",
            "_Noreturn",
            "_Static_assert",
            "_Thread_local",
            "auto",
            "bool",
            "break",
            "case",
            "char",
            "const",
            "continue",
            "default",
            "do",
            "double",
            "else",
            "enum",
            "extern",
            "false",
            "float",
            "for",
            "goto",
            "if",
            "inline",
            "int",
            "long",
            "nullptr",
            "register",
            "restrict",
            "return",
            "short",
            "signed",
            "sizeof",
            "static",
            "struct",
            "switch",
            "true",
            "typedef",
            "union",
            "unsigned",
            "void",
            "volatile",
            "while",
        ],
        keyword_slots: OnceLock::new(),
    },
    outline: outline::outline,
    unit_begins: &[],
    checkers: check::CHECKERS,
    accepts_switch: check::accepts_switch,
};
