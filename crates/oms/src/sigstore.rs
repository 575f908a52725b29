//! Sigstore's keyless method, verified without a network: a certificate of minutes that an authority gave to whoever
//! logged in at an issuer of identities, and a transparency log's word on when it was used.
//!
//! Follows the client specification of Sigstore for logs of Rekor's first version, whose entries are of the kind
//! `dsse` 0.0.1: all that the reference implementation signs. The authority, the log, and the log of certificates are
//! those of a `trusted_root.json` that an administrator brings. Time stamps beside the entry are passed over: the
//! log's word suffices.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls_pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use webpki::RawPublicKeyEntity;
use webpki::aws_lc_rs::{ECDSA_P256_SHA256, ECDSA_P384_SHA384, ED25519, RSA_PKCS1_2048_8192_SHA256};
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::certificate::Certificate;
use crate::json;
use crate::key::{PublicKey, digest_from_hex, hex};
use crate::manifest::shown;
use crate::pem;
use crate::signature::{CERTIFICATE_BYTES_MAX, CERTIFICATES_MAX};
use crate::trust::{Signer, Trust, Verified, VerifyError};

/// The longest `trusted_root.json`, in bytes: the public one is of 7 KiB.
pub const TRUSTED_ROOT_BYTES_MAX: usize = 1 << 20;
/// Authorities and logs of a trusted root, of each kind, at most.
const SERVICES_MAX: usize = 64;
/// Hashes of an inclusion proof at most: one for each bit of a tree's size.
const HASHES_MAX: usize = 64;

const ROOT_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";
/// Who identified the signer, as a string in DER; and before that, as bare text.
const ISSUER: &str = "1.3.6.1.4.1.57264.1.8";
const ISSUER_BARE: &str = "1.3.6.1.4.1.57264.1.1";
/// The kind of a name that is a user's and no address.
const USER_NAME: &str = "1.3.6.1.4.1.57264.1.7";
/// Time stamps of certificates' logs, as DER has it.
const STAMPS_OID: &[u8] = b"\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02";

/// One signer, of one instance of Sigstore.
#[derive(Clone, Debug)]
pub(crate) struct Keyless {
    pub(crate) name: String,
    identity: String,
    issuer: String,
    authorities: Vec<Fulcio>,
    logs: Vec<LogKey>,
    certificate_logs: Vec<LogKey>,
}

/// An authority: one root, and what is below it.
#[derive(Clone, Debug)]
struct Fulcio {
    root: Trust,
    between: Vec<Vec<u8>>,
    when: Period,
}

#[derive(Clone, Debug)]
struct LogKey {
    id: [u8; 32],
    spki: Vec<u8>,
    when: Period,
}

#[derive(Clone, Copy, Debug)]
struct Period {
    first_unix_s: i64,
    last_unix_s: i64,
}

/// What a bundle holds of the method.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) certificate: Vec<u8>,
    pub(crate) entries: Vec<Value>,
    pub(crate) signed: Vec<u8>,
}

