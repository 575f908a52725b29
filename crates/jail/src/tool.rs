//! Running one program of others, such as a compiler, in a jail of its own, with limits, and getting what it wrote.
//!
//! [`run`] starts the caller's own program freshly as a launcher, whose `main` calls [`launch`] first of all. The
//! launcher jails and starts the tool. Three processes come of it:
//!
//! ```text
//! caller ── keeper, outside ── keeper, inside: the first of a process namespace ── tool ── what it starts
//! ```
//!
//! The kernel ends a process namespace with its first process. So whatever the tool forked, renamed or made a daemon
//! of is gone when [`run`] returns, also when the caller is killed.
//!
//! Each run has a network, IPC and host name of its own as other jails do, and beside them a file system that holds
//! the granted paths and nothing else: what is not granted is not even seen to exist. No file of /proc can be opened.
//! Landlock says once more what may be read, written and executed; seccomp has a table of its own (`seccomp/tool.rs`), without
//! any socket. All of it binds everything that the tool starts.
//!
//! The launcher needs the right to make namespaces: it is root, or makes a user namespace. A jailed process has given
//! that right up, for good reasons, so it runs no tools itself: it asks its supervisor. Whoever calls [`run`] sees only
//! bytes, with limits, of what the tool wrote.
//!
//! What lies in scratch afterwards is a stranger's: links there point anywhere. Make scratch for the run, open what you
//! want of it beneath its descriptor, through no link, and execute none of it outside.
//!
//! What is not limited: processor time is limited for each process, and for all together by the time of the clock;
//! the length of files likewise for each file, not for all together: put `scratch` on a file system with a limit.

mod launch;
mod root;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::{
    sealed::{Purpose, SealError, SealedFile},
    spawn::{self, Command, Exit, FIRST_DESCRIPTOR, Program, SpawnError},
};

/// Descriptors of the launcher, in the order in which they are passed.
const ORDER: RawFd = FIRST_DESCRIPTOR;
const REPORT: RawFd = FIRST_DESCRIPTOR + 1;
const STDIN: RawFd = FIRST_DESCRIPTOR + 2;
const STDOUT: RawFd = FIRST_DESCRIPTOR + 3;
const STDERR: RawFd = FIRST_DESCRIPTOR + 4;

/// The longest order in bytes: arguments, environment and paths.
const ORDER_BYTES_MAX: usize = 4 << 20;

/// The longest report in bytes, so that it is written at once.
const REPORT_BYTES_MAX: usize = 4096;

/// How long after the tool's own time the launcher may take to end it, on a machine that is busy.
const GRACE: Duration = Duration::from_secs(60);

/// What the toolchain of a Debian system lies in.
const TOOLCHAIN: &[&str] =
    &["/usr", "/bin", "/lib", "/lib32", "/lib64", "/sbin", "/etc/alternatives", "/etc/ld.so.cache"];

/// What is to be run. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Task {
    /// The program's file, in `toolchain` (or in `scratch`, with `scratch_executes`). Searched nowhere.
    pub program: PathBuf,
    /// Arguments after the name, which is the program's path.
    pub arguments: Vec<OsString>,
    /// The whole environment. See [`environment`].
    pub environment: Vec<(OsString, OsString)>,
    /// Where it starts: in one of the granted directories.
    pub directory: PathBuf,
    /// What may be read and executed. Symbolic links are kept as links. See [`debian_toolchain`].
    pub toolchain: Vec<PathBuf>,
    /// Files, or directories with what is under them, that may be read. No part of their paths is a symbolic link.
    pub read_only: Vec<PathBuf>,
    /// The one directory that may be written. No part of its path is a symbolic link.
    pub scratch: PathBuf,
    /// Whether what lies in `scratch` may be executed: for running what was compiled.
    pub scratch_executes: bool,
    /// Whether there is a /proc, of the run's own processes, of which links can be read and no file can be opened. A
    /// program needs it whose libraries lie beside itself (`$ORIGIN`), such as a compiler that is not Debian's. Where a
    /// container forbids to mount one, the run is refused.
    pub finds_itself: bool,
    /// What it reads on standard input; nothing without.
    pub stdin: Option<Vec<u8>>,
    /// What it may use.
    pub limits: Limits,
}

