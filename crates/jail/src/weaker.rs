//! What an administrator may accept that a jail goes without, by name.
//!
//! Accepting is permission, not a switch: where the kernel has the piece, the whole jail is applied. Where it
//! lacks a piece that is not accepted, the process does not start.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A piece of the jail that is missing, and that somebody accepted to go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weaker {
    /// The process may make no namespaces, and stays in the ones that it was started in. Only where its network
    /// is not the machine's first one and holds nothing but a loopback; never a relay.
    SharedNetworkNamespace,
    /// The kernel's Landlock is of ABI 1 to 3: it restricts files, and not TCP.
    LandlockWithoutTcp,
    /// The kernel has no Landlock.
    NoLandlock,
}

impl Weaker {
    /// All of them.
    pub const ALL: [Weaker; 3] =
        [Weaker::SharedNetworkNamespace, Weaker::LandlockWithoutTcp, Weaker::NoLandlock];

    /// As it is written in the configuration and in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Weaker::SharedNetworkNamespace => "shared-network-namespace",
            Weaker::LandlockWithoutTcp => "landlock-without-tcp",
            Weaker::NoLandlock => "no-landlock",
        }
    }

    /// What is not promised any more, in words.
    #[must_use]
    pub const fn lost(self) -> &'static str {
        match self {
            Weaker::SharedNetworkNamespace => {
                "network, IPC and host names are the service's, not its own; that the network is empty is up to who \
                 made it"
            }
            Weaker::LandlockWithoutTcp => {
                "Landlock denies files and no TCP; seccomp and the empty network still do"
            }
            Weaker::NoLandlock => {
                "Landlock denies nothing: the gateway and the importer could open every file that the service's user \
                 may"
            }
        }
    }
}

impl fmt::Display for Weaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Nothing has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no weaker jail is called `{name}`; there are {}", Weaker::ALL.map(Weaker::name).join(", "))]
pub struct UnknownWeaker {
    name: String,
}

impl FromStr for Weaker {
    type Err = UnknownWeaker;

    fn from_str(text: &str) -> Result<Self, UnknownWeaker> {
        let known = Weaker::ALL.into_iter().find(|weaker| weaker.name() == text);
        known.ok_or_else(|| UnknownWeaker { name: text.to_owned() })
    }
}

/// From their names, as they cross between processes.
pub fn parse_all(names: &[String]) -> Result<Vec<Weaker>, UnknownWeaker> {
    names.iter().map(|name| name.parse()).collect()
}

/// Their names.
#[must_use]
pub fn names(weaker: &[Weaker]) -> Vec<String> {
    weaker.iter().map(Weaker::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_everywhere() {
        for weaker in Weaker::ALL {
            assert_eq!(weaker.name().parse(), Ok(weaker));
            assert_eq!(serde_json::to_string(&weaker).unwrap(), format!("\"{weaker}\""));
        }
        assert_eq!(parse_all(&names(&Weaker::ALL)), Ok(Weaker::ALL.to_vec()));
        let error = parse_all(&["no-jail".to_owned()]).unwrap_err().to_string();
        assert!(Weaker::ALL.iter().all(|weaker| error.contains(weaker.name())), "{error}");
    }
}
