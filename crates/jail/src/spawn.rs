//! Starting a program with exactly the descriptors it is to have, and nothing else of ours.

use std::{
    ffi::{CString, NulError},
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::descriptors;

/// The number of the first descriptor that a child inherits, after the standard three.
pub const FIRST_DESCRIPTOR: RawFd = 3;

/// Descriptors that a child may inherit.
pub const DESCRIPTORS_MAX: usize = 32;

/// What to start.
#[derive(Debug)]
pub struct Command<'a> {
    /// The file.
    pub program: Program<'a>,
    /// What the child sees as its own name.
    pub name: &'a str,
    /// Arguments after the name.
    pub arguments: &'a [&'a str],
    /// The whole environment of the child.
    pub environment: &'a [(&'a str, &'a str)],
    /// Get the numbers 3, 4, … in the child, in this order; at most [`DESCRIPTORS_MAX`].
    pub descriptors: &'a [BorrowedFd<'a>],
}

/// Where a program is.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    /// At a path, searched nowhere.
    Path(&'a Path),
    /// In an open file, such as one of [`crate::sealed`]: what was checked is what is started. Not
    /// a script, whose interpreter could not open it.
    File(BorrowedFd<'a>),
}

/// A started program. Dropping it neither ends it nor waits for it.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Starts a program.
///
/// Its standard input and output are /dev/null, standard error is ours; its environment is what is
/// given; every descriptor but those named is closed; no signal is blocked or ignored; it leads a
/// process group of its own, so that an interrupt at the terminal reaches the supervisor only.
///
/// It is killed when the *thread* that calls this ends (the kernel's meaning of a parent's death
/// signal): call it from a thread that lives as long as the supervisor.
pub fn spawn(command: &Command<'_>) -> Result<Child, SpawnError> {
    let prepared = Prepared::new(command)?;
    let (report, report_writer) = report_pipe(prepared.first_free)?;

    let parent = rustix::process::getpid();
    let blocked = BlockedSignals::block();
    // SAFETY: the child calls only async-signal-safe functions until it execs or exits (see
    // `Prepared::become_program`), so locks that other threads held are never asked for.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        let failure = prepared.become_program(parent);
        failure.send(report_writer.as_raw_fd());
    }
    let fork_error = io::Error::last_os_error();
    drop(blocked);
    drop(report_writer);
    let Some(pid) = (if forked > 0 { Pid::from_raw(forked) } else { None }) else {
        return Err(SpawnError::Prepare { source: fork_error });
    };

    // The child cannot have been waited for by anyone else, so its number is still its own.
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(SpawnError::prepare)?;
    let child = Child { pid, pidfd };
    match Failure::receive(report) {
        None => Ok(child),
        Some(failure) => {
            // Ended, or about to.
            let _ = child.wait();
            let source = io::Error::from_raw_os_error(failure.errno);
            Err(SpawnError::Start { name: command.name.to_owned(), step: failure.step(), source })
        }
    }
}

