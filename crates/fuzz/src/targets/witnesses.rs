//! What witnesses and those who trust them are handed: policies, proofs, requests for a cosignature, cosigned notes.

use std::sync::LazyLock;

use tlog::witness::{Remembered, Request};
use tlog::{CosigningKey, Note, Policy, SigningKey, TlogProof, VerifierKey, leaf_hash};

const ORIGIN: &str = "fuzz.example/log";

/// A log's key and a policy of it, with a witness of each kind.
static KNOWN: LazyLock<Option<(VerifierKey, Policy)>> = LazyLock::new(|| {
    let log = SigningKey::new(ORIGIN, [3; 32]).ok()?.verifier().clone();
    let own = CosigningKey::ml_dsa_44(ORIGIN, [4; 32]).ok()?;
    let one = CosigningKey::ed25519("w1.example", [5; 32]).ok()?;
    let text = format!("log {log}\nwitness own {}\nquorum own\n", own.verifier());
    let policy = Policy::parse(text.as_bytes()).ok()?;
    Some((log, policy.with_witness("w1", one.verifier()).ok()?))
});

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(policy) = Policy::parse(bytes) {
        let text = policy.to_bytes();
        assert_eq!(Policy::parse(&text).as_ref(), Ok(&policy), "a policy says the same again");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((log, policy)) = &*KNOWN else { return };
    if let Ok(judged) = policy.judge(text) {
        assert_eq!(judged.checkpoint.origin, ORIGIN);
        assert!(Note::parse(text).is_ok());
    }
    if let Ok(proof) = text.parse::<TlogProof>() {
        assert_eq!(proof.to_string(), text, "one spelling a proof");
        let _refused = proof.verify(&leaf_hash(proof.extra.as_deref().unwrap_or_default()), policy);
    }
    if let Ok(request) = text.parse::<Request>() {
        assert_eq!(request.to_string(), text, "one spelling a request");
        let _refused = request.check(log, None);
        let before = Remembered { size: request.old_size, root: [0; 32] };
        if let Ok(checkpoint) = request.check(log, Some(before)) {
            assert!(checkpoint.size >= before.size, "a witness never goes back");
        }
    }
}
