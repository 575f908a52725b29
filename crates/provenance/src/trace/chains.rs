//! Postings of the text's chosen hashes, by document and distance.

use std::ops::Range;

use super::asked::Asked;
use super::{Corpora, Limits, Way};
use crate::segment::{Damaged, Postings, Segment};

/// Chains that are put in order; those with the fewest postings are left out before.
const CHAINS_MAX: usize = 4096;
/// Postings that are read of each hash, even where [`Limits::postings_max`] are spent.
const READ_MIN: usize = 16;
/// Postings that are kept; all hashes together.
const KEPT_MAX: usize = 16384;
/// A hash with no more postings than this is compared wherever it is. Of others, only where a flank is the same: the pieces
/// of near matches are worth it where they are few.
const RARE: usize = 64;
/// Added to distances, so that none is negative: places in the text are fewer.
const SHIFT: u32 = 1 << 20;
/// Bits of the number of flanks and halves of them that are the same: none to four.
const FLANKS_BITS: u32 = 3;

/// A chosen hash of the text, in one segment.
pub(super) struct Probe {
    pub(super) place: usize,
    /// Not all its postings were read.
    pub(super) is_cut: bool,
}

/// A posting on the way to be sorted: segment, document, distance, place in the text and how many of its flanks are the
/// same in one number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seed(u128);

impl Seed {
    fn new(segment: usize, document: u32, lexeme: u32, place: usize, flanks: u32) -> Option<Seed> {
        let place = u32::try_from(place).ok().filter(|place| *place < SHIFT)?;
        let distance = lexeme.checked_add(SHIFT)? - place;
        Some(Seed(
            (segment as u128) << 96
                | u128::from(document) << 64
                | u128::from(distance) << 32
                | u128::from(place) << FLANKS_BITS
                | u128::from(flanks),
        ))
    }

    fn chain(self) -> u128 {
        self.0 >> 32
    }

    fn document(self) -> u128 {
        self.0 >> 64
    }

    fn place(self) -> usize {
        ((self.0 & u128::from(u32::MAX)) >> FLANKS_BITS) as usize
    }

    fn flanks(self) -> usize {
        (self.0 & ((1 << FLANKS_BITS) - 1)) as usize
    }
}

/// Postings of one document that lie as the text's hashes do.
pub(super) struct Chain {
    pub(super) segment: usize,
    pub(super) document: u32,
    distance: u32,
    /// Places in the text, ascending.
    pub(super) places: Vec<usize>,
    /// Places of the text that the document has in any chain.
    of_document: usize,
    /// Flanks of these places that are the same: where many documents have one run, these tell which of them go on.
    flanks: usize,
    first_seen_unix_s: i64,
}

impl Chain {
    /// The document's lexeme that lies at this place of the text.
    pub(super) fn lexeme(&self, place: usize) -> Option<u32> {
        self.distance.checked_add(u32::try_from(place).ok()?)?.checked_sub(SHIFT)
    }

    /// Those of its places whose run of lexemes lies in this part of the text.
    pub(super) fn within(&self, places: &Range<usize>, way: Way) -> &[usize] {
        let end = (places.end + 1).saturating_sub(way.winnowing().run as usize);
        let start = self.places.partition_point(|place| *place < places.start);
        let end = self.places.partition_point(|place| *place < end).max(start);
        &self.places[start..end]
    }
}

/// What of the text was looked up, and what was found.
pub(super) struct Chains {
    pub(super) way: Way,
    /// By their place.
    pub(super) probes: Vec<Probe>,
    /// The best first.
    pub(super) chains: Vec<Chain>,
}

impl Chains {
    /// The number of the first probe that is not before this place.
    pub(super) fn probe(&self, place: usize) -> usize {
        self.probes.partition_point(|probe| probe.place < place)
    }

    /// Whether postings of the hash at this place were left unread.
    pub(super) fn is_cut(&self, place: usize) -> bool {
        self.probes.get(self.probe(place)).is_some_and(|probe| probe.place == place && probe.is_cut)
    }
}

