//! Quantized weights and activations as they lie in memory: ggml's block formats, little-endian.

use bytemuck::{Pod, Zeroable};

/// Values of a block of the simple formats.
pub const BLOCK: usize = 32;
/// Values of a block of the K formats.
pub const SUPER_BLOCK: usize = 256;

/// 32 weights of 8 bits: `d * q`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q8_0 {
    /// The scale, a half float.
    pub d: u16,
    /// The weights.
    pub q: [i8; 32],
}

/// 32 weights of 5 bits: `d * (q - 16)`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q5_0 {
    /// The scale, a half float.
    pub d: u16,
    /// The fifth bits, a bit for each weight.
    pub high: [u8; 4],
    /// The low four bits: weight `i` is in the low half of byte `i`, weight `16 + i` in the high half.
    pub low: [u8; 16],
}

/// 32 weights of 4 bits: `d * (q - 8)`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q4_0 {
    /// The scale, a half float.
    pub d: u16,
    /// Weight `i` is in the low half of byte `i`, weight `16 + i` in the high half.
    pub low: [u8; 16],
}

/// 256 weights of 4 bits, in 8 sub-blocks: `d * scale * q - dmin * min`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q4K {
    /// The scale's scale, a half float.
    pub d: u16,
    /// The minimum's scale, a half float.
    pub dmin: u16,
    /// Scales and minima of 6 bits, packed.
    pub scales: [u8; 12],
    /// Each 32 bytes hold two sub-blocks, in their low and high halves.
    pub low: [[u8; 32]; 4],
}

/// 256 weights of 5 bits, in 8 sub-blocks: `d * scale * q - dmin * min`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q5K {
    /// The scale's scale, a half float.
    pub d: u16,
    /// The minimum's scale, a half float.
    pub dmin: u16,
    /// Scales and minima of 6 bits, packed.
    pub scales: [u8; 12],
    /// The fifth bits: bit `s` of byte `i` belongs to weight `i` of sub-block `s`.
    pub high: [u8; 32],
    /// As in [`Q4K`].
    pub low: [[u8; 32]; 4],
}

/// 256 weights of 6 bits, in 16 sub-blocks: `d * scale * (q - 32)`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q6K {
    /// Low halves: of each 128 weights two times 32 bytes, the low halves of the first 64 weights, the
    /// high halves of the others.
    pub low: [[u8; 32]; 4],
    /// High bits: of each 128 weights 32 bytes, two bits for each 32 of them.
    pub high: [[u8; 32]; 2],
    /// The sub-blocks' scales.
    pub scales: [i8; 16],
    /// The scale's scale, a half float.
    pub d: u16,
}

/// 256 activations of 8 bits: `d * q`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Q8K {
    /// The scale.
    pub d: f32,
    /// The activations.
    pub q: [[i8; 32]; 8],
    /// Sums of 16 activations each.
    pub sums: [i16; 16],
}

/// Scales and minima of the eight sub-blocks of a [`Q4K`] or [`Q5K`].
#[inline(always)]
pub(crate) fn scales_and_minima(packed: &[u8; 12]) -> ([u8; 8], [u8; 8]) {
    const SIX: u32 = 0x3f3f_3f3f;
    const FOUR: u32 = 0x0f0f_0f0f;
    const TWO: u32 = 0x0303_0303;
    let word = |index: usize| {
        u32::from_le_bytes([packed[index], packed[index + 1], packed[index + 2], packed[index + 3]])
    };
    let (a, b, c) = (word(0), word(4), word(8));
    let join = |low: u32, high: u32| (u64::from(high) << 32 | u64::from(low)).to_le_bytes();
    let scales = join(a & SIX, (c & FOUR) | ((a >> 6 & TWO) << 4));
    let minima = join(b & SIX, (c >> 4 & FOUR) | ((b >> 6 & TWO) << 4));
    (scales, minima)
}

const _: () = assert!(
    size_of::<Q8_0>() == 34
        && size_of::<Q5_0>() == 22
        && size_of::<Q4_0>() == 18
        && size_of::<Q4K>() == 144
        && size_of::<Q5K>() == 176
        && size_of::<Q6K>() == 210
        && size_of::<Q8K>() == 292
);
