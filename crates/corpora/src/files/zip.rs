//! Archives of ZIP, by their central directory: stored and deflated entries. (APPNOTE 6.3.10.)

use std::fs::File as OpenFile;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{File, Files, Part, Reason, Visitor, is_of_git, plain, seen};
use crate::reading::{Error, Limits};

/// Bytes in which the end of the central directory stands: its record, a comment, and the locator of ZIP64.
const END_BYTES_MAX: u64 = 22 + 65_535 + 20;

pub(super) struct Archive {
    path: PathBuf,
    limits: Limits,
}

impl Archive {
    pub(super) fn new(path: &Path, limits: &Limits) -> Archive {
        Archive { path: path.to_owned(), limits: limits.clone() }
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    /// The entries of the central directory.
    fn entries(&self, file: &mut OpenFile) -> Result<Vec<Entry>, Error> {
        let unreadable = |source| Error::Unreadable { path: self.path.clone(), source };
        let length = file.metadata().map_err(unreadable)?.len();
        let tail_from = length.saturating_sub(END_BYTES_MAX);
        file.seek(SeekFrom::Start(tail_from)).map_err(unreadable)?;
        let mut tail = Vec::new();
        file.take(END_BYTES_MAX).read_to_end(&mut tail).map_err(unreadable)?;
        let none = || self.damaged("it has no central directory");
        // The record whose comment ends with the file.
        let at = (0..=tail.len().saturating_sub(22))
            .rev()
            .find(|at| {
                let record = &tail[*at..];
                record.starts_with(b"PK\x05\x06") && 22 + usize::from(u16_at(record, 20)) == record.len()
            })
            .ok_or_else(none)?;
        let record = &tail[at..];
        let mut count = u64::from(u16_at(record, 10));
        let mut start = u64::from(u32_at(record, 16));
        let locator =
            at.checked_sub(20).map(|from| &tail[from..at]).filter(|from| from.starts_with(b"PK\x06\x07"));
        if let Some(locator) = locator {
            file.seek(SeekFrom::Start(u64_at(locator, 8))).map_err(unreadable)?;
            let mut wide = [0; 56];
            file.read_exact(&mut wide).map_err(|_| none())?;
            if !wide.starts_with(b"PK\x06\x06") {
                return Err(none());
            }
            (count, start) = (u64_at(&wide, 32), u64_at(&wide, 48));
        }
        if count > self.limits.entries_max {
            let max = self.limits.entries_max;
            return Err(Error::Limit { path: self.path.clone(), what: "entries", max });
        }
        file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        let mut directory = BufReader::new(file);
        let mut entries = Vec::new();
        for _ in 0..count {
            let mut fixed = [0; 46];
            directory.read_exact(&mut fixed).map_err(|_| self.damaged("its central directory ends early"))?;
            if !fixed.starts_with(b"PK\x01\x02") {
                return Err(self.damaged("its central directory is none"));
            }
            let lengths = [28, 30, 32].map(|at| usize::from(u16_at(&fixed, at)));
            let mut variable = vec![0; lengths.iter().sum()];
            directory
                .read_exact(&mut variable)
                .map_err(|_| self.damaged("its central directory ends early"))?;
            let (name, rest) = variable.split_at(lengths[0]);
            entries.push(Entry::parse(&fixed, name, &rest[..lengths[1]]));
        }
        Ok(entries)
    }

    fn read(&self, file: &mut OpenFile, entry: &Entry, bytes_max: usize) -> Result<Vec<u8>, Reason> {
        file.seek(SeekFrom::Start(entry.offset)).map_err(|_| Reason::Unreadable)?;
        let mut local = [0; 30];
        file.read_exact(&mut local).map_err(|_| Reason::Unreadable)?;
        if !local.starts_with(b"PK\x03\x04") {
            return Err(Reason::Unreadable);
        }
        let before = i64::from(u16_at(&local, 26)) + i64::from(u16_at(&local, 28));
        file.seek(SeekFrom::Current(before)).map_err(|_| Reason::Unreadable)?;
        let packed = BufReader::new(file.take(entry.packed_bytes));
        let mut bytes = Vec::new();
        let unpacked = match entry.method {
            0 => packed.take(bytes_max as u64 + 1).read_to_end(&mut bytes),
            8 => flate2::bufread::DeflateDecoder::new(packed)
                .take(bytes_max as u64 + 1)
                .read_to_end(&mut bytes),
            _ => return Err(Reason::Unreadable),
        };
        if bytes.len() > bytes_max {
            return Err(Reason::TooLarge);
        }
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes);
        match unpacked.is_ok() && checksum.sum() == entry.checksum {
            true => Ok(bytes),
            false => Err(Reason::Unreadable),
        }
    }
}

