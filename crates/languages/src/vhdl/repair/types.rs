//! Types: conversions between bits, vectors of them, and numbers.

use std::ops::Range;

use crate::repair::expressions::{
    declared, is_assignment, is_binary, operands, primary_end, primary_start, simple, strength,
};
use crate::repair::{Draft, Edit, Report, insert, replace};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bit,
    Vector,
    Unsigned,
    Signed,
    Integer,
    Boolean,
    Unknown,
}

pub(super) fn named(subtype: &str) -> Type {
    match simple(subtype).to_ascii_lowercase().as_str() {
        "std_logic" | "std_ulogic" => Type::Bit,
        "std_logic_vector" | "std_ulogic_vector" => Type::Vector,
        "unsigned" | "unresolved_unsigned" => Type::Unsigned,
        "signed" | "unresolved_signed" => Type::Signed,
        "integer" | "natural" | "positive" => Type::Integer,
        "boolean" => Type::Boolean,
        _ => Type::Unknown,
    }
}

/// What the primary of these tokens is, by its declaration or by its looks.
fn type_of(draft: &Draft<'_>, tokens: &Range<usize>) -> Type {
    let first = tokens.start;
    if draft.is_number(first) && tokens.len() == 1 {
        return Type::Integer;
    }
    if draft.is_literal(first) && tokens.len() == 1 {
        return if draft.word(first).starts_with('\'') { Type::Bit } else { Type::Vector };
    }
    match draft.word(first).to_ascii_lowercase().as_str() {
        "to_integer" => return Type::Integer,
        "to_unsigned" | "unsigned" => return Type::Unsigned,
        "to_signed" | "signed" => return Type::Signed,
        "std_logic_vector" => return Type::Vector,
        _ => {}
    }
    if !draft.is_name(first) {
        return Type::Unknown;
    }
    let whole = declared(draft, draft.word(first), first).map_or(Type::Unknown, named);
    if tokens.len() == 1 {
        return whole;
    }
    let is_slice = tokens.clone().any(|at| draft.is_any(at, &["downto", "to"]));
    let is_index = draft.is(first + 1, "(") && draft.close(first + 1) == Some(tokens.end - 1);
    match whole {
        Type::Vector | Type::Unsigned | Type::Signed if is_index && is_slice => whole,
        Type::Vector | Type::Unsigned | Type::Signed if is_index => Type::Bit,
        _ => Type::Unknown,
    }
}

fn wrap(draft: &Draft<'_>, tokens: &Range<usize>, before: &str, behind: &str) -> Vec<Edit> {
    let end = tokens.end.saturating_sub(1);
    vec![insert(draft.start(tokens.start), before), insert(draft.end(end), behind)]
}

/// What the expression that begins at the token is assigned to: the target's tokens.
fn target(draft: &Draft<'_>, token: usize) -> Option<Range<usize>> {
    let mut at = token;
    while at > 1 && draft.is(at - 1, "(") && !draft.is_name(at - 2) {
        at -= 1;
    }
    let arrow = at.checked_sub(1)?;
    let assigns = draft.is(arrow, ":=") || draft.is(arrow, "<=") && is_assignment(draft, arrow);
    let last = arrow.checked_sub(1)?;
    assigns.then(|| primary_start(draft, last)..arrow)
}

/// `no function declarations for operator "+"`.
pub(super) fn operands_fix(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let operator = report.quoted("no function declarations for operator", 0)?;
    let token = report.token;
    let (left, right) = operands(draft, token)?;
    let relation = matches!(operator, "=" | "/=" | "<" | "<=" | ">" | ">=");
    if matches!(operator, "and" | "or" | "xor" | "nand" | "nor" | "xnor") {
        return logical(draft, &left, &right);
    }
    if relation && let Some(edits) = bits_compared(draft, &left, &right) {
        return Some(edits);
    }
    if relation && let Some(edits) = relation_as_bit(draft, &left, &right) {
        return Some(edits);
    }
    if !relation && !matches!(operator, "+" | "-" | "*" | "/" | "mod" | "rem") {
        return None;
    }
    arithmetic(draft, left.start..right.end)
}

