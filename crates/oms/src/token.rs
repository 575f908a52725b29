//! What is said to a program that signs with a token: one request on its standard input, one answer on its standard
//! output, a line of JSON each. The program is `cloister-pkcs11`; any other that speaks this will do. A token signs two
//! things: statements of models, and the proof in a handshake of TLS 1.3 that a client has the key of its certificate.

use serde::{Deserialize, Serialize};

use crate::json;
use crate::signature::SIGNATURE_BYTES_MAX;

/// The longest request or answer, in bytes: a statement in base64, with room.
pub const MESSAGE_BYTES_MAX: usize = SIGNATURE_BYTES_MAX * 3 / 2;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Request {
    /// The public key.
    PublicKey {},
    /// A signature, over the digest that the key's curve has.
    Sign {
        /// A DSSE pre-authentication encoding: a program signs nothing else.
        #[serde(with = "bytes")]
        pae: Vec<u8>,
    },
    /// A client's signature in a handshake of TLS 1.3.
    Handshake {
        /// How to sign; the certificate says which fits.
        scheme: Scheme,
        /// What RFC 8446, section 4.4.3, has a client sign: a program signs nothing else.
        #[serde(with = "bytes")]
        content: Vec<u8>,
    },
}

/// A signature scheme of TLS 1.3, by its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// ECDSA on P-256.
    EcdsaSecp256r1Sha256,
    /// ECDSA on P-384.
    EcdsaSecp384r1Sha384,
    /// ECDSA on P-521.
    EcdsaSecp521r1Sha512,
    /// RSA, as cards have it.
    RsaPssRsaeSha256,
}

/// Whether bytes are what a client signs in a handshake of TLS 1.3, and nothing that would mean something elsewhere.
pub fn is_client_handshake(content: &[u8]) -> bool {
    let head = [&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0"].concat();
    // The hash of the handshake so far: SHA-256, or SHA-384.
    content.strip_prefix(head.as_slice()).is_some_and(|hash| matches!(hash.len(), 32 | 48))
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Answer {
    /// The public key, PEM.
    PublicKey {
        /// A block `PUBLIC KEY`.
        pem: String,
    },
    /// The signature.
    Signature {
        /// ECDSA's, in DER; RSA's as it is.
        #[serde(with = "bytes")]
        der: Vec<u8>,
    },
    /// Nothing was done.
    Refused {
        /// Words for people.
        why: String,
    },
}

/// Why bytes are no request or answer.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Longer than [`MESSAGE_BYTES_MAX`].
    #[error("a message of {0} bytes is longer than the limit of {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    /// Not one.
    #[error("a message to or from the signing program is malformed")]
    Form(#[from] serde_json::Error),
}

impl Request {
    /// Reads a request.
    pub fn parse(bytes: &[u8]) -> Result<Request, MessageError> {
        parse(bytes)
    }

    /// The line.
    pub fn to_bytes(&self) -> Vec<u8> {
        line(self)
    }
}

impl Answer {
    /// Reads an answer.
    pub fn parse(bytes: &[u8]) -> Result<Answer, MessageError> {
        parse(bytes)
    }

    /// The line.
    pub fn to_bytes(&self) -> Vec<u8> {
        line(self)
    }
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, MessageError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(MessageError::TooLong(bytes.len()));
    }
    Ok(json::from_slice(bytes)?)
}

fn line(message: &impl Serialize) -> Vec<u8> {
    // Strings: nothing of them can fail.
    let mut bytes = serde_json::to_vec(message).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Base64.
mod bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map_err(|_| D::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes() {
        let of = |side: &str, hash: usize| {
            [&[b' '; 64][..], format!("TLS 1.3, {side} CertificateVerify\0").as_bytes(), &vec![7; hash]]
                .concat()
        };
        assert!(is_client_handshake(&of("client", 32)) && is_client_handshake(&of("client", 48)));
        for content in [of("server", 32), of("client", 0), of("client", 33), of("client", 32)[1..].to_vec()] {
            assert!(!is_client_handshake(&content));
        }
    }

    #[test]
    fn there_and_back() {
        for (request, text) in [
            (Request::PublicKey {}, "{\"public_key\":{}}\n"),
            (Request::Sign { pae: vec![1, 2, 3] }, "{\"sign\":{\"pae\":\"AQID\"}}\n"),
            (
                Request::Handshake { scheme: Scheme::RsaPssRsaeSha256, content: vec![0] },
                "{\"handshake\":{\"scheme\":\"rsa_pss_rsae_sha256\",\"content\":\"AA==\"}}\n",
            ),
        ] {
            assert_eq!(String::from_utf8(request.to_bytes()).unwrap(), text);
            assert_eq!(Request::parse(text.as_bytes()).unwrap(), request);
        }
        for answer in [
            Answer::PublicKey { pem: "x\n".to_owned() },
            Answer::Signature { der: vec![0; 70] },
            Answer::Refused { why: "no \"token\"".to_owned() },
        ] {
            assert_eq!(Answer::parse(&answer.to_bytes()).unwrap(), answer);
        }
        for text in ["", "{}", "{\"sign\":{\"pae\":\"*\"}}", "{\"public_key\":{\"x\":1}}", "{\"decrypt\":{}}"]
        {
            assert!(Request::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
