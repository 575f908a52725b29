//! Models of drawn weights, in the shape of large ones: they say nothing that makes sense, as fast as those would.

use std::io::Write;

use crate::Failure;
use crate::draw::Draw;
use crate::experts::Reader;
use crate::gguf::{Builder, string, typed, unsigned};

const F32: u32 = 0;
const Q4_K: u32 = 12;
/// Weights of a block, and its bytes: two scales as half floats, then twelve bytes of scales, then the weights.
const BLOCK: (u64, usize) = (256, 144);
/// As half floats: about 1e-4 and 7.5 times that, so that weights are drawn around 0 and mostly below 0.05.
const SCALES: [u8; 4] = [0x8e, 0x06, 0x25, 0x12];
/// Blocks that are drawn; then they come again.
const DRAWN: usize = 1 << 16;

/// Sizes of a model of the architecture `llama`.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// As people call such a model.
    pub name: &'static str,
    layers: u32,
    width: u32,
    feed_forward: u32,
    heads: u32,
    heads_kv: u32,
}

/// As those of 1B of the Llama 3.2 series.
pub const SHAPE_1B: Shape =
    Shape { name: "1B", layers: 16, width: 2048, feed_forward: 8192, heads: 32, heads_kv: 8 };
/// As those of 8B of the Llama 3 series.
pub const SHAPE_8B: Shape =
    Shape { name: "8B", layers: 32, width: 4096, feed_forward: 14336, heads: 32, heads_kv: 8 };
/// As those of 32B of the Qwen 2.5 series.
pub const SHAPE_32B: Shape =
    Shape { name: "32B", layers: 64, width: 5120, feed_forward: 27648, heads: 40, heads_kv: 8 };

/// Writes a GGUF of a shape, its weights `Q4_K`, with the vocabulary of another model of the architecture `llama`,
/// of which the beginning, up to the end of the metadata, is enough.
pub fn write(vocabulary: &[u8], shape: Shape, out: &mut impl Write) -> Result<(), Failure> {
    let mut builder = Builder { metadata: metadata(vocabulary)?, tensors: Vec::new(), ..Builder::valid() };
    let tokens = builder.metadata.iter().find(|(key, _)| key == "tokenizer.ggml.tokens");
    // Its value begins with two types, and the count.
    let count = tokens.and_then(|(_, value)| value.get(8..16)).ok_or("there is no vocabulary")?;
    let tokens = u64::from_le_bytes(count.try_into()?);
    let (width, narrow) = (shape.width, shape.width / shape.heads * shape.heads_kv);
    for (key, value) in [
        ("block_count", shape.layers),
        ("embedding_length", width),
        ("feed_forward_length", shape.feed_forward),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.heads_kv),
        ("rope.dimension_count", width / shape.heads),
        ("context_length", 32768),
        ("vocab_size", u32::try_from(tokens)?),
    ] {
        builder = builder.with(&format!("llama.{key}"), unsigned(value));
    }
    builder = builder
        .with("general.name", string(&format!("drawn {}", shape.name)))
        .with("llama.attention.layer_norm_rms_epsilon", typed(6, 1e-5_f32.to_le_bytes().to_vec()));
    let mut offset = 0;
    let mut add = |name: String, sizes: Vec<u64>, kind| {
        let weights: u64 = sizes.iter().product();
        let bytes = if kind == F32 { weights * 4 } else { weights / BLOCK.0 * BLOCK.1 as u64 };
        builder.tensors.push((name, sizes, kind, offset));
        offset = (offset + bytes).next_multiple_of(32);
    };
    let (wide, inner, narrow) = (u64::from(width), u64::from(shape.feed_forward), u64::from(narrow));
    add("token_embd.weight".to_owned(), vec![wide, tokens], Q4_K);
    add("output_norm.weight".to_owned(), vec![wide], F32);
    add("output.weight".to_owned(), vec![wide, tokens], Q4_K);
    for layer in 0..shape.layers {
        for (part, sizes, kind) in [
            ("attn_norm", vec![wide], F32),
            ("attn_q", vec![wide, wide], Q4_K),
            ("attn_k", vec![wide, narrow], Q4_K),
            ("attn_v", vec![wide, narrow], Q4_K),
            ("attn_output", vec![wide, wide], Q4_K),
            ("ffn_norm", vec![wide], F32),
            ("ffn_gate", vec![wide, inner], Q4_K),
            ("ffn_up", vec![wide, inner], Q4_K),
            ("ffn_down", vec![inner, wide], Q4_K),
        ] {
            add(format!("blk.{layer}.{part}.weight"), sizes, kind);
        }
    }
    let header = builder.header();
    out.write_all(&header)?;
    let padding = header.len().next_multiple_of(builder.alignment) - header.len();
    out.write_all(&vec![0; padding])?;
    let drawn = drawn();
    for (_, sizes, kind, _) in &builder.tensors {
        let weights: u64 = sizes.iter().product();
        if *kind == F32 {
            for _ in 0..weights {
                out.write_all(&1_f32.to_le_bytes())?;
            }
            continue;
        }
        let mut left = usize::try_from(weights / BLOCK.0)?;
        while left > 0 {
            let some = left.min(DRAWN);
            out.write_all(&drawn[..some * BLOCK.1])?;
            left -= some;
        }
    }
    out.flush()?;
    Ok(())
}

fn drawn() -> Vec<u8> {
    let mut draw = Draw::new(1);
    let mut bytes: Vec<u8> = (0..DRAWN * BLOCK.1 / 8).flat_map(|_| draw.number().to_le_bytes()).collect();
    bytes.chunks_mut(BLOCK.1).for_each(|block| block[..SCALES.len()].copy_from_slice(&SCALES));
    bytes
}

/// Keys of a GGUF with their values, each with its type.
fn metadata(gguf: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut reader = Reader { bytes: gguf, at: 0 };
    reader.take(16)?;
    let values = reader.u64()?;
    let mut metadata = Vec::new();
    for _ in 0..values {
        let key = reader.text()?.to_owned();
        let from = reader.at;
        let kind = reader.u32()?;
        reader.skip(kind)?;
        metadata.push((key, gguf[from..reader.at].to_vec()));
    }
    Ok(metadata)
}