impl Keyless {
    /// Reads a trusted root, which must have at least one authority and one log of each kind.
    pub(crate) fn parse(
        name: &str,
        trusted_root: &[u8],
        identity: &str,
        issuer: &str,
    ) -> Result<Keyless, &'static str> {
        if identity.is_empty() || issuer.is_empty() {
            return Err("whose signatures are believed, and who identifies them, must be said");
        }
        if trusted_root.len() > TRUSTED_ROOT_BYTES_MAX {
            return Err("the trusted root is longer than 1 MiB");
        }
        let root: TrustedRoot =
            json::from_slice(trusted_root).map_err(|_| "the trusted root is malformed JSON")?;
        if !root.media_type.starts_with(ROOT_TYPE) {
            return Err("the file is of another type than Sigstore's trusted roots");
        }
        let counts = [root.tlogs.len(), root.ctlogs.len(), root.certificate_authorities.len()];
        if counts.iter().any(|count| !(1..=SERVICES_MAX).contains(count)) {
            return Err("the trusted root has no authority, log or log of certificates, or too many");
        }
        let authorities = root.certificate_authorities.into_iter().map(Fulcio::read);
        Ok(Keyless {
            name: name.to_owned(),
            identity: identity.to_owned(),
            issuer: issuer.to_owned(),
            authorities: authorities.collect::<Result<_, _>>()?,
            logs: root.tlogs.into_iter().map(LogKey::read).collect::<Result<_, _>>()?,
            certificate_logs: root.ctlogs.into_iter().map(LogKey::read).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a certificate says that it is of this signer.
    fn is_of(&self, certificate: &Certificate<'_>) -> bool {
        identities(certificate).contains(&self.identity)
            && issuer(certificate).is_some_and(|issuer| issuer == self.issuer)
    }

    fn verify(
        &self,
        claim: &Claim,
        signer: &Certificate<'_>,
        payload: &[u8],
        message: &[u8],
    ) -> Result<Verified, &'static str> {
        let [entry] = claim.entries.as_slice() else {
            return Err("it needs exactly one entry of a transparency log");
        };
        let entry: Entry = serde_json::from_value(entry.clone())
            .map_err(|_| "the log's entry is malformed, or without a promise or a proof of inclusion")?;
        if (entry.kind_version.kind.as_str(), entry.kind_version.version.as_str()) != ("dsse", "0.0.1") {
            return Err("the log's entry is of another kind than `dsse` 0.0.1");
        }
        let body = bytes(&entry.canonicalized_body)?;
        let time = self.check_log(&entry, &body)?;
        check_body(&body, claim, payload)?;
        if !signer.signs_code() {
            return Err("the certificate is not for signing code");
        }
        let mut reason = "no authority of the trusted root issued the certificate for that time";
        for authority in self.authorities.iter().filter(|authority| authority.when.holds(time)) {
            let Some((chain, issuer)) = authority.path(signer, time) else { continue };
            if let Err(why) = self.check_stamp(signer, &issuer) {
                reason = why;
                continue;
            }
            let key =
                PublicKey::from_spki(signer.spki()).map_err(|_| "the certificate's key cannot be used")?;
            if !key.signed(message, &claim.signed) {
                return Err("the signature is wrong: what was signed, or the signature, was changed");
            }
            return Ok(Verified {
                signer: Signer::Sigstore {
                    identity: self.identity.clone(),
                    issuer: self.issuer.clone(),
                    signed_unix_s: time,
                    chain,
                },
                root: self.name.clone(),
            });
        }
        Err(reason)
    }

    /// Whether a log promised and proved that it holds this body. Returns when it took it.
    fn check_log(&self, entry: &Entry, body: &[u8]) -> Result<i64, &'static str> {
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        let malformed = "a number of the log's entry is malformed";
        let time = number(&entry.integrated_time).ok_or(malformed)?;
        let index = number(&entry.log_index).ok_or(malformed)?;
        let id = digest(&entry.log_id.key_id)?;
        let log = self.logs.iter().find(|log| log.id == id && log.when.holds(time));
        let log =
            log.ok_or("the entry is of no log of the trusted root, or of a time at which it was none")?;
        // The canonical JSON of what is promised: keys in order, no spaces.
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{time},"logID":"{}","logIndex":{index}}}"#,
            BASE64.encode(body),
            hex(&id)
        );
        let promise = bytes(&entry.inclusion_promise.signed_entry_timestamp)?;
        if !log.signed(promised.as_bytes(), &promise) {
            return Err("the log's promise of inclusion is not signed by it");
        }
        let proof = &entry.inclusion_proof;
        let (root, size) = checkpoint(&proof.checkpoint.envelope, log)?;
        if digest(&proof.root_hash)? != root || number(&proof.tree_size).ok_or(malformed)? != size {
            return Err("the proof of inclusion is of another tree than the log's checkpoint");
        }
        if proof.hashes.len() > HASHES_MAX {
            return Err("the proof of inclusion has too many hashes");
        }
        let hashes = proof.hashes.iter().map(|hash| digest(hash)).collect::<Result<Vec<_>, _>>()?;
        let place = number(&proof.log_index).ok_or(malformed)?;
        tlog::proof::verify_inclusion(
            place.unsigned_abs(),
            size.unsigned_abs(),
            &tlog::leaf_hash(body),
            &root,
            &hashes,
        )
        .map_err(|_| "the log's tree does not hold the entry")?;
        Ok(time)
    }

    /// Whether a log of certificates has seen this one, as it was before the log's stamp was put in (RFC 6962,
    /// section 3.2).
    fn check_stamp(&self, signer: &Certificate<'_>, issuer: &Certificate<'_>) -> Result<(), &'static str> {
        let stamps =
            signer.inner().iter_extensions().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SCT(stamps) => Some(stamps.as_slice()),
                _ => None,
            });
        let Some([stamp]) = stamps else {
            return Err("the certificate needs exactly one stamp of a log of certificates");
        };
        // Version 1, SHA-256.
        if stamp.version.0 != 0 || stamp.signature.hash_alg_id != 4 {
            return Err("the stamp of the log of certificates is of another version or hash");
        }
        let time = i64::try_from(stamp.timestamp / 1000).map_err(|_| "the stamp's time is malformed")?;
        let log = self
            .certificate_logs
            .iter()
            .find(|log| log.id == *stamp.id.key_id && log.when.holds(time))
            .ok_or("the stamp is of no log of certificates of the trusted root")?;
        let before = without_stamps(signer.inner().tbs_certificate.as_ref())
            .ok_or("the certificate without its stamp cannot be put together")?;
        let length = u32::try_from(before.len()).map_err(|_| "the certificate is too long")?.to_be_bytes();
        let extensions = stamp.extensions.0;
        let extensions_length = u16::try_from(extensions.len()).map_err(|_| "the stamp is too long")?;
        // Version 1, of a certificate; the time; of one that was not complete; who issued it; and what it is.
        let message = [
            &[0, 0],
            &stamp.timestamp.to_be_bytes()[..],
            &[0, 1],
            &Sha256::digest(issuer.spki()),
            &length[1..],
            &before,
            &extensions_length.to_be_bytes(),
            extensions,
        ]
        .concat();
        if log.signed(&message, stamp.signature.data) {
            Ok(())
        } else {
            Err("the stamp of the log of certificates is not signed by it")
        }
    }
}

