//! Makes an index of a source: what changed since the last one is read, the rest is taken over.
//!
//! The index is made in a folder of its own, beside the one that serves. Interrupted, it goes on there: after each batch
//! of files what is done is committed. Only an index that says that it is complete is ever served.
//!
//! A file on which an earlier run ended (its parser crashed, or took all memory) is left out by the next.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tantivy::collector::Count;
use tantivy::indexer::LogMergePolicy;
use tantivy::query::TermQuery;
use tantivy::schema::IndexRecordOption;
use tantivy::{Index, IndexWriter, TantivyDocument, Term};

use crate::file;
use crate::index::{self, IndexError, Summary};
use crate::schema::{CHUNK, DEFINITION, FORMAT, Fields, LEFT_OUT, LISTED, SUSPICIOUS, tokenizers};
use crate::tree::{Entry, LeftOut, Listing, Reason, Tree, TreeError};

/// Files after which what is done is committed, while a new index is made.
const BATCH_FILES: usize = 4000;
/// Memory of the index's writer, for each thread.
const WRITER_BYTES: usize = 96 << 20;
/// Files that are left out, one by one; the rest are counted.
const LEFT_OUT_MAX: usize = 100_000;
/// In the folder of an unfinished index: what each thread reads just now.
const IN_HAND: &str = "in-hand-";
/// Share of removed documents from which a segment is written anew.
const REMOVED_SHARE_MAX: f32 = 0.25;

/// What to make of what.
#[derive(Clone, Debug)]
pub struct Build {
    /// The source's folder.
    pub root: PathBuf,
    /// A branch of a repository; the one that is checked out, otherwise.
    pub branch: Option<String>,
    /// Where the index is made; what an interrupted run left there is used.
    pub building: PathBuf,
    /// The index that serves now.
    pub published: Option<PathBuf>,
    /// Files that are read at once.
    pub threads: usize,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that are done.
    pub done: u64,
    /// Files that are to be read.
    pub total: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Built {
    /// What the index holds.
    pub summary: Summary,
    /// Files beneath the root whose change may mean that there is something new.
    pub watch: Vec<String>,
    /// Whether there is a new index in the folder; otherwise what serves is as the source is.
    pub changed: bool,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The index cannot be written.
    #[error("the index cannot be written: {what}")]
    Write {
        /// Why.
        what: String,
    },
}

/// Makes the index. `progress` is called now and then, on this thread.
pub fn build(build: &Build, progress: &mut dyn FnMut(Progress)) -> Result<Built, BuildError> {
    let tree = Tree::open(&build.root, build.branch.as_deref())?;
    let listing = tree.list()?;
    let fields = Fields::new();
    let suspects = in_hand(&build.building);
    let base = match Base::open(&build.building).ok() {
        Some(base) => base,
        None => {
            let published = build.published.as_deref().and_then(|folder| Base::open(folder).ok());
            if let Some(published) = &published
                && published.is_of(&listing)
            {
                let summary = published.summary.clone();
                return Ok(Built { summary, watch: listing.watch, changed: false });
            }
            start(&build.building, published)?
        }
    };
    let mut work = Work::new(build, &fields, &tree, &listing, base, suspects)?;
    work.read_all(progress)?;
    let summary = work.finish()?;
    Ok(Built { summary, watch: listing.watch, changed: true })
}

/// An index to go on from.
struct Base {
    index: Index,
    /// Path and id of all that was read, whatever came of it.
    known: HashMap<String, String>,
    summary: Summary,
    folder: PathBuf,
}

impl Base {
    fn open(folder: &Path) -> Result<Base, IndexError> {
        let opened = index::Opened::open_unchecked(folder)?;
        let known = opened.known()?;
        let (index, summary) = (opened.index(), opened.summary);
        Ok(Base { index, known, summary, folder: folder.to_owned() })
    }

