//! The K formats: blocks of 256 weights, each with sub-blocks that have scales of their own.
//!
//! A block's two integer sums are exact: the products, scaled, and what is to be taken from them. A chain's
//! step scales both and adds them with one rounding.

use std::ops::Range;

use bytemuck::Pod;

use super::{Matrix, ROWS, put};
use crate::blocks::{Q4K, Q5K, Q6K, Q8K, SUPER_BLOCK, scales_and_minima};
use crate::lanes::{Bytes, FOURS_AT_ONCE, Floats, Ints, PICK_TWO, Words};

/// Columns from which on it pays to lay weights out anew.
const COLUMNS_PACKED_MIN: usize = 4;
/// Groups of four weights in a block.
const QUADS: usize = SUPER_BLOCK / 4;

pub(super) trait Super: Pod {
    /// Weights of a sub-block.
    const SUB_BLOCK: usize;
    /// Groups of four products of two pairs each whose sums stay inside 16 bits.
    const QUADS_IN_WORDS: usize;
    /// Whether weights have minima, with a scale of their own; else each is 32 less than its bits say.
    const HAS_MINIMA: bool;
    /// The weights, in order, each in a byte of its own.
    fn weights(&self) -> [Bytes; 8];
    /// For each 16 weights their scale, and what their sum of activations is multiplied by.
    fn scales(&self) -> (Words, Words);
    /// In eight lanes, whose sums are exact: scaled products, and sums of activations multiplied.
    fn lanes(&self, activations: &Q8K) -> (Ints, Ints);
    /// Scales of the two, half floats.
    fn halves(&self) -> (u16, u16);
    /// A chain's step: what the two sums come to.
    #[inline(always)]
    fn value(products: Ints, offsets: Ints, scales: Floats, minima: Floats) -> Floats {
        if Self::HAS_MINIMA {
            minima.neg_mul_add(offsets.floats(), scales.mul(products.floats()))
        } else {
            scales.mul(products.sub(offsets.times_32()).floats())
        }
    }
}

pub(super) fn product<B: Super>(
    weights: Matrix<'_>,
    rows: Range<usize>,
    activations: Matrix<'_>,
    columns: usize,
    write: &mut impl FnMut(usize, usize, &[f32]),
) {
    #[cfg(all(
        target_arch = "x86_64",
        target_feature = "avx2",
        target_feature = "fma",
        target_feature = "f16c"
    ))]
    let rows = match crate::lanes::wide::proof() {
        Some(proof) if columns >= super::wide::COLUMNS_MIN => {
            super::wide::supers::<B>(proof, weights, rows.clone(), activations, columns, write)..rows.end
        }
        _ => rows,
    };
    let blocks = activations.row_bytes / size_of::<Q8K>();
    let mut packed = vec![Packed::ZERO; if columns < COLUMNS_PACKED_MIN { 0 } else { blocks }];
    for first in rows.clone().step_by(ROWS) {
        let eight = weights.eight::<B>(first, rows.end);
        if columns < COLUMNS_PACKED_MIN {
            for column in 0..columns {
                let foresee = |block| {
                    if column == 0 {
                        weights.foresee(first + ROWS, block, size_of::<B>());
                    }
                };
                put(eight_rows(eight, activations.row(column), foresee), first, rows.end, column, write);
            }
            continue;
        }
        for (index, block) in packed.iter_mut().enumerate() {
            weights.foresee(first + ROWS, index, size_of::<B>());
            block.fill(eight.map(|row| &row[index]), FOURS_AT_ONCE);
        }
        let mut column = 0;
        while column < columns {
            let mut write = |c: usize, values: Floats| put(values, first, rows.end, c, write);
            // As many columns together as registers hold.
            column += match columns - column {
                8.. if FOURS_AT_ONCE => tile_of_packed::<B, 8>(&packed, activations, column, &mut write),
                4.. => tile_of_packed::<B, 4>(&packed, activations, column, &mut write),
                2.. => tile_of_packed::<B, 2>(&packed, activations, column, &mut write),
                _ => tile_of_packed::<B, 1>(&packed, activations, column, &mut write),
            };
        }
    }
}

#[inline(always)]
fn eight_rows<B: Super>(rows: [&[B]; ROWS], activations: &[Q8K], foresee: impl Fn(usize)) -> Floats {
    let mut sum = Floats::splat(0.0);
    for (index, activations) in activations.iter().enumerate() {
        foresee(index);
        // Loops and not `map`: its closures are not compiled into their place.
        let (mut products, mut offsets) = ([Ints::splat(0); ROWS], [Ints::splat(0); ROWS]);
        let (mut scales, mut minima) = ([0; ROWS], [0; ROWS]);
        for row in 0..ROWS {
            let weights = &rows[row][index];
            (products[row], offsets[row]) = weights.lanes(activations);
            (scales[row], minima[row]) = weights.halves();
        }
        let (products, offsets) = (Ints::sums(products), Ints::sums(offsets));
        let value = B::value(products, offsets, Floats::halves(&scales), Floats::halves(&minima));
        sum = value.mul_add(Floats::splat(activations.d), sum);
    }
    sum
}

