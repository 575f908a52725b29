//! What the end-to-end tests, the soaks and the benchmarks share: a real server on a real model, plain
//! HTTP over its Unix socket, drawn loads, and crashes on purpose. For development only.

pub mod clients;
pub mod crash;
pub mod draw;
pub mod experts;
pub mod gguf;
pub mod histories;
pub mod http;
pub mod load;
pub mod peer;
pub mod persons;
pub mod places;
pub mod server;
pub mod shapes;
pub mod sink;
pub mod surface;
pub mod token;
pub mod upstream;

/// What a check found wrong, in words. Tests panic with it; soaks print it and stop.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
