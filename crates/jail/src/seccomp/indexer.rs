//! What the indexer may call beside the base: files. Landlock limits it to the trees, for reading, and to an index, for
//! writing. Where Landlock does not reach (modes and owners by path), only the forms on an open descriptor are here. It
//! makes no socket, and runs nothing.

use super::{Rule, allow};

pub(super) const RULES: &[Rule] = &[
    // Reading: trees, the index.
    allow(libc::SYS_openat2, "a file of a tree, beneath its descriptor, through no link; Landlock decides"),
    allow(libc::SYS_openat, "folders, the index; Landlock decides"),
    allow(libc::SYS_newfstatat, "metadata"),
    allow(libc::SYS_statx, "metadata"),
    allow(libc::SYS_faccessat, "whether a file is there"),
    allow(libc::SYS_faccessat2, "whether a file is there"),
    allow(libc::SYS_readlinkat, "canonical paths"),
    allow(libc::SYS_getcwd, "canonical paths"),
    allow(libc::SYS_getdents64, "listing a folder"),
    // Writing: the index, a scratch folder.
    allow(libc::SYS_pwrite64, "files"),
    allow(libc::SYS_pwritev, "files"),
    allow(libc::SYS_fsync, "durability"),
    allow(libc::SYS_fdatasync, "durability"),
    allow(libc::SYS_msync, "durability of maps"),
    allow(libc::SYS_ftruncate, "files, SQLite's shared memory"),
    allow(libc::SYS_fallocate, "reserving disk"),
    allow(libc::SYS_flock, "one writer"),
    allow(libc::SYS_fchmod, "mode of a file that is open"),
    allow(libc::SYS_statfs, "free disk"),
    allow(libc::SYS_fstatfs, "free disk"),
    allow(libc::SYS_mkdirat, "directories; Landlock decides"),
    allow(libc::SYS_unlinkat, "removing; Landlock decides"),
    allow(libc::SYS_renameat, "replacing a file at once; Landlock decides"),
    allow(libc::SYS_renameat2, "replacing a file at once; Landlock decides"),
    allow(libc::SYS_linkat, "a name that must not exist yet; Landlock decides"),
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
pub(super) const LEGACY_RULES: &[Rule] = &[
    allow(libc::SYS_open, "folders, the index; Landlock decides"),
    allow(libc::SYS_stat, "metadata"),
    allow(libc::SYS_lstat, "metadata"),
    allow(libc::SYS_access, "whether a file is there"),
    allow(libc::SYS_readlink, "canonical paths"),
    allow(libc::SYS_mkdir, "directories; Landlock decides"),
    allow(libc::SYS_rmdir, "removing; Landlock decides"),
    allow(libc::SYS_unlink, "removing; Landlock decides"),
    allow(libc::SYS_rename, "replacing a file at once; Landlock decides"),
    allow(libc::SYS_link, "a name that must not exist yet; Landlock decides"),
];

/// Calls that newer architectures never had.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LEGACY_RULES: &[Rule] = &[];
