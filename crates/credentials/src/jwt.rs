//! Tokens of an identity provider: JSON Web Tokens (RFC 7519) in the compact form, signed (RFC 7515).
//!
//! Written by hand on aws-lc-rs, since what is needed is small and what must not happen is long: which algorithm is
//! used is decided by the settings and the key, never by the token alone (RFC 8725, 3.1); no key out of a token (`jwk`,
//! `jku`, `x5u`, `x5c`) is ever used; the clock is an argument.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::access;
use protocol::digest::hex;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::jwk::{Algorithm, Key};
use crate::mapping::person_of_domain;
use crate::{JwtRefused, Unusable, is_name};

/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// Groups that a token may name.
const GROUPS_MAX: usize = 256;

/// Which tokens are believed, and the keys that sign them.
pub struct Provider {
    keys: Vec<Key>,
    algorithms: Vec<Algorithm>,
    set: access::Jwt,
}

/// Whom a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The user.
    pub person: String,
    /// Groups that the token names, where they count; sorted.
    pub groups: Vec<String>,
    /// Which token it was, for records: `jwt:ID`, its `jti`, or digits of its digest.
    pub credential: String,
}

/// What a header says; no other of its fields is looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
    /// Of nested tokens, which are none of ours.
    enc: Option<serde::de::IgnoredAny>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.set.issuer).field("keys", &self.keys.len()).finish()
    }
}

/// Whether a bearer token is to be read as one of these: three parts, the first of which begins as JSON does.
pub fn looks_like_jwt(text: &str) -> bool {
    text.starts_with("ey") && text.matches('.').count() == 2
}

impl Provider {
    /// Reads what the site set up.
    pub fn new(set: &access::Jwt, jwks: &[u8]) -> Result<Provider, Unusable> {
        let mut algorithms = Vec::new();
        for name in &set.algorithms {
            let known = Algorithm::of(name);
            algorithms.push(known.ok_or_else(|| {
                Unusable::new("jwt.algorithms", format!("`{name}` is none of {}", Algorithm::names()))
            })?);
        }
        if algorithms.is_empty() {
            return Err(Unusable::new("jwt.algorithms", "none is named"));
        }
        let keys = Key::parse_set(jwks)?;
        Ok(Provider { keys, algorithms, set: set.clone() })
    }

    /// How many keys it has.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Whom a token names, where everything about it holds at that time.
    pub fn verify(&self, token: &str, now_unix_s: i64) -> Result<Named, JwtRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(JwtRefused::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtRefused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtRefused::Malformed)?;
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| JwtRefused::Malformed)?;
        if header.enc.is_some() {
            return Err(JwtRefused::Malformed);
        }
        if header.crit.is_some() {
            return Err(JwtRefused::Critical);
        }
        let algorithm = Algorithm::of(&header.alg).filter(|algorithm| self.algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or(JwtRefused::Algorithm)?;
        let key = self.key(header.kid.as_deref(), algorithm)?;
        let signature = decode(signature)?;
        if !key.verifies(algorithm, signed.as_bytes(), &signature) {
            return Err(JwtRefused::Signature);
        }
        let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| JwtRefused::Malformed)?;
        self.conditions(&claims, now_unix_s)?;
        let groups = match &self.set.groups_claim {
            Some(claim) => groups(claims.get(claim)),
            None => Vec::new(),
        };
        Ok(Named { person: self.person(&claims)?, groups, credential: credential(&claims, signed) })
    }

    /// The key of that name; without a name, the only one that fits.
    fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, JwtRefused> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key.fits(algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id)));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(JwtRefused::Key),
        }
    }

    fn conditions(&self, claims: &Value, now_unix_s: i64) -> Result<(), JwtRefused> {
        if claims.get("iss").and_then(Value::as_str) != Some(self.set.issuer.as_str()) {
            return Err(JwtRefused::Issuer);
        }
        let ours = |audience: &Value| audience.as_str() == Some(self.set.audience.as_str());
        let is_for_us = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(ours),
            Some(audience) => ours(audience),
            None => false,
        };
        if !is_for_us {
            return Err(JwtRefused::Audience);
        }
        let skew_s = i64::from(self.set.skew_s);
        let expires = time(claims, "exp")?.ok_or(JwtRefused::Expired)?;
        if now_unix_s >= expires.saturating_add(skew_s) {
            return Err(JwtRefused::Expired);
        }
        if time(claims, "nbf")?.is_some_and(|from| now_unix_s < from.saturating_sub(skew_s)) {
            return Err(JwtRefused::NotYet);
        }
        let issued = time(claims, "iat")?.ok_or(JwtRefused::Old)?;
        if now_unix_s < issued.saturating_sub(skew_s) {
            return Err(JwtRefused::NotYet);
        }
        let age_s_max = i64::from(self.set.age_s_max).saturating_add(skew_s);
        if now_unix_s.saturating_sub(issued) > age_s_max { Err(JwtRefused::Old) } else { Ok(()) }
    }

    fn person(&self, claims: &Value) -> Result<String, JwtRefused> {
        let name = claims.get(&self.set.person_claim).and_then(Value::as_str).ok_or(JwtRefused::Nobody)?;
        if is_name(name) {
            return Ok(name.to_owned());
        }
        person_of_domain(name, &self.set.domains).ok_or(JwtRefused::Nobody)
    }
}

/// One form of base64url: without padding, and with no bits to spare.
fn decode(part: &str) -> Result<Vec<u8>, JwtRefused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtRefused::Malformed)
}

/// A NumericDate, whole seconds of it; another type is refused.
fn time(claims: &Value, claim: &str) -> Result<Option<i64>, JwtRefused> {
    match claims.get(claim) {
        None => Ok(None),
        Some(value) => {
            let whole = value.as_i64().or_else(|| {
                let number = value.as_f64().filter(|number| number.abs() < 1e15)?;
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "it is in range, and parts of a second do not count"
                )]
                Some(number.floor() as i64)
            });
            whole.map(Some).ok_or(JwtRefused::Malformed)
        }
    }
}

/// Names of groups that can be names here; others grant nothing.
fn groups(claim: Option<&Value>) -> Vec<String> {
    let one = |value: &Value| value.as_str().filter(|name| is_name(name)).map(str::to_owned);
    let mut groups: Vec<String> = match claim {
        Some(Value::Array(names)) => names.iter().take(GROUPS_MAX).filter_map(one).collect(),
        Some(name) => one(name).into_iter().collect(),
        None => Vec::new(),
    };
    groups.sort();
    groups.dedup();
    groups
}

fn credential(claims: &Value, signed: &str) -> String {
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match claims.get("jti").and_then(Value::as_str).filter(is_plain) {
        Some(id) => format!("jwt:{id}"),
        None => format!("jwt:sha256-{}", &hex(&Sha256::digest(signed))[..24]),
    }
}