/// A block of eight rows, laid out so that a vector holds four weights of each.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Packed {
    pub(super) quads: [[u8; 32]; QUADS],
    /// Of each sub-block, for each row: its scale, as an int or, where products come in pairs of words, twice.
    pub(super) scales: [[i16; 2 * ROWS]; 16],
    /// For each two times 16 weights, for each row: what the two sums of activations are multiplied by.
    pub(super) offsets: [[i16; 2 * ROWS]; 8],
    pub(super) halves: [f32; ROWS],
    pub(super) minima: [f32; ROWS],
}

impl Packed {
    pub(super) const ZERO: Packed = Packed {
        quads: [[0; 32]; QUADS],
        scales: [[0; 2 * ROWS]; 16],
        offsets: [[0; 2 * ROWS]; 8],
        halves: [0.0; ROWS],
        minima: [0.0; ROWS],
    };

    #[inline(always)]
    pub(super) fn fill<B: Super>(&mut self, blocks: [&B; ROWS], scales_are_ints: bool) {
        // Loops and not `map`: its closures are not compiled into their place.
        let mut weights = [[Bytes::quad([0; 4]); ROWS]; 8];
        let (mut scales, mut offsets) = ([Words::splat(0); ROWS], [Words::splat(0); ROWS]);
        for (row, block) in blocks.into_iter().enumerate() {
            for (part, bytes) in block.weights().into_iter().enumerate() {
                weights[part][row] = bytes;
            }
            (scales[row], offsets[row]) = block.scales();
        }
        for (quads, rows) in self.quads.as_chunks_mut::<8>().0.iter_mut().zip(weights) {
            for (quad, bytes) in quads.iter_mut().zip(Bytes::quads_of_rows(rows)) {
                bytes.store(quad);
            }
        }
        for (to, words) in self.offsets.iter_mut().zip(Words::pairs_of_rows(offsets)) {
            words.store(to);
        }
        for (pair, words) in Words::pairs_of_rows(scales).into_iter().enumerate() {
            let [even, odd] = if scales_are_ints { words.halves_as_ints() } else { words.halves_twice() };
            if B::SUB_BLOCK == 32 {
                even.store(&mut self.scales[pair]);
            } else {
                even.store(&mut self.scales[2 * pair]);
                odd.store(&mut self.scales[2 * pair + 1]);
            }
        }
        Floats::halves(&blocks.map(|block| block.halves().0)).store(&mut self.halves);
        Floats::halves(&blocks.map(|block| block.halves().1)).store(&mut self.minima);
    }
}

/// Forms `N` columns from `column` on; returns `N`.
#[inline(always)]
fn tile_of_packed<B: Super, const N: usize>(
    packed: &[Packed],
    activations: Matrix<'_>,
    column: usize,
    write: &mut impl FnMut(usize, Floats),
) -> usize {
    let columns: [&[Q8K]; N] = std::array::from_fn(|c| activations.row(column + c));
    let mut sums = [Floats::splat(0.0); N];
    for (index, block) in packed.iter().enumerate() {
        let activations: [&Q8K; N] = std::array::from_fn(|c| &columns[c][index]);
        let mut products = [Ints::splat(0); N];
        let quads_of =
            |c: usize, quad: usize| Bytes::quad(activations[c].q[quad / 8].as_chunks::<4>().0[quad % 8]);
        for (sub_block, quads) in block.quads.chunks_exact(B::SUB_BLOCK / 4).enumerate() {
            let first = sub_block * (B::SUB_BLOCK / 4);
            let scale = Words::load(&block.scales[sub_block]);
            if FOURS_AT_ONCE {
                let mut exact = [Ints::splat(0); N];
                for (quad, bytes) in quads.iter().enumerate() {
                    let weights = Bytes::load(bytes);
                    for (c, exact) in exact.iter_mut().enumerate() {
                        *exact = weights.fours(quads_of(c, first + quad), *exact);
                    }
                }
                for c in 0..N {
                    products[c] = products[c].add(exact[c].mul(scale.ints()));
                }
            } else {
                for (group, quads) in quads.chunks_exact(B::QUADS_IN_WORDS).enumerate() {
                    let mut words = [Words::splat(0); N];
                    for (quad, bytes) in quads.iter().enumerate() {
                        let weights = Bytes::load(bytes);
                        for (c, words) in words.iter_mut().enumerate() {
                            let q = quads_of(c, first + group * B::QUADS_IN_WORDS + quad);
                            *words = words.add(weights.pairs(q));
                        }
                    }
                    for c in 0..N {
                        products[c] = products[c].add(words[c].pairs(scale));
                    }
                }
            }
        }
        let mut offsets = [Ints::splat(0); N];
        for (pair, words) in block.offsets.iter().enumerate() {
            let words = Words::load(words);
            for c in 0..N {
                let two = Words::two(activations[c].sums.as_chunks::<2>().0[pair]);
                offsets[c] = offsets[c].add(words.pairs(two));
            }
        }
        let (halves, minima) = (Floats::load(&block.halves), Floats::load(&block.minima));
        for c in 0..N {
            let value = B::value(products[c], offsets[c], halves, minima);
            sums[c] = value.mul_add(Floats::splat(activations[c].d), sums[c]);
        }
    }
    for (c, values) in sums.into_iter().enumerate() {
        write(column + c, values);
    }
    N
}

