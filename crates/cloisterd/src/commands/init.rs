use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use super::keys::Kind;
use crate::data::Data;
use crate::key_files::{self, Opener};
use crate::{compose, output, settings};

/// Makes a data directory: new keys, an empty ledger with its first checkpoint.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The log's name, which every checkpoint carries: a name of your site, as example.org/cloister.
    #[arg(long, default_value = "cloister.local/log")]
    origin: String,
    /// Where the keys lie: in their files in the clear, or sealed; docs/keys.md.
    #[arg(long, value_name = "KIND", default_value = "file")]
    custody: Kind,
}

impl Init {
    pub(crate) fn run(&self, data: &Path) -> Outcome {
        let passphrase = match self.custody {
            Kind::Passphrase => Some(key_files::new_passphrase(settings::passphrase_file().as_deref())?),
            Kind::File | Kind::Credential => None,
        };
        let by = self.custody.sealing_key(passphrase.as_ref())?;
        let data = Data::create(data, &self.origin, by.as_ref())?;
        let mut opener = Opener::new();
        passphrase.iter().for_each(|passphrase| opener.also_try(passphrase));
        let keys = data.keys_by(&mut opener)?;
        let notary = compose::notary(&data, &keys)?;
        let verifier = notary.verifier();
        let policy = match notary.second_verifier() {
            Some(second) => format!("log {verifier}\nwitness log-mldsa {second}\nquorum log-mldsa\n"),
            None => format!("log {verifier}\nquorum none\n"),
        };
        data.write("log.policy", policy.as_bytes())?;
        let (ledger, _recovery) = compose::open_ledger(&data, &keys, &verifier, notary, 0)?;
        ledger.close()?;
        if by.is_some() {
            compose::record_change_by(&data, &keys, "keys seal", "all keys", self.custody.detail())?;
        }
        output::say(&format!("made {}", data.root().display()));
        output::say("the log's verifier key, which auditors keep (as a tlog-policy in log.policy):");
        output::line(&verifier)?;
        output::say(
            "next: import a model, have two persons approve it, deploy it (docs/models.md); then cloisterd serve",
        );
        Ok(ExitCode::SUCCESS)
    }
}
