//! Types: conversions, attributes, bounds.

use std::ops::Range;

use super::names::attribute_call;
use crate::repair::expressions::{
    declared, expression, operands, primary_end, primary_start, profile, simple,
};
use crate::repair::{Draft, Edit, Report, insert, replace};

/// What GNAT calls a type.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    Integer(String),
    Float(String),
    Character,
    String,
    Boolean,
    Unbounded,
    /// A literal.
    SomeInteger,
    SomeReal,
    SomeString,
    SomeCharacter,
    Other(String),
}

impl Type {
    /// Of `left operand has type "Standard.Float"` and its like.
    fn of(message: &str) -> Type {
        let Some(name) = message.split('"').nth(1) else {
            return match message {
                _ if message.contains("universal integer") => Type::SomeInteger,
                _ if message.contains("universal real") => Type::SomeReal,
                _ if message.contains("string type") => Type::SomeString,
                _ if message.contains("character type") => Type::SomeCharacter,
                _ if message.contains("boolean type") => Type::Boolean,
                _ => Type::Other(String::new()),
            };
        };
        let last = simple(name);
        match last {
            "Integer" | "Natural" | "Positive" | "Long_Integer" | "Long_Long_Integer" | "Count_Type" => {
                Type::Integer(last.to_owned())
            }
            "Float" | "Long_Float" | "Duration" => Type::Float(last.to_owned()),
            "Character" => Type::Character,
            "String" => Type::String,
            "Boolean" => Type::Boolean,
            "Unbounded_String" => Type::Unbounded,
            _ => Type::Other(last.to_owned()),
        }
    }
}

fn said(report: &Report<'_>, begin: &str) -> Option<Type> {
    report.messages.iter().find(|message| message.starts_with(begin)).map(|message| Type::of(message))
}

/// What GNAT points at: of a selected component and an attribute, the whole.
fn pointed(draft: &Draft<'_>, token: usize) -> Range<usize> {
    if token > 0 && draft.is_any(token, &["'", "."]) {
        let start = primary_start(draft, token - 1);
        return start..primary_end(draft, start);
    }
    expression(draft, token)
}

/// Puts words before and behind the expression.
fn wrap(draft: &Draft<'_>, tokens: &Range<usize>, before: &str, behind: &str) -> Option<Vec<Edit>> {
    let end = tokens.end.checked_sub(1)?;
    Some(vec![insert(draft.start(tokens.start), before), insert(draft.end(end), behind)])
}

