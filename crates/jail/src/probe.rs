//! Attempts to escape, made from inside a jail, each with the errno that must stop it.
//!
//! A probe that finds its way open does no harm: calls that would replace or stop the process are
//! tried in a form that cannot take effect first, and only when that is refused in earnest.
//! [`control`] makes the same attempts outside a jail, where they have to succeed: it shows that
//! the probes can tell an open way from a closed one.
//!
//! The expectations are the jail's, not the network's: a connection that fails because nothing
//! answers is a failed row. Seccomp refuses `socket` itself.

mod control;

use std::{
    ffi::{CStr, CString},
    fmt, io,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    ptr,
    sync::{Arc, Barrier},
};

use libc::{c_int, c_long, c_void};
use serde::{Deserialize, Serialize};

use crate::{Errno, Kind, Layer, inspect::names_a_proxy};

pub use control::control;

/// One attempt on one thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// What escape it stands for; the same in every run, and in [`control`].
    pub name: String,
    /// Which layer stops it first: where it is not stopped, that one is missing.
    pub layer: Layer,
    /// The thread that tried.
    pub thread: u32,
    /// The calls, in words.
    pub attempted: String,
    /// Any of these stops the attempt as it should. Empty in a control, where it has to succeed,
    /// and where nothing is to be found.
    pub expected: Vec<Errno>,
    /// What happened.
    pub got: Got,
    /// What that means.
    pub verdict: Verdict,
}

/// What an attempt met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Got {
    /// The kernel refused.
    Refused(Errno),
    /// The kernel did it.
    Succeeded,
    /// It was looked for, and this was found.
    Found(String),
    /// It was looked for, and is not there.
    FoundNothing,
    /// Nothing was tried.
    Nothing,
}

/// Whether the jail, or the control, holds on one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it has to be.
    Pass,
    /// Not as it has to be.
    Fail,
    /// This machine or this user cannot try it, for this reason. Never a pass.
    NotTried(String),
}

/// Where a process that touches files has to find its way open, and where not. Directories, absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// May be read, and not written.
    pub read_only: Vec<PathBuf>,
    /// May be written.
    pub read_write: Vec<PathBuf>,
    /// May be neither.
    pub closed: Vec<PathBuf>,
}

/// One attempt, before it is made: what is tried, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Probe {
    name: String,
    attempted: String,
    layer: Layer,
    must: Must,
    way: Way,
}

/// What has to come of an attempt.
#[derive(Clone, Copy, Debug)]
enum Must {
    /// One of these stops it.
    BeRefused(&'static [c_int]),
    Succeed,
    /// Reach a socket: nobody may listen there at the moment.
    Reach,
    FindNothing,
}

#[derive(Clone, Debug)]
enum Way {
    Call(fn() -> Got),
    /// At a path.
    At(fn(&CStr) -> Got, PathBuf),
}

/// Everything that is tried in a jail of that kind, always in the same order: whoever knows the kind and the places
/// needs the outcomes only, to say what they mean.
///
/// Who touches files has to find its places as they are meant. A file that can be made in one of them is removed
/// again.
#[must_use]
pub fn probes(kind: Kind, places: &Places) -> Vec<Probe> {
    let own: (&[Attempt], &[Otherwise]) = match kind {
        Kind::Engine | Kind::Gateway | Kind::Tool | Kind::ToolKeeper => (&[], &[]),
        Kind::Importer | Kind::Indexer => (FROM_IMPORTER, &[]),
        Kind::Relay => (FROM_RELAY, IN_RELAY),
        Kind::GpuEngine => (FROM_GPU_ENGINE, IN_GPU_ENGINE),
    };
    let opens = matches!(kind, Kind::GpuEngine | Kind::Gateway | Kind::Importer | Kind::Indexer);
    let mut probes: Vec<Probe> =
        ATTEMPTS.iter().chain(own.0).map(|attempt| attempt.probe(own.1, opens)).collect();
    if kind == Kind::Relay {
        probes.push(Probe {
            name: "the one socket".to_owned(),
            attempted: format!("socket(AF_UNIX, SOCK_STREAM), connect {}", crate::SOCKET),
            layer: Layer::MountNamespace,
            must: Must::Reach,
            way: Way::Call(|| connect_to(libc::AF_UNIX, libc::SOCK_STREAM, &unix(b"/socket\0"))),
        });
    }
    let mut at = |name: &str, path: &PathBuf, way, must| {
        probes.push(Probe {
            name: name.to_owned(),
            attempted: format!("openat({})", path.display()),
            layer: Layer::Landlock,
            must,
            way: Way::At(way, path.clone()),
        });
    };
    for path in &places.read_only {
        at("listing a granted folder", path, list, Must::Succeed);
        at("a file in what is read only", path, make_file, Must::BeRefused(NOT_MADE));
    }
    for path in &places.read_write {
        at("a file in a granted folder", path, make_file, Must::Succeed);
    }
    for path in &places.closed {
        at("listing beside the grants", path, list, Must::BeRefused(EACCES));
        at("a file beside the grants", path, make_file, Must::BeRefused(NOT_MADE));
    }
    probes
}

impl Probe {
    /// Tries it, on the calling thread.
    #[must_use]
    pub fn run(&self) -> Got {
        match &self.way {
            Way::Call(call) => call(),
            // A path with a zero byte in it names nothing.
            Way::At(try_at, path) => {
                CString::new(path.as_os_str().as_bytes()).map_or(Got::Nothing, |path| try_at(&path))
            }
        }
    }

