//! A jailed process, read from outside: what the kernel says of each of its threads.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{Kind, Layer};

/// Threads, descriptors and variables that are read of one process; more is an error.
const ENTRIES_MAX: usize = 65_536;

/// What was found. Collected while the process runs: threads and descriptors may come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The process.
    pub pid: u32,
    /// Each thread, by number.
    pub threads: Vec<ThreadState>,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// The inspecting process's.
    pub own_namespaces: Namespaces,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
    /// Sockets of its network namespace that are not local ones, as `tcp`, one entry a socket.
    pub network_sockets: Vec<String>,
    /// Routes of its network namespace, but those of the loopback.
    pub routes: u32,
    /// Its open descriptors.
    pub descriptors: Vec<Descriptor>,
    /// Limits: hard ones, `None` is unlimited.
    pub limits: Limits,
    /// Maps of memory that can be both written and executed.
    pub writable_code: u32,
    /// Names of variables in its environment that point programs at a proxy.
    pub proxy_variables: Vec<String>,
    /// Seccomp filters on the inspecting thread, which who was started by it has too.
    pub own_seccomp_filters: u32,
}

/// Inodes of namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// Network.
    pub network: u64,
    /// Message queues and shared memory.
    pub ipc: u64,
    /// Host name.
    pub hostname: u64,
    /// File systems.
    pub mount: u64,
    /// Users and capabilities.
    pub user: u64,
}

/// Hard limits, from /proc/PID/limits; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a core dump.
    pub core_bytes: Option<u64>,
    /// Bytes of locked memory.
    pub locked_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
}

/// One thing that was looked at from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The layer it speaks of.
    pub layer: Layer,
    /// What was looked at.
    pub name: &'static str,
    /// Where it was read.
    pub read: &'static str,
    /// What it has to be.
    pub expected: String,
    /// What it is; what is wrong, where something is.
    pub found: String,
    /// Whether it is as it has to be.
    pub holds: bool,
}

/// One thread, from /proc/PID/task/TID/status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadState {
    /// Its number.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// 2 is a filter; 0 is none.
    pub seccomp: u32,
    /// Filters one upon the other, those of who started it among them.
    pub seccomp_filters: u32,
    /// Whether no program it executes can gain privileges.
    pub no_new_privs: bool,
    /// The effective capabilities, as bits.
    pub effective: u64,
    /// The permitted ones.
    pub permitted: u64,
    /// The inheritable ones.
    pub inheritable: u64,
    /// The bounding set.
    pub bounding: u64,
    /// The ambient set.
    pub ambient: u64,
}

/// One network interface, from /proc/PID/net/dev.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Bytes that ever came in.
    pub received_bytes: u64,
    /// Bytes that ever went out.
    pub sent_bytes: u64,
}

/// One open descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Its number.
    pub number: u32,
    /// What it is, in the kernel's words: a path, `socket:[inode]`, `anon_inode:[eventpoll]`.
    pub target: String,
}

/// Reads one process. Needs its user, or root, in a user namespace that is its own or an ancestor.
pub fn inspect(pid: u32) -> Result<Inspection, InspectError> {
    let root = PathBuf::from(format!("/proc/{pid}"));
    let (threads, descriptors) = (threads(pid)?, descriptors(pid)?);
    let namespaces = namespaces(&root)?;
    let devices = root.join("net/dev");
    let table = read(&devices, |path| fs::read_to_string(path))?;
    let interfaces = interfaces(&table)
        .ok_or_else(|| InspectError::Form { path: devices, what: "an interface".to_owned() })?;
    let environment = read(&root.join("environ"), |path| fs::read(path))?;
    let mut network_sockets = Vec::new();
    for table in SOCKET_TABLES {
        // A kernel without that family has no such file.
        let rows = present(&root.join("net").join(table), |path| fs::read_to_string(path))?;
        let count = rows.map_or(0, |rows| rows.lines().skip(1).count());
        network_sockets.extend(std::iter::repeat_n(table.to_owned(), count));
    }
    let mut routes = 0;
    for table in ["route", "ipv6_route"] {
        let rows =
            present(&root.join("net").join(table), |path| fs::read_to_string(path))?.unwrap_or_default();
        // The IPv4 table has a heading, where it has a row; the other has none.
        let route = |line: &&str| !line.starts_with("Iface") && line.split_whitespace().last() != Some("lo");
        routes += u32::try_from(rows.lines().filter(route).count()).unwrap_or(u32::MAX);
    }
    let limits = root.join("limits");
    let table = read(&limits, |path| fs::read_to_string(path))?;
    let limits =
        hard_limits(&table).ok_or_else(|| InspectError::Form { path: limits, what: "a limit".to_owned() })?;
    let maps = read(&root.join("maps"), |path| fs::read_to_string(path))?;
    Ok(Inspection {
        pid,
        threads,
        namespaces,
        own_namespaces: self::namespaces(Path::new("/proc/self"))?,
        interfaces,
        network_sockets,
        routes,
        descriptors,
        limits,
        writable_code: writable_code(&maps),
        proxy_variables: proxy_variables(&environment),
        own_seccomp_filters: own_seccomp_filters()?,
    })
}

