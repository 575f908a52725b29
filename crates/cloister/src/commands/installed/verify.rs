use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use installation::{Checked, Installation, State};
use oms::{Method, Signer, Trust};
use protocol::Digest;
use serde_json::json;

use crate::commands::Session;
use crate::commands::bundle::KEY_BYTES_MAX;
use crate::failure::{EXIT_FAILED, Failure};
use crate::file;

/// Verifies the installed files against the list that the release brought, and the list against a key
///
/// Every listed file must be there with its digest, and nothing else may lie among the programs. With --key the
/// list must be signed by that key: get the key another way than the release. Without, damage is found, and not
/// whoever changed a program and the list.
///
/// Exit codes: 0 all is as it was released, 1 something is not, or this was not installed from a release, 2 the
/// arguments are wrong.
#[derive(clap::Args)]
pub(crate) struct VerifyInstalled {
    /// The public key that must have signed the release, as PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The folder that the release is under [default: where this program is]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl VerifyInstalled {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let installation = self.installation()?;
        let signed_by = self.signer(&installation)?;
        let refused = || Failure::refused("the installation cannot be verified");
        let checked = installation.check().map_err(|error| refused().caused_by(&error))?;
        let wrong = checked.iter().filter(|file| file.state != State::Right).count();
        let statement = Digest(installation.signature().statement_digest()).to_string();
        let stated = match installation.signature().method() {
            Method::Key { hint } => hint,
            _ => None,
        };
        if self.json {
            let row = |file: &Checked| json!({ "name": file.name, "state": file.state.word() });
            session.output.json(&json!({
                "release": installation.name(),
                "root": installation.root(),
                "statement": statement,
                "signed": installation.signature().method() != Method::None,
                "key_stated": stated,
                "key_verified": signed_by,
                "wrong": wrong,
                "files": checked.iter().map(row).collect::<Vec<_>>(),
            }))?;
        } else {
            for file in &checked {
                session.output.line(format!("{:<8}  {}", file.state.word(), file.name))?;
            }
            let right = checked.len() - wrong;
            let (name, root) = (installation.name(), installation.root().display());
            session.output.line(format!("{name} under {root}: {right} files are right, {wrong} are not"))?;
            session.output.line(format!("statement {statement}"))?;
            match (&signed_by, stated, installation.signature().method()) {
                (Some(fingerprint), ..) => {
                    session
                        .output
                        .line(format!("signed by the key {fingerprint}, which is the one given"))?;
                }
                (None, _, Method::None) => session.output.line("unsigned: nobody answers for this list")?,
                (None, hint, _) => {
                    let hint = hint.unwrap_or_else(|| "unknown".to_owned());
                    session.output.line(format!("signed, as it says, by the key {hint}: not verified"))?;
                    session.output.say("name the release's public key with --key to verify that");
                }
            }
        }
        if wrong == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        session.output.complain(&format!("{wrong} files are not as they were released: install it again"));
        Ok(ExitCode::from(EXIT_FAILED))
    }

    fn installation(&self) -> Result<Installation, Failure> {
        let refused = || Failure::refused("the installation cannot be verified");
        if let Some(root) = &self.root {
            return Installation::open(root).map_err(|error| refused().caused_by(&error));
        }
        let program = env::current_exe()
            .and_then(|program| program.canonicalize())
            .map_err(|error| Failure::system("cannot find this program's own file", &error))?;
        let found = Installation::of_program(&program).map_err(|error| refused().caused_by(&error))?;
        found.ok_or_else(|| {
            Failure::refused(format!("{} was not installed from a release", program.display()))
                .hint("no manifest.dsse lies beside it: a release installs one (docs/release.md)")
        })
    }

    /// The key that signed, where one was given; anything but its good signature is an error.
    fn signer(&self, installation: &Installation) -> Result<Option<String>, Failure> {
        let Some(path) = &self.key else { return Ok(None) };
        let mut trust = Trust::new();
        let pem = file::read(path, KEY_BYTES_MAX)?;
        trust.add_key(&path.display().to_string(), &pem).map_err(|error| {
            Failure::usage(format!("{} cannot be used", path.display())).caused_by(&error)
        })?;
        let now_unix_s = ledger::system_clock()() / 1000;
        let verified = installation.signature().verify(&trust, now_unix_s).map_err(|error| {
            Failure::refused("the signature of the installed release is not accepted").caused_by(&error)
        })?;
        match verified.signer {
            Signer::Key { fingerprint } => Ok(Some(fingerprint)),
            // Only a key is trusted above.
            Signer::Certificate { subject, .. } => Ok(Some(subject)),
            Signer::Sigstore { identity, .. } => Ok(Some(identity)),
        }
    }
}
