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

impl Winnowing {
    /// The hashes of all runs; as many as lexemes, less a run, plus one.
    pub(crate) fn hashes(self, lexemes: impl ExactSizeIterator<Item = u64> + Clone) -> Vec<u64> {
        let run = self.run as usize;
        let Some(count) = (lexemes.len() + 1).checked_sub(run) else { return Vec::new() };
        let mut hashes = Vec::with_capacity(count);
        let leaving = (1..self.run).fold(1u64, |power, _| power.wrapping_mul(BASE));
        let mut last = lexemes.clone();
        let mut sum = 0u64;
        for (index, lexeme) in lexemes.enumerate() {
            if index >= run
                && let Some(last) = last.next()
            {
                sum = sum.wrapping_sub(last.wrapping_mul(leaving));
            }
            sum = sum.wrapping_mul(BASE).wrapping_add(lexeme);
            if index + 1 >= run {
                hashes.push(finish(sum));
            }
        }
        hashes
    }

    /// What stands on both sides of the run that begins at `place`, half a window wide. A shared span as long as is surely
    /// found goes on over one of the two at least: of postings with other flanks no document need be read.
    pub(crate) fn flanks(self, lexemes: &[u64], place: usize) -> Flanks {
        let width = (self.window / 2) as usize;
        let end = place + self.run as usize;
        let hash = |flank: Option<&[u64]>| {
            let sum = flank?.iter().fold(0u64, |sum, lexeme| sum.wrapping_mul(BASE).wrapping_add(*lexeme));
            u8::try_from(finish(sum) >> (64 - FLANK_BITS)).ok()
        };
        Flanks {
            before: place.checked_sub(width).and_then(|start| hash(lexemes.get(start..place))).unwrap_or(0),
            behind: hash(lexemes.get(end..end + width)).unwrap_or(0),
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

/// Hashes of what stands before and behind a run; 0 where the text ends before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flanks {
    pub(crate) before: u8,
    pub(crate) behind: u8,
}

impl Flanks {
    /// How many of the two are the same.
    pub(crate) fn same(self, other: Flanks) -> u32 {
        u32::from(self.before == other.before) + u32::from(self.behind == other.behind)
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
            let (kept_hashes, asked_hashes) =
                (EXACT.hashes(kept.iter().copied()), EXACT.hashes(asked.iter().copied()));
            let chosen = EXACT.chosen(&kept_hashes);
            let probed = EXACT.any_chosen(&asked_hashes);
            let found = probed.iter().any(|place| {
                *place >= c.len()
                    && *place + 16 <= c.len() + shared.len()
                    && chosen.contains(&(place + a.len() - c.len()))
                    && kept_hashes[place + a.len() - c.len()] == asked_hashes[*place]
            });
            prop_assert!(found);
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
