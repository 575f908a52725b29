//! What Python's nodes are.

use std::sync::OnceLock;

use tree_sitter::Node;

use crate::parse::ChunkKind;
use crate::parse::SymbolKind;
use crate::parse::tree::{Found, Grammar, Role};

pub(crate) static GRAMMAR: Grammar = Grammar {
    language: tree_sitter_python::LANGUAGE,
    role,
    define,
    qualifier: ".",
    root: "",
    table: OnceLock::new(),
};

fn role(kind: &str) -> Role {
    match kind {
        "module" | "block" => Role::Through,
        "import_statement" | "import_from_statement" | "future_import_statement" => Role::Imports,
        "class_definition" => Role::Container(ChunkKind::Type),
        "function_definition" => Role::Body(ChunkKind::Body),
        "decorated_definition" => Role::Wrapper,
        "expression_statement"
        | "if_statement"
        | "for_statement"
        | "while_statement"
        | "try_statement"
        | "with_statement"
        | "assert_statement"
        | "return_statement"
        | "type_alias_statement" => Role::Declaration(ChunkKind::Declaration),
        _ => Role::Other,
    }
}

fn define(node: Node<'_>, text: &str) -> Option<Found> {
    match node.kind() {
        "class_definition" | "function_definition" => {
            let kind =
                if node.kind() == "class_definition" { SymbolKind::Type } else { SymbolKind::Subprogram };
            let body = node.child_by_field_name("body")?;
            let end = text.get(..body.start_byte()).map_or(node.end_byte(), |head| head.trim_end().len());
            let found =
                Found::new(node, node.child_by_field_name("name")?, kind).until(end.max(node.start_byte()));
            Some(if node.kind() == "function_definition" { found.body() } else { found })
        }
        "expression_statement" => {
            let assignment = node.named_child(0).filter(|inner| inner.kind() == "assignment")?;
            let name = assignment.child_by_field_name("left").filter(|left| left.kind() == "identifier")?;
            let words = text.get(name.byte_range())?;
            let constant = !words.contains(char::is_lowercase);
            Some(Found::new(node, name, if constant { SymbolKind::Constant } else { SymbolKind::Variable }))
        }
        _ => None,
    }
}
