//! `cargo xtask soak`: what takes too long for `test`, in rounds, so that it can be stopped and resumed.
//!
//! A soak's seed decides everything that is drawn in it. A round that fails stops the soak and names its
//! seed; a soak that went through leaves its evidence under `docs/evidence`, to be committed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use testkit::{clients::NAMES, crash, draw::Draw, load, places as tests, server::Server};

use crate::{
    build::Build,
    clients::{self, SCHEMATHESIS},
    failure::{During as _, Failure},
    fetch,
    fuzz::{Fuzzer, targets},
    machine,
    places::{Places, TEST_MODELS, TEST_PROGRAMS},
    process::{cargo, output_of},
    release::soak as release,
    setup::Setup,
};

/// Runs a long check, seeded and resumable; its evidence goes to docs/evidence.
#[derive(clap::Args)]
pub(crate) struct Soak {
    name: Name,
    /// Requests, crashes, simulated machines, whole ways, or seconds; of fuzzing, seconds for each target.
    #[arg(long, default_value_t = 200)]
    count: u64,
    /// Repeats a soak; a fresh one by default.
    #[arg(long)]
    seed: Option<u64>,
    /// The test model; by default the one that has most to lose.
    #[arg(long)]
    model: Option<String>,
    /// Starts over, even where a soak of this commit was interrupted.
    #[arg(long)]
    restart: bool,
}

/// What is soaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Name {
    /// Requests of 8 clients at a time; after a restart each finished one is replayed alone: the same bytes.
    Replay,
    /// `kill -9` of daemon, gateway and worker under load: each ledger verifies, no answered request is missing.
    Crash,
    /// Requests in drawn company, chunks, caches, slots and threads; every token and every row of logits is
    /// that of a solitary run.
    Invariance,
    /// Simulated machines that crash, fail and run out of room at any operation; what was acknowledged is there,
    /// what was erased is nowhere, each ledger verifies.
    Simulation,
    /// A model's whole way on a running server: carried in, approved, deployed, replaced by another, rolled back,
    /// withdrawn; what it answered is answered again all the while.
    Models,
    /// Seconds of mixed load in a network that tempts: a capture at the end of the only route sees what was planted,
    /// and nothing of ours.
    Egress,
    /// Two clean builds from vendored sources, without a network, give the same bytes; the package installs on a bare Debian
    /// 12, answers, is upgraded and downgraded, and no record is lost. As root; `--count` does not matter.
    Release,
    /// Every parser of outside bytes under libFuzzer, with coverage, from its seeds and what earlier runs found
    /// interesting: no panic, no hang, no want of memory.
    Fuzz,
    /// Other people's programs, unmodified, from their registries: each gets an answer, and everything it asked is on record.
    /// `--count` does not matter.
    Clients,
    /// Requests drawn from the description of the HTTP surface, by schemathesis: no error of the server's, no silence, no answer
    /// without a record. More than `--count`.
    Surface,
}

/// Requests in one round, and how many of each operation bring them.
const ROUND_OF_REQUESTS: u64 = 5000;
const EXAMPLES: u64 = 20;

/// Seconds for each target in one round.
const ROUND_OF_FUZZING: u64 = 20;
/// Seconds of load in one round.
const ROUND_OF_SECONDS: u64 = 120;
/// Requests or crashes between two points at which a soak can be resumed. Each round has a data directory
/// of its own.
const ROUND: u64 = 50;
/// The same, where a round is a run of a test of its own.
const ROUND_OF_TEST: u64 = 250;
/// The same for simulated machines.
const ROUND_OF_MACHINES: u64 = 1000;
/// The same for replays: a day's records.
const ROUND_OF_REPLAYS: u64 = 700;
const CLIENTS: usize = 8;

/// A soak under way, and, once `done` is `count`, its evidence.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    soak: Name,
    /// What was run: the commit, and whether files differed from it.
    commit: String,
    seed: u64,
    count: u64,
    done: u64,
    seconds: u64,
    model: String,
    machine: String,
    results: Counts,
    /// SHA-256 in hexadecimal, where a soak is about files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    digests: BTreeMap<String, String>,
}

