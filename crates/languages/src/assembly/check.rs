//! The GNU assembler's opinion, for the machine that it runs on.

use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Unit, Written, directories, remarks,
};

pub(super) const CHECKERS: &[Checker] = &[Checker {
    name: "as",
    programs: &["as"],
    package: "binutils",
    claims: "assembles for this machine; not linked, not run",
    version: &["--version"],
    refuse: None,
    purpose: Purpose::Judge,
    plan,
    library: None,
    read,
}];

const UNIT: &str = "unit.s";

/// Nothing is said of `.asm`, which is another assembler's, nor of `.S`, which is for the preprocessor first.
fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let ending = unit.file_name.and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending);
    if ending.is_some_and(|ending| ending != "s") {
        return None;
    }
    let plan = Plan::of(unit, UNIT, "as", &["-o", "unit.o"]);
    Some(plan.with(directories(unit.project, "-I")).with([UNIT.to_owned()]))
}

/// There are none.
pub(super) fn accepts_switch(_switch: &str) -> bool {
    false
}

/// Lines such as ``unit.s:2: Error: no such instruction: `foo %eax'``: no columns.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    remarks(unit, written, &Format { unit: UNIT, columns: Columns::Bytes, unnamed: None, noise: |_| false })
}
