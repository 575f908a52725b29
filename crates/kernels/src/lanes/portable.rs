//! The lanes as arrays: for other processors, and what the tests hold the fast ones against.

#[derive(Clone, Copy)]
pub(crate) struct Bytes([u8; 32]);
#[derive(Clone, Copy)]
pub(crate) struct Words([i16; 16]);
#[derive(Clone, Copy)]
pub(crate) struct Ints([i32; 8]);
#[derive(Clone, Copy)]
pub(crate) struct Floats([f32; 8]);

use std::array::from_fn;

pub(crate) fn prefetch(_bytes: &[u8], _at: usize) {}

impl Bytes {
    pub(crate) fn load(bytes: &[u8; 32]) -> Bytes {
        Bytes(*bytes)
    }

    pub(crate) fn load_signed(bytes: &[i8; 32]) -> Bytes {
        Bytes(bytes.map(i8::cast_unsigned))
    }

    pub(crate) fn store(self, bytes: &mut [u8; 32]) {
        *bytes = self.0;
    }

    pub(crate) fn nibbles(bytes: &[u8; 16]) -> Bytes {
        Bytes(from_fn(|lane| if lane < 16 { bytes[lane] & 0x0f } else { bytes[lane - 16] >> 4 }))
    }

    pub(crate) fn bits(bits: u32, set: u8) -> Bytes {
        Bytes(from_fn(|lane| if bits >> lane & 1 == 1 { set } else { 0 }))
    }

    pub(crate) fn quad(bytes: [i8; 4]) -> Bytes {
        Bytes(from_fn(|lane| bytes[lane % 4].cast_unsigned()))
    }

    pub(crate) fn quads_of_rows(rows: [Bytes; 8]) -> [Bytes; 8] {
        from_fn(|quad| Bytes(from_fn(|lane| rows[lane / 4].0[4 * quad + lane % 4])))
    }

    pub(crate) fn low(self) -> Bytes {
        Bytes(self.0.map(|byte| byte & 0x0f))
    }

    pub(crate) fn high(self) -> Bytes {
        Bytes(self.0.map(|byte| byte >> 4))
    }

    pub(crate) fn pair_to_4<const SHIFT: i32>(self) -> Bytes {
        Bytes(self.0.map(|byte| (byte >> SHIFT & 3) << 4))
    }

    pub(crate) fn bit_to_4(self, bit: u8) -> Bytes {
        Bytes(self.0.map(|byte| (byte >> bit & 1) << 4))
    }

    pub(crate) fn or(self, other: Bytes) -> Bytes {
        Bytes(from_fn(|lane| self.0[lane] | other.0[lane]))
    }

    pub(crate) fn magnitude(self) -> Bytes {
        Bytes(self.0.map(|byte| byte.cast_signed().unsigned_abs()))
    }

    pub(crate) fn with_sign_of(self, other: Bytes) -> Bytes {
        Bytes(from_fn(|lane| {
            let byte = self.0[lane].cast_signed();
            let signed = match other.0[lane].cast_signed().signum() {
                0 => 0,
                1 => byte,
                _ => byte.wrapping_neg(),
            };
            signed.cast_unsigned()
        }))
    }

    pub(crate) fn pairs(self, signed: Bytes) -> Words {
        let product = |lane: usize| i32::from(self.0[lane]) * i32::from(signed.0[lane].cast_signed());
        Words(from_fn(|word| {
            let sum = product(2 * word) + product(2 * word + 1);
            i16::try_from(sum).unwrap_or(if sum < 0 { i16::MIN } else { i16::MAX })
        }))
    }

    pub(crate) fn fours(self, signed: Bytes, sum: Ints) -> Ints {
        sum.add(self.pairs(signed).pairs(Words::splat(1)))
    }
}

impl Words {
    pub(crate) fn splat(value: i16) -> Words {
        Words([value; 16])
    }

    pub(crate) fn split(self) -> [Words; 2] {
        [Words(from_fn(|word| self.0[word % 8])), Words(from_fn(|word| self.0[8 + word % 8]))]
    }

    pub(crate) fn pick(self, pick: &[u8; 32]) -> Words {
        Words(from_fn(|word| self.0[word / 8 * 8 + usize::from(pick[2 * word]) / 2]))
    }

    pub(crate) fn two(words: [i16; 2]) -> Words {
        Words(from_fn(|word| words[word % 2]))
    }

    pub(crate) fn load(words: &[i16; 16]) -> Words {
        Words(*words)
    }

    pub(crate) fn store(self, words: &mut [i16; 16]) {
        *words = self.0;
    }

    pub(crate) fn pairs_of_rows(rows: [Words; 8]) -> [Words; 8] {
        from_fn(|pair| Words(from_fn(|word| rows[word / 2].0[2 * pair + word % 2])))
    }

    pub(crate) fn halves_twice(self) -> [Words; 2] {
        from_fn(|half| Words(from_fn(|word| self.0[word / 2 * 2 + half])))
    }

