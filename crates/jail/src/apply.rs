//! The jail as a whole: what is asked for, the order of the steps, and what each says when it fails.

use std::{
    ffi::CString,
    fs, io,
    os::fd::RawFd,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use crate::{
    Layer, Weaker, capabilities, descriptors, files, gpu, layer::left_out, mounts, namespaces, seccomp,
};

/// What a process keeps. Everything not named here is given up.
#[derive(Clone, Debug)]
pub struct Jail {
    /// Names the process in errors, and in `ps` (at most 15 bytes are shown there).
    pub name: String,
    /// Chooses the table of system calls.
    pub kind: Kind,
    /// The process that must outlive this one, as that process told it (asking the kernel would be
    /// too late): when it ends, this one is killed.
    pub parent_pid: u32,
    /// Directories whose contents may be read, written, made, renamed and removed. Absolute.
    pub read_write: Vec<PathBuf>,
    /// Files, or directories with what is under them, that may be read. Absolute.
    pub read_only: Vec<PathBuf>,
    /// Descriptors that stay open, beside 0, 1 and 2. Each must be open. All others are closed, so
    /// no object of the caller may own one of those.
    pub keep_fds: Vec<RawFd>,
    /// Limit of the address space in bytes, mapped files included (a model counts whole).
    pub memory_bytes_max: Option<u64>,
    /// Limit of open descriptors.
    pub open_files_max: u64,
    /// What the jail may go without, where the kernel or the host lacks it.
    pub accept: Vec<Weaker>,
}

/// Which process is jailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Computes on descriptors it was handed: opens nothing, accepts nothing.
    Engine,
    /// Computes on a GPU: as [`Kind::Engine`], and opens the files of [`crate::gpu::GRANTS`].
    GpuEngine,
    /// Accepts on inherited listeners and keeps files in its directories: makes no socket but a
    /// local stream pair, and never dials.
    Gateway,
    /// Reads what a stranger brought, in the paths that are granted for reading, and copies it into those that
    /// are granted for writing: makes no socket of any kind, and accepts nothing.
    Importer,
    /// Connects to one Unix socket, in a file system that holds nothing else. See [`apply_with_socket`].
    Relay,
    /// Reads source trees in the paths that are granted for reading, and keeps an index in one that is granted for
    /// writing: makes no socket of any kind, and runs nothing.
    Indexer,
    /// A compiler or another program of others, with whatever it starts. Only [`crate::tool`] applies it.
    Tool,
    /// Waits for a tool's end, and runs no code but ours. Only [`crate::tool`] applies it.
    ToolKeeper,
}

/// What was applied, for the log and the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// [`Jail::name`].
    pub name: String,
    /// [`Jail::kind`].
    pub kind: Kind,
    /// How the namespaces were entered.
    pub route: Route,
    /// Inode of the empty network namespace: a new one, but by [`Route::Inherited`].
    pub network_namespace: u64,
    /// The kernel's Landlock ABI, at least [`crate::LANDLOCK_ABI_MIN`] where less was not accepted; 0 is none.
    /// From 6 on, abstract sockets and signals are scoped; from 9 on, pathname sockets; from 10 on, UDP is
    /// denied here too.
    pub landlock_abi: u32,
    /// Whether Landlock by itself refused a file and a TCP port, tried before the seccomp table came on top of it.
    pub landlock_refuses: bool,
    /// System calls that the seccomp table admits, with or without conditions on their arguments.
    pub system_calls_allowed: u32,
    /// Descriptors that stayed open.
    pub descriptors: Vec<RawFd>,
    /// [`Jail::read_write`], and what a GPU's driver writes, its devices among them.
    pub read_write: Vec<PathBuf>,
    /// [`Jail::read_only`], and what else a GPU's driver reads.
    pub read_only: Vec<PathBuf>,
    /// What it goes without, all of it accepted by [`Jail::accept`]; empty for a whole jail.
    pub weaker: Vec<Weaker>,
}

impl Applied {
    /// A line for the log when the jail is not whole.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let lost = self.weaker.iter().map(|weaker| format!("{weaker} ({})", weaker.lost()));
        let lost: Vec<String> = lost.collect();
        let name = &self.name;
        (!lost.is_empty())
            .then(|| format!("{name}: weaker than a whole jail, as accepted: {}", lost.join("; ")))
    }
}

