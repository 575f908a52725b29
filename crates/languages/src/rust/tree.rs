//! What Rust's nodes are.

use std::sync::OnceLock;

use tree_sitter::Node;

use crate::parse::ChunkKind;
use crate::parse::SymbolKind;
use crate::parse::tree::{Found, Grammar, Role};

pub(crate) static GRAMMAR: Grammar = Grammar {
    language: tree_sitter_rust::LANGUAGE,
    role,
    define,
    qualifier: "::",
    root: "",
    table: OnceLock::new(),
};

fn role(kind: &str) -> Role {
    match kind {
        "source_file" | "declaration_list" | "foreign_mod_item" => Role::Through,
        "use_declaration" | "extern_crate_declaration" => Role::Imports,
        "mod_item" => Role::Container(ChunkKind::Package),
        "trait_item" | "impl_item" => Role::Container(ChunkKind::Type),
        "function_item" => Role::Body(ChunkKind::Body),
        "struct_item" | "enum_item" | "union_item" | "type_item" | "associated_type" => {
            Role::Declaration(ChunkKind::Type)
        }
        "const_item" | "static_item" => Role::Declaration(ChunkKind::Constant),
        "macro_definition" => Role::Body(ChunkKind::Declaration),
        "function_signature_item" | "macro_invocation" => Role::Declaration(ChunkKind::Declaration),
        _ => Role::Other,
    }
}

fn define(node: Node<'_>, text: &str) -> Option<Found> {
    let name = node.child_by_field_name("name");
    // Up to the body, without the space before it.
    let head = || {
        let body = node.child_by_field_name("body")?;
        text.get(..body.start_byte()).map(|head| head.trim_end().len())
    };
    let found = |kind| name.map(|name| Found::new(node, name, kind));
    let headed = |kind| found(kind).map(|found| found.until(head().unwrap_or(node.end_byte())));
    match node.kind() {
        "mod_item" => headed(SymbolKind::Package),
        "trait_item" => headed(SymbolKind::Type),
        "function_item" => Some(headed(SymbolKind::Subprogram)?.body()),
        "function_signature_item" => found(SymbolKind::Subprogram),
        "struct_item" | "enum_item" | "union_item" | "type_item" | "associated_type" => {
            found(SymbolKind::Type)
        }
        "const_item" => found(SymbolKind::Constant),
        "static_item" => found(SymbolKind::Variable),
        "macro_definition" => found(SymbolKind::Macro),
        "impl_item" => {
            let of = node.child_by_field_name("type")?;
            // Of `Type<T>` the name.
            let of = of.child_by_field_name("type").unwrap_or(of);
            let found = Found::new(node, of, SymbolKind::Type).until(head().unwrap_or(of.end_byte()));
            Some(Found { only_scope: true, ..found })
        }
        _ => None,
    }
}
