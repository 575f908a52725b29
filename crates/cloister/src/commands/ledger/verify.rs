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
