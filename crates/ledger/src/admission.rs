//! A model's way through the vault, as leaves: imported, verified, qualified, approved, promoted, deployed,
//! retired, withdrawn. [`Admissions`] is what they amount to; the daemon asks it before it writes a leaf, and
//! `verify` asks it again of every leaf ever after.

use std::collections::BTreeMap;

use approval::{Approval, ApprovalError};
use protocol::Digest;
use serde::{Deserialize, Serialize};

use crate::leaf::Event;
use crate::log::Ledger;
use crate::query::{Filter, QUERY_ROWS_MAX, QueryError};
use crate::read::ReadError;

/// Persons who must approve what is promoted, rolled back or withdrawn.
pub const ADMISSION_PERSONS: usize = 2;

/// What approvals of models are made for: `ssh-keygen -Y sign -n` this.
pub const ADMISSION_NAMESPACE: &str = "model@cloister";

/// Who signed an object that nobody signed.
pub const NOBODY: &str = "nobody";

/// A step of a model's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Who took it.
    pub actor: String,
    /// Which step it is.
    pub step: Step,
    /// The object: SHA-256 of its description. Absent where an upstream engine is deployed, and of a withdrawal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Digest>,
    /// Its name and version, or the name of what is deployed; for people.
    pub title: String,
    /// SHA-256 of its weights; absent where it has none that can serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Digest>,
    /// Who signed it outside, and by which root that is trusted; `nobody`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The deployment's alias, where one is deployed or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// SHA-256 of the deployment's lock, where one is deployed or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
    /// More: of a deployment the lock itself, of a withdrawal the reason, of a qualification its report.
    pub detail: String,
    /// Signatures over [`text`](Self::text): one of an approval, of two persons at least where two must approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
}

/// A step of a model's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It lies in the vault, in quarantine: whole, and nothing else is known of it.
    Imported,
    /// A signature over it leads to a root that the site trusts.
    Verified,
    /// A qualification report is about it.
    Qualified,
    /// A person approved it.
    Approved,
    /// Two persons approved it: it may be deployed.
    Promoted,
    /// It serves under an alias.
    Deployed,
    /// It serves under that alias no more.
    Retired,
    /// Its weights never serve again.
    Withdrawn,
}

impl Step {
    /// As in a leaf.
    pub fn name(self) -> &'static str {
        match self {
            Step::Imported => "imported",
            Step::Verified => "verified",
            Step::Qualified => "qualified",
            Step::Approved => "approved",
            Step::Promoted => "promoted",
            Step::Deployed => "deployed",
            Step::Retired => "retired",
            Step::Withdrawn => "withdrawn",
        }
    }
}

/// What all steps so far amount to.
#[derive(Clone, Debug, Default)]
pub struct Admissions {
    objects: BTreeMap<Digest, Standing>,
    aliases: BTreeMap<String, Alias>,
    /// Weights that never serve again, with the leaf that says so. Nothing takes one out.
    withdrawn: BTreeMap<Digest, u64>,
}

/// How an object stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its name and version.
    pub title: String,
    /// SHA-256 of its weights.
    pub weights: Option<Digest>,
    /// Who signed it outside; `nobody`.
    pub signer: String,
    /// The furthest step it took.
    pub step: Step,
    /// The leaf of that step.
    pub leaf: u64,
    /// The leaf that promoted it.
    pub promoted: Option<u64>,
    /// Leaves of its qualification reports.
    pub qualified: Vec<u64>,
    /// Approvals that wait for a second one.
    #[serde(skip)]
    pub approvals: Vec<Approval>,
}

/// What an alias has served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Alias {
    /// What serves now.
    pub current: Option<Deployed>,
    /// What served before, oldest first.
    pub retired: Vec<Deployed>,
    /// The newest leaf about it.
    pub leaf: u64,
}

/// Something that serves or served under an alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployed {
    /// The object; an upstream engine has none.
    pub object: Option<Digest>,
    /// Its weights.
    pub weights: Option<Digest>,
    /// SHA-256 of the lock.
    pub lock: Digest,
    /// The leaf that deployed it.
    pub leaf: u64,
    /// The lock itself.
    pub lock_text: String,
}