fn convert(draft: &Draft<'_>, tokens: &Range<usize>, to: &Type, from: &Type) -> Option<Vec<Edit>> {
    let source = draft.source(tokens.clone());
    let is_one = tokens.len() == 1;
    let whole = || draft.start(tokens.start)..draft.end(tokens.end - 1);
    let is_primary = primary_end(draft, tokens.start) == tokens.end;
    match (to, from) {
        (Type::Float(_) | Type::SomeReal, Type::SomeInteger) if is_one => {
            Some(vec![insert(draft.end(tokens.start), ".0")])
        }
        (Type::Float(name), Type::Integer(_) | Type::SomeInteger | Type::Float(_)) => {
            wrap(draft, tokens, &format!("{name} ("), ")")
        }
        (Type::SomeReal, Type::Integer(_)) => wrap(draft, tokens, "Float (", ")"),
        (Type::Integer(_), Type::SomeReal) if is_one && source.ends_with(".0") => {
            Some(vec![replace(whole(), source.trim_end_matches(".0"))])
        }
        (Type::Integer(name), Type::Float(_) | Type::SomeReal | Type::Integer(_)) => {
            wrap(draft, tokens, &format!("{name} ("), ")")
        }
        (Type::Integer(_), Type::Character | Type::SomeCharacter) => {
            wrap(draft, tokens, "Character'Pos (", ")")
        }
        (Type::SomeInteger, Type::Character) => wrap(draft, tokens, "Character'Pos (", ")"),
        (Type::Integer(name), Type::String | Type::SomeString) => {
            wrap(draft, tokens, &format!("{name}'Value ("), ")")
        }
        (Type::Float(name), Type::String | Type::SomeString) => {
            wrap(draft, tokens, &format!("{name}'Value ("), ")")
        }
        (Type::Integer(_), Type::Boolean) => wrap(draft, tokens, "Boolean'Pos (", ")"),
        (Type::Integer(_), Type::Unbounded) => wrap(draft, tokens, "Integer'Value (To_String (", "))"),
        (Type::Boolean, Type::Integer(_) | Type::SomeInteger) => wrap(draft, tokens, "(", ") /= 0"),
        (Type::Character, Type::Integer(_) | Type::SomeInteger) => {
            wrap(draft, tokens, "Character'Val (", ")")
        }
        (Type::Character | Type::SomeCharacter, Type::SomeString | Type::String) if is_one => {
            let inner = source.strip_prefix('"')?.strip_suffix('"')?;
            let inner = if inner == "\"\"" { "\"" } else { inner };
            (inner.chars().count() == 1).then(|| vec![replace(whole(), format!("'{inner}'"))])
        }
        (Type::Character, Type::String) if is_primary => {
            let name = draft.is_name(tokens.start).then_some(source)?;
            Some(vec![insert(draft.end(tokens.end - 1), format!(" ({name}'First)"))])
        }
        (Type::Character, Type::Unbounded) if is_primary => wrap(draft, tokens, "Element (", ", 1)"),
        (Type::String | Type::SomeString, Type::SomeCharacter | Type::Character)
            if is_one && source.starts_with('\'') =>
        {
            let inner = source.strip_prefix('\'')?.strip_suffix('\'')?;
            let inner = if inner == "\"" { "\"\"" } else { inner };
            Some(vec![replace(whole(), format!("\"{inner}\""))])
        }
        (Type::String | Type::SomeString, Type::Character | Type::SomeCharacter) => {
            wrap(draft, tokens, "String'(1 => ", ")")
        }
        (Type::String, Type::Integer(name) | Type::Float(name)) => {
            wrap(draft, tokens, &format!("{name}'Image ("), ")")
        }
        (Type::String, Type::SomeInteger) => wrap(draft, tokens, "Integer'Image (", ")"),
        (Type::String, Type::Boolean) => wrap(draft, tokens, "Boolean'Image (", ")"),
        (Type::String | Type::SomeString, Type::Unbounded) => wrap(draft, tokens, "To_String (", ")"),
        (Type::Unbounded, Type::String | Type::SomeString) => {
            wrap(draft, tokens, "To_Unbounded_String (", ")")
        }
        (Type::Unbounded, Type::Character | Type::SomeCharacter) => {
            wrap(draft, tokens, "To_Unbounded_String (\"\" & ", ")")
        }
        (Type::Unbounded, Type::Integer(name) | Type::Float(name)) => {
            wrap(draft, tokens, &format!("To_Unbounded_String ({name}'Image ("), "))")
        }
        (Type::Other(array), element) if array.ends_with("_Array") && !matches!(element, Type::Other(_)) => {
            wrap(draft, tokens, "(1 => ", ")")
        }
        _ => None,
    }
}

/// `Pair (1, 2)` for `Pair'(1, 2)`.
pub(super) fn aggregate(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("argument of type conversion must be single expression") {
        return None;
    }
    let open = (report.token..report.token + 8).find(|at| draft.is(*at, "("))?;
    Some(vec![replace(draft.end(open - 1)..draft.start(open), "'")])
}

/// `S (I ..)` and `S (.. I)`.
pub(super) fn open_slice(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let at = report.token;
    if !report.says("missing operand") {
        return None;
    }
    if draft.is(at, ")") && draft.is(at.wrapping_sub(1), "..") {
        let open = draft.open(at)?;
        let name = draft.source(primary_start(draft, open.checked_sub(1)?)..open);
        return Some(vec![insert(draft.start(at), format!(" {name}'Last"))]);
    }
    if draft.is(at, "..") && draft.is(at.wrapping_sub(1), "(") {
        let open = at - 1;
        let name = draft.source(primary_start(draft, open.checked_sub(1)?)..open);
        return Some(vec![insert(draft.start(at), format!("{name}'First "))]);
    }
    None
}

