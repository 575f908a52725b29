//! Hosts that lack a piece of the jail, made of this one: what the jail says of them, and what it does where
//! somebody accepted that.
//!
//! A host is entered by the process itself, before the jail, and then by another exec. User namespaces are turned
//! off as an administrator does it, in a user namespace of its own, whose settings are its own. What the kernel
//! has of Landlock is hidden by a seccomp filter that answers in its place.

use std::{
    fs,
    io::{self, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::Command,
};

use jail::{Kind, Route, Weaker, channel::Channel, probe::Verdict};
use rustix::thread::UnshareFlags;

use super::{Ran, is_root, start_on, supervise_on};

/// The variable that names the host to enter; empty for this one.
pub(crate) const HOST: &str = "JAIL_HOST";
/// The variable with the names of what is accepted, by commas.
pub(crate) const ACCEPT: &str = "JAIL_ACCEPT";

/// Where a jailed process is started, and what it accepts.
#[derive(Clone, Copy)]
pub(crate) struct Conditions {
    pub(crate) host: &'static str,
    pub(crate) accept: &'static str,
}

impl Conditions {
    pub(crate) const ORDINARY: Conditions = Conditions { host: "", accept: "" };
}

const ALL: &str = "shared-network-namespace,landlock-without-tcp,no-landlock";

/// A host without user namespaces, in the machine's network.
const NO_NAMESPACES: &str = "no-namespaces";
/// The same in an empty network, as root can leave it.
const EMPTIED: &str = "emptied";
/// The same with its loopback up, as systemd leaves it.
const EMPTIED_AND_UP: &str = "emptied-and-up";
/// A user who is not root and has the capabilities that namespaces take, as systemd gives them.
const TWO_CAPABILITIES: &str = "two-capabilities";
const NO_LANDLOCK: &str = "no-landlock";

pub(crate) const TESTS: &[super::Test] = &[
    ("what_is_accepted_and_there_is_applied", accepted_and_there),
    ("without_namespaces_it_is_refused", || {
        let said = ["cannot make a user namespace", "shared-network-namespace", "No space left on device"];
        refused("engine", Conditions { host: EMPTIED, accept: "" }, &said);
        // Another weakness that was accepted is no help.
        refused("engine", Conditions { host: EMPTIED, accept: "no-landlock,landlock-without-tcp" }, &said)
    }),
    ("without_namespaces_an_empty_network_is_accepted", || {
        for kind in [Kind::Engine, Kind::Gateway, Kind::Importer] {
            for host in [EMPTIED, EMPTIED_AND_UP] {
                stayed(kind, host);
            }
        }
        Ran::Through
    }),
    ("the_machines_network_is_never_accepted", || {
        if !is_root() && !fs::exists("/proc/sys/net/core/netdev_max_backlog").unwrap() {
            return Ran::NotTried("this test runs in another network, and this user is not root");
        }
        let said = ["its network is the machine's own", "PrivateNetwork=yes", "cannot make a user namespace"];
        refused("engine", Conditions { host: NO_NAMESPACES, accept: ALL }, &said)
    }),
    ("a_relay_never_stays", || {
        let said = ["cannot make a user namespace", "but for a relay"];
        refused("relay", Conditions { host: EMPTIED, accept: ALL }, &said)
    }),
    ("capabilities_that_cannot_be_dropped_are_refused", || {
        let said = ["cannot empty the bounding set", "CapabilityBoundingSet="];
        refused("engine", Conditions { host: "emptied-with-bounds", accept: ALL }, &said)
    }),
    ("two_capabilities_make_the_whole_jail", || {
        if !is_root() {
            return Ran::NotTried("this user is not root");
        }
        let applied = supervise_on(Conditions { host: TWO_CAPABILITIES, accept: ALL }, Kind::Engine, None);
        assert_eq!((applied.route, applied.weaker), (Route::Direct, Vec::new()));
        Ran::Through
    }),
    ("without_landlock_it_is_refused", || {
        let said = ["Landlock is not available", "\"no-landlock\"", "Function not implemented"];
        refused("gateway", Conditions { host: NO_LANDLOCK, accept: "" }, &said);
        refused("gateway", Conditions { host: NO_LANDLOCK, accept: "landlock-without-tcp" }, &said)
    }),
    ("without_landlock_the_engine_is_as_closed", || {
        let applied = supervise_on(Conditions { host: NO_LANDLOCK, accept: ALL }, Kind::Engine, None);
        assert_eq!((applied.landlock_abi, applied.weaker.as_slice()), (0, &[Weaker::NoLandlock][..]));
        Ran::Through
    }),
    ("without_landlock_the_gateway_opens_files", without_landlock_the_gateway_opens_files),
    ("an_old_landlock_is_refused", || {
        let said = ["Landlock ABI 3 is too old", "\"landlock-without-tcp\""];
        refused("gateway", Conditions { host: "landlock-3", accept: "" }, &said);
        refused("gateway", Conditions { host: "landlock-3", accept: "no-landlock" }, &said)
    }),
    ("an_old_landlock_is_accepted", || {
        for (host, abi) in [("landlock-1", 1), ("landlock-2", 2), ("landlock-3", 3)] {
            for kind in [Kind::Engine, Kind::Gateway, Kind::Importer, Kind::Relay] {
                // Before the second nothing goes from one folder to another.
                if (abi, kind) == (1, Kind::Importer) {
                    continue;
                }
                let applied = supervise_on(Conditions { host, accept: ALL }, kind, None);
                assert_eq!((applied.landlock_abi, applied.weaker), (abi, vec![Weaker::LandlockWithoutTcp]));
            }
        }
        Ran::Through
    }),
    ("the_first_landlock_moves_nothing_between_folders", || {
        let (_directory, started) = super::importer_on(Conditions { host: "landlock-1", accept: ALL });
        let report = started.report();
        let failed: Vec<_> = report.work.iter().filter(|(_, outcome)| outcome != "ok").collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        let (what, outcome) = failed.first().unwrap();
        assert!(what == "a copy becomes a blob" && outcome.contains("cross-device"), "{what}: {outcome}");
        Ran::Through
    }),
];

/// Accepting is permission, not a switch.
fn accepted_and_there() -> Ran {
    for kind in [Kind::Engine, Kind::Gateway, Kind::Importer, Kind::Relay] {
        let applied = supervise_on(Conditions { host: "", accept: ALL }, kind, None);
        assert_eq!(applied.weaker, []);
        assert_eq!(applied.warning(), None);
        assert!(applied.landlock_abi >= jail::LANDLOCK_ABI_MIN && applied.route != Route::Inherited);
    }
    Ran::Through
}

/// All that the whole jail stops is stopped nevertheless.
fn stayed(kind: Kind, host: &'static str) {
    let applied = supervise_on(Conditions { host, accept: "shared-network-namespace" }, kind, None);
    assert_eq!(applied.route, Route::Inherited);
    assert_eq!(applied.weaker, [Weaker::SharedNetworkNamespace]);
    assert!(applied.warning().unwrap().contains("shared-network-namespace"));
}

/// What is lost is lost: the probes see it.
fn without_landlock_the_gateway_opens_files() -> Ran {
    let (_directory, started) = super::gateway_on(Conditions { host: NO_LANDLOCK, accept: "no-landlock" });
    let report = started.report();
    assert_eq!(report.applied.unwrap().weaker, [Weaker::NoLandlock]);
    let failed: std::collections::BTreeSet<&str> = report
        .probes
        .iter()
        .filter(|row| row.verdict == Verdict::Fail)
        .map(|row| row.name.as_str())
        .collect();
    assert!(failed.contains("reading a file"), "{failed:?}");
    let files = [
        "reading a file",
        "making a file",
        "reading /proc",
        "listing beside the grants",
        "a file beside the grants",
    ];
    assert!(failed.iter().all(|name| files.contains(name)), "nothing but files is lost: {failed:?}");
    Ran::Through
}

/// The jail cannot be applied, and says all of this.
fn refused(role: &str, conditions: Conditions, said: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let started = start_on(conditions, role, None, directory.path(), &[]);
    let error = started.report().error.unwrap();
    for part in said {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    assert_eq!(started.child.wait().unwrap(), jail::spawn::Exit::Code(1));
    Ran::Through
}

/// Enters the host that the variable names, by another exec of this program; returns where there is none to enter.
pub(crate) fn enter() {
    let host = std::env::var(HOST).unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(&program);
    match host.as_str() {
        "" => return,
        NO_NAMESPACES => {
            into_the_machines_network();
            without_namespaces(UnshareFlags::empty());
        }
        EMPTIED | "emptied-with-bounds" => without_namespaces(UnshareFlags::NEWNET),
        EMPTIED_AND_UP => {
            without_namespaces(UnshareFlags::NEWNET);
            loopback_up().unwrap();
        }
        TWO_CAPABILITIES => {}
        NO_LANDLOCK => hide_landlock(),
        other => answer_landlock_abi(other.strip_prefix("landlock-").unwrap().parse().unwrap()),
    }
    if [NO_NAMESPACES, EMPTIED, EMPTIED_AND_UP, "emptied-with-bounds"].contains(&host.as_str()) {
        command = Command::new("setpriv");
        command.args(["--inh-caps=-all", "--ambient-caps=-all", "--securebits=+noroot,+noroot_locked"]);
        if host != "emptied-with-bounds" {
            command.arg("--bounding-set=-all");
        }
        command.arg(&program);
    }
    if host == TWO_CAPABILITIES {
        command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        let sets = ["--inh-caps", "--ambient-caps", "--bounding-set"];
        command.args(sets.map(|set| format!("{set}=-all,+sys_admin,+setpcap"))).arg(&program);
    }
    let error = command.env(HOST, "").exec();
    panic!("cannot start again: {error}");
}

/// Whatever network this test was started in: the network of the first of its ancestors that may be looked at.
fn into_the_machines_network() {
    if !is_root() {
        return;
    }
    let parent_of = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        parent.trim().parse::<u32>().ok()
    };
    let ancestors = std::iter::successors(Some(std::process::id()), parent_of);
    let network = ancestors.filter_map(|pid| fs::File::open(format!("/proc/{pid}/ns/net")).ok()).last();
    let kind = rustix::thread::LinkNameSpaceType::Network;
    rustix::thread::move_into_link_name_space(network.unwrap().as_fd(), Some(kind)).unwrap();
}

/// Into a user namespace in which no more may be made.
fn without_namespaces(more: UnshareFlags) {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: there is one thread, and CLONE_FILES is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | more) }.unwrap();
    put("/proc/self/setgroups", "deny");
    put("/proc/self/uid_map", &format!("0 {user} 1"));
    put("/proc/self/gid_map", &format!("0 {group} 1"));
    put("/proc/sys/user/max_user_namespaces", "0");
}

