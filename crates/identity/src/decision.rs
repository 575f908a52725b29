//! One decision for everything. Deny by default; an error is a denial.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::EntityUid;
use cedar_policy_core::ast::{Context, Entity, EntityUIDEntry, PartialValue, Request, Value};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use protocol::Digest;

use crate::known::Known;
use crate::names::{Names, entity};
use crate::verb::{Resource, Verb};
use crate::{LabelSet, Policy, Principal};

/// Named as the rule where a token's limits deny, which no policy can undo.
const TOKEN_SCOPE: &str = "cloister.token-scope";

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub verb: Verb,
    /// To what.
    pub resource: Resource,
    /// Labels of that.
    pub labels: LabelSet,
    /// Labels of everything that an answer would carry; those of the resource among them, or none.
    pub carried: LabelSet,
    /// As it is called on the command line; empty where it is no command.
    pub command: String,
    /// Whose request is approved; empty where nothing is.
    pub requester: String,
}

/// When and how somebody asks. No policy has a clock of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// Seconds since 1970.
    pub time_unix_s: i64,
    /// The surface and dialect, as `openai.chat`.
    pub dialect: &'a str,
}

/// Whether they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// They may.
    pub allowed: bool,
    /// Why, or why not, for a person to read. It does not tell whether there is something they may not see.
    pub reason: String,
    /// The policies that decided, by their ids; none where nothing permits.
    pub rules: Vec<String>,
    /// Digest of the policy that said so; of nothing where there is none.
    pub policy: Digest,
}

/// A person who asks, as policies see them: made once, asked many times.
pub struct Asking<'a> {
    policy: Result<Arc<Policy>, Arc<str>>,
    principal: &'a Principal,
    circumstances: Circumstances<'a>,
    made: Result<Made, Arc<str>>,
    /// Of things that are alike for the policy, whatever their names.
    alike: Mutex<HashMap<Alike, Decision>>,
}

/// All that is decided by, of a source or a corpus, where no policy names one.
#[derive(PartialEq, Eq, Hash)]
struct Alike {
    verb: Verb,
    readers: Vec<String>,
    labels: Vec<String>,
    carried: Vec<String>,
}

struct Made {
    known: Arc<Known>,
    context: Vec<(&'static str, Value)>,
}

impl Asked {
    /// Asking a deployment; nothing beside its own labels is known yet.
    pub fn of_deployment(verb: Verb, alias: &str, labels: LabelSet) -> Asked {
        Asked { labels, ..Asked::new(verb, Resource::Deployment { alias: alias.to_owned() }) }
    }

    /// Something of a source.
    pub fn of_source(verb: Verb, name: &str, readers: &[String], labels: LabelSet) -> Asked {
        let resource = Resource::Source { name: name.to_owned(), readers: readers.to_vec() };
        Asked { labels, ..Asked::new(verb, resource) }
    }

    /// Seeing what matches a corpus.
    pub fn of_corpus(name: &str, readers: &[String], labels: LabelSet) -> Asked {
        let resource = Resource::Corpus { name: name.to_owned(), readers: readers.to_vec() };
        Asked { labels, ..Asked::new(Verb::Trace, resource) }
    }

    /// Reading a record of somebody's.
    pub fn of_record(number: u64, owner: &str, labels: LabelSet) -> Asked {
        let resource = Resource::Record { number, owner: owner.to_owned() };
        Asked { labels, ..Asked::new(Verb::ReadRecord, resource) }
    }

    /// Something of the server, by a command.
    pub fn of_server(verb: Verb, command: &str) -> Asked {
        Asked { command: command.to_owned(), ..Asked::new(verb, Resource::Server) }
    }

    /// Approving what somebody requested.
    pub fn approval(command: &str, requester: &str) -> Asked {
        Asked { requester: requester.to_owned(), ..Asked::of_server(Verb::Approve, command) }
    }

    fn new(verb: Verb, resource: Resource) -> Asked {
        Asked {
            verb,
            resource,
            labels: LabelSet::default(),
            carried: LabelSet::default(),
            command: String::new(),
            requester: String::new(),
        }
    }

