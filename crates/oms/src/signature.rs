//! A Sigstore bundle (v0.3) with a DSSE envelope, read and written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::json;
use crate::key::PublicKey;
use crate::manifest::{Manifest, ManifestError, shown};
use crate::sigstore::Claim;
use crate::trust::{Trust, Verified, VerifyError};

/// The longest signature, in bytes.
pub const SIGNATURE_BYTES_MAX: usize = 32 << 20;
/// Certificates of a chain at most.
pub const CERTIFICATES_MAX: usize = 10;
/// The longest certificate, in bytes.
pub(crate) const CERTIFICATE_BYTES_MAX: usize = 64 << 10;
/// The longest ECDSA signature, in bytes: P-521's are 139.
const SIGNED_BYTES_MAX: usize = 160;
/// The longest key hint, in bytes.
const HINT_BYTES_MAX: usize = 256;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A signature as it was found: nothing of it is believed before [`verify`](Self::verify).
#[derive(Clone, Debug)]
pub struct Signature {
    manifest: Manifest,
    payload: Vec<u8>,
    by: By,
}

/// Who signed, as the bundle says, with the signature's DER where it is one that can be verified.
#[derive(Clone, Debug)]
enum By {
    Key { hint: Option<String>, signed: Vec<u8> },
    Certificates { chain: Vec<Vec<u8>>, signed: Vec<u8> },
    Sigstore(Claim),
    Nobody,
}

/// How a signature was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// With a key that the verifier knows.
    Key {
        /// Which, as the signature says: [`PublicKey::fingerprint`]. Signatures made before version 1.1 of the reference
        /// implementation have none.
        hint: Option<String>,
    },
    /// With a key that a certificate is for, whose chain is with it.
    Certificate,
    /// With a certificate of minutes, and a transparency log's word on when.
    Sigstore,
    /// Nobody signed: [`unsigned`](crate::unsigned).
    None,
}

