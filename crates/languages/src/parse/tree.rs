//! A walk over a syntax tree that keeps to what declares: no statement and no expression is looked into.

use std::ops::{ControlFlow, Range};
use std::sync::OnceLock;

use tree_sitter::{Node, ParseOptions, Parser, TreeCursor};

use crate::language::Language;
use crate::parse::chunks::{Atom, Lines, line_number};
use crate::parse::{ChunkKind, DEFINITIONS_MAX, Definition, SymbolKind};

/// Scopes and lists inside each other are looked into so deep.
const DEPTH_MAX: u32 = 200;
/// Of a signature so much is kept, of a comment so much.
pub(crate) const SIGNATURE_BYTES_MAX: usize = 2048;
const COMMENT_BYTES_MAX: usize = 512;
/// The longest comment that is looked through for its beginning.
const COMMENT_LINES_MAX: usize = 40;
/// So many bytes or lines are an atom, even when something in them could be one.
const ATOM_BYTES_MAX: usize = 2560;
const ATOM_LINES_MAX: usize = 60;
/// How often the grammar may ask whether to go on, which it does after every hundred operations: so often at least, and
/// once for so many bytes. Code that was measured asks once for 38 bytes at most, and for about a hundred mostly.
const CHECKS_MIN: usize = 2_000;
const BYTES_A_CHECK: usize = 20;

/// A language's grammar, and what its nodes are.
pub(crate) struct Grammar {
    pub(crate) language: tree_sitter_language::LanguageFn,
    /// By the node's kind.
    pub(crate) role: fn(&str) -> Role,
    /// What a node with such a role names, if anything.
    pub(crate) define: for<'t> fn(Node<'t>, &'t str) -> Option<Found>,
    /// What is put between the parts of a qualified name.
    pub(crate) qualifier: &'static str,
    /// What every qualified name begins with.
    pub(crate) root: &'static str,
    /// Roles by the number of the node's kind.
    pub(crate) table: OnceLock<Vec<Role>>,
}

/// What a node is to the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing, and nothing in it is anything.
    Other,
    /// Nothing, but what is in it may be.
    Through,
    /// It belongs to the declaration inside, which begins with it.
    Wrapper,
    /// Context clauses and the like, when nothing is around them.
    Imports,
    /// A declaration.
    Declaration(ChunkKind),
    /// Something about the declaration before it.
    Trailing,
    /// A declaration with declarations inside, always one piece.
    Inner(ChunkKind),
    /// One piece if it is not too long.
    Body(ChunkKind),
    /// What is inside is known outside.
    Container(ChunkKind),
    /// The statements of a body.
    Statements,
}

/// What a node names.
pub(crate) struct Found {
    /// Where the names are spelled.
    pub(crate) names: Vec<Range<usize>>,
    pub(crate) kind: SymbolKind,
    pub(crate) is_body: bool,
    /// Where its signature ends; it begins with the node.
    pub(crate) signature_end: usize,
    /// Whether it is a library unit when nothing is around it.
    pub(crate) is_unit: bool,
    /// What it is called as a scope, if not by its name.
    pub(crate) scope: Option<String>,
    /// Whether it is a scope only and no definition.
    pub(crate) only_scope: bool,
}

impl Found {
    /// Of a node with one name and all of it for a signature.
    pub(crate) fn new(node: Node<'_>, name: Node<'_>, kind: SymbolKind) -> Found {
        Found::many(node, vec![name.byte_range()], kind)
    }

    /// Of a node with several names.
    pub(crate) fn many(node: Node<'_>, names: Vec<Range<usize>>, kind: SymbolKind) -> Found {
        let signature_end = node.end_byte();
        Found { names, kind, is_body: false, signature_end, is_unit: false, scope: None, only_scope: false }
    }

    /// With a signature that ends sooner.
    pub(crate) fn until(self, signature_end: usize) -> Found {
        Found { signature_end, ..self }
    }

