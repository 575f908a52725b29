//! The policy in force, and the questions that the pipeline asks it.
//!
//! A site's policy lies in files; the ledger says which files two persons approved. What is not those is no policy, and
//! without one nothing is answered.

use std::sync::Arc;

use identity::{Asked, Asking, Circumstances, Decision, LabelSet, Policy, PolicyFile, Principal, Verb};
use ledger::{Event, Ledger, Record};

use crate::{Assist, House, Refusal, RefusalKind};

/// The policy that those files are, if the ledger says that they are to be in force.
pub fn policy_of(ledger: &Ledger, files: Result<Vec<PolicyFile>, String>) -> Result<Policy, String> {
    let approved = ledger.policy().map_err(|error| with_cause(&error))?;
    let (leaf, approved) = approved.map_or((0, None), |(leaf, change)| (leaf, change.files));
    let files = files?;
    let Some(approved) = approved else {
        if files.is_empty() {
            return Policy::builtin().map_err(|error| error.to_string());
        }
        return Err(
            "there are files of a policy that no two persons approved: install them with `cloisterd policy \
                    set`, or remove them"
                .to_owned(),
        );
    };
    if files.is_empty() {
        return Err(format!(
            "the files of the policy that leaf {leaf} installed are missing: install them again"
        ));
    }
    let policy = Policy::compile(files).map_err(|error| error.to_string())?;
    if policy.files_digest() != Some(approved) {
        return Err(format!(
            "the files of the policy are not those that leaf {leaf} installed: install those again, with `cloisterd \
             policy set`"
        ));
    }
    Ok(policy)
}

fn with_cause(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// Whose record a leaf is of, and its labels; `None` of what is nobody's.
pub(crate) enum Whose {
    /// Somebody's, or something of it.
    Person {
        /// Who asked.
        name: String,
        /// Its labels.
        labels: LabelSet,
    },
    /// The server's own.
    Nobody,
}

impl House {
    /// A person, at this moment.
    pub(crate) fn asking<'a>(&self, principal: &'a Principal, dialect: &'a str) -> Asking<'a> {
        let time_unix_s = (self.outside.now_unix_s)();
        self.policy.asking(principal, Circumstances { time_unix_s, dialect })
    }

    /// The same, under the default policy where there is none: for those who mend it.
    pub(crate) fn asking_to_mend<'a>(&self, principal: &'a Principal, dialect: &'a str) -> Asking<'a> {
        let policy = self.policy.current().or_else(|why| Policy::builtin().map(Arc::new).map_err(|_| why));
        let time_unix_s = (self.outside.now_unix_s)();
        Asking::new(policy, principal, Circumstances { time_unix_s, dialect })
    }

    /// Refuses everybody, while there is no policy.
    pub(crate) fn has_policy(&self) -> Result<(), Refusal> {
        self.policy.current().map(drop).map_err(|why| {
            let message = format!("nothing is answered, since the policy cannot be used: {why}");
            Refusal::new(RefusalKind::PolicyUnavailable, message)
        })
    }

    /// Whose a leaf is. What cannot be told is an error, not nobody's.
    pub(crate) fn whose(&self, record: &Record) -> Result<Whose, String> {
        let person = |name: &str, labels: &[String]| {
            let labels = labels.join(",").parse().map_err(|error: identity::LabelError| error.to_string())?;
            Ok(Whose::Person { name: name.to_owned(), labels })
        };
        let event = &record.leaf.event;
        match event {
            Event::Intent(intent) => person(&intent.identity, &intent.labels),
            Event::Lookup(lookup) => person(&lookup.identity, &lookup.labels),
            // A search for words: they may be somebody's own.
            Event::Administration { actor, .. } if record.leaf.body.is_some() => {
                person(actor.split(' ').next().unwrap_or_default(), &[])
            }
            event => match event.record() {
                Some(number) => {
                    let named = self.ledger.record(number).map_err(|error| error.to_string())?;
                    match &named.leaf.event {
                        Event::Intent(_) | Event::Lookup(_) => self.whose(&named),
                        _ => Err(format!("leaf {} names no record of anybody's", record.index)),
                    }
                }
                None => Ok(Whose::Nobody),
            },
        }
    }

    /// Whether somebody may read a leaf's body.
    pub(crate) fn may_read_body(&self, asking: &Asking<'_>, record: &Record) -> Result<Decision, String> {
        Ok(match self.whose(record)? {
            Whose::Person { name, labels } => asking.decide(&Asked::of_record(record.index, &name, labels)),
            Whose::Nobody => asking.decide(&Asked::of_server(Verb::QueryLedger, "ledger show")),
        })
    }

    /// Writes down that a policy refused something.
    pub(crate) async fn denied(
        &self,
        asking: &Asking<'_>,
        verb: Verb,
        decision: &Decision,
    ) -> Result<(), Refusal> {
        let refusal = ledger::Refusal {
            identity: Some(asking.principal().name.clone()),
            dialect: asking.circumstances().dialect.to_owned(),
            reason: decision.reason.clone(),
            count: 1,
            action: Some(verb.name().to_owned()),
            policy: Some(decision.policy),
            rule: (!decision.rules.is_empty()).then(|| decision.rules.join(", ")),
        };
        self.append(Event::Refusal(refusal), None).await.map(drop)
    }

    /// Writes down that somebody reads what another asked and was answered.
    pub(crate) async fn reads_anothers(
        &self,
        principal: &Principal,
        record: u64,
        decision: &Decision,
    ) -> Result<(), Refusal> {
        let event = Event::Administration {
            actor: format!("{} ({})", principal.name, principal.credential),
            action: Verb::ReadRecord.name().to_owned(),
            subject: record.to_string(),
            detail: format!("by {}", decision.rules.join(", ")),
        };
        self.append(event, None).await.map(drop)
    }
}

impl Assist {
    /// Takes the policy's files as they are now, where they are others than before. What is not valid, or not approved,
    /// leaves none in force. Blocks on the disk.
    pub fn look_at_policy(&self) -> Result<(), String> {
        let house = &self.house;
        let files = house.supervision.policy_files();
        let before = house.policy.current();
        // Files that are as they were are not the policy any more once a leaf names others.
        let newest = house.ledger.policy().ok().map(|newest| newest.and_then(|(_, change)| change.files));
        let unchanged = match (&before, &files, newest) {
            (Ok(policy), Ok(files), Some(approved)) if policy.files_digest() == approved => {
                if policy.is_builtin() { files.is_empty() } else { policy.files() == files }
            }
            _ => false,
        };
        if unchanged {
            return Ok(());
        }
        let policy = policy_of(&house.ledger, files);
        match (&before, &policy) {
            (Err(why), Err(still)) if **why == **still => {}
            (_, Err(why)) => tracing::error!(why, "nothing is answered, since the policy cannot be used"),
            (_, Ok(policy)) => tracing::info!(policy = %policy.digest(), "a policy is in force"),
        }
        let outcome = policy.as_ref().map(drop).map_err(Clone::clone);
        house.policy.replace(policy);
        outcome
    }
}