/// Scaled products of eight sub-blocks of 32 weights with a scale and a minimum each, and the minima.
#[inline(always)]
fn eight_sub_blocks(weights: [Bytes; 8], packed: &[u8; 12], activations: &Q8K) -> (Ints, Ints) {
    let (scales, minima) = twice(packed);
    let mut pairs = [0; 16];
    scales.store(&mut pairs);
    let mut sum = Ints::splat(0);
    for ((weights, q), &pair) in weights.iter().zip(&activations.q).zip(pairs.as_chunks::<2>().0) {
        let products = weights.pairs(Bytes::load_signed(q));
        // Loaded all over a vector: cheaper than to move it there.
        sum = sum.add(products.pairs(Words::two(pair)));
    }
    (sum, minima.pairs(Words::load(&activations.sums)))
}

/// Of sub-blocks of 32 weights, for each 16.
#[inline(always)]
fn twice(packed: &[u8; 12]) -> (Words, Words) {
    let (scales, minima) = scales_and_minima(packed);
    (Words::twice(scales), Words::twice(minima))
}

impl Super for Q4K {
    const SUB_BLOCK: usize = 32;
    const QUADS_IN_WORDS: usize = 8;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn weights(&self) -> [Bytes; 8] {
        let mut weights = [Bytes::quad([0; 4]); 8];
        for pair in 0..4 {
            let both = Bytes::load(&self.low[pair]);
            (weights[2 * pair], weights[2 * pair + 1]) = (both.low(), both.high());
        }
        weights
    }

    #[inline(always)]
    fn scales(&self) -> (Words, Words) {
        twice(&self.scales)
    }

    #[inline(always)]
    fn lanes(&self, activations: &Q8K) -> (Ints, Ints) {
        eight_sub_blocks(self.weights(), &self.scales, activations)
    }

    #[inline(always)]
    fn halves(&self) -> (u16, u16) {
        (self.d, self.dmin)
    }
}

impl Super for Q5K {
    const SUB_BLOCK: usize = 32;
    const QUADS_IN_WORDS: usize = 4;
    const HAS_MINIMA: bool = true;

    #[inline(always)]
    fn weights(&self) -> [Bytes; 8] {
        let high = Bytes::load(&self.high);
        let mut weights = [Bytes::quad([0; 4]); 8];
        for pair in 0u8..4 {
            let (at, both) = (usize::from(pair), Bytes::load(&self.low[usize::from(pair)]));
            weights[2 * at] = both.low().or(high.bit_to_4(2 * pair));
            weights[2 * at + 1] = both.high().or(high.bit_to_4(2 * pair + 1));
        }
        weights
    }

    #[inline(always)]
    fn scales(&self) -> (Words, Words) {
        twice(&self.scales)
    }

    #[inline(always)]
    fn lanes(&self, activations: &Q8K) -> (Ints, Ints) {
        eight_sub_blocks(self.weights(), &self.scales, activations)
    }

    #[inline(always)]
    fn halves(&self) -> (u16, u16) {
        (self.d, self.dmin)
    }
}

impl Super for Q6K {
    const SUB_BLOCK: usize = 16;
    const QUADS_IN_WORDS: usize = 2;
    const HAS_MINIMA: bool = false;

    #[inline(always)]
    fn weights(&self) -> [Bytes; 8] {
        let mut weights = [Bytes::quad([0; 4]); 8];
        for half in 0..2 {
            let high = Bytes::load(&self.high[half]);
            let (a, b) = (Bytes::load(&self.low[2 * half]), Bytes::load(&self.low[2 * half + 1]));
            weights[4 * half] = a.low().or(high.pair_to_4::<0>());
            weights[4 * half + 1] = b.low().or(high.pair_to_4::<2>());
            weights[4 * half + 2] = a.high().or(high.pair_to_4::<4>());
            weights[4 * half + 3] = b.high().or(high.pair_to_4::<6>());
        }
        weights
    }

    #[inline(always)]
    fn scales(&self) -> (Words, Words) {
        let scales = Words::widen(&self.scales);
        (scales, scales)
    }

    #[inline(always)]
    fn lanes(&self, activations: &Q8K) -> (Ints, Ints) {
        let scales = Words::widen(&self.scales);
        let halves = scales.split();
        let mut sum = Ints::splat(0);
        for (part, weights) in self.weights().into_iter().enumerate() {
            let products = weights.pairs(Bytes::load_signed(&activations.q[part]));
            sum = sum.add(products.pairs(halves[part / 4].pick(&PICK_TWO[part % 4])));
        }
        (sum, scales.pairs(Words::load(&activations.sums)))
    }

    #[inline(always)]
    fn halves(&self) -> (u16, u16) {
        (self.d, 0)
    }
}
