//! Proofs of identity that were made elsewhere: certificates of clients and their revocation (RFC 5280), tokens of an
//! identity provider (RFC 7515 to 7519), and files of persons.
//!
//! Pure: bytes and the time come in as arguments, and who is named, or why nobody is, comes out. What does not hold
//! is refused: there is no weaker reading of any of it. Nothing here dials, asks a responder (OCSP) or follows an
//! address that a certificate or a token states. [`tls`] is the server's half of TLS, for the process that accepts.

mod certificate;
mod clients;
mod jwk;
mod jwt;
mod mapping;
mod refused;
mod roster;
pub mod tls;

pub use certificate::{Names, names};
pub use clients::{Clients, CrlView};
pub use jwt::{Named, Provider, looks_like_jwt};
pub use mapping::{Mapping, person_of_domain};
pub use refused::{JwtRefused, Refused, Unusable};
pub use roster::{Person, RosterError, parse_csv, parse_ldif};

/// Whether a text can name a person or a group here: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a
/// letter.
pub fn is_name(name: &str) -> bool {
    const NAME_BYTES_MAX: usize = 64;
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c))
}
