//! Taking a slice of a ledger: by whoever holds it open.

use std::collections::HashMap;

use ledger::disk::Disk;
use ledger::{
    Choice, ENROL_KEY, Event, Filter, Fingerprints, Leaf, Leaves, Ledger, Outcome, QueryError, REVOKE_KEY,
    ReadError, Row, Step,
};
use protocol::Digest;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tlog::Hash;

use super::item::{self, Facts, Finding};
use super::{CHUNK_BYTES_MAX, CHUNK_RECORDS_MAX, Contents, RECORD_LEAVES_MAX, Scope, Sealing};

/// Findings of one record that are kept.
const FINDINGS_MAX: usize = 16;
/// Leaves about keys and models at most.
const CONTEXT_LEAVES_MAX: usize = 4096;

/// What is taken, and where it ends.
#[derive(Clone, Debug)]
pub struct Selection {
    /// What.
    pub scope: Scope,
    /// Only leaves before this one.
    pub end: u64,
}

/// A part of a slice.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// Its items.
    pub items: u32,
    /// Of them, records.
    pub records: u32,
    /// Its bytes, not compressed.
    pub plain: Vec<u8>,
    /// Where the next begins; `None` at the end.
    pub next: Option<u64>,
}

/// Looks at all that a slice will hold, and says what the seal binds: it is recorded before anything is handed out.
pub fn seal(ledger: &Ledger, selection: &Selection, key: &[u8; 32]) -> Result<Contents, QueryError> {
    let mut sealing = Sealing::new(&selection.scope, selection.end, key);
    let mut before = Some(selection.end);
    while let Some(from) = before {
        let chunk = page(ledger, selection, from)?;
        if chunk.items > 0 {
            sealing.add(u64::from(chunk.records), &chunk.digest());
        }
        before = chunk.next;
    }
    Ok(sealing.finish())
}

/// The chunk of what lies before a leaf, newest first. The first, before the selection's end, also has the leaves about
/// keys that approve and models that were qualified.
pub fn page(ledger: &Ledger, selection: &Selection, before: u64) -> Result<Chunk, QueryError> {
    let mut chunk = Chunk::default();
    if before == selection.end {
        context(ledger, selection, &mut chunk)?;
    }
    let scope = &selection.scope;
    let filter = Filter {
        kind: Some("intent".to_owned()),
        repository: scope.repository.clone().filter(|_| !scope.unnamed),
        since_unix_ms: scope.since_unix_ms,
        ..Filter::default()
    };
    let found = ledger.query(&filter, Some(before), CHUNK_RECORDS_MAX)?;
    chunk.next = found.before;
    // Of all at once: what names them lies anywhere behind.
    let records: Vec<u64> = found.rows.iter().map(|row| row.leaf).collect();
    let mut related: HashMap<u64, Vec<u64>> = HashMap::new();
    for (record, index) in ledger.related_to(&records)? {
        related.entry(record).or_default().push(index);
    }
    let mut stored = Leaves::new(ledger);
    for row in &found.rows {
        let related = related.get(&row.leaf).map(Vec::as_slice).unwrap_or_default();
        let wanted =
            scope.repository.is_none() || row.repository.is_none() || row.repository == scope.repository;
        if wanted && let Some((leaves, lists, facts)) = record(&mut stored, selection, row, related)? {
            let written = chunk.plain.len();
            if item::write_record(&mut chunk.plain, &leaves, &lists, &facts).is_none() {
                chunk.plain.truncate(written);
                return Err(QueryError::Filter(format!("record {} is too long for a slice", row.leaf)));
            }
            chunk.items += 1;
            chunk.records += 1;
        }
        if chunk.plain.len() >= CHUNK_BYTES_MAX / 4 {
            chunk.next = Some(row.leaf);
            break;
        }
    }
    Ok(chunk)
}

impl Chunk {
    /// What the seal binds of it.
    fn digest(&self) -> Digest {
        let (mut hash, mut rest) = (Sha256::new(), self.plain.as_slice());
        let mut hashes = Vec::new();
        while let Some(raw) = item::read(&mut rest) {
            raw.digest(&mut hash, &mut hashes);
        }
        Digest(hash.finalize().into())
    }

    /// Numbers of all its leaves.
    pub fn indexes(&self) -> Vec<u64> {
        let mut rest = self.plain.as_slice();
        let raw = std::iter::from_fn(|| item::read(&mut rest));
        raw.flat_map(|raw| raw.leaves.into_iter().map(|(index, _)| index).collect::<Vec<_>>()).collect()
    }

    /// As it lies in a file.
    pub fn encoded(&self) -> Vec<u8> {
        let packed = lz4_flex::block::compress(&self.plain);
        // A chunk is bounded: the reader refuses one that is not.
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut out = Vec::with_capacity(packed.len() + 12);
        out.extend(self.items.to_le_bytes());
        out.extend(length(&self.plain));
        out.extend(length(&packed));
        out.extend(packed);
        out
    }
}

/// The proof that leaves, in any order, are in the first `size` of a log.
pub fn prove(disk: &dyn Disk, mut indexes: Vec<u64>, size: u64) -> Result<Vec<Hash>, ledger::ProveLeafError> {
    indexes.sort_unstable();
    indexes.dedup();
    ledger::prove_many(disk, &indexes, size)
}

