use std::path::PathBuf;
use std::process::ExitCode;

use oms::{Signer, Verified};
use protocol::Digest;

use super::Trusted;
use crate::commands::Session;
use crate::failure::{EXIT_FAILED, Failure};

/// Verifies a bundle: who signed it, and every blob that is on the medium
///
/// Files that were left out, as they are on the other side already, are named; only the import can check
/// those. What files hold (whether weights are weights) is for the import, too.
///
/// Exit codes: 0 all is well, 1 the signature or a blob is wrong, 2 the arguments are wrong.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("trusted").required(true).multiple(true).args(["key", "authority", "unsigned"])))]
pub(crate) struct Verify {
    /// The bundle
    #[arg(value_name = "MEDIA")]
    media: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    /// Compare digests only, of a bundle that nobody signed
    #[arg(long, conflicts_with_all = ["key", "authority"])]
    unsigned: bool,
}

impl Verify {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let trust = self.trusted.read()?;
        let medium = super::open(&self.media)?;
        let path = self.media.display();
        if !self.unsigned {
            let signature = medium.signature.as_ref().map(|signed| &signed.signature);
            let signature = signature.ok_or_else(|| Failure::refused(format!("{path} is not signed")))?;
            let now_unix_s = ledger::system_clock()() / 1000;
            let Verified { signer, root } = signature.verify(&trust, now_unix_s).map_err(|error| {
                Failure::refused(format!("the signature of {path} is not accepted")).caused_by(&error)
            })?;
            let signer = match signer {
                Signer::Key { fingerprint } => format!("the key {fingerprint}"),
                Signer::Certificate { subject, .. } => subject,
                Signer::Sigstore { identity, issuer, .. } => format!("{identity} by {issuer}"),
            };
            let statement = Digest(signature.statement_digest());
            session.output.line(format!("signed by {signer}, trusted by {root}"))?;
            session.output.line(format!("statement {statement}"))?;
        }
        let bar = super::bar(&session.output);
        bar.set_length(medium.bytes().0);
        let (mut wrong, mut missing) = (0, 0);
        for entry in &medium.entries {
            let found = medium.read(entry, &mut |chunk| {
                bar.inc(chunk.len() as u64);
                Ok(())
            });
            let found = found.map_err(|error| {
                Failure::refused(format!("{} cannot be read", entry.name)).caused_by(&error)
            })?;
            match found {
                Some(found) if Some(found) == entry.expected => {}
                Some(found) => {
                    wrong += 1;
                    bar.suspend(|| {
                        session.output.line(format!("wrong: {}: its digest is {found}", entry.name))
                    })?;
                }
                None => {
                    missing += 1;
                    bar.suspend(|| session.output.line(format!("not on this medium: {}", entry.name)))?;
                }
            }
        }
        bar.finish_and_clear();
        let right = medium.entries.len() - wrong - missing;
        let rest = if missing == 0 { String::new() } else { format!(", {missing} must be in the vault") };
        session.output.line(format!("{}@{}: {right} files are right{rest}", medium.name, medium.version))?;
        if wrong == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        session.output.complain(&format!("{wrong} files of {path} are not what was signed"));
        Ok(ExitCode::from(EXIT_FAILED))
    }
}
