//! One decision for everything. Deny by default.

use protocol::Digest;
use protocol::context::EVERYONE;
use sha2::{Digest as _, Sha256};

use crate::{LabelSet, Principal};

/// The policy, as text: what [`decide`] does, and what its digest in the records stands for.
const POLICY: &str = "\
cloister policy 2
permit use when the principal's clearance dominates the labels
permit read when the principal's clearance dominates the labels, and the readers are everyone, or name the principal or a \
group of theirs
permit administer when the principal is the owner of the data directory
forbid everything else
";

/// What somebody wants to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a deployment.
    Use {
        /// Its alias.
        deployment: String,
    },
    /// Read a source of local context.
    Read {
        /// Groups and persons who may; `everyone` for all.
        readers: Vec<String>,
    },
    /// Run an administration command.
    Administer {
        /// As it is called on the command line.
        command: String,
    },
}

/// Whether they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// They may.
    pub allowed: bool,
    /// Why, or why not, for a person to read.
    pub reason: String,
    /// Digest of the policy that said so.
    pub policy: Digest,
}

/// Decides. `labels` are those of everything that the action would show.
pub fn decide(principal: &Principal, action: &Action, labels: &LabelSet) -> Decision {
    let (allowed, reason) = match action {
        Action::Use { .. } if principal.clearance.dominates(labels) => (true, "cleared".to_owned()),
        Action::Use { deployment } => (
            false,
            format!("{} is not cleared for [{labels}], which {deployment} would show", principal.name),
        ),
        // One reason for both ways of not being allowed: it may not tell that there is something.
        Action::Read { readers } if reads(principal, readers) && principal.clearance.dominates(labels) => {
            (true, "a reader".to_owned())
        }
        Action::Read { .. } => (false, "there is no such source".to_owned()),
        Action::Administer { .. } if principal.is_owner => (true, "owner".to_owned()),
        Action::Administer { command } => (
            false,
            format!("{} may not run `{command}`: the owner of the data directory may", principal.name),
        ),
    };
    Decision { allowed, reason, policy: policy_digest() }
}

fn reads(principal: &Principal, readers: &[String]) -> bool {
    readers
        .iter()
        .any(|reader| reader == EVERYONE || *reader == principal.name || principal.groups.contains(reader))
}

/// Digest of the policy in force.
pub fn policy_digest() -> Digest {
    Digest(Sha256::digest(POLICY).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(clearance: &str, is_owner: bool, action: &Action, labels: &str) -> bool {
        let principal = Principal {
            name: "p".to_owned(),
            credential: "token:0".to_owned(),
            clearance: clearance.parse().unwrap(),
            groups: vec!["crew".to_owned()],
            is_owner,
        };
        decide(&principal, action, &labels.parse().unwrap()).allowed
    }

    #[test]
    fn deny_by_default() {
        let using = Action::Use { deployment: "d".to_owned() };
        let administering = Action::Administer { command: "user add".to_owned() };
        assert!(decided("", false, &using, ""));
        assert!(decided("a,b", false, &using, "a"));
        assert!(!decided("a", false, &using, "a,b"));
        assert!(!decided("a", true, &using, "b"), "an owner is not cleared for everything");
        assert!(decided("", true, &administering, ""));
        let reading =
            |readers: &[&str]| Action::Read { readers: readers.iter().map(ToString::to_string).collect() };
        for readers in [&["p"][..], &["crew"], &["other", "everyone"]] {
            assert!(decided("a", false, &reading(readers), "a"), "{readers:?}");
            assert!(!decided("", false, &reading(readers), "a"), "{readers:?}");
        }
        for readers in [&[][..], &["q"], &["crews"]] {
            assert!(!decided("a", true, &reading(readers), ""), "{readers:?}");
        }
        assert!(!decided("a", false, &administering, ""));
    }
}
