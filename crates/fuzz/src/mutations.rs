//! Inputs that are nearly right: seeds with a few things changed.

use testkit::draw::Draw;

/// Numbers at which lengths, offsets and counts break.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, i64::MAX as u64, u64::MAX];
/// An input is no longer than this, as under libFuzzer.
const BYTES_MAX: usize = 16 << 10;
const EDITS_MAX: u64 = 8;

/// Draws inputs without end. The same seeds and the same draws give the same inputs.
pub struct Mutations<'a> {
    seeds: &'a [Vec<u8>],
    draw: Draw,
}

impl<'a> Mutations<'a> {
    /// Of these seeds; of nothing where there are none.
    pub fn new(seeds: &'a [Vec<u8>], draw: Draw) -> Mutations<'a> {
        Mutations { seeds, draw }
    }

    fn seed(&mut self) -> &'a [u8] {
        if self.seeds.is_empty() { &[] } else { self.draw.one_of(self.seeds).as_slice() }
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.draw.below(limit.max(1) as u64)).unwrap_or(0)
    }

    /// A part of `bytes`, which may be all or nothing.
    fn part(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let longest = (bytes.len() - start).min(1 << self.below(10));
        start..start + self.below(longest + 1)
    }

    fn random(&mut self) -> Vec<u8> {
        let length = 1 << self.below(7);
        (0..length).map(|_| self.draw.number().to_le_bytes()[0]).collect()
    }

    fn edit(&mut self, input: &mut Vec<u8>) {
        let (at, part) = (self.below(input.len()), self.part(input));
        match self.draw.below(8) {
            // One bit, one byte.
            0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.draw.below(8)),
            1 => {
                input.iter_mut().skip(at).take(1).for_each(|byte| *byte = self.draw.number().to_le_bytes()[0])
            }
            // A part is gone, is there twice, or is another.
            2 => drop(input.drain(part)),
            3 => {
                let twice = input[part.clone()].to_vec();
                input.splice(part.start..part.start, twice);
            }
            4 => {
                let other = self.seed();
                let from = self.part(other);
                input.splice(part, other[from].iter().copied());
            }
            5 => {
                let random = self.random();
                input.splice(part, random);
            }
            // A number at an edge, as binary formats write it, or as text does.
            6 => {
                let bytes = self.draw.one_of(&EDGES).to_le_bytes();
                let length = 1 << self.below(4);
                input.iter_mut().skip(at).zip(&bytes[..length]).for_each(|(old, new)| *old = *new);
            }
            _ => {
                let digits = self.draw.one_of(&EDGES).to_string();
                input.splice(part, digits.into_bytes());
            }
        }
        input.truncate(BYTES_MAX);
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut input = self.seed().to_vec();
        if input.is_empty() {
            input = self.random();
        }
        for _ in 0..=self.draw.below(EDITS_MAX) {
            self.edit(&mut input);
        }
        Some(input)
    }
}
