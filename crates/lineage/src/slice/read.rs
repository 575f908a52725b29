//! Reading a slice that anybody may have had in their hands.

use std::io::{self, Read};

use ledger::{Event, Leaf};
use protocol::Digest;
use sha2::{Digest as _, Sha256};
use tlog::policy::{JudgeError, Judged};
use tlog::proof::Many;
use tlog::{Hash, Policy, TlogProof, leaf_hash};

use super::item::{self, Lists, Record};
use super::{ACTION, CHUNK_BYTES_MAX, FIRST_LINE, HEADER_BYTES_MAX, Header, LEAVES_MAX, Sealing};

/// Chunks that are looked at together.
const TOGETHER: usize = 8;

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
    /// When the slice was made, in milliseconds since 1970.
    pub made_unix_ms: u64,
    many: Many,
}

impl<R: Read> Reader<R> {
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
        Ok(Reader { input, header, key })
    }

    /// The key that fingerprints are made with.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Reads and verifies all of it, and keeps the records whose lists are wanted.
    pub fn read(
        mut self,
        policy: &Policy,
        wanted: &(dyn Fn(&Lists<'_>) -> bool + Sync),
    ) -> Result<Slice, SliceError> {
        let judged = policy.judge(&self.header.checkpoint)?;
        if !judged.quorum {
            return Err(SliceError::Quorum);
        }
        let signed = &judged.checkpoint.origin;
        if *signed != self.header.origin {
            return Err(SliceError::Origin { said: self.header.origin, signed: signed.clone() });
        }
        let mut sealing = Sealing::new(&self.header.scope, self.header.end, &self.key);
        let (mut hashes, mut records, mut context) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let (packed, ended) = self.chunks()?;
            for looked in look(&packed, wanted) {
                let looked = looked?;
                sealing.add(looked.records, &looked.digest);
                hashes.extend(looked.hashes);
                records.extend(looked.kept);
                context.extend(looked.context);
                if hashes.len() > LEAVES_MAX {
                    return Err(SliceError::Form("it has too many leaves"));
                }
            }
            if ended {
                break;
            }
        }
        let contents = sealing.finish();
        let made_unix_ms = self.seal(&contents)?;
        hashes.push((self.header.seal, leaf_hash(self.header.seal_leaf.as_bytes())));
        hashes.sort_unstable();
        let (indexes, leaves): (Vec<u64>, Vec<Hash>) = hashes.into_iter().unzip();
        let proof = self.proof()?;
        let checkpoint = &judged.checkpoint;
        let many = Many::verify(checkpoint.size, &checkpoint.root, indexes, leaves, proof)
            .map_err(|_| SliceError::Inclusion)?;
        context.sort_unstable_by_key(|(index, _)| *index);
        let records_total = contents.records;
        Ok(Slice { header: self.header, judged, records_total, records, context, made_unix_ms, many })
    }

    /// A few chunks, still packed: items, plain bytes and packed bytes; and whether they were the last.
    fn chunks(&mut self) -> Result<(Vec<(u32, usize, Vec<u8>)>, bool), SliceError> {
        let mut chunks = Vec::new();
        while chunks.len() < TOGETHER {
            let items = number(&mut self.input)?;
            if items == 0 {
                return Ok((chunks, true));
            }
            let plain = number(&mut self.input)?;
            let packed = number(&mut self.input)?;
            if plain > CHUNK_BYTES_MAX || packed > CHUNK_BYTES_MAX {
                return Err(SliceError::Form("a chunk is too long"));
            }
            let mut bytes = vec![0; packed];
            exact(&mut self.input, &mut bytes)?;
            chunks.push((u32::try_from(items).unwrap_or(u32::MAX), plain, bytes));
        }
        Ok((chunks, false))
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
            return Err(SliceError::Contents { sealed, found: format!("`{}`: {found}", header.scope.subject()) });
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

/// What was seen of one chunk.
struct Looked {
    records: u64,
    digest: Digest,
    hashes: Vec<(u64, Hash)>,
    kept: Vec<Record>,
    context: Vec<(u64, Leaf)>,
}

type Packed = (u32, usize, Vec<u8>);

/// Looks at chunks on as many threads as the machine has, in order.
fn look(chunks: &[Packed], wanted: &(dyn Fn(&Lists<'_>) -> bool + Sync)) -> Vec<Result<Looked, SliceError>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(TOGETHER);
    if threads < 2 || chunks.len() < 2 {
        return chunks.iter().map(|chunk| look_at(chunk, wanted)).collect();
    }
    let per_thread = chunks.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let parts: Vec<_> = chunks
            .chunks(per_thread)
            .map(|part| {
                scope.spawn(move || part.iter().map(|chunk| look_at(chunk, wanted)).collect::<Vec<_>>())
            })
            .collect();
        let ended = |part: std::thread::ScopedJoinHandle<'_, Vec<_>>| {
            part.join().unwrap_or_else(|_| vec![Err(SliceError::Form("a chunk of it cannot be looked at"))])
        };
        parts.into_iter().flat_map(ended).collect()
    })
}

fn look_at(
    (items, plain, packed): &Packed,
    wanted: &(dyn Fn(&Lists<'_>) -> bool + Sync),
) -> Result<Looked, SliceError> {
    let mut bytes = vec![0; *plain];
    let length = lz4_flex::block::decompress_into(packed, &mut bytes);
    if length.ok() != Some(*plain) {
        return Err(SliceError::Form("a chunk does not unpack to its length"));
    }
    let (mut hash, mut rest) = (Sha256::new(), bytes.as_slice());
    let mut looked =
        Looked { records: 0, digest: Digest([0; 32]), hashes: Vec::new(), kept: Vec::new(), context: Vec::new() };
    let mut found = 0;
    while !rest.is_empty() {
        let raw = item::read(&mut rest).ok_or(SliceError::Form("an item of it is cut off"))?;
        let lists = raw.digest(&mut hash, &mut looked.hashes);
        found += 1;
        let number = raw.leaves.first().map_or(0, |(index, _)| *index);
        if raw.kind == item::RECORD {
            looked.records += 1;
            if !raw.commits_to(&lists) {
                let what = "its list is not the one that its result commits to";
                return Err(SliceError::Record { number, what });
            }
            if wanted(&raw.lists) {
                let record = raw.record().map_err(|what| SliceError::Record { number, what })?;
                looked.kept.push(record);
            }
        } else {
            for (index, leaf) in &raw.leaves {
                let leaf = Leaf::parse(leaf).map_err(|_| SliceError::Form("a leaf of it cannot be read"))?;
                looked.context.push((*index, leaf));
            }
        }
    }
    if found != *items {
        return Err(SliceError::Form("a chunk has not as many items as it says"));
    }
    looked.digest = Digest(hash.finalize().into());
    Ok(looked)
}

impl Slice {
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
