use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory;

use super::{Cli, Session};
use crate::failure::Failure;

/// Writes the manual pages into a directory
#[derive(clap::Args)]
pub(crate) struct Man {
    /// The directory; it is made when it is not there
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let cannot = |error| Failure::file("cannot write manual pages to", &self.directory, &error);
        fs::create_dir_all(&self.directory).map_err(cannot)?;
        clap_mangen::generate_to(Cli::command(), &self.directory).map_err(cannot)?;
        session.output.say(format!("wrote the manual pages to {}", self.directory.display()));
        Ok(ExitCode::SUCCESS)
    }
}
