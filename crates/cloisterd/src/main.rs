//! The daemon and its administration. Every command but `serve` is one file in `commands/`; `serve` is
//! the supervisor, which starts the gateway (this program again, jailed) and the engine workers.
//!
//! It contains no HTTP client, no resolver and no C++.

mod admin_socket;
mod commands;
mod compose;
mod data;
mod events;
mod file;
mod gateway_process;
mod key_files;
mod listeners;
mod output;
mod served;
mod settings;
mod supervisor;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The gateway is jailed before anything else of this program runs.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == gateway_process::ARGUMENT) {
        return gateway_process::main();
    }
    let arguments = commands::Arguments::parse();
    match commands::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            output::report(&*error);
            ExitCode::FAILURE
        }
    }
}
