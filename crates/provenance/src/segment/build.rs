//! How a segment is written.
//!
//! 1. Files are kept as they come; when memory is full, they are sorted by their blobs' ids and set aside in a run.
//! 2. The runs are merged: each different file once, with all its origins. Now documents have numbers. Their texts are
//!    read, cut and winnowed, a batch at a time on all threads, and written in order; postings are sorted and set aside in
//!    runs as well.
//! 3. The runs of postings are merged.
//!
//! Segments are merged by the second and third step, with segments for runs: their bytes are those of one build.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use lz4_flex::block::CompressTable;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    BlobId, CHUNK_LEXEMES, DIRECTORY_BITS_MAX, DOCUMENT_BITS, Damaged, FORMAT, FileDigest, KEPT_BITS,
    KEPT_BYTES, MANIFEST, Manifest, NAME_BYTES_MAX, POSTING_BYTES, PackageName, Segment, UNKNOWN_TIME, WORDS,
    hexadecimal, kept, of_document, packed, word_bucket,
};
use crate::document::{FILE_BYTES_MAX, Origin};
use crate::lexeme::{self, Lexeme, NORMALISER};
use crate::winnow::{EXACT, RENAMED, Sums, Winnowing};

/// Runs that one build sets aside: with them, memory bounds how much goes into a segment.
const RUNS_MAX: usize = 512;
/// Bytes of an origin that is added.
const ORIGIN_BYTES_MAX: usize = 64 << 10;
/// Bytes of all names of packages, and of all findings on licences: they are kept in memory.
const NAMES_BYTES_MAX: usize = 256 << 20;
/// Bytes of text of a batch, for each thread.
const BATCH_BYTES: usize = 4 << 20;

/// How a segment is built. None of it changes a byte of what is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// For files and postings that wait to be sorted. Beside it stand a batch of 4 MiB of text for each thread with what is
    /// made of it (ten times that), one file of each run, and the names of packages and licences. With 512 runs at most, a
    /// segment holds some 500 times this much text, which lies on the disk beside it while it is built.
    pub memory_bytes: usize,
    /// Threads that read texts.
    pub threads: usize,
}

impl Default for Options {
    /// 512 MiB, one thread.
    fn default() -> Options {
        Options { memory_bytes: 512 << 20, threads: 1 }
    }
}