    /// What an outcome means.
    #[must_use]
    pub fn judge(&self, thread: u32, got: Got) -> ProbeResult {
        let pass = match (self.must, &got) {
            (Must::BeRefused(expected), Got::Refused(errno)) => expected.contains(&errno.number()),
            (Must::Succeed | Must::Reach, Got::Succeeded) | (Must::FindNothing, Got::FoundNothing) => true,
            (Must::Reach, Got::Refused(errno)) => NOBODY_LISTENS.contains(&errno.number()),
            _ => false,
        };
        let expected: &[c_int] = if let Must::BeRefused(expected) = self.must { expected } else { &[] };
        ProbeResult {
            name: self.name.clone(),
            layer: self.layer,
            thread,
            attempted: self.attempted.clone(),
            expected: expected.iter().map(|&number| Errno::new(number)).collect(),
            got,
            verdict: if pass { Verdict::Pass } else { Verdict::Fail },
        }
    }
}

/// Tries every escape of a kind of jail on the calling thread. For inside it.
#[must_use]
pub fn run(kind: Kind, places: &Places) -> Vec<ProbeResult> {
    let thread = current_thread();
    probes(kind, places).iter().map(|probe| probe.judge(thread, probe.run())).collect()
}

/// Tries every escape on the calling thread and on `count` new ones, all alive at once.
///
/// A jail that was applied to one thread only holds on some of them and not on others. A thread
/// that cannot be started is a failed row.
#[must_use]
pub fn run_on_threads(kind: Kind, places: &Places, count: usize) -> Vec<ProbeResult> {
    let mut results = run(kind, places);
    let mut threads = Vec::new();
    // Nobody ends before all have begun: each has a thread number of its own.
    let all = Arc::new(Barrier::new(count));
    for number in 0..count {
        let (all, places) = (Arc::clone(&all), places.clone());
        let body = move || {
            all.wait();
            run(kind, &places)
        };
        match std::thread::Builder::new().name(format!("probe-{number}")).spawn(body) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                // Those that wait for the missing ones would wait for ever.
                results.push(no_thread(&error));
                return results;
            }
        }
    }
    for thread in threads {
        match thread.join() {
            Ok(rows) => results.extend(rows),
            Err(_) => results.push(no_thread(&io::Error::other("it panicked"))),
        }
    }
    results
}

/// Whether all that could be tried passed, and something was.
#[must_use]
pub fn all_pass(results: &[ProbeResult]) -> bool {
    results.iter().any(|result| result.verdict == Verdict::Pass)
        && results.iter().all(|result| result.verdict != Verdict::Fail)
}

fn no_thread(error: &io::Error) -> ProbeResult {
    ProbeResult {
        name: "a thread to probe on".to_owned(),
        layer: Layer::Limits,
        thread: current_thread(),
        attempted: "clone".to_owned(),
        expected: Vec::new(),
        got: error.raw_os_error().map_or(Got::Nothing, |number| Got::Refused(Errno::new(number))),
        verdict: Verdict::Fail,
    }
}

/// Columns of [`fmt::Display`] are padded, so that rows make a table.
impl fmt::Display for ProbeResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.expected.as_slice() {
            [] if self.got == Got::FoundNothing || matches!(self.got, Got::Found(_)) => "nothing".to_owned(),
            [] => "success".to_owned(),
            errnos => errnos.iter().map(Errno::to_string).collect::<Vec<_>>().join(" or "),
        };
        write!(f, "{:<9} ", self.verdict.word())?;
        write!(
            f,
            "{:>8}  {:<30} {:<10} {:<10} {}",
            self.thread, self.name, expected, self.got, self.attempted
        )?;
        match &self.verdict {
            Verdict::NotTried(reason) => write!(f, " ({reason})"),
            Verdict::Pass | Verdict::Fail => Ok(()),
        }
    }
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::NotTried(_) => "not tried",
        }
    }
}

impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Got::Refused(errno) => fmt::Display::fmt(errno, f),
            Got::Succeeded => f.pad("success"),
            Got::Found(what) => f.pad(what),
            Got::FoundNothing => f.pad("nothing"),
            Got::Nothing => f.pad("-"),
        }
    }
}

/// A row of the table below.
struct Attempt {
    name: &'static str,
    /// Which layer stops it first.
    layer: Layer,
    attempted: &'static str,
    /// Empty for what is looked for and must not be there.
    expected: &'static [c_int],
    run: fn() -> Got,
}