/// `expected type "Standard.Float"`, `found type "Standard.Integer"`.
pub(super) fn conversion(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let token = report.token;
    if report.says("positional aggregate cannot have one component") {
        let open = if draft.is(token, "(") { token } else { token.checked_sub(1)? };
        return draft.is(open, "(").then(|| vec![insert(draft.end(open), "1 => ")]);
    }
    let to = said(report, "expected")?;
    let from = said(report, "found")?;
    let called = |name: &str| token >= 2 && draft.is(token - 1, "(") && draft.is(token - 2, name);
    if called("Length") && matches!(from, Type::String | Type::Other(_)) {
        let close = draft.close(token - 1)?;
        return attribute_call(draft, token - 2, close, "Length");
    }
    if called("To_Unbounded_String") && matches!(from, Type::Character | Type::SomeCharacter) {
        return Some(vec![insert(draft.start(token), "\"\" & ")]);
    }
    if (called("To_Unbounded_String") && from == Type::Unbounded)
        || (called("To_String") && matches!(from, Type::String | Type::SomeString))
    {
        let close = draft.close(token - 1)?;
        let inner = draft.source(token..close);
        return Some(vec![replace(draft.start(token - 2)..draft.end(close), inner)]);
    }
    // `C = "a"`: GNAT speaks of the comparison.
    if to == Type::Boolean && from == Type::SomeString {
        let (left, right) = operands(draft, token)?;
        return [right, left]
            .into_iter()
            .find_map(|side| convert(draft, &side, &Type::Character, &Type::SomeString));
    }
    convert(draft, &pointed(draft, token), &to, &from)
}

fn operands_of_types(
    draft: &Draft<'_>,
    left: (&Range<usize>, &Type),
    right: (&Range<usize>, &Type),
    operator: &str,
) -> Option<Vec<Edit>> {
    let arithmetic = matches!(operator, "+" | "-" | "*" | "/" | "mod" | "rem");
    let number = Type::Integer("Integer".to_owned());
    match (left.1, right.1) {
        (Type::Character, Type::Character | Type::SomeCharacter) | (Type::SomeCharacter, Type::Character)
            if arithmetic =>
        {
            let mut edits = convert(draft, left.0, &number, &Type::Character)?;
            edits.extend(convert(draft, right.0, &number, &Type::Character)?);
            Some(edits)
        }
        (Type::Character, Type::Integer(_) | Type::SomeInteger) => {
            convert(draft, left.0, &number, &Type::Character)
        }
        (Type::Integer(_) | Type::SomeInteger, Type::Character | Type::SomeCharacter) => {
            convert(draft, right.0, &number, &Type::Character)
        }
        (Type::Integer(_) | Type::SomeInteger, Type::Float(_) | Type::SomeReal) => {
            let to =
                if let Type::Float(_) = right.1 { right.1.clone() } else { Type::Float("Float".to_owned()) };
            convert(draft, left.0, &to, left.1)
        }
        (Type::Float(_), Type::Integer(_) | Type::SomeInteger) => convert(draft, right.0, left.1, right.1),
        (Type::SomeReal, Type::Integer(_)) => {
            convert(draft, right.0, &Type::Float("Float".to_owned()), right.1)
        }
        (Type::String, Type::Integer(_) | Type::Float(_) | Type::Boolean) => {
            convert(draft, right.0, &Type::String, right.1)
        }
        (Type::Integer(_) | Type::Float(_), Type::String | Type::SomeString) if operator == "&" => {
            convert(draft, left.0, &Type::String, left.1)
        }
        (Type::Character, Type::String | Type::SomeString) => {
            convert(draft, right.0, &Type::Character, right.1)
                .or_else(|| convert(draft, left.0, &Type::String, left.1))
        }
        (Type::String, Type::Character | Type::SomeCharacter) => {
            convert(draft, right.0, &Type::String, right.1)
        }
        (Type::Unbounded, Type::Character | Type::SomeCharacter) => {
            convert(draft, right.0, &Type::String, right.1)
        }
        (Type::Character, Type::Unbounded) => convert(draft, left.0, &Type::String, left.1),
        (Type::Unbounded, Type::Integer(_) | Type::Float(_)) => {
            convert(draft, right.0, &Type::String, right.1)
        }
        (Type::Integer(one), Type::Integer(other)) if one != other => {
            convert(draft, right.0, left.1, right.1)
        }
        _ => None,
    }
}