/// Why a segment was not built. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of it, or of what was set aside, could not be written or read.
    #[error("the corpus cannot be written at {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has more bytes than [`FILE_BYTES_MAX`], or an origin more than 64 KiB.
    #[error("{path} of {package} is too long")]
    TooLong {
        /// Its package.
        package: String,
        /// Its path in it.
        path: String,
    },
    /// More than a segment can hold, or than can be built with this memory.
    #[error("too much for one segment: {0}")]
    TooMuch(&'static str),
    /// Two files with different bytes have the same SHA-1: somebody made them so.
    #[error("two different files have the blob id {0}")]
    Collision(BlobId),
    /// A segment that was to be merged is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// Builds a segment from files in any order.
#[derive(Debug)]
pub struct Builder {
    writing: Writing,
    waiting: Waiting,
    runs: Vec<File>,
}

/// Files that wait to be sorted. Their texts lie in one piece, which an allocator likes better than a piece for each; and as
/// they are: they are packed once, when they have their place.
#[derive(Debug, Default)]
struct Waiting {
    files: BTreeMap<BlobId, WaitingFile>,
    texts: Vec<u8>,
    bytes: usize,
}

#[derive(Debug)]
struct WaitingFile {
    text: Range<usize>,
    origins: BTreeSet<Origin>,
}

/// A file with all that is known of it.
struct Whole {
    blob: BlobId,
    text: Vec<u8>,
    origins: Vec<Origin>,
}

impl Builder {
    /// Of the corpus `name`, in `folder`, which must not be there; its parent must. It appears when all is done.
    pub fn new(folder: &Path, name: &str, options: Options) -> Result<Builder, BuildError> {
        let writing = Writing::new(folder, name, options)?;
        Ok(Builder { writing, waiting: Waiting::default(), runs: Vec::new() })
    }

    /// Takes a file. The same bytes from elsewhere are one document more origins of which are known.
    pub fn add(&mut self, bytes: &[u8], origin: Origin) -> Result<(), BuildError> {
        let origin_bytes =
            postcard::experimental::serialized_size(&origin).unwrap_or(usize::MAX).saturating_add(100);
        if bytes.len() > FILE_BYTES_MAX || origin_bytes > ORIGIN_BYTES_MAX {
            return Err(BuildError::TooLong { package: origin.package, path: origin.path });
        }
        let blob = BlobId::of(bytes);
        let waiting = &mut self.waiting;
        let file = match waiting.files.entry(blob) {
            Entry::Vacant(vacant) => {
                let start = waiting.texts.len();
                waiting.texts.extend_from_slice(bytes);
                waiting.bytes += bytes.len() + 100;
                vacant.insert(WaitingFile { text: start..waiting.texts.len(), origins: BTreeSet::new() })
            }
            Entry::Occupied(known) => {
                let known = known.into_mut();
                if waiting.texts[known.text.clone()] != *bytes {
                    return Err(BuildError::Collision(blob));
                }
                known
            }
        };
        if file.origins.insert(origin) {
            waiting.bytes += origin_bytes;
        }
        if self.waiting.bytes > self.writing.options.memory_bytes {
            self.set_aside()?;
        }
        Ok(())
    }

    fn set_aside(&mut self) -> Result<(), BuildError> {
        if self.runs.len() == RUNS_MAX {
            return Err(BuildError::TooMuch("give it more memory"));
        }
        let waiting = std::mem::take(&mut self.waiting);
        let run = self.writing.temporary(|file| {
            for (blob, waited) in &waiting.files {
                let origins =
                    postcard::to_stdvec(&waited.origins).map_err(|e| io::Error::other(e.to_string()))?;
                file.write_all(&blob.0)?;
                for length in [waited.text.len(), origins.len()] {
                    file.write_all(&(length as u64).to_le_bytes())?;
                }
                file.write_all(&waiting.texts[waited.text.clone()])?;
                file.write_all(&origins)?;
            }
            Ok(())
        })?;
        self.runs.push(run);
        Ok(())
    }

    /// Writes the segment.
    pub fn finish(mut self) -> Result<Manifest, BuildError> {
        if !self.runs.is_empty() && !self.waiting.files.is_empty() {
            self.set_aside()?;
        }
        let mut sources = Vec::new();
        for run in self.runs {
            sources.push(Source::Run(BufReader::with_capacity(256 << 10, run)));
        }
        if !self.waiting.files.is_empty() {
            sources.push(Source::Memory(self.waiting));
        }
        self.writing.finish(sources)
    }
}

/// Makes one segment of several, byte for byte the one that would have been built of all their files. They are verified.
pub fn merge(
    segments: &[&Segment],
    folder: &Path,
    name: &str,
    options: Options,
) -> Result<Manifest, BuildError> {
    let writing = Writing::new(folder, name, options)?;
    for segment in segments {
        segment.verify()?;
    }
    writing.finish(segments.iter().map(|segment| Source::Segment(segment, 0)).collect())
}

/// Files in the order of their ids.
enum Source<'a> {
    Run(BufReader<File>),
    Memory(Waiting),
    Segment(&'a Segment, u32),
}

impl Source<'_> {
    fn next(&mut self, at: &Path) -> Result<Option<Whole>, BuildError> {
        match self {
            Source::Run(run) => read_whole(run).map_err(io_error(at)),
            Source::Memory(waiting) => {
                let Some((blob, file)) = waiting.files.pop_first() else { return Ok(None) };
                let text = waiting.texts[file.text].to_vec();
                Ok(Some(Whole { blob, text, origins: file.origins.into_iter().collect() }))
            }
            Source::Segment(segment, number) => {
                if *number == segment.manifest.documents {
                    return Ok(None);
                }
                let (blob, text) = segment.whole(*number)?;
                if let Some(last) = number.checked_sub(1)
                    && segment.document(last)?.blob >= blob
                {
                    return Err(segment.damaged("its documents are not in order").into());
                }
                let origins = segment
                    .origins(*number)?
                    .map(|origin| segment.origin(origin))
                    .collect::<Result<_, _>>()?;
                *number += 1;
                Ok(Some(Whole { blob, text, origins }))
            }
        }
    }
}

