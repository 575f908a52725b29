//! Products of quantized weights and quantized activations.
//!
//! An element of a product is a chain: for each block of the row, in order, the exact integer sum of the
//! block's products, scaled and added with one rounding. The chain is the same whether one column of
//! activations is multiplied or many, alone or beside others; which rows and columns are formed together
//! is a matter of speed.

use std::ops::Range;

use bytemuck::{Pod, cast_slice};

use crate::blocks::{BLOCK, Q4_0, Q4K, Q5_0, Q5K, Q6K, Q8_0, Q8K, SUPER_BLOCK, scales_and_minima};
use crate::lanes::{Bytes, FOURS_AT_ONCE, Floats, Ints, PICK, PICK_TWO, Words, prefetch};

/// Rows that are formed together: as many as a vector of floats has lanes.
pub const ROWS: usize = 8;
/// Columns from which on it pays to lay weights out anew.
const COLUMNS_PACKED_MIN: usize = 4;
/// Columns that are formed together from such a layout.
const TILE: usize = 4;

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
        Format::Q4_0 => simple::<Q4_0>(weights, rows, activations, columns, write),
        Format::Q5_0 => simple::<Q5_0>(weights, rows, activations, columns, write),
        Format::Q8_0 => simple::<Q8_0>(weights, rows, activations, columns, write),
        Format::Q4K => supers::<Q4K>(weights, rows, activations, columns, write),
        Format::Q5K => supers::<Q5K>(weights, rows, activations, columns, write),
        Format::Q6K => supers::<Q6K>(weights, rows, activations, columns, write),
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

// The K formats.

/// A block of 256 weights.
trait Super: Pod {
    /// The weights, each in a byte of its own, and what they are scaled by.
    type Open;
    fn open(&self) -> Self::Open;
    /// In eight lanes, whose sums are exact: scaled products, and minima times activations.
    fn lanes(open: &Self::Open, activations: &Q8K) -> (Ints, Ints);
    /// Scales of the two, half floats.
    fn scales(&self) -> (u16, u16);
    /// Whether there are minima.
    const MINIMA: bool;
}

fn supers<B: Super>(
    weights: Matrix<'_>,
    rows: Range<usize>,
    activations: Matrix<'_>,
    columns: usize,
    write: &mut impl FnMut(usize, usize, &[f32]),
) {
    for first in rows.clone().step_by(ROWS) {
        let eight = weights.eight::<B>(first, rows.end);
        let foresee = |block| weights.foresee(first + ROWS, block, size_of::<B>());
        let mut column = 0;
        // Open weights serve several columns.
        while column + 4 <= columns {
            let four = std::array::from_fn(|c| activations.row(column + c));
            for (c, values) in eight_supers::<B, 4>(eight, four, foresee).into_iter().enumerate() {
                put(values, first, rows.end, column + c, write);
            }
            column += 4;
        }
        while column < columns {
            let [values] = eight_supers::<B, 1>(eight, [activations.row(column)], foresee);
            put(values, first, rows.end, column, write);
            column += 1;
        }
    }
}

#[inline(always)]
fn eight_supers<B: Super, const N: usize>(
    rows: [&[B]; ROWS],
    columns: [&[Q8K]; N],
    foresee: impl Fn(usize),
) -> [Floats; N] {
    let mut sums = [Floats::splat(0.0); N];
    for index in 0..columns[0].len() {
        foresee(index);
        // Loops and not `map`: its closures are not compiled into their place.
        let (mut products, mut minima) = ([[Ints::splat(0); ROWS]; N], [[Ints::splat(0); ROWS]; N]);
        let (mut scales, mut minima_scales) = ([0; ROWS], [0; ROWS]);
        for row in 0..ROWS {
            let weights = &rows[row][index];
            let open = weights.open();
            for c in 0..N {
                (products[c][row], minima[c][row]) = B::lanes(&open, &columns[c][index]);
            }
            (scales[row], minima_scales[row]) = weights.scales();
        }
        let (scales, minima_scales) = (Floats::halves(&scales), Floats::halves(&minima_scales));
        for c in 0..N {
            let mut value = scales.mul(Ints::sums(products[c]).floats());
            if B::MINIMA {
                value = minima_scales.neg_mul_add(Ints::sums(minima[c]).floats(), value);
            }
            sums[c] = value.mul_add(Floats::splat(columns[c][index].d), sums[c]);
        }
    }
    sums
}

