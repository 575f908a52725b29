//! Policies about one action, sorted by whom they are about, so that a decision looks at few of many.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{EntityUid, Policy, PolicySet, PrincipalConstraint};

use crate::names::Names;

/// Sets that are kept: one for each combination of persons, groups and roles that policies name.
const SETS_MAX: usize = 1024;

/// Policies about one action.
pub(crate) struct About {
    /// Those whose scope takes every person.
    all: Vec<Policy>,
    /// Those whose scope is one person, group or role.
    of: HashMap<EntityUid, Vec<Policy>>,
    /// Whether some policy is about one thing by its name: then things that are alike may be decided of differently.
    pub(crate) names_things: bool,
    sets: Mutex<HashMap<BTreeSet<EntityUid>, Arc<PolicySet>>>,
}

impl About {
    pub(crate) fn new<'a>(policies: impl Iterator<Item = &'a Policy>, names: &Names) -> About {
        let (mut all, mut of) = (Vec::new(), HashMap::<EntityUid, Vec<Policy>>::new());
        let mut names_things = false;
        for policy in policies {
            names_things |= policy.entity_literals().iter().any(|uid| names.is_thing(uid.type_name()));
            match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => all.push(policy.clone()),
                PrincipalConstraint::Eq(uid)
                | PrincipalConstraint::In(uid)
                | PrincipalConstraint::IsIn(_, uid) => of.entry(uid).or_default().push(policy.clone()),
            }
        }
        About { all, of, names_things, sets: Mutex::default() }
    }

    /// Those that could be about a person, who is one of these: the person, and all groups and roles.
    pub(crate) fn person(&self, person: &[EntityUid]) -> Result<Arc<PolicySet>, String> {
        let named: BTreeSet<EntityUid> =
            person.iter().filter(|uid| self.of.contains_key(uid)).cloned().collect();
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sets.get(&named) {
            return Ok(Arc::clone(set));
        }
        let more = named.iter().filter_map(|uid| self.of.get(uid)).flatten();
        let set = PolicySet::from_policies(self.all.iter().chain(more).cloned());
        let set = Arc::new(set.map_err(|error| error.to_string())?);
        if sets.len() >= SETS_MAX {
            sets.clear();
        }
        sets.insert(named, Arc::clone(&set));
        Ok(set)
    }
}
