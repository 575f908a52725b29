//! Words and symbols: other languages' for VHDL's, missing ones, wrong ones.

use crate::repair::expressions::{ends_operand, group, is_assignment, primary_end, primary_start};
use crate::repair::{Draft, Edit, Report, insert, replace};

/// What VHDL never has and Verilog, C or BASIC do, in all of the hole.
pub(super) fn idioms(draft: &Draft<'_>, _report: &Report<'_>) -> Option<Vec<Edit>> {
    let hole = draft.hole_tokens();
    let mut edits = Vec::new();
    for at in hole.clone() {
        let before = at.wrapping_sub(1);
        let operand_before = at > 0 && ends_operand(draft, before);
        match draft.word(at).to_ascii_lowercase().as_str() {
            "elseif" | "elif" => edits.push(replace(draft.bytes(at), "elsif")),
            "endif" => edits.push(replace(draft.bytes(at), "end if")),
            "for" | "while" if draft.is(before, "end") && draft.is(at + 1, ";") => {
                edits.push(replace(draft.bytes(at), "loop"));
            }
            "==" => edits.push(replace(draft.bytes(at), "=")),
            "!=" => edits.push(replace(draft.bytes(at), "/=")),
            "&&" => edits.push(replace(draft.bytes(at), "and")),
            "||" => edits.push(replace(draft.bytes(at), "or")),
            "|" if operand_before && draft.is_name(at + 1) && !in_choice(draft, at) => {
                edits.push(replace(draft.bytes(at), "or"));
            }
            "^" if operand_before => edits.push(replace(draft.bytes(at), "xor")),
            "~" | "!" if !operand_before => edits.push(replace(draft.bytes(at), "not ")),
            "%" if operand_before => edits.push(replace(draft.bytes(at), " mod ")),
            "assign" if draft.is_name(at + 1) => {
                edits.push(replace(draft.start(at)..draft.start(at + 1), ""))
            }
            "wire" | "reg" | "logic" if draft.is_name(at + 1) || draft.is(at + 1, "[") => {
                edits.extend(declaration(draft, at));
            }
            "=" if begins_statement(draft, primary_start(draft, before)) => {
                edits.push(replace(draft.bytes(at), "<="))
            }
            "[" if operand_before && draft.start(at) == draft.end(before) => {
                let close = (at..hole.end.min(at + 32)).find(|close| draft.is(*close, "]"));
                if let Some(close) = close {
                    edits.push(replace(draft.bytes(at), "("));
                    edits.push(replace(draft.bytes(close), ")"));
                    let colon = (at..close).find(|colon| draft.is(*colon, ":"));
                    edits.extend(colon.map(|colon| replace(draft.bytes(colon), " downto ")));
                }
            }
            "{" => edits.extend(concatenation(draft, at)),
            "'" if draft.is_number(before) => edits.extend(sized_number(draft, at)),
            _ => {}
        }
    }
    edits.retain(|edit| draft.allows(edit));
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    edits.dedup_by(|two, one| one.touches(two));
    (!edits.is_empty()).then_some(edits)
}

fn begins_statement(draft: &Draft<'_>, token: usize) -> bool {
    draft.is_name(token)
        && draft.is_any(token.wrapping_sub(1), &[";", "begin", "then", "else", "loop", "assign"])
}

/// Whether the bar at the token is between choices of `when`.
fn in_choice(draft: &Draft<'_>, token: usize) -> bool {
    let mut at = token;
    while at > 0 && !draft.is_any(at - 1, &[";", "=>", "<=", ":=", "is"]) {
        at -= 1;
        if draft.is(at, "when") {
            return true;
        }
    }
    false
}

/// `wire [3:0] a, b;`
fn declaration(draft: &Draft<'_>, at: usize) -> Vec<Edit> {
    let mut name = at + 1;
    let mut subtype = "std_logic".to_owned();
    if draft.is(name, "[") {
        let Some(close) = (name..name + 16).find(|close| draft.is(*close, "]")) else { return Vec::new() };
        let Some(colon) = (name..close).find(|colon| draft.is(*colon, ":")) else { return Vec::new() };
        let (high, low) = (draft.source(name + 1..colon), draft.source(colon + 1..close));
        subtype = format!("std_logic_vector({high} downto {low})");
        name = close + 1;
    }
    let mut end = name;
    while draft.is_name(end) && draft.is(end + 1, ",") {
        end += 2;
    }
    if !draft.is_name(end) || !draft.is(end + 1, ";") {
        return Vec::new();
    }
    let names = draft.source(name..end + 1);
    vec![replace(draft.start(at)..draft.end(end), format!("signal {names} : {subtype}"))]
}

/// `{a, b}`
fn concatenation(draft: &Draft<'_>, at: usize) -> Vec<Edit> {
    let limit = draft.hole_tokens().end.min(at + 256);
    let Some(close) = (at..limit).find(|close| draft.is_any(*close, &["}", ";"])) else { return Vec::new() };
    if !draft.is(close, "}") || (at + 1..close).any(|token| draft.is(token, "{")) {
        return Vec::new();
    }
    let mut edits = vec![replace(draft.bytes(at), "("), replace(draft.bytes(close), ")")];
    let mut depth = 0i32;
    for token in at + 1..close {
        match draft.word(token) {
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 0 => edits.push(replace(draft.bytes(token), " &")),
            _ => {}
        }
    }
    edits
}

