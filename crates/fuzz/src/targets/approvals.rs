//! What a data directory and its people are handed: key files, persons' public keys, signatures, texts to approve.

use approval::{Approval, PublicKey};
use custody::KeyFile;
use ledger::{ERASURE_NAMESPACE, Erasure};

const ORIGIN: &str = "fuzz.example/log";

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(KeyFile::Sealed(sealed)) = KeyFile::parse(bytes) {
        assert_eq!(sealed.to_bytes(), bytes, "one spelling a sealed key");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string().parse::<PublicKey>().as_ref(), Ok(&key), "a key says the same again");
        let approved = Approval::identify(text, ERASURE_NAMESPACE, b"text", [("ada", &key)]);
        assert!(!matches!(approved, Ok(Some(_))), "a public key is no signature");
    }
    let _refused = Approval::identify(text, ERASURE_NAMESPACE, b"text", []);
    if let Some((leaves, reason)) = Erasure::parse_text(ORIGIN, text) {
        assert_eq!(Erasure::text(ORIGIN, &leaves, &reason), text, "one spelling an erasure");
    }
}
