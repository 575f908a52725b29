//! Chains that lead to a root, and all the ways in which they do not.

use oms::{Signer, Trust, TrustError};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P384_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512,
    RevokedCertParams, RsaKeySize, SerialNumber, date_time_ymd,
};
use sha2::{Digest as _, Sha256};

use crate::pki::{self, Authority, Chain, Plan, authority_params};

fn late(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2026, 1, 1));
}

fn early(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2030, 1, 1);
}

fn constrain(params: &mut CertificateParams, domain: &str) {
    let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.to_owned())];
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
}

fn critical(params: &mut CertificateParams) {
    let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
}

fn rsa(algorithm: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_rsa_for(algorithm, RsaKeySize::_2048).unwrap()
}

#[test]
fn a_chain_that_leads_to_the_root() {
    let chain = Plan::new().build();
    let mut trust = Trust::new();
    trust.add_authority("elsewhere", Plan::new().build().root.pem().as_bytes()).unwrap();
    trust.add_authority("root", chain.root.pem().as_bytes()).unwrap();
    let verified = chain.verify(&trust).unwrap();
    assert_eq!(verified.root, "root");
    let Signer::Certificate { subject, names, issuer, not_before_unix_s, not_after_unix_s, chain: digests } =
        verified.signer
    else {
        panic!("not by a certificate");
    };
    assert_eq!(subject, "CN=Ada, O=Example");
    assert_eq!(names, ["email:ada@example.org", "DNS:models.example.org", "UPN:ada@corp"]);
    assert_eq!(issuer, "CN=Middle, O=Example");
    assert_eq!((not_before_unix_s, not_after_unix_s), (1_735_689_600, 2_051_222_400));
    assert_eq!(digests.len(), 3);
    assert_eq!(digests[1], <[u8; 32]>::from(Sha256::digest(chain.middle.der())));
    assert_eq!(digests[2], <[u8; 32]>::from(Sha256::digest(chain.root.der())));

    // The root may be in the chain, and so may certificates that lead nowhere.
    let more = chain.pem.clone() + &chain.root.pem() + &Plan::new().build().middle.pem();
    let more = Chain { pem: more, ..chain };
    assert_eq!(more.verify(&trust).unwrap().root, "root");
    // An authority in the middle can be the root itself.
    let mut middle = Trust::new();
    middle.add_authority("middle", more.middle.pem().as_bytes()).unwrap();
    assert_eq!(more.verify(&middle).unwrap().root, "middle");
}

