use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use models::object::{Kind, Medium, Name, Object, ObjectFile, Role, SCHEMA, UNDISCLOSED};

use super::{record, step, vault_lock};
use crate::commands::Outcome;
use crate::data::Data;
use crate::{output, served};

/// Copies a model into the vault, in quarantine.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A GGUF file.
    path: PathBuf,
    /// What people call it.
    #[arg(long)]
    name: Name,
    /// Which one of that name.
    #[arg(long, default_value = "1")]
    version: Name,
    #[arg(long)]
    unsigned: bool,
}

impl Import {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let vault = served::vault(data)?;
        let mut file = std::fs::File::open(&self.path)?;
        models::gguf::read(&mut file)?;
        let bytes = file.metadata()?.len();
        let digest = vault.keep(&mut file)?;
        let object = Object {
            schema: SCHEMA,
            kind: Kind::Model,
            name: self.name,
            version: self.version,
            training_data: UNDISCLOSED.to_owned(),
            licence: None,
            medium: Medium::Gguf,
            files: vec![ObjectFile { name: "model.gguf".to_owned(), role: Role::Weights, digest, bytes }],
            signature: None,
        };
        record(data, &vault, step("imported", &object), Vec::new(), None)?;
        vault.put_object(&object)?;
        output::line(&format!("{}: {}", object.title(), object.digest()))?;
        Ok(ExitCode::SUCCESS)
    }
}
