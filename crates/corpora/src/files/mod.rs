//! The files of sources, one after the other.

mod debian;
mod folder;
pub(crate) mod git;
mod tar;
mod unpacking;
mod zip;

use std::ops::ControlFlow;
use std::path::Path;

use crate::reading::{Error, Limits, Source};

/// A longer path is left out.
const PATH_BYTES_MAX: usize = 1024;
/// In which a NUL says that a file is no text.
const BINARY_BYTES: usize = 8 << 10;

/// Why a file was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is no text.
    Binary,
    /// It has no bytes.
    Empty,
    /// It has more than [`FILE_BYTES_MAX`](provenance::document::FILE_BYTES_MAX) bytes.
    TooLarge,
    /// A link, a device or the like.
    NoFile,
    /// Another repository inside.
    Submodule,
    /// Its path is no UTF-8, too long, or leaves the source.
    Path,
    /// It is damaged, encrypted, or packed in a way that is not known.
    Unreadable,
}

/// How many files were left out, by reason; a reason that met none is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(Vec<(Reason, u64)>);

impl LeftOut {
    pub(crate) fn count(&mut self, reason: Reason) {
        match self.0.binary_search_by_key(&reason, |(known, _)| *known) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (reason, 1)),
        }
    }

    /// Reasons and counts, in the order of [`Reason`].
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.0.iter().copied()
    }

    /// How many for one reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
    }
}

/// A file on its way.
pub(crate) struct File<'a> {
    /// Inside its part.
    pub(crate) path: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) seen_unix_s: Option<i64>,
}

/// Who is shown the files of a source.
pub(crate) trait Visitor {
    /// The files that follow are of this part.
    fn part(&mut self, part: usize);
    /// Whether a file is to be shown, if it has no more bytes than that. Asked of every file.
    fn wants(&mut self, path: &str) -> Option<usize>;
    /// Shows it.
    fn file(&mut self, file: File<'_>) -> ControlFlow<()>;
    /// It is not shown, though it may be wanted.
    fn left_out(&mut self, reason: Reason);
}

/// A part of a source with a place of its own in it: Debian's sources have several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// Whether one folder around everything is no part of paths.
    pub(crate) strips_top: bool,
    /// Before its paths; empty, or with `/` at the end.
    pub(crate) prefix: String,
    /// What of it another part replaces.
    pub(crate) without: Option<&'static str>,
}

/// A source's files.
pub(crate) trait Files {
    /// Shows every file, in the same order each time.
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<ControlFlow<()>, Error>;
    fn parts(&self) -> Vec<Part> {
        vec![Part::default()]
    }
    /// The commit, in hexadecimal.
    fn commit(&self) -> Option<String> {
        None
    }
    /// Name and version, where the format itself states them.
    fn stated(&self) -> Option<(String, String)> {
        None
    }
}

pub(crate) fn open(source: &Source, limits: &Limits) -> Result<Box<dyn Files>, Error> {
    Ok(match source {
        Source::Git { path, branch } => Box::new(git::Repository::open(path, branch.as_deref(), limits)?),
        Source::Folder { path } => Box::new(folder::Folder::new(path, limits)),
        Source::Archive { path } if is_dsc(path) => Box::new(debian::Package::open(path, limits)?),
        Source::Archive { path } => match unpacking::Format::of(path)? {
            unpacking::Format::Zip => Box::new(zip::Archive::new(path, limits)),
            unpacking::Format::Tar(_) => Box::new(tar::Archive::new(path, limits)),
        },
    })
}

fn is_dsc(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("dsc"))
}

/// Whether these bytes are text; see [`crate::read`].
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    if bytes[..bytes.len().min(BINARY_BYTES)].contains(&0) {
        return false;
    }
    if std::str::from_utf8(bytes).is_ok() {
        return true;
    }
    let beyond_ascii = bytes.iter().filter(|byte| !byte.is_ascii()).count();
    let is_control =
        |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0x1a);
    beyond_ascii <= bytes.len() / 10 && !bytes.iter().any(is_control)
}

