//! Reading a source: once for what it states of licences, once for the files.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use provenance::document::{FILE_BYTES_MAX, Origin};

use crate::files::{self, File, LeftOut, Part, Reason, Visitor};
use crate::licence::{Index, Kind, STATEMENTS_MAX, Statement, System};

/// Where known code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A repository of git's, bare or with a work tree; what is committed is read, and nothing else.
    Git {
        /// The repository's folder.
        path: PathBuf,
        /// A branch's name; HEAD where there is none.
        branch: Option<String>,
    },
    /// A folder with everything beneath it.
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A file: `.tar`, also compressed by gzip, bzip2, xz or zstd; `.crate`; `.zip`; `.whl`; or a Debian source
    /// package's `.dsc`, with the files that it names beside it.
    Archive {
        /// The file.
        path: PathBuf,
    },
}

/// How much of a source is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files, folders and whatever else a source lists.
    pub entries_max: u64,
    /// Bytes that an archive may unpack to, or that are read of a repository or folder.
    pub bytes_max: u64,
    /// Bytes that an archive may unpack to for each of its own, once it has unpacked to 64 MiB.
    pub ratio_max: u64,
}

impl Default for Limits {
    /// Two million entries, 64 GiB, 200 to 1.
    fn default() -> Limits {
        Limits { entries_max: 2_000_000, bytes_max: 64 << 30, ratio_max: 200 }
    }
}

/// How far a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Files handed over.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What was read of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// As in each file's origin.
    pub package: String,
    /// As in each file's origin.
    pub version: Option<String>,
    /// As in each file's origin.
    pub commit: Option<String>,
    /// Files handed over.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many files were left out, by reason.
    pub left_out: LeftOut,
    /// Whether the sink took everything there was.
    pub complete: bool,
}

/// Why a source cannot be read, or not to its end. What was handed over before is then a part that nobody chose: it is
/// to be discarded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A repository that is none, or is damaged.
    #[error("the repository {path} cannot be read: {what}")]
    Repository {
        /// The repository's folder.
        path: PathBuf,
        /// The reader's own words.
        what: String,
    },
    /// A repository whose `.git` is a file.
    #[error(
        "{path} is a linked worktree, whose objects are in another repository: read that one, with a branch"
    )]
    LinkedWorktree {
        /// The folder.
        path: PathBuf,
    },
    /// There is no such branch.
    #[error("there is no branch {branch} in {path}")]
    Branch {
        /// The repository's folder.
        path: PathBuf,
        /// As it was asked for.
        branch: String,
    },
    /// A file of no known format.
    #[error(
        "{path} is no archive that can be read: TAR (also by gzip, bzip2, xz, zstd), ZIP or a Debian .dsc"
    )]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// An archive that breaks its format's rules.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is more than may be read.
    #[error("{path} has too many {what}: more than {max}")]
    Limit {
        /// The source.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: u64,
    },
}

impl Source {
    /// What is at a path: a repository, a folder, or an archive.
    pub fn detect(path: &Path) -> Result<Source, Error> {
        let metadata =
            std::fs::metadata(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        let path = path.to_owned();
        if !metadata.is_dir() {
            return Ok(Source::Archive { path });
        }
        let is_repository = path.join(".git").exists() || files::git::is_bare(&path);
        Ok(if is_repository { Source::Git { path, branch: None } } else { Source::Folder { path } })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Source::Git { path, .. } | Source::Folder { path } | Source::Archive { path } => path,
        }
    }
}

/// Hands over each text file of a source, in an order that is the same each time, with its origin.
///
/// Text is what has no NUL in its first 8 KiB and is UTF-8, or else looks like Latin-1 (which many Ada sources are):
/// no control characters, and at most one byte in ten beyond ASCII. Bytes are handed over as they are. Left out and
/// counted are other files, empty ones, those of more than [`FILE_BYTES_MAX`] bytes, links and devices, submodules, and
/// those whose paths leave the source, are no UTF-8 or longer than 1024 bytes. What is in a `.git` is no file of the
/// source, and not counted. A folder that others wrote (`vendor`) is known code too.
///
/// `first_seen_unix_s` is, in an archive, the entry's own time, unless it is one that packagers write for every file; in
/// a repository the time of the commit that brought the path to the branch, or of the oldest of the last 2000 commits (by
/// first parents) where it was there before; in a folder unknown. Those times are what the source says, not what is so.
///
/// # Errors
/// [`Error`]. The sink ends the reading with `Break`, which is no error.
pub fn read(
    source: &Source,
    limits: &Limits,
    sink: &mut dyn FnMut(&[u8], Origin) -> ControlFlow<()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Error> {
    let mut files = files::open(source, limits)?;
    let parts = files.parts();
    let mut survey = Survey { parts: vec![Top::None; parts.len()], ..Survey::default() };
    // A survey never breaks off.
    let _whole = files.visit(&mut survey)?;
    if survey.statements.len() > STATEMENTS_MAX {
        let max = STATEMENTS_MAX as u64;
        return Err(Error::Limit { path: source.path().to_owned(), what: "files that state licences", max });
    }
    let places: Vec<Place> =
        parts.iter().zip(&survey.parts).map(|(part, top)| Place::new(part, top)).collect();
    let mut index = Index::default();
    for (part, path, statement) in survey.statements {
        if let Some(path) = places.get(part).and_then(|place| place.of(&path)) {
            index.add(&path, statement);
        }
    }
    let (package, version) = name(source, &index, files.stated());
    let commit = files.commit();
    let mut handing = Handing {
        places: &places,
        part: 0,
        index: &index,
        origin: (package.clone(), version.clone(), commit.clone()),
        sink,
        progress,
        done: Progress::default(),
        left_out: LeftOut::default(),
    };
    let complete = files.visit(&mut handing)?.is_continue();
    let (Progress { files, bytes }, left_out) = (handing.done, handing.left_out);
    Ok(Summary { package, version, commit, files, bytes, left_out, complete })
}

/// Whether everything of a part is in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Top {
    None,
    One(String),
    Several,
}

