//! What somebody is, beside being a person.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role. Policies say what each may do; nobody is given `owner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Writes code.
    Developer,
    /// Looks at what others wrote.
    Reviewer,
    /// Changes the server, and reads metadata.
    Administrator,
    /// Reads records, and changes nothing.
    Auditor,
    /// Changes the policy, and erases.
    SecurityOfficer,
    /// A program.
    Service,
}

/// There is no such role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no role `{0}`: use developer, reviewer, administrator, auditor, security-officer or service"
)]
pub struct NoRole(String);

/// Groups whose members have a role, beside those that have it themselves.
pub type RolesOfGroups = BTreeMap<Role, Vec<String>>;

impl Role {
    /// All that can be given.
    pub const ALL: [Role; 6] = [
        Role::Developer,
        Role::Reviewer,
        Role::Administrator,
        Role::Auditor,
        Role::SecurityOfficer,
        Role::Service,
    ];

    /// As policies name it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Developer => "developer",
            Role::Reviewer => "reviewer",
            Role::Administrator => "administrator",
            Role::Auditor => "auditor",
            Role::SecurityOfficer => "security-officer",
            Role::Service => "service",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(name: &str) -> Result<Role, NoRole> {
        let found = Role::ALL.into_iter().find(|role| role.name() == name);
        found.ok_or_else(|| NoRole(name.escape_debug().to_string()))
    }
}

/// Roles by name, sorted, each once.
pub fn parse_roles<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Result<Vec<Role>, NoRole> {
    let roles: Result<std::collections::BTreeSet<Role>, NoRole> =
        names.into_iter().map(|name| name.as_ref().parse()).collect();
    Ok(roles?.into_iter().collect())
}
