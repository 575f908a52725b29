//! The sandbox: what a Cloister process gives up before it touches a stranger's bytes.
//!
//! [`apply`] confines the calling process in layers, each of which suffices for most of what the
//! others forbid: an empty network namespace, no capabilities, Landlock, and a seccomp allow-list.
//! [`probe`] attempts the escapes from inside, [`inspect`] reads the result from outside, and
//! neither believes the other; [`oversight`] asks for probes while the process works. [`sealed`], [`channel`] and
//! [`spawn`] are how a jailed process gets what it needs: by descriptor.
//!
//! Landlock, `unshare` and plain seccomp bind the calling thread only. So `apply` belongs at the
//! top of `main` of a freshly executed process, and refuses when a second thread exists.
//!
//! What this crate does not do: it never falls back unasked. A kernel that lacks a part is an error that
//! names the part, and the [`weaker`] jail that somebody could accept by name. What stays visible to a jailed
//! process: the metadata of files whose path it knows (Landlock does not restrict `stat`), the clock, and the
//! machine's load. There is a mount namespace for the relay, which may connect, and for tools, which run programs of
//! others; a PID namespace for tools only. For the rest Landlock and seccomp deny what those would hide. [`tool`] runs
//! such programs, each in a jail of its own.
//!
//! This is one of the two crates that may use `unsafe`; its interface is safe.
#![allow(unsafe_code, reason = "system calls that rustix lacks; the point of this crate is to hold them")]

mod apply;
mod capabilities;
mod descriptors;
mod files;
mod layer;
mod mounts;
mod namespaces;
mod seccomp;

pub mod channel;
pub mod clock;
pub mod errno;
pub mod gpu;
pub mod inspect;
pub mod oversight;
pub mod probe;
pub mod sealed;
pub mod spawn;
pub mod tool;
pub mod weaker;

pub use apply::{Applied, Jail, JailError, Kind, Route, apply, apply_with_socket, forbid_core_dumps};
pub use errno::Errno;
pub use files::LANDLOCK_ABI_MIN;
pub use layer::Layer;
#[cfg(feature = "weaken")]
pub use layer::{WITHOUT, leave_out};
pub use mounts::SOCKET;
pub use seccomp::{Admission, Answer, admissions, give_up_networks};
pub use weaker::Weaker;
