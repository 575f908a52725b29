//! The engine worker: one model in one jail. It opens nothing: descriptor 3 is the socket to the
//! gateway, descriptor 4 the sealed model, descriptor 5 the line to the supervisor. Started by the supervisor, never by hand.
//!
//! Order matters: the settings are read, the jail is applied while there is one thread, the GGUF's
//! header is read by our own strict reader, and only then does C++ see a byte of it.

mod connection;
mod device;
mod drafts;
mod grammar;
mod kept;
mod pace;
mod queue;
mod replies;
mod sampler;
mod scheduler;
mod slot;
mod start;
mod vocabulary;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "weaken")]
    jail::leave_out(std::env::var(jail::WITHOUT).unwrap_or_default());
    match start::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            start::log("error", &error.to_string());
            ExitCode::FAILURE
        }
    }
}
