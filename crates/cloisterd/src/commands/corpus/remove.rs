use std::process::ExitCode;

use clap::Args;
use protocol::admin::Command;
use serde_json::json;

use super::{corpora_lock, of_names, record, states};
use crate::commands::Outcome;
use crate::commands::administer::ask;
use crate::corpora;
use crate::data::Data;
use crate::output::{self, Hinted};

/// Removes a corpus, at once: nothing is compared with it any more. What came by a medium stays in the vault, too.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The corpus.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Remove {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = corpora_lock(data)?;
        let mut configured = corpora::configured(data)?;
        let name = self.name;
        let root = match of_names(&configured, std::slice::from_ref(&name))?.first() {
            Some((_, configuration)) => configuration.root,
            None => return Err(format!("there is no corpus {}", name.escape_debug()).into()),
        };
        configured.remove(&name);
        record(data, "corpus remove", &name, format!("root {root}"))?;
        corpora::write(data, &configured)?;
        ask(data.root(), Command::CorpusReload)?;
        if states(data)?.iter().any(|state| state["name"] == name.as_str()) {
            let hint = "restart the daemon, then run the command again";
            return Err(Hinted::new(format!("the daemon still holds {name}"), hint).into());
        }
        corpora::remove_abandoned(data, &configured)?;
        if data.path(corpora::FOLDER).join(&name).exists() {
            let hint = "remove it by hand: nothing uses it";
            return Err(Hinted::new(format!("the folder of {name} is still there"), hint).into());
        }
        output::document(&json!({ "removed": name, "segment": "gone", "held": false }), self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
