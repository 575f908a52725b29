//! What a signature is about: every file of a model, or every part of a file, with its digest.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use unicode_normalization::is_nfc;

use crate::json;
use crate::key::{digest_from_hex, hex};
use crate::signature::ParseError;

/// Resources of a manifest at most.
pub const RESOURCES_MAX: usize = 1 << 16;
/// The longest name of a resource, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// The longest name of a model, in bytes.
pub const MODEL_NAME_BYTES_MAX: usize = 256;
/// Paths to ignore at most.
pub const IGNORED_MAX: usize = 256;
/// The largest shard, in bytes: what a JSON number holds exactly.
const SHARD_BYTES_MAX: u64 = 1 << 53;
/// Names that an error lists, of each kind.
const LISTED_MAX: usize = 10;

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://model_signing/signature/v1.0";
/// Of the 0.2 series, where files were subjects.
const PREDICATE_TYPE_OLD: &str = "https://model_signing/Digests/v0.1";
const HASH: &str = "sha256";
/// What git keeps in a folder: the reference implementation leaves it out unless told otherwise.
const GIT: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];
/// How the reference implementation names the file of a model that is a single file.
const SINGLE: &str = ".";

/// One digest of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The file's path in the model's folder, `/` between parts. Of a model that is a single file: its name,
    /// or `.`. In shards, `:BEGIN:END` follows: the first byte, and the one after the last.
    pub name: String,
    /// SHA-256 of the file, or of these bytes of it.
    pub digest: [u8; 32],
}

/// How files become resources. Always with SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serialization {
    /// A file is a resource.
    Files,
    /// That many bytes of a file are a resource, and so is what is left. A file without bytes is none: nothing
    /// signs that it is there.
    Shards {
        /// Bytes of a shard.
        shard_bytes: u64,
    },
}

/// The files of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What the signer called it. Says nothing about it.
    pub model_name: String,
    /// How files became resources.
    pub serialization: Serialization,
    /// Whether the signer followed symbolic links. Their names then are names of files.
    pub allow_symlinks: bool,
    /// What the signer left out, in the signer's order and words: nothing signs what lies there.
    pub ignore_paths: Vec<String>,
    /// Sorted by code point, each name once.
    pub resources: Vec<Resource>,
}

/// Why there is no such manifest. Names are shown escaped.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    /// Nothing is signed.
    #[error("the manifest has no resources")]
    Empty,
    /// Too many of something.
    #[error("the manifest has {count} {what}, more than {max}")]
    TooMany {
        /// What of.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many may be.
        max: usize,
    },
    /// The model's name.
    #[error("the model's name is {0}")]
    ModelName(&'static str),
    /// A path to ignore.
    #[error("the path to ignore `{path}` is {why}")]
    Ignored {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A resource's name.
    #[error("the name `{name}` is refused: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name is there twice.
    #[error("the name `{0}` stands twice")]
    Twice(String),
    /// Resources are in no order.
    #[error("the resources are not sorted: `{0}` stands too late")]
    Unsorted(String),
    /// A file's name is a folder's too.
    #[error("`{0}` is a file and a folder")]
    FileAndFolder(String),
    /// Shards do not make a file.
    #[error("the shards of `{path}` do not make a file: {why}")]
    Shards {
        /// The file.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The size of shards.
    #[error("the size of shards is 0 bytes or more than 2^53")]
    ShardBytes,
}

/// How a tree differs from its manifest: names, at most ten of each kind, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeError {
    /// Signed, and not there.
    pub missing: Vec<String>,
    /// There, and not signed.
    pub unsigned: Vec<String>,
    /// There with other bytes.
    pub changed: Vec<String>,
    /// Of each of these.
    pub counts: [usize; 3],
}

impl std::error::Error for TreeError {}

impl std::fmt::Display for TreeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the model is not what was signed:")?;
        let kinds = ["missing", "not signed", "changed"];
        let mut separator = " ";
        for ((kind, names), count) in
            kinds.iter().zip([&self.missing, &self.unsigned, &self.changed]).zip(self.counts)
        {
            if count > 0 {
                let names: Vec<String> = names.iter().map(|name| format!("`{}`", shown(name))).collect();
                write!(f, "{separator}{kind}: {}", names.join(", "))?;
                if count > names.len() {
                    write!(f, " and {} more", count - names.len())?;
                }
                separator = "; ";
            }
        }
        Ok(())
    }
}

