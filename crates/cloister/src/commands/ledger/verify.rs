use std::path::{Path, PathBuf};
use std::process::ExitCode;

use custody::KeyFile;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ledger::disk::RealDisk;
use ledger::verify::{Options, PAUSE, Problem, Report, RollBack, Seen, Verdict, Witnessed, WitnessedBy};
use ledger::{LedgerKeys, Receipt};

use crate::commands::Session;
use crate::failure::{EXIT_FAILED, Failure};
use crate::file;
use crate::output::Output;
use crate::receipts::{self, LeafLine, ReceiptLine};

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
/// $XDG_STATE_HOME/cloister/receipts.jsonl. Give them with --seen. An operator who holds the log's keys
/// could even write another history: that shows where a witness of another house has cosigned the log
/// and the policy demands it (docs/witness.md).
///
/// The evidence of a release (`cloister evidence`) is verified, too: with --key, the public key of whoever made it, and
/// --policy. Every file that was changed, is missing or was added is named.
///
/// Exit codes: 0 all is well, 1 problems were found, 2 the arguments are wrong.
#[derive(clap::Args)]
pub(crate) struct Verify {
    /// The ledger's directory, or a copy of it; or the evidence of a release
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A policy that names the log and the witnesses that must have cosigned it (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", conflicts_with = "verifier")]
    policy: Option<PathBuf>,
    /// Of the evidence of a release: the public key of whoever made it, as PEM
    #[arg(long, value_name = "FILE", conflicts_with_all = ["verifier", "body_key", "seen"])]
    key: Option<PathBuf>,
    /// The log's verifier key, or a file that holds it (log.vkey of the data directory)
    #[arg(long, value_name = "VKEY")]
    verifier: Option<String>,
    /// The key of the bodies: keys/body.key of the data directory, or where that is sealed, what
    /// `cloisterd keys show-body-key` wrote
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
        if crate::evidence::is_evidence(&self.directory) {
            if self.verifier.is_some() || self.body_key.is_some() || !self.seen.is_empty() {
                return Err(Failure::usage("this is the evidence of a release: give --key and --policy"));
            }
            let (key, policy) = (self.key.as_deref(), self.policy.as_deref());
            return super::evidence::run(session, &self.directory, key, policy, self.json);
        }
        if self.key.is_some() {
            return Err(Failure::usage(format!(
                "--key is for the evidence of a release, and {} is none",
                self.directory.display()
            )));
        }
        let disk = RealDisk::existing(&self.directory).map_err(|error| {
            Failure::usage(format!("cannot read the ledger in {}", self.directory.display()))
                .caused_by(&error)
        })?;
        let (seen, records) = self.seen()?;
        let policy = self.policy.as_deref().map(file::read_policy).transpose()?;
        if policy.as_ref().is_some_and(|policy| policy.logs().next().is_none()) {
            return Err(Failure::usage("the policy names no log").hint("Give it a line `log VKEY`."));
        }
        let options =
            Options { verifier: self.verifier()?, policy, keys: self.body_key()?, seen, pause: PAUSE };
        let bar = if session.output.shows_progress() { progress_bar() } else { ProgressBar::hidden() };
        let report = ledger::verify::verify(&disk, &options, &mut |progress| {
            bar.set_length(progress.leaves_total);
            bar.set_position(progress.leaves_done);
        });
        bar.finish_and_clear();
        let mut report =
            report.map_err(|error| Failure::usage("the ledger cannot be verified").caused_by(&error))?;
        miss_records(&mut report, &records);
        if self.json {
            session.output.json(&report)?;
        } else {
            show(&mut session.output, &report)?;
        }
        Ok(match report.verdict {
            Verdict::Passed => ExitCode::SUCCESS,
            Verdict::Failed => ExitCode::from(EXIT_FAILED),
        })
    }

    /// The log's key, as text or from a file.
    fn verifier(&self) -> Result<Option<String>, Failure> {
        let Some(given) = &self.verifier else { return Ok(None) };
        let path = Path::new(given);
        let text = if path.exists() { file::read_text(path, SMALL_FILE_BYTES_MAX)? } else { given.clone() };
        Ok(Some(text.trim().to_owned()))
    }

    fn body_key(&self) -> Result<Option<LedgerKeys>, Failure> {
        let Some(path) = &self.body_key else { return Ok(None) };
        let bytes = file::read(path, SMALL_FILE_BYTES_MAX)?;
        match KeyFile::parse(&bytes) {
            Ok(KeyFile::Clear(key)) => Ok(Some(LedgerKeys::new(*key.key()))),
            Ok(KeyFile::Sealed(sealed)) => {
                let custody = sealed.derivation().custody().name();
                let sealed = format!("{} is sealed, by a {custody}", path.display());
                Err(Failure::usage(sealed).hint(
                    "Have it opened with `cloisterd keys show-body-key --out FILE`, and give that file.",
                ))
            }
            Err(_) => Err(Failure::usage(format!("{} is not a key: it must hold 32 bytes", path.display()))),
        }
    }