pub(super) fn operands_fix(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let operator = report.quoted("invalid operand types for operator", 0)?;
    let (left, right) = operands(draft, report.token)?;
    let (left_type, right_type) = (said(report, "left operand has"), said(report, "right operand has"));
    match (left_type, right_type) {
        (Some(left_type), Some(right_type)) => {
            operands_of_types(draft, (&left, &left_type), (&right, &right_type), operator)
        }
        _ if operator == "&" => [right, left].into_iter().find_map(|side| {
            let name = draft.word(side.end - 1);
            let subtype = match side.len() {
                1 if draft.is_number(side.start) => Type::Integer("Integer".to_owned()),
                1 => Type::of(&format!("\"{}\"", declared(draft, name, side.start)?)),
                _ if draft.is_any(side.end - 1, &["Length", "First", "Last"]) => {
                    Type::Integer("Integer".to_owned())
                }
                _ => return None,
            };
            convert(draft, &side, &Type::String, &subtype)
        }),
        _ => None,
    }
}

/// `S.Length` for `S'Length`, and attributes that there are not.
pub(super) fn attribute(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    const OURS: &[(&str, &str)] = &[
        ("Length", "Length"),
        ("Size", "Length"),
        ("Count", "Length"),
        ("Len", "Length"),
        ("First", "First"),
        ("Last", "Last"),
        ("Range", "Range"),
        ("Image", "Image"),
    ];
    if let Some(name) = report.quoted("unrecognized attribute", 0) {
        let (_, ours) = OURS.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(name))?;
        return draft.is(report.token, name).then(|| vec![replace(draft.bytes(report.token), *ours)]);
    }
    // `Integer'Length (S)`.
    if report.says("attribute must be array")
        && draft.is(report.token + 1, "'")
        && draft.is(report.token + 3, "(")
    {
        let close = draft.close(report.token + 3)?;
        let whole = draft.start(report.token)..draft.end(close);
        let operand = draft.source(report.token + 4..close);
        return Some(vec![replace(whole, format!("{operand}'{}", draft.word(report.token + 2)))]);
    }
    if report.says("attribute may not be private type") {
        return private_attribute(draft, report.token);
    }
    if !report.says("invalid prefix in selected component") && !report.says("prefixed call is only allowed") {
        return None;
    }
    let end = primary_end(draft, report.token);
    let dot = (report.token..end).rev().find(|at| draft.is(*at, "."))?;
    let (_, ours) = OURS.iter().find(|(theirs, _)| draft.is(dot + 1, theirs))?;
    let mut close = dot + 1;
    // `S.Length ()` of other languages.
    if draft.is(close + 1, "(") && draft.is(close + 2, ")") {
        close += 2;
    }
    Some(vec![replace(draft.start(dot)..draft.end(close), format!("'{ours}"))])
}

/// `U'Length` of an unbounded string.
fn private_attribute(draft: &Draft<'_>, token: usize) -> Option<Vec<Edit>> {
    let range = pointed(draft, token);
    let tick = (range.start..range.end).rev().find(|at| draft.is(*at, "'"))?;
    let name = draft.source(range.start..tick);
    let whole = draft.start(range.start)..draft.end(tick + 1);
    let with = match draft.word(tick + 1).to_ascii_lowercase().as_str() {
        "length" | "last" => format!("Length ({name})"),
        "first" => "1".to_owned(),
        "range" => format!("1 .. Length ({name})"),
        _ => return None,
    };
    Some(vec![replace(whole, with)])
}

