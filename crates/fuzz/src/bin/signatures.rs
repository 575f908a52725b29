//! What a model's publisher hands over: signatures, with statements and chains; and what an administrator does:
//! keys, authorities, CRLs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oms::{KeySigner, Manifest, Method, PublicKey, Signature, Trust, VerifyError};

const NOW_UNIX_S: u64 = 1_790_000_000;

/// Says the same again, by nobody.
fn again(manifest: &Manifest) {
    let read = Signature::parse(&oms::unsigned(manifest)).expect("what was read can be written");
    assert_eq!(read.manifest(), manifest, "a manifest says the same again");
    assert_eq!(read.statement_digest(), statement_digest(manifest), "one spelling a statement");
    assert_eq!(read.method(), Method::None);
    assert!(manifest.resources.is_sorted_by(|a, b| a.name < b.name), "sorted, each once");
    let paths = manifest.paths();
    assert!(!paths.is_empty());
    for path in paths {
        let outside = path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | ".."));
        assert!(!outside, "`{path}` leaves the folder");
    }
    assert_eq!(manifest.check_tree(&manifest.resources), Ok(()));
    assert_eq!(read.verify(&Trust::new(), NOW_UNIX_S), Err(VerifyError::Unsigned));
}

fn statement_digest(manifest: &Manifest) -> [u8; 32] {
    Signature::parse(&oms::unsigned(manifest)).expect("as before").statement_digest()
}

fuzz_target!(|bytes: &[u8]| {
    let mut trust = Trust::new();
    let _not_one = trust.add_crl("crl", bytes);
    let _not_one = trust.add_authority("authority", bytes);
    if trust.add_key("key", bytes).is_ok() {
        let key = PublicKey::from_pem(bytes).expect("it was a root");
        assert_eq!(
            PublicKey::from_pem(key.to_pem().as_bytes()).as_ref(),
            Ok(&key),
            "a key says the same again"
        );
        assert_eq!(PublicKey::from_spki(key.spki()).as_ref(), Ok(&key));
    }
    let _no_key = KeySigner::from_pem(bytes, Some(bytes));
    // A statement alone, so that the fuzzer need not find its way through base64; a bundle otherwise.
    if let Ok(manifest) = Manifest::parse_statement(bytes) {
        again(&manifest);
    }
    if let Ok(signature) = Signature::parse(bytes) {
        again(signature.manifest());
        assert!(signature.verify(&trust, NOW_UNIX_S).is_err(), "nobody here signed anything");
    }
});
