//! What a packed file unpacks to, as a stream with limits. Nothing goes to a disk.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ruzstd::decoding::StreamingDecoder;

use crate::reading::{Error, Limits};

/// Memory that a decoder of xz may take; its strongest setting takes 65 MiB.
const XZ_MEMORY_KIB_MAX: u32 = 192 << 10;
/// Below so many bytes, no ratio matters.
const RATIO_FROM_BYTES: u64 = 64 << 20;

/// What an archive is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Zip,
    Tar(Packing),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Format {
    pub(super) fn of(path: &Path) -> Result<Format, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let mut start = Vec::new();
        File::open(path).map_err(unreadable)?.take(512).read_to_end(&mut start).map_err(unreadable)?;
        Ok(match start.as_slice() {
            [0x1f, 0x8b, ..] => Format::Tar(Packing::Gzip),
            [b'B', b'Z', b'h', ..] => Format::Tar(Packing::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Tar(Packing::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Tar(Packing::Zstd),
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Zip,
            start if start.get(257..262) == Some(b"ustar") => Format::Tar(Packing::Plain),
            _ => return Err(Error::Format { path: path.to_owned() }),
        })
    }
}

/// A packed file as it unpacks.
pub(super) struct Unpacked {
    path: PathBuf,
    reader: Box<dyn Read>,
    limits: Limits,
    /// Bytes of the packed file that were read.
    packed: Rc<Cell<u64>>,
    bytes: u64,
}

impl Unpacked {
    pub(super) fn open(path: &Path, packing: Packing, limits: &Limits) -> Result<Unpacked, Error> {
        let file = File::open(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        let packed = Rc::new(Cell::new(0));
        let file = BufReader::with_capacity(64 << 10, Counted { file, bytes: Rc::clone(&packed) });
        let reader: Box<dyn Read> = match packing {
            Packing::Plain => Box::new(file),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY_KIB_MAX)),
            Packing::Zstd => Box::new(Frames::Between(Some(file))),
        };
        Ok(Unpacked { path: path.to_owned(), reader, limits: limits.clone(), packed, bytes: 0 })
    }

    /// Fills `buffer` as far as there is something.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.damaged(&error.to_string())),
            }
        }
        self.bytes += filled as u64;
        let limit = |what, max| Error::Limit { path: self.path.clone(), what, max };
        if self.bytes > self.limits.bytes_max {
            return Err(limit("bytes, unpacked", self.limits.bytes_max));
        }
        if self.bytes > RATIO_FROM_BYTES && self.bytes / self.limits.ratio_max.max(1) > self.packed.get() {
            return Err(limit("bytes for each packed one", self.limits.ratio_max));
        }
        Ok(filled)
    }

    /// The next `length` bytes, all of them.
    pub(super) fn take(&mut self, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; length];
        match self.read(&mut bytes)? == length {
            true => Ok(bytes),
            false => Err(self.damaged("it ends within a file")),
        }
    }

    pub(super) fn skip(&mut self, mut length: u64) -> Result<(), Error> {
        let mut buffer = [0; 32 << 10];
        while length > 0 {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(buffer.len());
            if self.read(&mut buffer[..wanted])? < wanted {
                return Err(self.damaged("it ends within a file"));
            }
            length -= wanted as u64;
        }
        Ok(())
    }

    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.to_owned() }
    }
}

struct Counted {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

/// Frames of zstd, one after the other.
enum Frames<R: BufRead> {
    Between(Option<R>),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Frames::Inside(decoder) => {
                    let read = decoder.read(buffer)?;
                    if read > 0 || buffer.is_empty() {
                        return Ok(read);
                    }
                    let Frames::Inside(decoder) = std::mem::replace(self, Frames::Between(None)) else {
                        return Ok(0);
                    };
                    *self = Frames::Between(Some(decoder.into_inner()));
                }
                Frames::Between(source) => {
                    let Some(mut source) = source.take() else { return Ok(0) };
                    if source.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new(source).map_err(io::Error::other)?;
                    *self = Frames::Inside(Box::new(decoder));
                }
            }
        }
    }
}
