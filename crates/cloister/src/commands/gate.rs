mod attestation;
mod qualified;

use std::path::PathBuf;
use std::process::ExitCode;

use ::gate::{Circumstances, Decision, Policy, SCHEMA};
use jiff::Timestamp;
use lineage::approval::Keys;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Session;
use crate::failure::{EXIT_FAILED, Failure};
use crate::file;
use crate::review::{self, Approvals, History, Ledger, Row, Selection, Table};

/// Decides by a policy whether a change's lines may go in
///
/// The policy is Cedar's (https://www.cedarpolicy.com), and decides for each range of lines that `cloister review` tells of:
/// what no rule permits is refused, one rule that forbids is enough, and a rule that cannot be evaluated refuses. --schema
/// prints what rules may speak of; docs/pipelines.md has examples.
///
/// Exit codes: 0 every range may go in, 1 one may not, or the slice is not believed, or a file could not be graded, 2 the
/// arguments or the policy are wrong.
#[derive(clap::Args)]
pub(crate) struct Gate {
    /// The policy, in Cedar
    #[arg(long, value_name = "FILE", required_unless_present = "schema")]
    policy: Option<PathBuf>,
    /// The slice of the ledger, as `cloisterd ledger slice` writes it
    #[arg(long, value_name = "FILE", required_unless_present = "schema")]
    slice: Option<PathBuf>,
    /// The policy that names the log and its witnesses (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", required_unless_present = "schema")]
    log_policy: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// A folder of approvals, beside those in the repository; may be repeated
    #[arg(long, value_name = "DIR")]
    approvals: Vec<PathBuf>,
    /// A report by which a model is qualified for a language, as ada=REPORT.json; may be repeated
    ///
    /// It counts where the ledger has a leaf that qualifies the report's model by exactly this file.
    #[arg(long, value_name = "LANGUAGE=FILE")]
    qualified: Vec<String>,
    /// Write an in-toto statement of all ranges and of the decision, in a DSSE envelope
    #[arg(long, value_name = "FILE", requires = "key")]
    attestation: Option<PathBuf>,
    /// Write a SLSA verification summary of the decision, in a DSSE envelope
    #[arg(long, value_name = "FILE", requires = "key")]
    vsa: Option<PathBuf>,
    /// The private key that signs these: PEM, ECDSA on P-256, P-384 or P-521
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print what rules may speak of, as Cedar's schema
    #[arg(long)]
    schema: bool,
}

/// A range with what was decided of it.
#[derive(Serialize)]
struct Decided<'t> {
    #[serde(flatten)]
    row: &'t Row,
    decision: Decision,
}

/// All that was decided.
struct Verdict<'t> {
    policy: String,
    time: Timestamp,
    passed: bool,
    ranges: Vec<Decided<'t>>,
}

impl Gate {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        if self.schema {
            session.output.text(SCHEMA)?;
            return Ok(ExitCode::SUCCESS);
        }
        let (Some(policy), Some(slice), Some(log_policy)) = (&self.policy, &self.slice, &self.log_policy)
        else {
            return Err(Failure::usage("--policy, --slice and --log-policy are needed"));
        };
        let text = file::read_text(policy, ::gate::POLICY_BYTES_MAX as u64)?;
        let rules = Policy::parse(&text).map_err(|error| {
            Failure::usage(format!("the policy {} cannot decide", policy.display())).caused_by(&error)
        })?;
        let signer = self.key.as_deref().map(attestation::signer).transpose()?;
        let history = History::open(&self.selection.repository)?;
        let change = history.change(&self.selection.wanted())?;
        let ledger = Ledger { slice: slice.clone(), log_policy: log_policy.clone() };
        let reviewed = review::review(&ledger, change)?;
        let context = || reviewed.slice.context.iter().map(|(_, leaf)| leaf);
        let keys = Keys::of(context());
        let approvals = Approvals::read(&history, reviewed.change.tree, &self.approvals, &keys)?;
        let qualified = qualified::read(&self.qualified, context())?;
        let table = Table::new(&reviewed, &approvals);
        let time = Timestamp::now();
        let made_unix_s = i64::try_from(reviewed.slice.made_unix_ms / 1000).unwrap_or(i64::MAX);
        let circumstances = Circumstances {
            time_unix_s: time.as_second(),
            slice_age_s: time.as_second().saturating_sub(made_unix_s),
            base: self.selection.base().to_owned(),
        };
        let ranges: Vec<Decided<'_>> = table
            .ranges
            .iter()
            .map(|row| Decided { row, decision: rules.decide(&row.facts(&qualified), &circumstances) })
            .collect();
        // What could not be read was not decided.
        let unread = table.not_graded.iter().any(|(_, why)| *why != "no text");
        let passed = !unread && ranges.iter().all(|range| range.decision.allowed);
        let policy = format!("sha256:{}", protocol::digest::hex(&Sha256::digest(text.as_bytes())));
        let verdict = Verdict { policy, time, passed, ranges };
        if self.json {
            session.output.json(&serde_json::json!({
                "passed": passed,
                "policy": verdict.policy,
                "head": table.head,
                "tree": table.tree,
                "base": table.base,
                "slice": table.slice,
                "ranges": verdict.ranges,
                "not_graded": table.not_graded,
                "void_approvals": table.void_approvals,
            }))?;
        } else {
            show(session, &table, &verdict)?;
        }
        if let Some(signer) = signer {
            if let Some(out) = &self.attestation {
                let contents = |path: &str| history.file(reviewed.change.tree, path);
                let statement = attestation::provenance(&table, &verdict, &reviewed.slice, contents);
                file::write(out, &attestation::signed(&statement, &signer)?)?;
            }
            if let Some(out) = &self.vsa {
                let statement = attestation::summary(&table, &verdict);
                file::write(out, &attestation::signed(&statement, &signer)?)?;
            }
        }
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }
}

fn show(session: &mut Session, table: &Table, verdict: &Verdict<'_>) -> Result<(), Failure> {
    for Decided { row, decision } in verdict.ranges.iter().filter(|range| !range.decision.allowed) {
        let grade = row.grade.name();
        session.output.line(format_args!("{}:{}-{}: {grade}: refused", row.path, row.first, row.last))?;
        for rule in &decision.rules {
            let reason = if rule.reason.is_empty() { "no reason is given" } else { &rule.reason };
            session.output.line(format_args!("  {}: {reason}", rule.id))?;
        }
        for error in &decision.errors {
            session.output.line(format_args!("  a rule could not be evaluated: {error}"))?;
        }
        if decision.rules.is_empty() && decision.errors.is_empty() {
            session.output.line("  no rule permits it")?;
        }
    }
    for void in &table.void_approvals {
        session.output.complain(&format!("{}: counts for nothing: {}", void.file, void.why));
    }
    for (path, why) in &table.not_graded {
        session.output.complain(&format!("{path}: its lines are not graded: {why}"));
    }
    let refused = verdict.ranges.iter().filter(|range| !range.decision.allowed).count();
    let outcome = if verdict.passed { "passed" } else { "refused" };
    session.output.say(format!("{outcome}: {refused} of {} ranges refused", verdict.ranges.len()));
    Ok(())
}
