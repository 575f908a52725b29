//! Running a record again: the recorded tokens through the engine, alone and with nothing cached. The
//! prompt is not built again and nothing is retrieved again; deadlines and cancellations become the
//! number of tokens that they left.

use engine::{Deployment, Order};
use ledger::{Event, Outcome, Record, ReplayOutcome};
use protocol::worker::{Class, Stop, Syntax, Token};
use protocol::{Digest, RecordNumber};
use serde::Serialize;

use crate::record::{self, Engine, IntentBody, OutputBody};
use crate::{House, walk};

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The record.
    pub record: RecordNumber,
    /// Whether tokens and bytes are the same.
    pub matches: bool,
    /// Tokens compared.
    pub tokens: usize,
    /// The first token that differs, by its place in the answer.
    pub first_difference: Option<usize>,
    /// What is different about the engine now, where anything is: a difference may come from it.
    pub differences: Vec<String>,
}

/// Why a record could not be run again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The ledger has no such leaf, or cannot read it.
    #[error("record {0} cannot be read: {1}")]
    Unreadable(RecordNumber, String),
    /// It is another kind of leaf.
    #[error("record {0} is not a request")]
    NotARequest(RecordNumber),
    /// Its body was erased.
    #[error("the body of record {0} was erased: there is nothing to run again")]
    Erased(RecordNumber),
    /// It never ended.
    #[error("record {0} has no result: the server ended while it ran")]
    Unfinished(RecordNumber),
    /// It failed.
    #[error("record {0} was not answered: {1}")]
    NotAnswered(RecordNumber, String),
    /// An upstream engine answered.
    #[error(
        "record {0} cannot be reproduced: an upstream engine answered it, which stated the model `{1}` and the \
         build `{2}`; neither its weights nor its arithmetic are known here, so nothing can be compared"
    )]
    Upstream(RecordNumber, String, String),
    /// No deployment has the record's model now.
    #[error("record {0} was made with {1}, which no running deployment has: import that model and serve it")]
    NoDeployment(RecordNumber, Digest),
    /// What it was made with cannot be started again.
    #[error("record {0} was made with the lock {1}, which does not serve now and cannot be started: {2}")]
    NoSpare(RecordNumber, Digest, String),
    /// The engine failed.
    #[error("the engine could not run record {0} again: {1}")]
    Engine(RecordNumber, String),
    /// The replay leaf was not written.
    #[error("the replay of record {0} could not be recorded: {1}")]
    Unwritten(RecordNumber, String),
}

impl House {
    /// Runs a record again, compares, and writes a replay leaf.
    pub(crate) async fn replay(&self, record: RecordNumber) -> Result<Replay, ReplayError> {
        let leaf = self.read(record, record.0)?;
        let Event::Intent(intent) = &leaf.leaf.event else { return Err(ReplayError::NotARequest(record)) };
        if let Some(upstream) = &intent.upstream {
            let (model, server) = (upstream.model.clone(), upstream.server.clone());
            return Err(ReplayError::Upstream(record, model, server));
        }
        let model = intent.model.ok_or_else(|| {
            ReplayError::Unreadable(record, "its leaf names neither a model nor an upstream".to_owned())
        })?;
        let body: IntentBody = parse_body(record, &leaf)?;
        let before = body.opening.prompt_text.as_deref().map(record::text_before).unwrap_or_default();
        let (stop, recorded) = self.recorded_output(record)?;
        let deployment = self.deployment_for(record, intent, model).await?;
        let ended_by_itself = !matches!(stop, Stop::Deadline | Stop::Cancelled);
        let recorded_len = u32::try_from(recorded.output_tokens.len()).unwrap_or(u32::MAX);
        let order = Order {
            prompt: body.prompt_tokens,
            sampling: body.sampling,
            tokens_max: if ended_by_itself { body.tokens_max } else { recorded_len },
            stop: body.stop,
            predict_ms_max: None,
            until: body.until,
            heal: body.heal,
            cache_scope: self.fresh_scope(record)?,
            person: Digest([0; 32]),
            class: Class::Chat,
            digest_rows: false,
            json_schema: body.json_schema,
            syntax: body.syntax.map(|language| Syntax { language, before }),
        };
        let failed = |error: engine::WorkerError| ReplayError::Engine(record, error.to_string());
        let generation = deployment.worker.generate(order).await.map_err(failed)?;
        let again = walk::drain(generation).await.map_err(failed)?;
        let first_difference = first_difference(&recorded.output_tokens, &again.tokens);
        let replay = Replay {
            record,
            matches: first_difference.is_none() && recorded.opening.output_text.as_ref() == Some(&again.text),
            tokens: recorded.output_tokens.len(),
            first_difference,
            differences: differences(intent, &deployment),
        };
        let mut detail = replay.differences.clone();
        detail.extend(first_difference.map(|place| format!("differs from token {place} on")));
        let outcome = if replay.matches { ReplayOutcome::Same } else { ReplayOutcome::Different };
        let leaf = Event::Replay { record: record.0, outcome, detail: detail.join("; ") };
        self.append(leaf, None).await.map_err(|refusal| ReplayError::Unwritten(record, refusal.message))?;
        Ok(replay)
    }