fn read_whole(run: &mut BufReader<File>) -> io::Result<Option<Whole>> {
    let mut blob = [0; 20];
    if let Err(error) = run.read_exact(&mut blob) {
        return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let mut length = || {
        let mut length = [0; 8];
        run.read_exact(&mut length)?;
        usize::try_from(u64::from_le_bytes(length)).map_err(io::Error::other)
    };
    let (text, origins) = (length()?, length()?);
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        run.read_exact(&mut bytes).map(|()| bytes)
    };
    let (text, origins) = (read(text)?, read(origins)?);
    let origins = postcard::from_bytes(&origins).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(Some(Whole { blob: BlobId(blob), text, origins }))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> BuildError + '_ {
    |source| BuildError::Io { path: path.to_owned(), source }
}

/// All sources' files in the order of their ids, each once.
struct Merged<'a> {
    sources: Vec<Source<'a>>,
    heads: Vec<Option<Whole>>,
    order: BinaryHeap<Reverse<(BlobId, usize)>>,
    at: PathBuf,
}

impl<'a> Merged<'a> {
    fn new(sources: Vec<Source<'a>>, at: &Path) -> Result<Merged<'a>, BuildError> {
        let heads = sources.iter().map(|_| None).collect();
        let mut merged = Merged { sources, heads, order: BinaryHeap::new(), at: at.to_owned() };
        for index in 0..merged.sources.len() {
            merged.advance(index)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, index: usize) -> Result<(), BuildError> {
        let next = self.sources[index].next(&self.at)?;
        if let Some(whole) = &next {
            self.order.push(Reverse((whole.blob, index)));
        }
        self.heads[index] = next;
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Whole>, BuildError> {
        let mut merged: Option<Whole> = None;
        while let Some(Reverse((blob, index))) = self.order.peek().copied() {
            if merged.as_ref().is_some_and(|merged| merged.blob != blob) {
                break;
            }
            self.order.pop();
            let Some(whole) = self.heads[index].take() else { continue };
            self.advance(index)?;
            match &mut merged {
                None => merged = Some(whole),
                Some(merged) if merged.text == whole.text => merged.origins.extend(whole.origins),
                Some(_) => return Err(BuildError::Collision(blob)),
            }
        }
        if let Some(merged) = &mut merged {
            merged.origins.sort_unstable();
            merged.origins.dedup();
        }
        Ok(merged)
    }
}

/// Packs texts. Which of the two tables is used, and so what comes out, depends on the text alone.
struct Packing {
    small: CompressTable,
    large: CompressTable,
    buffer: Vec<u8>,
}

impl Packing {
    fn new() -> Packing {
        Packing { small: CompressTable::small(), large: CompressTable::large(), buffer: Vec::new() }
    }

    /// Appends the text, packed.
    fn pack(&mut self, text: &[u8], packed: &mut Vec<u8>) {
        let most = lz4_flex::block::get_maximum_output_size(text.len());
        if self.buffer.len() < most {
            self.buffer.resize(most, 0);
        }
        let table = if text.len() < usize::from(u16::MAX) { &mut self.small } else { &mut self.large };
        match lz4_flex::block::compress_into_with_table(text, &mut self.buffer, table) {
            Ok(length) => packed.extend_from_slice(&self.buffer[..length]),
            // The buffer is as long as it can get.
            Err(_) => packed.extend_from_slice(&lz4_flex::block::compress(text)),
        }
    }
}

impl std::fmt::Debug for Packing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Packing")
    }
}

/// What is made of one document's text.
struct Read {
    whole: Whole,
    lexemes: u32,
    /// Of each chunk: its first byte and line, and where its packed text begins.
    chunks: Vec<(u32, u32, usize)>,
    packed: Vec<u8>,
    /// Chosen hashes, and their postings but for the document.
    exact: Vec<(u64, u64)>,
    renamed: Vec<(u64, u64)>,
}

/// Reads texts, one after another.
struct Reading {
    packing: Packing,
    words: Vec<u64>,
    lexemes: Vec<Lexeme>,
    classes: Vec<u64>,
    exact: Sums,
    renamed: Sums,
    hashes: Vec<u64>,
}

impl Reading {
    fn new() -> Reading {
        Reading {
            packing: Packing::new(),
            words: vec![0; 2 * WORDS],
            lexemes: Vec::new(),
            classes: Vec::new(),
            exact: Sums::default(),
            renamed: Sums::default(),
            hashes: Vec::new(),
        }
    }

