use std::path::PathBuf;
use std::process::ExitCode;

use ::models::media::pack;
use oms::{KeySigner, Sign as _};

use super::KEY_BYTES_MAX;
use crate::commands::Session;
use crate::failure::Failure;
use crate::file;

/// Signs a bundle with a key, or with a key and its certificate (OpenSSF Model Signing)
///
/// The signature is over the digests in the manifest: blobs that were left out or lie elsewhere are signed
/// too. Keys are of the curves P-256, P-384 or P-521, as PEM, not encrypted: keep them where models are
/// qualified, not on the medium. A signature that is there is replaced.
#[derive(clap::Args)]
pub(crate) struct Sign {
    /// The bundle
    #[arg(value_name = "MEDIA")]
    media: PathBuf,
    /// The private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The certificate of that key and those that lead to an authority, as PEM, the key's own first
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
}

impl Sign {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let key = file::read(&self.key, KEY_BYTES_MAX)?;
        let chain = self.certificates.as_deref().map(|path| file::read(path, KEY_BYTES_MAX)).transpose()?;
        let signer = KeySigner::from_pem(&key, chain.as_deref()).map_err(|error| {
            Failure::usage(format!("{} cannot sign", self.key.display())).caused_by(&error)
        })?;
        let medium = super::open(&self.media)?;
        let Some(signed) = &medium.signature else {
            return Err(Failure::refused(format!("{} has no manifest", self.media.display())));
        };
        let refused = || Failure::refused(format!("{} was not signed", self.media.display()));
        let bytes =
            oms::sign(signed.signature.manifest(), &signer).map_err(|error| refused().caused_by(&error))?;
        pack::replace_manifest(&self.media, &bytes).map_err(|error| refused().caused_by(&error))?;
        let fingerprint = signer.verification_material().public_key().fingerprint();
        session.output.say(format!("signed {}@{} by the key {fingerprint}", medium.name, medium.version));
        Ok(ExitCode::SUCCESS)
    }
}
