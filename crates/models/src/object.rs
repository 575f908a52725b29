//! What lies in the vault: an object is a model, an adapter, a draft model, an embedding model or a corpus of known
//! code, with everything that came with it. Its digest, over its own description, is what persons approve.

use std::fmt;
use std::str::FromStr;

use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Version of the description's format.
pub const SCHEMA: u32 = 1;
/// The longest description, in bytes.
pub const OBJECT_BYTES_MAX: usize = 4 << 20;
/// Files of an object at most.
pub const FILES_MAX: usize = 4096;
/// What the names of a segment's files begin with, in the tree of a corpus.
pub const SEGMENT_FOLDER: &str = "segment/";
const NAME_BYTES_MAX: usize = 64;
pub use gguf::inspect::UNDISCLOSED;

/// A description of an object. Its bytes in the vault are [`bytes`](Self::bytes), its name there is
/// [`digest`](Self::digest).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: Name,
    /// Which one of that name.
    pub version: Name,
    /// The publisher's statement on training data, or [`UNDISCLOSED`].
    pub training_data: String,
    /// As an SPDX expression or the publisher's words, where stated.
    pub licence: Option<String>,
    /// What it was imported as.
    pub medium: Medium,
    /// Its files, sorted by name, each name once.
    pub files: Vec<ObjectFile>,
    /// Who signed it; absent where nobody did.
    pub signature: Option<SignedBy>,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A language model.
    Model,
    /// A LoRA adapter for one.
    Adapter,
    /// A small model that guesses for a larger one.
    Draft,
    /// A model that turns text into vectors.
    Embedding,
    /// Weights in another format than GGUF: kept as evidence, never served.
    Evidence,
    /// A corpus of known code.
    Corpus,
}

impl Kind {
    /// Whether one of its files is weights.
    pub fn has_weights(self) -> bool {
        match self {
            Kind::Model | Kind::Adapter | Kind::Draft | Kind::Embedding => true,
            Kind::Evidence | Kind::Corpus => false,
        }
    }

    /// Why files of these names and roles are not what it must have: one file of weights where it has any, and at least
    /// one of a segment where it is a corpus.
    pub fn refuse_files<'f>(self, files: impl Iterator<Item = (&'f str, Role)>) -> Result<(), RolesError> {
        let (mut weights, mut segment) = (0, 0);
        for (name, role) in files {
            weights += usize::from(role == Role::Weights);
            segment += usize::from(role == Role::Segment);
            if role == Role::Segment && segment_name(name).is_none() {
                return Err(RolesError::SegmentName);
            }
        }
        match (self, weights, segment) {
            (Kind::Corpus, 1.., _) => Err(RolesError::WeightsOfCorpus),
            (Kind::Corpus, 0, 0) => Err(RolesError::NoSegment),
            (Kind::Corpus, 0, _) => Ok(()),
            (_, _, 1..) => Err(RolesError::SegmentElsewhere),
            _ if weights == usize::from(self.has_weights()) => Ok(()),
            _ if self.has_weights() => Err(RolesError::Weights { found: weights }),
            _ => Err(RolesError::WeightsElsewhere),
        }
    }
}

/// Why an object of a kind cannot have files of these roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolesError {
    /// None, or several.
    #[error("it has weights {found} times: one file must be them")]
    Weights {
        /// How many.
        found: usize,
    },
    /// It must have none.
    #[error("it has weights, and is kept as evidence alone: it must have none")]
    WeightsElsewhere,
    /// It must have none.
    #[error("it has weights, and is a corpus of known code: it must have none")]
    WeightsOfCorpus,
    /// There is nothing to match with.
    #[error("it is a corpus of known code without a segment: at least one file must be of one")]
    NoSegment,
    /// It is no corpus.
    #[error("it has files of a segment, which only a corpus of known code has")]
    SegmentElsewhere,
    /// Not where they belong.
    #[error("a file of its segment does not lie directly in {SEGMENT_FOLDER}")]
    SegmentName,
}

/// What a file of a segment is called in its folder: one part, where it lies directly in [`SEGMENT_FOLDER`].
fn segment_name(name: &str) -> Option<&str> {
    name.strip_prefix(SEGMENT_FOLDER)
        .filter(|name| !name.is_empty() && !name.contains('/') && !name.starts_with('.'))
}

