//! Kernels against the chains that their documentation promises, bit for bit, and against themselves in
//! other company.

#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "drawn numbers, cut to size; and a test that cannot go on fails"
)]

use half::f16;
use kernels::attention::{CELLS, Cache, Part, Query, SEGMENT, Scratch, segment};
use kernels::blocks::{BLOCK, SUPER_BLOCK};
use kernels::product::{Format, Matrix, product};
use proptest::prelude::*;

const FORMATS: [Format; 6] =
    [Format::Q4_0, Format::Q5_0, Format::Q8_0, Format::Q4K, Format::Q5K, Format::Q6K];

/// Numbers from a seed; splitmix64.
struct Draw(u64);

impl Draw {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn byte(&mut self) -> u8 {
        self.number() as u8
    }

    /// From -1 to 1.
    fn float(&mut self) -> f32 {
        (self.number() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn half(&mut self) -> [u8; 2] {
        f16::from_f32(self.float() / 16.0).to_le_bytes()
    }
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> [u8; N] {
    from[at..at + N].try_into().unwrap()
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes(bytes(block, at)).to_f32()
}

/// Random rows of a format, with scales that are numbers.
fn weights(format: Format, rows: usize, blocks: usize, draw: &mut Draw) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..rows * blocks {
        let mut block: Vec<u8> = (0..format.block_bytes()).map(|_| draw.byte()).collect();
        match format {
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => block[..2].copy_from_slice(&draw.half()),
            Format::Q4K | Format::Q5K => {
                block[..2].copy_from_slice(&draw.half());
                block[2..4].copy_from_slice(&draw.half());
            }
            Format::Q6K => block[208..].copy_from_slice(&draw.half()),
        }
        all.extend(block);
    }
    all
}

/// Random activations of -127 to 127, as the format's product takes them.
fn activations(format: Format, columns: usize, blocks: usize, draw: &mut Draw) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..columns * blocks {
        let values: Vec<i8> = (0..format.block()).map(|_| draw.byte().cast_signed().max(-127)).collect();
        if format.block() == BLOCK {
            all.extend(draw.half());
            all.extend(values.iter().map(|value| value.cast_unsigned()));
        } else {
            all.extend(draw.float().to_le_bytes());
            all.extend(values.iter().map(|value| value.cast_unsigned()));
            for sixteen in values.chunks(16) {
                let sum: i16 = sixteen.iter().map(|&value| i16::from(value)).sum();
                all.extend(sum.to_le_bytes());
            }
        }
    }
    all
}

/// The quantized weights of a block: for each its sub-block's scale and minimum, and itself.
fn decoded(format: Format, block: &[u8]) -> Vec<(i32, i32, i32)> {
    let nibble = |byte: u8, high: bool| i32::from(if high { byte >> 4 } else { byte & 15 });
    let six = |index: usize| -> (i32, i32) {
        // As the format packs eight scales and eight minima of 6 bits into 12 bytes.
        let packed = &block[4..16];
        if index < 4 {
            (i32::from(packed[index] & 63), i32::from(packed[index + 4] & 63))
        } else {
            let scale = packed[index + 4] & 15 | packed[index - 4] >> 6 << 4;
            let minimum = packed[index + 4] >> 4 | packed[index] >> 6 << 4;
            (i32::from(scale), i32::from(minimum))
        }
    };
    (0..format.block())
        .map(|index| match format {
            Format::Q8_0 => (1, 0, i32::from(block[2 + index].cast_signed())),
            Format::Q4_0 => (1, 0, nibble(block[2 + index % 16], index >= 16) - 8),
            Format::Q5_0 => {
                let high = u32::from_le_bytes(bytes(block, 2)) >> index & 1;
                (1, 0, nibble(block[6 + index % 16], index >= 16) + 16 * high.cast_signed() - 16)
            }
            Format::Q4K => {
                let (scale, minimum) = six(index / 32);
                let byte = block[16 + index / 64 * 32 + index % 32];
                (scale, minimum, nibble(byte, index / 32 % 2 == 1))
            }
            Format::Q5K => {
                let (scale, minimum) = six(index / 32);
                let high = i32::from(block[16 + index % 32] >> (index / 32) & 1);
                let byte = block[48 + index / 64 * 32 + index % 32];
                (scale, minimum, nibble(byte, index / 32 % 2 == 1) + 16 * high)
            }
            Format::Q6K => {
                let (half, rest) = (index / 128, index % 128);
                let low = nibble(block[64 * half + rest % 64], rest >= 64);
                let high = i32::from(block[128 + 32 * half + rest % 32] >> (rest / 32 * 2) & 3);
                let scale = i32::from(block[192 + index / 16].cast_signed());
                (scale, 0, low + 16 * high - 32)
            }
        })
        .collect()
}

/// The chain of an element, as plainly as it can be written.
fn chain(format: Format, row: &[u8], column: &[u8]) -> f32 {
    let mut sum = 0f32;
    let column_block = if format.block() == BLOCK { 34 } else { 292 };
    for (weights, activations) in row.chunks(format.block_bytes()).zip(column.chunks(column_block)) {
        let (scale, values) = if format.block() == BLOCK {
            (half_at(activations, 0), &activations[2..])
        } else {
            (f32::from_le_bytes(bytes(activations, 0)), &activations[4..4 + SUPER_BLOCK])
        };
        let (mut products, mut minima) = (0i32, 0i32);
        for ((scale, minimum, weight), value) in decoded(format, weights).into_iter().zip(values) {
            let value = i32::from(value.cast_signed());
            products += scale * weight * value;
            minima += minimum * value;
        }
        let (products, minima) = (products as f32, minima as f32);
        sum = match format {
            Format::Q4_0 | Format::Q5_0 | Format::Q8_0 => products.mul_add(half_at(weights, 0) * scale, sum),
            Format::Q4K | Format::Q5K => {
                let value = (-half_at(weights, 2)).mul_add(minima, half_at(weights, 0) * products);
                value.mul_add(scale, sum)
            }
            Format::Q6K => (half_at(weights, 208) * products).mul_add(scale, sum),
        };
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_product_is_its_chains_in_any_company(
        seed: u64, rows in 1usize..20, columns in 1usize..24, blocks in 1usize..5, cut in 0usize..20
    ) {
        for format in FORMATS {
            let draw = &mut Draw(seed);
            let weights = weights(format, rows, blocks, draw);
            let activations = activations(format, columns, blocks, draw);
            let row_bytes = blocks * format.block_bytes();
            let column_bytes = activations.len() / columns;
            let weights = Matrix { bytes: &weights, stride: row_bytes, row_bytes };
            let activations =
                Matrix { bytes: &activations, stride: column_bytes, row_bytes: column_bytes };
            let mut together = vec![f32::NAN; rows * columns];
            // In two pieces, as two threads would take them.
            let cut = cut.min(rows);
            for rows_part in [0..cut, cut..rows] {
                product(format, weights, rows_part, activations, columns, |row, column, values| {
                    together[column * rows + row..][..values.len()].copy_from_slice(values);
                });
            }
            for column in 0..columns {
                for row in 0..rows {
                    let expected = chain(
                        format,
                        &weights.bytes[row * row_bytes..][..row_bytes],
                        &activations.bytes[column * column_bytes..][..column_bytes],
                    );
                    let value = together[column * rows + row];
                    prop_assert_eq!(value.to_bits(), expected.to_bits(), "{:?} {} {}", format, row, column);
                }
            }
        }
    }

    #[test]
    fn attention_is_the_same_in_any_company(
        seed: u64, blocks in 1usize..40, head in 1usize..18, queries in 1usize..6, more in 1usize..20
    ) {
        let case = Case::draw(seed, blocks, head * 8, queries, more, seed % 2 == 0);
        let all: Vec<usize> = (0..queries).collect();
        let together = case.attend(&all, blocks);
        for (query, together) in together.iter().enumerate() {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            // Alone, and with hidden cells behind.
            prop_assert_eq!(bits(together), bits(&case.attend(&[query], blocks)[0]));
            prop_assert_eq!(bits(together), bits(&case.attend(&[query], blocks + more)[0]));
            for (value, exact) in together.iter().zip(case.exact(query, blocks)) {
                prop_assert!((f64::from(*value) - exact).abs() < 1e-4, "{} {}", value, exact);
            }
        }
    }
}

/// Queries over a cache; the cells after the first `blocks` are hidden from all of them.
struct Case {
    head: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
    queries: Vec<Vec<f32>>,
    masks: Vec<Vec<u16>>,
}

const SCALE: f32 = 0.125;

impl Case {
    fn draw(seed: u64, blocks: usize, head: usize, queries: usize, more: usize, holes: bool) -> Case {
        let draw = &mut Draw(seed);
        let cells = (blocks + more) * CELLS;
        let mut cache =
            || (0..cells * head).flat_map(|_| f16::from_f32(draw.float() * 4.0).to_le_bytes()).collect();
        let (keys, values) = (cache(), cache());
        let masks = (0..queries)
            .map(|_| {
                // Causal, and some holes.
                let visible = 1 + draw.number() as usize % (blocks * CELLS);
                let hidden =
                    |cell: usize, hole: bool| if cell >= visible || (cell > 0 && hole) { 0xfc00 } else { 0 };
                (0..cells).map(|cell| hidden(cell, holes && draw.number().is_multiple_of(9))).collect()
            })
            .collect();
        let queries = (0..queries).map(|_| (0..head).map(|_| draw.float()).collect()).collect();
        Case { head, keys, values, queries, masks }
    }

    fn attend(&self, queries: &[usize], blocks: usize) -> Vec<Vec<f32>> {
        let cells = blocks * CELLS;
        let of = |bytes| Cache { bytes, stride: 2 * self.head, head: self.head };
        let views: Vec<Query<'_>> = queries
            .iter()
            .map(|&query| Query { values: &self.queries[query], mask: &self.masks[query][..cells] })
            .collect();
        let floats = Part::floats(self.head);
        let mut all: Vec<Vec<f32>> = vec![vec![0.0; floats]; queries.len()];
        let mut next = all.clone();
        let mut in_order = true;
        for all in &mut all {
            Part::new(all).clear();
        }
        for start in (0..cells).step_by(SEGMENT) {
            let range = start..(start + SEGMENT).min(cells);
            for next in &mut next {
                Part::new(next).clear();
            }
            let mut parts: Vec<Part<'_>> = next.iter_mut().map(|next| Part::new(next)).collect();
            let scratch = &mut Scratch::new();
            in_order &= segment(of(&self.keys), of(&self.values), range, SCALE, &views, scratch, &mut parts);
            for (all, next) in all.iter_mut().zip(&mut next) {
                Part::new(all).merge(&mut Part::new(next));
            }
        }
        // A hole anywhere is noticed, and nothing else is.
        let no_hole = |query: &Query<'_>| query.mask.is_sorted();
        assert_eq!(in_order, views.iter().all(no_hole));
        all.iter_mut()
            .map(|all| {
                let mut out = vec![0.0; self.head];
                Part::new(all).finish(&mut out);
                out
            })
            .collect()
    }

    fn exact(&self, query: usize, blocks: usize) -> Vec<f64> {
        let at = |cache: &[u8], cell: usize, index: usize| {
            f64::from(half_at(cache, (cell * self.head + index) * 2))
        };
        let (mut weights, mut sums) = (0.0, vec![0.0; self.head]);
        for cell in (0..blocks * CELLS).filter(|&cell| self.masks[query][cell] == 0) {
            let score: f64 = (0..self.head)
                .map(|index| f64::from(self.queries[query][index]) * at(&self.keys, cell, index))
                .sum();
            let weight = (score * f64::from(SCALE)).exp();
            weights += weight;
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum += weight * at(&self.values, cell, index);
            }
        }
        sums.into_iter().map(|sum| sum / weights).collect()
    }
}
