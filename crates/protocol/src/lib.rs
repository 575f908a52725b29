//! The types that cross from one Cloister process to another, and their framing. No I/O.
//!
//! Five conversations exist, each with a module, and what several of them carry:
//! - [`worker`]: gateway and engine worker, over a stream socketpair;
//! - [`control`]: supervisor and gateway, over a seqpacket socketpair that also carries descriptors;
//! - [`relay`]: what the supervisor tells a relay, which then speaks [`worker`] too;
//! - [`check`]: gateway and the process that has compilers run, over a stream socketpair;
//! - [`context`], [`corpora`]: what is known of sources of local context and of corpora of known code, and what those
//!   who read them are told;
//! - [`admin`]: administration commands and the gateway, over the admin Unix socket;
//! - [`posture`]: what a look at the jails came to, over [`control`] and [`admin`];
//! - [`access`]: how people are known beyond tokens, over [`control`];
//! - [`digest`], [`ids`]: the words all of them share.
//!
//! Every message is versioned by the first message of its conversation and limited in length by
//! [`frame`]. This crate does not speak HTTP: a client's dialects live in `gateway`.

pub mod access;
pub mod admin;
pub mod check;
pub mod context;
pub mod control;
pub mod corpora;
pub mod digest;
pub mod frame;
pub mod ids;
pub mod posture;
pub mod relay;
pub mod released;
pub mod worker;

pub use digest::Digest;
pub use ids::RecordNumber;
