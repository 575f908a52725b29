//! Whom signatures are believed of: keys, authorities whose certificates lead to a signer, and what authorities
//! revoked.

use std::cell::RefCell;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest as _, Sha256};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath,
    anchor_from_trusted_cert,
};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use crate::certificate::{Certificate, Usage};
use crate::key::{KeyError, PublicKey};
use crate::manifest::shown;
use crate::path;
use crate::pem;
use crate::signature::CERTIFICATE_BYTES_MAX;
use crate::sigstore::{self, Claim, Keyless};

/// Roots and CRLs of a trust, of each kind, at most.
pub const ROOTS_MAX: usize = 1024;
/// The longest CRL, in bytes of DER.
pub const CRL_BYTES_MAX: usize = 32 << 20;

/// Roots by name. An empty one believes nobody.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    keys: Vec<(String, PublicKey)>,
    authorities: Vec<Authority>,
    crls: Vec<Crl>,
    keyless: Vec<Keyless>,
}

#[derive(Clone, Debug)]
struct Authority {
    name: String,
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
}

/// Read once when it was added, so that reading it again gives the same.
#[derive(Clone, Debug)]
struct Crl {
    name: String,
    der: Vec<u8>,
}

/// Why a root or a CRL cannot be added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TrustError {
    /// The name is taken.
    #[error("`{0}` is the name of another root or CRL")]
    Name(String),
    /// There are too many.
    #[error("there are {ROOTS_MAX} of that kind already")]
    TooMany,
    /// Not a key that can verify.
    #[error("the key of `{name}` cannot be used")]
    Key {
        /// The root's.
        name: String,
        /// Why.
        source: KeyError,
    },
    /// Not an authority's certificate.
    #[error("the authority `{name}` cannot be used: {why}")]
    Authority {
        /// The root's.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Not a trusted root of Sigstore that can be used.
    #[error("the trusted root of Sigstore `{name}` cannot be used: {why}")]
    Sigstore {
        /// The root's.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Not a CRL that can be used.
    #[error("the CRL `{name}` cannot be used: {why}")]
    Crl {
        /// The name it was to have.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// As the key or the certificate says.
    pub signer: Signer,
    /// The name under which the root that leads to it was added.
    pub root: String,
}

/// Who signed, by the method's means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A key that is itself a root.
    Key {
        /// [`PublicKey::fingerprint`].
        fingerprint: String,
    },
    /// A key with a certificate.
    Certificate {
        /// Its subject, as text.
        subject: String,
        /// Its alternative names, each with what it is in front: `DNS:`, `email:`, `URI:`, `IP:`, `UPN:`, `DirName:`.
        names: Vec<String>,
        /// Its issuer, as text.
        issuer: String,
        /// The first second of its validity, since 1970.
        not_before_unix_s: i64,
        /// The last.
        not_after_unix_s: i64,
        /// SHA-256 of each certificate's DER, the signer's first, the root's last, which may be the same.
        chain: Vec<[u8; 32]>,
    },
    /// A key of minutes, whose certificate Sigstore made for whoever was identified so.
    Sigstore {
        /// An address or a name.
        identity: String,
        /// Who identified them.
        issuer: String,
        /// When a transparency log took the signature, in seconds since 1970.
        signed_unix_s: i64,
        /// SHA-256 of each certificate's DER, the signer's first, the root's last.
        chain: Vec<[u8; 32]>,
    },
}

/// Why a signature is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    /// Nobody signed.
    #[error("the model is not signed")]
    Unsigned,
    /// Somebody who signed by Sigstore's keyless method, and whom no root is for.
    #[error(
        "the signature is keyless, of `{identity}` as `{issuer}` knows them, who are not trusted together: add both if you know whose it is"
    )]
    UnknownIdentity {
        /// As the certificate says, which was not verified.
        identity: String,
        /// Who identified them, as it says.
        issuer: String,
    },
    /// A keyless signature that says to be of somebody trusted.
    #[error("the keyless signature is refused: {0}")]
    Keyless(&'static str),
    /// A key that is no root.
    #[error(
        "the signature is of the key {0}, which is not a trusted root: add the key if you know whose it is"
    )]
    UnknownKey(String),
    /// The signature is of no key that is a root, or of none at all.
    #[error("the signature does not say which key made it, and no trusted key did")]
    NoKey,
    /// The signature is wrong.
    #[error("the signature is wrong: what was signed, or the signature, was changed")]
    WrongSignature,
    /// A certificate of the chain cannot be read.
    #[error("certificate {number} of the chain cannot be used: {why}")]
    Malformed {
        /// Its place, from 1.
        number: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The signer's certificate has another kind of key.
    #[error("the key of the signer's certificate cannot be used")]
    SignerKey(#[source] KeyError),
    /// The signer's certificate is for something else.
    #[error(
        "the certificate of `{0}` is not for signing: it has neither the key usage `digitalSignature` nor the extended usage `codeSigning`"
    )]
    Usage(String),
    /// The chain leads to no root.
    #[error("the certificate of `{0}` leads to no trusted root: add its authority if you know whose it is")]
    NoRoot(String),
    /// A certificate is not valid any more.
    #[error("the certificate of `{0}` or of an authority above it expired")]
    Expired(String),
    /// A certificate is not valid yet.
    #[error("the certificate of `{0}` or of an authority above it is not valid yet: look at the clock")]
    NotYet(String),
    /// A certificate signed another and is no authority's.
    #[error("`{0}` signed a certificate, and its own does not let it")]
    NotAuthority(String),
    /// An issuer has the right name and the wrong key.
    #[error("the certificate of `{subject}` is said to be of `{issuer}`, whose key did not sign it")]
    NotIssued {
        /// The certificate's.
        subject: String,
        /// The other's.
        issuer: String,
    },
    /// Something that must be understood is not.
    #[error("the certificate of `{subject}` has the critical extension {extension}, which is not known here")]
    Extension {
        /// Its subject.
        subject: String,
        /// The extension's object identifier.
        extension: String,
    },
    /// An authority says which names there may be below it.
    #[error(
        "`{0}` constrains names, which is not looked at for a signer that is an authority itself: have the model signed with a certificate that is no authority's"
    )]
    NameConstraints(String),
    /// Certificates that lead to one another in too many ways.
    #[error(
        "the certificates above `{0}` lead to one another in too many ways: send only those that lead to the root"
    )]
    Entangled(String),
    /// More authorities follow than one above them allows.
    #[error("more authorities stand in the chain than one of them allows below itself")]
    PathLength,
    /// It was revoked.
    #[error("the certificate of `{subject}` was revoked by the CRL `{crl}`")]
    Revoked {
        /// Its subject.
        subject: String,
        /// The name under which the CRL was added.
        crl: String,
    },
    /// Whether it was revoked cannot be known.
    #[error("the CRL `{crl}` of `{issuer}` {why}: replace it with the newest of that authority")]
    Crl {
        /// The name under which it was added.
        crl: String,
        /// The authority.
        issuer: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The chain is no certification path for another reason.
    #[error("the chain of `{subject}` is refused: {why}")]
    Path {
        /// The signer's, or that of the certificate above it that is refused.
        subject: String,
        /// What is wrong.
        why: String,
    },
}

