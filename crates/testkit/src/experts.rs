//! A mixture of experts for tests, made of a plain model: each layer's feed-forward part becomes four experts,
//! its own and those of the three layers after it, behind a router that is drawn. What it writes makes no sense;
//! which experts a token uses differs from token to token.

use std::collections::BTreeMap;

use crate::Failure;
use crate::draw::Draw;

const EXPERTS: u32 = 4;
const EXPERTS_USED: u32 = 2;
const ALIGNMENT: usize = 32;
const F32: u32 = 0;
const Q4_1: u32 = 3;
const Q8_0: u32 = 8;
/// Bytes of a block of 32 weights.
const Q4_1_BYTES: usize = 20;

struct Tensor {
    sizes: Vec<u64>,
    kind: u32,
    data: Vec<u8>,
}

/// The GGUF of a mixture of experts, from that of a model of the architecture `llama` whose feed-forward
/// weights are `Q4_1`. Those of the way down become `Q8_0`.
pub fn made_of(gguf: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut reader = Reader { bytes: gguf, at: 0 };
    reader.take(8)?;
    let (tensors, values) = (reader.u64()?, reader.u64()?);
    let values_start = reader.at;
    for _ in 0..values {
        reader.text()?;
        let kind = reader.u32()?;
        reader.skip(kind)?;
    }
    let values_bytes = &gguf[values_start..reader.at];
    let mut infos = Vec::new();
    for _ in 0..tensors {
        let name = reader.text()?.to_owned();
        let dimensions = reader.u32()?;
        let sizes = (0..dimensions).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
        infos.push((name, sizes, reader.u32()?, usize::try_from(reader.u64()?)?));
    }
    let data = reader.at.next_multiple_of(ALIGNMENT);
    let mut ends: Vec<usize> = infos.iter().map(|&(.., offset)| offset).collect();
    ends.sort_unstable();
    ends.push(gguf.len() - data);
    let mut tensors: BTreeMap<String, Tensor> = infos
        .into_iter()
        .map(|(name, sizes, kind, offset)| {
            let end = ends.iter().copied().find(|&end| end > offset).unwrap_or(offset);
            (name, Tensor { sizes, kind, data: gguf[data + offset..data + end].to_vec() })
        })
        .collect();

    let layers =
        (0..).take_while(|layer| tensors.contains_key(&format!("blk.{layer}.ffn_up.weight"))).count();
    let mut draw = Draw::new(1);
    let mut made = BTreeMap::new();
    for layer in 0..layers {
        for part in ["ffn_gate", "ffn_up", "ffn_down"] {
            let mut all = Tensor { sizes: Vec::new(), kind: 0, data: Vec::new() };
            for expert in 0..EXPERTS as usize {
                let from = &tensors[&format!("blk.{}.{part}.weight", (layer + expert) % layers)];
                let whole = weights_bytes(&from.sizes)?;
                let plain = from.data.get(..whole).filter(|_| from.kind == Q4_1).ok_or("not Q4_1")?;
                (all.sizes, all.kind) = (from.sizes.clone(), if part == "ffn_down" { Q8_0 } else { Q4_1 });
                match all.kind {
                    Q8_0 => all.data.extend(plain.chunks(Q4_1_BYTES).flat_map(q8_0_of_q4_1)),
                    _ => all.data.extend(plain),
                }
            }
            all.sizes.push(EXPERTS.into());
            made.insert(format!("blk.{layer}.{part}_exps.weight"), all);
        }
        let width = tensors[&format!("blk.{layer}.ffn_up.weight")].sizes[0];
        let drawn = |draw: &mut Draw| (f32::from(u8::try_from(draw.below(256)).unwrap_or(0)) - 127.5) / 127.5;
        let router = (0..width * u64::from(EXPERTS)).flat_map(|_| drawn(&mut draw).to_le_bytes()).collect();
        let sizes = vec![width, EXPERTS.into()];
        made.insert(format!("blk.{layer}.ffn_gate_inp.weight"), Tensor { sizes, kind: F32, data: router });
    }
    let plain = |name: &String| ["ffn_gate.", "ffn_up.", "ffn_down."].iter().any(|part| name.contains(part));
    tensors.retain(|name, _| !plain(name));
    tensors.extend(made);

    let mut out = gguf[..8].to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((values + 2).to_le_bytes());
    out.extend(values_bytes);
    for (name, value) in [("llama.expert_count", EXPERTS), ("llama.expert_used_count", EXPERTS_USED)] {
        put_text(&mut out, name);
        const U32: u32 = 4;
        out.extend(U32.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    let mut offset = 0;
    for (name, tensor) in &tensors {
        put_text(&mut out, name);
        out.extend(u32::try_from(tensor.sizes.len())?.to_le_bytes());
        tensor.sizes.iter().for_each(|size| out.extend(size.to_le_bytes()));
        out.extend(tensor.kind.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset = (offset + tensor.data.len()).next_multiple_of(ALIGNMENT);
    }
    for tensor in tensors.values() {
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        out.extend(&tensor.data);
    }
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
    Ok(out)
}

fn weights_bytes(sizes: &[u64]) -> Result<usize, Failure> {
    Ok(usize::try_from(sizes.iter().product::<u64>())? / 32 * Q4_1_BYTES)
}

/// The same 32 weights, to the nearest.
fn q8_0_of_q4_1(block: &[u8]) -> Vec<u8> {
    let half = |at: usize| f32_of_half(u16::from_le_bytes([block[at], block[at + 1]]));
    let (scale, minimum) = (half(0), half(2));
    let nibble = |index: usize| if index < 16 { block[4 + index] & 15 } else { block[4 + index - 16] >> 4 };
    let weights: Vec<f32> = (0..32).map(|index| f32::from(nibble(index)).mul_add(scale, minimum)).collect();
    let greatest = weights.iter().fold(0f32, |greatest, weight| greatest.max(weight.abs()));
    // A power of two as the scale: its half float is its exponent.
    let exponent = (greatest / 127.0).max(1e-4).log2().ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    let bits = ((exponent as i32 + 15) as u16) << 10;
    let mut out = bits.to_le_bytes().to_vec();
    #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
    out.extend(weights.iter().map(|weight| ((weight / exponent.exp2()).round() as i8).cast_unsigned()));
    out
}

/// Of a normal number, or zero.
fn f32_of_half(half: u16) -> f32 {
    let (sign, exponent, mantissa) = (half >> 15, half >> 10 & 31, half & 1023);
    let value = f32::from(mantissa | if exponent > 0 { 1024 } else { 0 }) / 1024.0;
    let value = value * f32::from(exponent.max(1)).exp2() / 32768.0;
    if sign == 1 { -value } else { value }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.bytes());
}

pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        let bytes = self.bytes.get(self.at..self.at + count).ok_or("the GGUF ends early")?;
        self.at += count;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Failure> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Failure> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into()?))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Failure> {
        let len = usize::try_from(self.u64()?)?;
        Ok(std::str::from_utf8(self.take(len)?)?)
    }

    pub(crate) fn skip(&mut self, kind: u32) -> Result<(), Failure> {
        const TEXT: u32 = 8;
        const ARRAY: u32 = 9;
        match kind {
            TEXT => {
                let len = usize::try_from(self.u64()?)?;
                self.take(len).map(drop)
            }
            ARRAY => {
                let kind = self.u32()?;
                for _ in 0..self.u64()? {
                    self.skip(kind)?;
                }
                Ok(())
            }
            0 | 1 | 7 => self.take(1).map(drop),
            2 | 3 => self.take(2).map(drop),
            4..=6 => self.take(4).map(drop),
            _ => self.take(8).map(drop),
        }
    }
}
