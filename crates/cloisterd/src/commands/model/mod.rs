//! Models and deployments: each step of a model's way, from the medium to an alias and back.

mod admit;
pub(crate) mod deploy;
pub(super) mod import;
mod inspect;
mod list;
pub(crate) mod trust;
mod verify;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use ledger::disk::RealDisk;
use models::object::Object;
use models::vault::{Proven, Vault};
use protocol::admin::{Command, ModelStep};
use serde_json::Value;

use super::Outcome;
use super::administer::ask;
use crate::data::{Data, Lock};
use crate::output::Hinted;

/// Models, and the deployments that serve them.
///
/// A model is imported, inspected, approved by two persons, promoted, and deployed under an alias. Each step is
/// a leaf of the ledger, and only what the ledger says is served. See docs/models.md.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    Inspect(inspect::Inspect),
    Import(import::Import),
    Clean(import::Clean),
    List(list::List),
    Request(admit::Request),
    Approve(admit::Approve),
    Promote(admit::Promote),
    Deploy(deploy::Deploy),
    AddUpstream(deploy::AddUpstream),
    Retire(deploy::Retire),
    RollBack(deploy::RollBack),
    Withdraw(admit::Withdraw),
    Qualify(admit::Qualify),
    Verify(verify::Verify),
    Diff(list::Diff),
    RestoreLock(deploy::RestoreLock),
    #[command(subcommand)]
    Trust(trust::Trust),
}

impl Model {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let data = match self {
            // Before there is a data directory, too.
            Model::Inspect(command) => return command.run(data),
            _ => Data::open(data)?,
        };
        match self {
            Model::Inspect(_) => Ok(ExitCode::SUCCESS),
            Model::Import(command) => command.run(&data),
            Model::Clean(command) => command.run(&data),
            Model::List(command) => command.run(&data),
            Model::Request(command) => command.run(&data),
            Model::Approve(command) => command.run(&data),
            Model::Promote(command) => command.run(&data),
            Model::Deploy(command) => command.run(&data),
            Model::AddUpstream(command) => command.run(&data),
            Model::Retire(command) => command.run(&data),
            Model::RollBack(command) => command.run(&data),
            Model::Withdraw(command) => command.run(&data),
            Model::Qualify(command) => command.run(&data),
            Model::Verify(command) => command.run(&data),
            Model::Diff(command) => command.run(&data),
            Model::RestoreLock(command) => command.run(&data),
            Model::Trust(command) => command.run(&data),
        }
    }
}

/// Holds off other commands that change the vault.
pub(crate) fn vault_lock(data: &Data) -> Result<Lock, Box<dyn std::error::Error>> {
    let lock = data.lock_of("models/lock")?;
    let hint = "wait until it is done";
    Ok(lock.ok_or_else(|| Hinted::new("another command is changing the vault", hint))?)
}

/// A step about an object, nothing else of it said yet.
fn step(name: &str, object: &Object) -> ModelStep {
    ModelStep {
        step: name.to_owned(),
        object: Some(object.digest()),
        title: object.title(),
        weights: object.weights().map(|weights| weights.digest),
        signer: Some(signer(object)),
        alias: None,
        lock: None,
        detail: String::new(),
    }
}

/// Who signed an object outside.
pub(super) fn signer(object: &Object) -> String {
    object.signature.as_ref().map_or_else(
        || ledger::NOBODY.to_owned(),
        |signed| format!("{} {} (root {})", signed.method, signed.signer, signed.root),
    )
}

/// Has a step recorded; where a proof of it is wanted, it is put into the vault.
fn record(
    data: &Data,
    vault: &Vault,
    step: ModelStep,
    signatures: Vec<String>,
    of: Option<Proven>,
) -> Result<Value, Box<dyn std::error::Error>> {
    let answer = ask(data.root(), Command::ModelStep { step: Box::new(step), signatures })?;
    if let Some(of) = of {
        let leaf = answer["leaf"].as_u64().ok_or("the daemon's answer names no leaf")?;
        put_proof(data, vault, of, leaf)?;
    }
    Ok(answer)
}

/// Takes the proof of a leaf from the ledger's files, which no lock guards from being read.
fn put_proof(data: &Data, vault: &Vault, of: Proven, leaf: u64) -> Result<(), Box<dyn std::error::Error>> {
    let disk = RealDisk::existing(&data.path("ledger"))?;
    let proof = ledger::prove(&disk, leaf, None)?;
    Ok(vault.put_proof(of, &proof.to_string())?)
}