/// `4'b0101`: a bit or a string of bits.
fn sized_number(draft: &Draft<'_>, at: usize) -> Option<Edit> {
    let width: usize = draft.word(at - 1).parse().ok()?;
    let digits = draft.word(at + 1);
    let base = digits.get(..1)?;
    let value = digits.get(1..)?.replace('_', "");
    if width == 0 || width > 4096 || draft.start(at + 1) != draft.end(at) {
        return None;
    }
    let bits = match base {
        "b" | "B" if value.bytes().all(|bit| matches!(bit, b'0' | b'1')) => format!("{value:0>width$}"),
        "d" | "D" => format!("{:0>width$b}", value.parse::<u64>().ok()?),
        "h" | "H" => format!("{:0>width$b}", u64::from_str_radix(&value, 16).ok()?),
        _ => return None,
    };
    let with = if width == 1 { format!("'{bits}'") } else { format!("\"{bits}\"") };
    (bits.len() == width).then(|| replace(draft.start(at - 1)..draft.end(at + 1), with))
}

pub(super) fn reserved(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let message = report
        .messages
        .iter()
        .find(|message| message.starts_with("an identifier is expected instead of '"))?;
    let word = message.split('\'').nth(1)?;
    let is_word = word.bytes().all(|byte| byte.is_ascii_alphabetic()) && !word.is_empty();
    if !is_word || !draft.is(report.token, word) {
        return None;
    }
    let edits: Vec<Edit> = draft
        .hole_tokens()
        .filter(|at| draft.is(*at, word) && !draft.is_any(at.wrapping_sub(1), &["end", "'", ":"]))
        .filter(|at| {
            draft.is_any(
                at + 1,
                &[":", "<=", ":=", "(", ")", ";", ",", "+", "-", "&", "=", "and", "or", "xor"],
            )
        })
        .map(|at| replace(draft.bytes(at), format!("{}_value", draft.word(at))))
        .collect();
    (!edits.is_empty()).then_some(edits)
}

/// `missing ";" at end of statement`, `'then' is expected here`.
pub(super) fn missing(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let semicolon = report.says("missing \";\"") || report.says("';' expected at end of");
    let trimmed = draft.hole.start + draft.text[draft.hole.clone()].trim_end().len();
    if semicolon {
        let before = draft.at(report.at.saturating_sub(1)).min(draft.at(report.at).wrapping_sub(1));
        if before == usize::MAX || draft.is(before, ";") || draft.start(before) >= draft.hole.end {
            return None;
        }
        return Some(vec![insert(draft.end(before).min(trimmed), ";")]);
    }
    let message = report.messages.iter().find(|message| message.ends_with("is expected here"))?;
    let word = message.split('\'').nth(1).filter(|word| word.len() <= 8)?;
    let before = report.token.checked_sub(1)?;
    Some(vec![insert(draft.end(before), format!(" {word}"))])
}

/// `y <= (a when c else b);`
pub(super) fn parenthesised_when(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("expected instead of 'when'") && !report.says("expected instead of 'else'") {
        return None;
    }
    let mut depth = 0usize;
    let open = (0..report.token).rev().find(|at| match draft.word(*at) {
        ")" => {
            depth += 1;
            false
        }
        "(" if depth == 0 => true,
        "(" => {
            depth -= 1;
            false
        }
        _ => false,
    })?;
    let close = draft.close(open).filter(|close| draft.is(close + 1, ";"))?;
    let begins = open > 0 && draft.is_any(open - 1, &["<=", ":=", "else"]);
    begins.then(|| vec![replace(draft.bytes(open), ""), replace(draft.bytes(close), "")])
}

/// `'=>' is expected instead of '<='`.
pub(super) fn instead(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if report.says("interfaces must be separated by ';'") {
        return draft.is(report.token, ",").then(|| vec![replace(draft.bytes(report.token), ";")]);
    }
    let message = report.messages.iter().find(|message| message.contains("' is expected instead of '"))?;
    let mut quoted = message.split('\'').skip(1).step_by(2);
    let (wanted, found) = (quoted.next()?, quoted.next()?);
    let is_symbol = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_punctuation());
    (is_symbol(wanted) && is_symbol(found) && draft.is(report.token, found) && wanted != ")")
        .then(|| vec![replace(draft.bytes(report.token), wanted)])
}

pub(super) fn mixed_operators(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    report.says("only one type of logical operators").then(|| group(draft, report.token))?
}

/// `<=` and `:=`.
pub(super) fn assignment(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let to_signal = report.says("is not a variable to be assigned");
    let to_variable = report.says("is not a signal") || report.says("is a variable");
    if !to_signal && !to_variable {
        return None;
    }
    let end = primary_end(draft, report.token);
    let (wrong, right) = if to_signal { (":=", "<=") } else { ("<=", ":=") };
    (draft.is(end, wrong) && (to_signal || is_assignment(draft, end)))
        .then(|| vec![replace(draft.bytes(end), right)])
}

/// Reductions, which VHDL-2008 writes as operators.
pub(super) fn foreign_function(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("no declaration for") {
        return None;
    }
    let token = report.token;
    let close = draft.close(token + 1).filter(|_| draft.is(token + 1, "("))?;
    let operand = draft.source(token + 2..close);
    let whole = draft.start(token)..draft.end(close);
    let with = match draft.word(token).to_ascii_lowercase().as_str() {
        "and_reduce" => format!("(and {operand})"),
        "or_reduce" => format!("(or {operand})"),
        "xor_reduce" | "parity" => format!("(xor {operand})"),
        "nand_reduce" => format!("(nand {operand})"),
        "nor_reduce" => format!("(nor {operand})"),
        "conv_integer" => format!("to_integer(unsigned({operand}))"),
        "to_stdlogicvector" | "to_slv" | "to_std_logic_vector" => format!("std_logic_vector({operand})"),
        _ => return None,
    };
    Some(vec![replace(whole, with)])
}
