//! The positive control: the same ways out, tried outside a jail, where they have to be open.

use std::{
    ffi::CString,
    fs,
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::net::UnixListener,
    },
    path::PathBuf,
    ptr,
    time::Duration,
};

use libc::{c_int, c_long};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{
    Errno, Got, KEYCTL_SESSION, PTRACE_SEIZE, ProbeResult, Verdict, address, call_raw, current_thread,
    descriptor, executable_memory, io_uring, open, open_2,
};

/// How long a control waits for its own message. Reached only when the machine is broken.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tries, OUTSIDE a jail, what [`super::run`] tries inside: each row has to succeed.
///
/// It talks to this machine only: over the loopback, and to sockets and children of its own. What
/// this machine or user cannot try (no vsock, io_uring switched off, not root) is
/// [`Verdict::NotTried`] with the reason.
#[must_use]
pub fn control() -> Vec<ProbeResult> {
    CONTROLS.iter().map(Control::result).collect()
}

struct Control {
    /// The name of the probe that it is the control of.
    name: &'static str,
    attempted: &'static str,
    needs: Needs,
    run: fn() -> io::Result<()>,
}

enum Needs {
    Nothing,
    /// Something that a machine may lack; these errors say that it does.
    Machine(&'static [c_int]),
    /// Likewise, and the user 0: without, it is not tried.
    Root(&'static [c_int]),
}

impl Control {
    fn result(&self) -> ProbeResult {
        let (root, lacking): (bool, &[c_int]) = match self.needs {
            Needs::Nothing => (false, &[]),
            Needs::Machine(errnos) => (false, errnos),
            Needs::Root(errnos) => (true, errnos),
        };
        let (got, verdict) = if root && !rustix::process::geteuid().is_root() {
            (Got::Nothing, Verdict::NotTried("needs root".to_owned()))
        } else {
            match (self.run)() {
                Ok(()) => (Got::Succeeded, Verdict::Pass),
                Err(error) => {
                    let number = error.raw_os_error();
                    let got = number.map_or_else(
                        || Got::Found(error.to_string()),
                        |number| Got::Refused(Errno::new(number)),
                    );
                    let verdict = match number {
                        Some(number) if lacking.contains(&number) => Verdict::NotTried(format!(
                            "this machine does not offer it: {}",
                            Errno::new(number)
                        )),
                        _ => Verdict::Fail,
                    };
                    (got, verdict)
                }
            }
        };
        ProbeResult {
            name: self.name.to_owned(),
            layer: super::layer_of(self.name),
            thread: current_thread(),
            attempted: self.attempted.to_owned(),
            expected: Vec::new(),
            got,
            verdict,
        }
    }
}

const NO_SUCH_FAMILY: &[c_int] = &[libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL];
const SWITCHED_OFF: &[c_int] = &[libc::ENOSYS, libc::EPERM, libc::EACCES];

const CONTROLS: &[Control] = &[
    Control {
        name: "tcp over IPv4",
        attempted: "connect 127.0.0.1, one byte across",
        needs: Needs::Nothing,
        run: || tcp(Ipv4Addr::LOCALHOST.into()),
    },
    Control {
        name: "tcp over IPv6",
        attempted: "connect [::1], one byte across",
        needs: Needs::Machine(NO_SUCH_FAMILY),
        run: || tcp(Ipv6Addr::LOCALHOST.into()),
    },
    Control {
        name: "udp over IPv4",
        attempted: "datagram to 127.0.0.1",
        needs: Needs::Nothing,
        run: || udp(Ipv4Addr::LOCALHOST.into(), b"datagram"),
    },
    Control {
        name: "udp over IPv6",
        attempted: "datagram to [::1]",
        needs: Needs::Machine(NO_SUCH_FAMILY),
        run: || udp(Ipv6Addr::LOCALHOST.into(), b"datagram"),
    },
    Control {
        name: "dns",
        attempted: "query to a socket on 127.0.0.1",
        needs: Needs::Nothing,
        run: || udp(Ipv4Addr::LOCALHOST.into(), DNS_QUERY),
    },
    Control {
        name: "icmp, raw",
        attempted: "echo request to 127.0.0.1",
        needs: Needs::Root(SWITCHED_OFF),
        run: icmp,
    },
    Control {
        name: "packet socket",
        attempted: "socket(AF_PACKET, SOCK_RAW)",
        needs: Needs::Root(&[libc::EAFNOSUPPORT, libc::EPERM]),
        run: || as_result(super::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
    },
    Control {
        name: "netlink",
        attempted: "list of the interfaces",
        needs: Needs::Machine(&[libc::EPROTONOSUPPORT]),
        run: netlink,
    },
    Control {
        name: "vsock",
        attempted: "socket(AF_VSOCK), bind, listen",
        needs: Needs::Machine(&[libc::ENOENT, libc::ENXIO, libc::ENODEV, libc::EAFNOSUPPORT]),
        run: vsock,
    },
    Control {
        name: "abstract unix socket",
        attempted: "connect to a listener of our own",
        needs: Needs::Nothing,
        run: abstract_unix,
    },
    Control {
        name: "pathname unix socket",
        attempted: "connect to a listener of our own",
        needs: Needs::Nothing,
        run: pathname_unix,
    },
    Control {
        name: "datagrams from a pair",
        attempted: "socketpair(AF_UNIX, SOCK_DGRAM)",
        needs: Needs::Nothing,
        run: || as_result(super::pair(libc::SOCK_DGRAM)),
    },
    Control {
        name: "io_uring",
        attempted: "io_uring_setup(1)",
        needs: Needs::Machine(SWITCHED_OFF),
        run: || as_result(io_uring()),
    },
    Control {
        name: "execve",
        attempted: "execve(/bin/true) in a child",
        needs: Needs::Nothing,
        run: || execute(libc::SYS_execve),
    },
    Control {
        name: "execveat",
        attempted: "execveat(/bin/true) in a child",
        needs: Needs::Nothing,
        run: || execute(libc::SYS_execveat),
    },
    Control { name: "fork", attempted: "fork", needs: Needs::Nothing, run: || in_child(|| 0) },
    Control {
        name: "ptrace",
        attempted: "ptrace(PTRACE_SEIZE) of a child",
        needs: Needs::Machine(SWITCHED_OFF),
        run: || {
            with_waiting_child(|child| check(call_raw(libc::SYS_ptrace, [PTRACE_SEIZE, child, 0, 0, 0, 0])))
        },
    },
    Control {
        name: "another process's memory",
        attempted: "process_vm_readv of a child",
        needs: Needs::Machine(SWITCHED_OFF),
        run: read_child_memory,
    },
    Control {
        name: "another process's descriptors",
        attempted: "pidfd_open of a child",
        needs: Needs::Nothing,
        run: || {
            with_waiting_child(|child| {
                as_result(descriptor(call_raw(libc::SYS_pidfd_open, [child, 0, 0, 0, 0, 0])))
            })
        },
    },
    Control {
        name: "signal to another process",
        attempted: "kill(child, 0)",
        needs: Needs::Nothing,
        run: || with_waiting_child(|child| check(call_raw(libc::SYS_kill, [child, 0, 0, 0, 0, 0]))),
    },
    Control {
        name: "signal to another's thread",
        attempted: "tgkill(child, child, 0)",
        needs: Needs::Nothing,
        run: || with_waiting_child(|child| check(call_raw(libc::SYS_tgkill, [child, child, 0, 0, 0, 0]))),
    },
    Control {
        name: "bpf",
        attempted: "bpf(BPF_MAP_CREATE, an array of one)",
        needs: Needs::Root(SWITCHED_OFF),
        run: bpf,
    },
    Control {
        name: "userfaultfd",
        attempted: "userfaultfd(O_CLOEXEC)",
        needs: Needs::Root(SWITCHED_OFF),
        run: || {
            as_result(descriptor(call_raw(libc::SYS_userfaultfd, [libc::O_CLOEXEC.into(), 0, 0, 0, 0, 0])))
        },
    },
    Control {
        name: "mount",
        attempted: "tmpfs in a mount namespace of a child",
        needs: Needs::Root(SWITCHED_OFF),
        run: mount,
    },
    Control {
        name: "new user namespace",
        attempted: "unshare(CLONE_NEWUSER) in a child",
        needs: Needs::Machine(&[libc::EPERM, libc::EACCES, libc::ENOSYS, libc::ENOSPC, libc::EINVAL]),
        run: || {
            in_child(|| errno_of(call_raw(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0, 0])))
        },
    },
    Control {
        name: "another network namespace",
        attempted: "setns to our own in a child",
        needs: Needs::Root(SWITCHED_OFF),
        run: setns,
    },
    Control {
        name: "reading a file",
        attempted: "openat(/etc/passwd)",
        needs: Needs::Nothing,
        run: || as_result(open(c"/etc/passwd", libc::O_RDONLY)),
    },
    Control {
        name: "making a file",
        attempted: "openat(/tmp, O_TMPFILE)",
        needs: Needs::Machine(&[libc::EOPNOTSUPP, libc::EROFS]),
        run: || as_result(open(c"/tmp", libc::O_TMPFILE | libc::O_RDWR)),
    },
    Control {
        name: "reading a file by openat2",
        attempted: "openat2(/etc/passwd)",
        needs: Needs::Nothing,
        run: || as_result(open_2(c"/etc/passwd", libc::O_RDONLY)),
    },
    Control {
        name: "making a file by openat2",
        attempted: "openat2(/tmp, O_TMPFILE)",
        needs: Needs::Machine(&[libc::EOPNOTSUPP, libc::EROFS]),
        run: || as_result(open_2(c"/tmp", libc::O_TMPFILE | libc::O_RDWR)),
    },
    Control {
        name: "a pair of sockets",
        attempted: "socketpair(AF_UNIX, SOCK_STREAM)",
        needs: Needs::Nothing,
        run: || as_result(super::pair(libc::SOCK_STREAM)),
    },
    Control {
        name: "reading /proc",
        attempted: "openat(/proc/self/environ)",
        needs: Needs::Nothing,
        run: || as_result(open(c"/proc/self/environ", libc::O_RDONLY)),
    },
    Control {
        name: "a file by its handle",
        attempted: "open_by_handle_at(/etc/passwd)",
        needs: Needs::Root(&[libc::EOPNOTSUPP, libc::EPERM, libc::ESTALE]),
        run: by_handle,
    },
    Control {
        name: "memory file",
        attempted: "memfd_create",
        needs: Needs::Nothing,
        run: || {
            let flags = c_long::from(libc::MFD_CLOEXEC.cast_signed());
            let name = address(c"control".as_ptr());
            as_result(descriptor(call_raw(libc::SYS_memfd_create, [name, flags, 0, 0, 0, 0])))
        },
    },
    Control {
        name: "executable memory",
        attempted: "mmap(PROT_READ | PROT_WRITE | PROT_EXEC)",
        needs: Needs::Machine(&[libc::EACCES, libc::EPERM]),
        run: || as_result(executable_memory()),
    },
    Control {
        name: "keys",
        attempted: "keyctl(KEYCTL_GET_KEYRING_ID, session)",
        needs: Needs::Machine(&[libc::ENOSYS, libc::ENOKEY, libc::EACCES]),
        run: || check(call_raw(libc::SYS_keyctl, KEYCTL_SESSION)),
    },
];

/// A question for the address of example.invalid, with the number 0xC101.
const DNS_QUERY: &[u8] =
    b"\xc1\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x07invalid\x00\x00\x01\x00\x01";

fn tcp(host: IpAddr) -> io::Result<()> {
    let listener = TcpListener::bind((host, 0))?;
    let family = if host.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let client = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&client, &listener.local_addr()?)?;
    rustix::io::write(&client, b"x")?;
    let (mut server, _) = listener.accept()?;
    server.set_read_timeout(Some(TIMEOUT))?;
    server.read_exact(&mut [0; 1])
}

fn udp(host: IpAddr, datagram: &[u8]) -> io::Result<()> {
    let server = UdpSocket::bind((host, 0))?;
    server.set_read_timeout(Some(TIMEOUT))?;
    UdpSocket::bind((host, 0))?.send_to(datagram, server.local_addr()?)?;
    let mut received = [0; 64];
    let length = server.recv(&mut received)?;
    if received.get(..length) == Some(datagram) {
        Ok(())
    } else {
        Err(io::Error::other("another datagram came"))
    }
}

fn icmp() -> io::Result<()> {
    // Type 8, code 0, checksum, identifier 0, number 0.
    const ECHO_REQUEST: [u8; 8] = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let raw = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(rustix::net::ipproto::ICMP),
    )?;
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    rustix::net::sockopt::set_socket_timeout(&raw, rustix::net::sockopt::Timeout::Recv, Some(TIMEOUT))?;
    rustix::net::sendto(&raw, &ECHO_REQUEST, rustix::net::SendFlags::empty(), &loopback)?;
    rustix::net::recv(&raw, &mut [0_u8; 128], rustix::net::RecvFlags::empty())?;
    Ok(())
}

