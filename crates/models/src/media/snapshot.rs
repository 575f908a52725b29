//! A folder as Hugging Face has it: config.json, *.safetensors, perhaps a GGUF file, perhaps `model.sig`.
//!
//! It is kept as evidence. Only its one GGUF file can serve, when that is asked for.

use super::names::shown;
use super::tree::Tree;
use super::{Entry, Medium, MediumError, Options, SIGNATURE_BYTES_MAX, SIGNATURE_NAME, Source};
use crate::object::{self, Kind, Name, Role};

/// What git keeps at the root of a repository: never a part of a model, never imported, and what
/// signatures leave out.
const GITS: &[&str] = &[".git", ".gitattributes", ".gitignore", ".github"];

/// Opens a folder.
pub(super) fn open(tree: Tree, options: &Options) -> Result<Medium, MediumError> {
    let listed = tree.list(&|name| GITS.contains(&name))?;
    let invalid = |what: String| MediumError::Invalid { path: tree.path().to_owned(), what };
    let ends = |name: &str, ending: &str| name.to_lowercase().ends_with(ending);
    let known = |name: &str| name == "config.json" || ends(name, ".safetensors") || ends(name, ".gguf");
    if !listed.iter().any(|file| known(&file.name)) {
        return Err(MediumError::Unknown(tree.path().to_owned()));
    }
    let inside = listed.iter().any(|file| file.name == SIGNATURE_NAME);
    let signature = match &options.signature {
        Some(path) => Some(super::detached(path)?),
        None if inside => {
            let bytes = tree.read(SIGNATURE_NAME, SIGNATURE_BYTES_MAX)?;
            let path = tree.path().join(SIGNATURE_NAME);
            Some(super::signed(&path, SIGNATURE_NAME.to_owned(), bytes)?)
        }
        None => None,
    };
    let own = signature.as_ref().map(|signed| signed.name.clone());
    let mut entries: Vec<Entry> = listed
        .into_iter()
        .filter(|file| Some(&file.name) != own.as_ref())
        .map(|file| Entry {
            role: super::role(&file.name),
            expected: None,
            bytes: file.bytes,
            source: Source::File(file.name.clone()),
            name: file.name,
        })
        .collect();
    if options.serve {
        let mut ggufs = entries.iter_mut().filter(|entry| ends(&entry.name, ".gguf"));
        let first = ggufs.next().ok_or_else(|| invalid("there is no GGUF file to serve".to_owned()))?;
        if let Some(second) = ggufs.next() {
            return Err(invalid(format!(
                "there are several GGUF files, such as `{}` and `{}`: import the one that is to serve by its own path",
                shown(&first.name),
                shown(&second.name)
            )));
        }
        first.role = Role::Weights;
    }
    let folder = tree.path().canonicalize().ok();
    let folder = folder.as_deref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
    let name = options.name.clone().or_else(|| super::name_of(folder?));
    let name = name.ok_or_else(|| invalid("no name can be made of the folder's: give one".to_owned()))?;
    Medium {
        sort: object::Medium::Snapshot,
        kind: if options.serve { options.kind.unwrap_or(Kind::Model) } else { Kind::Evidence },
        name,
        version: options.version.clone().unwrap_or_else(Name::first_version),
        training_data: object::UNDISCLOSED.to_owned(),
        licence: None,
        entries,
        signature,
        tree,
        layers: Vec::new(),
    }
    .checked()
}
