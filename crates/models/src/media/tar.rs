//! Tar layers: which plain files one holds, and where. POSIX ustar, with pax headers for long names and
//! large files, as Go and GNU tar write them; everything but plain files is refused.
//!
//! Nothing is unpacked here. [`Listing::frame`] commits to all bytes that are no file's content, so that
//! whoever copies the pieces later can tell that they were found in the same archive.

use std::io::{self, Read, Seek, SeekFrom};

use protocol::Digest;
use sha2::{Digest as _, Sha256};

use super::names::{NameError, Names, shown};
use crate::object::FILES_MAX;

const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 512;
/// Extended headers are short texts.
const PAX_BYTES_MAX: u64 = 64 << 10;
/// What may follow the end's mark: writers fill a record of 20 blocks.
const TRAILING_BYTES_MAX: u64 = 1 << 20;

/// What a layer holds.
#[derive(Debug)]
pub struct Listing {
    /// In the archive's order.
    pub pieces: Vec<Piece>,
    /// SHA-256 of all bytes that are no file's content, in order.
    pub frame: Digest,
}

/// A plain file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name, which passed.
    pub name: String,
    /// Where its content begins.
    pub offset: u64,
    /// How long that is; it ends inside the archive.
    pub bytes: u64,
}

/// Why an archive is refused, and at which byte.
#[derive(Debug, thiserror::Error)]
#[error("the tar archive is refused: {problem} (at byte {offset})")]
pub struct TarError {
    /// What is wrong.
    pub problem: TarProblem,
    /// The header's place.
    pub offset: u64,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum TarProblem {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A name is refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An entry that is no plain file.
    #[error("`{name}` is {sort}: a layer holds plain files only")]
    Sort {
        /// Its name, harmless.
        name: String,
        /// What it is.
        sort: &'static str,
    },
    /// More entries than an object has files.
    #[error("it has more than {FILES_MAX} entries")]
    Entries,
    /// A header makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
}

/// Reads the headers of an archive of `bytes` bytes, from its beginning to its end.
pub fn list(source: &mut (impl Read + Seek), bytes: u64) -> Result<Listing, TarError> {
    let mut reader = Reader { source, bytes, offset: 0, frame: Sha256::new() };
    let pieces = reader.pieces().map_err(|problem| TarError { problem, offset: reader.offset })?;
    Ok(Listing { pieces, frame: Digest(reader.frame.finalize().into()) })
}

struct Reader<'a, R> {
    source: &'a mut R,
    bytes: u64,
    offset: u64,
    frame: Sha256,
}

/// What an extended header says of the entry after it.
#[derive(Default)]
struct Extended {
    path: Option<String>,
    size: Option<u64>,
}

impl<R: Read + Seek> Reader<'_, R> {
    fn pieces(&mut self) -> Result<Vec<Piece>, TarProblem> {
        let mut pieces = Vec::new();
        let mut names = Names::default();
        let mut extended: Option<Extended> = None;
        loop {
            let header = self.block()?;
            if header == [0; BLOCK] {
                if extended.is_some() {
                    return Err(TarProblem::Invalid("it ends after an extended header"));
                }
                self.end()?;
                return Ok(pieces);
            }
            check_sum(&header)?;
            let plain_name = header_name(&header)?;
            let size = number(&header[124..136])?;
            let sort = match header[156] {
                b'0' | b'\0' => None,
                b'x' if extended.is_none() => {
                    let content = self.framed(size, PAX_BYTES_MAX)?;
                    extended = Some(pax(&content)?);
                    continue;
                }
                b'x' => return Err(TarProblem::Invalid("two extended headers follow each other")),
                b'1' => Some("a hard link"),
                b'2' => Some("a symbolic link"),
                b'3' | b'4' => Some("a device"),
                b'5' => Some("a folder"),
                b'6' => Some("a FIFO"),
                b'g' => Some("a header for all entries"),
                b'L' | b'K' => Some("a long name of GNU's (use the pax or ustar format)"),
                b'S' => Some("a sparse file"),
                _ => Some("of an unknown sort"),
            };
            let Extended { path, size: long } = extended.take().unwrap_or_default();
            let (name, size) = (path.unwrap_or(plain_name), long.unwrap_or(size));
            if let Some(sort) = sort {
                return Err(TarProblem::Sort { name: shown(&name), sort });
            }
            if header[157..257].iter().any(|&byte| byte != 0) {
                return Err(TarProblem::Sort { name: shown(&name), sort: "a link to another name" });
            }
            names.add(&name)?;
            if pieces.len() >= FILES_MAX {
                return Err(TarProblem::Entries);
            }
            let offset = self.offset;
            self.skip(size)?;
            pieces.push(Piece { name, offset, bytes: size });
        }
    }

    fn block(&mut self) -> Result<[u8; BLOCK], TarProblem> {
        if self.bytes - self.offset < BLOCK_BYTES {
            return Err(TarProblem::Invalid("it ends without the end's mark"));
        }
        let mut block = [0; BLOCK];
        self.source.read_exact(&mut block)?;
        self.frame.update(block);
        self.offset += BLOCK_BYTES;
        Ok(block)
    }

    /// The content of an entry that belongs to the frame.
    fn framed(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, TarProblem> {
        if size > limit {
            return Err(TarProblem::Invalid("an extended header is too long"));
        }
        let mut content = Vec::new();
        while (content.len() as u64) < size {
            content.extend(self.block()?);
        }
        content.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Ok(content)
    }

    /// Passes over a file's content to the padding after it, which belongs to the frame.
    fn skip(&mut self, size: u64) -> Result<(), TarProblem> {
        let past = || TarProblem::Invalid("an entry reaches past the archive's end");
        let end = self.offset.checked_add(size).filter(|&end| end <= self.bytes).ok_or_else(past)?;
        self.source.seek(SeekFrom::Start(end))?;
        self.offset = end;
        let mut padding = [0; BLOCK];
        let length = usize::try_from(size.wrapping_neg() % BLOCK_BYTES).unwrap_or(0);
        if self.bytes - self.offset < length as u64 {
            return Err(past());
        }
        self.source.read_exact(&mut padding[..length])?;
        if padding != [0; BLOCK] {
            return Err(TarProblem::Invalid("something is hidden after an entry's end"));
        }
        self.frame.update(&padding[..length]);
        self.offset += length as u64;
        Ok(())
    }

    /// After the first block of zeros comes a second one, and zeros to the end.
    fn end(&mut self) -> Result<(), TarProblem> {
        let rest = self.bytes - self.offset;
        if rest > TRAILING_BYTES_MAX {
            return Err(TarProblem::Invalid("too much follows the end's mark"));
        }
        if rest < BLOCK_BYTES {
            return Err(TarProblem::Invalid("it ends without the end's mark"));
        }
        let mut trailing = Vec::new();
        self.source.take(rest).read_to_end(&mut trailing)?;
        if trailing.len() as u64 != rest {
            return Err(TarProblem::Invalid("it became shorter while it was read"));
        }
        if trailing.iter().any(|&byte| byte != 0) {
            return Err(TarProblem::Invalid("something is hidden after the end's mark"));
        }
        self.frame.update(&trailing);
        self.offset = self.bytes;
        Ok(())
    }
}

