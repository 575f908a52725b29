//! Python.

mod check;
mod outline;
pub(crate) mod tree;

use std::sync::OnceLock;

use crate::language::Pack;
use crate::lexis::{Lexis, Quotes};

pub(crate) static PACK: Pack = Pack {
    name: "python",
    aliases: &["py", "python3"],
    extensions: &["py", "pyi", "pyw"],
    telling: &["\nimport os", "\nimport sys", "from __future__"],
    lexis: Lexis {
        folds_case: false,
        line_comments: &["#"],
        block_comments: &[],
        quotes: Quotes::Python,
        word_bytes: &[],
        qualifier: ".",
        keywords: &[
            "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
            "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in",
            "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "self", "try", "while",
            "with", "yield",
        ],
        keyword_slots: OnceLock::new(),
    },
    outline: outline::outline,
    unit_begins: &[],
    checkers: check::CHECKERS,
    accepts_switch: check::accepts_switch,
};
