use std::process::ExitCode;

use super::Session;
use crate::failure::Failure;

/// Serves an editor as its agent, over the Agent Client Protocol on standard input and output
///
/// The agent is that of `cloister agent`, with the same tools and limits on what they reach; there is no check command. The editor shows
/// each step with its record, asks you about each edit, and can stop it. Needs Linux.
#[derive(clap::Args)]
pub(crate) struct Acp {
    /// The deployment to ask; `cloister models` lists them
    #[arg(long, short, value_name = "ALIAS")]
    deployment: Option<String>,
    /// Answers of the model at most, a turn
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// Tokens of all prompts and answers of a turn at most; the last answer may go beyond
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    tokens: u64,
    /// Tokens of one answer at most
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_tokens: u32,
    /// Seconds at most for the model's answers of a turn to come
    #[arg(long, value_name = "S", default_value_t = 900)]
    seconds: u32,
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
        let limits = crate::agent::Limits {
            steps_max: self.steps,
            tokens_max: self.tokens,
            answer_tokens_max: self.max_tokens,
            time: std::time::Duration::from_secs(self.seconds.into()),
        };
        let deployment = self.deployment.as_deref().or(settings.deployment.as_deref());
        super::wait(crate::acp::serve(session, &settings, deployment, limits))?;
        Ok(ExitCode::SUCCESS)
    }
}
