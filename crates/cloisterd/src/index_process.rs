//! The indexer's process: this program again, started with two descriptors for one run over one source. It is told what
//! to do, jails itself while it has one thread, and only then opens anything.
//!
//! From then on it can read the source and the index that serves, and write the one that it makes. It has no network, no
//! other source, no key and no ledger; it runs nothing.

use std::error::Error;
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jail::channel::Channel;
use jail::probe::Places;
use protocol::context::{IndexAnswer, IndexRequest, MESSAGE_BYTES_MAX, VERSION};
use protocol::frame;
use retrieval::build::{Build, Progress, build};

use crate::output;

/// The first argument that makes this program the indexer.
pub(crate) const ARGUMENT: &str = "index-process";
/// As `ps` shows it.
pub(crate) const NAME: &str = "cloister-index";

const CHANNEL: RawFd = 3;
const OVERSIGHT: RawFd = 4;
/// Packs of large repositories are mapped as a whole.
const MEMORY_BYTES_MAX: u64 = 64 << 30;
const OPEN_FILES_MAX: u64 = 4096;
/// Between two reports of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// Files to watch at most.
const WATCH_MAX: usize = 8;

/// What the indexer's probes must find closed in a data directory. In the folder that it writes nothing is tried: a file
/// there for a moment would be a stray one in an index.
pub(crate) fn places(data: &Path) -> Places {
    let closed = ["", "keys", "notary", "ledger", "identity", "models", "run"].map(|name| data.join(name));
    let closed = closed.into_iter().chain(["/".into(), "/tmp".into()]).collect();
    Places { closed, ..Places::default() }
}

/// Ends when it has answered.
pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let channel = Channel::from_descriptor(jail::spawn::inherited(CHANNEL)?)?;
    let mut packet = vec![0; MESSAGE_BYTES_MAX];
    let (length, _) = channel.recv(&mut packet)?.ok_or("nothing was asked")?;
    let payload = packet.get(frame::HEADER_BYTES..length).ok_or("the question is too short")?;
    let request: IndexRequest = frame::decode(payload)?;
    if request.version != VERSION {
        return Err(format!("asked in version {}, this is {VERSION}", request.version).into());
    }
    let oversight = jail::spawn::inherited(OVERSIGHT)?;
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    let (root, building) = (path(&request.root), path(&request.building));
    let published = request.published.as_deref().map(path);
    let mut read_only = vec![root.clone()];
    read_only.extend(published.clone());
    let applied = jail::apply(&jail::Jail {
        name: NAME.to_owned(),
        kind: jail::Kind::Indexer,
        parent_pid: request.parent_pid,
        read_write: vec![building.clone()],
        // What is not there cannot be granted; the reader then says that it is not there.
        read_only: read_only.into_iter().filter(|path| path.exists()).collect(),
        keep_fds: vec![CHANNEL, OVERSIGHT],
        memory_bytes_max: Some(MEMORY_BYTES_MAX),
        open_files_max: OPEN_FILES_MAX,
        accept: jail::weaker::parse_all(&request.accept)?,
    })?;
    if let Some(warning) = applied.warning() {
        tell(&channel, &IndexAnswer::Weakened { warning })?;
    }
    // The data directory, from DATA/context/NAME/building.
    let data = building.ancestors().nth(3).ok_or("the index lies in no data directory")?;
    jail::oversight::answer(oversight, &applied, places(data))?;
    let asked = Build {
        root,
        branch: request.branch,
        building,
        published,
        threads: usize::try_from(request.threads).unwrap_or(1),
    };
    let mut told: Option<Instant> = None;
    let built = build(&asked, &mut |Progress { done, total }| {
        if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) {
            told = Some(Instant::now());
            // Whoever is gone ends this process, too.
            let _gone = tell(&channel, &IndexAnswer::Progress { done, total });
        }
    });
    let answer = match built {
        Ok(built) => IndexAnswer::Done {
            changed: built.changed,
            watch: built.watch.into_iter().take(WATCH_MAX).collect(),
        },
        Err(error) => IndexAnswer::Failed { reason: output::on_one_line(&error) },
    };
    tell(&channel, &answer)
}

fn tell(channel: &Channel, answer: &IndexAnswer) -> Result<(), Box<dyn Error>> {
    Ok(channel.send(&frame::encode(answer)?, &[])?)
}
