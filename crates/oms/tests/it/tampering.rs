//! Bundles and statements that were changed, each with the words of its refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use oms::{KeySigner, Manifest, Method, RESOURCES_MAX, SIGNATURE_BYTES_MAX, Signature, Trust, VerifyError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::pki::{self, NOW, manifest, words};

/// A bundle around a statement, by nobody.
fn around(statement: &[u8]) -> Vec<u8> {
    let mut bundle: Value = serde_json::from_slice(&oms::unsigned(&manifest())).unwrap();
    bundle["dsseEnvelope"]["payload"] = json!(BASE64.encode(statement));
    bundle.to_string().into_bytes()
}

fn statement() -> Value {
    serde_json::from_slice(&manifest().statement()).unwrap()
}

/// Makes the root digest fit again.
fn rooted(statement: &mut Value) {
    let mut hash = Sha256::new();
    for resource in statement["predicate"]["resources"].as_array().into_iter().flatten() {
        let digits = resource["digest"].as_str().unwrap_or_default();
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or("00"), 16).unwrap_or_default();
        hash.update((0..digits.len()).step_by(2).map(byte).collect::<Vec<u8>>());
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    statement["subject"][0]["digest"] = json!({ "sha256": digest });
}

fn refusal(bytes: &[u8]) -> String {
    match Signature::parse(bytes) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => words(&error),
    }
}

fn named(name: &str) -> impl Fn(&mut Value) {
    move |statement: &mut Value| statement["predicate"]["resources"][0]["name"] = json!(name)
}

/// Resources of these names, all of shards of 4 bytes where `shards`.
fn names(shards: bool, names: &[&str]) -> impl Fn(&mut Value) {
    let resources: Vec<Value> = names
        .iter()
        .map(|name| json!({ "name": name, "algorithm": "sha256", "digest": "00".repeat(32) }))
        .collect();
    move |statement: &mut Value| {
        statement["predicate"]["resources"] = json!(resources);
        if shards {
            statement["predicate"]["serialization"]["method"] = json!("shards");
            statement["predicate"]["serialization"]["shard_size"] = json!(4);
        }
    }
}

type Edit<'e> = &'e dyn Fn(&mut Value);

