//! The relay: one upstream engine, a llama-server of the enclave, as a worker. It speaks the worker's
//! conversation with the gateway (descriptor 3, [`protocol::worker`]) and HTTP with the upstream, over the one Unix
//! socket that its jail still has. Started by the supervisor, never by hand.
//!
//! It tries nothing twice and knows no other address. Tokens are the upstream's: it numbers them, so a prompt stays
//! token-exact. Nothing of the upstream is believed beyond what a record says it states.

mod generation;
mod serve;
mod server;
mod slots;
mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "weaken")]
    jail::leave_out(std::env::var(jail::WITHOUT).unwrap_or_default());
    match start::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            start::log(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