    /// Whether nothing has changed since.
    fn is_of(&self, listing: &Listing) -> bool {
        let same = self.summary.complete && self.summary.revision == listing.revision;
        // A commit says it all; a folder has none.
        let files = !listing.revision.is_empty()
            || self.known.len() == listing.entries.len()
                && listing.entries.iter().all(|entry| self.known.get(&entry.path) == Some(&entry.id));
        same && self.summary.branch == listing.branch && files
    }
}

/// A new folder, with a copy of what serves.
fn start(building: &Path, published: Option<Base>) -> Result<Base, BuildError> {
    if building.exists() {
        clear(building).map_err(unwritable)?;
    }
    fs::create_dir_all(building).map_err(unwritable)?;
    match published {
        Some(published) => {
            for entry in fs::read_dir(&published.folder).map_err(unwritable)? {
                let entry = entry.map_err(unwritable)?;
                let name = entry.file_name();
                if !name.to_string_lossy().starts_with(".tantivy-") {
                    copy(&entry.path(), &building.join(name)).map_err(unwritable)?;
                }
            }
            Base::open(building).map_err(unwritable)
        }
        None => {
            let index = Index::builder().schema(Fields::new().schema).tokenizers(tokenizers());
            let index = index.create_in_dir(building).map_err(unwritable)?;
            let (known, summary) = (HashMap::new(), Summary::default());
            Ok(Base { index, known, summary, folder: building.to_owned() })
        }
    }
}

/// Removes what is in a folder, and not the folder, which may be all that may be written to.
fn clear(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Without the file's mode and times, which a jailed process may not set.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::create(to)?;
    std::io::copy(&mut from, &mut to)?;
    to.flush()
}

/// What a run that ended badly was reading.
fn in_hand(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(IN_HAND));
    let read = names.filter_map(|entry| fs::read(entry.path()).ok());
    let paths = read.map(|bytes| {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    });
    paths.filter(|path| !path.is_empty()).collect()
}

struct Work<'a> {
    build: &'a Build,
    fields: &'a Fields,
    tree: &'a Tree,
    listing: &'a Listing,
    writer: IndexWriter,
    /// What is to be read.
    todo: Vec<&'a Entry>,
    /// Whether documents of the same path may be in the index.
    is_new: bool,
    suspects: Vec<String>,
}

/// What the threads of a batch share.
struct Batch<'a> {
    entries: &'a [&'a Entry],
    next: AtomicUsize,
    done: AtomicU64,
    failed: AtomicBool,
    error: Mutex<Option<String>>,
}

