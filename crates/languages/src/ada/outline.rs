//! Ada's context clauses, declarations and scopes, by its words.

use crate::lexis::Kind;
use crate::outline::Outline;

const NAMED: &[&str] = &["procedure", "function", "package", "task", "protected", "entry"];

pub(crate) fn outline(outline: &mut Outline<'_>) {
    let mut at = 0;
    let mut depth = 0usize;
    // A specification that is a scope if `is` follows.
    let mut pending: Option<String> = None;
    while at < outline.len() {
        outline.pass(at);
        match outline.kind(at) {
            Some(Kind::Symbol(b'(')) => depth += 1,
            Some(Kind::Symbol(b')')) => depth = depth.saturating_sub(1),
            Some(Kind::Symbol(b';')) if depth == 0 => pending = None,
            Some(Kind::Word) => objects(outline, at),
            Some(Kind::Keyword) => at = keyword(outline, at, depth, &mut pending),
            _ => {}
        }
        at += 1;
    }
}

/// `A, B : Type`: a word before a colon, and those before it in its list.
fn objects(outline: &mut Outline<'_>, at: usize) {
    if outline.is_qualified(at) || !outline.symbol(at + 1, b':') || outline.symbols(at + 1, b':', b'=') {
        return;
    }
    outline.declare(at);
    let mut before = at;
    while before > 1 && outline.symbol(before - 1, b',') && outline.is_word(before - 2) {
        before -= 2;
        outline.declare(before);
    }
}

/// Looks at a keyword, and returns the last lexeme that belongs to it.
fn keyword(outline: &mut Outline<'_>, at: usize, depth: usize, pending: &mut Option<String>) -> usize {
    let begins = at == 0
        || outline.symbol(at - 1, b';')
        || outline.is_any(at - 1, &["private", "limited"]) && outline.is(at, "with");
    if depth == 0 && begins && outline.is_any(at, &["with", "use"]) && !outline.is_any(at + 1, NAMED) {
        return clause(outline, at);
    }
    if outline.is_any(at, NAMED) && !outline.is(at.wrapping_sub(1), "end") {
        let mut name = at + 1;
        while outline.is_any(name, &["body", "type"]) {
            name += 1;
        }
        if outline.is_word(name) || outline.kind(name) == Some(Kind::Text) {
            let end = outline.name_end(name);
            outline.declare(end - 1);
            *pending = Some(outline.name(name..end));
            return end - 1;
        }
        return at;
    }
    if outline.is_any(at, &["type", "subtype"]) && outline.is_word(at + 1) {
        outline.declare(at + 1);
        // Literals: `type T is (A, B);`
        if outline.is(at + 2, "is") && outline.symbol(at + 3, b'(') {
            outline.declare_list(at + 4);
        }
        return at + 1;
    }
    if outline.is(at, "separate") && outline.symbol(at + 1, b'(') {
        let end = outline.name_end(at + 2);
        if outline.is_word(at + 2) {
            outline.note_unit(outline.name(at + 2..end));
        }
        return at;
    }
    if outline.is(at, "is") && depth == 0 {
        let ends = outline.is_any(at + 1, &["new", "abstract", "separate"])
            || outline.is(at + 1, "null") && outline.symbol(at + 2, b';')
            || outline.symbol(at + 1, b'(')
            || outline.symbol(at + 1, b'<');
        if let Some(name) = pending.take().filter(|_| !ends) {
            outline.note_unit(name.clone());
            outline.open(Some(name), false, 0);
        }
    } else if outline.is(at, "declare") {
        outline.open(None, false, 0);
    } else if outline.is(at, "begin") {
        match outline.innermost() {
            Some(scope) if !scope.begun => scope.begun = true,
            _ => outline.open(None, true, 0),
        }
    } else if outline.is(at, "do") {
        outline.open(None, true, 0);
    } else if outline.is(at, "end") {
        return end(outline, at);
    }
    at
}

fn end(outline: &mut Outline<'_>, at: usize) -> usize {
    if outline.is_any(at + 1, &["if", "loop", "case", "record", "select"]) {
        return at + 1;
    }
    let name = at + 1;
    if outline.is_word(name) || outline.kind(name) == Some(Kind::Text) {
        let end = outline.name_end(name);
        // The name of a block or an accept statement is not among the scopes: those are closed without.
        let named = outline.name(name..end);
        match outline.innermost() {
            Some(scope) if scope.name.is_none() => outline.close(None),
            _ => outline.close(Some(&named)),
        }
        return end - 1;
    }
    outline.close(None);
    at
}

/// `with A.B, C;`
fn clause(outline: &mut Outline<'_>, at: usize) -> usize {
    let mut name = at + 1;
    while outline.is_any(name, &["type", "all"]) {
        name += 1;
    }
    let types = name > at + 1;
    while outline.is_word(name) {
        let end = outline.name_end(name);
        if !types {
            outline.import(outline.name(name..end));
        }
        name = end;
        if !outline.symbol(name, b',') {
            break;
        }
        name += 1;
    }
    outline.import_spans.push(at..name);
    name - 1
}
