mod create;
mod show;
mod sign;
mod unpack;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::models::media::{self, Medium, Options};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use oms::Trust;

use super::Session;
use crate::failure::Failure;
use crate::file;
use crate::output::Output;

/// Bytes of a key or of a chain of certificates.
pub(crate) const KEY_BYTES_MAX: u64 = 1 << 20;

/// Packs, signs and examines media that models are carried in on (docs/bundle.md)
#[derive(Subcommand)]
pub(crate) enum Bundle {
    Create(Box<create::Create>),
    Sign(sign::SignBundle),
    Verify(verify::Verify),
    Show(show::Show),
    Unpack(unpack::Unpack),
}

impl Bundle {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        match self {
            Bundle::Create(command) => command.run(session),
            Bundle::Sign(command) => command.run(session),
            Bundle::Verify(command) => command.run(session),
            Bundle::Show(command) => command.run(session),
            Bundle::Unpack(command) => command.run(session),
        }
    }
}

/// Opens a bundle, and nothing else that could be imported.
fn open(path: &Path) -> Result<Medium, Failure> {
    let manifest = path.join(media::bundle::MANIFEST);
    if manifest.symlink_metadata().is_err() {
        let what = format!("{} is no bundle: it has no {}", path.display(), media::bundle::MANIFEST);
        return Err(Failure::usage(what).hint(
            "A bundle whose packing was interrupted has none yet: run `cloister bundle create` again.",
        ));
    }
    media::open(path, &Options::default())
        .map_err(|error| Failure::refused(format!("{} is refused", path.display())).caused_by(&error))
}

/// Whom signatures are believed of.
#[derive(clap::Args)]
struct Trusted {
    /// A public key that may have signed, as PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// The certificate of an authority that signers' certificates lead to, as PEM; may be repeated
    #[arg(long, value_name = "FILE")]
    authority: Vec<PathBuf>,
    /// What such an authority revoked, as PEM or DER; may be repeated
    #[arg(long, value_name = "FILE", requires = "authority")]
    crl: Vec<PathBuf>,
}

impl Trusted {
    /// Each root is known by its file's path.
    fn read(&self) -> Result<Trust, Failure> {
        let mut trust = Trust::new();
        let unusable = |path: &Path, error: oms::TrustError| {
            Failure::usage(format!("{} cannot be used", path.display())).caused_by(&error)
        };
        let name = |path: &Path| path.display().to_string();
        for path in &self.key {
            let pem = file::read(path, KEY_BYTES_MAX)?;
            trust.add_key(&name(path), &pem).map_err(|error| unusable(path, error))?;
        }
        for path in &self.authority {
            let pem = file::read(path, KEY_BYTES_MAX)?;
            trust.add_authority(&name(path), &pem).map_err(|error| unusable(path, error))?;
        }
        for path in &self.crl {
            let bytes = file::read(path, 2 * oms::CRL_BYTES_MAX as u64)?;
            trust.add_crl(&name(path), &bytes).map_err(|error| unusable(path, error))?;
        }
        Ok(trust)
    }
}

/// A bar of bytes, where a person looks.
fn bar(output: &Output) -> ProgressBar {
    if !output.shows_progress() {
        return ProgressBar::hidden();
    }
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    ProgressBar::new(0)
        .with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How a signature was made, for people.
fn method(signature: &oms::Signature) -> String {
    match signature.method() {
        oms::Method::Key { hint: Some(hint) } => format!("by the key {hint}"),
        oms::Method::Key { hint: None } => "by a key".to_owned(),
        oms::Method::Certificate => "with a certificate".to_owned(),
        oms::Method::Sigstore => "by Sigstore's keyless method".to_owned(),
        oms::Method::None => "by nobody".to_owned(),
    }
}
