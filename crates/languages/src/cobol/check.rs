//! GnuCOBOL's opinion.

use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Unit, Written, directories, is_plain_switch,
    remarks, switches,
};

pub(super) const CHECKERS: &[Checker] = &[Checker {
    name: "cobc",
    programs: &["cobc"],
    package: "gnucobol3",
    claims: "legal in GnuCOBOL's dialect, with the copybooks that are there; not run",
    version: &["--version"],
    refuse: None,
    purpose: Purpose::Judge,
    plan,
    library: None,
    read,
}];

const UNIT: &str = "unit.cob";

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let form = if is_free(unit.text) { "-free" } else { "-fixed" };
    let plan = Plan::of(unit, UNIT, "cobc", &["-fsyntax-only", form]).with(directories(unit.project, "-I"));
    Some(plan.with(switches(unit, accepts_switch)).with([UNIT.to_owned()]))
}

/// In the fixed form nothing but numbers stands before column 7, and only a mark in it.
fn is_free(text: &str) -> bool {
    const LINES_MAX: usize = 32;
    text.lines().filter(|line| !line.trim().is_empty()).take(LINES_MAX).any(|line| {
        let before = line.bytes().take(6).take_while(|byte| *byte != b'\t');
        let mut before = before.filter(|byte| !byte.is_ascii_digit() && *byte != b' ');
        before.next().is_some()
    })
}

pub(super) fn accepts_switch(switch: &str) -> bool {
    is_plain_switch(switch, &["-std=", "-W"])
}

/// Lines such as `unit.cob:7: error: 'Y' is not defined`: no columns.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    remarks(unit, written, &Format { unit: UNIT, columns: Columns::Bytes, unnamed: None, noise: |_| false })
}
