//! The corpus builder's process: this program again, started by a command with two descriptors for one task. It is told
//! what to do by one frame, jails itself while it has one thread, and only then opens anything.
//!
//! From then on it can read the sources, or the segments that are merged or verified, and write the folder that a segment
//! is made in. It has no network, no terminal, no other corpus, no key and no ledger; it runs nothing. What it answers is
//! [`builder`](crate::builder)'s to judge.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ::corpora::{Limits, Progress, Reason, Source};
use jail::probe::Places;
use protocol::Digest;
use protocol::corpora::{BuildAnswer, BuildRequest, BuildTask, SEGMENT, VERSION};
use provenance::segment::{self, BuildError, Builder, Manifest, OpenError, Options, Segment};
use sha2::{Digest as _, Sha256};

use crate::import_process::{receive, tell};
use crate::output;

/// The first argument that makes this program the builder.
pub(crate) const ARGUMENT: &str = "corpus-process";
/// As `ps` shows it.
pub(crate) const NAME: &str = "cloister-corpus";
/// A segment's own description, in its folder.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Bytes of that at most.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 1 << 16;

const SOCKET: RawFd = 3;
const OVERSIGHT: RawFd = 4;
/// Packs of large repositories are mapped as a whole; segments come on top of that.
const MEMORY_BYTES_MAX: u64 = 64 << 30;
const OPEN_FILES_MAX: u64 = 4096;
/// Between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Bytes that are hashed at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Files that are named as damaged at most; a segment has fewer.
const DAMAGED_MAX: usize = 64;

/// What the builder's probes must find closed: the data directory, where there is one, and what everybody can read, unless that
/// was granted.
pub(crate) fn places(data: Option<&Path>, task: &BuildTask) -> Places {
    let (read_only, read_write) = granted(task);
    let of_data = ["", "keys", "notary", "ledger", "identity", "models", "run"];
    let closed = data.into_iter().flat_map(|data| of_data.map(|name| data.join(name)));
    let is_granted =
        |path: &PathBuf| read_only.iter().chain(&read_write).any(|granted| path.starts_with(granted));
    let of_all = ["/", "/tmp"].map(PathBuf::from).into_iter().filter(|path| !is_granted(path));
    Places { closed: closed.chain(of_all).collect(), ..Places::default() }
}

/// What must be readable so that a source is: what a Debian source package names lies beside it.
pub(crate) fn reach(source: &Path) -> PathBuf {
    let is_dsc = source.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dsc"));
    source.parent().filter(|_| is_dsc).unwrap_or(source).to_owned()
}

