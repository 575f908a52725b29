//! GNU Fortran's opinion.

use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Unit, Written, directories, is_plain_switch,
    remarks, switches,
};

pub(super) const CHECKERS: &[Checker] = &[Checker {
    name: "gfortran",
    programs: &["gfortran"],
    package: "gfortran",
    claims: "legal by the compiler's rules, with the modules that are there; not linked, not run",
    version: &["-dumpfullversion"],
    refuse: None,
    purpose: Purpose::Judge,
    plan,
    library: None,
    read,
}];

const UNIT: &str = "unit.f90";

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let arguments = ["-fsyntax-only", "-Wall", "-Wno-tabs", "-fdiagnostics-plain-output", "-fmax-errors=100"];
    let ending = unit.file_name.and_then(|name| name.rsplit_once('.')).map_or("", |(_, ending)| ending);
    let is_fixed = matches!(ending.to_ascii_lowercase().as_str(), "f" | "for" | "ftn" | "f77");
    let form = if is_fixed { "-ffixed-form" } else { "-ffree-form" };
    // An upper-case ending asks for the preprocessor.
    let preprocessed = ending.starts_with('F').then(|| "-cpp".to_owned());
    let plan = Plan::of(unit, UNIT, "gfortran", &arguments).with([form.to_owned()]).with(preprocessed);
    let plan = plan.with(directories(unit.project, "-I")).with(switches(unit, accepts_switch));
    Some(plan.with([UNIT.to_owned()]))
}

pub(super) fn accepts_switch(switch: &str) -> bool {
    matches!(switch, "-pedantic" | "-fimplicit-none" | "-ffree-line-length-none" | "-ffixed-line-length-none")
        || is_plain_switch(switch, &["-std=", "-W"])
}

/// Lines such as `unit.f90:3:36: Error: Symbol ‘zz’ at (1) has no IMPLICIT type`. The column is of a name's last byte.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    remarks(unit, written, &Format { unit: UNIT, columns: Columns::Bytes, unnamed: None, noise: |_| false })
}
