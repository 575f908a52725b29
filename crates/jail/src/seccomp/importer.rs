//! What the importer may call beside the base: files. Landlock limits them to the medium, for reading, and to the
//! vault's folders of blobs, for writing. Where Landlock does not reach (modes by path), only the form on an open
//! descriptor is here. It makes no socket: it was handed the one that it answers on.

use super::{Rule, allow, refuse};

pub(super) const RULES: &[Rule] = &[
    // Reading: the medium, the signature beside it, the roots that are believed.
    allow(
        libc::SYS_openat2,
        "a file of the medium, beneath its descriptor, through no link; Landlock decides",
    ),
    allow(libc::SYS_openat, "the medium's folder, copies, blobs; Landlock decides"),
    allow(libc::SYS_newfstatat, "metadata"),
    allow(libc::SYS_statx, "metadata"),
    allow(libc::SYS_readlinkat, "a folder's own name, where its path ends in a link or in dots"),
    allow(libc::SYS_getdents64, "listing a folder"),
    // Writing: unfinished copies, and their final names.
    allow(libc::SYS_pwrite64, "a copy"),
    allow(libc::SYS_ftruncate, "going on where an earlier copy ended"),
    allow(libc::SYS_fsync, "a copy is durable before it gets its final name, and the name after it"),
    allow(libc::SYS_fchmod, "a blob is read-only: the mode of a file that is open"),
    allow(libc::SYS_flock, "one import at a time"),
    allow(libc::SYS_statfs, "free disk"),
    allow(libc::SYS_unlinkat, "a copy that is wrong; Landlock decides"),
    allow(libc::SYS_renameat, "a copy gets its final name; Landlock decides"),
    allow(libc::SYS_renameat2, "a copy gets its final name; Landlock decides"),
    refuse(libc::SYS_mkdirat, libc::EEXIST, "the vault's folders are made before; who asks looks again"),
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
pub(super) const LEGACY_RULES: &[Rule] = &[
    allow(libc::SYS_open, "the medium's folder, copies, blobs; Landlock decides"),
    allow(libc::SYS_stat, "metadata"),
    allow(libc::SYS_lstat, "metadata"),
    allow(libc::SYS_readlink, "a folder's own name, where its path ends in a link or in dots"),
    allow(libc::SYS_unlink, "a copy that is wrong; Landlock decides"),
    allow(libc::SYS_rename, "a copy gets its final name; Landlock decides"),
    refuse(libc::SYS_mkdir, libc::EEXIST, "the vault's folders are made before; who asks looks again"),
];

/// Calls that newer architectures never had.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LEGACY_RULES: &[Rule] = &[];