/// Why a step cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// A field is missing that the step needs.
    #[error("a step `{0}` without `{1}`")]
    Missing(&'static str, &'static str),
    /// The object was never imported.
    #[error("{0} was never imported")]
    NotImported(Digest),
    /// What is said of an object is not what was said at its import.
    #[error("{0} was imported with another {1}")]
    Other(String, &'static str),
    /// It has nothing that could serve.
    #[error("{0} has no weights that could serve")]
    NoWeights(String),
    /// It is not promoted.
    #[error("{0} is not promoted: {ADMISSION_PERSONS} persons must approve it first")]
    NotPromoted(String),
    /// Its weights are withdrawn.
    #[error("the weights {0} were withdrawn for good, by leaf {1}")]
    Withdrawn(Digest, u64),
    /// The signatures do not approve it.
    #[error("it is not approved as it must be: {0}")]
    Approval(ApprovalError),
    /// A promotion rests on an approval that has no leaf of its own, where its key was looked at.
    #[error("the approval of {0} was not recorded before")]
    NotRecorded(String),
    /// Nothing serves under the alias.
    #[error("nothing is deployed as {0}")]
    NotDeployed(String),
    /// The lock that is retired is not the one that serves.
    #[error("{0} is deployed by another lock")]
    OtherLock(String),
    /// Weights serve that are to be withdrawn.
    #[error("the weights serve as {0}: deploy others there, or retire it, first")]
    Serves(String),
}

impl From<ApprovalError> for AdmissionError {
    fn from(error: ApprovalError) -> AdmissionError {
        AdmissionError::Approval(error)
    }
}

impl Admission {
    /// The text that persons sign to approve the step, in the log of that name. `after` is the newest leaf about
    /// the alias, so that a signature for one roll-back is none for the next.
    pub fn text(&self, origin: &str, after: u64) -> String {
        let digest = |digest: &Option<Digest>| digest.map_or_else(|| "none".to_owned(), |d| d.to_string());
        let weights = digest(&self.weights);
        match self.step {
            Step::Withdrawn => format!(
                "cloister model withdrawal 1\nlog {origin}\nweights {weights}\nname {}\nreason {}\n",
                self.title, self.detail
            ),
            Step::Deployed => format!(
                "cloister model roll-back 1\nlog {origin}\nalias {}\nobject {}\nname {}\nweights {weights}\nlock {}\nafter {after}\n",
                self.alias.as_deref().unwrap_or_default(),
                digest(&self.object),
                self.title,
                digest(&self.lock),
            ),
            _ => format!(
                "cloister model promotion 1\nlog {origin}\nobject {}\nname {}\nweights {weights}\nsigner {}\n",
                digest(&self.object),
                self.title,
                self.signer.as_deref().unwrap_or(NOBODY),
            ),
        }
    }
}

impl Admissions {
    /// Takes a step that is leaf `index` of the log of that name. What may not be taken changes nothing.
    ///
    /// Whether the keys of approvals are enrolled to those persons is for the caller to say.
    pub fn take(&mut self, index: u64, step: &Admission, origin: &str) -> Result<(), AdmissionError> {
        self.check(step, origin)?;
        match step.step {
            Step::Imported | Step::Verified | Step::Qualified | Step::Approved | Step::Promoted => {
                self.take_object(index, step);
            }
            Step::Deployed => {
                let (Some(alias), Some(lock)) = (&step.alias, step.lock) else { return Ok(()) };
                let alias = self.aliases.entry(alias.clone()).or_default();
                alias.retired.extend(alias.current.take());
                alias.leaf = index;
                alias.current = Some(Deployed {
                    object: step.object,
                    weights: step.weights,
                    lock,
                    leaf: index,
                    lock_text: step.detail.clone(),
                });
            }
            Step::Retired => {
                let Some(alias) = step.alias.as_ref().and_then(|alias| self.aliases.get_mut(alias)) else {
                    return Ok(());
                };
                alias.retired.extend(alias.current.take());
                alias.leaf = index;
            }
            Step::Withdrawn => {
                self.withdrawn.extend(step.weights.map(|weights| (weights, index)));
            }
        }
        Ok(())
    }