impl Attempt {
    /// `opens`: whether files are opened at all in that jail, so that Landlock decides about them.
    fn probe(&self, otherwise: &[Otherwise], opens: bool) -> Probe {
        let other = otherwise.iter().find(|(name, ..)| *name == self.name);
        let (expected, layer) =
            other.map_or((self.expected, self.layer), |(_, expected, layer)| (*expected, *layer));
        Probe {
            name: self.name.to_owned(),
            attempted: self.attempted.to_owned(),
            layer: if layer == Layer::Landlock && !opens { Layer::Seccomp } else { layer },
            must: if expected.is_empty() { Must::FindNothing } else { Must::BeRefused(expected) },
            way: Way::Call(self.run),
        }
    }
}

const EPERM: &[c_int] = &[libc::EPERM];
const EACCES: &[c_int] = &[libc::EACCES];
/// A host may lack the file, whatever the jail does.
const NOT_READ: &[c_int] = &[libc::EACCES, libc::ENOENT];
/// A host may have it on a file system that is read only, which the kernel looks at before it asks Landlock.
const NOT_MADE: &[c_int] = &[libc::EACCES, libc::EROFS, libc::ENOENT, libc::EOPNOTSUPP];

/// The answers of a socket that is there.
const NOBODY_LISTENS: &[c_int] = &[libc::ECONNREFUSED, libc::EAGAIN];

/// The layer that stops what is tried under that name.
fn layer_of(name: &str) -> Layer {
    let attempts = ATTEMPTS.iter().chain(FROM_RELAY).chain(FROM_IMPORTER).chain(FROM_GPU_ENGINE);
    attempts.into_iter().find(|attempt| attempt.name == name).map_or(Layer::Seccomp, |attempt| attempt.layer)
}

/// What stops an attempt in the relay's jail, where that is not the refusal of `socket` or `connect`: nobody in
/// its network has a name, its file system has no such path, and a descriptor that is none connects nothing.
const IN_RELAY: &[Otherwise] = &[
    ("abstract unix socket", &[libc::ECONNREFUSED, libc::EPERM], Layer::NetworkNamespace),
    ("pathname unix socket", &[libc::ENOENT], Layer::MountNamespace),
    ("connecting an open socket", &[libc::EBADF], Layer::Descriptors),
];

/// An attempt by name, what stops it, and which layer does.
type Otherwise = (&'static str, &'static [c_int], Layer);

/// What only the relay could try.
const FROM_RELAY: &[Attempt] = &[
    Attempt {
        name: "datagrams to a path",
        layer: Layer::Seccomp,
        attempted: "socket(AF_UNIX, SOCK_DGRAM), connect /run/systemd/journal/socket",
        expected: EPERM,
        run: || connect_to(libc::AF_UNIX, libc::SOCK_DGRAM, &unix(b"/run/systemd/journal/socket\0")),
    },
    Attempt {
        name: "the network from a local socket",
        layer: Layer::Seccomp,
        attempted: "socket(AF_UNIX, SOCK_STREAM), connect 192.0.2.1:443",
        expected: &[libc::EINVAL],
        run: || connect_to(libc::AF_UNIX, libc::SOCK_STREAM, &ipv4([192, 0, 2, 1], 443)),
    },
    Attempt {
        name: "a listener at a path",
        layer: Layer::Seccomp,
        attempted: "socket(AF_UNIX, SOCK_STREAM), bind /probe",
        expected: EPERM,
        run: || bind_to(libc::SOCK_STREAM, b"/probe\0"),
    },
];

/// A descriptor that is none is bound nowhere and listens to nobody, in an engine's jail on a GPU.
const IN_GPU_ENGINE: &[Otherwise] = &[
    ("binding an open socket", &[libc::EBADF], Layer::Descriptors),
    ("listening on an open socket", &[libc::EBADF], Layer::Descriptors),
];

/// What only an engine on a GPU could try.
const FROM_GPU_ENGINE: &[Attempt] = &[
    Attempt {
        name: "a listener in a folder",
        layer: Layer::Landlock,
        attempted: "socket(AF_UNIX, SOCK_SEQPACKET), bind /tmp/probe",
        expected: NOT_MADE,
        run: || bind_to(libc::SOCK_SEQPACKET, b"/tmp/probe\0"),
    },
    Attempt {
        name: "connecting packets",
        layer: Layer::Seccomp,
        attempted: "socket(AF_UNIX, SOCK_SEQPACKET), connect @/tmp/.X11-unix/X0",
        expected: EPERM,
        run: || connect_to(libc::AF_UNIX, libc::SOCK_SEQPACKET, &unix(b"\0/tmp/.X11-unix/X0")),
    },
    Attempt {
        name: "words into a terminal",
        layer: Layer::Seccomp,
        attempted: "ioctl(2, TIOCSTI, null)",
        expected: EPERM,
        run: || call(libc::SYS_ioctl, [2, TIOCSTI, 0, 0, 0, 0]),
    },
];

