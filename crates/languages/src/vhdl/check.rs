//! GHDL's opinion: analysis, and synthesis, and how a unit behaves.

use std::path::PathBuf;

use super::drive;
use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Severity, Unit, Written, is_plain_switch, remarks,
    switches,
};
use crate::lexis::{Kind, Lexer};

pub(super) const CHECKERS: &[Checker] = &[
    Checker {
        name: "ghdl",
        programs: &["ghdl"],
        package: "ghdl",
        claims: "legal by the language's rules; not elaborated, not simulated",
        version: &["--version"],
        refuse: Some(refuse),
        purpose: Purpose::Judge,
        plan,
        library: Some(library),
        read,
    },
    Checker {
        name: "ghdl-synth",
        programs: &["ghdl"],
        package: "ghdl",
        claims: "the last entity elaborates with its generics' defaults and can be synthesised; not simulated",
        version: &["--version"],
        refuse: Some(refuse),
        purpose: Purpose::JudgeFurther(is_hardware),
        plan: plan_synthesis,
        library: Some(library),
        read,
    },
    Checker {
        name: "ghdl-drive",
        programs: &["ghdl"],
        package: "ghdl",
        claims: "simulated with drawn inputs, and its outputs digested to compare it with others; whether they are right is \
                 not known",
        version: &["--version"],
        refuse: Some(refuse),
        purpose: Purpose::Behave,
        plan: drive::plan,
        library: Some(library),
        read: drive::read,
    },
];

const UNIT: &str = "unit.vhd";
/// So many files of a project are analysed; a larger one is analysed in part.
const LIBRARY_FILES_MAX: usize = 4096;

/// Copies the files that it is given, since GHDL reads them again with each use of the library, and refuses all of one
/// that changed; then analyses them in as many passes as bring at least one further. None is analysed again that was,
/// since that would make all that use it obsolete. What stays illegal is left out.
const LIBRARY: &str = r#"
left=$#
number=0
while [ "$number" -lt "$left" ]; do
    number=$((number + 1))
    mkdir -p "files/$number" && cp "$1" "files/$number/" && set -- "$@" "$PWD/files/$number/${1##*/}"
    shift
done
left=$#
while [ "$left" -gt 0 ]; do
    tried=0
    while [ "$tried" -lt "$left" ]; do
        file=$1
        shift
        ghdl -a --std=08 -frelaxed --workdir=. --work=work "$file" >/dev/null 2>&1 || set -- "$@" "$file"
        tried=$((tried + 1))
    done
    [ "$#" -lt "$left" ] || break
    left=$#
done
exit 0
"#;

fn library(files: &[PathBuf]) -> Plan {
    let files = files.iter().filter_map(|file| file.to_str()).take(LIBRARY_FILES_MAX);
    let arguments = ["-c", LIBRARY, "sh"].into_iter().chain(files).map(str::to_owned).collect();
    Plan { files: Vec::new(), program: "sh", arguments, executes: false }
}

/// A foreign subprogram is code of the machine, which GHDL loads and calls.
fn refuse(unit: &Unit<'_>) -> Option<Diagnostic> {
    let lexis = &unit.language.pack().lexis;
    let mut before = "";
    for lexeme in Lexer::new(lexis, unit.text) {
        let words = &unit.text[lexeme.start..lexeme.end];
        let is_foreign = match lexeme.kind {
            Kind::Word | Kind::Keyword => {
                before.eq_ignore_ascii_case("attribute") && words.eq_ignore_ascii_case("foreign")
            }
            Kind::Text => words.to_ascii_uppercase().contains("VHPIDIRECT"),
            _ => false,
        };
        if is_foreign {
            let lines = unit.text[..lexeme.start].split('\n');
            let (count, last) = lines.fold((0, ""), |(count, _), line| (count + 1, line));
            return Some(Diagnostic {
                line: Some(count),
                column: u32::try_from(last.len() + 1).ok(),
                ..Diagnostic::error("a foreign subprogram is code from outside: not handed to GHDL")
            });
        }
        before = words;
    }
    None
}