#[test]
fn statements() {
    let serialization = |key: &'static str, value: Value| {
        move |statement: &mut Value| statement["predicate"]["serialization"][key] = value.clone()
    };
    let long = "a".repeat(1025);
    let cases: &[(Edit<'_>, &str)] = &[
        (&|_| {}, "nothing"),
        (
            &|s| s["_type"] = json!("https://in-toto.io/Statement/v0.1"),
            "statement's type is `https://in-toto.io/Statement/v0.1`",
        ),
        (&|s| s["predicateType"] = json!("https://model_signing/Digests/v0.1"), "0.2 series"),
        (&|s| s["predicateType"] = json!("https://slsa.dev/provenance/v1"), "predicate's type"),
        (&|s| s["subject"] = json!([]), "0 subjects"),
        (
            &|s| {
                let one = s["subject"][0].clone();
                s["subject"] = json!([one, one])
            },
            "2 subjects",
        ),
        (&|s| s["subject"][0]["digest"]["sha512"] = json!("00"), "root digest"),
        (
            &|s| {
                s.as_object_mut().unwrap().remove("predicate");
            },
            "missing field `predicate`",
        ),
        (&|s| s["subject"][0]["name"] = json!(""), "model's name is empty"),
        (&|s| s["subject"][0]["name"] = json!("a\u{1b}[2J"), "model's name is with a control character"),
        (&|s| s["subject"][0]["name"] = json!("a".repeat(257)), "model's name is too long"),
        // Fields that nobody defined mean nothing, except where they say how files were read.
        (&|s| s["predicate"]["resources"][0]["uri"] = json!("x"), "nothing"),
        (&|s| s["predicate"]["more"] = json!(1), "nothing"),
        (&serialization("follow", json!(true)), "unknown field `follow`"),
        (&serialization("hash_type", json!("blake2b")), "digests by `blake2b`: only `sha256`"),
        (&serialization("hash_type", json!("blake3")), "digests by `blake3`: only `sha256`"),
        (
            &|s| s["predicate"]["resources"][1]["algorithm"] = json!("md5\n"),
            "digests by `md5\\n`: only `sha256`",
        ),
        (&serialization("method", json!("tensors")), "a method other than"),
        (&serialization("method", json!("shards")), "shards without their size"),
        (&serialization("shard_size", json!(4)), "a size of shards for files that are whole"),
        (&serialization("shard_size", Value::Null), "nothing"),
        (&serialization("allow_symlinks", json!("true")), "nothing"),
        (&serialization("allow_symlinks", json!("yes")), "neither true nor false"),
        (&serialization("allow_symlinks", json!(1)), "neither true nor false"),
        (&serialization("ignore_paths", json!(vec!["x"; 257])), "257 paths to ignore, more than 256"),
        (
            &serialization("ignore_paths", json!(["a\nb"])),
            "path to ignore `a\\nb` is with a control character",
        ),
        (&serialization("ignore_paths", json!("x")), "invalid type: string"),
        (&|s| s["predicate"]["resources"] = json!([]), "no resources"),
        (
            &|s| s["predicate"]["resources"][0]["digest"] = json!("A1".repeat(32)),
            "digest of `LICENSE` is not 64",
        ),
        (
            &|s| s["predicate"]["resources"][0]["digest"] = json!("aa".repeat(31)),
            "digest of `LICENSE` is not 64",
        ),
        (
            &|s| s["predicate"]["resources"][0]["digest"] = json!("é".repeat(32)),
            "digest of `LICENSE` is not 64",
        ),
        // Names.
        (&named(""), "refused: empty"),
        (&named("/etc/passwd"), "absolute"),
        (&named("../a"), "is `..`"),
        (&named("a/../b"), "is `..`"),
        (&named("./a"), "is `.`"),
        (&named("a//b"), "part of it is empty"),
        (&named("a/"), "part of it is empty"),
        (&named("C:\\a"), "backslash"),
        (&named("a\0b"), "control character"),
        (&named("a\u{7f}"), "control character"),
        (&|s| s["predicate"]["resources"][1]["name"] = json!("docs/e\u{301}.md"), "normal form C"),
        (&named("."), "is `.`"),
        (&named(&long), "too long"),
        (&named("docs"), "`docs` is a file and a folder"),
        (&names(false, &["."]), "nothing"),
        (&names(false, &["a", "a"]), "`a` stands twice"),
        (&names(false, &["b", "a"]), "not sorted: `a` stands too late"),
        // The specification's order, and the reference implementation's.
        (&names(false, &["a-b", "a/b"]), "nothing"),
        (&names(false, &["a/b", "a-b"]), "nothing"),
        (&names(false, &["a/b", "a-b", "a/c"]), "not sorted"),
        // Shards. The specification calls the digests `sha256`, the reference implementation by the shards' size.
        (
            &|s| {
                names(true, &["a:0:4"])(s);
                s["predicate"]["resources"][0]["algorithm"] = json!("sha256-sharded-4");
            },
            "nothing",
        ),
        (
            &|s| {
                names(true, &["a:0:4"])(s);
                s["predicate"]["resources"][0]["algorithm"] = json!("sha256-sharded-5");
            },
            "digests by `sha256-sharded-5`",
        ),
        (&names(true, &["a:0:4", "a:4:6"]), "nothing"),
        (&names(true, &[".:0:4", ".:4:6"]), "nothing"),
        (&names(true, &["a:b:0:4"]), "nothing"),
        (&names(true, &["a:0:4", "a:4:8", "a:8:12", "a:12:13"]), "nothing"),
        (&names(true, &["a:0:4", "a:12:13", "a:4:8", "a:8:12"]), "nothing"),
        (&names(true, &["a"]), "PATH:BEGIN:END"),
        (&names(true, &["a:0:04"]), "PATH:BEGIN:END"),
        (&names(true, &["a:+0:4"]), "PATH:BEGIN:END"),
        (
            &names(true, &["a:0:4", "b:4:8"]),
            "shards of `b` do not make a file: the first does not begin at 0",
        ),
        (&names(true, &["a:4:8"]), "the first does not begin at 0"),
        (&names(true, &["a:0:4", "a:8:9"]), "leave bytes out"),
        (&names(true, &["a:0:4", "a:3:7"]), "overlap"),
        (&names(true, &["a:0:2", "a:2:4"]), "one in the middle is too short"),
        (&names(true, &["a:0:0"]), "one is empty"),
        (&names(true, &["a:0:5"]), "larger than the size"),
        (&names(true, &["a:0:4", "a:4:0"]), "one is empty"),
        (&names(true, &["a:0:4", "a:0:4"]), "`a:0:4` stands twice"),
        (&names(true, &["../a:0:4"]), "is `..`"),
        (&names(true, &[":0:4"]), "refused: empty"),
    ];
    for (number, (edit, expected)) in cases.iter().enumerate() {
        let mut statement = statement();
        edit(&mut statement);
        if !expected.contains("root digest") {
            let subjects = statement["subject"].clone();
            if subjects.as_array().is_some_and(|subjects| subjects.len() == 1) {
                rooted(&mut statement);
            }
        }
        let found = refusal(&around(statement.to_string().as_bytes()));
        assert!(found.contains(expected), "case {number}: expected `{expected}`: {found}");
    }
}