impl<'a> Work<'a> {
    fn new(
        build: &'a Build,
        fields: &'a Fields,
        tree: &'a Tree,
        listing: &'a Listing,
        base: Base,
        suspects: Vec<String>,
    ) -> Result<Work<'a>, BuildError> {
        let threads = build.threads.max(1);
        let writer: IndexWriter =
            base.index.writer_with_num_threads(threads, WRITER_BYTES * threads).map_err(unwritable)?;
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(REMOVED_SHARE_MAX);
        writer.set_merge_policy(Box::new(policy));
        let is_there: HashMap<&str, &str> =
            listing.entries.iter().map(|entry| (entry.path.as_str(), entry.id.as_str())).collect();
        for path in base.known.keys().filter(|path| !is_there.contains_key(path.as_str())) {
            writer.delete_term(Term::from_field_text(fields.path, path));
        }
        writer.delete_term(Term::from_field_text(fields.class, LISTED));
        let changed =
            |entry: &&Entry| base.known.get(&entry.path) != Some(&entry.id) || suspects.contains(&entry.path);
        let todo = listing.entries.iter().filter(changed).collect();
        let is_new = base.known.is_empty() && base.summary == Summary::default();
        Ok(Work { build, fields, tree, listing, writer, todo, is_new, suspects })
    }

    fn read_all(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), BuildError> {
        let total = self.todo.len() as u64;
        let todo = std::mem::take(&mut self.todo);
        let mut done = 0;
        for batch in todo.chunks(BATCH_FILES) {
            self.read_batch(batch, &mut |of_batch| progress(Progress { done: done + of_batch, total }))?;
            done += batch.len() as u64;
            progress(Progress { done, total });
            if done < total {
                self.commit(&Summary::default())?;
            }
        }
        Ok(())
    }

    fn read_batch(&self, entries: &[&Entry], progress: &mut dyn FnMut(u64)) -> Result<(), BuildError> {
        let batch = Batch {
            entries,
            next: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            error: Mutex::new(None),
        };
        let threads = self.build.threads.max(1);
        std::thread::scope(|scope| -> Result<(), BuildError> {
            let mut running = Vec::new();
            for number in 0..threads {
                let path = self.build.building.join(format!("{IN_HAND}{number}"));
                let hand = File::create(path).map_err(unwritable)?;
                running.push(scope.spawn({
                    let batch = &batch;
                    move || self.read_some(batch, &hand)
                }));
            }
            while !running.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                std::thread::sleep(std::time::Duration::from_millis(20));
                progress(batch.done.load(Ordering::Relaxed));
            }
            Ok(())
        })?;
        let error = batch.error.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        match error {
            Some(what) => Err(BuildError::Write { what }),
            None => Ok(()),
        }
    }

    /// What one thread does of a batch.
    fn read_some(&self, batch: &Batch<'_>, hand: &File) {
        let reader = self.tree.reader();
        loop {
            let index = batch.next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = batch.entries.get(index) else { break };
            if batch.failed.load(Ordering::Relaxed) {
                break;
            }
            let mut named = entry.path.clone().into_bytes();
            named.push(0);
            let added = hand
                .write_all_at(&named, 0)
                .map_err(|error| error.to_string())
                .and_then(|()| self.read_one(&reader, entry).map_err(|error| error.to_string()));
            if let Err(error) = added {
                batch.failed.store(true, Ordering::Relaxed);
                let mut first = batch.error.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                first.get_or_insert(error);
                break;
            }
            batch.done.fetch_add(1, Ordering::Relaxed);
        }
        let _kept_for_nothing = hand.set_len(0);
    }

    fn read_one(&self, reader: &crate::tree::Reader, entry: &Entry) -> tantivy::Result<()> {
        if !self.is_new {
            self.writer.delete_term(Term::from_field_text(self.fields.path, &entry.path));
        }
        let read = if self.suspects.contains(&entry.path) {
            Err((Reason::Unreadable, "an earlier run ended while it read this file".to_owned()))
        } else {
            reader.read(entry, file::bytes_max(&entry.path)).and_then(|bytes| {
                catch_unwind(AssertUnwindSafe(|| file::index(self.fields, entry, &bytes)))
                    .unwrap_or_else(|_| Err((Reason::Unreadable, "its parser failed".to_owned())))
            })
        };
        match read {
            Ok(indexed) => {
                for document in indexed.documents {
                    self.writer.add_document(document)?;
                }
            }
            Err((reason, detail)) => {
                let left_out = LeftOut { path: entry.path.clone(), reason, detail };
                self.writer.add_document(self.document(&left_out, Some(&entry.id)))?;
            }
        }
        Ok(())
    }

    /// Of a file that is left out; without an id where the tree itself said so.
    fn document(&self, left_out: &LeftOut, id: Option<&str>) -> TantivyDocument {
        let fields = self.fields;
        let mut document = TantivyDocument::new();
        document.add_text(fields.class, LEFT_OUT);
        document.add_text(fields.path, &left_out.path);
        document.add_text(fields.kind, serde_json::to_string(&left_out.reason).unwrap_or_default());
        document.add_text(fields.text, &left_out.detail);
        match id {
            Some(id) => document.add_text(fields.id, id),
            None => document.add_text(fields.class, LISTED),
        }
        document
    }

    /// The whole index, and what it holds.
    fn finish(mut self) -> Result<Summary, BuildError> {
        for left_out in self.listing.left_out.iter().take(LEFT_OUT_MAX) {
            self.writer.add_document(self.document(left_out, None)).map_err(unwritable)?;
        }
        // Once without saying that it is complete, to count what it holds.
        self.commit(&Summary::default())?;
        let folder = &self.build.building;
        let opened = index::Opened::open_unchecked(folder).map_err(unwritable)?;
        let count = |class: &str| {
            let term = Term::from_field_text(self.fields.class, class);
            let counted = opened.searcher.search(&TermQuery::new(term, IndexRecordOption::Basic), &Count);
            counted.map(|count| count as u64).map_err(unwritable)
        };
        let (files, bytes, left_out) = opened.files_and_left_out().map_err(unwritable)?;
        let summary = Summary {
            format: FORMAT,
            complete: true,
            revision: self.listing.revision.clone(),
            branch: self.listing.branch.clone(),
            files,
            bytes,
            chunks: count(CHUNK)?,
            definitions: count(DEFINITION)?,
            suspicious: count(SUSPICIOUS)?,
            left_out,
        };
        drop(opened);
        self.commit(&summary)?;
        self.writer.wait_merging_threads().map_err(unwritable)?;
        for number in 0..self.build.threads.max(1) {
            let _none = fs::remove_file(folder.join(format!("{IN_HAND}{number}")));
        }
        Ok(summary)
    }

    fn commit(&mut self, summary: &Summary) -> Result<(), BuildError> {
        let mut prepared = self.writer.prepare_commit().map_err(unwritable)?;
        let summary = Summary { format: FORMAT, ..summary.clone() };
        prepared.set_payload(&serde_json::to_string(&summary).map_err(unwritable)?);
        prepared.commit().map_err(unwritable)?;
        Ok(())
    }
}

fn unwritable(error: impl std::fmt::Display) -> BuildError {
    BuildError::Write { what: error.to_string() }
}
