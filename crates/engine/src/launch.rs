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
use protocol::frame;
use protocol::relay::RelaySettings;
use protocol::worker::{Device, WorkerSettings};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

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
    /// The process cannot be started.
    #[error("the worker process cannot be started")]
    Spawn(#[source] SpawnError),
    /// Its socket cannot be made or written.
    #[error("the worker's socket failed")]
    Socket(#[source] std::io::Error),
}

/// Copies a program into a sealed file.
pub fn freeze_program(path: &Path) -> Result<Frozen, LaunchError> {
    freeze(path, Purpose::Program, PROGRAM_BYTES_MAX, &mut |_| {})
}

/// Copies a model into a sealed file. `progress` gets the bytes done after each chunk.
pub fn freeze_model(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Frozen, LaunchError> {
    freeze(path, Purpose::Data, u64::MAX, progress)
}

impl Frozen {
    /// Refuses a file that is not the one pinned.
    pub fn expect(&self, expected: Digest) -> Result<(), LaunchError> {
        if self.digest == expected {
            return Ok(());
        }
        Err(LaunchError::Digest { path: self.path.clone(), found: self.digest, expected })
    }
}

/// Starts a worker on a model.
pub fn launch(program: &Frozen, model: &Frozen, settings: &WorkerSettings) -> Result<Launched, LaunchError> {
    start(program, settings, &engine(&[], model, settings.device))
}

/// Starts a worker that only tries to get out of its jail, and answers with what happened: a frame of
/// `Vec<jail::probe::ProbeResult>` on the socket.
pub fn launch_probe(
    program: &Frozen,
    model: &Frozen,
    settings: &WorkerSettings,
) -> Result<Launched, LaunchError> {
    start(program, settings, &engine(&["--probe"], model, settings.device))
}

/// Starts a relay to an upstream engine. It gets nothing but its socket; it finds the upstream's by the path in
/// its settings, before it jails itself.
pub fn launch_relay(program: &Frozen, settings: &RelaySettings) -> Result<Launched, LaunchError> {
    start(program, settings, &relay(&[]))
}

/// Starts a relay that only tries to get out of its jail; as [`launch_probe`].
pub fn launch_relay_probe(program: &Frozen, settings: &RelaySettings) -> Result<Launched, LaunchError> {
    start(program, settings, &relay(&["--probe"]))
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

fn start(program: &Frozen, settings: &impl Serialize, how: &Start<'_>) -> Result<Launched, LaunchError> {
    let (mut ours, theirs) = UnixStream::pair().map_err(LaunchError::Socket)?;
    let settings_frame =
        frame::encode(settings).map_err(|error| LaunchError::Socket(std::io::Error::other(error)))?;
    ours.write_all(&settings_frame).map_err(LaunchError::Socket)?;
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
    progress: &mut dyn FnMut(u64),
) -> Result<Frozen, LaunchError> {
    let mut file = File::open(path).map_err(|error| LaunchError::Open(path.to_owned(), error))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut hasher = Sha256::new();
    let mut done = 0;
    let observe = &mut |chunk: &[u8]| {
        hasher.update(chunk);
        done += chunk.len() as u64;
        progress(done);
    };
    let file = SealedFile::fill(&name, purpose, &mut file, bytes_max, observe)
        .map_err(|error| LaunchError::Seal(path.to_owned(), error))?;
    Ok(Frozen { file, digest: Digest(hasher.finalize().into()), path: path.to_owned() })
}
