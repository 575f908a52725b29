//! C's and C++'s includes, declarations and scopes, by their words.

use crate::lexis::Kind;
use crate::outline::Outline;

/// Words that a name may follow without being declared by it.
const NO_TYPE: &[&str] = &[
    "return",
    "else",
    "goto",
    "case",
    "new",
    "delete",
    "throw",
    "typename",
    "sizeof",
    "do",
    "co_return",
    "co_await",
    "co_yield",
    "not",
    "and",
    "or",
    "xor",
    "operator",
    "using",
    "public",
    "private",
    "protected",
    "template",
    "friend",
    "default",
    "struct",
    "class",
    "union",
    "enum",
    "namespace",
    "typedef",
    "extern",
    "static",
    "inline",
    "if",
    "while",
    "for",
    "switch",
];

pub(crate) fn outline(outline: &mut Outline<'_>) {
    // A name that is a scope if a brace follows.
    let mut pending: Option<String> = None;
    let mut depth = 0usize;
    let mut at = 0;
    while at < outline.len() {
        outline.pass(at);
        match outline.kind(at) {
            Some(Kind::Symbol(b'#')) if outline.begins_line(at) => at = directive(outline, at),
            Some(Kind::Symbol(b'(')) => {
                if depth == 0 && pending.is_none() && at > 0 && outline.is_word(at - 1) {
                    pending = Some(qualified(outline, at - 1));
                }
                depth += 1;
            }
            Some(Kind::Symbol(b')')) => depth = depth.saturating_sub(1),
            Some(Kind::Symbol(b';' | b'=')) if depth == 0 => pending = None,
            Some(Kind::Symbol(b'{')) => {
                outline.open(pending.take(), true, 0);
                depth = 0;
            }
            Some(Kind::Symbol(b'}')) => {
                outline.close(None);
                pending = None;
                depth = 0;
            }
            Some(Kind::Keyword) if outline.is_any(at, &["struct", "union", "enum", "class", "namespace"]) => {
                let name = at + 1 + usize::from(outline.is(at + 1, "class"));
                // `struct S {` declares it, `struct S x` uses it.
                if outline.is_word(name)
                    && (outline.symbol(name + 1, b'{')
                        || outline.symbol(name + 1, b':') && !outline.symbols(name + 1, b':', b':')
                        || outline.is(name + 1, "final")
                        || outline.symbol(name + 1, b';'))
                {
                    outline.declare(name);
                    pending = Some(outline.folded(name));
                    at = name;
                }
            }
            Some(Kind::Keyword)
                if outline.is(at, "using") && outline.is_word(at + 1) && outline.symbol(at + 2, b'=') =>
            {
                outline.declare(at + 1);
            }
            Some(Kind::Word) if declares(outline, at) => {
                outline.declare(at);
            }
            _ => {}
        }
        at += 1;
    }
}

fn qualified(outline: &Outline<'_>, last: usize) -> String {
    let mut first = last;
    while first >= 3 && outline.is_qualified(first) && outline.is_word(first - 3) {
        first -= 3;
    }
    outline.name(first..last + 1)
}

/// `int x`, `struct s *x`, `T &x`, and in enumerations `A,` or `A = 1`.
fn declares(outline: &Outline<'_>, at: usize) -> bool {
    let followed = [b';', b'=', b'(', b',', b'[', b')', b'{', b':'];
    if !followed.iter().any(|symbol| outline.symbol(at + 1, *symbol)) || outline.symbols(at + 1, b':', b':') {
        return false;
    }
    let mut before = at;
    while before > 0 && (outline.symbol(before - 1, b'*') || outline.symbol(before - 1, b'&')) {
        before -= 1;
    }
    let Some(before_it) = before.checked_sub(1) else { return false };
    match outline.kind(before_it) {
        Some(Kind::Keyword) => {
            before == at && !outline.is_any(before_it, NO_TYPE) || is_basic(outline, before_it)
        }
        // `a * b` is mostly a product; `T *b` is told by what is before it.
        Some(Kind::Word) => {
            before == at
                || before_it == 0
                || outline.begins_line(before_it)
                || outline.is_any(
                    before_it - 1,
                    &["const", "struct", "static", "extern", "volatile", "union", "enum"],
                )
                || (outline.symbol(before_it - 1, b'(') || outline.symbol(before_it - 1, b','))
                    && (outline.symbol(at + 1, b',') || outline.symbol(at + 1, b')'))
        }
        Some(Kind::Symbol(b'>')) => before == at && outline.symbol(at + 1, b'('),
        _ => false,
    }
}

fn is_basic(outline: &Outline<'_>, at: usize) -> bool {
    outline.is_any(
        at,
        &[
            "char", "int", "void", "long", "short", "unsigned", "signed", "float", "double", "bool", "auto",
            "const",
        ],
    )
}

/// `#include "a.h"`, `#define X`; returns the last lexeme looked at.
fn directive(outline: &mut Outline<'_>, at: usize) -> usize {
    match outline.written(at + 1) {
        "include" => {
            let path = at + 2;
            let Some(lexeme) = outline.lexemes.get(path).copied() else { return at };
            let line_end =
                outline.text[lexeme.start..].find('\n').map_or(outline.text.len(), |end| lexeme.start + end);
            let line = &outline.text[lexeme.start..line_end];
            let close = if line.starts_with('<') { '>' } else { '"' };
            let name = line.get(1..).and_then(|line| line.split_once(close)).map(|(name, _)| name.to_owned());
            if let Some(name) = name {
                outline.import(name);
            }
            let behind =
                outline.lexemes[path..].iter().take(256).take_while(|next| next.start < line_end).count();
            outline.import_spans.push(at..path + behind);
            path + behind - 1
        }
        "define" => {
            outline.declare(at + 2);
            at + 2
        }
        "if" | "ifdef" | "ifndef" | "elif" | "endif" | "else" | "undef" | "pragma" => at + 1,
        _ => at,
    }
}
