//! `cargo xtask bench`: what things cost, on a real model, as tables that go into BENCHMARKS.md.
//!
//! Every figure stands beside a peer measured in the same run: the reproducible profile beside llama.cpp's
//! own defaults, the gateway beside the bare engine, an append beside a bare `fdatasync`. Nothing here
//! fails because it is slow.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people: talking is its work")]

mod appends;
mod bare;
mod checks;
mod console;
mod decisions;
mod encrypted;
mod gpu;
mod index;
mod jail_cost;
mod large_ledger;
mod lineage;
mod memory;
mod overhead;
mod peer;
mod provenance;
mod quantiles;
mod retrieval;
mod siege;
#[allow(clippy::unwrap_used, reason = "of a test: what cannot be set up ends it")]
#[path = "../../lineage/tests/it/site.rs"]
mod site;
mod speculation;
mod speed;
mod stall;
mod typing;
mod vault;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use testkit::Failure;

/// Measures Cloister. Run it by `cargo xtask bench`, which builds and fetches what it needs.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The engine, the way through the gateway, the ledger's appends, memory.
    Engine {
        /// A test model that fills in the middle.
        #[arg(long, default_value = testkit::places::CODER)]
        model: String,
        /// The program of llama.cpp's own server, to measure beside it and nothing else.
        #[arg(long)]
        peer: Option<PathBuf>,
        /// Only these tables.
        #[arg(long, value_enum)]
        only: Vec<Table>,
        /// Few repetitions: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
    /// A model carried in: packing, import, verification, the start to the first token, memory.
    Vault {
        /// A test model.
        #[arg(long, default_value = testkit::places::CODER)]
        model: String,
        /// Few repetitions: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
    /// The jail: a worker's start and decode speed, with it and without.
    Jail {
        /// A test model that fills in the middle.
        #[arg(long, default_value = testkit::places::CODER)]
        model: String,
        /// Few repetitions: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
    /// A worker on a GPU: its speed, and whether its bits depend on company.
    Gpu {
        #[command(flatten)]
        options: gpu::Options,
    },
    /// One side of `jail`, started by it.
    #[command(hide = true)]
    JailSide {
        #[arg(long)]
        model: String,
    },
    /// The compilers that look at answers: each on a small unit, in its jail and bare; what they add to completions.
    Checks {
        /// A test model that fills in the middle.
        #[arg(long, default_value = testkit::places::CODER)]
        model: String,
        /// Few repetitions: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
    /// Whether context from other files makes completions better.
    Retrieval {
        #[command(flatten)]
        options: retrieval::Options,
    },
    /// An index of all corpora, as one repository: its speed, its size, what a commit and a search cost.
    Index {
        /// The folder with the corpora.
        #[arg(long)]
        cache: PathBuf,
    },
    /// Known code as a corpus: building it, asking it, what is found of what is planted.
    Provenance {
        /// Folders of packages, each a folder.
        #[arg(required = true)]
        known: Vec<PathBuf>,
        /// A folder of code that is in none of them.
        #[arg(long, default_value = "crates")]
        fresh: PathBuf,
    },
    /// What people notice of an attack from the network, and whether anything of it is let in.
    Siege {
        /// A test model that fills in the middle.
        #[arg(long, default_value = testkit::places::CODER)]
        model: String,
        /// Few completions: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
    /// What a decision of the policy costs, with many policies, persons and sources.
    Policy,
    /// What each page of the console asks of a server with a large ledger, over loopback.
    Console {
        /// Requests in the ledger; two leaves each.
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
    },
    /// From a keystroke to a suggestion, through the language server.
    Typing {
        /// llama.cpp's own server, to measure against.
        #[arg(long)]
        peer: Option<PathBuf>,
        /// The Vim in which the peer's side keeps what it knows.
        #[arg(long, default_value = "vim")]
        vim: PathBuf,
        /// A test model that fills in the middle.
        #[arg(long, default_value = testkit::places::CODER)]
        model: String,
        /// Few keystrokes: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
    /// Lines told by their content: what is found over scripted histories, and how long a review takes.
    Lineage {
        /// Histories.
        #[arg(long, default_value_t = 210)]
        histories: u64,
        /// Records of the slice that a review of 10,000 lines is timed against.
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
    },
    /// Appends beside SQLite, verification, proofs, queries, bytes a record.
    Ledger {
        /// Requests in the ledger that is verified and queried; two leaves each.
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
        /// Where it lies; a temporary directory, removed afterwards, by default. One that has a ledger of this
        /// bench is used again.
        #[arg(long)]
        directory: Option<PathBuf>,
        /// Few repetitions: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
}

/// A table, or a few that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Table {
    /// Durable appends.
    Appends,
    /// Prefill and decode in both profiles; with a peer, beside it.
    Speed,
    /// What guessing tokens gains.
    Speculation,
    /// Others' tokens while one sends long prompts.
    Stall,
    /// What gateway and ledger add.
    Overhead,
    /// Resident memory.
    Memory,
    /// Several clients at a time, beside a peer.
    Clients,
    /// A person who types, beside a peer.
    Editing,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(checks::LAUNCH) {
        return jail::tool::launch();
    }
    #[cfg(feature = "weaken")]
    jail::leave_out(std::env::var(jail::WITHOUT).unwrap_or_default());
    let measured = match Arguments::parse().what {
        What::Engine { model, peer, only, quick } => engine(&model, peer.as_deref(), &only, quick),
        What::Vault { model, quick } => vault::measure(&model, quick),
        What::Jail { model, quick } => jail_cost::measure(&model, quick),
        What::Gpu { options } => gpu::measure(&options),
        What::JailSide { model } => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Failure::from)
            .and_then(|runtime| runtime.block_on(jail_cost::measure_side(&model))),
        What::Checks { model, quick } => {
            checks::measure(quick).and_then(|()| checks::measure_completions(&model, quick))
        }
        What::Retrieval { options } => {
            retrieval::measure(&options, |corpora| retrieval::hooks(&options.cache, corpora))
        }
        What::Index { cache } => index::measure(&cache),
        What::Siege { model, quick } => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Failure::from)
            .and_then(|runtime| siege::measure(&runtime, &model, quick)),
        What::Policy => decisions::measure(),
        What::Console { records } => console::measure(records),
        What::Provenance { known, fresh } => provenance::measure(&known, &fresh),
        What::Typing { model, peer, vim, quick } => typing::measure(&model, peer.as_deref(), &vim, quick),
        What::Lineage { histories, records } => lineage::measure(histories, records),
        What::Ledger { records, directory, quick } => {
            appends::measure(quick).and_then(|()| large_ledger::measure(records, directory, quick))
        }
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn engine(model: &str, peer: Option<&Path>, only: &[Table], quick: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("Model: {model}. Threads: {}.", bare::threads());
    let wanted = |table| {
        let wanted = only.is_empty() || only.contains(&table);
        if wanted {
            eprintln!("bench: {table:?} …");
        }
        wanted
    };
    if let Some(program) = peer {
        return peer::measure(&runtime, model, program, wanted, quick);
    }
    if wanted(Table::Appends) {
        appends::measure(quick)?;
    }
    if wanted(Table::Speed) {
        runtime.block_on(speed::measure(model, quick))?;
    }
    if wanted(Table::Speculation) {
        runtime.block_on(speculation::measure(model, quick))?;
    }
    if wanted(Table::Stall) {
        runtime.block_on(stall::measure(model, quick))?;
    }
    if wanted(Table::Overhead) {
        overhead::measure(&runtime, model, quick)?;
    }
    if wanted(Table::Memory) {
        memory::measure(model, quick)?;
    }
    Ok(())
}
