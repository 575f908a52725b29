//! A corpus on disk: a folder of files with records of fixed width, little-endian, written once and mapped.
//!
//! | file | a record | bytes |
//! |---|---|---|
//! | `manifest.json` | [`Manifest`]: what the others are, with their digests | |
//! | `documents` | blob, its bytes, its lexemes, its first chunk, its first origin, when first seen | 44 |
//! | `chunks` | where its text begins, its first byte and line in the document | 16 |
//! | `text` | chunks of [`CHUNK_LEXEMES`] lexemes, each an LZ4 block of its own, so that a look reads little | |
//! | `origins` | package, licence, first seen, where its path ends | 24 |
//! | `paths`, `packages`, `licences` and their `.ends` | names, one after another | |
//! | `words` | how often lexemes occur, of each 1/16384 of all hashes; again where names do not matter | 8 |
//! | `exact.keys`, `exact.postings`, `exact.directory` | a chosen hash and its first posting; document, lexeme and flanks; the first key of each leading bits | 9, 8, 4 |
//! | `renamed.…` | the same where names do not matter | |
//!
//! Documents stand in the order of their blobs' ids, postings in that of (hash, document, lexeme), names in that of their
//! first use: the same documents make the same bytes in whatever order they came, with whatever memory and threads.
//!
//! What is read here may be anybody's bytes: each offset is compared with its file's length, and no length is believed
//! that [`FILE_BYTES_MAX`] excludes. Whether they are the bytes that were written says [`Segment::verify`] alone.

mod build;

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use mapped::Mapped;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use build::{BuildError, Builder, Options, merge};

use crate::document::{FILE_BYTES_MAX, Licence, Origin};
use crate::lexeme::{self, Lexeme, NORMALISER};
use crate::winnow::{EXACT, FLANK_BITS, Flank, Flanks, NEAR_BITS, RENAMED, Winnowing};

/// The version of this layout.
pub const FORMAT: u32 = 3;
/// Lexemes of a chunk of text; the last of a document has fewer.
pub const CHUNK_LEXEMES: u32 = 512;
/// Bytes of `manifest.json` that are read.
const MANIFEST_BYTES_MAX: u64 = 1 << 16;
const MANIFEST: &str = "manifest.json";
/// Bytes of a corpus's name.
pub const NAME_BYTES_MAX: usize = 256;

/// Buckets of `words`, for each of the two ways to look at lexemes.
pub(crate) const WORDS: usize = 1 << 14;

/// Git's name of a file's bytes (SHA-1 of them behind a header).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 20]);

impl BlobId {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> BlobId {
        use sha1::{Digest as _, Sha1};
        let mut hash = Sha1::new();
        hash.update(format!("blob {}\0", bytes.len()));
        hash.update(bytes);
        BlobId(hash.finalize().into())
    }

    /// Software Heritage's name for them.
    pub fn swhid(&self) -> String {
        format!("swh:1:cnt:{self}")
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BlobId({self})")
    }
}

impl Serialize for BlobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<BlobId, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut id = [0; 20];
        if text.len() != 40 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(serde::de::Error::custom("a blob's id is 40 small hexadecimal digits"));
        }
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(serde::de::Error::custom)?;
            *byte = u8::from_str_radix(digits, 16).map_err(serde::de::Error::custom)?;
        }
        Ok(BlobId(id))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// [`NORMALISER`].
    pub normaliser: u32,
    /// [`EXACT`].
    pub exact: Winnowing,
    /// [`RENAMED`].
    pub renamed: Winnowing,
    /// The corpus's name.
    pub name: String,
    /// Different files.
    pub documents: u32,
    /// What they are known as; each has one at least.
    pub origins: u32,
    /// Packages, each of a version and a commit.
    pub packages: u32,
    /// Different findings on licences.
    pub licences: u32,
    /// Chunks of text.
    pub chunks: u32,
    /// Bytes of the documents' text.
    pub source_bytes: u64,
    /// Lexemes of them.
    pub lexemes: u64,
    /// The other files, in the order of their names.
    pub files: Vec<FileDigest>,
    /// SHA-256 of this manifest with nothing here, in hexadecimal: it stands for the whole segment.
    pub root: String,
}