/// How the namespaces were entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// With the capabilities that the process had.
    Direct,
    /// Through a user namespace that maps the process's own user and group only. In it, every other
    /// user reads as 65534, also in the peer credentials of a socket: 65534 identifies nobody.
    UserNamespace,
    /// Not entered: the process stayed where it was started, in a network that somebody else had emptied.
    /// [`Weaker::SharedNetworkNamespace`] was accepted.
    Inherited,
}

/// Confines this process. Nothing is taken back on an error: the process must end.
///
/// Call it in a freshly executed process before any thread or runtime exists, and before any
/// object owns a descriptor outside [`Jail::keep_fds`].
///
/// The order matters. Descriptors go first, so that no later step can act through one. The death
/// signal comes after the last change of credentials, which clears it. `no_new_privs` precedes
/// Landlock and seccomp, which require it. Seccomp is last: it forbids the calls of all the others.
pub fn apply(jail: &Jail) -> Result<Applied, JailError> {
    confine(jail, None)
}

/// The same for a [`Kind::Relay`], which may connect to `socket`: as [`crate::SOCKET`], the only path that it
/// still has. Other kinds connect to nothing, whatever is named here.
pub fn apply_with_socket(jail: &Jail, socket: &Path) -> Result<Applied, JailError> {
    confine(jail, Some(socket))
}

fn confine(jail: &Jail, socket: Option<&Path>) -> Result<Applied, JailError> {
    if matches!(jail.kind, Kind::Tool | Kind::ToolKeeper) {
        return Err(JailError::OnlyForTools { kind: jail.kind });
    }
    require_single_thread()?;
    name_process(&jail.name);
    let kept = descriptors::close_all_but(&jail.keep_fds)?;
    #[cfg(feature = "weaken")]
    if left_out(Layer::Descriptors) {
        std::mem::forget(fs::File::open("/etc/hostname"));
    }
    if !left_out(Layer::Limits) {
        set_limits(jail)?;
    }
    let on_gpu = jail.kind == Kind::GpuEngine;
    let grants = if on_gpu { gpu::paths()? } else { Vec::new() };
    let dials = jail.kind == Kind::Relay;
    // Who may connect needs a file system of its own, which takes the same rights as a network of its own. Who opens
    // devices listens in its network, and needs Landlock to open nothing else.
    let may_stay = jail.accept.contains(&Weaker::SharedNetworkNamespace) && !dials && !on_gpu;
    let accept: Vec<Weaker> =
        jail.accept.iter().copied().filter(|weaker| !(on_gpu && *weaker == Weaker::NoLandlock)).collect();
    let entered = namespaces::enter(may_stay)?;
    if dials && !left_out(Layer::MountNamespace) {
        mounts::keep_only(socket)?;
    }
    if !left_out(Layer::Capabilities) {
        capabilities::drop_all()?;
    }
    follow_parent(jail.parent_pid)?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| JailError::NoNewPrivileges { source: errno.into() })?;
    let filter = seccomp::Filter::build(jail.kind)?;
    let landlock = files::restrict(&jail.read_write, &jail.read_only, &grants, dials, &accept)?;
    // While seccomp does not hide it.
    let landlock_refuses = files::refuse(landlock.weaker);
    let is_there = landlock.weaker != Some(Weaker::NoLandlock) && !left_out(Layer::Landlock);
    if is_there && !landlock_refuses {
        return Err(JailError::LandlockNotEnforced);
    }
    if !left_out(Layer::Seccomp) {
        filter.install()?;
    }
    let granted = |to_read: bool| -> Vec<PathBuf> {
        let of_those = grants.iter().filter(|(_, access)| (*access == gpu::GrantAccess::Read) == to_read);
        of_those.map(|(path, _)| path.clone()).collect()
    };
    let stayed = (entered.route == Route::Inherited).then_some(Weaker::SharedNetworkNamespace);

    Ok(Applied {
        name: jail.name.clone(),
        kind: jail.kind,
        route: entered.route,
        network_namespace: entered.network_namespace,
        landlock_abi: landlock.abi,
        landlock_refuses,
        system_calls_allowed: filter.allowed,
        descriptors: kept,
        read_write: [granted(false), jail.read_write.clone()].concat(),
        read_only: [granted(true), jail.read_only.clone()].concat(),
        weaker: stayed.into_iter().chain(landlock.weaker).collect(),
    })
}

