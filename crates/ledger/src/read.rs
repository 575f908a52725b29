//! Reading records back, from the write-ahead log or from where they stay.

use std::fmt;
use std::io;

use sha2::{Digest as _, Sha256};
use tlog::{Hash, leaf_hash};

use crate::body::{self, UnsealError, Wrap, unseal};
use crate::disk::Access;
use crate::leaf::{BodyCommitment, Leaf};
use crate::log::Ledger;
use crate::pack;
use crate::shared::Pending;
use crate::store::{bundle_of, read_tile, related};
use crate::wal;

/// Records that [`Ledger::list`] returns at most.
pub const LIST_RECORDS_MAX: u32 = 1000;

/// Bundles that [`Leaves`] keeps: a record's own leaves lie in one or two.
const BUNDLES_MAX: usize = 4;

/// Times a read is begun again because integration moved what it was about to read.
const ATTEMPTS: usize = 16;

/// A leaf with its body.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// The leaf's index.
    pub index: u64,
    /// Its RFC 6962 hash.
    pub hash: Hash,
    /// The leaf.
    pub leaf: Leaf,
    /// The body's plain bytes.
    pub body: Option<Vec<u8>>,
    /// Whether there was a body that was erased.
    pub erased: bool,
}

/// Bodies are a person's own words.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("index", &self.index)
            .field("leaf", &self.leaf)
            .field("body_bytes", &self.body.as_ref().map(Vec::len))
            .finish()
    }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such leaf.
    #[error("there is no record {index}: the ledger has {size} leaves")]
    NotFound {
        /// What was asked for.
        index: u64,
        /// Durable leaves.
        size: u64,
    },
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    Io {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what the ledger wrote.
    #[error("{file} is damaged at leaf {index}: {what}; run `cloister ledger verify`")]
    Damaged {
        /// The file.
        file: String,
        /// The leaf.
        index: u64,
        /// What is wrong.
        what: String,
    },
    /// The body does not open.
    #[error("the body of leaf {index} does not open")]
    Body {
        /// The leaf.
        index: u64,
        /// Why.
        #[source]
        source: UnsealError,
    },
}

/// Bytes of a leaf, and of its body where the write-ahead log has them.
struct Stored {
    file: String,
    leaf: Vec<u8>,
    body: Option<(Vec<u8>, Wrap)>,
}

impl Ledger {
    /// A leaf with its decrypted body. Blocks on the disk.
    pub fn record(&self, index: u64) -> Result<Record, ReadError> {
        self.opened(index, self.stored(index)?)
    }

    fn opened(&self, index: u64, stored: Stored) -> Result<Record, ReadError> {
        let (hash, leaf) = (leaf_hash(&stored.leaf), parse(index, &stored)?);
        let Some(commitment) = &leaf.body else {
            return Ok(Record { index, hash, leaf, body: None, erased: false });
        };
        let (file, payload, wrap) = match stored.body {
            Some((payload, wrap)) => (stored.file, payload, wrap),
            None => self.packed(index, commitment)?,
        };
        if <[u8; 32]>::from(Sha256::digest(&payload)) != commitment.digest.0 {
            let what = "the body is not the one the leaf commits to".to_owned();
            return Err(ReadError::Damaged { file, index, what });
        }
        if wrap == Wrap::DESTROYED {
            return Ok(Record { index, hash, leaf, body: None, erased: true });
        }
        let body = unseal(&payload, &wrap, &self.inner.keys, index, &commitment.content)
            .map_err(|source| ReadError::Body { index, source })?;
        Ok(Record { index, hash, leaf, body: Some(body), erased: false })
    }

    /// A leaf's bytes, as the log has them. Blocks on the disk.
    pub fn leaf(&self, index: u64) -> Result<Vec<u8>, ReadError> {
        Ok(self.stored(index)?.leaf)
    }

