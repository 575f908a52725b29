//! Names that nothing declares, that may not be names, or that may not be assigned to.

use crate::repair::expressions::{declared, primary_end, profile, simple, without_declaration};
use crate::repair::{Draft, Edit, Report, insert, replace};

/// Packages of the standard library, and what people expect to see of them.
const LIBRARY: &[(&str, &[&str])] = &[
    (
        "Ada.Strings.Unbounded",
        &[
            "Unbounded_String",
            "To_Unbounded_String",
            "Null_Unbounded_String",
            "To_String",
            "Append",
            "Replace_Element",
        ],
    ),
    ("Ada.Strings.Fixed", &["Trim", "Index", "Head", "Tail", "Delete", "Overwrite", "Replace_Slice"]),
    (
        "Ada.Characters.Handling",
        &[
            "To_Lower",
            "To_Upper",
            "Is_Letter",
            "Is_Digit",
            "Is_Upper",
            "Is_Lower",
            "Is_Alphanumeric",
            "Is_Space",
            "Is_Control",
            "Is_Decimal_Digit",
        ],
    ),
    (
        "Ada.Numerics.Elementary_Functions",
        &["Sqrt", "Log", "Exp", "Sin", "Cos", "Tan", "Arcsin", "Arccos", "Arctan"],
    ),
    ("Ada.Numerics", &["Pi"]),
    ("Ada.Text_IO", &["Put_Line", "New_Line", "Put", "Get_Line"]),
    ("Ada.Containers", &["Count_Type", "Hash_Type"]),
    ("Interfaces", &["Unsigned_8", "Unsigned_16", "Unsigned_32", "Unsigned_64"]),
];

/// Types of other languages, and Ada's nearest.
const TYPES: &[(&str, &str)] = &[
    ("Int", "Integer"),
    ("Double", "Float"),
    ("Real", "Float"),
    ("Bool", "Boolean"),
    ("Char", "Character"),
    ("Str", "String"),
    ("Maxint", "Integer'Last"),
    ("Max_Int", "Integer'Last"),
    ("Integer_Last", "Integer'Last"),
    ("Integer_First", "Integer'First"),
    ("Min_Int", "Integer'First"),
    ("Nil", "null"),
    ("None", "null"),
];

fn undefined<'a>(draft: &Draft<'a>, report: &Report<'_>) -> Option<&'a str> {
    let name = report.quoted("is undefined", 0)?;
    let word = draft.word(report.token);
    (draft.start(report.token) == report.at && word.eq_ignore_ascii_case(name)).then_some(word)
}

/// Renames all that is written as that reserved word where a name stands.
pub(super) fn reserved(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    const BEHIND: &[&str] =
        &[":", ":=", "(", ")", ";", ",", ".", "+", "-", "&", "=", "*", "/", "<", ">", "loop", "then", "mod"];
    let word = report.quoted("cannot be used as identifier", 0)?;
    let hole = draft.hole_tokens();
    // An `end` that ends something stands behind a semicolon, and its next word says what.
    let ends = |at: usize| {
        draft.is(at, "end")
            && !draft.is_any(at + 1, &[":", ":="])
            && draft.is_any(at.wrapping_sub(1), &[";", "begin", ">>"])
    };
    let edits: Vec<Edit> = hole
        .filter(|at| draft.is(*at, word) && !draft.is_any(at.wrapping_sub(1), &["end", "'", "in"]))
        .filter(|at| draft.is_any(at + 1, BEHIND) && !ends(*at))
        .map(|at| replace(draft.bytes(at), format!("{}_Value", draft.word(at))))
        .collect();
    (!edits.is_empty()).then_some(edits)
}

pub(super) fn misspelt(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let right = report.quoted("possible misspelling of", 0)?;
    let token = report.token;
    let is_word =
        draft.is_name(token) && right.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_word && draft.start(token) == report.at).then(|| vec![replace(draft.bytes(token), right)])
}

