//! What an engine on a GPU may call beside the base. It opens the driver's files, of which Landlock decides, and speaks
//! to them by `ioctl`. The driver's library was seen to end where one of these is refused otherwise; what it tries
//! beside them and can do without answers as to any other engine.

use super::{
    Condition::{Equals, Masked},
    Rule, SOCKET_TYPE_MASK, allow, allow_when,
    base::FIONBIO,
    refuse,
};

/// The driver's own requests have this letter as their type.
const NVIDIA: libc::c_int = (b'F' as libc::c_int) << 8;
const REQUEST_TYPE: libc::c_int = 0xff00;
/// Requests to `nvidia-uvm` are small numbers without a type, but the first and the last.
const UVM_INITIALIZE: libc::c_int = 0x3000_0001;
const UVM_DEINITIALIZE: libc::c_int = 0x3000_0002;

/// Rows of the base that are other ones here.
pub(super) const NOT_OF_BASE: &[i64] = &[libc::SYS_ioctl];

pub(super) const RULES: &[Rule] = &[
    allow_when(
        libc::SYS_ioctl,
        &[
            &[Equals(1, FIONBIO)],
            &[Masked(1, REQUEST_TYPE, NVIDIA)],
            &[Masked(1, !0xff, 0)],
            &[Equals(1, UVM_INITIALIZE)],
            &[Equals(1, UVM_DEINITIALIZE)],
        ],
        "the driver's requests; none of a terminal's or a socket's. Landlock decides about devices",
    ),
    allow(libc::SYS_openat, "the driver's files; Landlock decides"),
    allow(libc::SYS_newfstatat, "fstat; whether the driver's files are there"),
    allow_when(libc::SYS_statx, &[&[Masked(2, libc::AT_EMPTY_PATH, libc::AT_EMPTY_PATH)]], "size of a file"),
    allow(libc::SYS_pipe2, "start of the driver's threads"),
    // It listens for other processes that share the GPU's memory. Nobody is in its network, and Landlock lets it make
    // no socket in a directory. Nothing is accepted, and nothing connected.
    allow_when(
        libc::SYS_socket,
        &[&[Equals(0, libc::AF_UNIX), Masked(1, SOCKET_TYPE_MASK, libc::SOCK_SEQPACKET)]],
        "the driver's listener, local and without a path; no other family or type",
    ),
    allow(libc::SYS_bind, "the driver's listener; Landlock decides about paths"),
    allow(libc::SYS_listen, "the driver's listener; nobody is in its network"),
    refuse(libc::SYS_unlinkat, libc::ENOENT, "the driver removes names that are not there, and goes on"),
    refuse(libc::SYS_faccessat, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_readlinkat, libc::EACCES, "no file; the C library goes on"),
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
pub(super) const LEGACY_RULES: &[Rule] = &[
    allow(libc::SYS_stat, "whether the driver's files are there"),
    refuse(libc::SYS_unlink, libc::ENOENT, "the driver removes names that are not there, and goes on"),
    refuse(libc::SYS_open, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_access, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_readlink, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_lstat, libc::EACCES, "no file; the C library goes on"),
];

/// Calls that newer architectures never had.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LEGACY_RULES: &[Rule] = &[];
