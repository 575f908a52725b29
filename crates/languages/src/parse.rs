//! Files as an index takes them: chunks, definitions, imports.

mod chunks;
pub(crate) mod tree;

use std::collections::HashSet;
use std::ops::Range;

use crate::language::{Language, fold};
use crate::lexis::Kind;
use crate::outline::Outline;
use crate::{ada, c, cpp, python, rust, vhdl};

pub use chunks::windows;

/// Longer texts are cut into windows only.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// So many names that a chunk uses are kept.
const REFERENCES_MAX: usize = 256;
/// So many definitions of a text are kept.
const DEFINITIONS_MAX: usize = 65_536;

/// What a file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// In the order of the text; every byte of it that is not white space is in exactly one.
    pub chunks: Vec<Chunk>,
    /// In the order of the text.
    pub definitions: Vec<Definition>,
    /// What the text's imports name, folded.
    pub imports: Vec<String>,
    /// The library units that the text declares, folded.
    pub units: Vec<String>,
    /// Whether the grammar did not fit everywhere, or gave up.
    pub has_errors: bool,
}

/// A piece of a text that is found and shown as one: 1 to 60 lines, at most 2.5 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Whole lines, where the text has lines.
    pub bytes: Range<usize>,
    /// From 1.
    pub first_line: u32,
    /// From 1, inclusive.
    pub last_line: u32,
    /// What it is.
    pub kind: ChunkKind,
    /// Qualified, as spelled: of the one thing that it is, or of what is around the things that it has. Empty for
    /// windows.
    pub name: String,
    /// Simple names that it defines, folded.
    pub defines: Vec<String>,
    /// Other names in it, folded, each once, without keywords; at most 256.
    pub references: Vec<String>,
}

/// What a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChunkKind {
    /// One or several declarations.
    Declaration,
    /// A subprogram's, a task's or a process's body, or a part of it.
    Body,
    /// A package, module or namespace, or its beginning.
    Package,
    /// A VHDL entity.
    Entity,
    /// A VHDL architecture, or its beginning.
    Architecture,
    /// A VHDL component.
    Component,
    /// Types.
    Type,
    /// Constants.
    Constant,
    /// Context clauses, includes and the like.
    Imports,
    /// Lines that no grammar told apart.
    Window,
}

impl ChunkKind {
    /// Its name in indexes.
    pub fn name(self) -> &'static str {
        match self {
            ChunkKind::Declaration => "declaration",
            ChunkKind::Body => "body",
            ChunkKind::Package => "package",
            ChunkKind::Entity => "entity",
            ChunkKind::Architecture => "architecture",
            ChunkKind::Component => "component",
            ChunkKind::Type => "type",
            ChunkKind::Constant => "constant",
            ChunkKind::Imports => "imports",
            ChunkKind::Window => "window",
        }
    }
}

/// A name that a text gives to something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// As spelled.
    pub name: String,
    /// With what is around it: `Ada.Strings.Fixed.Trim`, `e(rtl).f`, `Type::new`.
    pub qualified: String,
    /// What was named.
    pub kind: SymbolKind,
    /// From 1.
    pub line: u32,
    /// From 1, inclusive.
    pub end_line: u32,
    /// All of it.
    pub bytes: Range<usize>,
    /// Whether it is the body of something that may be declared elsewhere.
    pub is_body: bool,
    /// What a user of it needs to see, at most 2 KiB: a profile, a type, an entity's ports.
    pub signature: String,
    /// The comment that belongs to it, without its marks, at most 512 bytes.
    pub comment: String,
}

/// What a definition names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolKind {
    /// A package, a module or a namespace.
    Package,
    /// A procedure or a function.
    Subprogram,
    /// An entry of a task or of a protected object.
    Entry,
    /// A task.
    Task,
    /// A protected object or its type.
    Protected,
    /// A type, of any kind.
    Type,
    /// A constant or a named number.
    Constant,
    /// A variable.
    Variable,
    /// A signal.
    Signal,
    /// An exception.
    Exception,
    /// A VHDL entity.
    Entity,
    /// A VHDL architecture.
    Architecture,
    /// A VHDL component.
    Component,
    /// A labelled process.
    Process,
    /// A VHDL configuration or context.
    Configuration,
    /// A VHDL attribute or alias.
    Alias,
    /// A macro.
    Macro,
}

impl SymbolKind {
    /// Its name in indexes.
    pub fn name(self) -> &'static str {
        match self {
            SymbolKind::Package => "package",
            SymbolKind::Subprogram => "subprogram",
            SymbolKind::Entry => "entry",
            SymbolKind::Task => "task",
            SymbolKind::Protected => "protected",
            SymbolKind::Type => "type",
            SymbolKind::Constant => "constant",
            SymbolKind::Variable => "variable",
            SymbolKind::Signal => "signal",
            SymbolKind::Exception => "exception",
            SymbolKind::Entity => "entity",
            SymbolKind::Architecture => "architecture",
            SymbolKind::Component => "component",
            SymbolKind::Process => "process",
            SymbolKind::Configuration => "configuration",
            SymbolKind::Alias => "alias",
            SymbolKind::Macro => "macro",
        }
    }
}

