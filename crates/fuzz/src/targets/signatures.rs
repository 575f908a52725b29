//! What a model's publisher hands over: signatures, with statements and chains; and what an administrator does:
//! keys, authorities, CRLs, trusted roots of Sigstore.

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

/// A bundle with a chain of this one certificate, around a statement that is fine.
fn certified(der: &[u8]) -> String {
    let bundle = include_str!("../../seeds/signatures/key-bundle");
    let (head, rest) = bundle.split_once("\"publicKey\":{").expect("the seed is by a key");
    let (_, tail) = rest.split_once('}').expect("the seed is JSON");
    let der = base64(der);
    format!(r#"{head}"x509CertificateChain":{{"certificates":[{{"rawBytes":"{der}"}}]}}{tail}"#)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let padded = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

pub(crate) fn run(bytes: &[u8]) {
    let mut trust = Trust::new();
    let _not_one = trust.add_crl("crl", bytes);
    let _not_one = trust.add_authority("authority", bytes);
    let _not_one = trust.add_sigstore("sigstore", bytes, "ada@example.org", "https://login.example.org");
    if trust.add_key("key", bytes).is_ok() {
        let key = PublicKey::from_pem(bytes).expect("it was a root");
        assert_eq!(
            PublicKey::from_pem(key.to_pem().as_bytes()).as_ref(),
            Ok(&key),
            "a key says the same again"
        );
        assert_eq!(PublicKey::from_spki(key.spki()).as_ref(), Ok(&key));
    }
    if bytes.starts_with(b"0") && bytes.len() < 8192 {
        let signature =
            Signature::parse(certified(bytes).as_bytes()).expect("certificates are looked at later");
        assert_eq!(signature.method(), Method::Certificate);
        let mut trust = Trust::new();
        trust
            .add_authority("seed", include_bytes!("../../seeds/signatures/authority"))
            .expect("the seed is one");
        assert!(signature.verify(&trust, NOW_UNIX_S).is_err(), "nobody here signed anything");
    }
    let _no_key = KeySigner::from_pem(bytes, Some(bytes));
    // A statement alone, so that the fuzzer need not find its way through base64; a bundle otherwise.
    if let Ok(manifest) = Manifest::parse_statement(bytes) {
        again(&manifest);
    }
    if let Ok(signature) = Signature::parse(bytes) {
        again(signature.manifest());
        assert!(signature.verify(&trust, NOW_UNIX_S).is_err(), "nobody here signed anything");
        let root = include_bytes!("../../seeds/signatures/trusted-root");
        trust
            .add_sigstore("seed", root, "ada@example.org", "https://login.example.org")
            .expect("the seed is one");
        if signature.verify(&trust, NOW_UNIX_S).is_ok() {
            let signed = Signature::parse(include_bytes!("../../seeds/signatures/keyless-bundle"));
            let signed = signed.expect("the seed is one").statement_digest();
            assert_eq!(signature.statement_digest(), signed, "nobody here signed anything else");
        }
    }
}
