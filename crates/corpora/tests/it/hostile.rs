//! Archives that want to get out, to take too much, or to be misread.

use std::fs;
use std::path::Path;

use corpora::{Error, Limits, Reason, Source};
use proptest::prelude::*;

use crate::packed::{entry, file, gzip, tar, zip};
use crate::{Known, read};

#[expect(clippy::disallowed_methods, reason = "a test's own files")]
fn read_bytes(name: &str, bytes: &[u8], limits: &Limits) -> Result<Known, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let known = read(&Source::Archive { path }, limits);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is written");
    known
}

#[test]
fn what_is_no_plain_file_is_counted() {
    let mut archive = Vec::new();
    for name in ["/etc/cron.d/x", "../x", "a/../../x", "a\\..\\x"] {
        archive.extend(file(name, "text\n"));
    }
    for (name, kind) in [("hard", b'1'), ("soft", b'2'), ("tty", b'3'), ("disk", b'4'), ("pipe", b'6')] {
        archive.extend(entry(name, kind, 0, b""));
    }
    archive.extend(entry("folder/", b'5', 0, b""));
    archive.extend(file("good.c", "int a;\n"));
    archive.extend(file(".git/hooks/post-checkout", "#!/bin/sh\n"));
    archive.extend([0; 1024]);
    let known = read_bytes("x.tar", &archive, &Limits::default()).unwrap();
    assert_eq!(known.paths(), ["good.c"]);
    assert_eq!(known.summary.left_out.of(Reason::Path), 4);
    assert_eq!(known.summary.left_out.of(Reason::NoFile), 5);
    assert!(!Path::new("/etc/cron.d/x").exists());
}

#[test]
fn long_names() {
    let long = format!("{}/end.c", "folder/".repeat(30));
    let mut archive = entry("././@LongLink", b'L', long.len() as u64, long.as_bytes());
    archive.extend(file("folder/short", "gnu\n"));
    let record = format!("path={}\n", long.replace("end", "pax"));
    let record = format!("{} {record}", record.len() + 4);
    archive.extend(entry("PaxHeaders/x", b'x', record.len() as u64, record.as_bytes()));
    archive.extend(file("folder/short", "pax\n"));
    // A name that is as long as an archive must not be kept.
    let mut too_long = archive.clone();
    too_long.extend(entry("././@LongLink", b'L', 1 << 30, b""));
    archive.extend([0; 1024]);
    let known = read_bytes("x.tar", &archive, &Limits::default()).unwrap();
    assert_eq!(known.summary.files, 2, "{:?}", known.paths());
    assert!(known.paths()[0].ends_with("/end.c") && known.paths()[1].ends_with("/pax.c"));
    let error = read_bytes("x.tar", &too_long, &Limits::default()).err().unwrap();
    assert!(matches!(error, Error::Limit { what: "bytes of a name", .. }), "{error}");
}

#[test]
fn archives_that_take_too_much() {
    let many: Vec<(String, &str)> = (0..50).map(|number| (format!("{number}.c"), "int a;\n")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let few = Limits { entries_max: 49, ..Limits::default() };
    for (name, bytes) in [
        ("x.tar", tar(&many)),
        ("x.zip", zip(&many.iter().map(|(name, text)| (*name, 0, text.as_bytes())).collect::<Vec<_>>())),
    ] {
        let error = read_bytes(name, &bytes, &few).err().unwrap();
        assert!(matches!(error, Error::Limit { what: "entries", max: 49, .. }), "{error}");
        let short = Limits { bytes_max: 100, ..Limits::default() };
        let error = read_bytes(name, &bytes, &short).err().unwrap();
        assert!(matches!(error, Error::Limit { what: "bytes, unpacked", max: 100, .. }), "{error}");
    }
    // 100 MiB of nothing, in a few hundred kB.
    let mut bomb = entry("bomb", b'0', 100 << 20, b"");
    bomb.resize(bomb.len() + (100 << 20), b' ');
    bomb.extend([0; 1024]);
    let bomb = gzip(&bomb);
    let error = read_bytes("x.tar.gz", &bomb, &Limits::default()).err().unwrap();
    assert!(matches!(error, Error::Limit { what: "bytes for each packed one", max: 200, .. }), "{error}");
    // In a ZIP each entry stands alone, and is left out.
    let spaces = vec![b' '; 8 << 20];
    let mut liar = zip(&[("a.txt", 0, &spaces), ("b.txt", 0, b"text")]);
    let known = read_bytes("x.zip", &liar, &Limits::default()).unwrap();
    assert_eq!((known.summary.files, known.summary.left_out.of(Reason::TooLarge)), (1, 1));
    // One that says it is small is read no further than a file may be.
    let at = liar.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    let at = liar[..at].windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    liar[at + 24..at + 28].copy_from_slice(&10u32.to_le_bytes());
    let known = read_bytes("x.zip", &liar, &Limits::default()).unwrap();
    assert_eq!((known.summary.files, known.summary.left_out.of(Reason::TooLarge)), (1, 1));
}

#[test]
fn what_is_cut_or_damaged_says_so() {
    let whole = tar(&[("a.c", "int a;\n")]);
    for length in [100, 512, 515, 700] {
        assert!(read_bytes("x.tar", &whole[..length], &Limits::default()).is_err(), "{length}");
    }
    let packed = gzip(&whole);
    assert!(read_bytes("x.tar.gz", &packed[..packed.len() - 20], &Limits::default()).is_err());
    let mut wrong = whole.clone();
    wrong[0] = b'b';
    assert!(read_bytes("x.tar", &wrong, &Limits::default()).err().unwrap().to_string().contains("damaged"));
    assert!(matches!(read_bytes("x.tar", b"no archive", &Limits::default()), Err(Error::Format { .. })));
    let mut wrong = zip(&[("a.c", 0, b"int a;\n")]);
    wrong[14] ^= 1;
    wrong[38] ^= 1;
    let known = read_bytes("x.zip", &wrong, &Limits::default()).unwrap();
    assert_eq!(known.summary.left_out.of(Reason::Unreadable), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics_and_never_leaves(at in 0usize..4000, value: u8, which in 0usize..4) {
        let files = [("p/LICENSE", "text"), ("p/a.c", "int a;\n"), ("p/Cargo.toml", "[package]\nname=\"p\"\n")];
        let plain = tar(&files);
        let zipped = zip(&files.map(|(name, text)| (name, 0u32, text.as_bytes())));
        let (name, mut bytes) = match which {
            0 => ("x.tar", plain),
            1 => ("x.tar.gz", gzip(&plain)),
            2 => ("x.zip", zipped),
            _ => ("x.dsc", b"Source: a\nVersion: 1\nFiles:\n 0 1 a.tar.gz\n".to_vec()),
        };
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(known) = read_bytes(name, &bytes, &Limits::default()) {
            for path in known.paths() {
                prop_assert!(!path.starts_with('/') && !path.split('/').any(|name| name == ".."));
            }
        }
    }
}
