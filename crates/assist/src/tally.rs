//! What anybody can cause at any rate, written as one leaf a second and sort, or it would flood the disk:
//! refusals, and credentials that are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use identity::{AuthenticateError, Credential, Decision, Principal, Verb};
use ledger::{Entry, Event, Ledger, Login, LoginOutcome};
use protocol::Digest;

const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Sorts that are told apart within a second; more are counted together.
const SORTS_MAX: usize = 64;
/// A credential's use is written once in that many seconds of Unix time.
const LOGIN_EVERY_S: i64 = 3600;

/// Credentials that are remembered in an hour. An identity provider may give one person many; then some are written
/// twice.
const KNOWN_MAX: usize = 8192;

/// Counts since the last leaf.
pub(crate) struct Tally {
    counted: Arc<Mutex<Counted>>,
    ledger: Ledger,
}

#[derive(Default)]
struct Counted {
    sorts: BTreeMap<Sort, u32>,
    /// The hour that `known` is of.
    hour: i64,
    /// Credentials that were written in it, at most [`KNOWN_MAX`].
    known: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Refusal {
        identity: Option<String>,
        dialect: &'static str,
        reason: &'static str,
        denial: Option<Denial>,
    },
    Login {
        identity: Option<String>,
        credential: String,
        surface: &'static str,
        refused: Option<&'static str>,
    },
}

/// What a policy denied, and by which rules.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Denial {
    verb: Verb,
    policy: Digest,
    rule: Option<String>,
}

impl Tally {
    /// Starts the task that writes the leaves.
    pub(crate) fn start(ledger: Ledger) -> Tally {
        let tally = Tally { counted: Arc::default(), ledger };
        let (counted, ledger) = (Arc::downgrade(&tally.counted), tally.ledger.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(FLUSH_EVERY).await;
                let Some(counted) = counted.upgrade() else { return };
                write(&counted, &ledger).await;
            }
        });
        tally
    }

    /// Counts a refusal of somebody who is known.
    pub(crate) fn count(&self, identity: &str, dialect: &'static str, reason: &'static str) {
        self.refused(identity, dialect, reason, None);
    }

    /// Counts a denial of somebody who is known; its words are those of whoever asks, not of what there is.
    pub(crate) fn denied(
        &self,
        identity: &str,
        dialect: &'static str,
        reason: &'static str,
        verb: Verb,
        decision: &Decision,
    ) {
        let rule = (!decision.rules.is_empty()).then(|| decision.rules.join(", "));
        self.refused(identity, dialect, reason, Some(Denial { verb, policy: decision.policy, rule }));
    }

    fn refused(&self, identity: &str, dialect: &'static str, reason: &'static str, denial: Option<Denial>) {
        let sort = Sort::Refusal { identity: Some(identity.to_owned()), dialect, reason, denial };
        let others = Sort::Refusal { identity: None, dialect: "any", reason: "others", denial: None };
        self.lock().add(sort, others);
    }

    /// Somebody came in. Written at their credential's first use in an hour. A crash within the second before
    /// it is written loses it; what they asked has its own leaf, which names the credential.
    pub(crate) fn came_in(&self, principal: &Principal, surface: &'static str, now_unix_s: i64) {
        let mut counted = self.lock();
        let hour = now_unix_s.div_euclid(LOGIN_EVERY_S);
        if counted.hour != hour {
            counted.hour = hour;
            counted.known.clear();
        }
        // Where a second has too many sorts, the next use is written.
        if counted.known.contains(&principal.credential) || counted.sorts.len() >= SORTS_MAX {
            return;
        }
        if counted.known.len() >= KNOWN_MAX {
            counted.known.clear();
        }
        counted.known.insert(principal.credential.clone());
        let (identity, credential) = (Some(principal.name.clone()), principal.credential.clone());
        counted.sorts.insert(Sort::Login { identity, credential, surface, refused: None }, 1);
    }

    /// Somebody was not let in.
    pub(crate) fn kept_out(&self, shown: &Credential, surface: &'static str, error: &AuthenticateError) {
        // Nothing of a token, not even its id, which is whatever a stranger writes there.
        let credential = match shown {
            Credential::Bearer(_) => "token".to_owned(),
            Credential::Peer { uid } => format!("uid:{uid}"),
            // A trusted authority gave that number.
            Credential::Certificate { login, .. } => format!("certificate:{}", login.certificate),
            Credential::Proxied { uid, .. } => format!("proxy:{uid}"),
            Credential::Void { kind, .. } => (*kind).to_owned(),
            Credential::None => "none".to_owned(),
        };
        let reason = error.reason();
        let sort = Sort::Login { identity: None, credential, surface, refused: Some(reason) };
        let credential = "any".to_owned();
        let others = Sort::Login { identity: None, credential, surface: "any", refused: Some("others") };
        self.lock().add(sort, others);
    }

    /// Writes what was counted.
    pub(crate) async fn flush(&self) {
        write(&self.counted, &self.ledger).await;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn add(&mut self, sort: Sort, others: Sort) {
        let is_told_apart = self.sorts.contains_key(&sort) || self.sorts.len() < SORTS_MAX;
        let count = self.sorts.entry(if is_told_apart { sort } else { others }).or_default();
        *count = count.saturating_add(1);
    }
}

