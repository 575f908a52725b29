//! A String that grows, which none can: each value of another length raises Constraint_Error, and GNAT says nothing of it.

use super::names::unit_start;
use crate::repair::{Draft, Edit, insert, replace};

const PACKAGE: &str = "Ada.Strings.Unbounded";

/// Makes an Unbounded_String of a variable that begins as some String and is then assigned itself and more. Its uses are
/// conversions; where it is changed in place, all is left alone.
pub(crate) fn unbounded(draft: &Draft<'_>) -> Option<Vec<Edit>> {
    let hole = draft.hole_tokens();
    let declared = |at: &usize| {
        draft.is_name(*at)
            && draft.is(at + 1, ":")
            && draft.is(at + 2, "String")
            && draft.is(at + 3, ":=")
            && !draft.is(at.wrapping_sub(1), ",")
    };
    let growing: Vec<usize> = hole
        .clone()
        .filter(declared)
        .filter(|at| grows(draft, draft.word(*at)) && is_plain(draft, *at))
        .collect();
    let mut edits = Vec::new();
    for declaration in &growing {
        let name = draft.word(*declaration);
        edits.push(replace(draft.bytes(declaration + 2), format!("{PACKAGE}.Unbounded_String")));
        for at in hole.clone().filter(|at| is_use(draft, *at, name)) {
            if draft.is(at + 1, ":=") {
                edits.extend(converted(draft, at + 1)?);
            } else {
                edits.push(replace(draft.bytes(at), format!("{PACKAGE}.To_String ({name})")));
            }
        }
        edits.extend(converted(draft, declaration + 3)?);
    }
    if edits.is_empty() {
        return None;
    }
    let is_clause = |at: usize| {
        draft.is(at, "with")
            && draft
                .source(at + 1..at + 6)
                .split_whitespace()
                .collect::<String>()
                .eq_ignore_ascii_case(PACKAGE)
    };
    if !(0..hole.start).any(is_clause) {
        let at = unit_start(draft);
        let clause = Edit { at: at..at, with: format!("with {PACKAGE};\n"), clause: true };
        if !draft.allows(&clause) {
            return None;
        }
        edits.push(clause);
    }
    Some(edits)
}

/// Whether the hole assigns it to itself with more before or behind.
pub(super) fn grows(draft: &Draft<'_>, name: &str) -> bool {
    draft.hole_tokens().any(|at| {
        let is_assigned = draft.is(at, name) && draft.is(at + 1, ":=") && !draft.is(at.wrapping_sub(1), ".");
        is_assigned
            && semicolon(draft, at).is_some_and(|end| {
                draft.is(at + 2, name) && draft.is(at + 3, "&")
                    || draft.is(end - 1, name) && draft.is(end - 2, "&")
            })
    })
}

/// Whether it is declared once in the hole, and no part of it is assigned.
fn is_plain(draft: &Draft<'_>, declaration: usize) -> bool {
    let name = draft.word(declaration);
    draft.hole_tokens().filter(|at| draft.is(*at, name)).all(|at| {
        let is_second = at != declaration && draft.is(at + 1, ":");
        let part = draft.close(at + 1).filter(|_| draft.is(at + 1, "("));
        !is_second && !part.is_some_and(|close| draft.is(close + 1, ":="))
    })
}

/// Whether the name there is the variable, and neither its declaration nor a part of another name.
fn is_use(draft: &Draft<'_>, at: usize, name: &str) -> bool {
    draft.is(at, name)
        && !draft.is_any(at.wrapping_sub(1), &[".", "'", "for"])
        && !draft.is_any(at + 1, &["=>", ":"])
}

/// The value behind an assignment's `:=`, as an Unbounded_String.
fn converted(draft: &Draft<'_>, assignment: usize) -> Option<[Edit; 2]> {
    let end = semicolon(draft, assignment)?;
    let blanks = draft.end(assignment)..draft.start(assignment + 1);
    let before = replace(blanks, format!(" {PACKAGE}.To_Unbounded_String ("));
    Some([before, insert(draft.start(end), ")")])
}

fn semicolon(draft: &Draft<'_>, from: usize) -> Option<usize> {
    (from..draft.hole_tokens().end).find(|at| draft.is(*at, ";"))
}
