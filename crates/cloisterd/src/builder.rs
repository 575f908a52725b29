//! The command's side of a corpus builder: it starts the process, shows how far it is, has it try to get out of its jail,
//! and believes nothing of what comes back but what it parses strictly. Whatever comes of it, the process ends first.

use std::error::Error;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gguf::inspect::shortened;
use indicatif::ProgressBar;
use jail::Kind;
use jail::oversight::{Heard, Oversight};
use jail::probe::{ProbeResult, Verdict};
use jail::spawn::Child;
use protocol::Digest;
use protocol::corpora::{BuildAnswer, BuildRequest, BuildTask, VERSION};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;

use crate::corpus_process::{self, ARGUMENT, NAME};
use crate::data::Data;
use crate::import_process::{receive, tell};
use crate::output::{self, Hinted};
use crate::settings::Settings;

/// Characters of a text that is shown.
const WORDS_CHARACTERS_MAX: usize = 2048;
/// Reasons for which files of one source are left out, and files of a segment that are damaged.
const ROWS_MAX: usize = 64;
/// Until its probes must have been answered.
const PROBES_WAIT_MAX: Duration = Duration::from_secs(30);

/// A running builder. Dropping it ends the process.
pub(crate) struct Builder {
    socket: UnixStream,
    child: Child,
    oversight: Oversight,
    sources: usize,
}

/// What came of it.
pub(crate) enum Came {
    /// A segment that is right.
    Segment(Built),
    /// The segment that was to be verified is not: each file, and what is wrong with it.
    Damaged(Vec<(String, String)>),
}

/// A segment that is right.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Built {
    /// Its digest.
    pub(crate) root: Digest,
    /// Files in it, each with its bytes once.
    pub(crate) documents: u64,
    /// Bytes of these.
    pub(crate) bytes: u64,
    /// What was read for it, where it was built.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<SourceRead>,
}

/// What was read of a source.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SourceRead {
    pub(crate) package: String,
    pub(crate) version: Option<String>,
    pub(crate) commit: Option<String>,
    /// Files that were taken.
    pub(crate) files: u64,
    /// Files that were not: why, and how many.
    pub(crate) left_out: Vec<(String, u64)>,
}

impl Builder {
    /// Starts one, and tells it what to do. `data` is closed to it; there need be none.
    pub(crate) fn start(
        data: Option<&Data>,
        settings: &Settings,
        task: BuildTask,
    ) -> Result<Builder, Box<dyn Error>> {
        let (socket, theirs) = UnixStream::pair()?;
        let places = corpus_process::places(data.map(Data::root), &task);
        let (oversight, its_end) = Oversight::of(Kind::Indexer, places)?;
        let program = std::env::current_exe()?;
        let child = jail::spawn::spawn(&jail::spawn::Command {
            program: jail::spawn::Program::Path(&program),
            name: NAME,
            arguments: &[ARGUMENT],
            environment: &[],
            descriptors: &[theirs.as_fd(), its_end.as_fd()],
        })?;
        drop((theirs, its_end));
        let sources = if let BuildTask::Build { sources, .. } = &task { sources.len() } else { 0 };
        let builder = Builder { socket, child, oversight, sources };
        let request = BuildRequest {
            version: VERSION,
            parent_pid: std::process::id(),
            accept: settings.jail.accept_names(),
            data: data.map(|data| bytes(data.root())),
            mapped_bytes: mapped_bytes(&task)?,
            task,
            threads: settings.threads(),
        };
        tell(&builder.socket, &request)?;
        builder.oversight.ask()?;
        Ok(builder)
    }