    fn take_object(&mut self, index: u64, step: &Admission) {
        let Some(object) = step.object else { return };
        let standing = self.objects.entry(object).or_insert_with(|| Standing {
            title: step.title.clone(),
            weights: step.weights,
            signer: step.signer.clone().unwrap_or_else(|| NOBODY.to_owned()),
            step: step.step,
            leaf: index,
            promoted: None,
            qualified: Vec::new(),
            approvals: Vec::new(),
        });
        match step.step {
            Step::Qualified => standing.qualified.push(index),
            Step::Approved => {
                for approval in &step.approvals {
                    standing.approvals.retain(|known| known.person != approval.person);
                    standing.approvals.push(approval.clone());
                }
            }
            Step::Promoted => standing.promoted = Some(index),
            _ => {}
        }
        if step.step >= standing.step {
            (standing.step, standing.leaf) = (step.step, index);
        }
    }

    /// Whether the step may be taken now.
    pub fn check(&self, step: &Admission, origin: &str) -> Result<(), AdmissionError> {
        let name = step.step.name();
        let approved = |after| {
            let text = step.text(origin, after);
            approval::verify_all(&step.approvals, ADMISSION_PERSONS, ADMISSION_NAMESPACE, text.as_bytes())
        };
        match step.step {
            Step::Imported => step.object.map(drop).ok_or(AdmissionError::Missing(name, "object")),
            Step::Verified | Step::Qualified => self.imported(step).map(drop),
            Step::Approved => {
                self.imported(step)?;
                let text = step.text(origin, 0);
                approval::verify_all(&step.approvals, 1, ADMISSION_NAMESPACE, text.as_bytes())?;
                Ok(())
            }
            Step::Promoted => {
                let standing = self.imported(step)?;
                let weights = standing.weights;
                let weights = weights.ok_or_else(|| AdmissionError::NoWeights(standing.title.clone()))?;
                self.not_withdrawn(&weights)?;
                approved(0)?;
                match step.approvals.iter().find(|approval| !standing.approvals.contains(approval)) {
                    Some(approval) => Err(AdmissionError::NotRecorded(approval.person.clone())),
                    None => Ok(()),
                }
            }
            Step::Deployed => {
                let alias = step.alias.as_deref().ok_or(AdmissionError::Missing(name, "alias"))?;
                step.lock.ok_or(AdmissionError::Missing(name, "lock"))?;
                if step.object.is_some() {
                    let standing = self.imported(step)?;
                    if standing.promoted.is_none() {
                        return Err(AdmissionError::NotPromoted(standing.title.clone()));
                    }
                    standing.weights.map_or(Ok(()), |weights| self.not_withdrawn(&weights))?;
                }
                if self.rolls_back(alias, step.weights) {
                    approved(self.after(alias))?;
                }
                Ok(())
            }
            Step::Retired => {
                let alias = step.alias.as_deref().ok_or(AdmissionError::Missing(name, "alias"))?;
                let current = self.current(alias);
                let current = current.ok_or_else(|| AdmissionError::NotDeployed(alias.to_owned()))?;
                match step.lock {
                    Some(lock) if lock == current.lock => Ok(()),
                    _ => Err(AdmissionError::OtherLock(alias.to_owned())),
                }
            }
            Step::Withdrawn => {
                let weights = step.weights.ok_or(AdmissionError::Missing(name, "weights"))?;
                self.not_withdrawn(&weights)?;
                let serves = |alias: &Alias| {
                    alias.current.as_ref().is_some_and(|current| current.weights == Some(weights))
                };
                if let Some((alias, _)) = self.aliases.iter().find(|(_, alias)| serves(alias)) {
                    return Err(AdmissionError::Serves(alias.clone()));
                }
                Ok(approved(0)?)
            }
        }
    }

    /// The object of a step, as it was imported.
    fn imported(&self, step: &Admission) -> Result<&Standing, AdmissionError> {
        let object = step.object.ok_or(AdmissionError::Missing(step.step.name(), "object"))?;
        let standing = self.objects.get(&object).ok_or(AdmissionError::NotImported(object))?;
        let other = |what| Err(AdmissionError::Other(standing.title.clone(), what));
        if standing.title != step.title {
            return other("name");
        }
        if standing.weights != step.weights {
            return other("digest of its weights");
        }
        if step.signer.as_ref().is_some_and(|signer| *signer != standing.signer) {
            return other("signer");
        }
        Ok(standing)
    }

