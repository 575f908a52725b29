//! What a release installed: the list of its files with their digests, and whether they are still so.
//!
//! A release lays its programs out under `usr/lib/cloister` of some root, and beside them [`MANIFEST`]: an OpenSSF model
//! signature (crate `oms`) over every file that it installs, with paths from that root. The same format and the same keys
//! as for models, so there is one mechanism to understand. A program finds its own by where it lies: a release may be
//! unpacked under any root.
//!
//! The list alone finds damage and half an upgrade. Whoever can change programs can change the list too; only the
//! signature, under a key that came another way, excludes that.
//!
//! Does not look at links in `usr/bin`, nor at owners and modes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oms::{Manifest, ManifestError, ParseError, Resource, Serialization, Signature};
use sha2::{Digest as _, Sha256};

/// The folder of the programs, from the root. Nothing but what is listed may lie in it.
pub const PRIVATE: &str = "usr/lib/cloister";
/// The list, from the root.
pub const MANIFEST: &str = "usr/lib/cloister/manifest.dsse";
/// Its name beside the programs.
const MANIFEST_NAME: &str = "manifest.dsse";

/// Folders within folders, at most.
const DEPTH_MAX: usize = 16;

/// A release that was laid out, as its list says. Nothing is believed of it yet.
#[derive(Debug)]
pub struct Installation {
    root: PathBuf,
    signature: Signature,
}

/// A file, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its path from the root, `/` between parts.
    pub name: String,
    /// How it stands.
    pub state: State,
}

/// How a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it was released.
    Right,
    /// There with other bytes, or no regular file.
    Changed,
    /// Listed, and not there.
    Missing,
    /// Among the programs, and not listed.
    Unlisted,
}

impl State {
    /// The state in one word.
    pub fn word(self) -> &'static str {
        match self {
            State::Right => "right",
            State::Changed => "changed",
            State::Missing => "missing",
            State::Unlisted => "unlisted",
        }
    }
}

/// Why an installation cannot be looked at, or a list cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// A file or folder cannot be read.
    #[error("{} cannot be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The list is no list.
    #[error("{} is refused", .0.display())]
    Manifest(PathBuf, #[source] ParseError),
    /// The list is of parts, or leaves something out.
    #[error("{} does not list whole files, all of them: it is not of a release", .0.display())]
    Partial(PathBuf),
    /// A list lies beside a program that lies elsewhere than a release puts it.
    #[error("{} lies outside of `{PRIVATE}`: install the release as a whole", .0.display())]
    Misplaced(PathBuf),
    /// A file cannot be in a list.
    #[error("{} cannot be listed: {why}", .path.display())]
    Unlistable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The list cannot be made.
    #[error("the list of the release's files cannot be made")]
    List(#[from] ManifestError),
}

impl Installation {
    /// The release that a program belongs to; none where no list lies beside it. `program` is its real path, without
    /// links.
    pub fn of_program(program: &Path) -> Result<Option<Installation>, InstallationError> {
        let Some(folder) = program.parent() else { return Ok(None) };
        let manifest = folder.join(MANIFEST_NAME);
        match fs::symlink_metadata(&manifest) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(InstallationError::Read(manifest, error)),
        }
        let levels = Path::new(PRIVATE).components().count();
        match folder.ancestors().nth(levels) {
            Some(root) if folder.ends_with(PRIVATE) => Installation::open(root).map(Some),
            _ => Err(InstallationError::Misplaced(manifest)),
        }
    }

    /// The release that was laid out under a root.
    pub fn open(root: &Path) -> Result<Installation, InstallationError> {
        let path = root.join(MANIFEST);
        let unreadable = |error| InstallationError::Read(path.clone(), error);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(unreadable)?;
        file.take(oms::SIGNATURE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let signature =
            Signature::parse(&bytes).map_err(|error| InstallationError::Manifest(path.clone(), error))?;
        let manifest = signature.manifest();
        if manifest.serialization != Serialization::Files || manifest.ignore_paths != [MANIFEST] {
            return Err(InstallationError::Partial(path));
        }
        Ok(Installation { root: root.to_owned(), signature })
    }

    /// Where it was laid out.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the release calls itself: `cloister VERSION`.
    pub fn name(&self) -> &str {
        &self.signature.manifest().model_name
    }

    /// The list as it was signed, or not: [`Signature::verify`] says by whom.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// How every listed file stands, and what lies among the programs beside. Sorted by name.
    pub fn check(&self) -> Result<Vec<Checked>, InstallationError> {
        let mut checked = Vec::new();
        for resource in &self.signature.manifest().resources {
            checked.push(self.check_file(resource)?);
        }
        let mut there = Vec::new();
        files_below(&self.root, PRIVATE, DEPTH_MAX, &mut there)?;
        for name in there {
            let listed = self.signature.manifest().resources.binary_search_by(|r| r.name.as_str().cmp(&name));
            if listed.is_err() && name != MANIFEST {
                checked.push(Checked { name, state: State::Unlisted });
            }
        }
        checked.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(checked)
    }

    /// How these programs stand, by their names. One that is not listed is [`State::Unlisted`], there or not.
    pub fn check_programs(&self, names: &[&str]) -> Result<Vec<Checked>, InstallationError> {
        let resources = &self.signature.manifest().resources;
        let check = |name: &&str| {
            let name = format!("{PRIVATE}/{name}");
            match resources.iter().find(|resource| resource.name == name) {
                Some(resource) => self.check_file(resource),
                None => Ok(Checked { name, state: State::Unlisted }),
            }
        };
        names.iter().map(check).collect()
    }

    fn check_file(&self, resource: &Resource) -> Result<Checked, InstallationError> {
        let path = self.root.join(&resource.name);
        let state = match fs::symlink_metadata(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                State::Missing
            }
            Err(error) => return Err(InstallationError::Read(path, error)),
            Ok(metadata) if !metadata.is_file() => State::Changed,
            Ok(_) if digest(&path)? == resource.digest => State::Right,
            Ok(_) => State::Changed,
        };
        Ok(Checked { name: resource.name.clone(), state })
    }
}

