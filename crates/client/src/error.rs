//! What can go wrong between a person and the server.

use std::time::Duration;

use protocol::RecordNumber;

use crate::Address;
use crate::events::EventError;

/// Why a request got no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens there, or it may not be reached.
    #[error("cannot reach the server at {address}")]
    Connect {
        /// The server.
        address: Address,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The server is silent.
    #[error("the server at {address} has been silent for {} s", wait.as_secs())]
    Silent {
        /// The server.
        address: Address,
        /// How long was waited.
        wait: Duration,
    },
    /// The request could not be written as JSON.
    #[error("cannot write the request as JSON")]
    Encode(#[source] serde_json::Error),
    /// The conversation failed before there was an answer.
    #[error("the conversation with the server at {address} failed")]
    Http {
        /// The server.
        address: Address,
        /// The HTTP library's words.
        #[source]
        source: hyper::Error,
    },
    /// The server answered with an error.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
        /// The request's record, where it got that far.
        record: Option<RecordNumber>,
    },
    /// The answer began and did not end.
    #[error("the answer broke off before its end")]
    BrokenOff {
        /// The request's record.
        record: Option<RecordNumber>,
        /// The HTTP library's words; `None` when the server just stopped.
        #[source]
        source: Option<hyper::Error>,
    },
    /// The server reported an error inside a streamed answer.
    #[error("the answer broke off: {message}")]
    Broken {
        /// The request's record.
        record: Option<RecordNumber>,
        /// The server's words.
        message: String,
    },
    /// More than a client will hold.
    #[error("the server's answer is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// Not a stream of events.
    #[error("the server's stream cannot be read")]
    Stream(#[source] EventError),
    /// Not the JSON expected.
    #[error("the server's answer is not what was expected of {what}")]
    Malformed {
        /// Method and path, or the part of a stream.
        what: String,
        /// Where the reading failed.
        #[source]
        source: serde_json::Error,
    },
    /// A header of ours cannot be sent.
    #[error("the request cannot be built")]
    Request(#[source] hyper::http::Error),
}

/// Sorts of [`ClientError`], for exit codes and hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No connection.
    Unreachable,
    /// A connection, but silence.
    Silent,
    /// No or unknown token.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// No such deployment, record or path.
    NotFound,
    /// The request is wrong.
    Invalid,
    /// The prompt or the body is too long.
    TooLong,
    /// Too many requests: try again.
    Busy,
    /// The server cannot answer now: its ledger or its engine is not there.
    Unavailable,
    /// The server broke.
    ServerFailed,
    /// The answer broke off.
    BrokenOff,
    /// Something answers that is not Cloister.
    Protocol,
}

impl ErrorKind {
    /// One word for people and scripts.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Silent => "silent",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::NotFound => "not-found",
            ErrorKind::Invalid => "invalid",
            ErrorKind::TooLong => "too-long",
            ErrorKind::Busy => "busy",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::ServerFailed => "server-failed",
            ErrorKind::BrokenOff => "broken-off",
            ErrorKind::Protocol => "protocol",
        }
    }
}

impl ClientError {
    /// What sort of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ClientError::Connect { .. } => ErrorKind::Unreachable,
            ClientError::Silent { .. } => ErrorKind::Silent,
            ClientError::Refused { status, .. } => match status {
                401 => ErrorKind::Unauthenticated,
                403 => ErrorKind::Forbidden,
                404 | 405 | 410 => ErrorKind::NotFound,
                413 => ErrorKind::TooLong,
                429 => ErrorKind::Busy,
                502..=504 => ErrorKind::Unavailable,
                400..=499 => ErrorKind::Invalid,
                500..=599 => ErrorKind::ServerFailed,
                _ => ErrorKind::Protocol,
            },
            ClientError::BrokenOff { .. } | ClientError::Broken { .. } => ErrorKind::BrokenOff,
            ClientError::Encode(_) | ClientError::Request(_) => ErrorKind::Invalid,
            ClientError::Http { .. }
            | ClientError::TooLong { .. }
            | ClientError::Stream(_)
            | ClientError::Malformed { .. } => ErrorKind::Protocol,
        }
    }

    /// What a person can do about it; `None` when the message says it all.
    pub fn hint(&self) -> Option<&'static str> {
        if let ClientError::Http { address: Address::Tls { .. }, .. } = self {
            // A server looks at a client's certificate after the client took the handshake for done.
            return Some(
                "Does the server take your certificate (`certificate_file`, `key_file` in config.toml)? Its ledger has \
                 the reason.",
            );
        }
        Some(match self.kind() {
            ErrorKind::Unreachable => {
                "Is the daemon running (`cloisterd serve`)? Name another server with --server, \
                 CLOISTER_SERVER or `server` in config.toml."
            }
            ErrorKind::Silent => "The engine may be overloaded; `cloister status` shows whether it answers.",
            ErrorKind::Unauthenticated => {
                "Set CLOISTER_TOKEN, or `token_file` in config.toml. An administrator issues tokens with \
                 `cloisterd token issue`."
            }
            ErrorKind::Forbidden => "Your account may not do this; ask the administrator.",
            ErrorKind::NotFound => "`cloister models` lists what this server serves.",
            ErrorKind::TooLong => "Send less text.",
            ErrorKind::Busy => "Try again in a moment.",
            ErrorKind::Unavailable => {
                "The server runs but cannot answer now; `cloister status` and the daemon's log say why."
            }
            ErrorKind::ServerFailed => "The daemon's log has the cause.",
            ErrorKind::BrokenOff => {
                "What was shown is in the ledger as far as it came; ask again for a whole answer."
            }
            ErrorKind::Protocol => "Does a Cloister of this version listen at this address?",
            ErrorKind::Invalid => return None,
        })
    }

    /// The request's record, where the server named one.
    pub fn record(&self) -> Option<RecordNumber> {
        match self {
            ClientError::Refused { record, .. }
            | ClientError::BrokenOff { record, .. }
            | ClientError::Broken { record, .. } => *record,
            _ => None,
        }
    }
}
