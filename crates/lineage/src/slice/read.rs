//! Reading a slice that anybody may have had in their hands.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};

use ledger::{Event, Leaf};
use protocol::Digest;
use sha2::{Digest as _, Sha256};
use tlog::policy::{JudgeError, Judged};
use tlog::proof::Many;
use tlog::{Hash, Policy, TlogProof, leaf_hash};

use super::item::{self, Lists, Record};
use super::{ACTION, CHUNK_BYTES_MAX, FIRST_LINE, HEADER_BYTES_MAX, Header, LEAVES_MAX, Sealing};

/// Bytes of packed chunks that are looked at together, and one chunk more.
const TOGETHER_BYTES: usize = 16 << 20;
/// Bytes of records that are kept when they are noticed, by default.
const KEPT_BYTES_MAX: usize = 512 << 20;

/// Threads that look at chunks.
const THREADS_MAX: usize = 8;

/// Why a slice is not believed.
#[derive(Debug, thiserror::Error)]
pub enum SliceError {
    /// It cannot be read.
    #[error("the slice cannot be read")]
    Io(#[from] io::Error),
    /// It has not the form of one.
    #[error("not a slice of a ledger: {0}")]
    Form(&'static str),
    /// The checkpoint is not of a log of the policy.
    #[error("the slice's checkpoint is not accepted")]
    Judge(#[from] JudgeError),
    /// Not enough witnesses cosigned it.
    #[error("the slice's checkpoint lacks cosignatures that the policy demands")]
    Quorum,
    /// The checkpoint is of another log than the header says.
    #[error("the slice says that it is of `{said}`, and its checkpoint is of `{signed}`")]
    Origin {
        /// As the header says.
        said: String,
        /// As is signed.
        signed: String,
    },
    /// A record contradicts itself.
    #[error("record {number} of the slice was changed: {what}")]
    Record {
        /// The record.
        number: u64,
        /// How.
        what: &'static str,
    },
    /// The seal is another leaf.
    #[error("the slice's seal is not the leaf of an export")]
    Seal,
    /// What was sealed is something else: something was left out, added or changed.
    #[error("the slice is not the one that was recorded: {sealed} was sealed, and here are {found}")]
    Contents {
        /// As the ledger has it.
        sealed: String,
        /// As it is.
        found: String,
    },
    /// Leaves are not in the checkpoint's tree.
    #[error("the slice's leaves do not lead to the root of its checkpoint: a leaf or the proof is another's")]
    Inclusion,
}

/// A slice that is about to be read: nothing is believed yet.
pub struct Reader<R> {
    input: R,
    header: Header,
    key: [u8; 32],
    kept_bytes_max: usize,
    /// Whether all chunks were read.
    ended: bool,
}

/// What of a slice was wanted, with everything verified.
#[derive(Debug)]
pub struct Slice {
    /// Its first part.
    pub header: Header,
    /// Who signed the checkpoint.
    pub judged: Judged,
    /// Records of the whole slice.
    pub records_total: u64,
    /// Those that were wanted, in the slice's order: newest first.
    pub records: Vec<Record>,
    /// Leaves about keys that approve and about models, in order.
    pub context: Vec<(u64, Leaf)>,
    /// These leaves as the log has them, by their numbers.
    pub context_bytes: BTreeMap<u64, Vec<u8>>,
    /// When the slice was made, in milliseconds since 1970.
    pub made_unix_ms: u64,
    many: Many,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the first part.
    pub fn open(mut input: R) -> Result<Reader<R>, SliceError> {
        let mut first = [0; FIRST_LINE.len()];
        exact(&mut input, &mut first)?;
        if first != FIRST_LINE {
            return Err(SliceError::Form("the first line is another"));
        }
        let bytes = number(&mut input)?;
        if bytes > HEADER_BYTES_MAX {
            return Err(SliceError::Form("its header is too long"));
        }
        let mut header = vec![0; bytes];
        exact(&mut input, &mut header)?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| SliceError::Form("its header cannot be read"))?;
        let key = header.key().ok_or(SliceError::Form("its key is not 32 bytes in hexadecimal"))?;
        Ok(Reader { input, header, key, kept_bytes_max: KEPT_BYTES_MAX, ended: false })
    }

    /// Keeps at most that many bytes of records that are noticed, instead of 512 MiB; those beyond are read a second time,
    /// if they are chosen.
    pub fn keeping(self, kept_bytes_max: usize) -> Reader<R> {
        Reader { kept_bytes_max, ..self }
    }

    /// The key that fingerprints are made with.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Reads and verifies all of it, and keeps the records that are wanted, which is known when it is known how rare
    /// everything is that they were noticed by.
    pub fn read(mut self, policy: &Policy, wanted: &mut dyn Wanted) -> Result<Slice, SliceError> {
        let judged = policy.judge(&self.header.checkpoint)?;
        if !judged.quorum {
            return Err(SliceError::Quorum);
        }
        let signed = &judged.checkpoint.origin;
        if *signed != self.header.origin {
            return Err(SliceError::Origin { said: self.header.origin, signed: signed.clone() });
        }
        let mut sealing = Sealing::new(&self.header.scope, self.header.end, &self.key);
        let (mut hashes, mut context, mut context_bytes) = (Leaves::default(), Vec::new(), BTreeMap::new());
        let (mut noticed, mut kept_bytes) = (Vec::new(), 0);
        let mut packed = self.chunks()?;
        while !packed.is_empty() {
            // The next ones are read while these are looked at.
            let look = |chunk: &Packed, buffer: &mut Vec<u8>| look_at(chunk, &*wanted, buffer);
            let (found, next) = on_threads_beside(&packed, look, || self.chunks());
            for (chunk, looked) in packed.iter().zip(found) {
                let looked = looked?;
                sealing.add(looked.records, &looked.digest);
                hashes.add(looked.hashes);
                for (index, leaf, bytes) in looked.context {
                    context.push((index, leaf));
                    context_bytes.insert(index, bytes);
                }
                for Found { item, facts, bytes, hits } in looked.found {
                    kept_bytes += bytes.len();
                    let bytes = (kept_bytes <= self.kept_bytes_max).then_some(bytes);
                    noticed.push(Noticed { place: chunk.place, item, facts, bytes });
                    wanted.add(hits);
                }
                if hashes.total > LEAVES_MAX {
                    return Err(SliceError::Form("it has too many leaves"));
                }
            }
            packed = next?;
        }
        let contents = sealing.finish();
        let made_unix_ms = self.seal(&contents)?;
        let seal = (self.header.seal, leaf_hash(self.header.seal_leaf.as_bytes()));
        let proof = self.proof()?;
        let checkpoint = &judged.checkpoint;
        let (size, root) = (checkpoint.size, &checkpoint.root);
        let (many, kept, again) = std::thread::scope(|scope| {
            let many = scope.spawn(move || {
                let (indexes, leaves) = hashes.ordered(seal).into_iter().unzip();
                Many::verify(size, root, indexes, leaves, proof)
            });
            let [kept, again] = chosen(noticed, wanted);
            let kept: Result<Vec<_>, _> = on_threads(&kept, read_kept).into_iter().collect();
            (many.join(), kept, again)
        });
        let many = many.ok().and_then(Result::ok).ok_or(SliceError::Inclusion)?;
        context.sort_unstable_by_key(|(index, _)| *index);
        let mut records = kept?;
        records.extend(self.again(&again, &many)?);
        records.sort_by_key(|(at, _)| *at);
        let records = records.into_iter().map(|(_, record)| record).collect();
        let records_total = contents.records;
        Ok(Slice {
            header: self.header,
            judged,
            records_total,
            records,
            context,
            context_bytes,
            made_unix_ms,
            many,
        })
    }

    /// Records that were not kept, with their places among all. They must be what was verified.
    fn again(
        &mut self,
        chosen: &[(usize, Noticed)],
        many: &Many,
    ) -> Result<Vec<(usize, Record)>, SliceError> {
        let mut records = Vec::with_capacity(chosen.len());
        let mut by_chunk = chosen.chunk_by(|(_, one), (_, other)| one.place == other.place).peekable();
        while by_chunk.peek().is_some() {
            let (mut packed, mut bytes) = (Vec::new(), 0);
            while bytes < TOGETHER_BYTES
                && let Some(of_chunk) = by_chunk.next()
            {
                self.input.seek(SeekFrom::Start(of_chunk[0].1.place))?;
                let chunk = self.chunk()?.ok_or(CHANGED)?;
                bytes += chunk.bytes.len();
                packed.push((chunk, of_chunk));
            }
            let read = |(chunk, of_chunk): &(Packed, &[(usize, Noticed)]), buffer: &mut Vec<u8>| {
                read_again(chunk, of_chunk, many, buffer)
            };
            for read in on_threads(&packed, read) {
                records.extend(read?);
            }
        }
        Ok(records)
    }

    /// A few chunks, still packed; none behind the last.
    fn chunks(&mut self) -> Result<Vec<Packed>, SliceError> {
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while !self.ended && bytes < TOGETHER_BYTES {
            match self.chunk()? {
                Some(chunk) => {
                    bytes += chunk.bytes.len();
                    chunks.push(chunk);
                }
                None => self.ended = true,
            }
        }
        Ok(chunks)
    }

    /// The next chunk, still packed; none at the end.
    fn chunk(&mut self) -> Result<Option<Packed>, SliceError> {
        let place = self.input.stream_position()?;
        let items = number(&mut self.input)?;
        if items == 0 {
            return Ok(None);
        }
        let plain = number(&mut self.input)?;
        let packed = number(&mut self.input)?;
        if plain > CHUNK_BYTES_MAX || packed > CHUNK_BYTES_MAX {
            return Err(SliceError::Form("a chunk is too long"));
        }
        let mut bytes = vec![0; packed];
        exact(&mut self.input, &mut bytes)?;
        Ok(Some(Packed { place, items, plain, bytes }))
    }

    /// When the export was recorded, if it was this one.
    fn seal(&self, contents: &super::Contents) -> Result<u64, SliceError> {
        let header = &self.header;
        let leaf = Leaf::parse(header.seal_leaf.as_bytes()).map_err(|_| SliceError::Seal)?;
        let Event::Administration { action, subject, detail, .. } = &leaf.event else {
            return Err(SliceError::Seal);
        };
        if action != ACTION || header.seal < header.end {
            return Err(SliceError::Seal);
        }
        let found = contents.detail(header.end);
        if *subject != header.scope.subject() || *detail != found {
            let sealed = format!("`{subject}`: {detail}");
            return Err(SliceError::Contents {
                sealed,
                found: format!("`{}`: {found}", header.scope.subject()),
            });
        }
        Ok(leaf.time_unix_ms)
    }

    fn proof(&mut self) -> Result<Vec<Hash>, SliceError> {
        let count = number(&mut self.input)?;
        if count > LEAVES_MAX {
            return Err(SliceError::Form("its proof is too long"));
        }
        let mut proof = Vec::new();
        for _ in 0..count {
            let mut hash = [0; 32];
            exact(&mut self.input, &mut hash)?;
            proof.push(hash);
        }
        let mut more = [0];
        if self.input.read(&mut more)? != 0 {
            return Err(SliceError::Form("something follows its proof"));
        }
        Ok(proof)
    }
}

/// What of a slice is wanted: decided in two steps, since how much a record's lines say shows when all were seen.
pub trait Wanted: Sync {
    /// By what a record is noticed; `None` where it has to do with nothing, or cannot be chosen any more. Whether something
    /// of it was taken over is known already. Asked by several threads, of records behind all that were added.
    fn hits(&self, lists: &Lists<'_>, is_taken: bool) -> Option<Hits>;

    /// Adds one that was noticed. They come in order, newest first.
    fn add(&mut self, hits: Hits);

    /// Of all that were added, those to keep, by their numbers from 0; ascending.
    fn choose(&mut self) -> Vec<usize>;
}

/// By what a record was noticed.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// Whether something of it was taken over.
    pub is_taken: bool,
    /// Numbers of lines, as whoever wants them numbers them.
    pub lines: Vec<u32>,
    /// Numbers of runs of lexemes.
    pub shingles: Vec<u32>,
}

/// Wants every record.
#[derive(Default)]
pub struct Everything {
    added: usize,
}

impl Wanted for Everything {
    fn hits(&self, _lists: &Lists<'_>, is_taken: bool) -> Option<Hits> {
        Some(Hits { is_taken, ..Hits::default() })
    }

    fn add(&mut self, _hits: Hits) {
        self.added += 1;
    }

    fn choose(&mut self) -> Vec<usize> {
        (0..self.added).collect()
    }
}

/// What was seen of one chunk.
struct Looked {
    records: u64,
    digest: Digest,
    hashes: Vec<(u64, Hash)>,
    found: Vec<Found>,
    context: Vec<(u64, Leaf, Vec<u8>)>,
}

/// An item that was noticed: which, the digest of its facts, its bytes, and by what.
struct Found {
    item: u32,
    facts: Hash,
    bytes: Box<[u8]>,
    hits: Hits,
}

/// Leaves by their numbers, chunk by chunk, each in order.
#[derive(Default)]
struct Leaves {
    chunks: Vec<Vec<(u64, Hash)>>,
    total: usize,
}

impl Leaves {
    fn add(&mut self, chunk: Vec<(u64, Hash)>) {
        self.total += chunk.len();
        self.chunks.push(chunk);
    }

    /// All of them and one more, in order. Chunks begin with the newest and hold what is near each other, so that from the
    /// last on little is to be moved; where it is much, everything is sorted.
    fn ordered(self, more: (u64, Hash)) -> Vec<(u64, Hash)> {
        let mut all: Vec<(u64, Hash)> = Vec::with_capacity(self.total + 1);
        let (mut moved, mut chunks) = (0, self.chunks.into_iter().rev());
        for chunk in chunks.by_ref() {
            let first = chunk.first().map_or(u64::MAX, |(index, _)| *index);
            let from = match all.last() {
                Some((last, _)) if *last > first => all.partition_point(|(index, _)| *index < first),
                _ => all.len(),
            };
            let is_behind = from == all.len();
            moved += all.len() - from;
            all.extend(chunk);
            if moved > self.total {
                break;
            }
            if !is_behind {
                all[from..].sort_by_key(|(index, _)| *index);
            }
        }
        all.extend(chunks.flatten());
        all.push(more);
        if !all.is_sorted_by_key(|(index, _)| *index) {
            all.sort_unstable_by_key(|(index, _)| *index);
        }
        all
    }
}

/// A chunk as it lies in the file, from its first byte on.
struct Packed {
    place: u64,
    items: usize,
    plain: usize,
    bytes: Vec<u8>,
}

/// Where a record lies, and the digest of what no leaf of it commits to; all of it where there was room.
struct Noticed {
    place: u64,
    item: u32,
    facts: Hash,
    bytes: Option<Box<[u8]>>,
}

const CHANGED: SliceError = SliceError::Form("it was changed while it was read");

/// Works on items on as many threads as the machine has, each with a buffer of its own, and answers in their order.
fn on_threads<I: Sync, T: Send>(
    items: &[I],
    work: impl Fn(&I, &mut Vec<u8>) -> Result<T, SliceError> + Sync,
) -> Vec<Result<T, SliceError>> {
    on_threads_beside(items, work, || ()).0
}

/// The same, doing something else meanwhile.
fn on_threads_beside<I: Sync, T: Send, R>(
    items: &[I],
    work: impl Fn(&I, &mut Vec<u8>) -> Result<T, SliceError> + Sync,
    beside: impl FnOnce() -> R,
) -> (Vec<Result<T, SliceError>>, R) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let (next, work) = (AtomicUsize::new(0), &work);
    // Whoever is done takes the next: items are not alike.
    let part = || {
        let (mut done, mut buffer) = (Vec::new(), Vec::new());
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item, &mut buffer)));
        }
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..threads.min(items.len())).map(|_| scope.spawn(part)).collect();
        let other = beside();
        let failed = || SliceError::Form("a chunk of it cannot be looked at");
        let mut found: Vec<Result<T, SliceError>> = items.iter().map(|_| Err(failed())).collect();
        // One whose thread is gone has failed.
        for (at, done) in parts.into_iter().filter_map(|part| part.join().ok()).flatten() {
            found[at] = done;
        }
        (found, other)
    })
}