    /// What computes as the record's deployment did: the same lock, if it serves still; else a worker is started
    /// for it. Records without a lock are run by whatever has their model.
    async fn deployment_for(
        &self,
        record: RecordNumber,
        intent: &ledger::Intent,
        model: Digest,
    ) -> Result<Deployment, ReplayError> {
        let up = self.deployments.list().into_iter().filter_map(|(_, up)| up);
        let mut up = up.filter(|up| up.facts.model() == Some(model));
        match intent.lock {
            None => up
                .max_by_key(|up| up.facts.alias == intent.deployment)
                .ok_or(ReplayError::NoDeployment(record, model)),
            Some(lock) => match up.find(|up| up.facts.lock == lock) {
                Some(up) => Ok(up),
                None => {
                    let spare = self.supervision.spare(lock).await;
                    spare.map_err(|reason| ReplayError::NoSpare(record, lock, reason))
                }
            },
        }
    }

    fn recorded_output(&self, record: RecordNumber) -> Result<(Stop, OutputBody), ReplayError> {
        let unreadable = |error: ledger::ReadError| ReplayError::Unreadable(record, error.to_string());
        for index in self.ledger.related(record.0).map_err(unreadable)? {
            let leaf = self.read(record, index)?;
            if let Event::Result(result) = &leaf.leaf.event {
                let stop = match (&result.outcome, result.stop) {
                    (Outcome::Answered | Outcome::Cancelled | Outcome::Withheld, Some(stop)) => stop,
                    _ => return Err(ReplayError::NotAnswered(record, result.detail.clone())),
                };
                return Ok((stop, parse_body(record, &leaf)?));
            }
        }
        Err(ReplayError::Unfinished(record))
    }

    fn read(&self, record: RecordNumber, index: u64) -> Result<Record, ReplayError> {
        self.ledger.record(index).map_err(|error| ReplayError::Unreadable(record, error.to_string()))
    }

    /// A scope nobody else has, so that no KV entry is reused.
    fn fresh_scope(&self, record: RecordNumber) -> Result<Digest, ReplayError> {
        let mut scope = [0; 32];
        (self.outside.randomness)(&mut scope)
            .map_err(|error| ReplayError::Engine(record, error.to_string()))?;
        Ok(Digest(scope))
    }
}

fn parse_body<T: serde::de::DeserializeOwned>(record: RecordNumber, leaf: &Record) -> Result<T, ReplayError> {
    let body = leaf.body.as_ref().ok_or(ReplayError::Erased(record))?;
    serde_json::from_slice(body).map_err(|error| ReplayError::Unreadable(record, error.to_string()))
}

fn first_difference(recorded: &[Token], again: &[Token]) -> Option<usize> {
    let shared = recorded.iter().zip(again).take_while(|(a, b)| a == b).count();
    (shared < recorded.len().max(again.len())).then_some(shared)
}

fn differences(intent: &ledger::Intent, deployment: &Deployment) -> Vec<String> {
    let (facts, ready) = (&deployment.facts, &deployment.ready);
    let mut differences = Vec::new();
    let mut compare = |what: &str, then: &str, now: &str| {
        if then != now {
            differences.push(format!("{what} was {then}, is {now}"));
        }
    };
    compare("engine build", &intent.engine_build.to_string(), &facts.engine_build.to_string());
    compare("profile", &intent.profile, Engine::of(deployment).profile);
    compare("CPU level", &intent.cpu_level, &ready.cpu_level);
    compare("CPU features", &intent.cpu_features, &ready.cpu_features);
    differences
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn where_answers_part() {
        assert_eq!(first_difference(&[1, 2], &[1, 2]), None);
        assert_eq!(first_difference(&[1, 2], &[1, 3]), Some(1));
        assert_eq!(first_difference(&[1, 2], &[1]), Some(1));
        assert_eq!(first_difference(&[], &[1]), Some(0));
    }
}
