//! Who asks, and whether they may: principals, credentials, labels, and one decision.
//!
//! [`decide`] is the only place that allows anything; it denies by default, and its policy's digest goes
//! into every record. Users and tokens are in SQLite, in a directory of this crate's own; a token's secret
//! is kept as its SHA-256 only. No password, no outside login.

mod decision;
mod labels;
mod store;

pub use decision::{Action, Decision, decide, policy_digest};
pub use labels::{LabelError, LabelSet};
pub use store::{AuthenticateError, Identity, Issued, KeyView, StoreError, TokenView, UserView, is_name};

use std::fmt;

/// What somebody shows for who they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token's text.
    Bearer(String),
    /// The user at the other end of a Unix socket, as the kernel says.
    Peer {
        /// The user's number.
        uid: u32,
    },
    /// Nothing.
    None,
}

/// Never shows a token.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::Bearer(_) => f.write_str("Bearer(…)"),
            Credential::Peer { uid } => write!(f, "Peer({uid})"),
            Credential::None => f.write_str("None"),
        }
    }
}

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name, unique on this server.
    pub name: String,
    /// How they showed who they are, for the record: `token:ID` or `uid:N`.
    pub credential: String,
    /// Labels they may see.
    pub clearance: LabelSet,
    /// Groups they are in, sorted.
    pub groups: Vec<String>,
    /// Whether this is the owner of the data directory.
    pub is_owner: bool,
}