/// A path in its plain form: names with `/` between them. None where it leaves its source, or is none.
fn plain(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    if path.len() > PATH_BYTES_MAX || path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    let is_odd = names.iter().any(|name| *name == ".." || name.chars().any(char::is_control));
    (!names.is_empty() && !is_odd).then(|| names.join("/"))
}

/// Whether a path is git's own.
fn is_of_git(path: &str) -> bool {
    path.split('/').any(|name| name == ".git")
}

/// The time of an archive's entry, unless it is what packagers write for every file: 0 and 1 (reproducible archives),
/// 1980-01-01 (ZIP's first), 1985-10-26T08:15Z (npm), 2006-07-24T01:21:28Z (Cargo), 2016-01-01 (flit), 2020-02-02
/// (hatchling).
fn seen(unix_s: i64) -> Option<i64> {
    const ZIP_FIRST_DAYS: std::ops::Range<i64> = 315_446_400..315_705_600;
    let is_any = unix_s <= 86_400
        || matches!(unix_s, 499_162_500 | 1_153_704_088 | 1_451_606_400 | 1_580_601_600)
        || ZIP_FIRST_DAYS.contains(&unix_s);
    (!is_any).then_some(unix_s)
}

/// A package's name and version by an archive's file name, such as `gzip-1.12.tar.xz`.
pub(crate) fn name_of(file: &str) -> (String, Option<String>) {
    const ENDINGS: &[&str] = &[
        ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tgz", ".txz", ".tbz2", ".tzst", ".tar", ".zip",
        ".crate", ".whl",
    ];
    let ending = ENDINGS.iter().find(|ending| file.to_ascii_lowercase().ends_with(**ending));
    let stem = &file[..file.len() - ending.map_or(0, |ending| ending.len())];
    let at = stem.match_indices(['-', '_']).find(|(at, _)| {
        let after = stem[at + 1..].strip_prefix('v').unwrap_or(&stem[at + 1..]);
        after.starts_with(|letter: char| letter.is_ascii_digit())
    });
    match at {
        Some((0, _)) | None => (stem.to_owned(), None),
        Some((at, _)) => {
            let version = &stem[at + 1..];
            // A wheel's tags follow its version.
            let version =
                if ending == Some(&".whl") { version.split('-').next().unwrap_or(version) } else { version };
            (stem[..at].to_owned(), Some(version.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf_8_or_looks_like_latin_1() {
        assert!(is_text("procedure Ångström is".as_bytes()));
        assert!(is_text(b"--  Universit\xe9 de Gen\xe8ve, long enough to be a comment of Latin-1\r\n\x0c"));
        assert!(!is_text(b"\x7fELF\x02\x01\x01\x00\x00"));
        assert!(!is_text(b"\x89PNG\r\n\x1a\n and \x01\x02"));
        assert!(!is_text(b"\xff\xfeh\x00i\x00"));
        assert!(!is_text(b"\xe9\xe9\xe9\xe9abc"));
    }

    #[test]
    fn paths_stay_inside() {
        assert_eq!(plain(b"./a//b/c.rs").as_deref(), Some("a/b/c.rs"));
        for path in ["/etc/passwd", "../a", "a/../b", "a\\b", "", ".", "a\nb"] {
            assert_eq!(plain(path.as_bytes()), None, "{path}");
        }
        assert_eq!(plain(b"a\xff"), None);
        assert_eq!(plain(&[b'a'; 2000]), None);
    }

    #[test]
    fn names_of_files() {
        let check = |file: &str, name: &str, version: Option<&str>| {
            assert_eq!(name_of(file), (name.to_owned(), version.map(str::to_owned)), "{file}");
        };
        check("gzip-1.12.tar.xz", "gzip", Some("1.12"));
        check("tree-sitter-ada-0.9.0.crate", "tree-sitter-ada", Some("0.9.0"));
        check("requests-2.31.0-py3-none-any.whl", "requests", Some("2.31.0"));
        check("master.zip", "master", None);
        check("thing-v2.tgz", "thing", Some("v2"));
        check("-1.zip", "-1", None);
    }
}
