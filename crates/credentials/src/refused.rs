//! Why a proof is not believed, in words for the ledger; clients are told less.

/// Why a client's certificate lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a certificate.
    #[error("the certificate is malformed")]
    Malformed,
    /// No path to an authority that is trusted.
    #[error("the certificate is of an unknown authority")]
    Issuer,
    /// Its time is over, or that of one above it.
    #[error("the certificate has expired")]
    Expired,
    /// Its time has not come.
    #[error("the certificate is not valid yet")]
    NotYet,
    /// Its usages, or those of one above it, do not say that it authenticates clients.
    #[error("the certificate is not for authenticating clients")]
    Usage,
    /// On its issuer's list.
    #[error("the certificate is revoked")]
    Revoked,
    /// The list that says so is older than the policy allows.
    #[error("the list of revoked certificates is stale")]
    CrlStale,
    /// No list covers it, or one above it.
    #[error("no list of revoked certificates covers the certificate")]
    CrlMissing,
    /// A list's signature is wrong, or its issuer may not sign lists.
    #[error("the list of revoked certificates is not its issuer's")]
    CrlInvalid,
    /// A signature is wrong, or of an algorithm that is not accepted.
    #[error("a signature in the certificate's path does not hold")]
    Signature,
    /// Anything else that RFC 5280 asks of a path.
    #[error("the certificate's path is not valid")]
    Path,
    /// Nothing in it names a person by the rules that are set.
    #[error("the certificate names nobody who is known by its alternative names")]
    Nobody,
    /// Its names stand for several persons.
    #[error("the certificate names more than one person")]
    Several,
    /// There must be one.
    #[error("no client certificate")]
    Absent,
}

/// Why a token of an identity provider lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtRefused {
    /// No provider is configured, or its keys cannot be used.
    #[error("no usable keys of an identity provider")]
    NoProvider,
    /// Not three parts of base64url, or too long.
    #[error("the token is malformed")]
    Malformed,
    /// `none`, a symmetric one, or one that is not configured.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// It asks for what is not understood here (`crit`).
    #[error("the token has critical parameters")]
    Critical,
    /// No key of that name and type.
    #[error("the token's key is unknown")]
    Key,
    /// The signature is wrong.
    #[error("the token's signature does not hold")]
    Signature,
    /// Another issuer's.
    #[error("the token is of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is to come.
    #[error("the token is not valid yet")]
    NotYet,
    /// Older than is allowed, or `iat` is missing.
    #[error("the token is too old")]
    Old,
    /// The claim that names the person is missing, or no name.
    #[error("the token names nobody")]
    Nobody,
}

/// Why what an administrator set up cannot be used, in words for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Unusable {
    /// Which setting.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

impl Unusable {
    pub(crate) fn new(what: &'static str, why: impl Into<String>) -> Unusable {
        Unusable { what, why: why.into() }
    }
}

/// Words without a limit of lifetime, for what is counted by them.
macro_rules! reasons {
    ($type:ty { $($variant:ident: $reason:literal,)* }) => {
        impl $type {
            /// A short reason, for records.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)* }
            }
        }
    };
}

reasons!(Refused {
    Malformed: "certificate: malformed",
    Issuer: "certificate: unknown authority",
    Expired: "certificate: expired",
    NotYet: "certificate: not valid yet",
    Usage: "certificate: not for clients",
    Revoked: "certificate: revoked",
    CrlStale: "certificate: its revocation list is stale",
    CrlMissing: "certificate: no revocation list covers it",
    CrlInvalid: "certificate: its revocation list does not hold",
    Signature: "certificate: a signature does not hold",
    Path: "certificate: its path is not valid",
    Nobody: "certificate: names nobody",
    Several: "certificate: names several persons",
    Absent: "no client certificate",
});

reasons!(JwtRefused {
    NoProvider: "jwt: no usable keys",
    Malformed: "jwt: malformed",
    Algorithm: "jwt: algorithm not accepted",
    Critical: "jwt: critical parameters",
    Key: "jwt: unknown key",
    Signature: "jwt: signature does not hold",
    Issuer: "jwt: another issuer",
    Audience: "jwt: another audience",
    Expired: "jwt: expired",
    NotYet: "jwt: not valid yet",
    Old: "jwt: too old",
    Nobody: "jwt: names nobody",
});