fn netlink() -> io::Result<()> {
    // The protocol 0 is NETLINK_ROUTE. nlmsghdr: 17 bytes, RTM_GETLINK (18), NLM_F_REQUEST | NLM_F_DUMP (0x301), number 1, port 0;
    // then rtgenmsg: any family; then padding to 20 bytes.
    let mut request = [0_u8; 20];
    for (place, byte) in request.iter_mut().zip(
        17_u32
            .to_ne_bytes()
            .into_iter()
            .chain(18_u16.to_ne_bytes())
            .chain(0x301_u16.to_ne_bytes())
            .chain(1_u32.to_ne_bytes()),
    ) {
        *place = byte;
    }
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(TIMEOUT))?;
    rustix::net::send(&socket, &request, rustix::net::SendFlags::empty())?;
    let (length, _) = rustix::net::recv(&socket, &mut [0_u8; 8192], rustix::net::RecvFlags::empty())?;
    if length > request.len() { Ok(()) } else { Err(io::Error::other("no interface came")) }
}

/// Not connected: no address of this family is sure to lead back to this machine.
fn vsock() -> io::Result<()> {
    fs::metadata("/dev/vsock")?;
    let number = super::open_socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0)
        .map_err(|errno| io::Error::from_raw_os_error(errno.number()))?;
    // SAFETY: just opened, and nobody else knows of it.
    let listener = unsafe { OwnedFd::from_raw_fd(number) };
    // SAFETY: sockaddr_vm is integers, for which all zeroes are valid.
    let mut local: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    local.svm_family = super::family(libc::AF_VSOCK);
    local.svm_cid = libc::VMADDR_CID_ANY;
    local.svm_port = libc::VMADDR_PORT_ANY;
    let length = libc::socklen_t::try_from(size_of_val(&local)).unwrap_or(0);
    // SAFETY: the address lives through the call and is `length` bytes long.
    check(unsafe { libc::bind(listener.as_raw_fd(), (&raw const local).cast(), length) }.into())?;
    rustix::net::listen(&listener, 1)?;
    Ok(())
}