impl Soak {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        Setup {}.run()?;
        let model = self.model.as_deref().unwrap_or(self.name.model());
        if !matches!(self.name, Name::Simulation | Name::Fuzz) {
            fetch::fetch_defaults(places)?;
            fetch::model_path(places, model)?;
            if self.name != Name::Release {
                Build {}.run(places)?;
            }
        }

        let file = match &self.model {
            Some(model) => format!("{}-{model}.json", self.name.text()),
            None => format!("{}.json", self.name.text()),
        };
        let path = places.target.join("soak").join(&file);
        let mut state = self.state(places, &path, model)?;
        println!("soak {}: seed {}, {} of {} done", self.name.text(), state.seed, state.done, state.count);
        let bar = ProgressBar::new(state.count);
        let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len}, {elapsed}, {eta} left");
        bar.set_style(style.during(|| "the progress bar".to_owned())?.progress_chars("=> "));
        bar.set_message(self.name.text());
        while state.done < state.count {
            bar.set_position(state.done);
            let start = Instant::now();
            let count = self.name.round().min(state.count - state.done);
            // Rounds draw from streams of their own: one that is resumed draws what it would have drawn.
            let seed = Draw::new(state.seed.wrapping_add(state.done)).number();
            let during =
                || format!("soak {}, seed {}, the round after {}", self.name.text(), state.seed, state.done);
            let done = bar.position();
            let progress = &mut |more| bar.set_position(done + more);
            let results = match self.name {
                Name::Replay => replay(&state.model, seed, count, progress).during(during),
                Name::Crash => crash(&state.model, seed, count, progress).during(during),
                Name::Invariance => invariance(places, &state.model, seed, count),
                Name::Simulation => simulation(places, seed, count),
                Name::Models => models(places, &state.model),
                Name::Egress => egress(places, &state.model, seed, count),
                Name::Fuzz => fuzzed(places, seed, count),
                Name::Clients => client(places, state.done),
                Name::Surface => surface(places, seed, count),
                Name::Release => {
                    let soak = release::Soak::new(places, &state.commit)?;
                    let (counts, digests) = soak.step(state.done, &fetch::model_path(places, model)?)?;
                    state.digests.extend(digests);
                    Ok(counts)
                }
            }?;
            for (what, count) in results {
                *state.results.entry(what).or_default() += count;
            }
            state.done += count;
            state.seconds += start.elapsed().as_secs();
            write(&path, &state)?;
        }
        bar.finish_and_clear();
        let evidence = places.root.join("docs/evidence").join(&file);
        write(&evidence, &state)?;
        fs::remove_file(&path).during(|| path.display().to_string())?;
        let results = serde_json::to_string(&state.results).during(|| "the results".to_owned())?;
        println!("soak {}: passed, {} in {} s: {results}", self.name.text(), state.count, state.seconds);
        println!("evidence: {}", evidence.display());
        Ok(())
    }

    /// That of an interrupted soak of the same tree, unless another is asked for.
    fn state(&self, places: &Places, path: &Path, model: &str) -> Result<State, Failure> {
        let commit = commit(places)?;
        let kept: Option<State> =
            fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok());
        let resumable = |state: &State| {
            state.commit == commit
                && state.count == self.count()
                && state.model == model
                && self.seed.is_none_or(|seed| seed == state.seed)
        };
        match kept {
            Some(state) if !self.restart && resumable(&state) => return Ok(state),
            Some(_) => println!("an interrupted soak of another commit, count or seed is dropped"),
            None => {}
        }
        Ok(State {
            soak: self.name,
            commit,
            seed: self.seed.unwrap_or_else(|| Draw::fresh("soak").number()),
            count: self.count(),
            done: 0,
            seconds: 0,
            model: model.to_owned(),
            machine: machine::words(),
            results: Counts::new(),
            digests: BTreeMap::new(),
        })
    }

    /// A release has its steps, and there are so many clients.
    fn count(&self) -> u64 {
        match self.name {
            Name::Release => release::STEPS,
            Name::Clients => NAMES.len() as u64,
            _ => self.count,
        }
    }
}

