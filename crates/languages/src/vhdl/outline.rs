//! VHDL's libraries, declarations and scopes, by its words.

use crate::lexis::Kind;
use crate::outline::Outline;

/// What may follow `end` without closing a scope that is kept.
const UNSEEN: &[&str] = &[
    "if",
    "loop",
    "case",
    "record",
    "generate",
    "component",
    "block",
    "for",
    "units",
    "protected",
    "process",
];

pub(crate) fn outline(outline: &mut Outline<'_>) {
    let mut at = 0;
    let mut depth = 0usize;
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

/// `signal a, b : t`, `label : process`, ports and generics.
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

fn keyword(outline: &mut Outline<'_>, at: usize, depth: usize, pending: &mut Option<String>) -> usize {
    // `u1 : entity work.e`, `u1 : component c`
    let instance = at > 0 && outline.symbol(at - 1, b':');
    if instance && outline.is(at, "entity") && outline.is_word(at + 1) {
        let end = outline.name_end(at + 1);
        outline.import(outline.name(at + 1..end));
    }
    let begins = at == 0 || outline.symbol(at - 1, b';') || outline.is_any(at - 1, &["is", "begin"]);
    if depth == 0 && begins && outline.is_any(at, &["library", "use", "context"]) {
        // `context c is` declares one.
        if outline.is(at, "context") && outline.is(at + 2, "is") {
            outline.declare(at + 1);
            outline.note_unit(outline.folded(at + 1));
            return at + 1;
        }
        return clause(outline, at);
    }
    if outline.is(at, "end") {
        let unseen = outline.is_any(at + 1, UNSEEN);
        let process = outline.is(at + 1, "process") || outline.is(at + 1, "postponed");
        let mut name = at + 1;
        while outline.kind(name) == Some(Kind::Keyword) {
            name += 1;
        }
        let named = outline.is_word(name) || outline.kind(name) == Some(Kind::Text);
        if process || !unseen {
            outline.close(None);
        }
        return if named { name } else { name - 1 };
    }
    if outline.is(at, "architecture") && outline.is_word(at + 1) && outline.is(at + 2, "of") {
        outline.declare(at + 1);
        let end = outline.name_end(at + 3);
        let entity = outline.folded(end - 1);
        outline.note_unit(entity.clone());
        *pending = Some(entity);
        return at + 2;
    }
    if outline.is_any(at, &["entity", "package", "function", "procedure", "configuration"]) && !instance {
        let name = at + 1 + usize::from(outline.is(at + 1, "body"));
        if outline.is_word(name) || outline.kind(name) == Some(Kind::Text) {
            outline.declare(name);
            *pending = Some(outline.folded(name));
            return name;
        }
    } else if outline.is_any(at, &["type", "subtype", "component", "alias", "attribute"]) && !instance {
        // `attribute a of x : signal is v` names an attribute of elsewhere.
        if outline.is_word(at + 1) && !(outline.is(at, "attribute") && outline.is(at + 2, "of")) {
            outline.declare(at + 1);
            if outline.is(at, "type") && outline.is(at + 2, "is") && outline.symbol(at + 3, b'(') {
                outline.declare_list(at + 4);
            }
            return at + 1;
        }
    } else if outline.is(at, "process") {
        let label =
            at.checked_sub(2).filter(|label| outline.symbol(label + 1, b':') && outline.is_word(*label));
        let label = label.map(|label| outline.folded(label));
        outline.open(label, false, 0);
    } else if outline.is(at, "is")
        && depth == 0
        && let Some(name) = pending.take().filter(|_| !outline.is(at + 1, "new"))
    {
        outline.note_unit(name.clone());
        outline.open(Some(name), false, 0);
    }
    at
}

/// `use work.utils.all, ieee.numeric_std.all;`
fn clause(outline: &mut Outline<'_>, at: usize) -> usize {
    let mut name = at + 1;
    while outline.is_word(name) {
        let end = outline.name_end(name);
        // Of a package's name, the library and the package; what is used of it is not kept.
        outline.import(outline.name(name..end.min(name + 3)));
        name = end;
        while outline.symbol(name, b'.') || outline.is(name, "all") || outline.kind(name) == Some(Kind::Text)
        {
            name += 1;
        }
        if !outline.symbol(name, b',') {
            break;
        }
        name += 1;
    }
    outline.import_spans.push(at..name);
    name - 1
}