#[test]
fn plans() {
    type Change = fn(&mut Plan);
    let cases: &[(&str, Change, &str)] = &[
        ("as it is", |_| {}, ""),
        (
            "P-384 and P-521",
            |plan| {
                plan.root.1 = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
                plan.middle.1 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
                plan.signer.1 = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
            },
            "",
        ),
        (
            "authorities with RSA",
            |plan| {
                plan.root.1 = rsa(&PKCS_RSA_SHA384);
                plan.middle.1 = rsa(&PKCS_RSA_SHA256);
            },
            "",
        ),
        ("only the extended usage", |plan| plan.signer.0.key_usages.clear(), ""),
        (
            "only the usage",
            |plan| plan.signer.0.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            "",
        ),
        (
            "usage of nothing of it",
            |plan| {
                plan.signer.0.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
                plan.signer.0.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            },
            "certificate of `CN=Ada, O=Example` is not for signing",
        ),
        (
            "no usage",
            |plan| {
                plan.signer.0.key_usages.clear();
                plan.signer.0.extended_key_usages.clear();
            },
            "is not for signing",
        ),
        ("signer expired", |plan| late(&mut plan.signer.0), "expired"),
        ("middle expired", |plan| late(&mut plan.middle.0), "expired"),
        (
            "root expired",
            |plan| late(&mut plan.root.0),
            "certificate of `CN=Root, O=Example` or of an authority above it expired",
        ),
        ("signer early", |plan| early(&mut plan.signer.0), "not valid yet"),
        ("middle early", |plan| early(&mut plan.middle.0), "not valid yet"),
        (
            "root early",
            |plan| early(&mut plan.root.0),
            "certificate of `CN=Root, O=Example` or of an authority above it is not valid yet",
        ),
        (
            "middle is no authority",
            |plan| plan.middle.0.is_ca = IsCa::ExplicitNoCa,
            "`CN=Middle, O=Example` signed a certificate, and",
        ),
        (
            "middle says nothing",
            |plan| plan.middle.0.is_ca = IsCa::NoCa,
            "`CN=Middle, O=Example` signed a certificate, and",
        ),
        (
            "middle may not sign certificates",
            |plan| {
                plan.middle.0.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            },
            "`CN=Middle, O=Example` signed a certificate, and",
        ),
        ("middle says nothing of usage", |plan| plan.middle.0.key_usages.clear(), ""),
        (
            "root allows none below",
            |plan| {
                plan.root.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            },
            "more authorities",
        ),
        (
            "root allows one below",
            |plan| {
                plan.root.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
                plan.middle.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            },
            "",
        ),
        ("constrained names", |plan| constrain(&mut plan.middle.0, "models.example.org"), ""),
        (
            "names constrained to others",
            |plan| constrain(&mut plan.middle.0, "example.net"),
            "chain of `CN=Ada, O=Example` is refused",
        ),
        (
            "critical extension",
            |plan| critical(&mut plan.signer.0),
            "chain of `CN=Ada, O=Example` is refused",
        ),
    ];
    for (name, change, expected) in cases {
        let mut plan = Plan::new();
        change(&mut plan);
        let chain = plan.build();
        let found = chain.verify(&chain.trust()).err().unwrap_or_default();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{name}: {found}");
    }
}

