//! rustc's opinion.

use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Unit, Written, is_plain_switch, remarks, switches,
};
use crate::lexis::Lexer;

pub(super) const CHECKERS: &[Checker] = &[Checker {
    name: "rustc",
    programs: &["rustc"],
    package: "rustc",
    claims: "legal as a crate of this one file; other crates and modules are not known; not run",
    version: &["--version"],
    refuse: None,
    purpose: Purpose::Judge,
    plan,
    library: None,
    read,
}];

const UNIT: &str = "unit.rs";

/// The edition wants rustc 1.85 or later, as Debian 13 has it.
fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let kind = if has_main(unit) { "bin" } else { "lib" };
    let arguments = [
        "--edition",
        "2024",
        "--emit=metadata",
        "--error-format=short",
        "--crate-name=unit",
        "--crate-type",
        kind,
    ];
    Some(
        Plan::of(unit, UNIT, "rustc", &arguments)
            .with(switches(unit, accepts_switch))
            .with([UNIT.to_owned()]),
    )
}

/// Whether the text has a function of that name: then it is a program.
fn has_main(unit: &Unit<'_>) -> bool {
    let mut before = "";
    Lexer::new(&unit.language.pack().lexis, unit.text).any(|lexeme| {
        let words = &unit.text[lexeme.start..lexeme.end];
        let found = before == "fn" && words == "main";
        before = words;
        found
    })
}

/// Levels of lints by name: `-Wunused`.
pub(super) fn accepts_switch(switch: &str) -> bool {
    let name = ["-A", "-W", "-D", "-F"].iter().find_map(|level| switch.strip_prefix(level));
    name.is_some_and(|name| is_plain_switch(&name.replace('_', "-"), &[""]) && !name.is_empty())
}

/// Lines such as `unit.rs:2:29: error[E0308]: mismatched types`.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    remarks(
        unit,
        written,
        &Format { unit: UNIT, columns: Columns::Characters, unnamed: None, noise: |_| false },
    )
}