/// Synthesis of given files does not look into the library, so that the unit is put into a copy of it.
const SYNTHESIS_IN_LIBRARY: &str = r#"
cp -R "$1" library && chmod -R u+w library || exit 3
top=$2
shift 2
ghdl -a "$@" --workdir=library --work=work unit.vhd && ghdl --synth "$@" --workdir=library --work=work --out=none "$top"
"#;

pub(super) const SWITCHES: [&str; 3] = ["--std=08", "-frelaxed", "-fno-caret-diagnostics"];

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let library = library_of(unit).map(|library| [format!("--workdir={library}"), "--work=work".to_owned()]);
    let plan = Plan::of(unit, UNIT, "ghdl", &["-s"]).with(SWITCHES.map(str::to_owned));
    let plan = plan.with(library.into_iter().flatten()).with(switches(unit, accepts_switch));
    Some(plan.with([UNIT.to_owned()]))
}

fn plan_synthesis(unit: &Unit<'_>) -> Option<Plan> {
    let written = words(unit);
    let top = written[last_entity(&written)?];
    let more = SWITCHES.map(str::to_owned).into_iter().chain(switches(unit, accepts_switch));
    Some(match library_of(unit) {
        Some(library) => {
            Plan::of(unit, UNIT, "sh", &["-c", SYNTHESIS_IN_LIBRARY, "sh", library, top]).with(more)
        }
        None => {
            let last = ["--out=none", UNIT, "-e", top].map(str::to_owned);
            Plan::of(unit, UNIT, "ghdl", &["--synth"]).with(more).with(last)
        }
    })
}

pub(super) fn library_of<'a>(unit: &Unit<'a>) -> Option<&'a str> {
    unit.project.library.as_deref().and_then(|library| library.to_str())
}

pub(super) fn accepts_switch(switch: &str) -> bool {
    matches!(switch, "-fsynopsys" | "-fexplicit") || is_plain_switch(switch, &["--warn-"])
}

/// Whether the last entity can be expected to become hardware: it has ports, which a test bench has not, its architecture is
/// here, and each of its generics has a default.
fn is_hardware(unit: &Unit<'_>) -> bool {
    let written = words(unit);
    let Some(name) = last_entity(&written) else { return false };
    let is = |word: &&str, other: &str| word.eq_ignore_ascii_case(other);
    let end = written[name..].iter().position(|word| is(word, "architecture"));
    let (declaration, rest) = written[name..].split_at(end.unwrap_or(written.len() - name));
    let Some(ports) = declaration.iter().position(|word| is(word, "port")) else { return false };
    let count = |symbol: &str| declaration[..ports].iter().filter(|word| **word == symbol).count();
    rest.get(2..4).is_some_and(|of| is(&of[0], "of") && is(&of[1], written[name]))
        // A default is a colon more, and an equals sign.
        && count(":") == 2 * count("=")
}

/// Where the name of the last `entity` stands that is followed by `is`.
pub(super) fn last_entity(written: &[&str]) -> Option<usize> {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let begins = |three: &[&str]| {
        matches!(three, [entity, name, is]
            if entity.eq_ignore_ascii_case("entity") && is.eq_ignore_ascii_case("is") && is_name(name))
    };
    written.windows(3).rposition(begins).map(|at| at + 1)
}

pub(super) fn words<'t>(unit: &Unit<'t>) -> Vec<&'t str> {
    let lexemes = Lexer::new(&unit.language.pack().lexis, unit.text);
    lexemes.map(|lexeme| &unit.text[lexeme.start..lexeme.end]).collect()
}

/// Lines such as `unit.vhd:3:39: no declaration for "x"` and `unit.vhd:8:3:warning: infinite loop`. That the library has
/// the unit as well is no fault of it.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let columns = Columns::TabbedBytes;
    let noise = |message: &str| message.contains(" was also defined in file ");
    remarks(unit, written, &Format { unit: UNIT, columns, unnamed: Some(Severity::Error), noise })
}
