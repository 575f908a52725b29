//! Attention over a cache of half floats.
//!
//! The cells of a cache are taken in segments of [`SEGMENT`], a segment in blocks of [`CELLS`], always at
//! the same cells and in order. A row's result is a chain over its own visible blocks, and a merge of its
//! segments in order: which rows and segments are computed together, and by whom, changes nothing.

#[cfg(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma", target_feature = "f16c"))]
mod wide;

use std::ops::Range;

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};

use crate::lanes::Floats;

/// Cells of a segment.
pub const SEGMENT: usize = 512;
/// Cells of a block.
pub const CELLS: usize = 32;
const LANES: usize = 8;
/// Minus infinity, a half float.
const HIDDEN: u16 = 0xfc00;
/// Values of a head at most.
pub const HEAD_MAX: usize = 256;

/// Keys or values of one head: of each cell `head` half floats.
#[derive(Clone, Copy)]
pub struct Cache<'a> {
    /// From the first cell on.
    pub bytes: &'a [u8],
    /// Bytes from one cell to the next.
    pub stride: usize,
    /// Values of a cell: a multiple of 8, at most [`HEAD_MAX`].
    pub head: usize,
}

/// A query.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// As many values as a key has.
    pub values: &'a [f32],
    /// For each cell a half float that is added to its score: 0, or minus infinity to hide it.
    pub mask: &'a [u16],
}

/// What a query gets from some of the cells: a greatest score, the weights' sum, and the weighted sum of
/// the values. Lies in memory as that many floats.
pub struct Part<'a> {
    floats: &'a mut [f32],
}

/// Room for a block's keys and values as floats.
pub struct Scratch {
    keys: Vec<Line>,
    values: Vec<Line>,
}