/// What an object was imported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// Cloister's own media format.
    Bundle,
    /// An OCI image layout, as CNCF ModelPack has it.
    Oci,
    /// A GGUF file.
    Gguf,
    /// A folder as Hugging Face has it.
    Snapshot,
}

/// One file of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectFile {
    /// Its path in the publisher's tree: relative, `/` between parts.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The one GGUF file that serves.
    Weights,
    /// The licence's text.
    Licence,
    /// The model card.
    Card,
    /// A bill of materials.
    Sbom,
    /// A qualification report.
    Report,
    /// A file of a corpus's segment.
    Segment,
    /// Anything else, kept for who asks later.
    Evidence,
}

/// Who signed an object, as the signature said when it was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBy {
    /// `key`, `certificate` or `sigstore`.
    pub method: String,
    /// The key's fingerprint, the certificate's subject, or the identity with who vouched for it.
    pub signer: String,
    /// The trust root that it leads to, by the name it was added under.
    pub root: String,
    /// SHA-256 of each certificate, the signer's first; empty for a key.
    pub chain: Vec<Digest>,
    /// SHA-256 of the signed statement.
    pub statement: Digest,
    /// SHA-256 of the file that holds the signature, which is one of the object's blobs.
    pub file: Digest,
}

/// A name or a version: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be a name: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit"
)]
pub struct NameError(String);

