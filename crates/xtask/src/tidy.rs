//! `cargo xtask tidy`: rules of the tree that no compiler checks. Each finding names a place and says
//! what to do; a remark that was made twice in review belongs here.

mod arrows;
mod code;
mod files;
mod programs;

use std::{
    fmt::{self, Display, Formatter},
    fs,
    path::PathBuf,
    process::Command,
};

use crate::{
    failure::{During as _, Failure},
    places::Places,
    process::output_of,
    source::Source,
};

/// Checks the tree: arrows between crates, unsafe, dialling, prints, leftovers, sizes.
#[derive(clap::Args)]
pub(crate) struct Tidy {}

impl Tidy {
    pub(crate) fn run(&self, places: &Places) -> Result<(), Failure> {
        let files = tree(places)?;
        let mut findings = arrows::check(places)?;
        findings.extend(programs::check(places)?);
        findings.extend(files::check(places, &files)?);
        findings.extend(files.iter().filter(|file| file.source.is_some()).flat_map(code::check));
        findings.sort();
        for finding in &findings {
            println!("{finding}");
        }
        match findings.len() {
            0 => {
                println!("tidy: {} files, nothing found", files.len());
                Ok(())
            }
            count => Err(Failure::new(format!("tidy: {count} found"))),
        }
    }
}

/// Something to change, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the root, with `/`.
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, message: message.into() }
    }
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.message),
            line => write!(formatter, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// A file that is tracked, or would be by the next `git add`.
struct TreeFile {
    /// Relative to the root.
    path: String,
    bytes: u64,
    /// None for what is too large or no UTF-8.
    text: Option<String>,
    /// For Rust.
    source: Option<Source>,
}

impl TreeFile {
    fn new(path: &str, text: &str) -> TreeFile {
        let source = path.ends_with(".rs").then(|| Source::read(text));
        TreeFile { path: path.to_owned(), bytes: text.len() as u64, text: Some(text.to_owned()), source }
    }

    /// The crate it is in, by its folder's name.
    fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// Whether it is only ever compiled for tests.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/benches/")
    }
}

fn tree(places: &Places) -> Result<Vec<TreeFile>, Failure> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&places.root);
    let listed = output_of(&mut git)?;
    let mut files = Vec::new();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let absolute: PathBuf = places.root.join(path);
        // Listed, but removed from the working tree.
        let Ok(metadata) = fs::symlink_metadata(&absolute) else { continue };
        if !metadata.is_file() {
            continue;
        }
        if metadata.len() > files::BYTES_MAX {
            files.push(TreeFile { path: path.to_owned(), bytes: metadata.len(), text: None, source: None });
            continue;
        }
        let content = fs::read(&absolute).during(|| path.to_owned())?;
        files.push(match str::from_utf8(&content) {
            Ok(text) => TreeFile::new(path, text),
            Err(_) => TreeFile { path: path.to_owned(), bytes: metadata.len(), text: None, source: None },
        });
    }
    Ok(files)
}
