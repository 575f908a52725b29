//! The daemon and its administration. Every command but `serve` is one file in `commands/`; `serve` is
//! the supervisor, which starts the gateway (this program again, jailed) and the engine workers. Commands that
//! look into a stranger's medium start the importer, which is this program once more, in a jail of its own; sources of local
//! context are read by the indexer, and those of corpora of known code by the corpus builder, likewise.
//!
//! It contains no HTTP client, no resolver and no C++.

mod admin_socket;
mod airgap;
mod builder;
mod checker_process;
mod commands;
mod compose;
mod corpora;
mod corpus_process;
mod data;
mod events;
mod file;
mod format;
mod gateway_process;
mod host;
mod import_process;
mod importer;
mod index_process;
mod indexer;
mod indexing;
mod installed;
mod key_files;
mod listeners;
mod output;
mod policies;
mod served;
mod settings;
mod sources;
mod supervisor;
mod terminal;
mod ways_in;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    #[cfg(feature = "weaken")]
    jail::leave_out(std::env::var(jail::WITHOUT).unwrap_or_default());
    // The gateway, the importer, the indexer and the corpus builder are jailed before anything else of this program runs.
    match std::env::args_os().nth(1) {
        Some(argument) if argument == gateway_process::ARGUMENT => return gateway_process::main(),
        Some(argument) if argument == import_process::ARGUMENT => return import_process::main(),
        Some(argument) if argument == index_process::ARGUMENT => return index_process::main(),
        Some(argument) if argument == corpus_process::ARGUMENT => return corpus_process::main(),
        Some(argument) if argument == checker_process::ARGUMENT => return checker_process::main(),
        // Runs a compiler in a jail of its own, for whoever may make namespaces.
        Some(argument) if argument == checker_process::TOOL_ARGUMENT => return jail::tool::launch(),
        _ => {}
    }
    if let Err(error) = host::memory::forbid_dumps() {
        output::report(&*error);
        return ExitCode::FAILURE;
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
