//! The daemon's own program: what it imports, and what it is made of.

use std::path::{Path, PathBuf};

use object::{Object, ObjectSymbol};
use protocol::posture::{Row, Verdict};

use super::processes::row;

/// Crates that must not be in the daemon, one a line with the reason behind the colon. `cargo xtask tidy` refuses them.
const DIALLING: &str = include_str!("dialling-crates.txt");

/// Functions of the C library that look names up.
const LOOKUPS: [&str; 9] = [
    "getaddrinfo",
    "getaddrinfo_a",
    "gethostbyname",
    "gethostbyname2",
    "gethostbyname_r",
    "gethostbyaddr",
    "getnameinfo",
    "res_query",
    "res_search",
];

/// Crates of a release build are written into it; more than this are none.
const CRATES_BYTES_MAX: usize = 8 << 20;

/// Rows on this program.
pub(super) fn rows() -> Vec<Row> {
    let path = PathBuf::from("/proc/self/exe");
    let program = std::fs::read(&path).map_err(|error| error.to_string());
    let imports = program.as_deref().map_err(Clone::clone).and_then(lookups);
    let found = imports.map_or_else(
        |error| error,
        |names| if names.is_empty() { "none".to_owned() } else { names.join(", ") },
    );
    vec![
        row("program", "program", "name lookups that it imports", "its dynamic symbols", "none", &found),
        crates(&path),
    ]
}

fn lookups(program: &[u8]) -> Result<Vec<String>, String> {
    let object = object::File::parse(program).map_err(|error| error.to_string())?;
    let names = object.dynamic_symbols().filter(|symbol| symbol.is_undefined());
    let names = names.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    Ok(names.filter(|name| LOOKUPS.contains(&name.split('@').next().unwrap_or(name))).collect())
}

/// A release build names its crates inside.
fn crates(program: &Path) -> Row {
    const NAME: &str = "crates in it that dial or look names up";
    let limits =
        auditable_info::Limits { input_file_size: usize::MAX, decompressed_json_size: CRATES_BYTES_MAX };
    let list = auditable_info::audit_info_from_file(program, limits);
    match list {
        Ok(list) => {
            let dialling = |name: &str| DIALLING.lines().any(|line| line.split(':').next() == Some(name));
            let found: Vec<&str> = list
                .packages
                .iter()
                .map(|package| package.name.as_str())
                .filter(|name| dialling(name))
                .collect();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            let how = format!("the list of its {} crates, in its section .dep-v0", list.packages.len());
            row("program", "program", NAME, &how, "none", &found)
        }
        Err(auditable_info::Error::NoAuditData) => Row {
            verdict: Verdict::Untried,
            ..row(
                "program",
                "program",
                NAME,
                "its section .dep-v0",
                "none",
                "not a release build: it has no such list",
            )
        },
        Err(error) => row("program", "program", NAME, "its section .dep-v0", "none", &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lookups_of_a_program_are_found() {
        let dynamic = std::fs::read("/usr/bin/getent").unwrap();
        assert!(
            lookups(&dynamic)
                .unwrap()
                .iter()
                .any(|name| name.starts_with("gethostby") || name == "getaddrinfo")
        );
        let without = std::fs::read("/bin/true").unwrap();
        assert_eq!(lookups(&without).unwrap(), [""; 0]);
        assert!(lookups(b"no program").is_err());
    }

    #[test]
    fn a_build_without_a_list_passes_for_nothing() {
        assert_eq!(crates(Path::new("/bin/true")).verdict, Verdict::Untried);
        assert_eq!(crates(Path::new("/nonexistent")).verdict, Verdict::Fail);
    }
}
