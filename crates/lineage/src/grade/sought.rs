//! What is sought: the fingerprints of a change's lines, made once, and asked of every record of a slice.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use ledger::{Fingerprint, Keyed, LineFingerprint, SHINGLE_LEXEMES, lexemes};

use super::File;
use crate::slice::{Hits, Lists, Wanted};

/// Lexemes of a line that says nothing by itself: as many or fewer.
pub(super) const COMMON_LEXEMES_MAX: usize = 3;
/// Words of a line that says nothing by itself: as many or fewer.
const COMMON_WORDS_MAX: usize = 1;
/// Words of a run of lexemes that says something: dashes alone are everywhere.
const SHINGLE_WORDS_MIN: usize = 2;
/// Stands for a run that says nothing.
pub(super) const NOTHING: u64 = 0;
/// Rare runs of lexemes that make a record worth looking at without a line of it.
const SHINGLES_MIN: usize = 6;
/// Records that a run of lexemes may be in and still be rare.
const RARE_RECORDS: u32 = 256;
/// Records that are kept for one line or one run.
const PLACES_MAX: usize = 64;
/// Lines of one change.
pub(super) const LINES_MAX: usize = 4 << 20;

/// A fingerprint is random already.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut number = [0; 8];
        let length = bytes.len().min(8);
        number[..length].copy_from_slice(&bytes[..length]);
        // The key of a table takes the low bits, a filter the high ones.
        self.0 = u64::from_le_bytes(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

pub(super) type Table<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// Lines of a change, with their fingerprints.
pub struct Sought<'f> {
    files: &'f [File],
    pub(super) looked: Vec<Looked>,
    /// Fingerprints of lines that say something, normalised, numbered.
    lines: Table<u32>,
    /// Of runs of lexemes.
    shingles: Table<u32>,
    /// In how many records a run of lexemes was seen, up to one more than is rare.
    seen: Vec<AtomicU32>,
    filter: Filter,
    /// Records that were noticed, newest first.
    noticed: Vec<Hits>,
    /// For each line, how many of them have it.
    of_line: Vec<Having>,
}

/// How many records have a line.
#[derive(Clone, Copy, Default)]
struct Having {
    all: usize,
    taken: usize,
}

/// A file's lines, looked at.
pub(super) struct Looked {
    pub(super) lines: Vec<Line>,
    /// Runs of lexemes, of lines without a gap between them.
    pub(super) blocks: Vec<Block>,
}

/// A line with more than white space.
pub(super) struct Line {
    /// Its place in the file's list.
    pub(super) at: usize,
    pub(super) fingerprint: LineFingerprint,
    pub(super) lexemes: usize,
    /// Of them, words: a rule of dashes or a heading in a box has none or one.
    words: usize,
}

impl Line {
    /// Whether it says nothing by itself.
    pub(super) fn is_common(&self) -> bool {
        self.lexemes <= COMMON_LEXEMES_MAX || self.words <= COMMON_WORDS_MAX
    }
}

/// Lines that follow each other, as lexemes.
pub(super) struct Block {
    /// For each lexeme, the line: its place in [`Looked::lines`].
    pub(super) of_line: Vec<usize>,
    /// For each run of lexemes, by its first, the fingerprint.
    pub(super) shingles: Vec<u64>,
}

pub(super) fn word(fingerprint: Fingerprint) -> u64 {
    u64::from_le_bytes(fingerprint.0)
}

/// Bits of the filter for each fingerprint: one in eight of those that are not sought gets through.
const FILTER_BITS_EACH: usize = 8;
const FILTER_BITS_MAX: usize = 1 << 26;

/// Which fingerprints may be sought: small, so that it stays in the processor's cache while a slice goes by.
struct Filter {
    bits: Vec<u64>,
    shift: u32,
}

impl Filter {
    fn new(fingerprints: usize) -> Filter {
        let bits = (fingerprints * FILTER_BITS_EACH).next_power_of_two().clamp(64, FILTER_BITS_MAX);
        Filter { bits: vec![0; bits / 64], shift: 64 - bits.ilog2() }
    }

    /// The high bits: a table takes the low ones.
    fn place(&self, word: u64) -> (usize, u64) {
        let bit = word >> self.shift;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    fn mark(&mut self, word: u64) {
        let (place, bit) = self.place(word);
        self.bits[place] |= bit;
    }

    fn may_have(&self, word: u64) -> bool {
        let (place, bit) = self.place(word);
        self.bits[place] & bit != 0
    }
}

impl<'f> Sought<'f> {
    /// Makes the fingerprints of lines, with a slice's key. Lines behind [`LINES_MAX`] are not looked at.
    pub fn new(files: &'f [File], key: &[u8; 32]) -> Sought<'f> {
        let keyed = Keyed::new(key);
        let mut sought = Sought {
            files,
            looked: Vec::new(),
            lines: Table::default(),
            shingles: Table::default(),
            seen: Vec::new(),
            filter: Filter::new(0),
            noticed: Vec::new(),
            of_line: Vec::new(),
        };
        let mut left = LINES_MAX;
        for file in files {
            let looked = look(&keyed, file, &mut left);
            for line in looked.lines.iter().filter(|line| !line.is_common()) {
                let word = word(line.fingerprint.normalised);
                let number = u32::try_from(sought.lines.len()).unwrap_or(u32::MAX);
                sought.lines.entry(word).or_insert(number);
            }
            for word in looked.blocks.iter().flat_map(|block| &block.shingles) {
                if *word == NOTHING {
                    continue;
                }
                let number = u32::try_from(sought.shingles.len()).unwrap_or(u32::MAX);
                sought.shingles.entry(*word).or_insert(number);
            }
            sought.looked.push(looked);
        }
        sought.seen.resize_with(sought.shingles.len(), AtomicU32::default);
        sought.of_line.resize(sought.lines.len(), Having::default());
        sought.filter = Filter::new(sought.lines.len() + sought.shingles.len());
        sought.lines.keys().chain(sought.shingles.keys()).for_each(|word| sought.filter.mark(*word));
        sought
    }

    /// The files that it is of.
    pub fn files(&self) -> &'f [File] {
        self.files
    }
}

impl Sought<'_> {
    pub(super) fn has_shingle(&self, word: u64) -> bool {
        self.filter.may_have(word) && self.shingles.contains_key(&word)
    }
}