/// The same with a signer that is an authority itself, which the reference implementation believes as any other.
#[test]
fn plans_of_authorities() {
    type Change = fn(&mut Plan);
    let cases: &[(&str, Change, &str)] = &[
        ("as it is", |_| {}, ""),
        (
            "other curves",
            |plan| {
                plan.root.1 = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
                plan.middle.1 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
                plan.signer.1 = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
            },
            "",
        ),
        (
            "authorities with RSA",
            |plan| {
                plan.root.1 = rsa(&PKCS_RSA_SHA384);
                plan.middle.1 = rsa(&PKCS_RSA_SHA512);
            },
            "",
        ),
        (
            "authorities with Ed25519 and RSA",
            |plan| {
                plan.root.1 = rsa(&PKCS_RSA_SHA256);
                plan.middle.1 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
            },
            "",
        ),
        (
            "usage of authorities only",
            |plan| {
                plan.signer.0.key_usages = vec![KeyUsagePurpose::KeyCertSign];
                plan.signer.0.extended_key_usages.clear();
            },
            "certificate of `CN=Ada, O=Example` is not for signing",
        ),
        (
            "signer expired",
            |plan| late(&mut plan.signer.0),
            "certificate of `CN=Ada, O=Example` or of an authority above it expired",
        ),
        (
            "middle expired",
            |plan| late(&mut plan.middle.0),
            "certificate of `CN=Middle, O=Example` or of an authority above it expired",
        ),
        (
            "root expired",
            |plan| late(&mut plan.root.0),
            "certificate of `CN=Root, O=Example` or of an authority above it expired",
        ),
        (
            "signer early",
            |plan| early(&mut plan.signer.0),
            "certificate of `CN=Ada, O=Example` or of an authority above it is not valid yet",
        ),
        (
            "middle early",
            |plan| early(&mut plan.middle.0),
            "certificate of `CN=Middle, O=Example` or of an authority above it is not valid yet",
        ),
        (
            "root early",
            |plan| early(&mut plan.root.0),
            "certificate of `CN=Root, O=Example` or of an authority above it is not valid yet",
        ),
        (
            "middle is no authority",
            |plan| plan.middle.0.is_ca = IsCa::ExplicitNoCa,
            "`CN=Middle, O=Example` signed a certificate, and",
        ),
        (
            "middle says nothing",
            |plan| plan.middle.0.is_ca = IsCa::NoCa,
            "`CN=Middle, O=Example` signed a certificate, and",
        ),
        (
            "middle may not sign certificates",
            |plan| plan.middle.0.key_usages = vec![KeyUsagePurpose::DigitalSignature],
            "`CN=Middle, O=Example` signed a certificate, and",
        ),
        ("middle says nothing of usage", |plan| plan.middle.0.key_usages.clear(), ""),
        (
            "root allows none below",
            |plan| plan.root.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
            "more authorities",
        ),
        // The last certificate of a path does not count, whatever it is.
        (
            "root allows one below, and that one none",
            |plan| {
                plan.root.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
                plan.middle.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            },
            "",
        ),
        (
            "signer has a critical extension",
            |plan| critical(&mut plan.signer.0),
            "certificate of `CN=Ada, O=Example` has the critical extension 1.2.3.4",
        ),
        (
            "middle has a critical extension",
            |plan| critical(&mut plan.middle.0),
            "certificate of `CN=Middle, O=Example` has the critical extension 1.2.3.4",
        ),
        (
            "root has a critical extension",
            |plan| critical(&mut plan.root.0),
            "certificate of `CN=Root, O=Example` has the critical extension 1.2.3.4",
        ),
        (
            "middle constrains names",
            |plan| constrain(&mut plan.middle.0, "models.example.org"),
            "`CN=Middle, O=Example` constrains names",
        ),
        (
            "root constrains names",
            |plan| constrain(&mut plan.root.0, "models.example.org"),
            "`CN=Root, O=Example` constrains names",
        ),
        // These bind whoever is below it.
        ("signer constrains names", |plan| constrain(&mut plan.signer.0, "example.net"), ""),
        (
            "malformed constraints",
            |plan| {
                let extension = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 30], vec![4, 0]);
                plan.middle.0.custom_extensions.push(extension);
            },
            "chain of `CN=Middle, O=Example` is refused: one of its extensions is malformed",
        ),
        (
            "an extension twice",
            |plan| {
                let extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                plan.middle.0.custom_extensions = vec![extension.clone(), extension];
            },
            "chain of `CN=Middle, O=Example` is refused: it has an extension twice",
        ),
    ];
    for (name, change, expected) in cases {
        let mut plan = Plan::of_authority();
        change(&mut plan);
        let chain = plan.build();
        let found = chain.verify(&chain.trust()).err().unwrap_or_default();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{name}: {found}");
    }
}