fn abstract_unix() -> io::Result<()> {
    let name = unique_name();
    let listener = UnixListener::bind_addr(&std::os::unix::net::SocketAddr::from_abstract_name(&name)?)?;
    connect_unix(&listener, &rustix::net::SocketAddrUnix::new_abstract_name(name.as_bytes())?)
}

fn pathname_unix() -> io::Result<()> {
    let path = PathBuf::from("/tmp").join(unique_name());
    let listener = UnixListener::bind(&path)?;
    let connected = rustix::net::SocketAddrUnix::new(&path)
        .map_err(io::Error::from)
        .and_then(|address| connect_unix(&listener, &address));
    fs::remove_file(&path)?;
    connected
}

fn connect_unix(listener: &UnixListener, address: &rustix::net::SocketAddrUnix) -> io::Result<()> {
    let client =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&client, address)?;
    rustix::io::write(&client, b"x")?;
    let (mut server, _) = listener.accept()?;
    server.read_exact(&mut [0; 1])
}

fn unique_name() -> String {
    format!("cloister-control-{}-{}", std::process::id(), current_thread())
}

fn execute(call: c_long) -> io::Result<()> {
    let path = c"/bin/true".as_ptr();
    let arguments = [path, ptr::null()];
    let (path, list) = (address(path), address(arguments.as_ptr()));
    let nothing = address(arguments.as_ptr().wrapping_add(1));
    in_child(|| {
        errno_of(if call == libc::SYS_execve {
            call_raw(call, [path, list, nothing, 0, 0, 0])
        } else {
            call_raw(call, [libc::AT_FDCWD.into(), path, list, nothing, 0, 0])
        })
    })
}

