//! A folder as it lies on a disk: listed without following anything, and opened beneath itself only.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use models::media::tree::Tree;
use protocol::Digest;
use sha2::{Digest as _, Sha256};

use super::{
    APPROVALS, ATTESTATION, DOCUMENT, FILES_MAX, GATE_POLICY, LEAVES, LOG_POLICY, MANIFEST, REPORT_HTML,
    REPORT_TEXT, REPORTS, SLICE, SUMMARY,
};
use crate::failure::with_causes;

/// Files beside those of folders.
const ALONE: [&str; 9] =
    [DOCUMENT, MANIFEST, REPORT_HTML, REPORT_TEXT, LOG_POLICY, GATE_POLICY, ATTESTATION, SUMMARY, SLICE];

/// Whether a directory holds the evidence of a release, whole or not.
pub(crate) fn is_evidence(directory: &Path) -> bool {
    [MANIFEST, DOCUMENT].iter().any(|name| directory.join(name).symlink_metadata().is_ok())
}

/// Whether a folder of evidence may have a file of that name.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.len() <= 64 && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let within = |(folder, ending): (&str, &str)| {
        let rest = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        rest.and_then(|rest| rest.strip_suffix(ending)).is_some_and(plain)
    };
    ALONE.contains(&name) || [LEAVES, APPROVALS, REPORTS].into_iter().any(within)
}

/// What is in a folder.
#[derive(Default)]
pub(super) struct Listing {
    /// Names that such a folder may have.
    pub(super) names: BTreeSet<String>,
    /// What else is there, and what it is: nothing of it is opened.
    pub(super) odd: Vec<(String, &'static str)>,
}

/// Lists a folder.
pub(super) fn list(root: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut seen = 0;
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            seen += 1;
            if seen > FILES_MAX + 16 {
                return Err(io::Error::other(format!("it has more than {FILES_MAX} files")));
            }
            let part = entry.file_name().to_string_lossy().into_owned();
            let name = if folder.is_empty() { part.clone() } else { format!("{folder}/{part}") };
            // Of the entry itself, not of what a link leads to.
            let kind = entry.file_type()?;
            let known = [LEAVES.0, APPROVALS.0, REPORTS.0].contains(&name.as_str());
            if kind.is_dir() && known {
                folders.push(name);
            } else if kind.is_symlink() {
                listing.odd.push((name, "it is a link"));
            } else if kind.is_dir() {
                listing.odd.push((name, "it is a folder that does not belong here"));
            } else if !kind.is_file() {
                listing.odd.push((name, "it is no regular file"));
            } else if is_name(&name) {
                listing.names.insert(name);
            } else {
                listing.odd.push((name, "it does not belong here"));
            }
        }
    }
    listing.odd.sort();
    Ok(listing)
}

/// A file's bytes, at most so many.
pub(super) fn read(tree: &Tree, name: &str, bytes_max: u64) -> Result<Vec<u8>, String> {
    tree.read(name, bytes_max).map_err(|error| with_causes(&error).join(": "))
}

/// The length and digest of an opened file, of at most so many bytes and one.
pub(super) fn digest(file: &File, bytes_max: u64) -> Result<(u64, Digest), String> {
    let mut file = file.take(bytes_max + 1);
    let (mut hash, mut total) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((total, Digest(hash.finalize().into()))),
            Ok(bytes) => {
                hash.update(&buffer[..bytes]);
                total += bytes as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("it cannot be read: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_folder_may_have() {
        for (name, expected) in [
            ("evidence.json", true),
            ("leaves/12.tlog-proof", true),
            ("approvals/00ff.json", true),
            ("leaves/../evidence.json", false),
            ("../slice", false),
            ("/etc/passwd", false),
            ("leaves/a/b.tlog-proof", false),
            ("leaves/.tlog-proof", false),
            ("leaves/1.json", false),
            ("more", false),
            ("", false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }
}