    fn read(&mut self, whole: Whole) -> Read {
        let text = &whole.text;
        let Reading { packing, words, lexemes, classes, exact, renamed, hashes } = self;
        lexemes.clear();
        classes.clear();
        lexeme::lex_with_classes(text, lexemes, classes);
        let (mut chunks, mut packed_text) = (Vec::new(), Vec::with_capacity(text.len() / 2));
        let (mut start, mut line) = (0, 1);
        while start < text.len() {
            let next = (chunks.len() + 1) * CHUNK_LEXEMES as usize;
            let end = lexemes.get(next).map_or(text.len(), |lexeme| lexeme.start as usize);
            let part = &text[start..end];
            chunks.push((small(start), line, packed_text.len()));
            packing.pack(part, &mut packed_text);
            line += small(memchr::memchr_iter(b'\n', part).count());
            start = end;
        }
        let mut count = |hash: u64, first: usize| words[first + word_bucket(hash)] += 1;
        exact.refill(lexemes.iter().map(|lexeme| lexeme.hash).inspect(|hash| count(*hash, 0)));
        renamed.refill(classes.iter().copied().inspect(|hash| count(*hash, WORDS)));
        let mut chosen = |winnowing: Winnowing, row: &Sums| {
            winnowing.hashes_into(row, hashes);
            let posting = |place: usize| (hashes[place], packed(small(place), winnowing.flanks(row, place)));
            winnowing.chosen(hashes).into_iter().map(posting).collect()
        };
        Read {
            lexemes: small(lexemes.len()),
            chunks,
            packed: packed_text,
            exact: chosen(EXACT, exact),
            renamed: chosen(RENAMED, renamed),
            whole,
        }
    }
}

/// A place in a document, which has 4 MiB at most.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// The folder that becomes the segment.
#[derive(Debug)]
struct Writing {
    name: String,
    folder: PathBuf,
    building: TempDir,
    options: Options,
}

impl Writing {
    fn new(folder: &Path, name: &str, options: Options) -> Result<Writing, BuildError> {
        if name.len() > NAME_BYTES_MAX {
            return Err(BuildError::TooMuch("its name has more than 256 bytes"));
        }
        if folder.symlink_metadata().is_ok() {
            return Err(io_error(folder)(io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        let parent = match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let building =
            tempfile::Builder::new().prefix(".building-").tempdir_in(parent).map_err(io_error(parent))?;
        Ok(Writing { name: name.to_owned(), folder: folder.to_owned(), building, options })
    }

    /// A file without a name, written and wound back.
    fn temporary(
        &self,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<File, BuildError> {
        let at = self.building.path();
        let written = || {
            let mut file = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(at)?);
            write(&mut file)?;
            let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.rewind()?;
            Ok(file)
        };
        written().map_err(io_error(at))
    }

    fn create(&self, name: &str) -> Result<Output, BuildError> {
        let path = self.building.path().join(name);
        let file = File::create_new(&path).map_err(io_error(&path))?;
        Ok(Output {
            name: name.to_owned(),
            path,
            file,
            waiting: Vec::with_capacity(OUTPUT_BYTES),
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    fn finish(self, sources: Vec<Source<'_>>) -> Result<Manifest, BuildError> {
        let mut out = Outputs {
            documents: self.create("documents")?,
            chunks: self.create("chunks")?,
            text: self.create("text")?,
            origins: self.create("origins")?,
            paths: self.create("paths")?,
            packages: Names::new("packages"),
            licences: Names::new("licences"),
            manifest: self.empty_manifest(),
        };
        let mut exact = Sorting::new(self.options.memory_bytes / 2);
        let mut renamed = Sorting::new(self.options.memory_bytes / 2);
        let mut readings: Vec<Reading> = (0..self.options.threads.max(1)).map(|_| Reading::new()).collect();
        let mut merged = Merged::new(sources, self.building.path())?;
        loop {
            let batch = self.batch(&mut merged)?;
            if batch.is_empty() {
                break;
            }
            for read in read_all(batch, &mut readings) {
                let number = out.manifest.documents;
                out.write(&read)?;
                for (sorting, chosen) in [(&mut exact, &read.exact), (&mut renamed, &read.renamed)] {
                    for (hash, posting) in chosen {
                        sorting.push(*hash, of_document(number, *posting), &self)?;
                    }
                }
            }
        }
        let mut files = vec![
            out.documents.end()?,
            out.chunks.end()?,
            out.text.end()?,
            out.origins.end()?,
            out.paths.end()?,
        ];
        let mut manifest = out.manifest;
        manifest.packages = out.packages.count()?;
        manifest.licences = out.licences.count()?;
        files.extend(out.packages.write(&self)?);
        files.extend(out.licences.write(&self)?);
        let mut output = self.create("words")?;
        for bucket in 0..2 * WORDS {
            let count: u64 = readings.iter().map(|reading| reading.words[bucket]).sum();
            output.write(&count.to_le_bytes())?;
        }
        files.push(output.end()?);
        files.extend(exact.write("exact", &self)?);
        files.extend(renamed.write("renamed", &self)?);
        files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        manifest.files = files;
        manifest.root = manifest.root();
        let mut output = self.create(MANIFEST)?;
        output.write(&manifest.to_bytes())?;
        output.end()?;
        self.publish()?;
        Ok(manifest)
    }

    fn empty_manifest(&self) -> Manifest {
        Manifest {
            format: FORMAT,
            normaliser: NORMALISER,
            exact: EXACT,
            renamed: RENAMED,
            name: self.name.clone(),
            documents: 0,
            origins: 0,
            packages: 0,
            licences: 0,
            chunks: 0,
            source_bytes: 0,
            lexemes: 0,
            files: Vec::new(),
            root: String::new(),
        }
    }

    /// The next documents, for all threads.
    fn batch(&self, merged: &mut Merged<'_>) -> Result<Vec<Whole>, BuildError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES * self.options.threads.max(1) {
            let Some(whole) = merged.next()? else { break };
            bytes += whole.text.len() + 1000;
            batch.push(whole);
        }
        Ok(batch)
    }

    /// Makes the folder durable, then gives it its name.
    fn publish(self) -> Result<(), BuildError> {
        let building = self.building.path().to_owned();
        let parent = building.parent().map(Path::to_owned).unwrap_or_default();
        sync(&building)?;
        fs::rename(&building, &self.folder).map_err(io_error(&self.folder))?;
        // The folder has gone from where the guard would remove it.
        let _ = self.building.keep();
        sync(&parent)
    }
}

/// Reads the batch, with a thread for each reading. What comes back is in the batch's order.
fn read_all(batch: Vec<Whole>, readings: &mut [Reading]) -> Vec<Read> {
    if let [reading] = readings {
        return batch.into_iter().map(|whole| reading.read(whole)).collect();
    }
    let share = batch.iter().map(|whole| whole.text.len() + 1000).sum::<usize>() / readings.len() + 1;
    let mut batch = batch.into_iter();
    let mut all = Vec::new();
    thread::scope(|scope| {
        let mut started = Vec::new();
        for reading in readings {
            let mut bytes = 0;
            let mut part = Vec::new();
            while bytes < share
                && let Some(whole) = batch.next()
            {
                bytes += whole.text.len() + 1000;
                part.push(whole);
            }
            started.push(
                scope.spawn(|| part.into_iter().map(|whole| reading.read(whole)).collect::<Vec<Read>>()),
            );
        }
        for thread in started {
            match thread.join() {
                Ok(read) => all.extend(read),
                Err(panicked) => std::panic::resume_unwind(panicked),
            }
        }
    });
    all
}

fn sync(folder: &Path) -> Result<(), BuildError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))
}

/// A file of the segment while it is written.
struct Output {
    name: String,
    path: PathBuf,
    file: File,
    /// What is neither hashed nor written yet.
    waiting: Vec<u8>,
    hash: Sha256,
    bytes: u64,
}

/// Bytes that are written at a time.
const OUTPUT_BYTES: usize = 256 << 10;

impl Output {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.bytes += bytes.len() as u64;
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() < OUTPUT_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), BuildError> {
        self.hash.update(&self.waiting);
        self.file.write_all(&self.waiting).map_err(io_error(&self.path))?;
        self.waiting.clear();
        Ok(())
    }

    fn end(mut self) -> Result<FileDigest, BuildError> {
        self.flush()?;
        self.file.sync_all().map_err(io_error(&self.path))?;
        Ok(FileDigest { name: self.name, bytes: self.bytes, sha256: hexadecimal(&self.hash.finalize()) })
    }
}

/// What is written document by document.
struct Outputs {
    documents: Output,
    chunks: Output,
    text: Output,
    origins: Output,
    paths: Output,
    packages: Names,
    licences: Names,
    manifest: Manifest,
}

impl Outputs {
    fn write(&mut self, read: &Read) -> Result<(), BuildError> {
        let Read { whole, lexemes, chunks, packed: text, .. } = read;
        let first_seen = whole.origins.iter().filter_map(|origin| origin.first_seen_unix_s).min();
        let mut record = Vec::with_capacity(super::DOCUMENT_BYTES);
        record.extend_from_slice(&whole.blob.0);
        for number in [small(whole.text.len()), *lexemes, self.manifest.chunks, self.manifest.origins] {
            record.extend_from_slice(&number.to_le_bytes());
        }
        record.extend_from_slice(&first_seen.unwrap_or(UNKNOWN_TIME).to_le_bytes());
        self.documents.write(&record)?;
        for (byte, line, start) in chunks {
            let mut record = Vec::with_capacity(super::CHUNK_BYTES);
            record.extend_from_slice(&(self.text.bytes + *start as u64).to_le_bytes());
            record.extend_from_slice(&byte.to_le_bytes());
            record.extend_from_slice(&line.to_le_bytes());
            self.chunks.write(&record)?;
        }
        self.text.write(text)?;
        for origin in &whole.origins {
            self.write_origin(origin)?;
        }
        let manifest = &mut self.manifest;
        manifest.source_bytes += whole.text.len() as u64;
        manifest.lexemes += u64::from(*lexemes);
        manifest.documents += 1;
        if manifest.documents > 1 << DOCUMENT_BITS {
            return Err(BuildError::TooMuch("16 million documents"));
        }
        for (count, more) in
            [(&mut manifest.chunks, chunks.len()), (&mut manifest.origins, whole.origins.len())]
        {
            *count = count
                .checked_add(small(more))
                .filter(|count| *count < u32::MAX)
                .ok_or(BuildError::TooMuch("4 thousand million chunks or origins"))?;
        }
        Ok(())
    }

