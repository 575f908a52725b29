//! Fortran. No grammar: those that exist are very large.

mod check;

use std::sync::OnceLock;

use crate::language::Pack;
use crate::lexis::{Lexis, Quotes};
use crate::outline::{Outline, Plain, plain};

pub(crate) static PACK: Pack = Pack {
    name: "fortran",
    aliases: &["f90", "fortran-modern", "fortran_free-form", "fortran_fixed-form", "fortranfreeform"],
    extensions: &["f", "for", "ftn", "f77", "f90", "f95", "f03", "f08", "f18"],
    telling: &["implicit none", "\nend subroutine", "end program"],
    lexis: Lexis {
        folds_case: true,
        line_comments: &["!"],
        block_comments: &[],
        quotes: Quotes::Fortran,
        word_bytes: &[],
        qualifier: "%",
        keywords: &[
            "allocatable",
            "allocate",
            "associate",
            "block",
            "call",
            "case",
            "character",
            "class",
            "close",
            "common",
            "complex",
            "contains",
            "continue",
            "cycle",
            "data",
            "deallocate",
            "default",
            "dimension",
            "do",
            "double",
            "elemental",
            "else",
            "elseif",
            "end",
            "enddo",
            "endfunction",
            "endif",
            "endmodule",
            "endprogram",
            "endsubroutine",
            "exit",
            "external",
            "function",
            "goto",
            "if",
            "implicit",
            "in",
            "include",
            "inout",
            "integer",
            "intent",
            "interface",
            "intrinsic",
            "kind",
            "logical",
            "module",
            "none",
            "nullify",
            "only",
            "open",
            "optional",
            "out",
            "parameter",
            "pointer",
            "precision",
            "print",
            "private",
            "procedure",
            "program",
            "public",
            "pure",
            "read",
            "real",
            "recursive",
            "result",
            "return",
            "save",
            "select",
            "stop",
            "submodule",
            "subroutine",
            "target",
            "then",
            "type",
            "use",
            "value",
            "where",
            "while",
            "write",
        ],
        keyword_slots: OnceLock::new(),
    },
    outline,
    unit_begins: &[],
    checkers: check::CHECKERS,
    accepts_switch: check::accepts_switch,
};

const WORDS: Plain = Plain {
    imports: &["use", "include"],
    opens: &["module", "submodule", "program", "subroutine", "function"],
    closes: &["endmodule", "endprogram", "endsubroutine", "endfunction"],
    declares: &["type"],
};

fn outline(outline: &mut Outline<'_>) {
    // `end subroutine x` is seen as one: `end` before a word that opens is not a new scope.
    let ends: Vec<usize> = (1..outline.len())
        .filter(|at| outline.is(at - 1, "end") && outline.is_any(*at, WORDS.opens))
        .collect();
    for at in ends {
        outline.lexemes[at].kind = crate::lexis::Kind::Number;
    }
    plain(outline, &WORDS);
    // `real, intent(in) :: a, b`
    for at in 0..outline.len() {
        if outline.symbols(at, b':', b':') {
            outline.declare_list(at + 2);
        }
    }
}