impl Trust {
    /// Believes nobody.
    pub fn new() -> Trust {
        Trust::default()
    }

    /// Adds the key of somebody who signs models with a key: PEM, `PUBLIC KEY`.
    pub fn add_key(&mut self, name: &str, pem: &[u8]) -> Result<(), TrustError> {
        self.fresh(name, self.keys.len())?;
        let key =
            PublicKey::from_pem(pem).map_err(|source| TrustError::Key { name: name.to_owned(), source })?;
        self.keys.push((name.to_owned(), key));
        Ok(())
    }

    /// Adds the certificate of an authority, which need not be one at the top: PEM, `CERTIFICATE`. Signatures by
    /// certificates that lead to it are believed. May be the certificate of a signer that nobody but itself issued.
    pub fn add_authority(&mut self, name: &str, pem: &[u8]) -> Result<(), TrustError> {
        self.fresh(name, self.authorities.len())?;
        let authority =
            authority(name, pem).map_err(|why| TrustError::Authority { name: name.to_owned(), why })?;
        self.authorities.push(authority);
        Ok(())
    }

    /// Adds the list of certificates that an authority revoked: PEM or DER, complete. From then on a certificate
    /// of this authority is believed only while a CRL of the authority is valid: signed by it, and before the time at
    /// which the next was to come. Of several, the newest counts. Certificates of authorities without any
    /// CRL are believed without.
    pub fn add_crl(&mut self, name: &str, bytes: &[u8]) -> Result<(), TrustError> {
        self.fresh(name, self.crls.len())?;
        let der = crl(bytes).map_err(|why| TrustError::Crl { name: name.to_owned(), why })?;
        self.crls.push(Crl { name: name.to_owned(), der });
        Ok(())
    }

