mod inspect;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use models::vault::{self, ImportOptions, Vault};
use protocol::worker::EngineProfile;
use serde_json::json;

use super::Outcome;
use crate::compose;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::settings::Settings;

/// Models and the deployments that pin them.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    Inspect(inspect::Inspect),
    /// Copies a GGUF file into the vault, checks it, and locks a deployment to it.
    Import {
        /// A GGUF file.
        path: PathBuf,
        /// The name clients use.
        #[arg(long)]
        name: String,
        /// The arithmetic: `fast` gives up reproducibility, and every record says so.
        #[arg(long, value_enum, default_value_t = Profile::Reproducible)]
        profile: Profile,
        /// Tokens a request can hold, prompt and answer together.
        #[arg(long)]
        context_tokens: Option<u32>,
        /// Requests that run at once.
        #[arg(long)]
        slots: Option<u32>,
    },
    /// Locks a deployment to an upstream engine: a llama-server of the enclave, behind a Unix socket.
    ///
    /// Its model is not in the vault: of what it runs only what it states is known, nothing it answers can be
    /// reproduced, and every record says so. There is no other address and no fallback. See docs/upstream.md.
    AddUpstream {
        /// The server's Unix socket, an absolute path.
        socket: PathBuf,
        /// The name clients use.
        #[arg(long)]
        name: String,
        /// The model that the server has to state; with another it is not used.
        #[arg(long)]
        model: Option<String>,
    },
    /// Lists deployments.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Hashes a deployment's model and the engine, and compares them with the lock. Of an upstream engine there
    /// is only the relay.
    Verify {
        /// The deployment.
        name: String,
    },
    /// Pins the engine build, or relay build, that is installed now, after an update.
    Relock {
        /// The deployment.
        name: String,
    },
    /// Removes a deployment; the model's file stays.
    Remove {
        /// The deployment.
        name: String,
    },
}

/// The arithmetic of a deployment.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Profile {
    Reproducible,
    Fast,
}

impl Model {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        // What a file is can be asked anywhere, before there is a data directory.
        if let Model::Inspect(command) = self {
            return command.run();
        }
        let data = Data::open(data)?;
        let settings = Settings::read(data.root())?;
        let vault = Vault::open(&data.path("models"))?;
        match self {
            Model::Inspect(command) => return command.run(),
            Model::List { json } => {
                output::document(&json!(vault.list()?), json)?;
            }
            Model::Verify { name } => {
                if let vault::Lock::Upstream(upstream) = vault.get(&name)? {
                    compose::frozen_relay(&settings)?.expect(upstream.relay_build)?;
                    output::line(&format!(
                        "{name}: relay {} is as locked; the model is an upstream engine's and is not verified",
                        upstream.relay_build
                    ))?;
                    return Ok(ExitCode::SUCCESS);
                }
                let bar = output::progress(&format!("checking {name}"));
                let deployment = vault.verify(&name, &mut |done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                })?;
                bar.finish_and_clear();
                compose::frozen_program(&settings)?.expect(deployment.engine_build)?;
                output::line(&format!(
                    "{name}: model {} and engine {} are as locked",
                    deployment.model, deployment.engine_build
                ))?;
            }
            Model::Import { path, name, profile, context_tokens, slots } => {
                let engine_build = compose::frozen_program(&settings)?.digest;
                let profile = match profile {
                    Profile::Reproducible => EngineProfile::Reproducible,
                    Profile::Fast => EngineProfile::Fast,
                };
                let defaults = ImportOptions::new(engine_build);
                let options = ImportOptions {
                    profile,
                    context_tokens: context_tokens.unwrap_or(defaults.context_tokens),
                    slots: slots.unwrap_or(defaults.slots),
                    ..defaults
                };
                let lock = locked(&data)?;
                let bar = output::progress(&format!("importing {name}"));
                let deployment = vault.import(&path, &name, &options, &mut |done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                })?;
                bar.finish_and_clear();
                let detail = serde_json::to_string(&deployment)?;
                compose::record_change(&data, "model import", &name, detail)?;
                drop(lock);
                output::line(&format!("{name}: {} ({})", deployment.model, deployment.model_name))?;
            }
            Model::AddUpstream { socket, name, model } => {
                let relay_build = compose::frozen_relay(&settings)?.digest;
                let lock = locked(&data)?;
                let upstream = vault.upstream(&name, &socket, model, relay_build)?;
                let detail = serde_json::to_string(&upstream)?;
                compose::record_change(&data, "model add-upstream", &name, detail)?;
                vault.add(&upstream)?;
                drop(lock);
                output::line(&format!("{name}: upstream {} (nothing of it is verified)", upstream.upstream))?;
            }
            Model::Relock { name } => {
                let (what, program) = match vault.get(&name)? {
                    vault::Lock::Model(_) => ("engine", compose::frozen_program(&settings)?),
                    vault::Lock::Upstream(_) => ("relay", compose::frozen_relay(&settings)?),
                };
                let engine_build = program.digest;
                let lock = locked(&data)?;
                compose::record_change(&data, "model relock", &name, engine_build.to_string())?;
                vault.relock(&name, engine_build)?;
                drop(lock);
                output::line(&format!("{name}: {what} {engine_build}"))?;
            }
            Model::Remove { name } => {
                let lock = locked(&data)?;
                compose::record_change(&data, "model remove", &name, String::new())?;
                vault.remove(&name)?;
                drop(lock);
                output::line(&format!("{name}: removed"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Changes of what serves take effect at the next start, so they want the daemon stopped.
fn locked(data: &Data) -> Result<crate::data::Lock, Box<dyn std::error::Error>> {
    let hint = "stop the daemon first: what it serves is fixed while it runs";
    let lock = data.try_lock()?;
    Ok(lock.ok_or_else(|| Hinted::new("the daemon is running on this data directory", hint))?)
}