    /// A body.
    pub(crate) fn body(self) -> Found {
        Found { is_body: true, ..self }
    }

    /// A library unit.
    pub(crate) fn unit(self) -> Found {
        Found { is_unit: true, ..self }
    }
}

/// What the walk found.
pub(crate) struct Read {
    pub(crate) atoms: Vec<Atom>,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) units: Vec<String>,
    pub(crate) has_errors: bool,
}

/// Reads a text; none when the grammar gives up.
pub(crate) fn read(language: Language, grammar: &'static Grammar, text: &str, lines: &Lines) -> Option<Read> {
    let compiled = tree_sitter::Language::new(grammar.language);
    let roles = grammar.table.get_or_init(|| {
        let kinds = u16::try_from(compiled.node_kind_count()).unwrap_or(u16::MAX);
        (0..kinds)
            .map(|kind| match compiled.node_kind_for_id(kind) {
                Some(name) if compiled.node_kind_is_named(kind) => (grammar.role)(name),
                _ => Role::Other,
            })
            .collect()
    });
    let mut parser = Parser::new();
    parser.set_language(&compiled).ok()?;
    let mut checks = CHECKS_MIN.max(text.len() / BYTES_A_CHECK);
    let mut progress = |_: &tree_sitter::ParseState| {
        checks = checks.saturating_sub(1);
        if checks == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let bytes = text.as_bytes();
    let tree =
        parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), None, Some(options))?;
    let mut walk = Walk {
        language,
        grammar,
        roles,
        text,
        lines,
        scope: grammar.root.to_owned(),
        depth: 0,
        quiet: 0,
        group: 0,
        groups: 0,
        locality: Locality::None,
        read: Read {
            atoms: Vec::new(),
            definitions: Vec::new(),
            units: Vec::new(),
            has_errors: tree.root_node().has_error(),
        },
    };
    walk.node(&mut tree.walk(), None);
    Some(walk.read)
}

struct Walk<'t> {
    language: Language,
    grammar: &'static Grammar,
    roles: &'static [Role],
    text: &'t str,
    lines: &'t Lines,
    /// What is around, qualified.
    scope: String,
    depth: u32,
    /// Over 0 inside what is an atom already.
    quiet: u32,
    group: u32,
    groups: u32,
    locality: Locality,
    read: Read,
}

/// What is not known outside, and no definition therefore.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Locality {
    None,
    /// Variables and signals.
    Architecture,
    /// Constants and types as well.
    Body,
}