/// A file of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Its name in the folder.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// As it is written.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// What `root` must be.
    fn root(&self) -> String {
        let without = Manifest { root: String::new(), ..self.clone() };
        hexadecimal(&Sha256::digest(without.to_bytes()))
    }
}

/// Why a segment was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file could not be read or mapped.
    #[error("{} cannot be read", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `manifest.json` is no manifest.
    #[error("{} is no manifest", path.display())]
    Manifest {
        /// Where.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It was made with another format, normaliser or winnowing.
    #[error("the corpus was made by another version: {what}; build it anew")]
    Version {
        /// What differs.
        what: &'static str,
    },
    /// It cannot be what was written.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// A segment says what cannot be: it was damaged, or was never one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the corpus {corpus} is damaged: {what}")]
pub struct Damaged {
    /// The corpus's name.
    pub corpus: String,
    /// What is wrong.
    pub what: &'static str,
}

/// A mapped segment.
#[derive(Debug)]
pub struct Segment {
    manifest: Manifest,
    written: Mapped,
    documents: Mapped,
    chunks: Mapped,
    text: Mapped,
    origins: Mapped,
    paths: Mapped,
    packages: Names,
    licences: Names,
    words: Mapped,
    exact: Postings,
    renamed: Postings,
}

/// What is known of a document without its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Document {
    pub(crate) blob: BlobId,
    pub(crate) bytes: u32,
    pub(crate) lexemes: u32,
    first_chunk: u32,
    first_origin: u32,
    /// `i64::MAX`: unknown.
    pub(crate) first_seen_unix_s: i64,
}

/// An origin by its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OriginNumbers {
    pub(crate) package: u32,
    pub(crate) licence: u32,
    first_seen_unix_s: i64,
    path_end: u64,
}

/// A part of a document's text.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) text: Vec<u8>,
    /// Their bytes count from the beginning of `text`.
    pub(crate) lexemes: Vec<Lexeme>,
    /// Of its first byte, counted from 1.
    pub(crate) line: u32,
}

const DOCUMENT_BYTES: usize = 44;
const CHUNK_BYTES: usize = 16;
const ORIGIN_BYTES: usize = 24;