#[test]
fn paths_of_authorities() {
    let chain = Plan::of_authority().build();
    let digest = |der: &[u8]| <[u8; 32]>::from(Sha256::digest(der));
    let digests = |verified: oms::Verified| match verified.signer {
        Signer::Certificate { chain, .. } => chain,
        Signer::Key { .. } | Signer::Sigstore { .. } => panic!("not by a certificate"),
    };
    let found = digests(chain.verify(&chain.trust()).unwrap());
    assert_eq!(found.len(), 3);
    assert_eq!(found[1..], [digest(chain.middle.der()), digest(chain.root.der())]);

    // An authority in the middle as root; the root in the chain; others that lead nowhere, or are there twice.
    let mut middle = Trust::new();
    middle.add_authority("middle", chain.middle.pem().as_bytes()).unwrap();
    assert_eq!(digests(chain.verify(&middle).unwrap()), [found[0], found[1]]);
    let namesake = Plan::of_authority().build();
    let [first, others] = [&chain.signer_pem, &namesake.middle.pem()];
    let pem = [first, others, &chain.middle.pem(), &chain.middle.pem(), &chain.root.pem()]
        .map(String::as_str)
        .concat();
    let (trust, elsewhere) = (chain.trust(), namesake.trust());
    let chain = Chain { pem, ..chain };
    assert_eq!(digests(chain.verify(&trust).unwrap()), found);

    // Names that fit, and keys that do not.
    let [signer_pem, middle] = [&chain.signer_pem, &chain.middle.pem()];
    for (pem, words) in [
        (
            signer_pem.clone() + middle,
            "certificate of `CN=Middle, O=Example` is said to be of `CN=Root, O=Example`, whose key",
        ),
        (
            signer_pem.clone() + &namesake.middle.pem(),
            "certificate of `CN=Ada, O=Example` is said to be of `CN=Middle, O=Example`, whose key",
        ),
        (signer_pem.clone(), "certificate of `CN=Ada, O=Example` leads to no trusted root"),
        (chain.pem.clone(), "certificate of `CN=Ada, O=Example` leads to no trusted root"),
    ] {
        let signer = chain.signer.serialize_pem();
        let signer = oms::KeySigner::from_pem(signer.as_bytes(), Some(pem.as_bytes())).unwrap();
        let signature = oms::Signature::parse(&oms::sign(&pki::manifest(), &signer).unwrap()).unwrap();
        let found = signature.verify(&elsewhere, pki::NOW).unwrap_err().to_string();
        assert!(found.contains(words), "{found}");
    }
    assert!(chain.verify(&Trust::new()).unwrap_err().contains("leads to no trusted root"));

    // A signer of its issuer's name, as public examples have it. As root it is none: its issuer is not itself.
    let mut plan = Plan::of_authority();
    plan.signer.0.distinguished_name = plan.middle.0.distinguished_name.clone();
    let chain = plan.build();
    assert_eq!(digests(chain.verify(&chain.trust()).unwrap()).len(), 3);
    let mut pinned = Trust::new();
    let error = pinned.add_authority("signer", chain.signer_pem.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("does not let it sign certificates"), "{error}");

    // A third authority below one that allows none.
    let mut plan = Plan::of_authority();
    plan.middle.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let signer_params = plan.signer.0.clone();
    let chain = plan.build();
    let low = CertifiedIssuer::signed_by(authority_params("Low"), pki::key(), &chain.middle).unwrap();
    let signer_pem = signer_params.signed_by(&chain.signer, &low).unwrap().pem();
    let pem = signer_pem.clone() + &low.pem() + &chain.middle.pem();
    let chain = Chain { pem, signer_pem, ..chain };
    assert!(chain.verify(&chain.trust()).unwrap_err().contains("more authorities"));
}

#[test]
fn authorities_that_sign_one_another() {
    // Each certifies each, under one name: there are more ways than anybody should walk.
    let keys: Vec<KeyPair> = (0..3).map(|_| pki::key()).collect();
    let of = |key: &KeyPair| KeyPair::from_pem(&key.serialize_pem()).unwrap();
    let same: Vec<Authority> = keys
        .iter()
        .map(|key| CertifiedIssuer::self_signed(authority_params("Same"), of(key)).unwrap())
        .collect();
    let mut pem = String::new();
    for (place, key) in keys.iter().enumerate() {
        for (other, issuer) in same.iter().enumerate() {
            if place != other {
                pem += &authority_params("Same").signed_by(key, issuer).unwrap().pem();
            }
        }
    }
    let mut chain = Plan::of_authority().build();
    let mut params = pki::signer_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    chain.signer_pem = params.signed_by(&chain.signer, &same[0]).unwrap().pem();
    chain.pem = chain.signer_pem.clone() + &pem;
    assert!(chain.verify(&chain.trust()).unwrap_err().contains("leads to no trusted root"));
    let mut trust = Trust::new();
    trust.add_authority("one", same[2].pem().as_bytes()).unwrap();
    chain.verify(&trust).unwrap();
    for number in 0..5 {
        let namesake = CertifiedIssuer::self_signed(authority_params("Same"), pki::key()).unwrap();
        trust.add_authority(&format!("namesake {number}"), namesake.pem().as_bytes()).unwrap();
    }
    chain.verify(&trust).unwrap();
    let mut without = Trust::new();
    for number in 0..40 {
        let namesake = CertifiedIssuer::self_signed(authority_params("Same"), pki::key()).unwrap();
        without.add_authority(&format!("namesake {number}"), namesake.pem().as_bytes()).unwrap();
    }
    assert!(chain.verify(&without).unwrap_err().contains("lead to one another in too many ways"));
}

