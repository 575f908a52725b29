//! Words and symbols: other languages' for Ada's, missing ones, wrong ones.

use crate::repair::expressions::{ends_operand, group, is_binary, is_logical, primary_end, primary_start};
use crate::repair::{Draft, Edit, Report, insert, replace};

/// What Ada never has and other languages do, in all of the hole.
pub(super) fn idioms(draft: &Draft<'_>, _report: &Report<'_>) -> Option<Vec<Edit>> {
    let hole = draft.hole_tokens();
    let mut edits = Vec::new();
    let mut at = hole.start;
    while at < hole.end {
        let before = at.wrapping_sub(1);
        match draft.word(at).to_ascii_lowercase().as_str() {
            "for" if draft.is_name(at + 1) && !draft.is(before, "end") => {
                at = for_loop(draft, at, &mut edits)
            }
            "while" if !draft.is(before, "end") => word_on_line(draft, at, "do", "loop", &mut edits),
            "for" | "while" | "do" if draft.is(before, "end") => edits.push(replace(draft.bytes(at), "loop")),
            "elseif" | "elif" | "elsif" => edits.push(replace(draft.bytes(at), "elsif")),
            "endif" => edits.push(replace(draft.bytes(at), "end if")),
            "endloop" => edits.push(replace(draft.bytes(at), "end loop")),
            "==" => edits.push(replace(draft.bytes(at), "=")),
            "!=" => edits.push(replace(draft.bytes(at), "/=")),
            "&&" => edits.push(replace(draft.bytes(at), "and then")),
            "||" => edits.push(replace(draft.bytes(at), "or else")),
            "%" if at > 0 && ends_operand(draft, before) => edits.push(replace(draft.bytes(at), " mod ")),
            "!" if at > 0 && !ends_operand(draft, before) => edits.push(replace(draft.bytes(at), "not ")),
            "+=" | "-=" | "*=" | "++" if at > 0 => edits.extend(compound_assignment(draft, at)),
            "break" if draft.is(at + 1, ";") => edits.push(replace(draft.bytes(at), "exit")),
            "continue" if draft.is(at + 1, ";") => edits.extend(next_pass(draft, at)),
            "local" | "var" | "let" | "const"
                if draft.is_name(at + 1) && draft.is_any(at + 2, &[":", ","]) =>
            {
                edits.push(replace(draft.start(at)..draft.start(at + 1), ""));
            }
            // A prime of mathematics: `L' : Integer_Array`.
            "'" if is_prime(draft, at) => edits.push(replace(draft.bytes(at), "_Prime ")),
            "[" if at > 0 && (draft.is_name(before) || draft.is(before, ")")) => {
                edits.push(replace(draft.bytes(at), " ("));
                let mut close = at + 1;
                while close < hole.end && !draft.is_any(close, &["]", ";"]) {
                    close += 1;
                }
                if draft.is(close, "]") {
                    edits.push(replace(draft.bytes(close), ")"));
                }
            }
            _ => {}
        }
        at += 1;
    }
    edits.retain(|edit| draft.allows(edit));
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    edits.dedup_by(|two, one| one.touches(two));
    (!edits.is_empty()).then_some(edits)
}

fn is_prime(draft: &Draft<'_>, at: usize) -> bool {
    at > 0
        && draft.is_name(at - 1)
        && !draft.is(at.wrapping_sub(2), "'")
        && (draft.is_any(at + 1, &[":", ":=", ")", ";", ",", "+", "-"])
            || draft.is(at + 1, "(")
                && draft.start(at + 1) > draft.end(at)
                && declares_prime(draft, draft.word(at - 1)))
}

fn declares_prime(draft: &Draft<'_>, name: &str) -> bool {
    (0..draft.len()).any(|at| draft.is(at, name) && draft.is(at + 1, "'") && draft.is(at + 2, ":"))
}

/// `for I := 1 to N do`: the last token that was looked at.
fn for_loop(draft: &Draft<'_>, at: usize, edits: &mut Vec<Edit>) -> usize {
    if draft.is_any(at + 2, &[":=", "=", "<=", "from"]) {
        edits.push(replace(draft.bytes(at + 2), "in"));
    } else if !draft.is_any(at + 2, &["in", "of"]) {
        return at;
    }
    let line_end =
        draft.text[draft.start(at)..].find('\n').map_or(draft.text.len(), |end| draft.start(at) + end);
    let mut to = at + 3;
    while draft.start(to) < line_end && !draft.is_any(to, &["to", "downto", "until", "loop", "do", "..", ";"])
    {
        to += 1;
    }
    if draft.is_any(to, &["to", "until"]) {
        edits.push(replace(draft.bytes(to), ".."));
    } else if draft.is(to, "downto") {
        let mut end = to + 1;
        while draft.start(end) < line_end && !draft.is_any(end, &["loop", "do"]) {
            end += 1;
        }
        let (high, low) = (draft.source(at + 3..to), draft.source(to + 1..end));
        edits.push(replace(draft.start(at + 3)..draft.end(end - 1), format!("reverse {low} .. {high}")));
    }
    word_on_line(draft, at, "do", "loop", edits);
    to.saturating_sub(1).max(at)
}

