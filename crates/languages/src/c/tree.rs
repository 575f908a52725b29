//! What C's nodes are. C++ has them too.

use std::sync::OnceLock;

use tree_sitter::Node;

use crate::parse::ChunkKind;
use crate::parse::SymbolKind;
use crate::parse::tree::{Found, Grammar, Role};

pub(crate) static GRAMMAR: Grammar = Grammar {
    language: tree_sitter_c::LANGUAGE,
    role,
    define,
    qualifier: "::",
    root: "",
    table: OnceLock::new(),
};

pub(crate) fn role(kind: &str) -> Role {
    match kind {
        "translation_unit"
        | "preproc_if"
        | "preproc_ifdef"
        | "preproc_else"
        | "preproc_elif"
        | "preproc_elifdef"
        | "linkage_specification"
        | "declaration_list" => Role::Through,
        "preproc_include" => Role::Imports,
        "preproc_def" => Role::Declaration(ChunkKind::Constant),
        "preproc_function_def" | "declaration" | "preproc_call" => Role::Declaration(ChunkKind::Declaration),
        "function_definition" => Role::Body(ChunkKind::Body),
        "type_definition" | "struct_specifier" | "enum_specifier" | "union_specifier" => {
            Role::Declaration(ChunkKind::Type)
        }
        _ => Role::Other,
    }
}

pub(crate) fn define(node: Node<'_>, text: &str) -> Option<Found> {
    let name = node.child_by_field_name("name");
    match node.kind() {
        "preproc_def" => Some(Found::new(node, name?, SymbolKind::Macro)),
        "preproc_function_def" => Some(Found::new(node, name?, SymbolKind::Macro)),
        "function_definition" => {
            let name = declared(node.child_by_field_name("declarator")?)?;
            let body = node.child_by_field_name("body");
            let end = body.map_or(node.end_byte(), |body| body.start_byte());
            let end = text.get(..end).map_or(end, |head| head.trim_end().len());
            Some(Found::new(node, name, SymbolKind::Subprogram).until(end).body())
        }
        "declaration" | "field_declaration" => {
            let mut cursor = node.walk();
            let declarators: Vec<Node<'_>> =
                node.children_by_field_name("declarator", &mut cursor).take(64).collect();
            let is_function = declarators.first().copied().is_some_and(is_function);
            let names: Vec<_> =
                declarators.iter().filter_map(|node| declared(*node)).map(|name| name.byte_range()).collect();
            if names.is_empty() {
                // `struct s { ... };`
                return node.child_by_field_name("type").and_then(|inner| specified(node, inner));
            }
            let head = text.get(node.start_byte()..names.first()?.start)?;
            let kind = match is_function {
                true => SymbolKind::Subprogram,
                false if head.contains("const") => SymbolKind::Constant,
                false => SymbolKind::Variable,
            };
            Some(Found::many(node, names, kind))
        }
        "type_definition" => {
            let mut cursor = node.walk();
            let mut names: Vec<_> = node
                .children_by_field_name("declarator", &mut cursor)
                .take(64)
                .filter_map(declared)
                .map(|name| name.byte_range())
                .collect();
            let tag =
                node.child_by_field_name("type").filter(|inner| inner.child_by_field_name("body").is_some());
            if let Some(tag) = tag.and_then(|inner| inner.child_by_field_name("name")) {
                let words = |bytes: &std::ops::Range<usize>| text.get(bytes.clone());
                if !names.iter().any(|name| words(name) == words(&tag.byte_range())) {
                    names.push(tag.byte_range());
                }
            }
            (!names.is_empty()).then(|| Found::many(node, names, SymbolKind::Type))
        }
        _ => specified(node, node),
    }
}

/// A structure, an enumeration or a class that is spelled out.
pub(crate) fn specified(node: Node<'_>, inner: Node<'_>) -> Option<Found> {
    inner.child_by_field_name("body")?;
    Some(Found::new(node, inner.child_by_field_name("name")?, SymbolKind::Type))
}

/// The name in a declarator: `*x[3] = 1`, `f(int)`, `A::f`.
pub(crate) fn declared(declarator: Node<'_>) -> Option<Node<'_>> {
    let mut node = declarator;
    for _ in 0..16 {
        match node.kind() {
            "identifier"
            | "field_identifier"
            | "type_identifier"
            | "qualified_identifier"
            | "destructor_name"
            | "operator_name"
            | "operator_cast" => return Some(node),
            _ => {
                node = node
                    .child_by_field_name("declarator")
                    .or_else(|| node.child_by_field_name("name"))
                    .or_else(|| node.named_child(0))?;
            }
        }
    }
    None
}

fn is_function(declarator: Node<'_>) -> bool {
    let mut node = declarator;
    for _ in 0..8 {
        if node.kind() == "function_declarator" {
            // `int (*f)(int)` is a variable.
            return node
                .child_by_field_name("declarator")
                .is_some_and(|inner| inner.kind() != "parenthesized_declarator");
        }
        let Some(inner) = node.child_by_field_name("declarator").or_else(|| node.named_child(0)) else {
            return false;
        };
        node = inner;
    }
    false
}
