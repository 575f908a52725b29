//! Media that models come on, each checked before anything of it is copied: [`bundle`], our own;
//! [`oci`], an image layout as CNCF ModelPack has it; [`gguf`], one file; [`snapshot`], a folder as
//! Hugging Face has it.
//!
//! [`open`] yields a listing whose names, lengths and stated digests hold together. What the files hold is
//! checked by [`Vault::stage`](crate::vault::Vault::stage), on the copies.

pub mod bundle;
pub mod content;
pub mod gguf;
pub mod names;
pub mod oci;
pub mod pack;
pub mod sbom;
pub mod snapshot;
pub mod tar;
pub mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oms::Serialization;
use protocol::Digest;
use sha2::{Digest as _, Sha256};

use crate::hashing::read_range;
use crate::object::{self, FILES_MAX, Kind, Name, Role};
use names::{NameError, Names, shown};
use tree::{Opened, Tree, TreeError};

/// The longest signature file, in bytes: 4096 names of 512 bytes and their digests fit.
pub const SIGNATURE_BYTES_MAX: u64 = 8 << 20;
/// What a signature file is called beside the files that it signs.
pub const SIGNATURE_NAME: &str = "model.sig";

/// What the operator says about a medium that it does not say itself.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What to call it; by the medium's own statement, or its file's name, when absent.
    pub name: Option<Name>,
    /// Its version; by the medium's own statement, or `1`, when absent.
    pub version: Option<Name>,
    /// What it is, of a medium that does not say: a model when absent.
    pub kind: Option<Kind>,
    /// A signature in a file of its own (OpenSSF Model Signing), for media that have no place for it.
    pub signature: Option<PathBuf>,
    /// Of a snapshot: its one GGUF file is to serve. It is kept as evidence otherwise.
    pub serve: bool,
}

/// A checked listing of a medium, and the way to its bytes.
#[derive(Debug)]
pub struct Medium {
    /// Which sort of medium it is.
    pub sort: object::Medium,
    /// What it carries.
    pub kind: Kind,
    /// What people call that.
    pub name: Name,
    /// Which one of that name.
    pub version: Name,
    /// The publisher's statement on training data, or [`object::UNDISCLOSED`].
    pub training_data: String,
    /// The licence, where stated.
    pub licence: Option<String>,
    /// Its files, sorted by name, each name once.
    pub entries: Vec<Entry>,
    /// The signature's file.
    pub signature: Option<Signed>,
    pub(crate) tree: Tree,
    pub(crate) layers: Vec<Layer>,
}

/// A file of a medium.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path in the publisher's tree.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// SHA-256, where the medium or its signature states one.
    pub expected: Option<Digest>,
    /// Its length.
    pub bytes: u64,
    pub(crate) source: Source,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Not on this medium: it must be in the vault.
    Absent,
    /// A file of the medium.
    File(String),
    /// A piece of a tar layer, from this byte.
    Piece { layer: usize, offset: u64 },
    /// Read already, since the listing was made from it.
    Held(Vec<u8>),
}

/// A tar layer of an OCI layout: it is hashed as a whole while its pieces are copied.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) path: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: u64,
    /// SHA-256 of everything in it that is no file's content: the headers that the pieces were found by.
    pub(crate) frame: Digest,
}

/// A signature's file, parsed; whether it verifies is for the import to say.
#[derive(Debug)]
pub struct Signed {
    /// What the file is called in the publisher's tree.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// What it says.
    pub signature: oms::Signature,
}

/// Why a medium is refused.
#[derive(Debug, thiserror::Error)]
pub enum MediumError {
    /// Nothing known.
    #[error("{} is no medium that can be imported: a bundle has manifest.dsse, an OCI layout has oci-layout and index.json, a snapshot has config.json, *.safetensors or *.gguf, and a file must be GGUF", .0.display())]
    Unknown(PathBuf),
    /// Something on it cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A name is refused.
    #[error("{}", .path.display())]
    Name {
        /// Which file states it.
        path: PathBuf,
        /// Why.
        #[source]
        source: NameError,
    },
    /// A description is damaged.
    #[error("{}: not what it should be", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The signature's file is damaged.
    #[error("{}: not a signature (OpenSSF Model Signing v1.0)", .path.display())]
    Signature {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: oms::ParseError,
    },
    /// What a description says cannot be.
    #[error("{path}: {what}", path = .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// There is a file that nothing lists.
    #[error("{} is on the medium, but its manifest does not list it: take it away, or have it packed and signed", .0.display())]
    Extra(PathBuf),
    /// A layer is compressed.
    #[error("{path}: the layer {digest} is compressed ({media_type}): pack it again without compression, as ModelPack recommends for weights", path = .path.display())]
    Compressed {
        /// The manifest.
        path: PathBuf,
        /// The layer.
        digest: Digest,
        /// Its media type, as stated.
        media_type: String,
    },
    /// A tar layer has what no layer may have.
    #[error("{}", .path.display())]
    Tar {
        /// The layer.
        path: PathBuf,
        /// What.
        #[source]
        source: tar::TarError,
    },
}

