//! The site's policy, as leaves: which one is in force, and who approved it. The newest leaf says.

use approval::{Approval, ApprovalError};
use protocol::Digest;
use serde::{Deserialize, Serialize};

use crate::leaf::Event;
use crate::log::Ledger;
use crate::query::{Filter, QueryError};
use crate::read::ReadError;

/// Persons who must approve another policy.
pub const POLICY_PERSONS: usize = 2;

/// What approvals of policies are made for: `ssh-keygen -Y sign -n` this.
pub const POLICY_NAMESPACE: &str = "policy@cloister";

/// Another policy is about to be in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// Who installs it.
    pub actor: String,
    /// The leaf that installed the one before; 0 where there is none.
    pub after: u64,
    /// SHA-256 of the site's files before; absent where the default policy was in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// SHA-256 of the site's files, which is what persons approve; absent where the default policy is to be in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Digest>,
    /// What records name it by: the files with the schema and the floor of the program of that time.
    pub policy: Digest,
    /// Signatures over [`text`](Self::text), of at least [`POLICY_PERSONS`] persons.
    pub approvals: Vec<Approval>,
}

/// Why the policy that is to be in force cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum PolicyChangeError {
    /// The leaves cannot be found.
    #[error("the policy that is in force cannot be read from the ledger")]
    Query(#[from] QueryError),
    /// A leaf cannot be read.
    #[error("the policy that is in force cannot be read from the ledger")]
    Read(#[from] ReadError),
    /// It is not approved.
    #[error("leaf {leaf} installs a policy that is not approved: {source}; run `cloister ledger verify`")]
    Approval {
        /// Its index.
        leaf: u64,
        /// Why not.
        source: ApprovalError,
    },
}

impl PolicyChange {
    /// The text that persons sign, in the log of that name. It names the change before, so that a signature for one change
    /// is none for the next.
    pub fn text(origin: &str, after: u64, before: Option<Digest>, files: Option<Digest>) -> String {
        let shown =
            |files: Option<Digest>| files.map_or_else(|| "default".to_owned(), |files| files.to_string());
        format!(
            "cloister policy 1\nlog {origin}\nafter {after}\nbefore {}\npolicy {}\n",
            shown(before),
            shown(files)
        )
    }

    /// Whether enough persons approved exactly this.
    pub fn verify(&self, origin: &str) -> Result<(), ApprovalError> {
        let text = PolicyChange::text(origin, self.after, self.before, self.files);
        approval::verify_all(&self.approvals, POLICY_PERSONS, POLICY_NAMESPACE, text.as_bytes())
    }
}

impl Ledger {
    /// The newest change of policy, with its index, if it is approved; `None` where the default policy always was in
    /// force. Blocks on the disk.
    pub fn policy(&self) -> Result<Option<(u64, PolicyChange)>, PolicyChangeError> {
        let filter = Filter { kind: Some("policy".to_owned()), ..Filter::default() };
        let page = self.query(&filter, None, 1)?;
        let Some(leaf) = page.rows.first().map(|row| row.leaf) else { return Ok(None) };
        match self.record(leaf)?.leaf.event {
            Event::Policy(change) => {
                let approved = change.verify(self.origin());
                approved.map_err(|source| PolicyChangeError::Approval { leaf, source })?;
                Ok(Some((leaf, *change)))
            }
            _ => Ok(None),
        }
    }
}
