//! Files as the commands read and write them: whole, bounded, and replaced in one step.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use tlog::Policy;
use tlog::policy::POLICY_BYTES_MAX;

use crate::failure::Failure;

/// Reads a whole file of at most `bytes_max` bytes.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let cannot = |source: io::Error| Failure::file("cannot read", path, &source);
    let file = File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.is_dir() {
        return Err(cannot(io::ErrorKind::IsADirectory.into()));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::usage(format!("{} is longer than {bytes_max} bytes", path.display())));
    }
    Ok(bytes)
}

/// The same, and it must be UTF-8.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, bytes_max)?).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Failure::usage(format!("{} is not UTF-8 (at byte {offset})", path.display()))
    })
}

/// A policy: which logs and witnesses are believed.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let bytes = read(path, POLICY_BYTES_MAX as u64)?;
    Policy::parse(&bytes).map_err(|error| {
        Failure::usage(format!("the policy {} cannot be used", path.display())).caused_by(&error)
    })
}

/// Whether a file begins with these few bytes.
pub(crate) fn begins_with(path: &Path, start: &[u8]) -> Result<bool, Failure> {
    let cannot = |source: io::Error| Failure::file("cannot read", path, &source);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(start.len() as u64).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes == start)
}

/// Reads standard input to its end, at most `bytes_max` bytes of UTF-8.
pub(crate) fn read_stdin(bytes_max: u64) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::system("cannot read standard input", &error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::usage(format!("standard input is longer than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage("standard input is not UTF-8"))
}

/// Writes a file for somebody else to take, and makes it durable.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| Failure::file("cannot write", path, &error))
}

/// Writes a file that only its owner can read, whole or not at all, and durable when this returns. Where
/// `replaces` is false, a file that is there already is an error.
pub(crate) fn keep(path: &Path, bytes: &[u8], replaces: bool) -> Result<(), Failure> {
    let cannot = |source: io::Error| Failure::file("cannot write", path, &source);
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary =
        tempfile::Builder::new().prefix(".cloister-").tempfile_in(directory).map_err(cannot)?;
    temporary.write_all(bytes).map_err(cannot)?;
    temporary.as_file().sync_all().map_err(cannot)?;
    let kept = if replaces { temporary.persist(path) } else { temporary.persist_noclobber(path) };
    kept.map_err(|error| cannot(error.error))?;
    sync_directory(directory).map_err(cannot)
}

/// Replaces a file that still holds `old` by `new`: a reader sees the one or the other, whole, also
/// after a crash. Permissions stay, and a symbolic link goes on pointing at the file.
pub(crate) fn replace(path: &Path, old: &[u8], new: &[u8]) -> Result<(), Failure> {
    let cannot = |source: io::Error| Failure::file("cannot write", path, &source);
    let path = fs::canonicalize(path).map_err(cannot)?;
    let permissions = fs::metadata(&path).map_err(cannot)?.permissions();
    if permissions.readonly() {
        return Err(cannot(io::ErrorKind::PermissionDenied.into()));
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut temporary =
        tempfile::Builder::new().prefix(".cloister-").tempfile_in(directory).map_err(cannot)?;
    temporary.write_all(new).map_err(cannot)?;
    temporary.as_file().set_permissions(permissions).map_err(cannot)?;
    temporary.as_file().sync_all().map_err(cannot)?;
    // The answer took a while: an editor may have saved meanwhile. One that saves within these
    // lines is not noticed; no portable call compares and renames in one.
    if read(&path, old.len() as u64).ok().as_deref() != Some(old) {
        return Err(Failure::usage(format!("{} was changed meanwhile; nothing was written", path.display()))
            .hint("Run the command again."));
    }
    temporary.persist(&path).map_err(|error| cannot(error.error))?;
    sync_directory(directory).map_err(cannot)
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened as a file, and renames are journalled.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