impl Segment {
    /// Maps the segment in `folder` and compares lengths and counts. Reads a page of each file at most.
    pub fn open(folder: &Path) -> Result<Segment, OpenError> {
        let path = folder.join(MANIFEST);
        let io = |path: &Path| {
            let path = path.to_owned();
            |source| OpenError::Io { path, source }
        };
        let length = fs::metadata(&path).map_err(io(&path))?.len();
        if length > MANIFEST_BYTES_MAX {
            return Err(io(&path)(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        let written = map(&path)?;
        let manifest: Manifest = serde_json::from_slice(&written)
            .map_err(|source| OpenError::Manifest { path: path.clone(), source })?;
        for (differs, what) in [
            (manifest.format != FORMAT, "its format"),
            (manifest.normaliser != NORMALISER, "its normaliser of lexemes"),
            (manifest.exact != EXACT || manifest.renamed != RENAMED, "its winnowing"),
        ] {
            if differs {
                return Err(OpenError::Version { what });
            }
        }
        let segment = Segment {
            written,
            documents: map(&folder.join("documents"))?,
            chunks: map(&folder.join("chunks"))?,
            text: map(&folder.join("text"))?,
            origins: map(&folder.join("origins"))?,
            paths: map(&folder.join("paths"))?,
            packages: Names::open(folder, "packages")?,
            licences: Names::open(folder, "licences")?,
            words: map(&folder.join("words"))?,
            exact: Postings::open(folder, "exact")?,
            renamed: Postings::open(folder, "renamed")?,
            manifest,
        };
        segment.check_lengths()?;
        Ok(segment)
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn check_lengths(&self) -> Result<(), Damaged> {
        let manifest = &self.manifest;
        if manifest.name.len() > NAME_BYTES_MAX {
            return Err(self.damaged("its name is too long"));
        }
        for (records, file, bytes) in [
            (manifest.documents, &self.documents, DOCUMENT_BYTES),
            (manifest.chunks, &self.chunks, CHUNK_BYTES),
            (manifest.origins, &self.origins, ORIGIN_BYTES),
            (manifest.packages, &self.packages.ends, 8),
            (manifest.licences, &self.licences.ends, 8),
        ] {
            if (records as usize).checked_mul(bytes) != Some(file.len()) {
                return Err(self.damaged("a file has another length than its manifest says"));
            }
        }
        if self.words.len() != 2 * WORDS * 8 {
            return Err(self.damaged("`words` has another length"));
        }
        for postings in [&self.exact, &self.renamed] {
            if !postings.has_right_lengths() {
                return Err(self.damaged("hashes, postings and their directory do not fit together"));
            }
        }
        let listed = |(listed, (name, file)): (&FileDigest, (String, &Mapped))| {
            listed.name == name && listed.bytes == file.len() as u64
        };
        let files = self.files();
        if manifest.files.len() != files.len() || !manifest.files.iter().zip(files).all(listed) {
            return Err(self.damaged("its files are not those of its manifest"));
        }
        Ok(())
    }

    /// All but the manifest, in the order of their names.
    fn files(&self) -> Vec<(String, &Mapped)> {
        let mut files = vec![
            ("documents".to_owned(), &self.documents),
            ("chunks".to_owned(), &self.chunks),
            ("text".to_owned(), &self.text),
            ("origins".to_owned(), &self.origins),
            ("paths".to_owned(), &self.paths),
            ("words".to_owned(), &self.words),
        ];
        for (name, names) in [("packages", &self.packages), ("licences", &self.licences)] {
            files.extend([(name.to_owned(), &names.names), (format!("{name}.ends"), &names.ends)]);
        }
        for (name, postings) in [("exact", &self.exact), ("renamed", &self.renamed)] {
            files.extend([
                (format!("{name}.directory"), &postings.directory),
                (format!("{name}.keys"), &postings.keys),
                (format!("{name}.postings"), &postings.postings),
            ]);
        }
        files.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        files
    }

    /// Hashes every file. What passes is what a builder wrote: no byte of it is another.
    pub fn verify(&self) -> Result<(), Damaged> {
        if *self.written != *self.manifest.to_bytes() || self.manifest.root != self.manifest.root() {
            return Err(self.damaged("its manifest was changed"));
        }
        for (listed, (_, file)) in self.manifest.files.iter().zip(self.files()) {
            if listed.sha256 != hexadecimal(&Sha256::digest(&**file)) {
                return Err(self.damaged("a file was changed"));
            }
        }
        Ok(())
    }

    /// The bytes of a file, whole, and by its name surely those; none where the segment has no such file.
    pub fn source(&self, blob: &BlobId) -> Result<Option<Vec<u8>>, Damaged> {
        let (mut low, mut high) = (0, self.manifest.documents);
        while low < high {
            let middle = low + (high - low) / 2;
            let document = self.document(middle)?;
            match document.blob.cmp(blob) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.whole(middle).map(|(_, text)| Some(text)),
            }
        }
        Ok(None)
    }

    pub(crate) fn damaged(&self, what: &'static str) -> Damaged {
        Damaged { corpus: self.manifest.name.clone(), what }
    }

    pub(crate) fn document(&self, number: u32) -> Result<Document, Damaged> {
        let record = record::<DOCUMENT_BYTES>(&self.documents, number)
            .ok_or_else(|| self.damaged("a document is not there"))?;
        let mut blob = [0; 20];
        blob.copy_from_slice(&record[..20]);
        Ok(Document {
            blob: BlobId(blob),
            bytes: u32_at(record, 20),
            lexemes: u32_at(record, 24),
            first_chunk: u32_at(record, 28),
            first_origin: u32_at(record, 32),
            first_seen_unix_s: u64_at(record, 36).cast_signed(),
        })
    }

    /// The numbers of the document's records in a file: from its first to the next document's first.
    fn records(&self, number: u32, of: impl Fn(&Document) -> u32, count: u32) -> Result<Range<u32>, Damaged> {
        let start = of(&self.document(number)?);
        let end = match number.checked_add(1) {
            Some(next) if next < self.manifest.documents => of(&self.document(next)?),
            _ => count,
        };
        if start > end || end > count {
            return Err(self.damaged("documents' records overlap"));
        }
        Ok(start..end)
    }

    pub(crate) fn origins(&self, number: u32) -> Result<Range<u32>, Damaged> {
        self.records(number, |document| document.first_origin, self.manifest.origins)
    }

    fn chunks(&self, number: u32) -> Result<Range<u32>, Damaged> {
        self.records(number, |document| document.first_chunk, self.manifest.chunks)
    }

    pub(crate) fn origin_numbers(&self, origin: u32) -> Result<OriginNumbers, Damaged> {
        let record = record::<ORIGIN_BYTES>(&self.origins, origin)
            .ok_or_else(|| self.damaged("an origin is not there"))?;
        Ok(OriginNumbers {
            package: u32_at(record, 0),
            licence: u32_at(record, 4),
            first_seen_unix_s: u64_at(record, 8).cast_signed(),
            path_end: u64_at(record, 16),
        })
    }

    pub(crate) fn origin(&self, origin: u32) -> Result<Origin, Damaged> {
        let numbers = self.origin_numbers(origin)?;
        let path_start = match origin.checked_sub(1) {
            Some(last) => self.origin_numbers(last)?.path_end,
            None => 0,
        };
        let path = slice(&self.paths, path_start, numbers.path_end)
            .and_then(|path| std::str::from_utf8(path).ok())
            .ok_or_else(|| self.damaged("a path is not there"))?;
        let PackageName { package, version, commit } = self.package(numbers.package)?;
        Ok(Origin {
            package,
            version,
            commit,
            path: path.to_owned(),
            first_seen_unix_s: Some(numbers.first_seen_unix_s).filter(|time| *time != UNKNOWN_TIME),
            licence: self.licence(numbers.licence)?,
        })
    }

    pub(crate) fn package(&self, package: u32) -> Result<PackageName, Damaged> {
        self.packages
            .get(package)
            .and_then(|bytes| postcard::from_bytes(bytes).ok())
            .ok_or_else(|| self.damaged("a package is not there"))
    }

    pub(crate) fn licence(&self, licence: u32) -> Result<Licence, Damaged> {
        self.licences
            .get(licence)
            .and_then(|bytes| postcard::from_bytes(bytes).ok())
            .ok_or_else(|| self.damaged("a finding on a licence is not there"))
    }

    /// Where chunk `index` of a document begins and ends in it, and its first line.
    fn chunk_bounds(&self, number: u32, index: u32) -> Result<(Range<u32>, Range<u64>, u32), Damaged> {
        let damaged = || self.damaged("a chunk of text is not there");
        let document = self.document(number)?;
        let chunks = self.chunks(number)?;
        let chunk =
            chunks.start.checked_add(index).filter(|chunk| *chunk < chunks.end).ok_or_else(damaged)?;
        let this = record::<CHUNK_BYTES>(&self.chunks, chunk).ok_or_else(damaged)?;
        let next = record::<CHUNK_BYTES>(&self.chunks, chunk + 1);
        let text_end = next.map_or(self.text.len() as u64, |next| u64_at(next, 0));
        let end =
            if chunk + 1 < chunks.end { next.map_or(0, |next| u32_at(next, 8)) } else { document.bytes };
        let bytes = u32_at(this, 8)..end;
        if bytes.start > bytes.end || bytes.end as usize > FILE_BYTES_MAX {
            return Err(damaged());
        }
        Ok((bytes, u64_at(this, 0)..text_end, u32_at(this, 12)))
    }

    /// How long the text of chunk `index` of a document is.
    pub(crate) fn chunk_bytes(&self, number: u32, index: u32) -> Result<usize, Damaged> {
        Ok(self.chunk_bounds(number, index)?.0.len())
    }

    /// Chunk `index` of a document: its lexemes from `index` times [`CHUNK_LEXEMES`].
    pub(crate) fn chunk(&self, number: u32, index: u32) -> Result<Chunk, Damaged> {
        let (text, line) = self.chunk_text(number, index)?;
        let mut lexemes = Vec::with_capacity(CHUNK_LEXEMES as usize);
        lexeme::lex(&text, &mut lexemes);
        let before = index.checked_mul(CHUNK_LEXEMES);
        let expected = before.and_then(|before| self.document(number).ok()?.lexemes.checked_sub(before));
        if expected.map(|left| left.min(CHUNK_LEXEMES) as usize) != Some(lexemes.len()) {
            return Err(self.damaged("a chunk has other lexemes"));
        }
        Ok(Chunk { text, lexemes, line })
    }

    fn chunk_text(&self, number: u32, index: u32) -> Result<(Vec<u8>, u32), Damaged> {
        let (bytes, packed, line) = self.chunk_bounds(number, index)?;
        let packed = slice(&self.text, packed.start, packed.end)
            .ok_or_else(|| self.damaged("the text of a chunk is not there"))?;
        let text = lz4_flex::block::decompress(packed, bytes.len())
            .ok()
            .filter(|text| text.len() == bytes.len())
            .ok_or_else(|| self.damaged("the text of a chunk cannot be unpacked"))?;
        Ok((text, line))
    }

    /// A document's bytes, which are those that its id names.
    fn whole(&self, number: u32) -> Result<(BlobId, Vec<u8>), Damaged> {
        let blob = self.document(number)?.blob;
        let text = self.whole_text(number)?;
        if BlobId::of(&text) != blob {
            return Err(self.damaged("a document has other bytes than its id says"));
        }
        Ok((blob, text))
    }

    pub(crate) fn whole_text(&self, number: u32) -> Result<Vec<u8>, Damaged> {
        let mut whole = Vec::new();
        let chunks = self.chunks(number)?;
        for index in 0..chunks.end - chunks.start {
            whole.extend_from_slice(&self.chunk_text(number, index)?.0);
            if whole.len() > FILE_BYTES_MAX {
                return Err(self.damaged("a document is too long"));
            }
        }
        Ok(whole)
    }

    pub(crate) fn exact(&self) -> &Postings {
        &self.exact
    }

    pub(crate) fn renamed(&self) -> &Postings {
        &self.renamed
    }

    /// Occurrences of lexemes, of each bucket: first as they are, then where names do not matter.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        self.words.chunks_exact(8).map(|bytes| u64_at(bytes, 0))
    }
}

/// The bucket of `words` that a lexeme's hash falls in.
pub(crate) fn word_bucket(hash: u64) -> usize {
    usize::from((hash >> 48) as u16) >> (16 - WORDS.trailing_zeros())
}

/// A package, at a version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PackageName {
    pub(crate) package: String,
    version: Option<String>,
    commit: Option<String>,
}

const UNKNOWN_TIME: i64 = i64::MAX;

/// Pieces of bytes, one after another, and where each ends.
#[derive(Debug)]
struct Names {
    names: Mapped,
    ends: Mapped,
}

impl Names {
    fn open(folder: &Path, name: &str) -> Result<Names, OpenError> {
        Ok(Names { names: map(&folder.join(name))?, ends: map(&folder.join(format!("{name}.ends")))? })
    }