/// Why bytes are no signature.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`SIGNATURE_BYTES_MAX`].
    #[error("a signature of {0} bytes is longer than the limit of {SIGNATURE_BYTES_MAX}")]
    TooLong(usize),
    /// Not JSON, or not with the fields that it must have.
    #[error("{what} is malformed")]
    Json {
        /// The bundle, or the statement in it.
        what: &'static str,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// Another type of something.
    #[error("the {what}'s type is `{found}`, and only `{expected}` is read")]
    Type {
        /// Of what.
        what: &'static str,
        /// As it says.
        found: String,
        /// As it should.
        expected: &'static str,
    },
    /// Of the 0.2 series of model signing.
    #[error(
        "a signature of the 0.2 series of model signing, which does not say how files were hashed: have the model signed again"
    )]
    Old,
    /// Not of a kind that is read.
    #[error("the bundle is refused: {0}")]
    Bundle(&'static str),
    /// More than one subject, or none.
    #[error("the statement has {0} subjects, and exactly one is read")]
    Subjects(usize),
    /// Another digest than SHA-256.
    #[error("digests by `{0}`: only `sha256` is read; have the model signed with that")]
    Hash(String),
    /// A digest is malformed.
    #[error("the digest of `{0}` is not 64 lower-case hexadecimal digits")]
    Digest(String),
    /// The parameters of the serialization.
    #[error("the statement's serialization is refused: {0}")]
    Serialization(&'static str),
    /// The statement contradicts itself.
    #[error("the statement's root digest is `{stated}`, and its resources make {computed}")]
    Root {
        /// What it says.
        stated: String,
        /// What it should.
        computed: String,
    },
    /// What is signed could not be a model's files.
    #[error("the manifest is refused")]
    Manifest(#[from] ManifestError),
}

impl Signature {
    /// Reads a bundle. What it says of who signed is not believed yet.
    pub fn parse(bytes: &[u8]) -> Result<Signature, ParseError> {
        if bytes.len() > SIGNATURE_BYTES_MAX {
            return Err(ParseError::TooLong(bytes.len()));
        }
        let bundle: Bundle =
            json::from_slice(bytes).map_err(|source| ParseError::Json { what: "the bundle", source })?;
        let expected = |what, found: &str, expected: &'static str| {
            if found == expected {
                return Ok(());
            }
            Err(ParseError::Type { what, found: shown(found), expected })
        };
        expected("bundle", &bundle.media_type, MEDIA_TYPE)?;
        if bundle.message_signature.is_some() {
            return Err(ParseError::Bundle("it holds a signature of a message, where an envelope is read"));
        }
        let envelope = bundle.dsse_envelope.ok_or(ParseError::Bundle("it holds no envelope"))?;
        expected("payload", &envelope.payload_type, PAYLOAD_TYPE)?;
        let payload = decoded(&envelope.payload, "its payload is not base64")?;
        let by = by(bundle.verification_material, envelope.signatures)?;
        Ok(Signature { manifest: Manifest::parse_statement(&payload)?, payload, by })
    }

    /// What was signed, if it was.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the envelope's payload: of all that is signed, names too.
    pub fn statement_digest(&self) -> [u8; 32] {
        Sha256::digest(&self.payload).into()
    }

    /// How it was signed, as it says.
    pub fn method(&self) -> Method {
        match &self.by {
            By::Key { hint, .. } => Method::Key { hint: hint.clone() },
            By::Certificates { .. } => Method::Certificate,
            By::Sigstore(_) => Method::Sigstore,
            By::Nobody => Method::None,
        }
    }

    /// Finds who signed it, by which root. `now_unix_s` is the time in seconds since 1970 at which certificates
    /// and CRLs must be valid.
    pub fn verify(&self, trust: &Trust, now_unix_s: u64) -> Result<Verified, VerifyError> {
        let message = pae(&self.payload);
        match &self.by {
            By::Key { hint, signed } => trust.verify_key(hint.as_deref(), &message, signed),
            By::Certificates { chain, signed } => trust.verify_chain(chain, now_unix_s, &message, signed),
            By::Sigstore(claim) => trust.verify_keyless(claim, &self.payload, &message),
            By::Nobody => Err(VerifyError::Unsigned),
        }
    }
}

fn by(material: VerificationMaterial, mut signatures: Vec<EnvelopeSignature>) -> Result<By, ParseError> {
    let VerificationMaterial { public_key, x509_certificate_chain, certificate, tlog_entries, .. } = material;
    let kinds = [public_key.is_some(), x509_certificate_chain.is_some(), certificate.is_some()];
    if kinds.iter().filter(|there| **there).count() > 1 {
        return Err(ParseError::Bundle("it names a signer in several ways"));
    }
    let signature = signatures.pop();
    if !signatures.is_empty() {
        return Err(ParseError::Bundle("it holds several signatures"));
    }
    let signed = match &signature {
        None => Vec::new(),
        Some(EnvelopeSignature { sig, .. }) => decoded(sig, "its signature is not base64")?,
    };
    if signature.is_some() && !(1..=SIGNED_BYTES_MAX).contains(&signed.len()) {
        return Err(ParseError::Bundle("its signature is empty or longer than one of ECDSA"));
    }
    match (signature, public_key, x509_certificate_chain, certificate) {
        (None, None, None, None) => Ok(By::Nobody),
        (None, ..) => Err(ParseError::Bundle("it names a signer, and holds no signature")),
        (Some(_), Some(key), ..) => {
            // Older writers put the key itself there: it proves nothing, and is not looked at.
            let hint = key.hint.filter(|hint| !hint.is_empty());
            if hint.as_ref().is_some_and(|hint| hint.len() > HINT_BYTES_MAX) {
                return Err(ParseError::Bundle("its key hint is too long"));
            }
            Ok(By::Key { hint, signed })
        }
        (Some(_), _, Some(chain), _) => {
            if !(1..=CERTIFICATES_MAX).contains(&chain.certificates.len()) {
                return Err(ParseError::Bundle("its chain has no certificate, or more than 10"));
            }
            let mut ders = Vec::new();
            for certificate in chain.certificates {
                let der = decoded(&certificate.raw_bytes, "a certificate is not base64")?;
                if der.len() > CERTIFICATE_BYTES_MAX {
                    return Err(ParseError::Bundle("a certificate is longer than 64 KiB"));
                }
                ders.push(der);
            }
            Ok(By::Certificates { chain: ders, signed })
        }
        (Some(_), _, _, Some(certificate)) => {
            let certificate = decoded(&certificate.raw_bytes, "its certificate is not base64")?;
            if certificate.len() > CERTIFICATE_BYTES_MAX {
                return Err(ParseError::Bundle("its certificate is longer than 64 KiB"));
            }
            Ok(By::Sigstore(Claim { certificate, entries: tlog_entries.unwrap_or_default(), signed }))
        }
        (Some(_), None, None, None) => Err(ParseError::Bundle("it holds a signature, and names no signer")),
    }
}

fn decoded(encoded: &str, otherwise: &'static str) -> Result<Vec<u8>, ParseError> {
    BASE64.decode(encoded).map_err(|_| ParseError::Bundle(otherwise))
}

/// What is signed of a payload: DSSE's pre-authentication encoding.
pub(crate) fn pae(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Whether bytes are what is signed of a statement, which is all that a key for models should sign. Says nothing of
/// what the statement is.
pub fn is_pae(bytes: &[u8]) -> bool {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} ", PAYLOAD_TYPE.len());
    let Some(rest) = bytes.strip_prefix(head.as_bytes()) else { return false };
    let Some(at) = rest.iter().position(|byte| *byte == b' ') else { return false };
    let (length, payload) = (&rest[..at], &rest[at + 1..]);
    payload.len().to_string().as_bytes() == length
}

/// A signature's DER, and how verifiers will know who made it.
pub(crate) struct Signed<'s> {
    pub(crate) key: &'s PublicKey,
    /// Empty for the method of keys.
    pub(crate) chain: &'s [Vec<u8>],
    pub(crate) signature: &'s [u8],
}