impl Serialization {
    /// What a resource's digest is said to be by. The specification has the hash's name in shards too; the reference
    /// implementation writes this, and believes nothing else.
    fn algorithm(self) -> String {
        match self {
            Serialization::Files => HASH.to_owned(),
            Serialization::Shards { shard_bytes } => format!("{HASH}-sharded-{shard_bytes}"),
        }
    }

    /// The resources that a file of that many bytes is: their names, and which bytes each is the digest of.
    /// No shards for a file without bytes.
    pub fn pieces(self, path: &str, bytes: u64) -> impl Iterator<Item = (String, Range<u64>)> {
        let (step, count) = match self {
            Serialization::Files => (bytes, 1),
            Serialization::Shards { shard_bytes } => (shard_bytes.max(1), bytes.div_ceil(shard_bytes.max(1))),
        };
        (0..count).map(move |index| {
            let begin = index * step;
            let end = begin.saturating_add(step).min(bytes);
            let name = match self {
                Serialization::Files => path.to_owned(),
                Serialization::Shards { .. } => format!("{path}:{begin}:{end}"),
            };
            (name, begin..end)
        })
    }
}

impl Manifest {
    /// Puts a manifest together: sorts the resources, and refuses what a parser here would.
    pub fn new(
        model_name: &str,
        serialization: Serialization,
        allow_symlinks: bool,
        ignore_paths: Vec<String>,
        mut resources: Vec<Resource>,
    ) -> Result<Manifest, ManifestError> {
        // Bytes of UTF-8 sort as code points do.
        resources.sort_by(|a, b| a.name.cmp(&b.name));
        let model_name = model_name.to_owned();
        let manifest = Manifest { model_name, serialization, allow_symlinks, ignore_paths, resources };
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether the fields hold what their descriptions say.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        if let Some(why) = bad_text(&self.model_name, MODEL_NAME_BYTES_MAX) {
            return Err(ManifestError::ModelName(why));
        }
        too_many("paths to ignore", self.ignore_paths.len(), IGNORED_MAX)?;
        for path in &self.ignore_paths {
            if let Some(why) = bad_text(path, NAME_BYTES_MAX) {
                return Err(ManifestError::Ignored { path: shown(path), why });
            }
        }
        too_many("resources", self.resources.len(), RESOURCES_MAX)?;
        for pair in self.resources.windows(2) {
            let [before, after] = pair else { continue };
            if before.name == after.name {
                return Err(ManifestError::Twice(shown(&after.name)));
            }
            if before.name > after.name {
                return Err(ManifestError::Unsorted(shown(&after.name)));
            }
        }
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(self.resources.len());
        for resource in &self.resources {
            parts.push(Part::of(&resource.name, self.serialization)?);
        }
        if let Serialization::Shards { shard_bytes } = self.serialization {
            if shard_bytes == 0 || shard_bytes > SHARD_BYTES_MAX {
                return Err(ManifestError::ShardBytes);
            }
            check_shards(parts.clone(), shard_bytes)?;
        }
        let paths: HashSet<&str> = parts.iter().map(|part| part.path).collect();
        for path in &paths {
            let why = bad_path(path).filter(|_| !(paths.len() == 1 && *path == SINGLE));
            if let Some(why) = why {
                return Err(ManifestError::Name { name: shown(path), why });
            }
            let folders = path.char_indices().filter(|(_, c)| *c == '/').filter_map(|(at, _)| path.get(..at));
            if let Some(folder) = folders.into_iter().find(|folder| paths.contains(folder)) {
                return Err(ManifestError::FileAndFolder(shown(folder)));
            }
        }
        if paths.is_empty() { Err(ManifestError::Empty) } else { Ok(()) }
    }

