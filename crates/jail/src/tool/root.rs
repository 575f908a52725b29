//! A file system of its own that holds what a tool was granted, under the names that it has outside, and nothing else.
//!
//! Landlock alone would let a tool see which files exist, and change modes and owners of those that are its user's. Here
//! what is not granted has no name, and all but scratch is mounted for reading only.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
        UnmountFlags,
    },
    thread::UnshareFlags,
};

use crate::{JailError, files::ToolPaths};

/// The new root is mounted here for a moment: a directory that the jail needs, so it exists.
const STAGE: &str = "/proc";

/// Device files that tools open by name. They hold nothing.
pub(super) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/urandom"];

/// What is mounted, detached from everything until it has its place.
enum Taken {
    Directory(OwnedFd),
    File(OwnedFd),
    Link(PathBuf),
}

/// Enters the new root. Of `paths.toolchain` the symbolic links are kept as links; what they point to has to be granted.
/// `processes`: with a /proc of this process's own namespace, which Landlock opens nothing of.
pub(super) fn enter(paths: ToolPaths<'_>, processes: bool) -> Result<(), JailError> {
    apart(paths)?;
    // SAFETY: unshare can break the sharing of descriptors between threads that others rely on; there is one
    // thread, and CLONE_FILES is not among the flags.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(failed("make a mount namespace"))?;
    // Nothing that is mounted here may be seen outside.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(failed("make the mounts private"))?;

    let still = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID;
    let data = still | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    let mut places: Vec<(&Path, Taken)> = Vec::new();
    for path in paths.toolchain {
        places.push((path, take_toolchain(path, still | libc::MOUNT_ATTR_NODEV)?));
    }
    for path in paths.read_only {
        places.push((path, take(path, ResolveFlags::NO_SYMLINKS, data)?));
    }
    for path in paths.devices {
        places.push((path, take(path, ResolveFlags::empty(), still | libc::MOUNT_ATTR_NOEXEC)?));
    }
    let mut scratch = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if !paths.scratch_executes {
        scratch |= libc::MOUNT_ATTR_NOEXEC;
    }
    let taken = take(paths.scratch, ResolveFlags::NO_SYMLINKS, scratch)?;
    if !matches!(taken, Taken::Directory(_)) {
        let source = io::ErrorKind::NotADirectory.into();
        return Err(JailError::Grant { path: paths.scratch.to_owned(), expected: "a directory", source });
    }
    places.push((paths.scratch, taken));

    if processes {
        places.push((Path::new(STAGE), Taken::Directory(own_processes()?)));
    }

    let root = empty_root()?;
    for (path, taken) in places {
        place(path, taken).map_err(|source| JailError::Grant {
            path: path.to_owned(),
            expected: "fit for a tool's file system",
            source,
        })?;
    }
    set_attributes(root.as_fd(), libc::MOUNT_ATTR_RDONLY, false)
        .map_err(|source| JailError::Mounts { what: "make the new root read-only", source })?;

    // The old root comes to lie over the new one, at the same place, and is taken away from there.
    let enter = failed("enter the new root");
    rustix::process::fchdir(&root).map_err(&enter)?;
    rustix::process::pivot_root(".", ".").map_err(&enter)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(&enter)?;
    rustix::process::chdir("/").map_err(&enter)
}

/// No grant may lie in another: the wider one would decide about what the narrower one says.
fn apart(paths: ToolPaths<'_>) -> Result<(), JailError> {
    let all: Vec<&Path> = [paths.toolchain, paths.read_only, paths.devices]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .chain([paths.scratch])
        .collect();
    for (number, path) in all.iter().enumerate() {
        let plain = path.is_absolute()
            && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)))
            && path.components().count() > 1
            && !path.starts_with(STAGE);
        let alone = all
            .iter()
            .enumerate()
            .all(|(other_number, other)| number == other_number || !path.starts_with(other));
        if !plain || !alone {
            return Err(JailError::Grant {
                path: (*path).to_owned(),
                expected: "without `..`, not the root nor in /proc, and in no other granted path",
                source: io::ErrorKind::InvalidInput.into(),
            });
        }
    }
    Ok(())
}

fn take_toolchain(path: &Path, attributes: u64) -> Result<Taken, JailError> {
    match fs::read_link(path) {
        Ok(target) => Ok(Taken::Link(target)),
        Err(_) => take(path, ResolveFlags::empty(), attributes),
    }
}

/// A mount of that one path with what is mounted under it.
fn take(path: &Path, resolve: ResolveFlags, attributes: u64) -> Result<Taken, JailError> {
    let refused = |source: io::Error| JailError::Grant {
        path: path.to_owned(),
        expected: "there, without a symbolic link on its way (make it canonical)",
        source,
    };
    let opened = rustix::fs::openat2(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        resolve | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|errno| refused(errno.into()))?;
    let found = rustix::fs::fstat(&opened).map_err(|errno| refused(errno.into()))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(&opened, "", flags).map_err(|errno| refused(errno.into()))?;
    set_attributes(tree.as_fd(), attributes, true).map_err(refused)?;
    let directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    Ok(if directory { Taken::Directory(tree) } else { Taken::File(tree) })
}

/// `mount_setattr`, which rustix lacks. `deep`: also what is mounted beneath.
fn set_attributes(mount: BorrowedFd<'_>, attributes: u64, deep: bool) -> io::Result<()> {
    let wanted = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if deep { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string; the attributes live through the call and their size is passed with them.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A file system in memory, mounted on the stage.
fn empty_root() -> Result<OwnedFd, JailError> {
    let make = failed("make an empty root");
    let system = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(&make)?;
    rustix::mount::fsconfig_set_string(&system, "mode", "0755").map_err(&make)?;
    rustix::mount::fsconfig_create(&system).map_err(&make)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let root = rustix::mount::fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(&make)?;
    rustix::mount::move_mount(&root, "", CWD, STAGE, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(&make)?;
    Ok(root)
}

/// Processes and nothing else of what a /proc has, and of those only what the tool could trace: its own.
fn own_processes() -> Result<OwnedFd, JailError> {
    let make =
        failed("mount a /proc of the tool's own; a container that hides parts of its own forbids that");
    let system = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).map_err(&make)?;
    rustix::mount::fsconfig_set_string(&system, "subset", "pid").map_err(&make)?;
    rustix::mount::fsconfig_set_string(&system, "hidepid", "ptraceable").map_err(&make)?;
    rustix::mount::fsconfig_create(&system).map_err(&make)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID;
    rustix::mount::fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(&make)
}

/// Gives it its name. The grants lie apart, so that all parents are the new root's own directories.
fn place(path: &Path, taken: Taken) -> io::Result<()> {
    let staged = Path::new(STAGE).join(path.strip_prefix("/").unwrap_or(path));
    if let Some(parent) = staged.parent() {
        fs::create_dir_all(parent)?;
    }
    let mount = match taken {
        Taken::Link(target) => return std::os::unix::fs::symlink(target, staged),
        Taken::Directory(mount) => {
            fs::create_dir(&staged)?;
            mount
        }
        Taken::File(mount) => {
            File::create_new(&staged)?;
            mount
        }
    };
    let from_descriptor = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(rustix::mount::move_mount(&mount, "", CWD, &staged, from_descriptor)?)
}

fn failed(what: &'static str) -> impl Fn(Errno) -> JailError {
    move |errno| JailError::Mounts { what, source: errno.into() }
}
