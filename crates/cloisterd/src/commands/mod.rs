//! The administration commands, one file each.

mod administer;
mod airgap;
mod airgap_report;
mod backup;
mod completions;
mod config;
mod corpus;
mod doctor;
mod erase;
mod evidence;
mod export;
mod init;
mod jail_probe;
mod keys;
mod man;
pub(crate) mod model;
mod policy;
mod qualify;
mod query;
mod replay;
mod repo;
mod serve;
mod slice;
mod spill;
mod toolchain;
mod user_import;
mod witness;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings;

/// Cloister's daemon and its administration.
#[derive(Debug, Parser)]
#[command(name = "cloisterd", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// The data directory [default: ~/.local/share/cloister, or /var/lib/cloister for root; or
    /// $CLOISTER_DATA]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A file that holds the passphrase of sealed keys [default: a prompt; or $CLOISTER_PASSPHRASE_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Init),
    Serve(serve::Serve),
    #[command(subcommand)]
    Model(model::Model),
    #[command(subcommand)]
    Repo(repo::Repo),
    #[command(subcommand)]
    Corpus(corpus::Corpus),
    #[command(subcommand)]
    Toolchain(toolchain::Toolchain),
    #[command(subcommand)]
    User(administer::User),
    #[command(subcommand)]
    Token(administer::Token),
    #[command(subcommand)]
    Ledger(administer::Ledger),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    Spill(spill::Spill),
    #[command(subcommand)]
    Keys(keys::Keys),
    Qualify(qualify::Qualify),
    Replay(replay::Replay),
    Status(administer::Status),
    #[command(subcommand)]
    Airgap(airgap::Airgap),
    #[command(subcommand)]
    Jail(jail_probe::Jail),
    #[command(subcommand)]
    Config(config::Config),
    Completions(completions::Completions),
    Man(man::Man),
}

/// What a command comes to.
pub(crate) type Outcome = Result<ExitCode, Box<dyn Error>>;

/// Runs the command.
pub(crate) fn run(arguments: Arguments) -> Outcome {
    let data = settings::data_directory(arguments.data);
    settings::set_passphrase_file(arguments.passphrase_file);
    match arguments.command {
        Command::Init(command) => command.run(&data),
        Command::Serve(command) => command.run(&data),
        Command::Model(command) => command.run(&data),
        Command::Repo(command) => command.run(&data),
        Command::Corpus(command) => command.run(&data),
        Command::Toolchain(command) => command.run(&data),
        Command::User(command) => command.run(&data),
        Command::Token(command) => command.run(&data),
        Command::Ledger(command) => command.run(&data),
        Command::Policy(command) => command.run(&data),
        Command::Spill(command) => command.run(&data),
        Command::Keys(command) => command.run(&data),
        Command::Qualify(command) => command.run(&data),
        Command::Replay(command) => command.run(&data),
        Command::Status(command) => command.run(&data),
        Command::Airgap(command) => command.run(&data),
        Command::Jail(command) => command.run(&data),
        Command::Config(command) => command.run(&data),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}
