use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::data::Data;
use crate::host::{activation, memory};
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::supervisor::Supervisor;

/// Serves, until a signal says stop.
#[derive(Debug, Args)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) fn run(&self, data: &Path) -> Outcome {
        // Before anything is opened: the numbers are as the service manager left them.
        let activated = activation::take()?;
        let data = Data::open(data)?;
        let settings = Settings::read(data.root())?;
        let lock = data.try_lock()?.ok_or_else(|| {
            Hinted::new(
                format!("{} is in use by another cloisterd", data.root().display()),
                "stop it, or choose another data directory with --data",
            )
        })?;
        memory::swap_warnings().iter().for_each(|warning| output::say(warning));
        Supervisor::new(data, lock, settings, activated)?.run()?;
        Ok(ExitCode::SUCCESS)
    }
}
