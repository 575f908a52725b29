//! What a tool may call: a compiler, a simulator, git, make, and whatever they start. Beside the base it makes
//! processes, runs programs, loads code and works on files. What is run and which files: Landlock and the tool's
//! own file system decide. It has a process namespace of its own, so that it signals nobody else.
//!
//! There is no call here that makes a socket, not even a pair: compilers need none. (Rust's standard library makes a
//! pair where it starts a program under a changed `PATH`: rustc does so for its linker, which it therefore cannot start.)

use super::{
    Condition::{Equals, Masked},
    Rule, allow, allow_when,
    base::{CLONE_NEW_ANY, FIONBIO},
    refuse,
};

/// Rows of the base that are not taken: this table has a wider one, or leaves the call out. A tool has no socket, so
/// what is only for sockets goes.
pub(super) const NOT_OF_BASE: &[i64] = &[
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_ioctl,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_clone,
    libc::SYS_tgkill,
    libc::SYS_prlimit64,
];

/// Set-user-ID and set-group-ID. Outside the jail, a program with the first in scratch would run as the tool's user,
/// which may be root, for whoever can reach it. `openat2` has its mode behind a pointer, so it is not here.
const SET_IDS: libc::c_int = 0o6000;

// Requests of ioctl as the ints that the filter compares; libc's type differs between C libraries.
const TCGETS: libc::c_int = 0x5401;
const TIOCGPGRP: libc::c_int = 0x540f;
const TIOCGWINSZ: libc::c_int = 0x5413;
const FIONREAD: libc::c_int = 0x541b;
const FIONCLEX: libc::c_int = 0x5450;
const FIOCLEX: libc::c_int = 0x5451;