    fn get(&self, number: u32) -> Option<&[u8]> {
        let end = u64_at(record::<8>(&self.ends, number)?, 0);
        let start = match number.checked_sub(1) {
            Some(last) => u64_at(record::<8>(&self.ends, last)?, 0),
            None => 0,
        };
        slice(&self.names, start, end)
    }
}

/// Chosen hashes, and where they stand.
#[derive(Debug)]
pub(crate) struct Postings {
    directory: Mapped,
    keys: Mapped,
    postings: Mapped,
}

/// Of a hash, the leading bits are kept: that two of a corpus agree in them is as rare as it must be, since what has one in
/// common is compared.
const KEPT_BITS: u32 = 40;
const KEPT_BYTES: usize = KEPT_BITS as usize / 8;
const KEY_BYTES: usize = KEPT_BYTES + 4;
const POSTING_BYTES: usize = 8;

impl Postings {
    fn open(folder: &Path, name: &str) -> Result<Postings, OpenError> {
        let of = |part: &str| map(&folder.join(format!("{name}.{part}")));
        Ok(Postings { directory: of("directory")?, keys: of("keys")?, postings: of("postings")? })
    }

    fn has_right_lengths(&self) -> bool {
        let buckets = (self.directory.len() / 4).saturating_sub(1);
        self.directory.len().is_multiple_of(4)
            && buckets.is_power_of_two()
            && (1..=DIRECTORY_BITS_MAX).contains(&buckets.trailing_zeros())
            && self.keys.len().is_multiple_of(KEY_BYTES)
            && self.postings.len().is_multiple_of(POSTING_BYTES)
    }

