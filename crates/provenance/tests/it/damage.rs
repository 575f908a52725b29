//! Segments that are not what was written.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use provenance::segment::{BlobId, Options, merge};
use provenance::{Corpora, Limits, Segment, Surroundings};

use crate::code::{Draw, build, origin};

#[test]
fn each_flipped_byte_is_found_and_none_makes_it_panic() {
    let mut draw = Draw::fresh();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let files: Vec<_> = (0..6)
        .map(|number| (draw.file("k", 60), origin(&format!("git:{number}"), &format!("{number}"))))
        .collect();
    build(&folder, Options::default(), &files);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert_eq!(names.len(), 17);
    for path in names {
        let written = fs::read(&path).unwrap();
        let mut places: Vec<usize> = (0..written.len().min(40)).collect();
        places.extend((0..80).map(|_| draw.below(written.len())));
        for flipped in places {
            let mut bytes = written.clone();
            bytes[flipped] ^= 1 << draw.below(8);
            replace(&path, &bytes);
            let found = Segment::open(&folder).map(|segment| {
                let found = segment.verify().is_err();
                ask(segment, &files[1].0);
                found
            });
            assert!(found.unwrap_or(true), "byte {flipped} of {}", path.display());
        }
        // Cut off, or longer.
        for bytes in [&written[..written.len() / 2], &[], &[&written[..], b"\0\0\0\0"].concat()] {
            replace(&path, bytes);
            assert!(Segment::open(&folder).is_err(), "{}", path.display());
        }
        replace(&path, &written);
    }
    Segment::open(&folder).unwrap().verify().unwrap();
}

/// Another file under the same name: what is mapped is never written.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn ask(segment: Segment, text: &str) {
    let place = tempfile::tempdir().unwrap();
    let _ = segment.source(&BlobId::of(text.as_bytes()));
    let _ = merge(&[&segment], &place.path().join("m"), "m", Options::default());
    let corpora = Corpora::new(vec![Arc::new(segment)]);
    let _ = corpora.trace(text, Surroundings::default(), &[], &Limits::default());
}
