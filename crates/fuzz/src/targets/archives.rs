//! Archives of known code: the first byte says which name the file has, the rest is the file. The ZIP archive's
//! checksums are of the texts inside only, so that mutations of its directory get through.

use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;

use corpora::{Limits, Source};
use provenance::document::FILE_BYTES_MAX;

pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, file)) = bytes.split_first() else { return };
    let ending = match kind {
        b'w' => "whl",
        b'c' => "crate",
        b'd' => "dsc",
        _ => "archive",
    };
    let path = std::env::temp_dir().join(format!("cloister-fuzz-{}-1.0.{ending}", std::process::id()));
    if File::create(&path).and_then(|mut archive| archive.write_all(file)).is_err() {
        return;
    }
    let first = read(&path);
    assert_eq!(first, read(&path), "the same archive, read differently");
    let _gone = std::fs::remove_file(&path);
}

/// How many files and bytes an archive gives.
fn read(path: &Path) -> Option<(u64, u64)> {
    let limits = Limits { entries_max: 1_000, bytes_max: 16 << 20, ratio_max: 200 };
    let mut sink = |bytes: &[u8], origin: provenance::document::Origin| {
        assert!(!bytes.is_empty() && bytes.len() <= FILE_BYTES_MAX);
        assert!(!origin.path.starts_with('/') && origin.path.len() <= 2048);
        assert!(origin.path.split('/').all(|name| !name.is_empty() && name != ".." && name != ".git"));
        ControlFlow::Continue(())
    };
    let summary =
        corpora::read(&Source::Archive { path: path.to_owned() }, &limits, &mut sink, &mut |_| {}).ok()?;
    assert!(summary.files <= limits.entries_max && summary.bytes <= limits.bytes_max && summary.complete);
    Some((summary.files, summary.bytes))
}