#[test]
fn roots_and_duplicate_keys() {
    let mut other = statement();
    other["predicate"]["resources"][0]["digest"] = json!("11".repeat(32));
    assert!(refusal(&around(other.to_string().as_bytes())).contains("root digest"));
    // The root digest says nothing about names: the digest of the statement does.
    let mut renamed = statement();
    renamed["predicate"]["resources"][0]["name"] = json!("LICENCE");
    let renamed = Signature::parse(&around(renamed.to_string().as_bytes())).unwrap();
    let original = Signature::parse(&oms::unsigned(&manifest())).unwrap();
    assert_ne!(renamed.statement_digest(), original.statement_digest());
    assert_eq!(original.statement_digest(), <[u8; 32]>::from(Sha256::digest(manifest().statement())));

    let text = String::from_utf8(manifest().statement()).unwrap();
    let twice = text.replacen("{\"method\"", "{\"hash_type\":\"sha256\",\"method\"", 1);
    assert!(refusal(&around(twice.as_bytes())).contains("`hash_type` stands twice"));
    // Of a key that is not looked at, too.
    let twice = text.replacen("{\"name\"", "{\"x\":1,\"x\":2,\"name\"", 1);
    assert!(refusal(&around(twice.as_bytes())).contains("`x` stands twice"));
    let bundle = String::from_utf8(oms::unsigned(&manifest())).unwrap();
    let twice = bundle.replacen("{\"mediaType\"", "{\"mediaType\":\"\",\"mediaType\"", 1);
    assert!(refusal(twice.as_bytes()).contains("`mediaType` stands twice"));
}

