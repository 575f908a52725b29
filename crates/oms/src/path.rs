//! Certification paths (RFC 5280, section 6) of signers that are authorities themselves, as many are that somebody made
//! with one command of OpenSSL. Libraries for paths, made for servers, refuse them.
//!
//! Not looked at: policies, and what authorities constrain names to, which is refused where it is said.

use rustls_pki_types::SubjectPublicKeyInfoDer;
use webpki::{ALL_VERIFICATION_ALGS, RawPublicKeyEntity};
use x509_parser::x509::AlgorithmIdentifier;

use crate::certificate::{Certificate, Usage};
use crate::trust::VerifyError;

/// Signatures that are looked at for one signer, at most: certificates of one name, each by every other, lead to one
/// another in as many ways as they can be put in order.
const SIGNATURES_MAX: usize = 100;

/// Extensions that may be critical, each by its identifier below 2.5.29: the key's usage (15), alternative names (17),
/// basic constraints (19), constraints of names (30), where CRLs are (31), and the extended usage (37).
const KNOWN: [u8; 6] = [15, 17, 19, 30, 31, 37];

/// A path: the signer, and what is between it and the root.
pub(crate) type Path<'s, 'd> = Vec<&'s Certificate<'d>>;

/// What else there is to say of a path and its root.
pub(crate) type Accept<'a> = dyn Fn(&[&Certificate<'_>], &Certificate<'_>) -> Result<(), VerifyError> + 'a;

/// Finds a path from a signer to one of these roots, by way of some of these other certificates. Returns the path
/// and the root's number; or, of the reasons why paths were not taken, the first.
pub(crate) fn find<'s, 'd>(
    signer: &'s Certificate<'d>,
    others: &'s [Certificate<'d>],
    roots: &'s [Certificate<'d>],
    now_unix_s: i64,
    accept: &Accept<'_>,
) -> Result<(Path<'s, 'd>, usize), VerifyError> {
    check_alone(signer, now_unix_s)?;
    let mut search = Search {
        others,
        roots,
        now_unix_s,
        accept,
        signatures_left: SIGNATURES_MAX,
        reason: None,
        stranger: None,
    };
    let mut path = vec![signer];
    if let Some(root) = search.climb(&mut path) {
        return Ok((path, root));
    }
    if search.signatures_left == 0 {
        return Err(VerifyError::Entangled(signer.subject()));
    }
    Err(search.reason.or(search.stranger).unwrap_or_else(|| VerifyError::NoRoot(signer.subject())))
}

struct Search<'a, 's, 'd> {
    others: &'s [Certificate<'d>],
    roots: &'s [Certificate<'d>],
    now_unix_s: i64,
    accept: &'a Accept<'a>,
    signatures_left: usize,
    reason: Option<VerifyError>,
    /// The reason if there is no other.
    stranger: Option<VerifyError>,
}

impl<'s, 'd> Search<'_, 's, 'd> {
    /// Goes on from a path's last certificate, until the path leads to the root whose number it returns. As deep as
    /// there are other certificates, since no name and key come twice.
    fn climb(&mut self, path: &mut Path<'s, 'd>) -> Option<usize> {
        let (roots, others) = (self.roots, self.others);
        let last = *path.last()?;
        let (mut issued, mut namesake) = (false, None);
        for (number, root) in roots.iter().enumerate().filter(|(_, root)| last.names_as_issuer(root)) {
            if !self.issued(last, root) {
                namesake = Some(root);
                continue;
            }
            issued = true;
            match self.check(path, root).and_then(|()| (self.accept)(path, root)) {
                Ok(()) => return Some(number),
                Err(error) => drop(self.reason.get_or_insert(error)),
            }
        }
        for other in others.iter().filter(|other| last.names_as_issuer(other)) {
            if path.iter().any(|there| there.is_of_same_key(other)) {
                continue;
            }
            if !self.issued(last, other) {
                namesake = Some(other);
                continue;
            }
            issued = true;
            if let Err(error) = self.check(path, other) {
                self.reason.get_or_insert(error);
                continue;
            }
            path.push(other);
            if let Some(root) = self.climb(path) {
                return Some(root);
            }
            path.pop();
        }
        // Beside an issuer with the right key, others of its name are its former keys. At the top, all are namesakes.
        if let Some(issuer) = namesake.filter(|_| !issued && !last.is_self_issued()) {
            let (subject, issuer) = (last.subject(), issuer.subject());
            self.stranger.get_or_insert(VerifyError::NotIssued { subject, issuer });
        }
        None
    }

    fn issued(&mut self, certificate: &Certificate<'d>, issuer: &Certificate<'d>) -> bool {
        let Some(left) = self.signatures_left.checked_sub(1) else { return false };
        self.signatures_left = left;
        is_issued(certificate, issuer)
    }

    fn check(&self, path: &[&Certificate<'d>], issuer: &Certificate<'d>) -> Result<(), VerifyError> {
        check_alone(issuer, self.now_unix_s)?;
        check_issuer(issuer, path)?;
        if issuer.constrains_names() {
            return Err(VerifyError::NameConstraints(issuer.subject()));
        }
        Ok(())
    }
}

