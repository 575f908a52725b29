mod sign;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::Session;
use crate::failure::Failure;

/// Looks at this installation itself (docs/release.md)
#[derive(Subcommand)]
pub(crate) enum Installed {
    Verify(verify::VerifyInstalled),
    Sign(sign::SignInstalled),
}

impl Installed {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        match self {
            Installed::Verify(command) => command.run(session),
            Installed::Sign(command) => command.run(session),
        }
    }
}