/// Finds which of these believes a claim.
pub(crate) fn verify(
    roots: &[Keyless],
    claim: &Claim,
    payload: &[u8],
    message: &[u8],
) -> Result<Verified, VerifyError> {
    let signer =
        Certificate::parse(&claim.certificate).map_err(|why| VerifyError::Malformed { number: 1, why })?;
    let mut reason = None;
    for root in roots.iter().filter(|root| root.is_of(&signer)) {
        match root.verify(claim, &signer, payload, message) {
            Ok(verified) => return Ok(verified),
            Err(why) => drop(reason.get_or_insert(why)),
        }
    }
    Err(match reason {
        Some(why) => VerifyError::Keyless(why),
        None => VerifyError::UnknownIdentity {
            identity: shown(&identities(&signer).join(", ")),
            issuer: shown(&issuer(&signer).unwrap_or_default()),
        },
    })
}

impl Fulcio {
    fn read(authority: CertificateAuthority) -> Result<Fulcio, &'static str> {
        let mut ders = Vec::new();
        if authority.cert_chain.certificates.len() > CERTIFICATES_MAX {
            return Err("an authority's chain has more than 10 certificates");
        }
        for certificate in &authority.cert_chain.certificates {
            let der = bytes(&certificate.raw_bytes)?;
            if der.len() > CERTIFICATE_BYTES_MAX {
                return Err("an authority's certificate is longer than 64 KiB");
            }
            Certificate::parse(&der)?;
            ders.push(der);
        }
        let root_der = ders.pop().ok_or("an authority has no certificate")?;
        let mut root = Trust::new();
        root.add_authority("root", pem::encode("CERTIFICATE", &root_der).as_bytes())
            .map_err(|_| "an authority's root is not the certificate of an authority")?;
        ders.push(root_der);
        Ok(Fulcio { root, between: ders, when: Period::read(authority.valid_for.as_ref())? })
    }

    /// The path of a signer at a time, as digests, and its issuer.
    fn path(&self, signer: &Certificate<'_>, time: i64) -> Option<(Vec<[u8; 32]>, Certificate<'_>)> {
        let parsed = || self.between.iter().filter_map(|der| Certificate::parse(der).ok());
        let between: Vec<_> = parsed().collect();
        let chain = self.root.path_digests(signer, &between, u64::try_from(time).ok()?).ok()?;
        let above = chain.get(1)?;
        let issuer =
            parsed().find(|certificate| <[u8; 32]>::from(Sha256::digest(certificate.der())) == *above)?;
        Some((chain, issuer))
    }
}

impl LogKey {
    /// A key of a kind that is not known is one that nothing verifies under: old logs' are.
    fn read(log: Log) -> Result<LogKey, &'static str> {
        Ok(LogKey {
            id: digest(&log.log_id.key_id)?,
            spki: bytes(&log.public_key.raw_bytes)?,
            when: Period::read(log.public_key.valid_for.as_ref())?,
        })
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 4] =
            [ECDSA_P256_SHA256, ECDSA_P384_SHA384, ED25519, RSA_PKCS1_2048_8192_SHA256];
        let spki = SubjectPublicKeyInfoDer::from(self.spki.as_slice());
        let Ok(key) = RawPublicKeyEntity::try_from(&spki) else { return false };
        ALGORITHMS.iter().any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
    }
}

