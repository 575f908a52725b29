//! An index on disk, opened for reading. Whoever opens one that serves has its files hashed: the digest names the version
//! in records, and a damaged index is refused.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};
use tantivy::schema::{Field, Value};
use tantivy::{Index, ReloadPolicy, Searcher, TantivyDocument};

use crate::schema::{FILE, FORMAT, Fields, LEFT_OUT, tokenizers};
use crate::tree::{LeftOut, Reason};

/// Files of an index at most.
const INDEX_FILES_MAX: usize = 10_000;

/// What an index holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The layout's version.
    pub format: u32,
    /// Whether it holds everything; otherwise it is being made.
    pub complete: bool,
    /// The commit; empty for a folder.
    pub revision: String,
    /// The branch; empty for a folder, and where none is checked out.
    pub branch: String,
    /// Files.
    pub files: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// Pieces.
    pub chunks: u64,
    /// Names that are defined.
    pub definitions: u64,
    /// Pieces that look as if they addressed the assistant.
    pub suspicious: u64,
    /// How many files are not in it, by the reason.
    pub left_out: BTreeMap<Reason, u64>,
}

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A file of it.
    #[error("the index cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// Its contents.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// It was made by another version, or is not finished.
    #[error("the index is of another version, or not finished")]
    Other,
}

impl From<tantivy::TantivyError> for IndexError {
    fn from(error: tantivy::TantivyError) -> IndexError {
        IndexError::Damaged(error.to_string())
    }
}