/// The list of everything under a root, to be signed and put at [`MANIFEST`]; what lies there is left out. Links in
/// `usr/bin` are passed over, others refused.
pub fn manifest_of(root: &Path, name: &str) -> Result<Manifest, InstallationError> {
    let mut names = Vec::new();
    files_below(root, "", DEPTH_MAX, &mut names)?;
    let mut resources = Vec::new();
    for name in names.into_iter().filter(|name| name != MANIFEST) {
        let path = root.join(&name);
        let metadata =
            fs::symlink_metadata(&path).map_err(|error| InstallationError::Read(path.clone(), error))?;
        if metadata.is_symlink() && name.starts_with("usr/bin/") {
            continue;
        }
        if !metadata.is_file() {
            return Err(InstallationError::Unlistable { path, why: "it is no regular file" });
        }
        let digest = digest(&path)?;
        resources.push(Resource { name, digest });
    }
    Ok(Manifest::new(name, Serialization::Files, false, vec![MANIFEST.to_owned()], resources)?)
}

/// Everything below a folder that is no folder, by path from the root, in no order.
fn files_below(
    root: &Path,
    folder: &str,
    depth_left: usize,
    names: &mut Vec<String>,
) -> Result<(), InstallationError> {
    let path = root.join(folder);
    let unreadable = |error| InstallationError::Read(path.clone(), error);
    if depth_left == 0 {
        return Err(InstallationError::Unlistable { path, why: "folders are nested too deeply" });
    }
    for entry in fs::read_dir(&path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(InstallationError::Unlistable { path: entry.path(), why: "its name is not UTF-8" });
        };
        let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        // Of a link this is the link's own type.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            files_below(root, &name, depth_left - 1, names)?;
        } else if names.len() >= oms::RESOURCES_MAX {
            return Err(InstallationError::Unlistable {
                path: entry.path(),
                why: "there are too many files",
            });
        } else {
            names.push(name);
        }
    }
    Ok(())
}

fn digest(path: &Path) -> Result<[u8; 32], InstallationError> {
    let read = || -> io::Result<[u8; 32]> {
        let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 18]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finalize().into()),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    read().map_err(|error| InstallationError::Read(path.to_owned(), error))
}
