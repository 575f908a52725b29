//! Sigstore's keyless method, with an authority, a log and a log of certificates of our own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use oms::{KeySigner, Manifest, Method, Signature, Signer, Trust};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, SigningKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::pki::{self, Authority, NOW, authority_params, words};

/// When it was signed: long before the tests' present, when the certificate is no longer valid.
const SIGNED: i64 = 1_780_000_000;
pub(crate) const IDENTITY: &str = "ada@example.org";
pub(crate) const ISSUER: &str = "https://login.example.org";

/// An instance of Sigstore.
pub(crate) struct Instance {
    root: Authority,
    middle: Authority,
    log: KeyPair,
    certificate_log: KeyPair,
}

/// What is made otherwise.
struct Plan {
    certificate: fn(&mut CertificateParams),
    /// Of what the log of certificates stamps.
    stamped: fn(&mut Vec<u8>),
    stamps: usize,
    body: fn(&mut Value),
    entry: fn(&mut Value),
    promised_by_other: bool,
    checkpoint: fn(&mut String),
    signed_unix_s: i64,
}

impl Plan {
    fn new() -> Plan {
        Plan {
            certificate: |_| {},
            stamped: |_| {},
            stamps: 1,
            body: |_| {},
            entry: |_| {},
            promised_by_other: false,
            checkpoint: |_| {},
            signed_unix_s: SIGNED,
        }
    }
}

fn at(unix_s: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix_s).unwrap()
}

fn id(key: &KeyPair) -> [u8; 32] {
    Sha256::digest(key.subject_public_key_info()).into()
}

fn utf8_string(text: &str) -> Vec<u8> {
    [&[0x0c, text.len().try_into().unwrap()], text.as_bytes()].concat()
}

fn issuer_extension(number: u64, content: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, number], content)
}

impl Instance {
    pub(crate) fn new() -> Instance {
        let root = CertifiedIssuer::self_signed(authority_params("Sigstore"), pki::key()).unwrap();
        let mut params = authority_params("Sigstore below");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let middle = CertifiedIssuer::signed_by(params, pki::key(), &root).unwrap();
        Instance { root, middle, log: pki::key(), certificate_log: pki::key() }
    }

