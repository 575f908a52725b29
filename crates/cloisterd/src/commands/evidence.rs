use std::error::Error;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assist::evidence::{self, Example, FRAMEWORKS, Framework, Scope, Summary};
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledger::Leaf;
use ledger::disk::RealDisk;
use protocol::Digest;
use protocol::admin::Command;
use serde::Deserialize;
use serde_json::Value;

use super::Outcome;
use super::administer::ask;
use crate::data::Data;
use crate::output::{self, Hinted};

/// Leaves that one answer of the daemon lists.
const LISTED_MAX: u32 = 1000;

/// Writes an assessor's pack: what the ledger shows of a period, by frameworks of controls.
///
/// A folder with a page for each framework, a report to read in a browser, the signed checkpoint and the line
/// that checks the ledger against them offline. Reads every leaf of the ledger, and no text of anybody. That it
/// was made is recorded.
#[derive(Debug, Args)]
pub(crate) struct Evidence {
    /// Frameworks, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        default_value = "nist-800-53,nist-800-171,eu-ai-act-12,do-330",
        value_parser = framework
    )]
    controls: Vec<&'static Framework>,
    /// The first day, in UTC, as 2026-11-01.
    #[arg(long, value_name = "DATE")]
    from: Date,
    /// The last day.
    #[arg(long, value_name = "DATE")]
    to: Date,
    /// The folder to write; it must not exist, or be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Number persons instead of naming them.
    #[arg(long)]
    pseudonyms: bool,
}

/// What the daemon says when it has recorded the pack's making.
#[derive(Deserialize)]
struct Recorded {
    leaf: u64,
    hash: Digest,
    time_unix_ms: u64,
    checkpoint: String,
    size: u64,
}

impl Evidence {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let (from, to) = (begin(self.from)?, begin(self.to.tomorrow()?)?);
        if from >= to {
            return Err(Hinted::new("--to is before --from", "give the first day, then the last").into());
        }
        let opened = Data::open(data)?;
        // Before anything is recorded: a pack that cannot be written was not made.
        prepare(&self.out)?;
        let policy = std::fs::read_to_string(opened.path("log.policy"))
            .map_err(|error| format!("{}: cannot be read: {error}", opened.path("log.policy").display()))?;
        let names = self.controls.iter().map(|framework| framework.name.to_owned()).collect();
        let command = Command::LedgerEvidence {
            controls: names,
            from_unix_ms: from,
            to_unix_ms: to,
            pseudonyms: self.pseudonyms,
        };
        let recorded: Recorded = serde_json::from_value(ask(data, command)?)?;
        let summary = summary(data, from, to, self.pseudonyms, recorded.size)?;
        let scope = Scope {
            origin: opened.origin()?,
            ledger: opened.path("ledger").to_str().ok_or("the ledger's path is not UTF-8")?.to_owned(),
            policy,
            checkpoint: recorded.checkpoint,
            size: recorded.size,
            made: Example {
                index: recorded.leaf,
                hash: recorded.hash.0,
                time_unix_ms: recorded.time_unix_ms,
            },
            software: ledger::SOFTWARE.to_owned(),
            // A proof carries its leaf, and that names persons.
            proofs: !self.pseudonyms,
        };
        for (name, text) in evidence::pack(&scope, &summary, &self.controls) {
            write(&self.out.join(name), &text)?;
        }
        if scope.proofs {
            prove(&opened, &self.out, &evidence::example_leaves(&scope, &summary))?;
        }
        output::say("check it, in that folder, with:");
        output::line(&evidence::verify_line(&scope))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A proof of each leaf, as `cloister ledger proof` makes them.
fn prove(data: &Data, out: &Path, leaves: &[Example]) -> Result<(), Box<dyn Error>> {
    let disk = RealDisk::existing(&data.path("ledger"))?;
    let made = DirBuilder::new().mode(0o700).create(out.join("proofs"));
    made.map_err(|error| format!("{} cannot be made: {error}", out.join("proofs").display()))?;
    for leaf in leaves {
        let proof = ledger::prove(&disk, leaf.index, None)?;
        write(&out.join(evidence::proof_name(leaf.index)), &proof.to_string())?;
    }
    Ok(())
}

/// Every leaf below `size`, oldest first.
fn summary(data: &Path, from: u64, to: u64, pseudonyms: bool, size: u64) -> Result<Summary, Box<dyn Error>> {
    let mut summary = Summary::new(from, to, pseudonyms);
    let bar = output::counted("leaves");
    bar.set_length(size);
    let mut next = 0;
    while next < size {
        let end = size.min(next + u64::from(LISTED_MAX));
        let page = ask(data, Command::LedgerList { count: LISTED_MAX, before: Some(end) })?;
        let leaves = page.as_array().map(Vec::as_slice).unwrap_or_default();
        // Newest first, and some of the page before where the last one is short.
        for row in leaves.iter().rev() {
            let index = row["index"].as_u64().ok_or("the daemon lists a leaf without its number")?;
            if index < next {
                continue;
            }
            if index != next {
                return Err(format!("the daemon lists leaf {index} where leaf {next} should be").into());
            }
            add(&mut summary, index, row)?;
            next += 1;
        }
        if next < end {
            return Err(format!("the daemon lists no leaf {next} of {size}").into());
        }
        bar.set_position(next);
    }
    bar.finish_and_clear();
    summary.finish();
    Ok(summary)
}

fn add(summary: &mut Summary, index: u64, row: &Value) -> Result<(), Box<dyn Error>> {
    let hash = Digest::deserialize(&row["hash"])?;
    match Leaf::deserialize(&row["leaf"]) {
        Ok(leaf) => summary.add(index, hash.0, &leaf),
        Err(_) => summary.add_unreadable(index),
    }
    Ok(())
}

/// A day's first moment, in milliseconds since 1970.
fn begin(date: Date) -> Result<u64, Box<dyn Error>> {
    let time = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0))?;
    u64::try_from(time.as_millisecond()).map_err(|_| format!("{date} is before 1970").into())
}

fn framework(name: &str) -> Result<&'static Framework, String> {
    let known = || FRAMEWORKS.map(|framework| framework.name).join(", ");
    evidence::framework(name).ok_or_else(|| format!("there is no `{name}`: choose of {}", known()))
}

fn prepare(out: &Path) -> Result<(), Box<dyn Error>> {
    if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        let hint = "choose an empty or a new folder";
        return Err(Hinted::new(format!("{} is not empty", out.display()), hint).into());
    }
    // It names persons: to be passed on by whoever made it, not read by everybody on the machine.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(out.join("controls"));
    made.map_err(|error| format!("{} cannot be made: {error}", out.display()).into())
}

fn write(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let written = OpenOptions::new()
        .create_new(true)
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc() {
        assert_eq!(begin("1970-01-02".parse().unwrap()).unwrap(), 86_400_000);
        assert!(begin("1969-12-31".parse().unwrap()).is_err());
    }

    #[test]
    fn a_folder_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        prepare(&directory.path().join("new")).unwrap();
        assert!(prepare(directory.path()).unwrap_err().to_string().contains("is not empty"));
        assert!(framework("nist-800-53").is_ok());
        assert!(framework("iso").unwrap_err().contains("do-330"));
    }
}
