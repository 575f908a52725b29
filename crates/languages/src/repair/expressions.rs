//! Where an expression of Ada or VHDL begins and ends, and what its names are declared as, by the tokens alone.

use std::ops::Range;

use crate::repair::{Draft, Edit, insert, replace};

const RELATION: u8 = 2;

/// How strongly a binary operator binds; `None` for other tokens.
pub(crate) fn strength(draft: &Draft<'_>, token: usize) -> Option<u8> {
    Some(match draft.word(token).to_ascii_lowercase().as_str() {
        "and" | "or" | "xor" | "nand" | "nor" | "xnor" | "then" | "else" if is_logical(draft, token) => 1,
        "=" | "/=" | "<" | "<=" | ">" | ">=" | "in" => RELATION,
        "+" | "-" | "&" => 3,
        "*" | "/" | "mod" | "rem" => 4,
        "**" => 5,
        _ => return None,
    })
}

/// `and`, `or` and their like, and the second words of `and then` and `or else`.
pub(crate) fn is_logical(draft: &Draft<'_>, token: usize) -> bool {
    let before = token.wrapping_sub(1);
    draft.is_any(token, &["and", "or", "xor", "nand", "nor", "xnor"])
        || draft.is(token, "then") && draft.is(before, "and")
        || draft.is(token, "else") && draft.is(before, "or")
}

/// Whether an operand ends with the token.
pub(crate) fn ends_operand(draft: &Draft<'_>, token: usize) -> bool {
    draft.is_name(token)
        || draft.is_number(token)
        || draft.is_literal(token)
        || draft.is_any(token, &[")", "null"])
}

/// Whether the token is an operator between two operands.
pub(crate) fn is_binary(draft: &Draft<'_>, token: usize) -> bool {
    strength(draft, token).is_some() && token > 0 && ends_operand(draft, token - 1)
}

/// Behind the primary that begins at the token.
pub(crate) fn primary_end(draft: &Draft<'_>, token: usize) -> usize {
    let mut at = token;
    while draft.is_any(at, &["-", "+", "not", "abs", "new"]) {
        at += 1;
    }
    if draft.is(at, "(") {
        return draft.close(at).map_or(at + 1, |close| close + 1);
    }
    at += 1;
    loop {
        if draft.is(at, ".") && !draft.word(at + 1).is_empty() {
            at += 2;
        } else if draft.is(at, "'") && draft.is(at + 1, "(") {
            at += 1;
        } else if draft.is(at, "'") {
            at += 2;
        } else if draft.is(at, "(") {
            let Some(close) = draft.close(at) else { return at };
            at = close + 1;
        } else {
            return at.min(draft.len().max(token));
        }
    }
}

/// Where the primary begins that ends with the token.
pub(crate) fn primary_start(draft: &Draft<'_>, token: usize) -> usize {
    let mut at = token;
    loop {
        if draft.is(at, ")") {
            let Some(open) = draft.open(at) else { return at };
            at = open;
            let Some(before) = at.checked_sub(1) else { return at };
            if draft.is_name(before) || draft.is(before, ")") {
                at = before;
                continue;
            }
            if draft.is(before, "'") && before > 0 {
                at = before - 1;
                continue;
            }
            return at;
        }
        match at.checked_sub(2) {
            Some(before) if draft.is(at - 1, ".") || draft.is(at - 1, "'") => at = before,
            _ => return at,
        }
    }
}

/// The expression that a report is about: GNAT names an operation by its operator, all else by its first token.
pub(crate) fn expression(draft: &Draft<'_>, token: usize) -> Range<usize> {
    match operands(draft, token) {
        Some((left, right)) => left.start..right.end,
        None => token..primary_end(draft, token),
    }
}

/// The operands of the binary operator at the token.
pub(crate) fn operands(draft: &Draft<'_>, token: usize) -> Option<(Range<usize>, Range<usize>)> {
    let strength_here = strength(draft, token).filter(|_| is_binary(draft, token))?;
    let mut start = primary_start(draft, token - 1);
    // Relations do not chain, and VHDL's `<=` before one is an assignment.
    let binds = |other: u8| other > strength_here || other == strength_here && strength_here != RELATION;
    let assigns = |at: usize| draft.is(at, "<=") && is_assignment(draft, at);
    while start >= 2
        && strength(draft, start - 1).is_some_and(binds)
        && is_binary(draft, start - 1)
        && !assigns(start - 1)
    {
        start = primary_start(draft, start - 2);
    }
    if start > 0 && draft.is_any(start - 1, &["-", "+", "abs"]) && !is_binary(draft, start - 1) {
        start -= 1;
    }
    let mut end = primary_end(draft, token + 1);
    while strength(draft, end).is_some_and(|other| other > strength_here) {
        end = primary_end(draft, end + 1);
    }
    Some((start..token, token + 1..end))
}

