//! A model's way through the vault: each step is judged by what the ledger holds, then written.

use approval::Approval;
use ledger::{ADMISSION_NAMESPACE, Admission, AdmissionError, Admissions, Event, Step};
use protocol::admin::ModelStep;
use protocol::control::DeploymentFacts;
use serde_json::{Value, json};

use super::{Failed, failed, failed_with_causes};
use crate::Assist;

/// A deployment that the ledger does not know.
#[derive(Debug, thiserror::Error)]
#[error("{alias} may not serve: {why}")]
pub struct NotAdmitted {
    alias: String,
    why: String,
}

/// Whether the ledger says of a deployment that it serves, and by this lock.
pub fn check_admitted(admissions: &Admissions, served: &DeploymentFacts) -> Result<(), NotAdmitted> {
    let refused = |why| Err(NotAdmitted { alias: served.alias.clone(), why });
    if let Some(why) = admissions.objection(&served.alias, served.lock) {
        return refused(why);
    }
    match admissions.current(&served.alias) {
        Some(current) if current.lock == served.lock => Ok(()),
        Some(current) => refused(format!(
            "leaf {} deployed {} there, and {} is to be served",
            current.leaf, current.lock, served.lock
        )),
        None => refused("it was retired".to_owned()),
    }
}

impl Assist {
    /// What persons sign for a step. Two persons' approval is not needed for every deployment: only for going back.
    pub(super) async fn model_text(&self, step: ModelStep) -> Result<Value, Failed> {
        let step = parsed(step, String::new())?;
        let admissions = self.house.admissions.lock().await;
        self.qualified(&admissions, &step)?;
        let after = after(&admissions, &step);
        let text = step.text(self.house.ledger.origin(), after);
        // What is refused for another reason than missing signatures is refused before anybody signs.
        match admissions.check(&step, self.house.ledger.origin()) {
            Ok(()) => Ok(json!({ "text": text, "needed": false })),
            Err(AdmissionError::Approval(_)) => Ok(json!({ "text": text, "needed": true })),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Takes a step: the leaf, durable and signed, before anybody acts on it.
    pub(super) async fn model_step(
        &self,
        requester: &str,
        actor: String,
        step: ModelStep,
        signatures: &[String],
    ) -> Result<Value, Failed> {
        let house = &self.house;
        let origin = house.ledger.origin();
        let mut step = parsed(step, actor)?;
        // Held until the leaf is written: no step comes between what was judged and what was written.
        let mut admissions = house.admissions.lock().await;
        self.qualified(&admissions, &step)?;
        let text = step.text(origin, after(&admissions, &step));
        let command = format!("model {}", step.step.name());
        step.approvals = self.approvals_of(requester, &command, ADMISSION_NAMESPACE, &text, signatures)?;
        let mut steps = Vec::new();
        if step.step == Step::Promoted {
            // Each person's approval has a leaf of its own, whenever it came.
            for approval in std::mem::take(&mut step.approvals) {
                steps.push(Admission { step: Step::Approved, approvals: vec![approval], ..step.clone() });
            }
        }
        for approved in steps {
            self.take(&mut admissions, approved).await?;
        }
        if step.step == Step::Promoted {
            step.approvals = self.waiting(&admissions, &step)?;
        }
        let approved_by: Vec<String> =
            step.approvals.iter().map(|approval| approval.person.clone()).collect();
        let leaf = self.take(&mut admissions, step).await?;
        drop(admissions);
        let ledger = house.ledger.clone();
        let head = tokio::task::spawn_blocking(move || ledger.sign()).await;
        let head = head.map_err(|error| failed(error, ""))?.map_err(|error| failed(error, ""))?;
        Ok(json!({ "leaf": leaf, "size": head.size_signed, "approved_by": approved_by }))
    }

    /// Serves what the supervisor says now, as far as the ledger knows of it.
    pub(super) async fn reload(&self) -> Result<Value, Failed> {
        let house = &self.house;
        let mut facts = house.supervision.reload().await.map_err(|error| failed(error, ""))?;
        let admissions = house.admissions.lock().await;
        let mut refused = Vec::new();
        facts.retain(|facts| match check_admitted(&admissions, facts) {
            Ok(()) => true,
            Err(error) => {
                refused.push(error.to_string());
                false
            }
        });
        let served: Vec<String> = facts.iter().map(|facts| facts.alias.clone()).collect();
        house.deployments.replace(facts);
        Ok(json!({ "served": served, "refused": refused }))
    }

    /// How everything stands.
    pub(super) async fn model_states(&self) -> Value {
        let admissions = self.house.admissions.lock().await;
        let objects: Vec<Value> = admissions
            .objects()
            .map(|(object, standing)| {
                let mut shown = json!(standing);
                shown["object"] = json!(object);
                shown["approved_by"] =
                    json!(standing.approvals.iter().map(|approval| &approval.person).collect::<Vec<_>>());
                shown["withdrawn"] =
                    json!(standing.weights.and_then(|weights| admissions.withdrawn().get(&weights)));
                shown
            })
            .collect();
        let aliases: serde_json::Map<String, Value> =
            admissions.aliases().map(|(name, alias)| (name.to_owned(), json!(alias))).collect();
        let withdrawn: serde_json::Map<String, Value> =
            admissions.withdrawn().iter().map(|(weights, leaf)| (weights.to_string(), json!(leaf))).collect();
        json!({ "objects": objects, "aliases": aliases, "withdrawn": withdrawn })
    }

    async fn take(&self, admissions: &mut Admissions, step: Admission) -> Result<u64, Failed> {
        let origin = self.house.ledger.origin();
        admissions.check(&step, origin).map_err(|error| refused(&error))?;
        let event = Event::Model(Box::new(step.clone()));
        let receipt = self.house.append(event, None).await.map_err(|refusal| failed(refusal, ""))?;
        admissions.take(receipt.index, &step, origin).map_err(|error| refused(&error))?;
        Ok(receipt.index)
    }

    /// Where the site promotes nothing else: whether the object of a promotion has a qualification report.
    fn qualified(&self, admissions: &Admissions, step: &Admission) -> Result<(), Failed> {
        let standing = step.object.and_then(|object| admissions.object(&object));
        let is_qualified = standing.is_some_and(|standing| !standing.qualified.is_empty());
        if step.step != Step::Promoted || !self.house.qualified_only || is_qualified {
            return Ok(());
        }
        let what = format!("{} is not qualified, and models.qualified_only is set", step.title);
        let hint = "measure it with `cloisterd qualify --object`, and attach the report with `cloisterd model qualify`";
        Err(failed(what, hint))
    }

    /// Approvals that were given before, by keys that are enrolled still.
    fn waiting(&self, admissions: &Admissions, step: &Admission) -> Result<Vec<Approval>, Failed> {
        let keys = self.house.identity.key_list().map_err(|error| failed(error, ""))?;
        let standing = step.object.and_then(|object| admissions.object(&object));
        let approvals = standing.map(|standing| standing.approvals.clone()).unwrap_or_default();
        let enrolled = |approval: &Approval| {
            keys.iter().any(|row| {
                row.revoked_unix_s.is_none() && row.user == approval.person && row.key == approval.key
            })
        };
        Ok(approvals.into_iter().filter(enrolled).collect())
    }
}

fn after(admissions: &Admissions, step: &Admission) -> u64 {
    step.alias.as_deref().map_or(0, |alias| admissions.after(alias))
}

fn parsed(step: ModelStep, actor: String) -> Result<Admission, Failed> {
    let ModelStep { step, object, title, weights, signer, alias, lock, detail } = step;
    let step = serde_json::from_value(json!(step))
        .map_err(|_| failed(format!("there is no step `{}`", step.escape_debug()), ""))?;
    let on_one_line = |text: &str| !text.contains(|c: char| c.is_control());
    let texts = [Some(title.as_str()), signer.as_deref(), alias.as_deref(), Some(detail.as_str())];
    // Each has a line of its own in what persons sign.
    if !texts.into_iter().flatten().all(on_one_line) {
        return Err(failed("names, signers and reasons are on one line", ""));
    }
    Ok(Admission { actor, step, object, title, weights, signer, alias, lock, detail, approvals: Vec::new() })
}

fn refused(error: &AdmissionError) -> Failed {
    let hint = match error {
        AdmissionError::Approval(_) => "two persons, each with an own enrolled key, sign the same text",
        AdmissionError::NotPromoted(_) => "see `cloisterd model request --help`",
        AdmissionError::NotImported(_) => "import it with `cloisterd model import`",
        _ => "",
    };
    failed_with_causes(error, hint)
}