impl Packed {
    fn unpack<'b>(&self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], SliceError> {
        if buffer.len() < self.plain {
            buffer.resize(self.plain, 0);
        }
        let bytes = &mut buffer[..self.plain];
        let length = lz4_flex::block::decompress_into(&self.bytes, bytes);
        if length.ok() == Some(self.plain) {
            Ok(bytes)
        } else {
            Err(SliceError::Form("a chunk does not unpack to its length"))
        }
    }
}

/// Of those that were noticed, the ones that were chosen, with their places among all: what was kept of them, and what is to
/// be read again.
fn chosen(noticed: Vec<Noticed>, wanted: &mut dyn Wanted) -> [Vec<(usize, Noticed)>; 2] {
    let mut noticed: Vec<_> = noticed.into_iter().map(Some).collect();
    let chosen = wanted.choose().into_iter().filter_map(|at| Some((at, noticed.get_mut(at)?.take()?)));
    let (kept, again) = chosen.partition(|(_, noticed)| noticed.bytes.is_some());
    [kept, again]
}

/// A record that was kept: what was looked at, so that nothing of it is to be verified again.
fn read_kept((at, noticed): &(usize, Noticed), _buffer: &mut Vec<u8>) -> Result<(usize, Record), SliceError> {
    let mut bytes = noticed.bytes.as_deref().ok_or(CHANGED)?;
    let raw = item::read(&mut bytes).ok_or(CHANGED)?;
    Ok((*at, record(&raw)?))
}

