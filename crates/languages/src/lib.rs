//! Languages that people write in: which one a file is in, what it declares, where it is best cut, and
//! what surrounds a cursor.
//!
//! Two halves. [`parse`] reads whole files with tree-sitter's grammars, which are C: it belongs into a jailed
//! process. [`surroundings`] and [`tokens`] look at what a person is typing, with lexers written here, and
//! reach no C at all.
//!
//! [`fixes`] and [`Rounds`] mend what a model wrote, by the words of compilers that others run.
//!
//! A language is a pack, a folder each with the same few files: `mod.rs` (how it is detected, its comments,
//! strings and keywords), `outline.rs` (imports, declarations and scopes, by its words alone), `check.rs` (which
//! toolchains there are for it, how they are called and how their words are read) and, where there is a grammar,
//! `tree.rs` (which nodes are chunks and symbols). The crate has no I/O, no clock and no state,
//! takes any text, and does an amount of work that is bounded by the text's length. It resolves no names
//! and checks no types.

mod answer;
mod check;
mod language;
mod lexis;
mod outline;
mod parse;
mod repair;
mod rounds;
mod surroundings;
mod tokens;

mod ada;
mod assembly;
mod c;
mod cobol;
mod cpp;
mod fortran;
mod pascal;
mod python;
mod rust;
mod verilog;
mod vhdl;

pub use answer::{Fenced, fenced, is_whole_unit};
pub use check::{Checker, Diagnostic, Plan, Project, Rules, Severity, Unit, Written, new_diagnostics};
pub use language::{Language, fold};
pub use parse::{Chunk, ChunkKind, Definition, Parsed, SymbolKind, TEXT_BYTES_MAX, parse, windows};
pub use repair::{Fixed, finish, fixes, is_unfinished, trim};
pub use rounds::{Agreement, Best, Draw, Limits, Round, RoundKind, Rounds, Want};
pub use surroundings::{Named, Surroundings, surroundings};
pub use tokens::{TOKEN_BYTES_MAX, Token, tokens};
