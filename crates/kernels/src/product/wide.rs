//! Products by wide vectors, sixteen rows together: the same chains, so the same bits.

use std::ops::Range;

use super::simple::{self, Simple};
use super::supers::{self, Super};
use super::{Matrix, ROWS};
use crate::blocks::{Q8_0, Q8K, SUPER_BLOCK};
use crate::lanes::wide::{Bytes, Floats, Ints, Proof, Words};

/// Columns from which on it pays: a whole tile.
pub(super) const COLUMNS_MIN: usize = TILE;
/// Rows that are formed together.
const TWICE: usize = 2 * ROWS;
/// Columns that are formed together: as many as registers hold.
const TILE: usize = 8;
/// What signed weights are taken to be more, so that they are unsigned.
const SIGN: i32 = 0x80;

/// Of each column of a tile, what its rows came to.
type Values = [[f32; TWICE]; TILE];

/// Of a K format, as many rows as make sixteens, and what is left where it is more than eight. Returns the first row
/// behind them.
pub(super) fn supers<B: Super>(
    _proof: Proof,
    weights: Matrix<'_>,
    rows: Range<usize>,
    activations: Matrix<'_>,
    columns: usize,
    write: &mut impl FnMut(usize, usize, &[f32]),
) -> usize {
    let mut packed = vec![[supers::Packed::ZERO; 2]; activations.row_bytes / size_of::<Q8K>()];
    let mut first = rows.start;
    while rows.end.saturating_sub(first) > ROWS {
        let eights = [first, first + ROWS].map(|first| weights.eight::<B>(first, rows.end));
        for (index, halves) in packed.iter_mut().enumerate() {
            weights.foresee(first + TWICE, index, 2 * size_of::<B>());
            for (half, eight) in halves.iter_mut().zip(eights) {
                half.fill(eight.map(|row| &row[index]), true);
            }
        }
        // SAFETY: the processor has the instructions, as was proven.
        let tile = |count, column, values: &mut Values| unsafe {
            match count {
                TILE => tile_of_supers::<B, TILE>(&packed, activations, column, values),
                4 => tile_of_supers::<B, 4>(&packed, activations, column, values),
                _ => tile_of_supers::<B, 1>(&packed, activations, column, values),
            }
        };
        in_tiles(columns, tile, |column, values| {
            write(first, column, &values[..TWICE.min(rows.end - first)]);
        });
        first += TWICE;
    }
    first.min(rows.end)
}

/// The same of a simple format. Of one with signs the weights are taken as if they were [`SIGN`] more.
pub(super) fn simple<B: Simple>(
    _proof: Proof,
    weights: Matrix<'_>,
    rows: Range<usize>,
    activations: Matrix<'_>,
    columns: usize,
    write: &mut impl FnMut(usize, usize, &[f32]),
) -> usize {
    let offset = if B::OFFSET == 0 { SIGN } else { B::OFFSET };
    let offsets = simple::offsets(offset, activations, columns);
    let mut packed = vec![[simple::Packed::ZERO; 2]; activations.row_bytes / size_of::<Q8_0>()];
    let mut first = rows.start;
    while rows.end.saturating_sub(first) > ROWS {
        let eights = [first, first + ROWS].map(|first| weights.eight::<B>(first, rows.end));
        for (index, halves) in packed.iter_mut().enumerate() {
            weights.foresee(first + TWICE, index, 2 * size_of::<B>());
            for (half, eight) in halves.iter_mut().zip(eights) {
                half.fill(eight.map(|row| &row[index]));
            }
        }
        // SAFETY: the processor has the instructions, as was proven.
        let tile = |count, column, values: &mut Values| unsafe {
            match count {
                TILE => tile_of_simple::<B, TILE>(&packed, activations, &offsets, column, values),
                4 => tile_of_simple::<B, 4>(&packed, activations, &offsets, column, values),
                _ => tile_of_simple::<B, 1>(&packed, activations, &offsets, column, values),
            }
        };
        in_tiles(columns, tile, |column, values| {
            write(first, column, &values[..TWICE.min(rows.end - first)]);
        });
        first += TWICE;
    }
    first.min(rows.end)
}