    fn not_withdrawn(&self, weights: &Digest) -> Result<(), AdmissionError> {
        self.withdrawn.get(weights).map_or(Ok(()), |leaf| Err(AdmissionError::Withdrawn(*weights, *leaf)))
    }

    /// Whether weights served under the alias before, and others do now: going back needs two persons.
    pub fn rolls_back(&self, alias: &str, weights: Option<Digest>) -> bool {
        let Some(alias) = self.aliases.get(alias) else { return false };
        let current = alias.current.as_ref().or(alias.retired.last());
        weights.is_some()
            && current.is_some_and(|current| current.weights != weights)
            && alias.retired.iter().any(|retired| retired.weights == weights)
    }

    /// The newest leaf about an alias; 0 when there is none.
    pub fn after(&self, alias: &str) -> u64 {
        self.aliases.get(alias).map_or(0, |alias| alias.leaf)
    }

    /// What serves under an alias.
    pub fn current(&self, alias: &str) -> Option<&Deployed> {
        self.aliases.get(alias)?.current.as_ref()
    }

    /// Why an answer by that lock under that alias is none that should be; `None` for one that may be. While
    /// a deployment is replaced, what was asked before is still answered by the one before.
    pub fn objection(&self, alias: &str, lock: Digest) -> Option<String> {
        let known = self.aliases.get(alias);
        let deployed = known.and_then(|known| {
            known.current.iter().chain(&known.retired).find(|deployed| deployed.lock == lock)
        });
        let Some(deployed) = deployed else {
            return Some(format!("{lock} answers as {alias}, and no leaf deployed it there"));
        };
        let withdrawn = deployed.weights.and_then(|weights| self.withdrawn.get(&weights));
        withdrawn.map(|leaf| format!("{lock} answers as {alias}, though leaf {leaf} withdrew its weights"))
    }

    /// How an object stands.
    pub fn object(&self, object: &Digest) -> Option<&Standing> {
        self.objects.get(object)
    }

    /// All objects.
    pub fn objects(&self) -> impl Iterator<Item = (&Digest, &Standing)> {
        self.objects.iter()
    }

    /// All aliases, by name.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &Alias)> {
        self.aliases.iter().map(|(name, alias)| (name.as_str(), alias))
    }

    /// Weights that never serve again, with the leaves that say so.
    pub fn withdrawn(&self) -> &BTreeMap<Digest, u64> {
        &self.withdrawn
    }
}

/// Why the steps so far cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionsError {
    /// The leaves cannot be found or read.
    #[error("the steps of the models cannot be read from the ledger")]
    Query(#[from] QueryError),
    /// A leaf cannot be read.
    #[error("the steps of the models cannot be read from the ledger")]
    Read(#[from] ReadError),
    /// A step in the ledger could not be taken.
    #[error("leaf {leaf} is a step that cannot be: {source}; run `cloister ledger verify`")]
    Step {
        /// Its index.
        leaf: u64,
        /// Why not.
        source: AdmissionError,
    },
}

impl Ledger {
    /// All steps so far. Found by the index, read from the leaves. Blocks on the disk.
    pub fn admissions(&self) -> Result<Admissions, AdmissionsError> {
        let filter = Filter { kind: Some("model".to_owned()), ..Filter::default() };
        let (mut leaves, mut before) = (Vec::new(), None);
        loop {
            let page = self.query(&filter, before, QUERY_ROWS_MAX)?;
            leaves.extend(page.rows.iter().map(|row| row.leaf));
            before = page.before;
            if before.is_none() {
                break;
            }
        }
        let mut admissions = Admissions::default();
        for leaf in leaves.into_iter().rev() {
            let record = self.record(leaf)?;
            if let Event::Model(step) = record.leaf.event {
                let taken = admissions.take(leaf, &step, self.origin());
                taken.map_err(|source| AdmissionsError::Step { leaf, source })?;
            }
        }
        Ok(admissions)
    }
}

#[cfg(test)]
mod tests;
