//! SHA-256 of files, as fast as the disk and the processor allow.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use protocol::Digest;
use rustix::fs::Advice;
use sha2::{Digest as _, Sha256};

/// Large enough that calls cost nothing, small enough to stay in the second-level cache.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// SHA-256 of `length` bytes from `offset`; fewer where the file ends before. Returns the digest and how
/// many bytes there were. `progress` gets the length of each chunk.
pub(crate) fn hash_range(
    file: &File,
    offset: u64,
    length: u64,
    progress: &mut dyn FnMut(u64),
) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let done = read_range(file, offset, length, &mut |chunk| {
        hasher.update(chunk);
        progress(chunk.len() as u64);
        io::Result::Ok(())
    })?;
    Ok((Digest(hasher.finalize().into()), done))
}

/// Passes `length` bytes from `offset` on, in chunks; fewer where the file ends before. Returns how many.
pub(crate) fn read_range<E: From<io::Error>>(
    file: &File,
    offset: u64,
    length: u64,
    each: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    // Advice only: where the file system knows none, reading works all the same.
    let _advised = rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(length), Advice::Sequential);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    while done < length {
        let wanted = usize::try_from(length - done).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let read = match file.read_at(&mut chunk[..wanted], offset + done) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        each(&chunk[..read])?;
        done += read as u64;
    }
    Ok(done)
}