/// What a tool may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time of the clock in milliseconds, for all of it.
    pub wall_ms_max: u64,
    /// Time of the processor in seconds, for each process.
    pub cpu_s_max: u64,
    /// Address space in bytes, for each process.
    pub memory_bytes_max: u64,
    /// Length of a file in bytes.
    pub file_bytes_max: u64,
    /// Open descriptors, for each process.
    pub open_files_max: u64,
    /// Processes and threads alive at once, for all of it; [`launch`] says how exactly.
    pub processes_max: u32,
    /// Bytes that are kept of standard output, and as many of standard error. What writes more finds a closed pipe.
    pub output_bytes_max: usize,
}

/// Enough for a compiler on one file.
impl Default for Limits {
    fn default() -> Self {
        Limits {
            wall_ms_max: 30_000,
            cpu_s_max: 30,
            memory_bytes_max: 4 << 30,
            file_bytes_max: 256 << 20,
            open_files_max: 256,
            processes_max: 64,
            output_bytes_max: 1 << 20,
        }
    }
}

/// How a run ended, and what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The tool ended; what it had started was ended with it.
    Exited(Exit),
    /// [`Limits::wall_ms_max`] was over, and all of it was ended.
    TimedOut,
}

/// What was written on one descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The first bytes, at most [`Limits::output_bytes_max`].
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}

/// How the caller's own program is started so that it calls [`launch`].
#[derive(Clone, Copy, Debug)]
pub struct Launcher<'a> {
    /// The program, such as `/proc/self/exe`.
    pub program: Program<'a>,
    /// What makes it a launcher.
    pub arguments: &'a [&'a str],
}