/// Eight sub-blocks of 32 weights, with a scale and a minimum each.
struct Eight {
    weights: [Bytes; 8],
    scales: Words,
    minima: Words,
}

impl Eight {
    #[inline(always)]
    fn lanes(&self, activations: &Q8K) -> (Ints, Ints) {
        let mut sum = Ints::splat(0);
        for ((weights, q), pick) in self.weights.iter().zip(&activations.q).zip(&PICK) {
            let products = weights.pairs(Bytes::load_signed(q));
            sum = sum.add(products.pairs(self.scales.pick(pick)));
        }
        (sum, self.minima.pairs(Words::load(&activations.sums)))
    }
}

impl Super for Q4K {
    type Open = Eight;
    const MINIMA: bool = true;

    #[inline(always)]
    fn open(&self) -> Eight {
        let (scales, minima) = scales_and_minima(&self.scales);
        let mut weights = [Bytes::quad([0; 4]); 8];
        for pair in 0..4 {
            let both = Bytes::load(&self.low[pair]);
            (weights[2 * pair], weights[2 * pair + 1]) = (both.low(), both.high());
        }
        Eight { weights, scales: Words::eight(scales), minima: Words::twice(minima) }
    }

    #[inline(always)]
    fn lanes(open: &Eight, activations: &Q8K) -> (Ints, Ints) {
        open.lanes(activations)
    }

    #[inline(always)]
    fn scales(&self) -> (u16, u16) {
        (self.d, self.dmin)
    }
}

impl Super for Q5K {
    type Open = Eight;
    const MINIMA: bool = true;

    #[inline(always)]
    fn open(&self) -> Eight {
        let (scales, minima) = scales_and_minima(&self.scales);
        let high = Bytes::load(&self.high);
        let mut weights = [Bytes::quad([0; 4]); 8];
        for pair in 0u8..4 {
            let (at, both) = (usize::from(pair), Bytes::load(&self.low[usize::from(pair)]));
            weights[2 * at] = both.low().or(high.bit_to_4(2 * pair));
            weights[2 * at + 1] = both.high().or(high.bit_to_4(2 * pair + 1));
        }
        Eight { weights, scales: Words::eight(scales), minima: Words::twice(minima) }
    }

    #[inline(always)]
    fn lanes(open: &Eight, activations: &Q8K) -> (Ints, Ints) {
        open.lanes(activations)
    }

    #[inline(always)]
    fn scales(&self) -> (u16, u16) {
        (self.d, self.dmin)
    }
}

/// Sixteen sub-blocks of 16 weights, with a scale each.
struct Sixteen {
    weights: [Bytes; 8],
    scales: Words,
}

impl Super for Q6K {
    type Open = Sixteen;
    const MINIMA: bool = false;

    #[inline(always)]
    fn open(&self) -> Sixteen {
        let mut weights = [Bytes::quad([0; 4]); 8];
        for half in 0..2 {
            let high = Bytes::load(&self.high[half]);
            let (a, b) = (Bytes::load(&self.low[2 * half]), Bytes::load(&self.low[2 * half + 1]));
            weights[4 * half] = a.low().or(high.pair_to_4::<0>());
            weights[4 * half + 1] = b.low().or(high.pair_to_4::<2>());
            weights[4 * half + 2] = a.high().or(high.pair_to_4::<4>());
            weights[4 * half + 3] = b.high().or(high.pair_to_4::<6>());
        }
        Sixteen { weights, scales: Words::widen(&self.scales) }
    }

    #[inline(always)]
    fn lanes(open: &Sixteen, activations: &Q8K) -> (Ints, Ints) {
        let scales = open.scales.split();
        let mut sum = Ints::splat(0);
        for part in 0..8 {
            let products = open.weights[part].pairs(Bytes::load_signed(&activations.q[part]));
            sum = sum.add(products.pairs(scales[part / 4].pick(&PICK_TWO[part % 4])));
        }
        // A weight is its six bits less 32.
        let offset = open.scales.pairs(Words::load(&activations.sums)).times_32();
        (sum.sub(offset), Ints::splat(0))
    }