/// The last token of the line, where it is that word.
fn word_on_line(draft: &Draft<'_>, at: usize, word: &str, by: &str, edits: &mut Vec<Edit>) {
    let line_end =
        draft.text[draft.start(at)..].find('\n').map_or(draft.text.len(), |end| draft.start(at) + end);
    let found = (at + 1..draft.len())
        .take_while(|token| draft.start(*token) < line_end)
        .find(|token| draft.is(*token, word));
    edits.extend(found.map(|token| replace(draft.bytes(token), by)));
}

/// `X += E` and `X++`.
fn compound_assignment(draft: &Draft<'_>, at: usize) -> Option<Edit> {
    let name = draft.source(primary_start(draft, at - 1)..at);
    let operator = &draft.word(at)[..1];
    let behind = if draft.is(at, "++") { " 1" } else { "" };
    Some(replace(draft.bytes(at), format!(":= {name} {operator}{behind}")))
}

/// `continue` is a jump to the end of the loop.
fn next_pass(draft: &Draft<'_>, at: usize) -> Vec<Edit> {
    let mut depth = 0usize;
    for token in at..draft.hole_tokens().end {
        if !draft.is(token, "loop") {
            continue;
        }
        if !draft.is(token.wrapping_sub(1), "end") {
            depth += 1;
        } else if depth > 0 {
            depth -= 1;
        } else {
            let end = token - 1;
            let label = format!("Next_{}", (0..end).filter(|other| draft.is(*other, "loop")).count());
            return vec![
                replace(draft.bytes(at), format!("goto {label}")),
                replace(draft.start(end)..draft.start(end) + 3, format!("<<{label}>> end")),
            ];
        }
    }
    Vec::new()
}

/// `"=" should be ":="`.
pub(super) fn should_be(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let message = report.messages.iter().find(|message| message.contains(" should be "))?;
    let (wrong, right) = message.split_once(" should be ")?;
    let (wrong, right) = (wrong.trim_matches('"'), right.trim().trim_matches('"'));
    let at = report.at;
    let found = draft.text.get(at..at + wrong.len())?;
    let symbol = right.len() <= 8 && !right.contains(' ');
    (found.eq_ignore_ascii_case(wrong) && symbol).then(|| vec![replace(at..at + wrong.len(), right)])
}

/// `'abc'`.
pub(super) fn single_quotes(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("strings are delimited by double quote") {
        return None;
    }
    let rest = draft.text.get(report.at..)?.strip_prefix('\'')?;
    let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
    let close = report.at + 1 + line.find('\'')?;
    Some(vec![replace(report.at..report.at + 1, "\""), replace(close..close + 1, "\"")])
}

pub(super) fn mixed_operators(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    report.says("mixed logical operators").then(|| group(draft, report.token))?
}

/// `A * -1` needs parentheses around its second operand.
pub(super) fn unary_minus(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let minus = report.token;
    if !report.says("parentheses required for unary minus") || !draft.is(minus, "-") {
        return None;
    }
    let end = draft.end(primary_end(draft, minus + 1).checked_sub(1)?);
    Some(vec![insert(draft.start(minus), "("), insert(end, ")")])
}

/// `missing ";"`, and `"loop" expected`.
pub(super) fn missing(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let message = report.messages.first()?;
    let word = report.quoted(message, 0)?;
    if word.is_empty() || word.contains(' ') || word.len() > 8 {
        return None;
    }
    let trimmed = draft.hole.start + draft.text[draft.hole.clone()].trim_end().len();
    if message.starts_with("missing \"") {
        // GNAT points behind the token before.
        let before = draft.at(report.at.saturating_sub(1)).min(draft.at(report.at).wrapping_sub(1));
        let at = match before {
            usize::MAX => report.at,
            before => draft.end(before).min(trimmed),
        };
        let space = if word.starts_with(|letter: char| letter.is_alphabetic()) { " " } else { "" };
        return Some(vec![insert(at, format!("{space}{word}"))]);
    }
    if message.contains(&format!("\"{word}\" expected")) {
        let token = report.token;
        if draft.is_any(token, &["do", "{", ":", "then", "loop", "is"]) {
            return Some(vec![replace(draft.bytes(token), word)]);
        }
        return Some(vec![insert(draft.start(token).min(trimmed), format!("{word} "))]);
    }
    if message.contains("operator \"Not\" not defined") || message.contains("operator \"not\" not defined") {
        return negation(draft, report.token);
    }
    None
}

/// `not A = B` means `not (A = B)` to who writes other languages.
fn negation(draft: &Draft<'_>, token: usize) -> Option<Vec<Edit>> {
    let mut end = primary_end(draft, token + 1);
    if !draft.is(token, "not") || !is_binary(draft, end) || is_logical(draft, end) {
        return None;
    }
    while is_binary(draft, end) && !is_logical(draft, end) {
        end = primary_end(draft, end + 1);
    }
    Some(vec![insert(draft.start(token + 1), "("), insert(draft.end(end - 1), ")")])
}
