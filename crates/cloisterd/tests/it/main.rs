//! The whole server, on real models, through its real sockets. A case that needs a program or a model
//! that is missing fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clients;
mod confinement;
mod crashes;
mod durability;
mod limits;
mod replays;
mod tampering;
mod tokens;
mod walk;