/// Those paths of a Debian system's toolchain that are there. They hold programs and libraries, and no data of people.
#[must_use]
pub fn debian_toolchain() -> Vec<PathBuf> {
    TOOLCHAIN.iter().map(PathBuf::from).filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// An environment that tools do well with: a search path, the C language in UTF-8, and `scratch` for temporary files
/// and as home. The variables for git keep it from asking anybody.
#[must_use]
pub fn environment(scratch: &Path) -> Vec<(OsString, OsString)> {
    let scratch = scratch.as_os_str().to_owned();
    [
        ("PATH", OsString::from("/usr/bin:/bin")),
        ("LANG", OsString::from("C.UTF-8")),
        ("HOME", scratch.clone()),
        ("TMPDIR", scratch),
        ("GIT_TERMINAL_PROMPT", OsString::from("0")),
    ]
    .into_iter()
    .map(|(name, value)| (OsString::from(name), value))
    .collect()
}

/// Runs a tool to its end, or to that of its time. An error means that it was not run, or not to its end.
///
/// Call it from a thread that lives on: the tool is ended with it.
pub fn run(launcher: &Launcher<'_>, task: &Task) -> Result<Outcome, ToolError> {
    let order = sealed("order", &Order::of(task)?)?;
    let stdin: OwnedFd = match &task.stdin {
        Some(bytes) => sealed("stdin", bytes)?.into_descriptor(),
        None => File::open("/dev/null").map_err(ToolError::pipe)?.into(),
    };
    let (report, report_writer) = pipe()?;
    let (stdout, stdout_writer) = pipe()?;
    let (stderr, stderr_writer) = pipe()?;
    let child = spawn::spawn(&Command {
        program: launcher.program,
        name: "tool-keeper",
        arguments: launcher.arguments,
        environment: &[],
        descriptors: &[
            order.as_fd(),
            report_writer.as_fd(),
            stdin.as_fd(),
            stdout_writer.as_fd(),
            stderr_writer.as_fd(),
        ],
    })
    .map_err(|source| ToolError::Launcher { source })?;
    drop((report_writer, stdout_writer, stderr_writer));

    let mut readers = [
        Reader::new(report, REPORT_BYTES_MAX * 2),
        Reader::new(stdout, task.limits.output_bytes_max),
        Reader::new(stderr, task.limits.output_bytes_max),
    ];
    let overdue = Instant::now() + Duration::from_millis(task.limits.wall_ms_max) + GRACE;
    let read = read_all(&mut readers, overdue);
    if read.is_err() {
        // The death signal ends the rest.
        let _ = child.kill();
    }
    let exit = child.wait().map_err(ToolError::pipe);
    read?;
    let [report, stdout, stderr] = readers.map(|reader| reader.output);
    match Report::newest(&report.bytes) {
        Some(Report::Failed(reason)) => Err(ToolError::Refused { program: task.program.clone(), reason }),
        Some(Report::Ended(end)) => Ok(Outcome { end: end.into(), stdout, stderr }),
        None => Err(ToolError::NoReport { exit: exit? }),
    }
}

/// The launcher's side of [`run`]: jails the tool, starts it, and waits for its end. To be called at the top of
/// `main`, before any thread exists or any file is opened. The answer is what `main` returns.
///
/// Processes are counted in the run's own namespaces: where a user namespace was needed, by `RLIMIT_NPROC`, which
/// counts there alone; as root by `kernel.pid_max` of the process namespace, which Linux has from 6.14 on, and then
/// 300 more are admitted, since the kernel keeps the lowest numbers apart. Where neither is to be had, nothing is run.
#[must_use]
pub fn launch() -> ExitCode {
    launch::launch()
}

/// A [`Task`] as it goes to the launcher.
#[derive(Serialize, Deserialize)]
struct Order {
    parent_pid: u32,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: OsString,
    toolchain: Vec<OsString>,
    read_only: Vec<OsString>,
    scratch: OsString,
    scratch_executes: bool,
    finds_itself: bool,
    limits: Limits,
}

impl Order {
    fn of(task: &Task) -> Result<Vec<u8>, ToolError> {
        let words = |paths: &[PathBuf]| paths.iter().map(|path| path.clone().into_os_string()).collect();
        let order = Order {
            parent_pid: std::process::id(),
            program: task.program.clone().into(),
            arguments: task.arguments.clone(),
            environment: task.environment.clone(),
            directory: task.directory.clone().into(),
            toolchain: words(&task.toolchain),
            read_only: words(&task.read_only),
            scratch: task.scratch.clone().into(),
            scratch_executes: task.scratch_executes,
            finds_itself: task.finds_itself,
            limits: task.limits,
        };
        let bytes = postcard::to_stdvec(&order).map_err(|source| ToolError::Order { source })?;
        if bytes.len() > ORDER_BYTES_MAX { Err(ToolError::TooLong { bytes: bytes.len() }) } else { Ok(bytes) }
    }
}

/// What the launcher's processes tell. The first failure counts, and else the end.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    Failed(String),
    Ended(Ended),
}

/// [`End`] as it crosses the pipe.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Ended {
    Code(i32),
    Signal(i32),
    TimedOut,
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Code(code) => End::Exited(Exit::Code(code)),
            Ended::Signal(signal) => End::Exited(Exit::Signal(signal)),
            Ended::TimedOut => End::TimedOut,
        }
    }
}

impl Report {
    fn newest(mut bytes: &[u8]) -> Option<Report> {
        let mut newest = None;
        while let Ok((report, rest)) = postcard::take_from_bytes::<Report>(bytes) {
            let failed = matches!(report, Report::Failed(_));
            newest = Some(report);
            bytes = rest;
            if failed {
                break;
            }
        }
        newest
    }
}

/// One pipe, read up to a limit and then closed.
struct Reader {
    pipe: Option<File>,
    output: Output,
    bytes_max: usize,
}

impl Reader {
    fn new(pipe: OwnedFd, bytes_max: usize) -> Self {
        Reader { pipe: Some(pipe.into()), output: Output::default(), bytes_max }
    }

    /// After a poll said that this does not wait.
    fn read(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 << 10];
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let length = match pipe.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            read => read?,
        };
        let room = self.bytes_max - self.output.bytes.len();
        self.output.bytes.extend_from_slice(chunk.get(..length.min(room)).unwrap_or_default());
        self.output.cut = length > room;
        if length == 0 || self.output.cut {
            self.pipe = None;
        }
        Ok(())
    }
}

