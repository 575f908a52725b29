//! The launcher's side: two keepers and the tool. See [`super`].

use std::{
    error::Error,
    ffi::{CString, NulError, OsStr},
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use rustix::{
    process::{Resource, Rlimit, Signal},
    thread::UnshareFlags,
};

use super::{Ended, ORDER, ORDER_BYTES_MAX, Order, REPORT, Report, STDERR, STDIN, STDOUT, root};
use crate::{
    JailError, Kind, Route, apply, capabilities, descriptors,
    files::{self, ToolPaths},
    namespaces,
    seccomp::Filter,
    spawn::{InheritedError, inherited},
};

/// The kernel gives these numbers of processes out once only.
const RESERVED_PIDS: u32 = 300;

/// Processes of the run's user namespace beside the tool: the two keepers.
const KEEPERS: u32 = 2;

/// Limit of a keeper's open descriptors; it has a handful.
const KEEPER_FILES: u64 = 32;

/// Numbers of signals end here; those that cannot be set are skipped by the kernel.
const SIGNAL_MAX: libc::c_int = 64;

pub(super) fn launch() -> ExitCode {
    let ends = match Ends::take() {
        Ok(ends) => ends,
        // Nobody to tell: who started this is not `run`, which finds no report.
        Err(_) => return ExitCode::FAILURE,
    };
    let report = ends.report.as_raw_fd();
    match keep_outside(ends) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            tell(report, &Report::Failed(refusal.chain()));
            ExitCode::FAILURE
        }
    }
}

/// What the caller passed.
struct Ends {
    order: File,
    /// Never closed before the end: it is written to when everything else has failed.
    report: std::mem::ManuallyDrop<OwnedFd>,
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Ends {
    fn take() -> Result<Self, InheritedError> {
        Ok(Ends {
            order: inherited(ORDER)?.into(),
            report: std::mem::ManuallyDrop::new(inherited(REPORT)?),
            stdin: inherited(STDIN)?,
            stdout: inherited(STDOUT)?,
            stderr: inherited(STDERR)?,
        })
    }
}

/// What the tool is given, in the forms that the steps need.
struct Plan {
    order: Order,
    toolchain: Vec<PathBuf>,
    /// Those of the toolchain that are no symbolic links.
    executable: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
    devices: Vec<PathBuf>,
    program: CString,
    directory: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Plan {
    fn new(order: Order) -> Result<Self, Refusal> {
        let paths = |words: &[std::ffi::OsString]| words.iter().map(PathBuf::from).collect::<Vec<_>>();
        let c = |word: &OsStr| CString::new(word.as_bytes()).map_err(Refusal::from);
        let program = c(&order.program)?;
        let mut arguments = vec![program.clone()];
        for argument in &order.arguments {
            arguments.push(c(argument)?);
        }
        let mut environment = Vec::new();
        for (name, value) in &order.environment {
            let variable = [name.as_bytes(), b"=", value.as_bytes()].concat();
            environment.push(CString::new(variable)?);
        }
        let toolchain = paths(&order.toolchain);
        Ok(Plan {
            executable: toolchain.iter().filter(|path| !path.is_symlink()).cloned().collect(),
            toolchain,
            read_only: paths(&order.read_only),
            devices: root::DEVICES.iter().map(PathBuf::from).collect(),
            directory: c(&order.directory)?,
            program,
            arguments,
            environment,
            order,
        })
    }

    fn paths<'a>(&'a self, toolchain: &'a [PathBuf]) -> ToolPaths<'a> {
        ToolPaths {
            toolchain,
            read_only: &self.read_only,
            scratch: Path::new(&self.order.scratch),
            scratch_executes: self.order.scratch_executes,
            devices: &self.devices,
        }
    }
}

/// The outer keeper: makes the namespaces, starts the inner keeper, and ends after it. That one ends only when its
/// whole process namespace is empty, so the caller, who waits for this process, knows that nothing is left.
fn keep_outside(mut ends: Ends) -> Result<(), Refusal> {
    apply::require_single_thread()?;
    apply::name_process("tool-keeper");
    descriptors::close_all_but(&[ORDER, REPORT, STDIN, STDOUT, STDERR])?;
    let plan = Plan::new(read_order(&mut ends.order)?)?;
    // Both, before anything runs that could wait for them.
    let keeper = Filter::build(Kind::ToolKeeper)?;
    let tool = Filter::build(Kind::Tool)?;

    let entered = namespaces::enter(false)?;
    // SAFETY: unshare can break the sharing of descriptors between threads that others rely on; there is one
    // thread, and CLONE_FILES is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }
        .map_err(|errno| Refusal::io("make a process namespace", errno.into()))?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| JailError::NoNewPrivileges { source: errno.into() })?;
    let parent_pid = plan.order.parent_pid;
    // The inner keeper sees by this pipe whether the outer one lives.
    let (life, alive) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| Refusal::io("make a pipe", errno.into()))?;
    // The tool waits on this one until both keepers are confined.
    let ready = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| Refusal::io("make a pipe", errno.into()))?;
    let report = ends.report.as_raw_fd();
    let inner = fork("start the inner keeper", || {
        // SAFETY: the child's own copy, which it never uses; the child ends without dropping its owner.
        unsafe { libc::close(alive.as_raw_fd()) };
        match keep_inside(ends, &plan, entered.route, &life, &ready, &keeper, &tool) {
            Ok(ended) => tell(report, &Report::Ended(ended)),
            Err(refusal) => tell(report, &Report::Failed(refusal.chain())),
        }
    })?;
    apply::follow_parent(parent_pid)?;
    confine_keeper(&keeper)?;
    say_ready(&ready)?;
    wait_for(inner)
}

