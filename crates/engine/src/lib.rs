//! Deployments and their workers, from both sides that need them:
//! - [`launch`], in the supervisor: a sealed program, a sealed model, a jailed process;
//! - [`Worker`] and [`Deployments`], in the gateway: token-exact generation over the worker's socket,
//!   with streaming, cancellation and back-pressure.
//!
//! It dials nothing: sockets come in as arguments.

mod deployments;
pub mod launch;
mod spoken;
mod worker;

pub use deployments::{Deployment, Deployments, NotTaken, Unavailable, pinned};
pub use worker::{Event, Generation, Order, Worker, WorkerError};
