use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::data::Data;
use crate::host::{activation, memory};
use crate::installed;
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::supervisor::Supervisor;

/// Every other user reads so in a user namespace, the peers of the gateway among them: nobody may own the data by
/// that number, or all would.
const UNMAPPED: u32 = 65534;

/// Serves, until a signal says stop.
#[derive(Debug, Args)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) fn run(&self, data: &Path) -> Outcome {
        // Before anything is opened: the numbers are as the service manager left them.
        let activated = activation::take()?;
        let data = Data::open(data)?;
        if data.owner_uid() == UNMAPPED {
            let hint = "give it, and what is in it, to a user of its own";
            return Err(
                Hinted::new(format!("{} belongs to user {UNMAPPED}", data.root().display()), hint).into()
            );
        }
        let settings = Settings::read(data.root())?;
        installed::check(&settings)?;
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