/// A cache line: a vector that lies in two of them is loaded in twice the time.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Scratch {
    /// For heads of any size.
    pub fn new() -> Scratch {
        let lines = vec![Line([0.0; 16]); CELLS * HEAD_MAX / 16];
        Scratch { keys: lines.clone(), values: lines }
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl<'a> Part<'a> {
    /// Floats of a part for heads of that size.
    pub const fn floats(head: usize) -> usize {
        head + 2
    }

    /// A part in memory.
    pub fn new(floats: &'a mut [f32]) -> Part<'a> {
        Part { floats }
    }

    /// Nothing was seen.
    pub fn clear(&mut self) {
        self.floats.fill(0.0);
        self.floats[0] = f32::NEG_INFINITY;
    }

    fn is_empty(&self) -> bool {
        self.floats[0] == f32::NEG_INFINITY
    }

    fn values(&mut self) -> &mut [[f32; LANES]] {
        self.floats[2..].as_chunks_mut().0
    }

    /// Takes in a block's scores: by what the values so far shrink, and the weights of the block's.
    #[inline(always)]
    fn weigh(&mut self, scores: Scores) -> (f32, [f32; CELLS]) {
        let mut lanes = [0.0; LANES];
        let [a, b, c, d] = scores;
        let before = self.floats[0];
        let greatest = a.max(b).max(c.max(d)).max(Floats::splat(before)).greatest();
        let shrink = if greatest == before { 1.0 } else { exp(before - greatest) };
        self.floats[0] = greatest;

        let mut weights = [0.0; CELLS];
        let mut sum = Floats::splat(0.0);
        for (score, weights) in scores.into_iter().zip(weights.as_chunks_mut().0) {
            let weight = score.sub(Floats::splat(greatest)).exp();
            weight.store(weights);
            sum = sum.add(weight);
        }
        sum.store(&mut lanes);
        let [a, b, c, d, e, f, g, h] = lanes;
        let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
        self.floats[1] = self.floats[1].mul_add(shrink, sum);
        (shrink, weights)
    }

    /// Adds what was seen of the cells that follow.
    pub fn merge(&mut self, next: &mut Part<'_>) {
        if next.is_empty() {
            return;
        }
        if self.is_empty() {
            self.floats.copy_from_slice(next.floats);
            return;
        }
        let greatest = self.floats[0].max(next.floats[0]);
        let [before, after] = [self.floats[0], next.floats[0]].map(|own| exp(own - greatest));
        self.floats[0] = greatest;
        self.floats[1] = self.floats[1].mul_add(before, next.floats[1] * after);
        let (before, after) = (Floats::splat(before), Floats::splat(after));
        for (value, next) in self.values().iter_mut().zip(next.values()) {
            Floats::load(value).mul_add(before, Floats::load(next).mul(after)).store(value);
        }
    }

    /// The mean of the values, by weight.
    pub fn finish(&mut self, out: &mut [f32]) {
        let share = Floats::splat(1.0 / self.floats[1]);
        for (out, value) in out.as_chunks_mut().0.iter_mut().zip(self.values()) {
            Floats::load(value).mul(share).store(out);
        }
    }
}

fn exp(value: f32) -> f32 {
    let mut values = [0.0; LANES];
    Floats::splat(value).exp().store(&mut values);
    values[0]
}

/// Adds to each query's part what it gets from the cells of one segment. Returns whether each query sees the
/// first cells up to one and no others, as it does where a token's cell is its position: only then is the
/// result the one that it would be elsewhere.
pub fn segment(
    keys: Cache<'_>,
    values: Cache<'_>,
    cells: Range<usize>,
    scale: f32,
    queries: &[Query<'_>],
    scratch: &mut Scratch,
    parts: &mut [Part<'_>],
) -> bool {
    #[cfg(all(
        target_arch = "x86_64",
        target_feature = "avx2",
        target_feature = "fma",
        target_feature = "f16c"
    ))]
    if let Some(wide) = wide::Wide::of_head(keys.head) {
        return blocks(&wide, keys, values, cells, scale, queries, scratch, parts);
    }
    blocks(&Eights, keys, values, cells, scale, queries, scratch, parts)
}

/// How a block of cells is computed: by which vectors, and so how its keys are laid out.
trait Vectors {
    /// Keys as floats.
    fn fill_keys(&self, floats: &mut [f32], keys: Cache<'_>, cells: Range<usize>);
    /// Scores of a block's cells. A score is the sum of eight chains, each over every eighth value of the head.
    fn scores(&self, query: &[f32], keys: &[f32], scale: f32, mask: &Mask) -> Scores;
    /// `sums * shrink`, then each cell's weighted values, in order.
    fn add_values(&self, sums: &mut [f32], shrink: f32, weights: &[f32; CELLS], values: &[f32]);
}

/// What is added to a block's scores, half floats.
type Mask = [[u16; LANES]; CELLS / LANES];
type Scores = [Floats; CELLS / LANES];

#[expect(clippy::too_many_arguments, reason = "those of `segment`")]
#[inline(always)]
fn blocks(
    vectors: &impl Vectors,
    keys: Cache<'_>,
    values: Cache<'_>,
    cells: Range<usize>,
    scale: f32,
    queries: &[Query<'_>],
    scratch: &mut Scratch,
    parts: &mut [Part<'_>],
) -> bool {
    let floats = [&mut scratch.keys, &mut scratch.values].map(|lines| cast_slice_mut(lines));
    let [keys_of_block, values_of_block]: [&mut [f32]; 2] = floats;
    let mut in_order = queries.iter().all(|query| {
        cells.start == 0 || query.mask[cells.start] == HIDDEN || query.mask[cells.start - 1] != HIDDEN
    });
    for first in cells.clone().step_by(CELLS) {
        // Caches are padded to whole blocks.
        let block = first..first + CELLS;
        let mut filled = false;
        for (query, part) in queries.iter().zip(&mut *parts) {
            let (seen, first_ones) = visible(&query.mask[block.clone()]);
            let ends = seen < CELLS && block.end < cells.end;
            in_order &= first_ones && !(ends && query.mask[block.end] != HIDDEN);
            let (false, Ok(mask)) = (seen == 0, query.mask[block.clone()].as_chunks().0.try_into()) else {
                continue;
            };
            if !filled {
                vectors.fill_keys(keys_of_block, keys, block.clone());
                fill(values_of_block, values, block.clone());
                filled = true;
            }
            let scores = vectors.scores(query.values, keys_of_block, scale, mask);
            let (shrink, weights) = part.weigh(scores);
            vectors.add_values(&mut part.floats[2..], shrink, &weights, values_of_block);
        }
    }
    in_order
}

/// How many cells of a block are visible, and whether they are its first ones.
#[inline(always)]
fn visible(mask: &[u16]) -> (usize, bool) {
    let seen = usize::from(mask.iter().map(|&cell| u16::from(cell != HIDDEN)).sum::<u16>());
    (seen, seen == CELLS || seen == 0 || mask[..seen].iter().all(|&cell| cell != HIDDEN))
}

fn fill(floats: &mut [f32], cache: Cache<'_>, cells: Range<usize>) {
    for (cell, floats) in cells.zip(floats.chunks_exact_mut(cache.head)) {
        let halves: &[u16] = cast_slice(&cache.bytes[cell * cache.stride..][..2 * cache.head]);
        for (halves, floats) in halves.as_chunks().0.iter().zip(floats.as_chunks_mut().0) {
            Floats::halves(halves).store(floats);
        }
    }
}

/// By vectors of eight.
struct Eights;

impl Vectors for Eights {
    #[inline(always)]
    fn fill_keys(&self, floats: &mut [f32], keys: Cache<'_>, cells: Range<usize>) {
        fill(floats, keys, cells);
    }

    #[inline(always)]
    fn scores(&self, query: &[f32], keys: &[f32], scale: f32, mask: &Mask) -> Scores {
        let query = query.as_chunks::<LANES>().0;
        let head = query.len() * LANES;
        std::array::from_fn(|group| {
            let keys: [&[[f32; LANES]]; LANES] = std::array::from_fn(|cell| {
                let start = (group * LANES + cell) * head;
                &keys[start..start + head].as_chunks().0[..query.len()]
            });
            let mut sums = [Floats::splat(0.0); LANES];
            for (index, query) in query.iter().enumerate() {
                let query = Floats::load(query);
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum = query.mul_add(Floats::load(&key[index]), *sum);
                }
            }
            Floats::sums(sums).mul_add(Floats::splat(scale), Floats::halves(&mask[group]))
        })
    }

    #[inline(always)]
    fn add_values(&self, sums: &mut [f32], shrink: f32, weights: &[f32; CELLS], values: &[f32]) {
        let head = sums.len();
        let (many, few) = sums.as_chunks_mut().0.as_chunks_mut::<8>();
        for (index, sums) in many.iter_mut().enumerate() {
            add_values(sums, shrink, weights, &values[index * 8 * LANES..], head);
        }
        let done = many.len() * 8 * LANES;
        for (index, sums) in few.iter_mut().enumerate() {
            add_values(std::array::from_mut(sums), shrink, weights, &values[done + index * LANES..], head);
        }
    }
}

#[inline(always)]
fn add_values<const N: usize>(
    sums: &mut [[f32; LANES]; N],
    shrink: f32,
    weights: &[f32; CELLS],
    values: &[f32],
    head: usize,
) {
    let shrink = Floats::splat(shrink);
    let mut floats: [Floats; N] = std::array::from_fn(|index| Floats::load(&sums[index]).mul(shrink));
    for (weight, values) in weights.iter().zip(values.chunks(head)) {
        let weight = Floats::splat(*weight);
        let values = &values.as_chunks::<LANES>().0[..N];
        for (sum, values) in floats.iter_mut().zip(values) {
            *sum = weight.mul_add(Floats::load(values), *sum);
        }
    }
    for (sum, floats) in sums.iter_mut().zip(floats) {
        floats.store(sum);
    }
}

#[cfg(all(
    test,
    target_arch = "x86_64",
    target_feature = "avx2",
    target_feature = "fma",
    target_feature = "f16c"
))]
mod tests {
    use super::*;

