//! A worker that was taken over: every system call by its number, other calling conventions, the supervisor's memory
//! and its socket.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    thread,
};

use jail::{Answer, Errno, Kind, admissions};

use crate::child::{End, Report, denied, expect, tried};

/// Above all numbers that any kernel knows by now.
const NUMBER_MAX: i64 = 600;

/// Calls that would end or derail who tries them; what they do is known. `uretprobe` and `uprobe` of x86-64, 335 and 336,
/// are where the kernel's own trampolines return to: it lets them pass any filter, and ends whoever else makes them.
const NOT_TRIED: &[i64] = &[libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn, 335, 336];

/// Descriptors that are pushed on the supervisor at once.
pub(crate) const PUSHED: usize = 16;

pub(crate) fn worker(mut end: End, kind: Kind) {
    let mut work = vec![
        tried("calls by number", || by_number(kind)),
        tried("calls by number, on a thread", || {
            thread::spawn(move || by_number(kind)).join().map_err(|_| io::Error::other("it panicked"))?
        }),
        tried("calls by number of the x32 convention", x32),
        tried("memory of the parent, by file", || {
            let path = format!("/proc/{}/mem", std::os::unix::process::parent_id());
            denied(File::options().write(true).open(&path), libc::EACCES)?;
            denied(File::open(&path), libc::EACCES)
        }),
        tried("own memory, by file", || {
            denied(File::options().write(true).open("/proc/self/mem"), libc::EACCES)
        }),
        tried("descriptors of the parent, by file", || {
            let path = format!("/proc/{}/fd", std::os::unix::process::parent_id());
            denied(std::fs::read_dir(path), libc::EACCES)
        }),
    ];
    work.push(tried("descriptors that nobody asked for", || {
        let error = io::stderr();
        let pushed: Vec<BorrowedFd<'_>> = (0..PUSHED).map(|_| error.as_fd()).collect();
        end.channel.send(b"take these", &pushed).map_err(io::Error::other)
    }));
    end.tell(&Report { work, ..Report::default() });
    end.channel.recv(&mut [0; 16]).unwrap();
}

/// With arguments that no call can use. Exactly what is in the table gets past the filter.
fn by_number(kind: Kind) -> io::Result<()> {
    let table: BTreeMap<i64, Answer> = admissions(kind).map(|row| (row.call, row.answer)).collect();
    let mut wrong = Vec::new();
    for number in (0..=NUMBER_MAX).filter(|number| !NOT_TRIED.contains(number)) {
        let errno = call(number);
        let eperm = errno == libc::EPERM;
        let right = match table.get(&number) {
            None => eperm,
            Some(Answer::Admitted) => !eperm,
            // The conditions decide, and these arguments may meet them or not.
            Some(Answer::AdmittedWhen) => true,
            Some(Answer::Refused(expected)) => errno == expected.number(),
        };
        if !right {
            wrong.push(format!("{number}: {}", Errno::new(errno)));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(io::Error::other(wrong.join(", "))) }
}

/// 0 for success.
fn call(number: i64) -> i32 {
    // SAFETY: no call of the tables can do anything with these arguments but refuse them, or ask for facts: all
    // descriptors, addresses, lengths and flags are out of range. Those that take none change nothing.
    let answer = unsafe { libc::syscall(number, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64) };
    if answer == -1 { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}

/// The same numbers with the bit of that convention: none is in a table.
fn x32() -> io::Result<()> {
    if cfg!(target_arch = "x86_64") {
        for number in 0..=NUMBER_MAX {
            expect(call(0x4000_0000 | number) == libc::EPERM)?;
        }
    }
    Ok(())
}

/// `getpid` by the 32-bit convention: in a jail it ends the process.
#[cfg(target_arch = "x86_64")]
pub(crate) fn by_interrupt() -> i64 {
    let answer: i64;
    // SAFETY: getpid (20 in that convention) takes nothing and touches no memory; the registers that the kernel may
    // change on this way are named.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => answer, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    answer
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn by_interrupt() -> i64 {
    -1
}
