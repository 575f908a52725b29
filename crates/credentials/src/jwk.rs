//! An identity provider's keys: a JSON Web Key Set (RFC 7517) on disk. Public, asymmetric keys that sign, and nothing
//! else: a private or a symmetric one in it refuses the whole file.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::Unusable;

/// Bytes of the file.
const BYTES_MAX: usize = 1 << 20;
/// Keys in it.
const KEYS_MAX: usize = 64;
const WHAT: &str = "jwt.jwks";

/// A signature's algorithm, by its name in RFC 7518 and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Es256,
    Es384,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    EdDsa,
}

impl Algorithm {
    /// All there are here. Neither `none` nor any that is symmetric will ever be among them.
    const ALL: [(&'static str, Algorithm); 9] = [
        ("ES256", Algorithm::Es256),
        ("ES384", Algorithm::Es384),
        ("RS256", Algorithm::Rs256),
        ("RS384", Algorithm::Rs384),
        ("RS512", Algorithm::Rs512),
        ("PS256", Algorithm::Ps256),
        ("PS384", Algorithm::Ps384),
        ("PS512", Algorithm::Ps512),
        ("EdDSA", Algorithm::EdDsa),
    ];

    pub(crate) fn of(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    pub(crate) fn names() -> String {
        Algorithm::ALL.map(|(name, _)| name).join(", ")
    }
}

/// The material of a key, by its type.
enum Material {
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

/// A key of the provider's.
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
}

impl Key {
    /// All keys that sign, of a file. Those for encryption, and of types that are not known here, are left out.
    pub(crate) fn parse_set(bytes: &[u8]) -> Result<Vec<Key>, Unusable> {
        let wrong = |why: String| Unusable::new(WHAT, why);
        if bytes.len() > BYTES_MAX {
            return Err(wrong(format!("longer than {BYTES_MAX} bytes")));
        }
        let set: Set =
            serde_json::from_slice(bytes).map_err(|error| wrong(format!("no key set: {error}")))?;
        if set.keys.len() > KEYS_MAX {
            return Err(wrong(format!("more than {KEYS_MAX} keys")));
        }
        let mut keys: Vec<Key> = Vec::new();
        for (number, jwk) in (1..).zip(set.keys) {
            let Some(key) = Key::of(jwk).map_err(|why| wrong(format!("key {number}: {why}")))? else {
                continue;
            };
            if key.id.is_some() && keys.iter().any(|other| other.id == key.id) {
                return Err(wrong(format!("key {number}: its `kid` is another's, too")));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(wrong("no key that signs, of a kind that is known here".to_owned()));
        }
        Ok(keys)
    }

    fn of(jwk: Jwk) -> Result<Option<Key>, &'static str> {
        if jwk.d.is_some() {
            return Err("a private key: whoever reads it can be anybody; have the provider make new ones");
        }
        if jwk.k.is_some() || jwk.kty == "oct" {
            return Err("a symmetric key: whoever checks with it could also sign");
        }
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
            && jwk
                .key_ops
                .as_ref()
                .is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let algorithm = match jwk.alg.as_deref().map(Algorithm::of) {
            // For something else.
            Some(None) => return Ok(None),
            stated => stated.flatten(),
        };
        if !signs {
            return Ok(None);
        }
        let curve = jwk.crv.as_deref().unwrap_or_default();
        let material = match (jwk.kty.as_str(), curve) {
            ("EC", "P-256") => Material::P256(point(&jwk, 32)?),
            ("EC", "P-384") => Material::P384(point(&jwk, 48)?),
            ("OKP", "Ed25519") => Material::Ed25519(field(jwk.x.as_deref(), Some(32))?),
            ("RSA", _) => {
                let modulus = field(jwk.n.as_deref(), None)?;
                if modulus.len() < 256 || modulus.len() > 1024 || modulus.first() == Some(&0) {
                    return Err("an RSA key must have 2048 to 8192 bits");
                }
                Material::Rsa { modulus, exponent: field(jwk.e.as_deref(), None)? }
            }
            _ => return Ok(None),
        };
        Ok(Some(Key { id: jwk.kid, algorithm, material }))
    }

    /// Whether a signature of this algorithm can be this key's: type, curve, and what the key says of itself.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let type_fits = match self.material {
            Material::P256(_) => algorithm == A::Es256,
            Material::P384(_) => algorithm == A::Es384,
            Material::Ed25519(_) => algorithm == A::EdDsa,
            Material::Rsa { .. } => {
                matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512)
            }
        };
        type_fits && self.algorithm.is_none_or(|stated| stated == algorithm)
    }

    /// Whether the signature holds.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let plain = |kind: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(kind, key).verify(message, signature).is_ok()
        };
        match (&self.material, algorithm) {
            (Material::P256(key), Algorithm::Es256) => plain(&signature::ECDSA_P256_SHA256_FIXED, key),
            (Material::P384(key), Algorithm::Es384) => plain(&signature::ECDSA_P384_SHA384_FIXED, key),
            (Material::Ed25519(key), Algorithm::EdDsa) => plain(&signature::ED25519, key),
            (Material::Rsa { modulus, exponent }, algorithm) => {
                let Some(parameters) = rsa(algorithm) else { return false };
                let key = signature::RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(parameters, message, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// A point that is not compressed (SEC 1, 2.3.3).
fn point(jwk: &Jwk, bytes: usize) -> Result<Vec<u8>, &'static str> {
    let mut point = vec![4];
    point.extend(field(jwk.x.as_deref(), Some(bytes))?);
    point.extend(field(jwk.y.as_deref(), Some(bytes))?);
    Ok(point)
}

fn field(text: Option<&str>, bytes: Option<usize>) -> Result<Vec<u8>, &'static str> {
    let text = text.ok_or("a part of the key is missing")?;
    let value = URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part of the key is no base64url")?;
    if value.is_empty() || bytes.is_some_and(|bytes| bytes != value.len()) {
        return Err("a part of the key has the wrong length");
    }
    Ok(value)
}