/// The threads of a process. Anybody may read that.
pub fn threads(pid: u32) -> Result<Vec<ThreadState>, InspectError> {
    let mut threads = Vec::new();
    for (tid, path) in numbered(Path::new(&format!("/proc/{pid}/task")))? {
        // A thread may end between the listing and here.
        if let Some(status) = present(&path.join("status"), |path| fs::read_to_string(path))? {
            threads.push(thread_state(tid, &status, &path)?);
        }
    }
    Ok(threads)
}

/// The open descriptors of a process. One's own can be read always.
pub fn descriptors(pid: u32) -> Result<Vec<Descriptor>, InspectError> {
    let mut descriptors = Vec::new();
    for (number, path) in numbered(Path::new(&format!("/proc/{pid}/fd")))? {
        if let Some(target) = present(&path, |path| fs::read_link(path))? {
            descriptors.push(Descriptor { number, target: target.to_string_lossy().into_owned() });
        }
    }
    Ok(descriptors)
}

/// Tables of /proc/PID/net, one socket a row after the heading. Packet and netlink sockets are there too.
const SOCKET_TABLES: [&str; 11] =
    ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "packet"];

/// All bits of a capability set are clear.
const NO_CAPABILITY: u64 = 0;

impl Inspection {
    /// Each thing that a jail of that kind makes visible from outside, and whether it holds. `granted`: directories
    /// whose files it may hold open.
    #[must_use]
    pub fn checks(&self, kind: Kind, granted: &[PathBuf]) -> Vec<Check> {
        let mut checks = vec![
            self.on_threads(Layer::Seccomp, "a filter on every thread", "Seccomp: 2", |thread| {
                (thread.seccomp != 2).then(|| format!("mode {}", thread.seccomp))
            }),
            self.on_threads(
                Layer::Seccomp,
                "a filter of its own on every thread",
                "more filters",
                |thread| {
                    (thread.seccomp_filters <= self.own_seccomp_filters)
                        .then(|| format!("{} filters, as ours", thread.seccomp_filters))
                },
            ),
            self.on_threads(Layer::NoNewPrivileges, "no new privileges", "NoNewPrivs: 1", |thread| {
                (!thread.no_new_privs).then(|| "not set".to_owned())
            }),
            self.on_threads(Layer::Capabilities, "no capability", "all sets 0", |thread| {
                let sets = [
                    ("effective", thread.effective),
                    ("permitted", thread.permitted),
                    ("inheritable", thread.inheritable),
                    ("bounding", thread.bounding),
                    ("ambient", thread.ambient),
                ];
                let (set, bits) = sets.into_iter().find(|(_, bits)| *bits != NO_CAPABILITY)?;
                Some(format!("{set} {bits:x}"))
            }),
        ];
        let mut namespace = |layer, name, ours: u64, its: u64| {
            checks.push(Check {
                layer,
                name,
                read: "/proc/PID/ns",
                expected: format!("not {ours}, which is ours"),
                found: its.to_string(),
                holds: ours != its,
            });
        };
        let (ours, its) = (&self.own_namespaces, &self.namespaces);
        namespace(Layer::NetworkNamespace, "a network of its own", ours.network, its.network);
        namespace(Layer::IpcNamespace, "message queues of its own", ours.ipc, its.ipc);
        namespace(Layer::HostnameNamespace, "a host name of its own", ours.hostname, its.hostname);
        if kind == Kind::Relay {
            namespace(Layer::MountNamespace, "a file system of its own", ours.mount, its.mount);
        }
        let names: Vec<&str> = self.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        let counted = |count: fn(&Interface) -> u64| self.interfaces.iter().map(count).sum::<u64>();
        let (received, sent) = (counted(|i| i.received_bytes), counted(|i| i.sent_bytes));
        let sockets = self.network_sockets.join(", ");
        let network = |name, read, expected: &str, found: String, holds| Check {
            layer: Layer::NetworkNamespace,
            name,
            read,
            expected: expected.to_owned(),
            found,
            holds,
        };
        checks.extend([
            network("its interfaces", "/proc/PID/net/dev", "lo", names.join(", "), names == ["lo"]),
            network(
                "bytes over its interfaces",
                "/proc/PID/net/dev",
                "0 in, 0 out",
                format!("{received} in, {sent} out"),
                (received, sent) == (0, 0),
            ),
            network(
                "sockets in its network",
                "/proc/PID/net/{tcp,udp,raw,icmp,packet}",
                "none",
                or_none(&sockets),
                sockets.is_empty(),
            ),
            network("its routes", "/proc/PID/net/route", "0", self.routes.to_string(), self.routes == 0),
        ]);
        let foreign = self.foreign_descriptors(granted);
        checks.push(Check {
            layer: Layer::Descriptors,
            name: "its open descriptors",
            read: "/proc/PID/fd",
            expected: "of the kinds that it was handed".to_owned(),
            found: if foreign.is_empty() {
                format!("{} of those", self.descriptors.len())
            } else {
                foreign.join(", ")
            },
            holds: foreign.is_empty(),
        });
        let limits = self.limits;
        let limited = limits.core_bytes.is_some_and(|bytes| bytes <= 1)
            && limits.locked_bytes == Some(0)
            && limits.open_files.is_some_and(|files| files <= OPEN_FILES_MAX);
        let shown =
            |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        checks.push(Check {
            layer: Layer::Limits,
            name: "its limits",
            read: "/proc/PID/limits",
            expected: format!("core 1, locked memory 0, open files up to {OPEN_FILES_MAX}"),
            found: format!(
                "core {}, locked memory {}, open files {}",
                shown(limits.core_bytes),
                shown(limits.locked_bytes),
                shown(limits.open_files)
            ),
            holds: limited,
        });
        checks.push(Check {
            layer: Layer::Seccomp,
            name: "memory that is written and executed",
            read: "/proc/PID/maps",
            expected: "0 maps".to_owned(),
            found: format!("{} maps", self.writable_code),
            holds: self.writable_code == 0,
        });
        let variables = self.proxy_variables.join(", ");
        checks.push(Check {
            layer: Layer::Environment,
            name: "proxy variables",
            read: "/proc/PID/environ",
            expected: "none".to_owned(),
            found: or_none(&variables),
            holds: variables.is_empty(),
        });
        checks
    }