/// The subtype that the nearest declaration before the token gives that name, as it is written there.
pub(crate) fn declared<'a>(draft: &Draft<'a>, name: &str, before: usize) -> Option<&'a str> {
    (0..before.min(draft.len())).rev().find_map(|at| {
        if !draft.is(at, name) || draft.is(at.wrapping_sub(1), ".") {
            return None;
        }
        let mut colon = at + 1;
        while draft.is(colon, ",") && draft.is_name(colon + 1) {
            colon += 2;
        }
        let mut subtype = colon + 1;
        while draft.is_any(subtype, &["constant", "in", "out", "inout", "buffer", "aliased"]) {
            subtype += 1;
        }
        (draft.is(colon, ":") && draft.is_name(subtype)).then(|| {
            let mut end = subtype + 1;
            while draft.is(end, ".") && draft.is_name(end + 1) {
                end += 2;
            }
            draft.source(subtype..end)
        })
    })
}

/// The last part of a qualified name.
pub(crate) fn simple(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// The result's subtype, and the parameters with theirs, of the subprogram around the token: names in order.
pub(crate) struct Profile<'a> {
    pub(crate) is_function: bool,
    pub(crate) result: Option<&'a str>,
    pub(crate) parameters: Vec<(&'a str, &'a str)>,
}

/// The profile of the last subprogram whose words begin before the hole, as a hole is mostly its body.
pub(crate) fn profile<'a>(draft: &Draft<'a>) -> Option<Profile<'a>> {
    let hole = draft.hole_tokens();
    let head = (0..hole.start)
        .rev()
        .find(|at| draft.is_any(*at, &["function", "procedure"]) && !draft.is(at.wrapping_sub(1), "end"))?;
    let mut parameters = Vec::new();
    let mut at = head + 2;
    if draft.is(at, "(") {
        let close = draft.close(at)?;
        for colon in at..close {
            if !draft.is(colon, ":") {
                continue;
            }
            let mut first = colon - 1;
            while draft.is(first.wrapping_sub(1), ",") && draft.is_name(first.wrapping_sub(2)) {
                first -= 2;
            }
            for name in (first..colon).step_by(2) {
                if let Some(subtype) = declared(draft, draft.word(name), colon) {
                    parameters.push((draft.word(name), subtype));
                }
            }
        }
        at = close + 1;
    }
    let result = draft.is(at, "return").then(|| draft.word(at + 1)).filter(|word| !word.is_empty());
    Some(Profile { is_function: draft.is(head, "function"), result, parameters })
}

/// Whether VHDL's `<=` at the token assigns: its target begins a statement.
pub(crate) fn is_assignment(draft: &Draft<'_>, token: usize) -> bool {
    let Some(last) = token.checked_sub(1) else { return false };
    let target = primary_start(draft, last);
    target == 0
        || draft.is_any(
            target - 1,
            &[";", "begin", "then", "else", "loop", "is", "=>", ":", "generate", "select"],
        ) && !draft.is(target.wrapping_sub(2), "or")
}

/// `A and B or C`: the stronger of other languages first.
pub(crate) fn group(draft: &Draft<'_>, operator: usize) -> Option<Vec<Edit>> {
    let is_end = |at: usize| {
        draft.is_any(at, &[";", "loop", ",", "=>", ":=", "when"])
            || draft.is_any(at, &["then", "else"]) && !draft.is_any(at.wrapping_sub(1), &["and", "or"])
            || draft.is(at, "<=") && is_assignment(draft, at)
    };
    let step = |at: usize| match draft.is(at, "(") {
        true => draft.close(at).map_or(at + 1, |close| close + 1),
        false => at + 1,
    };
    if draft.is(operator, "or") {
        let last = operator.checked_sub(1)?;
        let mut start = operator;
        while start > 0 {
            let before = start - 1;
            let opens = draft.is_any(before, &["(", "if", "elsif", "when", "while", "return", ";"]);
            if opens || is_end(before) || draft.is(before, "or") {
                break;
            }
            start = if draft.is(before, ")") { draft.open(before)? } else { before };
        }
        return Some(vec![insert(draft.start(start), "("), insert(draft.end(last), ")")]);
    }
    let mut start = operator;
    while start > 0
        && !is_logical(draft, start - 1)
        && !is_end(start - 1)
        && !draft.is_any(start - 1, &["(", "if"])
    {
        start = if draft.is(start - 1, ")") { draft.open(start - 1)? } else { start - 1 };
    }
    let mut end = operator + 1;
    while end < draft.len() && !is_end(end) && !draft.is_any(end, &["or", "xor", ")"]) {
        end = step(end);
    }
    Some(vec![insert(draft.start(start), "("), insert(draft.end(end - 1), ")")])
}

/// Takes the name at the token out of its declaration, and the declaration with the last.
pub(crate) fn without_declaration(draft: &Draft<'_>, token: usize) -> Option<Vec<Edit>> {
    if draft.is(token + 1, ",") {
        return Some(vec![replace(draft.start(token)..draft.start(token + 2), "")]);
    }
    let before = token.checked_sub(1)?;
    if draft.is(before, ",") {
        return Some(vec![replace(draft.start(before)..draft.end(token), "")]);
    }
    let end = (token..draft.hole_tokens().end).find(|at| draft.is(*at, ";"))?;
    let start = if draft.is_any(before, &["signal", "variable", "constant"]) { before } else { token };
    let is_object = draft.is(token + 1, ":");
    is_object.then(|| vec![replace(draft.start(start)..draft.end(end), "")])
}
