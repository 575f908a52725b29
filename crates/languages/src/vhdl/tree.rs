//! What VHDL's nodes are.

use std::sync::OnceLock;

use tree_sitter::Node;

use crate::parse::ChunkKind;
use crate::parse::SymbolKind;
use crate::parse::tree::{Found, Grammar, Role, child, first_identifier};

pub(crate) static GRAMMAR: Grammar = Grammar {
    language: tree_sitter_vhdl::LANGUAGE,
    role,
    define,
    qualifier: ".",
    root: "work",
    table: OnceLock::new(),
};

fn role(kind: &str) -> Role {
    match kind {
        "design_file"
        | "design_unit"
        | "package_declaration_body"
        | "package_definition_body"
        | "architecture_head"
        | "concurrent_block"
        | "subprogram_head"
        | "generate_body"
        | "generate_block"
        | "generate_head"
        | "if_generate"
        | "block_head" => Role::Through,
        "library_clause" | "use_clause" | "context_reference" => Role::Imports,
        "package_declaration" | "package_definition" => Role::Container(ChunkKind::Package),
        "entity_declaration" => Role::Body(ChunkKind::Entity),
        "architecture_definition" => Role::Container(ChunkKind::Architecture),
        "subprogram_definition" | "process_statement" => Role::Body(ChunkKind::Body),
        "for_generate_statement"
        | "if_generate_statement"
        | "case_generate_statement"
        | "block_statement" => Role::Body(ChunkKind::Body),
        "sequential_block" => Role::Statements,
        "component_declaration" => Role::Declaration(ChunkKind::Component),
        "constant_declaration" => Role::Declaration(ChunkKind::Constant),
        "type_declaration" | "subtype_declaration" => Role::Declaration(ChunkKind::Type),
        "configuration_declaration" | "context_declaration" => Role::Body(ChunkKind::Declaration),
        "signal_declaration"
        | "variable_declaration"
        | "file_declaration"
        | "alias_declaration"
        | "attribute_declaration"
        | "attribute_specification"
        | "subprogram_declaration"
        | "subprogram_instantiation_declaration"
        | "package_instantiation_declaration"
        | "component_instantiation_statement" => Role::Declaration(ChunkKind::Declaration),
        kind if kind.starts_with("concurrent_") => Role::Declaration(ChunkKind::Declaration),
        _ => Role::Other,
    }
}

fn define(node: Node<'_>, text: &str) -> Option<Found> {
    let named = |field, kind| node.child_by_field_name(field).map(|name| Found::new(node, name, kind));
    let first = |kind| first_identifier(node, "identifier").map(|name| Found::new(node, name, kind));
    match node.kind() {
        "package_declaration" => {
            let name = node.child_by_field_name("package")?;
            Some(Found::new(node, name, SymbolKind::Package).until(name.end_byte()).unit())
        }
        "package_definition" => {
            let name = node.child_by_field_name("package")?;
            Some(Found::new(node, name, SymbolKind::Package).until(name.end_byte()).body().unit())
        }
        "package_instantiation_declaration" => Some(named("package", SymbolKind::Package)?.unit()),
        "entity_declaration" => Some(named("entity", SymbolKind::Entity)?.unit()),
        "architecture_definition" => {
            let name = node.child_by_field_name("architecture")?;
            let entity = node.child_by_field_name("entity")?;
            let words = |node: Node<'_>| text.get(node.byte_range()).unwrap_or_default().to_owned();
            let found = Found::new(node, name, SymbolKind::Architecture).until(entity.end_byte()).body();
            Some(Found { scope: Some(format!("{}({})", words(entity), words(name))), ..found })
        }
        "configuration_declaration" => Some(named("configuration", SymbolKind::Configuration)?.unit()),
        "context_declaration" => Some(first(SymbolKind::Configuration)?.unit()),
        "component_declaration" => named("component", SymbolKind::Component),
        "subprogram_declaration" | "subprogram_definition" => {
            let specification = child(node, &["function_specification", "procedure_specification"])?;
            let name = specification
                .child_by_field_name("function")
                .or_else(|| specification.child_by_field_name("procedure"))?;
            let found = Found::new(node, name, SymbolKind::Subprogram).until(specification.end_byte());
            Some(if node.kind() == "subprogram_definition" {
                found.body()
            } else {
                found.until(node.end_byte())
            })
        }
        "subprogram_instantiation_declaration" => {
            let name = child(node, &["identifier"])?;
            Some(Found::new(node, name, SymbolKind::Subprogram))
        }
        "type_declaration" | "subtype_declaration" => named("type", SymbolKind::Type),
        "constant_declaration" => several(node, SymbolKind::Constant),
        "signal_declaration" => several(node, SymbolKind::Signal),
        "variable_declaration" | "file_declaration" => several(node, SymbolKind::Variable),
        "alias_declaration" | "attribute_declaration" => {
            let name = node.child_by_field_name("attribute").or_else(|| child(node, &["identifier"]))?;
            Some(Found::new(node, name, SymbolKind::Alias))
        }
        "process_statement" => {
            let label = child(node, &["label_declaration"])?.named_child(0)?;
            let begin = child(node, &["process_head", "sequential_block"])?;
            let end = text.get(..begin.start_byte()).map_or(label.end_byte(), |head| head.trim_end().len());
            Some(Found::new(node, label, SymbolKind::Process).until(end).body())
        }
        "for_generate_statement"
        | "if_generate_statement"
        | "case_generate_statement"
        | "block_statement" => {
            let label = child(node, &["label_declaration"])?.named_child(0)?;
            let found = Found::new(node, label, SymbolKind::Process).until(label.end_byte());
            Some(Found { only_scope: true, ..found })
        }
        _ => None,
    }
}

fn several(node: Node<'_>, kind: SymbolKind) -> Option<Found> {
    let list = child(node, &["identifier_list"])?;
    let mut cursor = list.walk();
    let names = list.named_children(&mut cursor).take(64).map(|name| name.byte_range()).collect();
    Some(Found::many(node, names, kind))
}