type Numbered = Vec<(u64, Vec<u8>)>;

/// Who approves with which key, and which models were qualified by which report.
fn context(ledger: &Ledger, selection: &Selection, chunk: &mut Chunk) -> Result<(), QueryError> {
    let of = |kind: &str, action: &str| Filter {
        kind: Some(kind.to_owned()),
        action: Some(action.to_owned()),
        ..Filter::default()
    };
    let mut indexes = Vec::new();
    for filter in [
        of("administration", ENROL_KEY),
        of("administration", REVOKE_KEY),
        of("model", Step::Qualified.name()),
        of("model", Step::Withdrawn.name()),
    ] {
        let mut before = Some(selection.end);
        while let Some(from) = before {
            let page = ledger.query(&filter, Some(from), ledger::QUERY_ROWS_MAX)?;
            indexes.extend(page.rows.iter().map(|row| row.leaf));
            before = page.before;
            if indexes.len() > CONTEXT_LEAVES_MAX {
                let message = format!("more than {CONTEXT_LEAVES_MAX} leaves are about keys and models");
                return Err(QueryError::Filter(message));
            }
        }
    }
    indexes.sort_unstable();
    for index in indexes {
        let leaf = ledger.leaf(index)?;
        if item::write_leaves(&mut chunk.plain, item::LEAF, &[(index, leaf)]).is_some() {
            chunk.items += 1;
        }
    }
    Ok(())
}

/// A record with all that is needed of it; `None` where no line can come from it.
fn record(
    stored: &mut Leaves<'_>,
    selection: &Selection,
    row: &Row,
    related: &[u64],
) -> Result<Option<(Numbered, Fingerprints, Vec<u8>)>, QueryError> {
    let (mut result, mut behind, mut choices) = (None, Vec::new(), Vec::new());
    for index in related.iter().copied().filter(|index| *index < selection.end) {
        let leaf = stored.get(index)?;
        let Ok(parsed) = Leaf::parse(&leaf) else { continue };
        match parsed.event {
            Event::Result(found) if result.is_none() => result = Some((index, leaf, found)),
            Event::Decision(decision) => {
                choices.push((decision.choice, decision.accepted_bytes));
                behind.push((index, leaf));
            }
            Event::Check(_) => behind.push((index, leaf)),
            _ => {}
        }
    }
    let Some((index, leaf, found)) = result else { return Ok(None) };
    let taken = choices.iter().any(|(choice, _)| choice.takes_over());
    let rejected = !taken && choices.iter().any(|(choice, _)| *choice == Choice::Rejected);
    if found.outcome == Outcome::Withheld || rejected && !selection.scope.rejected {
        return Ok(None);
    }
    // Erased: nobody can find its lines any more.
    let Some(body) = stored.record(index)?.body else { return Ok(None) };
    let damaged = |what: &str| {
        QueryError::Read(ReadError::Damaged { file: "the ledger".to_owned(), index, what: what.to_owned() })
    };
    let body: Body = serde_json::from_slice(&body).map_err(|_| damaged("the body is no result's"))?;
    let lists = body.fingerprints.ok_or_else(|| damaged("the body has no fingerprints"))?;
    if lists.digest() != found.fingerprints {
        return Err(damaged("the fingerprints are not those that the leaf commits to"));
    }
    if lists.lines.is_empty() {
        return Ok(None);
    }
    let bytes = choices.iter().filter(|(choice, _)| *choice == Choice::PartlyAccepted);
    let bytes = bytes.filter_map(|(_, bytes)| *bytes).max();
    let facts = Facts {
        findings: findings(&body.provenance),
        compared: compared(&body.provenance),
        accepted_lines: bytes.map(|bytes| whole_lines(&body.output_text, bytes)),
    };
    let mut leaves = vec![(row.leaf, stored.get(row.leaf)?), (index, leaf)];
    behind.truncate(RECORD_LEAVES_MAX - leaves.len());
    leaves.extend(behind);
    Ok(Some((leaves, lists, serde_json::to_vec(&facts).unwrap_or_default())))
}

/// What of a result's body is looked at.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    fingerprints: Option<Fingerprints>,
    #[serde(default)]
    output_text: String,
    #[serde(default)]
    provenance: Value,
}

fn findings(provenance: &Value) -> Vec<Finding> {
    let matches = provenance["matches"].as_array().map(Vec::as_slice).unwrap_or_default();
    let says = |found: &&Value| found["is_common"] != true && found["kind"] != "copied";
    let read = matches.iter().filter(says).filter_map(|found| serde_json::from_value(found.clone()).ok());
    read.take(FINDINGS_MAX).collect()
}

fn compared(provenance: &Value) -> bool {
    let some = |name: &str| provenance[name].as_array().is_some_and(|list| !list.is_empty());
    some("corpora") && !some("not_asked") && provenance["cut_short"] != true
}

/// Lines with more than white space that lie wholly within the first bytes.
fn whole_lines(text: &str, bytes: u64) -> u32 {
    let (mut lines, mut at) = (0, 0_u64);
    for line in text.split_inclusive('\n') {
        at += line.trim_end_matches(['\n', '\r']).len() as u64;
        if at > bytes {
            break;
        }
        lines += u32::from(!line.trim().is_empty());
        at += (line.len() - line.trim_end_matches(['\n', '\r']).len()) as u64;
    }
    lines
}
