//! The merge gate: whether lines may go in, by a policy in Cedar.
//!
//! What no rule permits is refused, one forbidding rule is enough, and an error in any rule refuses: Cedar itself would
//! pass over a rule that fails. Policies are validated against [`SCHEMA`] before anything is decided.
//!
//! Pure: no I/O, no clock. What a range is, and who approved it, is found elsewhere.

mod facts;

use std::collections::HashSet;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Decision as Cedar, Effect, Entities, PolicyId, PolicySet, Request, Schema, ValidationMode,
    Validator,
};
use serde::{Deserialize, Serialize};

pub use facts::{Circumstances, Range};

/// The schema of policies, as Cedar writes it.
pub const SCHEMA: &str = include_str!("gate.cedarschema");
/// The longest policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 1 << 20;
/// Rules of one policy.
pub const RULES_MAX: usize = 1000;

/// A policy that can decide.
pub struct Policy {
    rules: PolicySet,
    schema: Schema,
    authorizer: Authorizer,
}

/// Why a policy cannot decide.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Too long, or too many rules.
    #[error("the policy is longer than {POLICY_BYTES_MAX} bytes, or has more than {RULES_MAX} rules")]
    TooLong,
    /// It is not Cedar.
    #[error("the policy cannot be read: {0}")]
    Syntax(String),
    /// It speaks of what there is not.
    #[error("the policy does not fit the gate's schema: {0}")]
    Schema(String),
    /// A template decides nothing by itself.
    #[error("the policy has a template, which decides nothing here")]
    Template,
    /// Nothing could ever pass.
    #[error("the policy permits nothing: add a `permit` rule")]
    NoPermit,
    /// Two rules of one name.
    #[error("the policy has two rules with the @id `{0}`")]
    Twice(String),
}

/// What was decided of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Whether it may go in.
    pub allowed: bool,
    /// Why: the rules that permit it, or those that forbid it. Empty where no rule permits it.
    pub rules: Vec<Rule>,
    /// Rules that could not be evaluated: with one, it may not go in.
    pub errors: Vec<String>,
}

/// A rule by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its `@id`, or its place in the policy.
    pub id: String,
    /// Its `@reason`, in words; empty without one.
    pub reason: String,
}

impl Policy {
    /// Reads a policy, and validates it.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong);
        }
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| syntax(&error))?;
        let rules = PolicySet::from_str(text).map_err(|error| syntax(&error))?;
        if rules.num_of_policies() > RULES_MAX {
            return Err(PolicyError::TooLong);
        }
        if rules.templates().next().is_some() {
            return Err(PolicyError::Template);
        }
        let validated = Validator::new(schema.clone()).validate(&rules, ValidationMode::Strict);
        if !validated.validation_passed() {
            let errors: Vec<String> = validated.validation_errors().map(ToString::to_string).collect();
            return Err(PolicyError::Schema(errors.join("; ")));
        }
        if !rules.policies().any(|rule| rule.effect() == Effect::Permit) {
            return Err(PolicyError::NoPermit);
        }
        let mut names = HashSet::new();
        if let Some(twice) =
            rules.policies().filter_map(|rule| rule.annotation("id")).find(|id| !names.insert(*id))
        {
            return Err(PolicyError::Twice(twice.to_owned()));
        }
        Ok(Policy { rules, schema, authorizer: Authorizer::new() })
    }

    /// Decides one range.
    pub fn decide(&self, range: &Range, circumstances: &Circumstances) -> Decision {
        match self.asked(range, circumstances) {
            Ok((request, entities)) => self.answered(&request, &entities),
            Err(error) => Decision { allowed: false, rules: Vec::new(), errors: vec![error] },
        }
    }

    fn asked(&self, range: &Range, circumstances: &Circumstances) -> Result<(Request, Entities), String> {
        let (entity, principal) = range.entity()?;
        let resource = entity.uid();
        let entities =
            Entities::from_entities([entity], Some(&self.schema)).map_err(|error| whole(&error))?;
        let context = circumstances.context()?;
        let action = r#"Action::"merge""#.parse().map_err(|error| whole(&error))?;
        let request = Request::new(principal, action, resource, context, Some(&self.schema));
        Ok((request.map_err(|error| whole(&error))?, entities))
    }

    fn answered(&self, request: &Request, entities: &Entities) -> Decision {
        let response = self.authorizer.is_authorized(request, &self.rules, entities);
        let diagnostics = response.diagnostics();
        let errors: Vec<String> = diagnostics.errors().map(|error| whole(error)).collect();
        let mut rules: Vec<Rule> = diagnostics.reason().map(|id| self.rule(id)).collect();
        rules.sort();
        let permitted = response.decision() == Cedar::Allow;
        if permitted && !errors.is_empty() {
            // The rules found permit it; one that failed might not.
            rules.clear();
        }
        Decision { allowed: permitted && errors.is_empty(), rules, errors }
    }

    fn rule(&self, id: &PolicyId) -> Rule {
        let annotation = |name| self.rules.annotation(id, name).map(str::to_owned);
        Rule {
            id: annotation("id").unwrap_or_else(|| id.to_string()),
            reason: annotation("reason").unwrap_or_default(),
        }
    }
}

/// Cedar's errors say what is wrong in their causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.replace('\n', " ")
}

fn syntax(error: &dyn std::error::Error) -> PolicyError {
    PolicyError::Syntax(whole(error))
}
