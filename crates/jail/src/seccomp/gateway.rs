//! What the gateway may call beside the base: accepting on inherited listeners, and files, which
//! Landlock limits to its directories. Where Landlock does not reach (modes and owners by path),
//! only the forms on an open descriptor are here.

use super::{
    Condition::{Equals, Masked},
    Rule, SOCKET_TYPE_MASK, allow, allow_when,
};

pub(super) const RULES: &[Rule] = &[
    // Sockets.
    allow(libc::SYS_accept4, "clients"),
    allow(libc::SYS_accept, "clients"),
    allow(libc::SYS_getsockname, "own address of a listener"),
    allow(libc::SYS_getpeername, "address of a client"),
    allow_when(
        libc::SYS_setsockopt,
        &[
            &[Equals(1, libc::IPPROTO_TCP), Equals(2, libc::TCP_NODELAY)],
            &[Equals(1, libc::SOL_SOCKET), Equals(2, libc::SO_KEEPALIVE)],
            &[Equals(1, libc::SOL_SOCKET), Equals(2, libc::SO_LINGER)],
            &[Equals(1, libc::SOL_SOCKET), Equals(2, libc::SO_RCVTIMEO)],
            &[Equals(1, libc::SOL_SOCKET), Equals(2, libc::SO_SNDTIMEO)],
        ],
        "answers without delay; not TCP_FASTOPEN_CONNECT, not SO_ATTACH_BPF",
    ),
    // Not SOCK_DGRAM: a datagram socket of a pair can send to any path, so to any local service.
    allow_when(
        libc::SYS_socketpair,
        &[&[Equals(0, libc::AF_UNIX), Masked(1, SOCKET_TYPE_MASK, libc::SOCK_STREAM)]],
        "the runtime's signal pipe",
    ),
    // Files: SQLite in WAL mode and the ledger.
    allow(libc::SYS_openat, "files; Landlock decides"),
    allow(libc::SYS_newfstatat, "metadata"),
    allow(libc::SYS_statx, "metadata"),
    allow(libc::SYS_faccessat, "whether a journal exists"),
    allow(libc::SYS_faccessat2, "whether a journal exists"),
    allow(libc::SYS_readlinkat, "SQLite makes paths canonical"),
    allow(libc::SYS_getcwd, "SQLite makes paths canonical"),
    allow(libc::SYS_getdents64, "listing a directory"),
    allow(libc::SYS_pwrite64, "files"),
    allow(libc::SYS_pwritev, "files"),
    allow(libc::SYS_fsync, "durability"),
    allow(libc::SYS_fdatasync, "durability"),
    allow(libc::SYS_msync, "durability of maps"),
    allow(libc::SYS_ftruncate, "WAL segments, SQLite's shared memory"),
    allow(libc::SYS_fallocate, "reserving disk"),
    allow(libc::SYS_flock, "one writer"),
    allow(libc::SYS_fchmod, "mode of a file that is open"),
    allow(libc::SYS_fchown, "SQLite, as root, gives the WAL the database's owner"),
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
    allow(libc::SYS_open, "files; Landlock decides"),
    allow(libc::SYS_stat, "metadata"),
    allow(libc::SYS_lstat, "metadata"),
    allow(libc::SYS_access, "whether a journal exists"),
    allow(libc::SYS_readlink, "SQLite makes paths canonical"),
    allow(libc::SYS_mkdir, "directories; Landlock decides"),
    allow(libc::SYS_rmdir, "removing; Landlock decides"),
    allow(libc::SYS_unlink, "removing; Landlock decides"),
    allow(libc::SYS_rename, "replacing a file at once; Landlock decides"),
    allow(libc::SYS_link, "a name that must not exist yet; Landlock decides"),
];

/// Calls that newer architectures never had.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LEGACY_RULES: &[Rule] = &[];