async fn write(counted: &Mutex<Counted>, ledger: &Ledger) {
    let taken = std::mem::take(&mut counted.lock().unwrap_or_else(PoisonError::into_inner).sorts);
    for (sort, count) in taken {
        let event = sort.event(count);
        if let Err(error) = ledger.append(Entry { event, body: None }).await {
            tracing::error!(%error, count, "what was counted could not be written");
        }
    }
}

impl Sort {
    fn event(self, count: u32) -> Event {
        match self {
            Sort::Refusal { identity, dialect, reason, denial } => {
                let (dialect, reason) = (dialect.to_owned(), reason.to_owned());
                let (action, policy, rule) = denial.map_or((None, None, None), |denial| {
                    (Some(denial.verb.name().to_owned()), Some(denial.policy), denial.rule)
                });
                Event::Refusal(ledger::Refusal { identity, dialect, reason, count, action, policy, rule })
            }
            Sort::Login { identity, credential, surface, refused } => Event::Login(Login {
                identity,
                credential,
                surface: surface.to_owned(),
                outcome: refused.map_or(LoginOutcome::Accepted, |_| LoginOutcome::Refused),
                reason: refused.unwrap_or_default().to_owned(),
                count,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(credential: &str) -> Principal {
        Principal {
            name: "ada".to_owned(),
            credential: credential.to_owned(),
            clearance: identity::LabelSet::default(),
            groups: Vec::new(),
            roles: Vec::new(),
            is_owner: false,
            scope: identity::Scope::default(),
        }
    }

    fn tally() -> Tally {
        let disk = Arc::new(ledger::fault::FaultDisk::new());
        let notary = ledger::LocalNotary::open_on(Arc::clone(&disk) as _, "test", [7; 32]).unwrap();
        let (verifier, keys) = (notary.verifier(), ledger::LedgerKeys::new([1; 32]));
        let config = ledger::LedgerConfig::new(verifier, keys, disk, Box::new(notary));
        let (ledger, _) = Ledger::open(ledger::LedgerConfig { disk_free_bytes_min: 0, ..config }).unwrap();
        Tally { counted: Arc::default(), ledger }
    }

    /// A flood of strangers is a few leaves, and a credential in use one an hour.
    #[tokio::test]
    async fn floods_are_few_leaves() {
        let tally = tally();
        for number in 0..10_000 {
            tally.kept_out(
                &Credential::Bearer(format!("clst_{number}")),
                "openai.chat",
                &AuthenticateError::Token,
            );
            tally.kept_out(
                &Credential::Peer { uid: number },
                "openai.chat",
                &AuthenticateError::Peer(number),
            );
        }
        tally.flush().await;
        let leaves = tally.ledger.list(None, 1000).unwrap();
        assert!(leaves.len() <= SORTS_MAX + 2, "{}", leaves.len());
        let counted = leaves.iter().filter_map(|record| match &record.leaf.event {
            Event::Login(login) => Some(u64::from(login.count)),
            _ => None,
        });
        assert_eq!(counted.sum::<u64>(), 20_000);
        assert!(!format!("{leaves:?}").contains("clst_"), "nothing of a token is written");

        let before = leaves.len();
        for (credential, now) in
            [("token:1", 10), ("token:1", 20), ("token:2", 30), ("token:1", 3599), ("token:1", 3600)]
        {
            tally.came_in(&principal(credential), "openai.chat", now);
            tally.flush().await;
        }
        let leaves = tally.ledger.list(None, 1000).unwrap();
        assert_eq!(leaves.len() - before, 3);
        tally.ledger.clone().close().unwrap();
    }
}