    pub(crate) fn trusted_root(&self) -> Value {
        let log = |key: &KeyPair| {
            json!({
                "baseUrl": "https://log.example.org",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": BASE64.encode(key.subject_public_key_info()),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": { "start": "2026-01-01T00:00:00.000Z" },
                },
                "logId": { "keyId": BASE64.encode(id(key)) },
            })
        };
        let certificate = |authority: &Authority| json!({ "rawBytes": BASE64.encode(authority.der()) });
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(&self.log)],
            "certificateAuthorities": [{
                "subject": { "organization": "Example", "commonName": "Sigstore" },
                "uri": "https://fulcio.example.org",
                "certChain": { "certificates": [certificate(&self.middle), certificate(&self.root)] },
                "validFor": { "start": "2026-01-01T00:00:00Z" },
            }],
            "ctlogs": [log(&self.certificate_log)],
        })
    }

    fn trust(&self) -> Trust {
        let mut trust = Trust::new();
        trust.add_sigstore("ada", self.trusted_root().to_string().as_bytes(), IDENTITY, ISSUER).unwrap();
        trust
    }

    /// A certificate with the stamp of the log of certificates over what it was before.
    fn certificate(&self, key: &KeyPair, plan: &Plan) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(7.into());
        (params.not_before, params.not_after) = (at(SIGNED - 60), at(SIGNED + 540));
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = vec![SanType::Rfc822Name(IDENTITY.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.custom_extensions =
            vec![issuer_extension(1, ISSUER.into()), issuer_extension(8, utf8_string(ISSUER))];
        (plan.certificate)(&mut params);
        let before = params.signed_by(key, &self.middle).unwrap();
        let (_, parsed) = X509Certificate::from_der(before.der()).unwrap();
        let signed_part = parsed.tbs_certificate.as_ref();
        let time = (SIGNED.unsigned_abs() * 1000).to_be_bytes();
        let length = u32::try_from(signed_part.len()).unwrap().to_be_bytes();
        let issuer: [u8; 32] = Sha256::digest(self.middle.key().subject_public_key_info()).into();
        let mut message = [&[0, 0], &time[..], &[0, 1], &issuer, &length[1..], signed_part, &[0, 0]].concat();
        (plan.stamped)(&mut message);
        let signature = self.certificate_log.sign(&message).unwrap();
        let signature_length = u16::try_from(signature.len()).unwrap().to_be_bytes();
        let log = id(&self.certificate_log);
        let stamp = [&[0], &log[..], &time, &[0, 0], &[4, 3], &signature_length, &signature].concat();
        let long = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let list = long(&long(&stamp).repeat(plan.stamps));
        let head = match u8::try_from(list.len()).unwrap() {
            length @ 0..=0x7f => vec![4, length],
            length => vec![4, 0x81, length],
        };
        if plan.stamps > 0 {
            params.custom_extensions.push(CustomExtension::from_oid_content(
                &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2],
                [head, list].concat(),
            ));
        }
        params.signed_by(key, &self.middle).unwrap().der().to_vec()
    }

    fn bundle(&self, manifest: &Manifest, plan: &Plan) -> Value {
        let key = pki::key();
        let certificate = self.certificate(&key, plan);
        let signer = KeySigner::from_pem(key.serialize_pem().as_bytes(), None).unwrap();
        let mut bundle: Value = serde_json::from_slice(&oms::sign(manifest, &signer).unwrap()).unwrap();
        let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].clone();
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            BASE64
                .encode(&certificate)
                .as_bytes()
                .chunks(64)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect::<Vec<_>>()
                .join("\n")
        );
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": { "algorithm": "sha256", "value": "00".repeat(32) },
                "payloadHash": { "algorithm": "sha256", "value": hex(&Sha256::digest(manifest.statement())) },
                "signatures": [{ "signature": signature, "verifier": BASE64.encode(pem) }],
            },
        });
        (plan.body)(&mut body);
        let body = body.to_string();
        let log_id = id(&self.log);
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":1234}}"#,
            BASE64.encode(&body),
            plan.signed_unix_s,
            hex(&log_id)
        );
        let promise = if plan.promised_by_other {
            pki::key()
        } else {
            KeyPair::from_pem(&self.log.serialize_pem()).unwrap()
        };
        let promise = promise.sign(promised.as_bytes()).unwrap();
        let [left, leaf, right] = [b"before", body.as_bytes(), b"after!"].map(tlog::leaf_hash);
        let root = tlog::node_hash(&tlog::node_hash(&left, &leaf), &right);
        let mut text = format!("log.example.org - 99\n3\n{}\n", BASE64.encode(root));
        (plan.checkpoint)(&mut text);
        let line = [&log_id[..4], &self.log.sign(text.as_bytes()).unwrap()].concat();
        let mut entry = json!({
            "logIndex": "1234",
            "logId": { "keyId": BASE64.encode(log_id) },
            "kindVersion": { "kind": "dsse", "version": "0.0.1" },
            "integratedTime": plan.signed_unix_s.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": BASE64.encode(promise) },
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": BASE64.encode(root),
                "treeSize": "3",
                "hashes": [BASE64.encode(left), BASE64.encode(right)],
                "checkpoint": { "envelope": format!("{text}\n— log.example.org {}\n", BASE64.encode(line)) },
            },
            "canonicalizedBody": BASE64.encode(body),
        });
        (plan.entry)(&mut entry);
        bundle["verificationMaterial"] = json!({
            "certificate": { "rawBytes": BASE64.encode(certificate) },
            "tlogEntries": [entry],
        });
        bundle
    }

    pub(crate) fn sign(&self, manifest: &Manifest) -> Value {
        self.bundle(manifest, &Plan::new())
    }
}