    /// The paths of the files that have resources, sorted by code point. One alone that is `.` stands for a
    /// model that is a single file, whatever that file's name is.
    pub fn paths(&self) -> Vec<&str> {
        let parts = self.resources.iter().filter_map(|r| Part::of(&r.name, self.serialization).ok());
        let mut paths: Vec<&str> = parts.map(|part| part.path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// Whether nothing was left out but the file of that name, which holds the signature, and git's own files in
    /// the model's folder.
    pub fn ignores_only_signature_and_git(&self, signature_name: &str) -> bool {
        self.ignore_paths.iter().all(|path| path == signature_name || GIT.contains(&path.as_str()))
    }

    /// Compares what was signed with a tree: the resources of all its files but those left out, in any order.
    /// A renamed file is one missing and one not signed.
    pub fn check_tree(&self, tree: &[Resource]) -> Result<(), TreeError> {
        let mut signed: BTreeMap<&str, &[u8; 32]> =
            self.resources.iter().map(|resource| (resource.name.as_str(), &resource.digest)).collect();
        let mut error = TreeError::default();
        let mut seen = HashSet::new();
        for Resource { name, digest } in tree {
            let (list, kind) = match signed.remove(name.as_str()) {
                Some(expected) if expected == digest => {
                    seen.insert(name.as_str());
                    continue;
                }
                Some(_) => (&mut error.changed, 2),
                // The same name again with whatever bytes: one of them is not signed.
                None => (&mut error.unsigned, 1),
            };
            seen.insert(name.as_str());
            error.counts[kind] += 1;
            if list.len() < LISTED_MAX {
                list.push(name.clone());
            }
        }
        error.counts[0] = signed.len();
        error.missing = signed.into_keys().take(LISTED_MAX).map(str::to_owned).collect();
        if error.counts == [0; 3] { Ok(()) } else { Err(error) }
    }

    /// SHA-256 of all digests in order.
    fn root(resources: &[Resource]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for resource in resources {
            hash.update(resource.digest);
        }
        hash.finalize().into()
    }

    /// The in-toto statement, as JSON. The same manifest gives the same bytes.
    pub fn statement(&self) -> Vec<u8> {
        let (method, shard_size) = match self.serialization {
            Serialization::Files => ("files", None),
            Serialization::Shards { shard_bytes } => ("shards", Some(shard_bytes)),
        };
        let algorithm = self.serialization.algorithm();
        let written = Written {
            r#type: STATEMENT_TYPE,
            subject: [WrittenSubject {
                name: &self.model_name,
                digest: WrittenDigest { sha256: hex(&Self::root(&self.resources)) },
            }],
            predicate_type: PREDICATE_TYPE,
            predicate: WrittenPredicate {
                serialization: WrittenSerialization {
                    method,
                    hash_type: HASH,
                    shard_size,
                    allow_symlinks: self.allow_symlinks,
                    ignore_paths: &self.ignore_paths,
                },
                resources: self
                    .resources
                    .iter()
                    .map(|Resource { name, digest }| WrittenResource {
                        name,
                        algorithm: &algorithm,
                        digest: hex(digest),
                    })
                    .collect(),
            },
        };
        // Strings, numbers and lists: nothing of them can fail.
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads an in-toto statement: nothing says who made it.
    pub fn parse_statement(bytes: &[u8]) -> Result<Manifest, ParseError> {
        let malformed = |source| ParseError::Json { what: "the statement", source };
        // The type first: statements of another have other fields.
        let Typed { r#type, predicate_type } = json::from_slice(bytes).map_err(malformed)?;
        if r#type != STATEMENT_TYPE {
            return Err(ParseError::Type {
                what: "statement",
                found: shown(&r#type),
                expected: STATEMENT_TYPE,
            });
        }
        if predicate_type == PREDICATE_TYPE_OLD {
            return Err(ParseError::Old);
        }
        if predicate_type != PREDICATE_TYPE {
            let found = shown(&predicate_type);
            return Err(ParseError::Type { what: "predicate", found, expected: PREDICATE_TYPE });
        }
        let Statement { subject, predicate } = serde_json::from_slice(bytes).map_err(malformed)?;
        let subjects: [Subject; 1] =
            subject.try_into().map_err(|subjects: Vec<_>| ParseError::Subjects(subjects.len()))?;
        let [subject] = subjects;
        let serialization = predicate.serialization;
        if serialization.hash_type != HASH {
            return Err(ParseError::Hash(shown(&serialization.hash_type)));
        }
        let serialized = serialization.read()?;
        too_many("resources", predicate.resources.len(), RESOURCES_MAX)?;
        let mut resources = Vec::with_capacity(predicate.resources.len());
        for ReadResource { name, algorithm, digest } in predicate.resources {
            if algorithm != HASH && algorithm != serialized.algorithm() {
                return Err(ParseError::Hash(shown(&algorithm)));
            }
            let digest = digest_from_hex(&digest).ok_or_else(|| ParseError::Digest(shown(&name)))?;
            resources.push(Resource { name, digest });
        }
        let stated = subject.digest.get(HASH).map(String::as_str).unwrap_or_default();
        if subject.digest.len() != 1 || digest_from_hex(stated) != Some(Self::root(&resources)) {
            return Err(ParseError::Root { stated: shown(stated), computed: hex(&Self::root(&resources)) });
        }
        sorted(&resources, serialized)?;
        Ok(Manifest::new(
            &subject.name,
            serialized,
            serialization.allow_symlinks()?,
            serialization.ignore_paths.unwrap_or_default(),
            resources,
        )?)
    }
}

/// A name, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Part<'n> {
    path: &'n str,
    /// Of a shard.
    range: Option<(u64, u64)>,
}

impl<'n> Part<'n> {
    fn of(name: &'n str, serialization: Serialization) -> Result<Part<'n>, ManifestError> {
        if serialization == Serialization::Files {
            return Ok(Part { path: name, range: None });
        }
        let parts = || {
            // Names of files may hold colons: the last two count.
            let (rest, end) = name.rsplit_once(':')?;
            let (path, begin) = rest.rsplit_once(':')?;
            Some(Part { path, range: Some((decimal(begin)?, decimal(end)?)) })
        };
        let why = "a shard's name is PATH:BEGIN:END";
        parts().ok_or_else(|| ManifestError::Name { name: shown(name), why })
    }
}

/// Shards of each file must follow each other from its first byte, none but the last shorter than the others:
/// bytes between two would be nobody's.
fn check_shards(mut parts: Vec<Part<'_>>, shard_bytes: u64) -> Result<(), ManifestError> {
    parts.sort_unstable_by_key(|part| (part.path, part.range));
    let mut before: Option<(&str, u64)> = None;
    for Part { path, range } in parts {
        let (begin, end) = range.unwrap_or_default();
        let why = match before {
            Some((same, _)) if same != path && begin != 0 => Some("the first does not begin at 0"),
            None if begin != 0 => Some("the first does not begin at 0"),
            Some((same, last)) if same == path && last != begin => Some("they overlap or leave bytes out"),
            Some((same, last)) if same == path && last % shard_bytes != 0 => {
                Some("one in the middle is too short")
            }
            _ if end <= begin => Some("one is empty"),
            _ if end - begin > shard_bytes => Some("one is larger than the size of shards"),
            _ => None,
        };
        if let Some(why) = why {
            return Err(ManifestError::Shards { path: shown(path), why });
        }
        before = Some((path, end));
    }
    Ok(())
}

/// By code point, as the specification has it; or as the reference implementation does, which compares paths part by
/// part and offsets as numbers. Both are one order of one set of names: there is nothing to choose for who made it.
fn sorted(resources: &[Resource], serialization: Serialization) -> Result<(), ManifestError> {
    let mut late = None;
    let by_code_point = resources.is_sorted_by(|a, b| {
        let fine = a.name <= b.name;
        if !fine && late.is_none() {
            late = Some(b.name.clone());
        }
        fine
    });
    let Some(late) = late.filter(|_| !by_code_point) else { return Ok(()) };
    let mut parts = Vec::with_capacity(resources.len());
    for resource in resources {
        let Part { path, range } = Part::of(&resource.name, serialization)?;
        parts.push((path, range));
    }
    let by_part =
        parts.is_sorted_by(|(a, at), (b, bt)| a.split('/').cmp(b.split('/')).then(at.cmp(bt)).is_le());
    if by_part { Ok(()) } else { Err(ManifestError::Unsorted(shown(&late))) }
}

/// Why a path of a file is refused.
fn bad_path(path: &str) -> Option<&'static str> {
    if let Some(why) = bad_text(path, NAME_BYTES_MAX) {
        return Some(why);
    }
    if path.starts_with('/') {
        return Some("it is absolute");
    }
    if path.contains('\\') {
        return Some("it holds a backslash, which is a separator elsewhere");
    }
    if !is_nfc(path) {
        return Some("it is not in Unicode's normal form C: two spellings would look the same");
    }
    path.split('/').find_map(|part| match part {
        "" => Some("a part of it is empty"),
        "." => Some("a part of it is `.`"),
        ".." => Some("a part of it is `..`"),
        _ => None,
    })
}

fn bad_text(text: &str, bytes_max: usize) -> Option<&'static str> {
    if text.is_empty() {
        return Some("empty");
    }
    if text.len() > bytes_max {
        return Some("too long");
    }
    text.chars().any(char::is_control).then_some("with a control character in it")
}

fn too_many(what: &'static str, count: usize, max: usize) -> Result<(), ManifestError> {
    if count > max { Err(ManifestError::TooMany { what, count, max }) } else { Ok(()) }
}

/// A number in its one spelling.
fn decimal(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

/// A stranger's text, short and without anything that a terminal acts on.
pub(crate) fn shown(text: &str) -> String {
    text.escape_debug().take(128).collect()
}

#[derive(Serialize)]
struct Written<'m> {
    #[serde(rename = "_type")]
    r#type: &'static str,
    subject: [WrittenSubject<'m>; 1],
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: WrittenPredicate<'m>,
}

#[derive(Serialize)]
struct WrittenSubject<'m> {
    name: &'m str,
    digest: WrittenDigest,
}

#[derive(Serialize)]
struct WrittenDigest {
    sha256: String,
}

#[derive(Serialize)]
struct WrittenPredicate<'m> {
    serialization: WrittenSerialization<'m>,
    resources: Vec<WrittenResource<'m>>,
}

#[derive(Serialize)]
struct WrittenSerialization<'m> {
    method: &'static str,
    hash_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_size: Option<u64>,
    allow_symlinks: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ignore_paths: &'m [String],
}