/// As a register; libc's type differs between C libraries.
const TIOCSTI: c_long = 0x5412;

/// What only the importer could try.
const FROM_IMPORTER: &[Attempt] = &[
    Attempt {
        name: "reading a file by openat2",
        layer: Layer::Landlock,
        attempted: "openat2(/etc/passwd)",
        expected: NOT_READ,
        run: || open_2(c"/etc/passwd", libc::O_RDONLY),
    },
    Attempt {
        name: "making a file by openat2",
        layer: Layer::Landlock,
        attempted: "openat2(/tmp, O_TMPFILE)",
        expected: NOT_MADE,
        run: || open_2(c"/tmp", libc::O_TMPFILE | libc::O_RDWR),
    },
    Attempt {
        name: "a pair of sockets",
        layer: Layer::Seccomp,
        attempted: "socketpair(AF_UNIX, SOCK_STREAM)",
        expected: EPERM,
        run: || pair(libc::SOCK_STREAM),
    },
    Attempt {
        name: "accepting on an open socket",
        layer: Layer::Seccomp,
        attempted: "accept4(-1)",
        expected: EPERM,
        run: || call(libc::SYS_accept4, [-1, 0, 0, 0, 0, 0]),
    },
];

fn list(directory: &CStr) -> Got {
    open(directory, libc::O_RDONLY | libc::O_DIRECTORY)
}

/// By name, since not every file system can make a file without one.
fn make_file(directory: &CStr) -> Got {
    let name = format!("probe-{}", current_thread());
    let path = [directory.to_bytes(), b"/", name.as_bytes()].concat();
    let Ok(path) = CString::new(path) else { return Got::Nothing };
    let got = open(&path, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY);
    if got == Got::Succeeded {
        // SAFETY: the path is a C string; the file was made just now.
        unsafe { libc::unlink(path.as_ptr()) };
    }
    got
}

