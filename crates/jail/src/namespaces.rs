//! An empty network, and IPC and host names of its own.

use std::{fs, io, io::Write, os::fd::AsRawFd, path::Path};

use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::{JailError, Layer, Route, layer::left_out};

/// What was entered.
pub(crate) struct Entered {
    pub(crate) route: Route,
    /// Inode of the network namespace.
    pub(crate) network_namespace: u64,
}

/// Enters new namespaces and verifies that the network is another one and empty. Where the process may make none
/// and `may_stay`, it stays in the one it is in, if that is empty.
pub(crate) fn enter(may_stay: bool) -> Result<Entered, JailError> {
    let before = network_namespace()?;
    let route = if may_unshare() { Route::Direct } else { Route::UserNamespace };
    let mut namespaces = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    for (layer, flag) in [
        (Layer::NetworkNamespace, UnshareFlags::NEWNET),
        (Layer::IpcNamespace, UnshareFlags::NEWIPC),
        (Layer::HostnameNamespace, UnshareFlags::NEWUTS),
    ] {
        namespaces.set(flag, !left_out(layer));
    }
    // Read before: inside, an unmapped user is 65534.
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    // The kernel makes all that is asked for in one call, or nothing.
    let unshared = match route {
        Route::UserNamespace => {
            unshare(namespaces | UnshareFlags::NEWUSER).map_err(|source| JailError::UserNamespace { source })
        }
        _ => unshare(namespaces).map_err(|source| JailError::Namespaces { source }),
    };
    match unshared {
        Err(refused) if may_stay => return stay(before, refused),
        unshared => unshared?,
    }
    if route == Route::UserNamespace {
        // A group map is refused to the unprivileged until setgroups is given up.
        write_map("/proc/self/setgroups", "deny")?;
        write_map("/proc/self/uid_map", &format!("{user} {user} 1"))?;
        write_map("/proc/self/gid_map", &format!("{group} {group} 1"))?;
    }
    let after = network_namespace()?;
    if !left_out(Layer::NetworkNamespace) {
        if before == after {
            return Err(JailError::NetworkUnchanged { inode: after });
        }
        require_only_a_loopback_that_is_down()?;
    }
    Ok(Entered { route, network_namespace: after })
}

/// Answers the network that somebody else made, if it is not the machine's first and holds nothing but a loopback.
/// That one may be up, as systemd leaves it: a process without sockets reaches nobody by it.
fn stay(network_namespace: u64, refused: JailError) -> Result<Entered, JailError> {
    let why = match is_the_first_network() {
        Some(false) => {
            let interfaces = interfaces()?;
            if interfaces == ["lo"] {
                return Ok(Entered { route: Route::Inherited, network_namespace });
            }
            format!("its network holds {}", interfaces.join(", "))
        }
        Some(true) => "its network is the machine's own".to_owned(),
        None => "whether its network is the machine's own cannot be told: /proc/sys is hidden \
                 (systemd: ProcSubset=all)"
            .to_owned(),
    };
    Err(JailError::NetworkShared { why, source: Box::new(refused) })
}

/// By what is set for the machine as a whole: the kernel shows it in the first network namespace and in no other.
/// `None` where not even what every namespace shows is to be seen.
fn is_the_first_network() -> Option<bool> {
    let settings = Path::new("/proc/sys/net/core");
    if !settings.join("somaxconn").exists() {
        return None;
    }
    Some(settings.join("netdev_max_backlog").exists())
}

/// By capability, not by user: root in a container may lack them, and then a user namespace may do.
fn may_unshare() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP))
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: unshare can break the sharing of descriptors between threads that others rely on;
    // there is one thread, and CLONE_FILES is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

fn write_map(file: &'static str, text: &str) -> Result<(), JailError> {
    fs::OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|mut map| map.write_all(text.as_bytes()))
        .map_err(|source| JailError::IdentityMap { file, source })
}

fn network_namespace() -> Result<u64, JailError> {
    use std::os::unix::fs::MetadataExt;
    let path = Path::new("/proc/self/ns/net");
    fs::metadata(path)
        .map(|metadata| metadata.ino())
        .map_err(|source| JailError::Proc { path: path.to_owned(), source })
}

fn require_only_a_loopback_that_is_down() -> Result<(), JailError> {
    let interfaces = interfaces()?;
    if interfaces != ["lo"] {
        return Err(JailError::NetworkNotEmpty { found: interfaces.join(", ") });
    }
    if loopback_is_up().map_err(|source| JailError::LoopbackState { source })? {
        return Err(JailError::NetworkNotEmpty { found: "lo, and it is up".to_owned() });
    }
    Ok(())
}

fn interfaces() -> Result<Vec<String>, JailError> {
    let path = Path::new("/proc/self/net/dev");
    let table =
        fs::read_to_string(path).map_err(|source| JailError::Proc { path: path.to_owned(), source })?;
    Ok(interface_names(&table).map(str::to_owned).collect())
}

/// Names of the interfaces in the text of /proc/net/dev: two lines of heading, then `name: counters`.
pub(crate) fn interface_names(table: &str) -> impl Iterator<Item = &str> {
    table.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim())
}

fn loopback_is_up() -> io::Result<bool> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: ifreq is integers and a union of integers, for which all zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    // SAFETY: SIOCGIFFLAGS reads the name and writes the flags of the ifreq, which lives through
    // the call; the name ends in zeroes.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just written this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(libc::c_int::from(flags) & libc::IFF_UP != 0)
}
