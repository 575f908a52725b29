//! What is unusual about a model file, in closed codes: docs/inspection.md says what each means and what to do.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::GgufError;

/// Of one code so many are listed; the rest is counted.
const LISTED_MAX: u64 = 16;

/// Something unusual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    /// Which sort.
    pub code: Code,
    /// How much it should worry.
    pub severity: Severity,
    /// What it is, for persons and fit for terminals.
    pub words: String,
    /// The text that it is about, in full and as it is in the file: not fit for terminals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How much an anomaly should worry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Somebody should look before the model is admitted.
    Warning,
    /// The strict reader refuses the file: it cannot be admitted.
    Refused,
}

impl Severity {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Refused => "refused",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Sorts of anomalies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them, in the order of docs/inspection.md.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// As it is printed.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    /// The strict reader refuses the file.
    Refused = "refused",
    /// Bytes after the last tensor.
    TrailingBytes = "trailing-bytes",
    /// Bytes that are not zero between two tensors.
    Padding = "padding",
    /// An alignment other than 32.
    Alignment = "alignment",
    /// NaN or infinity in a tensor.
    NonFinite = "non-finite",
    /// A tensor of zeros.
    ZeroTensor = "zero-tensor",
    /// Not all tensors were looked into.
    ScanIncomplete = "scan-incomplete",
    /// A tensor's name is of no known pattern.
    TensorName = "tensor-name",
    /// A tensor's type is unusual in a file that serves.
    TensorType = "tensor-type",
    /// Metadata and the embedding's dimensions differ.
    DimensionMismatch = "dimension-mismatch",
    /// No context length, or one that cannot be.
    ContextLength = "context-length",
    /// A special token that is spelled like ordinary text.
    SpecialTokenText = "special-token-text",
    /// A special token that the vocabulary does not mark as one.
    SpecialTokenKind = "special-token-kind",
    /// One token in two special roles.
    SpecialTokenShared = "special-token-shared",
    /// A chat template, but no token that ends an answer.
    NoEndOfText = "no-end-of-text",
    /// A metadata key that the specification does not know.
    MetadataUnknown = "metadata-unknown",
    /// Characters that cannot be seen.
    InvisibleCharacters = "invisible-characters",
    /// No licence is stated.
    NoLicence = "no-licence",
    /// No chat template.
    NoChatTemplate = "no-chat-template",
    /// More than one chat template.
    SeveralChatTemplates = "several-chat-templates",
    /// A template that is no whole template.
    TemplateSyntax = "template-syntax",
    /// A template that loads others.
    TemplateLoad = "template-load",
    /// A template that reaches for the interpreter.
    TemplateInternals = "template-internals",
    /// A call block.
    TemplateCallBlock = "template-call-block",
    /// Literal text of hundreds of characters.
    TemplateLongText = "template-long-text",
    /// Literal text that reads like a prompt.
    TemplateText = "template-text",
    /// A web address.
    TemplateUrl = "template-url",
    /// A condition on what a message says.
    TemplateContentCondition = "template-content-condition",
    /// A condition on the date.
    TemplateTimeCondition = "template-time-condition",
    /// The date in the prompt.
    TemplateClock = "template-clock",
    /// Blocks or loops in one another, deeper than a template needs.
    TemplateNesting = "template-nesting",
    /// Macros that call one another in a circle.
    TemplateRecursion = "template-recursion",
    /// Numbers or doublings that make much of little.
    TemplateHeavy = "template-heavy",
    /// A filter or function that no template is known to need.
    TemplateUnknownName = "template-unknown-name",
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl From<&GgufError> for Anomaly {
    fn from(error: &GgufError) -> Anomaly {
        let words = super::plain(&error.to_string());
        Anomaly { code: Code::Refused, severity: Severity::Refused, words, text: None }
    }
}

/// Anomalies as they are found, no more than [`LISTED_MAX`] of a code.
#[derive(Default)]
pub(super) struct Anomalies {
    found: Vec<Anomaly>,
    counts: BTreeMap<Code, u64>,
}

impl Anomalies {
    pub(super) fn note(&mut self, code: Code, words: impl Into<String>) {
        self.add(code, Severity::Note, words.into(), None);
    }

    pub(super) fn warn(&mut self, code: Code, words: impl Into<String>) {
        self.add(code, Severity::Warning, words.into(), None);
    }

    pub(super) fn add(&mut self, code: Code, severity: Severity, words: String, text: Option<String>) {
        let count = self.counts.entry(code).or_default();
        *count += 1;
        // What is only counted must not be hidden by what is listed, so a code's warnings come before its notes.
        if *count <= LISTED_MAX || severity > Severity::Note && *count <= 2 * LISTED_MAX {
            self.found.push(Anomaly { code, severity, words, text });
        }
    }

    /// Warnings first, in the order of the codes.
    pub(super) fn sorted(mut self) -> Vec<Anomaly> {
        for (&code, &count) in &self.counts {
            let of_code = || self.found.iter().filter(|anomaly| anomaly.code == code);
            let rest = count - of_code().count() as u64;
            if rest > 0 {
                let severity = of_code().map(|anomaly| anomaly.severity).max().unwrap_or(Severity::Note);
                let words = format!("and {rest} more of this sort");
                self.found.push(Anomaly { code, severity, words, text: None });
            }
        }
        self.found.sort_by_key(|anomaly| (std::cmp::Reverse(anomaly.severity), anomaly.code));
        self.found
    }
}
