use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::Outcome;
use crate::data::Data;
use crate::output;
use crate::settings::Settings;
use crate::ways_in;

/// The configuration file.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Reads cloister.toml, and the certificates and keys that it names, and says what is wrong with them, or what
    /// results.
    Check,
}

impl Config {
    pub(crate) fn run(&self, data: &Path) -> Outcome {
        let data = Data::open(data)?;
        let settings = Settings::read(data.root())?;
        let ways_in = ways_in::examine(&settings)?;
        output::say(&format!("{} is valid; in force are:", data.path(crate::settings::FILE_NAME).display()));
        output::line(&format!("{settings:#?}"))?;
        output::line(&format!("{:#?}", settings.limits()))?;
        for line in &ways_in {
            output::say(line);
        }
        Ok(ExitCode::SUCCESS)
    }
}