impl Period {
    fn read(period: Option<&ValidFor>) -> Result<Period, &'static str> {
        let time = |text: &Option<String>, otherwise| match text {
            None => Ok(otherwise),
            Some(text) => unix_s(text).ok_or("a time of the trusted root is malformed"),
        };
        let Some(period) = period else { return Err("a period of the trusted root is missing") };
        Ok(Period { first_unix_s: time(&period.start, 0)?, last_unix_s: time(&period.end, i64::MAX)? })
    }

    fn holds(self, time_unix_s: i64) -> bool {
        (self.first_unix_s..=self.last_unix_s).contains(&time_unix_s)
    }
}

/// Whether an entry's body is of this envelope and this certificate. Its digest of the envelope is of a JSON that
/// nobody has any more.
fn check_body(body: &[u8], claim: &Claim, payload: &[u8]) -> Result<(), &'static str> {
    let body: Body = json::from_slice(body).map_err(|_| "the log's entry has a malformed body")?;
    let Body { api_version, kind, spec } = body;
    if (kind.as_str(), api_version.as_str()) != ("dsse", "0.0.1") || spec.payload_hash.algorithm != "sha256" {
        return Err("the body of the log's entry is of another kind than `dsse` 0.0.1");
    }
    if digest_from_hex(&spec.payload_hash.value) != Some(Sha256::digest(payload).into()) {
        return Err("the log's entry is of another statement");
    }
    let [BodySignature { signature, verifier }] = spec.signatures.as_slice() else {
        return Err("the log's entry needs exactly one signature");
    };
    if bytes(signature)? != claim.signed {
        return Err("the log's entry is of another signature");
    }
    let blocks = pem::blocks(&bytes(verifier)?, pem::PEM_BYTES_MAX)?;
    match blocks.as_slice() {
        [block] if block.label == "CERTIFICATE" && *block.bytes == claim.certificate => Ok(()),
        _ => Err("the log's entry is of another certificate"),
    }
}

/// Root and size of a tree, as its log signed them: a note of which the first three lines are the log's name, the size
/// and the root.
fn checkpoint(note: &str, log: &LogKey) -> Result<([u8; 32], i64), &'static str> {
    let malformed = "the log's checkpoint is malformed";
    let split = note.rfind("\n\n").ok_or(malformed)?;
    let (text, lines) = (&note[..=split], &note[split + 2..]);
    let signed = lines.lines().any(|line| {
        let line = line.strip_prefix("— ").and_then(|line| line.split_once(' '));
        let Some(Ok(bytes)) = line.map(|(_, encoded)| BASE64.decode(encoded)) else { return false };
        let Some((key, signature)) = bytes.split_first_chunk::<4>() else { return false };
        log.id.starts_with(key) && log.signed(text.as_bytes(), signature)
    });
    if !signed {
        return Err("the log's checkpoint is not signed by it");
    }
    let mut lines = text.lines().skip(1);
    let size =
        lines.next().and_then(|size| size.parse().ok()).filter(|size: &i64| *size > 0).ok_or(malformed)?;
    Ok((digest(lines.next().ok_or(malformed)?)?, size))
}

/// Addresses and names that a certificate is of.
fn identities(certificate: &Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.inner().subject_alternative_name() else { return Vec::new() };
    let identity = |name: &GeneralName<'_>| match name {
        GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        GeneralName::OtherName(kind, value) if kind.to_id_string() == USER_NAME => {
            let (0xa0, inner, []) = element(value)? else { return None };
            utf8_string(inner)
        }
        _ => None,
    };
    extension.value.general_names.iter().filter_map(identity).collect()
}

/// Who identified the signer. A certificate that says it twice must say the same.
fn issuer(certificate: &Certificate<'_>) -> Option<String> {
    let mut found: Option<String> = None;
    for extension in certificate.inner().iter_extensions() {
        let text = match extension.oid.to_id_string().as_str() {
            ISSUER => utf8_string(extension.value)?,
            ISSUER_BARE => String::from_utf8(extension.value.to_vec()).ok()?,
            _ => continue,
        };
        if found.as_ref().is_some_and(|found| *found != text) {
            return None;
        }
        found = Some(text);
    }
    found
}