fn record(raw: &item::Raw<'_>) -> Result<Record, SliceError> {
    raw.record().map_err(|what| SliceError::Record { number: raw.number(), what })
}

fn look_at(chunk: &Packed, wanted: &dyn Wanted, buffer: &mut Vec<u8>) -> Result<Looked, SliceError> {
    let bytes = chunk.unpack(buffer)?;
    let (mut hash, mut rest) = (Sha256::new(), bytes);
    let mut looked = Looked {
        records: 0,
        digest: Digest([0; 32]),
        hashes: Vec::new(),
        found: Vec::new(),
        context: Vec::new(),
    };
    let mut found = 0;
    while !rest.is_empty() {
        let begun = rest;
        let raw = item::read(&mut rest).ok_or(SliceError::Form("an item of it is cut off"))?;
        let lists = raw.digest(&mut hash, &mut looked.hashes);
        if raw.kind == item::RECORD {
            looked.records += 1;
            if !raw.commits_to(&lists) {
                let what = "its list is not the one that its result commits to";
                return Err(SliceError::Record { number: raw.number(), what });
            }
            if let Some(hits) = wanted.hits(&raw.lists, raw.is_taken()) {
                let bytes = begun[..begun.len() - rest.len()].into();
                looked.found.push(Found {
                    item: found,
                    facts: Sha256::digest(raw.facts).into(),
                    bytes,
                    hits,
                });
            }
        } else {
            for (index, bytes) in &raw.leaves {
                let leaf = Leaf::parse(bytes).map_err(|_| SliceError::Form("a leaf of it cannot be read"))?;
                looked.context.push((*index, leaf, bytes.to_vec()));
            }
        }
        found += 1;
    }
    if found as usize != chunk.items {
        return Err(SliceError::Form("a chunk has not as many items as it says"));
    }
    looked.digest = Digest(hash.finalize().into());
    looked.hashes.sort_unstable_by_key(|(index, _)| *index);
    Ok(looked)
}

