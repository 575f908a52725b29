//! What C++'s nodes are beside C's.

use std::sync::OnceLock;

use tree_sitter::Node;

use crate::c;
use crate::parse::ChunkKind;
use crate::parse::SymbolKind;
use crate::parse::tree::{Found, Grammar, Role};

pub(crate) static GRAMMAR: Grammar = Grammar {
    language: tree_sitter_cpp::LANGUAGE,
    role,
    define,
    qualifier: "::",
    root: "",
    table: OnceLock::new(),
};

fn role(kind: &str) -> Role {
    match kind {
        "namespace_definition" => Role::Container(ChunkKind::Package),
        "class_specifier" | "struct_specifier" => Role::Container(ChunkKind::Type),
        "field_declaration_list" => Role::Through,
        "template_declaration" => Role::Wrapper,
        "field_declaration" | "using_declaration" | "static_assert_declaration" | "friend_declaration" => {
            Role::Declaration(ChunkKind::Declaration)
        }
        "alias_declaration" | "concept_definition" => Role::Declaration(ChunkKind::Type),
        kind => c::tree::role(kind),
    }
}

fn define(node: Node<'_>, text: &str) -> Option<Found> {
    let name = node.child_by_field_name("name");
    match node.kind() {
        "namespace_definition" => Some(Found::new(node, name?, SymbolKind::Package).until(name?.end_byte())),
        "class_specifier" | "struct_specifier" => {
            let found = c::tree::specified(node, node)?;
            Some(found)
        }
        "alias_declaration" | "concept_definition" => Some(Found::new(node, name?, SymbolKind::Type)),
        _ => c::tree::define(node, text),
    }
}