fn verify(bundle: &Value, trust: &Trust) -> Result<oms::Verified, String> {
    let signature = Signature::parse(bundle.to_string().as_bytes()).map_err(|error| words(&error))?;
    assert_eq!(signature.method(), Method::Sigstore);
    signature.verify(trust, NOW).map_err(|error| words(&error))
}

#[test]
fn somebody_who_is_trusted() {
    let instance = Instance::new();
    let bundle = instance.sign(&pki::manifest());
    let mut trust = Trust::new();
    let root = instance.trusted_root().to_string();
    // Of several, the one that fits.
    trust
        .add_sigstore("elsewhere", Instance::new().trusted_root().to_string().as_bytes(), IDENTITY, ISSUER)
        .unwrap();
    trust.add_sigstore("bob", root.as_bytes(), "bob@example.org", ISSUER).unwrap();
    trust.add_sigstore("ada", root.as_bytes(), IDENTITY, ISSUER).unwrap();
    let verified = verify(&bundle, &trust).unwrap();
    assert_eq!(verified.root, "ada");
    let Signer::Sigstore { identity, issuer, signed_unix_s, chain } = verified.signer else {
        panic!("not keyless");
    };
    assert_eq!((identity.as_str(), issuer.as_str(), signed_unix_s), (IDENTITY, ISSUER, SIGNED));
    let digest = |der: &[u8]| <[u8; 32]>::from(Sha256::digest(der));
    assert_eq!(chain.len(), 3);
    assert_eq!(chain[1..], [digest(instance.middle.der()), digest(instance.root.der())]);

    // Others by the same instance, and the same by another issuer.
    for (identity, issuer) in
        [("bob@example.org", ISSUER), (IDENTITY, "https://login.example.net"), ("ADA@example.org", ISSUER)]
    {
        let mut trust = Trust::new();
        trust.add_sigstore("x", root.as_bytes(), identity, issuer).unwrap();
        let found = verify(&bundle, &trust).unwrap_err();
        assert!(found.contains("keyless, of `ada@example.org` as `https://login.example.org`"), "{found}");
    }
    assert!(verify(&bundle, &Trust::new()).unwrap_err().contains("who are not trusted together"));
    // Authorities are for chains, and Sigstore's for keyless signatures.
    let mut authority = Trust::new();
    authority.add_authority("root", instance.root.pem().as_bytes()).unwrap();
    assert!(verify(&bundle, &authority).unwrap_err().contains("who are not trusted together"));
    let chained = crate::pki::Plan::new().build();
    assert!(chained.verify(&instance.trust()).unwrap_err().contains("leads to no trusted root"));
}

