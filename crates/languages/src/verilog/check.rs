//! The opinions of Icarus Verilog, which is quick, and of Verilator, which lints.

use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Severity, Unit, Written, directories,
    is_plain_switch, remarks, switches,
};

pub(super) const CHECKERS: &[Checker] = &[
    Checker {
        name: "iverilog",
        programs: &["iverilog"],
        package: "iverilog",
        claims: "elaborates as far as Icarus Verilog knows SystemVerilog; not simulated",
        version: &["-V"],
        refuse: None,
        purpose: Purpose::Judge,
        plan,
        library: None,
        read,
    },
    Checker {
        name: "verilator",
        programs: &["verilator"],
        package: "verilator",
        claims: "elaborates, and has no fault that Verilator's lint looks for; not simulated",
        version: &["--version"],
        refuse: None,
        purpose: Purpose::Judge,
        plan: plan_lint,
        library: None,
        read: read_lint,
    },
];

const UNIT: &str = "unit.sv";

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let plan = Plan::of(unit, UNIT, "iverilog", &["-g2012", "-t", "null", "-Y.v", "-Y.sv"]);
    let plan = plan.with(directories(unit.project, "-y")).with(directories(unit.project, "-I"));
    Some(plan.with(switches(unit, icarus_knows)).with([UNIT.to_owned()]))
}

fn plan_lint(unit: &Unit<'_>) -> Option<Plan> {
    // Several modules in a text are several tops; warnings alone are no failure.
    let plan = Plan::of(unit, UNIT, "verilator", &["--lint-only", "--sv", "-Wno-fatal", "-Wno-MULTITOP"]);
    let plan = plan.with(directories(unit.project, "-I"));
    Some(plan.with(switches(unit, verilator_knows)).with([UNIT.to_owned()]))
}

pub(super) fn accepts_switch(switch: &str) -> bool {
    icarus_knows(switch) || verilator_knows(switch)
}

fn icarus_knows(switch: &str) -> bool {
    const CLASSES: [&str; 8] = [
        "all",
        "implicit",
        "portbind",
        "select-range",
        "timescale",
        "floating-nets",
        "infloop",
        "sensitivity-entire-array",
    ];
    let class = switch.strip_prefix("-W").map(|class| class.strip_prefix("no-").unwrap_or(class));
    class.is_some_and(|class| CLASSES.contains(&class))
}

/// The codes of its warnings are upper-case.
fn verilator_knows(switch: &str) -> bool {
    let code = switch.strip_prefix("-Wno-").or_else(|| switch.strip_prefix("-Wwarn-"));
    switch == "-Wall"
        || code.is_some_and(|code| is_plain_switch(code, &[""]) && code == code.to_ascii_uppercase())
}

/// Lines such as `unit.sv:2: error: Unknown module type: sub` and `unit.sv:3: syntax error`: no columns.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    remarks(unit, written, &format(|_| false))
}

/// Lines such as `%Error: unit.sv:2:15: Can't find definition of variable: 'c'`. It counts what its preprocessor made of
/// the line: behind a comment or a macro that is another column.
fn read_lint(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let mut found =
        remarks(unit, written, &format(|message| message.starts_with("Filename 'unit' does not match")));
    let lines: Vec<&str> = unit.text.split('\n').collect();
    for one in &mut found {
        let line = one.line.and_then(|line| lines.get(line as usize - 1));
        if line.is_some_and(|line| line.contains("*/") || line.contains('`')) {
            one.column = None;
        }
    }
    found
}

fn format(noise: fn(&str) -> bool) -> Format<'static> {
    Format { unit: UNIT, columns: Columns::Bytes, unnamed: Some(Severity::Error), noise }
}
