//! What a certificate says (RFC 5280), beyond what path building looks at.

use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_X509_EXT_NAME_CONSTRAINTS;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A parsed certificate.
pub(crate) struct Certificate<'d> {
    inner: X509Certificate<'d>,
}

/// What a key may be used for, of what is asked here. Without the extension, for anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    SignCertificates,
    SignCrls,
}

impl<'d> Certificate<'d> {
    pub(crate) fn parse(der: &'d [u8]) -> Result<Certificate<'d>, &'static str> {
        let (rest, inner) = X509Certificate::from_der(der).map_err(|_| "a certificate is malformed")?;
        if !rest.is_empty() {
            return Err("bytes follow a certificate");
        }
        Ok(Certificate { inner })
    }

    pub(crate) fn der(&self) -> &'d [u8] {
        self.inner.as_raw()
    }

    pub(crate) fn spki(&self) -> &[u8] {
        self.inner.public_key().raw
    }

    pub(crate) fn inner(&self) -> &X509Certificate<'d> {
        &self.inner
    }

    pub(crate) fn subject(&self) -> String {
        printable(&self.inner.subject().to_string())
    }

    pub(crate) fn issuer(&self) -> String {
        printable(&self.inner.issuer().to_string())
    }

    /// First and last second, since 1970.
    pub(crate) fn validity(&self) -> (i64, i64) {
        let validity = self.inner.validity();
        (validity.not_before.timestamp(), validity.not_after.timestamp())
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.inner.subject().as_raw() == self.inner.issuer().as_raw()
    }

    /// Whether its issuer has another certificate's name. Byte by byte: who issues writes its name in one way.
    pub(crate) fn names_as_issuer(&self, issuer: &Certificate<'_>) -> bool {
        self.inner.issuer().as_raw() == issuer.inner.subject().as_raw()
    }

    /// Whether it is for the same name and key as another.
    pub(crate) fn is_of_same_key(&self, other: &Certificate<'_>) -> bool {
        self.inner.subject().as_raw() == other.inner.subject().as_raw() && self.spki() == other.spki()
    }

    /// Whether it says which names those below it may have (RFC 5280, section 4.2.1.10), even if that is malformed.
    pub(crate) fn constrains_names(&self) -> bool {
        self.inner.iter_extensions().any(|extension| extension.oid == OID_X509_EXT_NAME_CONSTRAINTS)
    }

    /// Whether it is of an authority, and how many authorities may follow below it.
    pub(crate) fn authority(&self) -> Option<Option<u32>> {
        let constraints = self.inner.basic_constraints().ok()??.value;
        constraints.ca.then_some(constraints.path_len_constraint)
    }

    /// Whether an authority's key may be used so.
    pub(crate) fn allows(&self, usage: Usage) -> bool {
        match self.inner.key_usage() {
            Ok(None) => true,
            Ok(Some(extension)) => match usage {
                Usage::SignCertificates => extension.value.key_cert_sign(),
                Usage::SignCrls => extension.value.crl_sign(),
            },
            Err(_) => false,
        }
    }

    /// Whether it is a signer's: its usage holds `digitalSignature`, or its extended usage `codeSigning`. One of both
    /// must be there.
    pub(crate) fn signs(&self) -> bool {
        let usage = match self.inner.key_usage() {
            Ok(usage) => usage.is_some_and(|usage| usage.value.digital_signature()),
            Err(_) => return false,
        };
        let extended = match self.inner.extended_key_usage() {
            Ok(extended) => extended.is_some_and(|extended| extended.value.code_signing),
            Err(_) => return false,
        };
        usage || extended
    }

    /// Whether it says both that its key signs, and that it signs code.
    pub(crate) fn signs_code(&self) -> bool {
        let usage =
            self.inner.key_usage().ok().flatten().is_some_and(|usage| usage.value.digital_signature());
        let extended = self.inner.extended_key_usage().ok().flatten();
        usage && extended.is_some_and(|extended| extended.value.code_signing)
    }

    /// The identifier of its key, where it gives one.
    pub(crate) fn key_identifier(&self) -> Option<&[u8]> {
        self.inner.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        })
    }

    /// Its alternative names, each with what it is in front: `DNS:`, `email:`, `URI:`, `IP:`, `UPN:`, `DirName:`.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(Some(extension)) = self.inner.subject_alternative_name() else { return Vec::new() };
        let name = |name: &GeneralName<'_>| {
            Some(match name {
                GeneralName::DNSName(name) => format!("DNS:{name}"),
                GeneralName::RFC822Name(name) => format!("email:{name}"),
                GeneralName::URI(name) => format!("URI:{name}"),
                GeneralName::DirectoryName(name) => format!("DirName:{name}"),
                GeneralName::IPAddress(bytes) => match bytes.len() {
                    4 => format!("IP:{}", std::net::Ipv4Addr::from(<[u8; 4]>::try_from(*bytes).ok()?)),
                    16 => format!("IP:{}", std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?)),
                    _ => return None,
                },
                GeneralName::OtherName(kind, value) => {
                    format!("UPN:{}", user_principal_name(&kind.to_id_string(), value)?)
                }
                _ => return None,
            })
        };
        extension.value.general_names.iter().filter_map(name).map(|name| printable(&name)).collect()
    }
}

/// Of the name that directories give people: UTF-8, tagged twice.
fn user_principal_name<'v>(kind: &str, value: &'v [u8]) -> Option<&'v str> {
    if kind != "1.3.6.1.4.1.311.20.2.3" {
        return None;
    }
    let [0xa0, outer, 0x0c, inner, text @ ..] = value else { return None };
    let fits = usize::from(*inner) == text.len() && *inner < 0x80 && outer.checked_sub(2) == Some(*inner);
    fits.then(|| std::str::from_utf8(text).ok())?
}

/// Without anything that a terminal or a log would act on.
fn printable(text: &str) -> String {
    let mut printed = String::new();
    for c in text.chars() {
        if c.is_control() {
            printed.extend(c.escape_default());
        } else {
            printed.push(c);
        }
    }
    printed
}