fn read_child_memory() -> io::Result<()> {
    // The child is a copy of us: what lies here lies there at the same address.
    let there = [0x5a_u8; 8];
    let mut here = [0_u8; 8];
    let local = libc::iovec { iov_base: here.as_mut_ptr().cast(), iov_len: here.len() };
    let remote = libc::iovec { iov_base: there.as_ptr().cast_mut().cast(), iov_len: there.len() };
    with_waiting_child(|child| {
        let arguments = [child, address(&raw const local), 1, address(&raw const remote), 1, 0];
        check(call_raw(libc::SYS_process_vm_readv, arguments))
    })?;
    if here == there { Ok(()) } else { Err(io::Error::other("other bytes came")) }
}

fn bpf() -> io::Result<()> {
    // union bpf_attr for BPF_MAP_CREATE: BPF_MAP_TYPE_ARRAY (2), key 4 bytes, value 8 bytes, one entry.
    let attributes = [2_u32, 4, 8, 1, 0, 0, 0, 0];
    let length = c_long::try_from(size_of_val(&attributes)).unwrap_or(0);
    as_result(descriptor(call_raw(libc::SYS_bpf, [0, address(attributes.as_ptr()), length, 0, 0, 0])))
}

fn mount() -> io::Result<()> {
    let (tmpfs, root, target) =
        (address(c"tmpfs".as_ptr()), address(c"/".as_ptr()), address(c"/tmp".as_ptr()));
    // Private first: no mount may reach the machine's own namespace.
    let private = c_long::try_from(libc::MS_REC | libc::MS_PRIVATE).unwrap_or(0);
    in_child(|| {
        for (call, arguments) in [
            (libc::SYS_unshare, [libc::CLONE_NEWNS.into(), 0, 0, 0, 0, 0]),
            (libc::SYS_mount, [0, root, 0, private, 0, 0]),
            (libc::SYS_mount, [tmpfs, target, tmpfs, 0, 0, 0]),
        ] {
            let errno = errno_of(call_raw(call, arguments));
            if errno != 0 {
                return errno;
            }
        }
        0
    })
}