/// Issued by nobody else, with this usage.
fn self_signed(change: impl Fn(&mut CertificateParams)) -> Chain {
    let mut chain = Plan::of_authority().build();
    let mut params = pki::signer_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.serial_number = Some(3.into());
    change(&mut params);
    chain.signer_pem = params.self_signed(&chain.signer).unwrap().pem();
    chain.pem = chain.signer_pem.clone();
    chain
}

#[test]
fn signers_that_are_their_own_authority() {
    type Change = fn(&mut CertificateParams);
    let cases: &[(&str, Change, &str)] = &[
        ("an authority that only signs models", |_| {}, ""),
        ("one for certificates too", |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign), ""),
        ("no authority", |params| params.is_ca = IsCa::ExplicitNoCa, ""),
        (
            "expired",
            |params| late(params),
            "certificate of `CN=Ada, O=Example` or of an authority above it expired",
        ),
        ("early", |params| early(params), "is not valid yet"),
        ("a critical extension", |params| critical(params), "has the critical extension 1.2.3.4"),
        (
            "for certificates only",
            |params| {
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
                params.extended_key_usages.clear();
            },
            "is not for signing",
        ),
    ];
    for (name, change, expected) in cases {
        let chain = self_signed(change);
        let mut trust = chain.trust();
        // Being one's own issuer does not help anybody who is not trusted.
        let stranger = chain.verify(&trust).unwrap_err();
        assert!(!expected.is_empty() || stranger.contains("leads to no trusted root"), "{name}: {stranger}");
        trust.add_authority("ada", chain.signer_pem.as_bytes()).unwrap();
        let found = chain.verify(&trust);
        match found {
            Ok(verified) => {
                assert!(expected.is_empty(), "{name}");
                assert_eq!(verified.root, "ada");
                let Signer::Certificate { chain, .. } = verified.signer else {
                    panic!("not by a certificate")
                };
                assert_eq!(chain.len(), 1);
            }
            Err(found) => assert!(found.contains(expected) && !expected.is_empty(), "{name}: {found}"),
        }
    }
    // A signer's own certificate lets it sign models and nobody else's certificates.
    for is_ca in [IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        for below in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
            let mut params = pki::signer_params();
            params.is_ca = is_ca;
            let above = CertifiedIssuer::self_signed(params, pki::key()).unwrap();
            let mut chain = Plan::new().build();
            let mut params = pki::signer_params();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.is_ca = below;
            chain.signer_pem = params.signed_by(&chain.signer, &above).unwrap().pem();
            chain.pem = chain.signer_pem.clone();
            let mut trust = Trust::new();
            trust.add_authority("ada", above.pem().as_bytes()).unwrap();
            let found = chain.verify(&trust).unwrap_err();
            assert!(found.contains("`CN=Ada, O=Example` signed a certificate, and"), "{found}");
        }
    }
    // Another certificate for the same name, with another key.
    let (chain, namesake) = (self_signed(|_| {}), self_signed(|_| {}));
    let mut trust = Trust::new();
    trust.add_authority("ada", namesake.signer_pem.as_bytes()).unwrap();
    let found = chain.verify(&trust).unwrap_err();
    assert!(found.contains("leads to no trusted root"), "{found}");
}