/// Writes a bundle. Without a signature, it is one of nobody's.
pub(crate) fn bundle(payload: &[u8], signed: Option<&Signed<'_>>) -> Vec<u8> {
    let mut material =
        VerificationMaterial { tlog_entries: Some(Vec::new()), ..VerificationMaterial::default() };
    let mut signatures = Vec::new();
    if let Some(Signed { key, chain, signature }) = signed {
        if chain.is_empty() {
            material.public_key = Some(KeyIdentifier { hint: Some(key.fingerprint()), ..Default::default() });
        } else {
            let certificates =
                chain.iter().map(|der| Certificate { raw_bytes: BASE64.encode(der) }).collect();
            material.x509_certificate_chain = Some(Chain { certificates });
        }
        signatures.push(EnvelopeSignature { sig: BASE64.encode(signature), keyid: Some(String::new()) });
    }
    let bundle = Bundle {
        media_type: MEDIA_TYPE.to_owned(),
        verification_material: material,
        dsse_envelope: Some(Envelope {
            payload: BASE64.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures,
        }),
        message_signature: None,
    };
    // Strings and lists: nothing of them can fail.
    let mut bytes = serde_json::to_vec(&bundle).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Bundle {
    media_type: String,
    verification_material: VerificationMaterial,
    dsse_envelope: Option<Envelope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_signature: Option<Value>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct VerificationMaterial {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<KeyIdentifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<Chain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlog_entries: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Value>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct KeyIdentifier {
    hint: Option<String>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "older writers' field, passed over")]
    raw_bytes: Option<String>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "older writers' field, passed over")]
    key_details: Option<Value>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Certificate {
    raw_bytes: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Envelope {
    pub(crate) payload: String,
    pub(crate) payload_type: String,
    pub(crate) signatures: Vec<EnvelopeSignature>,
}

/// `keyid` means nothing here: the specification lets it be anything.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvelopeSignature {
    pub(crate) sig: String,
    pub(crate) keyid: Option<String>,
}