/// `Length (S)`, `Max (A, B)`, `Ord (C)` and their like.
pub(super) fn foreign_function(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let name = undefined(draft, report)?;
    let token = report.token;
    if let Some((_, ours)) = TYPES.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(name)) {
        return Some(vec![replace(draft.bytes(token), *ours)]);
    }
    let open = token + 1;
    let close = draft.close(open).filter(|_| draft.is(open, "("))?;
    let is_one_name = draft.is_name(open + 1) && primary_end(draft, open + 1) == close;
    let with_comma = (open..close).any(|at| draft.is(at, ","));
    let float = (open..close).any(|at| {
        draft.is_number(at) && draft.word(at).contains('.')
            || declared(draft, draft.word(at), at).is_some_and(|subtype| simple(subtype).contains("Float"))
    });
    let numeric = if float { "Float" } else { "Integer" };
    let called = |function: String| Some(vec![replace(draft.bytes(token), function)]);
    match name.to_ascii_lowercase().as_str() {
        "length" | "len" | "size" | "count" if is_one_name => attribute_call(draft, token, close, "Length"),
        "first" | "last" | "range" if is_one_name => attribute_call(draft, token, close, name),
        "max" | "maximum" if with_comma => called(format!("{numeric}'Max")),
        "min" | "minimum" if with_comma => called(format!("{numeric}'Min")),
        "abs_value" | "absolute" | "fabs" => called("abs".to_owned()),
        "ord" | "asc" | "pos" => called("Character'Pos".to_owned()),
        "chr" | "val" => called("Character'Val".to_owned()),
        "str" | "image" | "to_string" if !with_comma && !is_unbounded(draft, open + 1) => {
            called(format!("{numeric}'Image"))
        }
        "int" | "to_integer" | "round" | "trunc" if !with_comma => called("Integer".to_owned()),
        "floor" => called("Float'Floor".to_owned()),
        "ceil" | "ceiling" => called("Float'Ceiling".to_owned()),
        "print" | "println" => called("Put_Line".to_owned()),
        "pow" | "power" => {
            let comma = (open..close).find(|at| draft.is(*at, ","))?;
            let (base, exponent) = (draft.source(open + 1..comma), draft.source(comma + 1..close));
            Some(vec![replace(draft.start(token)..draft.end(close), format!("(({base}) ** ({exponent}))"))])
        }
        "inc" | "increment" | "dec" | "decrement" if is_one_name && draft.is(close + 1, ";") => {
            let operand = draft.source(open + 1..close);
            let operator = if name.to_ascii_lowercase().starts_with('i') { '+' } else { '-' };
            Some(vec![replace(
                draft.start(token)..draft.end(close),
                format!("{operand} := {operand} {operator} 1"),
            )])
        }
        _ => None,
    }
}

fn is_unbounded(draft: &Draft<'_>, token: usize) -> bool {
    declared(draft, draft.word(token), token)
        .is_some_and(|subtype| simple(subtype).starts_with("Unbounded_String"))
}

/// `S'Length` for a call with S.
pub(super) fn attribute_call(
    draft: &Draft<'_>,
    token: usize,
    close: usize,
    attribute: &str,
) -> Option<Vec<Edit>> {
    let operand = draft.source(token + 2..close);
    Some(vec![replace(draft.start(token)..draft.end(close), format!("{operand}'{attribute}"))])
}

/// Names what GNAT itself proposes, or what is in the library under that name.
pub(super) fn context_clause(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let proposed = report.messages.iter().find_map(|message| {
        let (_, behind) = message.split_once("missing \"with ")?;
        Some(behind.split(['"', ';']).next()?.trim())
    });
    let package = match proposed {
        Some(package) => package,
        None => {
            let name = undefined(draft, report)?;
            let holds = |names: &[&str]| names.iter().any(|one| one.eq_ignore_ascii_case(name));
            LIBRARY.iter().find(|(_, names)| holds(names))?.0
        }
    };
    let is_name = package.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    if !is_name || package.is_empty() || package.len() > 128 {
        return None;
    }
    let clause = format!("with {package}; use {package};\n");
    let at = unit_start(draft);
    Some(vec![Edit { at: at..at, with: clause, clause: true }])
}

