//! Python's own opinion, of syntax alone.

use crate::check::{Checker, Columns, Diagnostic, Format, Plan, Purpose, Unit, Written, remarks};

pub(super) const CHECKERS: &[Checker] = &[Checker {
    name: "python3",
    programs: &["python3"],
    package: "python3",
    claims: "compiles; names, types and imports are not looked at; not run",
    version: &["--version"],
    refuse: None,
    purpose: Purpose::Judge,
    plan,
    library: None,
    read,
}];

const UNIT: &str = "unit.py";

/// Parses and compiles the text, and throws the code away. Columns are bytes from 1, and 0 where there is none: the parser
/// counts characters, the compiler bytes.
const SCRIPT: &str = r#"
import sys, warnings
name = sys.argv[1]
def say(severity, line, column, words):
    print("%s:%d:%d: %s: %s" % (name, line or 1, column or 0, severity, words), file=sys.stderr)
ONLY_AST = 0x400
status = 0
parsed = False
with open(name, "rb") as file:
    text = file.read()
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    try:
        tree = compile(text, name, "exec", ONLY_AST, dont_inherit=True)
        parsed = True
        compile(tree, name, "exec", dont_inherit=True)
    except SyntaxError as error:
        column = error.offset or 0
        if column > 0 and error.text and not parsed:
            column = len(error.text[:column - 1].encode(errors="replace")) + 1
        say("error", error.lineno, column, error.msg)
        status = 1
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        say("error", 1, 0, str(error) or type(error).__name__)
        status = 1
for one in heard:
    say("warning", one.lineno, 0, one.message)
sys.exit(status)
"#;

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    Some(Plan::of(unit, UNIT, "python3", &["-I", "-S", "-B", "-X", "utf8", "-c", SCRIPT, UNIT]))
}

/// There are none.
pub(super) fn accepts_switch(_switch: &str) -> bool {
    false
}

fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    remarks(unit, written, &Format { unit: UNIT, columns: Columns::Bytes, unnamed: None, noise: |_| false })
}
