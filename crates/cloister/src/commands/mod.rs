//! The commands, one file each.

mod acp;
mod agent;
mod approve;
mod ask;
mod blame;
mod bundle;
mod chat;
mod check;
mod commit_message;
mod complete;
mod completions;
mod console;
mod decide;
mod edit;
mod evidence;
mod explain;
mod gate;
mod generate;
mod installed;
mod ledger;
mod lsp;
mod man;
mod mcp;
mod models;
mod review;
mod search;
mod status;
mod trace;
mod witness;

use std::future::Future;
use std::process::ExitCode;

use ::client::Mark;
use clap::{Parser, Subcommand};

use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::Output;
use crate::receipts;
use crate::settings::Settings;

pub(crate) use review::{short, when};
pub(crate) use search::heading as search_heading;

/// An air-gapped code assistant: completes, answers and proves what it did.
///
/// Asks one server, by default the daemon on this machine over its Unix socket. The server is named
/// by --server, else CLOISTER_SERVER, else `server` in config.toml in $XDG_CONFIG_HOME/cloister;
/// a token, where one is needed, by CLOISTER_TOKEN or `token_file` in that file.
///
/// Exit codes: 0 done, 1 the server or a file said no, or a verification found problems, 2 the
/// command line or the configuration is wrong.
#[derive(Parser)]
#[command(name = "cloister", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(clap::Args)]
pub(crate) struct Global {
    /// The server: unix:/path/to/socket or http://127.0.0.1:PORT
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub(crate) server: Option<String>,
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Complete(complete::Complete),
    Generate(generate::Generate),
    Ask(ask::Ask),
    Chat(chat::Chat),
    Edit(edit::Edit),
    CommitMessage(commit_message::CommitMessage),
    Agent(Box<agent::Agent>),
    Acp(acp::Acp),
    Decide(decide::Decide),
    Explain(explain::Explain),
    Search(search::Search),
    Check(check::Check),
    Trace(trace::Trace),
    Review(review::Review),
    Blame(blame::Blame),
    Approve(approve::Approve),
    Gate(Box<gate::Gate>),
    Evidence(evidence::Evidence),
    Mcp(mcp::Mcp),
    Lsp(lsp::Lsp),
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    #[command(subcommand)]
    Witness(witness::Witness),
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    #[command(subcommand, name = "self")]
    Installed(installed::Installed),
    Status(status::Status),
    Models(models::Models),
    Console(console::Console),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        match self {
            Command::Complete(command) => command.run(session),
            Command::Generate(command) => command.run(session),
            Command::Ask(command) => command.run(session),
            Command::Chat(command) => command.run(session),
            Command::Edit(command) => command.run(session),
            Command::CommitMessage(command) => command.run(session),
            Command::Agent(command) => command.run(session),
            Command::Acp(command) => command.run(session),
            Command::Decide(command) => command.run(session),
            Command::Explain(command) => command.run(session),
            Command::Search(command) => command.run(session),
            Command::Check(command) => command.run(session),
            Command::Trace(command) => command.run(session),
            Command::Review(command) => command.run(session),
            Command::Blame(command) => command.run(session),
            Command::Approve(command) => command.run(session),
            Command::Gate(command) => command.run(session),
            Command::Evidence(command) => command.run(session),
            Command::Mcp(command) => command.run(session),
            Command::Lsp(command) => command.run(session),
            Command::Ledger(command) => command.run(session),
            Command::Witness(command) => command.run(session),
            Command::Bundle(command) => command.run(session),
            Command::Installed(command) => command.run(session),
            Command::Status(command) => command.run(session),
            Command::Models(command) => command.run(session),
            Command::Console(command) => command.run(session),
            Command::Completions(command) => command.run(session),
            Command::Man(command) => command.run(session),
        }
    }
}

/// What every command runs with.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) environment: Environment,
    pub(crate) output: Output,
}

impl Session {
    /// The server and who asks; for the commands that ask.
    pub(crate) fn settings(&mut self) -> Result<Settings, Failure> {
        Settings::resolve(self.global.server.as_deref(), &self.environment, &mut self.output)
    }

    /// Keeps an answer's receipt. The answer stands without it, so a failure is a warning.
    pub(crate) fn keep_receipt(&mut self, settings: &Settings, mark: &Mark) {
        let Some(path) = receipts::path(&self.environment) else { return };
        if let Err(error) = receipts::append(&path, settings.client.address(), mark) {
            self.output.say(format!("warning: cannot keep the receipt in {}: {error}", path.display()));
        }
    }
}

/// Runs the asking part of a command to its end.
fn wait<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("cannot start", &error))?
        .block_on(future)
}
