//! Our own media format, flat: `manifest.dsse` and `blobs/sha256-HEX`, nothing else.
//!
//! The manifest is a Sigstore bundle (OpenSSF Model Signing v1.0) over the logical tree: its resources are
//! the logical files, `bundle.json` among them, which is our description of the others. Blobs may be
//! left out that lie in the vault already; the manifest is the same then. docs/bundle.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use oms::Serialization;
use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::names::{self, shown};
use super::tree::{Tree, TreeError};
use super::{Entry, Medium, MediumError, Options, SIGNATURE_BYTES_MAX, SIGNATURE_NAME, Source};
use crate::object::{self, FILES_MAX, Kind, Name, Role};

/// The manifest's file.
pub const MANIFEST: &str = "manifest.dsse";
/// The folder of blobs.
pub const BLOBS: &str = "blobs";
/// The description's name among the logical files.
pub const DESCRIPTION: &str = "bundle.json";
/// Version of the description's format.
pub const SCHEMA: u32 = 1;
/// The longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: u64 = 4 << 20;
const TEXT_BYTES_MAX: usize = 64 << 10;

/// `bundle.json`: what a bundle carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: Name,
    /// Which one of that name.
    pub version: Name,
    /// As an SPDX expression or the publisher's words, where stated.
    pub licence: Option<String>,
    /// The publisher's statement on training data, or [`object::UNDISCLOSED`].
    pub training_data: String,
    /// All files but this one, sorted by name.
    pub files: Vec<Described>,
}

/// A file as the description has it; its digest is the manifest's to state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Its path in the logical tree.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its length.
    pub bytes: u64,
}

/// Why bytes are no description.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    /// It is not JSON of this shape.
    #[error("it is not a bundle's description")]
    Form(#[from] serde_json::Error),
    /// What it says cannot be.
    #[error("{0}")]
    Invalid(String),
}

impl Description {
    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        // Strings, numbers and lists: nothing of them can fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a description: known fields only, names that pass, sorted, each once, and of roles that its kind
    /// must have.
    pub fn parse(bytes: &[u8]) -> Result<Description, DescriptionError> {
        let invalid = |what: String| Err(DescriptionError::Invalid(what));
        if bytes.len() as u64 > DESCRIPTION_BYTES_MAX {
            return invalid(format!("it is longer than {DESCRIPTION_BYTES_MAX} bytes"));
        }
        let description: Description = serde_json::from_slice(bytes)?;
        if description.schema != SCHEMA {
            return invalid(format!("descriptions of version {} are not supported", description.schema));
        }
        // An object holds these, the description itself and the signature's file.
        if description.files.len() > FILES_MAX - 2 {
            return invalid(format!("it lists {} files: too many", description.files.len()));
        }
        let mut seen = names::Names::default();
        for reserved in [DESCRIPTION, SIGNATURE_NAME] {
            seen.add(reserved).map_err(|error| DescriptionError::Invalid(error.to_string()))?;
        }
        for file in &description.files {
            seen.add(&file.name).map_err(|error| DescriptionError::Invalid(error.to_string()))?;
        }
        if !description.files.is_sorted_by(|a, b| a.name < b.name) {
            return invalid("its files are not sorted by name".to_owned());
        }
        let files = description.files.iter().map(|file| (file.name.as_str(), file.role));
        description.kind.refuse_files(files).map_err(|error| DescriptionError::Invalid(error.to_string()))?;
        let texts = [description.licence.as_deref(), Some(description.training_data.as_str())];
        if texts.into_iter().flatten().any(|text| {
            text.len() > TEXT_BYTES_MAX || text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
        }) {
            return invalid(format!(
                "its licence or training_data is longer than {TEXT_BYTES_MAX} bytes or has control characters"
            ));
        }
        if description.training_data.is_empty() {
            return invalid(format!("training_data is empty: say `{}`", object::UNDISCLOSED));
        }
        Ok(description)
    }
}

/// A blob's name on a medium.
pub fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}/sha256-{}", digest.hex())
}