/// Until nobody writes any more.
fn read_all(readers: &mut [Reader], overdue: Instant) -> Result<(), ToolError> {
    loop {
        let left = overdue.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ToolError::Overdue);
        }
        let open: Vec<PollFd<'_>> = readers
            .iter()
            .filter_map(|reader| reader.pipe.as_ref())
            .map(|pipe| PollFd::new(pipe, PollFlags::IN))
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut open = open;
        let timeout = Timespec::try_from(left).map_err(|error| ToolError::pipe(io::Error::other(error)))?;
        match poll(&mut open, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(ToolError::pipe(errno.into())),
        }
        let ready: Vec<bool> = open.iter().map(|polled| !polled.revents().is_empty()).collect();
        let polled = readers.iter_mut().filter(|reader| reader.pipe.is_some());
        for (reader, _) in polled.zip(ready).filter(|(_, ready)| *ready) {
            reader.read().map_err(ToolError::pipe)?;
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), ToolError> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|errno| ToolError::pipe(errno.into()))
}

fn sealed(name: &str, bytes: &[u8]) -> Result<SealedFile, ToolError> {
    SealedFile::fill(name, Purpose::Data, &mut &*bytes, bytes.len() as u64, &mut |_| ())
        .map_err(|source| ToolError::Seal { source })
}

/// Why a tool was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A word that cannot be passed on.
    #[error("the tool's order cannot be written")]
    Order {
        /// The cause.
        #[source]
        source: postcard::Error,
    },
    /// Too many arguments.
    #[error(
        "the tool's arguments, environment and paths take {bytes} bytes; at most {ORDER_BYTES_MAX} are allowed"
    )]
    TooLong {
        /// Their length.
        bytes: usize,
    },
    /// No memory for what it is to read.
    #[error("cannot keep the tool's order or input in memory")]
    Seal {
        /// The cause.
        #[source]
        source: SealError,
    },
    /// The launcher did not start.
    #[error("the launcher of tools cannot be started")]
    Launcher {
        /// The cause.
        #[source]
        source: SpawnError,
    },
    /// A pipe, or a wait, failed.
    #[error("cannot read from the tool")]
    Pipe {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The jail could not be applied, or the program could not be started in it.
    #[error("{} was not run: {reason}", program.display())]
    Refused {
        /// [`Task::program`].
        program: PathBuf,
        /// Why, with all causes.
        reason: String,
    },
    /// The launcher ended without a word.
    #[error(
        "the launcher of tools ended without a report ({exit:?}); does its main call jail::tool::launch?"
    )]
    NoReport {
        /// How it ended.
        exit: Exit,
    },
    /// It did not end although its time was over.
    #[error("the tool did not end {} s after its time was over, and was killed", GRACE.as_secs())]
    Overdue,
}

impl ToolError {
    fn pipe(source: io::Error) -> Self {
        ToolError::Pipe { source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_counts_and_else_the_end() {
        let bytes = |reports: &[Report]| -> Vec<u8> {
            reports.iter().flat_map(|report| postcard::to_stdvec(report).unwrap()).collect()
        };
        let ended = || Report::Ended(Ended::Code(127));
        let failed = || Report::Failed("no such file".to_owned());
        let is_failure = |report| matches!(report, Some(Report::Failed(_)));
        assert!(is_failure(Report::newest(&bytes(&[failed(), ended()]))));
        assert!(matches!(Report::newest(&bytes(&[ended()])), Some(Report::Ended(Ended::Code(127)))));
        assert!(is_failure(Report::newest(&bytes(&[ended(), failed()]))));
        assert!(Report::newest(&[]).is_none());
        assert!(Report::newest(&[7]).is_none());
    }

    #[test]
    fn an_order_that_is_too_long_is_refused() {
        let task = Task {
            program: "/bin/true".into(),
            arguments: vec![OsString::from("x".repeat(ORDER_BYTES_MAX))],
            environment: Vec::new(),
            directory: "/".into(),
            toolchain: Vec::new(),
            read_only: Vec::new(),
            scratch: "/scratch".into(),
            scratch_executes: false,
            finds_itself: false,
            stdin: None,
            limits: Limits::default(),
        };
        assert!(matches!(Order::of(&task), Err(ToolError::TooLong { .. })));
    }
}
