//! Erasing bodies: what is to be signed, and what was signed by two persons.

use ledger::{ERASURE_NAMESPACE, EraseError, Erasure, Ledger};
use serde_json::{Value, json};

use super::{Failed, failed, failed_with_causes};
use crate::Assist;

/// Leaves, and all of records' that still have a body, in order.
pub(super) fn with_bodies(
    ledger: &Ledger,
    records: &[u64],
    mut leaves: Vec<u64>,
) -> Result<Vec<u64>, Failed> {
    let related = ledger.related_to(records).map_err(|error| failed_with_causes(&error, ""))?;
    for index in records.iter().copied().chain(related.into_iter().map(|(_, index)| index)) {
        let read = ledger.record(index).map_err(|error| failed_with_causes(&error, ""))?;
        if read.leaf.body.is_some() && !read.erased {
            leaves.push(index);
        }
    }
    leaves.sort_unstable();
    leaves.dedup();
    Ok(leaves)
}

impl Assist {
    /// The text to sign. A record stands for all its leaves that still have a body.
    pub(super) async fn erase_request(
        &self,
        records: &[u64],
        leaves: Vec<u64>,
        reason: &str,
    ) -> Result<Value, Failed> {
        let ledger = &self.house.ledger;
        let leaves = with_bodies(ledger, records, leaves)?;
        let named = ledger.erasable(&leaves).map_err(|error| not_erased(&error))?;
        let text = Erasure::text(ledger.origin(), &named, reason);
        // What could not be read back could not be approved.
        if Erasure::parse_text(ledger.origin(), &text).is_none() {
            return Err(not_erased(&EraseError::Reason));
        }
        Ok(json!({ "text": text, "leaves": leaves }))
    }

    /// Erases what the text names, if keys that are enrolled to two persons signed it.
    pub(super) async fn erase(
        &self,
        requester: &str,
        text: &str,
        signatures: &[String],
    ) -> Result<Value, Failed> {
        let house = &self.house;
        let again = "make the text with `cloisterd ledger erase-request` on this server";
        let parsed = Erasure::parse_text(house.ledger.origin(), text);
        let (leaves, reason) = parsed.ok_or_else(|| failed("the text is no erasure in this log", again))?;
        let approvals = self.approvals_of(requester, "ledger erase", ERASURE_NAMESPACE, text, signatures)?;
        let persons: Vec<String> = approvals.iter().map(|approval| approval.person.clone()).collect();
        let indexes: Vec<u64> = leaves.iter().map(|leaf| leaf.index).collect();
        let erasure = Erasure { leaves, reason, approvals };
        let ledger = house.ledger.clone();
        let erased = tokio::task::spawn_blocking(move || ledger.erase(erasure)).await;
        let receipt = erased.map_err(|error| failed(error, ""))?.map_err(|error| not_erased(&error))?;
        Ok(json!({ "leaf": receipt.index, "erased": indexes, "approved_by": persons }))
    }
}

fn not_erased(error: &EraseError) -> Failed {
    let hint = match error {
        EraseError::Approval(_) => "two persons, each with an own enrolled key, sign the same text",
        EraseError::Incomplete(_) => "restart the daemon",
        _ => "",
    };
    failed_with_causes(error, hint)
}