/// The first way through a source: what it states of licences.
#[derive(Default)]
struct Survey {
    part: usize,
    parts: Vec<Top>,
    statements: Vec<(usize, String, Statement)>,
}

impl Visitor for Survey {
    fn part(&mut self, part: usize) {
        self.part = part;
    }

    fn wants(&mut self, path: &str) -> Option<usize> {
        if let Some(top) = self.parts.get_mut(self.part) {
            let first = path.split_once('/').map(|(first, _)| first);
            *top = match (&*top, first) {
                (Top::None, Some(first)) => Top::One(first.to_owned()),
                (Top::One(known), Some(first)) if known == first => return self.wants_statement(path),
                _ => Top::Several,
            };
        }
        self.wants_statement(path)
    }

    fn file(&mut self, file: File<'_>) -> ControlFlow<()> {
        if let Some(statement) = Kind::of(file.path).and_then(|kind| kind.read(file.path, file.bytes)) {
            self.statements.push((self.part, file.path.to_owned(), statement));
        }
        ControlFlow::Continue(())
    }

    fn left_out(&mut self, _: Reason) {}
}

impl Survey {
    fn wants_statement(&self, path: &str) -> Option<usize> {
        if self.statements.len() > STATEMENTS_MAX {
            return None;
        }
        Kind::of(path).map(Kind::bytes_max)
    }
}

/// Where a part's files are in the package.
struct Place {
    strip: String,
    prefix: String,
    without: Option<&'static str>,
}

impl Place {
    fn new(part: &Part, top: &Top) -> Place {
        let strip = match top {
            Top::One(top) if part.strips_top => format!("{top}/"),
            _ => String::new(),
        };
        Place { strip, prefix: part.prefix.clone(), without: part.without }
    }

    fn of(&self, path: &str) -> Option<String> {
        let inner = path.strip_prefix(&self.strip)?;
        let is_without = self.without.is_some_and(|without| inner.starts_with(without));
        (!is_without && !inner.is_empty()).then(|| format!("{}{inner}", self.prefix))
    }
}

/// The second way through a source: its files.
struct Handing<'a> {
    places: &'a [Place],
    part: usize,
    index: &'a Index,
    origin: (String, Option<String>, Option<String>),
    sink: &'a mut dyn FnMut(&[u8], Origin) -> ControlFlow<()>,
    progress: &'a mut dyn FnMut(Progress),
    done: Progress,
    left_out: LeftOut,
}

impl Visitor for Handing<'_> {
    fn part(&mut self, part: usize) {
        self.part = part;
    }

    fn wants(&mut self, path: &str) -> Option<usize> {
        self.places.get(self.part)?.of(path).map(|_| FILE_BYTES_MAX)
    }

    fn file(&mut self, file: File<'_>) -> ControlFlow<()> {
        let Some(path) = self.places.get(self.part).and_then(|place| place.of(file.path)) else {
            return ControlFlow::Continue(());
        };
        if file.bytes.is_empty() {
            self.left_out.count(Reason::Empty);
            return ControlFlow::Continue(());
        }
        if !files::is_text(file.bytes) {
            self.left_out.count(Reason::Binary);
            return ControlFlow::Continue(());
        }
        let (package, version, commit) = self.origin.clone();
        let licence = self.index.licence(&path, file.bytes);
        let origin = Origin { package, version, commit, path, first_seen_unix_s: file.seen_unix_s, licence };
        self.done.files += 1;
        self.done.bytes += file.bytes.len() as u64;
        (self.sink)(file.bytes, origin)?;
        (self.progress)(self.done);
        ControlFlow::Continue(())
    }

    fn left_out(&mut self, reason: Reason) {
        self.left_out.count(reason);
    }
}

/// The package's name and version: what a Debian package states, what the root's metadata states, or the file's name.
fn name(source: &Source, index: &Index, stated: Option<(String, String)>) -> (String, Option<String>) {
    if let Some((name, version)) = stated {
        return (format!("deb:{name}"), Some(version));
    }
    let file = source.path().canonicalize().unwrap_or_else(|_| source.path().to_owned());
    let file = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let small = file.to_ascii_lowercase();
    let root = index.root();
    match source {
        Source::Git { .. } => {
            let name = file.strip_suffix(".git").unwrap_or(&file);
            (format!("git:{name}"), None)
        }
        Source::Folder { .. } => (format!("folder:{file}"), root.and_then(|root| root.version.clone())),
        Source::Archive { .. } => {
            let system = match root.map(|root| root.system) {
                _ if small.ends_with(".whl") => "wheel",
                _ if small.ends_with(".crate") => "crate",
                Some(System::Cargo) => "crate",
                Some(System::Npm) => "npm",
                Some(System::Python) => "pypi",
                Some(System::Alire) => "alire",
                None if small.ends_with(".zip") => "zip",
                None => "tar",
            };
            let (by_file, version_by_file) = files::name_of(&file);
            let named = root.and_then(|root| root.name.clone());
            let version = root.and_then(|root| root.version.clone()).or(version_by_file);
            (format!("{system}:{}", named.unwrap_or(by_file)), version)
        }
    }
}
