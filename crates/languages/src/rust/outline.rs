//! Rust's `use` trees, items and scopes, by its words.

use crate::lexis::Kind;
use crate::outline::Outline;

/// A `use` tree may be so deep and name so much.
const TREE_DEPTH_MAX: usize = 8;

pub(crate) fn outline(outline: &mut Outline<'_>) {
    let mut pending: Option<String> = None;
    let mut at = 0;
    while at < outline.len() {
        outline.pass(at);
        match outline.kind(at) {
            Some(Kind::Symbol(b';')) => pending = None,
            Some(Kind::Symbol(b'{')) => outline.open(pending.take(), true, 0),
            Some(Kind::Symbol(b'}')) => {
                outline.close(None);
                pending = None;
            }
            Some(Kind::Keyword) if outline.is(at, "use") => at = tree(outline, at),
            Some(Kind::Keyword)
                if outline.is_any(at, &["fn", "struct", "enum", "trait", "mod", "union"])
                    && outline.is_word(at + 1) =>
            {
                outline.declare(at + 1);
                pending = Some(outline.folded(at + 1));
                at += 1;
            }
            Some(Kind::Keyword) if outline.is_any(at, &["type", "const", "static"]) => {
                let name = at + 1 + usize::from(outline.is(at + 1, "mut"));
                if outline.is_word(name) {
                    outline.declare(name);
                }
            }
            Some(Kind::Keyword) if outline.is(at, "impl") => pending = implemented(outline, at),
            Some(Kind::Keyword) if outline.is_any(at, &["let", "for"]) => pattern(outline, at),
            Some(Kind::Word)
                if outline.symbol(at + 1, b':') && !outline.symbols(at + 1, b':', b':')
                // Parameters and fields; a value's field is no declaration, and does no harm as one.
                && !outline.is_qualified(at) =>
            {
                outline.declare(at);
            }
            Some(Kind::Word)
                if outline.written(at) == "macro_rules"
                    && outline.symbol(at + 1, b'!')
                    && outline.is_word(at + 2) =>
            {
                outline.declare(at + 2);
            }
            _ => {}
        }
        at += 1;
    }
}

/// `impl<T> Trait for Type<T> {`: the type.
fn implemented(outline: &Outline<'_>, at: usize) -> Option<String> {
    let mut generics = 0usize;
    let mut name = None;
    for next in at + 1..(at + 200).min(outline.len()) {
        match outline.kind(next) {
            Some(Kind::Symbol(b'<')) => generics += 1,
            Some(Kind::Symbol(b'>')) => generics = generics.saturating_sub(1),
            Some(Kind::Symbol(b'{' | b';' | b'(' | b')' | b',')) if generics == 0 => break,
            Some(Kind::Keyword) if outline.is(next, "where") => break,
            Some(Kind::Keyword) if outline.is(next, "for") && generics == 0 => name = None,
            Some(Kind::Word) if generics == 0 => name = Some(next),
            _ => {}
        }
    }
    name.map(|name| outline.folded(name))
}

/// Names that `let` or `for` binds: lower-case words up to its `=`, `:` or `in`.
fn pattern(outline: &mut Outline<'_>, at: usize) {
    for next in at + 1..(at + 24).min(outline.len()) {
        match outline.kind(next) {
            Some(Kind::Symbol(b'=' | b':' | b';' | b'{')) if !outline.symbols(next, b':', b':') => return,
            Some(Kind::Keyword) if outline.is(next, "in") => return,
            Some(Kind::Word) if outline.written(next).starts_with(|letter: char| !letter.is_uppercase()) => {
                outline.declare(next);
            }
            _ => {}
        }
    }
}

/// `use a::{b, c::d as e};`: `a::b`, `a::c::d`. Returns its last lexeme.
fn tree(outline: &mut Outline<'_>, at: usize) -> usize {
    let mut prefixes: Vec<String> = vec![String::new()];
    let mut path = String::new();
    let mut next = at + 1;
    while next < outline.len() {
        match outline.kind(next) {
            Some(Kind::Symbol(b'{')) if prefixes.len() < TREE_DEPTH_MAX => {
                prefixes.push(std::mem::take(&mut path));
                path.clone_from(prefixes.last().unwrap_or(&String::new()));
            }
            Some(Kind::Symbol(close @ (b'}' | b',' | b';'))) => {
                outline.import(std::mem::take(&mut path).trim_end_matches("::").to_owned());
                if close == b';' || close == b'}' && prefixes.len() == 1 {
                    break;
                }
                if close == b'}' {
                    prefixes.pop();
                    // What is behind a closed group is not a name.
                    path = String::new();
                } else {
                    path.clone_from(prefixes.last().unwrap_or(&String::new()));
                }
            }
            Some(Kind::Symbol(b':' | b'*')) => {
                if outline.symbol(next, b':') {
                    path.push(':');
                }
            }
            Some(Kind::Keyword) if outline.is(next, "as") => next += 1,
            Some(Kind::Keyword) if outline.is(next, "self") && path.len() > 2 => {}
            Some(Kind::Word | Kind::Keyword) => path.push_str(outline.written(next)),
            _ => break,
        }
        next += 1;
    }
    // Ended by the end of the text or what does not belong here: what was read so far is kept.
    if !path.is_empty() {
        outline.import(path.trim_end_matches(':').to_owned());
    }
    outline.import_spans.push(at..next.min(outline.len()));
    next.min(outline.len()) - usize::from(next >= outline.len())
}
