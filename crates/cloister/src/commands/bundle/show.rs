use std::path::PathBuf;
use std::process::ExitCode;

use ::models::object::{Kind, Role};
use protocol::Digest;
use serde::Serialize;

use crate::commands::Session;
use crate::failure::Failure;

/// Shows what a bundle says it carries; verifies nothing
#[derive(clap::Args)]
pub(crate) struct Show {
    /// The bundle
    #[arg(value_name = "MEDIA")]
    media: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    kind: Kind,
    name: &'a str,
    version: &'a str,
    licence: Option<&'a str>,
    training_data: &'a str,
    /// How the signature was made; nobody verified it.
    signed: String,
    /// SHA-256 of what is signed.
    statement: Option<Digest>,
    files: Vec<ShownFile<'a>>,
}

#[derive(Serialize)]
struct ShownFile<'a> {
    name: &'a str,
    role: Role,
    digest: Option<Digest>,
    bytes: u64,
    /// Whether it is on this medium.
    present: bool,
}

impl Show {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let medium = super::open(&self.media)?;
        let signature = medium.signature.as_ref().map(|signed| &signed.signature);
        let shown = Shown {
            kind: medium.kind,
            name: medium.name.as_str(),
            version: medium.version.as_str(),
            licence: medium.licence.as_deref(),
            training_data: &medium.training_data,
            signed: signature.map_or_else(|| "by nobody".to_owned(), super::method),
            statement: signature.map(|signature| Digest(signature.statement_digest())),
            files: medium
                .entries
                .iter()
                .map(|entry| ShownFile {
                    name: &entry.name,
                    role: entry.role,
                    digest: entry.expected,
                    bytes: entry.bytes,
                    present: medium.has(entry),
                })
                .collect(),
        };
        if self.json {
            session.output.json(&shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        let output = &mut session.output;
        output.line(format!("{}@{} ({})", shown.name, shown.version, word(&shown.kind)))?;
        output.line(format!("licence        {}", shown.licence.unwrap_or("not stated")))?;
        output.line(format!("training data  {}", shown.training_data))?;
        output.line(format!("signed         {} (not verified here)", shown.signed))?;
        if let Some(statement) = shown.statement {
            output.line(format!("statement      {statement}"))?;
        }
        for file in &shown.files {
            let digest = file.digest.map_or_else(|| "-".to_owned(), |digest| digest.to_string());
            let absent = if file.present { "" } else { "  (not on this medium)" };
            output.line(format!(
                "{digest}  {:>14}  {:<8}  {}{absent}",
                file.bytes,
                word(&file.role),
                file.name
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The word that the format has for it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
