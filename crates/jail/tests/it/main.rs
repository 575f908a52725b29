//! The jail from both sides: this program starts itself again, jailed, and looks at the result.
//!
//! It has its own `main` because a jail is applied before any thread exists, and libtest runs a test
//! on a thread. Run as root it tries everything as root and as user 65534; as another user, as that
//! user only, and says so.
#![allow(unsafe_code, reason = "one shared mapping, and calls by number")]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod child;
mod hostile;
mod hosts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::OnceLock,
};

use jail::{
    Applied, Errno, Kind, Route, Weaker,
    channel::Channel,
    inspect::{Inspection, inspect},
    probe::{Got, ProbeResult, Verdict},
    sealed::{Purpose, SealedFile},
    spawn::{Child, Command, Exit, Program, spawn},
};

use child::{MODEL, Report, THREADS};
use hosts::Conditions;

/// A user without any right, by convention.
const NOBODY: u32 = 65534;

type Test = (&'static str, fn() -> Ran);

const TESTS: &[Test] = &[
    ("engine_as_root", || as_root(Kind::Engine)),
    ("gateway_as_root", || as_root(Kind::Gateway)),
    ("importer_as_root", || as_root(Kind::Importer)),
    ("relay_as_root", || as_root(Kind::Relay)),
    ("indexer_as_root", || as_root(Kind::Indexer)),
    ("engine_as_nobody", || as_nobody(Kind::Engine)),
    ("gateway_as_nobody", || as_nobody(Kind::Gateway)),
    ("importer_as_nobody", || as_nobody(Kind::Importer)),
    ("relay_as_nobody", || as_nobody(Kind::Relay)),
    ("indexer_as_nobody", || as_nobody(Kind::Indexer)),
    ("engine_under_a_supervisor_that_is_nobody", || under_nobody("supervise_engine")),
    ("gateway_under_a_supervisor_that_is_nobody", || under_nobody("supervise_gateway")),
    ("importer_under_a_supervisor_that_is_nobody", || under_nobody("supervise_importer")),
    ("relay_under_a_supervisor_that_is_nobody", || under_nobody("supervise_relay")),
    ("without_a_jail_every_probe_fails", without_a_jail_every_probe_fails),
    ("control_succeeds_outside", control_succeeds_outside),
    ("a_second_thread_is_refused", || refused("threaded", "2 threads run already")),
    ("a_parent_that_ended_is_refused", || refused("orphan", "the parent is process")),
    ("a_missing_directory_is_refused", || {
        refused("missing_directory", "cannot grant /nonexistent/directory")
    }),
    ("a_file_as_directory_is_refused", || refused("file_as_directory", "cannot grant /etc/passwd")),
    ("a_relative_path_is_refused", || refused("relative_path", "must be absolute")),
    ("a_file_as_socket_is_refused", || refused("file_as_socket", "cannot grant /etc/passwd")),
    ("a_descriptor_that_is_not_open_is_refused", || {
        refused("closed_descriptor", "descriptor 77 is to be kept")
    }),
    ("a_tools_jail_is_not_for_others", || refused("tool", "applied by jail::tool only")),
    ("a_hostile_engine", || hostile_worker(Kind::Engine)),
    ("a_hostile_gateway", || hostile_worker(Kind::Gateway)),
    ("a_hostile_importer", || hostile_worker(Kind::Importer)),
    ("a_hostile_relay", || hostile_worker(Kind::Relay)),
    ("a_hostile_indexer", || hostile_worker(Kind::Indexer)),
    ("the_32_bit_convention_ends_the_process", the_32_bit_convention_ends_the_process),
    ("memory_is_limited", memory_is_limited),
    ("it_dies_with_its_parent", it_dies_with_its_parent),
];

/// What a test did; it panics when it fails.
enum Ran {
    Through,
    NotTried(&'static str),
}

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(child::ROLE) {
        PROGRAM.set(std::env::current_exe().unwrap()).unwrap();
        return child::main(&role);
    }
    let directory = tempfile::tempdir().unwrap();
    PROGRAM.set(anybodys_copy(directory.path())).unwrap();
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let (mut passed, mut failed, mut not_tried) = (0, 0, 0);
    for (name, test) in TESTS.iter().chain(hosts::TESTS) {
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        match catch_unwind(AssertUnwindSafe(test)) {
            Ok(Ran::Through) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Ok(Ran::NotTried(reason)) => {
                println!("test {name} ... NOT TRIED: {reason}");
                not_tried += 1;
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    // As libtest closes, so that whoever adds up results finds these too.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {failed} failed; {not_tried} ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_root(kind: Kind) -> Ran {
    if !is_root() {
        return Ran::NotTried("this user is not root");
    }
    assert_eq!(supervise(kind, None).route, Route::Direct);
    Ran::Through
}

/// Started by root, as a service manager would, or else as whoever runs this.
fn as_nobody(kind: Kind) -> Ran {
    let user = is_root().then_some(NOBODY);
    assert_eq!(supervise(kind, user).route, Route::UserNamespace);
    Ran::Through
}

/// The supervisor itself without rights: it must be able to start, and to inspect.
fn under_nobody(role: &str) -> Ran {
    let user = is_root().then_some(NOBODY);
    let started = start(role, user, Path::new("/"), &[]);
    assert_eq!(started.child.wait().unwrap(), Exit::Code(0));
    Ran::Through
}

fn supervise(kind: Kind, user: Option<u32>) -> Applied {
    supervise_on(Conditions::ORDINARY, kind, user)
}

/// A gateway with what it needs, and nobody that comes to it but once.
fn gateway_on(conditions: Conditions) -> (tempfile::TempDir, Started) {
    let around = tempfile::tempdir().unwrap();
    let directory = around.path().join("data");
    std::fs::create_dir(&directory).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let started = start_on(conditions, "gateway", None, &directory, &[listener.as_fd()]);
    #[expect(clippy::disallowed_methods, reason = "the client of this test")]
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    (around, started)
}

/// An importer with its folders.
fn importer_on(conditions: Conditions) -> (tempfile::TempDir, Started) {
    let directory = tempfile::tempdir().unwrap();
    child::Folders::of(directory.path()).make();
    let started = start_on(conditions, "importer", None, directory.path(), &[]);
    (directory, started)
}

/// Starts a jailed process, probes it from inside, inspects it from outside, lets it work.
fn supervise_on(conditions: Conditions, kind: Kind, user: Option<u32>) -> Applied {
    let directory = tempfile::tempdir().unwrap();
    if let Some(user) = user {
        std::os::unix::fs::chown(directory.path(), Some(user), Some(user)).unwrap();
    }
    let model = SealedFile::fill("model", Purpose::Data, &mut &MODEL[..], 1 << 20, &mut |_| ()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let leak = File::open("/etc/hostname").unwrap();
    // The relay may connect to one of two neighbours.
    let [upstream, neighbour] = [child::UPSTREAM, child::NEIGHBOUR].map(|name| {
        let path = directory.path().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        listener
    });
    let (role, resource) = match kind {
        Kind::Engine => ("engine", model.as_fd()),
        Kind::Gateway => ("gateway", listener.as_fd()),
        Kind::Importer => ("importer", model.as_fd()),
        Kind::Relay => ("relay", model.as_fd()),
        Kind::Indexer => ("indexer", model.as_fd()),
        Kind::GpuEngine => panic!("needs a GPU"),
        Kind::Tool | Kind::ToolKeeper => panic!("tests/tools has these"),
    };
    if reads_strangers_files(kind) {
        child::Folders::of(directory.path()).make();
    }
    let started = start_on(conditions, role, user, directory.path(), &[resource, leak.as_fd()]);

    if kind == Kind::Gateway {
        #[expect(clippy::disallowed_methods, reason = "the client of this test")]
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"ping").unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"pong");
    }
    if kind == Kind::Relay {
        let (mut server, _) = upstream.accept().unwrap();
        let mut question = [0; 4];
        server.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"ping");
        server.write_all(b"pong").unwrap();
    }
    if kind == Kind::Engine {
        // The engine answers a packet with a descriptor by reading that descriptor.
        let file =
            SealedFile::fill("late", Purpose::Data, &mut &b"handed later"[..], 99, &mut |_| ()).unwrap();
        started.channel.send(b"read", &[file.as_fd()]).unwrap();
        let mut buffer = [0; 64];
        let (length, _) = started.channel.recv(&mut buffer).unwrap().unwrap();
        assert_eq!(buffer.get(..length).unwrap(), b"handed later");
    }
    let report = started.report();
    assert_eq!(report.error, None);
    let inspection = inspect(started.child.pid()).unwrap();
    started.channel.send(b"end", &[]).unwrap();
    assert_eq!(started.child.wait().unwrap(), Exit::Code(0));

    let applied = report.applied.clone().unwrap();
    assert_eq!(applied.kind, kind);
    neighbour.set_nonblocking(true).unwrap();
    assert_eq!(neighbour.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
    check_probes(kind, &report.probes);
    check_work(&report.work);
    check_inspection(kind, &inspection, &applied);
    applied
}

/// Those that have a folder to read and another to write.
fn reads_strangers_files(kind: Kind) -> bool {
    matches!(kind, Kind::Importer | Kind::Indexer)
}

fn check_probes(kind: Kind, rows: &[ProbeResult]) {
    let threads: BTreeSet<u32> = rows.iter().map(|row| row.thread).collect();
    assert_eq!(threads.len(), 1 + THREADS, "the main thread and those started after");
    let mut by_thread: BTreeMap<u32, Vec<(&str, &Got)>> = BTreeMap::new();
    for row in rows {
        assert_eq!(row.verdict, Verdict::Pass, "\n{row}");
        // By errno, whatever the verdict says.
        match &row.got {
            Got::Refused(errno) => {
                assert_eq!(*errno, expected_errno(kind, &row.name, errno), "\n{row}");
                assert!(row.expected.contains(errno));
            }
            Got::FoundNothing => {
                assert!(["inherited sockets", "proxy variables"].contains(&row.name.as_str()))
            }
            Got::Succeeded if kind == Kind::Relay => assert_eq!(row.name, "the one socket"),
            Got::Succeeded if kind == Kind::Gateway || reads_strangers_files(kind) => {
                let open = ["listing a granted folder", "a file in a granted folder"];
                assert!(open.contains(&row.name.as_str()));
            }
            other => panic!("{other} \n{row}"),
        }
        by_thread.entry(row.thread).or_default().push((&row.name, &row.got));
    }
    let mut tables = by_thread.values();
    let main = tables.next().unwrap();
    assert!(main.len() > 40, "{} rows", main.len());
    assert!(tables.all(|table| table == main), "threads differ");
}

/// Written out here a second time, so that a slip in the probe's table shows.
fn expected_errno(kind: Kind, name: &str, found: &Errno) -> Errno {
    Errno::new(match name {
        // The network namespace has nobody of that name; a Landlock that scopes names refuses before.
        "abstract unix socket" if kind == Kind::Relay && found.number() != libc::EPERM => libc::ECONNREFUSED,
        "pathname unix socket" if kind == Kind::Relay => libc::ENOENT,
        "connecting an open socket" if kind == Kind::Relay => libc::EBADF,
        "the network from a local socket" => libc::EINVAL,
        "reading a file" | "making a file" | "reading /proc" => libc::EACCES,
        "reading a file by openat2" | "making a file by openat2" => libc::EACCES,
        "a file in what is read only" | "listing beside the grants" | "a file beside the grants" => {
            libc::EACCES
        }
        "clone3" => libc::ENOSYS,
        _ => libc::EPERM,
    })
}

fn check_work(work: &[(String, String)]) {
    assert!(work.len() >= 6, "{work:?}");
    for (what, outcome) in work {
        assert_eq!(outcome, "ok", "{what}");
    }
}

fn check_inspection(kind: Kind, inspection: &Inspection, applied: &Applied) {
    let granted = [&applied.read_write[..], &applied.read_only[..]].concat();
    let mut findings = inspection.findings(kind, &granted);
    if applied.weaker.contains(&Weaker::SharedNetworkNamespace) {
        // The test's own are the service's.
        let shared =
            ["ipc-namespace: message queues of its own", "hostname-namespace: a host name of its own"];
        findings.retain(|finding| !shared.iter().any(|shared| finding.starts_with(shared)));
    }
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(applied.landlock_refuses, !applied.weaker.contains(&Weaker::NoLandlock));
    assert_eq!(inspection.threads.first().unwrap().name, "jail-test");
    assert!(applied.landlock_abi >= jail::LANDLOCK_ABI_MIN || !applied.weaker.is_empty());
    assert!(inspection.threads.len() > THREADS, "threads are alive while it is inspected: {inspection:?}");
    assert!(inspection.threads.iter().all(|thread| thread.seccomp == 2 && thread.no_new_privs));
    assert_eq!(inspection.namespaces.network, applied.network_namespace);
    assert_ne!(inspection.namespaces.network, inspection.own_namespaces.network);
    let names: Vec<&str> = inspection.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    assert_eq!(names, ["lo"]);
    let leaked = inspection.descriptors.iter().find(|descriptor| descriptor.target.contains("hostname"));
    assert_eq!(leaked, None);
}

fn without_a_jail_every_probe_fails() -> Ran {
    let started = start("unjailed", None, Path::new("/"), &[]);
    let report = started.report();
    assert_eq!(started.child.wait().unwrap(), Exit::Code(0));
    for row in &report.probes {
        let looked_for = row.expected.is_empty();
        // Without root the kernel itself refuses some by the same errno.
        if is_root() {
            assert_eq!(row.verdict == Verdict::Pass, looked_for, "\n{row}");
        }
    }
    let failed = report.probes.iter().filter(|row| row.verdict == Verdict::Fail).count();
    assert!(failed > 25, "{failed} rows");
    Ran::Through
}

fn control_succeeds_outside() -> Ran {
    let rows = jail::probe::control();
    for row in &rows {
        assert_ne!(row.verdict, Verdict::Fail, "\n{row}");
        if let Verdict::NotTried(reason) = &row.verdict {
            println!("NOT TRIED: {}: {reason}", row.name);
        }
    }
    for name in
        ["tcp over IPv4", "udp over IPv4", "dns", "abstract unix socket", "pathname unix socket", "execve"]
    {
        let row = rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(row.verdict, Verdict::Pass, "\n{row}");
    }
    Ran::Through
}

/// The jail cannot be applied, and says why.
fn refused(role: &str, message: &str) -> Ran {
    let started = start(role, None, Path::new("/"), &[]);
    let error = started.report().error.unwrap();
    assert!(error.contains(message), "{error}");
    assert_eq!(started.child.wait().unwrap(), Exit::Code(1));
    Ran::Through
}

/// A worker of which somebody else is the master, see [`hostile`]; on the supervisor's side nothing is left of it.
fn hostile_worker(kind: Kind) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let _upstream = UnixListener::bind(directory.path().join(child::UPSTREAM)).unwrap();
    if reads_strangers_files(kind) {
        child::Folders::of(directory.path()).make();
    }
    let role = match kind {
        Kind::Engine => "hostile_engine",
        Kind::Gateway => "hostile_gateway",
        Kind::Importer => "hostile_importer",
        Kind::Relay => "hostile_relay",
        Kind::Indexer => "hostile_indexer",
        Kind::GpuEngine => panic!("needs a GPU"),
        Kind::Tool | Kind::ToolKeeper => panic!("tests/tools has these"),
    };
    let started = start(role, None, directory.path(), &[]);
    let report = started.report();
    assert_eq!(report.error, None);
    check_work(&report.work);
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let (_, pushed) = started.channel.recv(&mut [0; 64]).unwrap().unwrap();
    assert_eq!((pushed.len(), open() - before), (hostile::PUSHED, hostile::PUSHED));
    drop(pushed);
    assert_eq!(open(), before);
    started.channel.send(b"end", &[]).unwrap();
    assert_eq!(started.child.wait().unwrap(), Exit::Code(0));
    Ran::Through
}

fn the_32_bit_convention_ends_the_process() -> Ran {
    let end = |role| start(role, None, Path::new("/"), &[]).child.wait().unwrap();
    if end("interrupt_unjailed") != Exit::Code(0) {
        return Ran::NotTried("this machine has no such convention");
    }
    assert_eq!(end("interrupt"), Exit::Signal(libc::SIGSYS));
    Ran::Through
}

fn memory_is_limited() -> Ran {
    let started = start("memory", None, Path::new("/"), &[]);
    check_work(&started.report().work);
    assert_eq!(started.child.wait().unwrap(), Exit::Code(0));
    Ran::Through
}

/// A jailed grandchild is gone soon after its parent, which is killed and cannot tell it.
fn it_dies_with_its_parent() -> Ran {
    let started = start("parent_of_jailed", None, Path::new("/"), &[]);
    let mut buffer = [0; 16];
    // The grandchild's pidfd: readable when it has ended.
    let (_, descriptors) = started.channel.recv(&mut buffer).unwrap().unwrap();
    let grandchild = descriptors.first().unwrap();
    let ended = |timeout_s: i64| {
        let mut waited = [rustix::event::PollFd::new(grandchild, rustix::event::PollFlags::IN)];
        let timeout = rustix::event::Timespec { tv_sec: timeout_s, tv_nsec: 0 };
        rustix::event::poll(&mut waited, Some(&timeout)).unwrap() == 1
    };
    assert!(!ended(0), "it runs");
    started.child.kill().unwrap();
    assert_eq!(started.child.wait().unwrap(), Exit::Signal(9));
    assert!(ended(30), "it was killed");
    Ran::Through
}

/// A process of this program, in another role.
struct Started {
    child: Child,
    channel: Channel,
    report: File,
}

impl Started {
    fn report(&self) -> Report {
        let mut text = String::new();
        (&self.report).read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }
}

/// What [`start`] starts: see [`anybodys_copy`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// A copy of this program where any user can start it: a target folder often lies in root's own home.
fn anybodys_copy(directory: &Path) -> PathBuf {
    let everybody = || std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, everybody()).unwrap();
    let program = directory.join("jail-test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, everybody()).unwrap();
    program
}

/// Descriptors of the child: 3 the channel, 4 where it writes its report, then those given.
fn start(role: &str, user: Option<u32>, directory: &Path, more: &[BorrowedFd<'_>]) -> Started {
    start_on(Conditions::ORDINARY, role, user, directory, more)
}

fn start_on(
    conditions: Conditions,
    role: &str,
    user: Option<u32>,
    directory: &Path,
    more: &[BorrowedFd<'_>],
) -> Started {
    let (channel, theirs) = Channel::pair().unwrap();
    let (report, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let mut descriptors = vec![theirs.as_fd(), writer.as_fd()];
    descriptors.extend(more);
    let parent = std::process::id().to_string();
    let user = user.map(|user| user.to_string()).unwrap_or_default();
    let environment = [
        (child::ROLE, role),
        (child::USER, user.as_str()),
        (child::PARENT, parent.as_str()),
        (child::DIRECTORY, directory.to_str().unwrap()),
        (hosts::HOST, conditions.host),
        (hosts::ACCEPT, conditions.accept),
        // `setpriv`, where a host is made.
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ];
    let command = Command {
        program: Program::Path(PROGRAM.get().unwrap()),
        name: "jail-test",
        arguments: &[],
        environment: &environment,
        descriptors: &descriptors,
    };
    Started { child: spawn(&command).unwrap(), channel, report: report.into() }
}
