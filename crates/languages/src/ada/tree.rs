//! What Ada's nodes are.

use std::sync::OnceLock;

use tree_sitter::Node;

use crate::parse::ChunkKind;
use crate::parse::SymbolKind;
use crate::parse::tree::{Found, Grammar, Role, child};

pub(crate) static GRAMMAR: Grammar = Grammar {
    language: tree_sitter_ada::LANGUAGE,
    role,
    define,
    qualifier: ".",
    root: "",
    table: OnceLock::new(),
};

const NAME: &[&str] = &["identifier", "selected_component", "string_literal"];

fn role(kind: &str) -> Role {
    match kind {
        "compilation"
        | "compilation_unit"
        | "non_empty_declarative_part"
        | "task_type_declaration"
        | "single_task_declaration"
        | "protected_type_declaration"
        | "single_protected_declaration"
        | "task_definition"
        | "protected_definition" => Role::Through,
        "with_clause" | "use_clause" => Role::Imports,
        "generic_package_declaration" | "subunit" => Role::Wrapper,
        "package_declaration" | "package_body" | "protected_body" => Role::Container(ChunkKind::Package),
        "subprogram_body" | "task_body" | "entry_body" => Role::Body(ChunkKind::Body),
        "handled_sequence_of_statements" => Role::Statements,
        "object_declaration" => Role::Inner(ChunkKind::Declaration),
        "pragma_g" => Role::Trailing,
        "number_declaration" => Role::Declaration(ChunkKind::Constant),
        "full_type_declaration" => Role::Inner(ChunkKind::Type),
        "private_type_declaration"
        | "private_extension_declaration"
        | "incomplete_type_declaration"
        | "subtype_declaration" => Role::Declaration(ChunkKind::Type),
        "subprogram_declaration"
        | "expression_function_declaration"
        | "null_procedure_declaration"
        | "subprogram_renaming_declaration"
        | "generic_subprogram_declaration"
        | "generic_instantiation"
        | "generic_renaming_declaration"
        | "package_renaming_declaration"
        | "object_renaming_declaration"
        | "exception_renaming_declaration"
        | "exception_declaration"
        | "entry_declaration"
        | "body_stub"
        | "record_representation_clause"
        | "enumeration_representation_clause"
        | "attribute_definition_clause"
        | "at_clause" => Role::Declaration(ChunkKind::Declaration),
        _ => Role::Other,
    }
}

