//! Items of a chunk, written and read.

use std::sync::LazyLock;

use ledger::{Choice, Decision, Event, Fingerprint, Fingerprints, Intent, Leaf, LineFingerprint, ResultLeaf};
use memchr::memmem::Finder;
use protocol::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tlog::{Hash, leaf_hash};

use super::RECORD_LEAVES_MAX;

pub(super) const RECORD: u8 = 1;
pub(super) const LEAF: u8 = 2;

/// What of a body goes with a record: no text of it. The seal vouches for it, as it is in no leaf in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Matches with known code that say something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Whether the answer was compared with all known code.
    #[serde(default)]
    pub compared: bool,
    /// Of a partly accepted answer, the lines that lie within what was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_lines: Option<u32>,
}

/// A match with known code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// `exact`, `renamed` or `near`.
    pub kind: String,
    /// What the site's policy says of it: `annotate`, `warn` or `block`.
    pub action: String,
    /// Lines of the answer, from 1.
    pub lines: (u32, u32),
    /// Lexemes of it.
    pub lexemes: u32,
    /// Licences of what it matches.
    pub licences: Vec<String>,
}

/// The field of a result that names the digest of its list, up to the digest.
static FINGERPRINTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""fingerprints":""#));

/// The fields of decisions that take something over.
static TAKING_OVER: LazyLock<Vec<Finder<'static>>> = LazyLock::new(|| {
    let taken = Choice::ALL.into_iter().filter(|choice| choice.takes_over());
    taken.map(|choice| Finder::new(&format!(r#""choice":"{}""#, choice.name())).into_owned()).collect()
});

/// A record's lists, as they lie in a chunk.
#[derive(Clone, Copy)]
pub struct Lists<'c> {
    lines: &'c [[u8; 16]],
    shingles: &'c [[u8; 8]],
}

/// An item, as it lies in a chunk.
pub(super) struct Raw<'c> {
    pub(super) kind: u8,
    pub(super) leaves: Vec<(u64, &'c [u8])>,
    pub(super) lists: Lists<'c>,
    pub(super) facts: &'c [u8],
}

/// An answer of the assistant that lines may come from.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number: the intent's.
    pub number: u64,
    /// Who asked what of which model.
    pub intent: Intent,
    /// When it was asked, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// The result's number.
    pub result_index: u64,
    /// How it ended.
    pub result: ResultLeaf,
    /// Decisions about it, each with its leaf's number and time.
    pub decisions: Vec<(u64, u64, Decision)>,
    /// Checks of it.
    pub checks: Vec<(u64, ledger::Check)>,
    /// What its lines are found by.
    pub fingerprints: Fingerprints,
    /// What its body said.
    pub facts: Facts,
    /// All its leaves as the log has them: the intent, the result, then decisions and checks.
    pub leaves: Vec<(u64, Vec<u8>)>,
}

impl<'c> Lists<'c> {
    /// Of each line: its own, then its normalised.
    pub fn lines(&self) -> impl Iterator<Item = (Fingerprint, Fingerprint)> + 'c {
        self.lines.iter().map(|pair| {
            let (raw, normalised) = pair.split_at(8);
            (fingerprint(raw), fingerprint(normalised))
        })
    }

    /// Of each run of lexemes.
    pub fn shingles(&self) -> impl Iterator<Item = Fingerprint> + 'c {
        self.shingles.iter().map(|bytes| Fingerprint(*bytes))
    }

    /// As the result commits to it.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new_with_prefix("cloister fingerprints 1\n");
        hash.update(u32::try_from(self.lines.len()).unwrap_or(u32::MAX).to_le_bytes());
        hash.update(self.lines.as_flattened());
        hash.update(u32::try_from(self.shingles.len()).unwrap_or(u32::MAX).to_le_bytes());
        hash.update(self.shingles.as_flattened());
        Digest(hash.finalize().into())
    }

    fn read(&self) -> Fingerprints {
        Fingerprints {
            lines: self.lines().map(|(raw, normalised)| LineFingerprint { raw, normalised }).collect(),
            shingles: self.shingles().collect(),
        }
    }
}

