//! Archives of tar: POSIX ustar and pax, and GNU's long names. (POSIX.1-2017, pax; GNU tar manual, "Basic Tar Format".)

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::unpacking::{Format, Packing, Unpacked};
use super::{File, Files, Part, Reason, Visitor, is_of_git, plain, seen};
use crate::reading::{Error, Limits};

const BLOCK_BYTES: usize = 512;
/// Bytes of a header that only gives names and times.
const EXTENDED_BYTES_MAX: u64 = 1 << 20;

pub(super) struct Archive {
    path: PathBuf,
    limits: Limits,
}

impl Archive {
    pub(super) fn new(path: &Path, limits: &Limits) -> Archive {
        Archive { path: path.to_owned(), limits: limits.clone() }
    }
}

impl Files for Archive {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<ControlFlow<()>, Error> {
        visitor.part(0);
        visit(&self.path, &self.limits, visitor)
    }

    fn parts(&self) -> Vec<Part> {
        vec![Part { strips_top: true, ..Part::default() }]
    }
}

/// Shows every file of an archive.
pub(super) fn visit(
    path: &Path,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<ControlFlow<()>, Error> {
    let packing = match Format::of(path)? {
        Format::Tar(packing) => packing,
        Format::Zip => Packing::Plain,
    };
    let mut archive = Unpacked::open(path, packing, limits)?;
    let mut named = Extended::default();
    let mut entries = 0u64;
    loop {
        let mut block = [0; BLOCK_BYTES];
        match archive.read(&mut block)? {
            0 => return Ok(ControlFlow::Continue(())),
            BLOCK_BYTES => {}
            _ => return Err(archive.damaged("it ends within a header")),
        }
        if block.iter().all(|byte| *byte == 0) {
            // The end; what may follow fills a tape's record.
            return Ok(ControlFlow::Continue(()));
        }
        entries += 1;
        if entries > limits.entries_max {
            return Err(Error::Limit { path: path.to_owned(), what: "entries", max: limits.entries_max });
        }
        let header = Header::parse(&block).map_err(|what| archive.damaged(what))?;
        if matches!(header.kind, b'x' | b'g' | b'L' | b'K') {
            if header.size > EXTENDED_BYTES_MAX {
                let max = EXTENDED_BYTES_MAX;
                return Err(Error::Limit { path: path.to_owned(), what: "bytes of a name", max });
            }
            let text = archive.take(usize::try_from(header.size).unwrap_or(0))?;
            archive.skip(padding(header.size))?;
            match header.kind {
                b'x' => named.pax(&text),
                b'L' => {
                    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                    named.path = Some(text[..end].to_vec());
                }
                _ => {}
            }
            continue;
        }
        let Extended { path: long, size, seen_unix_s, sparse } = std::mem::take(&mut named);
        let size = size.unwrap_or(header.size);
        let after = padding(size);
        // A link's size, where one is stated, is not in the archive.
        let size_here = if matches!(header.kind, b'1'..=b'6') { 0 } else { size };
        if header.kind == b'5' {
            continue;
        }
        if !matches!(header.kind, b'0' | 0 | b'7') || sparse {
            visitor.left_out(if header.kind == b'S' || sparse { Reason::Unreadable } else { Reason::NoFile });
            if header.kind == b'S' && block[482] != 0 {
                return Err(archive.damaged("a sparse file of the old GNU format"));
            }
            archive.skip(size_here)?;
            archive.skip(padding(size_here))?;
            continue;
        }
        let Some(name) = plain(long.as_deref().unwrap_or(&header.path)) else {
            visitor.left_out(Reason::Path);
            archive.skip(size)?;
            archive.skip(after)?;
            continue;
        };
        // Old archives mark folders by the name alone.
        let is_folder = long.as_deref().unwrap_or(&header.path).ends_with(b"/");
        let wanted = if is_folder || is_of_git(&name) { None } else { visitor.wants(&name) };
        match wanted {
            Some(bytes_max) if size <= bytes_max as u64 => {
                let bytes = archive.take(usize::try_from(size).unwrap_or(0))?;
                let seen_unix_s = seen(seen_unix_s.unwrap_or(header.seen_unix_s));
                if visitor.file(File { path: &name, bytes: &bytes, seen_unix_s }).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            wanted => {
                if wanted.is_some() {
                    visitor.left_out(Reason::TooLarge);
                }
                archive.skip(size)?;
            }
        }
        archive.skip(after)?;
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK_BYTES as u64
}

struct Header {
    path: Vec<u8>,
    kind: u8,
    size: u64,
    seen_unix_s: i64,
}

impl Header {
    fn parse(block: &[u8; BLOCK_BYTES]) -> Result<Header, &'static str> {
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum();
        if number(&block[148..156]) != Some(sum) {
            return Err("a header's checksum is wrong");
        }
        let mut path = text(&block[..100]).to_vec();
        // Only POSIX has a prefix there; GNU has times.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            let mut prefix = text(&block[345..500]).to_vec();
            prefix.push(b'/');
            prefix.extend(path);
            path = prefix;
        }
        let size = number(&block[124..136]).ok_or("a size is no number")?;
        let seen_unix_s = number(&block[136..148]).and_then(|time| i64::try_from(time).ok()).unwrap_or(0);
        Ok(Header { path, kind: block[156], size, seen_unix_s })
    }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number in octal digits, or in GNU's 256-based form.
fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((0x80, rest)) => {
            let (high, low) = rest.split_at(rest.len().checked_sub(8)?);
            if high.iter().any(|byte| *byte != 0) {
                return None;
            }
            Some(low.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        }
        _ => {
            let digits = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
            if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
        }
    }
}

/// What the headers before an entry say of it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    seen_unix_s: Option<i64>,
    sparse: bool,
}

impl Extended {
    /// Records of pax, `LENGTH KEY=VALUE\n`; what is none is passed over with all that follows.
    fn pax(&mut self, mut text: &[u8]) {
        while let Some(space) = text.iter().position(|byte| *byte == b' ') {
            let length =
                std::str::from_utf8(&text[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
            let Some(length) = length.filter(|length| *length > space + 1 && *length <= text.len()) else {
                return;
            };
            let record = &text[space + 1..length];
            text = &text[length..];
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            let Some(equals) = record.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let digits = std::str::from_utf8(value).unwrap_or_default();
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"size" => self.size = digits.parse().ok(),
                b"mtime" => {
                    self.seen_unix_s = digits.split('.').next().and_then(|seconds| seconds.parse().ok());
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
    }
}
