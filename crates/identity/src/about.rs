//! Policies about one action, sorted by whom they are about and ready to be evaluated, so that a decision looks at few of
//! many.
//!
//! Cedar's own authorizer makes each policy's condition anew for each request, which is most of what a decision costs; here
//! they are made once. What a request's policies amount to is Cedar's rule: deny, unless one permits and none forbids; and
//! beyond it, an error denies. A test in `decision` compares the two.

use std::collections::HashMap;

use cedar_policy::{Effect, Entities, EntityUid, Policy, PrincipalConstraint, Request};
use cedar_policy_core::ast::{Expr, Literal, SlotEnv, ValueKind};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;

use crate::names::Names;

/// Policies about one action.
pub(crate) struct About {
    /// Those whose scope takes every person.
    all: Vec<Ready>,
    /// Those whose scope is one person, group or role.
    of: HashMap<EntityUid, Vec<Ready>>,
    /// Whether some policy is about one thing by its name: then things that are alike may be decided of differently.
    pub(crate) names_things: bool,
}

/// A policy without slots.
struct Ready {
    id: String,
    permits: bool,
    /// Its scope, and what it says under `when` and `unless`.
    condition: Expr,
}

impl Ready {
    fn new(policy: &Policy) -> Ready {
        let permits = policy.effect() == Effect::Permit;
        let policy: &cedar_policy_core::ast::Policy = policy.as_ref();
        Ready { id: policy.id().to_string(), permits, condition: policy.condition() }
    }
}

impl About {
    pub(crate) fn new<'a>(policies: impl Iterator<Item = &'a Policy>, names: &Names) -> About {
        let mut about = About { all: Vec::new(), of: HashMap::new(), names_things: false };
        for policy in policies {
            about.names_things |= policy.entity_literals().iter().any(|uid| names.is_thing(uid.type_name()));
            let of = match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => &mut about.all,
                PrincipalConstraint::Eq(uid)
                | PrincipalConstraint::In(uid)
                | PrincipalConstraint::IsIn(_, uid) => about.of.entry(uid).or_default(),
            };
            of.push(Ready::new(policy));
        }
        about
    }

    /// Whether a request of somebody who is one of these, the person and all groups and roles, is allowed, and by which
    /// policies. A policy that cannot be evaluated may be a `forbid`: whatever the others say, that is an error.
    pub(crate) fn decide(
        &self,
        person: &[EntityUid],
        request: &Request,
        entities: &Entities,
    ) -> Result<(bool, Vec<String>), String> {
        let (request, entities): (&cedar_policy_core::ast::Request, _) =
            (request.as_ref(), entities.as_ref());
        let evaluator = Evaluator::new(request.clone(), entities, Extensions::all_available());
        let of = person.iter().filter_map(|uid| self.of.get(uid)).flatten();
        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for policy in self.all.iter().chain(of) {
            let value = evaluator.interpret(&policy.condition, &SlotEnv::new());
            match value.map(|value| value.value_kind().clone()) {
                Ok(ValueKind::Lit(Literal::Bool(false))) => {}
                Ok(ValueKind::Lit(Literal::Bool(true))) if policy.permits => permits.push(policy.id.clone()),
                Ok(ValueKind::Lit(Literal::Bool(true))) => forbids.push(policy.id.clone()),
                Ok(_) => return Err(format!("{}: neither true nor false", policy.id)),
                Err(error) => return Err(format!("{}: {error}", policy.id)),
            }
        }
        let allowed = forbids.is_empty() && !permits.is_empty();
        let mut rules = if forbids.is_empty() { permits } else { forbids };
        rules.sort();
        Ok((allowed, rules))
    }
}
