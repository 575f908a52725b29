//! What the engine may call beside the base: nothing. It opens no file and makes no socket.
//!
//! The C library and OpenMP look into /proc and /sys at their first use. They take `EACCES` for an
//! answer there, as from a file system without permission.

use super::{Condition::Masked, Rule, allow_when, refuse};

pub(super) const RULES: &[Rule] = &[
    refuse(libc::SYS_openat, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_faccessat, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_readlinkat, libc::EACCES, "no file; the C library goes on"),
    // glibc before 2.37 spells fstat so. A filter cannot see that the path is empty: what remains
    // is that the metadata, not the contents, of a file whose path is known can be read.
    allow_when(libc::SYS_newfstatat, &[&[Masked(3, libc::AT_EMPTY_PATH, libc::AT_EMPTY_PATH)]], "fstat"),
    allow_when(libc::SYS_statx, &[&[Masked(2, libc::AT_EMPTY_PATH, libc::AT_EMPTY_PATH)]], "size of a file"),
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
pub(super) const LEGACY_RULES: &[Rule] = &[
    refuse(libc::SYS_open, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_access, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_readlink, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_stat, libc::EACCES, "no file; the C library goes on"),
    refuse(libc::SYS_lstat, libc::EACCES, "no file; the C library goes on"),
];

/// Calls that newer architectures never had.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LEGACY_RULES: &[Rule] = &[];
