use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::models::media::{SIGNATURE_BYTES_MAX, bundle, pack};
use ::models::object::{FILES_MAX, Kind, Name, Role, SEGMENT_FOLDER, UNDISCLOSED};
use clap::ValueEnum;
use protocol::Digest;
use protocol::digest::unhex;

use crate::commands::Session;
use crate::failure::Failure;
use crate::file;

/// Bytes of a list of digests.
const KNOWN_BYTES_MAX: u64 = 64 << 20;

/// Packs a model, or a corpus of known code, with what belongs to it into a folder that can be carried
///
/// Nothing is fetched: it packs the files it is given. A bill of materials is made of what the weights
/// state of themselves, unless one is given. A corpus is what `cloisterd corpus build --out` made. The bundle is not signed yet: `cloister bundle sign`. Run
/// again after an interruption, it goes on; run again afterwards, it changes nothing.
///
/// With --base or --known it leaves out what is on the other side already: the manifest is the same, and
/// the import takes those blobs from the vault.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("content").required(true).args(["weights", "corpus"])))]
pub(crate) struct Create {
    /// The folder to pack into; it is made when it is not there
    #[arg(long, value_name = "MEDIA")]
    out: PathBuf,
    /// What to call it: a-z, 0-9, `.`, `_` and `-`
    #[arg(long)]
    name: Name,
    /// Which one of that name
    #[arg(long)]
    version: Name,
    /// What the weights are
    #[arg(long, value_enum, default_value_t = Sort::Model, conflicts_with = "corpus")]
    kind: Sort,
    /// The GGUF file
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// The folder of a corpus's segment, of which every file is packed
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// The licence's text
    #[arg(long, value_name = "FILE")]
    licence_file: Option<PathBuf>,
    /// The licence, as an SPDX expression [default: what the weights state; of a corpus, none]
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    /// The model card
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// A bill of materials, CycloneDX or SPDX as JSON [default: one is made of weights]
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// A qualification report; may be repeated
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Anything else to be kept with it; may be repeated
    #[arg(long, value_name = "FILE")]
    evidence: Vec<PathBuf>,
    /// The publisher's statement on training data
    #[arg(long, value_name = "TEXT", default_value = UNDISCLOSED)]
    training_data: String,
    /// The manifest.dsse of a bundle that is over there already, or its folder; may be repeated
    #[arg(long, value_name = "MANIFEST")]
    base: Vec<PathBuf>,
    /// Digests of blobs that are over there already, one a line
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
}

/// What weights are for.
#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    /// A language model
    Model,
    /// A LoRA adapter for one
    Adapter,
    /// A small model that guesses for a larger one
    Draft,
    /// A model that turns text into vectors
    Embedding,
}

