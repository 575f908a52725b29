//! A cgroup for each jailed process, where somebody delegated one to this process (cgroup v2; systemd:
//! `Delegate=yes`): memory, no swap, and a number of processes.
//!
//! Only a cgroup in which this process is alone is taken: whatever else is in one belongs to somebody else.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where this process goes, since a cgroup that limits others may hold none itself.
const SUPERVISOR: &str = "supervisor";

/// The controllers that are of use.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];

/// A cgroup of our own, with those of our children in it.
#[derive(Debug)]
pub(crate) struct Cgroups {
    directory: PathBuf,
    /// Those of [`CONTROLLERS`] that are there.
    controllers: Vec<String>,
}

/// What a process may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of memory, beside what it only maps of others; no limit when absent.
    pub(crate) memory_bytes_max: Option<u64>,
    /// Processes and threads.
    pub(crate) processes_max: u32,
}

/// Why there are no cgroups for our children.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Absent {
    #[error("cgroup v2 is not mounted")]
    NotMounted,
    #[error("this process is in the first cgroup, which nobody can delegate")]
    First,
    #[error("{} is not delegated to this process (systemd: Delegate=yes)", .0.display())]
    NotDelegated(PathBuf, #[source] io::Error),
    #[error("{} holds other processes, too", .0.display())]
    Shared(PathBuf),
    #[error("{} has neither of the controllers {CONTROLLERS:?}", .0.display())]
    NoControllers(PathBuf),
}

impl Cgroups {
    /// Takes the cgroup that this process is in.
    pub(crate) fn take() -> Result<Cgroups, Absent> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own = own_directory(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        Cgroups::take_directory(own.ok_or(Absent::NotMounted)?, &CONTROLLERS)
    }

    /// Moves this process one below, and lets groups beside it be limited by those of the controllers that are there.
    fn take_directory(directory: PathBuf, wanted: &[&str]) -> Result<Cgroups, Absent> {
        // The first one alone has no such file.
        if !directory.join("cgroup.type").exists() {
            return Err(Absent::First);
        }
        let refused = |error| Absent::NotDelegated(directory.clone(), error);
        let read = |name: &str| fs::read_to_string(directory.join(name)).map_err(refused);
        let available = read("cgroup.controllers")?;
        let controllers: Vec<String> =
            available.split_whitespace().filter(|name| wanted.contains(name)).map(str::to_owned).collect();
        if controllers.is_empty() {
            return Err(Absent::NoControllers(directory));
        }
        let own = std::process::id().to_string();
        if read("cgroup.procs")?.lines().any(|process| process != own) {
            return Err(Absent::Shared(directory));
        }
        let supervisor = directory.join(SUPERVISOR);
        make(&supervisor).and_then(|()| put(&supervisor.join("cgroup.procs"), &own)).map_err(refused)?;
        let enabled: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
        put(&directory.join("cgroup.subtree_control"), &enabled.join(" ")).map_err(refused)?;
        Ok(Cgroups { directory, controllers })
    }

    /// Whether memory can be limited.
    pub(crate) fn limit_memory(&self) -> bool {
        self.has("memory")
    }

    /// Puts a child into a cgroup of its own. Those of children that have ended are removed.
    pub(crate) fn confine(&self, name: &str, pid: u32, limits: Limits) -> io::Result<()> {
        self.remove_empty();
        let group = self.directory.join(format!("{name}-{pid}"));
        make(&group)?;
        if self.has("memory") {
            match put(&group.join("memory.swap.max"), "0") {
                // A kernel that cannot swap, or does not count it by groups.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
            if let Some(bytes) = limits.memory_bytes_max {
                put(&group.join("memory.max"), &bytes.to_string())?;
            }
        }
        if self.has("pids") {
            put(&group.join("pids.max"), &limits.processes_max.to_string())?;
        }
        match put(&group.join("cgroup.procs"), &pid.to_string()) {
            // It has ended already, which is noticed by its process.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// The kernel refuses for those that hold a process.
    fn remove_empty(&self) {
        let groups = fs::read_dir(&self.directory).into_iter().flatten().filter_map(Result::ok);
        for group in groups.filter(|group| group.file_name() != SUPERVISOR) {
            if group.file_type().is_ok_and(|file_type| file_type.is_dir()) {
                let _in_use = fs::remove_dir(group.path());
            }
        }
    }
}

/// Where this process's group lies, by what the kernel says of mounts and of the process; the mount may show a part
/// of the hierarchy only, as in a container.
fn own_directory(mounts: &str, groups: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, file_system) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        let inside = Path::new(path).strip_prefix(root).ok()?;
        file_system.starts_with("cgroup2 ").then(|| Path::new(mount).join(inside))
    })
}

fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The kernel's files are there, or the group has no such limit.
fn put(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_own_group_is_found() {
        let mounts = "24 1 0:21 / /proc rw - proc proc rw\n\
                      30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = |mounts: &str, groups: &str| own_directory(mounts, groups);
        let group = "0::/system.slice/cloister.service\n";
        let expected = Some(PathBuf::from("/sys/fs/cgroup/system.slice/cloister.service"));
        assert_eq!(found(mounts, group), expected);
        assert_eq!(found(mounts, &format!("3:memory:/x\n{group}")), expected);
        let part = "30 24 0:26 /system.slice /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(found(part, group), Some(PathBuf::from("/sys/fs/cgroup/cloister.service")));
        assert_eq!(found(part, "0::/user.slice\n"), None);
        assert_eq!(found("", group), None);
        assert_eq!(found(mounts, "3:memory:/x\n"), None);
    }

    /// What is written where, in files that stand for the kernel's.
    #[test]
    fn limits_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { memory_bytes_max: Some(7 << 20), processes_max: 99 };
        let group = directory.path().join("engine-77");
        fs::create_dir(&group).unwrap();
        for name in ["memory.max", "memory.swap.max", "pids.max", "cgroup.procs"] {
            File::create(group.join(name)).unwrap();
        }
        let controllers = CONTROLLERS.map(str::to_owned).to_vec();
        let cgroups = Cgroups { directory: directory.path().to_owned(), controllers };
        cgroups.confine("engine", 77, limits).unwrap();
        let read = |name: &str| fs::read_to_string(group.join(name)).unwrap();
        assert_eq!(read("memory.max"), (7 << 20).to_string());
        assert_eq!((read("memory.swap.max").as_str(), read("pids.max").as_str()), ("0", "99"));
        assert_eq!(read("cgroup.procs"), "77");
        // A limit that cannot be set is an error; only swap may be missing.
        fs::remove_file(group.join("memory.swap.max")).unwrap();
        cgroups.confine("engine", 77, limits).unwrap();
        fs::remove_file(group.join("pids.max")).unwrap();
        assert!(cgroups.confine("engine", 77, limits).is_err());
    }

    /// In the kernel's own hierarchy, with whichever controller it has there.
    #[test]
    fn a_delegated_group_is_taken_and_holds_children() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let first = own_directory(&mounts, "0::/\n").filter(|first| {
            fs::read_to_string(first.join("cgroup.subtree_control")).is_ok()
                && rustix::process::geteuid().is_root()
        });
        let Some(first) = first else {
            eprintln!("NOT TRIED: this takes root and cgroup v2");
            return;
        };
        assert!(matches!(Cgroups::take_directory(first.clone(), &CONTROLLERS), Err(Absent::First)));
        let available = fs::read_to_string(first.join("cgroup.controllers")).unwrap();
        let wanted: Vec<&str> = available.split_whitespace().take(1).collect();
        if wanted.is_empty() {
            eprintln!("NOT TRIED: cgroup v2 has no controller here");
            return;
        }
        put(&first.join("cgroup.subtree_control"), &format!("+{}", wanted[0])).unwrap();
        let own = first.join(format!("cloister-test-{}", std::process::id()));
        fs::create_dir(&own).unwrap();
        put(&own.join("cgroup.procs"), &std::process::id().to_string()).unwrap();

        assert!(matches!(Cgroups::take_directory(own.clone(), &["none"]), Err(Absent::NoControllers(_))));
        let mut other = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        assert!(matches!(Cgroups::take_directory(own.clone(), &wanted), Err(Absent::Shared(_))));
        put(&first.join("cgroup.procs"), &other.id().to_string()).unwrap();

        let cgroups = Cgroups::take_directory(own.clone(), &wanted).unwrap();
        let limits = Limits { memory_bytes_max: None, processes_max: 99 };
        cgroups.confine("engine", other.id(), limits).unwrap();
        let group = fs::read_to_string(format!("/proc/{}/cgroup", other.id())).unwrap();
        assert!(group.contains(&format!("/engine-{}", other.id())), "{group}");
        let mine = fs::read_to_string("/proc/self/cgroup").unwrap();
        assert!(mine.lines().any(|line| line.starts_with("0::") && line.ends_with("/supervisor")), "{mine}");

        let ended = other.id();
        other.kill().unwrap();
        other.wait().unwrap();
        // The next one finds the group empty, and one that has ended already is none.
        cgroups.confine("engine", ended.wrapping_add(1 << 21), limits).unwrap();
        assert!(!own.join(format!("engine-{ended}")).exists());

        put(&first.join("cgroup.procs"), &std::process::id().to_string()).unwrap();
        cgroups.remove_empty();
        fs::remove_dir(own.join(SUPERVISOR)).unwrap();
        fs::remove_dir(own).unwrap();
    }
}
