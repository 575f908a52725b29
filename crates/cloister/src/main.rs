//! `cloister`: the people's command. It completes, asks, explains and verifies, and dials one
//! configured server, by default a Unix socket.
//!
//! [`commands`] has a file a command: its arguments, whose doc comments are the help, and its run.
//! stdout carries data, stderr talk ([`output`]); a failure has a kind, its causes and a hint
//! ([`failure`]). Where the server is comes from one place ([`settings`]). [`lsp`] is the language server for editors.

#[cfg(target_os = "linux")]
mod acp;
#[cfg(target_os = "linux")]
mod agent;
mod checks;
mod commands;
mod consent;
mod conversation;
mod cursor;
mod decision;
mod environment;
mod evidence;
mod failure;
mod fences;
mod file;
mod findings;
mod git;
mod history;
mod hunks;
mod lsp;
mod output;
mod provenance;
mod receipts;
mod review;
mod sarif;
mod settings;
mod subject;
mod tls;
mod token;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::{Cli, Session};
use crate::environment::Environment;
use crate::output::Output;

fn main() -> ExitCode {
    // Before any thread: a launcher of jailed tools is this program, started freshly.
    #[cfg(target_os = "linux")]
    if std::env::args_os().nth(1).is_some_and(|argument| argument == agent::LAUNCHER_ARGUMENT) {
        return jail::tool::launch();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, for stdout; a closed pipe there is no failure.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::EXIT_USAGE));
        }
    };
    let output = Output::standard(cli.global.quiet);
    let mut session = Session { global: cli.global, environment: Environment::read(), output };
    match cli.command.run(&mut session) {
        Ok(code) => code,
        Err(failure) => failure.report(&mut session.output),
    }
}