    /// What contradicts the jail, a sentence each; empty when it holds.
    #[must_use]
    pub fn findings(&self, kind: Kind, granted: &[PathBuf]) -> Vec<String> {
        let failed = self.checks(kind, granted).into_iter().filter(|check| !check.holds);
        failed.map(|check| format!("{}: {}: {}", check.layer, check.name, check.found)).collect()
    }

    fn on_threads(
        &self,
        layer: Layer,
        name: &'static str,
        expected: &str,
        wrong: impl Fn(&ThreadState) -> Option<String>,
    ) -> Check {
        let first = self
            .threads
            .iter()
            .find_map(|thread| Some(format!("thread {} ({}): {}", thread.tid, thread.name, wrong(thread)?)));
        let none = self.threads.is_empty().then(|| "no thread was seen".to_owned());
        let bad = first.or(none);
        Check {
            layer,
            name,
            read: "/proc/PID/task/TID/status",
            expected: expected.to_owned(),
            holds: bad.is_none(),
            found: bad.unwrap_or_else(|| format!("so on {} threads", self.threads.len())),
        }
    }

    /// Descriptors of a kind that a jailed process is never handed. Standard error is whatever ours is.
    fn foreign_descriptors(&self, granted: &[PathBuf]) -> Vec<String> {
        let handed = |target: &str| {
            ["socket:", "anon_inode:", "pipe:", "/memfd:", "/dev/null"]
                .iter()
                .any(|of| target.starts_with(of))
        };
        let is_granted =
            |target: &str| granted.iter().any(|directory| Path::new(target).starts_with(directory));
        let foreign = self.descriptors.iter().filter(|descriptor| {
            descriptor.number != 2 && !handed(&descriptor.target) && !is_granted(&descriptor.target)
        });
        foreign.map(|descriptor| format!("{}: {}", descriptor.number, descriptor.target)).collect()
    }
}

