//! The files of a plain folder. Links are not followed.

use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{File, Files, Reason, Visitor, plain};
use crate::reading::{Error, Limits};

/// Folders inside each other at most.
const DEPTH_MAX: usize = 64;

pub(super) struct Folder {
    root: PathBuf,
    limits: Limits,
    entries: u64,
    bytes: u64,
}

impl Folder {
    pub(super) fn new(root: &Path, limits: &Limits) -> Folder {
        Folder { root: root.to_owned(), limits: limits.clone(), entries: 0, bytes: 0 }
    }

    fn walk(
        &mut self,
        folder: &Path,
        beneath: &str,
        depth: usize,
        visitor: &mut dyn Visitor,
    ) -> Result<ControlFlow<()>, Error> {
        let unreadable = |source| Error::Unreadable { path: folder.to_owned(), source };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            self.entries += 1;
            if self.entries > self.limits.entries_max {
                let max = self.limits.entries_max;
                return Err(Error::Limit { path: self.root.clone(), what: "files and folders", max });
            }
            entries.push((entry.file_name(), entry.file_type().map_err(unreadable)?));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, kind) in entries {
            if name == ".git" {
                continue;
            }
            let mut shown = beneath.as_bytes().to_vec();
            shown.extend(name.as_bytes());
            let Some(shown) = plain(&shown) else {
                visitor.left_out(Reason::Path);
                continue;
            };
            let path = folder.join(&name);
            if kind.is_dir() {
                if depth >= DEPTH_MAX {
                    visitor.left_out(Reason::Path);
                } else if self.walk(&path, &format!("{shown}/"), depth + 1, visitor)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            } else if !kind.is_file() {
                visitor.left_out(Reason::NoFile);
            } else if let Some(bytes_max) = visitor.wants(&shown) {
                match self.read(&path, bytes_max)? {
                    Err(reason) => visitor.left_out(reason),
                    Ok(bytes) => {
                        let file = File { path: &shown, bytes: &bytes, seen_unix_s: None };
                        if visitor.file(file).is_break() {
                            return Ok(ControlFlow::Break(()));
                        }
                    }
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn read(&mut self, path: &Path, bytes_max: usize) -> Result<Result<Vec<u8>, Reason>, Error> {
        // No link at the end of the path, and no waiting for the other end of a pipe.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let mut options = fs::File::options();
        options.read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
        let Ok(file) = options.open(path) else { return Ok(Err(Reason::Unreadable)) };
        match file.metadata() {
            Err(_) => return Ok(Err(Reason::Unreadable)),
            Ok(metadata) if !metadata.is_file() => return Ok(Err(Reason::NoFile)),
            Ok(_) => {}
        }
        let mut bytes = Vec::new();
        if file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).is_err() {
            return Ok(Err(Reason::Unreadable));
        }
        if bytes.len() > bytes_max {
            return Ok(Err(Reason::TooLarge));
        }
        self.bytes += bytes.len() as u64;
        if self.bytes > self.limits.bytes_max {
            let max = self.limits.bytes_max;
            return Err(Error::Limit { path: self.root.clone(), what: "bytes", max });
        }
        Ok(Ok(bytes))
    }
}

impl Files for Folder {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<ControlFlow<()>, Error> {
        (self.entries, self.bytes) = (0, 0);
        visitor.part(0);
        self.walk(&self.root.clone(), "", 0, visitor)
    }
}
