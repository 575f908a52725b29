use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};
use tlog::TlogProof;
use tlog::tlog_proof::PROOF_BYTES_MAX;

use crate::commands::Session;
use crate::failure::Failure;
use crate::file;

/// Checks a proof that a leaf is in a ledger, offline, and prints the leaf
///
/// Exit codes: 0 the leaf is in the log, which is one of the policy's and was cosigned as it demands; 1 it
/// is not; 2 the arguments are wrong.
#[derive(clap::Args)]
pub(crate) struct CheckProof {
    /// The proof, as `cloister ledger proof` writes it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The policy that names the log and its witnesses (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl CheckProof {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let policy = file::read_policy(&self.policy)?;
        let text = file::read_text(&self.file, PROOF_BYTES_MAX as u64)?;
        let name = self.file.display();
        let refused = || Failure::refused(format!("{name} proves nothing"));
        let proof: TlogProof = text.parse().map_err(|error| refused().caused_by(&error))?;
        let Some(leaf) = &proof.extra else {
            return Err(refused().hint("It carries no leaf: have it made by `cloister ledger proof`."));
        };
        let judged =
            proof.verify(&tlog::leaf_hash(leaf), &policy).map_err(|error| refused().caused_by(&error))?;
        let leaf = std::str::from_utf8(leaf)
            .map_err(|_| refused().hint("Its leaf is not text: it is of another kind of log."))?;
        if self.json {
            let by =
                |by: &tlog::policy::Cosigned| json!({ "witness": by.witness, "time_unix_s": by.time_unix_s });
            session.output.json(&json!({
                "origin": judged.checkpoint.origin,
                "index": proof.index,
                "leaves": judged.checkpoint.size,
                "cosigned": judged.cosigned.iter().map(by).collect::<Vec<Value>>(),
                "leaf": serde_json::from_str::<Value>(leaf).unwrap_or_else(|_| leaf.into()),
            }))?;
        } else {
            let by: Vec<&str> = judged.cosigned.iter().map(|by| by.witness.as_str()).collect();
            session.output.say(format!(
                "leaf {} is in {}, a log of {} leaves, cosigned by {}",
                proof.index,
                judged.checkpoint.origin,
                judged.checkpoint.size,
                if by.is_empty() { "nobody".to_owned() } else { by.join(", ") },
            ));
            session.output.line(leaf)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