#[derive(Serialize)]
struct WrittenResource<'m> {
    name: &'m str,
    algorithm: &'m str,
    digest: String,
}

// Statements, predicates and resource descriptors may have more fields, by in-toto's rules and the specification's.

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "_type")]
    r#type: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

#[derive(Deserialize)]
struct Statement {
    subject: Vec<Subject>,
    predicate: Predicate,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Predicate {
    serialization: ReadSerialization,
    resources: Vec<ReadResource>,
}

#[derive(Deserialize)]
struct ReadResource {
    name: String,
    algorithm: String,
    digest: String,
}

/// A parameter that is not known here could change which files are meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadSerialization {
    method: String,
    hash_type: String,
    shard_size: Option<Value>,
    allow_symlinks: Value,
    ignore_paths: Option<Vec<String>>,
}

impl ReadSerialization {
    fn read(&self) -> Result<Serialization, ParseError> {
        match (self.method.as_str(), &self.shard_size) {
            ("files", None) => Ok(Serialization::Files),
            ("files", Some(_)) => Err(ParseError::Serialization("a size of shards for files that are whole")),
            ("shards", Some(size)) => {
                // Whatever went through a protobuf Struct was a double.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number from 1 to 2^53"
                )]
                let whole = |number: f64| {
                    (number.fract() == 0.0 && (1.0..=9_007_199_254_740_992.0).contains(&number))
                        .then_some(number as u64)
                };
                let shard_bytes = size.as_u64().or_else(|| size.as_f64().and_then(whole));
                let shard_bytes = shard_bytes.ok_or(ManifestError::ShardBytes)?;
                Ok(Serialization::Shards { shard_bytes })
            }
            ("shards", None) => Err(ParseError::Serialization("shards without their size")),
            _ => Err(ParseError::Serialization("a method other than `files` and `shards`")),
        }
    }

    /// True or false; older writers made it a string.
    fn allow_symlinks(&self) -> Result<bool, ParseError> {
        match &self.allow_symlinks {
            Value::Bool(allow) => Ok(*allow),
            Value::String(text) if text == "true" => Ok(true),
            Value::String(text) if text == "false" => Ok(false),
            _ => Err(ParseError::Serialization("`allow_symlinks` that is neither true nor false")),
        }
    }
}
