//! `cargo xtask bench`: measures, and prints the tables of BENCHMARKS.md.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::{
    build::{self, Build},
    corpora, engine,
    failure::Failure,
    fetch, machine,
    places::{CARGO_HOME, Places, TEST_MODELS, TEST_PROGRAMS, TEST_WEAKENED},
    process::{cargo, run},
    setup::Setup,
    test_models,
};

/// Measures, with everything else on the machine at rest; the tables go into BENCHMARKS.md.
#[derive(clap::Args)]
pub(crate) struct Bench {
    what: What,
    /// A test model that fills in the middle; the beginning of its name will do, and 0.5B or 1.5B.
    #[arg(long, default_value = test_models::DEMONSTRATION)]
    model: String,
    /// The program of llama.cpp's own server, to measure beside it and nothing else.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Requests in the ledger that is verified and queried.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Of `gpu`, behind `--`: --file F, --shape 1B, --scratch FOLDER, --accept NAME, --cpu, --quick. Of `retrieval`: --places N, --variants A,B, --split, --language, --seed, --recall, --json, --list,
    /// --show, --afresh.
    #[arg(last = true)]
    options: Vec<String>,
}

/// What is measured.
#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Prefill, decode, time to the first text, the gateway's and the ledger's part, appends, memory.
    Engine,
    /// Appends beside SQLite, verification, proofs, queries, bytes a record.
    Ledger,
    /// What each page of the console asks of a server with a large ledger.
    Console,
    /// A model carried in: packing, import, verification, the start to the first token, memory.
    Vault,
    /// The jail: a worker's start and decode speed, with it and without.
    Jail,
    /// A worker on this machine's GPU, which `cargo xtask engine --cuda` built: its speed on the model and on models of
    /// drawn weights in the shape of large ones, its jail, and whether its bits depend on company.
    Gpu,
    /// The compilers that look at suggestions: each on a small unit, in its jail and bare.
    Checks,
    /// Completions that need other files, with and without context from them; fetches the corpora.
    Retrieval,
    /// An index of a million lines: its speed and size, what a commit and a search cost; fetches the corpora.
    Index,
    /// A corpus of known code: the fetched corpora and the sources of all crates that the build needs; how fast it is
    /// built, what a question costs, what of planted code is found, and what in our own.
    Provenance,
    /// A person who types, through the language server: to a suggestion, requests, what the cache answers.
    Typing,
    /// What people notice of an attack from the network, and whether anything of it is let in.
    Siege,
    /// What a decision of the policy costs, with many policies, persons and sources.
    Policy,
    /// Lines told by their content: what `cloister review` finds over scripted histories of repositories, by kind, and how
    /// long it takes for 10,000 lines against that many records.
    Lineage,
}

impl Bench {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        Setup {}.run()?;
        let mut bench = cargo(places);
        bench.args(["run", "--release", "--quiet", "--bin", "bench"]);
        if matches!(self.what, What::Jail) {
            bench.args(["--features", "bench/weaken"]).env(TEST_WEAKENED, build::weakened(places)?);
        }
        bench.arg("--");
        match self.what {
            What::Engine => {
                let model = fetch::known(&self.model)?;
                fetch::model_path(places, model.name)?;
                bench.args(["engine", "--model", model.name]);
                if let Some(peer) = &self.peer {
                    bench.arg("--peer").arg(peer);
                }
            }
            What::Vault => {
                let model = fetch::known(&self.model)?;
                fetch::model_path(places, model.name)?;
                bench.args(["vault", "--model", model.name]);
            }
            What::Jail => {
                let model = fetch::known(&self.model)?;
                fetch::model_path(places, model.name)?;
                bench.args(["jail", "--model", model.name]);
            }
            What::Gpu => {
                let model = fetch::model_path(places, fetch::known(&self.model)?.name)?;
                let vocabulary = fetch::model_path(places, fetch::known("smollm2")?.name)?;
                bench.arg("gpu").arg("--file").arg(model).arg("--vocabulary").arg(vocabulary);
                bench.args(&self.options).env(TEST_PROGRAMS, engine::cuda_folder(places));
                println!("Machine: {}.", machine::words());
                return run(&mut bench);
            }
            What::Checks => {
                let model = fetch::known(&self.model)?;
                fetch::model_path(places, model.name)?;
                bench.args(["checks", "--model", model.name]);
            }
            What::Typing => {
                let model = fetch::known(&self.model)?;
                fetch::model_path(places, model.name)?;
                bench.args(["typing", "--model", model.name]);
                if let Some(peer) = &self.peer {
                    bench.arg("--peer").arg(peer);
                }
            }
            What::Retrieval => {
                corpora::fetch(places)?;
                let model = fetch::known(&self.model)?;
                fetch::model_path(places, model.name)?;
                bench
                    .args(["retrieval", "--model", model.name, "--cache"])
                    .arg(&places.cache)
                    .args(&self.options);
            }
            What::Index => {
                corpora::fetch(places)?;
                bench.args(["index", "--cache"]).arg(&places.cache);
            }
            What::Provenance => {
                corpora::fetch(places)?;
                bench.arg("provenance").arg(places.corpora()).args(crates()?);
                bench.arg("--fresh").arg(places.root.join("crates"));
            }
            What::Console => {
                fetch::model_path(places, fetch::known("smollm2")?.name)?;
                bench.args(["console", "--records", &self.records.to_string()]);
            }
            What::Siege => {
                let model = fetch::known(&self.model)?;
                fetch::model_path(places, model.name)?;
                bench.args(["siege", "--model", model.name]);
            }
            What::Policy => {
                bench.arg("policy");
            }
            What::Lineage => {
                bench.args(["lineage", "--records", &self.records.to_string()]).args(&self.options);
            }
            What::Ledger => {
                bench.args(["ledger", "--records", &self.records.to_string()]);
            }
        }
        Build {}.run(places)?;
        bench.env(TEST_PROGRAMS, places.release()).env(TEST_MODELS, places.models());
        println!("Machine: {}.", machine::words());
        run(&mut bench)
    }
}

/// Where the sources of others' crates lie, as cargo unpacked them to build.
fn crates() -> Result<Vec<PathBuf>, Failure> {
    let home = std::env::var_os(CARGO_HOME).map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    let folders: Vec<PathBuf> =
        registries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    if folders.is_empty() {
        return Err(Failure::new("there are no sources of crates: build first"));
    }
    Ok(folders)
}
