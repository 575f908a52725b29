//! Which places of a text stand for it: robust winnowing (Schleimer, Wilkerson, Aiken: Winnowing, SIGMOD 2003).
//!
//! Of each `window` runs of `run` lexemes, one is chosen, by its hash alone. Two texts which share `run + window - 1`
//! lexemes therefore share a chosen hash, whatever stands around.

use serde::{Deserialize, Serialize};

use crate::lexeme::finish;

/// How a text is winnowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Winnowing {
    /// Lexemes that are hashed together.
    pub run: u32,
    /// Runs of which one is chosen.
    pub window: u32,
}

/// Of the lexemes as they are: shared spans of 31 lexemes are found.
pub const EXACT: Winnowing = Winnowing { run: 16, window: 16 };
/// Of the lexemes where names and numbers do not matter: shared spans of 65 are. Longer runs, because fewer different
/// lexemes make them.
pub const RENAMED: Winnowing = Winnowing { run: 32, window: 34 };

/// Sums over a row of lexemes, from which any part of it is hashed at once.
#[derive(Debug, Default)]
pub(crate) struct Sums(Vec<u64>);

impl Sums {
    pub(crate) fn of(lexemes: impl Iterator<Item = u64>) -> Sums {
        let mut sums = Sums::default();
        sums.refill(lexemes);
        sums
    }

    /// Another row in place of this one.
    pub(crate) fn refill(&mut self, lexemes: impl Iterator<Item = u64>) {
        self.0.clear();
        self.0.reserve(lexemes.size_hint().0 + 1);
        let mut sum = 0u64;
        self.0.push(sum);
        for lexeme in lexemes {
            sum = sum.wrapping_mul(BASE).wrapping_add(lexeme);
            self.0.push(sum);
        }
    }

    /// The hash of some lexemes in a row, at most 63; `None` where the row ends before.
    fn part(&self, start: usize, lexemes: usize) -> Option<u64> {
        let end = self.0.get(start + lexemes)?;
        Some(finish(end.wrapping_sub(self.0[start].wrapping_mul(POWERS[lexemes]))))
    }
}

impl Winnowing {
    /// The hashes of all runs; as many as lexemes, less a run, plus one.
    pub(crate) fn hashes(self, row: &Sums) -> Vec<u64> {
        let mut hashes = Vec::new();
        self.hashes_into(row, &mut hashes);
        hashes
    }

    /// The same, in place of what was there.
    pub(crate) fn hashes_into(self, row: &Sums, hashes: &mut Vec<u64>) {
        let run = self.run as usize;
        let (ends, power) = (row.0.get(run..).unwrap_or_default(), POWERS[run]);
        hashes.clear();
        hashes.reserve(ends.len());
        // One after another: two at a time, without instructions for products of 64 bits, take longer.
        for (end, start) in ends.iter().zip(&row.0) {
            hashes.push(finish(end.wrapping_sub(start.wrapping_mul(power))));
        }
    }

    /// What stands on both sides of the run that begins at `place`, half a window wide. A shared span as long as is surely
    /// found goes on over one of the two at least: of postings with other flanks no document need be read.
    pub(crate) fn flanks(self, row: &Sums, place: usize) -> Flanks {
        let (run, width) = (self.run as usize, (self.window / 2) as usize);
        let (near, end) = (width / 2, place + run);
        let before = |width: usize| place.checked_sub(width).and_then(|start| row.part(start, width));
        let flank = |wide: Option<u64>, near: Option<u64>| Flank {
            wide: leading(wide, FLANK_BITS),
            near: leading(near, NEAR_BITS),
        };
        Flanks {
            before: flank(before(width), before(near)),
            behind: flank(row.part(end, width), row.part(end, near)),
        }
    }

    /// The chosen ones of these hashes, by index, ascending. A text shorter than a window has one.
    pub(crate) fn chosen(self, hashes: &[u64]) -> Vec<usize> {
        let window = (self.window as usize).min(hashes.len());
        let mut chosen = Vec::new();
        if window == 0 {
            return chosen;
        }
        let mut least = None;
        for end in window..=hashes.len() {
            let start = end - window;
            let next = match least {
                // Stays as long as it can: repetitive code would choose every place otherwise.
                Some(kept) if kept >= start => {
                    if hashes[end - 1] < hashes[kept] {
                        end - 1
                    } else {
                        kept
                    }
                }
                _ => rightmost_least(hashes, start, end),
            };
            if least != Some(next) {
                chosen.push(next);
                least = Some(next);
            }
        }
        chosen
    }

    /// The indices that are a least one of any window: whatever stands around a shared span in another text, what is
    /// chosen inside it there is among these. Which of equal ones is chosen depends on what stands before.
    pub(crate) fn any_chosen(self, hashes: &[u64]) -> Vec<usize> {
        let window = (self.window as usize).min(hashes.len());
        // Of each index, the nearest smaller ones to both sides.
        let mut before = vec![0usize; hashes.len()];
        let mut rising: Vec<usize> = Vec::new();
        for index in 0..hashes.len() {
            while rising.pop_if(|last| hashes[*last] >= hashes[index]).is_some() {}
            before[index] = rising.last().map_or(0, |last| last + 1);
            rising.push(index);
        }
        let mut chosen = Vec::new();
        let mut after = vec![hashes.len(); hashes.len()];
        rising.clear();
        for index in (0..hashes.len()).rev() {
            while rising.pop_if(|last| hashes[*last] >= hashes[index]).is_some() {}
            after[index] = rising.last().copied().unwrap_or(hashes.len());
            rising.push(index);
        }
        for index in 0..hashes.len() {
            if after[index] - before[index] >= window {
                chosen.push(index);
            }
        }
        chosen
    }
}

