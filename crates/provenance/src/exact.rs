//! A search that chooses nothing and leaves nothing out, for auditors and for tests: a suffix array of all lexemes of small
//! corpora. What [`crate::trace`] finds of exact matches is to be found here, and nothing longer.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::lexeme;
use crate::segment::{BlobId, Damaged};
use crate::trace::Corpora;

/// Lexemes of all corpora together: some 80 MB of code, which take 500 MB of memory and a minute to sort.
pub const LEXEMES_MAX: usize = 16 << 20;
/// Occurrences of a run whose documents are counted.
const COUNTED_MAX: usize = 1 << 16;

/// Why there is no such index.
#[derive(Debug, thiserror::Error)]
pub enum ExactError {
    /// The corpora have more than [`LEXEMES_MAX`].
    #[error("the corpora have more than {LEXEMES_MAX} lexemes: a full search is for small ones")]
    TooMuch,
    /// One of them is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// All lexemes of corpora, sorted by what follows each.
#[derive(Debug)]
pub struct Index {
    corpora: Corpora,
    /// A number for each different lexeme.
    numbers: HashMap<Vec<u8>, u32>,
    /// All documents, one after another, with an end behind each that is like nothing else.
    lexemes: Vec<u32>,
    /// Where each document begins in `lexemes`, and which it is.
    documents: Vec<(u32, Place)>,
    suffixes: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: usize,
    document: u32,
}

/// A part of a text that is somewhere in the corpora, and cannot be made longer to either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its first byte in the text.
    pub start: u32,
    /// The byte behind its last.
    pub end: u32,
    /// Its lexemes.
    pub lexemes: u32,
    /// The name of a corpus that has it.
    pub corpus: String,
    /// A file there that has it.
    pub blob: BlobId,
    /// How many documents have it, of the first 65,536 places.
    pub documents: u32,
}

impl Index {
    /// Reads all text of the corpora.
    pub fn of(corpora: &Corpora) -> Result<Index, ExactError> {
        let mut index = Index {
            corpora: corpora.clone(),
            numbers: HashMap::new(),
            lexemes: Vec::new(),
            documents: Vec::new(),
            suffixes: Vec::new(),
        };
        let mut read = Vec::new();
        for (number, segment) in corpora.segments().iter().enumerate() {
            for document in 0..segment.manifest().documents {
                let text = segment.whole_text(document)?;
                read.clear();
                lexeme::lex(&text, &mut read);
                index.documents.push((small(index.lexemes.len()), Place { segment: number, document }));
                if index.lexemes.len() + read.len() + index.documents.len() > LEXEMES_MAX {
                    return Err(ExactError::TooMuch);
                }
                for lexeme in &read {
                    let next = small(index.numbers.len());
                    let number = *index.numbers.entry(lexeme.of(&text).to_ascii_lowercase()).or_insert(next);
                    index.lexemes.push(number);
                }
                index.lexemes.push(u32::MAX - small(index.documents.len()));
            }
        }
        index.suffixes = sorted(&index.lexemes);
        Ok(index)
    }

    /// All longest runs of the text with so many lexemes or more, by their place.
    pub fn runs(&self, text: &str, lexemes_min: u32) -> Vec<Run> {
        let mut read = Vec::new();
        lexeme::lex(text.as_bytes(), &mut read);
        let unknown = u32::MAX;
        let asked: Vec<u32> = read
            .iter()
            .map(|lexeme| lexeme.of(text.as_bytes()).to_ascii_lowercase())
            .map(|word| self.numbers.get(&word).copied().unwrap_or(unknown))
            .collect();
        let mut runs = Vec::new();
        let mut last = 0;
        for place in 0..asked.len() {
            let (length, at) = self.longest(&asked[place..]);
            // What begins one lexeme before and ends there as well has this one in it.
            if length >= lexemes_min.max(1) as usize && length + 1 > last {
                let (corpus, blob) = self.name(at);
                runs.push(Run {
                    start: read[place].start,
                    end: read[place + length - 1].end,
                    lexemes: small(length),
                    corpus,
                    blob,
                    documents: self.count(&asked[place..place + length]),
                });
            }
            last = length;
        }
        runs
    }

    /// How many lexemes of the beginning are anywhere, and where.
    fn longest(&self, asked: &[u32]) -> (usize, u32) {
        let after = self.suffixes.partition_point(|suffix| self.compare(*suffix, asked).1 == Ordering::Less);
        let nearest = [after.checked_sub(1), Some(after)];
        nearest
            .into_iter()
            .filter_map(|index| self.suffixes.get(index?))
            .map(|suffix| (self.compare(*suffix, asked).0, *suffix))
            .max_by_key(|(length, suffix)| (*length, std::cmp::Reverse(*suffix)))
            .unwrap_or((0, 0))
    }

    /// How many lexemes both begin with, and how the rest compares.
    fn compare(&self, suffix: u32, asked: &[u32]) -> (usize, Ordering) {
        let rest = &self.lexemes[suffix as usize..];
        let same = rest.iter().zip(asked).take_while(|(one, other)| one == other).count();
        (same, rest.get(same).cmp(&asked.get(same)))
    }

    fn count(&self, run: &[u32]) -> u32 {
        let first = self.suffixes.partition_point(|suffix| self.compare(*suffix, run).1 == Ordering::Less);
        let documents: HashSet<usize> = self.suffixes[first..]
            .iter()
            .take(COUNTED_MAX)
            .take_while(|suffix| self.compare(**suffix, run).0 == run.len())
            .map(|suffix| self.document(*suffix))
            .collect();
        small(documents.len())
    }

    fn document(&self, suffix: u32) -> usize {
        self.documents.partition_point(|(start, _)| *start <= suffix).saturating_sub(1)
    }

    fn name(&self, suffix: u32) -> (String, BlobId) {
        let place = self.documents[self.document(suffix)].1;
        let segment = &self.corpora.segments()[place.segment];
        // It was read before.
        let blob = segment.document(place.document).map_or(BlobId([0; 20]), |document| document.blob);
        (segment.manifest().name.clone(), blob)
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The places of `lexemes`, sorted by what follows. Prefix doubling (Manber and Myers 1993): after each round, places are
/// ranked by twice as many lexemes.
fn sorted(lexemes: &[u32]) -> Vec<u32> {
    let mut suffixes: Vec<u32> = (0..small(lexemes.len())).collect();
    let mut ranks = lexemes.to_vec();
    let mut length = 1;
    suffixes.sort_unstable_by_key(|suffix| ranks[*suffix as usize]);
    loop {
        let key = |ranks: &[u32], suffix: u32| {
            let second = ranks.get(suffix as usize + length).map_or(0, |rank| u64::from(*rank) + 1);
            (ranks[suffix as usize], second)
        };
        suffixes.sort_unstable_by_key(|suffix| key(&ranks, *suffix));
        let mut next = vec![0; ranks.len()];
        let mut rank = 0;
        for pair in suffixes.windows(2) {
            rank += u32::from(key(&ranks, pair[0]) != key(&ranks, pair[1]));
            next[pair[1] as usize] = rank;
        }
        ranks = next;
        length *= 2;
        if rank as usize + 1 >= suffixes.len() || length >= suffixes.len() {
            return suffixes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn suffixes_are_sorted(lexemes in prop::collection::vec(0u32..4, 0..60)) {
            let mut plain: Vec<u32> = (0..small(lexemes.len())).collect();
            plain.sort_by_key(|suffix| &lexemes[*suffix as usize..]);
            prop_assert_eq!(sorted(&lexemes), plain);
        }
    }
}