impl Walk<'_> {
    /// Looks at the cursor's node; `outer` is where a declaration around it begins.
    fn node(&mut self, cursor: &mut TreeCursor<'_>, outer: Option<usize>) {
        let node = cursor.node();
        let role = match node.is_error() {
            true => Role::Through,
            false => self.roles.get(usize::from(node.kind_id())).copied().unwrap_or(Role::Other),
        };
        let start = outer.unwrap_or(node.start_byte());
        let bytes = self.boundaries(start..node.end_byte());
        match role {
            Role::Other => {}
            Role::Through => self.children(cursor, None),
            Role::Wrapper => self.children(cursor, Some(start)),
            Role::Imports if self.scope == self.grammar.root => {
                self.atom(bytes, ChunkKind::Imports, None, Some(self.group), true);
            }
            Role::Imports => self.atom(bytes, ChunkKind::Declaration, None, Some(self.group), false),
            Role::Declaration(kind) => {
                let found = (self.grammar.define)(node, self.text);
                let name = found.and_then(|found| self.define(node, &bytes, &found));
                self.atom(bytes, kind, name, Some(self.group), false);
            }
            Role::Trailing => {
                let group = Some(self.group);
                let before = self.read.atoms.last_mut().filter(|before| {
                    before.group == group && (!before.head || before.kind == ChunkKind::Imports)
                });
                match before {
                    Some(before) if self.quiet == 0 => before.bytes.end = bytes.end,
                    _ => self.atom(bytes, ChunkKind::Declaration, None, group, false),
                }
            }
            Role::Inner(kind) => {
                let found = (self.grammar.define)(node, self.text);
                let name = found.and_then(|found| self.define(node, &bytes, &found));
                self.atom(bytes, kind, name.clone(), Some(self.group), false);
                self.quiet += 1;
                self.inside(cursor, name, self.locality);
                self.quiet -= 1;
            }
            Role::Body(kind) | Role::Container(kind) => self.scope(cursor, bytes, kind, role),
            Role::Statements => {
                if self.locality == Locality::Body {
                    // Its `begin` is before it.
                    let row = self.lines.row(bytes.start);
                    let above = row
                        .checked_sub(1)
                        .filter(|row| self.lines.line(self.text, *row).trim().eq_ignore_ascii_case("begin"));
                    let from = above.map_or(bytes.start, |row| self.lines.start(row));
                    let name = Some(self.scope.clone());
                    self.atom(from..bytes.end, ChunkKind::Body, name, None, false);
                }
            }
        }
    }

    fn children(&mut self, cursor: &mut TreeCursor<'_>, outer: Option<usize>) {
        if self.depth >= DEPTH_MAX || !cursor.goto_first_child() {
            return;
        }
        self.depth += 1;
        loop {
            self.node(cursor, outer);
            if !cursor.goto_next_sibling() {
                break;
            }
        }
        self.depth -= 1;
        cursor.goto_parent();
    }

    /// The children of what is a scope by that name.
    fn inside(&mut self, cursor: &mut TreeCursor<'_>, name: Option<String>, locality: Locality) {
        let locality = locality.max(self.locality);
        let locality = std::mem::replace(&mut self.locality, locality);
        let scope = name.map(|name| std::mem::replace(&mut self.scope, name));
        self.children(cursor, None);
        if let Some(scope) = scope {
            self.scope = scope;
        }
        self.locality = locality;
    }

    fn scope(&mut self, cursor: &mut TreeCursor<'_>, bytes: Range<usize>, kind: ChunkKind, role: Role) {
        let node = cursor.node();
        let found = (self.grammar.define)(node, self.text);
        let head_end = found.as_ref().map_or(bytes.start, |found| found.signature_end);
        let name = found.and_then(|found| self.define(node, &bytes, &found));
        let locality = match (role, kind) {
            (Role::Body(_), _) => Locality::Body,
            (_, ChunkKind::Architecture) => Locality::Architecture,
            _ => Locality::None,
        };
        let rows = self.lines.row(bytes.end.saturating_sub(1)) + 1 - self.lines.row(bytes.start);
        let whole = bytes.len() <= ATOM_BYTES_MAX && rows <= ATOM_LINES_MAX;
        if whole || self.quiet > 0 {
            self.atom(bytes, kind, name.clone(), None, false);
            self.quiet += 1;
            self.inside(cursor, name, locality);
            self.quiet -= 1;
            return;
        }
        self.groups += 1;
        let group = std::mem::replace(&mut self.group, self.groups);
        let first_line = self.lines.of_row(self.text, self.lines.row(bytes.start)).end;
        let head = bytes.start..head_end.clamp(first_line.min(bytes.end), bytes.end);
        let first = self.read.atoms.len();
        self.atom(head, kind, name.clone(), Some(self.group), true);
        self.inside(cursor, name, locality);
        self.group = group;
        // What ends it belongs to the last that is in it.
        if let Some(last) = self.read.atoms.last_mut() {
            last.bytes.end = last.bytes.end.max(bytes.end);
        }
        if self.read.atoms.len() == first + 1 {
            // It has no parts.
            self.read.atoms[first].head = false;
            self.read.atoms[first].group = None;
        }
    }

    fn atom(
        &mut self,
        bytes: Range<usize>,
        kind: ChunkKind,
        name: Option<String>,
        group: Option<u32>,
        head: bool,
    ) {
        if self.quiet > 0 || bytes.is_empty() {
            return;
        }
        // What begins inside the last atom is a part of it.
        if self.read.atoms.last().is_some_and(|last| !last.head && bytes.start < last.bytes.end) {
            return;
        }
        if let Some(last) = self.read.atoms.last_mut() {
            last.bytes.end = last.bytes.end.min(bytes.start).max(last.bytes.start);
        }
        let around = self.scope.clone();
        let name = name.unwrap_or_else(|| around.clone());
        self.read.atoms.push(Atom { bytes, kind, name, around, group, head });
    }

    /// Keeps what a node defines, and returns what it is called as a scope.
    fn define(&mut self, node: Node<'_>, bytes: &Range<usize>, found: &Found) -> Option<String> {
        let qualifier = self.grammar.qualifier;
        let qualify = |name: &str| match self.scope.as_str() {
            "" => name.to_owned(),
            scope => format!("{scope}{qualifier}{name}"),
        };
        let spelled: Vec<String> = found
            .names
            .iter()
            .map(|name| self.text.get(name.clone()).unwrap_or_default())
            .map(|name| name.split_whitespace().collect::<String>())
            .collect();
        let first = spelled.first()?;
        let scope = qualify(found.scope.as_deref().unwrap_or(first));
        let hidden = match found.kind {
            SymbolKind::Variable | SymbolKind::Signal => self.locality > Locality::None,
            SymbolKind::Constant | SymbolKind::Exception | SymbolKind::Alias | SymbolKind::Type => {
                self.locality == Locality::Body
            }
            _ => false,
        };
        if found.is_unit && self.scope == self.grammar.root && self.quiet == 0 {
            let unit = crate::fold(self.language, found.scope.as_deref().unwrap_or(first));
            if !self.read.units.contains(&unit) && self.read.units.len() < DEFINITIONS_MAX.min(1024) {
                self.read.units.push(unit);
            }
        }
        if hidden || found.only_scope {
            return Some(scope);
        }
        let signature_bytes = self.boundaries(bytes.start..found.signature_end.clamp(bytes.start, bytes.end));
        let row = self.lines.row(bytes.start);
        let end_row = self.lines.row(bytes.end.saturating_sub(1).max(bytes.start));
        let signature = dedent(&self.text[signature_bytes.clone()], bytes.start - self.lines.start(row));
        let comment = self.comment(node, row, end_row);
        for name in spelled {
            if self.read.definitions.len() == DEFINITIONS_MAX || name.is_empty() {
                break;
            }
            // A library unit is called by its last part, as its users do.
            let simple = name.rsplit(qualifier).next().unwrap_or(&name).to_owned();
            let qualified = match &found.scope {
                Some(_) => scope.clone(),
                None => qualify(&name),
            };
            self.read.definitions.push(Definition {
                name: simple,
                qualified,
                kind: found.kind,
                line: line_number(row),
                end_line: line_number(end_row),
                bytes: bytes.clone(),
                is_body: found.is_body,
                signature: signature.clone(),
                comment: comment.clone(),
            });
        }
        Some(scope)
    }

    /// The comment below (as Ada has it) or above a declaration.
    fn comment(&self, node: Node<'_>, row: usize, end_row: usize) -> String {
        let mark = self.language.line_comment();
        let is_comment = |row: usize| self.lines.line(self.text, row).trim_start().starts_with(mark);
        let rows = self.lines.row(self.text.len()) + 1;
        if self.language == Language::Python {
            return docstring(node, self.text);
        }
        let (from, to) = (node.end_byte(), self.lines.of_row(self.text, end_row).end);
        let behind = self.text.get(from..self.text.floor_char_boundary(to.min(from + COMMENT_BYTES_MAX)));
        let behind = behind.unwrap_or_default();
        if let Some((_, comment)) =
            behind.split_once(mark).filter(|(code, _)| code.trim().trim_matches(';').is_empty())
            && matches!(self.language, Language::Ada | Language::Vhdl | Language::C | Language::Cpp)
        {
            return cut(comment.trim_start_matches(['/', '-', '!', '<', ' ']).trim_end(), COMMENT_BYTES_MAX)
                .to_owned();
        }
        if self.language == Language::Ada {
            let below = (end_row + 1..rows).take(COMMENT_LINES_MAX).take_while(|row| is_comment(*row));
            let below = self.words(below, mark);
            if !below.is_empty() {
                return below;
            }
        }
        let mut above = row;
        let line = |row: usize| self.lines.line(self.text, row).trim_start();
        let skips = |row: usize| self.language == Language::Rust && line(row).starts_with("#[");
        while above > 0 && row - above < COMMENT_LINES_MAX && (is_comment(above - 1) || skips(above - 1)) {
            above -= 1;
        }
        let c = matches!(self.language, Language::C | Language::Cpp);
        if c && above == row && row > 0 && line(row - 1).trim_end().ends_with("*/") {
            while above > 0 && row - above < COMMENT_LINES_MAX {
                above -= 1;
                if line(above).contains("/*") {
                    break;
                }
            }
        }
        self.words((above..row).filter(|row| !skips(*row)), mark)
    }

    /// What comment lines say, without their marks and without rulers.
    fn words(&self, rows: impl Iterator<Item = usize>, mark: &str) -> String {
        let mut words = String::new();
        for row in rows {
            let line = self.lines.line(self.text, row).trim();
            let line = line.strip_prefix(mark).unwrap_or(line).trim_start_matches(['/', '!', '*']);
            let line = line.strip_suffix(mark).unwrap_or(line).trim_end_matches("*/").trim();
            if line.is_empty()
                || line.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'*' | b'/' | b'#' | b' '))
            {
                continue;
            }
            if !words.is_empty() {
                words.push('\n');
            }
            words.push_str(line);
            if words.len() > COMMENT_BYTES_MAX {
                break;
            }
        }
        cut(&words, COMMENT_BYTES_MAX).to_owned()
    }

    /// A node ends where a character does; this does not rely on it.
    fn boundaries(&self, bytes: Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(bytes.start);
        start..self.text.floor_char_boundary(bytes.end.max(start))
    }
}

