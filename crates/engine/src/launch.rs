//! Starting a worker, in the supervisor: a program that was hashed while it was copied into memory, a
//! model likewise, one socket, and nothing else. The worker jails itself before it reads any of it. A relay is a
//! worker without a model.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use jail::Kind;
use jail::oversight::Oversight;
use jail::probe::Places;
use jail::sealed::{Purpose, SealError, SealedFile};
use jail::spawn::{Child, Command, Program, SpawnError};
use protocol::Digest;
use protocol::frame::{self, FrameError};
use protocol::relay::RelaySettings;
use protocol::worker::{Device, OLDEST, ToWorker, VERSION, WorkerSettings};
use sha2::{Digest as _, Sha256};

use crate::spoken::Marks;

/// The longest worker program, in bytes.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;

/// How often an OpenMP thread looks for work before it sleeps. By default it looks for milliseconds: where anything else
/// wants the cores, a generation then took ten times as long. So often, it waits for some tens of microseconds: alone that
/// costs 3 %, beside one busy process it takes 40 % off what ten times as often takes (BENCHMARKS.md).
const SPIN: (&str, &str) = ("GOMP_SPINCOUNT", "1000");

/// The driver's library keeps no programs that it compiled in the home of whoever runs it.
const NO_CUDA_CACHE: (&str, &str) = ("CUDA_CACHE_DISABLE", "1");

/// A file that cannot change any more, with the digest of what is in it.
#[derive(Debug)]
pub struct Frozen {
    file: SealedFile,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// The version of the conversation that it marks itself with: what an engine speaks.
    marked: Option<u32>,
    path: PathBuf,
}

/// A worker that was started. It may still fail: its process ends then.
#[derive(Debug)]
pub struct Launched {
    /// The process.
    pub child: Child,
    /// The gateway's end of its socket.
    pub socket: UnixStream,
    /// The supervisor's line to its jail.
    pub oversight: Oversight,
}

/// Why a worker was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A file cannot be opened.
    #[error("{} cannot be opened", .0.display())]
    Open(PathBuf, #[source] std::io::Error),
    /// A file cannot be copied into memory.
    #[error("{} cannot be copied into a sealed file", .0.display())]
    Seal(PathBuf, #[source] SealError),
    /// A file is not what its deployment's lock says.
    #[error("{path} has {found}, not the {expected} that the deployment pins: refused", path = .path.display())]
    Digest {
        /// Which file.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// The lock's.
        expected: Digest,
    },
    /// An engine's program speaks no version that this daemon does.
    #[error(
        "{} speaks version {spoken} of the conversation with workers, and this daemon {OLDEST} to {VERSION}: \
         use the engine that came with it, or for an old record the daemon that came with that engine", path.display()
    )]
    Spoken {
        /// Which program.
        path: PathBuf,
        /// Its version.
        spoken: u32,
    },
    /// An engine's program is older than what its settings ask for.
    #[error("{} was built before engines could use a GPU", .0.display())]
    NoGpu(PathBuf),
    /// A program says of itself that it speaks several versions.
    #[error("{} marks itself with several versions of the conversation with workers", .0.display())]
    Marks(PathBuf),
    /// The process cannot be started.
    #[error("the worker process cannot be started")]
    Spawn(#[source] SpawnError),
    /// Its socket cannot be made or written.
    #[error("the worker's socket failed")]
    Socket(#[source] std::io::Error),
}

/// Copies a program into a sealed file.
pub fn freeze_program(path: &Path) -> Result<Frozen, LaunchError> {
    let mut marks = Marks::default();
    let frozen = freeze(path, Purpose::Program, PROGRAM_BYTES_MAX, &mut |chunk| marks.read(chunk))?;
    let marked = marks.version().map_err(|_| LaunchError::Marks(path.to_owned()))?;
    Ok(Frozen { marked, ..frozen })
}

/// Copies a model into a sealed file. `progress` gets the bytes done after each chunk.
pub fn freeze_model(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Frozen, LaunchError> {
    let mut done = 0;
    freeze(path, Purpose::Data, u64::MAX, &mut |chunk| {
        done += chunk.len() as u64;
        progress(done);
    })
}

impl Frozen {
    /// Refuses a file that is not the one pinned.
    pub fn expect(&self, expected: Digest) -> Result<(), LaunchError> {
        if self.digest == expected {
            return Ok(());
        }
        Err(LaunchError::Digest { path: self.path.clone(), found: self.digest, expected })
    }

    /// The version that an engine speaks. Those of before there were marks speak the oldest.
    fn spoken(&self) -> u32 {
        self.marked.unwrap_or(OLDEST)
    }

    /// An engine's settings, in its own words.
    fn settings(&self, settings: &WorkerSettings) -> Result<Vec<u8>, LaunchError> {
        let spoken = self.spoken();
        if !(OLDEST..=VERSION).contains(&spoken) {
            return Err(LaunchError::Spoken { path: self.path.clone(), spoken });
        }
        let frame = settings.frame(spoken).ok_or_else(|| LaunchError::NoGpu(self.path.clone()))?;
        frame.map_err(unsaid)
    }
}

/// Starts a worker on a model, and greets it.
pub fn launch(program: &Frozen, model: &Frozen, settings: &WorkerSettings) -> Result<Launched, LaunchError> {
    let words = [program.settings(settings)?, greeting(program.spoken())?].concat();
    start(program, &words, &engine(&[], model, settings.device))
}

/// Starts a worker that only tries to get out of its jail, and answers with what happened: a frame of
/// `Vec<jail::probe::ProbeResult>` on the socket.
pub fn launch_probe(
    program: &Frozen,
    model: &Frozen,
    settings: &WorkerSettings,
) -> Result<Launched, LaunchError> {
    start(program, &program.settings(settings)?, &engine(&["--probe"], model, settings.device))
}

/// Starts a relay to an upstream engine, and greets it. It gets nothing but its socket; it finds the upstream's by the
/// path in its settings, before it jails itself.
pub fn launch_relay(program: &Frozen, settings: &RelaySettings) -> Result<Launched, LaunchError> {
    let words = [frame::encode(settings).map_err(unsaid)?, greeting(VERSION)?].concat();
    start(program, &words, &relay(&[]))
}

/// Starts a relay that only tries to get out of its jail; as [`launch_probe`].
pub fn launch_relay_probe(program: &Frozen, settings: &RelaySettings) -> Result<Launched, LaunchError> {
    start(program, &frame::encode(settings).map_err(unsaid)?, &relay(&["--probe"]))
}

fn greeting(version: u32) -> Result<Vec<u8>, LaunchError> {
    frame::encode(&ToWorker::Hello { version }).map_err(unsaid)
}

fn unsaid(error: FrameError) -> LaunchError {
    LaunchError::Socket(std::io::Error::other(error))
}

/// How a kind of worker is started.
struct Start<'a> {
    name: &'a str,
    arguments: &'a [&'a str],
    environment: &'a [(&'a str, &'a str)],
    model: Option<&'a Frozen>,
    kind: Kind,
}

