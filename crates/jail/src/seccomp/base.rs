//! What every jailed process may call: its own memory, threads, clocks and open descriptors.

use super::{
    Condition::{Equals, Masked, Null, OwnProcess},
    Rule, allow, allow_when, refuse,
};

/// `CLONE_NEW*`: a thread may not bring a namespace along.
pub(super) const CLONE_NEW_ANY: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// `FIONBIO` as the int that the filter compares; libc's type differs between C libraries.
pub(super) const FIONBIO: libc::c_int = 0x5421;

pub(super) const RULES: &[Rule] = &[
    // Open descriptors.
    allow(libc::SYS_read, "messages, files"),
    allow(libc::SYS_readv, "messages, files"),
    allow(libc::SYS_write, "messages, files, the log on standard error"),
    allow(libc::SYS_writev, "messages, files, the log on standard error"),
    allow(libc::SYS_pread64, "files"),
    allow(libc::SYS_preadv, "files"),
    allow(libc::SYS_lseek, "files"),
    allow(libc::SYS_fstat, "size of a file"),
    allow(libc::SYS_close, "every descriptor"),
    allow(libc::SYS_dup, "a second owner of a descriptor"),
    allow_when(
        libc::SYS_fcntl,
        &[
            &[Equals(1, libc::F_DUPFD)],
            &[Equals(1, libc::F_DUPFD_CLOEXEC)],
            &[Equals(1, libc::F_GETFD)],
            &[Equals(1, libc::F_SETFD)],
            &[Equals(1, libc::F_GETFL)],
            &[Equals(1, libc::F_SETFL)],
            &[Equals(1, libc::F_GET_SEALS)],
            &[Equals(1, libc::F_GETLK)],
            &[Equals(1, libc::F_SETLK)],
            &[Equals(1, libc::F_SETLKW)],
            &[Equals(1, libc::F_OFD_GETLK)],
            &[Equals(1, libc::F_OFD_SETLK)],
            &[Equals(1, libc::F_OFD_SETLKW)],
        ],
        "flags, seals, locks of SQLite; not F_SETOWN or F_NOTIFY, which send signals",
    ),
    allow_when(libc::SYS_ioctl, &[&[Equals(1, FIONBIO)]], "non-blocking mode in the standard library"),
    // Sockets that are already there.
    allow(libc::SYS_recvfrom, "messages"),
    allow(libc::SYS_recvmsg, "messages, and descriptors beside them"),
    // MSG_FASTOPEN dials: to AF_UNSPEC it disconnects an accepted TCP socket, which belongs to the
    // machine's network, and to an address it connects that socket anew.
    allow_when(libc::SYS_sendto, &[&[Masked(3, libc::MSG_FASTOPEN, 0)]], "messages; not MSG_FASTOPEN"),
    allow_when(libc::SYS_sendmsg, &[&[Masked(2, libc::MSG_FASTOPEN, 0)]], "messages; not MSG_FASTOPEN"),
    allow(libc::SYS_shutdown, "end of a conversation"),
    allow(libc::SYS_getsockopt, "SO_ERROR after a poll; type of an inherited socket"),
    // Waiting.
    allow(libc::SYS_ppoll, "waiting for a peer"),
    allow(libc::SYS_epoll_create1, "waiting for many"),
    allow(libc::SYS_epoll_ctl, "waiting for many"),
    allow(libc::SYS_epoll_pwait, "waiting for many"),
    allow(libc::SYS_epoll_pwait2, "waiting for many"),
    allow(libc::SYS_eventfd2, "waking a thread that waits"),
    allow(libc::SYS_futex, "locks, parking, joining threads"),
    allow(libc::SYS_sched_yield, "spinning locks"),
    allow(libc::SYS_restart_syscall, "a wait that a stop interrupted"),
    // Memory, never executable: no program brings code along but its own.
    allow_when(libc::SYS_mmap, &[&[Masked(2, libc::PROT_EXEC, 0)]], "heap, stacks, models; not executable"),
    allow_when(libc::SYS_mprotect, &[&[Masked(2, libc::PROT_EXEC, 0)]], "heap, guard pages; not executable"),
    allow(libc::SYS_fadvise64, "read-ahead of models"),
    allow(libc::SYS_munmap, "heap, stacks, models"),
    allow(libc::SYS_mremap, "growing large blocks"),
    allow(libc::SYS_madvise, "giving pages back; read-ahead of models"),
    allow(libc::SYS_brk, "heap"),
    // Threads, of this process and in its namespaces. CLONE_THREAD: so no fork.
    allow_when(
        libc::SYS_clone,
        &[&[Masked(0, CLONE_NEW_ANY | libc::CLONE_THREAD, libc::CLONE_THREAD)]],
        "threads; no process, no namespace",
    ),
    refuse(libc::SYS_clone3, libc::ENOSYS, "its flags lie behind a pointer; glibc falls back to clone"),
    allow(libc::SYS_set_robust_list, "start of a thread"),
    allow(libc::SYS_rseq, "start of a thread"),
    allow(libc::SYS_gettid, "names of threads in logs"),
    allow(libc::SYS_exit, "end of a thread"),
    allow(libc::SYS_exit_group, "end of the process"),
    allow(libc::SYS_sched_getaffinity, "count of processors"),
    allow(libc::SYS_getcpu, "allocators"),
    allow_when(
        libc::SYS_prctl,
        &[
            &[Equals(0, libc::PR_SET_NAME)],
            &[Equals(0, libc::PR_GET_NAME)],
            &[Equals(0, libc::PR_GET_SECCOMP)],
            &[Equals(0, libc::PR_GET_NO_NEW_PRIVS)],
        ],
        "names of threads; reading the own state",
    ),
    // Signals to itself: abort, and the report of a stack that overflows.
    allow(libc::SYS_rt_sigaction, "handlers"),
    allow(libc::SYS_rt_sigprocmask, "start of a thread, abort"),
    allow(libc::SYS_rt_sigreturn, "end of a handler"),
    allow(libc::SYS_sigaltstack, "start of a thread"),
    allow_when(libc::SYS_tgkill, &[&[OwnProcess(0)]], "abort"),
    // What it is and what time it is.
    allow(libc::SYS_getpid, "abort, logs"),
    allow(libc::SYS_getppid, "seeing that the supervisor lives"),
    allow(libc::SYS_getuid, "own user"),
    allow(libc::SYS_geteuid, "own user"),
    allow(libc::SYS_getgid, "own group"),
    allow(libc::SYS_getegid, "own group"),
    allow(libc::SYS_clock_gettime, "time, where the vDSO has no clock"),
    allow(libc::SYS_clock_getres, "time"),
    allow(libc::SYS_clock_nanosleep, "sleeping"),
    allow(libc::SYS_nanosleep, "sleeping"),
    allow(libc::SYS_gettimeofday, "time, where the vDSO has no clock"),
    allow(libc::SYS_getrandom, "randomness"),
    allow(libc::SYS_getrusage, "own use of the processor"),
    allow(libc::SYS_uname, "features by kernel version, in the C library"),
    allow(libc::SYS_sysinfo, "memory of the machine, in the C library's sort"),
    allow_when(
        libc::SYS_prlimit64,
        &[&[OwnProcess(0), Null(2)], &[Equals(0, 0), Null(2)]],
        "reading own limits",
    ),
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
pub(super) const LEGACY_RULES: &[Rule] =
    &[allow(libc::SYS_poll, "waiting for a peer"), allow(libc::SYS_epoll_wait, "waiting for many")];

/// Calls that newer architectures never had.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LEGACY_RULES: &[Rule] = &[];
