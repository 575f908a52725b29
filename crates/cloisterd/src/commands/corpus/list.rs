use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use provenance::segment::Manifest;
use serde_json::{Value, json};

use super::{daemon_runs, states};
use crate::builder::folder_bytes;
use crate::commands::Outcome;
use crate::corpora::{self, Configuration, Segments};
use crate::corpus_process::{MANIFEST, MANIFEST_BYTES_MAX};
use crate::data::Data;
use crate::{file, output};

/// Lists corpora, and how they stand.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let configured = corpora::configured(data)?;
        let states = if daemon_runs(data)? { Some(states(data)?) } else { None };
        let mut rows = Vec::new();
        for (name, configuration) in &configured {
            rows.push(row(data, name, configuration, states.as_deref()));
        }
        if self.json {
            output::document(&Value::Array(rows), true)?;
            return Ok(ExitCode::SUCCESS);
        }
        for row in &rows {
            output::line(&in_words(row))?;
        }
        if rows.is_empty() {
            output::say(
                "there is none: `cloisterd corpus build` makes one, `cloisterd corpus import` takes one in",
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is said of one; `states` is how the daemon has them, where one runs.
fn row(data: &Data, name: &str, configuration: &Configuration, states: Option<&[Value]>) -> Value {
    let Configuration { folder, root, readers, labels } = configuration;
    let folder = Segments::of(data, name).numbered(*folder);
    let state =
        states.map(|states| states.iter().find(|state| state["name"] == name).cloned().unwrap_or_default());
    let stage = match state {
        None => json!("no_daemon"),
        // The daemon holds another one as long as it was not told of this.
        Some(state) if state["root"] != json!(root) => json!("waiting"),
        Some(state) => state["stage"].clone(),
    };
    let manifest = manifest(&folder).ok();
    json!({
        "name": name,
        "root": root,
        "documents": manifest.as_ref().map(|manifest| manifest.documents),
        "source_bytes": manifest.as_ref().map(|manifest| manifest.source_bytes),
        "bytes": folder_bytes(&folder).ok(),
        "stage": stage,
        "readers": readers,
        "labels": labels,
    })
}

/// As it says of itself; the daemon hashes all of it before it is asked.
fn manifest(folder: &Path) -> Result<Manifest, Box<dyn Error>> {
    let bytes_max = usize::try_from(MANIFEST_BYTES_MAX)?;
    Ok(serde_json::from_str(&file::read_text(&folder.join(MANIFEST), bytes_max)?)?)
}

fn in_words(row: &Value) -> String {
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list =
        |value: &Value| value.as_array().into_iter().flatten().map(words).collect::<Vec<_>>().join(",");
    let number = |value: &Value| value.as_u64().map_or_else(|| "?".to_owned(), |number| number.to_string());
    let stage = match row["stage"]["failed"]["reason"].as_str() {
        Some(reason) => format!("failed: {reason}"),
        None => words(&row["stage"]).replace('_', " "),
    };
    let labels = list(&row["labels"]);
    let labels = if labels.is_empty() { labels } else { format!("  labels {labels}") };
    format!(
        "{:20} {stage:10} {:>8} files {:>12} bytes  readers {}{labels}  {}",
        words(&row["name"]),
        number(&row["documents"]),
        number(&row["bytes"]),
        list(&row["readers"]),
        words(&row["root"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_corpus() {
        let mut row = json!({
            "name": "core", "root": "sha256:ab", "documents": 2, "bytes": 70, "stage": "open",
            "readers": ["crew", "ada"], "labels": [],
        });
        let expected =
            "core                 open              2 files           70 bytes  readers crew,ada  sha256:ab";
        assert_eq!(in_words(&row), expected);
        row["stage"] = json!({ "failed": { "reason": "its digest is another" } });
        row["labels"] = json!(["flight"]);
        row["documents"] = Value::Null;
        let shown = in_words(&row);
        assert!(shown.contains("failed: its digest is another"), "{shown}");
        assert!(shown.contains("? files") && shown.contains("labels flight"), "{shown}");
    }
}
