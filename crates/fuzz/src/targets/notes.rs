//! What an auditor is handed: verifier keys, signed notes, checkpoints, bundles of entries, receipts, leaves.

use tlog::{Checkpoint, VerifierKey};

const VERIFIER: &str = "fuzz.example/log";

pub(crate) fn run(bytes: &[u8]) {
    let _refused = tlog::entry::parse(bytes, 3);
    let _refused = tlog::tile::decode(bytes, 3);
    let _refused = tlog::Frontier::from_bytes(bytes);
    let _refused = ledger::Leaf::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _refused = text.parse::<ledger::Receipt>();
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text, "one spelling a key");
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.text(), text, "one spelling a checkpoint");
    }
    if let Ok(key) = tlog::SigningKey::new(VERIFIER, [3; 32]) {
        let _refused = Checkpoint::open(text, key.verifier());
    }
}