/// The begin of the library unit that the hole is in: the last one at a line's begin.
pub(super) fn unit_start(draft: &Draft<'_>) -> usize {
    const BEGINS: &[&str] = &["package", "procedure", "function", "generic", "separate"];
    let found = (0..draft.hole_tokens().start).rev().find(|at| {
        let start = draft.start(*at);
        draft.is_any(*at, BEGINS) && (start == 0 || draft.text.as_bytes().get(start - 1) == Some(&b'\n'))
    });
    found.map_or(0, |at| draft.start(at))
}

/// Where declarations of the body stand that the hole is: behind its `is`.
pub(super) fn declarations(draft: &Draft<'_>) -> Option<usize> {
    let first = draft.hole_tokens().start;
    if draft.is(first, "is") {
        return Some(draft.end(first));
    }
    draft.is(first.wrapping_sub(1), "is").then_some(draft.hole.start)
}

/// Declares a variable that is used as one.
pub(super) fn undeclared(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let name = undefined(draft, report)?;
    let token = report.token;
    let is_object = draft.is_name(token)
        && !draft.is_any(token.wrapping_sub(1), &[":", "of", "return", "constant", "new", ".", "range"])
        || draft.is(token.wrapping_sub(1), "return") && draft.is(token + 1, ";");
    if !is_object || draft.is(token + 1, ".") {
        return None;
    }
    let at = declarations(draft)?;
    let subtype = guess(draft, name)?;
    let initial = match simple(&subtype) {
        "Integer" | "Natural" => " := 0",
        "Float" => " := 0.0",
        "Boolean" => " := False",
        _ => "",
    };
    Some(vec![insert(at, format!("\n      {name} : {subtype}{initial};"))])
}

/// What a variable is likely to be, by what it is assigned or returned.
fn guess(draft: &Draft<'_>, name: &str) -> Option<String> {
    let hole = draft.hole_tokens();
    let assigned = hole.clone().find(|at| draft.is(*at, name) && draft.is(at + 1, ":=")).map(|at| at + 2);
    let indexed = hole.clone().any(|at| draft.is(at, name) && draft.is(at + 1, "("));
    let result = profile(draft).and_then(|profile| profile.result);
    if hole.clone().any(|at| draft.is(at, "return") && draft.is(at + 1, name) && draft.is(at + 2, ";")) {
        return result.map(str::to_owned);
    }
    if indexed {
        return None;
    }
    let Some(value) = assigned else { return Some("Integer".to_owned()) };
    let word = draft.word(value);
    Some(match word {
        _ if draft.is_number(value) && word.contains('.') => "Float".to_owned(),
        _ if draft.is_any(value, &["True", "False", "not"]) => "Boolean".to_owned(),
        _ if draft.is_literal(value) && word.starts_with('\'') => "Character".to_owned(),
        _ if draft.is_literal(value) => return None,
        _ if draft.is(value + 1, ";") => declared(draft, word, value).unwrap_or("Integer").to_owned(),
        _ => "Integer".to_owned(),
    })
}

/// A local variable with the name of a parameter, or declared once more: the first one stays.
pub(super) fn declared_twice(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    report.says("conflicts with declaration").then(|| without_declaration(draft, report.token))?
}

/// A copy that may be assigned to, of a parameter that may not.
pub(super) fn shadow(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let says = report.says("assignment to \"in\" mode parameter not allowed")
        || report.says("must be a variable")
        || report.says("assignment to constant");
    let name = draft.word(report.token);
    if !says || !draft.is_name(report.token) {
        return None;
    }
    let (_, subtype) =
        profile(draft)?.parameters.into_iter().find(|(one, _)| one.eq_ignore_ascii_case(name))?;
    let at = declarations(draft)?;
    let hole = draft.hole_tokens();
    let begin = hole.clone().find(|token| draft.is(*token, "begin"))?;
    let mut edits = vec![insert(at, format!("\n      {name}_Copy : {subtype} := {name};"))];
    let uses = (begin..hole.end)
        .filter(|token| {
            draft.is(*token, name) && !draft.is(token.wrapping_sub(1), ".") && !draft.is(token + 1, "=>")
        })
        .filter(|token| !draft.is(token.wrapping_sub(1), "'"));
    edits.extend(uses.map(|token| replace(draft.bytes(token), format!("{name}_Copy"))));
    Some(edits)
}
