//! Debian's source packages: a `.dsc` and the archives that it names. Patches are files like others, and not applied.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Files, Part, Reason, Visitor, tar};
use crate::licence;
use crate::reading::{Error, Limits};

/// A longer `.dsc` is none.
const DSC_BYTES_MAX: u64 = 1 << 20;
/// Archives of one package at most.
const ARCHIVES_MAX: usize = 64;

pub(super) struct Package {
    limits: Limits,
    name: String,
    version: String,
    archives: Vec<(PathBuf, Part)>,
    /// Files beside them that are not read: a `.diff.gz`.
    unread: u64,
}

impl Package {
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Package, Error> {
        use std::io::Read as _;
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(DSC_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > DSC_BYTES_MAX {
            return Err(Error::Limit { path: path.to_owned(), what: "bytes", max: DSC_BYTES_MAX });
        }
        let damaged = |what: &str| Error::Damaged { path: path.to_owned(), what: what.to_owned() };
        let text = String::from_utf8_lossy(&bytes);
        let paragraphs = licence::paragraphs(&text);
        let field = |paragraph: &[(String, String)], name: &str| {
            paragraph.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
        };
        let stated = paragraphs.iter().find_map(|paragraph| {
            Some((field(paragraph, "Source")?, field(paragraph, "Version")?, field(paragraph, "Files")?))
        });
        let (name, version, files) =
            stated.ok_or_else(|| damaged("it names no source, version and files"))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut package = Package { limits: limits.clone(), name, version, archives: Vec::new(), unread: 0 };
        for line in files.lines().filter(|line| !line.trim().is_empty()) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [_, size, name] = columns.as_slice() else {
                return Err(damaged("a line of its files is none"));
            };
            // A name, and no way out of the folder.
            if name.contains('/') || name.starts_with('.') {
                return Err(damaged("a file's name is none"));
            }
            if name.ends_with(".asc") {
                continue;
            }
            if !name.contains(".tar.") {
                package.unread += 1;
                continue;
            }
            let path = folder.join(name);
            let length = std::fs::symlink_metadata(&path)
                .map_err(|source| Error::Unreadable { path: path.clone(), source })?;
            if !length.is_file() || size.parse() != Ok(length.len()) {
                return Err(damaged(&format!("{name} is not of the size that is stated")));
            }
            if package.archives.len() >= ARCHIVES_MAX {
                return Err(Error::Limit { path, what: "archives", max: ARCHIVES_MAX as u64 });
            }
            package.archives.push((path, part(name)));
        }
        // What upstream has there, Debian's own replaces. (dpkg-source, format 3.0.)
        if package.archives.iter().any(|(_, part)| !part.strips_top) {
            for (_, part) in &mut package.archives {
                part.without = (part.strips_top && part.prefix.is_empty()).then_some("debian/");
            }
        }
        package.archives.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(package)
    }
}

/// Where an archive's files go, by its name. (dpkg-source, format 3.0 (quilt).)
fn part(name: &str) -> Part {
    if name.contains(".debian.tar.") {
        return Part::default();
    }
    let component = name.split_once(".orig-").and_then(|(_, rest)| rest.split_once(".tar."));
    let prefix = component.map(|(component, _)| format!("{component}/")).unwrap_or_default();
    Part { strips_top: true, prefix, without: None }
}

impl Files for Package {
    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<ControlFlow<()>, Error> {
        for _ in 0..self.unread {
            visitor.left_out(Reason::Unreadable);
        }
        for (number, (path, _)) in self.archives.iter().enumerate() {
            visitor.part(number);
            if tar::visit(path, &self.limits, visitor)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn parts(&self) -> Vec<Part> {
        self.archives.iter().map(|(_, part)| part.clone()).collect()
    }

    fn stated(&self) -> Option<(String, String)> {
        Some((self.name.clone(), self.version.clone()))
    }
}
