use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lineage::grade::File;

use super::Session;
use super::review::{mark, short};
use crate::failure::Failure;
use crate::review::{self, History, Ledger, Wanted};

/// Shows a file's lines, each with the answer that it came from
///
/// Letters: A a line of an answer as it was, m one that was changed since, ? one like an answer that nobody is on record
/// to have taken over, a point one that says nothing by itself. A line without a letter is unknown.
#[derive(clap::Args)]
pub(crate) struct Blame {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    ledger: Ledger,
    /// The revision that it is read from
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    at: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Blame {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let folder =
            self.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let history = History::open(if folder.is_dir() { folder } else { Path::new(".") })?;
        let path = in_repository(&history, &self.file)?;
        let mut change = history.change(&Wanted::Tree(&self.at))?;
        change.files.retain(|file| file.path == path);
        if change.files.is_empty() {
            let why = change
                .not_graded
                .iter()
                .find(|(name, _)| *name == path)
                .map_or("there is none", |(_, why)| why);
            return Err(Failure::usage(format!("no lines of {path} at `{}`: {why}", self.at)));
        }
        let reviewed = review::review(&self.ledger, change)?;
        let records = &reviewed.slice.records;
        let (files, graded) = (&reviewed.change.files, &reviewed.graded);
        for (File { lines, .. }, graded) in files.iter().zip(graded) {
            if self.json {
                let line = |graded: &lineage::grade::Graded| {
                    serde_json::json!({
                        "line": graded.line,
                        "grade": graded.grade,
                        "kept_percent": graded.kept_percent,
                        "record": graded.record.map(|at| records[at].number),
                    })
                };
                let lines: Vec<_> = graded.iter().map(line).collect();
                session.output.json(&serde_json::json!({ "path": path, "lines": lines }))?;
                continue;
            }
            for ((number, text), graded) in lines.iter().zip(graded) {
                let (letter, colour) = mark(graded.grade);
                let record = graded.record.map(|at| &records[at]);
                let answer = record.map(|record| {
                    let model = record.intent.model.map(|model| model.to_string()).unwrap_or_default();
                    format!("{} {} {}", record.number, record.intent.identity, short(&model))
                });
                let answer = answer.unwrap_or_default();
                session.output.coloured(colour, &format!("{letter} {answer:<36} {number:>6} {text}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A file's path from the repository's root.
pub(super) fn in_repository(history: &History, file: &Path) -> Result<String, Failure> {
    let outside = || Failure::usage(format!("{} is outside of the repository", file.display()));
    let Some(root) = history.root() else {
        return file.to_str().map(str::to_owned).ok_or_else(outside);
    };
    let absolute = std::path::absolute(file).map_err(|error| Failure::file("cannot find", file, &error))?;
    // The file itself may be gone: of its folder, what there is decides.
    let there = absolute.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(&absolute);
    let rest = absolute.strip_prefix(there).unwrap_or(Path::new(""));
    let real = there.canonicalize().map_err(|error| Failure::file("cannot find", file, &error))?.join(rest);
    let root = root.canonicalize().map_err(|error| Failure::file("cannot find", root, &error))?;
    let path = real.strip_prefix(&root).map_err(|_| outside())?;
    path.to_str().map(|path| path.trim_end_matches('/').to_owned()).ok_or_else(outside)
}
