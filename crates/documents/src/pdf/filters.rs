//! Filters of PDF streams (ISO 32000-1, 7.4). Pictures' own are left alone.

use std::io::Read as _;

use flate2::read::{DeflateDecoder, ZlibDecoder};

use crate::pdf::objects::{Dict, File, Object, hex, is_space};

/// Of one stream.
const STREAM_BYTES_MAX: u64 = 128 << 20;

/// Bytes after all filters, and how many all of them made together.
pub(crate) struct Decoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) work: u64,
}

/// None for what is a picture, or uses a filter that is not known. What is cut short is kept as far as it
/// goes; one byte more than `left` says that there was more.
pub(crate) fn decode(
    file: &File<'_>,
    raw: &[u8],
    filters: &[Object],
    parameters: &[Object],
    left: u64,
) -> Option<Decoded> {
    let known = |filter: &Object| {
        const KNOWN: [&[u8]; 11] = [
            b"FlateDecode",
            b"Fl",
            b"LZWDecode",
            b"LZW",
            b"ASCIIHexDecode",
            b"AHx",
            b"ASCII85Decode",
            b"A85",
            b"RunLengthDecode",
            b"RL",
            b"Crypt",
        ];
        filter.name().is_some_and(|name| KNOWN.contains(&name))
    };
    if !filters.iter().all(known) {
        return None;
    }
    let mut work = 0;
    let mut bytes = None::<Vec<u8>>;
    for (index, filter) in filters.iter().enumerate() {
        let input = bytes.as_deref().unwrap_or(raw);
        let max = STREAM_BYTES_MAX.min(left.saturating_sub(work)) + 1;
        let parameters = parameters.get(index).and_then(Object::dict);
        let output = match filter.name()? {
            b"FlateDecode" | b"Fl" => predicted(file, inflate(input, max), parameters)?,
            b"LZWDecode" | b"LZW" => {
                let early = parameters.is_none_or(|dict| file.get(dict, b"EarlyChange").int() != Some(0));
                predicted(file, lzw(input, early, max), parameters)?
            }
            b"ASCIIHexDecode" | b"AHx" => ascii_hex(input),
            b"ASCII85Decode" | b"A85" => ascii_85(input),
            b"RunLengthDecode" | b"RL" => run_length(input, max),
            b"Crypt" => input.to_vec(),
            _ => return None,
        };
        work += output.len() as u64;
        bytes = Some(output);
    }
    let bytes = bytes.unwrap_or_else(|| raw.to_vec());
    Some(Decoded { work: work.max(bytes.len() as u64), bytes })
}

pub(crate) fn inflate(input: &[u8], max: u64) -> Vec<u8> {
    let mut output = Vec::new();
    // An error leaves in place what was read before it.
    let failed = ZlibDecoder::new(input).take(max).read_to_end(&mut output).is_err();
    if failed && output.is_empty() && input.len() > 2 {
        // A header that is broken, before data that is not.
        let _ = DeflateDecoder::new(&input[2..]).take(max).read_to_end(&mut output);
    }
    output
}