/// The inner keeper: the first process of its namespace. When it ends, the kernel ends all others there.
fn keep_inside(
    ends: Ends,
    plan: &Plan,
    route: Route,
    life: &OwnedFd,
    ready: &(OwnedFd, OwnedFd),
    keeper: &Filter,
    tool: &Filter,
) -> Result<Ended, Refusal> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| JailError::DeathSignal { source: errno.into() })?;
    // The outer keeper may have ended before the line above.
    if wait_or_ended(life, Duration::ZERO)? {
        return Err(Refusal::io("go on without the outer keeper", io::ErrorKind::BrokenPipe.into()));
    }
    let counted = count_processes(route, plan.order.limits.processes_max)?;
    root::enter(plan.paths(&plan.toolchain), plan.order.finds_itself)?;
    hold_children()?;
    let deadline = Instant::now() + Duration::from_millis(plan.order.limits.wall_ms_max);
    let report = ends.report.as_raw_fd();
    let pid = fork("start the tool", || {
        let refusal = become_tool(&ends, plan, counted, ready, tool);
        tell(report, &Report::Failed(refusal.chain()));
    })?;
    let Ends { stdin, stdout, stderr, .. } = ends;
    drop((stdin, stdout, stderr));
    confine_keeper(keeper)?;
    say_ready(ready)?;
    loop {
        if let Some(ended) = reap(pid)? {
            return Ok(ended);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Ended::TimedOut);
        }
        if wait_or_ended(life, left)? {
            return Ok(Ended::TimedOut);
        }
    }
}

/// In the tool's process: all of the jail, then the program. Answers only what failed.
fn become_tool(
    ends: &Ends,
    plan: &Plan,
    processes_max: Option<u64>,
    ready: &(OwnedFd, OwnedFd),
    filter: &Filter,
) -> Refusal {
    match try_become_tool(ends, plan, processes_max, ready, filter) {
        Ok(never) => match never {},
        Err(refusal) => refusal,
    }
}

