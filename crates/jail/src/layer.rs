//! The jail's layers by name: evidence says which one holds and which one does not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A layer of the jail. Each closes ways of its own, most ways are closed by several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Only the descriptors that were meant to be there.
    Descriptors,
    /// Limits of memory, open files and core dumps.
    Limits,
    /// An empty network, with a loopback that is down.
    NetworkNamespace,
    /// Message queues and shared memory of its own.
    IpcNamespace,
    /// A host name of its own.
    HostnameNamespace,
    /// A file system that holds one socket. The relay's only.
    MountNamespace,
    /// No capability in any set.
    Capabilities,
    /// No program that it starts can gain rights.
    NoNewPrivileges,
    /// Files by path, TCP, and what later kernels add.
    Landlock,
    /// An allow-list of system calls.
    Seccomp,
    /// No variable that points programs at a proxy.
    Environment,
}

impl Layer {
    /// All of them, in the order in which they are applied.
    pub const ALL: [Layer; 11] = [
        Layer::Environment,
        Layer::Descriptors,
        Layer::Limits,
        Layer::NetworkNamespace,
        Layer::IpcNamespace,
        Layer::HostnameNamespace,
        Layer::MountNamespace,
        Layer::Capabilities,
        Layer::NoNewPrivileges,
        Layer::Landlock,
        Layer::Seccomp,
    ];

    /// Its name, as `network-namespace`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Layer::Descriptors => "descriptors",
            Layer::Limits => "limits",
            Layer::NetworkNamespace => "network-namespace",
            Layer::IpcNamespace => "ipc-namespace",
            Layer::HostnameNamespace => "hostname-namespace",
            Layer::MountNamespace => "mount-namespace",
            Layer::Capabilities => "capabilities",
            Layer::NoNewPrivileges => "no-new-privileges",
            Layer::Landlock => "landlock",
            Layer::Seccomp => "seccomp",
            Layer::Environment => "environment",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Layers that this process and those that it starts leave out, so that tests see that their absence is noticed: their
/// names with commas between, as in the variable [`WITHOUT`]. Ordinary builds have no such switch.
#[cfg(feature = "weaken")]
pub fn leave_out(names: String) {
    let _set_before = LEFT_OUT.set(names);
}

/// The variable by which programs with the feature `weaken` are told what to leave out.
#[cfg(feature = "weaken")]
pub const WITHOUT: &str = "CLOISTER_TEST_WITHOUT";

#[cfg(feature = "weaken")]
static LEFT_OUT: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// As [`WITHOUT`] says it to a child.
#[cfg(feature = "weaken")]
pub(crate) fn left_out_names() -> &'static str {
    LEFT_OUT.get().map_or("", String::as_str)
}

/// Whether a layer is left out.
#[cfg(feature = "weaken")]
pub(crate) fn left_out(layer: Layer) -> bool {
    left_out_names().split(',').any(|name| name == layer.name())
}

/// No build that ships leaves a layer out.
#[cfg(not(feature = "weaken"))]
pub(crate) const fn left_out(_: Layer) -> bool {
    false
}