fn predicted(file: &File<'_>, data: Vec<u8>, parameters: Option<&Dict>) -> Option<Vec<u8>> {
    let Some(parameters) = parameters else { return Some(data) };
    let number = |key: &[u8], default: usize| {
        let value = file.get(parameters, key).int().and_then(|value| usize::try_from(value).ok());
        value.unwrap_or(default)
    };
    let predictor = number(b"Predictor", 1);
    if predictor < 2 {
        return Some(data);
    }
    let (colors, bits, columns) =
        (number(b"Colors", 1), number(b"BitsPerComponent", 8), number(b"Columns", 1));
    if colors == 0 || colors > 32 || bits == 0 || bits > 16 || columns == 0 || columns > 1 << 24 {
        return None;
    }
    let pixel = (colors * bits).div_ceil(8);
    let row = (colors * bits * columns).div_ceil(8);
    if predictor == 2 {
        let mut data = data;
        if bits == 8 {
            for line in data.chunks_mut(row) {
                for at in pixel..line.len() {
                    line[at] = line[at].wrapping_add(line[at - pixel]);
                }
            }
        }
        return Some(data);
    }
    let mut output: Vec<u8> = Vec::with_capacity(data.len());
    let mut above = vec![0u8; row.min(data.len())];
    for line in data.chunks(row + 1) {
        let (kind, line) = line.split_first()?;
        let start = output.len();
        for (at, byte) in line.iter().enumerate() {
            let left = if at >= pixel { output[start + at - pixel] } else { 0 };
            let up = above.get(at).copied().unwrap_or(0);
            let corner = if at >= pixel { above.get(at - pixel).copied().unwrap_or(0) } else { 0 };
            let guess = match kind {
                1 => left,
                2 => up,
                3 => u8::try_from((u16::from(left) + u16::from(up)) / 2).unwrap_or(0),
                4 => paeth(left, up, corner),
                _ => 0,
            };
            output.push(byte.wrapping_add(guess));
        }
        above.clear();
        above.extend_from_slice(&output[start..]);
    }
    Some(output)
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let (to_left, to_up, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if to_left <= to_up && to_left <= to_corner {
        left
    } else if to_up <= to_corner {
        up
    } else {
        corner
    }
}

fn lzw(input: &[u8], early: bool, max: u64) -> Vec<u8> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let mut output: Vec<u8> = Vec::new();
    // Each code's text is a piece of the output.
    let mut pieces: Vec<(usize, usize)> = Vec::new();
    let mut last: Option<(usize, usize)> = None;
    let (mut buffer, mut bits, mut width) = (0u32, 0u32, 9u32);
    for byte in input {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= width {
            let code = usize::try_from(buffer >> (bits - width) & ((1 << width) - 1)).unwrap_or(0);
            bits -= width;
            match code {
                256 => {
                    pieces.clear();
                    last = None;
                    width = 9;
                    continue;
                }
                257 => return output,
                _ => {}
            }
            let start = output.len();
            if code < 256 {
                output.push(u8::try_from(code).unwrap_or(0));
            } else if let Some((from, len)) = pieces.get(code - 258).copied() {
                output.extend_from_within(from..from + len);
            } else if let Some((from, len)) = last.filter(|_| code - 258 == pieces.len()) {
                output.extend_from_within(from..from + len);
                let first = output[start];
                output.push(first);
            } else {
                return output;
            }
            if let Some((from, len)) = last
                && pieces.len() < 4096 - 258
            {
                // The last text and the first letter of this: they stand side by side.
                pieces.push((from, len + 1));
            }
            last = Some((start, output.len() - start));
            let next = pieces.len() + 258 + usize::from(early);
            width = match next {
                0..512 => 9,
                512..1024 => 10,
                1024..2048 => 11,
                _ => 12,
            };
            if output.len() >= max {
                output.truncate(max);
                return output;
            }
        }
    }
    output
}

fn ascii_hex(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut high = None;
    for byte in input.iter().take_while(|byte| **byte != b'>') {
        let Some(digit) = hex(*byte) else { continue };
        match high.take() {
            None => high = Some(digit),
            Some(high) => output.push(high << 4 | digit),
        }
    }
    output.extend(high.map(|high| high << 4));
    output
}

fn ascii_85(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let (mut group, mut count) = (0u32, 0usize);
    for byte in input {
        match byte {
            b'z' if count == 0 => output.extend([0; 4]),
            b'!'..=b'u' => {
                group = group.wrapping_mul(85).wrapping_add(u32::from(byte - b'!'));
                count += 1;
                if count == 5 {
                    output.extend(group.to_be_bytes());
                    (group, count) = (0, 0);
                }
            }
            b'~' => break,
            byte if is_space(*byte) => {}
            _ => break,
        }
    }
    if count > 1 {
        for _ in count..5 {
            group = group.wrapping_mul(85).wrapping_add(84);
        }
        output.extend(&group.to_be_bytes()[..count - 1]);
    }
    output
}

fn run_length(input: &[u8], max: u64) -> Vec<u8> {
    let mut output = Vec::new();
    let mut at = 0;
    while let Some(length) = input.get(at)
        && (output.len() as u64) < max
    {
        at += 1;
        match length {
            0..=127 => {
                let end = input.len().min(at + usize::from(*length) + 1);
                output.extend_from_slice(&input[at..end]);
                at = end;
            }
            129.. => {
                let Some(byte) = input.get(at) else { break };
                output.extend(std::iter::repeat_n(*byte, 257 - usize::from(*length)));
                at += 1;
            }
            128 => break,
        }
    }
    output
}