/// The sum of the header's bytes, its own field counted as spaces.
fn check_sum(header: &[u8; BLOCK]) -> Result<(), TarProblem> {
    let sum: u64 = header
        .iter()
        .enumerate()
        .map(|(at, &byte)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(byte) })
        .sum();
    if number(&header[148..156])? != sum {
        return Err(TarProblem::Invalid("a header's checksum is wrong"));
    }
    Ok(())
}

/// The name, after its prefix where the format has one.
fn header_name(header: &[u8; BLOCK]) -> Result<String, TarProblem> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        String::from_utf8(field[..end].to_vec()).map_err(|_| TarProblem::Invalid("a name is not UTF-8"))
    };
    let name = text(&header[..100])?;
    let prefix = if &header[257..263] == b"ustar\0" { text(&header[345..500])? } else { String::new() };
    Ok(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
}

/// Octal digits between spaces and NULs; or, with the first bit set, a large number in binary.
fn number(field: &[u8]) -> Result<u64, TarProblem> {
    let invalid = || TarProblem::Invalid("a number in a header is none");
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8);
        if high.iter().enumerate().any(|(at, &byte)| byte != if at == 0 { 0x80 } else { 0 }) {
            return Err(invalid());
        }
        return low.try_into().map(u64::from_be_bytes).map_err(|_| invalid());
    }
    let text = std::str::from_utf8(field).map_err(|_| invalid())?;
    let digits = text.trim_start_matches(' ').trim_end_matches(['\0', ' ']);
    if digits.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return Err(invalid());
    }
    u64::from_str_radix(digits, 8).map_err(|_| invalid())
}

/// Records `LENGTH KEY=VALUE\n`. Only what a plain file needs is understood; times and owners are passed
/// over, and any other key is refused, since it may mean that the content is not plain.
fn pax(content: &[u8]) -> Result<Extended, TarProblem> {
    let invalid = || TarProblem::Invalid("an extended header is damaged");
    let mut extended = Extended::default();
    let mut rest = std::str::from_utf8(content).map_err(|_| invalid())?;
    while !rest.is_empty() {
        let (length, _) = rest.split_once(' ').ok_or_else(invalid)?;
        let at: usize = length.parse().map_err(|_| invalid())?;
        let record = rest.get(length.len() + 1..at).and_then(|record| record.strip_suffix('\n'));
        let (key, value) = record.and_then(|record| record.split_once('=')).ok_or_else(invalid)?;
        match key {
            "path" if extended.path.is_none() => extended.path = Some(value.to_owned()),
            "size" if extended.size.is_none() => {
                let digits = value.bytes().all(|digit| digit.is_ascii_digit());
                extended.size = Some(value.parse().ok().filter(|_| digits).ok_or_else(invalid)?);
            }
            "mtime" | "atime" | "ctime" | "uid" | "gid" | "uname" | "gname" => {}
            _ => return Err(TarProblem::Invalid("an extended header says what a plain file does not need")),
        }
        rest = rest.get(at..).ok_or_else(invalid)?;
    }
    Ok(extended)
}
