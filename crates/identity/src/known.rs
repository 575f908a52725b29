//! Persons as Cedar sees them: made once for a policy, and kept, since making one is a fifth of a first decision.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::EntityUid;
use cedar_policy_core::ast::{Entity, PartialValue, Value};

use crate::decision::core;
use crate::names::{Names, entity};
use crate::{LabelSet, Principal, Role};

/// Persons that are kept, of some kilobytes each.
const PERSONS_MAX: usize = 8192;

/// A person for Cedar.
pub(crate) struct Known {
    pub(crate) user: Entity,
    /// The person, and the groups and roles of theirs that policies name.
    pub(crate) uids: Vec<EntityUid>,
}

/// All that a person is made of: whoever differs in any of it is another one.
#[derive(PartialEq, Eq, Hash)]
struct Traits {
    name: String,
    clearance: LabelSet,
    groups: Vec<String>,
    roles: Vec<Role>,
    is_owner: bool,
}

/// Those who have asked.
#[derive(Default)]
pub(crate) struct Persons(Mutex<HashMap<Traits, Arc<Known>>>);

impl Persons {
    /// The person, made where they have not asked before.
    pub(crate) fn known(
        &self,
        names: &Names,
        named: &HashSet<EntityUid>,
        principal: &Principal,
    ) -> Arc<Known> {
        let Principal { name, credential: _, clearance, groups, roles, is_owner, scope: _ } =
            principal.clone();
        let traits = Traits { name, clearance, groups, roles, is_owner };
        let mut persons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = persons.get(&traits) {
            return Arc::clone(known);
        }
        let known = Arc::new(made(names, named, &traits));
        if persons.len() >= PERSONS_MAX {
            persons.clear();
        }
        persons.insert(traits, Arc::clone(&known));
        known
    }
}

/// A group or role that no policy names cannot matter to any: attributes and context hold texts, and no entities, to be in.
fn made(names: &Names, named: &HashSet<EntityUid>, person: &Traits) -> Known {
    let owner = person.is_owner.then_some("owner");
    let roles = person.roles.iter().map(|role| role.name()).chain(owner);
    let roles = roles.map(|role| entity(&names.role, role));
    let groups = person.groups.iter().map(|group| entity(&names.group, group));
    let attributes = [
        ("name", Value::from(person.name.as_str())),
        ("clearance", Value::from(person.clearance.names())),
        ("groups", Value::from(person.groups.clone())),
    ];
    let attributes = attributes.map(|(name, value)| (name.into(), PartialValue::Value(value)));
    let parents: HashSet<EntityUid> = roles.chain(groups).filter(|uid| named.contains(uid)).collect();
    let uid = entity(&names.user, &person.name);
    let above = parents.iter().cloned().map(core).collect();
    let user = Entity::new_with_attr_partial_value(core(uid.clone()), attributes, HashSet::new(), above, []);
    Known { user, uids: parents.into_iter().chain([uid]).collect() }
}