fn utf8_string(der: &[u8]) -> Option<String> {
    let (0x0c, text, []) = element(der)? else { return None };
    String::from_utf8(text.to_vec()).ok()
}

/// A certificate's signed part without the extension for stamps, in DER.
fn without_stamps(signed_part: &[u8]) -> Option<Vec<u8>> {
    let (0x30, mut fields, []) = element(signed_part)? else { return None };
    let mut kept = Vec::new();
    while !fields.is_empty() {
        let (tag, content, rest) = element(fields)?;
        let whole = fields.get(..fields.len() - rest.len())?;
        fields = rest;
        if tag != 0xa3 {
            kept.extend_from_slice(whole);
            continue;
        }
        let (0x30, mut extensions, []) = element(content)? else { return None };
        let mut others = Vec::new();
        while !extensions.is_empty() {
            let (_, content, rest) = element(extensions)?;
            if !content.starts_with(STAMPS_OID) {
                others.extend_from_slice(extensions.get(..extensions.len() - rest.len())?);
            }
            extensions = rest;
        }
        kept.extend(wrapped(0xa3, &wrapped(0x30, &others)));
    }
    Some(wrapped(0x30, &kept))
}

/// The first element of DER: its tag, its content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let from = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = &length[from..];
    let mut der = vec![tag];
    if content.len() >= 0x80 {
        // Eight bytes at most.
        der.push(0x80 | length.len().to_le_bytes()[0]);
    }
    der.extend_from_slice(length);
    der.extend_from_slice(content);
    der
}

/// Seconds since 1970 of a time as RFC 3339 has it, in UTC. Parts of seconds are passed over.
fn unix_s(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let numbers = |text: &str, separator, lengths: [usize; 3]| {
        let mut numbers = [0; 3];
        let mut parts = text.split(separator);
        for (number, length) in numbers.iter_mut().zip(lengths) {
            let part = parts.next().filter(|part| part.len() == length)?;
            *number = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok())??;
        }
        parts.next().is_none().then_some(numbers)
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if !(1970..).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years that begin in March end with the day that leap years add.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn bytes(encoded: &str) -> Result<Vec<u8>, &'static str> {
    BASE64.decode(encoded).map_err(|_| "something that should be base64 is not")
}

fn digest(encoded: &str) -> Result<[u8; 32], &'static str> {
    bytes(encoded)?.try_into().map_err(|_| "a digest is not of 32 bytes")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrustedRoot {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<Log>,
    #[serde(default)]
    certificate_authorities: Vec<CertificateAuthority>,
    #[serde(default)]
    ctlogs: Vec<Log>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    public_key: LogPublicKey,
    log_id: LogId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogPublicKey {
    raw_bytes: String,
    valid_for: Option<ValidFor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateAuthority {
    cert_chain: CertificateChain,
    valid_for: Option<ValidFor>,
}

#[derive(Deserialize)]
struct CertificateChain {
    certificates: Vec<RawCertificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCertificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
struct ValidFor {
    start: Option<String>,
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    log_index: String,
    log_id: LogId,
    kind_version: KindVersion,
    integrated_time: String,
    inclusion_promise: Promise,
    inclusion_proof: Proof,
    canonicalized_body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindVersion {
    kind: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Proof {
    log_index: String,
    root_hash: String,
    tree_size: String,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: Checkpoint,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint {
    envelope: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    api_version: String,
    kind: String,
    spec: BodySpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BodySpec {
    payload_hash: BodyHash,
    signatures: Vec<BodySignature>,
}

#[derive(Deserialize)]
struct BodyHash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
struct BodySignature {
    signature: String,
    verifier: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2021-01-12T11:53:27Z", Some(1_610_452_407)),
            ("2021-01-12T11:53:27.000Z", Some(1_610_452_407)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2024-03-01T00:00:00Z", Some(1_709_251_200)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("2021-01-12T11:53:27+01:00", None),
            ("2021-13-12T11:53:27Z", None),
            ("2021-1-12T11:53:27Z", None),
            ("2021-01-12", None),
            ("+021-01-12T11:53:27Z", None),
            ("", None),
        ] {
            assert_eq!(unix_s(text), expected, "{text}");
        }
    }

    #[test]
    fn elements() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let mut der = wrapped(0x30, &content);
            assert_eq!(element(&der), Some((0x30, content.as_slice(), &[][..])));
            der.push(9);
            assert_eq!(element(&der), Some((0x30, content.as_slice(), &[9][..])));
            assert_eq!(element(&der[..der.len() - 2]), None);
        }
    }
}
