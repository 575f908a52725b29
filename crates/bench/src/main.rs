//! `cargo xtask bench`: what things cost, on a real model, as tables that go into BENCHMARKS.md.
//!
//! Every figure stands beside a peer measured in the same run: the reproducible profile beside llama.cpp's
//! own defaults, the gateway beside the bare engine, an append beside a bare `fdatasync`. Nothing here
//! fails because it is slow.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people: talking is its work")]

mod appends;
mod bare;
mod memory;
mod overhead;
mod peer;
mod quantiles;
mod speed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
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
        /// Few repetitions: shows that it works, measures nothing.
        #[arg(long)]
        quick: bool,
    },
}

fn main() -> ExitCode {
    let What::Engine { model, peer, quick } = Arguments::parse().what;
    match engine(&model, peer.as_deref(), quick) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn engine(model: &str, peer: Option<&Path>, quick: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("Model: {model}. Threads: {}.", bare::threads());
    if let Some(program) = peer {
        talk("beside llama.cpp's server");
        return peer::measure(&runtime, model, program, quick);
    }
    talk("appends");
    appends::measure(quick)?;
    talk("prefill and decode");
    runtime.block_on(speed::measure(model, quick))?;
    talk("the way through the gateway");
    overhead::measure(&runtime, model, quick)?;
    talk("memory");
    memory::measure(model)
}

fn talk(what: &str) {
    eprintln!("bench: {what} …");
}
