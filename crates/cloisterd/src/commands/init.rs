use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::Outcome;
use crate::compose;
use crate::data::Data;
use crate::output;

/// Makes a data directory: new keys, an empty ledger with its first checkpoint.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The log's name, which every checkpoint carries: a name of your site, as example.org/cloister.
    #[arg(long, default_value = "cloister.local/log")]
    origin: String,
}

impl Init {
    pub(crate) fn run(&self, data: &Path) -> Outcome {
        let data = Data::create(data)?;
        data.write("origin", format!("{}\n", self.origin).as_bytes())?;
        let (notary, keys) = compose::local_notary(&data)?;
        let verifier = notary.verifier();
        let policy = match notary.second_verifier() {
            Some(second) => format!("log {verifier}\nwitness log-mldsa {second}\nquorum log-mldsa\n"),
            None => format!("log {verifier}\nquorum none\n"),
        };
        data.write("log.policy", policy.as_bytes())?;
        let (ledger, _recovery) = compose::open_ledger(&data, &keys, &verifier, notary, 0)?;
        ledger.close()?;
        output::say(&format!("made {}", data.root().display()));
        output::say("the log's verifier key, which auditors keep (as a tlog-policy in log.policy):");
        output::line(&verifier)?;
        output::say("next: cloisterd model import PATH --name NAME, then cloisterd serve");
        Ok(ExitCode::SUCCESS)
    }
}
