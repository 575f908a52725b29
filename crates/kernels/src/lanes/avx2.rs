//! The lanes by AVX2, FMA and F16C. See the parent for what each does.

use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Bytes(__m256i);
#[derive(Clone, Copy)]
pub(crate) struct Words(__m256i);
#[derive(Clone, Copy)]
pub(crate) struct Ints(__m256i);
#[derive(Clone, Copy)]
pub(crate) struct Floats(pub(super) __m256);

/// One call of an intrinsic that works on values alone.
macro_rules! lanes {
    ($call:expr) => {{
        // SAFETY: the parent compiles this module only for CPUs that have the instructions, and the
        // call touches no memory but a reference of the right size.
        unsafe { $call }
    }};
}

/// Brings a cache line closer; beyond the slice it does nothing.
#[inline(always)]
pub(crate) fn prefetch(bytes: &[u8], at: usize) {
    if let Some(byte) = bytes.get(at) {
        lanes!(_mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()));
    }
}

impl Bytes {
    #[inline(always)]
    pub(crate) fn load(bytes: &[u8; 32]) -> Bytes {
        Bytes(lanes!(_mm256_loadu_si256(bytes.as_ptr().cast())))
    }

    #[inline(always)]
    pub(crate) fn load_signed(bytes: &[i8; 32]) -> Bytes {
        Bytes(lanes!(_mm256_loadu_si256(bytes.as_ptr().cast())))
    }

    #[inline(always)]
    pub(crate) fn store(self, bytes: &mut [u8; 32]) {
        lanes!(_mm256_storeu_si256(bytes.as_mut_ptr().cast(), self.0));
    }

    #[inline(always)]
    pub(crate) fn nibbles(bytes: &[u8; 16]) -> Bytes {
        lanes!({
            let packed = _mm_loadu_si128(bytes.as_ptr().cast());
            let both = _mm256_set_m128i(_mm_srli_epi16::<4>(packed), packed);
            Bytes(_mm256_and_si256(both, _mm256_set1_epi8(0x0f)))
        })
    }

