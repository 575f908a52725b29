//! Storage as an argument: what the ledger asks of a file system, and the real one.
//!
//! The contract is POSIX's, taken at its word: a file's bytes are durable after [`DiskFile::sync`], its
//! name after [`Disk::sync_dir`] of the directory that holds it, and nothing else promises anything.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// A directory tree. Paths are relative to its root, with `/` between names; the root is empty.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file a new name in the same directory, at once, in place of what had it before.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file or an empty directory.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes a directory; one that exists is kept.
    fn create_dir(&self, path: &str) -> io::Result<()>;
    /// Names in a directory, sorted.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// Bytes an unprivileged process can still write.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Takes the tree for one writer, until the lock is dropped or the process ends; `WouldBlock` when
    /// another has it.
    fn lock(&self) -> io::Result<Lock>;

    /// The directory of this machine that it is, for what SQLite keeps beside the ledger; `None` where it
    /// is none, and that is kept in memory.
    fn directory(&self) -> Option<&Path> {
        None
    }
}

/// A writer's hold on a tree, given up when dropped.
pub type Lock = Box<dyn Send + Sync>;

/// An open file. Offsets are in bytes from its beginning.
pub trait DiskFile: Send + Sync {
    /// The file's length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer; `UnexpectedEof` when the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all bytes.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes the file's bytes and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading a file that exists.
    Read,
    /// Reading and writing a file that exists.
    Write,
    /// Reading and writing; the file is made, or emptied.
    Create,
}

/// A directory of this machine.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// The directory, which is made (mode 0700) when it is missing, and its name made durable.
    pub fn create(root: &Path) -> io::Result<Self> {
        if !root.is_dir() {
            std::fs::DirBuilder::new().mode(0o700).create(root)?;
            if let Some(parent) = root.parent() {
                File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?
                    .sync_all()?;
            }
        }
        RealDisk::existing(root)
    }

    /// The directory, which must exist.
    pub fn existing(root: &Path) -> io::Result<Self> {
        std::fs::read_dir(root)?;
        Ok(RealDisk { root: root.to_owned() })
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match access {
            Access::Read => &mut options,
            Access::Write => options.write(true),
            Access::Create => options.write(true).create(true).truncate(true),
        };
        Ok(Box::new(options.open(self.path(path))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        match std::fs::remove_file(&path) {
            Err(_) if path.is_dir() => std::fs::remove_dir(&path),
            done => done,
        }
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        match std::fs::DirBuilder::new().mode(0o700).create(self.path(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(path))? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.root)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn lock(&self) -> io::Result<Lock> {
        let directory = File::open(&self.root)?;
        rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(Locked(directory)))
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.root)
    }
}

/// Unlocked by name: a program that another thread is about to start holds the descriptor, too, until it runs.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // What cannot be unlocked is when its last descriptor is closed.
        let _ = self.0.unlock();
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A whole file, of at most `bytes_max`.
pub(crate) fn read(disk: &dyn Disk, path: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Access::Read)?;
    let length = file.length()?;
    let Some(length) = usize::try_from(length).ok().filter(|_| length <= bytes_max) else {
        return Err(io::Error::other(format!("{length} bytes are more than the limit of {bytes_max}")));
    };
    let mut bytes = vec![0; length];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Writes a whole file and makes its bytes durable, not yet its name.
pub(crate) fn write(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let file = disk.open(path, Access::Create)?;
    file.write_at(0, bytes)?;
    file.sync()
}

/// A file for reading and writing, made where it is missing, never emptied.
pub(crate) fn open_or_create(disk: &dyn Disk, path: &str) -> io::Result<Box<dyn DiskFile>> {
    match disk.open(path, Access::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.open(path, Access::Create),
        file => file,
    }
}

/// Puts a whole file in the place of another: after a crash there is the one or the other.
pub(crate) fn replace(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = format!("{path}.tmp");
    write(disk, &unfinished, bytes)?;
    disk.rename(&unfinished, path)?;
    disk.sync_dir(parent(path))
}

/// The directory that holds a path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_directory() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::create(&dir.path().join("ledger")).unwrap();
        disk.create_dir("a").unwrap();
        disk.create_dir("a").unwrap();
        replace(&disk, "a/file", b"one").unwrap();
        replace(&disk, "a/file", b"two").unwrap();
        disk.sync_dir("a").unwrap();
        disk.sync_dir("").unwrap();
        assert_eq!(disk.list("a").unwrap(), ["file"]);
        assert_eq!(read(&disk, "a/file", 3).unwrap(), b"two");
        assert!(read(&disk, "a/file", 2).is_err());
        assert!(disk.free_bytes().unwrap() > 0);
        let lock = disk.lock().unwrap();
        assert_eq!(disk.lock().err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        disk.lock().unwrap();
        disk.remove("a/file").unwrap();
        disk.remove("a").unwrap();
        assert_eq!(disk.open("a/file", Access::Read).err().unwrap().kind(), io::ErrorKind::NotFound);
        assert!(RealDisk::existing(&dir.path().join("missing")).is_err());
    }
}