/// No jail allows more.
const OPEN_FILES_MAX: u64 = 4096;

fn or_none(list: &str) -> String {
    if list.is_empty() { "none".to_owned() } else { list.to_owned() }
}

/// Whether a variable of that name points programs at a proxy.
#[must_use]
pub fn names_a_proxy(variable: &str) -> bool {
    ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy", "socks_proxy"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(variable))
}

fn proxy_variables(environment: &[u8]) -> Vec<String> {
    environment
        .split(|&byte| byte == 0)
        .filter_map(|entry| entry.split(|&byte| byte == b'=').next())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .filter(|name| names_a_proxy(name))
        .collect()
}

fn thread_state(tid: u32, status: &str, path: &Path) -> Result<ThreadState, InspectError> {
    let fields: BTreeMap<&str, &str> = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let form = |what: &str| InspectError::Form { path: path.join("status"), what: what.to_owned() };
    let text = |name: &str| fields.get(name).copied().ok_or_else(|| form(name));
    let capabilities = |name: &str| u64::from_str_radix(text(name)?, 16).map_err(|_| form(name));
    let number = |name: &str| u32::from_str(text(name)?).map_err(|_| form(name));
    Ok(ThreadState {
        tid,
        name: text("Name")?.to_owned(),
        seccomp: number("Seccomp")?,
        seccomp_filters: number("Seccomp_filters")?,
        no_new_privs: number("NoNewPrivs")? == 1,
        effective: capabilities("CapEff")?,
        permitted: capabilities("CapPrm")?,
        inheritable: capabilities("CapInh")?,
        bounding: capabilities("CapBnd")?,
        ambient: capabilities("CapAmb")?,
    })
}

/// Rows of /proc/PID/net/dev: two of heading, then `name: received bytes, seven more, sent bytes, …`.
fn interfaces(table: &str) -> Option<Vec<Interface>> {
    let row = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        let mut counters = counters.split_whitespace();
        let received_bytes = counters.next()?.parse().ok()?;
        let sent_bytes = counters.nth(7)?.parse().ok()?;
        Some(Interface { name: name.trim().to_owned(), received_bytes, sent_bytes })
    };
    table.lines().skip(2).map(row).collect()
}

fn own_seccomp_filters() -> Result<u32, InspectError> {
    let path = Path::new("/proc/thread-self");
    let status = read(&path.join("status"), |path| fs::read_to_string(path))?;
    Ok(thread_state(0, &status, path)?.seccomp_filters)
}

fn namespaces(process: &Path) -> Result<Namespaces, InspectError> {
    let of = |name: &str| inode(&process.join("ns").join(name));
    Ok(Namespaces {
        network: of("net")?,
        ipc: of("ipc")?,
        hostname: of("uts")?,
        mount: of("mnt")?,
        user: of("user")?,
    })
}

/// Rows of /proc/PID/limits: a name of up to 25 characters, then the soft limit, the hard one and the unit.
fn hard_limits(table: &str) -> Option<Limits> {
    let hard = |name: &str| {
        let row = table.lines().find_map(|line| line.strip_prefix(name))?;
        match row.split_whitespace().nth(1)? {
            "unlimited" => Some(None),
            number => number.parse().ok().map(Some),
        }
    };
    Some(Limits {
        core_bytes: hard("Max core file size")?,
        locked_bytes: hard("Max locked memory")?,
        open_files: hard("Max open files")?,
    })
}

