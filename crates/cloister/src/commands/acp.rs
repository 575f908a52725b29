use std::process::ExitCode;

use super::Session;
use super::agent::Bounds;
use crate::failure::Failure;

/// Serves an editor as its agent, over the Agent Client Protocol on standard input and output
///
/// The agent is that of `cloister agent`, with the same tools and limits on what they reach; there is no check command. What it may use
/// is for each turn. The editor shows
/// each step with its record, asks you about each edit, and can stop it. Needs Linux.
#[derive(clap::Args)]
pub(crate) struct Acp {
    #[command(flatten)]
    bounds: Bounds,
}

impl Acp {
    /// Confinement of paths is Linux's.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn run(self, _session: &mut Session) -> Result<ExitCode, Failure> {
        Err(Failure::configuration("the agent needs Linux, which confines its tools"))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let settings = session.settings()?;
        let (deployment, limits) = (self.bounds.deployment(&settings), self.bounds.limits());
        super::wait(crate::acp::serve(session, &settings, deployment, limits))?;
        Ok(ExitCode::SUCCESS)
    }
}
