use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use ledger::verify::{Options, Report, Seen};

use crate::commands::Session;
use crate::failure::{EXIT_FAILED, Failure};
use crate::file;
use crate::receipts::{self, ReceiptLine};

/// Bytes of a policy, a key or a checkpoint.
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;

/// Verifies a ledger's directory, without the daemon and without trusting it
///
/// Reads every leaf and rebuilds the tree: a changed, missing or inserted record is reported with
/// its place. With the log's verifier key the checkpoint's signature is checked too; with the body
/// key, every body is opened and compared with what its leaf commits to.
///
/// A whole older copy of a ledger is valid in itself. That it was put back shows only against what
/// was once seen: checkpoints kept elsewhere, and the receipts that cloister keeps of each answer in
/// $XDG_STATE_HOME/cloister/receipts.jsonl. Give them with --seen.
///
/// Exit codes: 0 all is well, 1 problems were found, 2 the arguments are wrong.
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The ledger's directory, or a copy of it
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A policy that names the log (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", conflicts_with = "verifier")]
    policy: Option<PathBuf>,
    /// The log's verifier key, or a file that holds it (log.vkey of the data directory)
    #[arg(long, value_name = "VKEY")]
    verifier: Option<String>,
    /// The key of the bodies (keys/body.key of the data directory)
    #[arg(long, value_name = "FILE")]
    body_key: Option<PathBuf>,
    /// Receipts or a kept checkpoint that the ledger must still agree with; may be repeated
    #[arg(long, value_name = "FILE")]
    seen: Vec<PathBuf>,
    /// Whose receipts to take, where files hold those of several servers
    #[arg(long, value_name = "ADDRESS", requires = "seen")]
    seen_server: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        if !self.directory.is_dir() {
            return Err(Failure::usage(format!("{} is not a directory", self.directory.display())));
        }
        let options = Options {
            dir: self.directory.clone(),
            verifier: self.verifier()?,
            body_key: self.body_key()?,
            seen: self.seen()?,
        };
        let progress = if session.output.shows_progress() { progress_bar() } else { ProgressBar::hidden() };
        let report = ledger::verify::verify(options, |done, total| {
            progress.set_length(total);
            progress.set_position(done);
        });
        progress.finish_and_clear();
        if self.json {
            session.output.json(&report)?;
        } else {
            self.show(session, &report)?;
        }
        Ok(if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }

    /// The log's key, from whichever flag gives it.
    fn verifier(&self) -> Result<Option<String>, Failure> {
        if let Some(path) = &self.policy {
            let text = file::read_text(path, SMALL_FILE_BYTES_MAX)?;
            let key = log_key(&text).map_err(|error| {
                Failure::usage(format!("the policy {} cannot be used", path.display())).caused_by(&error)
            })?;
            return Ok(Some(key));
        }
        let Some(given) = &self.verifier else { return Ok(None) };
        let path = Path::new(given);
        let text =
            if path.exists() { file::read_text(path, SMALL_FILE_BYTES_MAX)? } else { given.clone() };
        Ok(Some(text.trim().to_owned()))
    }

    fn body_key(&self) -> Result<Option<[u8; 32]>, Failure> {
        let Some(path) = &self.body_key else { return Ok(None) };
        let key = file::read(path, SMALL_FILE_BYTES_MAX)?;
        let wrong = |_| Failure::usage(format!("{} is not a key: it must hold 32 bytes", path.display()));
        Ok(Some(key.try_into().map_err(wrong)?))
    }

    fn seen(&self) -> Result<Vec<Seen>, Failure> {
        let mut seen = Vec::new();
        let mut receipts = Vec::new();
        for path in &self.seen {
            // A receipt is a JSON object; a checkpoint begins with the log's origin.
            let text = file::read(path, receipts::BYTES_MAX)?;
            if text.first() == Some(&b'{') || text.is_empty() {
                receipts.extend(receipts::read(path)?);
            } else {
                seen.push(Seen::Checkpoint(file::read_text(path, SMALL_FILE_BYTES_MAX)?));
            }
        }
        seen.extend(self.of_one_server(receipts)?.iter().map(receipt));
        Ok(seen)
    }

    /// Another server's receipts say nothing of this ledger, and would look like a roll-back.
    fn of_one_server(&self, mut receipts: Vec<ReceiptLine>) -> Result<Vec<ReceiptLine>, Failure> {
        if let Some(server) = &self.seen_server {
            receipts.retain(|receipt| receipt.server == *server);
            if receipts.is_empty() {
                return Err(Failure::usage(format!("there is no receipt of {server}")));
            }
        }
        let mut servers: Vec<&str> = receipts.iter().map(|receipt| receipt.server.as_str()).collect();
        servers.sort_unstable();
        servers.dedup();
        if servers.len() > 1 {
            return Err(Failure::usage("the receipts are of several servers")
                .hint(format!("Name the one whose ledger this is with --seen-server: {}.", servers.join(", "))));
        }
        Ok(receipts)
    }
}

/// Why a policy names no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
enum PolicyError {
    #[error("line {0} is not understood: expected `log`, `witness`, `group` or `quorum`")]
    Line(usize),
    #[error("it must name one log, and names {0}")]
    Logs(usize),
    #[error("it demands the signatures of witnesses, which this version does not check")]
    Quorum,
}

/// The key of the one log that a C2SP tlog-policy names. A quorum other than `none` is refused rather
/// than passed over: a report must not look as if witnesses had been asked.
fn log_key(policy: &str) -> Result<String, PolicyError> {
    let mut logs = Vec::new();
    for (number, line) in policy.lines().enumerate() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            [] | ["quorum", "none"] => {}
            [comment, ..] if comment.starts_with('#') => {}
            ["log", key] | ["log", key, _] => logs.push(*key),
            ["witness", _, _] | ["witness", _, _, _] | ["group", _, _, _, ..] => {}
            ["quorum", _] => return Err(PolicyError::Quorum),
            _ => return Err(PolicyError::Line(number + 1)),
        }
    }
    match logs.as_slice() {
        [key] => Ok((*key).to_owned()),
        _ => Err(PolicyError::Logs(logs.len())),
    }
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("verifying {wide_bar} {pos}/{len} leaves {eta}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let policy = "# ours\n\nlog site+0123abcd+AbC= https://x.example\nwitness w w+1+k\ngroup g 1 w\nquorum none\n";
        assert_eq!(log_key(policy).as_deref(), Ok("site+0123abcd+AbC="));
        assert_eq!(log_key("log a+1+k\nquorum g\n"), Err(PolicyError::Quorum));
        assert_eq!(log_key("quorum none\n"), Err(PolicyError::Logs(0)));
        assert_eq!(log_key("log a+1+k\nlog b+1+k\n"), Err(PolicyError::Logs(2)));
        assert_eq!(log_key("log a+1+k\nlogs b\n"), Err(PolicyError::Line(2)));
    }
}