/// What a certificate says for itself: that it is valid now, and nothing that has to be understood and is not.
pub(crate) fn check_alone(certificate: &Certificate<'_>, now_unix_s: i64) -> Result<(), VerifyError> {
    check_time(certificate, now_unix_s)?;
    let inner = certificate.inner();
    let refused = |why: &str| Err(VerifyError::Path { subject: certificate.subject(), why: why.to_owned() });
    if inner.signature_algorithm != inner.tbs_certificate.signature {
        return refused("it says in two ways how it was signed");
    }
    if inner.tbs_certificate.extensions_map().is_err() {
        return refused("it has an extension twice");
    }
    for extension in inner.iter_extensions() {
        let known = matches!(extension.oid.as_bytes(), [0x55, 0x1d, last] if KNOWN.contains(last));
        if extension.critical && !known {
            let (subject, extension) = (certificate.subject(), extension.oid.to_id_string());
            return Err(VerifyError::Extension { subject, extension });
        }
        if known && extension.parsed_extension().error().is_some() {
            return refused("one of its extensions is malformed");
        }
    }
    Ok(())
}

/// Whether a certificate is valid now.
pub(crate) fn check_time(certificate: &Certificate<'_>, now_unix_s: i64) -> Result<(), VerifyError> {
    let (first, last) = certificate.validity();
    if now_unix_s < first {
        return Err(VerifyError::NotYet(certificate.subject()));
    }
    if now_unix_s > last {
        return Err(VerifyError::Expired(certificate.subject()));
    }
    Ok(())
}

/// Whether an authority may stand above this path. The signer does not count as one below it, even where it is one.
pub(crate) fn check_issuer(issuer: &Certificate<'_>, path: &[&Certificate<'_>]) -> Result<(), VerifyError> {
    let not_one = || VerifyError::NotAuthority(issuer.subject());
    let length_max = issuer.authority().ok_or_else(not_one)?;
    if !issuer.allows(Usage::SignCertificates) {
        return Err(not_one());
    }
    let below = path.iter().skip(1).filter(|certificate| !certificate.is_self_issued()).count();
    if length_max.is_some_and(|max| usize::try_from(max).is_ok_and(|max| below > max)) {
        return Err(VerifyError::PathLength);
    }
    Ok(())
}

/// Whether a certificate is its own issuer's.
pub(crate) fn is_self_signed(certificate: &Certificate<'_>) -> bool {
    certificate.is_self_issued() && is_issued(certificate, certificate)
}

fn is_issued(certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> bool {
    let inner = certificate.inner();
    let (algorithm, signature) = (&inner.signature_algorithm, &inner.signature_value.data);
    is_signed(issuer, algorithm, inner.tbs_certificate.as_ref(), signature)
}

/// Whether a signature over these bytes is of an issuer's key, by any algorithm of this identifier that is not too weak.
pub(crate) fn is_signed(
    issuer: &Certificate<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let spki = SubjectPublicKeyInfoDer::from(issuer.spki());
    let Ok(key) = RawPublicKeyEntity::try_from(&spki) else { return false };
    let identifier = algorithm.algorithm.as_bytes();
    ALL_VERIFICATION_ALGS
        .iter()
        .filter(|algorithm| {
            // The DER of an object identifier: a tag, a length of one byte, and the identifier.
            matches!(
                algorithm.signature_alg_id().as_ref(),
                [6, length, rest @ ..]
                    if usize::from(*length) == identifier.len() && rest.starts_with(identifier)
            )
        })
        .any(|algorithm| key.verify_signature(*algorithm, message, signature).is_ok())
}
