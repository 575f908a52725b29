use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use ledger::{ERASURE_NAMESPACE, ERASURE_PERSONS};
use protocol::admin::Command;
use serde_json::Value;

use super::Outcome;
use super::administer::ask;
use crate::{file, output};

/// Finds every record that a mislabelled source reached, and writes what two persons sign so that it is erased.
///
/// Nothing is erased yet. docs/policy.md says what else is to be done, and what only new media take away.
#[derive(Debug, Args)]
pub(crate) struct Spill {
    /// The source, by its name in `cloisterd repo list`.
    source: String,
    /// Why, on one line. It stays in the ledger.
    #[arg(long)]
    reason: String,
    /// Where to write the texts to sign: FILE, and FILE.2 … where one does not hold all leaves.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Spill {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let Spill { source, reason, out, json } = self;
        let found = ask(data, Command::Spill { source: source.clone(), reason })?;
        let texts: Vec<&str> =
            found["texts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut written = Vec::new();
        for (number, text) in (1..).zip(&texts) {
            let path =
                if number == 1 { out.clone() } else { PathBuf::from(format!("{}.{number}", out.display())) };
            file::write(&path, text.as_bytes())?;
            written.push(path.display().to_string());
        }
        if json {
            output::document(&found, true)?;
            return Ok(ExitCode::SUCCESS);
        }
        let list = |name: &str| found[name].as_array().map_or(&[][..], Vec::as_slice);
        for row in list("records") {
            let how: Vec<&str> =
                row["how"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            output::line(&format!("record {}: {}", row["record"], how.join(", ")))?;
        }
        output::say(&format!(
            "{} of {} records were reached; {} leaves of them have bodies",
            list("records").len(),
            found["searched"],
            list("leaves").len()
        ));
        if !list("unreadable").is_empty() {
            output::say(&format!("{} records do not open, and were not searched", list("unreadable").len()));
        }
        if found["lines_left_out"] == true {
            output::say("the source gave too many lines: records that only repeat it may be missing");
        }
        for path in &written {
            output::say(&format!(
                "{ERASURE_PERSONS} persons read {path} and sign it: ssh-keygen -Y sign -n {ERASURE_NAMESPACE} -f KEY {path}"
            ));
            output::say(&format!(
                "then: cloisterd ledger erase {path} --approval FIRST.sig --approval SECOND.sig"
            ));
        }
        if found["index"] == true {
            output::say(&format!(
                "its index: cloisterd repo remove {source}; caches made with it serve nobody from then on"
            ));
        }
        output::say("then restart the daemon: the engines' memory goes with their processes");
        output::say("left are backups, exports, editors and whatever people wrote: docs/policy.md");
        Ok(ExitCode::SUCCESS)
    }
}
