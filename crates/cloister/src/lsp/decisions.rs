//! What a person did with a suggestion, for the ledger: `cloister.accepted`, `cloister.rejected`, `cloister.shown`.

use std::time::Duration;

use client::ClientError;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinError;

use super::options::{ACCEPTED, REJECTED, SHOWN};
use super::server::{Event, POSTS_MAX, Server};
use super::suggestions::{Choice, Decision, Told};
use super::types::{self, ExecuteCommand};
use super::wire::{INVALID_PARAMS, RequestId, ResponseError};

/// Until a part that was taken over counts as all of it.
const PARTS_WAIT: Duration = Duration::from_secs(2);

/// The argument of the commands.
#[derive(Deserialize)]
struct About {
    /// As in the suggestion's own command.
    suggestion: String,
    /// Of what was shown: so many bytes were taken over; all, when absent.
    #[serde(default)]
    bytes: Option<u64>,
}

impl Server {
    /// `workspace/executeCommand`.
    pub(super) fn execute(
        &mut self,
        id: &RequestId,
        params: ExecuteCommand,
    ) -> Result<Option<Value>, ResponseError> {
        let ExecuteCommand { command, mut arguments } = params;
        let argument = if arguments.is_empty() { Value::Null } else { arguments.swap_remove(0) };
        let choice = match command.as_str() {
            ACCEPTED => Choice::Accepted,
            REJECTED => Choice::Rejected,
            SHOWN => Choice::Shown,
            _ => return self.act(id, &command, argument),
        };
        let About { suggestion, bytes } = types::params(argument)?;
        let record = suggestion.parse().map_err(|_| {
            ResponseError::new(INVALID_PARAMS, "params.suggestion: there is no such suggestion")
        })?;
        self.told(record, choice, bytes);
        Ok(Some(Value::Null))
    }

    fn told(&mut self, record: u64, choice: Choice, bytes: Option<u64>) {
        let document = self.suggestions.uri(record).and_then(|uri| self.documents.get(uri));
        let uri = document.map(|document| document.uri.clone());
        let document = uri.as_deref().and_then(|uri| self.documents.get(uri));
        match self.suggestions.told(record, choice, bytes, document) {
            Told::Nothing => {}
            Told::Post(decision) => self.post(decision),
            Told::Wait => {
                let events = self.events.clone();
                // Nobody hears of it when the loop has ended, which settles itself.
                tokio::spawn(async move {
                    tokio::time::sleep(PARTS_WAIT).await;
                    drop(events.send(Event::Settle { record }).await);
                });
            }
        }
    }

    /// No more parts came.
    pub(super) fn settle(&mut self, record: u64) {
        let uri = self.suggestions.uri(record).map(str::to_owned);
        let document = uri.and_then(|uri| self.documents.get(&uri));
        if let Some(decision) = self.suggestions.settle(record, document) {
            self.post(decision);
        }
    }

    pub(super) fn settle_all(&mut self) {
        self.suggestions.unsettled().into_iter().for_each(|record| self.settle(record));
    }

    /// Posts a decision beside the loop.
    pub(super) fn post(&mut self, decision: Decision) {
        if self.posts.len() >= POSTS_MAX {
            self.outgoing.log(2, "too many decisions wait to be posted: one is lost");
            return;
        }
        let Decision { record, choice, accepted_bytes, uri, digest_before, digest_after } = decision;
        let path = uri.and_then(|uri| self.subject(&uri)).and_then(|subject| subject.path);
        let body = json!({
            "record": record,
            "choice": choice.word(),
            "accepted_bytes": accepted_bytes,
            "path": path,
            "digest_before": digest_before,
            "digest_after": digest_after,
            "client": self.facts.name,
        });
        let client = self.client.clone();
        self.posts
            .spawn(async move { client.post::<Value>("/v1/cloister/decisions", &body).await.map(|_| ()) });
    }

    pub(super) fn posted(&mut self, posted: Result<Result<(), ClientError>, JoinError>) {
        if let Ok(Err(error)) = posted {
            self.outgoing.log(2, &format!("a decision is not in the ledger: {error}"));
            self.failed(&error, false);
        }
    }
}