    /// A body's payload and key, from where they stay.
    fn packed(&self, index: u64, commitment: &BodyCommitment) -> Result<(String, Vec<u8>, Wrap), ReadError> {
        let disk = &*self.inner.disk;
        let page = pack::page_path(index);
        let slot = pack::read_slot(disk, index);
        let slot = slot.map_err(|source| ReadError::Io { file: page.clone(), source })?;
        if slot.bytes != commitment.bytes {
            let what = "the body's length is not the one the leaf commits to".to_owned();
            return Err(ReadError::Damaged { file: page, index, what });
        }
        let file = pack::pack_path(index);
        let payload = disk.open(&file, Access::Read).and_then(|pack| pack::read_payload(&*pack, &slot));
        let payload = payload.map_err(|source| ReadError::Io { file: file.clone(), source })?;
        Ok((file, payload, slot.wrap))
    }

    /// The leaves that name a record, in order. Blocks on the disk.
    pub fn related(&self, record: u64) -> Result<Vec<u64>, ReadError> {
        let found = self.related_to(&[record])?;
        Ok(found.into_iter().map(|(_, index)| index).collect())
    }

    /// The same of several records: each leaf with the record that it names, in order of the leaves. What is behind the first
    /// of them is read once, whatever their number. Blocks on the disk.
    pub fn related_to(&self, records: &[u64]) -> Result<Vec<(u64, u64)>, ReadError> {
        let mut records = records.to_vec();
        records.sort_unstable();
        let state = self.inner.shared.lock();
        let (size, integrated) = (state.size, state.integrated);
        let waiting: Vec<(u64, u64)> = (integrated..)
            .zip(&state.pending)
            .filter_map(|(index, pending)| Some((pending.record?, index)))
            .filter(|(record, _)| records.binary_search(record).is_ok())
            .collect();
        drop(state);
        if let Some(&index) = records.last().filter(|last| **last >= size) {
            return Err(ReadError::NotFound { index, size });
        }
        let mut found = related(&*self.inner.disk, &records, integrated)
            .map_err(|source| ReadError::Io { file: crate::store::RELATIONS.to_owned(), source })?;
        found.extend(waiting);
        Ok(found)
    }

    /// Leaves, newest first, without their bodies: at most `count` and [`LIST_RECORDS_MAX`], only those
    /// before `before`. Blocks on the disk.
    pub fn list(&self, before: Option<u64>, count: u32) -> Result<Vec<Record>, ReadError> {
        let size = self.inner.shared.lock().size;
        let end = before.unwrap_or(size).min(size);
        let start = end.saturating_sub(u64::from(count.min(LIST_RECORDS_MAX)));
        let mut leaves = Leaves::new(self);
        let read = |index| {
            let stored = Stored { file: "the ledger".to_owned(), leaf: leaves.get(index)?, body: None };
            let (hash, leaf) = (leaf_hash(&stored.leaf), parse(index, &stored)?);
            Ok(Record { index, hash, leaf, body: None, erased: false })
        };
        (start..end).rev().map(read).collect()
    }

