//! What a person did with an answer, on record: one leaf that names the record.

use identity::Credential;
use ledger::{Choice, Decision, Event, Receipt};
use protocol::{Digest, RecordNumber};

use crate::{Assist, Refusal, RefusalKind};

/// Bytes of a file's name.
pub const PATH_BYTES_MAX: usize = 4096;
/// Bytes of what a client calls itself.
pub const CLIENT_BYTES_MAX: usize = 128;
/// Decisions of one record: an editor shows an answer, takes it over and edits it a few times.
const DECISIONS_MAX: usize = 16;

/// What an editor says of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The answer's record.
    pub record: RecordNumber,
    /// What the person did with it.
    pub choice: Choice,
    /// Bytes of the answer that were taken over.
    pub accepted_bytes: Option<u64>,
    /// The file; at most [`PATH_BYTES_MAX`] bytes without control characters.
    pub path: Option<String>,
    /// SHA-256 of the file's bytes before.
    pub digest_before: Option<Digest>,
    /// SHA-256 of the file's bytes after.
    pub digest_after: Option<Digest>,
    /// The editor or program; at most [`CLIENT_BYTES_MAX`] bytes without control characters.
    pub client: Option<String>,
}

impl Assist {
    /// Records what a person did with an answer of theirs; the leaf is durable when this returns. Nobody
    /// decides for another, administrators neither.
    pub async fn decide(&self, credential: &Credential, decided: Decided) -> Result<Receipt, Refusal> {
        const DIALECT: &str = "cloister.decisions";
        let house = &self.house;
        let principal = house.identify(credential, DIALECT)?;
        let record = decided.record;
        let leaf = house.ledger.record(record.0);
        let own = leaf.is_ok_and(
            |leaf| matches!(&leaf.leaf.event, Event::Intent(intent) if intent.identity == principal.name),
        );
        if !own {
            house.tally.count(&principal.name, DIALECT, "another's record, or none");
            let message = format!("record {record} is not yours, or does not exist");
            return Err(Refusal::new(RefusalKind::Forbidden, message));
        }
        let decision = Decision {
            record: record.0,
            identity: principal.name,
            credential: principal.credential,
            choice: decided.choice,
            accepted_bytes: decided.accepted_bytes,
            path: decided.path,
            digest_before: decided.digest_before,
            digest_after: decided.digest_after,
            client: decided.client,
        };
        let invalid = |message: String| Refusal::new(RefusalKind::Invalid, message);
        if let Some(contradiction) = decision.contradiction() {
            return Err(invalid(contradiction.to_owned()));
        }
        let (mut shown, mut decisions) = (false, 0);
        for index in house.ledger.related(record.0).map_err(unreadable)? {
            match house.ledger.record(index).map_err(unreadable)?.leaf.event {
                Event::Block(_) | Event::Result(_) => shown = true,
                Event::Decision(_) => decisions += 1,
                _ => {}
            }
        }
        if !shown {
            return Err(invalid(format!("record {record} has no answer yet: decide when it is shown")));
        }
        if decisions >= DECISIONS_MAX {
            return Err(invalid(format!(
                "record {record} has {decisions} decisions already, the most of one"
            )));
        }
        house.append(Event::Decision(Box::new(decision)), None).await
    }
}

fn unreadable(error: ledger::ReadError) -> Refusal {
    tracing::error!(%error, "the ledger cannot be read");
    Refusal::new(RefusalKind::LedgerUnavailable, format!("the ledger cannot be read: {error}"))
}
