use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use assist::{Ask, Message, Parameters, Role, Tools, trial};
use clap::{Args, Subcommand, ValueEnum};
use identity::LabelSet;
use jail::spawn::Program;
use jail::tool::Launcher;
use jiff::Timestamp;
use models::deployment::{Lock, WantedDeployment};
use protocol::worker::{Sampling, Until};
use qualify::answers::Answers;
use qualify::judge::{self, Place};
use qualify::make::{Wanted, make_suite};
use qualify::repair::Repair;
use qualify::report::{Facts, Report};
use qualify::run::{Drawn, Settings as Run, Way, run};
use qualify::suite::{Form, Kind, Question, Suite};
use tokio::sync::watch;

use super::Outcome;
use super::model::deploy::lock_of;
use super::model::vault_lock;
use crate::checker_process::TOOL_ARGUMENT;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::{compose, file, served};

/// Where programs that are judged write, in the data directory.
const SCRATCH: &str = "qualify/scratch";
/// Where answers are kept, so that a run goes on where it was ended.
const ANSWERS: &str = "qualify/answers.jsonl";

/// Judges a deployment, or a model that is imported and not admitted yet, on suites of tasks: its answers are compiled
/// and run with their tests, in jails.
///
/// A run takes hours. It may be ended at any time and goes on where it was; the same seed, model, engine and suite give the
/// same answers. `cloisterd model qualify OBJECT REPORT` attaches the report to the model.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Qualify {
    #[command(subcommand)]
    other: Option<Other>,
    /// The deployment.
    #[arg(required_unless_present = "object")]
    deployment: Option<String>,
    /// A model of the vault instead, promoted or not: a name, `name@version`, or digits of a digest. It serves nobody
    /// meanwhile.
    #[arg(long, value_name = "OBJECT", conflicts_with = "deployment")]
    object: Option<String>,
    /// A suite, as JSON Lines (docs/qualify.md); may be repeated.
    #[arg(long = "suite", value_name = "FILE", required_unless_present = "probes")]
    suites: Vec<PathBuf>,
    /// The built-in probes: planted instructions in passages, and honest questions that sound like harm. They are asked
    /// plainly.
    #[arg(long)]
    probes: bool,
    /// In which ways; each later one is compared with the first.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [WayName::Plain, WayName::Repair])]
    ways: Vec<WayName>,
    /// Answers drawn at most in the ways best-of and repair (4 unless said), and agree (6: two for each that must agree).
    #[arg(long, value_name = "N")]
    candidates: Option<u32>,
    /// Answers that must behave the same in the way agree.
    #[arg(long, value_name = "N", default_value_t = 3)]
    agree: u32,
    /// With which those after the first are drawn.
    #[arg(long, value_name = "T", default_value_t = 0.6)]
    temperature: f32,
    /// Tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = 320)]
    max_tokens: u32,
    /// Seed of everything that is drawn.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How a task with two forms is asked: `completion` for models that people complete with, `chat` for others.
    #[arg(long, value_enum, default_value_t = FormName::Completion)]
    form: FormName,
    /// Only the first of each suite's tasks: to see whether all is there.
    #[arg(long, value_name = "N")]
    tasks: Option<usize>,
    /// A folder for the reports, one a suite, as JSON and as HTML.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Where answers are kept [default: qualify/answers.jsonl in the data directory]
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Print the reports as JSON, a line for each suite.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Other {
    MakeSuite(MakeSuite),
}

