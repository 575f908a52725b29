//! What a worker on an NVIDIA GPU opens: the driver is reached through device files, and its library, which was loaded
//! before the jail, names its threads and looks at its own memory.
//!
//! The list is what such a worker was seen to need, and no more: of what the library opens beside, each file was left
//! out in turn (docs/gpu.md). Landlock grants these and nothing else. What a device file itself lets its holder do is
//! decided by the driver alone.

use std::{fs, io, path::PathBuf};

use landlock::{AccessFs, BitFlags};

use crate::JailError;

/// A file that the driver's library opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its path; `#` stands for a number, and every such file is granted.
    pub path: &'static str,
    /// What of it.
    pub access: GrantAccess,
    /// What needs it.
    pub reason: &'static str,
}

/// What may be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantAccess {
    /// A device file: reading, writing, its `ioctl`s.
    Device,
    /// A file: reading.
    Read,
    /// A directory: writing the files beneath it.
    WriteBeneath,
}

/// All of them. Each has to be there.
pub const GRANTS: &[Grant] = &[
    Grant { path: "/dev/nvidiactl", access: GrantAccess::Device, reason: "the driver: which GPUs there are" },
    Grant { path: "/dev/nvidia#", access: GrantAccess::Device, reason: "a GPU: its memory and its queues" },
    Grant {
        path: "/dev/nvidia-uvm",
        access: GrantAccess::Device,
        reason: "addresses that processor and GPU share",
    },
    Grant {
        path: "/proc/self/task",
        access: GrantAccess::WriteBeneath,
        reason: "the library names its threads, and ends where it cannot",
    },
    Grant {
        path: "/proc/self/maps",
        access: GrantAccess::Read,
        reason: "the library looks for addresses that are free, and ends where it cannot",
    },
];

impl GrantAccess {
    /// In Landlock's words.
    pub(crate) fn rights(self) -> BitFlags<AccessFs> {
        match self {
            GrantAccess::Device => AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev,
            GrantAccess::Read => AccessFs::ReadFile.into(),
            GrantAccess::WriteBeneath => AccessFs::WriteFile | AccessFs::Truncate,
        }
    }
}

/// The files of [`GRANTS`] on this machine.
pub(crate) fn paths() -> Result<Vec<(PathBuf, GrantAccess)>, JailError> {
    let mut paths = Vec::new();
    for grant in GRANTS {
        let found = matching(grant.path);
        if found.is_empty() {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(JailError::NoGpu { path: grant.path, source });
        }
        paths.extend(found.into_iter().map(|path| (path, grant.access)));
    }
    Ok(paths)
}

/// The files of that path that are there, in order.
fn matching(path: &str) -> Vec<PathBuf> {
    let Some((before, after)) = path.split_once('#') else {
        let path = PathBuf::from(path);
        return if path.exists() { vec![path] } else { Vec::new() };
    };
    let (directory, beginning) = before.rsplit_once('/').unwrap_or_default();
    let is_number = |name: &str| {
        let digits = name.strip_prefix(beginning).and_then(|rest| rest.strip_suffix(after));
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(is_number))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_once_and_with_a_reason() {
        for (number, grant) in GRANTS.iter().enumerate() {
            assert!(!grant.reason.is_empty() && grant.path.starts_with('/'), "{grant:?}");
            assert!(!GRANTS[..number].iter().any(|other| other.path == grant.path), "{grant:?}");
            let device = grant.path.starts_with("/dev/nvidia");
            assert_eq!(device, grant.access == GrantAccess::Device, "{grant:?}");
            // Of files that are no devices, its own process's only.
            assert!(device || grant.path.starts_with("/proc/self/"), "{grant:?}");
        }
    }

    #[test]
    fn a_number_stands_for_numbers_only() {
        assert_eq!(matching("/proc/self/fd/#").iter().filter(|path| path.ends_with("1")).count(), 1);
        assert!(matching("/proc/self/sta#").is_empty());
        assert_eq!(matching("/proc/stat"), [PathBuf::from("/proc/stat")]);
        assert!(matching("/nonexistent/nvidia#").is_empty());
    }
}
