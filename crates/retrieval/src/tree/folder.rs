//! The files of a plain folder. Links are not followed; `.gitignore` files are obeyed.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{Entry, FILES_MAX, LeftOut, Listing, PATH_BYTES_MAX, Reason, TreeError, by_path};

/// Folders inside each other at most.
const DEPTH_MAX: usize = 64;

#[derive(Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Folder {
        Folder { root: root.to_owned() }
    }

    pub(super) fn list(&self) -> Result<Listing, TreeError> {
        let mut listing = Listing::default();
        let mut rules = Vec::new();
        self.walk(&self.root, "", &mut rules, &mut listing)
            .map_err(|source| TreeError::Unreadable { path: self.root.display().to_string(), source })?;
        listing.entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// `rules` are those of the folders above, outermost first.
    fn walk(
        &self,
        folder: &Path,
        beneath: &str,
        rules: &mut Vec<Gitignore>,
        listing: &mut Listing,
    ) -> std::io::Result<()> {
        let file = folder.join(".gitignore");
        let mut builder = GitignoreBuilder::new(folder);
        // A file that is not there, or has a bad line, has no such rule.
        let _bad_line = builder.add(file);
        rules.push(builder.build().unwrap_or_else(|_| Gitignore::empty()));
        let walked = self.walk_under(folder, beneath, rules, listing);
        rules.pop();
        walked
    }

    fn walk_under(
        &self,
        folder: &Path,
        beneath: &str,
        rules: &mut Vec<Gitignore>,
        listing: &mut Listing,
    ) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let shown = format!("{beneath}{}", name.to_string_lossy());
            let mut leave_out = |reason, detail: String| {
                listing.left_out.push(LeftOut { path: shown.clone(), reason, detail });
            };
            if name == ".git" {
                continue;
            }
            if name.to_str().is_none() || shown.len() > PATH_BYTES_MAX {
                leave_out(Reason::Path, String::new());
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type()?;
            if is_ignored(rules, &path, kind.is_dir()) {
                leave_out(Reason::Ignored, String::new());
            } else if kind.is_dir() {
                let below = format!("{shown}/");
                if let Some(reason) = by_path(&below) {
                    leave_out(reason, String::new());
                } else if below.matches('/').count() > DEPTH_MAX {
                    leave_out(Reason::TooMany, format!("more than {DEPTH_MAX} folders deep"));
                } else if let Err(error) = self.walk(&path, &below, rules, listing) {
                    listing.left_out.push(LeftOut {
                        path: shown,
                        reason: Reason::Unreadable,
                        detail: error.to_string(),
                    });
                }
            } else if !kind.is_file() {
                leave_out(Reason::NoFile, String::new());
            } else if let Some(reason) = by_path(&shown) {
                leave_out(reason, String::new());
            } else if listing.entries.len() >= FILES_MAX {
                leave_out(Reason::TooMany, String::new());
            } else {
                match entry.metadata() {
                    Ok(metadata) => {
                        let id = format!("{}.{}.{}", metadata.len(), metadata.mtime(), metadata.mtime_nsec());
                        listing.entries.push(Entry { path: shown, id });
                    }
                    Err(error) => leave_out(Reason::Unreadable, error.to_string()),
                }
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, entry: &Entry, bytes_max: u64) -> Result<Vec<u8>, (Reason, String)> {
        let unreadable = |error: std::io::Error| (Reason::Unreadable, error.to_string());
        let mut options = File::options();
        options.read(true).custom_flags(rustix_flags());
        let file = options.open(self.root.join(&entry.path)).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err((Reason::NoFile, String::new()));
        }
        if metadata.len() > bytes_max {
            return Err((Reason::TooLarge, format!("{} bytes", metadata.len())));
        }
        let mut bytes = Vec::new();
        file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > bytes_max {
            return Err((Reason::TooLarge, format!("more than {bytes_max} bytes")));
        }
        Ok(bytes)
    }
}

/// No link at the end of the path, and no waiting for the other end of a pipe.
fn rustix_flags() -> i32 {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    i32::try_from(flags.bits()).unwrap_or(0)
}

/// The innermost rule that says anything decides.
fn is_ignored(rules: &[Gitignore], path: &Path, is_folder: bool) -> bool {
    let said = rules.iter().rev().map(|rules| rules.matched(path, is_folder)).find(|said| !said.is_none());
    said.is_some_and(|said| said.is_ignore())
}