/// Reads a whole file. Texts of more than [`TEXT_BYTES_MAX`], those that a grammar takes too long for and those of
/// languages without a grammar are cut into windows, and have the definitions that their words alone tell.
pub fn parse(language: Language, text: &str) -> Parsed {
    if text.len() > TEXT_BYTES_MAX {
        return Parsed { chunks: windows(text), has_errors: true, ..Parsed::default() };
    }
    let lines = chunks::Lines::new(text);
    let outline = Outline::new(language, text, usize::MAX);
    let mut parsed = match grammar(language).map(|grammar| tree::read(language, grammar, text, &lines)) {
        Some(Some(read)) => Parsed {
            chunks: chunks::chunks(language, text, &lines, &read.atoms),
            definitions: read.definitions,
            imports: Vec::new(),
            units: read.units,
            has_errors: read.has_errors,
        },
        read => {
            let mut parsed = by_words(&outline, text, &lines);
            parsed.has_errors = read.is_some();
            parsed
        }
    };
    name_words(&outline, &mut parsed);
    parsed.imports = outline.imports;
    parsed
}

fn grammar(language: Language) -> Option<&'static tree::Grammar> {
    match language {
        Language::Ada => Some(&ada::tree::GRAMMAR),
        Language::Vhdl => Some(&vhdl::tree::GRAMMAR),
        Language::C => Some(&c::tree::GRAMMAR),
        Language::Cpp => Some(&cpp::tree::GRAMMAR),
        Language::Rust => Some(&rust::tree::GRAMMAR),
        Language::Python => Some(&python::tree::GRAMMAR),
        _ => None,
    }
}

/// Windows, and what the words declare.
fn by_words(outline: &Outline<'_>, text: &str, lines: &chunks::Lines) -> Parsed {
    let mut definitions = Vec::new();
    let mut seen = HashSet::new();
    for at in outline.declared.iter().copied().filter(|at| *at < outline.len()) {
        if definitions.len() == DEFINITIONS_MAX || !seen.insert(at) {
            continue;
        }
        let lexeme = &outline.lexemes[at];
        let row = lines.row(lexeme.start);
        let bytes = lines.of_row(text, row);
        let before = outline.written(at.wrapping_sub(1)).to_ascii_lowercase();
        let kind = match before.as_str() {
            "module" | "unit" | "package" | "program" | "interface" | "program-id" => SymbolKind::Package,
            "function" | "procedure" | "task" | "subroutine" | "automatic" => SymbolKind::Subprogram,
            "class" | "type" => SymbolKind::Type,
            "parameter" | "localparam" => SymbolKind::Constant,
            "define" => SymbolKind::Macro,
            _ if outline.language == Language::Assembly => SymbolKind::Subprogram,
            _ => continue,
        };
        definitions.push(Definition {
            name: outline.written(at).to_owned(),
            qualified: outline.written(at).to_owned(),
            kind,
            line: chunks::line_number(row),
            end_line: chunks::line_number(row),
            signature: tree::cut(text[bytes.clone()].trim(), tree::SIGNATURE_BYTES_MAX).to_owned(),
            bytes,
            is_body: true,
            comment: String::new(),
        });
    }
    definitions.sort_by_key(|definition| definition.bytes.start);
    let units = outline.unit.iter().cloned().collect();
    Parsed { chunks: windows(text), definitions, imports: Vec::new(), units, has_errors: false }
}

/// Fills what chunks define and what they refer to.
fn name_words(outline: &Outline<'_>, parsed: &mut Parsed) {
    let mut definitions = parsed.definitions.iter().peekable();
    let mut at = 0;
    let mut seen: HashSet<String> = HashSet::new();
    let mut word = String::new();
    for chunk in &mut parsed.chunks {
        seen.clear();
        while let Some(definition) =
            definitions.next_if(|definition| definition.bytes.start < chunk.bytes.end)
        {
            let name = fold(outline.language, &definition.name);
            if seen.insert(name.clone()) {
                chunk.defines.push(name);
            }
        }
        while at < outline.len() && outline.lexemes[at].start < chunk.bytes.end {
            let lexeme = &outline.lexemes[at];
            let names_nothing = outline.names_nothing(at);
            at += 1;
            if lexeme.kind != Kind::Word || names_nothing || chunk.references.len() == REFERENCES_MAX {
                continue;
            }
            word.clear();
            word.push_str(&outline.text[lexeme.start..lexeme.end]);
            if outline.language.folds_case() {
                match word.is_ascii() {
                    true => word.make_ascii_lowercase(),
                    false => word = word.to_lowercase(),
                }
            }
            if !seen.contains(&word) {
                seen.insert(word.clone());
                chunk.references.push(word.clone());
            }
        }
    }
}
