use std::path::PathBuf;
use std::process::ExitCode;

use tlog::CosigningKey;

use crate::commands::Session;
use crate::failure::Failure;
use crate::file;

/// Makes a witness's key
///
/// Prints the public key, which the operator of the ledger adds with `cloisterd ledger witness add`, and
/// the line that auditors put into their policy.
#[derive(clap::Args)]
pub(crate) struct Init {
    /// The witness's name: of your house, as example.org/witness
    #[arg(long)]
    name: String,
    /// Where to keep the secret key; a file that is there already is not touched
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Init {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let mut seed = [0; 32];
        ledger::system_randomness()(&mut seed)
            .map_err(|error| Failure::refused("no key was made").caused_by(&error))?;
        let key = CosigningKey::ed25519(&self.name, seed)
            .map_err(|error| Failure::usage("the witness cannot have this name").caused_by(&error))?;
        file::keep(&self.key, format!("{}\n", key.to_secret()).as_bytes(), false)?;
        session.output.say(format!("kept the secret key in {}", self.key.display()));
        session.output.line(key.verifier())?;
        session.output.line(format_args!("witness {} {}", self.name, key.verifier()))?;
        Ok(ExitCode::SUCCESS)
    }
}
