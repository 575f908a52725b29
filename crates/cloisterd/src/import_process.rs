//! The importer's process: this program again, started by a command that looks into a stranger's medium, with one
//! socket. It is told what to do by one frame, jails itself while it has one thread, and only then opens anything.
//!
//! From then on it can read the medium and the roots that are believed, write the vault's blobs and unfinished
//! copies, and answer. It has no network, no terminal, no key and no ledger. What it answers is
//! [`importer`](crate::importer)'s to judge.

use std::error::Error;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use models::import::{INCOMING, ImportPolicy};
use models::media::{self, Options};
use models::object::{Kind, Name, Object};
use models::vault::Vault;
use protocol::frame;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::commands::model::trust;
use crate::output::{self, Hinted};

/// The first argument that makes this program the importer.
pub(crate) const ARGUMENT: &str = "import-process";
/// The second, where it only tries to get out of its jail.
pub(crate) const PROBE: &str = "--probe";
/// As `ps` shows it.
pub(crate) const NAME: &str = "cloister-import";
/// Causes of a failure that are told at most.
pub(crate) const CAUSES_MAX: usize = 16;

const SOCKET: RawFd = 3;
/// A header as large as `gguf` takes costs some hundred MiB once it is parsed; files are read in chunks.
const MEMORY_BYTES_MAX: u64 = 2 << 30;
/// A folder that is listed, a file and its copy.
const OPEN_FILES_MAX: u64 = 64;
/// Between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// What the importer is to do: its first and only message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Who asks, and must outlive it.
    pub(crate) parent_pid: u32,
    /// Names of what its jail may go without, where the kernel lacks it.
    pub(crate) accept: Vec<String>,
    pub(crate) task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    Import(Box<Import>),
}

/// A medium to copy into the vault.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) medium: FilePath,
    /// The vault, with all its folders.
    pub(crate) vault: FilePath,
    pub(crate) name: Option<Name>,
    pub(crate) version: Option<Name>,
    pub(crate) kind: Option<Kind>,
    pub(crate) signature: Option<FilePath>,
    pub(crate) serve: bool,
    /// Whether it is to be a corpus of known code; it must not be one otherwise.
    pub(crate) corpus: bool,
    pub(crate) unsigned: bool,
    /// The time for certificates, in seconds since 1970.
    pub(crate) now_unix_s: u64,
}

/// What the importer answers: any number of the first sorts, then one of the last.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The jail goes without something that was accepted. First, and only then.
    Weakened { warning: String },
    /// The medium is one, and calls itself so.
    Opened { name: Name },
    /// Bytes.
    Progress { done: u64, total: u64 },
    /// The vault has the files. The object's description, in its one spelling.
    Staged { object: Vec<u8> },
    /// What was tried of the jail, in JSON.
    Probed { rows: Vec<u8> },
    /// The jail could not be applied: nothing was opened.
    Unjailed(Failure),
    /// Why nothing comes of it.
    Failed(Failure),
}

/// An error, as far as it can cross between processes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// The error, then what caused it, at most [`CAUSES_MAX`] in all.
    pub(crate) chain: Vec<String>,
    /// What to do about it; perhaps nothing.
    pub(crate) hint: String,
}

/// An absolute path, in whatever bytes it is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FilePath(Vec<u8>);

impl FilePath {
    /// The importer has the command's working directory, but may not look where that is.
    pub(crate) fn absolute(path: &Path) -> std::io::Result<FilePath> {
        Ok(FilePath(std::path::absolute(path)?.as_os_str().as_bytes().to_vec()))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.0.clone()))
    }
}

impl Failure {
    fn of(error: &(dyn Error + 'static)) -> Failure {
        let mut chain = vec![error.to_string()];
        let mut cause = error.source();
        while let Some(error) = cause.filter(|_| chain.len() < CAUSES_MAX) {
            chain.push(error.to_string());
            cause = error.source();
        }
        let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint().to_owned());
        Failure { chain, hint: hint.unwrap_or_default() }
    }
}

