use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;

use clap::Args;
use protocol::corpora::BuildTask;
use serde_json::json;

use super::{Audience, Taken, check_name, corpora_lock, made, of_names};
use crate::builder::{Builder, bytes};
use crate::commands::Outcome;
use crate::corpora::{self, Configuration, Segments};
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::settings::Settings;

/// Makes one corpus of several: the same, byte for byte, as if it had been built of all their sources.
///
/// Those that it is made of stay: remove them with `cloisterd corpus remove`. It carries the labels of all of them.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The new corpus's name. One that is there already is replaced.
    name: String,
    /// The corpora that it is made of.
    #[arg(required = true, value_name = "FROM")]
    from: Vec<String>,
    /// A group or a person who may see what of it matches, or `everyone`; may be repeated, or a list with commas
    /// [default: those of the corpora that it is made of, where they have the same]
    #[arg(long = "readers", value_name = "GROUP", value_delimiter = ',')]
    readers: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Merge {
    pub(super) fn run(self, data: &Data) -> Outcome {
        check_name(&self.name)?;
        let _lock = corpora_lock(data)?;
        let configured = corpora::configured(data)?;
        let merged = of_names(&configured, &self.from)?;
        let audience = self.audience(&merged)?;
        let folder = |(name, of): &(&String, &Configuration)| Segments::of(data, name).numbered(of.folder);
        let task = BuildTask::Merge {
            name: self.name.clone(),
            segments: merged.iter().map(|one| bytes(&folder(one))).collect(),
            building: bytes(&Segments::of(data, &self.name).building()?),
        };
        let bar = output::counting(&format!("merging into {}", self.name), "files");
        let builder = Builder::start(Some(data), &Settings::read(data.root())?, task)?;
        let built = made(builder, &bar).map_err(|error| {
            let hint = "see which one is damaged with `cloisterd corpus verify`; nothing was changed";
            Hinted::new(format!("{} is not made: {}", self.name, output::on_one_line(&*error)), hint)
        })?;
        let words = merged.iter().map(|(name, of)| format!("{name} ({})", of.root)).collect::<Vec<_>>();
        let (readers, labels) = audience.of(None);
        let from = format!("of {}", words.join(", "));
        let (action, name, root) = ("corpus merge", self.name.as_str(), built.root);
        Taken { action, name, root, from, readers, labels }.publish(data, configured.clone())?;
        if self.json {
            let shown = json!({
                "corpus": self.name, "root": built.root, "documents": built.documents, "bytes": built.bytes,
            });
            output::document(&shown, true)?;
        } else {
            output::line(&format!("{}: {}", self.name, built.root))?;
            output::say(&format!("{} different files of {} bytes", built.documents, built.bytes));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Nobody sees by a merge what they could not see before, unless that is said.
    fn audience(&self, merged: &[(&String, &Configuration)]) -> Result<Audience, Box<dyn Error>> {
        let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
        let labels: BTreeSet<String> = merged.iter().flat_map(|(_, of)| of.labels.iter().cloned()).collect();
        let labels = labels.into_iter().collect();
        if !self.readers.is_empty() {
            return Ok(Audience { readers: self.readers.clone(), labels });
        }
        let mut readers = merged.iter().map(|(_, of)| sorted(&of.readers));
        let first = readers.next().unwrap_or_default();
        if readers.any(|others| others != first) {
            let hint = "say with --readers who may see what matches";
            return Err(Hinted::new("these corpora have different readers", hint).into());
        }
        Ok(Audience { readers: first.into_iter().collect(), labels })
    }
}
