//! Packs files into a bundle. What was packed already is kept, what was interrupted goes on, and the
//! manifest is written last: a folder without one is no bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oms::{Manifest, ManifestError, Resource, Serialization, Signature};
use protocol::Digest;
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use super::bundle::{BLOBS, DESCRIPTION, Described, Description, MANIFEST, SCHEMA, blob_name};
use super::content::{self, Carried, HEAD_BYTES};
use super::names::{self, NameError, shown};
use super::tree::{Opened, Tree, TreeError};
use super::{SIGNATURE_BYTES_MAX, parent_and_name, sbom};
use crate::hashing::{hash_range, read_range};
use crate::import::Locked;
use crate::object::{Kind, Name, Role};
use gguf::{Gguf, GgufError};

/// What a bill of materials is called that is made here.
pub const SBOM: &str = "sbom.cdx.json";
const UNFINISHED: &str = "unfinished-";

/// What is to be packed.
#[derive(Clone, Debug)]
pub struct Packing {
    /// What it is.
    pub kind: Kind,
    /// What people are to call it.
    pub name: Name,
    /// Which one of that name.
    pub version: Name,
    /// As an SPDX expression or the publisher's words.
    pub licence: Option<String>,
    /// The publisher's statement on training data, or [`UNDISCLOSED`](crate::object::UNDISCLOSED).
    pub training_data: String,
    /// The files: what each is called in the bundle, what it is for, and where it lies.
    pub files: Vec<(String, Role, PathBuf)>,
    /// Blobs that are where the bundle goes already: they are left out.
    pub known: BTreeSet<Digest>,
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The bundle's description.
    pub description: Description,
    /// Each file's digest, by name.
    pub digests: BTreeMap<String, Digest>,
    /// Bytes of blobs on the medium.
    pub bytes: u64,
    /// Blobs that were left out.
    pub left_out: usize,
    /// The manifest was there already, with what signature it had.
    pub unchanged: bool,
}

