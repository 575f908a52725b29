//! COBOL. No grammar.

mod check;

use std::sync::OnceLock;

use crate::language::Pack;
use crate::lexis::{Kind, Lexis, Quotes};
use crate::outline::Outline;

pub(crate) static PACK: Pack = Pack {
    name: "cobol",
    aliases: &["cob", "cbl"],
    extensions: &["cob", "cbl", "cpy", "cobol"],
    telling: &["identification division", "program-id."],
    lexis: Lexis {
        folds_case: true,
        line_comments: &["*>"],
        block_comments: &[],
        quotes: Quotes::Fortran,
        word_bytes: b"-",
        qualifier: "",
        keywords: &[
            "accept",
            "add",
            "by",
            "call",
            "close",
            "compute",
            "copy",
            "data",
            "display",
            "divide",
            "division",
            "else",
            "end-if",
            "end-perform",
            "environment",
            "evaluate",
            "exit",
            "fd",
            "file",
            "from",
            "giving",
            "go",
            "goback",
            "identification",
            "if",
            "into",
            "is",
            "move",
            "multiply",
            "not",
            "of",
            "open",
            "perform",
            "pic",
            "picture",
            "procedure",
            "program-id",
            "read",
            "run",
            "section",
            "select",
            "set",
            "stop",
            "subtract",
            "to",
            "until",
            "using",
            "value",
            "varying",
            "when",
            "working-storage",
            "write",
        ],
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
        if outline.is(at, "copy") && at + 1 < outline.len() {
            outline.import(outline.folded(at + 1).trim_matches(['"', '\'']).to_owned());
            outline.import_spans.push(at..at + 2);
        } else if outline.is(at, "program-id") {
            let name = at + 1 + usize::from(outline.symbol(at + 1, b'.'));
            if outline.is_word(name) {
                outline.declare(name);
                outline.note_unit(outline.folded(name));
                outline.open(Some(outline.folded(name)), true, 0);
            }
        } else if outline.is_word(at) && at > 0 && outline.begins_line(at - 1) {
            // `01 RECORD-NAME`
            if outline.kind(at - 1) == Some(Kind::Number) {
                outline.declare(at);
            }
        } else if outline.is_word(at) && outline.begins_line(at) {
            // `PARAGRAPH-NAME.` and `NAME SECTION.`
            if outline.symbol(at + 1, b'.') || outline.is(at + 1, "section") {
                outline.declare(at);
            }
        }
    }
}