#[test]
fn chains_that_lead_elsewhere() {
    let chain = Plan::new().build();
    // An authority that has the root's name, and another key.
    let namesake = Plan::new().build();
    assert!(chain.verify(&namesake.trust()).is_err());
    assert!(chain.verify(&Trust::new()).unwrap_err().contains("leads to no trusted root"));
    let mut key_only = Trust::new();
    key_only.add_key("key", chain.signer.public_key_pem().as_bytes()).unwrap();
    assert!(chain.verify(&key_only).unwrap_err().contains("leads to no trusted root"));
    let trust = chain.trust();
    let alone = Chain { pem: chain.signer_pem.clone(), ..chain };
    assert!(alone.verify(&trust).unwrap_err().contains("leads to no trusted root"));

    // A third authority below one that allows none.
    let mut plan = Plan::new();
    plan.middle.0.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let chain = plan.build();
    let low = CertifiedIssuer::signed_by(authority_params("Low"), pki::key(), &chain.middle).unwrap();
    let signer_pem = pki::signer_params().signed_by(&chain.signer, &low).unwrap().pem();
    let pem = signer_pem.clone() + &low.pem() + &chain.middle.pem();
    let chain = Chain { pem, signer_pem, ..chain };
    assert!(chain.verify(&chain.trust()).unwrap_err().contains("more authorities"));
}