#[test]
fn bundles() {
    let signer = KeySigner::from_pem(pki::key().serialize_pem().as_bytes(), None).unwrap();
    let signed: Value = serde_json::from_slice(&oms::sign(&manifest(), &signer).unwrap()).unwrap();
    let certificate = json!({ "rawBytes": "MAA=" });
    let chain = json!({ "certificates": [certificate] });
    let material = |key: &'static str, value: Value| {
        move |bundle: &mut Value| bundle["verificationMaterial"][key] = value.clone()
    };
    let only = |key: &'static str, value: Value| {
        move |bundle: &mut Value| bundle["verificationMaterial"] = json!({ key: value })
    };
    let signature =
        |value: Value| move |bundle: &mut Value| bundle["dsseEnvelope"]["signatures"] = value.clone();
    let cases: &[(Edit<'_>, &str)] = &[
        (&|_| {}, "nothing"),
        (
            &|b| b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2"),
            "bundle's type",
        ),
        (&|b| b["more"] = json!(1), "unknown field `more`"),
        (&|b| b["messageSignature"] = json!({}), "signature of a message"),
        (&|b| b["messageSignature"] = Value::Null, "nothing"),
        (&|b| b["dsseEnvelope"] = Value::Null, "no envelope"),
        (&|b| b["dsseEnvelope"]["payloadType"] = json!("text/plain"), "payload's type is `text/plain`"),
        (&|b| b["dsseEnvelope"]["payload"] = json!("***"), "payload is not base64"),
        (&|b| b["dsseEnvelope"]["payload"] = json!("e30"), "payload is not base64"),
        (
            &|b| b["dsseEnvelope"]["payload"] = json!("e30="),
            "the statement is malformed: missing field `_type`",
        ),
        (&|b| b["dsseEnvelope"]["payload"] = json!("/w=="), "the statement is malformed"),
        (
            &|b| {
                b.as_object_mut().unwrap().remove("verificationMaterial");
            },
            "missing field `verificationMaterial`",
        ),
        (&material("x509CertificateChain", chain.clone()), "signer in several ways"),
        (&material("certificate", certificate.clone()), "signer in several ways"),
        (&material("certificate", Value::Null), "nothing"),
        (&material("tlogEntries", json!([{ "any": 1 }])), "nothing"),
        (&material("tlogEntries", json!("x")), "invalid type"),
        (&material("unknown", json!(1)), "unknown field `unknown`"),
        (&material("publicKey", Value::Null), "names no signer"),
        (&material("publicKey", json!({ "hint": "x".repeat(257) })), "key hint is too long"),
        (
            &material("publicKey", json!({ "rawBytes": "AAAA", "keyDetails": "PKIX_ECDSA_P256_SHA_256" })),
            "nothing",
        ),
        (&material("publicKey", json!({ "key": "AAAA" })), "unknown field `key`"),
        (&only("x509CertificateChain", json!({ "certificates": [] })), "no certificate, or more than 10"),
        (
            &only("x509CertificateChain", json!({ "certificates": vec![certificate.clone(); 11] })),
            "more than 10",
        ),
        (
            &only("x509CertificateChain", json!({ "certificates": [{ "rawBytes": "*" }] })),
            "certificate is not base64",
        ),
        (
            &only("x509CertificateChain", json!({ "certificates": [{ "rawBytes": "AAAA".repeat(30_000) }] })),
            "64 KiB",
        ),
        (&only("certificate", certificate.clone()), "nothing"),
        (&signature(json!([])), "names a signer, and holds no signature"),
        (&signature(json!([{ "sig": "AAAA" }, { "sig": "AAAA" }])), "several signatures"),
        (&signature(json!([{ "sig": "" }])), "signature is empty"),
        (&signature(json!([{ "sig": "AAAA".repeat(60) }])), "longer than one of ECDSA"),
        (&signature(json!([{ "sig": "@" }])), "signature is not base64"),
        (&signature(json!([{ "sig": "AAAA", "keyid": null }])), "nothing"),
        (&signature(json!([{ "sig": "AAAA", "cert": "x" }])), "unknown field `cert`"),
    ];
    for (number, (edit, expected)) in cases.iter().enumerate() {
        let mut bundle = signed.clone();
        edit(&mut bundle);
        let found = refusal(bundle.to_string().as_bytes());
        assert!(found.contains(expected), "case {number}: expected `{expected}`: {found}");
    }
    assert!(refusal(&vec![b' '; SIGNATURE_BYTES_MAX + 1]).contains("longer than the limit"));
    assert!(refusal(b"").contains("the bundle is malformed"));
    let many: Vec<String> = (0..=RESOURCES_MAX).map(|number| format!("{number:06}")).collect();
    let mut statement = statement();
    names(false, &many.iter().map(String::as_str).collect::<Vec<_>>())(&mut statement);
    assert!(refusal(&around(statement.to_string().as_bytes())).contains("65537 resources, more than 65536"));
}

