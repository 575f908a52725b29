//! Tokens of an identity provider, and what is tried with them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa::KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credentials::{JwtRefused, Provider, looks_like_jwt};
use proptest::prelude::*;
use protocol::access;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;

const NOW: i64 = 1_780_000_000;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider with a key of each kind.
struct Idp {
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    rsa: RsaKeyPair,
}

impl Idp {
    fn new() -> Idp {
        Idp {
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn jwks(&self) -> Value {
        let point = |key: &[u8], id: &str, curve: &str| {
            let (x, y) = key[1..].split_at((key.len() - 1) / 2);
            json!({ "kty": "EC", "kid": id, "use": "sig", "crv": curve, "x": encode(x), "y": encode(y) })
        };
        let (_, rsa) = RSAPublicKey::from_der(self.rsa.public_key().as_ref()).unwrap();
        // Of an integer in DER; of 2048 bits, so its first byte is a zero.
        let (n, e) = (&rsa.modulus[rsa.modulus.len() - 256..], rsa.exponent);
        json!({ "keys": [
            point(self.p256.public_key().as_ref(), "p256", "P-256"),
            point(self.p384.public_key().as_ref(), "p384", "P-384"),
            { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(self.ed25519.public_key().as_ref()) },
            { "kty": "RSA", "kid": "rsa", "alg": "RS256", "n": encode(n), "e": encode(e) },
            { "kty": "RSA", "kid": "rsa-pss", "alg": "PS256", "n": encode(n), "e": encode(e) },
            { "kty": "RSA", "kid": "wraps", "use": "enc", "n": encode(n), "e": encode(e) },
        ]})
    }

    fn signature(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding: &'static dyn aws_lc_rs::signature::RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match algorithm {
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(message).as_ref().to_vec(),
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "PS256" => rsa(&RSA_PSS_SHA256),
            _ => Vec::new(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self.signature(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    fn provider(&self, change: impl Fn(&mut access::Jwt)) -> Provider {
        let mut set = access::Jwt {
            issuer: "https://idp.site".to_owned(),
            audience: "cloister".to_owned(),
            algorithms: ["ES256", "ES384", "RS256", "PS256", "EdDSA"].map(str::to_owned).into(),
            skew_s: 30,
            age_s_max: 3600,
            person_claim: "preferred_username".to_owned(),
            groups_claim: None,
            domains: vec!["site.example".to_owned()],
        };
        change(&mut set);
        Provider::new(&set, self.jwks().to_string().as_bytes()).unwrap()
    }
}

fn claims() -> Value {
    json!({ "iss": "https://idp.site", "aud": "cloister", "sub": "4711", "jti": "a-1", "preferred_username": "ada",
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 300, "groups": ["crew", "Not A Name", "ops", "crew"] })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn header(algorithm: &str, key: &str) -> Value {
    json!({ "alg": algorithm, "kid": key, "typ": "JWT" })
}

#[test]
fn every_algorithm_that_is_set() {
    let idp = Idp::new();
    let provider = idp.provider(|_| {});
    for (algorithm, key) in
        [("ES256", "p256"), ("ES384", "p384"), ("EdDSA", "ed"), ("RS256", "rsa"), ("PS256", "rsa-pss")]
    {
        let token = idp.token(&header(algorithm, key), &claims());
        assert!(looks_like_jwt(&token));
        let named = provider.verify(&token, NOW).unwrap();
        assert_eq!((named.person.as_str(), named.credential.as_str()), ("ada", "jwt:a-1"), "{algorithm}");
        assert!(named.groups.is_empty(), "groups count where they are asked for");
    }
    let grouped = idp.provider(|set| set.groups_claim = Some("groups".to_owned()));
    let named = grouped.verify(&idp.token(&header("ES256", "p256"), &claims()), NOW).unwrap();
    assert_eq!(named.groups, ["crew", "ops"]);
    let only = idp.provider(|set| set.algorithms = vec!["ES384".to_owned()]);
    assert_eq!(only.verify(&idp.token(&header("ES256", "p256"), &claims()), NOW), Err(JwtRefused::Algorithm));
}

#[test]
fn attacks() {
    let idp = Idp::new();
    let provider = idp.provider(|_| {});
    let good = header("ES256", "p256");
    let verify =
        |header: &Value, claims: &Value| provider.verify(&idp.token(header, claims), NOW).map(|_| ());
    use JwtRefused as R;
    for (name, header, claims, reason) in [
        ("none", json!({ "alg": "none" }), claims(), R::Algorithm),
        ("None", json!({ "alg": "None", "kid": "p256" }), claims(), R::Algorithm),
        ("no algorithm", json!({ "kid": "p256" }), claims(), R::Malformed),
        ("algorithm of another type", json!({ "alg": ["ES256"], "kid": "p256" }), claims(), R::Malformed),
        ("HS256", header("HS256", "rsa"), claims(), R::Algorithm),
        ("unknown key", header("ES256", "p257"), claims(), R::Key),
        ("a path for a key", header("ES256", "../../etc/passwd"), claims(), R::Key),
        ("SQL for a key", header("ES256", "' or 1=1 --"), claims(), R::Key),
        ("another key's algorithm", header("ES256", "rsa"), claims(), R::Key),
        ("another curve", header("ES384", "p256"), claims(), R::Key),
        ("a key for another padding", header("PS256", "rsa"), claims(), R::Key),
        ("a key that wraps", header("RS256", "wraps"), claims(), R::Key),
        (
            "critical",
            json!({ "alg": "ES256", "kid": "p256", "crit": ["b64"], "b64": false }),
            claims(),
            R::Critical,
        ),
        ("encrypted", json!({ "alg": "ES256", "kid": "p256", "enc": "A128GCM" }), claims(), R::Malformed),
        ("another issuer", good.clone(), with(claims(), "iss", json!("https://idp.site.evil")), R::Issuer),
        ("no issuer", good.clone(), without(claims(), "iss"), R::Issuer),
        ("issuers", good.clone(), with(claims(), "iss", json!(["https://idp.site"])), R::Issuer),
        ("another audience", good.clone(), with(claims(), "aud", json!("wiki")), R::Audience),
        ("no audience", good.clone(), without(claims(), "aud"), R::Audience),
        (
            "audiences without ours",
            good.clone(),
            with(claims(), "aud", json!(["wiki", "cloister2"])),
            R::Audience,
        ),
        ("expired", good.clone(), with(claims(), "exp", json!(NOW - 30)), R::Expired),
        ("no end", good.clone(), without(claims(), "exp"), R::Expired),
        ("an end in words", good.clone(), with(claims(), "exp", json!("9999999999")), R::Malformed),
        ("an endless end", good.clone(), with(claims(), "exp", json!(1e300)), R::Malformed),
        ("to come", good.clone(), with(claims(), "nbf", json!(NOW + 31)), R::NotYet),
        ("issued in the future", good.clone(), with(claims(), "iat", json!(NOW + 31)), R::NotYet),
        ("old", good.clone(), with(claims(), "iat", json!(NOW - 3631)), R::Old),
        ("of no age", good.clone(), without(claims(), "iat"), R::Old),
        ("nobody", good.clone(), without(claims(), "preferred_username"), R::Nobody),
        (
            "somebody elsewhere",
            good.clone(),
            with(claims(), "preferred_username", json!("ada@evil.example")),
            R::Nobody,
        ),
        ("two persons", good.clone(), with(claims(), "preferred_username", json!(["ada", "bob"])), R::Nobody),
        (
            "a name that is none",
            good.clone(),
            with(claims(), "preferred_username", json!("Ada\u{0}")),
            R::Nobody,
        ),
    ] {
        assert_eq!(verify(&header, &claims), Err(reason), "{name}");
    }
    // Within the clock's skew, and in a list, and by a domain.
    for claims in [
        with(claims(), "exp", json!(NOW - 29)),
        with(claims(), "exp", json!(NOW as f64 + 0.5)),
        with(claims(), "nbf", json!(NOW + 30)),
        with(claims(), "aud", json!(["wiki", "cloister"])),
        with(claims(), "preferred_username", json!("Ada@SITE.example")),
    ] {
        assert_eq!(verify(&good, &claims), Ok(()), "{claims}");
    }
}

/// The classic: the provider's public key as the secret of a symmetric algorithm.
#[test]
fn the_public_key_is_no_secret() {
    let idp = Idp::new();
    let provider = idp.provider(|_| {});
    for key in [idp.p256.public_key().as_ref().to_vec(), idp.jwks().to_string().into_bytes()] {
        for (algorithm, id) in [("HS256", "p256"), ("ES256", "p256"), ("RS256", "rsa")] {
            let signed =
                format!("{}.{}", encode(header(algorithm, id).to_string()), encode(claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
            let refused = provider.verify(&format!("{signed}.{}", encode(tag)), NOW).unwrap_err();
            assert!(matches!(refused, JwtRefused::Algorithm | JwtRefused::Signature), "{refused}");
        }
    }
}

/// A key that the token brings along is not looked at.
#[test]
fn keys_in_tokens_count_for_nothing() {
    let (idp, attacker) = (Idp::new(), Idp::new());
    let provider = idp.provider(|_| {});
    let jwk = attacker.jwks()["keys"][0].clone();
    for more in
        [json!({ "jwk": jwk }), json!({ "jku": "https://evil.example/jwks" }), json!({ "x5u": "file:///x" })]
    {
        let mut header = header("ES256", "p256");
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(provider.verify(&attacker.token(&header, &claims()), NOW), Err(JwtRefused::Signature));
    }
}

#[test]
fn without_a_name_the_key_must_be_the_only_one() {
    let idp = Idp::new();
    let provider = idp.provider(|_| {});
    assert!(provider.verify(&idp.token(&json!({ "alg": "ES256" }), &claims()), NOW).is_ok());
    let mut twice = idp.jwks();
    let mut second = twice["keys"][0].clone();
    second["kid"] = json!("p256-old");
    twice["keys"].as_array_mut().unwrap().push(second);
    let set = idp.provider(|_| {});
    drop(set);
    let access = access::Jwt {
        issuer: "https://idp.site".to_owned(),
        audience: "cloister".to_owned(),
        algorithms: vec!["ES256".to_owned()],
        skew_s: 30,
        age_s_max: 3600,
        person_claim: "preferred_username".to_owned(),
        groups_claim: None,
        domains: Vec::new(),
    };
    let provider = Provider::new(&access, twice.to_string().as_bytes()).unwrap();
    assert_eq!(provider.verify(&idp.token(&json!({ "alg": "ES256" }), &claims()), NOW), Err(JwtRefused::Key));
    assert!(provider.verify(&idp.token(&header("ES256", "p256-old"), &claims()), NOW).is_ok());
}

/// Keys that must never be in the file, and files that are none.
#[test]
fn a_key_set_is_public_and_asymmetric_or_refused() {
    let idp = Idp::new();
    let access = access::Jwt {
        issuer: "i".to_owned(),
        audience: "a".to_owned(),
        algorithms: vec!["ES256".to_owned()],
        skew_s: 0,
        age_s_max: 1,
        person_claim: "sub".to_owned(),
        groups_claim: None,
        domains: Vec::new(),
    };
    let good = idp.jwks()["keys"][0].clone();
    let error = |keys: Value| {
        Provider::new(&access, json!({ "keys": keys }).to_string().as_bytes()).unwrap_err().to_string()
    };
    let mut private = good.clone();
    private["d"] = json!("AAAA");
    assert!(error(json!([private])).contains("private"));
    assert!(error(json!([good, { "kty": "oct", "k": "AAAA", "kid": "s" }])).contains("symmetric"));
    assert!(error(json!([good, good])).contains("kid"));
    assert!(error(json!([])).contains("no key"));
    assert!(error(json!([{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }])).contains("length"));
    assert!(error(json!([{ "kty": "RSA", "n": "AQAB", "e": "AQAB" }])).contains("2048"));
    for text in ["", "{}", "[]", "{\"keys\": 1}", "not json"] {
        assert!(Provider::new(&access, text.as_bytes()).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is changed in a token, it is refused.
    #[test]
    fn a_changed_token_is_refused(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        static IDP: std::sync::OnceLock<Idp> = std::sync::OnceLock::new();
        let idp = IDP.get_or_init(Idp::new);
        let provider = idp.provider(|_| {});
        let token = idp.token(&header("EdDSA", "ed"), &claims());
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assert_eq!(provider.verify(&changed, NOW).is_ok(), changed == token);
    }
}

proptest! {
    #[test]
    fn any_text(text in "(ey)?[A-Za-z0-9_=.-]{0,200}") {
        let access = access::Jwt {
            issuer: "i".to_owned(), audience: "a".to_owned(), algorithms: vec!["EdDSA".to_owned()], skew_s: 0,
            age_s_max: 1, person_claim: "sub".to_owned(), groups_claim: None, domains: Vec::new(),
        };
        let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": encode([7; 32]) }] });
        let provider = Provider::new(&access, jwks.to_string().as_bytes()).unwrap();
        prop_assert!(provider.verify(&text, NOW).is_err());
    }
}