fn setns() -> io::Result<()> {
    let namespace = fs::File::open("/proc/self/ns/net")?;
    let number = c_long::from(namespace.as_fd().as_raw_fd());
    in_child(|| errno_of(call_raw(libc::SYS_setns, [number, libc::CLONE_NEWNET.into(), 0, 0, 0, 0])))
}

fn by_handle() -> io::Result<()> {
    /// struct file_handle of linux/fcntl.h with the largest handle, `MAX_HANDLE_SZ`.
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        handle: [u8; 128],
    }
    let path = CString::new("/etc/passwd")?;
    let mut handle = Handle { bytes: 128, kind: 0, handle: [0; 128] };
    let mut mount: c_int = 0;
    let place = address(&raw mut handle);
    let arguments = [libc::AT_FDCWD.into(), address(path.as_ptr()), place, address(&raw mut mount), 0, 0];
    check(call_raw(libc::SYS_name_to_handle_at, arguments))?;
    let root = fs::File::open("/etc")?;
    let flags = c_long::from(libc::O_RDONLY | libc::O_CLOEXEC);
    let arguments = [root.as_raw_fd().into(), place, flags, 0, 0, 0];
    as_result(descriptor(call_raw(libc::SYS_open_by_handle_at, arguments)))
}

/// Runs a body in a child, which ends with the body's answer: 0, or an errno. The body may call the
/// kernel only: other threads' locks are frozen in the child.
fn in_child(body: impl FnOnce() -> c_int) -> io::Result<()> {
    // SAFETY: the child runs the body, which keeps to system calls, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = body();
        // SAFETY: ends the child without running anything of the parent.
        unsafe { libc::_exit(code) }
    }
    check(child.into())?;
    let mut status = 0;
    // SAFETY: waits for the child above and writes one integer.
    check(unsafe { libc::waitpid(child, &raw mut status, 0) }.into())?;
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => Ok(()),
        (true, errno) => Err(io::Error::from_raw_os_error(errno)),
        (false, _) => Err(io::Error::other("the child was killed")),
    }
}

/// Runs a body beside a child that does nothing, and ends the child.
fn with_waiting_child(body: impl FnOnce(c_long) -> io::Result<()>) -> io::Result<()> {
    // SAFETY: the child only waits, to be killed.
    let child = unsafe { libc::fork() };
    if child == 0 {
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    check(child.into())?;
    let answer = body(child.into());
    // SAFETY: the child above, which nobody else waits for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, ptr::null_mut(), 0);
    }
    answer
}

fn check(answer: c_long) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn errno_of(answer: c_long) -> c_int {
    if answer < 0 { Errno::last().number() } else { 0 }
}

fn as_result(got: Got) -> io::Result<()> {
    match got {
        Got::Succeeded => Ok(()),
        Got::Refused(errno) => Err(io::Error::from_raw_os_error(errno.number())),
        other => Err(io::Error::other(other.to_string())),
    }
}
