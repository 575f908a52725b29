//! What a medium is described by: a bundle's description, an OCI layout's files, a tar layer, names, and the
//! beginning of any file.

use std::io::Cursor;
use std::path::{Component, Path};

use models::media::bundle::Description;
use models::media::{content, names, oci, tar};

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(description) = Description::parse(bytes) {
        let again = Description::parse(&description.bytes());
        assert_eq!(again.ok().as_ref(), Some(&description), "a description says the same again");
        description.files.iter().for_each(|file| stays_beneath(&file.name));
    }
    let _parsed = oci::parses(bytes);
    if let Ok(listing) = tar::list(&mut Cursor::new(bytes), bytes.len() as u64) {
        let mut end = 0;
        for piece in &listing.pieces {
            stays_beneath(&piece.name);
            assert!(piece.offset >= end + 512, "a header stands before each piece");
            end = piece.offset + piece.bytes;
        }
        assert!(end + 1024 <= bytes.len() as u64, "the end's mark follows");
    }
    let _refused = content::refused("weights.bin", models::object::Role::Evidence, bytes);
    if let Ok(name) = std::str::from_utf8(bytes)
        && names::check(name).is_ok()
    {
        stays_beneath(name);
    }
}

/// A name that passes goes down only, whatever it is joined to.
fn stays_beneath(name: &str) {
    assert!(!name.is_empty() && name.len() <= names::NAME_BYTES_MAX);
    assert!(Path::new(name).components().all(|part| matches!(part, Component::Normal(_))), "{name:?}");
    assert_eq!(Path::new(name).components().count(), name.split('/').count(), "{name:?}");
}
