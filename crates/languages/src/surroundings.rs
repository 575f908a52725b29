//! What surrounds a cursor: the names that a person uses near it and the text does not declare.

use std::collections::HashSet;
use std::ops::Range;

use crate::language::Language;
use crate::lexis::Kind;
use crate::outline::Outline;

/// So much of the text is looked at on each side of the cursor, and of its beginning.
const SIDE_BYTES_MAX: usize = 64 << 10;
/// So many names near the cursor are told.
const NEAR_MAX: usize = 256;

/// A longer word is no name.
const NAME_BYTES_MAX: usize = 256;

/// What surrounds a cursor. Names are folded as the language does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What the text's own `with`, `use`, `include` and the like name, in their order.
    pub imports: Vec<String>,
    /// The library unit around the cursor, where its begin is in sight.
    pub unit: Option<String>,
    /// Names near the cursor that the text itself does not declare, nearest first, each once; at most 256.
    pub near: Vec<Named>,
    /// Names that the text itself declares.
    pub defined: Vec<String>,
    /// The qualified prefix directly before the cursor: `ada.strings.fixed` of `Ada.Strings.Fixed.Tr`.
    pub prefix: Option<String>,
    /// Subprograms, entities, packages and the like around the cursor, innermost first.
    pub enclosing: Vec<String>,
}

/// A name near a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Folded; simple, or qualified as written.
    pub name: String,
    /// Lines between it and the cursor.
    pub distance_lines: u32,
    /// Whether it is behind the cursor.
    pub behind: bool,
    /// Whether it is on the cursor's line.
    pub on_line: bool,
}

/// What surrounds the cursor between `prefix` and `suffix`. A word that touches the cursor is being typed and
/// counts for nothing, so that a keystroke in a word changes nothing but [`Surroundings::prefix`] at its start.
pub fn surroundings(language: Language, prefix: &str, suffix: &str) -> Surroundings {
    let before = &prefix[prefix.ceil_char_boundary(prefix.len().saturating_sub(SIDE_BYTES_MAX))..];
    let behind = &suffix[..suffix.floor_char_boundary(SIDE_BYTES_MAX)];
    let cursor = before.len();
    let window = [before, behind].concat();
    let outline = Outline::new(language, &window, cursor);

    let mut imports = Vec::new();
    let mut unit = outline.unit.clone();
    if before.len() < prefix.len() {
        let head = &prefix[..prefix.floor_char_boundary(SIDE_BYTES_MAX)];
        let head = Outline::new(language, head, usize::MAX);
        imports = head.imports;
        unit = head.unit.or(unit);
    }
    for import in &outline.imports {
        if !imports.contains(import) {
            imports.push(import.clone());
        }
    }

    let touches = |at: usize| {
        let lexeme = &outline.lexemes[at];
        lexeme.start <= cursor && cursor <= lexeme.end && matches!(lexeme.kind, Kind::Word | Kind::Keyword)
    };
    let mut defined = Vec::new();
    let mut defined_set = HashSet::new();
    for at in &outline.declared {
        if *at < outline.len() && !touches(*at) {
            let name = outline.folded(*at);
            if !defined_set.contains(&name) {
                defined_set.insert(name.clone());
                defined.push(name);
            }
            // `package A.B is` declares `A.B` too, though nobody near calls it so.
            let first = outline.name_begin(*at);
            if first < *at {
                defined_set.insert(outline.name(first..at + 1));
            }
        }
    }
    Surroundings {
        unit,
        near: near(&outline, cursor, &defined_set, touches),
        prefix: qualified_prefix(&outline, cursor),
        enclosing: outline.enclosing(),
        imports,
        defined,
    }
}