fn define(node: Node<'_>, text: &str) -> Option<Found> {
    let named = |kind| child(node, NAME).map(|name| Found::new(node, name, kind));
    match node.kind() {
        "package_declaration" => {
            let name = node.child_by_field_name("name")?;
            let aspects = child(node, &["aspect_specification"]);
            Some(Found::new(node, name, SymbolKind::Package).until(aspects.unwrap_or(name).end_byte()).unit())
        }
        "package_body" => {
            let name = node.child_by_field_name("name")?;
            let found = Found::new(node, name, SymbolKind::Package).until(name.end_byte());
            Some(found.body().unit()).map(|found| separate(node, text, found))
        }
        "subprogram_body" | "expression_function_declaration" => {
            let found = profile(node)?.body();
            // An expression is as good as a contract.
            let found = if node.kind() == "subprogram_body" { found } else { found.until(node.end_byte()) };
            Some(separate(node, text, found))
        }
        "subprogram_declaration"
        | "null_procedure_declaration"
        | "subprogram_renaming_declaration"
        | "generic_subprogram_declaration" => Some(profile(node)?.until(node.end_byte())),
        "task_body" => {
            let found = named(SymbolKind::Task)?.body();
            let end = found.names.first()?.end;
            Some(separate(node, text, found.until(end)))
        }
        "protected_body" => {
            let found = named(SymbolKind::Protected)?.body();
            let end = found.names.first()?.end;
            Some(separate(node, text, found.until(end)))
        }
        "entry_body" => {
            let found = named(SymbolKind::Entry)?.body();
            let statements = child(node, &["non_empty_declarative_part", "handled_sequence_of_statements"]);
            let end = statements.map_or(node.end_byte(), |statements| statements.start_byte());
            let mut head = text.get(node.start_byte()..end)?.trim_end();
            for word in ["begin", "is"] {
                let kept = head.len().saturating_sub(word.len());
                if head.get(kept..).is_some_and(|last| last.eq_ignore_ascii_case(word)) {
                    head = head[..kept].trim_end();
                }
            }
            Some(found.until(node.start_byte() + head.len()))
        }
        "entry_declaration" => named(SymbolKind::Entry),
        "body_stub" => {
            let stub = node.named_child(0)?;
            match stub.kind() {
                "subprogram_body_stub" => Some(profile(stub)?.until(node.end_byte())),
                _ => None,
            }
        }
        "generic_instantiation" | "generic_renaming_declaration" | "package_renaming_declaration" => {
            let name = node.child_by_field_name("name").or_else(|| child(node, NAME))?;
            let first = text.get(node.start_byte()..name.start_byte())?.to_ascii_lowercase();
            let package = first.contains("package");
            let kind = if package { SymbolKind::Package } else { SymbolKind::Subprogram };
            Some(Found::new(node, name, kind).unit())
        }
        "full_type_declaration" => {
            let inner = node.named_child(0)?;
            match inner.kind() {
                "task_type_declaration" => Some(Found::new(node, child(inner, NAME)?, SymbolKind::Task)),
                "protected_type_declaration" => {
                    Some(Found::new(node, child(inner, NAME)?, SymbolKind::Protected))
                }
                _ => named(SymbolKind::Type),
            }
        }
        "private_type_declaration"
        | "private_extension_declaration"
        | "incomplete_type_declaration"
        | "subtype_declaration" => named(SymbolKind::Type),
        "object_declaration" => {
            let inner = node.named_child(0)?;
            match inner.kind() {
                "single_task_declaration" => {
                    return Some(Found::new(node, child(inner, NAME)?, SymbolKind::Task));
                }
                "single_protected_declaration" => {
                    return Some(Found::new(node, child(inner, NAME)?, SymbolKind::Protected));
                }
                _ => {}
            }
            let mut cursor = node.walk();
            let names: Vec<_> = node.children_by_field_name("name", &mut cursor).take(64).collect();
            let last = names.last()?.end_byte();
            let behind = text.get(last..node.end_byte())?;
            let constant = behind.trim_start().strip_prefix(':').is_some_and(|behind| {
                behind.split_whitespace().take(2).any(|word| word.eq_ignore_ascii_case("constant"))
            });
            let kind = if constant { SymbolKind::Constant } else { SymbolKind::Variable };
            let names =
                names.iter().filter(|name| name.kind() == "identifier").map(Node::byte_range).collect();
            Some(Found::many(node, names, kind))
        }
        "number_declaration" | "exception_declaration" => {
            let kind = match node.kind() {
                "number_declaration" => SymbolKind::Constant,
                _ => SymbolKind::Exception,
            };
            let mut cursor = node.walk();
            let names = node.named_children(&mut cursor).take(64);
            let names =
                names.take_while(|name| name.kind() == "identifier").map(|name| name.byte_range()).collect();
            Some(Found::many(node, names, kind))
        }
        "object_renaming_declaration" => named(SymbolKind::Variable),
        "exception_renaming_declaration" => named(SymbolKind::Exception),
        _ => None,
    }
}

/// What has a procedure's or a function's profile. Its signature is that.
fn profile(node: Node<'_>) -> Option<Found> {
    let specification = child(node, &["procedure_specification", "function_specification"])?;
    let name = specification.child_by_field_name("name")?;
    Some(Found::new(node, name, SymbolKind::Subprogram).until(specification.end_byte()).unit())
}

/// A body that is `separate (Parent)` is in its parent.
fn separate(node: Node<'_>, text: &str, found: Found) -> Found {
    let parent = node.parent().filter(|parent| parent.kind() == "subunit");
    let parent = parent.and_then(|parent| parent.child_by_field_name("parent_unit_name"));
    let name = found.names.first().and_then(|name| text.get(name.clone()));
    match (parent.and_then(|parent| text.get(parent.byte_range())), name) {
        (Some(parent), Some(name)) => Found { scope: Some(format!("{parent}.{name}")), ..found },
        _ => found,
    }
}
