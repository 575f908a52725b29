//! The order of declarations and statements, and what closes them.

use std::ops::Range;

use crate::Language;
use crate::repair::expressions::{profile, simple};
use crate::repair::{Draft, Edit, Report, insert, replace};

/// What a step over a token does to the nesting of statements.
fn nesting(draft: &Draft<'_>, token: usize) -> i32 {
    let before = token.wrapping_sub(1);
    if draft.is(before, "end") {
        return 0;
    }
    let opens = match draft.word(token).to_ascii_lowercase().as_str() {
        "end" => return -1,
        // Not the expressions `(if A then B else C)`.
        "if" | "case" => {
            !draft.is_any(before, &["(", "=>", "else", "then"]) || statement_before(draft, before)
        }
        "loop" | "record" => !draft.is(before, "null"),
        "begin" => true,
        "select" => true,
        _ => false,
    };
    i32::from(opens)
}

/// Whether the `else`, `then` or `=>` at the token is a statement's.
fn statement_before(draft: &Draft<'_>, token: usize) -> bool {
    let mut depth = 0i32;
    for at in (0..token).rev() {
        match draft.word(at) {
            ")" => depth += 1,
            "(" if depth == 0 => return false,
            "(" => depth -= 1,
            ";" => break,
            _ => {}
        }
    }
    true
}

/// Behind the statement or declaration that begins at the token.
fn item_end(draft: &Draft<'_>, token: usize, limit: usize) -> usize {
    let (mut depth, mut parentheses) = (0i32, 0i32);
    for at in token..limit {
        match draft.word(at) {
            "(" => parentheses += 1,
            ")" => parentheses -= 1,
            ";" if depth <= 0 && parentheses <= 0 => return at + 1,
            _ => depth += nesting(draft, at),
        }
    }
    limit
}

/// Where the sequence of statements ends that the token is in: its `end`, `else`, `when`, `exception`, or the hole's end.
fn sequence_end(draft: &Draft<'_>, token: usize, limit: usize) -> usize {
    let (mut depth, mut parentheses) = (0i32, 0i32);
    for at in token..limit {
        let begins = draft.is_any(at.wrapping_sub(1), &[";", "then", "else", "loop", "begin", "=>"]);
        match draft.word(at) {
            "(" => parentheses += 1,
            ")" => parentheses -= 1,
            _ if parentheses > 0 => {}
            _ if depth == 0 && draft.is(at, "end") => return at,
            _ if depth == 0 && begins && draft.is_any(at, &["else", "elsif", "when", "exception"]) => {
                return at;
            }
            _ => depth += nesting(draft, at),
        }
    }
    limit
}

/// Whether a declaration of objects, a type or a subprogram begins at the token.
fn is_declaration(draft: &Draft<'_>, token: usize) -> bool {
    if draft.is_any(token, &["type", "subtype", "function", "procedure", "package", "use", "pragma"]) {
        return true;
    }
    let mut at = token;
    while draft.is_name(at) && draft.is(at + 1, ",") {
        at += 2;
    }
    draft.is_name(at)
        && draft.is(at + 1, ":")
        && !draft.is_any(at + 2, &["for", "while", "loop", "declare", "begin"])
}

/// The declaration at the token with what follows while it is one; a subprogram with its body.
fn declarations_end(draft: &Draft<'_>, token: usize, limit: usize) -> usize {
    let mut at = token;
    while at < limit && is_declaration(draft, at) {
        at = declaration_end(draft, at, limit);
    }
    at
}

fn declaration_end(draft: &Draft<'_>, token: usize, limit: usize) -> usize {
    let end = item_end(draft, token, limit);
    if !draft.is_any(token, &["function", "procedure"]) {
        return end;
    }
    let is = (token..end).find(|at| draft.is(*at, "is"));
    match is {
        Some(is) if !draft.is_any(is + 1, &["(", "new", "null", "abstract", "separate"]) => {
            // Its own declarations, then its block.
            let begin = (is..limit).find(|at| draft.is(*at, "begin")).unwrap_or(limit);
            item_end(draft, begin, limit)
        }
        _ => end,
    }
}

fn line_of(draft: &Draft<'_>, token: usize) -> String {
    format!("\n{}", draft.indentation(draft.start(token)))
}

/// Before the token, on a line of its own.
fn before(draft: &Draft<'_>, token: usize, words: &str) -> Edit {
    let at = draft.start(token);
    match at <= draft.hole.end {
        true => insert(at, format!("{words}{}", line_of(draft, token))),
        false => at_end(draft, words),
    }
}

/// As the last line of the hole.
fn at_end(draft: &Draft<'_>, words: &str) -> Edit {
    let hole = &draft.text[draft.hole.clone()];
    let end = draft.hole.start + hole.trim_end().len();
    insert(end, format!("\n   {words}"))
}