/// The first string in a Python definition's block.
fn docstring(node: Node<'_>, text: &str) -> String {
    let string = node
        .child_by_field_name("body")
        .and_then(|body| body.named_child(0))
        .and_then(|statement| statement.named_child(0))
        .filter(|string| string.kind() == "string");
    let Some(string) = string else { return String::new() };
    let words = text.get(string.byte_range()).unwrap_or_default().trim_matches(['"', '\'']).trim();
    cut(words, COMMENT_BYTES_MAX).to_owned()
}

/// At most so many bytes of a text.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// A text that began in that column, as if it began in the first; cut.
fn dedent(text: &str, column: usize) -> String {
    let mut dedented = String::new();
    for (at, line) in cut(text.trim_end(), SIGNATURE_BYTES_MAX).lines().enumerate() {
        if at == 0 {
            dedented.push_str(line);
            continue;
        }
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        dedented.push('\n');
        dedented.push_str(line[indent.min(column)..].trim_end());
    }
    dedented
}

/// The first child of one of these kinds.
pub(crate) fn child<'t>(node: Node<'t>, kinds: &[&str]) -> Option<Node<'t>> {
    let mut cursor = node.walk();
    // Names come early: not all of a long package is looked through.
    node.named_children(&mut cursor).take(24).find(|child| kinds.contains(&child.kind()))
}

/// The first identifier in a node, where it is after at most so many steps down the first children.
pub(crate) fn first_identifier<'t>(node: Node<'t>, kind: &str) -> Option<Node<'t>> {
    let mut node = node;
    for _ in 0..8 {
        if node.kind() == kind {
            return Some(node);
        }
        node = node.named_child(0)?;
    }
    None
}