    #[inline(always)]
    fn scales(&self) -> (u16, u16) {
        (self.d, 0)
    }
}

// The simple formats.

/// A block of 32 weights.
trait Simple: Pod {
    /// What is to be taken from each of [`Simple::unsigned`]; 0 for a format of signed weights.
    const OFFSET: i32;
    /// The weights, in order: unsigned, or with signs where the format has no offset.
    fn weights(&self) -> Bytes;
    /// The scale, a half float.
    fn scale(&self) -> u16;
}

fn simple<B: Simple>(
    weights: Matrix<'_>,
    rows: Range<usize>,
    activations: Matrix<'_>,
    columns: usize,
    write: &mut impl FnMut(usize, usize, &[f32]),
) {
    let blocks = activations.row_bytes / size_of::<Q8_0>();
    let offsets = offsets(B::OFFSET, activations, columns);
    let mut packed = vec![Packed::ZERO; if columns < COLUMNS_PACKED_MIN { 0 } else { blocks }];
    for first in rows.clone().step_by(ROWS) {
        let eight = weights.eight::<B>(first, rows.end);
        let mut column = 0;
        if columns >= COLUMNS_PACKED_MIN {
            for (index, block) in packed.iter_mut().enumerate() {
                block.fill(eight.map(|row| &row[index]));
            }
            while column + TILE <= columns {
                let tile: [_; TILE] = std::array::from_fn(|c| activations.row::<Q8_0>(column + c));
                let tile_offsets: [_; TILE] =
                    std::array::from_fn(|c| &offsets[(column + c) * blocks..][..blocks]);
                let values = tile_of_packed::<B>(&packed, tile, tile_offsets);
                for (c, values) in values.into_iter().enumerate() {
                    put(values, first, rows.end, column + c, write);
                }
                column += TILE;
            }
        }
        for column in column..columns {
            let offsets = &offsets[column * blocks..][..blocks];
            let foresee = |block| {
                if column == 0 {
                    weights.foresee(first + ROWS, block, size_of::<B>());
                }
            };
            let values = eight_simples(eight, activations.row(column), offsets, foresee);
            put(values, first, rows.end, column, write);
        }
    }
}

/// For each block of each column, what the format's offset adds to an integer sum.
fn offsets(offset: i32, activations: Matrix<'_>, columns: usize) -> Vec<i32> {
    if offset == 0 {
        return vec![0; columns * (activations.row_bytes / size_of::<Q8_0>())];
    }
    let sum = |block: &Q8_0| block.q.iter().map(|&q| i32::from(q)).sum::<i32>() * offset;
    (0..columns).flat_map(|column| activations.row::<Q8_0>(column).iter().map(sum)).collect()
}

#[inline(always)]
fn eight_simples<B: Simple>(
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
struct Packed {
    quads: [[u8; 32]; 8],
    scales: [f32; ROWS],
}

impl Packed {
    const ZERO: Packed = Packed { quads: [[0; 32]; 8], scales: [0.0; ROWS] };

    #[inline(always)]
    fn fill<B: Simple>(&mut self, blocks: [&B; ROWS]) {
        for (row, block) in blocks.into_iter().enumerate() {
            let mut weights = [0; 32];
            block.weights().store(&mut weights);
            for (quad, four) in self.quads.iter_mut().zip(weights.as_chunks::<4>().0) {
                quad[4 * row..4 * row + 4].copy_from_slice(four);
            }
        }
        Floats::halves(&blocks.map(Simple::scale)).store(&mut self.scales);
    }
}

#[inline(always)]
fn tile_of_packed<B: Simple>(
    packed: &[Packed],
    activations: [&[Q8_0]; TILE],
    offsets: [&[i32]; TILE],
) -> [Floats; TILE] {
    let mut sums = [Floats::splat(0.0); TILE];
    for (index, block) in packed.iter().enumerate() {
        let columns = activations.map(|column| &column[index]);
        let mut exact = [Ints::splat(0); TILE];
        for c in 0..TILE {
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
                let mut words = [Words::splat(0); TILE];
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
        for c in 0..TILE {
            sums[c] = scaled(exact[c], scales, columns[c], sums[c]);
        }
    }
    sums
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
