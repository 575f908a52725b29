//! Why a request got no answer, in the words a person reads. Surfaces map the kind to a status.

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What sort of refusal it is.
    pub kind: RefusalKind,
    /// What was wrong and what to do, in a line or two.
    pub message: String,
    /// The request's record, where it got that far.
    pub record: Option<protocol::RecordNumber>,
    /// Seconds after which trying again makes sense, where that is known.
    pub retry_after_s: Option<u32>,
}

/// Sorts of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// No or unknown credential.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// No such deployment.
    UnknownDeployment,
    /// The request is wrong.
    Invalid,
    /// The prompt does not fit.
    PromptTooLong,
    /// The person has too many requests running.
    TooManyRequests,
    /// The queue is full: try again.
    Busy,
    /// The ledger cannot be written: nothing is answered.
    LedgerUnavailable,
    /// The site's policy cannot be used: nothing is answered.
    PolicyUnavailable,
    /// The worker is gone or starting.
    EngineUnavailable,
    /// The engine broke while it answered.
    EngineFailed,
    /// The answer matches known code that the site's policy keeps out.
    Withheld,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into(), record: None, retry_after_s: None }
    }

    /// The walk's task ended without a word: a defect, or the runtime is shutting down.
    pub(crate) fn broken() -> Refusal {
        Refusal::new(RefusalKind::EngineFailed, "the server is shutting down, or failed; see its log")
    }
}