#[test]
fn plans() {
    let instance = Instance::new();
    let with = |change: fn(&mut Plan)| {
        let mut plan = Plan::new();
        change(&mut plan);
        plan
    };
    type Change = fn(&mut Plan);
    let cases: &[(&str, Change, &str)] = &[
        ("as it is", |_| {}, ""),
        (
            "only the newer issuer",
            |plan| plan.certificate = |params| drop(params.custom_extensions.remove(0)),
            "",
        ),
        (
            "only the older issuer",
            |plan| plan.certificate = |params| drop(params.custom_extensions.remove(1)),
            "",
        ),
        (
            "two issuers",
            |plan| {
                plan.certificate =
                    |params| params.custom_extensions[0] = issuer_extension(1, b"https://x".to_vec())
            },
            "who are not trusted together",
        ),
        (
            "no issuer",
            |plan| plan.certificate = |params| params.custom_extensions.clear(),
            "who are not trusted together",
        ),
        (
            "a user's name",
            |plan| {
                plan.certificate = |params| {
                    let kind = vec![1, 3, 6, 1, 4, 1, 57264, 1, 7];
                    params.subject_alt_names = vec![SanType::OtherName((kind, IDENTITY.into()))];
                }
            },
            "",
        ),
        (
            "a name of another kind",
            |plan| {
                plan.certificate = |params| {
                    params.subject_alt_names = vec![SanType::DnsName("example.org".try_into().unwrap())];
                }
            },
            "who are not trusted together",
        ),
        (
            "not for code",
            |plan| {
                plan.certificate =
                    |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
            },
            "not for signing code",
        ),
        ("no usage", |plan| plan.certificate = |params| params.key_usages.clear(), "not for signing code"),
        (
            "an authority",
            |plan| plan.certificate = |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            "no authority of the trusted root issued",
        ),
        ("too late", |plan| plan.signed_unix_s = SIGNED + 541, "no authority of the trusted root issued"),
        ("too early", |plan| plan.signed_unix_s = SIGNED - 61, "no authority of the trusted root issued"),
        ("at the last second", |plan| plan.signed_unix_s = SIGNED + 540, ""),
        (
            "before the log was one",
            |plan| plan.signed_unix_s = 1_760_000_000,
            "of a time at which it was none",
        ),
        (
            "a stamp over something else",
            |plan| plan.stamped = |bytes| bytes[60] ^= 1,
            "the stamp of the log of certificates is not signed",
        ),
        ("no stamp", |plan| plan.stamps = 0, "exactly one stamp"),
        ("two stamps", |plan| plan.stamps = 2, "exactly one stamp"),
        (
            "another statement",
            |plan| plan.body = |body| body["spec"]["payloadHash"]["value"] = json!("00".repeat(32)),
            "of another statement",
        ),
        (
            "another hash",
            |plan| plan.body = |body| body["spec"]["payloadHash"]["algorithm"] = json!("sha512"),
            "of another kind",
        ),
        (
            "another kind in the body",
            |plan| plan.body = |body| body["kind"] = json!("intoto"),
            "of another kind",
        ),
        (
            "another signature",
            |plan| plan.body = |body| body["spec"]["signatures"][0]["signature"] = json!("AAAA"),
            "of another signature",
        ),
        (
            "no signature",
            |plan| plan.body = |body| body["spec"]["signatures"] = json!([]),
            "exactly one signature",
        ),
        (
            "another certificate",
            |plan| {
                plan.body = |body| {
                    let other = crate::pki::Plan::new().build().signer_pem;
                    body["spec"]["signatures"][0]["verifier"] = json!(BASE64.encode(other));
                }
            },
            "of another certificate",
        ),
        ("no body", |plan| plan.body = |body| *body = json!([]), "malformed body"),
        (
            "a promise of another key",
            |plan| plan.promised_by_other = true,
            "promise of inclusion is not signed",
        ),
        (
            "another time",
            |plan| plan.entry = |entry| entry["integratedTime"] = json!("1780000001"),
            "promise of inclusion is not signed",
        ),
        (
            "another index",
            |plan| plan.entry = |entry| entry["logIndex"] = json!("1235"),
            "promise of inclusion is not signed",
        ),
        (
            "a negative time",
            |plan| plan.entry = |entry| entry["integratedTime"] = json!("-1"),
            "a number of the log's entry",
        ),
        (
            "no promise",
            |plan| plan.entry = |entry| drop(entry.as_object_mut().unwrap().remove("inclusionPromise")),
            "without a promise or a proof",
        ),
        (
            "no proof",
            |plan| plan.entry = |entry| drop(entry.as_object_mut().unwrap().remove("inclusionProof")),
            "without a promise or a proof",
        ),
        (
            "Rekor's second version",
            |plan| {
                plan.entry =
                    |entry| entry["kindVersion"] = json!({ "kind": "hashedrekord", "version": "0.0.2" })
            },
            "another kind than `dsse` 0.0.1",
        ),
        (
            "another log",
            |plan| plan.entry = |entry| entry["logId"]["keyId"] = json!(BASE64.encode([1; 32])),
            "of no log of the trusted root",
        ),
        (
            "another place",
            |plan| plan.entry = |entry| entry["inclusionProof"]["logIndex"] = json!("0"),
            "does not hold the entry",
        ),
        (
            "no hashes",
            |plan| plan.entry = |entry| entry["inclusionProof"]["hashes"] = json!([]),
            "does not hold the entry",
        ),
        (
            "many hashes",
            |plan| {
                plan.entry =
                    |entry| entry["inclusionProof"]["hashes"] = json!(vec![BASE64.encode([1; 32]); 65])
            },
            "too many hashes",
        ),
        (
            "another size",
            |plan| plan.entry = |entry| entry["inclusionProof"]["treeSize"] = json!("4"),
            "of another tree",
        ),
        (
            "another root",
            |plan| plan.entry = |entry| entry["inclusionProof"]["rootHash"] = json!(BASE64.encode([1; 32])),
            "of another tree",
        ),
        (
            "a checkpoint that was changed",
            |plan| {
                plan.entry = |entry| {
                    let note = &mut entry["inclusionProof"]["checkpoint"]["envelope"];
                    *note = json!(note.as_str().unwrap().replacen("\n3\n", "\n4\n", 1));
                }
            },
            "checkpoint is not signed",
        ),
        (
            "a checkpoint of nothing",
            |plan| plan.entry = |entry| entry["inclusionProof"]["checkpoint"]["envelope"] = json!("x"),
            "checkpoint is malformed",
        ),
        ("a checkpoint with more lines", |plan| plan.checkpoint = |text| text.push_str("Timestamp: 1\n"), ""),
        (
            "a checkpoint of another text",
            |plan| plan.checkpoint = |text| *text = "a log\nmany\n".to_owned(),
            "checkpoint is malformed",
        ),
    ];
    for (name, change, expected) in cases {
        let bundle = instance.bundle(&pki::manifest(), &with(*change));
        let found = verify(&bundle, &instance.trust()).err().unwrap_or_default();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{name}: {found}");
    }
}