/// Detects which medium lies at a path, and checks its listing.
pub fn open(path: &Path, options: &Options) -> Result<Medium, MediumError> {
    let metadata =
        std::fs::metadata(path).map_err(|source| TreeError::Io { path: path.to_owned(), source })?;
    if !metadata.is_dir() {
        return gguf::open(path, options);
    }
    let tree = Tree::open(path)?;
    let has = |name: &str| path.join(name).symlink_metadata().is_ok();
    if has(bundle::MANIFEST) {
        bundle::open(tree, options)
    } else if has(oci::LAYOUT) || has(oci::INDEX) {
        oci::open(tree, options)
    } else {
        snapshot::open(tree, options)
    }
}

impl Medium {
    /// Bytes that lie on the medium, and those that the vault must have.
    pub fn bytes(&self) -> (u64, u64) {
        let sum = |absent: bool| {
            let counted = |entry: &&Entry| matches!(entry.source, Source::Absent) == absent;
            self.entries.iter().filter(counted).fold(0_u64, |sum, entry| sum.saturating_add(entry.bytes))
        };
        (sum(false), sum(true))
    }

    /// Where it lies, for messages.
    pub fn path(&self) -> &Path {
        self.tree.path()
    }

    /// Opens a file of the medium whose bytes are a file there; `None` for all others.
    pub(crate) fn file(&self, entry: &Entry) -> Option<Result<Opened, TreeError>> {
        match &entry.source {
            Source::File(path) => Some(self.tree.file(path)),
            _ => None,
        }
    }

    /// Whether a file's bytes are on the medium; if not, they must be in the vault.
    pub fn has(&self, entry: &Entry) -> bool {
        !matches!(entry.source, Source::Absent)
    }

