//! Rules of all files, and of the manifests.

use std::{env, fs};

use super::{Finding, TreeFile};
use crate::{
    failure::{During as _, Failure},
    places::{Places, TIDY_WORDS},
};

/// Larger ones do not belong into the repository.
pub(super) const BYTES_MAX: u64 = 1 << 20;

/// Marks of work that was put off. Spelt in two parts, so that this file is clean.
const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "utils", "util", "manager", "helper", "helpers", "misc"];

pub(super) fn check(places: &Places, files: &[TreeFile]) -> Result<Vec<Finding>, Failure> {
    let words = unwanted_words()?;
    let mut findings = manifests(places)?;
    for file in files {
        findings.extend(check_file(file, &words));
    }
    Ok(findings)
}

/// Words that the project does not use, from outside the tree: a list in it would use them.
fn unwanted_words() -> Result<Vec<String>, Failure> {
    let Some(path) = env::var_os(TIDY_WORDS) else { return Ok(Vec::new()) };
    let list = fs::read_to_string(&path).during(|| format!("{TIDY_WORDS}={}", path.to_string_lossy()))?;
    Ok(list.lines().map(|line| line.trim().to_lowercase()).filter(|line| !line.is_empty()).collect())
}

fn check_file(file: &TreeFile, words: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line: usize, message: String| findings.push(Finding::new(&file.path, line, message));
    if file.bytes > BYTES_MAX {
        report(0, format!("{} bytes: nothing over {BYTES_MAX} is kept in the repository", file.bytes));
    }
    for part in file.path.split('/') {
        let stem = part.split('.').next().unwrap_or(part);
        if EMPTY_NAMES.contains(&stem) {
            report(0, format!("`{part}` does not say what it holds"));
        }
    }
    // In Rust only remarks can put work off; a string may well name the mark.
    let marked = file.source.as_ref().map_or(file.text.as_deref(), |source| Some(&source.comments));
    for (text, number) in marked.unwrap_or_default().lines().zip(1..) {
        for mark in MARKS {
            let mut parts = text.split(|character: char| !character.is_ascii_alphanumeric());
            if parts.any(|part| part == *mark) {
                report(number, format!("`{mark}`: do it, or write an issue"));
            }
        }
    }
    for (text, number) in file.text.as_deref().unwrap_or_default().lines().zip(1..) {
        let text = text.to_lowercase();
        for word in words.iter().filter(|word| text.contains(word.as_str())) {
            report(number, format!("`{word}` does not belong into the project"));
        }
    }
    findings
}

/// Every crate stands under the workspace's lints, and those deny unsafe code.
fn manifests(places: &Places) -> Result<Vec<Finding>, Failure> {
    let read = |path: &str| -> Result<toml::Table, Failure> {
        let text = fs::read_to_string(places.root.join(path)).during(|| path.to_owned())?;
        text.parse().during(|| path.to_owned())
    };
    let mut findings = Vec::new();
    let root = read("Cargo.toml")?;
    let level = |group: &str, lint: &str| {
        root.get("workspace")?.get("lints")?.get(group)?.get(lint)?.as_str().map(str::to_owned)
    };
    if level("rust", "unsafe_code").as_deref() != Some("deny") {
        findings.push(Finding::new("Cargo.toml", 0, "workspace.lints.rust: `unsafe_code` must be \"deny\""));
    }
    if level("clippy", "undocumented_unsafe_blocks").is_none_or(|level| level == "allow") {
        findings.push(Finding::new(
            "Cargo.toml",
            0,
            "workspace.lints.clippy: `undocumented_unsafe_blocks` is off",
        ));
    }
    let crates = fs::read_dir(places.root.join("crates")).during(|| "crates".to_owned())?;
    for entry in crates.flatten() {
        let path = format!("crates/{}/Cargo.toml", entry.file_name().to_string_lossy());
        let manifest = read(&path)?;
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        if inherits != Some(true) {
            findings.push(Finding::new(
                &path,
                0,
                "the workspace's lints are not inherited: [lints] workspace = true",
            ));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: usize) {
        let words = ["acme".to_owned()];
        let found = check_file(&TreeFile::new(path, text), &words);
        assert_eq!(found.len(), expected, "{path}: {found:?}");
    }

    #[test]
    fn marks_names_words_and_sizes_are_found() {
        let mark = MARKS[0];
        check("a.rs", &format!("// {mark}: later"), 1);
        check("a.rs", &format!("let a = \"{mark}\";"), 0);
        check("a.md", &format!("a\n- {mark} later"), 1);
        check("a.md", &format!("{mark}S and {}", mark.to_lowercase()), 0);
        check("crates/x/src/utils.rs", "", 1);
        check("crates/common/src/lib.rs", "", 1);
        check("a.md", "Made by ACME.", 1);
        let large = TreeFile { path: "a.bin".into(), bytes: BYTES_MAX + 1, text: None, source: None };
        assert_eq!(check_file(&large, &[]).len(), 1);
    }
}