    /// Adds somebody who signs by Sigstore's keyless method: an address or name, and who identifies them by it, each
    /// exactly as certificates of this instance of Sigstore have it, whose `trusted_root.json` this is.
    pub fn add_sigstore(
        &mut self,
        name: &str,
        trusted_root_json: &[u8],
        identity: &str,
        issuer: &str,
    ) -> Result<(), TrustError> {
        self.fresh(name, self.keyless.len())?;
        let root = Keyless::parse(name, trusted_root_json, identity, issuer)
            .map_err(|why| TrustError::Sigstore { name: name.to_owned(), why })?;
        self.keyless.push(root);
        Ok(())
    }

    /// Whether there is no root.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.authorities.is_empty() && self.keyless.is_empty()
    }

    fn fresh(&self, name: &str, count: usize) -> Result<(), TrustError> {
        let mut names = self
            .keys
            .iter()
            .map(|(name, _)| name)
            .chain(self.authorities.iter().map(|authority| &authority.name))
            .chain(self.crls.iter().map(|crl| &crl.name))
            .chain(self.keyless.iter().map(|root| &root.name));
        if names.any(|other| other == name) {
            return Err(TrustError::Name(shown(name)));
        }
        if count < ROOTS_MAX { Ok(()) } else { Err(TrustError::TooMany) }
    }

    pub(crate) fn verify_key(
        &self,
        hint: Option<&str>,
        message: &[u8],
        signed: &[u8],
    ) -> Result<Verified, VerifyError> {
        for (root, key) in &self.keys {
            let fingerprint = key.fingerprint();
            match hint {
                Some(hint) if hint != fingerprint => continue,
                Some(_) if !key.signed(message, signed) => return Err(VerifyError::WrongSignature),
                None if !key.signed(message, signed) => continue,
                _ => return Ok(Verified { signer: Signer::Key { fingerprint }, root: root.clone() }),
            }
        }
        Err(hint.map_or(VerifyError::NoKey, |hint| VerifyError::UnknownKey(shown(hint))))
    }

    pub(crate) fn verify_keyless(
        &self,
        claim: &Claim,
        payload: &[u8],
        message: &[u8],
    ) -> Result<Verified, VerifyError> {
        sigstore::verify(&self.keyless, claim, payload, message)
    }

    pub(crate) fn verify_chain(
        &self,
        chain: &[Vec<u8>],
        now_unix_s: u64,
        message: &[u8],
        signed: &[u8],
    ) -> Result<Verified, VerifyError> {
        let mut certificates = Vec::new();
        for (number, der) in (1..).zip(chain) {
            certificates.push(Certificate::parse(der).map_err(|why| VerifyError::Malformed { number, why })?);
        }
        let (signer, others) =
            certificates.split_first().ok_or(VerifyError::Malformed { number: 1, why: "there is none" })?;
        let key = PublicKey::from_spki(signer.spki()).map_err(VerifyError::SignerKey)?;
        if !signer.signs() {
            return Err(VerifyError::Usage(signer.subject()));
        }
        let now = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
        let (chain, root) = if let Some(root) = self.self_signed(signer) {
            path::check_alone(signer, now)?;
            self.check_revocation(signer, signer, now)?;
            (vec![digest(signer.der())], root)
        } else if signer.authority().is_some() {
            self.path_of_authority(signer, others, now)?
        } else {
            // rustls-webpki where it will do: many people read it, and it evaluates what names are constrained to.
            self.path(signer, others, now_unix_s)?
        };
        if !key.signed(message, signed) {
            return Err(VerifyError::WrongSignature);
        }
        let (not_before_unix_s, not_after_unix_s) = signer.validity();
        Ok(Verified {
            signer: Signer::Certificate {
                subject: signer.subject(),
                names: signer.names(),
                issuer: signer.issuer(),
                not_before_unix_s,
                not_after_unix_s,
                chain,
            },
            root: root.name.clone(),
        })
    }

    /// The root that is the signer's own certificate, where nobody else issued it: a signer below somebody else is
    /// believed by way of that authority only, which may have revoked it.
    fn self_signed(&self, signer: &Certificate<'_>) -> Option<&Authority> {
        let mut roots = self.authorities.iter();
        roots.find(|root| root.der.as_ref() == signer.der()).filter(|_| path::is_self_signed(signer))
    }

    /// The path of a signer that is an authority, as digests of certificates, and the root at its end.
    fn path_of_authority(
        &self,
        signer: &Certificate<'_>,
        others: &[Certificate<'_>],
        now_unix_s: i64,
    ) -> Result<(Vec<[u8; 32]>, &Authority), VerifyError> {
        let mut roots = Vec::new();
        for root in &self.authorities {
            roots.push(root.certificate()?);
        }
        let accept =
            |path: &[&Certificate<'_>], root: &Certificate<'_>| self.check_issuers(path, root, now_unix_s);
        let (path, root) = path::find(signer, others, &roots, now_unix_s, &accept)?;
        let root = self.authorities.get(root).ok_or_else(|| VerifyError::NoRoot(signer.subject()))?;
        let ders = path.iter().map(|certificate| certificate.der()).chain([root.der.as_ref()]);
        Ok((ders.map(digest).collect(), root))
    }

    /// The path of a signer that is no authority, as digests of certificates, the root's last.
    pub(crate) fn path_digests(
        &self,
        signer: &Certificate<'_>,
        others: &[Certificate<'_>],
        now_unix_s: u64,
    ) -> Result<Vec<[u8; 32]>, VerifyError> {
        Ok(self.path(signer, others, now_unix_s)?.0)
    }

    /// The path of any other signer, in the same way.
    fn path(
        &self,
        signer: &Certificate<'_>,
        others: &[Certificate<'_>],
        now_unix_s: u64,
    ) -> Result<(Vec<[u8; 32]>, &Authority), VerifyError> {
        let signer_der = CertificateDer::from(signer.der());
        let others: Vec<CertificateDer<'_>> =
            others.iter().map(|other| CertificateDer::from(other.der())).collect();
        let anchors: Vec<TrustAnchor<'_>> =
            self.authorities.iter().map(|authority| authority.anchor.clone()).collect();
        let end = EndEntityCert::try_from(&signer_der).map_err(|error| refused(signer, &error))?;
        // Path building asks for each path whether it will do, and tells no more than that it did not.
        let reason = RefCell::new(None);
        let check = |path: &VerifiedPath<'_>| {
            self.check_path(path, now_unix_s).map(drop).map_err(|error| {
                reason.borrow_mut().get_or_insert(error);
                webpki::Error::UnknownIssuer
            })
        };
        let path = end.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            &others,
            UnixTime::since_unix_epoch(Duration::from_secs(now_unix_s)),
            AnyUsage,
            None,
            Some(&check),
        );
        let path = path.map_err(|error| reason.take().unwrap_or_else(|| refused(signer, &error)))?;
        let root = self.check_path(&path, now_unix_s)?;
        let between = path.intermediate_certificates().map(|certificate| digest(&certificate.der()));
        let chain = std::iter::once(digest(signer.der())).chain(between).chain([digest(&root.der)]).collect();
        Ok((chain, root))
    }

    /// What path building leaves open: the root's own validity and constraint, usages of authorities' keys, and
    /// revocation. Returns the root.
    fn check_path(&self, path: &VerifiedPath<'_>, now_unix_s: u64) -> Result<&Authority, VerifyError> {
        let now = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
        let mut ders = vec![path.end_entity().der()];
        ders.extend(path.intermediate_certificates().map(webpki::Cert::der));
        let mut certificates = Vec::new();
        for der in &ders {
            certificates
                .push(Certificate::parse(der).map_err(|why| VerifyError::Malformed { number: 1, why })?);
        }
        let certificates: Vec<&Certificate<'_>> = certificates.iter().collect();
        let mut reason = None;
        // The same key may be there under several names, with other certificates.
        for authority in self.authorities.iter().filter(|authority| authority.anchor == *path.anchor()) {
            let root = authority.certificate()?;
            let checked = path::check_time(&root, now)
                .and_then(|()| path::check_issuer(&root, &certificates))
                .and_then(|()| self.check_issuers(&certificates, &root, now));
            match checked {
                Ok(()) => return Ok(authority),
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        Err(reason.unwrap_or(VerifyError::PathLength))
    }

    /// Whether all above a signer may sign certificates, and none on the path was revoked.
    fn check_issuers(
        &self,
        path: &[&Certificate<'_>],
        root: &Certificate<'_>,
        now_unix_s: i64,
    ) -> Result<(), VerifyError> {
        let issuers = path.iter().copied().skip(1).chain([root]);
        for (certificate, issuer) in path.iter().zip(issuers) {
            if !issuer.allows(Usage::SignCertificates) {
                return Err(VerifyError::NotAuthority(issuer.subject()));
            }
            self.check_revocation(certificate, issuer, now_unix_s)?;
        }
        Ok(())
    }

    fn check_revocation(
        &self,
        certificate: &Certificate<'_>,
        issuer: &Certificate<'_>,
        now_unix_s: i64,
    ) -> Result<(), VerifyError> {
        let refused =
            |crl: &Crl, why| VerifyError::Crl { crl: crl.name.clone(), issuer: issuer.subject(), why };
        let mut newest: Option<(&Crl, CertificateRevocationList<'_>)> = None;
        for crl in &self.crls {
            let (_, list) =
                CertificateRevocationList::from_der(&crl.der).map_err(|_| refused(crl, "cannot be read"))?;
            if !is_of(&list, issuer) {
                continue;
            }
            if !issuer.allows(Usage::SignCrls) {
                return Err(refused(crl, "is of a key that may not sign CRLs"));
            }
            let (algorithm, signature) = (&list.signature_algorithm, &list.signature_value.data);
            if !path::is_signed(issuer, algorithm, list.tbs_cert_list.as_ref(), signature) {
                return Err(refused(crl, "is not signed by it"));
            }
            if newest.as_ref().is_none_or(|(_, other)| other.last_update() < list.last_update()) {
                newest = Some((crl, list));
            }
        }
        let Some((crl, list)) = newest else { return Ok(()) };
        if now_unix_s < list.last_update().timestamp() {
            return Err(refused(crl, "is not valid yet"));
        }
        // Without the time of the next there is no telling whether it is the newest.
        if list.next_update().is_none_or(|next| now_unix_s > next.timestamp()) {
            return Err(refused(crl, "is out of date"));
        }
        let serial = &certificate.inner().tbs_certificate.serial;
        if list.iter_revoked_certificates().any(|revoked| revoked.serial() == serial) {
            return Err(VerifyError::Revoked { subject: certificate.subject(), crl: crl.name.clone() });
        }
        Ok(())
    }
}

impl Authority {
    fn certificate(&self) -> Result<Certificate<'_>, VerifyError> {
        // It was read when it was added.
        Certificate::parse(&self.der).map_err(|why| VerifyError::Malformed { number: 1, why })
    }
}

/// Usages of the signer's certificate are looked at before; those of authorities bind nobody here, as in the reference
/// implementation.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn refused(signer: &Certificate<'_>, error: &webpki::Error) -> VerifyError {
    let subject = signer.subject();
    match error {
        webpki::Error::CertExpired { .. } => VerifyError::Expired(subject),
        webpki::Error::CertNotValidYet { .. } => VerifyError::NotYet(subject),
        webpki::Error::UnknownIssuer => VerifyError::NoRoot(subject),
        webpki::Error::PathLenConstraintViolated => VerifyError::PathLength,
        webpki::Error::EndEntityUsedAsCa => VerifyError::NotAuthority(signer.issuer()),
        other => VerifyError::Path { subject, why: other.to_string() },
    }
}

fn digest(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

fn authority(name: &str, text: &[u8]) -> Result<Authority, &'static str> {
    let blocks = pem::blocks(text, pem::PEM_BYTES_MAX)?;
    let [block] = blocks.as_slice() else {
        return Err("it holds several PEM blocks: add each authority under a name of its own");
    };
    if block.label != "CERTIFICATE" {
        return Err("the PEM block is not a `CERTIFICATE`");
    }
    if block.bytes.len() > CERTIFICATE_BYTES_MAX {
        return Err("the certificate is longer than 64 KiB");
    }
    let certificate = Certificate::parse(&block.bytes)?;
    // One that nobody else issued may be a signer's own. It issues nothing then: paths are refused that end with it.
    if !(certificate.signs() && path::is_self_signed(&certificate)) {
        if certificate.authority().is_none() {
            return Err("it is not the certificate of an authority: its basic constraints do not say so");
        }
        if !certificate.allows(Usage::SignCertificates) {
            return Err("its key usage does not let it sign certificates");
        }
    }
    let der = CertificateDer::from(block.bytes.to_vec());
    let anchor = anchor_from_trusted_cert(&der).map_err(|_| "the certificate is malformed")?.to_owned();
    Ok(Authority { name: name.to_owned(), der, anchor })
}

/// Reads a CRL that speaks about all certificates of its issuer: a part would leave the rest unknown.
fn crl(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let der = if bytes.starts_with(b"\x30") {
        bytes.to_vec()
    } else {
        let blocks = pem::blocks(bytes, CRL_BYTES_MAX * 3 / 2)?;
        match blocks.as_slice() {
            [block] if block.label == "X509 CRL" => block.bytes.to_vec(),
            [_] => return Err("the PEM block is not an `X509 CRL`"),
            _ => return Err("it holds several PEM blocks: add each CRL under a name of its own"),
        }
    };
    if der.len() > CRL_BYTES_MAX {
        return Err("it is longer than 32 MiB");
    }
    let (rest, list) = CertificateRevocationList::from_der(&der).map_err(|_| "it is malformed")?;
    if !rest.is_empty() {
        return Err("bytes follow it");
    }
    if list.next_update().is_none() {
        return Err("it does not say when the next will come");
    }
    for extension in list.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(_) | ParsedExtension::CRLNumber(_) => {}
            ParsedExtension::IssuingDistributionPoint(part) => {
                let whole = !part.only_contains_user_certs
                    && !part.only_contains_ca_certs
                    && !part.only_contains_attribute_certs
                    && !part.indirect_crl
                    && part.only_some_reasons.is_none();
                if !whole {
                    return Err("it is about a part of the authority's certificates: add the complete CRL");
                }
            }
            _ if extension.critical => {
                return Err(
                    "it has a critical extension that is not known here: add the complete CRL, not a delta",
                );
            }
            _ => {}
        }
    }
    for revoked in list.iter_revoked_certificates() {
        let known = |extension: &x509_parser::prelude::X509Extension<'_>| {
            matches!(
                extension.parsed_extension(),
                ParsedExtension::ReasonCode(_) | ParsedExtension::InvalidityDate(_)
            )
        };
        if revoked.extensions().iter().any(|extension| extension.critical && !known(extension)) {
            return Err(
                "an entry has a critical extension that is not known here: CRLs of several authorities are not read",
            );
        }
    }
    Ok(der)
}

/// Whether a CRL is of an authority: by name, unless it says that it is of another key of that name; or by key, should
/// the name be spelled in another way.
fn is_of(list: &CertificateRevocationList<'_>, issuer: &Certificate<'_>) -> bool {
    let of_key = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    match (of_key, issuer.key_identifier()) {
        (Some(of_key), Some(key)) => of_key == key,
        _ => list.issuer().as_raw() == issuer.inner().subject().as_raw(),
    }
}
