//! Certificates of clients: a path to an authority of the site's, made for this use, in its time, and revoked by no
//! list, where the lists are fresh.
//!
//! The path is built by rustls-webpki. Three things are stricter here than in a browser's server: the extended usage
//! `clientAuth` must be there, not only not be contradicted; every certificate of the path must be covered by a list of
//! its issuer's; and a list that is older than its policy allows counts as none.

use std::sync::Arc;
use std::time::Duration;

use protocol::access;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use serde::Serialize;
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
    anchor_from_trusted_cert,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use crate::certificate::{authenticates_clients, names};
use crate::{Mapping, Names, Refused, Unusable};

/// Authorities.
const AUTHORITIES_MAX: usize = 256;
/// Certificates that a client may send.
const CHAIN_MAX: usize = 8;
/// Bytes of one of them.
const CERTIFICATE_BYTES_MAX: usize = 64 << 10;
/// Lists of revoked certificates.
const CRLS_MAX: usize = 256;
/// By so much the clock of whoever makes lists may be ahead.
const SKEW_S: i64 = 300;
const DAY_S: i64 = 86_400;

/// What is asked of clients' certificates, and whom they name.
pub struct Clients {
    anchors: Vec<TrustAnchor<'static>>,
    hints: Vec<DistinguishedName>,
    /// `None` where revocation is not looked at.
    crls: Option<Vec<Crl>>,
    grace_s: i64,
    mapping: Mapping,
    required: bool,
    provider: Arc<CryptoProvider>,
}

struct Crl {
    list: CertRevocationList<'static>,
    view: CrlView,
}

/// A list of revoked certificates, for whoever asks how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CrlView {
    /// Its issuer's name.
    pub issuer: String,
    /// When it was made.
    pub this_update_unix_s: i64,
    /// When its successor is due.
    pub next_update_unix_s: i64,
    /// How many it revokes.
    pub revoked: usize,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients")
            .field("authorities", &self.anchors.len())
            .field("crls", &self.crls.as_ref().map(Vec::len))
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

impl Clients {
    /// Reads what the site set up.
    pub fn new(
        set: &access::Clients,
        files: &access::Files,
        provider: Arc<CryptoProvider>,
    ) -> Result<Clients, Unusable> {
        let (anchors, hints) = authorities(&files.client_ca)?;
        let crls = match set.revocation {
            true => Some(lists(&files.crls)?),
            false => None,
        };
        let mapping = Mapping::parse(&files.mapping, &set.domains)?;
        let grace_s = i64::from(set.grace_days) * DAY_S;
        Ok(Clients { anchors, hints, crls, grace_s, mapping, required: set.required, provider })
    }

    /// The lists, where revocation is looked at.
    pub fn crls(&self) -> Vec<CrlView> {
        self.crls.iter().flatten().map(|crl| crl.view.clone()).collect()
    }

    /// What is to be said about the lists at that time: those that are late, and those that are believed no more.
    pub fn warnings(&self, now_unix_s: i64) -> Vec<String> {
        let mut warnings = Vec::new();
        for CrlView { issuer, next_update_unix_s, .. } in self.crls() {
            let late_s = now_unix_s.saturating_sub(next_update_unix_s);
            let (days, left) = (late_s / DAY_S, (self.grace_s.saturating_sub(late_s)) / DAY_S);
            if late_s > self.grace_s {
                warnings.push(format!(
                    "the list of revoked certificates of {issuer} is stale by {days} days: its certificates let nobody in"
                ));
            } else if late_s > 0 {
                warnings.push(format!(
                    "the list of revoked certificates of {issuer} is late by {days} days: believed for {left} more"
                ));
            }
        }
        warnings
    }

    /// Whether a client's chain, its own certificate first, is to be believed now; and whom it names.
    pub fn login(
        &self,
        chain: &[CertificateDer<'_>],
        now_unix_s: i64,
    ) -> Result<(Names, Result<String, Refused>), Refused> {
        let (end_entity, intermediates) = chain.split_first().ok_or(Refused::Absent)?;
        self.verify(end_entity, intermediates, now_unix_s)?;
        let names = names(end_entity)?;
        let person = self.mapping.person(&names);
        Ok((names, person))
    }

    /// Whether a certificate is to be believed at that time.
    pub fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now_unix_s: i64,
    ) -> Result<(), Refused> {
        let is_long = |der: &CertificateDer<'_>| der.len() > CERTIFICATE_BYTES_MAX;
        if intermediates.len() >= CHAIN_MAX || is_long(end_entity) || intermediates.iter().any(is_long) {
            return Err(Refused::Malformed);
        }
        let certificate = EndEntityCert::try_from(end_entity).map_err(|error| refused(&error))?;
        let Some(crls) = &self.crls else {
            self.path(&certificate, intermediates, now_unix_s, None)?;
            return self.usage(end_entity);
        };
        // All lists, whatever their age, say who is revoked; the fresh ones must cover everything too.
        let all: Vec<&CertRevocationList<'_>> = crls.iter().map(|crl| &crl.list).collect();
        self.path(&certificate, intermediates, now_unix_s, Some(&all))?;
        self.usage(end_entity)?;
        let fresh = |crl: &&Crl| {
            let late_s = now_unix_s.saturating_sub(crl.view.next_update_unix_s);
            late_s <= self.grace_s && crl.view.this_update_unix_s <= now_unix_s.saturating_add(SKEW_S)
        };
        let fresh: Vec<&CertRevocationList<'_>> = crls.iter().filter(fresh).map(|crl| &crl.list).collect();
        if fresh.len() == all.len() {
            return Ok(());
        }
        self.path(&certificate, intermediates, now_unix_s, Some(&fresh)).map_err(|error| match error {
            Refused::CrlMissing => Refused::CrlStale,
            other => other,
        })
    }

