//! The deployments a gateway serves, and which of them have a worker now.

use std::sync::{Arc, PoisonError, RwLock};

use protocol::control::{DeploymentFacts, Source};
use protocol::worker::Ready;

use crate::Worker;

/// A deployment with its worker.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Digests, from the supervisor.
    pub facts: Arc<DeploymentFacts>,
    /// What the worker said of itself.
    pub ready: Arc<Ready>,
    /// The worker.
    pub worker: Worker,
}

/// Why there is no worker for a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// No deployment has that alias.
    #[error("there is no deployment `{alias}`; this server has: {known}")]
    Unknown {
        /// As asked.
        alias: String,
        /// Those there are.
        known: String,
    },
    /// It has no worker at the moment.
    #[error("the deployment `{0}` is starting; try again in a moment")]
    Starting(String),
    /// Its relay is not up: the upstream engine does not answer as it must.
    #[error(
        "the upstream engine of the deployment `{0}` cannot be used at the moment; the server's log says why"
    )]
    Upstream(String),
}

/// All deployments, in the order of the configuration.
#[derive(Debug)]
pub struct Deployments {
    entries: Vec<(Arc<DeploymentFacts>, RwLock<Option<Deployment>>)>,
}

impl Deployments {
    /// Those the supervisor named, none with a worker yet.
    pub fn new(facts: Vec<DeploymentFacts>) -> Deployments {
        let entries = facts.into_iter().map(|facts| (Arc::new(facts), RwLock::new(None))).collect();
        Deployments { entries }
    }

    /// The facts of all, in order, each with its worker's, if it has one.
    pub fn list(&self) -> Vec<(Arc<DeploymentFacts>, Option<Deployment>)> {
        self.entries.iter().map(|(facts, slot)| (Arc::clone(facts), read(slot))).collect()
    }

    /// The deployment of a name, or the first.
    pub fn get(&self, alias: Option<&str>) -> Result<Deployment, Unavailable> {
        let known =
            || self.entries.iter().map(|(facts, _)| facts.alias.as_str()).collect::<Vec<_>>().join(", ");
        let wanted = |facts: &DeploymentFacts| alias.is_none_or(|alias| alias == facts.alias);
        let (facts, slot) = self.entries.iter().find(|(facts, _)| wanted(facts)).ok_or_else(|| {
            Unavailable::Unknown { alias: alias.unwrap_or_default().to_owned(), known: known() }
        })?;
        read(slot).ok_or_else(|| match facts.source {
            Source::Model { .. } => Unavailable::Starting(facts.alias.clone()),
            Source::Upstream { .. } => Unavailable::Upstream(facts.alias.clone()),
        })
    }

    /// A worker came up. False for a name that is not served.
    pub fn set(&self, alias: &str, worker: Worker, ready: Ready) -> bool {
        let Some((facts, slot)) = self.entries.iter().find(|(facts, _)| facts.alias == alias) else {
            return false;
        };
        *slot.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Deployment { facts: Arc::clone(facts), ready: Arc::new(ready), worker });
        true
    }
}

/// The worker of an entry, unless it has ended meanwhile.
fn read(slot: &RwLock<Option<Deployment>>) -> Option<Deployment> {
    slot.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|up| !up.worker.is_gone())
}
