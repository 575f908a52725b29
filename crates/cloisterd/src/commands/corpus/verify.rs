use std::process::ExitCode;

use clap::Args;
use protocol::corpora::BuildTask;
use serde_json::json;

use super::of_names;
use crate::builder::{Builder, Came, bytes};
use crate::commands::Outcome;
use crate::corpora::{self, Segments};
use crate::data::Data;
use crate::output;
use crate::settings::Settings;

/// Hashes every file of the corpora, and compares them with what was taken in.
///
/// The daemon does so whenever it begins to use one. Ends with status 1 where a file is not what it was.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A corpus; all of them, otherwise.
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let configured = corpora::configured(data)?;
        let settings = Settings::read(data.root())?;
        let names: Vec<String> = self.name.into_iter().collect();
        let (mut rows, mut all_right) = (Vec::new(), true);
        for (name, configuration) in of_names(&configured, &names)? {
            let folder = Segments::of(data, name).numbered(configuration.folder);
            let bar = output::counting(&format!("checking {name}"), "files");
            let came = if folder.is_dir() {
                let task = BuildTask::Verify { segment: bytes(&folder) };
                Builder::start(Some(data), &settings, task)?.finish(&bar)?
            } else {
                Came::Damaged(vec![(folder.display().to_string(), "it is not there".to_owned())])
            };
            bar.finish_and_clear();
            let damaged = match came {
                Came::Segment(built) if built.root == configuration.root => Vec::new(),
                Came::Segment(built) => {
                    let what =
                        format!("the corpus is {}, and {} was taken in", built.root, configuration.root);
                    vec![("manifest.json".to_owned(), what)]
                }
                Came::Damaged(files) => files,
            };
            all_right &= damaged.is_empty();
            if !self.json {
                for (file, what) in &damaged {
                    output::line(&format!("{name}: {file}: {what}"))?;
                }
                if damaged.is_empty() {
                    output::line(&format!("{name}: {} is as it was taken in", configuration.root))?;
                }
            }
            let damaged: Vec<_> =
                damaged.iter().map(|(file, what)| json!({ "file": file, "what": what })).collect();
            rows.push(json!({ "corpus": name, "root": configuration.root, "damaged": damaged }));
        }
        if self.json {
            output::document(&json!(rows), true)?;
        }
        if all_right {
            return Ok(ExitCode::SUCCESS);
        }
        output::say("hint: build or import it once more; the daemon does not use what is damaged");
        Ok(ExitCode::FAILURE)
    }
}