/// What a soak counted, by what it counted.
type Counts = BTreeMap<String, u64>;

fn replay(
    model: &str,
    seed: u64,
    count: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Counts, testkit::Failure> {
    let mut server = Server::started(model)?;
    let replayed = load::load_and_replay(&mut server, seed, count, CLIENTS, true, progress)?;
    server.end()?;
    Ok(Counts::from([
        (
            "answers replayed to the same bytes, whole or cut short by their client".to_owned(),
            replayed.matches,
        ),
        ("clients that hung up".to_owned(), replayed.hung_up),
        ("prompt tokens from the cache".to_owned(), replayed.prompt_tokens_cached),
    ]))
}

fn crash(
    model: &str,
    seed: u64,
    count: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Counts, testkit::Failure> {
    let mut server = Server::started(model)?;
    let crashes = crash::run(&mut server, seed, count, false, progress)?;
    server.end()?;
    let killed = crashes.killed.into_iter().map(|(who, count)| (format!("{who} killed"), count));
    let seen = [
        ("answered, each found in the ledger".to_owned(), crashes.answered),
        ("streams that broke off, what they showed found".to_owned(), crashes.broke_off),
        ("requests that broke before anything was shown".to_owned(), crashes.broken),
    ];
    Ok(killed.chain(seen).collect())
}

/// A run of the engine's test of that name, with that many requests.
fn invariance(places: &Places, model: &str, seed: u64, count: u64) -> Result<Counts, Failure> {
    let mut test = cargo(places);
    test.args(["test", "--release", "--package", "engine", "--test", "it", "--"])
        .args(["--exact", "invariance::the_same_bits_alone_and_in_company", "--nocapture"])
        .env(TEST_PROGRAMS, places.release())
        .env(TEST_MODELS, places.models())
        .env("CLOISTER_TEST_SEED", seed.to_string())
        .env("CLOISTER_TEST_MODEL", model)
        .env("CLOISTER_TEST_REQUESTS", count.to_string());
    counted(&output_of(&mut test)?, "invariance: ")
}

/// A run of the ledger's test of that name, with that many machines.
fn simulation(places: &Places, seed: u64, count: u64) -> Result<Counts, Failure> {
    let mut test = cargo(places);
    test.args(["test", "--release", "--package", "ledger", "--test", "it", "--"])
        .args(["--exact", "crashes::machines_that_crash", "--nocapture"])
        .env("CLOISTER_TEST_SEED", seed.to_string())
        .env("CLOISTER_TEST_MACHINES", count.to_string());
    counted(&output_of(&mut test)?, "simulation: ")
}

/// A run of the daemon's test of that name.
fn models(places: &Places, model: &str) -> Result<Counts, Failure> {
    let mut test = cargo(places);
    test.args(["test", "--release", "--package", "cloisterd", "--test", "it", "--"])
        .args(["--exact", "models::replaced_rolled_back_and_withdrawn_under_a_running_server", "--nocapture"])
        .env(TEST_PROGRAMS, places.release())
        .env(TEST_MODELS, places.models())
        .env("CLOISTER_TEST_MODEL", model);
    counted(&output_of(&mut test)?, "models: ")
}

/// A run of the daemon's test of that name, that many seconds long.
fn egress(places: &Places, model: &str, seed: u64, seconds: u64) -> Result<Counts, Failure> {
    let mut test = cargo(places);
    test.args(["test", "--release", "--package", "cloisterd", "--test", "it", "--"])
        .args(["--exact", "egress::no_packet_under_a_mixed_load", "--nocapture"])
        .env(TEST_PROGRAMS, places.release())
        .env(TEST_MODELS, places.models())
        .env("CLOISTER_TEST_SEED", seed.to_string())
        .env("CLOISTER_TEST_MODEL", model)
        .env("CLOISTER_TEST_SECONDS", seconds.to_string());
    counted(&output_of(&mut test)?, "egress: ")
}

/// Every target on libFuzzer, that many seconds each.
fn fuzzed(places: &Places, seed: u64, seconds: u64) -> Result<Counts, Failure> {
    let (fuzzer, mut draw) = (Fuzzer::built(places)?, Draw::new(seed));
    let mut counts = Counts::new();
    for name in targets(places)? {
        let seed = draw.number().to_le_bytes();
        let seed = u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]);
        let inputs = fuzzer.run(&name, seconds, Some(seed))?;
        counts.insert(format!("{name}: inputs"), inputs);
    }
    Ok(counts)
}

