//! Python's imports, definitions and scopes, by its words and its indentation.

use crate::lexis::Kind;
use crate::outline::Outline;

pub(crate) fn outline(outline: &mut Outline<'_>) {
    let mut at = 0;
    // Brackets: lines inside them close nothing.
    let mut depth = 0usize;
    while at < outline.len() {
        if depth == 0 && outline.begins_line(at) {
            let column = outline.column(at);
            outline.pass(at);
            outline.close_from_column(column);
        } else {
            outline.pass(at);
        }
        match outline.kind(at) {
            Some(Kind::Symbol(b'(' | b'[' | b'{')) => depth += 1,
            Some(Kind::Symbol(b')' | b']' | b'}')) => depth = depth.saturating_sub(1),
            Some(Kind::Keyword) if outline.is_any(at, &["import", "from"]) && outline.begins_line(at) => {
                at = import(outline, at);
            }
            Some(Kind::Keyword) if outline.is_any(at, &["def", "class"]) && outline.is_word(at + 1) => {
                depth = 0;
                outline.declare(at + 1);
                let first = at - usize::from(at > 0 && outline.is(at - 1, "async"));
                let column = outline.column(first);
                if outline.is(at, "def") {
                    parameters(outline, at + 2);
                }
                outline.open(Some(outline.folded(at + 1)), true, column);
                at += 1;
            }
            Some(Kind::Keyword) if outline.is_any(at, &["for", "as", "global"]) => {
                outline.declare_list(at + 1);
            }
            Some(Kind::Word) if depth == 0 && !outline.is_qualified(at) => {
                let assigned = outline.symbol(at + 1, b'=') && !outline.symbols(at + 1, b'=', b'=');
                if assigned
                    || outline.begins_line(at)
                        && (outline.symbol(at + 1, b':') || outline.symbol(at + 1, b','))
                {
                    outline.declare(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn parameters(outline: &mut Outline<'_>, open: usize) {
    if !outline.symbol(open, b'(') {
        return;
    }
    let mut depth = 0usize;
    for at in open..(open + 400).min(outline.len()) {
        match outline.kind(at) {
            Some(Kind::Symbol(b'(' | b'[')) => depth += 1,
            Some(Kind::Symbol(b')' | b']')) => {
                depth -= 1;
                if depth == 0 {
                    return;
                }
            }
            Some(Kind::Word) if depth == 1 => {
                let before = outline.symbol(at - 1, b'(')
                    || outline.symbol(at - 1, b',')
                    || outline.symbol(at - 1, b'*');
                if before {
                    outline.declare(at);
                }
            }
            _ => {}
        }
    }
}

/// `import a.b as c, d`, `from a import b, c`.
fn import(outline: &mut Outline<'_>, at: usize) -> usize {
    let from = outline.is(at, "from");
    let mut name = at + 1;
    let mut module = String::new();
    if from {
        while outline.symbol(name, b'.') {
            module.push('.');
            name += 1;
        }
        if outline.is_word(name) {
            let end = outline.name_end(name);
            module.push_str(&outline.name(name..end));
            name = end;
        }
        outline.import(module.clone());
        if !outline.is(name, "import") {
            return name - 1;
        }
        name += 1;
        name += usize::from(outline.symbol(name, b'('));
    }
    while outline.is_word(name) && name < at + 2000 {
        let end = outline.name_end(name);
        let imported = outline.name(name..end);
        outline.import(match module.as_str() {
            "" => imported,
            module if module.ends_with('.') => format!("{module}{imported}"),
            module => format!("{module}.{imported}"),
        });
        name = end;
        if outline.is(name, "as") {
            outline.declare(name + 1);
            name += 2;
        }
        if !outline.symbol(name, b',') {
            break;
        }
        name += 1;
    }
    let name = name.min(outline.len());
    outline.import_spans.push(at..name);
    name - 1
}
