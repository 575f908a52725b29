use std::path::PathBuf;
use std::process::ExitCode;

use installation::MANIFEST;
use oms::{KeySigner, Sign as _};
use protocol::Digest;

use crate::commands::Session;
use crate::commands::bundle::KEY_BYTES_MAX;
use crate::failure::Failure;
use crate::file;

/// Lists every file of a release that is laid out under a folder, and signs the list
///
/// For who makes releases; `cargo xtask release` calls it. The list goes to usr/lib/cloister/manifest.dsse of the
/// folder, in the format of models' signatures. Without a key it is not signed. Printed is the digest of what is
/// signed: the same for the same files, whoever signs.
#[derive(clap::Args)]
pub(crate) struct SignInstalled {
    /// The folder that stands for /
    root: PathBuf,
    /// The private key: PEM, not encrypted, of the curve P-256, P-384 or P-521
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl SignInstalled {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let refused = || Failure::refused(format!("{} was not listed", self.root.display()));
        let name = concat!("cloister ", env!("CARGO_PKG_VERSION"));
        let manifest = installation::manifest_of(&self.root, name).map_err(|e| refused().caused_by(&e))?;
        let (bytes, by) = match &self.key {
            None => (oms::unsigned(&manifest), "nobody".to_owned()),
            Some(path) => {
                let key = file::read(path, KEY_BYTES_MAX)?;
                let signer = KeySigner::from_pem(&key, None).map_err(|error| {
                    Failure::usage(format!("{} cannot sign", path.display())).caused_by(&error)
                })?;
                let bytes = oms::sign(&manifest, &signer).map_err(|error| refused().caused_by(&error))?;
                let fingerprint = signer.verification_material().public_key().fingerprint();
                (bytes, format!("the key {fingerprint}"))
            }
        };
        let signature = oms::Signature::parse(&bytes).map_err(|error| refused().caused_by(&error))?;
        file::write(&self.root.join(MANIFEST), &bytes)?;
        session.output.say(format!("{name}: {} files, signed by {by}", manifest.resources.len()));
        session.output.line(format!("statement {}", Digest(signature.statement_digest())))?;
        Ok(ExitCode::SUCCESS)
    }
}
