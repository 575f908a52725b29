//! Winnowing with SCANOSS's parameters, to compare with: letters and digits alone, in lower case; grams of 30 bytes; of each
//! window of 64 of them the least hash. Kinder to it than it is to itself: one hash in common is taken for a find, its hashes
//! have 64 bits, and a hash counts wherever it was chosen.

use std::ops::Range;
use std::path::PathBuf;
use std::{fs, mem};

use testkit::Failure;

use super::files;

const GRAM: usize = 30;
const WINDOW: usize = 64;
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) struct Grams {
    /// Sorted.
    hashes: Vec<u64>,
}

impl Grams {
    /// Of all texts in these folders.
    pub(super) fn of(folders: &[PathBuf]) -> Result<Grams, Failure> {
        let (mut hashes, mut fresh, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for folder in folders {
            files(folder, &mut found)?;
        }
        for path in found {
            let text = fs::read(path)?;
            if text.iter().take(8000).any(|byte| *byte == 0) {
                continue;
            }
            fresh.extend(chosen(&text).into_iter().map(|(hash, _)| hash));
            // Many files are copies: what doubles goes before it is much.
            if fresh.len() > (8 << 20) + hashes.len() {
                hashes = merged(hashes, mem::take(&mut fresh));
            }
        }
        Ok(Grams { hashes: merged(hashes, fresh) })
    }

    /// Whether a chosen gram of this text, which begins and ends in this part of it, is known.
    pub(super) fn know(&self, text: &str, part: &Range<usize>) -> bool {
        chosen(text.as_bytes()).into_iter().any(|(hash, bytes)| {
            part.start <= bytes.start && bytes.end <= part.end && self.hashes.binary_search(&hash).is_ok()
        })
    }
}

fn merged(mut hashes: Vec<u64>, fresh: Vec<u64>) -> Vec<u64> {
    hashes.extend(fresh);
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// The chosen hashes, and the bytes of the text from the first of each gram to its last.
fn chosen(text: &[u8]) -> Vec<(u64, Range<usize>)> {
    let kept: Vec<(usize, u8)> = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_alphanumeric())
        .map(|(at, byte)| (at, byte.to_ascii_lowercase()))
        .collect();
    let leaving = (1..GRAM).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let (mut hashes, mut sum) = (Vec::with_capacity(kept.len()), 0u64);
    for (index, (_, byte)) in kept.iter().enumerate() {
        if let Some(gone) = index.checked_sub(GRAM) {
            sum = sum.wrapping_sub(u64::from(kept[gone].1).wrapping_mul(leaving));
        }
        sum = sum.wrapping_mul(BASE).wrapping_add(u64::from(*byte));
        if index + 1 >= GRAM {
            // The low bits of a sum are those of the last bytes.
            let hash = (sum ^ (sum >> 32)).wrapping_mul(BASE);
            hashes.push(hash ^ (hash >> 29));
        }
    }
    let (mut found, mut last) = (Vec::new(), None);
    for start in 0..(hashes.len() + 1).saturating_sub(WINDOW) {
        let least = match last {
            Some(least) if least >= start && hashes[least] <= hashes[start + WINDOW - 1] => least,
            Some(least) if least >= start => start + WINDOW - 1,
            _ => (start..start + WINDOW).min_by_key(|at| hashes[*at]).unwrap_or(start),
        };
        if last != Some(least) {
            found.push((hashes[least], kept[least].0..kept[least + GRAM - 1].0 + 1));
            last = Some(least);
        }
    }
    found
}