/// `R : Integer_Array;` and `R : Integer_Array := (others => 0);`
pub(super) fn unconstrained(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let token = report.token;
    if report.says("\"others\" choice not allowed here") {
        let subtype = token.checked_sub(3)?;
        let is_declared = draft.is(token - 1, "(") && draft.is(token - 2, ":=") && draft.is_name(subtype);
        let bounds = bounds(draft, draft.word(subtype))?;
        return is_declared.then(|| vec![insert(draft.end(subtype), format!(" ({bounds})"))]);
    }
    if !report.says("unconstrained subtype not allowed") {
        return None;
    }
    let mut end = token + 1;
    while draft.is(end, ".") {
        end += 2;
    }
    if !draft.is_name(token) || draft.is(end, "(") {
        return None;
    }
    let subtype = draft.source(token..end);
    let name = draft.word(token.wrapping_sub(2));
    if simple(subtype).eq_ignore_ascii_case("string") && super::strings::grows(draft, name) {
        return Some(vec![insert(draft.end(end - 1), " := \"\"")]);
    }
    let fill = if simple(subtype).eq_ignore_ascii_case("string") { "' '" } else { "<>" };
    let bounds = bounds(draft, subtype)?;
    Some(vec![insert(draft.end(end - 1), format!(" := ({bounds} => {fill})"))])
}

/// The bounds of a parameter of that type, or of any array; from 1 to one that counts, else none.
fn bounds(draft: &Draft<'_>, subtype: &str) -> Option<String> {
    let parameters = profile(draft)?.parameters;
    let same = parameters.iter().find(|(_, other)| simple(other).eq_ignore_ascii_case(simple(subtype)));
    let array = parameters.iter().find(|(_, other)| {
        simple(other).to_ascii_lowercase().ends_with("_array") || simple(other).eq_ignore_ascii_case("string")
    });
    let count =
        parameters.iter().find(|(_, other)| matches!(simple(other), "Integer" | "Natural" | "Positive"));
    Some(match (same, array, count) {
        (Some((name, _)), _, _) => format!("{name}'Range"),
        (_, Some((name, _)), _) => format!("1 .. {name}'Length"),
        (_, _, Some((name, _))) => format!("1 .. {name}"),
        _ => "1 .. 0".to_owned(),
    })
}

/// So many elements an array has room for that grows.
const ROOM: &str = "1_000";

/// `R : Integer_Array;`, and later `R := R & X;` or `R.Append (X);`: an array with room, and how much of it is in use.
pub(super) fn growing(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let token = report.token;
    let name = draft.word(token.checked_sub(2)?);
    let is_array = simple(draft.word(token)).to_ascii_lowercase().ends_with("_array");
    if !report.says("unconstrained subtype not allowed") || !is_array || !draft.is(token - 1, ":") {
        return None;
    }
    let last = format!("{name}_Last");
    let mut edits = vec![insert(draft.end(token), format!(" (1 .. {ROOM});\n      {last} : Natural := 0"))];
    let hole = draft.hole_tokens();
    let mut at = token + 1;
    let mut grows = false;
    while at < hole.end {
        let begins = draft.is_any(at - 1, &[";", "then", "else", "loop", "begin", "=>"]);
        if let Some((value, end)) = appended(draft, at, name).filter(|_| begins) {
            let element = draft.source(value.clone());
            let same = value.len() == 1
                && declared(draft, element, at)
                    .is_some_and(|other| simple(other).eq_ignore_ascii_case(draft.word(token)));
            if same {
                return None;
            }
            grows = true;
            let with = format!("{last} := {last} + 1; {name} ({last}) := {element}");
            edits.push(replace(draft.start(at)..draft.end(end - 1), with));
            at = end;
        } else if draft.is(at, name) && draft.is(at - 1, "return") && draft.is(at + 1, ";") {
            edits.push(insert(draft.end(at), format!(" (1 .. {last})")));
        } else if draft.is(at, name) && draft.is(at + 1, "'") && draft.is_any(at + 2, &["Length", "Last"]) {
            edits.push(replace(draft.start(at)..draft.end(at + 2), last.clone()));
        }
        at += 1;
    }
    grows.then_some(edits)
}