    /// The same, of which an answer would carry these labels.
    #[must_use]
    pub fn carrying(self, carried: LabelSet) -> Asked {
        Asked { carried, ..self }
    }
}

impl<'a> Asking<'a> {
    /// A person, under a policy; under an error, which says why there is none, nothing is allowed.
    pub fn new(
        policy: Result<Arc<Policy>, Arc<str>>,
        principal: &'a Principal,
        circumstances: Circumstances<'a>,
    ) -> Asking<'a> {
        let made = match &policy {
            Ok(policy) => Ok(made(policy, principal, &circumstances)),
            Err(why) => Err(Arc::clone(why)),
        };
        Asking { policy, principal, circumstances, made, alike: Mutex::default() }
    }

    /// Digest of the policy that decides; of nothing where there is none.
    pub fn policy(&self) -> Digest {
        self.policy.as_ref().map_or(Digest([0; 32]), |policy| policy.digest())
    }

    /// Who asks.
    pub fn principal(&self) -> &Principal {
        self.principal
    }

    /// Decides.
    pub fn decide(&self, asked: &Asked) -> Decision {
        let (policy, made) = match (&self.policy, &self.made) {
            (Ok(policy), Ok(made)) => (policy, made),
            (Ok(policy), Err(why)) => return self.denied(policy.digest(), why),
            (Err(why), _) => return self.denied(Digest([0; 32]), why),
        };
        if !self.principal.scope.allows(asked.verb) {
            let Principal { name, scope, .. } = self.principal;
            let reason = format!("{name}'s token is not for `{}`: it is limited to {scope}", asked.verb);
            let rules = vec![TOKEN_SCOPE.to_owned()];
            return Decision { allowed: false, reason, rules, policy: policy.digest() };
        }
        let alike = policy.about(asked.verb).filter(|about| !about.names_things).and_then(|_| alike(asked));
        let decided = || match evaluated(policy, made, asked) {
            Err(why) => self.denied(policy.digest(), &why),
            Ok((allowed, rules)) => {
                let reason = reason(self.principal, asked, allowed, &rules);
                Decision { allowed, reason, rules, policy: policy.digest() }
            }
        };
        match alike {
            None => decided(),
            Some(alike) => {
                let mut kept = self.alike.lock().unwrap_or_else(PoisonError::into_inner);
                kept.entry(alike).or_insert_with(decided).clone()
            }
        }
    }

    fn denied(&self, policy: Digest, why: &str) -> Decision {
        let reason = format!("nothing is allowed, since the policy cannot be used: {why}");
        Decision { allowed: false, reason, rules: Vec::new(), policy }
    }

    /// When and how they ask.
    pub fn circumstances(&self) -> Circumstances<'a> {
        self.circumstances
    }
}

/// A source or a corpus without its name, which nothing said of it tells either.
fn alike(asked: &Asked) -> Option<Alike> {
    let (Resource::Source { readers, .. } | Resource::Corpus { readers, .. }) = &asked.resource else {
        return None;
    };
    if !asked.command.is_empty() || !asked.requester.is_empty() {
        return None;
    }
    let (labels, carried) = (asked.labels.names(), asked.carried.names());
    Some(Alike { verb: asked.verb, readers: readers.clone(), labels, carried })
}

/// Whether it is allowed, and by which policies.
fn evaluated(policy: &Policy, made: &Made, asked: &Asked) -> Result<(bool, Vec<String>), String> {
    let about = policy.about(asked.verb).ok_or("it does not know the action")?;
    let (request, entities) = for_cedar(policy.names(), made, asked)?;
    about.decide(&made.known.uids, &request, &entities)
}

/// As Cedar sees it.
fn for_cedar(names: &Names, made: &Made, asked: &Asked) -> Result<(Request, Entities), String> {
    let resource = resource(names, asked);
    let more = [
        ("labels", Value::from(asked.carried.names())),
        ("command", Value::from(asked.command.as_str())),
        ("requester", Value::from(asked.requester.as_str())),
    ];
    let context = made.context.iter().cloned().chain(more).map(|(name, value)| (name.into(), value));
    let action = core(names.action(asked.verb.name()));
    let known = |uid| EntityUIDEntry::known(uid, None);
    let request = Request::new_unchecked(
        known(made.known.user.uid().clone()),
        known(action.clone()),
        known(resource.uid().clone()),
        Some(Context::Value(Arc::new(context.collect()))),
    );
    // Groups of actions are sorted out before; what is in them is said here all the same.
    let of = asked.verb.group().map(|group| core(names.action(group)));
    let action =
        Entity::new_with_attr_partial_value(action, [], HashSet::new(), of.into_iter().collect(), []);
    // Nobody's group is in another, and no action's: there is nothing to be closed.
    let entities = Entities::from_entities(
        [made.known.user.clone(), resource, action],
        None::<&NoEntitiesSchema>,
        TCComputation::AssumeAlreadyComputed,
        Extensions::all_available(),
    );
    Ok((request, entities.map_err(|error| error.to_string())?))
}

