//! What is read of the protocol's types: only the fields that are used, so that a client of another version is
//! understood as far as it says the same. The crate of types (`lsp-types`) knows the protocol up to 3.17 and fails on
//! words that it does not know.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::{INVALID_PARAMS, ResponseError};

/// Reads parameters; a wrong type is refused with the field's name.
pub(super) fn params<T: DeserializeOwned>(value: Value) -> Result<T, ResponseError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        ResponseError::new(INVALID_PARAMS, format!("params.{}: {}", error.path(), error.inner()))
    })
}

/// Line and column from 0; what a column counts is negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) character: u32,
}

/// From one position to before another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    pub(super) start: Position,
    pub(super) end: Position,
}

#[derive(Debug, Deserialize)]
pub(super) struct TextDocumentIdentifier {
    pub(super) uri: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DidOpen {
    pub(super) text_document: TextDocumentItem,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TextDocumentItem {
    pub(super) uri: String,
    #[serde(default)]
    pub(super) language_id: String,
    pub(super) version: i64,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DidChange {
    pub(super) text_document: VersionedTextDocumentIdentifier,
    pub(super) content_changes: Vec<ContentChange>,
}

#[derive(Debug, Deserialize)]
pub(super) struct VersionedTextDocumentIdentifier {
    pub(super) uri: String,
    #[serde(default)]
    pub(super) version: Option<i64>,
}

/// Without a range it is the whole text.
#[derive(Debug, Deserialize)]
pub(super) struct ContentChange {
    #[serde(default)]
    pub(super) range: Option<Range>,
    pub(super) text: String,
}

/// Of `didClose` and `didSave`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfDocument {
    pub(super) text_document: TextDocumentIdentifier,
}

/// Of `hover` and `completion`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfPosition {
    pub(super) text_document: TextDocumentIdentifier,
    pub(super) position: Position,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineCompletion {
    pub(super) text_document: TextDocumentIdentifier,
    pub(super) position: Position,
    #[serde(default)]
    pub(super) context: InlineContext,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InlineContext {
    /// 1: the person asked; 2: typing did.
    #[serde(default)]
    pub(super) trigger_kind: u32,
    #[serde(default)]
    pub(super) selected_completion_info: Option<SelectedCompletion>,
}

/// What is chosen in the list of ordinary completions: suggestions go on behind it.
#[derive(Debug, Deserialize)]
pub(super) struct SelectedCompletion {
    pub(super) range: Range,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeAction {
    pub(super) text_document: TextDocumentIdentifier,
    pub(super) range: Range,
    #[serde(default)]
    pub(super) context: CodeActionContext,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct CodeActionContext {
    #[serde(default)]
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Kinds that are wanted; absent: all.
    #[serde(default)]
    pub(super) only: Option<Vec<String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Diagnostic {
    pub(super) range: Range,
    pub(super) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExecuteCommand {
    pub(super) command: String,
    #[serde(default)]
    pub(super) arguments: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cancel {
    pub(super) id: super::wire::RequestId,
}

#[derive(Debug, Deserialize)]
pub(super) struct CancelProgress {
    pub(super) token: Value,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wrong_type_is_refused_by_its_name() {
        let value =
            json!({ "textDocument": { "uri": "file:///a" }, "position": { "line": -1, "character": 0 } });
        let error = params::<OfPosition>(value).unwrap_err();
        assert_eq!(error.code, INVALID_PARAMS);
        assert!(error.message.starts_with("params.position.line: "), "{}", error.message);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z:/é]{0,8}".prop_map(Value::from),
        ];
        let names = prop_oneof![
            Just("textDocument"),
            Just("uri"),
            Just("position"),
            Just("line"),
            Just("character"),
            Just("range"),
            Just("start"),
            Just("end"),
            Just("context"),
            Just("contentChanges"),
            Just("text"),
            Just("version"),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((names.clone(), inner), 0..6)
                    .prop_map(|fields| fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()),
            ]
        })
    }

    proptest! {
        /// Whatever comes is read or refused.
        #[test]
        fn nothing_panics(value in any_value()) {
            drop(params::<DidOpen>(value.clone()));
            drop(params::<DidChange>(value.clone()));
            drop(params::<InlineCompletion>(value.clone()));
            drop(params::<CodeAction>(value.clone()));
            drop(params::<ExecuteCommand>(value));
        }
    }
}
