//! Free Pascal's opinion.

use crate::check::{
    Checker, Columns, Diagnostic, Format, Plan, Purpose, Unit, Written, directories, is_plain_switch,
    remarks, switches,
};
use crate::lexis::Lexer;

pub(super) const CHECKERS: &[Checker] = &[Checker {
    name: "fpc",
    programs: &["fpc"],
    package: "fp-compiler",
    claims: "legal by the compiler's rules, with the units that are there; not linked, not run",
    version: &["-iV"],
    refuse: None,
    purpose: Purpose::Judge,
    plan,
    library: None,
    read,
}];

fn plan(unit: &Unit<'_>) -> Option<Plan> {
    let file_name = file_name(unit);
    let plan = Plan::of(unit, &file_name, "fpc", &["-Cn", "-s", "-v0ew", "-l-"]);
    let plan = plan.with(directories(unit.project, "-Fu")).with(directories(unit.project, "-Fi"));
    Some(plan.with(switches(unit, accepts_switch)).with([file_name]))
}

/// A unit's file must have its name.
fn file_name(unit: &Unit<'_>) -> String {
    const NAME_BYTES_MAX: usize = 128;
    let mut lexer = Lexer::new(&unit.language.pack().lexis, unit.text);
    let mut next = || lexer.next().map_or("", |lexeme| &unit.text[lexeme.start..lexeme.end]);
    let (first, name) = (next(), next());
    let is_name = name.len() <= NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let stem = if first.eq_ignore_ascii_case("unit") && is_name { name } else { "unit" };
    format!("{}.pas", stem.to_ascii_lowercase())
}

/// The language's mode, and notes and hints.
pub(super) fn accepts_switch(switch: &str) -> bool {
    matches!(switch, "-Mfpc" | "-Mobjfpc" | "-Mdelphi" | "-Mtp" | "-Miso" | "-vn" | "-vh")
        || is_plain_switch(switch, &["-vm"])
}

/// Lines such as `unit.pas(5,19) Error: Identifier not found "zz"` on standard output.
fn read(unit: &Unit<'_>, written: &Written<'_>) -> Vec<Diagnostic> {
    let usual = |bytes: &[u8]| {
        let words = String::from_utf8_lossy(bytes);
        words
            .lines()
            .map(|line| with_colons(line).unwrap_or_else(|| line.to_owned()) + "\n")
            .collect::<String>()
    };
    let (stdout, stderr) = (usual(written.stdout), usual(written.stderr));
    let noise = |message: &str| message.starts_with("There were ") && message.ends_with(" module, stopping");
    let file_name = file_name(unit);
    let format = Format { unit: &file_name, columns: Columns::Bytes, unnamed: None, noise };
    let (stdout, stderr) = (stdout.as_bytes(), stderr.as_bytes());
    remarks(unit, &Written { stdout, stderr, succeeded: written.succeeded }, &format)
}

/// `file(1,2) words` as `file:1:2: words`.
fn with_colons(line: &str) -> Option<String> {
    let (file, rest) = line.split_once('(')?;
    let (place, words) = rest.split_once(") ")?;
    let is_place = !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    is_place.then(|| format!("{file}:{}: {words}", place.replace(',', ":")))
}
