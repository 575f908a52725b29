//! The simple formats: blocks of 32 weights with one scale.

use std::ops::Range;

use bytemuck::Pod;

use super::{Matrix, ROWS, put};
use crate::blocks::{Q4_0, Q5_0, Q8_0};
use crate::lanes::{Bytes, FOURS_AT_ONCE, Floats, Ints, Words};

/// Columns from which on it pays to lay weights out anew.
const COLUMNS_PACKED_MIN: usize = 2;
/// Columns that are formed together.
const TILE: usize = 4;

pub(super) trait Simple: Pod {
    /// What is to be taken from each of [`Simple::unsigned`]; 0 for a format of signed weights.
    const OFFSET: i32;
    /// The weights, in order: unsigned, or with signs where the format has no offset.
    fn weights(&self) -> Bytes;
    /// The scale, a half float.
    fn scale(&self) -> u16;
}

pub(super) fn product<B: Simple>(
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
            super::wide::simple::<B>(proof, weights, rows.clone(), activations, columns, write)..rows.end
        }
        _ => rows,
    };
    if rows.is_empty() {
        return;
    }
    let blocks = activations.row_bytes / size_of::<Q8_0>();
    let offsets = offsets(B::OFFSET, activations, columns);
    let mut packed = vec![Packed::ZERO; if columns < COLUMNS_PACKED_MIN { 0 } else { blocks }];
    for first in rows.clone().step_by(ROWS) {
        let eight = weights.eight::<B>(first, rows.end);
        if columns < COLUMNS_PACKED_MIN {
            for column in 0..columns {
                let offsets = &offsets[column * blocks..][..blocks];
                let foresee = |block| {
                    if column == 0 {
                        weights.foresee(first + ROWS, block, size_of::<B>());
                    }
                };
                let values = eight_rows(eight, activations.row(column), offsets, foresee);
                put(values, first, rows.end, column, write);
            }
            continue;
        }
        for (index, block) in packed.iter_mut().enumerate() {
            weights.foresee(first + ROWS, index, size_of::<B>());
            block.fill(eight.map(|row| &row[index]));
        }
        let mut column = 0;
        while column < columns {
            let mut write = |c: usize, values: Floats| put(values, first, rows.end, c, write);
            column += match columns - column {
                TILE.. => tile_of_packed::<B, TILE>(&packed, activations, &offsets, column, &mut write),
                2.. => tile_of_packed::<B, 2>(&packed, activations, &offsets, column, &mut write),
                _ => tile_of_packed::<B, 1>(&packed, activations, &offsets, column, &mut write),
            };
        }
    }
}

/// For each block of each column, what the format's offset adds to an integer sum.
pub(super) fn offsets(offset: i32, activations: Matrix<'_>, columns: usize) -> Vec<i32> {
    if offset == 0 {
        return vec![0; columns * (activations.row_bytes / size_of::<Q8_0>())];
    }
    let sum = |block: &Q8_0| block.q.iter().map(|&q| i32::from(q)).sum::<i32>() * offset;
    (0..columns).flat_map(|column| activations.row::<Q8_0>(column).iter().map(sum)).collect()
}

#[inline(always)]
fn eight_rows<B: Simple>(
    rows: [&[B]; ROWS],
    activations: &[Q8_0],
    offsets: &[i32],
    foresee: impl Fn(usize),
) -> Floats {
    let mut sum = Floats::splat(0.0);
    for ((index, block), &offset) in activations.iter().enumerate().zip(offsets) {
        foresee(index);
        let q = Bytes::load_signed(&block.q);
        // Loops and not `map`: its closures are not compiled into their place.
        let (mut products, mut scales) = ([Ints::splat(0); ROWS], [0; ROWS]);
        for row in 0..ROWS {
            let block = &rows[row][index];
            let weights = block.weights();
            products[row] = if B::OFFSET == 0 {
                weights.magnitude().fours(q.with_sign_of(weights), Ints::splat(0))
            } else {
                weights.fours(q, Ints::splat(0))
            };
            scales[row] = block.scale();
        }
        let exact = Ints::sums(products).sub(Ints::splat(offset));
        sum = scaled(exact, Floats::halves(&scales), block, sum);
    }
    sum
}

/// One step of the chain.
#[inline(always)]
fn scaled(exact: Ints, scales: Floats, activations: &Q8_0, sum: Floats) -> Floats {
    let scale = half::f16::from_bits(activations.d).to_f32();
    exact.floats().mul_add(scales.mul(Floats::splat(scale)), sum)
}

