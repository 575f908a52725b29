//! Who asks, and whether they may: principals, credentials, labels, and one decision.
//!
//! [`Asking::decide`] is the only place that allows anything; it denies by default, and its policy's digest goes
//! into every record. Policies are Cedar's, validated against [`SCHEMA`]. Users and tokens are in SQLite, in a directory
//! of this crate's own; a token's secret is kept as its SHA-256 only. No password, no outside login: what is proven
//! elsewhere (certificates, tokens of an identity provider, a proxy's word) was judged by `credentials`, and names a
//! user who must be here and enabled.

mod about;
mod case;
mod decision;
mod in_force;
mod known;
mod labels;
mod lattice;
mod names;
mod policy;
mod role;
mod scope;
mod shown;
mod store;
mod verb;

pub use case::{CASES_MAX, Case, CaseError, CaseOutcome, Cases, Expected, Person, Thing};
pub use credentials::is_name;
pub use decision::{Asked, Asking, Circumstances, Decision};
pub use in_force::InForce;
pub use labels::{LabelError, LabelSet};
pub use lattice::{Lattice, LatticeError};
pub use policy::{
    DEFAULT, FILES_BYTES_MAX, FILES_MAX, FLOOR, POLICIES_MAX, Policy, PolicyError, PolicyFile, Problem,
    SCHEMA, is_policy_file_name,
};
pub use role::{NoRole, Role, RolesOfGroups, parse_roles};
pub use scope::Scope;
pub use store::{AuthenticateError, Identity, Issued, KeyView, StoreError, Terms, TokenView, UserView};
pub use verb::{NoVerb, Resource, Verb};

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
    /// Roles they have, their groups' among them, sorted.
    pub roles: Vec<Role>,
    /// Whether this is the owner of the data directory.
    pub is_owner: bool,
    /// What the token that they showed is limited to.
    pub scope: Scope,
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
