use std::path::{Path, PathBuf};
use std::process::ExitCode;

use approval::SIGNATURE_BYTES_MAX;
use clap::Args;
use ledger::{ERASURE_NAMESPACE, ERASURE_PERSONS};
use protocol::admin::Command;

use super::Outcome;
use super::administer::ask;
use crate::{file, output};

/// Bytes of a text that is to be signed: 256 leaves and a reason fit.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Writes the text that two persons sign so that bodies are erased.
///
/// A record stands for all of its leaves: question, answer, diagnostics. Nothing is erased yet.
#[derive(Debug, Args)]
pub(crate) struct EraseRequest {
    /// A record's number; may be repeated.
    #[arg(long = "record", value_name = "RECORD", required_unless_present = "leaves")]
    records: Vec<u64>,
    /// A single leaf's number; may be repeated.
    #[arg(long = "leaf", value_name = "LEAF")]
    leaves: Vec<u64>,
    /// Why, on one line. It stays in the ledger.
    #[arg(long)]
    reason: String,
    /// Where to write the text.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Erases the bodies that a signed text names: their keys are destroyed, the leaves and all proofs stay.
///
/// Each of two persons signs the text with a key enrolled to them (`cloisterd user enrol-key`):
/// ssh-keygen -Y sign -n erasure@cloister -f KEY FILE. Copies of the ledger that were made before hold the
/// wrapped keys still: after an erasure that must reach those, change the body key.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// The text, as `cloisterd ledger erase-request` wrote it.
    file: PathBuf,
    /// A signature of it; given once for each person.
    #[arg(long = "approval", value_name = "FILE.sig", required = true)]
    approvals: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl EraseRequest {
    pub(super) fn run(self, data: &Path) -> Outcome {
        let EraseRequest { records, leaves, reason, out } = self;
        let answer = ask(data, Command::EraseRequest { records, leaves, reason })?;
        let text = answer["text"].as_str().ok_or("the daemon's answer has no text")?;
        file::write(&out, text.as_bytes())?;
        output::say(&format!(
            "{} leaves; nothing is erased yet",
            answer["leaves"].as_array().map_or(0, Vec::len)
        ));
        output::say(&format!(
            "{ERASURE_PERSONS} persons read it and sign it: ssh-keygen -Y sign -n {ERASURE_NAMESPACE} -f KEY {}",
            out.display()
        ));
        output::say(&format!(
            "then: cloisterd ledger erase {} --approval FIRST.sig --approval SECOND.sig",
            out.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

impl Erase {
    pub(super) fn run(self, data: &Path) -> Outcome {
        let text = file::read_text(&self.file, TEXT_BYTES_MAX)?;
        let signatures: Result<Vec<String>, _> =
            self.approvals.iter().map(|path| file::read_text(path, SIGNATURE_BYTES_MAX)).collect();
        output::document(&ask(data, Command::Erase { text, signatures: signatures? })?, self.json)?;
        Ok(ExitCode::SUCCESS)
    }
}
