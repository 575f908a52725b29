//! Files in memory that nobody can change any more: how a model reaches an engine.
//!
//! The engine maps what it gets as shared, so a file that can change after its check would reach
//! the model. A sealed file was hashed while it was filled and is the same ever after, for whoever
//! holds a descriptor of it.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{MemfdFlags, Mode, OFlags, SealFlags},
    io::Errno,
};

/// Bytes read, observed and written at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A sealed file, open for reading only.
#[derive(Debug)]
pub struct SealedFile {
    file: OwnedFd,
    bytes: u64,
}

/// What the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Never to be executed (where the kernel knows `MFD_NOEXEC_SEAL`, Linux 6.3).
    Data,
    /// To be started by [`crate::spawn`].
    Program,
}

impl SealedFile {
    /// Copies `reader` to its end into memory and seals the copy.
    ///
    /// `observe` gets every byte once and in order, in chunks of at most 1 MiB, before the file
    /// exists for anybody else: hash and count there. More than `bytes_max` bytes is an error.
    /// `name` appears in /proc only (at most 249 bytes).
    pub fn fill(
        name: &str,
        purpose: Purpose,
        reader: &mut dyn Read,
        bytes_max: u64,
        observe: &mut dyn FnMut(&[u8]),
    ) -> Result<SealedFile, SealError> {
        let mut file = File::from(create(name, purpose)?);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut bytes = 0_u64;
        loop {
            let length = match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(SealError::Read { offset: bytes, source }),
            };
            let read = chunk.get(..length).unwrap_or_default();
            bytes = bytes.saturating_add(length as u64);
            if bytes > bytes_max {
                return Err(SealError::TooLong { bytes_max });
            }
            observe(read);
            file.write_all(read).map_err(|source| SealError::Write { bytes, source })?;
        }
        seal(file, purpose, bytes)
    }

    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The descriptor, to be passed on.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.file
    }
}

impl AsFd for SealedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether a descriptor is a file that can neither change nor shrink, for a receiver to insist on.
pub fn is_sealed(file: impl AsFd) -> bool {
    rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS))
}

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

fn create(name: &str, purpose: Purpose) -> Result<OwnedFd, SealError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let execution = match purpose {
        Purpose::Data => MemfdFlags::NOEXEC_SEAL,
        Purpose::Program => MemfdFlags::EXEC,
    };
    match rustix::fs::memfd_create(name, flags | execution) {
        // Linux before 6.3 knows neither flag.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        answer => answer,
    }
    .map_err(|errno| SealError::Create { source: errno.into() })
}

fn seal(file: File, purpose: Purpose, bytes: u64) -> Result<SealedFile, SealError> {
    let failed = |errno: Errno| SealError::Seal { source: errno.into() };
    let mode = match purpose {
        Purpose::Data => Mode::RUSR,
        Purpose::Program => Mode::RUSR | Mode::XUSR,
    };
    rustix::fs::fchmod(&file, mode).map_err(failed)?;
    add_seals(&file).map_err(failed)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let read_only =
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    if !is_sealed(&read_only) {
        return Err(failed(Errno::PERM));
    }
    Ok(SealedFile { file: read_only, bytes })
}

/// The kernel itself can hold a page of the file for a moment, to move it or to write it back, and
/// answers EBUSY when it still does after 150 ms of waiting (`memfd_wait_for_pins`): a busy machine
/// needs more than one try. No descriptor of ours maps the file, so the cause passes.
fn add_seals(file: &File) -> Result<(), Errno> {
    const TRIES: usize = 20;
    for _ in 1..TRIES {
        match rustix::fs::fcntl_add_seals(file, SEALS) {
            Err(Errno::BUSY) => {}
            answer => return answer,
        }
    }
    rustix::fs::fcntl_add_seals(file, SEALS)
}

/// Why there is no sealed file.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No memory file.
    #[error("cannot make a file in memory; for a program, sysctl vm.memfd_noexec must be below 2")]
    Create {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The source failed.
    #[error("cannot read on from byte {offset}")]
    Read {
        /// Bytes read before.
        offset: u64,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The source is longer than was said.
    #[error("the source is longer than {bytes_max} bytes")]
    TooLong {
        /// The limit.
        bytes_max: u64,
    },
    /// The memory is full.
    #[error("cannot write {bytes} bytes to memory; is there enough?")]
    Write {
        /// Bytes that should have been written.
        bytes: u64,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It stayed changeable.
    #[error("cannot seal the file in memory")]
    Seal {
        /// The cause.
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Cursor, os::unix::fs::FileExt};

    use rustix::mm::{MapFlags, ProtFlags};

    use super::*;

    fn sealed(purpose: Purpose) -> (SealedFile, Vec<u8>, Vec<u8>) {
        let source: Vec<u8> = (0..251).cycle().take(CHUNK_BYTES + 4097).collect();
        let mut observed = Vec::new();
        let mut reader = Cursor::new(source.clone());
        let file = SealedFile::fill("test", purpose, &mut reader, source.len() as u64, &mut |bytes| {
            observed.extend_from_slice(bytes);
        })
        .unwrap();
        (file, source, observed)
    }

    #[test]
    fn holds_what_was_observed() {
        let (file, source, observed) = sealed(Purpose::Data);
        assert_eq!(observed, source);
        assert_eq!(file.bytes(), source.len() as u64);
        assert!(is_sealed(&file));
        let mut read = vec![0; source.len()];
        File::from(file.into_descriptor()).read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, source);
    }

    #[test]
    fn cannot_be_changed_even_when_opened_again_for_writing() {
        let (file, ..) = sealed(Purpose::Data);
        assert_eq!(rustix::io::write(&file, b"x"), Err(Errno::BADF));
        // As root the mode does not stop this; the seals must.
        let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
        let Ok(again) = OpenOptions::new().read(true).write(true).open(path) else { return };
        assert_eq!(again.write_at(b"x", 0).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(rustix::fs::ftruncate(&again, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&again, 1 << 30), Err(Errno::PERM));
        assert_eq!(rustix::fs::fcntl_add_seals(&again, SealFlags::FUTURE_WRITE), Err(Errno::PERM));
        // SAFETY: a new mapping at an address of the kernel's choosing, unmapped at once if it is made.
        let mapped = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), 4096, ProtFlags::WRITE, MapFlags::SHARED, &again, 0)
        };
        assert_eq!(mapped.err(), Some(Errno::PERM));
    }

    #[test]
    fn a_longer_source_is_an_error() {
        let mut reader = Cursor::new([0; 11]);
        let error = SealedFile::fill("test", Purpose::Data, &mut reader, 10, &mut |_| ()).unwrap_err();
        assert!(matches!(error, SealError::TooLong { bytes_max: 10 }));
    }

    #[test]
    fn an_ordinary_file_is_not_sealed() {
        assert!(!is_sealed(File::open("/dev/null").unwrap()));
    }
}
