//! Vectors of 512 bits, where the processor has AVX-512 with VNNI, which is found out where it runs. Two halves do what two
//! vectors of 256 bits would, so that kernels may use either.

use std::arch::x86_64::*;

use bytemuck::cast_ref;

/// That the processor has them: there is none where it has not.
#[derive(Clone, Copy)]
pub(crate) struct Proof(());

/// Looks.
pub(crate) fn proof() -> Option<Proof> {
    let are_there = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni");
    are_there.then_some(Proof(()))
}

/// 64 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(__m512i);
/// 32 signed words.
#[derive(Clone, Copy)]
pub(crate) struct Words(__m512i);
/// 16 signed ints.
#[derive(Clone, Copy)]
pub(crate) struct Ints(__m512i);
/// 16 floats.
#[derive(Clone, Copy)]
pub(crate) struct Floats(__m512);

/// Two halves of a vector, side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn joined(low: &[u8; 32], high: &[u8; 32]) -> __m512i {
    // SAFETY: a reference to 32 bytes.
    let low = unsafe { _mm256_loadu_si256(low.as_ptr().cast()) };
    // SAFETY: as above.
    let high = unsafe { _mm256_loadu_si256(high.as_ptr().cast()) };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

impl Bytes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn of(low: &[u8; 32], high: &[u8; 32]) -> Bytes {
        Bytes(joined(low, high))
    }

    /// Signed bytes, each 128 more.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn unsigned(self) -> Bytes {
        Bytes(_mm512_xor_si512(self.0, _mm512_set1_epi8(i8::MIN)))
    }

    /// Of each four, the sum of their products with these, added to a sum.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn fours(self, signed: [i8; 4], sum: Ints) -> Ints {
        let signed = _mm512_set1_epi32(i32::from_le_bytes(signed.map(i8::cast_unsigned)));
        Ints(_mm512_dpbusd_epi32(sum.0, self.0, signed))
    }
}

impl Words {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn of(low: &[i16; 16], high: &[i16; 16]) -> Words {
        Words(joined(cast_ref(low), cast_ref(high)))
    }

    /// Of each two, the sum of their products with these, added to a sum.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn pairs(self, two: [i16; 2], sum: Ints) -> Ints {
        let [low, high] = two.map(|word| u32::from(word.cast_unsigned()));
        let two = _mm512_set1_epi32((high << 16 | low).cast_signed());
        Ints(_mm512_dpwssd_epi32(sum.0, self.0, two))
    }

    /// The same bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn ints(self) -> Ints {
        Ints(self.0)
    }
}

impl Ints {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn splat(value: i32) -> Ints {
        Ints(_mm512_set1_epi32(value))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn add(self, other: Ints) -> Ints {
        Ints(_mm512_add_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn sub(self, other: Ints) -> Ints {
        Ints(_mm512_sub_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn mul(self, other: Ints) -> Ints {
        Ints(_mm512_mullo_epi32(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn times_32(self) -> Ints {
        Ints(_mm512_slli_epi32::<5>(self.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn floats(self) -> Floats {
        Floats(_mm512_cvtepi32_ps(self.0))
    }
}

impl Floats {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn of(low: &[f32; 8], high: &[f32; 8]) -> Floats {
        Floats(_mm512_castsi512_ps(joined(cast_ref(low), cast_ref(high))))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn load(values: &[f32; 16]) -> Floats {
        // SAFETY: a reference to as many floats.
        Floats(unsafe { _mm512_loadu_ps(values.as_ptr()) })
    }

    /// The same in both halves.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn twice(values: &[f32; 8]) -> Floats {
        Floats::of(values, values)
    }

    /// The lower half and the upper one.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn halves(self) -> [super::Floats; 2] {
        let both = _mm512_castps_pd(self.0);
        let [low, high] = [_mm512_castpd512_pd256(both), _mm512_extractf64x4_pd::<1>(both)];
        [super::Floats(_mm256_castpd_ps(low)), super::Floats(_mm256_castpd_ps(high))]
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn splat(value: f32) -> Floats {
        Floats(_mm512_set1_ps(value))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn mul(self, other: Floats) -> Floats {
        Floats(_mm512_mul_ps(self.0, other.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn mul_add(self, factor: Floats, summand: Floats) -> Floats {
        Floats(_mm512_fmadd_ps(self.0, factor.0, summand.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn neg_mul_add(self, factor: Floats, summand: Floats) -> Floats {
        Floats(_mm512_fnmadd_ps(self.0, factor.0, summand.0))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(crate) fn store(self, values: &mut [f32; 16]) {
        // SAFETY: a reference to as many floats.
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self.0) }
    }
}
