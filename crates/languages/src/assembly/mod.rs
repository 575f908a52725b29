//! Assembly. Its labels are what it declares.

mod check;

use std::sync::OnceLock;

use crate::language::Pack;
use crate::lexis::{Lexis, Quotes};
use crate::outline::Outline;

pub(crate) static PACK: Pack = Pack {
    name: "assembly",
    aliases: &["asm", "assembler", "nasm", "gas", "s"],
    extensions: &["s", "asm"],
    telling: &["\n.globl", "\n.text", "section .text"],
    lexis: Lexis {
        folds_case: false,
        line_comments: &["//", ";", "#"],
        block_comments: &[("/*", "*/")],
        quotes: Quotes::C,
        word_bytes: b"$@",
        qualifier: ".",
        keywords: &[],
        keyword_slots: OnceLock::new(),
    },
    outline,
    unit_begins: &[],
    checkers: check::CHECKERS,
    accepts_switch: check::accepts_switch,
};

fn outline(outline: &mut Outline<'_>) {
    for at in 0..outline.len() {
        outline.pass(at);
        if outline.is_word(at) && outline.symbol(at + 1, b':') && outline.begins_line(at) {
            outline.declare(at);
        }
        if outline.written(at) == "include" && at > 0 && outline.symbol(at - 1, b'.') {
            outline.import(outline.written(at + 1).trim_matches('"').to_owned());
            outline.import_spans.push(at - 1..at + 2);
        }
    }
}