    /// Shows how far it is, until it is done. A jail that does not hold is an error, whatever was built in it.
    pub(crate) fn finish(mut self, bar: &ProgressBar) -> Result<Came, Box<dyn Error>> {
        let mut read: Vec<SourceRead> = Vec::new();
        let mut weakened = false;
        let came = loop {
            let answer = receive(&self.socket)
                .map_err(|error| format!("the corpus builder gave no answer that makes sense: {error}"))?;
            match answer {
                Some(BuildAnswer::Weakened { warning }) if !weakened => {
                    weakened = true;
                    bar.suspend(|| output::say(&fit(&warning)));
                }
                Some(BuildAnswer::Progress { files, .. }) => bar.set_position(files),
                Some(BuildAnswer::Writing) if read.len() == self.sources => {
                    bar.set_message("writing the corpus")
                }
                Some(BuildAnswer::Read { source, package, version, commit, files, left_out })
                    if usize::try_from(source) == Ok(read.len()) && read.len() < self.sources =>
                {
                    let fit_row = |(reason, files): (String, u64)| (fit(&reason), files);
                    read.push(SourceRead {
                        package: fit(&package),
                        version: version.as_deref().map(fit),
                        commit: commit.as_deref().map(fit),
                        files,
                        left_out: left_out.into_iter().take(ROWS_MAX).map(fit_row).collect(),
                    });
                }
                Some(BuildAnswer::Done { root, documents, bytes }) if read.len() == self.sources => {
                    break Came::Segment(Built { root, documents, bytes, sources: read });
                }
                Some(BuildAnswer::Damaged { files }) if !files.is_empty() => {
                    let fit_row = |(name, what): (String, String)| (fit(&name), fit(&what));
                    break Came::Damaged(files.into_iter().take(ROWS_MAX).map(fit_row).collect());
                }
                Some(BuildAnswer::Failed { reason }) => return Err(fit(&reason).into()),
                Some(_) => return Err("the corpus builder answered what was not asked".into()),
                None => {
                    let hint =
                        "try once more with each source alone: one of them is damaged, or made to do this";
                    return Err(Hinted::new("the corpus builder ended, and gave no answer", hint).into());
                }
            }
        };
        self.holds()?;
        Ok(came)
    }

    /// What it tried from inside its jail, on two threads.
    fn holds(&mut self) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + PROBES_WAIT_MAX;
        loop {
            match self.oversight.hear()? {
                Some(Heard::Applied) => {}
                Some(Heard::Probed(rows)) => {
                    let failed = |row: &&ProbeResult| matches!(row.verdict, Verdict::Fail);
                    return match rows.iter().find(failed) {
                        None => Ok(()),
                        Some(row) => {
                            let hint = "nothing of it is used; `cloisterd jail probe` tries the other jails of this machine";
                            let what = format!("the jail of the corpus builder does not hold: {row}");
                            Err(Hinted::new(what, hint).into())
                        }
                    };
                }
                Some(Heard::Ended) => return Err("the corpus builder ended before its jail was tried".into()),
                None => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err("the corpus builder does not say what its jail keeps it from".into());
                    }
                    let mut watched = [PollFd::new(&self.oversight, PollFlags::IN)];
                    let seconds = i64::try_from(left.as_secs()).unwrap_or(0);
                    let timeout = Timespec { tv_sec: seconds, tv_nsec: i64::from(left.subsec_nanos()) };
                    rustix::event::poll(&mut watched, Some(&timeout))?;
                }
            }
        }
    }
}

/// Nothing of it writes once the command goes on, or gives up.
impl Drop for Builder {
    fn drop(&mut self) {
        // Refused where it was waited for already.
        if self.child.kill().is_ok() {
            let _ended = self.child.wait();
        }
    }
}

/// A path, in whatever bytes it is.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// Bytes of the segments that are mapped for a task.
fn mapped_bytes(task: &BuildTask) -> Result<u64, Box<dyn Error>> {
    let segments = match task {
        BuildTask::Build { .. } => &[],
        BuildTask::Merge { segments, .. } => segments.as_slice(),
        BuildTask::Verify { segment } => std::slice::from_ref(segment),
    };
    let folders = segments.iter().map(|segment| PathBuf::from(std::ffi::OsStr::from_bytes(segment)));
    folders.map(|folder| folder_bytes(&folder)).sum()
}

/// Bytes of the files of a segment's folder.
pub(crate) fn folder_bytes(folder: &Path) -> Result<u64, Box<dyn Error>> {
    let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", folder.display());
    let mut sum: u64 = 0;
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let metadata = entry.and_then(|entry| entry.metadata()).map_err(cannot)?;
        sum = sum.saturating_add(metadata.len());
    }
    Ok(sum)
}

/// On one line, of a bearable length.
fn fit(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shortened(&text, WORDS_CHARACTERS_MAX)
}