/// An index, open.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) searcher: Searcher,
    pub(crate) fields: Fields,
    pub(crate) summary: Summary,
    /// SHA-256 over the names and bytes of its files; of nothing where it was opened unchecked.
    pub(crate) version: Digest,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Opened {
    /// A complete index, every byte of which was read once.
    pub(crate) fn open(folder: &Path) -> Result<Opened, IndexError> {
        let version = digest(folder)?;
        let opened = Opened::open_unchecked(folder)?;
        if !opened.summary.complete {
            return Err(IndexError::Other);
        }
        let damaged = opened.index().validate_checksum()?;
        if let Some(file) = damaged.iter().next() {
            return Err(IndexError::Damaged(format!("{} does not have its checksum", file.display())));
        }
        Ok(Opened { version, ..opened })
    }

    /// Also one that is being made.
    pub(crate) fn open_unchecked(folder: &Path) -> Result<Opened, IndexError> {
        let directory =
            ReadOnly(MmapDirectory::open(folder).map_err(|e| IndexError::Damaged(e.to_string()))?);
        let mut index = Index::open(directory)?;
        index.set_tokenizers(tokenizers());
        let summary: Summary = match index.load_metas()?.payload {
            Some(payload) => {
                serde_json::from_str(&payload).map_err(|e| IndexError::Damaged(e.to_string()))?
            }
            None => Summary { format: FORMAT, ..Summary::default() },
        };
        let fields = Fields::new();
        if summary.format != FORMAT || index.schema() != fields.schema {
            return Err(IndexError::Other);
        }
        let reader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).num_warming_threads(0).try_into()?;
        Ok(Opened { searcher: reader.searcher(), fields, summary, version: Digest([0; 32]) })
    }

    /// For a writer.
    pub(crate) fn index(&self) -> Index {
        self.searcher.index().clone()
    }

    /// Path and id of all that was read, whatever came of it.
    pub(crate) fn known(&self) -> Result<HashMap<String, String>, IndexError> {
        let mut known = HashMap::new();
        self.each(&[FILE, LEFT_OUT], |document| {
            if let Some(id) = text(document, self.fields.id) {
                known.insert(text(document, self.fields.path).unwrap_or_default().to_owned(), id.to_owned());
            }
        })?;
        Ok(known)
    }

    /// Files, bytes of their text, and how many others there are by reason.
    pub(crate) fn files_and_left_out(&self) -> Result<(u64, u64, BTreeMap<Reason, u64>), IndexError> {
        let (mut files, mut bytes) = (0, 0);
        let mut left_out: BTreeMap<Reason, u64> = BTreeMap::new();
        self.each(&[FILE, LEFT_OUT], |document| match self.left_out_of(document) {
            Some(one) => *left_out.entry(one.reason).or_default() += 1,
            None => {
                files += 1;
                bytes += number(document, self.fields.bytes);
            }
        })?;
        Ok((files, bytes, left_out))
    }

    /// What is not in the index, by path, at most `count`.
    pub(crate) fn left_out(&self, count: usize) -> Result<Vec<LeftOut>, IndexError> {
        let mut all = Vec::new();
        self.each(&[LEFT_OUT], |document| all.extend(self.left_out_of(document)))?;
        all.sort_by(|a: &LeftOut, b: &LeftOut| (a.reason, &a.path).cmp(&(b.reason, &b.path)));
        all.truncate(count);
        Ok(all)
    }

    fn left_out_of(&self, document: &TantivyDocument) -> Option<LeftOut> {
        if text(document, self.fields.class) != Some(LEFT_OUT) {
            return None;
        }
        Some(LeftOut {
            path: text(document, self.fields.path).unwrap_or_default().to_owned(),
            reason: serde_json::from_str(text(document, self.fields.kind)?).ok()?,
            detail: text(document, self.fields.text).unwrap_or_default().to_owned(),
        })
    }

    /// Every document of some classes, in no order.
    pub(crate) fn each(
        &self,
        classes: &[&str],
        mut take: impl FnMut(&TantivyDocument),
    ) -> Result<(), IndexError> {
        for class in classes {
            let term = tantivy::Term::from_field_text(self.fields.class, class);
            for segment in self.searcher.segment_readers() {
                let store = segment.get_store_reader(8)?;
                let index = segment.inverted_index(self.fields.class)?;
                let basic = tantivy::schema::IndexRecordOption::Basic;
                let Some(mut postings) = index.read_postings(&term, basic)? else { continue };
                use tantivy::DocSet;
                while postings.doc() != tantivy::TERMINATED {
                    let id = postings.doc();
                    if segment.alive_bitset().is_none_or(|alive| alive.is_alive(id)) {
                        take(&store.get::<TantivyDocument>(id)?);
                    }
                    postings.advance();
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn text(document: &TantivyDocument, field: Field) -> Option<&str> {
    document.get_first(field).and_then(|value| value.as_str())
}

pub(crate) fn number(document: &TantivyDocument, field: Field) -> u64 {
    document.get_first(field).and_then(|value| value.as_u64()).unwrap_or(0)
}

/// SHA-256 over the names and bytes of a folder's files, by name.
fn digest(folder: &Path) -> std::io::Result<Digest> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if names.len() >= INDEX_FILES_MAX {
            return Err(std::io::Error::other(format!("more than {INDEX_FILES_MAX} files")));
        }
        if entry.file_type()?.is_file() {
            names.push(entry.file_name());
        }
    }
    names.sort();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for name in names {
        let mut file = File::open(folder.join(&name))?;
        let shown = name.to_string_lossy();
        hash.update((shown.len() as u64).to_le_bytes());
        hash.update(shown.as_bytes());
        hash.update(file.metadata()?.len().to_le_bytes());
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
        }
    }
    Ok(Digest(hash.finalize().into()))
}

/// A folder that nobody writes to any more: it needs no lock, which would be a file in it.
#[derive(Clone, Debug)]
struct ReadOnly(MmapDirectory);

/// What locks a folder that is not written to.
struct Unneeded;

impl Directory for ReadOnly {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.0.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.0.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.0.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.0.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.0.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> std::io::Result<()> {
        self.0.atomic_write(path, data)
    }

    fn sync_directory(&self) -> std::io::Result<()> {
        self.0.sync_directory()
    }

    fn acquire_lock(&self, _lock: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(Unneeded)))
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
