use std::process::ExitCode;

use clap::Args;
use models::deployment::Lock;

use crate::commands::Outcome;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::{compose, served};

/// Checks that what serves is what two persons approved: the ledger's proofs, the model's bytes, the engine's.
///
/// Of an upstream engine there is only the relay.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A deployment; all of them when absent.
    alias: Option<String>,
}

impl Verify {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let settings = Settings::read(data.root())?;
        let vault = served::vault(data)?;
        let mut locks = served::locks(data, &settings, &served::verifier(data)?)?;
        if let Some(alias) = &self.alias {
            locks.retain(|lock| lock.alias().as_str() == alias);
            if locks.is_empty() {
                return Err(format!("there is no deployment {}", alias.escape_debug()).into());
            }
        }
        for lock in locks {
            match lock {
                Lock::Model(deployment) => {
                    let object = vault.object(&deployment.object)?;
                    let bar = output::progress(&format!("checking {}", deployment.alias));
                    vault.verify_object(&object, threads(), &mut |done, total| {
                        bar.set_length(total);
                        bar.set_position(done);
                    })?;
                    bar.finish_and_clear();
                    compose::frozen_program(&settings)?.expect(deployment.engine_build)?;
                    if !vault.holds(&deployment.engine_build)? {
                        let hint = format!("`cloisterd model deploy {}` keeps it anew", deployment.alias);
                        let what = "the vault's copy of the engine, which answers again what this deployment answered \
                                    when another engine is installed, is damaged or missing";
                        return Err(Hinted::new(what, hint).into());
                    }
                    output::line(&format!(
                        "{}: model {} and engine {} are as locked, promoted and deployed by the ledger",
                        deployment.alias, deployment.model, deployment.engine_build
                    ))?;
                }
                Lock::Upstream(upstream) => {
                    compose::frozen_relay(&settings)?.expect(upstream.relay_build)?;
                    output::line(&format!(
                        "{}: relay {} is as locked; the model is an upstream engine's and is not verified",
                        upstream.alias, upstream.relay_build
                    ))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