/// Goes through all columns, in tiles of 8, 4 and 1: `tile` gets their number, the first one and where its values go.
#[inline(always)]
fn in_tiles(
    columns: usize,
    tile: impl Fn(usize, usize, &mut Values),
    mut put: impl FnMut(usize, &[f32; TWICE]),
) {
    let mut values = [[0.0; TWICE]; TILE];
    let mut column = 0;
    while column < columns {
        let count = match columns - column {
            TILE.. => TILE,
            4.. => 4,
            _ => 1,
        };
        tile(count, column, &mut values);
        for (number, values) in values[..count].iter().enumerate() {
            put(column + number, values);
        }
        column += count;
    }
}

#[expect(clippy::needless_range_loop, reason = "what `quad` is an index of goes by columns first")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tile_of_supers<B: Super, const N: usize>(
    packed: &[[supers::Packed; 2]],
    activations: Matrix<'_>,
    column: usize,
    values: &mut Values,
) {
    const QUADS: usize = SUPER_BLOCK / 4;
    let columns: [&[Q8K]; N] = std::array::from_fn(|c| activations.row(column + c));
    let mut sums = [Floats::splat(0.0); N];
    for (index, [low, high]) in packed.iter().enumerate() {
        let activations: [&Q8K; N] = std::array::from_fn(|c| &columns[c][index]);
        let quads: [&[[i8; 4]; QUADS]; N] = std::array::from_fn(|c| bytemuck::cast_ref(&activations[c].q));
        let mut products = [Ints::splat(0); N];
        for sub_block in 0..SUPER_BLOCK / B::SUB_BLOCK {
            let first = sub_block * (B::SUB_BLOCK / 4);
            let mut exact = [Ints::splat(0); N];
            for quad in first..first + B::SUB_BLOCK / 4 {
                let weights = Bytes::of(&low.quads[quad], &high.quads[quad]);
                for c in 0..N {
                    exact[c] = weights.fours(quads[c][quad], exact[c]);
                }
            }
            let scale = Words::of(&low.scales[sub_block], &high.scales[sub_block]).ints();
            for c in 0..N {
                products[c] = products[c].add(exact[c].mul(scale));
            }
        }
        let mut offsets = [Ints::splat(0); N];
        for pair in 0..low.offsets.len() {
            let words = Words::of(&low.offsets[pair], &high.offsets[pair]);
            for c in 0..N {
                offsets[c] = words.pairs(activations[c].sums.as_chunks().0[pair], offsets[c]);
            }
        }
        let halves = Floats::of(&low.halves, &high.halves);
        let minima = Floats::of(&low.minima, &high.minima);
        for c in 0..N {
            let value = if B::HAS_MINIMA {
                minima.neg_mul_add(offsets[c].floats(), halves.mul(products[c].floats()))
            } else {
                halves.mul(products[c].sub(offsets[c].times_32()).floats())
            };
            sums[c] = value.mul_add(Floats::splat(activations[c].d), sums[c]);
        }
    }
    for c in 0..N {
        sums[c].store(&mut values[c]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tile_of_simple<B: Simple, const N: usize>(
    packed: &[[simple::Packed; 2]],
    activations: Matrix<'_>,
    offsets: &[i32],
    column: usize,
    values: &mut Values,
) {
    let columns: [&[Q8_0]; N] = std::array::from_fn(|c| activations.row(column + c));
    let offsets: [&[i32]; N] =
        std::array::from_fn(|c| &offsets[(column + c) * packed.len()..][..packed.len()]);
    let mut sums = [Floats::splat(0.0); N];
    for (index, [low, high]) in packed.iter().enumerate() {
        let activations: [&Q8_0; N] = std::array::from_fn(|c| &columns[c][index]);
        let mut exact = [Ints::splat(0); N];
        for c in 0..N {
            exact[c] = exact[c].sub(Ints::splat(offsets[c][index]));
        }
        for quad in 0..low.quads.len() {
            let mut weights = Bytes::of(&low.quads[quad], &high.quads[quad]);
            if B::OFFSET == 0 {
                weights = weights.unsigned();
            }
            for c in 0..N {
                exact[c] = weights.fours(activations[c].q.as_chunks().0[quad], exact[c]);
            }
        }
        let scales = Floats::of(&low.scales, &high.scales);
        for c in 0..N {
            let scale = half::f16::from_bits(activations[c].d).to_f32();
            sums[c] = exact[c].floats().mul_add(scales.mul(Floats::splat(scale)), sums[c]);
        }
    }
    for c in 0..N {
        sums[c].store(&mut values[c]);
    }
}
