//! A jailed process, read from outside: what the kernel says of each of its threads.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// Threads, descriptors and variables that are read of one process; more is an error.
const ENTRIES_MAX: usize = 65_536;

/// What was found. Collected while the process runs: threads and descriptors may come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The process.
    pub pid: u32,
    /// Each thread, by number.
    pub threads: Vec<ThreadState>,
    /// Inode of its network namespace.
    pub network_namespace: u64,
    /// Inode of the inspecting process's network namespace.
    pub own_network_namespace: u64,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
    /// Its open descriptors.
    pub descriptors: Vec<Descriptor>,
    /// Names of variables in its environment that point programs at a proxy.
    pub proxy_variables: Vec<String>,
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
    let mut threads = Vec::new();
    for (tid, path) in numbered(&root.join("task"))? {
        // A thread may end between the listing and here.
        if let Some(status) = present(&path.join("status"), |path| fs::read_to_string(path))? {
            threads.push(thread_state(tid, &status, &path)?);
        }
    }
    let mut descriptors = Vec::new();
    for (number, path) in numbered(&root.join("fd"))? {
        if let Some(target) = present(&path, |path| fs::read_link(path))? {
            descriptors.push(Descriptor { number, target: target.to_string_lossy().into_owned() });
        }
    }
    let network_namespace = inode(&root.join("ns/net"))?;
    let devices = root.join("net/dev");
    let table = read(&devices, |path| fs::read_to_string(path))?;
    let interfaces = interfaces(&table)
        .ok_or_else(|| InspectError::Form { path: devices, what: "an interface".to_owned() })?;
    let environment = read(&root.join("environ"), |path| fs::read(path))?;
    Ok(Inspection {
        pid,
        threads,
        network_namespace,
        own_network_namespace: inode(Path::new("/proc/self/ns/net"))?,
        interfaces,
        descriptors,
        proxy_variables: proxy_variables(&environment),
    })
}

impl Inspection {
    /// What contradicts the jail, a sentence each; empty when it holds.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.threads.is_empty() {
            findings.push("no thread was seen".to_owned());
        }
        for thread in &self.threads {
            thread.findings(&mut findings);
        }
        if self.network_namespace == self.own_network_namespace {
            findings.push(format!("it shares our network namespace {}", self.network_namespace));
        }
        for interface in &self.interfaces {
            if interface.name != "lo" {
                findings.push(format!("it has the network interface {}", interface.name));
            }
            if (interface.received_bytes, interface.sent_bytes) != (0, 0) {
                findings.push(format!("bytes went over its network interface {}", interface.name));
            }
        }
        for name in &self.proxy_variables {
            findings.push(format!("its environment has {name}"));
        }
        findings
    }
}

impl ThreadState {
    fn findings(&self, findings: &mut Vec<String>) {
        let whose = format!("thread {} ({})", self.tid, self.name);
        if self.seccomp != 2 {
            findings.push(format!("{whose} has no seccomp filter: mode {}", self.seccomp));
        }
        if !self.no_new_privs {
            findings.push(format!("{whose} may gain privileges: no_new_privs is not set"));
        }
        let sets = [
            ("effective", self.effective),
            ("permitted", self.permitted),
            ("inheritable", self.inheritable),
            ("bounding", self.bounding),
            ("ambient", self.ambient),
        ];
        for (set, bits) in sets.into_iter().filter(|(_, bits)| *bits != 0) {
            findings.push(format!("{whose} has {set} capabilities: {bits:x}"));
        }
    }
}

/// Whether a variable of that name points programs at a proxy.
pub(crate) fn names_a_proxy(variable: &str) -> bool {
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
        let findings = inspection.findings().join("\n");
        assert!(findings.contains("has no seccomp filter"), "{findings}");
        assert!(findings.contains("shares our network namespace"), "{findings}");
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
        assert_eq!(proxy_variables(b"PATH=/bin\0HTTPS_PROXY=x\0all_proxy=y\0"), ["HTTPS_PROXY", "all_proxy"]);
    }
}
