//! The seccomp filter, compiled from the tables in this folder.
//!
//! The tables are allow-lists: a call that no rule admits answers `EPERM`. It is refused and not
//! killed, since the C library and OpenMP try calls that they can do without, and since a probe can
//! then assert the refusal. Another calling convention of the machine (32-bit) kills the process.
//!
//! A filter sees the arguments' registers and nothing behind pointers; that is why `connect` cannot
//! be limited to an address and is refused whole, but to the relay, whose file system holds one socket.

mod base;
mod engine;
mod gateway;
mod gpu;
mod importer;
mod indexer;
mod keeper;
mod relay;
mod tool;

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::{Errno, JailError, Kind};

/// One row of a table.
struct Rule {
    /// Its number on this architecture: `libc::SYS_…`.
    call: i64,
    then: Then,
    /// What needs the call, or why it is answered so. For the reader of the table, and of docs/jails.md.
    reason: &'static str,
}

enum Then {
    Allow,
    /// When all conditions of any one of the lists hold.
    AllowWhen(&'static [&'static [Condition]]),
    /// Answers this error instead of `EPERM`, for callers that fall back on it and on no other.
    Refuse(libc::c_int),
}

/// The bits of a socket's type beside its flags.
const SOCKET_TYPE_MASK: libc::c_int = 0xf;

/// On the argument of that number, from 0. All but `Null` compare the low 32 bits, which is all
/// that the kernel reads of an `int`, and of the flags in question.
enum Condition {
    Equals(u8, libc::c_int),
    /// The bits of the mask equal the value.
    Masked(u8, libc::c_int, libc::c_int),
    /// Is this process's own number.
    OwnProcess(u8),
    /// Is a null pointer.
    Null(u8),
}

const fn allow(call: i64, reason: &'static str) -> Rule {
    Rule { call, then: Then::Allow, reason }
}

const fn allow_when(call: i64, any_of: &'static [&'static [Condition]], reason: &'static str) -> Rule {
    Rule { call, then: Then::AllowWhen(any_of), reason }
}

const fn refuse(call: i64, errno: libc::c_int, reason: &'static str) -> Rule {
    Rule { call, then: Then::Refuse(errno), reason }
}

fn tables(kind: Kind) -> impl Iterator<Item = &'static Rule> {
    let own: &[&[Rule]] = match kind {
        Kind::Indexer => &[indexer::RULES, indexer::LEGACY_RULES],
        Kind::Tool => &[tool::RULES, tool::LEGACY_RULES],
        Kind::ToolKeeper => &[keeper::RULES],
        Kind::Engine => &[engine::RULES, engine::LEGACY_RULES],
        Kind::GpuEngine => &[gpu::RULES, gpu::LEGACY_RULES],
        Kind::Gateway => &[gateway::RULES, gateway::LEGACY_RULES],
        Kind::Importer => &[importer::RULES, importer::LEGACY_RULES],
        Kind::Relay => &[engine::RULES, engine::LEGACY_RULES, relay::RULES],
    };
    let base = [base::RULES, base::LEGACY_RULES].into_iter().flatten();
    let left_out: &[i64] = match kind {
        Kind::Tool => tool::NOT_OF_BASE,
        Kind::GpuEngine => gpu::NOT_OF_BASE,
        _ => &[],
    };
    base.filter(|rule| !left_out.contains(&rule.call)).chain(own.iter().copied().flatten())
}

/// One row of a kind's table, for documents and for tests that try the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The call's number on this architecture.
    pub call: i64,
    /// How it is answered.
    pub answer: Answer,
    /// What needs the call, or why it is answered so.
    pub reason: &'static str,
}

/// How a table answers a call that is in it. One that is not in it answers `EPERM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel decides.
    Admitted,
    /// The kernel decides, where the arguments are as the table says; otherwise `EPERM`.
    AdmittedWhen,
    /// This error, which callers take for an answer.
    Refused(Errno),
}

/// The table of a kind, row by row.
pub fn admissions(kind: Kind) -> impl Iterator<Item = Admission> {
    tables(kind).map(|rule| Admission {
        call: rule.call,
        answer: match rule.then {
            Then::Allow => Answer::Admitted,
            Then::AllowWhen(_) => Answer::AdmittedWhen,
            Then::Refuse(errno) => Answer::Refused(Errno::new(errno)),
        },
        reason: rule.reason,
    })
}

/// A compiled filter: programs to install in this order.
pub(crate) struct Filter {
    programs: Vec<BpfProgram>,
    /// Calls admitted, with or without conditions.
    pub(crate) allowed: u32,
}

impl Filter {
    /// Compiles the tables of a kind for this process.
    pub(crate) fn build(kind: Kind) -> Result<Self, JailError> {
        Self::compile(kind).map_err(|source| JailError::SeccompTable { kind, source })
    }