/// The name as the evaluator has it.
pub(crate) fn core(uid: EntityUid) -> cedar_policy_core::ast::EntityUID {
    uid.as_ref().clone()
}

fn made(policy: &Policy, principal: &Principal, circumstances: &Circumstances<'_>) -> Made {
    const DAY_MINUTES: i64 = 24 * 60;
    let minutes = circumstances.time_unix_s.div_euclid(60);
    // 1970 began on a Thursday.
    let weekday = (minutes.div_euclid(DAY_MINUTES) + 3).rem_euclid(7) + 1;
    let context = vec![
        ("time_unix_s", Value::from(circumstances.time_unix_s)),
        ("minute_of_day", Value::from(minutes.rem_euclid(DAY_MINUTES))),
        ("weekday", Value::from(weekday)),
        ("dialect", Value::from(circumstances.dialect)),
        ("strength", Value::from(principal.strength())),
    ];
    Made { known: policy.known(principal), context }
}

fn resource(names: &Names, asked: &Asked) -> Entity {
    let mut attributes = vec![("labels", Value::from(asked.labels.names()))];
    let uid: EntityUid = match &asked.resource {
        Resource::Deployment { alias } => entity(&names.deployment, alias),
        Resource::Source { name, readers } => {
            attributes.push(("readers", Value::from(readers.clone())));
            entity(&names.source, name)
        }
        Resource::Corpus { name, readers } => {
            attributes.push(("readers", Value::from(readers.clone())));
            entity(&names.corpus, name)
        }
        Resource::Record { number, owner } => {
            attributes.push(("owner", Value::from(owner.as_str())));
            entity(&names.record, &number.to_string())
        }
        Resource::Server => entity(&names.server, "this"),
    };
    let attributes = attributes.into_iter().map(|(name, value)| (name.into(), PartialValue::Value(value)));
    Entity::new_with_attr_partial_value(core(uid), attributes, HashSet::new(), HashSet::new(), [])
}