    fn write_origin(&mut self, origin: &Origin) -> Result<(), BuildError> {
        let package = PackageName {
            package: origin.package.clone(),
            version: origin.version.clone(),
            commit: origin.commit.clone(),
        };
        let package = self.packages.number(postcard::to_stdvec(&package).unwrap_or_default())?;
        let licence = self.licences.number(postcard::to_stdvec(&origin.licence).unwrap_or_default())?;
        self.paths.write(origin.path.as_bytes())?;
        let mut record = Vec::with_capacity(super::ORIGIN_BYTES);
        record.extend_from_slice(&package.to_le_bytes());
        record.extend_from_slice(&licence.to_le_bytes());
        record.extend_from_slice(&origin.first_seen_unix_s.unwrap_or(UNKNOWN_TIME).to_le_bytes());
        record.extend_from_slice(&self.paths.bytes.to_le_bytes());
        self.origins.write(&record)
    }
}

/// Different names, numbered in the order of their first use.
struct Names {
    name: &'static str,
    numbers: HashMap<Vec<u8>, u32>,
    bytes: usize,
}

impl Names {
    fn new(name: &'static str) -> Names {
        Names { name, numbers: HashMap::new(), bytes: 0 }
    }

    fn number(&mut self, name: Vec<u8>) -> Result<u32, BuildError> {
        let next = self.count()?;
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        self.bytes += name.len() + 64;
        if self.bytes > NAMES_BYTES_MAX {
            return Err(BuildError::TooMuch("256 MiB of packages' names or findings on licences"));
        }
        self.numbers.insert(name, next);
        Ok(next)
    }