pub(crate) fn require_single_thread() -> Result<(), JailError> {
    let path = Path::new("/proc/self/task");
    let threads =
        fs::read_dir(path).map_err(|source| JailError::Proc { path: path.to_owned(), source })?.count();
    if threads == 1 { Ok(()) } else { Err(JailError::Threads { threads }) }
}

/// For `ps` only, so a name that cannot be set is no reason to stop.
pub(crate) fn name_process(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// `RLIMIT_FSIZE` is not set: standard error may be a file, and a limit of 0 would kill the process
/// at its first line of log. `RLIMIT_NPROC` is not set: it counts every process of the user.
fn set_limits(jail: &Jail) -> Result<(), JailError> {
    forbid_core_dumps()?;
    set_limit("locked memory", Resource::Memlock, 0)?;
    set_limit("open files", Resource::Nofile, jail.open_files_max)?;
    if let Some(bytes) = jail.memory_bytes_max {
        set_limit("memory", Resource::As, bytes)?;
    }
    Ok(())
}

/// Lets this process, and all that it starts, leave no core dump.
///
/// Not by a limit of 0, which a `core_pattern` that is a pipe ignores: the kernel refuses to dump at all at 1. A
/// hard limit of 0 that was set before stays.
pub fn forbid_core_dumps() -> Result<(), JailError> {
    let hard = rustix::process::getrlimit(Resource::Core).maximum;
    set_limit("core dumps", Resource::Core, hard.unwrap_or(1).min(1))
}

pub(crate) fn set_limit(what: &'static str, resource: Resource, value: u64) -> Result<(), JailError> {
    rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
        .map_err(|errno| JailError::Limit { what, value, source: errno.into() })
}

pub(crate) fn follow_parent(parent_pid: u32) -> Result<(), JailError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| JailError::DeathSignal { source: errno.into() })?;
    // The parent may have ended before the line above.
    let found = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs());
    if found == parent_pid { Ok(()) } else { Err(JailError::ParentGone { expected: parent_pid, found }) }
}