/// Records of a chunk that was verified before.
fn read_again(
    chunk: &Packed,
    chosen: &[(usize, Noticed)],
    many: &Many,
    buffer: &mut Vec<u8>,
) -> Result<Vec<(usize, Record)>, SliceError> {
    let (mut rest, mut records) = (chunk.unpack(buffer)?, Vec::new());
    let mut chosen = chosen.iter().peekable();
    let mut number = 0;
    while let Some((at, next)) = chosen.peek() {
        let raw = item::read(&mut rest).ok_or(CHANGED)?;
        if next.item == number {
            let same = |(index, leaf): &(u64, &[u8])| many.leaf(*index) == Some(&leaf_hash(leaf));
            if !raw.leaves.iter().all(same) || <[u8; 32]>::from(Sha256::digest(raw.facts)) != next.facts {
                return Err(CHANGED);
            }
            records.push((*at, record(&raw)?));
            chosen.next();
        }
        number += 1;
    }
    Ok(records)
}

impl Slice {
    /// A leaf's hash. `None` for a leaf that the slice has not.
    pub fn leaf_hash(&self, index: u64) -> Option<Digest> {
        self.many.leaf(index).copied().map(Digest)
    }

    /// A proof of one leaf alone, without its bytes: what an attestation carries. `None` for a leaf that the slice has
    /// not.
    pub fn proof(&self, index: u64) -> Option<TlogProof> {
        let hashes = self.many.prove(index)?;
        Some(TlogProof { extra: None, index, hashes, checkpoint: self.header.checkpoint.clone() })
    }
}

