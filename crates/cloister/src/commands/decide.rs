use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Session, wait};
use crate::failure::Failure;
use crate::file;

/// A source file longer than this is not one that a person edits.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Records what became of an answer: whether it was taken over
///
/// For scripts, and for editors that do not speak HTTP. The files' SHA-256 digests are computed here; what is
/// in the files is not sent. Prints the number of the leaf that records it.
#[derive(clap::Args)]
pub(crate) struct Decide {
    /// The answer's record
    record: u64,
    /// What was done with it
    choice: Choice,
    /// Bytes of the answer that were taken over
    #[arg(long, value_name = "BYTES")]
    accepted_bytes: Option<u64>,
    /// The file's name for the record, as in the project
    #[arg(long, value_name = "NAME")]
    path: Option<String>,
    /// The file as it was before
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// The file as it is after
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
    /// What the record names as the client
    #[arg(long, value_name = "TEXT", default_value = concat!("cloister ", env!("CARGO_PKG_VERSION")))]
    client: String,
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
}

/// As in the ledger.
#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum Choice {
    /// It was shown
    Shown,
    /// It was taken over whole
    Accepted,
    /// A part of it was taken over
    PartlyAccepted,
    /// It was taken over and then changed
    EditedAfter,
    /// It was not taken over
    Rejected,
}

#[derive(Serialize)]
struct Request<'a> {
    record: u64,
    choice: Choice,
    accepted_bytes: Option<u64>,
    path: Option<&'a str>,
    digest_before: Option<String>,
    digest_after: Option<String>,
    client: &'a str,
}

#[derive(Deserialize, Serialize)]
struct Answer {
    record: u64,
    leaf: u64,
}

impl Decide {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let request = Request {
            record: self.record,
            choice: self.choice,
            accepted_bytes: self.accepted_bytes,
            path: self.path.as_deref(),
            digest_before: self.before.as_deref().map(digest).transpose()?,
            digest_after: self.after.as_deref().map(digest).transpose()?,
            client: &self.client,
        };
        let settings = session.settings()?;
        let answer =
            wait(async { Ok(settings.client.post::<Answer>("/v1/cloister/decisions", &request).await?) })?;
        session.keep_receipt(&settings, &answer.mark);
        if self.json {
            session.output.json(&answer.value)?;
        } else {
            session.output.line(answer.value.leaf)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn digest(path: &Path) -> Result<String, Failure> {
    let bytes = file::read(path, FILE_BYTES_MAX)?;
    Ok(Digest(Sha256::digest(&bytes).into()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_digest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty");
        std::fs::File::create(&path).unwrap();
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(&path).unwrap(), empty);
        assert!(digest(directory.path()).is_err());
    }
}