#[test]
fn signatures_that_are_not_believed() {
    let key = pki::key();
    let signer = KeySigner::from_pem(key.serialize_pem().as_bytes(), None).unwrap();
    let bytes = oms::sign(&manifest(), &signer).unwrap();
    let mut trust = Trust::new();
    trust.add_key("stranger", pki::key().public_key_pem().as_bytes()).unwrap();
    trust.add_key("ada", key.public_key_pem().as_bytes()).unwrap();
    let verify = |edit: Edit<'_>| {
        let mut bundle: Value = serde_json::from_slice(&bytes).unwrap();
        edit(&mut bundle);
        Signature::parse(bundle.to_string().as_bytes()).unwrap().verify(&trust, NOW)
    };
    assert_eq!(verify(&|_| {}).unwrap().root, "ada");
    let sig = |bundle: &Value| {
        BASE64.decode(bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str().unwrap()).unwrap()
    };
    let length = sig(&serde_json::from_slice(&bytes).unwrap()).len();
    for at in 0..length {
        let changed = verify(&|bundle| {
            let mut der = sig(bundle);
            der[at] ^= 1;
            bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!(BASE64.encode(der));
        });
        assert_eq!(changed, Err(VerifyError::WrongSignature), "byte {at}");
    }
    let other = Manifest { allow_symlinks: true, ..manifest() };
    let changed =
        verify(&|bundle| bundle["dsseEnvelope"]["payload"] = json!(BASE64.encode(other.statement())));
    assert_eq!(changed, Err(VerifyError::WrongSignature));
    let hint =
        |value: Value| verify(&|bundle| bundle["verificationMaterial"]["publicKey"]["hint"] = value.clone());
    // Without a hint each key is tried, as signatures before 1.1 need it.
    assert_eq!(hint(Value::Null).unwrap().root, "ada");
    assert_eq!(hint(json!("")).unwrap().root, "ada");
    assert_eq!(hint(json!("00")), Err(VerifyError::UnknownKey("00".to_owned())));
    let stranger = Signature::parse(&bytes).unwrap();
    assert!(matches!(stranger.verify(&Trust::new(), NOW), Err(VerifyError::UnknownKey(_))));
    let nobody = |bundle: &mut Value| bundle["verificationMaterial"]["publicKey"] = json!({ "hint": null });
    let mut alone = Trust::new();
    assert!(alone.is_empty());
    alone.add_key("stranger", pki::key().public_key_pem().as_bytes()).unwrap();
    assert!(!alone.is_empty());
    let mut bundle: Value = serde_json::from_slice(&bytes).unwrap();
    nobody(&mut bundle);
    let unnamed = Signature::parse(bundle.to_string().as_bytes()).unwrap();
    assert_eq!(unnamed.method(), Method::Key { hint: None });
    assert_eq!(unnamed.verify(&alone, NOW), Err(VerifyError::NoKey));

    let unsigned = Signature::parse(&oms::unsigned(&manifest())).unwrap();
    assert_eq!((unsigned.method(), unsigned.verify(&trust, NOW)), (Method::None, Err(VerifyError::Unsigned)));
    let keyless =
        verify(&|bundle| bundle["verificationMaterial"] = json!({ "certificate": { "rawBytes": "MAA=" } }));
    assert!(matches!(keyless, Err(VerifyError::Malformed { number: 1, .. })));
}
