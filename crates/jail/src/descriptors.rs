//! Closing every descriptor that was not asked for.

use std::{io, os::fd::RawFd};

use crate::JailError;

/// Descriptors 0, 1 and 2 stay: a closed one would be taken by the next file that is opened, and
/// then a panic message would be written into it.
const STANDARD: [RawFd; 3] = [0, 1, 2];

/// Closes all descriptors but 0, 1, 2 and `keep`; answers those left, in order.
pub(crate) fn close_all_but(keep: &[RawFd]) -> Result<Vec<RawFd>, JailError> {
    let mut kept: Vec<RawFd> = keep.to_vec();
    kept.sort_unstable();
    kept.dedup();
    if let Some(&number) = kept.iter().find(|&&number| !is_open(number)) {
        return Err(JailError::KeptDescriptor { number });
    }
    kept.extend(STANDARD.into_iter().filter(|&number| is_open(number)));
    kept.sort_unstable();
    kept.dedup();

    let mut from: u32 = 3;
    for number in kept.iter().filter_map(|&number| u32::try_from(number).ok()).filter(|&number| number >= 3) {
        if from < number {
            close_range(from, number - 1)?;
        }
        from = number + 1;
    }
    close_range(from, u32::MAX)?;
    Ok(kept)
}

pub(crate) fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD reads the descriptor table and no memory of ours; a bad number is an error.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

fn close_range(first: u32, last: u32) -> Result<(), JailError> {
    // SAFETY: the call takes three integers. That nobody owns the closed numbers is the caller's
    // promise in `apply`: a freshly executed process that names the descriptors it owns.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if answer == 0 { Ok(()) } else { Err(JailError::CloseDescriptors { source: io::Error::last_os_error() }) }
}