fn engine<'a>(arguments: &'a [&'a str], model: &'a Frozen, device: Device) -> Start<'a> {
    let (environment, kind): (&[_], Kind) = match device {
        Device::Cpu => (&[SPIN], Kind::Engine),
        Device::Gpu => (&[SPIN, NO_CUDA_CACHE], Kind::GpuEngine),
    };
    Start { name: "cloister-engine", arguments, environment, model: Some(model), kind }
}

fn relay<'a>(arguments: &'a [&'a str]) -> Start<'a> {
    Start { name: "cloister-relay", arguments, environment: &[], model: None, kind: Kind::Relay }
}

/// `words` are what it hears first.
fn start(program: &Frozen, words: &[u8], how: &Start<'_>) -> Result<Launched, LaunchError> {
    let (mut ours, theirs) = UnixStream::pair().map_err(LaunchError::Socket)?;
    ours.write_all(words).map_err(LaunchError::Socket)?;
    let mut descriptors = vec![theirs.as_fd()];
    descriptors.extend(how.model.map(|model| model.file.as_fd()));
    let (oversight, its_end) = Oversight::of(how.kind, Places::default()).map_err(LaunchError::Socket)?;
    descriptors.push(its_end.as_fd());
    let child = jail::spawn::spawn(&Command {
        program: Program::File(program.file.as_fd()),
        name: how.name,
        arguments: how.arguments,
        environment: how.environment,
        descriptors: &descriptors,
    })
    .map_err(LaunchError::Spawn)?;
    Ok(Launched { child, socket: ours, oversight })
}

fn freeze(
    path: &Path,
    purpose: Purpose,
    bytes_max: u64,
    read: &mut dyn FnMut(&[u8]),
) -> Result<Frozen, LaunchError> {
    let mut file = File::open(path).map_err(|error| LaunchError::Open(path.to_owned(), error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut hasher = Sha256::new();
    let observe = &mut |chunk: &[u8]| {
        hasher.update(chunk);
        read(chunk);
    };
    let file = SealedFile::fill(&name, purpose, &mut file, bytes_max, observe)
        .map_err(|error| LaunchError::Seal(path.to_owned(), error))?;
    Ok(Frozen { file, digest: Digest(hasher.finalize().into()), marked: None, path: path.to_owned() })
}