impl Create {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let packing = pack::Packing {
            kind: match self.kind {
                _ if self.corpus.is_some() => Kind::Corpus,
                Sort::Model => Kind::Model,
                Sort::Adapter => Kind::Adapter,
                Sort::Draft => Kind::Draft,
                Sort::Embedding => Kind::Embedding,
            },
            files: self.files()?,
            known: self.known()?,
            name: self.name,
            version: self.version,
            licence: self.licence,
            training_data: self.training_data,
        };
        let bar = super::bar(&session.output);
        let packed = pack::pack(&self.out, &packing, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let packed = packed.map_err(|error| Failure::refused("nothing was packed").caused_by(&error))?;
        let bundle::Description { name, version, files, .. } = &packed.description;
        let out = self.out.display();
        let left_out = match packed.left_out {
            0 => String::new(),
            count => format!(", {count} blobs left out that are there already"),
        };
        session.output.say(format!(
            "{name}@{version}: {} files in {} bytes{left_out}",
            files.len() + 1,
            packed.bytes
        ));
        if !packed.unchanged {
            session.output.say(format!("it is not signed yet: cloister bundle sign {out} --key KEY.pem"));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What each file is called in the bundle, and what it is for.
    fn files(&self) -> Result<Vec<(String, Role, PathBuf)>, Failure> {
        let mut files = Vec::new();
        let mut add = |folder: &str, name: Option<&str>, role, path: &Path| {
            let own = path.file_name().and_then(|name| name.to_str());
            let name = name.or(own).ok_or_else(|| {
                Failure::usage(format!("{} has no name that can be packed", path.display()))
            })?;
            files.push((format!("{folder}{name}"), role, path.to_owned()));
            Ok::<(), Failure>(())
        };
        if let Some(path) = &self.weights {
            add("", None, Role::Weights, path)?;
        }
        for path in self.corpus.as_deref().map(segment).transpose()?.unwrap_or_default() {
            add(SEGMENT_FOLDER, None, Role::Segment, &path)?;
        }
        if let Some(path) = &self.licence_file {
            add("", Some("LICENSE"), Role::Licence, path)?;
        }
        if let Some(path) = &self.card {
            add("", Some("README.md"), Role::Card, path)?;
        }
        if let Some(path) = &self.sbom {
            let spdx = path.to_string_lossy().ends_with(".spdx.json");
            add("", Some(if spdx { "sbom.spdx.json" } else { pack::SBOM }), Role::Sbom, path)?;
        }
        for path in &self.report {
            add("reports/", None, Role::Report, path)?;
        }
        for path in &self.evidence {
            add("evidence/", None, Role::Evidence, path)?;
        }
        Ok(files)
    }

    fn known(&self) -> Result<BTreeSet<Digest>, Failure> {
        let mut known = BTreeSet::new();
        for path in &self.base {
            let path = if path.is_dir() { path.join(bundle::MANIFEST) } else { path.clone() };
            let bytes = file::read(&path, SIGNATURE_BYTES_MAX)?;
            let signature = oms::Signature::parse(&bytes).map_err(|error| {
                Failure::usage(format!("{} is no bundle's manifest", path.display())).caused_by(&error)
            })?;
            known.extend(signature.manifest().resources.iter().map(|file| Digest(file.digest)));
        }
        if let Some(path) = &self.known {
            for (number, line) in file::read_text(path, KNOWN_BYTES_MAX)?.lines().enumerate() {
                let Some(word) = line.split_whitespace().next().filter(|word| !word.starts_with('#')) else {
                    continue;
                };
                known.insert(digest(word).ok_or_else(|| {
                    Failure::usage(format!("{}: line {} is no SHA-256 digest", path.display(), number + 1))
                })?);
            }
        }
        Ok(known)
    }
}

/// All files of a segment's folder, by name. Whether they are one is for the import to say.
fn segment(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("{} cannot be read", folder.display()))
            .caused_by(&error)
            .hint("Give the folder that `cloisterd corpus build --out` made.")
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !path.symlink_metadata().map_err(unreadable)?.is_file() {
            let what = format!("{} is no file of a segment", path.display());
            return Err(Failure::usage(what).hint("A segment's folder holds plain files alone."));
        }
        files.push(path);
        if files.len() > FILES_MAX {
            return Err(Failure::usage(format!("{} holds more than {FILES_MAX} files", folder.display())));
        }
    }
    if files.is_empty() {
        return Err(Failure::usage(format!("{} is empty", folder.display()))
            .hint("Give the folder that `cloisterd corpus build --out` made."));
    }
    files.sort();
    Ok(files)
}

/// As `sha256sum` writes it, as a blob's name, or as we show it.
fn digest(word: &str) -> Option<Digest> {
    let digits = ["sha256:", "sha256-"].iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(word);
    Some(Digest(unhex(digits)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_a_list() {
        let digits = "ab".repeat(32);
        let expected = Some(Digest([0xab; 32]));
        for word in [digits.clone(), format!("sha256:{digits}"), format!("sha256-{digits}")] {
            assert_eq!(digest(&word), expected, "{word}");
        }
        for word in ["", "ab", "sha256:", &digits.to_uppercase(), &format!("sha512:{digits}")] {
            assert_eq!(digest(word), None, "{word}");
        }
    }
}