/// Names are shared with [`control`] where both try the same way out.
const ATTEMPTS: &[Attempt] = &[
    Attempt {
        name: "tcp over IPv4",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET, SOCK_STREAM), connect 192.0.2.1:443",
        expected: EPERM,
        run: || connect_internet(libc::AF_INET, libc::SOCK_STREAM, 443),
    },
    Attempt {
        name: "tcp over IPv6",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET6, SOCK_STREAM), connect [2001:db8::1]:443",
        expected: EPERM,
        run: || connect_internet(libc::AF_INET6, libc::SOCK_STREAM, 443),
    },
    Attempt {
        name: "tcp to this machine",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET, SOCK_STREAM), connect 127.0.0.1:22",
        expected: EPERM,
        run: || connect_to(libc::AF_INET, libc::SOCK_STREAM, &ipv4([127, 0, 0, 1], 22)),
    },
    Attempt {
        name: "udp over IPv4",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET, SOCK_DGRAM), connect 192.0.2.1:9",
        expected: EPERM,
        run: || connect_internet(libc::AF_INET, libc::SOCK_DGRAM, 9),
    },
    Attempt {
        name: "udp over IPv6",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET6, SOCK_DGRAM), connect [2001:db8::1]:9",
        expected: EPERM,
        run: || connect_internet(libc::AF_INET6, libc::SOCK_DGRAM, 9),
    },
    Attempt {
        name: "dns",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET, SOCK_DGRAM), query to 192.0.2.53:53",
        expected: EPERM,
        run: || connect_to(libc::AF_INET, libc::SOCK_DGRAM, &ipv4([192, 0, 2, 53], 53)),
    },
    Attempt {
        name: "icmp, unprivileged",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)",
        expected: EPERM,
        run: || socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
    },
    Attempt {
        name: "icmp, raw",
        layer: Layer::Seccomp,
        attempted: "socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)",
        expected: EPERM,
        run: || socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    },
    Attempt {
        name: "packet socket",
        layer: Layer::Seccomp,
        attempted: "socket(AF_PACKET, SOCK_RAW)",
        expected: EPERM,
        run: || socket(libc::AF_PACKET, libc::SOCK_RAW, 0),
    },
    Attempt {
        name: "netlink",
        layer: Layer::Seccomp,
        attempted: "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)",
        expected: EPERM,
        run: || socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
    },
    Attempt {
        name: "vsock",
        layer: Layer::Seccomp,
        attempted: "socket(AF_VSOCK, SOCK_STREAM)",
        expected: EPERM,
        run: || socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
    },
    Attempt {
        name: "abstract unix socket",
        layer: Layer::Seccomp,
        attempted: "socket(AF_UNIX, SOCK_STREAM), connect @/tmp/.X11-unix/X0",
        expected: EPERM,
        run: || connect_to(libc::AF_UNIX, libc::SOCK_STREAM, &unix(b"\0/tmp/.X11-unix/X0")),
    },
    Attempt {
        name: "pathname unix socket",
        layer: Layer::Seccomp,
        attempted: "socket(AF_UNIX, SOCK_STREAM), connect /run/systemd/journal/stdout",
        expected: EPERM,
        run: || connect_to(libc::AF_UNIX, libc::SOCK_STREAM, &unix(b"/run/systemd/journal/stdout\0")),
    },
    Attempt {
        name: "datagrams from a pair",
        layer: Layer::Seccomp,
        attempted: "socketpair(AF_UNIX, SOCK_DGRAM)",
        expected: EPERM,
        run: || pair(libc::SOCK_DGRAM),
    },
    Attempt {
        name: "connecting an open socket",
        layer: Layer::Seccomp,
        attempted: "connect(-1, 192.0.2.1:443)",
        expected: EPERM,
        run: || connect_descriptor(-1, &ipv4([192, 0, 2, 1], 443)),
    },
    Attempt {
        name: "binding an open socket",
        layer: Layer::Seccomp,
        attempted: "bind(-1)",
        expected: EPERM,
        run: || call(libc::SYS_bind, [-1, 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "listening on an open socket",
        layer: Layer::Seccomp,
        attempted: "listen(-1)",
        expected: EPERM,
        run: || call(libc::SYS_listen, [-1, 1, 0, 0, 0, 0]),
    },
    Attempt {
        name: "tcp fast open, sendto",
        layer: Layer::Seccomp,
        attempted: "sendto(-1, MSG_FASTOPEN)",
        expected: EPERM,
        run: || call(libc::SYS_sendto, [-1, 0, 0, libc::MSG_FASTOPEN.into(), 0, 0]),
    },
    Attempt {
        name: "tcp fast open, sendmsg",
        layer: Layer::Seccomp,
        attempted: "sendmsg(-1, MSG_FASTOPEN)",
        expected: EPERM,
        run: || call(libc::SYS_sendmsg, [-1, 0, libc::MSG_FASTOPEN.into(), 0, 0, 0]),
    },
    Attempt {
        name: "tcp fast open, sendmmsg",
        layer: Layer::Seccomp,
        attempted: "sendmmsg(-1)",
        expected: EPERM,
        run: || call(libc::SYS_sendmmsg, [-1, 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "inherited sockets",
        layer: Layer::Descriptors,
        attempted: "getsockopt(0 to 1023, SO_DOMAIN, SO_TYPE): one that could send anywhere",
        expected: &[],
        run: inherited_sockets,
    },
    Attempt {
        name: "proxy variables",
        layer: Layer::Environment,
        attempted: "the environment: http_proxy and the like",
        expected: &[],
        run: proxy_variables,
    },
    Attempt {
        name: "io_uring",
        layer: Layer::Seccomp,
        attempted: "io_uring_setup(1)",
        expected: EPERM,
        run: io_uring,
    },
    Attempt {
        name: "execve",
        layer: Layer::Seccomp,
        attempted: "execve(/bin/true)",
        expected: EPERM,
        run: execve,
    },
    Attempt {
        name: "execveat",
        layer: Layer::Seccomp,
        attempted: "execveat(/bin/true)",
        expected: EPERM,
        run: execveat,
    },
    Attempt { name: "fork", layer: Layer::Seccomp, attempted: "clone(SIGCHLD)", expected: EPERM, run: fork },
    Attempt {
        name: "clone3",
        layer: Layer::Seccomp,
        attempted: "clone3(null)",
        expected: &[libc::ENOSYS],
        run: || call(libc::SYS_clone3, [0, 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "ptrace",
        layer: Layer::Seccomp,
        attempted: "ptrace(PTRACE_SEIZE, 0)",
        expected: EPERM,
        run: || call(libc::SYS_ptrace, [PTRACE_SEIZE, 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "another process's memory",
        layer: Layer::Seccomp,
        attempted: "process_vm_readv(parent, nothing)",
        expected: EPERM,
        run: || call(libc::SYS_process_vm_readv, [parent(), 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "another process's descriptors",
        layer: Layer::Seccomp,
        attempted: "pidfd_open(parent)",
        expected: EPERM,
        run: || descriptor(call_raw(libc::SYS_pidfd_open, [parent(), 0, 0, 0, 0, 0])),
    },
    Attempt {
        name: "signal to another process",
        layer: Layer::Seccomp,
        attempted: "kill(parent, 0)",
        expected: EPERM,
        run: || call(libc::SYS_kill, [parent(), 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "signal to another's thread",
        layer: Layer::Seccomp,
        attempted: "tgkill(parent, parent, 0)",
        expected: EPERM,
        run: || call(libc::SYS_tgkill, [parent(), parent(), 0, 0, 0, 0]),
    },
    Attempt {
        name: "bpf",
        layer: Layer::Seccomp,
        attempted: "bpf(BPF_MAP_CREATE, nothing)",
        expected: EPERM,
        run: || call(libc::SYS_bpf, [0, 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "userfaultfd",
        layer: Layer::Seccomp,
        attempted: "userfaultfd(O_CLOEXEC)",
        expected: EPERM,
        run: || descriptor(call_raw(libc::SYS_userfaultfd, [libc::O_CLOEXEC.into(), 0, 0, 0, 0, 0])),
    },
    Attempt {
        name: "perf events",
        layer: Layer::Seccomp,
        attempted: "perf_event_open(nothing)",
        expected: EPERM,
        run: || call(libc::SYS_perf_event_open, [0, 0, -1, -1, 0, 0]),
    },
    Attempt {
        name: "mount",
        layer: Layer::Seccomp,
        attempted: "mount(tmpfs on a path that is not there)",
        expected: EPERM,
        run: mount,
    },
    Attempt {
        name: "new user namespace",
        layer: Layer::Seccomp,
        attempted: "unshare(CLONE_NEWUSER)",
        expected: EPERM,
        run: || call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "another network namespace",
        layer: Layer::Seccomp,
        attempted: "setns(-1, CLONE_NEWNET)",
        expected: EPERM,
        run: || call(libc::SYS_setns, [-1, libc::CLONE_NEWNET.into(), 0, 0, 0, 0]),
    },
    Attempt {
        name: "reading a file",
        layer: Layer::Landlock,
        attempted: "openat(/etc/passwd)",
        expected: NOT_READ,
        run: || open(c"/etc/passwd", libc::O_RDONLY),
    },
    Attempt {
        name: "making a file",
        layer: Layer::Landlock,
        attempted: "openat(/tmp, O_TMPFILE)",
        expected: NOT_MADE,
        run: || open(c"/tmp", libc::O_TMPFILE | libc::O_RDWR),
    },
    Attempt {
        name: "reading /proc",
        layer: Layer::Landlock,
        attempted: "openat(/proc/self/environ)",
        expected: EACCES,
        run: || open(c"/proc/self/environ", libc::O_RDONLY),
    },
    Attempt {
        name: "a file by its handle",
        layer: Layer::Seccomp,
        attempted: "open_by_handle_at(no handle)",
        expected: EPERM,
        run: || call(libc::SYS_open_by_handle_at, [libc::AT_FDCWD.into(), 0, 0, 0, 0, 0]),
    },
    Attempt {
        name: "mode of a file by its path",
        layer: Layer::Seccomp,
        attempted: "fchmodat(a path that is not there)",
        expected: EPERM,
        run: || {
            let path = address(c"/nonexistent/file".as_ptr());
            call(libc::SYS_fchmodat, [libc::AT_FDCWD.into(), path, 0o600, 0, 0, 0])
        },
    },
    Attempt {
        name: "memory file",
        layer: Layer::Seccomp,
        attempted: "memfd_create",
        expected: EPERM,
        run: || {
            let flags = libc::c_long::from(libc::MFD_CLOEXEC.cast_signed());
            descriptor(call_raw(libc::SYS_memfd_create, [address(c"probe".as_ptr()), flags, 0, 0, 0, 0]))
        },
    },
    Attempt {
        name: "executable memory",
        layer: Layer::Seccomp,
        attempted: "mmap(PROT_READ | PROT_WRITE | PROT_EXEC)",
        expected: EPERM,
        run: executable_memory,
    },
    Attempt {
        name: "keys",
        layer: Layer::Seccomp,
        attempted: "keyctl(KEYCTL_GET_KEYRING_ID, session)",
        expected: EPERM,
        run: || call(libc::SYS_keyctl, KEYCTL_SESSION),
    },
    Attempt {
        name: "weakening the filter",
        layer: Layer::Seccomp,
        attempted: "seccomp(SECCOMP_GET_ACTION_AVAIL)",
        expected: EPERM,
        run: || call(libc::SYS_seccomp, [2, 0, 0, 0, 0, 0]),
    },
];

/// `PTRACE_SEIZE` of linux/ptrace.h, as a register.
const PTRACE_SEIZE: c_long = 0x4206;

/// `KEYCTL_GET_KEYRING_ID` of the session's keyring, without making one.
const KEYCTL_SESSION: [c_long; 6] = [0, -3, 0, 0, 0, 0];

/// Room for any address, and how much of it is used.
struct Address {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

fn connect_internet(family: c_int, socket_type: c_int, port: u16) -> Got {
    // Addresses reserved for documentation: were the jail open, nobody would be bothered.
    let address = if family == libc::AF_INET { ipv4([192, 0, 2, 1], port) } else { ipv6_documentation(port) };
    connect_to(family, socket_type, &address)
}

fn connect_to(family: c_int, socket_type: c_int, address: &Address) -> Got {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    match open_socket(family, socket_type | flags, 0) {
        Err(errno) => Got::Refused(errno),
        Ok(number) => {
            let mut got = connect_descriptor(number, address);
            if got == Got::Succeeded {
                let byte = [0_u8];
                // SAFETY: sends one byte of this stack.
                let sent = unsafe { libc::send(number, byte.as_ptr().cast(), 1, libc::MSG_NOSIGNAL) };
                got = outcome(sent as c_long);
            }
            close(number);
            got
        }
    }
}

fn connect_descriptor(number: c_int, address: &Address) -> Got {
    // SAFETY: the address lives through the call and its length is within it.
    let answer = unsafe { libc::connect(number, (&raw const address.storage).cast(), address.length) };
    outcome(answer.into())
}

fn socket(family: c_int, socket_type: c_int, protocol: c_int) -> Got {
    match open_socket(family, socket_type | libc::SOCK_CLOEXEC, protocol) {
        Err(errno) => Got::Refused(errno),
        Ok(number) => {
            close(number);
            Got::Succeeded
        }
    }
}

fn bind_to(socket_type: c_int, path: &[u8]) -> Got {
    match open_socket(libc::AF_UNIX, socket_type | libc::SOCK_CLOEXEC, 0) {
        Err(errno) => Got::Refused(errno),
        Ok(number) => {
            let local = unix(path);
            // SAFETY: the address lives through the call and its length is within it.
            let answer = unsafe { libc::bind(number, (&raw const local.storage).cast(), local.length) };
            let got = outcome(answer.into());
            close(number);
            got
        }
    }
}

fn open_socket(family: c_int, socket_type: c_int, protocol: c_int) -> Result<c_int, Errno> {
    // SAFETY: three integers.
    let number = unsafe { libc::socket(family, socket_type, protocol) };
    if number < 0 { Err(Errno::last()) } else { Ok(number) }
}

fn pair(socket_type: c_int) -> Got {
    let mut pair = [-1; 2];
    // SAFETY: the kernel writes two integers into `pair`.
    let answer =
        unsafe { libc::socketpair(libc::AF_UNIX, socket_type | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) };
    let got = outcome(answer.into());
    if got == Got::Succeeded {
        pair.into_iter().for_each(close);
    }
    got
}

/// Descriptors looked at; a jail's limit is far below.
const DESCRIPTORS_LOOKED_AT: c_int = 1024;

fn inherited_sockets() -> Got {
    for number in 0..DESCRIPTORS_LOOKED_AT {
        let (Ok(domain), Ok(socket_type)) =
            (socket_option(number, libc::SO_DOMAIN), socket_option(number, libc::SO_TYPE))
        else {
            continue;
        };
        let local = domain == libc::AF_UNIX || domain == libc::AF_INET || domain == libc::AF_INET6;
        if !local || socket_type == libc::SOCK_DGRAM || socket_type == libc::SOCK_RAW {
            return Got::Found(format!("descriptor {number}: family {domain}, type {socket_type}"));
        }
    }
    Got::FoundNothing
}

fn socket_option(number: c_int, option: c_int) -> Result<c_int, Errno> {
    let mut value: c_int = 0;
    let mut length: libc::socklen_t = 4;
    // SAFETY: both options are one int; the kernel writes at most `length` bytes into it.
    let answer = unsafe {
        libc::getsockopt(number, libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut length)
    };
    if answer == 0 { Ok(value) } else { Err(Errno::last()) }
}

fn proxy_variables() -> Got {
    std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .find(|name| names_a_proxy(name))
        .map_or(Got::FoundNothing, Got::Found)
}

fn io_uring() -> Got {
    // struct io_uring_params of linux/io_uring.h is 120 bytes of integers.
    let mut parameters = [0_u64; 15];
    descriptor(call_raw(libc::SYS_io_uring_setup, [1, address(parameters.as_mut_ptr()), 0, 0, 0, 0]))
}

/// First without a path, which executes nothing even where it is allowed.
fn execve() -> Got {
    let harmless = call(libc::SYS_execve, [0, 0, 0, 0, 0, 0]);
    if harmless != Got::Refused(Errno::new(libc::EPERM)) {
        return harmless;
    }
    let path = c"/bin/true".as_ptr();
    let arguments = [path, ptr::null()];
    let list = address(arguments.as_ptr());
    call(libc::SYS_execve, [address(path), list, address(arguments.as_ptr().wrapping_add(1)), 0, 0, 0])
}

/// Likewise.
fn execveat() -> Got {
    let harmless = call(libc::SYS_execveat, [-1, 0, 0, 0, 0, 0]);
    if harmless != Got::Refused(Errno::new(libc::EPERM)) {
        return harmless;
    }
    let path = c"/bin/true".as_ptr();
    let arguments = [path, ptr::null()];
    let list = address(arguments.as_ptr());
    let nothing = address(arguments.as_ptr().wrapping_add(1));
    call(libc::SYS_execveat, [libc::AT_FDCWD.into(), address(path), list, nothing, 0, 0])
}

fn fork() -> Got {
    let answer = call_raw(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]);
    if answer == 0 {
        // SAFETY: this is a child that should not exist; it ends without running anything.
        unsafe { libc::_exit(0) }
    }
    if let Ok(child @ 1..) = c_int::try_from(answer) {
        // SAFETY: waits for the child above; no status is asked for.
        unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
    }
    outcome(answer)
}

fn mount() -> Got {
    let text = address(c"tmpfs".as_ptr());
    let target = address(c"/nonexistent/target".as_ptr());
    call(libc::SYS_mount, [text, target, text, 0, 0, 0])
}

fn executable_memory() -> Got {
    const LENGTH: usize = 4096;
    let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: a new private mapping at an address of the kernel's choosing, unmapped below, unused.
    let mapped = unsafe {
        libc::mmap(ptr::null_mut(), LENGTH, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if mapped == libc::MAP_FAILED {
        return Got::Refused(Errno::last());
    }
    // SAFETY: the mapping made above.
    unsafe { libc::munmap(mapped, LENGTH) };
    Got::Succeeded
}

fn open(path: &CStr, flags: c_int) -> Got {
    // SAFETY: the path is a C string; the mode, needed by O_TMPFILE, is an integer.
    let number = unsafe { libc::openat(libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, 0o600) };
    descriptor(number.into())
}

fn open_2(path: &CStr, flags: c_int) -> Got {
    // struct open_how of linux/openat2.h: flags, mode, resolve. The kernel refuses a mode where nothing is made.
    let flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    let makes =
        flags & u64::from(libc::O_TMPFILE.cast_unsigned()) == u64::from(libc::O_TMPFILE.cast_unsigned());
    let how: [u64; 3] = [flags, if makes { 0o600 } else { 0 }, 0];
    let length = c_long::try_from(size_of_val(&how)).unwrap_or(0);
    let arguments = [libc::AT_FDCWD.into(), address(path.as_ptr()), address(how.as_ptr()), length, 0, 0];
    descriptor(call_raw(libc::SYS_openat2, arguments))
}

fn ipv4(octets: [u8; 4], port: u16) -> Address {
    let mut address = empty_address(size_of::<libc::sockaddr_in>());
    let internet = libc::sockaddr_in {
        sin_family: family(libc::AF_INET),
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(octets) },
        sin_zero: [0; 8],
    };
    // SAFETY: sockaddr_storage has the size and alignment of every socket address.
    unsafe { (&raw mut address.storage).cast::<libc::sockaddr_in>().write(internet) };
    address
}

fn ipv6_documentation(port: u16) -> Address {
    let mut address = empty_address(size_of::<libc::sockaddr_in6>());
    let internet = libc::sockaddr_in6 {
        sin6_family: family(libc::AF_INET6),
        sin6_port: port.to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] },
        sin6_scope_id: 0,
    };
    // SAFETY: sockaddr_storage has the size and alignment of every socket address.
    unsafe { (&raw mut address.storage).cast::<libc::sockaddr_in6>().write(internet) };
    address
}

/// A path ending in zero, or an abstract name beginning with it.
fn unix(name: &[u8]) -> Address {
    let offset = size_of::<libc::sa_family_t>();
    let mut address = empty_address(offset + name.len());
    // SAFETY: all zeroes are a valid sockaddr_un.
    let mut local: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    local.sun_family = family(libc::AF_UNIX);
    for (place, byte) in local.sun_path.iter_mut().zip(name) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    // SAFETY: sockaddr_storage has the size and alignment of every socket address.
    unsafe { (&raw mut address.storage).cast::<libc::sockaddr_un>().write(local) };
    address
}

fn empty_address(length: usize) -> Address {
    // SAFETY: sockaddr_storage is integers, for which all zeroes are valid.
    let storage = unsafe { std::mem::zeroed() };
    Address { storage, length: libc::socklen_t::try_from(length).unwrap_or(0) }
}

fn family(family: c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).unwrap_or(0)
}

fn call(number: c_long, arguments: [c_long; 6]) -> Got {
    outcome(call_raw(number, arguments))
}

/// A system call by number, -1 on an error. Each use in this module passes integers, null, or
/// addresses of objects that outlive the call and are as large as the call may write.
fn call_raw(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    // SAFETY: the callers' promise above.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

fn outcome(answer: c_long) -> Got {
    if answer < 0 { Got::Refused(Errno::last()) } else { Got::Succeeded }
}

/// Of a call that answers a new descriptor, which is closed.
fn descriptor(answer: c_long) -> Got {
    let got = outcome(answer);
    if got == Got::Succeeded
        && let Ok(number) = c_int::try_from(answer)
    {
        close(number);
    }
    got
}

fn close(number: c_int) {
    // SAFETY: each caller has just opened this descriptor and nobody else knows of it.
    unsafe { libc::close(number) };
}

/// An address as a register.
fn address<T>(pointer: *const T) -> c_long {
    pointer.cast::<c_void>().expose_provenance().cast_signed() as c_long
}

fn parent() -> c_long {
    // SAFETY: takes and touches nothing.
    unsafe { libc::getppid() }.into()
}

fn current_thread() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}