    /// The numbers of a hash's postings; of none where it was chosen nowhere. None: the file is damaged.
    pub(crate) fn find(&self, hash: u64) -> Option<Range<u32>> {
        let bits = (self.directory.len() / 4 - 1).trailing_zeros();
        let hash = kept(hash);
        let bucket = u32::try_from(hash >> (KEPT_BITS - bits)).ok()?;
        let mut low = u32_at(record::<4>(&self.directory, bucket)?, 0);
        let mut high = u32_at(record::<4>(&self.directory, bucket + 1)?, 0);
        while low < high {
            let middle = low + (high - low) / 2;
            let key = record::<KEY_BYTES>(&self.keys, middle)?;
            match key_hash(key).cmp(&hash) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let start = u32_at(key, KEPT_BYTES);
                    let end = match record::<KEY_BYTES>(&self.keys, middle + 1) {
                        Some(next) => u32_at(next, KEPT_BYTES),
                        None => u32::try_from(self.postings.len() / POSTING_BYTES).ok()?,
                    };
                    return (start <= end).then_some(start..end);
                }
            }
        }
        Some(0..0)
    }

    /// Document, lexeme and flanks.
    pub(crate) fn get(&self, posting: u32) -> Option<(u32, u32, Flanks)> {
        Some(unpacked(u64_at(record::<POSTING_BYTES>(&self.postings, posting)?, 0)))
    }
}