    /// Passes a file's bytes in chunks and returns their digest, to be compared by the caller; `None`
    /// where they are not on the medium.
    pub fn read(
        &self,
        entry: &Entry,
        each: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<Option<Digest>, TreeError> {
        let at = |source| TreeError::Io { path: self.tree.path().join(&entry.name), source };
        let mut hasher = Sha256::new();
        let mut both = |chunk: &[u8]| {
            hasher.update(chunk);
            each(chunk)
        };
        let (path, offset) = match &entry.source {
            Source::Absent => return Ok(None),
            Source::Held(bytes) => {
                both(bytes).map_err(at)?;
                return Ok(Some(Digest(hasher.finalize().into())));
            }
            Source::File(path) => (path, 0),
            Source::Piece { layer, offset } => match self.layers.get(*layer) {
                Some(layer) => (&layer.path, *offset),
                None => return Ok(None),
            },
        };
        let Opened { file, .. } = self.tree.file(path)?;
        let read = read_range(&file, offset, entry.bytes, &mut both).map_err(at)?;
        if read != entry.bytes {
            return Err(at(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(Some(Digest(hasher.finalize().into())))
    }

    /// Sorts, limits, and checks names and roles; then what the signature lists against what is there.
    fn checked(mut self) -> Result<Medium, MediumError> {
        let path = self.tree.path().to_owned();
        let invalid = |what: String| MediumError::Invalid { path: path.clone(), what };
        // The signature's file becomes one of the object's files.
        if self.entries.len() >= FILES_MAX {
            let count = self.entries.len();
            return Err(invalid(format!("it has {count} files, more than {}", FILES_MAX - 1)));
        }
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut names = Names::default();
        let signature = self.signature.iter().map(|signed| signed.name.as_str());
        for name in self.entries.iter().map(|entry| entry.name.as_str()).chain(signature) {
            names.add(name).map_err(|source| MediumError::Name { path: path.clone(), source })?;
        }
        let files = self.entries.iter().map(|entry| (entry.name.as_str(), entry.role));
        self.kind.refuse_files(files).map_err(|error| invalid(error.to_string()))?;
        let mut lengths = BTreeMap::new();
        for Entry { name, expected, bytes, .. } in &self.entries {
            let Some(digest) = expected else { continue };
            if lengths.insert(digest, bytes).is_some_and(|before| before != bytes) {
                return Err(invalid(format!(
                    "`{}` has another length than a file of the same digest",
                    shown(name)
                )));
            }
        }
        if let Some(signed) = &self.signature {
            bind(&mut self.entries, signed, &path)?;
        }
        Ok(self)
    }
}

/// What the signature lists must be what is there, both ways; the digests that it states are those that
/// the files must have. Those of shards are compared by the import.
fn bind(entries: &mut [Entry], signed: &Signed, path: &Path) -> Result<(), MediumError> {
    let invalid = |what: String| MediumError::Invalid { path: path.to_owned(), what };
    let manifest = signed.signature.manifest();
    if !manifest.ignores_only_signature_and_git(&signed.name) {
        return Err(invalid(format!(
            "the signature {} leaves out more than its own file and git's: have it signed without ignored paths",
            shown(&signed.name)
        )));
    }
    // A signature of one file, not of a folder, calls it `.`.
    let single = if let [entry] = &*entries { Some(entry.name.clone()) } else { None };
    let own = |name: &str| single.clone().filter(|_| name == ".").unwrap_or_else(|| name.to_owned());
    let whole = matches!(manifest.serialization, Serialization::Files);
    let mut listed: BTreeMap<String, Option<Digest>> = if whole {
        manifest.resources.iter().map(|file| (own(&file.name), Some(Digest(file.digest)))).collect()
    } else {
        manifest.paths().into_iter().map(|path| (own(path), None)).collect()
    };
    for entry in entries.iter_mut() {
        let Some(digest) = listed.remove(&entry.name) else {
            return Err(MediumError::Extra(path.join(&entry.name)));
        };
        let Some(digest) = digest else { continue };
        if entry.expected.is_some_and(|stated| stated != digest) {
            return Err(invalid(format!(
                "the digest of `{}` in the signature is not the medium's own: it was changed after signing",
                shown(&entry.name)
            )));
        }
        entry.expected = Some(digest);
    }
    if let Some((name, _)) = listed.first_key_value() {
        let count = listed.len();
        return Err(invalid(format!(
            "the signature lists {count} files that are not there, such as `{}`",
            shown(name)
        )));
    }
    Ok(())
}

/// Reads a signature in a file of its own.
fn detached(path: &Path) -> Result<Signed, MediumError> {
    let (directory, name) = parent_and_name(path)?;
    let bytes = Tree::open(&directory)?.read(&name, SIGNATURE_BYTES_MAX)?;
    signed(path, name, bytes)
}

fn signed(path: &Path, name: String, bytes: Vec<u8>) -> Result<Signed, MediumError> {
    let signature = oms::Signature::parse(&bytes)
        .map_err(|source| MediumError::Signature { path: path.to_owned(), source })?;
    Ok(Signed { name, bytes, signature })
}

/// A file's folder and its name in it.
fn parent_and_name(path: &Path) -> Result<(PathBuf, String), MediumError> {
    let unknown = || MediumError::Unknown(path.to_owned());
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unknown)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((parent.to_owned(), name.to_owned()))
}

/// What a file is for, by its name, where nothing says it.
pub fn role(name: &str) -> Role {
    let name = name.to_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if name.ends_with(".cdx.json") || name.ends_with(".spdx.json") {
        Role::Sbom
    } else if begins(&["license", "licence", "copying", "notice"]) {
        Role::Licence
    } else if begins(&["readme", "model_card", "modelcard"]) {
        Role::Card
    } else if begins(&["reports/"]) {
        Role::Report
    } else {
        Role::Evidence
    }
}

/// A name made of a text that may not be one: `Qwen2.5 Coder` becomes `qwen2.5-coder`.
pub fn name_of(text: &str) -> Option<Name> {
    const BYTES_MAX: usize = 64;
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        let kept = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let doubled = kept == '-' && out.ends_with('-');
        let begins = !out.is_empty() || kept.is_ascii_alphanumeric();
        if out.len() < BYTES_MAX && begins && !doubled {
            out.push(kept);
        }
    }
    out.trim_end_matches('-').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_made_of_texts() {
        for (text, expected) in [
            ("Qwen2.5 Coder 0.5B", Some("qwen2.5-coder-0.5b")),
            ("../x", Some("x")),
            ("a  ---  b", Some("a-b")),
            ("日本", None),
            ("", None),
        ] {
            assert_eq!(name_of(text).map(String::from).as_deref(), expected, "{text}");
        }
        assert_eq!(name_of(&"x".repeat(100)).unwrap().as_str().len(), 64);
    }

    #[test]
    fn roles_by_name() {
        for (name, expected) in [
            ("LICENSE", Role::Licence),
            ("README.md", Role::Card),
            ("sbom.cdx.json", Role::Sbom),
            ("reports/LICENSE", Role::Report),
            ("config.json", Role::Evidence),
        ] {
            assert_eq!(role(name), expected, "{name}");
        }
    }
}
