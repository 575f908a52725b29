//! A file system of its own that holds one Unix socket and nothing else.
//!
//! Landlock decides who may connect to a socket by its path from ABI 9 on only, and seccomp never sees a path.
//! So a process that may connect gets a world in which there is one path.

use std::{io, os::fd::AsFd, path::Path};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
        UnmountFlags,
    },
    thread::UnshareFlags,
};

use crate::JailError;

/// Where the socket lies once the process is jailed.
pub const SOCKET: &str = "/socket";

/// [`SOCKET`] from the root.
const NAME: &str = "socket";

/// The new root is mounted here for a moment: a directory that the jail needs, so it exists.
const STAGE: &str = "/proc";

/// Leaves the process with an empty root, in which the socket, where there is one, is [`SOCKET`].
///
/// The socket is the one that lies there now: when its server makes a new one in its place, that one is
/// outside.
pub(crate) fn keep_only(socket: Option<&Path>) -> Result<(), JailError> {
    let failed =
        |what: &'static str| move |errno: rustix::io::Errno| JailError::Mounts { what, source: errno.into() };
    // SAFETY: unshare can break the sharing of descriptors between threads that others rely on; there is
    // one thread, and CLONE_FILES is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(failed("make a mount namespace"))?;
    // Nothing that is mounted here may be seen outside.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(failed("make the mounts private"))?;
    let socket = socket.map(take).transpose()?;

    let make = failed("make an empty root");
    let system = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(&make)?;
    rustix::mount::fsconfig_set_string(&system, "mode", "0700").map_err(&make)?;
    rustix::mount::fsconfig_create(&system).map_err(&make)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let root = rustix::mount::fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(&make)?;
    let from_descriptor = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&root, "", CWD, STAGE, from_descriptor).map_err(&make)?;

    if let Some(socket) = socket {
        let bind = failed("show the socket in the empty root");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&root, NAME, flags, Mode::RUSR).map_err(&bind)?;
        rustix::mount::move_mount(&socket, "", &root, NAME, from_descriptor).map_err(&bind)?;
    }

    // The old root comes to lie over the new one, at the same place, and is taken away from there.
    let enter = failed("enter the empty root");
    rustix::process::fchdir(&root).map_err(&enter)?;
    rustix::process::pivot_root(".", ".").map_err(&enter)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(&enter)?;
    rustix::process::chdir("/").map_err(&enter)
}

/// A mount of that one socket, attached nowhere.
fn take(path: &Path) -> Result<impl AsFd, JailError> {
    let failed = |source| JailError::Grant { path: path.to_owned(), expected: "a Unix socket", source };
    if !path.is_absolute() {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let socket = rustix::mount::open_tree(CWD, path, flags).map_err(|errno| failed(errno.into()))?;
    let status = rustix::fs::fstat(&socket).map_err(|errno| failed(errno.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Socket {
        return Err(failed(io::Error::other("it is something else")));
    }
    Ok(socket)
}
