//! Tests of a policy, as data: who asks for what, and what is to be decided by which rule.

use std::sync::Arc;

use protocol::control::LabelSettings;
use serde::{Deserialize, Serialize};

use crate::{
    Asked, Asking, Circumstances, Decision, LabelError, LabelSet, Lattice, LatticeError, NoRole, NoVerb,
    Policy, Principal, Resource, Scope, Verb, parse_roles,
};

/// Cases of one file at most.
pub const CASES_MAX: usize = 10_000;

/// A file of cases. Unknown keys fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cases {
    /// What labels mean; the site's settings where absent.
    pub labels: Option<LabelSettings>,
    /// The cases.
    pub case: Vec<Case>,
}

/// One request, and what is to be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called; its number where absent.
    #[serde(default)]
    pub name: String,
    /// Who asks.
    pub person: Person,
    /// The action, as `read-record`.
    pub action: String,
    /// To what; this server where absent.
    #[serde(default)]
    pub resource: Thing,
    /// Labels of everything that an answer would carry.
    #[serde(default)]
    pub carried: Vec<String>,
    /// The command.
    #[serde(default)]
    pub command: String,
    /// Whose request is approved.
    #[serde(default)]
    pub requester: String,
    /// The surface and dialect.
    #[serde(default)]
    pub dialect: String,
    /// When, in seconds since 1970.
    #[serde(default)]
    pub time_unix_s: i64,
    /// What is to be decided.
    pub expect: Expected,
    /// A policy that is to be among those that decided; any where it is empty, none where it is `none`.
    #[serde(default)]
    pub rule: String,
}

/// Who asks, in a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their roles.
    pub roles: Vec<String>,
    /// Their groups.
    pub groups: Vec<String>,
    /// Their clearance.
    pub labels: Vec<String>,
    /// Whether they own the data directory.
    pub owner: bool,
    /// How they showed who they are, as `token`; that where it is empty.
    pub strength: String,
    /// What their token is limited to; nothing where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
}

/// To what something is done, in a case: one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thing {
    /// A deployment's alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// A source's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A corpus's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus: Option<String>,
    /// A record's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// Whose record it is.
    pub owner: String,
    /// Who may read a source or a corpus.
    pub readers: Vec<String>,
    /// Its labels.
    pub labels: Vec<String>,
}

/// What is to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseOutcome {
    /// The case's name.
    pub name: String,
    /// Whether it was allowed.
    pub allowed: bool,
    /// The policies that decided.
    pub rules: Vec<String>,
    /// What was not as expected; empty where all was.
    pub wrong: String,
}

/// Why a case cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// Labels.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// What labels mean.
    #[error(transparent)]
    Lattice(#[from] LatticeError),
    /// A role.
    #[error(transparent)]
    Role(#[from] NoRole),
    /// The action.
    #[error(transparent)]
    Verb(#[from] NoVerb),
    /// The resource.
    #[error("{action} is done to {needed}, and `resource` names another thing, or several")]
    Resource {
        /// The action.
        action: Verb,
        /// What it is done to.
        needed: &'static str,
    },
    /// There are too many.
    #[error("{0} cases are too many: at most {CASES_MAX} are possible")]
    TooMany(usize),
}

impl Case {
    /// Decides it under a policy.
    pub fn decide(&self, policy: &Arc<Policy>, lattice: &Lattice) -> Result<Decision, CaseError> {
        let Person { name, roles, groups, labels, owner, strength, scope } = &self.person;
        let strength = if strength.is_empty() { "token" } else { strength };
        let principal = Principal {
            name: name.clone(),
            credential: format!("{strength}:0"),
            clearance: lattice.closed(&parsed(labels)?),
            groups: groups.clone(),
            roles: parse_roles(roles)?,
            is_owner: *owner,
            scope: Scope::of(scope.iter().map(String::as_str))?,
        };
        let verb: Verb = self.action.parse()?;
        let asked = Asked {
            verb,
            resource: self.resource.of(verb)?,
            labels: parsed(&self.resource.labels)?,
            carried: parsed(&self.carried)?,
            command: self.command.clone(),
            requester: self.requester.clone(),
        };
        let circumstances = Circumstances { time_unix_s: self.time_unix_s, dialect: &self.dialect };
        Ok(Asking::new(Ok(Arc::clone(policy)), &principal, circumstances).decide(&asked))
    }

    /// What comes of it, and what of that is not as expected.
    pub fn run(
        &self,
        number: usize,
        policy: &Arc<Policy>,
        lattice: &Lattice,
    ) -> Result<CaseOutcome, CaseError> {
        let Decision { allowed, rules, reason, .. } = self.decide(policy, lattice)?;
        let expected = self.expect == Expected::Allow;
        let by = if rules.is_empty() { reason } else { rules.join(", ") };
        let wrong = if allowed != expected {
            let [expected, found] = [expected, allowed].map(|allowed| if allowed { "allow" } else { "deny" });
            format!("expected {expected}, and it is {found}, by {by}")
        } else if self.rule == "none" && !rules.is_empty() {
            format!("expected that no rule decides, and it is {by}")
        } else if !self.rule.is_empty() && self.rule != "none" && !rules.contains(&self.rule) {
            format!("expected that {} decides, and it is {by}", self.rule)
        } else {
            String::new()
        };
        let name = if self.name.is_empty() { format!("case {number}") } else { self.name.clone() };
        Ok(CaseOutcome { name, allowed, rules, wrong })
    }
}

impl Cases {
    /// Runs all of them, in order. `lattice` is used where the file does not say what labels mean.
    pub fn run(&self, policy: &Arc<Policy>, lattice: &Lattice) -> Result<Vec<CaseOutcome>, CaseError> {
        let lattice = self.lattice(lattice)?;
        (1..).zip(&self.case).map(|(number, case)| case.run(number, policy, &lattice)).collect()
    }

    /// What labels mean in it.
    pub fn lattice(&self, site: &Lattice) -> Result<Lattice, CaseError> {
        if self.case.len() > CASES_MAX {
            return Err(CaseError::TooMany(self.case.len()));
        }
        Ok(self.labels.as_ref().map_or_else(|| Ok(site.clone()), Lattice::new)?)
    }
}

impl Thing {
    fn of(&self, verb: Verb) -> Result<Resource, CaseError> {
        let Thing { deployment, source, corpus, record, owner, readers, .. } = self;
        let owner = owner.clone();
        let readers = readers.clone();
        let needed = match verb {
            Verb::Complete | Verb::Chat | Verb::Generate => "a deployment",
            Verb::SearchSource | Verb::ReadSource => "a source",
            Verb::Trace => "a corpus",
            Verb::ReadRecord => "a record",
            _ => "this server",
        };
        let found = match (deployment.clone(), source.clone(), corpus.clone(), *record) {
            (Some(alias), None, None, None) => ("a deployment", Resource::Deployment { alias }),
            (None, Some(name), None, None) => ("a source", Resource::Source { name, readers }),
            (None, None, Some(name), None) => ("a corpus", Resource::Corpus { name, readers }),
            (None, None, None, Some(number)) => ("a record", Resource::Record { number, owner }),
            (None, None, None, None) => ("this server", Resource::Server),
            _ => ("several", Resource::Server),
        };
        if found.0 == needed { Ok(found.1) } else { Err(CaseError::Resource { action: verb, needed }) }
    }
}

fn parsed(labels: &[String]) -> Result<LabelSet, LabelError> {
    labels.join(",").parse()
}
