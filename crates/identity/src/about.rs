//! Policies about one action, sorted by whom they are about and ready to be evaluated, so that a decision looks at few of
//! many.
//!
//! Cedar's own authorizer makes each policy's condition anew for each request, which is most of what a decision costs; here
//! they are made once. What a request's policies amount to is Cedar's rule: deny, unless one permits and none forbids; and
//! beyond it, an error denies. A test in `decision` compares the two.

use std::collections::HashMap;

use cedar_policy::{Effect, EntityUid, Policy, PrincipalConstraint};
use cedar_policy_core::ast::{Expr, Literal, Request, SlotEnv, ValueKind};
use cedar_policy_core::entities::Entities;
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
    /// What of its scope is not known to hold by the way that it is found, and what it says under `when` and `unless`.
    condition: Expr,
}

impl Ready {
    /// Actions are sorted out before. `of_person` says whether it is found by the person, too, who is then in its scope.
    fn new(policy: &Policy, of_person: bool) -> Ready {
        let permits = policy.effect() == Effect::Permit;
        let policy: &cedar_policy_core::ast::Policy = policy.as_ref();
        let principal = if of_person { Expr::val(true) } else { policy.principal_constraint().as_expr() };
        let scope = Expr::and(principal, policy.resource_constraint().as_expr());
        let condition = match policy.non_scope_constraints() {
            Some(condition) => Expr::and(scope, condition.clone()),
            None => scope,
        };
        Ready { id: policy.id().to_string(), permits, condition }
    }
}

impl About {
    pub(crate) fn new<'a>(policies: impl Iterator<Item = &'a Policy>, names: &Names) -> About {
        let mut about = About { all: Vec::new(), of: HashMap::new(), names_things: false };
        for policy in policies {
            about.names_things |= policy.entity_literals().iter().any(|uid| names.is_thing(uid.type_name()));
            match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => {
                    about.all.push(Ready::new(policy, false));
                }
                PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) => {
                    about.of.entry(uid).or_default().push(Ready::new(policy, true));
                }
                PrincipalConstraint::IsIn(_, uid) => {
                    about.of.entry(uid).or_default().push(Ready::new(policy, false));
                }
            }
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
