use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::Outcome;
use crate::data::Data;
use crate::settings::Settings;
use crate::{checker_process, output};

/// Compilers and other checkers of this machine, which look at answers.
#[derive(Debug, Subcommand)]
pub(crate) enum Toolchain {
    /// Lists the checkers of each language: which are here, in which version, and what is missing. Each is run once, in
    /// its jail.
    List {
        /// JSON for scripts.
        #[arg(long)]
        json: bool,
    },
}

impl Toolchain {
    pub(crate) fn run(&self, data: &Path) -> Outcome {
        let Toolchain::List { json } = self;
        let data = Data::open(data)?;
        let settings = Settings::read(data.root())?;
        let toolchains = checker_process::runner(&data, &settings)?.survey();
        if *json {
            let rows = toolchains.iter().map(|toolchain| {
                json!({
                    "language": toolchain.language,
                    "checker": toolchain.checker,
                    "version": toolchain.version,
                    "missing": toolchain.missing,
                    "package": toolchain.package,
                    "claims": toolchain.claims,
                })
            });
            output::document(&rows.collect(), true)?;
            return Ok(ExitCode::SUCCESS);
        }
        for toolchain in &toolchains {
            let how = match &toolchain.version {
                Some(version) => version.clone(),
                None => {
                    let missing = toolchain.missing.join(", ");
                    format!("missing: {missing} (of Debian's {})", toolchain.package)
                }
            };
            output::line(&format!("{:<12} {:<12} {how}", toolchain.language, toolchain.checker))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
