use std::path::PathBuf;
use std::process::ExitCode;

use super::Session;
use crate::evidence::{self, Wanted};
use crate::failure::Failure;
use crate::review::{Ledger, statement};

/// Writes the evidence of a release: one folder for an assessor, which stands by itself
///
/// All lines of the assistant in the release with their chains, the leaves of the ledger that they rest on with proofs, the
/// gate's decision with its policy, approvals and reports, an in-toto statement of it all, and a report to read. The list
/// of its files with their digests is signed. It is verified by `cloister ledger verify DIR --key PUBLIC.pem`, where
/// nobody has ever seen the server. It names persons, files and models; no prompt, no answer and no line of code is in it.
///
/// Exit codes: 0 it is written, also where the gate refuses, which is evidence too; 1 the slice is not believed, or
/// something could not be read or written; 2 the arguments are wrong.
#[derive(clap::Args)]
pub(crate) struct Evidence {
    /// The release: a tag, or any other revision
    #[arg(value_name = "TAG")]
    release: String,
    /// The slice of the ledger, as `cloisterd ledger slice` writes it
    #[arg(long, value_name = "FILE")]
    slice: PathBuf,
    /// The policy that names the log and its witnesses (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    log_policy: PathBuf,
    /// The gate's policy, in Cedar: it decides over all lines of the release
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A folder of approvals, beside those in the repository; may be repeated
    #[arg(long, value_name = "DIR")]
    approvals: Vec<PathBuf>,
    /// A report by which a model is qualified for a language, as ada=REPORT.json; may be repeated
    #[arg(long, value_name = "LANGUAGE=FILE")]
    qualified: Vec<String>,
    /// Put the slice in, too: more of the evidence can be verified, and who has it can test guesses of what was answered
    #[arg(long)]
    with_slice: bool,
    /// The private key that signs: PEM, ECDSA on P-256, P-384 or P-521
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The folder to write; it must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
}

impl Evidence {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let wanted = Wanted {
            repository: &self.repository,
            release: &self.release,
            ledger: Ledger { slice: self.slice, log_policy: self.log_policy },
            policy: self.policy.as_deref(),
            approvals: &self.approvals,
            reports: &self.qualified,
            with_slice: self.with_slice,
            signer: statement::signer(&self.key)?,
        };
        let evidence = evidence::gather(&wanted, &self.out)?;
        session.output.say(evidence.said());
        session.output.line(self.out.display())?;
        Ok(ExitCode::SUCCESS)
    }
}
