//! The order of declarations and statements, what closes them, and what is declared nowhere.

use crate::Language;
use crate::repair::expressions::{declared, primary_end, without_declaration};
use crate::repair::{Draft, Edit, Report, insert, replace};

/// As the last line of the hole.
fn at_end(draft: &Draft<'_>, words: &str) -> Edit {
    let hole = &draft.text[draft.hole.clone()];
    insert(draft.hole.start + hole.trim_end().len(), format!("\n{words}\n"))
}

/// Before the token, on a line of its own.
pub(super) fn before(draft: &Draft<'_>, token: usize, words: &str) -> Edit {
    let at = draft.start(token);
    match at <= draft.hole.end {
        true => insert(at, format!("{words}\n{}", draft.indentation(at))),
        false => at_end(draft, words),
    }
}

/// The architecture's own `begin`: the first that no process or subprogram before it opens.
fn architecture_begin(draft: &Draft<'_>) -> Option<usize> {
    let hole = draft.hole_tokens();
    let mut nested = 0usize;
    for at in hole {
        let ends = draft.is(at.wrapping_sub(1), "end");
        if draft.is_any(at, &["process", "function", "procedure", "block"]) && !ends {
            nested += usize::from(!draft.is(at, "process") || nested == 0);
        } else if draft.is(at, "begin") {
            match nested {
                0 => return Some(at),
                _ => nested -= 1,
            }
        }
    }
    None
}

/// Behind the declaration or simple statement that begins at the token.
fn simple_end(draft: &Draft<'_>, token: usize) -> Option<usize> {
    (token..draft.hole_tokens().end).find(|at| draft.is(*at, ";")).map(|at| at + 1)
}

/// A signal or a variable that is declared behind `begin`.
pub(super) fn misplaced_declaration(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let says = report.says("declaration not allowed within statements")
        || report.says("unexpected token 'signal'")
        || report.says("unexpected token 'variable'")
        || report.says("unexpected token 'constant'")
        || report.says("unexpected token 'type'");
    let token = report.token;
    if !says || !draft.is_any(token, &["signal", "variable", "constant", "type"]) {
        return None;
    }
    let end = simple_end(draft, token)?;
    let whole = draft.start(token)..draft.end(end - 1);
    let words = draft.source(token..end);
    let in_process = (0..token).rev().find(|at| draft.is(*at, "process"));
    let in_process = in_process.filter(|at| !draft.is(at.wrapping_sub(1), "end"));
    let (begin, words) = match in_process {
        // A process has no signals of its own.
        Some(process) if !draft.is(token, "signal") => {
            ((process..token).find(|at| draft.is(*at, "begin"))?, words.to_owned())
        }
        _ => (architecture_begin(draft)?, words.replacen("variable", "signal", 1)),
    };
    if begin >= token {
        return None;
    }
    Some(vec![before(draft, begin, &words), replace(whole, "")])
}

/// `if`, `case` and loops among concurrent statements.
pub(super) fn outside_process(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let token = report.token;
    if !report.says("a generate statement must have a label") || !draft.is_any(token, &["if", "case", "for"])
    {
        return None;
    }
    let limit = draft.hole_tokens().end;
    let word = if draft.is(token, "for") { "loop" } else { draft.word(token) };
    let mut depth = 0usize;
    let mut end = None;
    for at in token..limit {
        if !draft.is(at, word) {
            continue;
        }
        if !draft.is(at.wrapping_sub(1), "end") {
            depth += 1;
        } else if depth <= 1 {
            end = Some(at + 1);
            break;
        } else {
            depth -= 1;
        }
    }
    let end = end.filter(|end| draft.is(*end, ";"))?;
    // `generate` is what it says it is not.
    if (token..end).any(|at| draft.is(at, "generate")) {
        let label = format!("generated_{token} : ");
        return Some(vec![insert(draft.start(token), label)]);
    }
    Some(vec![before(draft, token, "process (all)\nbegin"), insert(draft.end(end), "\nend process;")])
}

/// `'if' is expected instead of 'process'`, at the word behind an `end`.
pub(super) fn ends(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let message = report.messages.iter().find(|message| message.contains("' is expected instead of"))?;
    let wanted = message.split('\'').nth(1)?;
    let token = report.token;
    let end = token.checked_sub(1).filter(|end| draft.is(*end, "end"))?;
    match wanted {
        "if" | "case" | "loop" | "process" | "generate" | "component" => {
            // `end while;`, and an end of that kind that closes nothing.
            if draft.is_any(token, &["for", "while"]) {
                return Some(vec![replace(draft.bytes(token), wanted)]);
            }
            Some(vec![before(draft, end, &format!("end {wanted};"))])
        }
        _ => None,
    }
}

pub(super) fn missing_begin(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let says = report.says("'begin' is expected instead of")
        || report.says("object class keyword such as") && looks_concurrent(draft, report.token);
    let inside = draft.start(report.token) < draft.hole.end;
    (says && inside).then(|| vec![before(draft, report.token, "begin")])
}

/// Declarations, and no more.
pub(super) fn missing_body(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let says = report.says("'begin' is expected instead of");
    (says && draft.start(report.token) >= draft.hole.end).then(|| vec![at_end(draft, "begin")])
}

fn looks_concurrent(draft: &Draft<'_>, token: usize) -> bool {
    draft.is_name(token) && draft.is(primary_end(draft, token), "<=")
        || draft.is_any(token, &["process", "with"])
}