/// What ends a sequence that may go on to the hole's end.
fn close_sequence(draft: &Draft<'_>, token: usize, end: usize, words: &str) -> Edit {
    if end >= draft.hole_tokens().end {
        return at_end(draft, words);
    }
    // Behind the last statement, since comments may stand before the end.
    let behind = draft.end(end - 1);
    insert(behind, format!("{}{words}", line_of(draft, token)))
}

pub(super) fn statement_among_declarations(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("statement not allowed in declarative part") {
        return None;
    }
    let limit = draft.hole_tokens().end;
    let first = report.token;
    // The block's own `begin`, behind bodies of nested subprograms.
    let mut at = first;
    let mut declaration = None;
    while at < limit && !draft.is(at, "begin") {
        if is_declaration(draft, at) {
            declaration = declaration.or(Some(at));
            at = declaration_end(draft, at, limit);
        } else {
            at = item_end(draft, at, limit);
        }
    }
    let begin = (at < limit).then_some(at)?;
    let mut edits = vec![before(draft, first, "begin")];
    match declaration {
        None => edits.push(replace(draft.bytes(begin), "")),
        Some(declaration) => {
            edits.push(before(draft, declaration, "declare"));
            edits.push(close_sequence(draft, declaration, sequence_end(draft, begin + 1, limit), "end;"));
        }
    }
    Some(edits)
}

pub(super) fn missing_begin(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let inside = draft.start(report.token) < draft.hole.end;
    (report.says("missing \"begin\"") && inside).then(|| vec![before(draft, report.token, "begin")])
}

/// Declarations, and no more.
pub(super) fn missing_body(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let outside = draft.start(report.token) >= draft.hole.end;
    (report.says("missing \"begin\"") && outside).then(|| vec![at_end(draft, "begin\n      null;")])
}

pub(super) fn declaration_among_statements(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let says = report.says("declarations must come before \"begin\"")
        || report.says("declarations not allowed") && is_declaration(draft, report.token);
    if !says {
        return None;
    }
    let limit = draft.hole_tokens().end;
    let first = report.token;
    let behind = declarations_end(draft, first, limit);
    if behind == first {
        return None;
    }
    let mut edits = vec![before(draft, first, "declare")];
    if !draft.is(behind, "begin") {
        let end = sequence_end(draft, behind, limit);
        let words = if end == behind { "begin null;" } else { "begin" };
        edits.push(insert(draft.end(behind - 1), format!("{}{words}", line_of(draft, first))));
        if end == behind {
            edits[1].with.push_str(" end;");
        } else {
            edits.push(close_sequence(draft, first, end, "end;"));
        }
    }
    Some(edits)
}

/// `else if` where an `end if` is missing.
pub(super) fn else_if(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("\"end if;\"") {
        return None;
    }
    let message = report.messages.first()?;
    let line: u32 = message.rsplit("at line ").next()?.trim().parse().ok()?;
    let from = draft.at(draft.offset(line, 1));
    // GNAT names the `if` around the one that is written behind `else`, or that one.
    let opened = (from..report.token.min(draft.hole_tokens().end)).find(|at| {
        let between = draft.text.get(draft.end(at.saturating_sub(1))..draft.start(*at));
        draft.is(*at, "if")
            && draft.is(at.wrapping_sub(1), "else")
            && !draft.is(at.wrapping_sub(2), "or")
            && between.is_some_and(|between| !between.contains('\n'))
    })?;
    Some(vec![replace(draft.start(opened - 1)..draft.end(opened), "elsif")])
}

pub(super) fn ends(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    let message = report.messages.iter().find(|message| {
        message.contains("\"end") && (message.starts_with("missing") || message.contains("expected"))
    })?;
    let wanted = message.split('"').find(|words| words.starts_with("end"))?;
    let wanted = format!("{};", wanted.trim_end_matches(';'));
    let at = report.token;
    let hole = draft.hole_tokens();
    if draft.is(at, "end") && hole.contains(&at) && message.contains("expected") {
        // `end while;` for `end loop;`.
        let end = (at..hole.end.min(at + 4)).find(|token| draft.is(*token, ";"));
        let closes_other = draft.is_any(at + 1, &["if", "loop", "case", "record"])
            && balance(draft, hole.clone(), draft.word(at + 1)) <= 0;
        if let Some(end) = end.filter(|_| !closes_other) {
            return Some(vec![replace(draft.start(at)..draft.end(end), wanted)]);
        }
    }
    if draft.start(at) > draft.hole.end || at >= hole.end {
        return Some(vec![at_end(draft, &wanted)]);
    }
    Some(vec![before(draft, at, &wanted)])
}

