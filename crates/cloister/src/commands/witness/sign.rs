use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use protocol::digest::hex;
use sha2::{Digest, Sha256};
use tlog::note::NOTE_BYTES_MAX;
use tlog::witness::{REQUEST_BYTES_MAX, Remembered, Request};
use tlog::{Checkpoint, CosigningKey, Note, VerifierKey};

use crate::commands::Session;
use crate::failure::Failure;
use crate::file;

/// Bytes of a key or of what is remembered of a log.
const SMALL_FILE_BYTES_MAX: u64 = 64 << 10;

/// Cosigns a ledger's checkpoint, if it continues the last one cosigned
///
/// The request is what `cloisterd ledger witness export` wrote. What was cosigned last is remembered in
/// the state directory, durably, before the cosignature is given out: keep that directory, and let no
/// other key use it. A checkpoint that is older, or of another history, is refused: then tell those who
/// rely on the ledger, and keep the request, which the log signed. The answer goes back to
/// `cloisterd ledger witness import`.
///
/// Exit codes: 0 cosigned, 1 refused, 2 the arguments are wrong.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("known").required(true).args(["log", "policy"])))]
pub(crate) struct Sign {
    /// The request
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    /// The witness's secret key, as `cloister witness init` made it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The directory that remembers what was cosigned; it is made when it is not there
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The log's verifier key, or a file that holds it
    #[arg(long, value_name = "VKEY")]
    log: Option<String>,
    /// A policy that names the log (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where to write the cosigned checkpoint [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Sign {
    pub(crate) fn run(self, session: &mut Session) -> Result<ExitCode, Failure> {
        let key = file::read_text(&self.key, SMALL_FILE_BYTES_MAX)?;
        let key = CosigningKey::from_secret(key.trim_end()).map_err(|error| {
            Failure::usage(format!("{} is not a witness's key", self.key.display())).caused_by(&error)
        })?;
        let request = file::read_text(&self.request, REQUEST_BYTES_MAX as u64)?;
        let refused = || Failure::refused(format!("{} is not cosigned", self.request.display()));
        let request: Request = request.parse().map_err(|error| refused().caused_by(&error))?;
        let log = self.log_key(&request)?;

        // From here to the end nobody else may look at what is remembered.
        let state = State::open(&self.state, log.name())?;
        let before = state.remembered()?;
        let checkpoint = request.check(&log, before).map_err(|error| refused().caused_by(&error))?;
        let now_unix_s = ledger::system_clock()() / 1000;
        let line = key.cosign(&checkpoint, now_unix_s).map_err(|error| refused().caused_by(&error))?;
        state.remember(&checkpoint)?;
        let cosigned = format!("{}{line}", request.checkpoint);
        if cosigned.len() > NOTE_BYTES_MAX {
            return Err(refused().hint("Its checkpoint is too long to take another signature."));
        }
        match &self.out {
            Some(path) => file::write(path, cosigned.as_bytes())?,
            None => session.output.bytes(cosigned.as_bytes())?,
        }
        let first = if before.is_none() { ", the first of this log that this state knows" } else { "" };
        let Checkpoint { origin, size, .. } = &checkpoint;
        session.output.say(format!("cosigned {origin} with {size} leaves{first}"));
        Ok(ExitCode::SUCCESS)
    }

    /// The key of the log that the request is of.
    fn log_key(&self, request: &Request) -> Result<VerifierKey, Failure> {
        if let Some(path) = &self.policy {
            let policy = file::read_policy(path)?;
            let origin = Note::parse(&request.checkpoint)
                .ok()
                .and_then(|note| note.text().lines().next().map(str::to_owned))
                .unwrap_or_default();
            let key = policy.logs().find(|key| key.name() == origin).cloned();
            return key.ok_or_else(|| {
                Failure::refused(format!("the policy {} knows no log `{origin}`", path.display()))
            });
        }
        let given = self.log.as_deref().unwrap_or_default();
        let path = Path::new(given);
        let text =
            if path.exists() { file::read_text(path, SMALL_FILE_BYTES_MAX)? } else { given.to_owned() };
        text.trim().parse().map_err(|error| Failure::usage("the log's key cannot be used").caused_by(&error))
    }
}

/// What a witness remembers of one log: the text of the last checkpoint it cosigned, in a file named by
/// SHA-256 of the log's origin. One process at a time.
struct State {
    path: PathBuf,
    _lock: File,
}

impl State {
    fn open(directory: &Path, origin: &str) -> Result<Self, Failure> {
        fs::create_dir_all(directory).map_err(|error| Failure::file("cannot make", directory, &error))?;
        let lock = directory.join("lock");
        let locked = File::options().create(true).truncate(false).write(true).open(&lock).and_then(|file| {
            file.lock()?;
            Ok(file)
        });
        let locked = locked.map_err(|error| Failure::file("cannot lock", &lock, &error))?;
        Ok(State { path: directory.join(hex(&Sha256::digest(origin))), _lock: locked })
    }

    /// What cannot be read is an error: a witness that forgot would sign anything.
    fn remembered(&self) -> Result<Option<Remembered>, Failure> {
        let exists = self.path.try_exists();
        if !exists.map_err(|error| Failure::file("cannot read", &self.path, &error))? {
            return Ok(None);
        }
        let text = file::read_text(&self.path, SMALL_FILE_BYTES_MAX)?;
        let Checkpoint { size, root, .. } = Checkpoint::parse(&text).map_err(|error| {
            Failure::refused(format!("{} is damaged", self.path.display()))
                .caused_by(&error)
                .hint("Nothing is cosigned until it is put back from a copy that is not older.")
        })?;
        Ok(Some(Remembered { size, root }))
    }

    fn remember(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        file::keep(&self.path, checkpoint.text().as_bytes(), true)
    }
}