#[test]
fn what_is_no_root() {
    let chain = Plan::new().build();
    let mut trust = chain.trust();
    let mut unfit = authority_params("Unfit");
    unfit.key_usages = vec![KeyUsagePurpose::CrlSign];
    let unfit = CertifiedIssuer::self_signed(unfit, pki::key()).unwrap().pem();
    for (name, text, words) in [
        ("root", chain.root.pem(), "is the name of another"),
        ("a", chain.signer_pem.clone(), "not the certificate of an authority"),
        ("a", chain.pem.clone(), "several PEM blocks"),
        ("a", chain.signer.public_key_pem(), "not a `CERTIFICATE`"),
        ("a", "words".to_owned(), "no BEGIN"),
        ("a", unfit, "does not let it sign certificates"),
        ("a", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_owned(), "malformed"),
    ] {
        let error = trust.add_authority(name, text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(matches!(trust.add_key("root", b""), Err(TrustError::Name(_))));
    assert!(matches!(trust.add_key("a", b""), Err(TrustError::Key { .. })));
}

#[test]
fn signers_with_other_keys() {
    for key in [rsa(&PKCS_RSA_SHA256), KeyPair::generate_for(&PKCS_ED25519).unwrap()] {
        let mut plan = Plan::new();
        let fine = Plan::new().build();
        plan.signer.1 = key;
        let other = plan.build();
        // Whoever signs here could not make such a signature: the certificate is put in later.
        let signer =
            oms::KeySigner::from_pem(fine.signer.serialize_pem().as_bytes(), Some(fine.pem.as_bytes()))
                .unwrap();
        let mut bundle: serde_json::Value =
            serde_json::from_slice(&oms::sign(&pki::manifest(), &signer).unwrap()).unwrap();
        let body: String = other.signer_pem.lines().filter(|line| !line.starts_with('-')).collect();
        bundle["verificationMaterial"]["x509CertificateChain"]["certificates"][0]["rawBytes"] = body.into();
        let signature = oms::Signature::parse(bundle.to_string().as_bytes()).unwrap();
        assert!(matches!(signature.verify(&other.trust(), pki::NOW), Err(oms::VerifyError::SignerKey(_))));
    }
    // Another's certificate with one's own signature.
    let (mine, theirs) = (Plan::new().build(), Plan::new().build());
    let mut trust = theirs.trust();
    trust.add_authority("mine", mine.root.pem().as_bytes()).unwrap();
    let signer =
        oms::KeySigner::from_pem(mine.signer.serialize_pem().as_bytes(), Some(mine.pem.as_bytes())).unwrap();
    let bundle = String::from_utf8(oms::sign(&pki::manifest(), &signer).unwrap()).unwrap();
    let der = |chain: &Chain| -> Vec<String> {
        let blocks = chain.pem.split("-----END CERTIFICATE-----");
        blocks.map(|block| block.lines().filter(|line| !line.starts_with('-')).collect()).collect()
    };
    let (own, other) = (der(&mine), der(&theirs));
    let swapped = bundle.replace(&own[0], &other[0]).replace(&own[1], &other[1]);
    let signature = oms::Signature::parse(swapped.as_bytes()).unwrap();
    assert_eq!(signature.verify(&trust, pki::NOW), Err(oms::VerifyError::WrongSignature));
}

struct List {
    from: i32,
    until: i32,
    revoked: Vec<SerialNumber>,
    part: bool,
    key_id: KeyIdMethod,
}

impl List {
    fn new() -> List {
        List { from: 2026, until: 2027, revoked: Vec::new(), part: false, key_id: KeyIdMethod::Sha256 }
    }

    fn revoking(serial: u64) -> List {
        List { revoked: vec![serial.into()], ..List::new() }
    }

    fn by(self, issuer: &Authority) -> rcgen::CertificateRevocationList {
        let revoked = |serial_number| RevokedCertParams {
            serial_number,
            revocation_time: date_time_ymd(2025, 6, 1),
            reason_code: Some(rcgen::RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(self.from, 1, 1),
            next_update: date_time_ymd(self.until, 1, 1),
            crl_number: 7.into(),
            issuing_distribution_point: self.part.then(|| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec!["http://crl.example".to_owned()] },
                scope: Some(CrlScope::UserCertsOnly),
            }),
            revoked_certs: self.revoked.into_iter().map(revoked).collect(),
            key_identifier_method: self.key_id,
        };
        params.signed_by(issuer).unwrap()
    }
}

/// Serial numbers 2 and 3.
fn numbered(mut plan: Plan) -> Plan {
    plan.middle.0.serial_number = Some(2.into());
    plan.signer.0.serial_number = Some(3.into());
    plan
}

#[test]
fn revocation() {
    for (chain, elsewhere) in [
        (numbered(Plan::new()).build(), numbered(Plan::new()).build()),
        (numbered(Plan::of_authority()).build(), numbered(Plan::of_authority()).build()),
    ] {
        revocation_of(&chain, &elsewhere);
    }
    // Who is above itself revokes itself.
    let mut params = pki::signer_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::CrlSign);
    params.serial_number = Some(3.into());
    let (of_list, of_chain) = (pki::key(), Plan::of_authority());
    let key = KeyPair::from_pem(&of_list.serialize_pem()).unwrap();
    let own = CertifiedIssuer::self_signed(params, of_list).unwrap();
    let chain = Chain { signer: key, pem: own.pem(), signer_pem: own.pem(), ..of_chain.build() };
    for (list, words) in [
        (List::new(), ""),
        (List::revoking(3), "was revoked by the CRL `crl`"),
        (List { from: 2024, until: 2026, ..List::new() }, "is out of date"),
    ] {
        let mut trust = Trust::new();
        trust.add_authority("own", own.pem().as_bytes()).unwrap();
        trust.add_crl("crl", list.by(&own).der()).unwrap();
        let found = chain.verify(&trust).err().unwrap_or_default();
        assert!(found.contains(words) && found.is_empty() == words.is_empty(), "{found}");
    }
}

