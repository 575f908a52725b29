use std::error::Error;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use models::object::Object;
use models::vault::Vault;
use protocol::corpora::{BuildTask, SEGMENT};
use serde_json::json;

use super::{Audience, Taken, check_name, corpora_lock};
use crate::builder::{Builder, Came, bytes};
use crate::commands::Outcome;
use crate::commands::model::{self, import::Medium};
use crate::corpora::{self, Segments};
use crate::data::{Data, sync_directory};
use crate::output::{self, Hinted};
use crate::served;
use crate::settings::Settings;

/// Takes in a corpus that was built outside: a bundle (`cloister bundle create --corpus`).
///
/// It is copied into the vault and its signature verified as that of a model is; then every file of it is hashed again,
/// and it is asked from then on. A corpus of that name that is there already is replaced. The medium is read by a process
/// in a jail, and by none else. An import that was interrupted goes on where it was.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The medium.
    path: PathBuf,
    /// What it is called on this server [default: as the medium says]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    audience: Audience,
    /// Import it though nobody signed it: the ledger says so.
    #[arg(long)]
    unsigned: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) fn run(self, data: &Data) -> Outcome {
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        let _lock = corpora_lock(data)?;
        let _vault_lock = model::vault_lock(data)?;
        let configured = corpora::configured(data)?;
        let vault = served::vault(data)?;
        let medium = Medium {
            path: self.path,
            name: None,
            version: None,
            kind: None,
            signature: None,
            unsigned: self.unsigned,
            serve: false,
            corpus: true,
        };
        let object = medium.take(data, &vault)?;
        let name = self.name.unwrap_or_else(|| object.name.as_str().to_owned());
        check_name(&name).map_err(|error| {
            Hinted::new(error.to_string(), "choose another with --name; the vault has all of it already")
        })?;

        let building = Segments::of(data, &name).building()?;
        let segment = building.join(SEGMENT);
        lay_out(&vault, &object, &segment)
            .map_err(|error| format!("{} cannot be laid out: {error}", segment.display()))?;
        let bar = output::counting(&format!("checking {name}"), "files");
        let task = BuildTask::Verify { segment: bytes(&segment) };
        let came = Builder::start(Some(data), &Settings::read(data.root())?, task)?.finish(&bar);
        bar.finish_and_clear();
        let built = match came? {
            Came::Segment(built) => built,
            Came::Damaged(files) => {
                let named: Vec<String> = files.iter().map(|(file, what)| format!("{file}: {what}")).collect();
                let what = format!("{} is not what a builder wrote: {}", object.title(), named.join("; "));
                return Err(
                    Hinted::new(what, "have it built and packed again; nothing is compared with it").into()
                );
            }
        };
        let (readers, labels) = self.audience.of(configured.get(&name));
        let taken = Taken {
            action: "corpus import",
            name: &name,
            root: built.root,
            from: format!("{} ({}), signed by {}", object.title(), object.digest(), model::signer(&object)),
            readers,
            labels,
        };
        taken.publish(data, configured)?;
        if self.json {
            let shown = json!({
                "corpus": name, "object": object.digest(), "title": object.title(), "root": built.root,
                "documents": built.documents, "bytes": built.bytes, "signer": model::signer(&object),
            });
            output::document(&shown, true)?;
        } else {
            output::line(&format!("{name}: {}", built.root))?;
            output::say(&format!("{}, signed by {}", object.title(), model::signer(&object)));
            output::say(&format!("{} different files of {} bytes", built.documents, built.bytes));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A segment's folder, copied from the vault's blobs. Not linked: whoever imports next can write in the vault, and nobody may
/// change what the gateway has mapped.
fn lay_out(vault: &Vault, object: &Object, segment: &Path) -> Result<(), Box<dyn Error>> {
    DirBuilder::new().mode(0o700).create(segment)?;
    for (name, file) in object.segment() {
        let (blob, path) = (vault.blob_path(&file.digest), segment.join(name));
        fs::copy(&blob, &path)?;
        File::open(&path)?.sync_all()?;
    }
    Ok(sync_directory(segment)?)
}