fn exact(input: &mut impl Read, bytes: &mut [u8]) -> Result<(), SliceError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SliceError::Form("it is cut off"),
        _ => SliceError::Io(error),
    })
}

fn number(input: &mut impl Read) -> Result<usize, SliceError> {
    let mut bytes = [0; 4];
    exact(input, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One leaf a number, in chunks of these numbers.
    fn leaves(chunks: &[&[u64]]) -> Leaves {
        let mut leaves = Leaves::default();
        for chunk in chunks {
            leaves.add(chunk.iter().map(|index| (*index, leaf_hash(&index.to_le_bytes()))).collect());
        }
        leaves
    }

    fn ordered(chunks: &[&[u64]], more: u64) -> Vec<u64> {
        let of = |index: u64| leaf_hash(&index.to_le_bytes());
        let ordered = leaves(chunks).ordered((more, of(more)));
        assert!(ordered.iter().all(|(index, hash)| *hash == of(*index)), "each keeps its hash");
        ordered.into_iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn leaves_are_ordered_whatever_the_order_of_their_chunks() {
        assert_eq!(ordered(&[], 3), [3]);
        assert_eq!(ordered(&[&[4, 5], &[1, 3], &[0]], 9), [0, 1, 3, 4, 5, 9], "as exports write them");
        assert_eq!(ordered(&[&[4, 6], &[2, 5], &[1, 3]], 9), [1, 2, 3, 4, 5, 6, 9], "one in another");
        assert_eq!(ordered(&[&[], &[7], &[]], 2), [2, 7], "the one more is not the last");
        // Oldest first: each chunk would move all that came before.
        let chunks: Vec<Vec<u64>> = (0..40).map(|chunk| vec![2 * chunk, 2 * chunk + 1]).collect();
        let chunks: Vec<&[u64]> = chunks.iter().map(Vec::as_slice).collect();
        assert_eq!(ordered(&chunks, 80), (0..=80).collect::<Vec<_>>());
        // The same leaf twice stays twice, for the proof to refuse.
        assert_eq!(ordered(&[&[1, 2], &[1]], 3), [1, 1, 2, 3]);
    }
}