/// Has each vector of the arithmetic around counted as unsigned, and the result be a vector where one is assigned.
fn arithmetic(draft: &Draft<'_>, tokens: Range<usize>) -> Option<Vec<Edit>> {
    let mut start = tokens.start;
    let crosses =
        |at: usize| strength(draft, at).is_some_and(|strength| strength >= 3) && is_binary(draft, at);
    while start >= 2 && crosses(start - 1) {
        start = primary_start(draft, start - 2);
    }
    let mut end = tokens.end;
    while crosses(end) {
        end = primary_end(draft, end + 1);
    }
    let mut edits = Vec::new();
    let mut has_unsigned = false;
    let mut at = start;
    while at < end {
        let primary = at..primary_end(draft, at).min(end);
        if draft.is_any(at, &["(", ")"]) || is_binary(draft, at) {
            at += 1;
            continue;
        }
        match type_of(draft, &primary) {
            Type::Vector => {
                edits.extend(wrap(draft, &primary, "unsigned(", ")"));
                has_unsigned = true;
            }
            Type::Bit => {
                edits.extend(wrap(draft, &primary, "unsigned'(\"\" & ", ")"));
                has_unsigned = true;
            }
            Type::Unsigned | Type::Signed => has_unsigned = true,
            _ => {}
        }
        at = primary.end.max(at + 1);
    }
    if edits.is_empty() || !has_unsigned {
        return None;
    }
    let is_arithmetic = (start..end).all(|at| strength(draft, at) != Some(2));
    if let Some(assigned) = target(draft, start).filter(|_| is_arithmetic) {
        match type_of(draft, &assigned) {
            Type::Vector => {
                edits.push(insert(draft.start(start), "std_logic_vector("));
                edits.push(insert(draft.end(end - 1), ")"));
            }
            // The lowest bit of the sum.
            Type::Bit => return sum_of_bits(draft, start..end),
            _ => {}
        }
        merge(&mut edits);
    }
    Some(edits)
}

/// `s <= a + b;` of bits.
fn sum_of_bits(draft: &Draft<'_>, tokens: Range<usize>) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    let mut at = tokens.start;
    while at < tokens.end {
        let primary = at..primary_end(draft, at);
        if type_of(draft, &primary) != Type::Bit {
            return None;
        }
        at = primary.end;
        if at < tokens.end {
            if !draft.is_any(at, &["+", "-"]) {
                return None;
            }
            edits.push(replace(draft.bytes(at), "xor"));
            at += 1;
        }
    }
    Some(edits)
}

/// Insertions at one place become one, the outer ones outside.
fn merge(edits: &mut Vec<Edit>) {
    let mut merged: Vec<Edit> = Vec::new();
    for edit in edits.drain(..) {
        match merged.iter_mut().find(|other| other.at == edit.at && other.at.is_empty()) {
            Some(other) if edit.with == ")" => other.with.push_str(&edit.with),
            Some(other) => other.with.insert_str(0, &edit.with),
            None => merged.push(edit),
        }
    }
    *edits = merged;
}

/// `a and 1`, `v and a`.
fn logical(draft: &Draft<'_>, left: &Range<usize>, right: &Range<usize>) -> Option<Vec<Edit>> {
    // `y <= (a < b) or (c < d);` of a bit.
    let is_relation = |side: &Range<usize>| side.clone().any(|at| strength(draft, at) == Some(2));
    if is_relation(left)
        && is_relation(right)
        && let Some(assigned) = target(draft, left.start)
        && type_of(draft, &assigned) == Type::Bit
        && draft.is(right.end, ";")
    {
        return Some(wrap(draft, &(left.start..right.end), "'1' when ", " else '0'"));
    }
    let (left_type, right_type) = (type_of(draft, left), type_of(draft, right));
    for (side, side_type, other) in [(right, right_type, left_type), (left, left_type, right_type)] {
        let word = draft.word(side.start);
        match (other, side_type) {
            (Type::Bit, Type::Integer) if matches!(word, "0" | "1") => {
                return Some(vec![replace(draft.bytes(side.start), format!("'{word}'"))]);
            }
            (Type::Boolean, Type::Bit) => return Some(wrap(draft, side, "(", " = '1')")),
            (Type::Vector, Type::Unsigned | Type::Signed) => {
                return Some(wrap(draft, side, "std_logic_vector(", ")"));
            }
            _ => {}
        }
    }
    None
}

/// `a = 1` of a bit.
fn bits_compared(draft: &Draft<'_>, left: &Range<usize>, right: &Range<usize>) -> Option<Vec<Edit>> {
    for (side, other) in [(right, left), (left, right)] {
        let word = draft.word(side.start);
        if type_of(draft, other) != Type::Bit || side.len() != 1 {
            continue;
        }
        if matches!(word, "0" | "1") {
            return Some(vec![replace(draft.bytes(side.start), format!("'{word}'"))]);
        }
        if matches!(word, "\"0\"" | "\"1\"") {
            return Some(vec![replace(draft.bytes(side.start), word.replace('"', "'"))]);
        }
        if draft.is_any(side.start, &["true", "false"]) {
            let bit = if draft.is(side.start, "true") { "'1'" } else { "'0'" };
            return Some(vec![replace(draft.bytes(side.start), bit)]);
        }
    }
    // A vector against one bit's literal.
    for (side, other) in [(right, left), (left, right)] {
        let word = draft.word(side.start);
        if type_of(draft, other) == Type::Vector
            && side.len() == 1
            && word.starts_with('\'')
            && word.len() == 3
        {
            let name = draft.source(other.clone());
            let with = format!("({name}'range => {word})");
            return (other.len() == 1).then(|| vec![replace(draft.bytes(side.start), with)]);
        }
    }
    None
}