    #[inline(always)]
    pub(crate) fn bits(bits: u32, set: u8) -> Bytes {
        lanes!({
            let spread =
                _mm256_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202, 0x0101_0101_0101_0101, 0);
            let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits.cast_signed()), spread);
            // Every bit but the lane's own is set; the lane is all ones when that is, too.
            let others = _mm256_set1_epi64x(0x7fbf_dfef_f7fb_fdfe);
            let ones = _mm256_cmpeq_epi8(_mm256_or_si256(bytes, others), _mm256_set1_epi8(-1));
            Bytes(_mm256_and_si256(ones, _mm256_set1_epi8(set.cast_signed())))
        })
    }

    #[inline(always)]
    pub(crate) fn quad(bytes: [i8; 4]) -> Bytes {
        Bytes(lanes!(_mm256_set1_epi32(i32::from_le_bytes(bytes.map(i8::cast_unsigned)))))
    }

    #[inline(always)]
    pub(crate) fn quads_of_rows(rows: [Bytes; 8]) -> [Bytes; 8] {
        lanes!({
            let [Bytes(a), Bytes(b), Bytes(c), Bytes(d), Bytes(e), Bytes(f), Bytes(g), Bytes(h)] = rows;
            let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
            let (ef, gh) = (_mm256_unpacklo_epi32(e, f), _mm256_unpacklo_epi32(g, h));
            let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
            let (ef_high, gh_high) = (_mm256_unpackhi_epi32(e, f), _mm256_unpackhi_epi32(g, h));
            // Quads 0 to 3 of four rows in the lower halves, 4 to 7 in the upper ones.
            let first = [
                _mm256_unpacklo_epi64(ab, cd),
                _mm256_unpackhi_epi64(ab, cd),
                _mm256_unpacklo_epi64(ab_high, cd_high),
                _mm256_unpackhi_epi64(ab_high, cd_high),
            ];
            let second = [
                _mm256_unpacklo_epi64(ef, gh),
                _mm256_unpackhi_epi64(ef, gh),
                _mm256_unpacklo_epi64(ef_high, gh_high),
                _mm256_unpackhi_epi64(ef_high, gh_high),
            ];
            let mut quads = rows;
            for quad in 0..4 {
                let (first, second) = (first[quad], second[quad]);
                quads[quad] = Bytes(_mm256_permute2x128_si256::<0x20>(first, second));
                quads[quad + 4] = Bytes(_mm256_permute2x128_si256::<0x31>(first, second));
            }
            quads
        })
    }

    #[inline(always)]
    pub(crate) fn low(self) -> Bytes {
        Bytes(lanes!(_mm256_and_si256(self.0, _mm256_set1_epi8(0x0f))))
    }

    #[inline(always)]
    pub(crate) fn high(self) -> Bytes {
        Bytes(lanes!(_mm256_and_si256(_mm256_srli_epi16::<4>(self.0), _mm256_set1_epi8(0x0f))))
    }

    /// Two bits of each lane, from bit `SHIFT` on, moved to bits 4 and 5.
    #[inline(always)]
    pub(crate) fn pair_to_4<const SHIFT: i32>(self) -> Bytes {
        lanes!({
            let moved = match SHIFT {
                0 => _mm256_slli_epi16::<4>(self.0),
                2 => _mm256_slli_epi16::<2>(self.0),
                4 => self.0,
                _ => _mm256_srli_epi16::<2>(self.0),
            };
            Bytes(_mm256_and_si256(moved, _mm256_set1_epi8(0x30)))
        })
    }

    /// Bit `bit` of each lane, moved to bit 4.
    #[inline(always)]
    pub(crate) fn bit_to_4(self, bit: u8) -> Bytes {
        lanes!({
            let mask = _mm256_set1_epi8((1u8 << bit).cast_signed());
            let set = _mm256_cmpeq_epi8(_mm256_and_si256(self.0, mask), mask);
            Bytes(_mm256_and_si256(set, _mm256_set1_epi8(0x10)))
        })
    }

    #[inline(always)]
    pub(crate) fn or(self, other: Bytes) -> Bytes {
        Bytes(lanes!(_mm256_or_si256(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn magnitude(self) -> Bytes {
        Bytes(lanes!(_mm256_abs_epi8(self.0)))
    }

    #[inline(always)]
    pub(crate) fn with_sign_of(self, other: Bytes) -> Bytes {
        Bytes(lanes!(_mm256_sign_epi8(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn pairs(self, signed: Bytes) -> Words {
        Words(lanes!(_mm256_maddubs_epi16(self.0, signed.0)))
    }

    #[cfg(all(target_feature = "avx512vnni", target_feature = "avx512vl"))]
    #[inline(always)]
    pub(crate) fn fours(self, signed: Bytes, sum: Ints) -> Ints {
        Ints(lanes!(_mm256_dpbusd_epi32(sum.0, self.0, signed.0)))
    }

    #[cfg(not(all(target_feature = "avx512vnni", target_feature = "avx512vl")))]
    #[inline(always)]
    pub(crate) fn fours(self, signed: Bytes, sum: Ints) -> Ints {
        sum.add(self.pairs(signed).pairs(Words::splat(1)))
    }
}

impl Words {
    #[inline(always)]
    pub(crate) fn splat(value: i16) -> Words {
        Words(lanes!(_mm256_set1_epi16(value)))
    }

    /// The lower eight words in both halves, and the upper eight.
    #[inline(always)]
    pub(crate) fn split(self) -> [Words; 2] {
        lanes!([
            Words(_mm256_permute2x128_si256::<0x00>(self.0, self.0)),
            Words(_mm256_permute2x128_si256::<0x11>(self.0, self.0)),
        ])
    }

    /// The word that each half of `pick` names, all over that half.
    #[inline(always)]
    pub(crate) fn pick(self, pick: &[u8; 32]) -> Words {
        Words(lanes!(_mm256_shuffle_epi8(self.0, _mm256_loadu_si256(pick.as_ptr().cast()))))
    }

    #[inline(always)]
    pub(crate) fn two(words: [i16; 2]) -> Words {
        let [low, high] = words.map(|word| u32::from(word.cast_unsigned()));
        Words(lanes!(_mm256_set1_epi32((high << 16 | low).cast_signed())))
    }

    #[inline(always)]
    pub(crate) fn load(words: &[i16; 16]) -> Words {
        Words(lanes!(_mm256_loadu_si256(words.as_ptr().cast())))
    }

    #[inline(always)]
    pub(crate) fn store(self, words: &mut [i16; 16]) {
        lanes!(_mm256_storeu_si256(words.as_mut_ptr().cast(), self.0));
    }

    #[inline(always)]
    pub(crate) fn pairs_of_rows(rows: [Words; 8]) -> [Words; 8] {
        Bytes::quads_of_rows(rows.map(|Words(row)| Bytes(row))).map(|Bytes(pairs)| Words(pairs))
    }

    #[inline(always)]
    pub(crate) fn halves_twice(self) -> [Words; 2] {
        lanes!({
            let (up, down) = (_mm256_slli_epi32::<16>(self.0), _mm256_srli_epi32::<16>(self.0));
            [Words(_mm256_blend_epi16::<0xaa>(self.0, up)), Words(_mm256_blend_epi16::<0xaa>(down, self.0))]
        })
    }

    #[inline(always)]
    pub(crate) fn halves_as_ints(self) -> [Words; 2] {
        lanes!({
            let even = _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(self.0));
            [Words(even), Words(_mm256_srai_epi32::<16>(self.0))]
        })
    }

    #[inline(always)]
    pub(crate) fn ints(self) -> Ints {
        Ints(self.0)
    }

    #[inline(always)]
    pub(crate) fn widen(bytes: &[i8; 16]) -> Words {
        Words(lanes!(_mm256_cvtepi8_epi16(_mm_loadu_si128(bytes.as_ptr().cast()))))
    }

    #[inline(always)]
    pub(crate) fn twice(bytes: [u8; 8]) -> Words {
        lanes!({
            let narrow = _mm_set1_epi64x(i64::from_le_bytes(bytes));
            Words(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(narrow, narrow)))
        })
    }

    #[inline(always)]
    pub(crate) fn add(self, other: Words) -> Words {
        Words(lanes!(_mm256_add_epi16(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn pairs(self, other: Words) -> Ints {
        Ints(lanes!(_mm256_madd_epi16(self.0, other.0)))
    }
}

impl Ints {
    #[inline(always)]
    pub(crate) fn splat(value: i32) -> Ints {
        Ints(lanes!(_mm256_set1_epi32(value)))
    }

    #[inline(always)]
    pub(crate) fn add(self, other: Ints) -> Ints {
        Ints(lanes!(_mm256_add_epi32(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn sub(self, other: Ints) -> Ints {
        Ints(lanes!(_mm256_sub_epi32(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn mul(self, other: Ints) -> Ints {
        Ints(lanes!(_mm256_mullo_epi32(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn times_32(self) -> Ints {
        Ints(lanes!(_mm256_slli_epi32::<5>(self.0)))
    }

    #[inline(always)]
    pub(crate) fn sums(rows: [Ints; 8]) -> Ints {
        lanes!({
            let [Ints(a), Ints(b), Ints(c), Ints(d), Ints(e), Ints(f), Ints(g), Ints(h)] = rows;
            let low = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let high = _mm256_hadd_epi32(_mm256_hadd_epi32(e, f), _mm256_hadd_epi32(g, h));
            Ints(_mm256_add_epi32(
                _mm256_permute2x128_si256::<0x20>(low, high),
                _mm256_permute2x128_si256::<0x31>(low, high),
            ))
        })
    }

    #[inline(always)]
    pub(crate) fn floats(self) -> Floats {
        Floats(lanes!(_mm256_cvtepi32_ps(self.0)))
    }
}

impl Floats {
    #[inline(always)]
    pub(crate) fn splat(value: f32) -> Floats {
        Floats(lanes!(_mm256_set1_ps(value)))
    }

    #[inline(always)]
    pub(crate) fn load(values: &[f32; 8]) -> Floats {
        Floats(lanes!(_mm256_loadu_ps(values.as_ptr())))
    }

    #[inline(always)]
    pub(crate) fn halves(values: &[u16; 8]) -> Floats {
        Floats(lanes!(_mm256_cvtph_ps(_mm_loadu_si128(values.as_ptr().cast()))))
    }

    #[inline(always)]
    pub(crate) fn store(self, values: &mut [f32; 8]) {
        lanes!(_mm256_storeu_ps(values.as_mut_ptr(), self.0));
    }

    #[inline(always)]
    pub(crate) fn add(self, other: Floats) -> Floats {
        Floats(lanes!(_mm256_add_ps(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn sub(self, other: Floats) -> Floats {
        Floats(lanes!(_mm256_sub_ps(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn mul(self, other: Floats) -> Floats {
        Floats(lanes!(_mm256_mul_ps(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn max(self, other: Floats) -> Floats {
        Floats(lanes!(_mm256_max_ps(self.0, other.0)))
    }

    #[inline(always)]
    pub(crate) fn greatest(self) -> f32 {
        lanes!({
            let four = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    pub(crate) fn mul_add(self, factor: Floats, summand: Floats) -> Floats {
        Floats(lanes!(_mm256_fmadd_ps(self.0, factor.0, summand.0)))
    }

    #[inline(always)]
    pub(crate) fn neg_mul_add(self, factor: Floats, summand: Floats) -> Floats {
        Floats(lanes!(_mm256_fnmadd_ps(self.0, factor.0, summand.0)))
    }

    #[inline(always)]
    pub(crate) fn round(self) -> Floats {
        Floats(lanes!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }

    #[inline(always)]
    pub(crate) fn power_of_two(self) -> Floats {
        lanes!({
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            Floats(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        })
    }

    #[inline(always)]
    pub(crate) fn zero_below(self, limit: f32, of: Floats) -> Floats {
        Floats(lanes!(_mm256_and_ps(self.0, _mm256_cmp_ps::<_CMP_GE_OQ>(of.0, _mm256_set1_ps(limit)))))
    }

    #[inline(always)]
    pub(crate) fn sums(rows: [Floats; 8]) -> Floats {
        lanes!({
            let [Floats(a), Floats(b), Floats(c), Floats(d), Floats(e), Floats(f), Floats(g), Floats(h)] =
                rows;
            let low = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let high = _mm256_hadd_ps(_mm256_hadd_ps(e, f), _mm256_hadd_ps(g, h));
            Floats(_mm256_add_ps(
                _mm256_permute2f128_ps::<0x20>(low, high),
                _mm256_permute2f128_ps::<0x31>(low, high),
            ))
        })
    }
}
