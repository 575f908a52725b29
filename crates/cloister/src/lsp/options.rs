//! What an editor can do and what it wants, from `initialize`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::actions::Action;
use super::debounce::WAIT_MS_MAX;
use super::documents::Encoding;
use super::types;
use super::wire::ResponseError;

/// Bytes of a client's name in a decision, as the server takes them.
const CLIENT_BYTES_MAX: usize = 128;

/// The commands by which a client says what became of a suggestion.
pub(super) const ACCEPTED: &str = "cloister.accepted";
pub(super) const REJECTED: &str = "cloister.rejected";
pub(super) const SHOWN: &str = "cloister.shown";

/// `initializationOptions`: the editor's settings.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    pub(super) completion: CompletionOptions,
    /// The deployment to ask.
    pub(super) deployment: Option<String>,
    /// The server, as `--server`.
    pub(super) server: Option<String>,
    /// As in `CLOISTER_TOKEN`.
    pub(super) token: Option<String>,
}

/// How suggestions are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct CompletionOptions {
    /// While typing, not only when asked.
    pub(super) automatic: bool,
    /// The longest wait for the next keystroke.
    pub(super) debounce_ms_max: u64,
    /// Tokens of a suggestion; four times as many where a person asks for it.
    pub(super) max_tokens: u32,
    /// Whether the next suggestion is asked for as if this one were accepted.
    pub(super) ahead: bool,
    /// Bytes of other open files that are shown to the model; 0: none.
    pub(super) open_files_bytes_max: usize,
}

impl Default for CompletionOptions {
    fn default() -> Self {
        CompletionOptions {
            automatic: true,
            debounce_ms_max: WAIT_MS_MAX,
            max_tokens: 64,
            ahead: true,
            open_files_bytes_max: 4 << 10,
        }
    }
}

/// What the client says of itself.
#[derive(Clone, Debug)]
pub(super) struct ClientFacts {
    /// Name and version, for decisions.
    pub(super) name: String,
    pub(super) encoding: Encoding,
    pub(super) inline_completion: bool,
    pub(super) show_document: bool,
    pub(super) progress: bool,
    pub(super) document_changes: bool,
    pub(super) change_annotations: bool,
    pub(super) create_files: bool,
}

impl ClientFacts {
    pub(super) fn of(initialize: &Value) -> ClientFacts {
        let capability = |path: &str| initialize.pointer(&format!("/capabilities/{path}"));
        let flag = |path: &str| capability(path).and_then(Value::as_bool).unwrap_or(false);
        let words = |path: &str, word: &str| {
            capability(path).and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == word))
        };
        let said = |name: &str| initialize.pointer(&format!("/clientInfo/{name}")).and_then(Value::as_str);
        let name = [said("name").unwrap_or("an editor"), said("version").unwrap_or_default()].join(" ");
        let name: String = name.trim_end().chars().filter(|c| !c.is_control()).collect();
        let encoding =
            if words("general/positionEncodings", "utf-8") { Encoding::Utf8 } else { Encoding::Utf16 };
        ClientFacts {
            name: name[..name.floor_char_boundary(CLIENT_BYTES_MAX)].to_owned(),
            encoding,
            inline_completion: capability("textDocument/inlineCompletion").is_some_and(Value::is_object),
            show_document: flag("window/showDocument/support"),
            progress: flag("window/workDoneProgress"),
            document_changes: flag("workspace/workspaceEdit/documentChanges"),
            change_annotations: capability("workspace/workspaceEdit/changeAnnotationSupport")
                .is_some_and(Value::is_object),
            create_files: words("workspace/workspaceEdit/resourceOperations", "create"),
        }
    }

    /// The answer to `initialize`. An editor that has ghost text gets no ordinary completions beside it.
    pub(super) fn capabilities(&self) -> Value {
        let commands: Vec<&str> = [ACCEPTED, REJECTED, SHOWN]
            .into_iter()
            .chain(Action::ALL.iter().map(|action| action.command()))
            .collect();
        let mut capabilities = json!({
            "positionEncoding": self.encoding.name(),
            "textDocumentSync": { "openClose": true, "change": 2, "save": { "includeText": false } },
            "hoverProvider": true,
            "codeActionProvider": { "codeActionKinds": ["quickfix", "refactor.rewrite", "source"] },
            "executeCommandProvider": { "commands": commands },
        });
        if self.inline_completion {
            capabilities["inlineCompletionProvider"] = json!({});
        } else {
            capabilities["completionProvider"] =
                json!({ "triggerCharacters": [".", "(", ":", "=", ">", ","] });
        }
        json!({
            "capabilities": capabilities,
            "serverInfo": { "name": "cloister", "version": env!("CARGO_PKG_VERSION") },
        })
    }
}

/// The editor's settings; none where there are none.
pub(super) fn options(initialize: &mut Value) -> Result<Options, ResponseError> {
    match initialize.get_mut("initializationOptions").map(Value::take) {
        None | Some(Value::Null) => Ok(Options::default()),
        Some(options) => types::params(options).map_err(|error| ResponseError {
            message: error.message.replacen("params", "initializationOptions", 1),
            ..error
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_client() {
        let bare = ClientFacts::of(&json!({}));
        assert_eq!(
            (bare.name.as_str(), bare.encoding, bare.inline_completion),
            ("an editor", Encoding::Utf16, false)
        );
        assert!(bare.capabilities()["capabilities"]["completionProvider"].is_object());
        let full = ClientFacts::of(&json!({
            "clientInfo": { "name": "Editor\n", "version": "1.2" },
            "capabilities": {
                "general": { "positionEncodings": ["utf-16", "utf-8"] },
                "textDocument": { "inlineCompletion": {} },
                "workspace": { "workspaceEdit": { "resourceOperations": ["create"], "changeAnnotationSupport": {} } },
                "window": { "showDocument": { "support": true } },
            },
        }));
        assert_eq!((full.name.as_str(), full.encoding), ("Editor 1.2", Encoding::Utf8));
        assert!(full.inline_completion && full.create_files && full.change_annotations && full.show_document);
        assert!(full.capabilities()["capabilities"].get("completionProvider").is_none());
    }

    #[test]
    fn settings() {
        assert!(options(&mut json!({})).unwrap().completion.automatic);
        let mut said =
            json!({ "initializationOptions": { "completion": { "automatic": false }, "deployment": "d" } });
        let options_said = options(&mut said).unwrap();
        assert_eq!((options_said.completion.automatic, options_said.completion.max_tokens), (false, 64));
        let mut wrong = json!({ "initializationOptions": { "completion": { "max_tokens": "many" } } });
        let error = options(&mut wrong).err().unwrap();
        assert!(
            error.message.starts_with("initializationOptions.completion.max_tokens: "),
            "{}",
            error.message
        );
    }
}
