use std::path::PathBuf;
use std::process::ExitCode;

use ::gate::SCHEMA;
use lineage::approval::Keys;

use super::Session;
use crate::failure::{EXIT_FAILED, Failure};
use crate::file;
use crate::review::qualified::{self, Given};
use crate::review::{self, Approvals, Decided, Gatekeeper, History, Ledger, Selection, Table, statement};

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
        let (gatekeeper, _) = Gatekeeper::read(policy)?;
        let signer = self.key.as_deref().map(statement::signer).transpose()?;
        let reports = Given::read(&self.qualified)?;
        let history = History::open(&self.selection.repository)?;
        let change = history.change(&self.selection.wanted())?;
        let ledger = Ledger { slice: slice.clone(), log_policy: log_policy.clone() };
        let reviewed = review::review(&ledger, change)?;
        let context = || reviewed.slice.context.iter().map(|(_, leaf)| leaf);
        let approvals =
            Approvals::read(&history, reviewed.change.tree, &self.approvals, &Keys::of(context()))?;
        let qualified = qualified::languages(&reports, context())?;
        let table = Table::new(&reviewed, &approvals);
        let now = Gatekeeper::now(reviewed.slice.made_unix_ms, self.selection.base());
        let ranges = review::decided(&table, &reviewed, &history, Some((&gatekeeper, &qualified, &now)));
        let gated = gatekeeper.gated(&ranges, &table.not_graded, now);
        if self.json {
            session.output.json(&serde_json::json!({
                "passed": gated.passed,
                "policy": gated.policy,
                "head": table.head,
                "tree": table.tree,
                "base": table.base,
                "slice": table.slice,
                "ranges": ranges,
                "not_graded": table.not_graded,
                "void_approvals": table.void_approvals,
            }))?;
        } else {
            show(session, &table, &ranges, gated.passed)?;
        }
        if let Some(signer) = signer {
            let stated = table.stated(&ranges, Some(&gated));
            if let Some(out) = &self.attestation {
                let proof = |leaf| Some((reviewed.slice.leaf_hash(leaf)?, reviewed.slice.proof(leaf)?));
                let statement = statement::provenance(&stated, proof);
                file::write(out, &statement::signed(&statement, &signer)?)?;
            }
            if let Some(out) = &self.vsa {
                let statement = statement::summary(&stated, &gated);
                file::write(out, &statement::signed(&statement, &signer)?)?;
            }
        }
        Ok(if gated.passed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }
}

fn show(session: &mut Session, table: &Table, ranges: &[Decided], passed: bool) -> Result<(), Failure> {
    let refused = ranges.iter().filter_map(|range| {
        range.decision.as_ref().filter(|decision| !decision.allowed).map(|decision| (&range.row, decision))
    });
    let mut count = 0;
    for (row, decision) in refused {
        count += 1;
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
    let outcome = if passed { "passed" } else { "refused" };
    session.output.say(format!("{outcome}: {count} of {} ranges refused", ranges.len()));
    Ok(())
}
