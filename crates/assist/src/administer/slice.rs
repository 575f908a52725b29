//! A slice of the ledger for build machines: recorded, with the digest of all of it, before a part is handed out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::Event;
use lineage::slice::{self, Scope, Selection};
use serde_json::{Value, json};

use super::records::{blocking, unanswered};
use super::{Failed, failed};
use crate::House;

/// Looks at all that the slice will hold, writes that down, and has the log signed up to there.
pub(super) async fn seal(
    house: &House,
    scope: Scope,
    event: impl FnOnce(String) -> Event,
) -> Result<Value, Failed> {
    let end = house.ledger.head().size;
    let (selection, key) = (Selection { scope, end }, house.fingerprint_key);
    let contents = blocking(house.ledger.clone(), move |ledger| slice::seal(ledger, &selection, &key)).await;
    let event = event(contents.map_err(unanswered)?.detail(end));
    let receipt = house.append(event, None).await.map_err(|refusal| failed(refusal, ""))?;
    let ledger = house.ledger.clone();
    let head = tokio::task::spawn_blocking(move || ledger.sign()).await.map_err(|error| failed(error, ""))?;
    let head = head.map_err(|error| failed(error, ""))?;
    let leaf = house.ledger.leaf(receipt.index).map_err(|error| failed(error, ""))?;
    Ok(json!({
        "seal": receipt.index,
        "leaf": String::from_utf8(leaf).map_err(|error| failed(error, ""))?,
        "end": end,
        "key": protocol::digest::hex(&house.fingerprint_key),
        "origin": house.ledger.origin(),
        "checkpoint": head.checkpoint,
        "size": head.size_signed,
    }))
}

/// One chunk of it.
pub(super) async fn chunk(house: &House, scope: Scope, end: u64, before: u64) -> Result<Value, Failed> {
    let selection = Selection { scope, end };
    let made = blocking(house.ledger.clone(), move |ledger| slice::page(ledger, &selection, before)).await;
    let made = made.map_err(unanswered)?;
    let encoded = if made.items == 0 { String::new() } else { BASE64.encode(made.encoded()) };
    Ok(json!({ "chunk": encoded, "indexes": made.indexes(), "next": made.next }))
}
