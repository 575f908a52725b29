//! Lines that were edited: found by the runs of lexemes that are left of them, beside lines of the same answer.

use std::collections::HashMap;

use ledger::SHINGLE_LEXEMES;

use super::Grade;
use super::place::{At, Index, Placed};
use super::sought::{Block, NOTHING, word};

/// Records that are tried on one block.
const CANDIDATES_MAX: usize = 24;
/// Runs of lexemes that make a record worth trying.
const HITS_MIN: usize = 3;
/// Lines to either side in which a line of the same record holds an edited one up.
const NEAR_LINES: usize = 4;
/// Percent of a line's lexemes that must be left beside lines of the same record.
const NEAR_PERCENT_MIN: usize = 40;
/// The same where the record lacks lines just there: the line stands for one of them.
const GAP_PERCENT_MIN: usize = 20;
/// The same where no line of the record is near.
const ALONE_PERCENT_MIN: usize = 60;
/// Lexemes of a record that must be left in a block where no line of it is near.
const ALONE_LEXEMES_MIN: usize = 20;

pub(super) fn spread(index: &Index<'_>, number: usize, placed: &mut Placed) {
    for block in &index.sought.looked[number].blocks {
        spread_block(index, number, placed, block);
    }
}

/// How much of each line is a record's.
struct Cover {
    record: u32,
    /// For each line from the block's first: lexemes of the record, and all.
    lines: Vec<(usize, usize)>,
    total: usize,
}

fn spread_block(index: &Index<'_>, number: usize, placed: &mut Placed, block: &Block) {
    let (Some(first), Some(last)) = (block.of_line.first().copied(), block.of_line.last().copied()) else {
        return;
    };
    if placed.lines[first..=last].iter().all(Option::is_some) {
        return;
    }
    let covers = covers(index, number, placed, block, first, last);
    // Twice: a line that was found holds its neighbour up.
    for _ in 0..2 {
        for at in first..=last {
            if placed.lines[at].is_none() {
                place_line(index, number, placed, at, at - first, &covers);
            }
        }
    }
}

fn place_line(
    index: &Index<'_>,
    number: usize,
    placed: &mut Placed,
    at: usize,
    within: usize,
    covers: &[Cover],
) {
    let line = &index.sought.looked[number].lines[at];
    let mut best: Option<(bool, usize, At)> = None;
    for cover in covers {
        let (kept, all) = cover.lines[within];
        let percent = (kept * 100).checked_div(all).unwrap_or(0);
        let (before, behind) = neighbours(placed, at, cover.record);
        let near = before.or(behind).is_some();
        let in_gap =
            matches!((before, behind), (Some(Some(before)), Some(Some(behind))) if behind > before + 1);
        let enough = match (in_gap, near) {
            (true, _) => percent >= GAP_PERCENT_MIN,
            (_, true) => percent >= NEAR_PERCENT_MIN,
            _ => percent >= ALONE_PERCENT_MIN && cover.total >= ALONE_LEXEMES_MIN,
        };
        if !enough {
            continue;
        }
        let place = match (before, behind) {
            (Some(Some(before)), _) => Some(before + 1),
            (_, Some(Some(behind))) => behind.checked_sub(1),
            _ => None,
        };
        let accepted = index.is_accepted(cover.record, place);
        let grade = match accepted {
            _ if line.is_common() => Grade::Common,
            true => Grade::AiModified,
            false => Grade::MatchesAi,
        };
        let kept_percent = u8::try_from(percent).unwrap_or(100);
        let found = At::in_part(cover.record, kept_percent, grade);
        let score = percent + if near { 50 } else { 0 };
        if best.is_none_or(|(was, score_was, _)| (accepted, score) > (was, score_was)) {
            best = Some((accepted, score, found));
        }
    }
    if let Some((_, _, found)) = best {
        placed.lines[at] = Some(found);
    }
}

/// The nearest lines of a record before and behind, with their place in it where it is known.
fn neighbours(placed: &Placed, at: usize, record: u32) -> (Option<Option<u32>>, Option<Option<u32>>) {
    let of_record = |line: &Option<At>| line.filter(|line| line.record == record).map(|line| line.place);
    let before = placed.lines[at.saturating_sub(NEAR_LINES)..at].iter().rev().find_map(of_record);
    let end = placed.lines.len().min(at + 1 + NEAR_LINES);
    (before, placed.lines[at + 1..end].iter().find_map(of_record))
}

fn covers(
    index: &Index<'_>,
    number: usize,
    placed: &Placed,
    block: &Block,
    first: usize,
    last: usize,
) -> Vec<Cover> {
    let mut hits: HashMap<u32, usize> = HashMap::new();
    for shingle in &block.shingles {
        for record in index.records_with(*shingle) {
            *hits.entry(*record).or_default() += 1;
        }
    }
    let mut candidates: Vec<(u32, usize)> = hits.into_iter().filter(|(_, hits)| *hits >= HITS_MIN).collect();
    candidates.sort_by_cached_key(|(record, hits)| {
        let at = index.is_at(*record, &index.sought.files()[number]);
        std::cmp::Reverse((
            index.is_accepted(*record, None),
            *hits,
            at,
            index.records[*record as usize].number,
        ))
    });
    candidates.truncate(CANDIDATES_MAX);
    let placed_here = placed.lines[first..=last].iter().flatten().map(|line| line.record);
    let mut records: Vec<u32> = candidates.into_iter().map(|(record, _)| record).chain(placed_here).collect();
    records.sort_unstable();
    records.dedup();
    records.into_iter().map(|record| cover(index, record, block, first, last)).collect()
}

fn cover(index: &Index<'_>, record: u32, block: &Block, first: usize, last: usize) -> Cover {
    // Sorted as bytes, in the list; as numbers they are not.
    let shingles = &index.records[record as usize].fingerprints.shingles;
    let has = |shingle: u64| shingles.binary_search(&ledger::Fingerprint(shingle.to_le_bytes())).is_ok();
    let mut covered = vec![false; block.of_line.len()];
    for (at, shingle) in block.shingles.iter().enumerate() {
        if *shingle != NOTHING && has(*shingle) {
            let end = covered.len().min(at + SHINGLE_LEXEMES);
            covered[at..end].fill(true);
        }
    }
    let mut lines = vec![(0, 0); last - first + 1];
    for (of_line, covered) in block.of_line.iter().zip(&covered) {
        let line = &mut lines[of_line - first];
        line.0 += usize::from(*covered);
        line.1 += 1;
    }
    let total = covered.iter().filter(|covered| **covered).count();
    debug_assert!(shingles.is_sorted_by_key(|shingle| word(*shingle).to_le_bytes()));
    Cover { record, lines, total }
}
