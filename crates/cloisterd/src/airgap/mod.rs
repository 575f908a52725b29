//! The proof that nothing leaves, collected by the supervisor while everything runs: probes from inside each jail,
//! what /proc says of each process from outside, a positive control, the program itself, and the host around it.

mod host;
mod overseer;
mod processes;
mod program;
mod sockets;

pub(crate) use host::nftables;
pub(crate) use overseer::{CONTROL, Overseer, Surroundings, control};