/// Why nothing was packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A name is refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A file to pack cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file is of a sort that no import lets in.
    #[error("{path} is refused: it is {carried}", path = .path.display())]
    Carried {
        /// Which.
        path: PathBuf,
        /// What it is.
        carried: Carried,
    },
    /// The weights' header is refused.
    #[error("{} is refused", .path.display())]
    Weights {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: GgufError,
    },
    /// What was asked for makes no bundle.
    #[error("{0}")]
    Invalid(String),
    /// The manifest cannot be made.
    #[error("the manifest cannot be made")]
    Manifest(#[from] ManifestError),
    /// There is another bundle.
    #[error("{} holds another bundle: choose another folder, or remove that one", .0.display())]
    Taken(PathBuf),
    /// There is something that does not belong there.
    #[error("{} does not belong to a bundle: choose an empty folder", .0.display())]
    Stranger(PathBuf),
    /// Somebody else packs there.
    #[error("another command is packing in {}: wait for it", .0.display())]
    Busy(PathBuf),
    /// A source changed while it was packed.
    #[error("{} changed while it was packed: run the command again", .0.display())]
    Changed(PathBuf),
    /// The disk.
    #[error("{path}: {intent}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What was being done.
        intent: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A file that is to be packed, as it is after it was looked at.
struct Looked {
    described: Described,
    path: PathBuf,
    file: File,
}

/// Packs into the folder `out`, which is made when it is missing. `progress` gets bytes done and all
/// bytes: each file is read to be hashed, and read again to be copied where that is needed.
pub fn pack(out: &Path, packing: &Packing, progress: &mut dyn FnMut(u64, u64)) -> Result<Packed, PackError> {
    let (looked, header) = look(packing)?;
    let failed = |path: &Path, intent, source| PackError::Io { path: path.to_owned(), intent, source };
    let blobs = out.join(BLOBS);
    DirBuilder::new()
        .recursive(true)
        .create(&blobs)
        .map_err(|source| failed(&blobs, "cannot be made", source))?;
    let lock = Locked(File::open(out).map_err(|source| failed(out, "cannot be opened", source))?);
    match rustix::fs::flock(&lock.0, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(PackError::Busy(out.to_owned())),
        Err(error) => return Err(failed(out, "cannot be locked", error.into())),
    }

    let total =
        looked.iter().fold(0_u64, |sum, file| sum.saturating_add(file.described.bytes.saturating_mul(2)));
    let mut done = 0;
    let mut advance = |bytes: u64| {
        done += bytes;
        progress(done, total);
    };
    let mut digests = BTreeMap::new();
    for Looked { described, path, file } in &looked {
        let hashed = hash_range(file, 0, described.bytes, &mut advance);
        let (digest, bytes) = hashed.map_err(|source| failed(path, "cannot be read", source))?;
        if bytes != described.bytes {
            return Err(PackError::Changed(path.clone()));
        }
        digests.insert(described.name.clone(), digest);
    }

    let mut files: Vec<Described> = looked.iter().map(|looked| looked.described.clone()).collect();
    let mut held: Vec<(String, Vec<u8>)> = Vec::new();
    let weights = files.iter().find(|file| file.role == Role::Weights).cloned();
    if let (Some(header), Some(weights)) = (&header, &weights)
        && !files.iter().any(|file| file.role == Role::Sbom)
    {
        let subject = sbom::Subject {
            kind: packing.kind,
            name: &packing.name,
            version: &packing.version,
            licence: packing.licence.as_deref(),
            training_data: &packing.training_data,
            file: &weights.name,
            digest: digests.get(&weights.name).copied().unwrap_or(Digest([0; 32])),
            bytes: weights.bytes,
        };
        let bytes = sbom::cyclonedx(&subject, header);
        files.push(Described { name: SBOM.to_owned(), role: Role::Sbom, bytes: bytes.len() as u64 });
        held.push((SBOM.to_owned(), bytes));
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let stated = header.as_ref().and_then(|header| header.string("general.license")).map(shown);
    let description = Description {
        schema: SCHEMA,
        kind: packing.kind,
        name: packing.name.clone(),
        version: packing.version.clone(),
        licence: packing.licence.clone().or(stated),
        training_data: packing.training_data.clone(),
        files,
    };
    // What is refused on the other side is refused here, with the same words.
    Description::parse(&description.bytes()).map_err(|error| PackError::Invalid(error.to_string()))?;
    held.push((DESCRIPTION.to_owned(), description.bytes()));
    for (name, bytes) in &held {
        digests.insert(name.clone(), Digest(Sha256::digest(bytes).into()));
    }
    let resources =
        digests.iter().map(|(name, digest)| Resource { name: name.clone(), digest: digest.0 }).collect();
    let title = format!("{}@{}", packing.name, packing.version);
    let manifest = Manifest::new(&title, Serialization::Files, false, Vec::new(), resources)?;
    let unsigned = oms::unsigned(&manifest);
    if unsigned.len() as u64 > SIGNATURE_BYTES_MAX {
        return Err(PackError::Invalid("the manifest would be too long: pack fewer files".to_owned()));
    }
    let unchanged = same_manifest(out, &manifest)?;

    let own = digests.get(DESCRIPTION).copied();
    let wanted: BTreeSet<Digest> = digests
        .values()
        .copied()
        .filter(|digest| !packing.known.contains(digest) || Some(*digest) == own)
        .collect();
    clear(out, &wanted, unchanged)?;
    let mut bytes = 0;
    let mut there = BTreeSet::new();
    for Looked { described, path, file } in &looked {
        let Some(digest) = digests.get(&described.name).filter(|digest| wanted.contains(digest)) else {
            advance(described.bytes);
            continue;
        };
        if there.insert(*digest) {
            copy(out, *digest, file, described.bytes, path, &mut advance)?;
            bytes += described.bytes;
        }
    }
    for (name, content) in &held {
        let Some(digest) = digests.get(name).filter(|digest| wanted.contains(digest)) else { continue };
        if there.insert(*digest) {
            write(&out.join(blob_name(digest)), content)?;
            bytes += content.len() as u64;
        }
    }
    sync_directory(&blobs)?;
    if !unchanged {
        write(&out.join(MANIFEST), &unsigned)?;
    }
    sync_directory(out)?;
    let distinct: BTreeSet<&Digest> = digests.values().collect();
    Ok(Packed { description, left_out: distinct.len() - wanted.len(), digests, bytes, unchanged })
}

/// Puts another manifest over the same statement in a bundle's place: one that is signed.
pub fn replace_manifest(out: &Path, bytes: &[u8]) -> Result<(), PackError> {
    write(&out.join(MANIFEST), bytes)?;
    sync_directory(out)
}

/// Opens what is to be packed and looks at its content.
fn look(packing: &Packing) -> Result<(Vec<Looked>, Option<Gguf>), PackError> {
    let mut seen = names::Names::default();
    let mut looked = Vec::new();
    let mut header = None;
    for (name, role, path) in &packing.files {
        seen.add(name)?;
        let (directory, file_name) = parent_and_name(path).map_err(|_| TreeError::Missing(path.clone()))?;
        // Here links are the operator's own business: what they lead to is packed.
        let real = path.canonicalize().ok();
        let (directory, file_name) = match real.as_deref().map(parent_and_name) {
            Some(Ok(real)) => real,
            _ => (directory, file_name),
        };
        let Opened { mut file, bytes } = Tree::open(&directory)?.file(&file_name)?;
        let failed = |source| PackError::Io { path: path.clone(), intent: "cannot be read", source };
        let mut head = vec![0; HEAD_BYTES.min(usize::try_from(bytes).unwrap_or(HEAD_BYTES))];
        file.read_exact_at(&mut head, 0).map_err(failed)?;
        if let Some(carried) = content::refused(name, *role, &head) {
            return Err(PackError::Carried { path: path.clone(), carried });
        }
        if *role == Role::Weights {
            let read = if packing.kind == Kind::Adapter {
                gguf::read_adapter(&mut file)
            } else {
                gguf::read(&mut file)
            };
            header = Some(read.map_err(|source| PackError::Weights { path: path.clone(), source })?);
        }
        let described = Described { name: name.clone(), role: *role, bytes };
        looked.push(Looked { described, path: path.clone(), file });
    }
    Ok((looked, header))
}

/// Whether the manifest that is there says the same; one that says something else is another bundle's.
fn same_manifest(out: &Path, manifest: &Manifest) -> Result<bool, PackError> {
    let bytes = match Tree::open(out)?.read(MANIFEST, SIGNATURE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(TreeError::Missing(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    match Signature::parse(&bytes) {
        Ok(signature) if signature.manifest() == manifest => Ok(true),
        _ => Err(PackError::Taken(out.to_owned())),
    }
}

/// Takes away what an earlier, interrupted run for other files left; refuses everything else that is there.
fn clear(out: &Path, wanted: &BTreeSet<Digest>, has_manifest: bool) -> Result<(), PackError> {
    let wanted: BTreeSet<String> = wanted.iter().map(blob_name).collect();
    for listed in Tree::open(out)?.list(&|_| false)? {
        let path = out.join(&listed.name);
        let (folder, name) = listed.name.rsplit_once('/').unwrap_or(("", &listed.name));
        let keeps = wanted.contains(&listed.name)
            || name.strip_prefix(UNFINISHED).is_some_and(|rest| wanted.contains(&format!("{BLOBS}/{rest}")))
            || (listed.name == MANIFEST && has_manifest);
        if keeps {
            continue;
        }
        let left =
            name.starts_with(UNFINISHED) || (folder == BLOBS && name.starts_with("sha256-") && !has_manifest);
        if !left {
            return Err(PackError::Stranger(path));
        }
        fs::remove_file(&path).map_err(|source| PackError::Io {
            path,
            intent: "cannot be removed",
            source,
        })?;
    }
    Ok(())
}

/// Copies a file to its blob, unless that is there already and right.
fn copy(
    out: &Path,
    digest: Digest,
    source: &File,
    bytes: u64,
    source_path: &Path,
    advance: &mut dyn FnMut(u64),
) -> Result<(), PackError> {
    let blob = out.join(blob_name(&digest));
    let path = out.join(format!("{UNFINISHED}sha256-{}", digest.hex()));
    let failed = |intent| {
        let path = path.clone();
        move |source| PackError::Io { path: path.clone(), intent, source }
    };
    if let Ok(file) = File::open(&blob) {
        let length = file.metadata().map_err(failed("cannot be read"))?.len();
        if length == bytes
            && hash_range(&file, 0, bytes, &mut |_| {}).map_err(failed("cannot be read"))?.0 == digest
        {
            drop(fs::remove_file(&path));
            advance(bytes);
            return Ok(());
        }
    }
    let target = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o644)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(failed("cannot be made"))?;
    let there = target.metadata().map_err(failed("cannot be read"))?.len();
    let mut resumed = if there <= bytes { there } else { 0 };
    loop {
        target.set_len(resumed).map_err(failed("cannot be written"))?;
        let mut hasher = Sha256::new();
        let again = read_range(&target, 0, resumed, &mut |chunk| {
            hasher.update(chunk);
            io::Result::Ok(())
        });
        let mut end = again.map_err(failed("cannot be read"))?;
        read_range(source, resumed, bytes - resumed, &mut |chunk| {
            hasher.update(chunk);
            target.write_all_at(chunk, end)?;
            end += chunk.len() as u64;
            advance(chunk.len() as u64);
            io::Result::Ok(())
        })
        .map_err(failed("cannot be written"))?;
        if end == bytes && Digest(hasher.finalize().into()) == digest {
            break;
        }
        if resumed == 0 {
            drop(fs::remove_file(&path));
            return Err(PackError::Changed(source_path.to_owned()));
        }
        resumed = 0;
    }
    target.sync_all().and_then(|()| fs::rename(&path, &blob)).map_err(|source| PackError::Io {
        path: blob,
        intent: "cannot be put in place",
        source,
    })
}

/// Writes a small file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), PackError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = folder.join(format!("{UNFINISHED}{name}"));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    written.map_err(|source| PackError::Io { path: path.to_owned(), intent: "cannot be written", source })
}

fn sync_directory(path: &Path) -> Result<(), PackError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|source| PackError::Io {
        path: path.to_owned(),
        intent: "cannot be made durable",
        source,
    })
}