/// Bits of the hash of a flank.
pub(crate) const FLANK_BITS: u32 = 5;
/// Bits of the hash of the half of it that is next to the run.
pub(crate) const NEAR_BITS: u32 = 4;

/// What stands on one side of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flank {
    /// Half a window of it; 0 where the text ends before.
    pub(crate) wide: u8,
    /// The half of that which is next to the run, likewise: of many texts that share one side, it tells those that go on at
    /// the other.
    pub(crate) near: u8,
}

/// What stands before and behind a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flanks {
    pub(crate) before: Flank,
    pub(crate) behind: Flank,
}

/// The first bits of a hash; 0 of none.
fn leading(hash: Option<u64>, bits: u32) -> u8 {
    hash.and_then(|hash| u8::try_from(hash >> (64 - bits)).ok()).unwrap_or(0)
}

impl Flank {
    fn same(self, other: Flank) -> u32 {
        u32::from(self.wide == other.wide) + u32::from(self.near == other.near)
    }
}

impl Flanks {
    /// How many of the four hashes are the same.
    pub(crate) fn same(self, other: Flanks) -> u32 {
        self.before.same(other.before) + self.behind.same(other.behind)
    }

    /// Whether both may go on to one side.
    pub(crate) fn may_go_on(self, other: Flanks) -> bool {
        self.before == other.before || self.behind == other.behind
    }
}

fn rightmost_least(hashes: &[u64], start: usize, end: usize) -> usize {
    let mut least = start;
    for index in start..end {
        if hashes[index] <= hashes[least] {
            least = index;
        }
    }
    least
}

const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Powers of the base.
static POWERS: [u64; 64] = {
    let mut powers = [1u64; 64];
    let mut power = 1;
    while power < 64 {
        powers[power] = powers[power - 1].wrapping_mul(BASE);
        power += 1;
    }
    powers
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few different lexemes, so that hashes tie.
        #[test]
        fn a_shared_span_shares_a_place(
            shared in prop::collection::vec(0u64..3, 31..80),
            around in prop::array::uniform4(prop::collection::vec(0u64..3, 0..40)),
        ) {
            let [a, b, c, d] = around;
            let kept = [a.clone(), shared.clone(), b].concat();
            let asked = [c.clone(), shared.clone(), d].concat();
            let (kept, asked) = (Sums::of(kept.into_iter()), Sums::of(asked.into_iter()));
            let (kept_hashes, asked_hashes) = (EXACT.hashes(&kept), EXACT.hashes(&asked));
            let chosen = EXACT.chosen(&kept_hashes);
            let probed = EXACT.any_chosen(&asked_hashes);
            let found = probed.iter().any(|place| {
                let inside = *place >= c.len() && *place + 16 <= c.len() + shared.len();
                let there = (place + a.len()).wrapping_sub(c.len());
                inside
                    && chosen.contains(&there)
                    && kept_hashes[there] == asked_hashes[*place]
                    && EXACT.flanks(&kept, there).may_go_on(EXACT.flanks(&asked, *place))
            });
            prop_assert!(found);
        }

        #[test]
        fn hashes_and_flanks_are_of_the_lexemes_alone(
            row in prop::collection::vec(any::<u64>(), 0..99),
            before in prop::collection::vec(any::<u64>(), 0..40),
        ) {
            let hash = |part: &[u64]| {
                finish(part.iter().fold(0u64, |sum, lexeme| sum.wrapping_mul(BASE).wrapping_add(*lexeme)))
            };
            let (alone, longer) =
                (Sums::of(row.iter().copied()), Sums::of(before.iter().chain(&row).copied()));
            for winnowing in [EXACT, RENAMED] {
                let (run, width) = (winnowing.run as usize, winnowing.window as usize / 2);
                let hashes = winnowing.hashes(&alone);
                prop_assert_eq!(&hashes, &row.windows(run).map(hash).collect::<Vec<_>>());
                if !hashes.is_empty() {
                    prop_assert!(winnowing.hashes(&longer).ends_with(&hashes));
                }
                for place in 0..hashes.len() {
                    let flanks = winnowing.flanks(&alone, place);
                    let leading = |part: Option<&[u64]>, bits: u32| {
                        part.map_or(0, |part| u8::try_from(hash(part) >> (64 - bits)).unwrap())
                    };
                    let before = |width| place.checked_sub(width).and_then(|start| row.get(start..place));
                    let behind = |width| row.get(place + run..place + run + width);
                    let flank = |wide, near| Flank { wide: leading(wide, 5), near: leading(near, 4) };
                    let expected = Flanks {
                        before: flank(before(width), before(width / 2)),
                        behind: flank(behind(width), behind(width / 2)),
                    };
                    prop_assert_eq!(flanks, expected);
                }
            }
        }

        #[test]
        fn each_window_has_one(hashes in prop::collection::vec(0u64..9, 0..99)) {
            let chosen = EXACT.chosen(&hashes);
            let any = EXACT.any_chosen(&hashes);
            prop_assert!(chosen.is_sorted() && chosen.iter().all(|index| any.contains(index)));
            for start in 0..(hashes.len() + 1).saturating_sub(16) {
                prop_assert!(chosen.iter().any(|index| (start..start + 16).contains(index)));
            }
        }
    }
}
