//! What a person did with an answer that changes a file, for the ledger.

use client::{Client, Mark};
use protocol::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::hunks::Change;
use crate::output::Output;

/// Who says so, in the record.
const CLIENT: &str = concat!("cloister ", env!("CARGO_PKG_VERSION"));

/// As in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Seen, and nothing decided.
    Shown,
    Accepted,
    PartlyAccepted,
    Rejected,
}

impl Choice {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Choice::Shown => "shown",
            Choice::Accepted => "accepted",
            Choice::PartlyAccepted => "partly_accepted",
            Choice::Rejected => "rejected",
        }
    }

    /// Of the hunks of a change.
    pub(crate) fn of(taken: &[bool]) -> Choice {
        match taken.iter().filter(|taken| **taken).count() {
            0 => Choice::Rejected,
            some if some == taken.len() => Choice::Accepted,
            _ => Choice::PartlyAccepted,
        }
    }
}

/// Tells the server. What is done is done whether it hears of it, so a failure is a warning.
pub(crate) async fn tell(
    client: &Client,
    mark: &Mark,
    choice: Choice,
    change: Option<(&Change, &[bool])>,
    path: Option<&str>,
    output: &mut Output,
) {
    let Some(record) = mark.record else { return };
    let mut body = json!({ "record": record.0, "choice": choice.word(), "path": path, "client": CLIENT });
    if let Some((change, taken)) = change {
        body["digest_before"] = digest(change.old()).into();
        if choice != Choice::Shown {
            body["digest_after"] = digest(&change.with(taken)).into();
        }
        if choice == Choice::PartlyAccepted {
            body["accepted_bytes"] = change.bytes_brought(taken).into();
        }
    }
    if let Err(error) = client.post::<Value>("/v1/cloister/decisions", &body).await {
        output.say(format!("warning: the decision is not in the ledger: {error}"));
    }
}

fn digest(text: &str) -> String {
    Digest(Sha256::digest(text.as_bytes()).into()).to_string()
}
