//! Who asks, and whether they may: principals, credentials, labels, and one decision.
//!
//! [`decide`] is the only place that allows anything; it denies by default, and its policy's digest goes
//! into every record. Users and tokens are in SQLite, in a directory of this crate's own; a token's secret
//! is kept as its SHA-256 only. No password, no outside login: what is proven elsewhere (certificates, tokens of an
//! identity provider, a proxy's word) was judged by `credentials`, and names a user who must be here and enabled.

mod decision;
mod labels;
mod shown;
mod store;

pub use credentials::is_name;
pub use decision::{Action, Decision, decide, policy_digest};
pub use labels::{LabelError, LabelSet};
pub use store::{AuthenticateError, Identity, Issued, KeyView, StoreError, TokenView, UserView};

pub use shown::{Credential, Login};

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name, unique on this server.
    pub name: String,
    /// How they showed who they are, for the record: `token:ID`, `uid:N`, `certificate:SERIAL@ISSUER`, `jwt:ID` or
    /// `proxy:UID`.
    pub credential: String,
    /// Labels they may see.
    pub clearance: LabelSet,
    /// Groups they are in, sorted.
    pub groups: Vec<String>,
    /// Whether this is the owner of the data directory.
    pub is_owner: bool,
}
