//! Policies about one action, sorted by whom they are about, so that a decision looks at few of many.

use std::collections::HashMap;

use cedar_policy::{EntityUid, Policy, PolicySet, PrincipalConstraint};

use crate::names::Names;

/// Policies about one action.
pub(crate) struct About {
    /// Those whose scope takes every person.
    all: PolicySet,
    /// Those whose scope is one person, group or role.
    of: HashMap<EntityUid, PolicySet>,
    /// Whether some policy is about one thing by its name: then things that are alike may be decided of differently.
    pub(crate) names_things: bool,
}

impl About {
    /// Fails where two policies have one id.
    pub(crate) fn new<'a>(
        policies: impl Iterator<Item = &'a Policy>,
        names: &Names,
    ) -> Result<About, String> {
        let mut about = About { all: PolicySet::new(), of: HashMap::new(), names_things: false };
        for policy in policies {
            about.names_things |= policy.entity_literals().iter().any(|uid| names.is_thing(uid.type_name()));
            let set = match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => &mut about.all,
                PrincipalConstraint::Eq(uid)
                | PrincipalConstraint::In(uid)
                | PrincipalConstraint::IsIn(_, uid) => about.of.entry(uid).or_default(),
            };
            set.add(policy.clone()).map_err(|error| error.to_string())?;
        }
        Ok(about)
    }

    /// Those that could be about a person, who is one of these: the person, and all groups and roles. In several sets, each
    /// to be decided by alone.
    pub(crate) fn person(&self, person: &[EntityUid]) -> impl Iterator<Item = &PolicySet> {
        std::iter::once(&self.all).chain(person.iter().filter_map(|uid| self.of.get(uid)))
    }
}