/// The value that the statement at the token appends to the array, and the token of its semicolon.
fn appended(draft: &Draft<'_>, at: usize, name: &str) -> Option<(Range<usize>, usize)> {
    let call = |open: usize, first: usize| {
        let close = draft.close(open).filter(|close| draft.is(open, "(") && draft.is(close + 1, ";"))?;
        Some((first..close, close + 1))
    };
    if draft.is(at, name) && draft.is(at + 1, ":=") && draft.is(at + 2, name) && draft.is(at + 3, "&") {
        let end = (at..draft.len()).find(|token| draft.is(*token, ";"))?;
        let nested = (at + 4..end).any(|token| draft.is(token, "&"));
        return (!nested && end > at + 4).then_some((at + 4..end, end));
    }
    if draft.is(at, name)
        && draft.is(at + 1, ".")
        && draft.is_any(at + 2, &["Append", "Add", "Push", "Insert"])
    {
        return call(at + 3, at + 4);
    }
    if draft.is(at, "Append") && draft.is(at + 2, name) && draft.is(at + 3, ",") {
        return call(at + 1, at + 4);
    }
    None
}

/// A loop over an array without `'Range` or `of`, or over a number.
pub(super) fn iteration(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let at = report.token;
    if report.says("expect attribute 'Range") {
        return Some(vec![insert(draft.start(pointed(draft, at).start), "1 .. ")]);
    }
    if report.says("incompatible types in range") {
        let dots = (at..at + 64).find(|token| draft.is(*token, ".."))?;
        let end = (dots..dots + 64).find(|token| draft.is_any(*token, &["loop", ")", ";"]))?;
        return wrap(draft, &(dots + 1..end), "Integer (", ")");
    }
    if !report.says("missing Range attribute in iteration") {
        return None;
    }
    let token = (at.saturating_sub(1)..at + 2).find(|token| draft.is(*token, "in"))?;
    let name = draft.word(token.checked_sub(1)?);
    let is_index = (token..draft.hole_tokens().end)
        .any(|at| draft.is(at, name) && draft.is(at + 1, ")") && draft.is(at.wrapping_sub(1), "("));
    match is_index {
        true => {
            let first = token + 1 + usize::from(draft.is(token + 1, "reverse"));
            let end = primary_end(draft, first);
            Some(vec![insert(draft.end(end - 1), "'Range")])
        }
        false => Some(vec![replace(draft.bytes(token), "of")]),
    }
}

/// `U (I)` of an unbounded string.
pub(super) fn unbounded_index(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("array type required in indexed component") && !report.says("type is not array") {
        return None;
    }
    let start = report.token;
    let end = primary_end(draft, start);
    let subtype = declared(draft, draft.word(start), start)?;
    if !simple(subtype).to_ascii_lowercase().starts_with("unbounded_string") {
        return None;
    }
    // Of an array of unbounded strings, the second index.
    let mut open = start + 1;
    if simple(subtype).to_ascii_lowercase().ends_with("_array") {
        open = draft.close(open)? + 1;
    }
    let close = draft.close(open).filter(|close| draft.is(open, "(") && close + 1 == end)?;
    let (name, index) = (draft.source(start..open), draft.source(open + 1..close));
    let whole = draft.start(start)..draft.end(close);
    if let Some(range) = (open..close).find(|at| draft.is(*at, "..")) {
        let (low, high) = (draft.source(open + 1..range), draft.source(range + 1..close));
        return Some(vec![replace(whole, format!("Slice ({name}, {low}, {high})"))]);
    }
    if draft.is(close + 1, ":=") {
        let semicolon = (close..draft.hole_tokens().end).find(|at| draft.is(*at, ";"))?;
        let value = draft.source(close + 2..semicolon);
        let whole = draft.start(start)..draft.end(semicolon - 1);
        return Some(vec![replace(whole, format!("Replace_Element ({name}, {index}, {value})"))]);
    }
    Some(vec![replace(whole, format!("Element ({name}, {index})"))])
}