    /// A filter has one answer for what it does not match. So the refusals by another errno are
    /// filters of their own, and pass the allow-list, which would answer `EPERM`: of all filters'
    /// answers the kernel takes the most restrictive.
    fn compile(kind: Kind) -> Result<Self, BackendError> {
        let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
        let mut admitted: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        let mut refused: BTreeMap<libc::c_int, BTreeMap<i64, Vec<SeccompRule>>> = BTreeMap::new();
        let mut allowed = 0;
        for rule in tables(kind) {
            let alternatives = match rule.then {
                Then::AllowWhen(any_of) => {
                    allowed += 1;
                    any_of.iter().map(|all| compile_conditions(all)).collect::<Result<_, _>>()?
                }
                Then::Allow => {
                    allowed += 1;
                    Vec::new()
                }
                Then::Refuse(errno) => {
                    refused.entry(errno).or_default().insert(rule.call, Vec::new());
                    Vec::new()
                }
            };
            admitted.insert(rule.call, alternatives);
        }

        let mut programs = Vec::new();
        for (errno, calls) in refused {
            let refuse = SeccompAction::Errno(errno.unsigned_abs());
            programs.push(SeccompFilter::new(calls, SeccompAction::Allow, refuse, architecture)?.try_into()?);
        }
        let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        programs.push(SeccompFilter::new(admitted, eperm, SeccompAction::Allow, architecture)?.try_into()?);
        Ok(Filter { programs, allowed })
    }

    /// Binds this thread, and the threads it will start, to the filter.
    pub(crate) fn install(&self) -> Result<(), JailError> {
        self.programs
            .iter()
            .try_for_each(|program| seccompiler::apply_filter(program))
            .map_err(|source| JailError::Seccomp { source })
    }
}

/// The bit of an x32 program's call numbers, on x86-64.
const X32: i64 = 0x4000_0000;

/// What the supervisor gives up once its listeners are open, for itself and for all that it starts: sockets of any
/// family but the local one, and the calls that would make one unseen.
///
/// It binds the calling thread and those that it starts later; call it while there is one.
pub fn give_up_networks() -> Result<(), JailError> {
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| JailError::NoNewPrivileges { source: errno.into() })?;
    let compile = || -> Result<BpfProgram, BackendError> {
        let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
        let other_family = |families| {
            SeccompCondition::new(0, SeccompCmpArgLen::Dword, families, low(libc::AF_UNIX))
                .and_then(|condition| SeccompRule::new(vec![condition]))
        };
        let mut calls = BTreeMap::new();
        // The second numbers are those of x32 programs, which a list of what is refused has to name.
        for bit in [0, X32] {
            calls.insert(libc::SYS_socket | bit, vec![other_family(SeccompCmpOp::Ne)?]);
            calls.insert(libc::SYS_io_uring_setup | bit, Vec::new());
        }
        let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
        SeccompFilter::new(calls, SeccompAction::Allow, eperm, architecture)?.try_into()
    };
    let program = compile().map_err(|source| JailError::Networks { source })?;
    seccompiler::apply_filter(&program).map_err(|source| JailError::Seccomp { source })
}

fn compile_conditions(all: &[Condition]) -> Result<SeccompRule, BackendError> {
    let condition = |condition: &Condition| match *condition {
        Condition::Equals(argument, value) => {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, low(value))
        }
        Condition::Masked(argument, mask, value) => SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(low(mask)),
            low(value),
        ),
        Condition::OwnProcess(argument) => SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            u64::from(std::process::id()),
        ),
        Condition::Null(argument) => {
            SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
        }
    };
    SeccompRule::new(all.iter().map(condition).collect::<Result<_, _>>()?)
}

