//! GNAT's opinion: syntax and semantics, without code.

use crate::check::{Checker, Diagnostic, Plan, Severity, Unit, Written, includes};

pub(super) const CHECKERS: &[Checker] = &[Checker {
    name: "gnat",
    programs: &["gcc", "gnatchop", "gnatmake"],
    package: "gnat",
    claims: "legal by the language's rules; not elaborated, not run",
    version: &["-dumpfullversion"],
    plan,
    library: None,
    read,
}];

/// Splits what may be several units, and has each looked at. With `-r`, GNAT speaks of the lines of the one file.
const SCRIPT: &str = r#"
mkdir units || exit 3
gnatchop -q -w -r "$1" units || exit 3
shift
status=0
for unit in units/*.ads units/*.adb; do
    [ -e "$unit" ] || continue
    gcc -c -gnatc -gnat2022 -gnatef -Iunits "$@" "$unit" || status=1
done
exit $status
"#;

const UNIT: &str = "unit.ada";
const PRAGMAS: &str = "gnat.adc";

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let mut arguments = vec!["-c".to_owned(), SCRIPT.to_owned(), "sh".to_owned(), UNIT.to_owned()];
    arguments.extend(includes(unit.project));
    arguments.extend(unit.rules.switches.iter().cloned());
    let mut files = vec![(UNIT.to_owned(), unit.text.to_owned())];
    if !unit.rules.pragmas.is_empty() {
        files.push((PRAGMAS.to_owned(), unit.rules.pragmas.join("\n") + "\n"));
        arguments.push(format!("-gnatec={PRAGMAS}"));
    }
    Some(Plan { files, program: "sh", arguments })
}

pub(super) fn accepts_switch(switch: &str) -> bool {
    switch.starts_with("-gnatw") || switch.starts_with("-gnaty")
}

/// Lines such as `unit.ada:3:14: error: missing ";"`.
fn read(_unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let words = String::from_utf8_lossy(written.stderr);
    words.lines().filter_map(diagnostic).collect()
}

fn diagnostic(line: &str) -> Option<Diagnostic> {
    let mut parts = line.splitn(4, ':');
    let (file, row, column) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let message = parts.next()?.trim();
    let (severity, message) = match message {
        _ if message.starts_with("warning: ") => (Severity::Warning, message.trim_start_matches("warning: ")),
        _ if message.starts_with("(style)") => (Severity::Warning, message),
        _ => (Severity::Error, message.trim_start_matches("error: ")),
    };
    let is_ours = file == UNIT;
    Some(Diagnostic {
        severity,
        line: is_ours.then_some(row),
        column: is_ours.then_some(column),
        file: (!is_ours).then(|| file.to_owned()),
        message: message.to_owned(),
    })
}