/// Ends when it has answered.
pub(crate) fn main() -> ExitCode {
    let socket = match jail::spawn::inherited(SOCKET) {
        Ok(socket) => UnixStream::from(socket),
        Err(error) => {
            output::report(&error);
            return ExitCode::FAILURE;
        }
    };
    let answered = match run(&socket) {
        Ok(answer) => tell(&socket, &answer),
        // Nobody that could be told of it has asked.
        Err(error) => Err(error),
    };
    if answered.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(socket: &UnixStream) -> Result<Answer, Box<dyn Error>> {
    let request: Request = receive(socket)?.ok_or("nothing was asked")?;
    if let Err(error) = jail::spawn::leave_standard_error() {
        return Ok(Answer::Unjailed(Failure::of(&error)));
    }
    let accept = jail::weaker::parse_all(&request.accept)?;
    match jail::apply(&request.jail(accept)) {
        Ok(applied) => {
            if let Some(warning) = applied.warning() {
                tell(socket, &Answer::Weakened { warning })?;
            }
        }
        Err(error) => return Ok(Answer::Unjailed(Failure::of(&error))),
    }
    // Nobody would read what the standard library says of a panic; it is told below.
    std::panic::set_hook(Box::new(|_| ()));
    let done = catch_unwind(AssertUnwindSafe(|| {
        if std::env::args().nth(2).as_deref() == Some(PROBE) {
            return probe(&request.task);
        }
        match &request.task {
            Task::Import(import) => import.run(socket),
        }
    }));
    let panicked = |payload: Box<dyn std::any::Any + Send>| {
        let words = payload.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default();
        Err(format!("what reads media failed, which it must not, whatever it reads: {words}").into())
    };
    Ok(done.unwrap_or_else(panicked).unwrap_or_else(|error| Answer::Failed(Failure::of(&*error))))
}

impl Request {
    fn jail(&self, accept: Vec<jail::Weaker>) -> jail::Jail {
        let (read_only, read_write) = match &self.task {
            Task::Import(import) => import.places(),
        };
        jail::Jail {
            name: NAME.to_owned(),
            kind: jail::Kind::Importer,
            parent_pid: self.parent_pid,
            read_write,
            // What is not there cannot be granted; the reader then says that it is not there.
            read_only: read_only.into_iter().filter(|path| path.exists()).collect(),
            keep_fds: vec![SOCKET],
            memory_bytes_max: Some(MEMORY_BYTES_MAX),
            open_files_max: OPEN_FILES_MAX,
            accept,
        }
    }
}

impl Import {
    /// What may be read, and what may be written: of the vault not its descriptions, locks, proofs and roots.
    fn places(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let vault = self.vault.path();
        let mut read_only = vec![self.medium.path(), vault.join("trust")];
        read_only.extend(self.signature.as_ref().map(FilePath::path));
        (read_only, vec![vault.join("blobs"), vault.join(INCOMING)])
    }

    fn run(&self, socket: &UnixStream) -> Result<Answer, Box<dyn Error>> {
        let options = Options {
            name: self.name.clone(),
            version: self.version.clone(),
            kind: self.kind,
            signature: self.signature.as_ref().map(FilePath::path),
            serve: self.serve,
        };
        let medium = media::open(&self.medium.path(), &options)?;
        if let Some(error) = other_kind(medium.kind, self.corpus) {
            return Err(error.into());
        }
        tell(socket, &Answer::Opened { name: medium.name.clone() })?;
        let vault = self.vault.path();
        let trust = trust::trusted(&vault.join("trust"))?;
        let policy = ImportPolicy { trust: &trust, unsigned: self.unsigned, now_unix_s: self.now_unix_s };
        let mut told: Option<Instant> = None;
        let object: Object = Vault::open(&vault)?.stage(&medium, &policy, &mut |done, total| {
            if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
                told = Some(Instant::now());
                // Whoever is gone ends this process, too.
                let _gone = tell(socket, &Answer::Progress { done, total });
            }
        })?;
        Ok(Answer::Staged { object: object.bytes() })
    }
}

/// Why what a medium carries is not what it was asked for; nothing where it is.
pub(crate) fn other_kind(kind: Kind, corpus: bool) -> Option<Hinted> {
    match (kind == Kind::Corpus, corpus) {
        (true, false) => {
            let hint = "import it with `cloisterd corpus import`: it is matched with, and never serves";
            Some(Hinted::new("it is a corpus of known code, and no model", hint))
        }
        (false, true) => {
            let hint = "import it with `cloisterd model import`";
            Some(Hinted::new("it is no corpus of known code", hint))
        }
        _ => None,
    }
}

/// Tries to get out, and to write where nothing may be written.
fn probe(task: &Task) -> Result<Answer, Box<dyn Error>> {
    let Task::Import(import) = task;
    let (read_only, read_write) = import.places();
    let vault = import.vault.path();
    let data = vault.parent().ok_or("the vault lies in no data directory")?;
    let mut closed: Vec<PathBuf> = ["locks", "promotions"].map(|name| vault.join(name)).into();
    closed.extend(["keys", "ledger", "identity"].map(|name| data.join(name)));
    closed.extend([vault.clone(), data.to_owned(), "/tmp".into(), "/".into()]);
    let places = jail::probe::Places { read_only, read_write, closed };
    let rows = jail::probe::run_on_threads(jail::Kind::Importer, &places, 2);
    Ok(Answer::Probed { rows: serde_json::to_vec(&rows)? })
}

/// Sends a message.
pub(crate) fn tell<T: Serialize>(mut socket: &UnixStream, message: &T) -> Result<(), Box<dyn Error>> {
    Ok(socket.write_all(&frame::encode(message)?)?)
}

/// Receives a message; `None` at the peer's end, even in the middle of one.
pub(crate) fn receive<T: DeserializeOwned>(mut socket: &UnixStream) -> Result<Option<T>, Box<dyn Error>> {
    let mut header = [0; frame::HEADER_BYTES];
    match socket.read_exact(&mut header) {
        Err(error) if is_end(&error) => return Ok(None),
        read => read?,
    }
    let mut payload = vec![0; frame::payload_len(header)?];
    match socket.read_exact(&mut payload) {
        Err(error) if is_end(&error) => return Ok(None),
        read => read?,
    }
    Ok(Some(frame::decode(&payload)?))
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset)
}
