//! What of the text the prompt itself held.

use std::collections::HashMap;
use std::ops::Range;

use super::asked::Asked;
use super::{Limits, Nearby};
use crate::lexeme;
use crate::winnow::{EXACT, Sums};

/// Places of the text that are compared for each run of lexemes.
const PLACES_MAX: usize = 8;
/// Lexemes that are compared.
const COMPARED_MAX: usize = 4 << 20;

/// A part of the text that one of the prompt's texts has.
pub(super) struct Copied {
    /// Which.
    pub(super) nearby: usize,
    /// Lexemes of the text with what is around.
    pub(super) places: Range<usize>,
}

/// All such parts, and whether a limit kept something unread.
pub(super) fn copied(asked: &Asked, nearby: &[Nearby<'_>], limits: &Limits) -> (Vec<Copied>, bool) {
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    let hashes = EXACT.hashes(&Sums::of(asked.lexemes.iter().map(|lexeme| lexeme.hash)));
    for (place, hash) in hashes.into_iter().enumerate() {
        let kept = places.entry(hash).or_default();
        if kept.len() < PLACES_MAX {
            kept.push(place);
        }
    }
    let mut found = Vec::new();
    let mut cut = false;
    let mut bytes_left = limits.nearby_bytes_max;
    let mut compared_left = COMPARED_MAX;
    for (number, nearby) in nearby.iter().enumerate() {
        let end = nearby.text.floor_char_boundary(bytes_left);
        cut |= end < nearby.text.len();
        bytes_left -= end;
        let text = &nearby.text.as_bytes()[..end];
        let mut lexemes = Vec::new();
        lexeme::lex(text, &mut lexemes);
        // Where the last run at this distance ended.
        let mut ends: HashMap<usize, usize> = HashMap::new();
        for (lexeme, hash) in
            EXACT.hashes(&Sums::of(lexemes.iter().map(|lexeme| lexeme.hash))).into_iter().enumerate()
        {
            for place in places.get(&hash).into_iter().flatten() {
                let distance = lexeme + asked.lexemes.len() - place;
                if ends.get(&distance).is_some_and(|end| place < end) {
                    continue;
                }
                let agree = |place: usize, lexeme: usize| {
                    lexemes.get(lexeme).is_some_and(|lexeme| {
                        place < asked.lexemes.len()
                            && lexeme.of(text).eq_ignore_ascii_case(asked.lexeme(place))
                    })
                };
                let behind = (0..).take_while(|step| agree(place + step, lexeme + step)).count();
                let before =
                    (1..=*place.min(&lexeme)).take_while(|step| agree(place - step, lexeme - step)).count();
                ends.insert(distance, place + behind.max(1));
                if behind > 0 {
                    found.push(Copied { nearby: number, places: place - before..place + behind });
                }
                match compared_left.checked_sub(before + behind + 1) {
                    Some(left) => compared_left = left,
                    None => return (found, true),
                }
            }
        }
    }
    (found, cut)
}
