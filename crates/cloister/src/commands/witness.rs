mod init;
mod sign;

use std::process::ExitCode;

use clap::Subcommand;

use super::Session;
use crate::failure::Failure;

/// Cosigns another house's ledger, on a machine of your own, by files that are carried
#[derive(Subcommand)]
pub(crate) enum Witness {
    Init(init::Init),
    Sign(sign::Sign),
}

impl Witness {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        match self {
            Witness::Init(command) => command.run(session),
            Witness::Sign(command) => command.run(session),
        }
    }
}