/// The 32 bits of a C int as the low half of a register.
fn low(value: libc::c_int) -> u64 {
    u64::from(u32::from_ne_bytes(value.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What no table may ever admit, not even under conditions.
    const NEVER: &[(i64, &str)] = &[
        (libc::SYS_socket, "a network namespace does not hold AF_VSOCK; no socket, no escape"),
        (libc::SYS_connect, "nothing dials but the relay"),
        (libc::SYS_bind, "listeners are inherited"),
        (libc::SYS_listen, "listeners are inherited"),
        (libc::SYS_sendmmsg, "would carry MSG_FASTOPEN behind a pointer"),
        (libc::SYS_execve, "no other program"),
        (libc::SYS_execveat, "no other program"),
        (libc::SYS_memfd_create, "a program without a file"),
        (libc::SYS_ptrace, "other processes of the user"),
        (libc::SYS_process_vm_readv, "other processes of the user"),
        (libc::SYS_process_vm_writev, "other processes of the user"),
        (libc::SYS_pidfd_open, "other processes of the user"),
        (libc::SYS_pidfd_getfd, "takes descriptors, so sockets, from other processes"),
        (libc::SYS_pidfd_send_signal, "other processes of the user"),
        (libc::SYS_kill, "other processes of the user"),
        (libc::SYS_bpf, "attack surface of the kernel"),
        (libc::SYS_userfaultfd, "stalls the kernel at chosen points"),
        (libc::SYS_perf_event_open, "attack surface of the kernel"),
        (libc::SYS_io_uring_setup, "its operations pass seccomp by"),
        (libc::SYS_io_uring_enter, "its operations pass seccomp by"),
        (libc::SYS_io_uring_register, "its operations pass seccomp by"),
        (libc::SYS_keyctl, "keys of the user's session"),
        (libc::SYS_add_key, "keys of the user's session"),
        (libc::SYS_request_key, "keys of the user's session"),
        (libc::SYS_mount, "file systems"),
        (libc::SYS_umount2, "file systems"),
        (libc::SYS_pivot_root, "file systems"),
        (libc::SYS_chroot, "file systems"),
        (libc::SYS_open_by_handle_at, "opens files past their directories"),
        (libc::SYS_unshare, "a user namespace brings capabilities back"),
        (libc::SYS_setns, "another network"),
        (libc::SYS_init_module, "the kernel itself"),
        (libc::SYS_finit_module, "the kernel itself"),
        (libc::SYS_kexec_load, "the kernel itself"),
        (libc::SYS_personality, "READ_IMPLIES_EXEC"),
        (libc::SYS_fchmodat, "Landlock does not restrict modes: the supervisor's keys have the same owner"),
        (libc::SYS_fchownat, "Landlock does not restrict owners"),
        (libc::SYS_setxattr, "Landlock does not restrict attributes"),
        (libc::SYS_seccomp, "nothing to add"),
        (libc::SYS_openat2, "one way to open is enough, but to who opens beneath a medium or a tree"),
    ];

    /// What the relay may do nonetheless, of which the file system and the network decide the rest.
    const DIALS: &[i64] = &[libc::SYS_socket, libc::SYS_connect];

    /// What an engine on a GPU may do nonetheless: its driver's library listens in a network that nobody else is in.
    const LISTENS: &[i64] = &[libc::SYS_socket, libc::SYS_bind, libc::SYS_listen];

    /// What a tool may do nonetheless: it runs programs, in a process namespace and a file system of its own.
    const RUNS: &[i64] = &[libc::SYS_execve, libc::SYS_kill, libc::SYS_fchmodat];

    const KINDS: [Kind; 8] = [
        Kind::Engine,
        Kind::GpuEngine,
        Kind::Gateway,
        Kind::Importer,
        Kind::Relay,
        Kind::Indexer,
        Kind::Tool,
        Kind::ToolKeeper,
    ];

    #[test]
    fn nothing_forbidden_is_admitted() {
        for kind in KINDS {
            for rule in tables(kind) {
                let excepted = match kind {
                    Kind::Relay => DIALS.contains(&rule.call),
                    Kind::Importer | Kind::Indexer => rule.call == libc::SYS_openat2,
                    Kind::Tool => RUNS.contains(&rule.call),
                    Kind::GpuEngine => LISTENS.contains(&rule.call),
                    Kind::Engine | Kind::Gateway | Kind::ToolKeeper => false,
                };
                if excepted {
                    continue;
                }
                let forbidden = NEVER.iter().find(|(call, _)| *call == rule.call);
                let refused = matches!(rule.then, Then::Refuse(_));
                assert!(
                    refused || forbidden.is_none(),
                    "{kind:?} admits {forbidden:?} for {:?}",
                    rule.reason
                );
            }
        }
    }

    #[test]
    fn each_call_has_one_rule_with_a_reason() {
        for kind in KINDS {
            let mut seen = BTreeSet::new();
            for rule in tables(kind) {
                assert!(seen.insert(rule.call), "{kind:?} has two rules for call {}", rule.call);
                assert!(!rule.reason.is_empty());
            }
        }
    }

    /// A tool has no socket and gets none. What the table leaves out of the base is in the base.
    #[test]
    fn a_tool_knows_no_socket() {
        let calls = [
            libc::SYS_socketpair,
            libc::SYS_accept4,
            libc::SYS_setsockopt,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
        ];
        assert!(tables(Kind::Tool).all(|rule| !calls.contains(&rule.call)));
        for left_out in tool::NOT_OF_BASE {
            assert!(tables(Kind::ToolKeeper).any(|rule| rule.call == *left_out), "{left_out}");
        }
    }

    /// Whoever parses a stranger's medium or tree has one socket, which it was handed, and makes no other.
    #[test]
    fn readers_of_strangers_files_make_no_socket() {
        let calls = [libc::SYS_socketpair, libc::SYS_accept, libc::SYS_accept4, libc::SYS_setsockopt];
        for kind in [Kind::Importer, Kind::Indexer] {
            assert!(tables(kind).all(|rule| !calls.contains(&rule.call)), "{kind:?}");
        }
    }

    #[test]
    fn tables_compile() {
        for kind in KINDS {
            let filter = Filter::build(kind).unwrap();
            assert!(filter.allowed > 40, "{}", filter.allowed);
        }
    }
}