fn revocation_of(chain: &Chain, elsewhere: &Chain) {
    // Serial numbers are an issuer's own: 3 of the root is another certificate.
    let cases: Vec<(&str, Vec<rcgen::CertificateRevocationList>, &str)> = vec![
        ("of both, empty", vec![List::new().by(&chain.middle), List::new().by(&chain.root)], ""),
        ("other serials", vec![List::revoking(2).by(&chain.middle), List::revoking(3).by(&chain.root)], ""),
        (
            "signer",
            vec![List::revoking(3).by(&chain.middle)],
            "certificate of `CN=Ada, O=Example` was revoked by the CRL `crl0`",
        ),
        (
            "middle",
            vec![List::revoking(2).by(&chain.root)],
            "certificate of `CN=Middle, O=Example` was revoked by the CRL `crl0`",
        ),
        (
            "out of date",
            vec![List { from: 2024, until: 2026, ..List::new() }.by(&chain.middle)],
            "the CRL `crl0` of `CN=Middle, O=Example` is out of date",
        ),
        (
            "root's out of date",
            vec![List { from: 2024, until: 2026, ..List::new() }.by(&chain.root)],
            "of `CN=Root, O=Example` is out of date",
        ),
        (
            "early",
            vec![List { from: 2028, until: 2029, ..List::new() }.by(&chain.middle)],
            "is not valid yet",
        ),
        (
            "an older one beside",
            vec![
                List { from: 2024, until: 2025, ..List::new() }.by(&chain.middle),
                List::new().by(&chain.middle),
            ],
            "",
        ),
        (
            "the newest counts",
            vec![List::revoking(3).by(&chain.middle), List { from: 2025, ..List::new() }.by(&chain.middle)],
            "was revoked by the CRL `crl0`",
        ),
        // It is of another key of that name.
        ("a namesake's", vec![List::revoking(3).by(&elsewhere.middle)], ""),
    ];
    for (name, lists, expected) in cases {
        for pem in [false, true] {
            let mut trust = chain.trust();
            for (number, list) in lists.iter().enumerate() {
                let bytes = if pem { list.pem().unwrap().into_bytes() } else { list.der().to_vec() };
                trust.add_crl(&format!("crl{number}"), &bytes).unwrap();
            }
            let found = chain.verify(&trust).err().unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{name}: {found}");
        }
    }
}

#[test]
fn lists_that_nobody_should_have_signed() {
    // One that says it is of the authority's key, and is not.
    let mut plan = numbered(Plan::new());
    plan.middle.0.key_identifier_method = KeyIdMethod::PreSpecified(vec![9; 20]);
    let chain = plan.build();
    let forged = List { key_id: KeyIdMethod::PreSpecified(vec![9; 20]), ..List::new() };
    let mut trust = chain.trust();
    trust.add_crl("forged", forged.by(&numbered(Plan::new()).build().middle).der()).unwrap();
    assert!(
        chain
            .verify(&trust)
            .unwrap_err()
            .contains("the CRL `forged` of `CN=Middle, O=Example` is not signed by it")
    );

    // One of a key that is for certificates only.
    let mut plan = numbered(Plan::new());
    plan.middle.0.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let (unfit_params, unfit_key) =
        (plan.middle.0.clone(), KeyPair::from_pem(&plan.middle.1.serialize_pem()).unwrap());
    let chain = plan.build();
    let mut willing = unfit_params;
    willing.key_usages.push(KeyUsagePurpose::CrlSign);
    let willing = CertifiedIssuer::self_signed(willing, unfit_key).unwrap();
    let mut trust = chain.trust();
    trust.add_crl("unfit", List::new().by(&willing).der()).unwrap();
    assert!(chain.verify(&trust).unwrap_err().contains("may not sign CRLs"));
}

#[test]
fn what_is_no_list() {
    let chain = numbered(Plan::new()).build();
    let mut trust = chain.trust();
    let list = List::new().by(&chain.middle);
    let part = List { part: true, ..List::new() }.by(&chain.middle);
    for (bytes, words) in [
        (b"".to_vec(), "no BEGIN"),
        (b"0\x00".to_vec(), "malformed"),
        ([list.der().as_ref(), b"x"].concat(), "bytes follow it"),
        (list.der()[..100].to_vec(), "malformed"),
        (chain.root.pem().into_bytes(), "not an `X509 CRL`"),
        (list.pem().unwrap().repeat(2).into_bytes(), "several PEM blocks"),
        (part.der().to_vec(), "a part of the authority's certificates"),
    ] {
        let error = trust.add_crl("list", &bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(matches!(trust.add_crl("root", list.der()), Err(TrustError::Name(_))));
}