pub(super) fn architecture_variable(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let says = report.says("non-shared variable declaration not allowed");
    (says && draft.is(report.token, "variable")).then(|| vec![replace(draft.bytes(report.token), "signal")])
}

pub(super) fn declared_twice(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    report.says("already used for a declaration").then(|| without_declaration(draft, report.token))?
}

/// Names of packages that are there but not named.
const LIBRARY: &[(&str, &[&str])] = &[
    ("ieee.std_logic_1164", &["std_logic", "std_logic_vector", "std_ulogic", "rising_edge", "falling_edge"]),
    (
        "ieee.numeric_std",
        &[
            "unsigned",
            "signed",
            "to_unsigned",
            "to_signed",
            "to_integer",
            "resize",
            "shift_left",
            "shift_right",
        ],
    ),
    ("ieee.math_real", &["log2", "ceil", "floor", "round", "sqrt"]),
];

pub(super) fn context_clause(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("no declaration for \"") {
        return None;
    }
    let name = draft.word(report.token);
    let (package, _) =
        LIBRARY.iter().find(|(_, names)| names.iter().any(|one| one.eq_ignore_ascii_case(name)))?;
    let unit = (0..draft.hole_tokens().start).rev().find(|at| {
        let start = draft.start(*at);
        draft.is_any(*at, &["entity", "architecture", "package", "configuration"])
            && (start == 0 || draft.text.as_bytes().get(start - 1) == Some(&b'\n'))
    });
    let at = unit.map_or(0, |unit| draft.start(unit));
    let clause = format!("library ieee;\nuse {package}.all;\n");
    Some(vec![Edit { at: at..at, with: clause, clause: true }])
}

/// Declares a signal that is used as one.
pub(super) fn undeclared(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let token = report.token;
    let name = draft.word(token);
    let named = report.quoted("no declaration for", 0)?;
    if !named.eq_ignore_ascii_case(name) || !draft.is_name(token) {
        return None;
    }
    let is_type = draft.is_any(token.wrapping_sub(1), &[":", "of", "return", "in", "out", "is"]);
    let is_call = draft.is(token + 1, "(") && !draft.is(primary_end(draft, token), "<=");
    if is_type || is_call || draft.is(token.wrapping_sub(1), ".") {
        return None;
    }
    let hole = draft.hole_tokens();
    let value =
        hole.clone().find(|at| draft.is(*at, name) && draft.is_any(at + 1, &["<=", ":="])).map(|at| at + 2);
    let subtype = match value {
        Some(value) if draft.is_literal(value) && draft.word(value).starts_with('"') => {
            let bits = draft.word(value).trim_matches('"').len();
            format!("std_logic_vector({} downto 0)", bits.max(1) - 1)
        }
        Some(value) if draft.is(value + 1, ";") && declared(draft, draft.word(value), value).is_some() => {
            subtype_of(draft, draft.word(value), value)?
        }
        _ if draft.is(token + 1, "(") => return None,
        _ => "std_logic".to_owned(),
    };
    let begin = architecture_begin(draft)?;
    Some(vec![before(draft, begin, &format!("signal {name} : {subtype};"))])
}

/// The subtype of a declaration with its constraint.
pub(super) fn subtype_of(draft: &Draft<'_>, name: &str, until: usize) -> Option<String> {
    let at = (0..until).rev().find(|at| draft.is(*at, name) && draft.is_any(at + 1, &[":", ","]))?;
    let colon = (at..until).find(|colon| draft.is(*colon, ":"))?;
    let start = colon + 1 + usize::from(draft.is_any(colon + 1, &["in", "out", "inout", "buffer"]));
    Some(draft.source(start..primary_end(draft, start)).to_owned())
}

/// `case` without all choices.
pub(super) fn others(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("choice") || !(report.says("missing") || report.says("no choice")) {
        return None;
    }
    let case =
        (0..=report.token).rev().find(|at| draft.is(*at, "case") && !draft.is(at.wrapping_sub(1), "end"))?;
    let mut depth = 0usize;
    for at in case..draft.hole_tokens().end {
        if !draft.is(at, "case") {
            continue;
        }
        if !draft.is(at.wrapping_sub(1), "end") {
            depth += 1;
        } else if depth <= 1 {
            return Some(vec![before(draft, at - 1, "when others => null;")]);
        } else {
            depth -= 1;
        }
    }
    None
}

/// See [`crate::repair::trim`].
pub(crate) fn trim(prefix: &str, answer: &str, suffix: &str) -> String {
    let close = Draft::new(Language::Vhdl, suffix, 0..0, false);
    let draft = Draft::new(Language::Vhdl, answer, 0..0, false);
    let mut end = answer.len();
    if close.is(0, "end") && close.is(1, "architecture") {
        let names = architecture_name(prefix);
        let closes = (0..draft.len()).find(|at| {
            let name = draft.word(at + 1);
            draft.is(*at, "end")
                && (name.eq_ignore_ascii_case("architecture")
                    || names.is_some_and(|known| known.eq_ignore_ascii_case(name)))
        });
        if let Some(closes) = closes {
            end = answer[..draft.start(closes)].trim_end().len();
        }
    }
    answer[..end].to_owned()
}

fn architecture_name(prefix: &str) -> Option<&str> {
    let draft = Draft::new(Language::Vhdl, prefix, 0..0, false);
    let head = (0..draft.len()).rev().find(|at| draft.is(*at, "architecture") && draft.is(at + 2, "of"))?;
    Some(&prefix[draft.bytes(head + 1)])
}
