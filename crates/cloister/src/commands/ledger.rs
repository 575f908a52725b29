mod check_proof;
mod evidence;
mod proof;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::Session;
use crate::failure::Failure;

/// Examines a ledger, without the daemon
#[derive(Subcommand)]
pub(crate) enum Ledger {
    Verify(verify::Verify),
    Proof(proof::Proof),
    CheckProof(check_proof::CheckProof),
}

impl Ledger {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        match self {
            Ledger::Verify(command) => command.run(session),
            Ledger::Proof(command) => command.run(session),
            Ledger::CheckProof(command) => command.run(session),
        }
    }
}