    pub(crate) fn halves_as_ints(self) -> [Words; 2] {
        from_fn(|half| {
            let sign = |word: i16| if word < 0 { -1 } else { 0 };
            Words(from_fn(|word| {
                let value = self.0[word / 2 * 2 + half];
                if word % 2 == 0 { value } else { sign(value) }
            }))
        })
    }

    pub(crate) fn ints(self) -> Ints {
        let int = |lane: usize| {
            let [low, high] =
                [self.0[2 * lane], self.0[2 * lane + 1]].map(|word| u32::from(word.cast_unsigned()));
            (high << 16 | low).cast_signed()
        };
        Ints(from_fn(int))
    }

    pub(crate) fn widen(bytes: &[i8; 16]) -> Words {
        Words(bytes.map(i16::from))
    }

    pub(crate) fn twice(bytes: [u8; 8]) -> Words {
        Words(from_fn(|word| i16::from(bytes[word / 2])))
    }

    pub(crate) fn add(self, other: Words) -> Words {
        Words(from_fn(|word| self.0[word].wrapping_add(other.0[word])))
    }

    pub(crate) fn pairs(self, other: Words) -> Ints {
        let product = |word: usize| i32::from(self.0[word]) * i32::from(other.0[word]);
        Ints(from_fn(|lane| product(2 * lane).wrapping_add(product(2 * lane + 1))))
    }
}

impl Ints {
    pub(crate) fn splat(value: i32) -> Ints {
        Ints([value; 8])
    }

    pub(crate) fn add(self, other: Ints) -> Ints {
        Ints(from_fn(|lane| self.0[lane].wrapping_add(other.0[lane])))
    }

    pub(crate) fn sub(self, other: Ints) -> Ints {
        Ints(from_fn(|lane| self.0[lane].wrapping_sub(other.0[lane])))
    }

    pub(crate) fn mul(self, other: Ints) -> Ints {
        Ints(from_fn(|lane| self.0[lane].wrapping_mul(other.0[lane])))
    }

    pub(crate) fn times_32(self) -> Ints {
        Ints(self.0.map(|value| value << 5))
    }

    pub(crate) fn sums(rows: [Ints; 8]) -> Ints {
        Ints(rows.map(|row| row.0.iter().fold(0, |sum: i32, &value| sum.wrapping_add(value))))
    }

    #[expect(clippy::cast_precision_loss, reason = "to the nearest, as the processor does")]
    pub(crate) fn floats(self) -> Floats {
        Floats(self.0.map(|value| value as f32))
    }
}

impl Floats {
    pub(crate) fn splat(value: f32) -> Floats {
        Floats([value; 8])
    }

    pub(crate) fn load(values: &[f32; 8]) -> Floats {
        Floats(*values)
    }

    pub(crate) fn halves(values: &[u16; 8]) -> Floats {
        Floats(values.map(|bits| half::f16::from_bits(bits).to_f32()))
    }

    pub(crate) fn store(self, values: &mut [f32; 8]) {
        *values = self.0;
    }

    pub(crate) fn add(self, other: Floats) -> Floats {
        Floats(from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    pub(crate) fn sub(self, other: Floats) -> Floats {
        Floats(from_fn(|lane| self.0[lane] - other.0[lane]))
    }

    pub(crate) fn mul(self, other: Floats) -> Floats {
        Floats(from_fn(|lane| self.0[lane] * other.0[lane]))
    }

    pub(crate) fn max(self, other: Floats) -> Floats {
        // As the processor does it: the second, unless the first is greater.
        Floats(from_fn(|lane| if self.0[lane] > other.0[lane] { self.0[lane] } else { other.0[lane] }))
    }

    pub(crate) fn greatest(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    pub(crate) fn mul_add(self, factor: Floats, summand: Floats) -> Floats {
        Floats(from_fn(|lane| self.0[lane].mul_add(factor.0[lane], summand.0[lane])))
    }

    pub(crate) fn neg_mul_add(self, factor: Floats, summand: Floats) -> Floats {
        Floats(from_fn(|lane| (-self.0[lane]).mul_add(factor.0[lane], summand.0[lane])))
    }

    pub(crate) fn round(self) -> Floats {
        Floats(self.0.map(f32::round_ties_even))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a whole number, and small")]
    pub(crate) fn power_of_two(self) -> Floats {
        Floats(self.0.map(|value| f32::from_bits(((value as i32).wrapping_add(127) << 23).cast_unsigned())))
    }

    pub(crate) fn zero_below(self, limit: f32, of: Floats) -> Floats {
        Floats(from_fn(|lane| if of.0[lane] >= limit { self.0[lane] } else { 0.0 }))
    }

    pub(crate) fn sums(rows: [Floats; 8]) -> Floats {
        // The processor's tree of horizontal additions.
        Floats(rows.map(|Floats([a, b, c, d, e, f, g, h])| ((a + b) + (c + d)) + ((e + f) + (g + h))))
    }
}
