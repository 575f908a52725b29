//! The same files make the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use provenance::segment::{BlobId, BuildError, Options, merge};
use provenance::{Builder, Segment};

use crate::code::{Draw, build, corpora, origin, trace};

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

#[test]
fn in_any_order_with_any_memory_and_threads_and_merged() {
    let mut draw = Draw::fresh();
    let place = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = (0..60)
        .map(|number| {
            let statements = draw.below(200);
            (draw.file("k", statements), origin("git:a", &format!("{number}")))
        })
        .collect();
    files.push((String::new(), origin("git:a", "empty")));
    files.push((" \n \n".to_owned(), origin("git:a", "blank")));
    // The same bytes elsewhere, and the same file twice.
    files.push((files[0].0.clone(), origin("git:b", "copy")));
    files.push(files[1].clone());
    let first = place.path().join("first");
    let manifest = build(&first, Options::default(), &files);
    assert_eq!((manifest.documents, manifest.origins, manifest.packages, manifest.licences), (62, 63, 2, 1));
    let expected = contents(&first);
    Segment::open(&first).unwrap().verify().unwrap();
    for (number, (memory_bytes, threads)) in
        [(512 << 20, 1), (512 << 20, 3), (20_000, 1), (3_000, 2)].into_iter().enumerate()
    {
        for index in (1..files.len()).rev() {
            files.swap(index, draw.below(index + 1));
        }
        let folder = place.path().join(number.to_string());
        build(&folder, Options { memory_bytes, threads }, &files);
        assert!(contents(&folder) == expected, "{memory_bytes} bytes, {threads} threads");
    }
    let (some, others) = files.split_at(30);
    let parts = [&some[..20], &some[10..], others];
    let mut segments = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let folder = place.path().join(format!("part{number}"));
        build(&folder, Options::default(), part);
        segments.push(Segment::open(&folder).unwrap());
    }
    let merged = place.path().join("merged");
    merge(&segments.iter().collect::<Vec<_>>(), &merged, "known", Options::default()).unwrap();
    assert!(contents(&merged) == expected, "merged");
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1 + 4 + 3 + 1, "nothing else stays: {left:?}");
}

#[test]
fn a_file_is_named_as_git_names_it_and_comes_back_whole() {
    assert_eq!(BlobId::of(b"hello\n").swhid(), "swh:1:cnt:ce013625030ba8dba906f756967f9e9ca394464a");
    let mut draw = Draw::fresh();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let file = draw.file("k", 500);
    build(&folder, Options::default(), &[(file.clone(), origin("git:a", "a"))]);
    let segment = Segment::open(&folder).unwrap();
    assert_eq!(segment.source(&BlobId::of(file.as_bytes())).unwrap(), Some(file.into_bytes()));
    assert_eq!(segment.source(&BlobId::of(b"other")).unwrap(), None);
}

#[test]
fn what_is_there_is_not_replaced_and_what_is_too_long_is_refused() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("s")).unwrap();
    assert!(matches!(
        Builder::new(&place.path().join("s"), "known", Options::default()),
        Err(BuildError::Io { .. })
    ));
    let mut builder = Builder::new(&place.path().join("t"), "known", Options::default()).unwrap();
    let long = vec![b' '; provenance::document::FILE_BYTES_MAX + 1];
    assert!(matches!(builder.add(&long, origin("git:a", "a")), Err(BuildError::TooLong { .. })));
    drop(builder);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "what was not finished does not stay");
}

#[test]
fn a_corpus_of_nothing_is_one() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let manifest = Builder::new(&folder, "nothing", Options::default()).unwrap().finish().unwrap();
    assert_eq!((manifest.documents, manifest.lexemes), (0, 0));
    Segment::open(&folder).unwrap().verify().unwrap();
    let trace = trace(&corpora(&folder), &Draw::fresh().file("k", 20));
    assert_eq!((trace.spans.len(), trace.asked[0].root.as_str()), (0, manifest.root.as_str()));
}