/// Rows of /proc/PID/maps: addresses, then `rwxp`, then more.
fn writable_code(maps: &str) -> u32 {
    let both = |line: &&str| {
        line.split_whitespace().nth(1).is_some_and(|mode| mode.contains('w') && mode.contains('x'))
    };
    u32::try_from(maps.lines().filter(both).count()).unwrap_or(u32::MAX)
}

fn inode(path: &Path) -> Result<u64, InspectError> {
    read(path, |path| fs::metadata(path)).map(|metadata| metadata.ino())
}

/// The entries of a directory whose names are numbers, in order.
fn numbered(path: &Path) -> Result<Vec<(u32, PathBuf)>, InspectError> {
    let failed = |source| InspectError::Read { path: path.to_owned(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            entries.push((number, entry.path()));
        }
        if entries.len() > ENTRIES_MAX {
            return Err(InspectError::TooMany { path: path.to_owned() });
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// `None` for what is gone since it was listed.
fn present<T>(path: &Path, with: impl Fn(&Path) -> io::Result<T>) -> Result<Option<T>, InspectError> {
    match with(path) {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) =>
        {
            Ok(None)
        }
        Err(source) => Err(InspectError::Read { path: path.to_owned(), source }),
    }
}

fn read<T>(path: &Path, with: impl Fn(&Path) -> io::Result<T>) -> Result<T, InspectError> {
    with(path).map_err(|source| InspectError::Read { path: path.to_owned(), source })
}

/// Why a process could not be inspected. That is a finding too: not a pass.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It ended, or belongs to someone else.
    #[error("cannot read {}; has the process ended, or another user?", path.display())]
    Read {
        /// The file of /proc.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The kernel writes otherwise than known.
    #[error("{} does not tell {what} in the known form", path.display())]
    Form {
        /// The file of /proc.
        path: PathBuf,
        /// What was looked for.
        what: String,
    },
    /// Over the limit.
    #[error("{} has more than {ENTRIES_MAX} entries", path.display())]
    TooMany {
        /// The directory of /proc.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_outside_a_jail_is_found_out() {
        let inspection = inspect(std::process::id()).unwrap();
        let findings = inspection.findings(Kind::Engine, &[]).join("\n");
        assert!(findings.contains("seccomp: a filter of its own on every thread"), "{findings}");
        assert!(findings.contains("network-namespace: a network of its own"), "{findings}");
        assert!(findings.contains("ipc-namespace: message queues of its own"), "{findings}");
        assert!(findings.contains("limits: its limits"), "{findings}");
        assert!(inspection.descriptors.iter().any(|descriptor| descriptor.number == 2));
    }

    #[test]
    fn an_absent_process_is_an_error() {
        assert!(matches!(inspect(u32::MAX), Err(InspectError::Read { .. })));
    }

    #[test]
    fn counters_and_variables_are_read() {
        let table = "Inter-| …\n face |bytes …\n    lo:  7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n";
        let lo = Interface { name: "lo".to_owned(), received_bytes: 7, sent_bytes: 9 };
        assert_eq!(interfaces(table), Some(vec![lo]));
        assert_eq!(interfaces("\n\nlo: 1 2\n"), None);
        let table = "Limit  Soft Limit  Hard Limit  Units\nMax core file size  0  1  bytes\n\
                     Max open files  1  64  files\nMax locked memory  0  unlimited  bytes\n";
        let limits = Limits { core_bytes: Some(1), locked_bytes: None, open_files: Some(64) };
        assert_eq!(hard_limits(table), Some(limits));
        assert_eq!(hard_limits("Max core file size"), None);
        assert_eq!(writable_code("7f-80 r-xp 0 0:0 0 /a\n80-90 rwxp 0 0:0 0\n90-a0 rw-p 0 0:0 0\n"), 1);
        assert_eq!(proxy_variables(b"PATH=/bin\0HTTPS_PROXY=x\0all_proxy=y\0"), ["HTTPS_PROXY", "all_proxy"]);
    }
}