    fn count(&self) -> Result<u32, BuildError> {
        u32::try_from(self.numbers.len()).map_err(|_| BuildError::TooMuch("4 thousand million names"))
    }

    fn write(self, writing: &Writing) -> Result<[FileDigest; 2], BuildError> {
        let mut names = writing.create(self.name)?;
        let mut ends = writing.create(&format!("{}.ends", self.name))?;
        let mut ordered: Vec<(u32, Vec<u8>)> =
            self.numbers.into_iter().map(|(name, number)| (number, name)).collect();
        ordered.sort_unstable();
        for (_, name) in ordered {
            names.write(&name)?;
            ends.write(&names.bytes.to_le_bytes())?;
        }
        Ok([names.end()?, ends.end()?])
    }
}

/// Postings on their way to be sorted: hash as it is kept, document and lexeme in one number, so that its order is theirs.
struct Sorting {
    postings_max: usize,
    postings: Vec<u128>,
    runs: Vec<File>,
    count: u64,
}

impl Sorting {
    fn new(bytes: usize) -> Sorting {
        Sorting { postings_max: (bytes / 16).max(1), postings: Vec::new(), runs: Vec::new(), count: 0 }
    }

    fn push(&mut self, hash: u64, posting: u64, writing: &Writing) -> Result<(), BuildError> {
        self.count += 1;
        self.postings.push(u128::from(kept(hash)) << 64 | u128::from(posting));
        if self.postings.len() == self.postings_max { self.set_aside(writing) } else { Ok(()) }
    }

