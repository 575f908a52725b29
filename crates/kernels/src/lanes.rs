//! Vectors of 256 bits, one set of operations for every processor. An operation gives the same bits
//! wherever it runs; so do the kernels, which are written in these alone.
//!
//! - [`Bytes`]: 32 bytes. `low`, `high`: the halves of each. `pairs`: products of unsigned and signed
//!   bytes, two summed in a word; callers keep them inside 16 bits. `fours`: the same, four summed in an
//!   int, added to a sum; one instruction where the processor has it ([`FOURS_AT_ONCE`]). `quads_of_rows`:
//!   vector `i` gets bytes `4 * i..4 * i + 4` of each row.
//! - [`Words`]: 16 signed words. `pairs`: products, two summed in an int, exact. `pairs_of_rows`: vector `i` gets
//!   words `2 * i` and `2 * i + 1` of each row. `halves_…`: of each pair the even and the odd one, twice or widened.
//! - [`Ints`]: 8 signed ints. `sums`: of eight vectors, the sum of each one's lanes.
//! - [`Floats`]: 8 floats. `mul_add` rounds once. `greatest`: of the lanes, none of which is NaN.

#[cfg(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma", target_feature = "f16c"))]
#[path = "lanes/avx2.rs"]
mod own;
#[cfg(not(all(
    target_arch = "x86_64",
    target_feature = "avx2",
    target_feature = "fma",
    target_feature = "f16c"
)))]
#[path = "lanes/portable.rs"]
mod own;
#[cfg(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma", target_feature = "f16c"))]
pub(crate) mod wide;

pub(crate) use own::{Bytes, Floats, Ints, Words, prefetch};

/// Whether [`Bytes::fours`] is one instruction.
pub(crate) const FOURS_AT_ONCE: bool =
    cfg!(all(target_arch = "x86_64", target_feature = "avx512vnni", target_feature = "avx512vl"));

/// For [`Words::pick`]: an even word for the lower half, the next for the upper one.
pub(crate) const PICK_TWO: [[u8; 32]; 4] = picks([0, 2, 4, 6], [1, 3, 5, 7]);

const fn picks<const N: usize>(low: [u8; N], high: [u8; N]) -> [[u8; 32]; N] {
    let mut picks = [[0; 32]; N];
    let mut index = 0;
    while index < N {
        let mut byte = 0;
        while byte < 32 {
            let word = if byte < 16 { low[index] } else { high[index] };
            picks[index][byte] = 2 * word + if byte % 2 == 0 { 0 } else { 1 };
            byte += 1;
        }
        index += 1;
    }
    picks
}

impl Floats {
    /// e to the power of each lane, which must not be positive; 0 below -87, 1 at 0.
    #[inline(always)]
    pub(crate) fn exp(self) -> Floats {
        const LOWEST: f32 = -87.0;
        let clamped = self.max(Floats::splat(LOWEST));
        let whole = clamped.mul(Floats::splat(std::f32::consts::LOG2_E)).round();
        // ln 2 in two parts, so that the rest is exact.
        let rest = whole.neg_mul_add(Floats::splat(0.693_359_4), clamped);
        let rest = whole.neg_mul_add(Floats::splat(-2.121_944_4e-4), rest);
        let mut sum = Floats::splat(1.987_569_1e-4);
        for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
            sum = sum.mul_add(rest, Floats::splat(coefficient));
        }
        let value = sum.mul_add(rest.mul(rest), rest.add(Floats::splat(1.0)));
        value.mul(whole.power_of_two()).zero_below(LOWEST, self)
    }
}