/// One program of other people's.
fn client(places: &Places, number: u64) -> Result<Counts, Failure> {
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number));
    let name = name.ok_or_else(|| Failure::new("there are not so many clients"))?;
    let counts = counted(&clients::apart(places, name, None, 0, 0)?, clients::COUNTED)?;
    Ok(counts.into_iter().map(|(what, count)| (format!("{name}: {what}"), count)).collect())
}

/// At least that many requests.
fn surface(places: &Places, seed: u64, count: u64) -> Result<Counts, Failure> {
    let counts = counted(&clients::apart(places, SCHEMATHESIS, None, seed, EXAMPLES)?, clients::COUNTED)?;
    match counts.get("requests") {
        Some(drawn) if *drawn >= count => Ok(counts),
        drawn => Err(Failure::new(format!("seed {seed}: {drawn:?} requests were drawn, and not {count}"))),
    }
}

/// What a test says it counted, behind its name, as `3 things, 4 others`.
fn counted(words: &str, name: &str) -> Result<Counts, Failure> {
    let line = words.lines().find_map(|line| line.split_once(name)).map(|(_, results)| results);
    let results = line.ok_or_else(|| Failure::new("the test printed no results"))?;
    let counted = |result: &str| {
        let (count, what) = result.split_once(' ')?;
        Some((what.to_owned(), count.parse().ok()?))
    };
    Ok(results.split(", ").filter_map(counted).collect())
}

impl Name {
    fn round(self) -> u64 {
        match self {
            Name::Crash => ROUND,
            Name::Replay => ROUND_OF_REPLAYS,
            Name::Invariance => ROUND_OF_TEST,
            Name::Simulation => ROUND_OF_MACHINES,
            Name::Models | Name::Release | Name::Clients => 1,
            Name::Egress => ROUND_OF_SECONDS,
            Name::Fuzz => ROUND_OF_FUZZING,
            Name::Surface => ROUND_OF_REQUESTS,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Name::Replay => "replay",
            Name::Crash => "crash",
            Name::Invariance => "invariance",
            Name::Simulation => "simulation",
            Name::Models => "models",
            Name::Egress => "egress",
            Name::Release => "release",
            Name::Fuzz => "fuzz",
            Name::Clients => "clients",
            Name::Surface => "surface",
        }
    }

    fn model(self) -> &'static str {
        match self {
            // Fills holes, and its kernels are those that could break invariance.
            Name::Replay | Name::Invariance | Name::Egress | Name::Clients => tests::CODER,
            Name::Crash | Name::Release | Name::Surface => tests::SMALL,
            Name::Simulation | Name::Fuzz => "none",
            Name::Models => "qwen2.5-coder-1.5b-instruct-q4_k_m",
        }
    }
}

fn commit(places: &Places) -> Result<String, Failure> {
    let git = |arguments: &[&str]| output_of(Command::new("git").current_dir(&places.root).args(arguments));
    let head = git(&["rev-parse", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--", "crates", "packaging", "Cargo.lock", ".cargo"])?;
    let mark = if changed.is_empty() { "" } else { " with uncommitted changes" };
    Ok(format!("{}{mark}", head.trim()))
}

fn write(path: &PathBuf, state: &State) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(state).during(|| "the soak's state".to_owned())?;
    let part = path.with_added_extension("part");
    fs::create_dir_all(path.parent().unwrap_or(path)).during(|| path.display().to_string())?;
    // Renamed into place: an interruption leaves the state before.
    File::create(&part)
        .and_then(|mut file| writeln!(file, "{text}"))
        .and_then(|()| fs::rename(&part, path))
        .during(|| path.display().to_string())
}
