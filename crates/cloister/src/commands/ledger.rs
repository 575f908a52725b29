mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::Session;
use crate::failure::Failure;

/// Examines a ledger, without the daemon
#[derive(Subcommand)]
pub(crate) enum Ledger {
    Verify(verify::Verify),
}

impl Ledger {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        match self {
            Ledger::Verify(command) => command.run(session),
        }
    }
}
