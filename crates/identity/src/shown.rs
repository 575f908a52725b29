//! What somebody shows for who they are.

use std::fmt;
use std::sync::Arc;

use credentials::Refused;

/// What somebody shows for who they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token's text: one of ours, or an identity provider's.
    Bearer(String),
    /// The user at the other end of a Unix socket, as the kernel says.
    Peer {
        /// The user's number.
        uid: u32,
    },
    /// A certificate that held in the handshake, and a token beside it, which must be the same person's.
    Certificate {
        /// What it came to.
        login: Arc<Login>,
        /// The token's text.
        bearer: Option<String>,
    },
    /// What a reverse proxy says, over its own socket.
    Proxied {
        /// The proxy's user, as the kernel says.
        uid: u32,
        /// The person, in the proxy's words.
        name: String,
    },
    /// Something that can be nobody's; the reason is for the record.
    Void {
        /// What it was.
        kind: &'static str,
        /// Why it is void.
        reason: &'static str,
    },
    /// Nothing.
    None,
}

/// A certificate that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Which: `SERIAL@ISSUER`, the SHA-256 of the issuer's name.
    pub certificate: String,
    /// The user whom it names, or why none.
    pub person: Result<String, Refused>,
}

/// Never shows a token.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Bearer(_) => f.write_str("Bearer(…)"),
            Credential::Peer { uid } => write!(f, "Peer({uid})"),
            Credential::Certificate { login, bearer } => {
                write!(f, "Certificate({}, {})", login.certificate, if bearer.is_some() { "…" } else { "" })
            }
            Credential::Proxied { uid, name } => write!(f, "Proxied({uid}, {name:?})"),
            Credential::Void { kind, reason } => write!(f, "Void({kind}, {reason})"),
            Credential::None => f.write_str("None"),
        }
    }
}
