//! Pascal's uses clauses, declarations and scopes, by its words.

use crate::lexis::Kind;
use crate::outline::Outline;

const SECTIONS: &[&str] = &["const", "type", "var", "threadvar", "resourcestring"];
const ROUTINES: &[&str] = &["procedure", "function", "constructor", "destructor"];

pub(crate) fn outline(outline: &mut Outline<'_>) {
    let mut at = 0;
    // Routines whose `begin` is yet to come, outermost first.
    let mut pending: Vec<String> = Vec::new();
    while at < outline.len() {
        outline.pass(at);
        match outline.kind(at) {
            Some(Kind::Word) => objects(outline, at),
            Some(Kind::Keyword) => at = keyword(outline, at, &mut pending),
            _ => {}
        }
        at += 1;
    }
}

/// `A, B: T`, and `A = ` where a declaration begins.
fn objects(outline: &mut Outline<'_>, at: usize) {
    let begins = at > 0 && (outline.symbol(at - 1, b';') || outline.is_any(at - 1, SECTIONS));
    if begins && outline.symbol(at + 1, b'=') {
        outline.declare(at);
        // Literals: `T = (A, B);`
        if outline.symbol(at + 2, b'(') {
            outline.declare_list(at + 3);
        }
    }
    if !outline.symbol(at + 1, b':') || outline.symbols(at + 1, b':', b'=') || outline.is_qualified(at) {
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
fn keyword(outline: &mut Outline<'_>, at: usize, pending: &mut Vec<String>) -> usize {
    const PENDING_MAX: usize = 64;
    if outline.is(at, "uses") {
        return uses(outline, at);
    }
    if outline.is_any(at, &["unit", "program", "library"]) && outline.is_word(at + 1) {
        let end = outline.name_end(at + 1);
        outline.declare(end - 1);
        outline.note_unit(outline.name(at + 1..end));
        return end - 1;
    }
    if outline.is_any(at, ROUTINES) && outline.is_word(at + 1) {
        let end = outline.name_end(at + 1);
        outline.declare(end - 1);
        // A method of a class that is being declared has its body elsewhere.
        if outline.innermost().is_none_or(|scope| scope.begun) && pending.len() < PENDING_MAX {
            pending.push(outline.name(at + 1..end));
        }
        return end - 1;
    }
    if outline.is_any(at, &["forward", "external"]) {
        pending.pop();
    } else if outline.is(at, "implementation") {
        pending.clear();
    } else if outline.is(at, "begin") {
        let name = pending.pop();
        outline.open(name, true, 0);
    } else if outline.is_any(at, &["try", "asm"]) {
        outline.open(None, true, 0);
    } else if outline.is(at, "case") {
        // The variants of a record end with it.
        if outline.innermost().is_none_or(|scope| scope.begun) {
            outline.open(None, true, 0);
        }
    } else if outline.is(at, "record") || is_class(outline, at) {
        outline.open(None, false, 0);
    } else if outline.is(at, "end") {
        outline.close(None);
    }
    at
}

/// `T = class(Base) … end`: not `class of T`, nor a class without a body.
fn is_class(outline: &Outline<'_>, at: usize) -> bool {
    const BASES_MAX: usize = 64;
    if at == 0 || !outline.is_any(at, &["class", "object", "interface"]) || !outline.symbol(at - 1, b'=') {
        return false;
    }
    let mut behind = at + 1;
    if outline.symbol(behind, b'(') {
        while behind < at + BASES_MAX && behind < outline.len() && !outline.symbol(behind, b')') {
            behind += 1;
        }
        behind += 1;
    }
    !outline.symbol(behind, b';') && !outline.is(behind, "of")
}

/// `uses A, B.C in 'c.pas';`
fn uses(outline: &mut Outline<'_>, at: usize) -> usize {
    let mut name = at + 1;
    while outline.is_word(name) {
        let end = outline.name_end(name);
        outline.import(outline.name(name..end));
        name = if outline.is(end, "in") { end + 2 } else { end };
        if !outline.symbol(name, b',') {
            break;
        }
        name += 1;
    }
    outline.import_spans.push(at..name);
    name - 1
}