/// Walks away from the cursor on both sides at once.
fn near(
    outline: &Outline<'_>,
    cursor: usize,
    defined: &HashSet<String>,
    touches: impl Fn(usize) -> bool,
) -> Vec<Named> {
    let skipped = |at: usize| {
        let spans = &outline.import_spans;
        let found = spans.partition_point(|span| span.end <= at);
        spans.get(found).is_some_and(|span| span.contains(&at))
    };
    let names = |at: &usize| {
        let lexeme = &outline.lexemes[*at];
        outline.is_word(*at)
            && lexeme.end - lexeme.start <= NAME_BYTES_MAX
            && !touches(*at)
            && !skipped(*at)
            && !outline.names_nothing(*at)
    };
    let bytes = outline.text.as_bytes();
    let lines = |from: usize, to: usize| {
        let breaks = bytes[from.min(to)..to].iter().filter(|byte| **byte == b'\n').count();
        u32::try_from(breaks).unwrap_or(u32::MAX)
    };
    let split = outline.lexemes.partition_point(|lexeme| lexeme.end <= cursor);
    // Each with its distance in lines and in bytes.
    let (mut reached, mut distance_lines) = (cursor, 0);
    let before = (0..split).rev().filter(names).map(move |at| {
        let end = outline.lexemes[at].end;
        distance_lines += lines(end, reached);
        reached = end;
        (at, (distance_lines, cursor - end))
    });
    let (mut reached, mut distance_lines) = (cursor, 0);
    let behind = (split..outline.len()).filter(names).map(move |at| {
        let start = outline.lexemes[at].start;
        distance_lines += lines(reached, start);
        reached = start;
        (at, (distance_lines, start - cursor))
    });
    let (mut before, mut behind) = (before.peekable(), behind.peekable());
    let mut seen: HashSet<String> = HashSet::new();
    let mut near = Vec::new();
    while near.len() < NEAR_MAX {
        // The side that is nearer by lines, and then by bytes, is next.
        let is_behind = match (before.peek(), behind.peek()) {
            (Some((_, before)), Some((_, behind))) => behind < before,
            (before, _) => before.is_none(),
        };
        let next = if is_behind { behind.next() } else { before.next() };
        let Some((at, (distance_lines, _))) = next else { break };
        let mut add = |name: String| {
            if !name.is_empty() && !seen.contains(&name) && near.len() < NEAR_MAX {
                seen.insert(name.clone());
                near.push(Named { name, distance_lines, behind: is_behind, on_line: distance_lines == 0 });
            }
        };
        // The whole of a qualified name comes with its last part; parts before it are no names alone.
        let last = outline.name_end(at) == at + 1;
        if !last {
            continue;
        }
        let first = outline.name_begin(at);
        if first < at {
            let whole = outline.name(first..at + 1);
            // `work.e` of VHDL is `e`.
            let only_work =
                outline.language == Language::Vhdl && at == first + 2 && whole.starts_with("work.");
            if !only_work && !defined.contains(&whole) && !defined.contains(&outline.folded(first)) {
                add(whole);
            }
        }
        let simple = outline.folded(at);
        if !defined.contains(&simple) {
            add(simple);
        }
    }
    near
}

/// The name before the qualifier that the cursor, or the word that it touches, is behind.
fn qualified_prefix(outline: &Outline<'_>, cursor: usize) -> Option<String> {
    let qualifier = outline.language.pack().lexis.qualifier;
    if qualifier.is_empty() {
        return None;
    }
    // The lexemes that end before the cursor, and of the one around it nothing.
    let mut behind = outline.lexemes.partition_point(|lexeme| lexeme.start < cursor);
    let touched = behind.checked_sub(1).filter(|at| {
        outline.lexemes[*at].end >= cursor && matches!(outline.kind(*at), Some(Kind::Word | Kind::Keyword))
    });
    if touched.is_some() {
        behind -= 1;
    }
    let from = match touched {
        Some(at) => outline.lexemes[at].start,
        None => cursor,
    };
    let before: Range<usize> = from.checked_sub(qualifier.len())?..from;
    let dot = behind.checked_sub(qualifier.len())?;
    if outline.text.get(before)? != qualifier || outline.lexemes[dot].end > from {
        return None;
    }
    let last = dot.checked_sub(1)?;
    if !outline.is_word(last) {
        return None;
    }
    Some(outline.name(outline.name_begin(last)..last + 1))
}
