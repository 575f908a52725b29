//! Who asks, and whether they may: principals, credentials, labels, and one decision.
//!
//! [`Asking::decide`] is the only place that allows anything; it denies by default, and its policy's digest goes
//! into every record. Policies are Cedar's, validated against [`SCHEMA`]. Users and tokens are in SQLite, in a directory of this crate's own; a token's secret
//! is kept as its SHA-256 only. No password, no outside login.

mod about;
mod case;
mod decision;
mod in_force;
mod labels;
mod lattice;
mod names;
mod policy;
mod role;
mod store;
mod verb;

pub use case::{CASES_MAX, Case, CaseError, CaseOutcome, Cases, Expected, Person, Thing};
pub use decision::{Asked, Asking, Circumstances, Decision};
pub use in_force::InForce;
pub use labels::{LabelError, LabelSet};
pub use lattice::{Lattice, LatticeError};
pub use policy::{
    DEFAULT, FILES_BYTES_MAX, FILES_MAX, FLOOR, POLICIES_MAX, Policy, PolicyError, PolicyFile, Problem,
    SCHEMA, is_policy_file_name,
};
pub use role::{NoRole, Role, RolesOfGroups, parse_roles};
pub use store::{AuthenticateError, Identity, Issued, KeyView, StoreError, TokenView, UserView, is_name};
pub use verb::{NoVerb, Resource, Verb};

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
    /// Roles they have, their groups' among them, sorted.
    pub roles: Vec<Role>,
    /// Whether this is the owner of the data directory.
    pub is_owner: bool,
}

impl Principal {
    /// How they showed who they are, in one word for policies.
    pub fn strength(&self) -> &str {
        match self.credential.split(':').next().unwrap_or_default() {
            "uid" => "peer",
            "cert" => "certificate",
            "key" => "signature",
            other => other,
        }
    }
}
