//! What is still there of something that was erased.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use testkit::server::Server;

/// Which of these a file holds, whatever the case of their letters.
pub(crate) fn found_in<'w>(path: &Path, wanted: &[&'w [u8]]) -> Vec<&'w [u8]> {
    const STEP: usize = 4 << 20;
    let mut file = File::open(path).unwrap();
    let longest = wanted.iter().map(|bytes| bytes.len()).max().unwrap_or(0);
    let finders: Vec<_> =
        wanted.iter().map(|bytes| memchr::memmem::Finder::new(bytes).into_owned()).collect();
    let (mut found, mut bytes) = (vec![false; wanted.len()], Vec::new());
    loop {
        let read = (&mut file).take(STEP as u64).read_to_end(&mut bytes).unwrap();
        let lower = bytes.to_ascii_lowercase();
        for (finder, found) in finders.iter().zip(&mut found) {
            *found = *found || finder.find(&bytes).is_some() || finder.find(&lower).is_some();
        }
        if read == 0 {
            return wanted.iter().zip(found).filter(|(_, found)| *found).map(|(bytes, _)| *bytes).collect();
        }
        bytes.drain(..bytes.len().saturating_sub(longest));
    }
}

/// Files below a directory that hold one of these.
pub(crate) fn holding(directory: &Path, wanted: &[&[u8]]) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && !found_in(&entry.path(), wanted).is_empty() {
                found.push(entry.path());
            }
        }
    }
    found
}

/// The wrapped key of a leaf's body, as the ledger's page has it.
pub(crate) fn wrapped_key(server: &Server, leaf: u64) -> Vec<u8> {
    const SLOT: usize = 96;
    let leaf = usize::try_from(leaf).unwrap();
    let page = fs::read(server.data().join("ledger/body-keys/000")).unwrap();
    page[leaf * SLOT..][..SLOT][20..92].to_vec()
}
