//! Read-only maps of immutable files.
//!
//! A map of a file that another process shortens would end this one with `SIGBUS`. What is mapped here is therefore
//! written once, under another name, renamed into place, and never written or shortened again.
#![allow(unsafe_code, reason = "a foundation crate: maps of files")]

use std::fs::File;
use std::io;
use std::ops::Deref;

/// A file's bytes.
#[derive(Debug)]
pub struct Mapped(memmap2::Mmap);

impl Mapped {
    /// Maps the whole file, which nobody writes or shortens any more.
    pub fn of(file: &File) -> io::Result<Mapped> {
        // SAFETY: the file is immutable by the rule above, so that the bytes behind the slice never change and never
        // go; whoever can break the rule can write in the data directory.
        unsafe { memmap2::Mmap::map(file) }.map(Mapped)
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