impl Files for Archive {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<ControlFlow<()>, Error> {
        visitor.part(0);
        let unreadable = |source| Error::Unreadable { path: self.path.clone(), source };
        let mut file = OpenFile::open(&self.path).map_err(unreadable)?;
        let mut bytes_left = self.limits.bytes_max;
        for entry in self.entries(&mut file)? {
            if entry.is_folder {
                continue;
            }
            if entry.is_odd {
                visitor.left_out(Reason::NoFile);
                continue;
            }
            let Some(path) = &entry.path else {
                visitor.left_out(Reason::Path);
                continue;
            };
            if is_of_git(path) {
                continue;
            }
            let Some(bytes_max) = visitor.wants(path) else { continue };
            if entry.bytes > bytes_max as u64 {
                visitor.left_out(Reason::TooLarge);
                continue;
            }
            let read = if entry.is_encrypted {
                Err(Reason::Unreadable)
            } else {
                self.read(&mut file, &entry, bytes_max)
            };
            match read {
                Err(reason) => visitor.left_out(reason),
                Ok(bytes) => {
                    let over = || Error::Limit {
                        path: self.path.clone(),
                        what: "bytes, unpacked",
                        max: self.limits.bytes_max,
                    };
                    bytes_left = bytes_left.checked_sub(bytes.len() as u64).ok_or_else(over)?;
                    if visitor.file(File { path, bytes: &bytes, seen_unix_s: entry.seen_unix_s }).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn parts(&self) -> Vec<Part> {
        let is_wheel = self.path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("whl"));
        vec![Part { strips_top: !is_wheel, ..Part::default() }]
    }
}

struct Entry {
    path: Option<String>,
    method: u16,
    checksum: u32,
    packed_bytes: u64,
    bytes: u64,
    offset: u64,
    seen_unix_s: Option<i64>,
    is_folder: bool,
    /// A link, a device or the like.
    is_odd: bool,
    is_encrypted: bool,
}

impl Entry {
    fn parse(fixed: &[u8; 46], name: &[u8], extra: &[u8]) -> Entry {
        let mut sizes = [24, 20, 42].map(|at| u64::from(u32_at(fixed, at)));
        let mut rest = extra;
        while rest.len() >= 4 {
            let (id, length) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
            let Some(mut field) = rest.get(4..4 + length) else { break };
            rest = &rest[4 + length..];
            // ZIP64: those that did not fit, in this order.
            if id == 1 {
                for size in &mut sizes {
                    if *size == u64::from(u32::MAX) && field.len() >= 8 {
                        *size = u64_at(field, 0);
                        field = &field[8..];
                    }
                }
            }
        }
        // The mode of Unix, where the archive was made there.
        let mode = if fixed[5] == 3 { u32_at(fixed, 38) >> 16 } else { 0 };
        let kind = mode & 0o170_000;
        Entry {
            path: plain(name),
            method: u16_at(fixed, 10),
            checksum: u32_at(fixed, 16),
            packed_bytes: sizes[1],
            bytes: sizes[0],
            offset: sizes[2],
            seen_unix_s: seen(unix_s(u16_at(fixed, 14), u16_at(fixed, 12))),
            is_folder: name.ends_with(b"/"),
            is_odd: kind != 0 && kind != 0o100_000 && kind != 0o040_000,
            is_encrypted: u16_at(fixed, 8) & 1 == 1,
        }
    }
}

/// MS-DOS's date and time, which have no zone, as if in UTC.
fn unix_s(date: u16, time: u16) -> i64 {
    let (year, month, day) = (i64::from(date >> 9) + 1980, i64::from(date >> 5 & 15), i64::from(date & 31));
    // Days from 1970-01-01 in the Gregorian calendar, years beginning in March.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted_year * 365 + shifted_year / 4 - shifted_year / 100
        + shifted_year / 400
        + (153 * shifted_month + 2) / 5
        + day
        - 1
        - 719_468;
    let seconds = i64::from(time >> 11) * 3600 + i64::from(time >> 5 & 63) * 60 + i64::from(time & 31) * 2;
    days * 86_400 + seconds
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times() {
        assert_eq!(super::unix_s((44 << 9) | (2 << 5) | 29, (12 << 11) | (30 << 5) | 4), 1_709_209_808);
        assert_eq!(super::unix_s(1 << 5 | 1, 0), 315_532_800);
    }
}
