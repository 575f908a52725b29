//! The text that is asked about, between what stands around it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::{Limits, Surroundings, Way};
use crate::lexeme::{self, Class, Lexeme};
use crate::winnow::{EXACT, Flanks, RENAMED, Sums, Winnowing};

/// Bytes of the text, whatever [`Limits`] say: places in it are numbers of 20 bits.
const TEXT_BYTES_MAX: usize = 512 << 10;
/// Bytes of each side that are read.
const AROUND_BYTES_MAX: usize = 4 << 10;
/// Lexemes of each side that count: as many as a renamed match needs, less one.
const AROUND_LEXEMES_MAX: usize = 64;

pub(super) struct Asked {
    /// The end of what is before, the text, the beginning of what is after.
    pub(super) bytes: Vec<u8>,
    /// The text in `bytes`.
    pub(super) inside_bytes: Range<usize>,
    pub(super) lexemes: Vec<Lexeme>,
    pub(super) classes: Vec<Class>,
    /// The lexemes that the text has a part in.
    pub(super) inside: Range<usize>,
    /// The text was longer than its limit.
    pub(super) cut: bool,
}

impl Asked {
    pub(super) fn of(text: &str, surroundings: Surroundings<'_>, limits: &Limits) -> Asked {
        let text_end = text.floor_char_boundary(limits.text_bytes_max.min(TEXT_BYTES_MAX));
        let before = end_of(surroundings.before);
        let after = &surroundings.after[..surroundings.after.floor_char_boundary(AROUND_BYTES_MAX)];
        let mut bytes = Vec::with_capacity(before.len() + text_end + after.len());
        bytes.extend_from_slice(before.as_bytes());
        bytes.extend_from_slice(&text.as_bytes()[..text_end]);
        let inside_bytes = before.len()..bytes.len();
        if text_end == text.len() {
            bytes.extend_from_slice(after.as_bytes());
        }
        let mut lexemes = Vec::new();
        lexeme::lex(&bytes, &mut lexemes);
        let first = lexemes.partition_point(|lexeme| lexeme.end as usize <= inside_bytes.start);
        let behind = lexemes.partition_point(|lexeme| (lexeme.start as usize) < inside_bytes.end).max(first);
        lexemes.truncate(behind + AROUND_LEXEMES_MAX);
        let skipped = first.saturating_sub(AROUND_LEXEMES_MAX);
        lexemes.drain(..skipped);
        Asked {
            classes: lexemes.iter().map(|lexeme| lexeme.class(&bytes)).collect(),
            inside: first - skipped..behind - skipped,
            lexemes,
            inside_bytes,
            bytes,
            cut: text_end < text.len(),
        }
    }

    pub(super) fn lexeme(&self, place: usize) -> &[u8] {
        self.lexemes.get(place).map(|lexeme| lexeme.of(&self.bytes)).unwrap_or_default()
    }

    fn sums(&self, places: Range<usize>, way: Way) -> Sums {
        match way {
            Way::Exact => Sums::of(self.lexemes[places].iter().map(|lexeme| lexeme.hash)),
            Way::Renamed => Sums::of(self.classes[places].iter().map(|class| class.hash())),
        }
    }

    /// The places whose hashes are looked up, with these and with their flanks.
    pub(super) fn chosen(&self, way: Way) -> Vec<(usize, u64, Flanks)> {
        let (winnowing, row) = (way.winnowing(), self.sums(0..self.lexemes.len(), way));
        let hashes = winnowing.hashes(&row);
        let chosen = winnowing.any_chosen(&hashes).into_iter();
        chosen.map(|place| (place, hashes[place], winnowing.flanks(&row, place))).collect()
    }

    /// The places in this part that every text with the part chooses, whatever stands around: least of a whole window of it,
    /// and without an equal.
    pub(super) fn certain(&self, places: &Range<usize>, way: Way) -> HashSet<usize> {
        let hashes = way.winnowing().hashes(&self.sums(places.clone(), way));
        if hashes.len() < way.winnowing().window as usize {
            return HashSet::new();
        }
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for hash in &hashes {
            *counts.entry(*hash).or_default() += 1;
        }
        let chosen = way.winnowing().any_chosen(&hashes).into_iter();
        chosen
            .filter(|place| counts.get(&hashes[*place]) == Some(&1))
            .map(|place| places.start + place)
            .collect()
    }

    /// How many of these lexemes are in the text.
    pub(super) fn count_inside(&self, places: &Range<usize>) -> usize {
        places.end.min(self.inside.end).saturating_sub(places.start.max(self.inside.start))
    }
}

impl Way {
    pub(super) fn winnowing(self) -> Winnowing {
        match self {
            Way::Exact => EXACT,
            Way::Renamed => RENAMED,
        }
    }
}

/// From the beginning of a line where one is near.
fn end_of(before: &str) -> &str {
    let start = before.ceil_char_boundary(before.len().saturating_sub(AROUND_BYTES_MAX));
    let end = &before[start..];
    match end.find('\n') {
        Some(line) if start > 0 => &end[line + 1..],
        _ => end,
    }
}
