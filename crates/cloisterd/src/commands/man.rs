use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::{Arguments, Outcome};

/// Writes the manual pages into a directory.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// An existing directory.
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(&self) -> Outcome {
        clap_mangen::generate_to(Arguments::command(), &self.directory)?;
        Ok(ExitCode::SUCCESS)
    }
}