/// The text's chosen hashes but those that `skip` names, and the chains of them.
pub(super) fn chains(
    corpora: &Corpora,
    asked: &Asked,
    way: Way,
    limits: &Limits,
    skip: impl Fn(usize) -> bool,
) -> Result<Chains, Damaged> {
    let mut found = Vec::new();
    for (place, hash, flanks) in asked.chosen(way).into_iter().filter(|(place, ..)| !skip(*place)) {
        for (number, segment) in corpora.segments.iter().enumerate() {
            let range =
                postings(segment, way).find(hash).ok_or_else(|| segment.damaged("a hash has no postings"))?;
            if !range.is_empty() {
                found.push((range.len(), place, number, range, flanks));
            }
        }
    }
    found.sort_unstable_by_key(|(count, place, number, ..)| (*count, *place, *number));
    let mut read_left = limits.postings_max;
    let mut kept_left = KEPT_MAX;
    let mut probes = Vec::new();
    let mut seeds = Vec::new();
    for (count, place, number, range, flanks) in found {
        let segment = &corpora.segments[number];
        let mut unread = count;
        for posting in range.take(read_left.max(READ_MIN)) {
            let (document, lexeme, its_flanks) = postings(segment, way)
                .get(posting)
                .ok_or_else(|| segment.damaged("a posting is not there"))?;
            read_left = read_left.saturating_sub(1);
            if count <= RARE || its_flanks.may_go_on(flanks) {
                if kept_left == 0 && count - unread >= READ_MIN {
                    break;
                }
                kept_left = kept_left.saturating_sub(1);
                seeds.push(
                    Seed::new(number, document, lexeme, place, its_flanks.same(flanks))
                        .ok_or_else(|| segment.damaged("a posting is not there"))?,
                );
            }
            unread -= 1;
        }
        probes.push(Probe { place, is_cut: unread > 0 });
    }
    probes.sort_unstable_by_key(|probe| (probe.place, !probe.is_cut));
    probes.dedup_by_key(|probe| probe.place);
    seeds.sort_unstable();
    Ok(Chains { way, probes, chains: in_order(corpora, &seeds)? })
}

fn postings(segment: &Segment, way: Way) -> &Postings {
    match way {
        Way::Exact => segment.exact(),
        Way::Renamed => segment.renamed(),
    }
}

fn in_order(corpora: &Corpora, seeds: &[Seed]) -> Result<Vec<Chain>, Damaged> {
    let mut counted: Vec<(usize, &[Seed])> = Vec::new();
    let mut places = Vec::new();
    for document in seeds.chunk_by(|one, other| one.document() == other.document()) {
        places.clear();
        places.extend(document.iter().map(|seed| seed.place()));
        places.sort_unstable();
        places.dedup();
        for chain in document.chunk_by(|one, other| one.chain() == other.chain()) {
            counted.push((places.len(), chain));
        }
    }
    if counted.len() > CHAINS_MAX {
        counted.select_nth_unstable_by_key(CHAINS_MAX, |(of_document, chain)| {
            let flanks: usize = chain.iter().map(|seed| seed.flanks()).sum();
            (std::cmp::Reverse((*of_document, chain.len(), flanks)), chain[0])
        });
        counted.truncate(CHAINS_MAX);
    }
    let mut chains = Vec::with_capacity(counted.len());
    for (of_document, chain) in counted {
        let first = chain[0].0;
        let segment = (first >> 96) as usize;
        let part = |shift: u32| u32::try_from((first >> shift) & u128::from(u32::MAX)).unwrap_or_default();
        let document = part(64);
        chains.push(Chain {
            segment,
            document,
            distance: part(32),
            places: chain.iter().map(|seed| seed.place()).collect(),
            of_document,
            flanks: chain.iter().map(|seed| seed.flanks()).sum(),
            first_seen_unix_s: corpora.segments[segment].document(document)?.first_seen_unix_s,
        });
    }
    chains.sort_unstable_by(|one, other| {
        let key = |chain: &Chain| {
            (
                std::cmp::Reverse((chain.of_document, chain.places.len(), chain.flanks)),
                chain.first_seen_unix_s,
                chain.segment,
                chain.document,
                chain.distance,
            )
        };
        key(one).cmp(&key(other))
    });
    Ok(chains)
}
