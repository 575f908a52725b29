//! The opinions of GCC and of Clang, for C and for C++.

use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Unit, Written, directories, is_plain_switch,
    remarks, switches,
};

pub(super) const CHECKERS: &[Checker] = &[gcc("gcc", "gcc", plan_gcc), clang(plan_clang)];

const UNIT: &str = "unit.c";
const CLAIMS: &str = "legal by the compiler's rules, with the headers that are there; not linked, not run";

/// Neither prints lines of a source, which may be another file's.
pub(crate) const GCC: [&str; 6] = [
    "-fsyntax-only",
    "-Wall",
    "-fdiagnostics-plain-output",
    "-fdiagnostics-column-unit=byte",
    "-fmax-errors=100",
    "-x",
];
pub(crate) const CLANG: [&str; 6] =
    ["-fsyntax-only", "-Wall", "-fno-caret-diagnostics", "-fno-color-diagnostics", "-ferror-limit=100", "-x"];

pub(crate) const fn gcc(
    program: &'static str,
    package: &'static str,
    plan: fn(&Unit<'_>) -> Option<Plan>,
) -> Checker {
    let programs: &'static [&'static str] = if program.len() == 3 { &["gcc"] } else { &["g++"] };
    compiler(program, programs, package, &["-dumpfullversion"], plan)
}

pub(crate) const fn clang(plan: fn(&Unit<'_>) -> Option<Plan>) -> Checker {
    compiler("clang", &["clang"], "clang", &["--version"], plan)
}

const fn compiler(
    name: &'static str,
    programs: &'static [&'static str],
    package: &'static str,
    version: &'static [&'static str],
    plan: fn(&Unit<'_>) -> Option<Plan>,
) -> Checker {
    let (refuse, library) = (None, None);
    Checker {
        name,
        programs,
        package,
        claims: CLAIMS,
        version,
        refuse,
        purpose: Purpose::Judge,
        plan,
        library,
        read,
    }
}

fn plan_gcc(unit: &Unit<'_>) -> Option<Plan> {
    Some(plan(unit, "gcc", &GCC, "c"))
}

fn plan_clang(unit: &Unit<'_>) -> Option<Plan> {
    Some(plan(unit, "clang", &CLANG, "c"))
}

pub(crate) fn plan(unit: &Unit<'_>, program: &'static str, arguments: &[&str], language: &str) -> Plan {
    Plan::of(unit, UNIT, program, arguments)
        .with([language.to_owned()])
        .with(directories(unit.project, "-I"))
        .with(switches(unit, accepts_switch))
        .with([UNIT.to_owned()])
}

/// Warnings and standards. No comma: `-Wp,` hands switches on to the preprocessor.
pub(crate) fn accepts_switch(switch: &str) -> bool {
    matches!(switch, "-pedantic" | "-ansi" | "-funsigned-char" | "-fsigned-char" | "-ffreestanding")
        || is_plain_switch(switch, &["-std=", "-W"])
}

/// Lines such as `unit.c:2:22: error: ‘zz’ undeclared`. A header that is looked at alone is no program's main file.
pub(crate) fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let noise = |message: &str| message.contains("#pragma once in main file");
    remarks(unit, written, &Format { unit: UNIT, columns: Columns::Bytes, unnamed: None, noise })
}
