use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::data::Data;
use crate::installed;
use crate::output::Hinted;
use crate::settings::Settings;
use crate::supervisor::Supervisor;

/// Serves, until a signal says stop.
#[derive(Debug, Args)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) fn run(&self, data: &Path) -> Outcome {
        let data = Data::open(data)?;
        let settings = Settings::read(data.root())?;
        installed::check(&settings)?;
        let lock = data.try_lock()?.ok_or_else(|| {
            Hinted::new(
                format!("{} is in use by another cloisterd", data.root().display()),
                "stop it, or choose another data directory with --data",
            )
        })?;
        Supervisor::new(data, lock, settings)?.run()?;
        Ok(ExitCode::SUCCESS)
    }
}
