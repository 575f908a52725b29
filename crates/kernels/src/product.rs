//! Products of quantized weights and quantized activations.
//!
//! An element of a product is a chain: for each block of the row, in order, the exact integer sum of the
//! block's products, scaled and added with one rounding. The chain is the same whether one column of
//! activations is multiplied or many, alone or beside others; which rows and columns are formed together
//! is a matter of speed.

mod simple;
mod supers;
#[cfg(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma", target_feature = "f16c"))]
mod wide;

use std::ops::Range;

use bytemuck::{Pod, cast_slice};

use crate::blocks::{BLOCK, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0, SUPER_BLOCK};
use crate::lanes::{Floats, prefetch};

/// Rows that are formed together: as many as a vector of floats has lanes.
pub const ROWS: usize = 8;

/// A format of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// [`Q4_0`].
    Q4_0,
    /// [`Q5_0`].
    Q5_0,
    /// [`Q8_0`].
    Q8_0,
    /// [`Q4K`].
    Q4K,
    /// [`Q5K`].
    Q5K,
    /// [`Q6K`].
    Q6K,
}

/// A matrix in memory, row after row.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// All its rows.
    pub bytes: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes of a row.
    pub row_bytes: usize,
}

impl<'a> Matrix<'a> {
    fn row<T: Pod>(&self, row: usize) -> &'a [T] {
        let start = row * self.stride;
        cast_slice(&self.bytes[start..start + self.row_bytes])
    }

    /// Brings closer what the eight rows from `next` on hold, the share of one block of `blocks` at a call:
    /// eight rows at a time are too many streams for the processor to foresee.
    #[inline(always)]
    fn foresee(&self, next: usize, block: usize, block_bytes: usize) {
        const LINE: usize = 64;
        let share = ROWS * block_bytes;
        let start = next * self.stride + block * share;
        for line in (start / LINE..(start + share) / LINE).map(|line| line * LINE) {
            prefetch(self.bytes, line);
        }
    }

    /// Eight rows from `first` on; beyond `end` the last one again.
    fn eight<T: Pod>(&self, first: usize, end: usize) -> [&'a [T]; ROWS] {
        std::array::from_fn(|row| self.row((first + row).min(end - 1)))
    }
}

impl Format {
    /// Weights of a block; a row has a whole number of blocks.
    pub fn block(self) -> usize {
        match self {
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => BLOCK,
            Format::Q4K | Format::Q5K | Format::Q6K => SUPER_BLOCK,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Format::Q4_0 => size_of::<Q4_0>(),
            Format::Q5_0 => size_of::<Q5_0>(),
            Format::Q8_0 => size_of::<Q8_0>(),
            Format::Q4K => size_of::<Q4K>(),
            Format::Q5K => size_of::<Q5K>(),
            Format::Q6K => size_of::<Q6K>(),
        }
    }
}

/// Multiplies `rows` of `weights` with all `columns` of `activations` ([`Q8_0`] or [`Q8K`], by the
/// format's block). `write` gets a row's number, a column's, and the values of the rows from there on.
#[inline(always)]
pub fn product(
    format: Format,
    weights: Matrix<'_>,
    rows: Range<usize>,
    activations: Matrix<'_>,
    columns: usize,
    mut write: impl FnMut(usize, usize, &[f32]),
) {
    let write = &mut write;
    match format {
        Format::Q4_0 => simple::product::<Q4_0>(weights, rows, activations, columns, write),
        Format::Q5_0 => simple::product::<Q5_0>(weights, rows, activations, columns, write),
        Format::Q8_0 => simple::product::<Q8_0>(weights, rows, activations, columns, write),
        Format::Q4K => supers::product::<Q4K>(weights, rows, activations, columns, write),
        Format::Q5K => supers::product::<Q5K>(weights, rows, activations, columns, write),
        Format::Q6K => supers::product::<Q6K>(weights, rows, activations, columns, write),
    }
}

fn put(
    values: Floats,
    first: usize,
    end: usize,
    column: usize,
    write: &mut impl FnMut(usize, usize, &[f32]),
) {
    let mut eight = [0.0; ROWS];
    values.store(&mut eight);
    write(first, column, &eight[..ROWS.min(end - first)]);
}