#[test]
fn bundles_that_were_changed() {
    let instance = Instance::new();
    let bundle = instance.sign(&pki::manifest());
    let other = instance.sign(&pki::manifest());
    type Change<'c> = &'c dyn Fn(&mut Value);
    let cases: &[(&str, Change<'_>, &str)] = &[
        (
            "no entry",
            &|bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([]),
            "exactly one entry",
        ),
        (
            "two entries",
            &|bundle| {
                let entry = bundle["verificationMaterial"]["tlogEntries"][0].clone();
                bundle["verificationMaterial"]["tlogEntries"] = json!([entry, entry]);
            },
            "exactly one entry",
        ),
        (
            "another's entry",
            &|bundle| {
                bundle["verificationMaterial"]["tlogEntries"] =
                    other["verificationMaterial"]["tlogEntries"].clone()
            },
            "of another signature",
        ),
        (
            "another's certificate",
            &|bundle| {
                bundle["verificationMaterial"]["certificate"] =
                    other["verificationMaterial"]["certificate"].clone()
            },
            "of another certificate",
        ),
        (
            "another's material",
            &|bundle| bundle["verificationMaterial"] = other["verificationMaterial"].clone(),
            "of another signature",
        ),
        (
            "another's signature",
            &|bundle| bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"].clone(),
            "of another signature",
        ),
        (
            "another statement",
            &|bundle| {
                let other = Manifest { allow_symlinks: true, ..pki::manifest() };
                bundle["dsseEnvelope"]["payload"] = json!(BASE64.encode(other.statement()));
            },
            "of another statement",
        ),
        (
            "no certificate",
            &|bundle| bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!("MAA="),
            "malformed",
        ),
    ];
    for (name, change, expected) in cases {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        let found = verify(&bundle, &instance.trust()).unwrap_err();
        assert!(found.contains(expected), "{name}: {found}");
    }
    // An entry that a log took for a signature that no key made.
    let key = pki::key();
    let plan = Plan::new();
    let certificate = instance.certificate(&key, &plan);
    let forged =
        Plan { body: |body| body["spec"]["signatures"][0]["signature"] = json!("MAA="), ..Plan::new() };
    let mut bundle = instance.bundle(&pki::manifest(), &forged);
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!("MAA=");
    let found = verify(&bundle, &instance.trust()).unwrap_err();
    assert!(found.contains("the signature is wrong"), "{found}");
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!(BASE64.encode(certificate));
    assert!(verify(&bundle, &instance.trust()).unwrap_err().contains("of another certificate"));
}

#[test]
fn what_is_no_trusted_root() {
    let instance = Instance::new();
    type Change<'c> = &'c dyn Fn(&mut Value);
    let cases: &[(Change<'_>, &str)] = &[
        (&|root| root["mediaType"] = json!("application/json"), "of another type"),
        (&|root| root["tlogs"] = json!([]), "no authority, log or log of certificates"),
        (&|root| root["ctlogs"] = json!([]), "no authority, log or log of certificates"),
        (&|root| root["certificateAuthorities"] = json!([]), "no authority, log or log of certificates"),
        (&|root| root["tlogs"] = json!(vec![root["tlogs"][0].clone(); 65]), "or too many"),
        (&|root| root["tlogs"][0]["logId"]["keyId"] = json!("AAAA"), "not of 32 bytes"),
        (&|root| root["tlogs"][0]["publicKey"]["rawBytes"] = json!("*"), "base64"),
        (
            &|root| root["tlogs"][0]["publicKey"]["validFor"] = Value::Null,
            "a period of the trusted root is missing",
        ),
        (
            &|root| root["ctlogs"][0]["publicKey"]["validFor"]["end"] = json!("tomorrow"),
            "time of the trusted root is malformed",
        ),
        (
            &|root| root["certificateAuthorities"][0]["certChain"]["certificates"] = json!([]),
            "has no certificate",
        ),
        (
            &|root| {
                root["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = json!("MAA=")
            },
            "malformed",
        ),
        (&|root| *root = json!([]), "malformed JSON"),
    ];
    for (change, expected) in cases {
        let mut root = instance.trusted_root();
        change(&mut root);
        let found = Trust::new().add_sigstore("x", root.to_string().as_bytes(), IDENTITY, ISSUER);
        let found = found.unwrap_err().to_string();
        assert!(found.contains(expected), "{expected}: {found}");
    }
    let root = instance.trusted_root().to_string();
    let mut trust = instance.trust();
    assert!(!trust.is_empty());
    for (name, identity, issuer, expected) in [
        ("ada", IDENTITY, ISSUER, "is the name of another"),
        ("x", "", ISSUER, "must be said"),
        ("x", IDENTITY, "", "must be said"),
    ] {
        let found = trust.add_sigstore(name, root.as_bytes(), identity, issuer).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}");
    }

    // Periods count.
    let bundle = instance.sign(&pki::manifest());
    for (service, words) in [
        ("tlogs", "of a time at which it was none"),
        ("ctlogs", "of no log of certificates"),
        ("certificateAuthorities", "no authority of the trusted root issued"),
    ] {
        let mut root = instance.trusted_root();
        let ended = json!({ "start": "2020-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z" });
        if service == "certificateAuthorities" {
            root[service][0]["validFor"] = ended;
        } else {
            root[service][0]["publicKey"]["validFor"] = ended;
        }
        let mut trust = Trust::new();
        trust.add_sigstore("x", root.to_string().as_bytes(), IDENTITY, ISSUER).unwrap();
        let found = verify(&bundle, &trust).unwrap_err();
        assert!(found.contains(words), "{found}");
    }
}