/// A block of eight rows, laid out so that a vector holds four weights of each.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Packed {
    pub(super) quads: [[u8; 32]; 8],
    pub(super) scales: [f32; ROWS],
}

impl Packed {
    pub(super) const ZERO: Packed = Packed { quads: [[0; 32]; 8], scales: [0.0; ROWS] };

    #[inline(always)]
    pub(super) fn fill<B: Simple>(&mut self, blocks: [&B; ROWS]) {
        // A loop and not `map`: its closures are not compiled into their place.
        let mut weights = [Bytes::quad([0; 4]); ROWS];
        for row in 0..ROWS {
            weights[row] = blocks[row].weights();
        }
        for (quad, bytes) in self.quads.iter_mut().zip(Bytes::quads_of_rows(weights)) {
            bytes.store(quad);
        }
        Floats::halves(&blocks.map(Simple::scale)).store(&mut self.scales);
    }
}

/// Forms `N` columns from `column` on; returns `N`.
#[inline(always)]
fn tile_of_packed<B: Simple, const N: usize>(
    packed: &[Packed],
    activations: Matrix<'_>,
    offsets: &[i32],
    column: usize,
    write: &mut impl FnMut(usize, Floats),
) -> usize {
    let tile: [&[Q8_0]; N] = std::array::from_fn(|c| activations.row(column + c));
    let offsets: [&[i32]; N] =
        std::array::from_fn(|c| &offsets[(column + c) * packed.len()..][..packed.len()]);
    let mut sums = [Floats::splat(0.0); N];
    for (index, block) in packed.iter().enumerate() {
        let columns = tile.map(|column| &column[index]);
        let mut exact = [Ints::splat(0); N];
        for c in 0..N {
            exact[c] = exact[c].sub(Ints::splat(offsets[c][index]));
        }
        if B::OFFSET == 0 {
            for (quad, bytes) in block.quads.iter().enumerate() {
                let weights = Bytes::load(bytes);
                let magnitude = weights.magnitude();
                for (exact, column) in exact.iter_mut().zip(columns) {
                    let q = Bytes::quad(column.q.as_chunks::<4>().0[quad]);
                    *exact = magnitude.fours(q.with_sign_of(weights), *exact);
                }
            }
        } else if FOURS_AT_ONCE {
            for (quad, bytes) in block.quads.iter().enumerate() {
                let weights = Bytes::load(bytes);
                for (exact, column) in exact.iter_mut().zip(columns) {
                    *exact = weights.fours(Bytes::quad(column.q.as_chunks::<4>().0[quad]), *exact);
                }
            }
        } else {
            // Four products of two unsigned weights below 32 stay inside 16 bits.
            for half in 0..2 {
                let mut words = [Words::splat(0); N];
                for quad in 4 * half..4 * half + 4 {
                    let weights = Bytes::load(&block.quads[quad]);
                    for (words, column) in words.iter_mut().zip(columns) {
                        let q = Bytes::quad(column.q.as_chunks::<4>().0[quad]);
                        *words = words.add(weights.pairs(q));
                    }
                }
                for (exact, words) in exact.iter_mut().zip(words) {
                    *exact = exact.add(words.pairs(Words::splat(1)));
                }
            }
        }
        let scales = Floats::load(&block.scales);
        for c in 0..N {
            sums[c] = scaled(exact[c], scales, columns[c], sums[c]);
        }
    }
    for (c, values) in sums.into_iter().enumerate() {
        write(column + c, values);
    }
    N
}

impl Simple for Q8_0 {
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn weights(&self) -> Bytes {
        Bytes::load_signed(&self.q)
    }

    #[inline(always)]
    fn scale(&self) -> u16 {
        self.d
    }
}

impl Simple for Q5_0 {
    const OFFSET: i32 = 16;

    #[inline(always)]
    fn weights(&self) -> Bytes {
        Bytes::nibbles(&self.low).or(Bytes::bits(u32::from_le_bytes(self.high), 16))
    }

    #[inline(always)]
    fn scale(&self) -> u16 {
        self.d
    }
}

impl Simple for Q4_0 {
    const OFFSET: i32 = 8;

    #[inline(always)]
    fn weights(&self) -> Bytes {
        Bytes::nibbles(&self.low)
    }

    #[inline(always)]
    fn scale(&self) -> u16 {
        self.d
    }
}