/// Why bytes are no description.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is not one.
    #[error("not an object's description: {0}")]
    Form(#[from] serde_json::Error),
    /// Another version.
    #[error("descriptions of version {0} are not supported")]
    Schema(u32),
    /// It was not written by this program.
    #[error("not an object's description: {0}")]
    Invalid(&'static str),
}

impl Object {
    /// The bytes that are kept, and whose digest names the object.
    pub fn bytes(&self) -> Vec<u8> {
        // Strings, numbers and lists: nothing of them can fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// What persons approve: SHA-256 of [`bytes`](Self::bytes).
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.bytes()).into())
    }

    /// Reads a description; only the one spelling passes.
    pub fn parse(bytes: &[u8]) -> Result<Object, ObjectError> {
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(ObjectError::Invalid("it is too long"));
        }
        let object: Object = serde_json::from_slice(bytes)?;
        if object.schema != SCHEMA {
            return Err(ObjectError::Schema(object.schema));
        }
        if object.files.len() > FILES_MAX || !object.files.is_sorted_by(|a, b| a.name < b.name) {
            return Err(ObjectError::Invalid("its files are too many, or not sorted, or one is there twice"));
        }
        if object.files.iter().filter(|file| file.role == Role::Weights).count() > 1 {
            return Err(ObjectError::Invalid("it has weights twice"));
        }
        let files = object.files.iter().map(|file| (file.name.as_str(), file.role));
        // Objects of other kinds were described before this was asked, and stay what they are.
        let segment = object.files.iter().any(|file| file.role == Role::Segment);
        if (segment || object.kind == Kind::Corpus) && object.kind.refuse_files(files).is_err() {
            return Err(ObjectError::Invalid("it is no corpus, or one with other files than a segment's"));
        }
        if object.bytes() != bytes {
            return Err(ObjectError::Invalid("it is spelled in another way"));
        }
        Ok(object)
    }

    /// The file that serves; objects that are evidence or corpora have none.
    pub fn weights(&self) -> Option<&ObjectFile> {
        self.files.iter().find(|file| file.role == Role::Weights)
    }

    /// The files of a corpus's segment, by their names in its folder: each one part, and nothing else of the object.
    pub fn segment(&self) -> impl Iterator<Item = (&str, &ObjectFile)> {
        let files = self.files.iter().filter(|file| file.role == Role::Segment);
        files.filter_map(|file| Some((segment_name(&file.name)?, file)))
    }

    /// `name@version`.
    pub fn title(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

impl Name {
    /// The version of what states none: `1`.
    pub(crate) fn first_version() -> Name {
        Name("1".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c));
        if fits {
            Ok(Name(text.to_owned()))
        } else {
            Err(NameError(text.escape_debug().take(NAME_BYTES_MAX).collect()))
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Name, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Object {
        let file =
            |name: &str, role| ObjectFile { name: name.to_owned(), role, digest: Digest([7; 32]), bytes: 3 };
        Object {
            schema: SCHEMA,
            kind: Kind::Model,
            name: "coder".parse().unwrap(),
            version: "1".parse().unwrap(),
            training_data: UNDISCLOSED.to_owned(),
            licence: Some("Apache-2.0".to_owned()),
            medium: Medium::Bundle,
            files: vec![file("LICENSE", Role::Licence), file("model.gguf", Role::Weights)],
            signature: None,
        }
    }

    #[test]
    fn one_spelling() {
        let object = object();
        let bytes = object.bytes();
        assert_eq!(Object::parse(&bytes).unwrap(), object);
        assert_eq!(object.title(), "coder@1");
        assert_eq!(object.weights().unwrap().name, "model.gguf");
        let spaced = [bytes.as_slice(), b" "].concat();
        assert!(matches!(Object::parse(&spaced), Err(ObjectError::Invalid(_))));
        let mut other = object.clone();
        other.files[0].digest = Digest([8; 32]);
        assert_ne!(other.digest(), object.digest());
    }

    #[test]
    fn what_is_no_description() {
        let mut twice = object();
        twice.files.push(twice.files[1].clone());
        assert!(matches!(Object::parse(&twice.bytes()), Err(ObjectError::Invalid(_))));
        let newer = Object { schema: 2, ..object() };
        assert!(matches!(Object::parse(&newer.bytes()), Err(ObjectError::Schema(2))));
        assert!(matches!(Object::parse(b"{}"), Err(ObjectError::Form(_))));
        for name in ["", "A", "../x", "é", "-a", "a/b", &"x".repeat(65)] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }

    #[test]
    fn files_that_a_kind_must_have() {
        let weights = ("model.gguf", Role::Weights);
        let segment = ("segment/documents", Role::Segment);
        let licence = ("LICENSE", Role::Licence);
        for (kind, files, expected) in [
            (Kind::Model, &[weights, licence][..], Ok(())),
            (Kind::Model, &[licence], Err(RolesError::Weights { found: 0 })),
            (Kind::Adapter, &[weights, weights], Err(RolesError::Weights { found: 2 })),
            (Kind::Model, &[weights, segment], Err(RolesError::SegmentElsewhere)),
            (Kind::Evidence, &[licence], Ok(())),
            (Kind::Evidence, &[weights], Err(RolesError::WeightsElsewhere)),
            (Kind::Evidence, &[segment], Err(RolesError::SegmentElsewhere)),
            (Kind::Corpus, &[segment, licence], Ok(())),
            (Kind::Corpus, &[licence], Err(RolesError::NoSegment)),
            (Kind::Corpus, &[segment, weights], Err(RolesError::WeightsOfCorpus)),
            (Kind::Corpus, &[("documents", Role::Segment)], Err(RolesError::SegmentName)),
            (Kind::Corpus, &[("segment/a/b", Role::Segment)], Err(RolesError::SegmentName)),
            (Kind::Corpus, &[("segment/.lock", Role::Segment)], Err(RolesError::SegmentName)),
        ] {
            assert_eq!(kind.refuse_files(files.iter().copied()), expected, "{kind:?} {files:?}");
        }
    }

    #[test]
    fn a_corpus_is_its_segment() {
        let file =
            |name: &str, role| ObjectFile { name: name.to_owned(), role, digest: Digest([7; 32]), bytes: 3 };
        let corpus = Object {
            kind: Kind::Corpus,
            files: vec![file("LICENSE", Role::Licence), file("segment/documents", Role::Segment)],
            ..object()
        };
        assert_eq!(Object::parse(&corpus.bytes()).unwrap(), corpus);
        assert_eq!(corpus.segment().map(|(name, _)| name).collect::<Vec<_>>(), ["documents"]);
        assert!(corpus.weights().is_none());
        for kind in [Kind::Model, Kind::Evidence] {
            let wrong = Object { kind, ..corpus.clone() };
            assert!(matches!(Object::parse(&wrong.bytes()), Err(ObjectError::Invalid(_))), "{kind:?}");
        }
    }
}