/// Said to whoever asked: no word of what they may not know of.
fn reason(principal: &Principal, asked: &Asked, allowed: bool, rules: &[String]) -> String {
    let Principal { name, .. } = principal;
    if allowed {
        return rules.join(", ");
    }
    let rule = match rules {
        [] => "nothing permits it".to_owned(),
        rules => format!("forbidden by {}", rules.join(", ")),
    };
    let shown = asked.labels.join(&asked.carried);
    match &asked.resource {
        Resource::Deployment { alias } if !principal.clearance.dominates(&asked.labels) => {
            format!("{name} is not cleared for [{shown}], which {alias} would show")
        }
        Resource::Deployment { alias } => format!("{name} may not use {alias} for this: {rule}"),
        Resource::Source { .. } => "there is no such source".to_owned(),
        Resource::Corpus { .. } => "there is no such corpus".to_owned(),
        Resource::Record { number, .. } => format!("record {number} is not yours, or does not exist"),
        Resource::Server if principal.roles.is_empty() && !principal.is_owner => {
            format!("{name} may not run `{}`: the owner of the data directory may", asked.command)
        }
        Resource::Server => format!("{name} may not run `{}`: {rule}", asked.command),
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::{PolicyId, PolicySet};
    use cedar_policy_core::authorizer::{Authorizer, Decision as Effect};

    use super::*;
    use crate::{DEFAULT, FLOOR, PolicyFile, Role};

    /// Policies of all forms of scope, with conditions that hold, do not, and cannot be evaluated.
    fn drawn(number: usize) -> String {
        let pick = |of: &[&'static str], step: usize| of[number / step % of.len()];
        let scope = pick(
            &[
                "principal",
                "principal == User::\"ada\"",
                "principal in Group::\"crew\"",
                "principal in Role::\"auditor\"",
                "principal is User in Group::\"staff\"",
            ],
            1,
        );
        let action = pick(&["action", "action in Action::\"use\"", "action == Action::\"read-source\""], 5);
        let condition = pick(
            &[
                "when { context.weekday == 4 }",
                "unless { principal.groups.contains(\"crew\") }",
                "when { principal.clearance.containsAll(context.labels) }",
                "when { context.time_unix_s * 9223372036854775807 > 7 }",
                "when { context.dialect like \"openai.*\" && principal.name != \"bob\" }",
                "when { context.minute_of_day < 60 }",
                "",
            ],
            15,
        );
        let effect = pick(&["forbid", "permit", "permit"], 2);
        format!("@id(\"drawn.{number}\") {effect} ({scope}, {action}, resource) {condition};\n")
    }

    fn collected(texts: &[&str]) -> PolicySet {
        let parsed = texts.iter().map(|text| text.parse::<PolicySet>().unwrap());
        let policies: Vec<_> = parsed.flat_map(|set| set.policies().cloned().collect::<Vec<_>>()).collect();
        PolicySet::from_policies(policies.into_iter().map(|policy| {
            let id = PolicyId::new(policy.annotation("id").unwrap());
            policy.new_id(id)
        }))
        .unwrap()
    }

    /// Of sorted policies with conditions made before, the answer is that of Cedar's own authorizer over all of them.
    #[test]
    fn decisions_are_those_of_cedars_authorizer() {
        let mut seen = [0; 3];
        for first in 0..60 {
            // Never the whole: where something always fails, nothing else is seen.
            let text: String = (0..4).map(|step| drawn(first + step * 37)).collect();
            let files = [("default.cedar", DEFAULT), ("drawn.cedar", &text)];
            let files = files.map(|(name, text)| PolicyFile { name: name.to_owned(), text: text.to_owned() });
            let policy = Arc::new(Policy::compile(files.into()).unwrap());
            let all = collected(&[FLOOR, DEFAULT, &text]);
            for (name, groups, roles, time) in [
                ("ada", &["crew"][..], &[Role::Auditor][..], 0),
                ("bob", &["crew", "staff"], &[], 1),
                ("eve", &[], &[], 4000),
                ("ada", &["staff"], &[Role::Service], 1 << 40),
            ] {
                let principal = Principal {
                    name: name.to_owned(),
                    credential: "token:0".to_owned(),
                    clearance: "flight".parse().unwrap(),
                    groups: groups.iter().map(ToString::to_string).collect(),
                    roles: roles.to_vec(),
                    is_owner: false,
                    scope: crate::Scope::default(),
                };
                let circumstances = Circumstances { time_unix_s: time, dialect: "openai.chat" };
                let made = made(&policy, &principal, &circumstances);
                let labels: LabelSet = if time == 1 { "radar" } else { "flight" }.parse().unwrap();
                let readers = ["crew".to_owned()];
                for asked in [
                    Asked::of_deployment(Verb::Chat, "coder", labels.clone()).carrying(labels.clone()),
                    Asked::of_source(Verb::ReadSource, "notes", &readers, labels.clone()),
                    Asked::of_record(7, "ada", labels.clone()),
                    Asked::of_server(Verb::Administer, "user add"),
                ] {
                    let (request, entities) = for_cedar(policy.names(), &made, &asked).unwrap();
                    let response = Authorizer::new().is_authorized(request, all.as_ref(), &entities);
                    let mut rules: Vec<String> =
                        response.diagnostics.reason.iter().map(ToString::to_string).collect();
                    rules.sort();
                    let found = evaluated(&policy, &made, &asked);
                    if !response.diagnostics.errors.is_empty() {
                        seen[0] += 1;
                        assert!(found.is_err(), "{text}{asked:?}");
                    } else {
                        let allowed = response.decision == Effect::Allow;
                        seen[1 + usize::from(allowed)] += 1;
                        assert_eq!(found, Ok((allowed, rules)), "{text}{asked:?}");
                    }
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }
}