fn fingerprint(bytes: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 8];
    fingerprint.copy_from_slice(bytes);
    Fingerprint(fingerprint)
}

/// Appends a record; `None` where a part of it is longer than the format has room for.
pub(super) fn write_record(
    out: &mut Vec<u8>,
    leaves: &[(u64, Vec<u8>)],
    lists: &Fingerprints,
    facts: &[u8],
) -> Option<()> {
    write_leaves(out, RECORD, leaves)?;
    out.extend(u16::try_from(lists.lines.len()).ok()?.to_le_bytes());
    for line in &lists.lines {
        out.extend(line.raw.0);
        out.extend(line.normalised.0);
    }
    out.extend(u32::try_from(lists.shingles.len()).ok()?.to_le_bytes());
    lists.shingles.iter().for_each(|shingle| out.extend(shingle.0));
    out.extend(u32::try_from(facts.len()).ok()?.to_le_bytes());
    out.extend(facts);
    Some(())
}

/// Appends an item's head and leaves.
pub(super) fn write_leaves(out: &mut Vec<u8>, kind: u8, leaves: &[(u64, Vec<u8>)]) -> Option<()> {
    out.push(kind);
    out.push(u8::try_from(leaves.len()).ok()?);
    for (index, leaf) in leaves {
        out.extend(index.to_le_bytes());
        out.extend(u16::try_from(leaf.len()).ok()?.to_le_bytes());
        out.extend(leaf);
    }
    Some(())
}

/// The next item of a chunk.
pub(super) fn read<'c>(rest: &mut &'c [u8]) -> Option<Raw<'c>> {
    let [kind, leaves] = *take::<2>(rest)?;
    if !matches!(kind, RECORD | LEAF) || usize::from(leaves) > RECORD_LEAVES_MAX {
        return None;
    }
    let mut read = Vec::with_capacity(leaves.into());
    for _ in 0..leaves {
        let index = u64::from_le_bytes(*take(rest)?);
        let bytes = u16::from_le_bytes(*take(rest)?);
        read.push((index, rest.split_off(..usize::from(bytes))?));
    }
    let (mut lists, mut facts) = (Lists { lines: &[], shingles: &[] }, &[][..]);
    if kind == RECORD {
        let lines = u16::from_le_bytes(*take(rest)?);
        lists.lines = rest.split_off(..usize::from(lines) * 16)?.as_chunks().0;
        let shingles = u32::from_le_bytes(*take(rest)?);
        lists.shingles = rest.split_off(..usize::try_from(shingles).ok()?.checked_mul(8)?)?.as_chunks().0;
        let bytes = u32::from_le_bytes(*take(rest)?);
        facts = rest.split_off(..usize::try_from(bytes).ok()?)?;
    }
    Some(Raw { kind, leaves: read, lists, facts })
}

pub(super) fn take<'c, const BYTES: usize>(rest: &mut &'c [u8]) -> Option<&'c [u8; BYTES]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(taken)
}