/// What a key keeps of a hash.
fn kept(hash: u64) -> u64 {
    hash >> (64 - KEPT_BITS)
}

fn key_hash(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..KEPT_BYTES].copy_from_slice(&key[..KEPT_BYTES]);
    u64::from_le_bytes(bytes)
}

/// Of a posting, from its highest bits: the document, a lexeme of it, and the flanks of the run that begins with that.
const DOCUMENT_BITS: u32 = 24;
/// Documents have fewer lexemes than this says, each of a byte at least.
const LEXEME_BITS: u32 = 22;
const SIDE_BITS: u32 = FLANK_BITS + NEAR_BITS;
const _: () = assert!(DOCUMENT_BITS + LEXEME_BITS + 2 * SIDE_BITS == u64::BITS);
const _: () = assert!(FILE_BYTES_MAX <= 1 << LEXEME_BITS);

/// A posting but for its document.
fn packed(lexeme: u32, flanks: Flanks) -> u64 {
    let side = |flank: Flank| u64::from(flank.wide) << NEAR_BITS | u64::from(flank.near);
    u64::from(lexeme) << (2 * SIDE_BITS) | side(flanks.before) << SIDE_BITS | side(flanks.behind)
}

fn of_document(document: u32, packed: u64) -> u64 {
    u64::from(document) << (u64::BITS - DOCUMENT_BITS) | packed
}

/// Document, lexeme and flanks.
fn unpacked(posting: u64) -> (u32, u32, Flanks) {
    let bits = |shift: u32, bits: u32| u32::try_from((posting >> shift) & ((1 << bits) - 1)).unwrap_or(0);
    let byte = |shift: u32, width: u32| u8::try_from(bits(shift, width)).unwrap_or(0);
    let side = |shift: u32| Flank { wide: byte(shift + NEAR_BITS, FLANK_BITS), near: byte(shift, NEAR_BITS) };
    (
        bits(LEXEME_BITS + 2 * SIDE_BITS, DOCUMENT_BITS),
        bits(2 * SIDE_BITS, LEXEME_BITS),
        Flanks { before: side(SIDE_BITS), behind: side(0) },
    )
}

const DIRECTORY_BITS_MAX: u32 = 22;

fn map(path: &Path) -> Result<Mapped, OpenError> {
    File::open(path)
        .and_then(|file| Mapped::of(&file))
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

fn record<const BYTES: usize>(file: &[u8], number: u32) -> Option<&[u8]> {
    let start = (number as usize).checked_mul(BYTES)?;
    file.get(start..start.checked_add(BYTES)?)
}

fn slice(file: &[u8], start: u64, end: u64) -> Option<&[u8]> {
    file.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// Of a record, whose length is known.
fn u32_at(record: &[u8], at: usize) -> u32 {
    record.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(record: &[u8], at: usize) -> u64 {
    record.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}