/// Opens a bundle. What it states about itself counts: the options can only contradict it.
pub(super) fn open(tree: Tree, options: &Options) -> Result<Medium, MediumError> {
    let manifest_path = tree.path().join(MANIFEST);
    let invalid = |path: &Path, what: String| MediumError::Invalid { path: path.to_owned(), what };
    let bytes = tree.read(MANIFEST, SIGNATURE_BYTES_MAX)?;
    let signed = super::signed(&manifest_path, SIGNATURE_NAME.to_owned(), bytes)?;
    let manifest = signed.signature.manifest();
    if !matches!(manifest.serialization, Serialization::Files) {
        let what = "its digests are of shards: a bundle's are of whole files".to_owned();
        return Err(invalid(&manifest_path, what));
    }
    if manifest.resources.len() > FILES_MAX {
        let what = format!("it lists {} files, more than {FILES_MAX}", manifest.resources.len());
        return Err(invalid(&manifest_path, what));
    }
    let mut digests = BTreeMap::new();
    for resource in &manifest.resources {
        let named = |source| MediumError::Name { path: manifest_path.clone(), source };
        names::check(&resource.name).map_err(named)?;
        if digests.insert(resource.name.as_str(), Digest(resource.digest)).is_some() {
            let problem = names::NameProblem::Twice;
            return Err(named(names::NameError { name: resource.name.clone(), problem }));
        }
    }

    // Nothing but the manifest and blobs that it lists may lie there.
    let wanted: BTreeSet<String> = digests.values().map(blob_name).collect();
    let Some(digest) = digests.remove(DESCRIPTION) else {
        return Err(invalid(&manifest_path, format!("it does not list {DESCRIPTION}")));
    };
    let mut present = BTreeMap::new();
    for listed in tree.list(&|_| false)? {
        if listed.name != MANIFEST && !wanted.contains(&listed.name) {
            return Err(MediumError::Extra(tree.path().join(&listed.name)));
        }
        present.insert(listed.name, listed.bytes);
    }

    let blob = blob_name(&digest);
    let path = tree.path().join(&blob);
    let bytes = tree.read(&blob, DESCRIPTION_BYTES_MAX).map_err(|error| match error {
        TreeError::Missing(_) => {
            invalid(&path, format!("{DESCRIPTION} is missing: it must be on the medium itself"))
        }
        error => error.into(),
    })?;
    let found = Digest(Sha256::digest(&bytes).into());
    if found != digest {
        return Err(invalid(&path, format!("it is not {DESCRIPTION} as signed: its digest is {found}")));
    }
    let description = Description::parse(&bytes).map_err(|error| match error {
        DescriptionError::Form(source) => MediumError::Json { path: path.clone(), source },
        DescriptionError::Invalid(what) => invalid(&path, what),
    })?;

    let mut entries = vec![Entry {
        name: DESCRIPTION.to_owned(),
        role: Role::Evidence,
        expected: Some(digest),
        bytes: bytes.len() as u64,
        source: Source::Held(bytes),
    }];
    for file in description.files {
        let Some(digest) = digests.remove(file.name.as_str()) else {
            let what = format!("`{}` is described, but the manifest does not list it", shown(&file.name));
            return Err(invalid(&path, what));
        };
        let blob = blob_name(&digest);
        let source = match present.get(&blob) {
            Some(bytes) if *bytes == file.bytes => Source::File(blob),
            Some(bytes) => {
                let what = format!(
                    "it has {bytes} bytes, and `{}` must have {}: copy the medium again",
                    shown(&file.name),
                    file.bytes
                );
                return Err(invalid(&tree.path().join(&blob), what));
            }
            None => Source::Absent,
        };
        let Described { name, role, bytes } = file;
        entries.push(Entry { name, role, expected: Some(digest), bytes, source });
    }
    if let Some((name, _)) = digests.first_key_value() {
        let what = format!("the manifest lists `{}`, which is not described", shown(name));
        return Err(invalid(&path, what));
    }
    for (given, own, what) in
        [(&options.name, &description.name, "name"), (&options.version, &description.version, "version")]
    {
        if let Some(given) = given.as_ref().filter(|given| *given != own) {
            return Err(invalid(&path, format!("its {what} is {own}, not {given}")));
        }
    }
    Medium {
        sort: object::Medium::Bundle,
        kind: description.kind,
        name: description.name,
        version: description.version,
        training_data: description.training_data,
        licence: description.licence,
        entries,
        signature: Some(signed),
        tree,
        layers: Vec::new(),
    }
    .checked()
}
