//! Erasing bodies: what is to be signed, and what was signed by two persons.

use approval::Approval;
use ledger::{ERASURE_NAMESPACE, EraseError, Erasure};
use serde_json::{Value, json};

use super::{Failed, failed, failed_with_causes};
use crate::Assist;

/// Signatures of one erasure at most.
const SIGNATURES_MAX: usize = 16;

impl Assist {
    /// The text to sign. A record stands for all its leaves that still have a body.
    pub(super) async fn erase_request(
        &self,
        records: &[u64],
        mut leaves: Vec<u64>,
        reason: &str,
    ) -> Result<Value, Failed> {
        let ledger = &self.house.ledger;
        for record in records {
            let related = ledger.related(*record).map_err(|error| failed_with_causes(&error, ""))?;
            for index in std::iter::once(*record).chain(related) {
                let read = ledger.record(index).map_err(|error| failed_with_causes(&error, ""))?;
                if read.leaf.body.is_some() && !read.erased {
                    leaves.push(index);
                }
            }
        }
        leaves.sort_unstable();
        leaves.dedup();
        let named = ledger.erasable(&leaves).map_err(|error| not_erased(&error))?;
        let text = Erasure::text(ledger.origin(), &named, reason);
        // What could not be read back could not be approved.
        if Erasure::parse_text(ledger.origin(), &text).is_none() {
            return Err(not_erased(&EraseError::Reason));
        }
        Ok(json!({ "text": text, "leaves": leaves }))
    }

    /// Erases what the text names, if keys that are enrolled to two persons signed it.
    pub(super) async fn erase(&self, text: &str, signatures: &[String]) -> Result<Value, Failed> {
        let house = &self.house;
        let again = "make the text with `cloisterd ledger erase-request` on this server";
        let parsed = Erasure::parse_text(house.ledger.origin(), text);
        let (leaves, reason) = parsed.ok_or_else(|| failed("the text is no erasure in this log", again))?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(failed(format!("more than {SIGNATURES_MAX} signatures"), ""));
        }
        let keys = house.identity.key_list().map_err(|error| failed(error, ""))?;
        let live = || {
            let live = keys.iter().filter(|row| row.revoked_unix_s.is_none());
            live.map(|row| (row.user.as_str(), &row.key))
        };
        let mut approvals = Vec::new();
        for (number, signature) in (1..).zip(signatures) {
            let found = Approval::identify(signature, ERASURE_NAMESPACE, text.as_bytes(), live());
            let found = found.map_err(|error| failed(format!("signature {number}: {error}"), ""))?;
            approvals.push(found.ok_or_else(|| {
                let error = format!("signature {number} was made by a key that is enrolled to nobody");
                failed(error, "enrol it with `cloisterd user enrol-key`")
            })?);
        }
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
