use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Session};
use crate::failure::Failure;

/// Prints a shell's completion script
///
/// For bash: `cloister completions bash > ~/.local/share/bash-completion/completions/cloister`.
#[derive(clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "cloister", &mut script);
        session.output.bytes(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