/// What may be read, and what may be written.
fn granted(task: &BuildTask) -> (Vec<PathBuf>, Vec<PathBuf>) {
    match task {
        BuildTask::Build { sources, building, .. } => {
            (sources.iter().map(|source| reach(&path(source))).collect(), vec![path(building)])
        }
        BuildTask::Merge { segments, building, .. } => {
            (segments.iter().map(|segment| path(segment)).collect(), vec![path(building)])
        }
        BuildTask::Verify { segment } => (vec![path(segment)], Vec::new()),
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// Ends when it has answered and whoever asked has closed the line.
pub(crate) fn main() -> ExitCode {
    let ends =
        jail::spawn::inherited(SOCKET).and_then(|socket| Ok((socket, jail::spawn::inherited(OVERSIGHT)?)));
    let (socket, oversight) = match ends {
        Ok((socket, oversight)) => (UnixStream::from(socket), oversight),
        Err(error) => {
            output::report(&error);
            return ExitCode::FAILURE;
        }
    };
    let answer = answer(&socket, oversight)
        .unwrap_or_else(|error| BuildAnswer::Failed { reason: output::on_one_line(&*error) });
    // Until then it can still be probed, however little there was to do.
    let told = tell(&socket, &answer).and_then(|()| receive::<()>(&socket));
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer(socket: &UnixStream, oversight: std::os::fd::OwnedFd) -> Result<BuildAnswer, Box<dyn Error>> {
    let request: BuildRequest = receive(socket)?.ok_or("nothing was asked")?;
    if request.version != VERSION {
        return Err(format!("asked in version {}, this is {VERSION}", request.version).into());
    }
    jail::spawn::leave_standard_error()?;
    let (read_only, read_write) = granted(&request.task);
    let jailed = jail::apply(&jail::Jail {
        name: NAME.to_owned(),
        kind: jail::Kind::Indexer,
        parent_pid: request.parent_pid,
        read_write,
        // What is not there cannot be granted; the reader then says that it is not there.
        read_only: read_only.into_iter().filter(|path| path.exists()).collect(),
        keep_fds: vec![SOCKET, OVERSIGHT],
        memory_bytes_max: Some(MEMORY_BYTES_MAX.saturating_add(request.mapped_bytes)),
        open_files_max: OPEN_FILES_MAX,
        accept: jail::weaker::parse_all(&request.accept)?,
    });
    let applied = jailed.map_err(|error| {
        format!("it cannot be jailed, so nothing was opened: {}", output::on_one_line(&error))
    })?;
    if let Some(warning) = applied.warning() {
        tell(socket, &BuildAnswer::Weakened { warning })?;
    }
    let data = request.data.as_deref().map(path);
    jail::oversight::answer(oversight, &applied, places(data.as_deref(), &request.task))?;
    // Nobody would read what the standard library says of a panic; it is told below.
    std::panic::set_hook(Box::new(|_| ()));
    let options =
        Options { threads: usize::try_from(request.threads).unwrap_or(1).max(1), ..Options::default() };
    let done = catch_unwind(AssertUnwindSafe(|| match &request.task {
        BuildTask::Build { name, sources, building } => {
            let sources: Vec<PathBuf> = sources.iter().map(|source| path(source)).collect();
            build(socket, name, &sources, &path(building).join(SEGMENT), options)
        }
        BuildTask::Merge { name, segments, building } => {
            let segments: Vec<PathBuf> = segments.iter().map(|segment| path(segment)).collect();
            merge(socket, name, &segments, &path(building).join(SEGMENT), options)
        }
        BuildTask::Verify { segment } => verify(&path(segment)),
    }));
    let panicked = |payload: Box<dyn std::any::Any + Send>| {
        let words = payload.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
        Err(format!("what reads sources failed, which it must not, whatever it reads: {words}").into())
    };
    done.unwrap_or_else(panicked)
}

/// Reads all sources, and makes one segment of what they hold.
fn build(
    socket: &UnixStream,
    name: &str,
    sources: &[PathBuf],
    segment: &Path,
    options: Options,
) -> Result<BuildAnswer, Box<dyn Error>> {
    let mut builder = Builder::new(segment, name, options)?;
    let (mut files_before, mut bytes_before) = (0, 0);
    let mut told: Option<Instant> = None;
    for (number, source) in sources.iter().enumerate() {
        let number = u32::try_from(number)?;
        let (mut refused, mut too_long) = (None, 0);
        let mut take = |bytes: &[u8], origin| match builder.add(bytes, origin) {
            Ok(()) => ControlFlow::Continue(()),
            // What says more of one file than fits is no reason to have none of the others.
            Err(BuildError::TooLong { .. }) => {
                too_long += 1;
                ControlFlow::Continue(())
            }
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        };
        let mut progress = |done: Progress| {
            if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
                told = Some(Instant::now());
                let (files, bytes) = (files_before + done.files, bytes_before + done.bytes);
                // Whoever is gone ends this process, too.
                let _gone = tell(socket, &BuildAnswer::Progress { source: number, files, bytes });
            }
        };
        let summary =
            ::corpora::read(&Source::detect(source)?, &Limits::default(), &mut take, &mut progress)?;
        if let Some(error) = refused {
            return Err(error.into());
        }
        files_before += summary.files;
        bytes_before += summary.bytes;
        let mut left_out: Vec<(String, u64)> =
            summary.left_out.iter().map(|(reason, files)| (in_words(reason).to_owned(), files)).collect();
        if too_long > 0 {
            left_out.push(("what is known of it is too long".to_owned(), too_long));
        }
        let files = summary.files.saturating_sub(too_long);
        let (package, version, commit) = (summary.package, summary.version, summary.commit);
        tell(socket, &BuildAnswer::Read { source: number, package, version, commit, files, left_out })?;
    }
    tell(socket, &BuildAnswer::Writing)?;
    done(&builder.finish()?)
}

/// Why a file is left out.
fn in_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Binary => "no text",
        Reason::Empty => "empty",
        Reason::TooLarge => "too large",
        Reason::NoFile => "no plain file",
        Reason::Submodule => "a repository inside",
        Reason::Path => "its path is no name in the source",
        Reason::Unreadable => "damaged, encrypted, or packed in an unknown way",
    }
}