/// Why a jail could not be applied. The process must not go on.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// That jail belongs to a tool, which does not apply it itself.
    #[error("a jail of kind {kind:?} is applied by jail::tool only; this is a defect of this build")]
    OnlyForTools {
        /// Which was asked for.
        kind: Kind,
    },
    /// Namespaces and filters would bind one thread and miss the others.
    #[error(
        "{threads} threads run already; the jail has to be applied at the start of main, before any runtime"
    )]
    Threads {
        /// Threads found, the calling one included.
        threads: usize,
    },
    /// A file of /proc is unreadable.
    #[error("cannot read {}; the jail needs /proc mounted", path.display())]
    Proc {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A descriptor to keep is not open.
    #[error("descriptor {number} is to be kept but is not open; who started this process must pass it")]
    KeptDescriptor {
        /// Its number.
        number: RawFd,
    },
    /// `close_range` failed.
    #[error("cannot close the other descriptors; close_range needs Linux 5.9 or later")]
    CloseDescriptors {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A resource limit was refused.
    #[error("cannot limit {what} to {value}; the hard limit may be lower: raise it for the service")]
    Limit {
        /// Which limit.
        what: &'static str,
        /// The value asked for.
        value: u64,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Neither capabilities nor user namespaces are there.
    #[error(
        "cannot make a user namespace, which a process that is not root needs for an empty network; \
         allow it (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, \
         kernel.apparmor_restrict_unprivileged_userns=0) or start as root. Where systemd (PrivateNetwork=yes) \
         or root has made an empty network first, the setting jail.accept = [\"shared-network-namespace\"] in \
         cloister.toml accepts that one, but for a relay"
    )]
    UserNamespace {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A privileged process was refused its namespaces.
    #[error(
        "cannot make network, IPC and UTS namespaces; the kernel needs CONFIG_NET_NS, CONFIG_IPC_NS and \
         CONFIG_UTS_NS, and a container must not forbid unshare. Where the network is empty already, the \
         setting jail.accept = [\"shared-network-namespace\"] in cloister.toml accepts that one, but for a relay"
    )]
    Namespaces {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The user namespace could not be given its one user and group.
    #[error(
        "cannot write {file} of the new user namespace; user 0 needs CAP_SETFCAP for that (Linux 5.12): without it, \
         start as another user"
    )]
    IdentityMap {
        /// The file of /proc.
        file: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The network namespace is the old one.
    #[error("the network namespace did not change: still {inode}")]
    NetworkUnchanged {
        /// Its inode.
        inode: u64,
    },
    /// The network that is there is not one that may be accepted.
    #[error(
        "shared-network-namespace is accepted, but {why}; start this process in an empty network \
         (systemd: PrivateNetwork=yes; a container: --network none; by hand: unshare --net)"
    )]
    NetworkShared {
        /// What is wrong with it.
        why: String,
        /// Why there is no other.
        #[source]
        source: Box<JailError>,
    },
    /// The new network namespace has more than a loopback that is down.
    #[error(
        "the new network namespace is not empty: {found}; if it is a fallback tunnel, \
         set sysctl net.core.fb_tunnels_only_for_init_net=1"
    )]
    NetworkNotEmpty {
        /// The interfaces.
        found: String,
    },
    /// The state of the loopback interface is unknown.
    #[error("cannot read the state of the loopback interface")]
    LoopbackState {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Capabilities could not be dropped, or came back.
    #[error("cannot {what}")]
    Capabilities {
        /// The step.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The death signal was refused.
    #[error("cannot ask to be killed with the parent (PR_SET_PDEATHSIG)")]
    DeathSignal {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The parent ended, or is another process.
    #[error("the parent is process {found}, not {expected}: it has ended, so this process must end")]
    ParentGone {
        /// [`Jail::parent_pid`].
        expected: u32,
        /// The parent found, 0 when it is outside the PID namespace.
        found: u32,
    },
    /// `no_new_privs` was refused.
    #[error("cannot set no_new_privs")]
    NoNewPrivileges {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Landlock is absent.
    #[error(
        "Landlock is not available; the kernel needs CONFIG_SECURITY_LANDLOCK and `landlock` in the \
         lsm= boot parameter (see /sys/kernel/security/lsm). The setting jail.accept = [\"no-landlock\"] in \
         cloister.toml accepts to go without"
    )]
    LandlockAbsent {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Landlock is too old to deny TCP.
    #[error(
        "Landlock ABI {found} is too old: {} (Linux 6.7) is needed, which denies TCP. The setting jail.accept = \
         [\"landlock-without-tcp\"] in cloister.toml accepts to go without that",
        crate::LANDLOCK_ABI_MIN
    )]
    LandlockOld {
        /// The kernel's ABI.
        found: u32,
    },
    /// The file system could not be replaced by an empty one.
    #[error(
        "cannot {what}; the kernel needs CONFIG_TMPFS, and a container must not forbid mount and pivot_root"
    )]
    Mounts {
        /// The step.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A GPU is asked for, and its driver is not there.
    #[error(
        "there is no {path}, so no GPU: load NVIDIA's driver, and have its device files made before the daemon starts \
         (`nvidia-modprobe -c 0 -u`, or nvidia-persistenced), also inside a container; or deploy with device = \"cpu\""
    )]
    NoGpu {
        /// The device file.
        path: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A path of the jail cannot be granted.
    #[error("cannot grant {}: it must be absolute, exist and be {expected}", path.display())]
    Grant {
        /// The path.
        path: PathBuf,
        /// What the path has to be.
        expected: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Landlock refused the rules.
    #[error("cannot apply the Landlock rules")]
    Landlock {
        /// The cause.
        #[source]
        source: Box<landlock::RulesetError>,
    },
    /// Landlock took the rules but does not enforce them.
    #[error("the kernel does not enforce the Landlock rules")]
    LandlockNotEnforced,
    /// The table does not compile to a filter.
    #[error("the seccomp table of the {kind:?} does not compile; this is a defect of this build")]
    SeccompTable {
        /// Which table.
        kind: Kind,
        /// The cause.
        #[source]
        source: seccompiler::BackendError,
    },
    /// The supervisor's filter does not compile.
    #[error("the filter of the supervisor does not compile; this is a defect of this build")]
    Networks {
        /// The cause.
        #[source]
        source: seccompiler::BackendError,
    },
    /// The kernel refused the filter.
    #[error("cannot install the seccomp filter; the kernel needs CONFIG_SECCOMP_FILTER")]
    Seccomp {
        /// The cause.
        #[source]
        source: seccompiler::Error,
    },
}