impl Raw<'_> {
    /// Adds itself to a chunk's digest, and its leaves to a list.
    pub(super) fn digest(&self, hash: &mut Sha256, hashes: &mut Vec<(u64, Hash)>) -> Digest {
        hash.update([self.kind]);
        hash.update((self.leaves.len() as u64).to_le_bytes());
        for (index, leaf) in &self.leaves {
            let leaf = leaf_hash(leaf);
            hash.update(index.to_le_bytes());
            hash.update(leaf);
            hashes.push((*index, leaf));
        }
        if self.kind != RECORD {
            return Digest([0; 32]);
        }
        let lists = self.lists.digest();
        hash.update(lists.0);
        hash.update((self.facts.len() as u64).to_le_bytes());
        hash.update(self.facts);
        lists
    }

    /// The record's number.
    pub(super) fn number(&self) -> u64 {
        self.leaves.first().map_or(0, |(index, _)| *index)
    }

    /// Whether a decision among its leaves took something over: found as below.
    pub(super) fn is_taken(&self) -> bool {
        let has = |leaf: &[u8]| TAKING_OVER.iter().any(|field| field.find(leaf).is_some());
        self.leaves.iter().skip(2).any(|(_, leaf)| has(leaf))
    }

    /// Whether the result's leaf, the second, names the digest of a list. A quote within a string of JSON is escaped, so
    /// that this is found where the field stands and nowhere else.
    pub(super) fn commits_to(&self, lists: &Digest) -> bool {
        let Some((_, leaf)) = self.leaves.get(1) else { return false };
        let mut after =
            FINGERPRINTS.find_iter(leaf).filter_map(|at| leaf.get(at + FINGERPRINTS.needle().len()..));
        let lists = format!("{lists}\"");
        after.any(|after| after.starts_with(lists.as_bytes()))
    }

    /// The record, or what is wrong with it.
    pub(super) fn record(&self) -> Result<Record, &'static str> {
        let leaves = self.leaves.iter().map(|(index, leaf)| (*index, leaf.to_vec())).collect();
        let facts = serde_json::from_slice(self.facts).map_err(|_| "its facts cannot be read")?;
        let record = Record::of(leaves, facts)?;
        let fingerprints = self.lists.read();
        if fingerprints.digest() != record.result.fingerprints {
            return Err("its list is not the one that its result commits to");
        }
        Ok(Record { fingerprints, ..record })
    }
}

impl Record {
    /// What leaves amount to, without the lists that lines are found by: the intent, the result, then decisions and checks.
    /// Whether the log has them is for the caller to say.
    pub fn of(leaves: Vec<(u64, Vec<u8>)>, facts: Facts) -> Result<Record, &'static str> {
        let leaf = |bytes: &[u8]| Leaf::parse(bytes).map_err(|_| "a leaf of it cannot be read");
        let mut rest = leaves.iter();
        let (Some((number, intent)), Some((result_index, result))) = (rest.next(), rest.next()) else {
            return Err("it has no intent or no result");
        };
        let intent = leaf(intent)?;
        let time_unix_ms = intent.time_unix_ms;
        let Event::Intent(intent) = intent.event else { return Err("its first leaf is no intent") };
        let Event::Result(result) = leaf(result)?.event else { return Err("its second leaf is no result") };
        if result.record != *number {
            return Err("its result is another record's");
        }
        let (number, result_index) = (*number, *result_index);
        let (mut decisions, mut checks) = (Vec::new(), Vec::new());
        for (index, bytes) in rest {
            let Leaf { event, time_unix_ms, .. } = leaf(bytes)?;
            if event.record() != Some(number) {
                return Err("a leaf of it is another record's");
            }
            match event {
                Event::Decision(decision) => decisions.push((*index, time_unix_ms, *decision)),
                Event::Check(check) => checks.push((*index, *check)),
                _ => return Err("a leaf of it is neither a decision nor a check"),
            }
        }
        Ok(Record {
            number,
            intent: *intent,
            time_unix_ms,
            result_index,
            result: *result,
            decisions,
            checks,
            fingerprints: Fingerprints::default(),
            facts,
            leaves,
        })
    }

    /// The decision that stands: the last that says more than that it was shown.
    pub fn decision(&self) -> Option<&(u64, u64, Decision)> {
        self.decisions.iter().rev().find(|(_, _, decision)| decision.choice != Choice::Shown)
    }

    /// How many of its lines were taken over, as its decisions say.
    pub fn accepted_lines(&self) -> usize {
        // An answer that was taken over and rejected later may still be there: whoever took it over once has it.
        let taken = self.decisions.iter().filter(|(_, _, decision)| decision.choice.takes_over());
        let mut lines = 0;
        for (_, _, decision) in taken {
            let part =
                (decision.choice == Choice::PartlyAccepted).then_some(self.facts.accepted_lines).flatten();
            lines = lines.max(part.map_or(usize::MAX, |part| part as usize));
        }
        lines
    }
}
