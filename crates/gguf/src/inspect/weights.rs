//! Looks into tensors: numbers that are none, tensors of zeros, bytes between them.

use std::io::{Read, Seek, SeekFrom};

use serde::Serialize;

use super::anomalies::{Anomalies, Code, Severity};
use crate::{Gguf, Tensor};

/// Larger ones are looked into at places only.
const WHOLE_BYTES_MAX: u64 = 16 << 20;
/// What is read of a file at most.
const READ_BYTES_MAX: u64 = 512 << 20;
/// Places in a tensor that is not read whole, and bytes at each.
const PLACES: u64 = 4;
const PLACE_BYTES_MAX: u64 = 64 << 10;
const CHUNK_BYTES_MAX: u64 = 1 << 20;

/// What was looked into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// Tensors that were read from their first byte to their last.
    pub tensors_whole: u64,
    /// Tensors that were read at places.
    pub tensors_sampled: u64,
    /// Bytes read of all of them.
    pub bytes: u64,
}

/// Where floats lie in a block, as far as any that are not finite spoil its numbers.
enum Floats {
    /// All of it, of that many bytes each.
    F32,
    F16,
    Bf16,
    F64,
    /// Half floats at these bytes.
    Scales(&'static [usize]),
    /// Integers, or scales that are always finite.
    None,
}

fn floats(kind: u32) -> Floats {
    match kind {
        0 => Floats::F32,
        1 => Floats::F16,
        28 => Floats::F64,
        30 => Floats::Bf16,
        2 | 6 | 8 | 16..=23 | 41 | 42 => Floats::Scales(&[0]),
        3 | 7 | 9 | 12 | 13 => Floats::Scales(&[0, 2]),
        10 => Floats::Scales(&[80, 82]),
        11 => Floats::Scales(&[108]),
        14 => Floats::Scales(&[208]),
        34 => Floats::Scales(&[52]),
        35 => Floats::Scales(&[64]),
        _ => Floats::None,
    }
}

pub(super) fn scan(
    source: &mut (impl Read + Seek),
    header: &Gguf,
    file_bytes: u64,
    anomalies: &mut Anomalies,
) -> std::io::Result<Scanned> {
    let mut scanned = Scanned::default();
    let mut skipped = 0;
    for tensor in &header.tensors {
        if scanned.bytes >= READ_BYTES_MAX {
            skipped += 1;
            continue;
        }
        let start = header.data_offset + tensor.offset;
        let (_, block_bytes) = tensor.block();
        let mut finding = Finding { non_finite: None, zero: true };
        let whole = tensor.bytes <= WHOLE_BYTES_MAX && matches!(tensor.kind, 0 | 1 | 28 | 30);
        if whole || tensor.bytes <= PLACES * PLACE_BYTES_MAX {
            scanned.tensors_whole += 1;
            scanned.bytes += look(source, tensor, start, 0, tensor.bytes, &mut finding)?;
        } else {
            scanned.tensors_sampled += 1;
            let blocks = tensor.bytes / block_bytes;
            let blocks_each = (PLACE_BYTES_MAX / block_bytes).max(1);
            // The last place ends at the last block. Both products are below the tensor's bytes.
            let last = blocks.saturating_sub(blocks_each);
            for place in 0..PLACES {
                let first = last / (PLACES - 1) * place + last % (PLACES - 1) * place / (PLACES - 1);
                let (from, len) = (first * block_bytes, blocks_each.min(blocks) * block_bytes);
                scanned.bytes += look(source, tensor, start, from, len, &mut finding)?;
            }
        }
        report(tensor, &finding, whole || tensor.bytes <= PLACES * PLACE_BYTES_MAX, anomalies);
    }
    if skipped > 0 {
        anomalies.note(
            Code::ScanIncomplete,
            format!("{skipped} tensors were not looked into: {READ_BYTES_MAX} bytes are read at most"),
        );
    }
    between(source, header, file_bytes, anomalies)?;
    Ok(scanned)
}

struct Finding {
    /// The first element, and what it is.
    non_finite: Option<(u64, &'static str)>,
    zero: bool,
}

fn report(tensor: &Tensor, finding: &Finding, whole: bool, anomalies: &mut Anomalies) {
    let Tensor { name, .. } = tensor;
    if let Some((element, what)) = finding.non_finite {
        anomalies.warn(Code::NonFinite, format!("tensor {name} has {what} at element {element}"));
    }
    if finding.zero {
        let seen = if whole { "is all zeros" } else { "is zeros wherever it was looked into" };
        // A model without a bias may be stored with one of zeros.
        let severity = if name.ends_with(".bias") { Severity::Note } else { Severity::Warning };
        anomalies.add(Code::ZeroTensor, severity, format!("tensor {name} {seen}"), None);
    }
}

/// Reads `len` bytes of a tensor from `from` on, both whole blocks.
fn look(
    source: &mut (impl Read + Seek),
    tensor: &Tensor,
    start: u64,
    from: u64,
    len: u64,
    finding: &mut Finding,
) -> std::io::Result<u64> {
    let (block_elements, block_bytes) = tensor.block();
    let floats = floats(tensor.kind);
    let block_len = usize::try_from(block_bytes).unwrap_or(usize::MAX);
    source.seek(SeekFrom::Start(start + from))?;
    let chunk_bytes = CHUNK_BYTES_MAX / block_bytes * block_bytes;
    let mut chunk = Vec::new();
    let mut done = 0;
    while done < len {
        chunk.clear();
        let wanted = chunk_bytes.min(len - done);
        if source.by_ref().take(wanted).read_to_end(&mut chunk)? as u64 != wanted {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        finding.zero &= chunk.iter().all(|&byte| byte == 0);
        if finding.non_finite.is_none() {
            for (block, number) in chunk.chunks_exact(block_len).zip((from + done) / block_bytes..) {
                if let Some(what) = non_finite(block, &floats) {
                    finding.non_finite = Some((number * block_elements, what));
                    break;
                }
            }
        }
        done += wanted;
    }
    Ok(len)
}

fn non_finite(block: &[u8], floats: &Floats) -> Option<&'static str> {
    // Exponent bits that are all ones: infinity without a mantissa, else not a number.
    let half = |at: usize, exponent: u16| {
        let bits = u16::from_le_bytes([*block.get(at)?, *block.get(at + 1)?]) & 0x7fff;
        (bits & exponent == exponent).then_some(if bits == exponent { "infinity" } else { "NaN" })
    };
    match floats {
        Floats::F32 => {
            let value = f32::from_le_bytes(*block.first_chunk()?);
            (!value.is_finite()).then_some(if value.is_nan() { "NaN" } else { "infinity" })
        }
        Floats::F64 => {
            let value = f64::from_le_bytes(*block.first_chunk()?);
            (!value.is_finite()).then_some(if value.is_nan() { "NaN" } else { "infinity" })
        }
        Floats::F16 => half(0, 0x7c00),
        Floats::Bf16 => half(0, 0x7f80),
        Floats::Scales(places) => places.iter().find_map(|&at| half(at, 0x7c00)),
        Floats::None => None,
    }
}

/// Bytes that belong to no tensor: between the header and the first, between two, and after the last.
fn between(
    source: &mut (impl Read + Seek),
    header: &Gguf,
    file_bytes: u64,
    anomalies: &mut Anomalies,
) -> std::io::Result<()> {
    let alignment = header.alignment();
    let mut end = header.data_offset;
    for tensor in &header.tensors {
        end = header.data_offset + tensor.offset + tensor.bytes;
        // The reader found that the next tensor, if any, begins right there.
        let padded = end.next_multiple_of(alignment).min(file_bytes);
        if padded == end {
            continue;
        }
        source.seek(SeekFrom::Start(end))?;
        let mut bytes = Vec::new();
        source.by_ref().take(padded - end).read_to_end(&mut bytes)?;
        if bytes.iter().any(|&byte| byte != 0) {
            anomalies.warn(
                Code::Padding,
                format!(
                    "{} bytes after tensor {} belong to nothing and are not zero",
                    bytes.len(),
                    tensor.name
                ),
            );
        }
    }
    let rest = file_bytes.saturating_sub(end.next_multiple_of(alignment));
    if rest > 0 {
        anomalies.warn(Code::TrailingBytes, format!("{rest} bytes after the last tensor belong to nothing"));
    }
    Ok(())
}
