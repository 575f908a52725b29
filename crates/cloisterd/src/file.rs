//! Files that people hand over or take away, within limits.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// A file of at most that many bytes.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > bytes_max {
        return Err(format!("{} is longer than {bytes_max} bytes", path.display()).into());
    }
    Ok(bytes)
}

/// Writes a file for somebody else to take, and makes it durable.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    Ok(written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?)
}

/// A file of text of at most that many bytes.
pub(crate) fn read_text(path: &Path, bytes_max: usize) -> Result<String, Box<dyn Error>> {
    let text = String::from_utf8(read(path, bytes_max)?);
    text.map_err(|_| format!("{} is not text", path.display()).into())
}
