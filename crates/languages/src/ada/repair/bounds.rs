//! Code that takes an array parameter to begin at 1 or 0, which its type does not promise: GNAT warns of it for strings only.

use crate::repair::expressions::{profile, simple};
use crate::repair::{Draft, Edit, insert, replace};

/// Has the body work on a copy that begins where the code takes it to. What did not fail before does the same as before.
pub(crate) fn rebase(draft: &Draft<'_>) -> Option<Vec<Edit>> {
    let at = super::names::declarations(draft)?;
    let mut edits = Vec::new();
    for (name, subtype) in profile(draft)?.parameters {
        if !is_open_array(draft, simple(subtype)) || is_out(draft, name) {
            continue;
        }
        let Some(base) = assumed_base(draft, name) else { continue };
        let copy = format!("Based_{name}");
        let last = if base == 0 { format!("{name}'Length - 1") } else { format!("{name}'Length") };
        edits.push(insert(at, format!("\n      {copy} : constant {subtype} ({base} .. {last}) := {name};")));
        let uses = draft.hole_tokens().filter(|token| {
            let before = token.wrapping_sub(1);
            draft.is(*token, name)
                && !draft.is_any(before, &[".", "'"])
                && !draft.is_any(token + 1, &["=>", ":"])
        });
        edits.extend(uses.map(|token| replace(draft.bytes(token), copy.clone())));
    }
    // Several copies are declared at one place.
    let (declarations, mut uses): (Vec<Edit>, Vec<Edit>) =
        edits.into_iter().partition(|edit| edit.at.is_empty());
    let words: String = declarations.into_iter().map(|edit| edit.with).collect();
    if !words.is_empty() {
        uses.push(insert(at, words));
    }
    uses.extend(draft.hole_tokens().filter_map(|token| counted_aggregate(draft, token)));
    (!uses.is_empty()).then_some(uses)
}

/// `A : Integer_Array := (1, 2, 3);` begins at the first of all integers: the bounds that the code takes it to have.
fn counted_aggregate(draft: &Draft<'_>, token: usize) -> Option<Edit> {
    let subtype = token + 2 + usize::from(draft.is(token + 2, "constant"));
    let open = subtype + 2;
    let is_one = draft.is_name(token)
        && draft.is(token + 1, ":")
        && draft.is(subtype + 1, ":=")
        && is_open_array(draft, draft.word(subtype));
    let close =
        draft.close(open).filter(|close| is_one && draft.is(open, "(") && draft.is(close + 1, ";"))?;
    let mut depth = 0usize;
    let mut elements = 1usize;
    for at in open + 1..close {
        match draft.word(at) {
            "(" => depth += 1,
            ")" => depth = depth.checked_sub(1)?,
            "," if depth == 0 => elements += 1,
            "=>" | ".." | "for" if depth == 0 => return None,
            _ => {}
        }
    }
    let base = usize::from(assumed_base(draft, draft.word(token)).unwrap_or(1));
    let last = base + elements - 1;
    (elements > 1).then(|| insert(draft.end(subtype), format!(" ({base} .. {last})")))
}

/// Whether the text declares that type as an array of any bounds, whose index is no Positive.
fn is_open_array(draft: &Draft<'_>, subtype: &str) -> bool {
    (0..draft.len()).any(|at| {
        draft.is(at, "type")
            && draft.is(at + 1, subtype)
            && draft.is(at + 3, "array")
            && !draft.is(at + 5, "Positive")
            && draft.is(at + 6, "range")
            && draft.is(at + 7, "<>")
    })
}

fn is_out(draft: &Draft<'_>, name: &str) -> bool {
    (0..draft.hole_tokens().start).any(|at| {
        draft.is(at, name) && draft.is(at + 1, ":") && (draft.is(at + 2, "out") || draft.is(at + 3, "out"))
    })
}

/// 1 or 0, where the code counts the array, or a variable that begins as it, from there.
fn assumed_base(draft: &Draft<'_>, name: &str) -> Option<u8> {
    let hole = draft.hole_tokens();
    let copies = hole.clone().filter(|at| {
        draft.is(*at, name)
            && draft.is(at.wrapping_sub(1), ":=")
            && draft.is(at + 1, ";")
            && draft.is(at.wrapping_sub(3), ":")
    });
    let mut names = vec![name];
    names.extend(copies.filter_map(|at| at.checked_sub(4)).map(|at| draft.word(at)));
    let is_one = |at: usize| names.iter().any(|one| draft.is(at, one));
    let counted =
        hole.clone().filter(|at| draft.is(*at, "'") && draft.is(at + 1, "Length") && is_one(at - 1));
    for tick in counted {
        let range = tick.checked_sub(2).filter(|at| draft.is(*at, ".."));
        let first = range.and_then(|range| range.checked_sub(1));
        match first.map(|first| draft.word(first)) {
            Some("0") => return Some(0),
            Some("1" | "2" | "3") => return Some(1),
            _ => {}
        }
    }
    let literal = |digit: &str| {
        hole.clone()
            .any(|at| is_one(at) && draft.is(at + 1, "(") && draft.is(at + 2, digit) && draft.is(at + 3, ")"))
    };
    let indexed = |digit: &str| {
        hole.clone().any(|at| {
            let index = draft.word(at + 2);
            is_one(at) && draft.is(at + 1, "(") && draft.is_name(at + 2) && begins_at(draft, index, digit)
        })
    };
    if literal("0") || indexed("0") {
        return Some(0);
    }
    (literal("1") || indexed("1")).then_some(1)
}

/// Whether a loop or an assignment has the variable begin at that number.
fn begins_at(draft: &Draft<'_>, name: &str, digit: &str) -> bool {
    draft.hole_tokens().any(|at| {
        draft.is(at, digit)
            && (draft.is(at.wrapping_sub(1), "in")
                && draft.is(at.wrapping_sub(2), name)
                && draft.is(at + 1, "..")
                || draft.is(at.wrapping_sub(1), ":=")
                    && draft.is(at + 1, ";")
                    && (draft.is(at.wrapping_sub(2), name) || draft.is(at.wrapping_sub(4), name)))
    })
}
