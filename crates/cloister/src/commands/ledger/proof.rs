use std::path::PathBuf;
use std::process::ExitCode;

use ledger::disk::RealDisk;

use crate::commands::Session;
use crate::failure::Failure;
use crate::file;

/// Writes a proof that a leaf is in the ledger: one text that anybody checks offline
///
/// The proof (C2SP tlog-proof) carries the leaf and leads to the newest checkpoint that witnesses cosigned
/// and that covers the leaf; where there is none, to the ledger's newest checkpoint. Nothing of prompts or
/// answers is in it but their salted digests. Check it with `cloister ledger check-proof`.
#[derive(clap::Args)]
pub(crate) struct Proof {
    /// The ledger's directory, or a copy of it
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The leaf's number, as in an answer's record number
    leaf: u64,
    /// A checkpoint that the proof is to lead to
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Proof {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let disk = RealDisk::existing(&self.directory).map_err(|error| {
            Failure::usage(format!("cannot read the ledger in {}", self.directory.display()))
                .caused_by(&error)
        })?;
        let note_bytes_max = tlog::note::NOTE_BYTES_MAX as u64;
        let checkpoint = self.checkpoint.map(|path| file::read_text(&path, note_bytes_max)).transpose()?;
        let proof = ledger::prove(&disk, self.leaf, checkpoint)
            .map_err(|error| Failure::refused("there is no proof of this leaf").caused_by(&error))?;
        match self.out {
            Some(path) => file::write(&path, proof.to_string().as_bytes())?,
            None => session.output.bytes(proof.to_string().as_bytes())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