/// Makes a suite of a folder's own code: bodies are masked, and the compiler and the unit's own test judge what fills them.
#[derive(Debug, Args)]
struct MakeSuite {
    /// The folder.
    folder: PathBuf,
    /// The language, by its name.
    #[arg(long)]
    language: String,
    /// Tasks.
    #[arg(long, value_name = "N", default_value_t = 50)]
    count: usize,
    /// Draws the tasks.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A command that builds the whole with its test, in a copy of the folder; without one, the compiler alone judges.
    #[arg(long, value_name = "COMMAND", value_delimiter = ' ')]
    build: Vec<String>,
    /// A command that runs the test behind it.
    #[arg(long, value_name = "COMMAND", value_delimiter = ' ', requires = "build")]
    test: Option<Vec<String>>,
    /// Where the suite is written.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WayName {
    /// The first answer.
    Plain,
    /// The first that the compiler has nothing against.
    BestOf,
    /// Likewise, each mended by the compiler's words.
    Repair,
    /// Repair, until some of what is clean behave the same with drawn inputs (Ada and VHDL), or by what most come to.
    Agree,
    /// The first answer, held to the language's syntax as it is written (Ada and VHDL, in completions).
    PlainSyntax,
    /// Repair of answers that are.
    RepairSyntax,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormName {
    Completion,
    Chat,
}

impl Qualify {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        if let Some(Other::MakeSuite(command)) = self.other {
            return command.run(data);
        }
        let data = Data::open(data)?;
        let settings = Settings::read(data.root())?;
        let mut suites = Vec::new();
        for path in &self.suites {
            suites.push(Suite::read(path)?);
        }
        if self.probes {
            suites.push(Suite::probes()?);
        }
        for suite in &mut suites {
            suite.tasks.truncate(self.tasks.unwrap_or(usize::MAX));
            if let Some(missing) = judge::missing(&suite.tasks) {
                let hint = "install it, or leave the suite out: `cloisterd toolchain list`";
                return Err(Hinted::new(format!("{} cannot be judged: {missing}", suite.name), hint).into());
            }
        }
        let lock = self.lock(&data, &settings)?;
        let Some(pinned) = compose::pinned(&data, &settings, vec![lock])?.into_iter().next() else {
            return Err("nothing is pinned".into());
        };
        let facts = pinned.facts();
        let model = facts
            .model()
            .ok_or("an upstream engine's weights are not known here, so it cannot be qualified")?;
        let place = place(&data)?;
        let path = match &self.answers {
            Some(path) => path.clone(),
            None => data.path(ANSWERS),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::create_dir_all(&self.out)?;
        let mut answers = Answers::open(&path)?;
        let launched = pinned.launch(&settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let finished = runtime.block_on(async {
            let deployment = Arc::new(compose::spare(facts.clone(), launched.socket).await?);
            let (stopping, stop) = watch::channel(false);
            tokio::spawn(async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    output::say(
                        "stopping; what was answered is kept, and the same command goes on from here",
                    );
                    let _ended = stopping.send(true);
                }
            });
            let slots = usize::try_from(deployment.ready.slots).unwrap_or(1);
            let of = Arc::clone(&deployment);
            let max_tokens = self.max_tokens;
            let draws = Arc::new(move |question: Question, sampling: Sampling, tokens_max: u32, syntax| {
                let deployment = Arc::clone(&of);
                let tokens_max = tokens_max.min(max_tokens);
                async move { draw(&deployment, question, sampling, tokens_max, syntax).await }
            });
            for suite in &suites {
                let facts = Facts {
                    title: format!("{} on {}", facts.alias, suite.name),
                    model: deployment.ready.model.name.clone(),
                    machine: machine(),
                    toolchains: place.toolchains(suite),
                    made_at: Timestamp::now().to_string(),
                };
                let settings = |way: WayName| Run {
                    form: self.form.into(),
                    way: self.way(way),
                    syntax: matches!(way, WayName::PlainSyntax | WayName::RepairSyntax),
                    sampling: Sampling { seed: self.seed, ..Sampling::GREEDY },
                    samples: 1,
                    tokens_max: self.max_tokens,
                    model,
                    engine: deployment.facts.engine_build.to_string(),
                    slots,
                    judges: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                };
                let mut report = Report::new(suite, &settings(WayName::Plain), facts);
                // No compiler has a word on prose: there is nothing to choose by, and nothing to mend.
                let ways = if suite.kind == Kind::Probe { &[WayName::Plain] } else { self.ways.as_slice() };
                for way in ways {
                    let settings = settings(*way);
                    let bar = output::counted(&format!("{} {}", suite.name, settings.way_name()));
                    let ran = run(
                        suite,
                        Arc::clone(&draws),
                        &settings,
                        &place,
                        &mut answers,
                        |progress| {
                            bar.set_length(progress.all as u64);
                            bar.set_position(progress.done as u64);
                            bar.set_message(format!("{} {} passed", suite.name, progress.passed));
                        },
                        stop.clone(),
                    )
                    .await?;
                    bar.finish_and_clear();
                    report.add(suite, &settings, &ran, &[1]);
                    if !ran.complete {
                        return Ok::<_, Box<dyn Error>>(false);
                    }
                    output::say(&line(suite, &report));
                }
                self.write(suite, &report)?;
            }
            Ok(true)
        })?;
        drop(runtime);
        launched.child.kill()?;
        launched.child.wait()?;
        Ok(if finished { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn lock(&self, data: &Data, settings: &Settings) -> Result<Lock, Box<dyn Error>> {
        if let Some(name) = &self.object {
            let vault = served::vault(data)?;
            let object = vault.find(name)?;
            let wanted = WantedDeployment::default();
            let _lock = vault_lock(data)?;
            return lock_of(data, settings, &vault, &object, &object.name, &wanted, &LabelSet::default());
        }
        let locks = served::locks(data, settings, &served::verifier(data)?)?;
        let wanted = self.deployment.as_deref().unwrap_or_default();
        let lock = locks.into_iter().find(|lock| lock.alias().as_str() == wanted);
        lock.ok_or_else(|| {
            let hint = "`cloisterd model list` shows what is deployed";
            Hinted::new(format!("there is no deployment {}", wanted.escape_debug()), hint).into()
        })
    }

    fn way(&self, name: WayName) -> Way {
        let (n, temperature) = (self.candidates.unwrap_or(4), self.temperature);
        match name {
            WayName::Plain | WayName::PlainSyntax => Way::Plain,
            WayName::BestOf => Way::BestOf { n, temperature },
            WayName::Repair | WayName::RepairSyntax | WayName::Agree => {
                let (agree, candidates_max) = match name {
                    WayName::Agree => (self.agree, self.candidates.unwrap_or(self.agree.saturating_mul(2))),
                    _ => (1, n),
                };
                let limits =
                    languages::Limits { candidates_max, temperature, agree, ..languages::Limits::default() };
                Repair { limits }.into()
            }
        }
    }

    fn write(&self, suite: &Suite, report: &Report) -> Result<(), Box<dyn Error>> {
        let json = report.to_json()?;
        if self.json {
            output::line(&String::from_utf8_lossy(&json))?;
        }
        for (ending, bytes) in [("json", json.as_slice()), ("html", report.to_html().as_bytes())] {
            let path = self.out.join(format!("{}.{ending}", suite.name));
            file::write(&path, bytes)?;
            output::say(&format!("written: {}", path.display()));
        }
        Ok(())
    }
}

impl MakeSuite {
    fn run(self, data: &Path) -> Outcome {
        let data = Data::open(data)?;
        let language = languages::Language::from_name(&self.language).ok_or_else(|| {
            Hinted::new(format!("no language is called {}", self.language), "such as ada, vhdl, c")
        })?;
        let wanted = Wanted {
            language,
            count: self.count,
            seed: self.seed,
            build: self.build,
            run: self.test,
            expect_stdout: None,
        };
        let made = make_suite(&place(&data)?, &self.folder, &wanted)?;
        file::write(&self.out, made.to_json_lines()?.as_bytes())?;
        for (why, count) in &made.left_out {
            output::say(&format!("left out: {count}: {why}"));
        }
        output::say(&format!("{} tasks of {} bodies: {}", made.tasks.len(), made.bodies, self.out.display()));
        Ok(ExitCode::SUCCESS)
    }
}

fn place(data: &Data) -> Result<Place, Box<dyn Error>> {
    let scratch = data.root().canonicalize()?.join(SCRATCH);
    std::fs::create_dir_all(&scratch)?;
    let program = Path::new("/proc/self/exe");
    Ok(Place::new(Launcher { program: Program::Path(program), arguments: &[TOOL_ARGUMENT] }, &scratch))
}

async fn draw(
    deployment: &engine::Deployment,
    question: Question,
    sampling: Sampling,
    tokens_max: u32,
    syntax: Option<languages::Language>,
) -> Result<Drawn, String> {
    let mut passages = Vec::new();
    let (ask, stop, until) = match question {
        Question::Complete { prompt, stop } => (Ask::Complete { prompt }, stop, Until::End),
        Question::Fill { prefix, suffix, single_line } => {
            let until = if single_line { Until::Line } else { Until::End };
            (Ask::Fill { prefix, suffix, extra: Vec::new() }, Vec::new(), until)
        }
        Question::Chat { system, user, passages: given } => {
            passages.extend(given.into_iter().map(|given| trial::passage(given.path, given.text)));
            let system = Some(system).filter(|system| !system.is_empty());
            let system = system.map(|system| Message::new(Role::System, system));
            let messages = system.into_iter().chain([Message::new(Role::User, user)]).collect();
            (Ask::Chat { messages, tools: Tools::default() }, Vec::new(), Until::End)
        }
    };
    let parameters = Parameters {
        sampling,
        tokens_max: Some(tokens_max),
        stop,
        predict_ms_max: None,
        until,
        json_schema: None,
        syntax,
    };
    let drawn = trial::draw(deployment, &ask, &passages, &parameters).await?;
    Ok(Drawn { text: drawn.text, tokens: drawn.tokens, ms: drawn.ms })
}

/// The newest way of a report, for people.
fn line(suite: &Suite, report: &Report) -> String {
    let Some(way) = report.ways.last() else { return String::new() };
    let share = |share: &qualify::statistics::Proportion| {
        let percent = |part: f64| part * 100.0;
        format!("{:.1} % ({:.0} to {:.0})", percent(share.value), percent(share.low), percent(share.high))
    };
    format!(
        "{}: {}: pass@1 {}, compiles {}, {:.1} draws an answer",
        suite.name,
        way.way,
        share(&way.pass_at_1),
        share(&way.compiles),
        way.draws
    )
}

/// The machine in words: what the kernel says of it.
fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{}, {cores} processors, {} of memory",
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal")
    )
}

impl From<FormName> for Form {
    fn from(name: FormName) -> Form {
        match name {
            FormName::Completion => Form::Completion,
            FormName::Chat => Form::Chat,
        }
    }
}