pub(super) const RULES: &[Rule] = &[
    // Processes and programs.
    allow_when(
        libc::SYS_clone,
        &[&[Masked(0, CLONE_NEW_ANY, 0)]],
        "processes and threads: a driver starts its passes, make its recipes; no namespace",
    ),
    allow(libc::SYS_execve, "passes, linkers, recipes; Landlock decides which files"),
    allow(libc::SYS_wait4, "the end of a child"),
    allow(libc::SYS_waitid, "the end of a child"),
    allow(libc::SYS_kill, "make and shells end their children; nobody else is in the namespace"),
    allow(libc::SYS_tkill, "raise, in older runtimes; nobody else is in the namespace"),
    allow(libc::SYS_tgkill, "abort, raise; nobody else is in the namespace"),
    allow(libc::SYS_setpgid, "shells group their children; the namespace ends with the run all the same"),
    allow(libc::SYS_getpgid, "shells"),
    allow(libc::SYS_setsid, "git's background tasks; the namespace ends with the run all the same"),
    allow(libc::SYS_getsid, "shells"),
    allow(libc::SYS_set_tid_address, "start of a program"),
    allow_when(
        libc::SYS_prlimit64,
        &[&[Equals(0, 0)]],
        "compilers and make raise their stack, up to the hard limit; own limits only",
    ),
    allow(libc::SYS_times, "make, simulators"),
    allow(libc::SYS_umask, "shells, git"),
    allow(libc::SYS_getgroups, "shells: whether a file may be read"),
    allow(libc::SYS_getresuid, "who runs: git's test of ownership"),
    allow(libc::SYS_getresgid, "who runs"),
    allow(libc::SYS_setresuid, "make gives its recipes its own user; without capabilities there is no other"),
    allow(
        libc::SYS_setresgid,
        "make gives its recipes its own group; without capabilities there is no other",
    ),
    allow(libc::SYS_sched_getparam, "start of Ada's tasks"),
    allow(libc::SYS_sched_getscheduler, "start of Ada's tasks"),
    allow(libc::SYS_sched_get_priority_max, "start of Ada's tasks"),
    allow(libc::SYS_sched_get_priority_min, "start of Ada's tasks"),
    // Code: the loader maps libraries, simulators compile into memory.
    allow(libc::SYS_mmap, "libraries; code that ghdl and vvp make at run time"),
    allow(libc::SYS_mprotect, "libraries; code that ghdl and vvp make at run time"),
    // Signals.
    allow(libc::SYS_rt_sigsuspend, "shells wait for a child"),
    allow(libc::SYS_rt_sigpending, "shells"),
    allow(libc::SYS_rt_sigtimedwait, "runtimes wait for a signal"),
    allow(libc::SYS_setitimer, "progress of git, time limits of tools"),
    allow(libc::SYS_getitimer, "the other half of it"),
    // Descriptors.
    allow(libc::SYS_pipe2, "a driver reads its passes"),
    allow(libc::SYS_dup3, "redirection"),
    allow(libc::SYS_pselect6, "make waits for its recipes"),
    allow(libc::SYS_close_range, "starting a program with nothing else open"),
    allow_when(
        libc::SYS_ioctl,
        &[
            &[Equals(1, FIONBIO)],
            &[Equals(1, FIOCLEX)],
            &[Equals(1, FIONCLEX)],
            &[Equals(1, FIONREAD)],
            &[Equals(1, TCGETS)],
            &[Equals(1, TIOCGWINSZ)],
            &[Equals(1, TIOCGPGRP)],
        ],
        "flags of descriptors; whether there is a terminal, which there is not",
    ),
    // Files: Landlock decides, and what is mounted for reading only is not written.
    allow_when(libc::SYS_openat, &[&[Masked(3, SET_IDS, 0)]], "files; Landlock decides; no set-user-ID"),
    allow(libc::SYS_newfstatat, "metadata"),
    allow(libc::SYS_statx, "metadata"),
    allow(libc::SYS_faccessat, "whether a file is there"),
    allow(libc::SYS_faccessat2, "whether a file is there"),
    allow(libc::SYS_readlinkat, "canonical paths"),
    allow(libc::SYS_getcwd, "where it works"),
    allow(libc::SYS_chdir, "where it works"),
    allow(libc::SYS_fchdir, "where it works"),
    allow(libc::SYS_getdents64, "listing a directory"),
    allow(libc::SYS_pwrite64, "object files, packs"),
    allow(libc::SYS_pwritev, "object files"),
    allow(libc::SYS_sendfile, "copying from file to file"),
    allow(libc::SYS_copy_file_range, "copying from file to file"),
    allow(libc::SYS_fsync, "git's objects"),
    allow(libc::SYS_fdatasync, "git's objects"),
    allow(libc::SYS_msync, "maps"),
    allow(libc::SYS_ftruncate, "object files"),
    allow(libc::SYS_truncate, "object files"),
    allow(libc::SYS_fallocate, "room for an object file"),
    allow(libc::SYS_flock, "locks of tools"),
    allow(libc::SYS_statfs, "kind of a file system"),
    allow(libc::SYS_fstatfs, "kind of a file system"),
    allow_when(
        libc::SYS_fchmod,
        &[&[Masked(1, SET_IDS, 0)]],
        "a linker makes its output a program; only scratch is mounted for writing; no set-user-ID",
    ),
    allow_when(
        libc::SYS_fchmodat,
        &[&[Masked(2, SET_IDS, 0)]],
        "a linker makes its output a program; only scratch is mounted for writing; no set-user-ID",
    ),
    allow(libc::SYS_utimensat, "touch; only scratch is mounted for writing"),
    allow(libc::SYS_mkdirat, "directories; Landlock decides"),
    allow(libc::SYS_unlinkat, "removing; Landlock decides"),
    allow(libc::SYS_renameat, "replacing a file at once; Landlock decides"),
    allow(libc::SYS_renameat2, "replacing a file at once; Landlock decides"),
    allow(libc::SYS_linkat, "a second name; Landlock decides"),
    allow(libc::SYS_symlinkat, "git and libraries have links; following one is opening a file"),
    refuse(libc::SYS_getxattr, libc::EOPNOTSUPP, "ls and cp go on"),
    refuse(libc::SYS_lgetxattr, libc::EOPNOTSUPP, "ls and cp go on"),
    refuse(libc::SYS_fgetxattr, libc::EOPNOTSUPP, "ls and cp go on"),
    refuse(libc::SYS_listxattr, libc::EOPNOTSUPP, "ls and cp go on"),
    refuse(libc::SYS_llistxattr, libc::EOPNOTSUPP, "ls and cp go on"),
    refuse(libc::SYS_flistxattr, libc::EOPNOTSUPP, "ls and cp go on"),
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
pub(super) const LEGACY_RULES: &[Rule] = &[
    allow_when(
        libc::SYS_arch_prctl,
        &[&[Equals(0, ARCH_SET_FS)], &[Equals(0, ARCH_GET_FS)]],
        "start of a program: where its thread's own variables lie",
    ),
    allow(libc::SYS_fork, "processes"),
    allow(libc::SYS_vfork, "a driver starts its passes"),
    allow(libc::SYS_getpgrp, "shells"),
    allow(libc::SYS_getrlimit, "own limits"),
    allow(libc::SYS_setrlimit, "own limits, up to the hard ones"),
    allow(libc::SYS_alarm, "time limits of tools"),
    allow(libc::SYS_pause, "waiting for a signal"),
    allow(libc::SYS_time, "time, where the vDSO has no clock"),
    allow(libc::SYS_pipe, "a driver reads its passes"),
    allow(libc::SYS_dup2, "redirection"),
    allow(libc::SYS_select, "waiting for many"),
    allow_when(libc::SYS_open, &[&[Masked(2, SET_IDS, 0)]], "files; Landlock decides; no set-user-ID"),
    allow_when(libc::SYS_creat, &[&[Masked(1, SET_IDS, 0)]], "files; Landlock decides; no set-user-ID"),
    allow(libc::SYS_stat, "metadata"),
    allow(libc::SYS_lstat, "metadata"),
    allow(libc::SYS_access, "whether a file is there"),
    allow(libc::SYS_readlink, "canonical paths"),
    allow(libc::SYS_getdents, "listing a directory"),
    allow_when(
        libc::SYS_chmod,
        &[&[Masked(1, SET_IDS, 0)]],
        "a linker makes its output a program; only scratch is mounted for writing; no set-user-ID",
    ),
    allow(libc::SYS_utime, "touch; only scratch is mounted for writing"),
    allow(libc::SYS_utimes, "touch; only scratch is mounted for writing"),
    allow(libc::SYS_futimesat, "touch; only scratch is mounted for writing"),
    allow(libc::SYS_mkdir, "directories; Landlock decides"),
    allow(libc::SYS_rmdir, "removing; Landlock decides"),
    allow(libc::SYS_unlink, "removing; Landlock decides"),
    allow(libc::SYS_rename, "replacing a file at once; Landlock decides"),
    allow(libc::SYS_link, "a second name; Landlock decides"),
    allow(libc::SYS_symlink, "git and libraries have links; following one is opening a file"),
];

#[cfg(target_arch = "x86_64")]
const ARCH_SET_FS: libc::c_int = 0x1002;
#[cfg(target_arch = "x86_64")]
const ARCH_GET_FS: libc::c_int = 0x1003;

/// Calls that newer architectures never had.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LEGACY_RULES: &[Rule] = &[];
