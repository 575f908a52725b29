use std::path::{Path, PathBuf};
use std::process::ExitCode;
#[cfg(target_os = "linux")]
use std::time::Duration;

use super::Session;
#[cfg(target_os = "linux")]
use crate::agent::Limits;
use crate::failure::Failure;
#[cfg(target_os = "linux")]
use crate::settings::Settings;

/// A limit was reached before the model was done.
#[cfg(target_os = "linux")]
const EXIT_LIMIT: u8 = 3;

/// Works on a task in a directory: reads, searches, proposes edits, has them checked
///
/// A bounded loop of the server's model and tools of this machine. The tools see the directory's files and nothing else: no
/// file that git ignores, nothing of git's own, nothing behind a link. Each step is shown with the number of its record.
/// Edits are asked about hunk by hunk; where nobody can be asked, none is taken. The check command is run in a jail, without
/// a network, on a copy of the files. Needs Linux.
///
/// Exit codes: 0 the model ended by itself, 1 the server said no, 2 the command line or the configuration is wrong, 3 a limit
/// was reached before.
#[derive(clap::Args)]
pub(crate) struct Agent {
    /// What is to be done
    #[arg(value_name = "TASK")]
    task: String,
    /// The directory; the root of the repository that you stand in, or where you stand, when absent
    #[arg(long, value_name = "DIRECTORY")]
    root: Option<PathBuf>,
    /// A command for a shell that the model may run as a check, such as `gnatmake -q -gnatc src/*.adb`
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,
    /// Seconds of one check at most
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    check_seconds: u32,
    /// Take all edits unasked: only at the root of a git work tree that has nothing uncommitted
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    bounds: Bounds,
    /// Print {end, text, steps, tokens, records, edits} as JSON; asks nothing
    #[arg(long)]
    json: bool,
}

// Who is asked, and how much a run, or a turn of an editor's, may use.
#[derive(clap::Args)]
pub(super) struct Bounds {
    /// The deployment to ask; `cloister models` lists them
    #[arg(long, short, value_name = "ALIAS")]
    deployment: Option<String>,
    /// Answers of the model at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// Tokens of all prompts and answers at most; the last answer may go beyond
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    tokens: u64,
    /// Tokens of one answer at most
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_tokens: u32,
    /// Seconds at most for the model's answers to come
    #[arg(long, value_name = "S", default_value_t = 900)]
    seconds: u32,
}

#[cfg(target_os = "linux")]
impl Bounds {
    pub(super) fn deployment<'a>(&'a self, settings: &'a Settings) -> Option<&'a str> {
        self.deployment.as_deref().or(settings.deployment.as_deref())
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            steps_max: self.steps,
            tokens_max: self.tokens,
            answer_tokens_max: self.max_tokens,
            time: Duration::from_secs(self.seconds.into()),
        }
    }
}

impl Agent {
    /// Confinement of paths and of the check is Linux's.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn run(self, _session: &mut Session) -> Result<ExitCode, Failure> {
        Err(Failure::configuration("the agent needs Linux, which confines its tools"))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        use crate::agent::{self, Checker, Consent, End, Tree};
        use crate::{consent, git, subject};

        if self.task.trim().is_empty() {
            return Err(Failure::usage("the task is empty"));
        }
        let root = self.root()?;
        if self.yes && (git::root(&root) != Some(root.as_path()) || !git::is_clean(&root)?) {
            return Err(Failure::usage(format!(
                "--yes is for the root of a git work tree with nothing uncommitted, which {} is not",
                root.display()
            ))
            .hint(
                "Commit or stash what is there, so that what the agent does can be told apart and undone.",
            ));
        }
        let settings = session.settings()?;
        let consent = match (self.yes, !self.json && consent::can_ask()) {
            (true, _) => Consent::All,
            (false, true) => Consent::Ask,
            (false, false) => Consent::None,
        };
        let tree = Tree::open(&root).map_err(|error| Failure::file("cannot open", &root, &error))?;
        let agent = agent::Agent {
            deployment: self.bounds.deployment(&settings).map(str::to_owned),
            subject: subject::of_directory(&root),
            settings: &settings,
            tree,
            checker: self
                .check
                .clone()
                .map(|command| Checker { command, wall_ms_max: u64::from(self.check_seconds) * 1000 }),
            consent,
            limits: self.bounds.limits(),
            shows_changes: !self.json,
        };
        let mut messages = vec![agent::opening(), serde_json::json!({"role": "user", "content": self.task})];
        let outcome = super::wait(agent.run(session, &mut messages))?;
        let limit = match outcome.end {
            End::Done => None,
            End::Steps => Some("steps (--steps)"),
            End::Tokens => Some("tokens (--tokens)"),
            End::Time => Some("time (--seconds)"),
        };
        if self.json {
            session.output.json(&outcome)?;
        } else if limit.is_none() {
            session.output.line(&outcome.text)?;
        }
        if let Some(limit) = limit {
            session.output.complain(&format!("stopped at the limit of {limit} before the model was done"));
            return Ok(ExitCode::from(EXIT_LIMIT));
        }
        Ok(ExitCode::SUCCESS)
    }

    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is no agent but on Linux"))]
    fn root(&self) -> Result<PathBuf, Failure> {
        let given = self.root.as_deref().unwrap_or(Path::new("."));
        let root = given.canonicalize().map_err(|error| Failure::file("cannot open", given, &error))?;
        let whole = if self.root.is_none() { crate::git::root(&root) } else { None };
        Ok(whole.map_or_else(|| root.clone(), Path::to_owned))
    }
}
