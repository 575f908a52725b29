//! Attention by wide vectors: two cells' scores together, sixteen values of a head together. The same chains, so the same
//! bits.

use std::ops::Range;

use bytemuck::cast_slice;

use super::{CELLS, Cache, LANES, Mask, Scores, Vectors};
use crate::lanes;
use crate::lanes::wide::{Floats, Proof};

/// Values of a wide vector.
const WIDE: usize = 2 * LANES;
/// Pairs of cells whose scores are formed together, and vectors of values: enough to wait for none.
const TOGETHER: usize = 8;

/// By wide vectors.
pub(super) struct Wide(Proof);

impl Wide {
    /// None where heads of that many values are no whole vectors, or the processor has no such vectors.
    pub(super) fn of_head(head: usize) -> Option<Wide> {
        lanes::wide::proof().filter(|_| head.is_multiple_of(WIDE)).map(Wide)
    }
}

impl Vectors for Wide {
    /// Two cells' side by side: eight of the one, the same eight of the other, the next eight.
    #[inline(always)]
    fn fill_keys(&self, floats: &mut [f32], keys: Cache<'_>, cells: Range<usize>) {
        let pairs = floats.chunks_exact_mut(2 * keys.head);
        for (first, floats) in cells.step_by(2).zip(pairs) {
            for half in 0..2 {
                let halves: &[u16] = cast_slice(&keys.bytes[(first + half) * keys.stride..][..2 * keys.head]);
                let floats = floats.as_chunks_mut::<LANES>().0.iter_mut().skip(half).step_by(2);
                for (halves, floats) in halves.as_chunks().0.iter().zip(floats) {
                    lanes::Floats::halves(halves).store(floats);
                }
            }
        }
    }

    #[inline(always)]
    fn scores(&self, query: &[f32], keys: &[f32], scale: f32, mask: &Mask) -> Scores {
        // SAFETY: the processor has the instructions, as was proven.
        unsafe { scores(query, keys, scale, mask) }
    }

    #[inline(always)]
    fn add_values(&self, sums: &mut [f32], shrink: f32, weights: &[f32; CELLS], values: &[f32]) {
        // SAFETY: as above.
        unsafe { add_values(sums, shrink, weights, values) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn scores(query: &[f32], keys: &[f32], scale: f32, mask: &Mask) -> Scores {
    const GROUPS: usize = 2 * TOGETHER / LANES;
    let query = query.as_chunks::<LANES>().0;
    let keys = keys.as_chunks::<WIDE>().0;
    let mut scores = [lanes::Floats::splat(0.0); CELLS / LANES];
    for (part, scores) in scores.as_chunks_mut::<GROUPS>().0.iter_mut().enumerate() {
        let mut pairs = [&keys[..0]; TOGETHER];
        for (pair, keys_of_pair) in pairs.iter_mut().enumerate() {
            *keys_of_pair = &keys[(part * TOGETHER + pair) * query.len()..][..query.len()];
        }
        let mut sums = [Floats::splat(0.0); TOGETHER];
        for (index, query) in query.iter().enumerate() {
            let query = Floats::twice(query);
            for pair in 0..TOGETHER {
                sums[pair] = query.mul_add(Floats::load(&pairs[pair][index]), sums[pair]);
            }
        }
        for (group, score) in scores.iter_mut().enumerate() {
            let mut cells = [lanes::Floats::splat(0.0); LANES];
            for pair in 0..LANES / 2 {
                [cells[2 * pair], cells[2 * pair + 1]] = sums[group * LANES / 2 + pair].halves();
            }
            let mask = lanes::Floats::halves(&mask[part * GROUPS + group]);
            *score = lanes::Floats::sums(cells).mul_add(lanes::Floats::splat(scale), mask);
        }
    }
    scores
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_values(sums: &mut [f32], shrink: f32, weights: &[f32; CELLS], values: &[f32]) {
    let head = sums.len();
    let sums = sums.as_chunks_mut::<WIDE>().0;
    let (eights, rest) = sums.as_chunks_mut::<TOGETHER>();
    let done = eights.len() * TOGETHER * WIDE;
    for (index, sums) in eights.iter_mut().enumerate() {
        add_some(sums, shrink, weights, &values[index * TOGETHER * WIDE..], head);
    }
    let (fours, rest) = rest.as_chunks_mut::<4>();
    for (index, sums) in fours.iter_mut().enumerate() {
        add_some(sums, shrink, weights, &values[done + index * 4 * WIDE..], head);
    }
    let done = done + fours.len() * 4 * WIDE;
    for (index, sums) in rest.iter_mut().enumerate() {
        add_some(std::array::from_mut(sums), shrink, weights, &values[done + index * WIDE..], head);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add_some<const N: usize>(
    sums: &mut [[f32; WIDE]; N],
    shrink: f32,
    weights: &[f32; CELLS],
    values: &[f32],
    head: usize,
) {
    let mut floats = [Floats::splat(0.0); N];
    for n in 0..N {
        floats[n] = Floats::load(&sums[n]).mul(Floats::splat(shrink));
    }
    for (weight, values) in weights.iter().zip(values.chunks(head)) {
        let weight = Floats::splat(*weight);
        let values = &values.as_chunks::<WIDE>().0[..N];
        for n in 0..N {
            floats[n] = weight.mul_add(Floats::load(&values[n]), floats[n]);
        }
    }
    for n in 0..N {
        floats[n].store(&mut sums[n]);
    }
}