impl Child {
    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Kills it at once. An error when it was waited for already.
    pub fn kill(&self) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL)?)
    }

    /// Waits until it ends, and forgets it. To be asked once.
    pub fn wait(&self) -> io::Result<Exit> {
        loop {
            match self.wait_with(WaitIdOptions::EXITED) {
                Ok(Some(exit)) => return Ok(exit),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// `None` while it runs.
    pub fn try_wait(&self) -> io::Result<Option<Exit>> {
        self.wait_with(WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
    }

    fn wait_with(&self, options: WaitIdOptions) -> io::Result<Option<Exit>> {
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?;
        Ok(status.and_then(|status| {
            let code = status.exit_status().map(Exit::Code);
            code.or_else(|| status.terminating_signal().map(Exit::Signal))
        }))
    }
}

/// The pidfd: readable once the child has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Takes a descriptor that [`spawn`] passed, by its number from 3 on. Each can be taken once.
///
/// To be called at the start of the program, before it opens anything.
pub fn inherited(number: RawFd) -> Result<OwnedFd, InheritedError> {
    /// One bit for each number from 3 on.
    static TAKEN: AtomicU64 = AtomicU64::new(0);

    let place = number.checked_sub(FIRST_DESCRIPTOR).and_then(|place| usize::try_from(place).ok());
    let Some(place) = place.filter(|&place| place < DESCRIPTORS_MAX) else {
        return Err(InheritedError::NotPassed { number });
    };
    if !descriptors::is_open(number) {
        return Err(InheritedError::NotPassed { number });
    }
    let bit = 1_u64 << place;
    if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(InheritedError::TakenBefore { number });
    }
    // SAFETY: the number is open, was opened by no code of this program (the contract of this
    // function), and the bit above hands it out once.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&owned, rustix::io::FdFlags::CLOEXEC)
        .map_err(|_| InheritedError::NotPassed { number })?;
    Ok(owned)
}

/// Points standard error at /dev/null: for a process that is about to read what a stranger wrote, and that was
/// started at a terminal, which can be read from and driven through that descriptor.
pub fn leave_standard_error() -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    // SAFETY: two open descriptors. Nothing in Rust owns number 2: the standard library writes to the number.
    if unsafe { libc::dup2(null.as_raw_fd(), 2) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Everything the child needs, made before the fork: after it, nothing may allocate.
struct Prepared {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    /// Numbers of `_owned`, each above all numbers that the child's get.
    sources: Vec<RawFd>,
    null: OwnedFd,
    /// The first number after the child's.
    first_free: RawFd,
    _owned: Vec<OwnedFd>,
}

impl Prepared {
    fn new(command: &Command<'_>) -> Result<Self, SpawnError> {
        let count = command.descriptors.len();
        let first_free = RawFd::try_from(count)
            .ok()
            .filter(|_| count <= DESCRIPTORS_MAX)
            .map(|count| FIRST_DESCRIPTOR + count)
            .ok_or(SpawnError::TooManyDescriptors { count })?;
        // Above the child's numbers, so that setting one never overwrites another not yet set.
        let mut owned = Vec::new();
        for descriptor in command.descriptors {
            owned.push(duplicate_above(*descriptor, first_free)?);
        }
        let sources = owned.iter().map(AsRawFd::as_raw_fd).collect();
        let path = match command.program {
            Program::Path(path) => CString::new(path.as_os_str().as_bytes())?,
            Program::File(file) => {
                let file = duplicate_above(file, first_free)?;
                let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
                owned.push(file);
                path
            }
        };
        let null = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .map_err(|source| SpawnError::Prepare { source })?;
        let null = duplicate_above(null.as_fd(), first_free)?;
        let mut arguments = vec![CString::new(command.name)?];
        for argument in command.arguments {
            arguments.push(CString::new(*argument)?);
        }
        let mut environment = Vec::new();
        for (name, value) in command.environment {
            environment.push(CString::new(format!("{name}={value}"))?);
        }
        #[cfg(feature = "weaken")]
        {
            use crate::layer::{Layer, WITHOUT, left_out, left_out_names};
            environment.push(CString::new(format!("{WITHOUT}={}", left_out_names()))?);
            if left_out(Layer::Environment) {
                environment.push(c"https_proxy=http://192.0.2.1:3128".to_owned());
            }
        }
        Ok(Prepared { path, arguments, environment, sources, null, first_free, _owned: owned })
    }

    /// In the child: ends in the program, or answers what failed. Only async-signal-safe calls, and
    /// no allocation: the two arrays of pointers have a fixed size.
    fn become_program(&self, parent: Pid) -> Failure {
        let mut arguments = [std::ptr::null(); Self::STRINGS_MAX + 1];
        let mut environment = [std::ptr::null(); Self::STRINGS_MAX + 1];
        if self.arguments.len() > Self::STRINGS_MAX || self.environment.len() > Self::STRINGS_MAX {
            return Failure { step: Failure::EXEC, errno: libc::E2BIG };
        }
        for (place, string) in arguments.iter_mut().zip(&self.arguments) {
            *place = string.as_ptr();
        }
        for (place, string) in environment.iter_mut().zip(&self.environment) {
            *place = string.as_ptr();
        }
        // SAFETY: plain system calls on integers, on null-terminated strings owned by `self`, and on
        // a signal set on this stack; all async-signal-safe. The numbers overwritten are the
        // child's own copies, which nothing in the child uses after this.
        unsafe {
            libc::setpgid(0, 0);
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Failure::last(Failure::PARENT);
            }
            if libc::getppid() != parent.as_raw_nonzero().get() {
                return Failure { step: Failure::PARENT, errno: libc::ESRCH };
            }
            for standard in [0, 1] {
                if libc::dup2(self.null.as_raw_fd(), standard) < 0 {
                    return Failure::last(Failure::DESCRIPTORS);
                }
            }
            for (number, source) in (FIRST_DESCRIPTOR..).zip(&self.sources) {
                if libc::dup2(*source, number) < 0 {
                    return Failure::last(Failure::DESCRIPTORS);
                }
            }
            // On exec, not now: the program's own file and the report are among them.
            let rest = libc::syscall(
                libc::SYS_close_range,
                self.first_free.unsigned_abs(),
                u32::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            );
            if rest != 0 {
                return Failure::last(Failure::DESCRIPTORS);
            }
            for signal in 1..=Self::SIGNAL_MAX {
                libc::signal(signal, libc::SIG_DFL);
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::execve(self.path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
        }
        Failure::last(Failure::EXEC)
    }

    /// Arguments, and variables, that a child may have.
    const STRINGS_MAX: usize = 64;

    /// Numbers of signals end here; those that cannot be set are skipped by the kernel.
    const SIGNAL_MAX: libc::c_int = 64;
}

/// What failed in the child, as it crosses the pipe: the step, then the errno.
struct Failure {
    step: u8,
    errno: libc::c_int,
}

impl Failure {
    const PARENT: u8 = 0;
    const DESCRIPTORS: u8 = 1;
    const EXEC: u8 = 2;

    fn last(step: u8) -> Self {
        // SAFETY: the location of this thread's errno is always valid.
        Failure { step, errno: unsafe { *libc::__errno_location() } }
    }

    /// In the child: reports and ends.
    fn send(&self, report: RawFd) -> ! {
        let [a, b, c, d] = self.errno.to_ne_bytes();
        let bytes = [self.step, a, b, c, d];
        // SAFETY: writes five bytes of this stack, then ends without running anything of the parent.
        unsafe {
            libc::write(report, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    /// `None` when the program runs: exec closed the pipe.
    fn receive(report: OwnedFd) -> Option<Failure> {
        let mut bytes = [0; 5];
        File::from(report).read_exact(&mut bytes).ok()?;
        let [step, a, b, c, d] = bytes;
        Some(Failure { step, errno: libc::c_int::from_ne_bytes([a, b, c, d]) })
    }

    fn step(&self) -> &'static str {
        match self.step {
            Self::PARENT => "follow its parent",
            Self::DESCRIPTORS => "set its descriptors",
            _ => "execute its program",
        }
    }
}

/// Between fork and exec a handler of ours must not run in the child, so none may be pending.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn block() -> Self {
        // SAFETY: both sets are on this stack and written before they are read; zeroes are valid.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            BlockedSignals { before }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: `before` was written by the kernel.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// The writing end lies above the child's numbers too, so that none of them replaces it.
fn report_pipe(number_min: RawFd) -> Result<(OwnedFd, OwnedFd), SpawnError> {
    let (reader, writer) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(SpawnError::prepare)?;
    Ok((reader, duplicate_above(writer.as_fd(), number_min)?))
}

fn duplicate_above(descriptor: BorrowedFd<'_>, number_min: RawFd) -> Result<OwnedFd, SpawnError> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, number_min).map_err(SpawnError::prepare)
}

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Over [`DESCRIPTORS_MAX`].
    #[error("{count} descriptors to pass; at most {DESCRIPTORS_MAX} are allowed")]
    TooManyDescriptors {
        /// Their count.
        count: usize,
    },
    /// A string that a program cannot be given.
    #[error("a path, argument or variable holds a zero byte")]
    ZeroByte(#[from] NulError),
    /// Our side failed.
    #[error("cannot prepare a child process")]
    Prepare {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The child's side failed.
    #[error("{name} could not {step}")]
    Start {
        /// [`Command::name`].
        name: String,
        /// What it was about to do.
        step: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl SpawnError {
    fn prepare(errno: rustix::io::Errno) -> Self {
        SpawnError::Prepare { source: errno.into() }
    }
}

/// Why an inherited descriptor could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InheritedError {
    /// Not open, or out of range.
    #[error("no descriptor {number} was passed; this program is started by the supervisor, not by hand")]
    NotPassed {
        /// Its number.
        number: RawFd,
    },
    /// Somebody owns it.
    #[error("descriptor {number} was taken before")]
    TakenBefore {
        /// Its number.
        number: RawFd,
    },
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;
    use crate::sealed::{Purpose, SealedFile};

    /// Runs a shell script with descriptors; answers what it wrote to descriptor 3 and its end.
    fn shell(script: &str, descriptors: &[BorrowedFd<'_>], environment: &[(&str, &str)]) -> (String, Exit) {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut all = vec![writer.as_fd()];
        all.extend(descriptors);
        let command = Command {
            program: Program::Path(Path::new("/bin/sh")),
            name: "sh",
            arguments: &["-c", script],
            environment,
            descriptors: &all,
        };
        let child = spawn(&command).unwrap();
        drop(writer);
        let mut text = String::new();
        File::from(reader).read_to_string(&mut text).unwrap();
        (text, child.wait().unwrap())
    }

    #[test]
    fn a_child_has_exactly_what_it_was_given() {
        // Neither closed on exec nor named: it must not arrive.
        let leak = rustix::io::dup(File::open("/dev/null").unwrap()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        file.rewind().unwrap();
        let script = "ls /proc/self/fd >&3; cat <&4 >&3; echo >&3; env >&3; exit 7";
        let environment = [("ONLY", "this"), ("PATH", "/bin")];
        let (text, exit) = shell(script, &[file.as_fd(), file.as_fd()], &environment);
        drop(leak);
        let mut lines = text.lines();
        let numbers: Vec<&str> = lines.by_ref().take(7).collect();
        assert_eq!(numbers, ["0", "1", "2", "3", "4", "5", "6"], "6 is the directory that ls reads");
        assert_eq!(lines.next(), Some("content"));
        let variables: Vec<&str> =
            lines.filter(|line| !line.starts_with("PWD=") && !line.starts_with('_')).collect();
        assert!(variables.contains(&"ONLY=this"));
        assert!(
            !variables.iter().any(|line| line.starts_with("HOME=") || line.starts_with("USER=")),
            "{variables:?}"
        );
        assert_eq!(exit, Exit::Code(7));
    }

    #[test]
    fn numbers_that_cross_do_not_collide() {
        // Sources whose own numbers lie among the targets, in the other order.
        let files: Vec<File> = (0..8)
            .map(|number| {
                let mut file = tempfile::tempfile().unwrap();
                write!(file, "{number}").unwrap();
                file.rewind().unwrap();
                file
            })
            .collect();
        let reversed: Vec<BorrowedFd<'_>> = files.iter().rev().map(AsFd::as_fd).collect();
        let (text, _) = shell("for n in 4 5 6 7 8 9; do eval \"cat <&$n >&3\"; done", &reversed, &[]);
        assert_eq!(text, "765432");
    }

    #[test]
    fn a_sealed_program_starts() {
        let mut source = File::open("/bin/cat").unwrap();
        let program = SealedFile::fill("cat", Purpose::Program, &mut source, u64::MAX, &mut |_| ()).unwrap();
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let command = Command {
            program: Program::File(program.as_fd()),
            name: "cat",
            arguments: &["--version"],
            environment: &[],
            descriptors: &[writer.as_fd()],
        };
        assert_eq!(spawn(&command).unwrap().wait().unwrap(), Exit::Code(0));
        drop((reader, writer));
    }

    #[test]
    fn sealed_data_does_not_start() {
        let mut source = File::open("/bin/cat").unwrap();
        let data = SealedFile::fill("cat", Purpose::Data, &mut source, u64::MAX, &mut |_| ()).unwrap();
        let command = Command {
            program: Program::File(data.as_fd()),
            name: "cat",
            arguments: &[],
            environment: &[],
            descriptors: &[],
        };
        let error = spawn(&command).unwrap_err();
        assert!(matches!(error, SpawnError::Start { step: "execute its program", .. }), "{error}");
    }

    #[test]
    fn a_missing_program_is_an_error() {
        let command = Command {
            program: Program::Path(Path::new("/nonexistent/program")),
            name: "program",
            arguments: &[],
            environment: &[],
            descriptors: &[],
        };
        let SpawnError::Start { source, .. } = spawn(&command).unwrap_err() else { panic!() };
        assert_eq!(source.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_child_is_killed_and_waited_for() {
        let command = Command {
            program: Program::Path(Path::new("/bin/sleep")),
            name: "sleep",
            arguments: &["1000"],
            environment: &[],
            descriptors: &[],
        };
        let child = spawn(&command).unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap(), Exit::Signal(libc::SIGKILL));
    }

    #[test]
    fn what_was_not_passed_cannot_be_taken() {
        assert_eq!(inherited(2).unwrap_err(), InheritedError::NotPassed { number: 2 });
        assert_eq!(inherited(-1).unwrap_err(), InheritedError::NotPassed { number: -1 });
        assert_eq!(inherited(3000).unwrap_err(), InheritedError::NotPassed { number: 3000 });
    }
}
