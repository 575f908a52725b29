//! Whom a client's certificate names: by its alternative names, never by its subject, whose common name is free text
//! that several authorities fill in as they like.

use protocol::digest::hex;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::Refused;

/// `id-ms-san-upn`: a user's principal name, a UTF8String.
const UPN: Oid<'static> = oid!(1.3.6.1.4.1.311.20.2.3);
/// Names of one kind in a certificate.
const NAMES_MAX: usize = 16;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 256;

/// What a certificate says of who holds it, and which one it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Principal names (`otherName` of type 1.3.6.1.4.1.311.20.2.3), in lower case.
    pub upn: Vec<String>,
    /// Addresses of e-mail (`rfc822Name`), in lower case.
    pub email: Vec<String>,
    /// Persons' numbers of the Department of Defense: ten digits, out of principal names as `1234567890@mil`.
    pub edipi: Vec<String>,
    /// Serial number and issuer: `SERIAL@DIGEST`, the SHA-256 of the issuer's name, both in hexadecimal.
    pub certificate: String,
    /// The last second of its time, since 1970.
    pub not_after_unix_s: i64,
}

/// Reads the names of one certificate in DER. Whether it is to be believed is not looked at here.
pub fn names(der: &[u8]) -> Result<Names, Refused> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Refused::Malformed)?;
    if !rest.is_empty() {
        return Err(Refused::Malformed);
    }
    let issuer = hex(&Sha256::digest(certificate.issuer().as_raw()));
    let mut names = Names {
        certificate: format!("{}@{issuer}", serial(certificate.raw_serial())),
        not_after_unix_s: certificate.validity().not_after.timestamp(),
        ..Names::default()
    };
    let alternative = certificate.subject_alternative_name().map_err(|_| Refused::Malformed)?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::OtherName(oid, value) if *oid == UPN => {
                let upn = name_of(utf8_of(value).ok_or(Refused::Malformed)?)?;
                names.edipi.extend(edipi(&upn));
                push(&mut names.upn, upn)?;
            }
            GeneralName::RFC822Name(text) => push(&mut names.email, name_of(text)?)?,
            GeneralName::Invalid(..) => return Err(Refused::Malformed),
            _ => {}
        }
    }
    Ok(names)
}

/// As `openssl x509 -serial` shows it, in lower case.
fn serial(bytes: &[u8]) -> String {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    hex(bytes.get(start..).unwrap_or_default())
}

/// Whether a certificate states that it authenticates clients, and does not state that its key signs nothing, which
/// it does in the handshake.
pub(crate) fn authenticates_clients(der: &[u8]) -> Result<bool, Refused> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Refused::Malformed)?;
    let extended = certificate.extended_key_usage().map_err(|_| Refused::Malformed)?;
    let usage = certificate.key_usage().map_err(|_| Refused::Malformed)?;
    let signs = usage.is_none_or(|usage| usage.value.digital_signature());
    Ok(signs && extended.is_some_and(|extended| extended.value.client_auth))
}

fn push(names: &mut Vec<String>, name: String) -> Result<(), Refused> {
    if names.len() >= NAMES_MAX {
        return Err(Refused::Malformed);
    }
    names.push(name);
    Ok(())
}

/// A name without what could make two look like one.
fn name_of(text: &str) -> Result<String, Refused> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !is_plain {
        return Err(Refused::Malformed);
    }
    Ok(text.to_ascii_lowercase())
}

/// The text of an `otherName`'s value: `[0] EXPLICIT UTF8String`, in DER, with nothing behind it.
pub(crate) fn utf8_of(value: &[u8]) -> Option<&str> {
    const EXPLICIT: u8 = 0xa0;
    const UTF8_STRING: u8 = 0x0c;
    let inner = whole(value, EXPLICIT)?;
    std::str::from_utf8(whole(inner, UTF8_STRING)?).ok()
}

/// The content of one element of that tag that fills all the bytes; its length in the shortest form, of at most
/// two bytes.
fn whole(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, content) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => {
            let (&length, content) = rest.split_first()?;
            (usize::from(length).checked_sub(0x80)? + 0x80, content)
        }
        0x82 => {
            let (length, content) = rest.split_at_checked(2)?;
            let length = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            (length.checked_sub(0x100)? + 0x100, content)
        }
        _ => return None,
    };
    (first == tag && content.len() == length).then_some(content)
}

/// Ten digits, or sixteen of which the first ten are the person's and the others say in which role, at `mil`.
fn edipi(upn: &str) -> Option<String> {
    let digits = upn.strip_suffix("@mil")?;
    let fits = matches!(digits.len(), 10 | 16) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.get(..10).filter(|_| fits).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let mut bytes = vec![tag];
        match length {
            0..=0x7f => bytes.push(u8::try_from(length).unwrap()),
            0x80..=0xff => bytes.extend([0x81, u8::try_from(length).unwrap()]),
            _ => {
                bytes.push(0x82);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend(content);
        bytes
    }

    #[test]
    fn numbers_of_persons() {
        assert_eq!(edipi("1234567890@mil").as_deref(), Some("1234567890"));
        assert_eq!(edipi("1234567890117002@mil").as_deref(), Some("1234567890"));
        for upn in [
            "123456789@mil",
            "12345678901@mil",
            "123456789a@mil",
            "1234567890@mil.example",
            "ada@mil",
            "@mil",
        ] {
            assert_eq!(edipi(upn), None, "{upn}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_read_back_and_nothing_else_is(text in "\\PC{0,300}", stray in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let value = element(0xa0, &element(0x0c, text.as_bytes()));
            prop_assert_eq!(utf8_of(&value), Some(text.as_str()));
            let mut longer = value.clone();
            longer.push(stray);
            prop_assert_eq!(utf8_of(&longer), None);
            prop_assert_eq!(utf8_of(&value[..cut.index(value.len())]), None);
            let other = element(0xa0, &element(0x16, text.as_bytes()));
            prop_assert_eq!(utf8_of(&other), None, "another type of string");
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _either = utf8_of(&bytes);
            prop_assert!(names(&bytes).is_err());
        }

        #[test]
        fn a_length_has_one_form(text in "[a-z]{1,100}") {
            let inner = element(0x0c, text.as_bytes());
            let mut long = vec![0xa0, 0x81, u8::try_from(inner.len()).unwrap()];
            long.extend(&inner);
            prop_assert_eq!(utf8_of(&long).is_some(), inner.len() >= 0x80);
        }
    }
}