fn put(path: &str, text: &str) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn loopback_up() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: ifreq is integers and a union of integers, for which all zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap();
    // SAFETY: the call reads the name and the flags of the ifreq, which lives through it.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// As a kernel that was built without it.
fn hide_landlock() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let calls =
        [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
    let rules = calls.map(|call| (call, Vec::new())).into_iter().collect();
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    rustix::thread::set_no_new_privs(true).unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// As a kernel of that Landlock ABI: a process beside this one answers who asks for it. What is asked of Landlock
/// beyond that is the real kernel's to do, which knows the accesses of all ABIs before its own.
fn answer_landlock_abi(abi: i64) {
    let (ours, theirs) = Channel::pair().unwrap();
    // SAFETY: there is one thread, so the child may run anything.
    if unsafe { libc::fork() } == 0 {
        drop(ours);
        answer_questions(&theirs, abi);
        // SAFETY: ends this process, without running what the parent is to run.
        unsafe { libc::_exit(0) };
    }
    drop(theirs);
    rustix::thread::set_no_new_privs(true).unwrap();
    let listener = listener();
    ours.send(b"listener", &[listener.as_fd()]).unwrap();
}

/// A filter that has somebody else answer `landlock_create_ruleset` with the flag that asks for the ABI.
fn listener() -> std::os::fd::OwnedFd {
    use std::os::fd::{FromRawFd, OwnedFd};
    const NUMBER: u32 = 0;
    /// The low half of the third argument, on a machine of little ends.
    const FLAGS: u32 = 32;
    let create_ruleset = u32::try_from(libc::SYS_landlock_create_ruleset).unwrap();
    let load = |k| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k };
    let unless_equal = |k, jf| libc::sock_filter { code: 0x15, jt: 0, jf, k };
    let answer = |k| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let mut program = [
        load(NUMBER),
        unless_equal(create_ruleset, 3),
        load(FLAGS),
        unless_equal(1, 1),
        answer(libc::SECCOMP_RET_USER_NOTIF),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 6, filter: program.as_mut_ptr() };
    // SAFETY: the program is read during the call, and is as long as it says.
    let number = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    assert!(number >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(i32::try_from(number).unwrap()) }
}

/// Until whoever asks is gone.
fn answer_questions(channel: &Channel, abi: i64) {
    use std::os::fd::AsRawFd;
    const RECEIVE: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    let (_, mut descriptors) = channel.recv(&mut [0; 16]).unwrap().unwrap();
    let listener = descriptors.pop().unwrap();
    // What the test passed must be at its end when the parent is.
    let ours = [channel.as_raw_fd(), listener.as_raw_fd()];
    for number in (3..64).filter(|number| !ours.contains(number)) {
        // SAFETY: nothing in this process uses the others any more.
        unsafe { libc::close(number) };
    }
    loop {
        let mut asked = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
        let waited = rustix::event::poll(&mut asked, None);
        // Nobody who could ask is left.
        if waited.is_ok() && !asked.first().unwrap().revents().contains(rustix::event::PollFlags::IN) {
            return;
        }
        // SAFETY: integers, for which all zeroes are valid, as the kernel demands of them.
        let mut question: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes a question of this type.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut question) } != 0 {
            if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return;
        }
        let answer = libc::seccomp_notif_resp { id: question.id, val: abi, error: 0, flags: 0 };
        // SAFETY: the kernel reads an answer of this type. Whoever asked may be gone.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const answer) };
    }
}
