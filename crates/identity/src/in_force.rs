//! The policy in force: one at a time, for all who ask.

use std::sync::{Arc, PoisonError, RwLock};

use crate::{Asking, Circumstances, Policy, Principal};

/// The policy in force, or why there is none: then nothing is allowed.
pub struct InForce(RwLock<Result<Arc<Policy>, Arc<str>>>);

impl InForce {
    /// Begins with that.
    pub fn new(policy: Result<Policy, String>) -> InForce {
        InForce(RwLock::new(shared(policy)))
    }

    /// Decisions from now on are by that; those that were begun go on by the one before.
    pub fn replace(&self, policy: Result<Policy, String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = shared(policy);
    }

    /// What is in force.
    pub fn current(&self) -> Result<Arc<Policy>, Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A person who asks now.
    pub fn asking<'a>(&self, principal: &'a Principal, circumstances: Circumstances<'a>) -> Asking<'a> {
        Asking::new(self.current(), principal, circumstances)
    }
}

fn shared(policy: Result<Policy, String>) -> Result<Arc<Policy>, Arc<str>> {
    policy.map(Arc::new).map_err(Arc::from)
}