    /// Integration may move a leaf between the look at the state and the read: then it is looked at
    /// again.
    fn stored(&self, index: u64) -> Result<Stored, ReadError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let state = self.inner.shared.lock();
            let (size, integrated) = (state.size, state.integrated);
            let waiting = index.checked_sub(integrated).and_then(|place| usize::try_from(place).ok());
            let pending = waiting.and_then(|place| state.pending.get(place)).copied();
            drop(state);
            let read = match pending {
                _ if index >= size => return Err(ReadError::NotFound { index, size }),
                Some(pending) => self.stored_in_wal(index, &pending),
                None => self.stored_in_bundle(index, integrated),
            };
            match read {
                Err(ReadError::Io { file, source }) if source.kind() == io::ErrorKind::NotFound => {
                    last = Some(ReadError::Io { file, source });
                }
                done => return done,
            }
        }
        Err(last.unwrap_or(ReadError::NotFound { index, size: 0 }))
    }

    fn stored_in_wal(&self, index: u64, pending: &Pending) -> Result<Stored, ReadError> {
        let file = wal::path(pending.place.segment);
        let bytes = wal::read_frame(&*self.inner.disk, pending.place);
        let bytes = bytes.map_err(|source| ReadError::Io { file: file.clone(), source })?;
        let frame = wal::parse(&bytes).filter(|frame| frame.index == index);
        let Some(frame) = frame else {
            return Err(ReadError::Damaged { file, index, what: "the frame is damaged".to_owned() });
        };
        let body = body::split(frame.body).map(|(payload, wrap)| (payload.to_vec(), wrap));
        Ok(Stored { file, leaf: frame.leaf.to_vec(), body })
    }

    fn stored_in_bundle(&self, index: u64, integrated: u64) -> Result<Stored, ReadError> {
        let (name, place) = bundle_of(index, integrated);
        let (name, bytes) = read_tile(&*self.inner.disk, name)
            .map_err(|source| ReadError::Io { file: name.to_string(), source })?;
        let file = name.to_string();
        let entries = tlog::entry::prefix(&bytes, place + 1).map_err(|error| ReadError::Damaged {
            file: file.clone(),
            index,
            what: error.to_string(),
        })?;
        let leaf = entries.0.last().map(|entry| entry.leaf.to_vec()).unwrap_or_default();
        Ok(Stored { file, leaf, body: None })
    }
}

/// Many leaves, near each other: what lies in a bundle that was read lately is not read again.
pub struct Leaves<'l> {
    ledger: &'l Ledger,
    /// Bundles' numbers and their leaves, the latest last.
    bundles: Vec<(u64, Vec<Vec<u8>>)>,
}

impl<'l> Leaves<'l> {
    /// Nothing is read yet.
    pub fn new(ledger: &'l Ledger) -> Self {
        Leaves { ledger, bundles: Vec::new() }
    }

    /// A leaf's bytes. Blocks on the disk.
    pub fn get(&mut self, index: u64) -> Result<Vec<u8>, ReadError> {
        Ok(self.stored(index)?.leaf)
    }

    /// A leaf with its decrypted body. Blocks on the disk.
    pub fn record(&mut self, index: u64) -> Result<Record, ReadError> {
        let stored = self.stored(index)?;
        self.ledger.opened(index, stored)
    }

    fn stored(&mut self, index: u64) -> Result<Stored, ReadError> {
        let (number, place) = (index / 256, usize::try_from(index % 256).unwrap_or(0));
        let kept = self.bundles.iter().find(|(kept, leaves)| *kept == number && place < leaves.len());
        if kept.is_none() {
            self.read(index);
        }
        let kept = self.bundles.iter().find(|(kept, _)| *kept == number);
        match kept.and_then(|(_, leaves)| leaves.get(place)) {
            Some(leaf) => Ok(Stored { file: "the ledger".to_owned(), leaf: leaf.clone(), body: None }),
            // Not integrated, moved meanwhile, or damaged: that way says which.
            None => self.ledger.stored(index),
        }
    }

    /// Keeps the bundle that has a leaf, where there is one.
    fn read(&mut self, index: u64) {
        let integrated = self.ledger.inner.shared.lock().integrated;
        if index >= integrated {
            return;
        }
        let (name, _) = bundle_of(index, integrated);
        if let Ok((name, bytes)) = read_tile(&*self.ledger.inner.disk, name)
            && let Ok((entries, _)) = tlog::entry::prefix(&bytes, usize::from(name.width))
        {
            self.bundles.retain(|(kept, _)| *kept != index / 256);
            if self.bundles.len() >= BUNDLES_MAX {
                self.bundles.remove(0);
            }
            self.bundles.push((index / 256, entries.iter().map(|entry| entry.leaf.to_vec()).collect()));
        }
    }
}

fn parse(index: u64, stored: &Stored) -> Result<Leaf, ReadError> {
    Leaf::parse(&stored.leaf).map_err(|error| ReadError::Damaged {
        file: stored.file.clone(),
        index,
        what: format!("the leaf cannot be read: {error}"),
    })
}
