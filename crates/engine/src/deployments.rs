//! The deployments a gateway serves, and which of them have a worker now.

use std::sync::{Arc, PoisonError, RwLock};

use protocol::Digest;
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
    /// Its worker is not what the lock says.
    #[error("the deployment `{0}` may not serve on this machine: {1}")]
    Refused(String, String),
}

/// Why a worker is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Nothing is served by that lock any more.
    #[error("nothing is served by the lock {0}")]
    Unknown(Digest),
    /// It computes on another CPU than the lock pins.
    #[error(
        "the lock pins {pinned}, and the worker states {stated}: deploy it anew on this machine with `cloisterd model deploy`"
    )]
    Cpu {
        /// As the lock says.
        pinned: String,
        /// As the worker says.
        stated: String,
    },
}

/// All deployments, in the order of the configuration.
#[derive(Debug)]
pub struct Deployments {
    entries: RwLock<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    facts: Arc<DeploymentFacts>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Starting,
    Up(Deployment),
    Refused(String),
}

impl Deployments {
    /// Those the supervisor named, none with a worker yet.
    pub fn new(facts: Vec<DeploymentFacts>) -> Deployments {
        let deployments = Deployments { entries: RwLock::default() };
        deployments.replace(facts);
        deployments
    }

    /// Serves these from now on. What stays keeps its worker; what goes finishes what it runs.
    pub fn replace(&self, facts: Vec<DeploymentFacts>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *entries);
        for facts in facts {
            let place = before.iter().position(|entry| *entry.facts == facts);
            entries.push(match place {
                Some(place) => before.swap_remove(place),
                None => Entry { facts: Arc::new(facts), state: State::Starting },
            });
        }
    }

    /// The facts of all, in order, each with its worker's, if it has one.
    pub fn list(&self) -> Vec<(Arc<DeploymentFacts>, Option<Deployment>)> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|entry| (Arc::clone(&entry.facts), entry.up())).collect()
    }

    /// The deployment of a name, or the first.
    pub fn get(&self, alias: Option<&str>) -> Result<Deployment, Unavailable> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = |entry: &&Entry| alias.is_none_or(|alias| alias == entry.facts.alias);
        let entry = entries.iter().find(wanted).ok_or_else(|| {
            let known: Vec<&str> = entries.iter().map(|entry| entry.facts.alias.as_str()).collect();
            Unavailable::Unknown { alias: alias.unwrap_or_default().to_owned(), known: known.join(", ") }
        })?;
        entry.up().ok_or_else(|| {
            let alias = entry.facts.alias.clone();
            match (&entry.state, &entry.facts.source) {
                (State::Refused(why), _) => Unavailable::Refused(alias, why.clone()),
                (_, Source::Model { .. }) => Unavailable::Starting(alias),
                (_, Source::Upstream { .. }) => Unavailable::Upstream(alias),
            }
        })
    }

    /// A worker came up for what is served by that lock. It is refused on another CPU than the lock pins.
    pub fn set(&self, lock: Digest, worker: Worker, ready: Ready) -> Result<(), NotTaken> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.iter_mut().find(|entry| entry.facts.lock == lock);
        let entry = entry.ok_or(NotTaken::Unknown(lock))?;
        let deployment = pinned(Arc::clone(&entry.facts), worker, ready);
        entry.state = match &deployment {
            Ok(deployment) => State::Up(deployment.clone()),
            Err(error) => State::Refused(error.to_string()),
        };
        deployment.map(drop)
    }
}

/// A worker with what it is to compute; refused on another CPU than the lock pins.
pub fn pinned(facts: Arc<DeploymentFacts>, worker: Worker, ready: Ready) -> Result<Deployment, NotTaken> {
    if let Some(cpu) = &facts.cpu
        && (cpu.level != ready.cpu_level || cpu.features != ready.cpu_features)
    {
        return Err(NotTaken::Cpu {
            pinned: format!("{} ({})", cpu.level, cpu.features.trim()),
            stated: format!("{} ({})", ready.cpu_level, ready.cpu_features.trim()),
        });
    }
    Ok(Deployment { facts, ready: Arc::new(ready), worker })
}

impl Entry {
    /// The worker, unless it has ended meanwhile.
    fn up(&self) -> Option<Deployment> {
        match &self.state {
            State::Up(deployment) if !deployment.worker.is_gone() => Some(deployment.clone()),
            _ => None,
        }
    }
}