impl Wanted for Sought<'_> {
    fn hits(&self, lists: &Lists<'_>, is_taken: bool) -> Option<Hits> {
        let mut hits = Hits { is_taken, ..Hits::default() };
        for (_, normalised) in lists.lines() {
            let word = word(normalised);
            if self.filter.may_have(word)
                && let Some(number) = self.lines.get(&word)
            {
                hits.lines.push(*number);
            }
        }
        for shingle in lists.shingles() {
            let word = word(shingle);
            if self.filter.may_have(word)
                && let Some(number) = self.shingles.get(&word)
            {
                // Counted here, so that what everybody writes is not kept a million times.
                let seen = &self.seen[*number as usize];
                if seen.load(Ordering::Relaxed) <= RARE_RECORDS {
                    seen.fetch_add(1, Ordering::Relaxed);
                    hits.shingles.push(*number);
                }
            }
        }
        // Those that were taken over are chosen first, and of alike the newer.
        let before = |line: &u32| {
            let having = self.of_line[*line as usize];
            if is_taken { having.taken } else { having.all }
        };
        let may_be = |line: &u32| before(line) < PLACES_MAX;
        (hits.lines.iter().any(may_be) || hits.shingles.len() >= SHINGLES_MIN).then_some(hits)
    }

    fn add(&mut self, hits: Hits) {
        for line in &hits.lines {
            let having = &mut self.of_line[*line as usize];
            having.all += 1;
            having.taken += usize::from(hits.is_taken);
        }
        self.noticed.push(hits);
    }

    fn choose(&mut self) -> Vec<usize> {
        let hits = std::mem::take(&mut self.noticed);
        let mut of_line = vec![0_usize; self.lines.len()];
        let mut of_shingle = vec![0_usize; self.shingles.len()];
        let mut order: Vec<usize> = (0..hits.len()).collect();
        order.sort_by_key(|place| !hits[*place].is_taken);
        let mut chosen = Vec::new();
        for place in order {
            let found = &hits[place];
            let mut wanted = false;
            for line in &found.lines {
                let places = &mut of_line[*line as usize];
                wanted |= *places < PLACES_MAX;
                *places += 1;
            }
            let is_rare =
                |number: &&u32| self.seen[**number as usize].load(Ordering::Relaxed) <= RARE_RECORDS;
            let rare: Vec<u32> = found.shingles.iter().filter(is_rare).copied().collect();
            if rare.len() >= SHINGLES_MIN {
                for number in rare {
                    let places = &mut of_shingle[number as usize];
                    wanted |= *places < PLACES_MAX;
                    *places += 1;
                }
            }
            if wanted {
                chosen.push(place);
            }
        }
        chosen.sort_unstable();
        chosen
    }
}

fn look(keyed: &Keyed, file: &File, left: &mut usize) -> Looked {
    let mut looked = Looked { lines: Vec::new(), blocks: Vec::new() };
    // A block's lexemes, and the number of the line before.
    let mut block: (Vec<&str>, Vec<usize>) = Default::default();
    let mut before = None;
    for (at, (number, text)) in file.lines.iter().enumerate() {
        let Some(fewer) = left.checked_sub(1) else { break };
        *left = fewer;
        if before.is_some_and(|before: u32| before.checked_add(1) != Some(*number)) {
            close(keyed, &mut block, &mut looked.blocks);
        }
        before = Some(*number);
        let Some(fingerprint) = keyed.line(text) else { continue };
        let found = lexemes(text);
        let place = looked.lines.len();
        looked.lines.push(Line { at, fingerprint, lexemes: found.len(), words: words(&found) });
        block.1.extend(found.iter().map(|_| place));
        block.0.extend(found);
    }
    close(keyed, &mut block, &mut looked.blocks);
    looked
}

/// How many of them are words or numbers.
fn words(lexemes: &[&str]) -> usize {
    lexemes.iter().filter(|lexeme| lexeme.starts_with(|c: char| c.is_alphanumeric() || c == '_')).count()
}

fn close(keyed: &Keyed, block: &mut (Vec<&str>, Vec<usize>), blocks: &mut Vec<Block>) {
    let (lexemes, of_line) = std::mem::take(block);
    if !lexemes.is_empty() {
        let windows = lexemes.windows(SHINGLE_LEXEMES.min(lexemes.len()));
        let says_something = |window: &&[&str]| words(window) >= SHINGLE_WORDS_MIN;
        let shingle = |window: &[&str]| word(keyed.shingle(window));
        let shingles = windows.map(|window| Some(window).filter(says_something).map_or(NOTHING, shingle));
        let shingles = shingles.collect();
        blocks.push(Block { of_line, shingles });
    }
}
