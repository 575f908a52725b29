//! Names of documents: `file:` URIs and paths.

use std::path::{Path, PathBuf};

/// The path of a `file:` URI of this machine.
pub(super) fn of_uri(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return None;
    }
    let path = decoded(rest.split(['?', '#']).next()?)?;
    Some(PathBuf::from(if cfg!(windows) { windows(&path) } else { path }))
}

/// The URI of an absolute path.
pub(super) fn uri_of(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let path = if cfg!(windows) { format!("/{}", path.replace('\\', "/")) } else { path.to_owned() };
    let mut uri = "file://".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~:".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(uri)
}

/// `/c:/a/b` is `c:\a\b`.
fn windows(path: &str) -> String {
    let bytes = path.as_bytes();
    let has_drive = bytes.len() > 2 && bytes[1].is_ascii_alphabetic() && bytes[2] == b':';
    if has_drive { path[1..].replace('/', "\\") } else { path.replace('/', "\\") }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    // A path that no file can have, and what ends a string of C, is none.
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn uris_and_paths() {
        for (uri, path) in [
            ("file:///a/b.adb", Some("/a/b.adb")),
            ("file://localhost/a", Some("/a")),
            ("file:///a%20b/%C3%A9.c", Some("/a b/é.c")),
            ("file://elsewhere/a", None),
            ("file:///a%2", None),
            ("file:///a%00", None),
            ("file:///%ff", None),
            ("untitled:1", None),
        ] {
            assert_eq!(of_uri(uri), path.map(PathBuf::from), "{uri}");
        }
        let path = Path::new("/a b/é#?%.c");
        assert_eq!(uri_of(path).unwrap(), "file:///a%20b/%C3%A9%23%3F%25.c");
        assert_eq!(of_uri(&uri_of(path).unwrap()).as_deref(), Some(path));
    }

    #[test]
    fn drives() {
        assert_eq!(windows("/c:/a/b"), r"c:\a\b");
        assert_eq!(windows("/a/b"), r"\a\b");
    }
}
