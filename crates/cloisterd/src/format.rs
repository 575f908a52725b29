//! Which layout a data directory has. Older ones are made newer in place by [`STEPS`], under the lock; newer ones
//! are refused, so that an older program never writes into what it does not understand.

use std::io::ErrorKind;

use crate::data::{Data, DataError, io};
use crate::output;

/// The file in the data directory: the format, and the version of Cloister that gave it that.
const FILE: &str = "format";
/// Data directories from before there was such a file.
const FIRST: u32 = 1;
/// A longer file is none of ours.
const BYTES_MAX: u64 = 256;

/// A change from one format to the next: in place, safe to be repeated after an interruption, and without a loss.
type Step = fn(&Data) -> Result<(), DataError>;

/// The first makes format 2 of format 1. None yet. A step never changes leaves, tiles or bodies: what was signed stays.
const STEPS: [Step; 0] = [];

/// A format with the version that made it so.
#[derive(Debug, PartialEq, Eq)]
struct Format {
    number: u32,
    version: String,
}

/// Marks a new data directory.
pub(crate) fn write(data: &Data) -> Result<(), DataError> {
    write_number(data, newest(&STEPS))
}

/// Refuses a data directory that a later version has changed.
pub(crate) fn check(data: &Data) -> Result<(), DataError> {
    check_against(data, newest(&STEPS)).map(drop)
}

/// Makes an older data directory one of this version. The caller holds the lock.
pub(crate) fn migrate(data: &Data) -> Result<(), DataError> {
    migrate_by(data, &STEPS)
}

fn newest(steps: &[Step]) -> u32 {
    FIRST.saturating_add(u32::try_from(steps.len()).unwrap_or(u32::MAX))
}

fn check_against(data: &Data, newest: u32) -> Result<Format, DataError> {
    let format = read(data)?;
    if format.number <= newest {
        return Ok(format);
    }
    Err(DataError::Newer {
        path: data.root().to_owned(),
        format: format.number,
        version: format.version,
        newest,
        ours: env!("CARGO_PKG_VERSION"),
    })
}

fn migrate_by(data: &Data, steps: &[Step]) -> Result<(), DataError> {
    let mut number = check_against(data, newest(steps))?.number;
    let first = usize::try_from(number.saturating_sub(FIRST)).unwrap_or(usize::MAX);
    for step in steps.get(first..).unwrap_or_default() {
        step(data)?;
        number += 1;
        // After each: an interruption goes on where it was.
        write_number(data, number)?;
        output::say(&format!("the data directory is of format {number} now: older versions refuse it"));
    }
    Ok(())
}

fn read(data: &Data) -> Result<Format, DataError> {
    let path = data.path(FILE);
    let unreadable = |error| io(&path, "cannot be read", error);
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Format { number: FIRST, version: "0.1.0".to_owned() });
        }
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if metadata.len() > BYTES_MAX => return Err(DataError::Format(path)),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    parse(&text).ok_or(DataError::Format(path))
}

/// `NUMBER VERSION`, on a line.
fn parse(text: &str) -> Option<Format> {
    let (number, version) = text.strip_suffix('\n')?.split_once(' ')?;
    let number = number.parse().ok().filter(|number| *number >= FIRST)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    (!version.is_empty() && version.chars().all(plain))
        .then(|| Format { number, version: version.to_owned() })
}

fn write_number(data: &Data, number: u32) -> Result<(), DataError> {
    data.write(FILE, format!("{number} {}\n", env!("CARGO_PKG_VERSION")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (tempfile::TempDir, Data) {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::create(&folder.path().join("data"), "log", None).unwrap();
        (folder, data)
    }

    #[test]
    fn a_new_one_and_one_from_before_are_taken() {
        let (_folder, data) = data();
        let written = std::fs::read_to_string(data.path(FILE)).unwrap();
        assert_eq!(written, format!("1 {}\n", env!("CARGO_PKG_VERSION")));
        check(&data).unwrap();
        std::fs::remove_file(data.path(FILE)).unwrap();
        assert_eq!(read(&data).unwrap().number, FIRST);
        migrate(&data).unwrap();
        Data::open(data.root()).unwrap();
    }

    #[test]
    fn a_newer_one_is_refused_by_the_version_that_made_it() {
        let (_folder, data) = data();
        data.write(FILE, b"2 7.1.0\n").unwrap();
        let words = Data::open(data.root()).unwrap_err().to_string();
        assert!(words.contains("format 2") && words.contains("7.1.0") && words.contains("backup"), "{words}");
        for text in ["", "1", "x 1.0\n", "0 1.0\n", "1 \n", "1 1.0", "1 a b\n", "99999999999 1.0\n"] {
            data.write(FILE, text.as_bytes()).unwrap();
            assert!(matches!(check(&data), Err(DataError::Format(_))), "{text:?}");
        }
    }

    #[test]
    fn steps_are_made_once_and_in_order() {
        fn one(data: &Data) -> Result<(), DataError> {
            assert!(!data.path("two").exists());
            data.write("one", b"")
        }
        fn two(data: &Data) -> Result<(), DataError> {
            assert!(data.path("one").exists());
            data.write("two", b"")
        }
        fn fails(data: &Data) -> Result<(), DataError> {
            Err(DataError::Missing(data.root().to_owned()))
        }
        let (_folder, data) = data();
        migrate_by(&data, &[one, fails]).unwrap_err();
        assert_eq!(read(&data).unwrap().number, 2, "what was done is kept");
        std::fs::remove_file(data.path("one")).unwrap();
        migrate_by(&data, &[fails]).unwrap();
        assert!(!data.path("one").exists(), "the first step is not repeated");
        data.write("one", b"").unwrap();
        migrate_by(&data, &[fails, two]).unwrap();
        assert_eq!(read(&data).unwrap().number, 3);
        assert!(
            matches!(check(&data), Err(DataError::Newer { format: 3, .. })),
            "and older programs refuse it"
        );
    }
}
