//! What states licences: the first byte says which file it is, the rest is the file.

use corpora::parsers;
use provenance::document::Standing;

pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, file)) = bytes.split_first() else { return };
    let path = match kind {
        b'd' => "debian/copyright",
        b'u' => ".reuse/dep5",
        b'r' => "REUSE.toml",
        b'c' => "Cargo.toml",
        b'p' => "x-1.dist-info/METADATA",
        b'y' => "pyproject.toml",
        b'n' => "package.json",
        b'a' => "alire.toml",
        b't' => "LICENSE",
        b'x' => {
            let text = String::from_utf8_lossy(file);
            if let Some(normal) = parsers::expression(&text) {
                assert_eq!(parsers::expression(&normal), Some(normal.clone()), "a normal form has another");
            }
            return;
        }
        _ => "",
    };
    let licence = match path {
        "" => parsers::licence("src/a.adb", file, &[]),
        path => parsers::licence("src/a.adb", b"", &[(path, file)]),
    };
    match licence.standing {
        Standing::Stated(stated) => {
            assert_eq!(parsers::expression(&stated), Some(stated.clone()), "no normal form")
        }
        Standing::Conflict(said) => assert!(said.len() > 1 && said.is_sorted_by(|a, b| a < b), "{said:?}"),
        Standing::Unknown => {}
    }
}