/// `y <= a = b;` of a bit.
fn relation_as_bit(draft: &Draft<'_>, left: &Range<usize>, right: &Range<usize>) -> Option<Vec<Edit>> {
    let assigned = target(draft, left.start)?;
    let same = type_of(draft, left) == type_of(draft, right) || type_of(draft, right) == Type::Integer;
    if type_of(draft, &assigned) != Type::Bit || !same {
        return None;
    }
    let mut start = left.start;
    let mut end = right.end;
    while draft.is(start.wrapping_sub(1), "(") && draft.is(end, ")") {
        start -= 1;
        end += 1;
    }
    draft.is(end, ";").then(|| wrap(draft, &(start..end), "'1' when ", " else '0'"))
}

/// `can't match 'u' with type array type "std_ulogic_vector"`.
pub(super) fn conversion(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if let Some(function) =
        report.messages.iter().find(|message| message.contains("no overloaded function found"))
    {
        return shifted(draft, report.token, function.split('\'').nth(1)?);
    }
    let message = report.messages.iter().find(|message| message.starts_with("can't match"))?;
    let (_, wanted) = message.split_once(" with type ")?;
    let wanted = match wanted.split('"').nth(1) {
        Some(array) => named(array),
        None => named(wanted.split_whitespace().next()?),
    };
    let token = match report.token {
        token if draft.is(token, "(") && token > 0 && draft.is_name(token - 1) => token - 1,
        token => token,
    };
    let tokens = token..primary_end(draft, token);
    let is_call = message.contains("function call");
    let found = match type_of(draft, &tokens) {
        Type::Unknown if is_call && wanted == Type::Vector => Type::Unsigned,
        found => found,
    };
    let word = draft.word(token);
    let length = |draft: &Draft<'_>| {
        let assigned = target(draft, token)?;
        Some(format!("{}'length", draft.source(assigned)))
    };
    Some(match (wanted, found) {
        (Type::Vector, Type::Unsigned | Type::Signed) => wrap(draft, &tokens, "std_logic_vector(", ")"),
        (Type::Unsigned, Type::Vector | Type::Signed) => wrap(draft, &tokens, "unsigned(", ")"),
        (Type::Signed, Type::Vector | Type::Unsigned) => wrap(draft, &tokens, "signed(", ")"),
        (Type::Vector, Type::Integer) => {
            let length = length(draft)?;
            wrap(draft, &tokens, "std_logic_vector(to_unsigned(", &format!(", {length}))"))
        }
        (Type::Unsigned, Type::Integer) => {
            let length = length(draft)?;
            wrap(draft, &tokens, "to_unsigned(", &format!(", {length})"))
        }
        (Type::Signed, Type::Integer) => {
            let length = length(draft)?;
            wrap(draft, &tokens, "to_signed(", &format!(", {length})"))
        }
        (Type::Integer, Type::Vector) => wrap(draft, &tokens, "to_integer(unsigned(", "))"),
        (Type::Integer, Type::Unsigned | Type::Signed) => wrap(draft, &tokens, "to_integer(", ")"),
        (Type::Bit, Type::Integer) if matches!(word, "0" | "1") => {
            vec![replace(draft.bytes(token), format!("'{word}'"))]
        }
        (Type::Bit, Type::Vector) if matches!(word, "\"0\"" | "\"1\"") => {
            vec![replace(draft.bytes(token), word.replace('"', "'"))]
        }
        (Type::Bit, Type::Boolean) => wrap(draft, &tokens, "'1' when ", " else '0'"),
        (Type::Boolean, Type::Bit) => wrap(draft, &tokens, "", " = '1'").into_iter().skip(1).collect(),
        (Type::Vector | Type::Unsigned | Type::Signed, Type::Bit) => wrap(draft, &tokens, "(others => ", ")"),
        _ => return None,
    })
}

/// `shift_left (v, 1)` of a vector.
fn shifted(draft: &Draft<'_>, token: usize, function: &str) -> Option<Vec<Edit>> {
    let name = if draft.is(token, "(") { token.checked_sub(1)? } else { token };
    let is_known = ["shift_left", "shift_right", "rotate_left", "rotate_right", "resize", "to_integer"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(function));
    let close =
        draft.close(name + 1).filter(|_| is_known && draft.is(name, function) && draft.is(name + 1, "("))?;
    let argument = name + 2..primary_end(draft, name + 2);
    if type_of(draft, &argument) != Type::Vector {
        return None;
    }
    let mut edits = wrap(draft, &argument, "unsigned(", ")");
    let assigned = target(draft, name);
    if assigned.is_some_and(|assigned| type_of(draft, &assigned) == Type::Vector)
        && !function.eq_ignore_ascii_case("to_integer")
    {
        edits.extend(wrap(draft, &(name..close + 1), "std_logic_vector(", ")"));
        merge(&mut edits);
    }
    Some(edits)
}