    fn set_aside(&mut self, writing: &Writing) -> Result<(), BuildError> {
        if self.runs.len() == RUNS_MAX {
            return Err(BuildError::TooMuch("give it more memory"));
        }
        sort(&mut self.postings);
        let postings = std::mem::take(&mut self.postings);
        self.runs.push(writing.temporary(|file| {
            postings.iter().try_for_each(|posting| file.write_all(&posting.to_le_bytes()))
        })?);
        Ok(())
    }

    fn write(mut self, name: &str, writing: &Writing) -> Result<[FileDigest; 3], BuildError> {
        let mut tables = Tables::new(name, self.count, writing)?;
        sort(&mut self.postings);
        let mut waiting = self.postings.into_iter();
        let at = writing.building.path();
        let mut runs: Vec<_> =
            self.runs.into_iter().map(|run| BufReader::with_capacity(256 << 10, run)).collect();
        // The last run never left memory.
        let last = runs.len();
        let mut next = |run: usize| -> Result<Option<Reverse<(u128, usize)>>, BuildError> {
            let posting = match runs.get_mut(run) {
                Some(run) => read_posting(run).map_err(io_error(at))?,
                None => waiting.next(),
            };
            Ok(posting.map(|posting| Reverse((posting, run))))
        };
        let mut order = BinaryHeap::new();
        for run in 0..=last {
            order.extend(next(run)?);
        }
        while let Some(mut least) = order.peek_mut() {
            let Reverse((posting, run)) = *least;
            tables.write(posting)?;
            match next(run)? {
                Some(next) => *least = next,
                None => drop(PeekMut::pop(least)),
            }
        }
        tables.end()
    }
}

/// Their hashes are spread evenly: each posting goes to its part by the first byte of its hash, in place, and the parts,
/// which are no larger than a processor's caches, are sorted one after another.
fn sort(postings: &mut [u128]) {
    #[expect(clippy::cast_possible_truncation, reason = "the hash has no bits above")]
    let part = |posting: u128| usize::from((posting >> (64 + KEPT_BITS - 8)) as u8);
    // How many there are of each part, then where it ends; and where its next one goes.
    let (mut ends, mut next) = ([0; 256], [0; 256]);
    for posting in &*postings {
        ends[part(*posting)] += 1;
    }
    let mut end = 0;
    for (next, count) in next.iter_mut().zip(&mut ends) {
        *next = end;
        end += *count;
        *count = end;
    }
    for here in 0..256 {
        while next[here] < ends[here] {
            let there = part(postings[next[here]]);
            postings.swap(next[here], next[there]);
            next[there] += 1;
        }
    }
    let mut start = 0;
    for end in ends {
        postings[start..end].sort_unstable();
        start = end;
    }
}

fn read_posting(run: &mut BufReader<File>) -> io::Result<Option<u128>> {
    let mut posting = [0; 16];
    match run.read_exact(&mut posting) {
        Ok(()) => Ok(Some(u128::from_le_bytes(posting))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The three files of sorted postings.
struct Tables {
    keys: Output,
    postings: Output,
    directory: Output,
    bits: u32,
    /// Buckets of the directory that are written.
    buckets: u64,
    last: Option<u64>,
    keys_written: u32,
    postings_written: u32,
}

impl Tables {
    fn new(name: &str, postings: u64, writing: &Writing) -> Result<Tables, BuildError> {
        Ok(Tables {
            keys: writing.create(&format!("{name}.keys"))?,
            postings: writing.create(&format!("{name}.postings"))?,
            directory: writing.create(&format!("{name}.directory"))?,
            // Some 64 keys, a fifth of a page, stand behind an entry.
            bits: (postings / 32).max(2).ilog2().clamp(1, DIRECTORY_BITS_MAX),
            buckets: 0,
            last: None,
            keys_written: 0,
            postings_written: 0,
        })
    }

    fn write(&mut self, posting: u128) -> Result<(), BuildError> {
        let too_much = || BuildError::TooMuch("4 thousand million postings");
        let hash = (posting >> 64) as u64;
        if self.last != Some(hash) {
            self.begin_buckets((hash >> (KEPT_BITS - self.bits)) + 1)?;
            self.keys.write(&hash.to_le_bytes()[..KEPT_BYTES])?;
            self.keys.write(&self.postings_written.to_le_bytes())?;
            self.keys_written = self.keys_written.checked_add(1).ok_or_else(too_much)?;
            self.last = Some(hash);
        }
        self.postings.write(&posting.to_le_bytes()[..POSTING_BYTES])?;
        self.postings_written = self.postings_written.checked_add(1).ok_or_else(too_much)?;
        Ok(())
    }

    /// All buckets up to this one begin here, if they have not begun.
    fn begin_buckets(&mut self, end: u64) -> Result<(), BuildError> {
        while self.buckets < end {
            self.directory.write(&self.keys_written.to_le_bytes())?;
            self.buckets += 1;
        }
        Ok(())
    }

    fn end(mut self) -> Result<[FileDigest; 3], BuildError> {
        self.begin_buckets((1 << self.bits) + 1)?;
        Ok([self.keys.end()?, self.postings.end()?, self.directory.end()?])
    }
}