    /// Only where the processor has both; elsewhere there is one way only.
    #[test]
    fn wide_vectors_change_no_bit() {
        let mut state = 1_u32;
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let [_, _, low, high] = state.to_ne_bytes();
            f32::from(i16::from_ne_bytes([low, high])) / 10_000.0
        };
        for head in [16, 48, 64, 80, 128, 208, HEAD_MAX] {
            let Some(wide) = wide::Wide::of_head(head) else { continue };
            let cells = 4 * CELLS;
            let mut cache = || {
                let halves = (0..cells * head).map(|_| half::f16::from_f32(draw()));
                halves.flat_map(half::f16::to_le_bytes).collect::<Vec<u8>>()
            };
            let (keys, values) = (cache(), cache());
            let of = |bytes| Cache { bytes, stride: 2 * head, head };
            let query: Vec<f32> = (0..head).map(|_| draw()).collect();
            let mask: Vec<u16> = (0..cells).map(|cell| if cell > 100 { HIDDEN } else { 0 }).collect();
            let queries = [Query { values: &query, mask: &mask }];
            let come_to = |vectors: &dyn Fn(&mut Scratch, &mut [Part<'_>]) -> bool| {
                let mut floats = vec![0.0; Part::floats(head)];
                let mut part = Part::new(&mut floats);
                part.clear();
                assert!(vectors(&mut Scratch::new(), &mut [part]));
                floats.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
            };
            let (keys, values) = (of(&keys), of(&values));
            let eights = come_to(&|scratch, parts| {
                blocks(&Eights, keys, values, 0..cells, 0.125, &queries, scratch, parts)
            });
            let wide = come_to(&|scratch, parts| {
                blocks(&wide, keys, values, 0..cells, 0.125, &queries, scratch, parts)
            });
            assert_eq!(eights, wide, "{head}");
        }
    }
}