    /// Checkpoints and leaves that were seen, and records of which only the number is known.
    fn seen(&self) -> Result<(Vec<Seen>, Vec<u64>), Failure> {
        let mut seen = Vec::new();
        let mut receipts = Vec::new();
        for path in &self.seen {
            // A receipt is a JSON object; a checkpoint begins with the log's origin.
            if file::begins_with(path, b"{")? {
                receipts.extend(receipts::read(path)?);
            } else {
                seen.push(Seen::Checkpoint(file::read_text(path, SMALL_FILE_BYTES_MAX)?));
            }
        }
        let receipts = self.of_one_server(receipts)?;
        let leaf = |leaf: &LeafLine| Some(Receipt { index: leaf.index, leaf_hash: leaf.hash()? });
        seen.extend(receipts.iter().filter_map(|line| line.leaf.as_ref().and_then(leaf)).map(Seen::Receipt));
        Ok((seen, receipts.iter().map(|line| line.record).collect()))
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
            return Err(Failure::usage("the receipts are of several servers").hint(format!(
                "Name the one whose ledger this is with --seen-server: {}.",
                servers.join(", ")
            )));
        }
        Ok(receipts)
    }
}

/// A record whose number was seen must be there, even when its receipt had no leaf's hash.
fn miss_records(report: &mut Report, records: &[u64]) {
    let leaves = report.leaves_signed + report.leaves_unsigned;
    let Some(last) = records.iter().copied().max().filter(|last| *last >= leaves) else { return };
    report.verdict = Verdict::Failed;
    report.roll_back = RollBack::Found;
    report.problems_total += 1;
    report.problems.push(Problem {
        file: None,
        offset: None,
        index: Some(last),
        what: format!("the server gave out record {last}, and the ledger has {leaves} leaves"),
    });
}

fn show(output: &mut Output, report: &Report) -> Result<(), Failure> {
    let mut fact = |name: &str, value: String| output.line(format_args!("{name:<12} {value}"));
    fact("log", report.origin.clone().unwrap_or_else(|| "unknown".to_owned()))?;
    fact(
        "key",
        match (&report.verifier, report.verifier_trusted) {
            (Some(key), true) => key.clone(),
            (Some(key), false) => format!("{key} (taken from the log itself; give --verifier or --policy)"),
            (None, _) => "none".to_owned(),
        },
    )?;
    fact("root", report.root.map_or_else(|| "none".to_owned(), |root| root.to_string()))?;
    fact("leaves", format!("{} signed, {} not signed yet", report.leaves_signed, report.leaves_unsigned))?;
    fact("good", good(report))?;
    let kinds = report.leaves_by_kind.iter().map(|(kind, count)| format!("{count} {kind}"));
    fact("kinds", kinds.collect::<Vec<_>>().join(", "))?;
    if let (Some(first), Some(last)) = (report.time_first_unix_ms, report.time_last_unix_ms) {
        fact("times", format!("{} to {}", time(first), time(last)))?;
    }
    fact("tiles", format!("{} compared", report.tiles))?;
    fact(
        "bodies",
        format!(
            "{} compared, {} opened, {} commitments hold",
            report.bodies, report.bodies_opened, report.commitments
        ),
    )?;
    fact(
        "roll-back",
        match report.roll_back {
            RollBack::NotExcluded => {
                "not excluded: give --seen with receipts or a checkpoint kept elsewhere".to_owned()
            }
            RollBack::ExcludedUpTo(leaves) => format!("excluded up to {leaves} leaves"),
            RollBack::Found => "FOUND: this is not the log that was seen".to_owned(),
        },
    )?;
    if let Some(witnessed) = &report.witnessed {
        let by = |by: &WitnessedBy| {
            let own = if by.is_the_log { "the log's own second key " } else { "" };
            format!("{own}{} at {}", by.witness, time(by.time_unix_s.saturating_mul(1000)))
        };
        let by: Vec<String> = witnessed.by.iter().map(by).collect();
        let Witnessed { leaves, leaves_behind, .. } = witnessed;
        fact("witnessed", format!("{leaves} leaves, by {}; {leaves_behind} behind them", by.join(", ")))?;
    }
    for finding in &report.findings {
        let leaf = finding.index.map_or_else(String::new, |index| format!("leaf {index}: "));
        output.line(format_args!("note: {leaf}{}", finding.what))?;
    }
    not_listed(output, "notes", report.findings_total, report.findings.len())?;
    for problem in &report.problems {
        output.line(format_args!("problem: {}{}", place(problem), problem.what))?;
    }
    not_listed(output, "problems", report.problems_total, report.problems.len())?;
    match report.verdict {
        Verdict::Passed => output.line("verified: no problem was found")?,
        Verdict::Failed => output.line(format_args!("NOT VERIFIED: {} problems", report.problems_total))?,
    }
    Ok(())
}

/// How much can still be relied on.
fn good(report: &Report) -> String {
    match report.good_up_to {
        good if report.verdict == Verdict::Passed => format!("all {good} signed leaves"),
        0 => "no leaf: none is whole and proven by something signed".to_owned(),
        good => format!("leaves 0 to {}: whole, and proven by something signed", good - 1),
    }
}

fn not_listed(output: &mut Output, what: &str, total: u64, listed: usize) -> Result<(), Failure> {
    let more = total.saturating_sub(listed as u64);
    if more > 0 {
        output.line(format_args!("… and {more} more {what}"))?;
    }
    Ok(())
}

/// Where a problem is, as far as it is known.
fn place(problem: &Problem) -> String {
    let mut place = String::new();
    if let Some(file) = &problem.file {
        place.push_str(file);
        if let Some(offset) = problem.offset {
            place.push_str(&format!(" at byte {offset}"));
        }
        place.push_str(": ");
    }
    if let Some(index) = problem.index {
        place.push_str(&format!("leaf {index}: "));
    }
    place
}

fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
    time.map_or_else(|| "unknown".to_owned(), |time| time.to_string())
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("verifying {wide_bar} {pos}/{len} leaves {eta}") {
        bar.set_style(style);
    }
    bar
}