    fn usage(&self, end_entity: &CertificateDer<'_>) -> Result<(), Refused> {
        if authenticates_clients(end_entity)? { Ok(()) } else { Err(Refused::Usage) }
    }

    fn path(
        &self,
        certificate: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        now_unix_s: i64,
        crls: Option<&[&CertRevocationList<'_>]>,
    ) -> Result<(), Refused> {
        let revocation = match crls {
            None => None,
            Some(crls) => {
                let options = RevocationOptionsBuilder::new(crls).map_err(|_| Refused::CrlMissing)?;
                let options = options
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_status_policy(UnknownStatusPolicy::Deny)
                    // Freshness is looked at by the site's own policy.
                    .with_expiration_policy(ExpirationPolicy::Ignore);
                Some(options.build())
            }
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now_unix_s).unwrap_or(0)));
        // For authorities above, too, where they state any; the client's own must state it.
        let usage = KeyUsage::client_auth();
        let algorithms = ALL_VERIFICATION_ALGS;
        certificate
            .verify_for_usage(algorithms, &self.anchors, intermediates, now, usage, revocation, None)
            .map(|_| ())
            .map_err(|error| refused(&error))
    }
}

fn refused(error: &webpki::Error) -> Refused {
    use webpki::Error;
    match error {
        Error::UnknownIssuer => Refused::Issuer,
        Error::CertExpired { .. } => Refused::Expired,
        Error::CertNotValidYet { .. } => Refused::NotYet,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => Refused::Usage,
        Error::CertRevoked => Refused::Revoked,
        Error::UnknownRevocationStatus => Refused::CrlMissing,
        Error::CrlExpired { .. } => Refused::CrlStale,
        Error::InvalidCrlSignatureForPublicKey | Error::IssuerNotCrlSigner => Refused::CrlInvalid,
        Error::InvalidSignatureForPublicKey
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Refused::Signature,
        Error::BadDer | Error::BadDerTime | Error::MalformedExtensions | Error::TrailingData(_) => {
            Refused::Malformed
        }
        _ => Refused::Path,
    }
}

fn authorities(pem: &[u8]) -> Result<(Vec<TrustAnchor<'static>>, Vec<DistinguishedName>), Unusable> {
    const WHAT: &str = "tls.client_ca";
    let (mut anchors, mut hints) = (Vec::new(), Vec::new());
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|error| Unusable::new(WHAT, error.to_string()))?;
        let anchor =
            anchor_from_trusted_cert(&der).map_err(|error| Unusable::new(WHAT, error.to_string()))?;
        hints.push(DistinguishedName::in_sequence(&anchor.subject));
        anchors.push(anchor.to_owned());
    }
    match anchors.len() {
        0 => Err(Unusable::new(WHAT, "holds no certificate in PEM")),
        count if count > AUTHORITIES_MAX => {
            Err(Unusable::new(WHAT, format!("holds more than {AUTHORITIES_MAX}")))
        }
        _ => Ok((anchors, hints)),
    }
}

fn lists(files: &[Vec<u8>]) -> Result<Vec<Crl>, Unusable> {
    const WHAT: &str = "tls.crls";
    let mut ders = Vec::new();
    for file in files {
        match is_pem(file) {
            true => {
                for der in CertificateRevocationListDer::pem_slice_iter(file) {
                    ders.push(der.map_err(|error| Unusable::new(WHAT, error.to_string()))?);
                }
            }
            false => ders.push(CertificateRevocationListDer::from(file.clone())),
        }
    }
    if ders.is_empty() {
        return Err(Unusable::new(WHAT, "no list; `revocation = \"none\"` goes without"));
    }
    if ders.len() > CRLS_MAX {
        return Err(Unusable::new(WHAT, format!("more than {CRLS_MAX} lists")));
    }
    ders.iter().map(|der| list(der).map_err(|why| Unusable::new(WHAT, why))).collect()
}

fn is_pem(file: &[u8]) -> bool {
    file.windows(b"-----BEGIN".len()).take(4096).any(|window| window == b"-----BEGIN")
}

fn list(der: &[u8]) -> Result<Crl, String> {
    let (rest, parsed) =
        CertificateRevocationList::from_der(der).map_err(|_| "a list is malformed".to_owned())?;
    if !rest.is_empty() {
        return Err("bytes follow a list".to_owned());
    }
    let issuer = parsed.issuer().to_string();
    let issuer: String = issuer.chars().filter(|c| !c.is_control()).take(200).collect();
    let next = parsed
        .next_update()
        .ok_or_else(|| format!("the list of {issuer} does not say when the next is due"))?;
    let view = CrlView {
        this_update_unix_s: parsed.last_update().timestamp(),
        next_update_unix_s: next.timestamp(),
        revoked: parsed.iter_revoked_certificates().count(),
        issuer,
    };
    let list = OwnedCertRevocationList::from_der(der)
        .map_err(|error| format!("the list of {}: {error}", view.issuer))?;
    Ok(Crl { list: list.into(), view })
}

/// The handshake's half: what it refuses is a reason for whoever accepted the connection, and an alert that says
/// little for the client.
impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let now_unix_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        self.verify(end_entity, intermediates, now_unix_s).map(|()| ClientCertVerified::assertion()).map_err(
            |refused| {
                rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refused))))
            },
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
