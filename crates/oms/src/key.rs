//! Public keys: ECDSA on the curves P-256, P-384 and P-521.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::pem;

/// Where a key lives, which also says how what it signs is hashed: SHA-256, SHA-384 and SHA-512.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

pub(crate) const CURVES: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

impl Curve {
    /// What stands before the point in a SubjectPublicKeyInfo (RFC 5480): there is one way to write it.
    fn prefix(self) -> &'static [u8] {
        match self {
            Curve::P256 => {
                b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
            }
            Curve::P384 => {
                b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00"
            }
            Curve::P521 => {
                b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00"
            }
        }
    }

    /// Its name: the DER of an object identifier.
    fn name(self) -> &'static [u8] {
        match self {
            Curve::P256 => b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
            Curve::P384 => b"\x06\x05\x2b\x81\x04\x00\x22",
            Curve::P521 => b"\x06\x05\x2b\x81\x04\x00\x23",
        }
    }

    /// Bytes of an uncompressed point: a mark and two coordinates.
    fn point_bytes(self) -> usize {
        1 + 2 * match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }
}

/// A public key that signatures of models may be made for.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    curve: Curve,
    /// The SubjectPublicKeyInfo's DER.
    spki: Vec<u8>,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not PEM, or PEM of something else.
    #[error("not a key: {0}")]
    Form(&'static str),
    /// A key on another curve, or of another algorithm.
    #[error(
        "the key is not an elliptic-curve key on P-256, P-384 or P-521 with a named curve and an uncompressed point"
    )]
    Unsupported,
    /// A private key under a passphrase.
    #[error(
        "the private key is encrypted: decrypt it first, in memory or on a disk that is, with `openssl pkey -in KEY -out PLAIN`"
    )]
    Encrypted,
    /// The signer's certificate is of another key.
    #[error(
        "the first certificate of the chain is not of this key: begin the chain with the signer's own certificate"
    )]
    OtherCertificate,
    /// The chain cannot be read.
    #[error("the chain of certificates cannot be used: {0}")]
    Chain(&'static str),
}

impl PublicKey {
    /// Reads a PEM block `PUBLIC KEY`.
    pub fn from_pem(text: &[u8]) -> Result<PublicKey, KeyError> {
        let blocks = pem::blocks(text, pem::PEM_BYTES_MAX).map_err(KeyError::Form)?;
        match blocks.as_slice() {
            [block] if block.label == "PUBLIC KEY" => PublicKey::from_spki(&block.bytes),
            [block] if block.label.contains("PRIVATE") => {
                Err(KeyError::Form("it is a private key, where the public one is asked for"))
            }
            [_] => Err(KeyError::Form("the PEM block is not a `PUBLIC KEY`")),
            _ => Err(KeyError::Form("it holds several PEM blocks, where one `PUBLIC KEY` is asked for")),
        }
    }

    /// Reads a SubjectPublicKeyInfo's DER.
    pub fn from_spki(spki: &[u8]) -> Result<PublicKey, KeyError> {
        for curve in CURVES {
            let Some(point) = spki.strip_prefix(curve.prefix()) else { continue };
            if point.len() != curve.point_bytes() || point.first() != Some(&4) {
                break;
            }
            let key = PublicKey { curve, spki: spki.to_vec() };
            return if key.parsed().is_some() { Ok(key) } else { Err(KeyError::Unsupported) };
        }
        Err(KeyError::Unsupported)
    }

    /// Puts a key together from what tokens give: the curve, as the DER of its name, and an uncompressed point.
    pub fn from_curve_and_point(curve_der: &[u8], point: &[u8]) -> Result<PublicKey, KeyError> {
        let curve =
            CURVES.into_iter().find(|curve| curve.name() == curve_der).ok_or(KeyError::Unsupported)?;
        PublicKey::from_point(curve, point)
    }

    /// The digest of a message that a key on this curve signs: SHA-256, SHA-384 or SHA-512.
    pub fn digest(&self, message: &[u8]) -> Vec<u8> {
        match self.curve {
            Curve::P256 => Sha256::digest(message).to_vec(),
            Curve::P384 => Sha384::digest(message).to_vec(),
            Curve::P521 => Sha512::digest(message).to_vec(),
        }
    }

    pub(crate) fn from_point(curve: Curve, point: &[u8]) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki(&[curve.prefix(), point].concat())
    }

    /// The SubjectPublicKeyInfo's DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The PEM block, as every tool writes it.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki)
    }

    /// SHA-256 of [`to_pem`](Self::to_pem), hexadecimal: what signatures give as the key's hint.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(self.to_pem()))
    }

    /// Whether a DER ECDSA signature over these bytes is of this key.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed().is_some_and(|key| key.verify_sig(message, signature).is_ok())
    }

    fn parsed(&self) -> Option<ParsedPublicKey> {
        let algorithm = match self.curve {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1,
            Curve::P521 => &ECDSA_P521_SHA512_ASN1,
        };
        let point = self.spki.get(self.curve.prefix().len()..)?;
        ParsedPublicKey::new(algorithm, point).ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.curve, self.fingerprint())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 from its one spelling.
pub(crate) fn digest_from_hex(text: &str) -> Option<[u8; 32]> {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(digest)
}
