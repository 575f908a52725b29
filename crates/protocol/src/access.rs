//! How people are known beyond tokens and local users: what the supervisor read of files and settings, for the
//! gateway, which parses it in its jail.
//!
//! [`Access`] is small, holds the one secret, and goes by packet; [`Files`] may be long, holds nothing secret, and goes
//! beside it as a sealed file, in [`crate::frame`]'s encoding.

use serde::{Deserialize, Serialize};

use crate::frame::{self, FrameError};

/// The longest [`Files`], encoded, in bytes: lists of revoked certificates grow.
pub const FILES_BYTES_MAX: u64 = 96 << 20;

/// Settings of the ways in. What is `None` is closed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// Connections that are encrypted.
    pub tls: Option<Tls>,
    /// Tokens of an identity provider of the enclave.
    pub jwt: Option<Jwt>,
    /// A reverse proxy that knows people.
    pub proxy: Option<Proxy>,
}

/// The encrypted listener.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Tls {
    /// The private key, as PEM.
    pub key: Vec<u8>,
    /// Names and addresses that are answered as hosts; those of the certificate where there are none.
    pub hosts: Vec<String>,
    /// Whether TLS 1.2 is spoken beside 1.3.
    pub tls_1_2: bool,
    /// Clients' certificates; not asked for when absent.
    pub clients: Option<Clients>,
}

/// Which certificates of clients are believed, and whom they name.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Clients {
    /// Whether every client must show one.
    pub required: bool,
    /// Whether lists of revoked certificates must cover every certificate of a path.
    pub revocation: bool,
    /// Days for which such a list is believed after the date at which its successor was due.
    pub grace_days: u32,
    /// Domains whose names are names of users here: `ada@DOMAIN` is `ada`.
    pub domains: Vec<String>,
}

/// Which tokens of an identity provider are believed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Jwt {
    /// Must be `iss`.
    pub issuer: String,
    /// Must be in `aud`.
    pub audience: String,
    /// Names of RFC 7518 and 8037.
    pub algorithms: Vec<String>,
    /// Seconds by which the provider's clock may be off.
    pub skew_s: u32,
    /// Seconds since `iat` after which a token is not believed, whatever its `exp`.
    pub age_s_max: u32,
    /// The claim that names the person.
    pub person_claim: String,
    /// The claim that names groups, which join those of the user; none do when absent.
    pub groups_claim: Option<String>,
    /// Domains whose names are names of users here: `ada@DOMAIN` is `ada`.
    pub domains: Vec<String>,
}

/// A reverse proxy of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// The header in which it names the person, in lower case.
    pub header: String,
    /// The user that it runs as.
    pub uid: u32,
}

/// What files hold, each as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// The server's certificate and those above it, as PEM.
    pub certificate: Vec<u8>,
    /// Authorities that clients' certificates may come from, as PEM.
    pub client_ca: Vec<u8>,
    /// Lists of revoked certificates, as PEM or DER.
    pub crls: Vec<Vec<u8>>,
    /// Which certificates name which users.
    pub mapping: Vec<u8>,
    /// The provider's keys.
    pub jwks: Vec<u8>,
}

impl Files {
    /// As they cross in a sealed file.
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        postcard::to_stdvec(self).map_err(FrameError::Malformed)
    }

    /// From a whole sealed file; stray bytes behind them are an error.
    pub fn decode(bytes: &[u8]) -> Result<Files, FrameError> {
        frame::decode(bytes)
    }
}

/// Never shows the key.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("tls", &self.tls.is_some())
            .field("jwt", &self.jwt.is_some())
            .field("proxy", &self.proxy)
            .finish()
    }
}
