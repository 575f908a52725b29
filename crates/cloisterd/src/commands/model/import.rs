use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use models::object::{Kind, Name, Object};
use models::vault::Vault;
use protocol::admin::ModelStep;

use super::{record, step, vault_lock};
use crate::commands::Outcome;
use crate::data::Data;
use crate::import_process::{self, Answer, FilePath, Task};
use crate::importer::Importer;
use crate::settings::Settings;
use crate::{output, served};

/// Copies a model into the vault, in quarantine, and verifies its signature.
///
/// PATH is a bundle (`cloister bundle create`), an OCI layout as CNCF ModelPack has it, a GGUF file, or a folder
/// as Hugging Face has it, which is kept as evidence. An import that was interrupted goes on where it was.
/// Nothing serves of it before two persons approve it. The medium is read by a process in a jail, and by none else.
/// See docs/models.md.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The medium.
    path: PathBuf,
    /// What people call it [default: as the medium says]
    #[arg(long)]
    name: Option<Name>,
    /// Which one of that name [default: as the medium says, or 1]
    #[arg(long)]
    version: Option<Name>,
    /// What it is, where the medium does not say.
    #[arg(long, value_enum)]
    kind: Option<KindName>,
    /// A signature in a file of its own (OpenSSF Model Signing), for a medium that has no place for it.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Import it though nobody signed it: those who approve are told so.
    #[arg(long)]
    unsigned: bool,
    /// Of a Hugging Face folder: its one GGUF file is to serve.
    #[arg(long)]
    serve: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Removes copies that interrupted imports left, which the same import would have gone on with.
#[derive(Debug, Args)]
pub(crate) struct Clean {}

impl Clean {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let removed = served::vault(data)?.clean_incoming()?;
        output::line(&format!("{removed} unfinished copies removed"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindName {
    Model,
    Adapter,
    Draft,
    Embedding,
    Evidence,
}

/// A medium, and what of it must be so.
pub(in crate::commands) struct Medium {
    pub(in crate::commands) path: PathBuf,
    /// What its object must be called.
    pub(in crate::commands) name: Option<Name>,
    /// Which one of that name it must be.
    pub(in crate::commands) version: Option<Name>,
    /// What it is, where it does not say.
    pub(in crate::commands) kind: Option<Kind>,
    /// A signature in a file of its own.
    pub(in crate::commands) signature: Option<PathBuf>,
    /// Whether it may be without a signature.
    pub(in crate::commands) unsigned: bool,
    /// Of a snapshot: whether its one GGUF file is to serve.
    pub(in crate::commands) serve: bool,
    /// Whether it must be a corpus of known code. It must not be one otherwise.
    pub(in crate::commands) corpus: bool,
}

impl Import {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let vault = served::vault(data)?;
        let medium = Medium {
            path: self.path,
            name: self.name,
            version: self.version,
            kind: self.kind.map(Kind::from),
            signature: self.signature,
            unsigned: self.unsigned,
            serve: self.serve,
            corpus: false,
        };
        let object = medium.take(data, &vault)?;
        if self.json {
            let mut shown = serde_json::to_value(&object)?;
            shown["object"] = serde_json::to_value(object.digest())?;
            output::document(&shown, true)?;
        } else {
            output::line(&format!("{}: {}", object.title(), object.digest()))?;
            output::say(&format!("signed by {}", super::signer(&object)));
            output::say(&format!(
                "in quarantine; look at it with `cloisterd model inspect {0}`, then `cloisterd model request promotion {0} --out FILE`",
                object.title()
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Medium {
    /// Takes it into the vault, whose lock the caller holds: copied, recorded, described.
    pub(in crate::commands) fn take(&self, data: &Data, vault: &Vault) -> Result<Object, Box<dyn Error>> {
        let object = self.staged(data)?;
        // What the ledger does not know has not happened.
        let medium = serde_json::to_value(object.medium)?;
        let detail = format!("as {}", medium.as_str().unwrap_or_default());
        record(data, vault, ModelStep { detail, ..step("imported", &object) }, Vec::new(), None)?;
        if let Some(signed) = &object.signature {
            let detail = format!("statement {}, signature {}", signed.statement, signed.file);
            record(data, vault, ModelStep { detail, ..step("verified", &object) }, Vec::new(), None)?;
        }
        vault.put_object(&object)?;
        Ok(object)
    }

    /// Has the medium read and copied by the importer, and judges what it says came of it.
    fn staged(&self, data: &Data) -> Result<Object, Box<dyn Error>> {
        let task = import_process::Import {
            medium: FilePath::absolute(&self.path)?,
            vault: FilePath::absolute(&data.path("models"))?,
            name: self.name.clone(),
            version: self.version.clone(),
            kind: self.kind,
            signature: self.signature.as_deref().map(FilePath::absolute).transpose()?,
            serve: self.serve,
            corpus: self.corpus,
            unsigned: self.unsigned,
            now_unix_s: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        };
        let accept = Settings::read(data.root())?.jail.accept_names();
        let mut importer = Importer::start(Task::Import(Box::new(task)), accept, &[])?;
        let bar = output::progress("importing");
        let object = loop {
            match importer.next()? {
                Answer::Opened { name } => bar.set_message(format!("importing {name}")),
                Answer::Progress { done, total } => {
                    bar.set_length(total);
                    bar.set_position(done);
                }
                Answer::Staged { object } => break Object::parse(&object)?,
                Answer::Weakened { .. } | Answer::Probed { .. } | Answer::Unjailed(_) | Answer::Failed(_) => {
                    return Err("what reads the medium answered what was not asked".into());
                }
            }
        };
        bar.finish_and_clear();
        self.refuse_other(&object)?;
        Ok(object)
    }

    /// What was said on the command line holds, whatever a medium made of its reader.
    fn refuse_other(&self, object: &Object) -> Result<(), Box<dyn Error>> {
        if let Some(error) = import_process::other_kind(object.kind, self.corpus) {
            return Err(error.into());
        }
        let named = self.name.as_ref().is_none_or(|name| *name == object.name);
        let numbered = self.version.as_ref().is_none_or(|version| *version == object.version);
        let signed = self.unsigned || object.signature.is_some();
        if named && numbered && signed {
            return Ok(());
        }
        Err(format!("what reads the medium answers with {}, which is not what was asked for", object.title())
            .into())
    }
}

impl From<KindName> for Kind {
    fn from(kind: KindName) -> Kind {
        match kind {
            KindName::Model => Kind::Model,
            KindName::Adapter => Kind::Adapter,
            KindName::Draft => Kind::Draft,
            KindName::Embedding => Kind::Embedding,
            KindName::Evidence => Kind::Evidence,
        }
    }
}
