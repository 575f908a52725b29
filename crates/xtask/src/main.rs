//! `cargo xtask`: the automation of this repository. What CI runs is what a person runs.
//!
//! A subcommand is a file. Every environment variable that is read is declared in `places`; what is
//! fetched or built for reuse is kept in one cache folder outside the repository. Only this program
//! fetches anything, on the connected side, and never the product.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people: talking is its work")]

mod bench;
mod build;
mod clients;
mod corpora;
mod demo;
mod deny;
mod elf;
mod engine;
mod failure;
mod fetch;
mod fuzz;
mod machine;
mod node;
mod places;
mod process;
mod python;
mod release;
mod setup;
mod soak;
mod source;
mod test;
mod test_models;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use places::Places;

/// Builds, tests and shows Cloister.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Demo(demo::Demo),
    Test(test::Test),
    Setup(setup::Setup),
    Fetch(fetch::Fetch),
    Engine(engine::Engine),
    Build(build::Build),
    Vendor(release::Vendor),
    Release(release::Release),
    Tidy(tidy::Tidy),
    Deny(deny::Deny),
    Soak(soak::Soak),
    Bench(bench::Bench),
    Fuzz(fuzz::Fuzz),
    Client(clients::Client),
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let result = Places::find().and_then(|places| match task {
        Task::Demo(demo) => demo.run(&places),
        Task::Test(test) => test.run(&places),
        Task::Setup(setup) => setup.run(),
        Task::Fetch(fetch) => fetch.run(&places),
        Task::Engine(engine) => engine.run(&places),
        Task::Build(build) => build.run(&places),
        Task::Vendor(vendor) => vendor.run(&places),
        Task::Release(release) => release.run(&places),
        Task::Tidy(tidy) => tidy.run(&places),
        Task::Deny(deny) => deny.run(&places),
        Task::Soak(soak) => soak.run(&places),
        Task::Bench(bench) => bench.run(&places),
        Task::Fuzz(fuzz) => fuzz.run(&places),
        Task::Client(client) => client.run(&places),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nerror: {failure}");
            ExitCode::FAILURE
        }
    }
}