/// How many more `end loop` there are than `loop`.
fn balance(draft: &Draft<'_>, tokens: Range<usize>, word: &str) -> i32 {
    tokens
        .filter(|at| draft.is(*at, word))
        .map(|at| if draft.is(at.wrapping_sub(1), "end") { 1 } else { -nesting(draft, at) })
        .sum()
}

pub(super) fn empty_sequence(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("statement expected") {
        return None;
    }
    let last =
        profile(draft).filter(|profile| profile.is_function && draft.start(report.token) >= draft.hole.end);
    let words = if last.is_some() { RETURNS } else { "null;" };
    if draft.start(report.token) >= draft.hole.end {
        return Some(vec![at_end(draft, words)]);
    }
    Some(vec![before(draft, report.token, words)])
}

const RETURNS: &str = "return raise Program_Error;";

/// A function that ends without returning the variable that it has made for it.
pub(super) fn result_without_return(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says(MISSING_RETURN) {
        return None;
    }
    let result = simple(profile(draft)?.result?);
    let hole = draft.hole_tokens();
    let begin = hole.clone().find(|at| draft.is(*at, "begin"))?;
    let declared = |at: usize| {
        draft.is_name(at) && draft.is(at + 1, ":") && simple(draft.word(at + 2)).eq_ignore_ascii_case(result)
    };
    let assigned =
        |name: &str| hole.clone().any(|at| draft.is(at, name) && draft.is_any(at + 1, &[":=", "("]));
    let named = (hole.start..begin).rev().filter(|at| declared(*at)).map(|at| draft.word(at));
    let name = named.clone().find(|name| name.to_ascii_lowercase().starts_with("res"));
    let name = name.or_else(|| named.clone().find(|name| assigned(name)))?;
    Some(vec![at_end(draft, &format!("return {name};"))])
}

const MISSING_RETURN: &str = "missing \"return\" statement in function body";

pub(super) fn missing_return(draft: &Draft<'_>, report: &Report<'_>) -> Option<Vec<Edit>> {
    if !report.says("missing \"return\" statement in function body")
        && !report.says("missing RETURN statement")
    {
        return None;
    }
    Some(vec![at_end(draft, RETURNS)])
}

/// See [`crate::repair::trim`].
pub(crate) fn trim(prefix: &str, answer: &str, suffix: &str) -> String {
    let before = Draft::new(Language::Ada, prefix, 0..0, false);
    let begin = Draft::new(Language::Ada, answer, 0..0, false);
    let mut text = String::with_capacity(answer.len() + 4);
    let cut = run_on(&begin, suffix);
    let answer = &answer[..cut];
    if ends_with_profile(&before) && !begin.is_any(0, &["is", ";", "with", "("]) && begin.len() > 0 {
        text.push_str(" is\n");
        text.push_str(answer.trim_start_matches('\n'));
    } else if before.is(before.len().wrapping_sub(1), "is") && begin.is(0, "is") {
        text.push_str(&answer[begin.end(0)..]);
    } else {
        text.push_str(answer);
    }
    text
}

/// Whether the text ends behind a subprogram's profile.
fn ends_with_profile(draft: &Draft<'_>) -> bool {
    let Some(head) =
        (0..draft.len()).rev().find(|at| draft.is_any(*at, &["function", "procedure", "is", ";"]))
    else {
        return false;
    };
    // A parameter's semicolon is behind the head, too.
    let head = match draft.is(head, ";") && draft.is(draft.len() - 1, ")") || draft.is(head, ";") {
        true => {
            (0..head).rev().find(|at| draft.is_any(*at, &["function", "procedure", "is"])).unwrap_or(head)
        }
        false => head,
    };
    if !draft.is_any(head, &["function", "procedure"]) || draft.is(head.wrapping_sub(1), "end") {
        return false;
    }
    let mut at = head + 2;
    if draft.is(at, "(") {
        let Some(close) = draft.close(at) else { return false };
        at = close + 1;
    }
    if draft.is(head, "function") {
        if !draft.is(at, "return") {
            return false;
        }
        at += 2;
        while draft.is(at, ".") {
            at += 2;
        }
    }
    at == draft.len()
}

/// Where the answer closes what the suffix closes: at an `end` with the suffix's name, or one that nothing of its own opened.
fn run_on(answer: &Draft<'_>, suffix: &str) -> usize {
    let close = Draft::new(Language::Ada, suffix, 0..0, false);
    if !close.is(0, "end") || !close.is_name(1) {
        return answer.text.len();
    }
    let name = close.word(1);
    let own =
        (0..answer.len()).any(|at| answer.is_any(at, &["function", "procedure"]) && answer.is(at + 1, name));
    let end = (0..answer.len()).find(|at| answer.is(*at, "end") && answer.is(at + 1, name));
    match end {
        Some(end) if !own => answer.text[..answer.start(end)].trim_end().len(),
        _ => answer.text.len(),
    }
}
