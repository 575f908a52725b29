//! Refusals that anybody can cause at any rate, written as one leaf a second and sort, or they would
//! flood the disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::{Entry, Event, Ledger};

const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Sorts of refusal that are told apart within a second; more are counted together.
const SORTS_MAX: usize = 64;

/// Counts since the last leaf.
pub(crate) struct Tally {
    counts: Arc<Mutex<BTreeMap<Sort, u32>>>,
    ledger: Ledger,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    identity: Option<String>,
    dialect: &'static str,
    reason: &'static str,
}

impl Tally {
    /// Starts the task that writes the leaves.
    pub(crate) fn start(ledger: Ledger) -> Tally {
        let tally = Tally { counts: Arc::default(), ledger };
        let (counts, ledger) = (Arc::downgrade(&tally.counts), tally.ledger.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(FLUSH_EVERY).await;
                let Some(counts) = counts.upgrade() else { return };
                write(&counts, &ledger).await;
            }
        });
        tally
    }

    /// Counts a refusal. `identity` is `None` for those nobody was identified for.
    pub(crate) fn count(&self, identity: Option<&str>, dialect: &'static str, reason: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let sort = Sort { identity: identity.map(str::to_owned), dialect, reason };
        let known = counts.contains_key(&sort) || counts.len() < SORTS_MAX;
        let sort = if known { sort } else { Sort { identity: None, dialect: "any", reason: "others" } };
        let count = counts.entry(sort).or_default();
        *count = count.saturating_add(1);
    }

    /// Writes what was counted.
    pub(crate) async fn flush(&self) {
        write(&self.counts, &self.ledger).await;
    }
}

async fn write(counts: &Mutex<BTreeMap<Sort, u32>>, ledger: &Ledger) {
    let taken = std::mem::take(&mut *counts.lock().unwrap_or_else(PoisonError::into_inner));
    for (sort, count) in taken {
        let refusal = ledger::Refusal {
            identity: sort.identity,
            dialect: sort.dialect.to_owned(),
            reason: sort.reason.to_owned(),
            count,
        };
        if let Err(error) = ledger.append(Entry { event: Event::Refusal(refusal), body: None }).await {
            tracing::error!(%error, count, "refusals could not be written");
        }
    }
}