fn try_become_tool(
    ends: &Ends,
    plan: &Plan,
    processes_max: Option<u64>,
    ready: &(OwnedFd, OwnedFd),
    filter: &Filter,
) -> Result<std::convert::Infallible, Refusal> {
    // No terminal, if the caller had one.
    rustix::process::setsid().map_err(|errno| Refusal::io("make a session", errno.into()))?;
    for (number, end) in [(0, &ends.stdin), (1, &ends.stdout), (2, &ends.stderr)] {
        // SAFETY: two integers. Number 2 is owned by nobody in Rust; 0 and 1 are /dev/null here.
        if unsafe { libc::dup2(end.as_raw_fd(), number) } < 0 {
            return Err(Refusal::last("set standard input and output"));
        }
    }
    // SAFETY: the path is a C string.
    if unsafe { libc::chdir(plan.directory.as_ptr()) } != 0 {
        return Err(Refusal::last("enter the tool's directory"));
    }
    capabilities::drop_all()?;
    files::restrict_tool(plan.paths(&plan.executable))?;
    let pointers = |words: &[CString]| -> Vec<*const libc::c_char> {
        words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(&plan.arguments), pointers(&plan.environment));
    set_limits(plan, processes_max)?;
    // SAFETY: integers, and a signal set on this stack that is written before it is read.
    unsafe {
        for signal in 1..=SIGNAL_MAX {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        let first = 3_u32;
        if libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) != 0 {
            return Err(Refusal::last("close all other descriptors"));
        }
    }
    wait_until_ready(ready)?;
    filter.install()?;
    // SAFETY: null-terminated arrays of C strings, all owned by `plan` and this frame.
    unsafe { libc::execve(plan.program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Err(Refusal::last("execute it"))
}

fn set_limits(plan: &Plan, processes_max: Option<u64>) -> Result<(), JailError> {
    let limits = &plan.order.limits;
    apply::set_limit("core dumps", Resource::Core, 1)?;
    apply::set_limit("locked memory", Resource::Memlock, 0)?;
    apply::set_limit("open files", Resource::Nofile, limits.open_files_max)?;
    apply::set_limit("length of files", Resource::Fsize, limits.file_bytes_max)?;
    if let Some(processes_max) = processes_max {
        apply::set_limit("processes", Resource::Nproc, processes_max)?;
    }
    // A second between the signal that says why and the one that cannot be ignored.
    let cpu_s = limits.cpu_s_max;
    let cpu = Rlimit { current: Some(cpu_s), maximum: Some(cpu_s.saturating_add(1)) };
    rustix::process::setrlimit(Resource::Cpu, cpu).map_err(|errno| JailError::Limit {
        what: "processor time",
        value: cpu_s,
        source: errno.into(),
    })?;
    apply::set_limit("memory", Resource::As, limits.memory_bytes_max)
}

/// Limits processes in this namespace now, or answers the limit of resources that will. See [`super::launch`].
fn count_processes(route: Route, processes_max: u32) -> Result<Option<u64>, Refusal> {
    if route == Route::UserNamespace && !rustix::process::geteuid().is_root() {
        return Ok(Some(u64::from(processes_max.saturating_add(KEEPERS))));
    }
    let what = "limit processes as root, which takes kernel.pid_max of their namespace (Linux 6.14); use another user";
    if !kernel_is_at_least(6, 14) {
        // There it is the machine's own.
        return Err(Refusal::io(what, io::ErrorKind::Unsupported.into()));
    }
    let limit = processes_max.saturating_add(RESERVED_PIDS).saturating_add(KEEPERS);
    OpenOptions::new()
        .write(true)
        .open("/proc/sys/kernel/pid_max")
        .and_then(|mut file| file.write_all(limit.to_string().as_bytes()))
        .map_err(|source| Refusal::io(what, source))?;
    Ok(None)
}

/// False also when the kernel does not tell.
fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let name = rustix::system::uname();
    let mut numbers =
        name.release().to_str().unwrap_or_default().split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
    number().zip(number()).is_some_and(|found| found >= (major, minor))
}

/// What a keeper gives up once it has started what it keeps.
fn confine_keeper(filter: &Filter) -> Result<(), JailError> {
    apply::set_limit("core dumps", Resource::Core, 1)?;
    apply::set_limit("locked memory", Resource::Memlock, 0)?;
    apply::set_limit("open files", Resource::Nofile, KEEPER_FILES)?;
    capabilities::drop_all()?;
    files::restrict(&[], &[], &[], false, &[])?;
    filter.install()
}

/// By a keeper, to the tool.
fn say_ready((_, writer): &(OwnedFd, OwnedFd)) -> Result<(), Refusal> {
    rustix::io::write(writer, &[0]).map_err(|errno| Refusal::io("let the tool begin", errno.into()))?;
    Ok(())
}

/// By the tool: both keepers are confined. When one of them could not be, this process is ended with it.
fn wait_until_ready((reader, _): &(OwnedFd, OwnedFd)) -> Result<(), Refusal> {
    for _ in 0..KEEPERS {
        let read = rustix::io::retry_on_intr(|| rustix::io::read(reader, &mut [0]));
        if read.map_err(|errno| Refusal::io("wait for the keepers", errno.into()))? == 0 {
            return Err(Refusal::io("wait for the keepers", io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(())
}

fn read_order(file: &mut File) -> Result<Order, Refusal> {
    let mut bytes = Vec::new();
    file.take(ORDER_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(|source| Refusal::io("read its order", source))?;
    postcard::from_bytes(&bytes).map_err(|error| Refusal::io("read its order", io::Error::other(error)))
}

/// A process that runs `body` and ends.
fn fork(what: &'static str, body: impl FnOnce()) -> Result<libc::pid_t, Refusal> {
    // SAFETY: this process has one thread (`require_single_thread`, and none is started since), so the child may do
    // whatever the parent may.
    match unsafe { libc::fork() } {
        0 => {
            body();
            // SAFETY: ends without running what the parent registered for its own end.
            unsafe { libc::_exit(127) }
        }
        pid if pid > 0 => Ok(pid),
        _ => Err(Refusal::last(what)),
    }
}

/// Waits for the inner keeper's end, which is that of all its namespace.
fn wait_for(pid: libc::pid_t) -> Result<(), Refusal> {
    loop {
        // SAFETY: no status is asked for.
        if unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } == pid {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(Refusal::io("wait for the inner keeper", error));
        }
    }
}

/// Lets the end of a child interrupt a wait, and nothing else.
fn hold_children() -> Result<(), Refusal> {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: the handler does nothing; the set is on this stack and written before it is read.
    let held = unsafe {
        libc::signal(libc::SIGCHLD, handler as libc::sighandler_t);
        let mut children: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut children);
        libc::sigaddset(&raw mut children, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const children, std::ptr::null_mut())
    };
    if held == 0 { Ok(()) } else { Err(Refusal::last("hold the signals of children")) }
}

/// Waits until a child ended, or the time is over, or the other end of `life` is gone: then the answer is true.
fn wait_or_ended(life: &OwnedFd, left: Duration) -> Result<bool, Refusal> {
    let mut polled = libc::pollfd { fd: life.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: left.subsec_nanos().into(),
    };
    // SAFETY: one pollfd, a timespec and an empty signal set, all on this stack; the set is written before it is read.
    let answer = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::ppoll(&raw mut polled, 1, &raw const timeout, &raw const none)
    };
    if answer >= 0 {
        return Ok(answer > 0);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(Refusal::io("wait", error)) }
}

/// Forgets children that ended; answers how the tool itself did.
fn reap(tool: libc::pid_t) -> Result<Option<Ended>, Refusal> {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one integer.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid == tool {
            return Ok(Some(if libc::WIFSIGNALED(status) {
                Ended::Signal(libc::WTERMSIG(status))
            } else {
                Ended::Code(libc::WEXITSTATUS(status))
            }));
        }
        match pid {
            0 => return Ok(None),
            1.. => {}
            _ => return Err(Refusal::last("wait for the tool")),
        }
    }
}

/// The caller may be gone: then there is nobody to tell.
fn tell(report: RawFd, what: &Report) {
    if let Ok(bytes) = postcard::to_stdvec(what) {
        // SAFETY: writes bytes of this frame.
        unsafe { libc::write(report, bytes.as_ptr().cast(), bytes.len()) };
    }
}

/// Why the tool was not started.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Jail(#[from] JailError),
    #[error("cannot {what}")]
    Io {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("a path, argument or variable holds a zero byte")]
    ZeroByte(#[from] NulError),
}

impl Refusal {
    /// Characters of a message that are told.
    const CHARACTERS_MAX: usize = 900;

    fn io(what: &'static str, source: io::Error) -> Self {
        Refusal::Io { what, source }
    }

    fn last(what: &'static str) -> Self {
        Refusal::io(what, io::Error::last_os_error())
    }

    /// With all causes, and not longer than a report may be.
    fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text.chars().take(Self::CHARACTERS_MAX).collect()
    }
}