/// Makes one segment of several, each of which is verified.
fn merge(
    socket: &UnixStream,
    name: &str,
    folders: &[PathBuf],
    segment: &Path,
    options: Options,
) -> Result<BuildAnswer, Box<dyn Error>> {
    let opened: Vec<Segment> =
        folders.iter().map(|folder| Segment::open(folder)).collect::<Result<_, _>>()?;
    tell(socket, &BuildAnswer::Writing)?;
    done(&segment::merge(&opened.iter().collect::<Vec<_>>(), segment, name, options)?)
}

fn done(manifest: &Manifest) -> Result<BuildAnswer, Box<dyn Error>> {
    let root: Digest = format!("sha256:{}", manifest.root).parse()?;
    Ok(BuildAnswer::Done { root, documents: manifest.documents.into(), bytes: manifest.source_bytes })
}

/// Hashes all of a segment, and names what is not as it was written.
fn verify(folder: &Path) -> Result<BuildAnswer, Box<dyn Error>> {
    let opened = match Segment::open(folder) {
        Err(error @ (OpenError::Version { .. } | OpenError::Io { .. })) => match differing(folder)? {
            // Nothing is wrong with its files: it is another version's, or cannot be read.
            files if files.is_empty() => return Err(error.into()),
            files => return Ok(BuildAnswer::Damaged { files }),
        },
        opened => opened,
    };
    let verified = opened.map_err(|error| output::on_one_line(&error)).and_then(|segment| {
        segment.verify().map_err(|error| output::on_one_line(&error))?;
        Ok(segment)
    });
    let files = match verified {
        Ok(segment) => match strangers(folder, segment.manifest())? {
            files if files.is_empty() => return done(segment.manifest()),
            files => files,
        },
        Err(what) => match differing(folder)? {
            files if files.is_empty() => vec![(MANIFEST.to_owned(), what)],
            files => files,
        },
    };
    Ok(BuildAnswer::Damaged { files })
}

/// Files that are not what the manifest says.
fn differing(folder: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut text = Vec::new();
    let read = File::open(folder.join(MANIFEST))
        .and_then(|file| file.take(MANIFEST_BYTES_MAX).read_to_end(&mut text));
    if let Err(error) = read {
        return Ok(vec![(MANIFEST.to_owned(), format!("it cannot be read: {error}"))]);
    }
    let manifest: Manifest = match serde_json::from_slice(&text) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(vec![(MANIFEST.to_owned(), format!("it is no manifest: {error}"))]),
    };
    let mut files = strangers(folder, &manifest)?;
    for listed in manifest.files.iter().take(DAMAGED_MAX) {
        // A name that leads elsewhere is none of a segment's; the jail would not open it either.
        if listed.name.contains('/') {
            files.push((MANIFEST.to_owned(), "it names a file that no segment has".to_owned()));
            continue;
        }
        let what = match hash(&folder.join(&listed.name)) {
            Ok((found, bytes)) if bytes != listed.bytes => {
                format!("it has {bytes} bytes instead of {}, and the digest {found}", listed.bytes)
            }
            Ok((found, _)) if found.hex() != listed.sha256 => format!("its digest is {found}"),
            Ok(_) => continue,
            Err(error) => format!("it cannot be read: {error}"),
        };
        files.push((listed.name.clone(), what));
    }
    Ok(files)
}

/// Files beside those of the manifest.
fn strangers(folder: &Path, manifest: &Manifest) -> io::Result<Vec<(String, String)>> {
    let mut strangers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != MANIFEST && !manifest.files.iter().any(|listed| listed.name == name) {
            strangers.push((name, "it is none of the segment's".to_owned()));
            if strangers.len() == DAMAGED_MAX {
                break;
            }
        }
    }
    strangers.sort();
    Ok(strangers)
}

fn hash(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut chunk, mut bytes) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        let read = file.read(&mut chunk)?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        bytes += read as u64;
    }
    Ok((Digest(hasher.finalize().into()), bytes))
}
