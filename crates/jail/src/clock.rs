//! Whether the kernel's clock is disciplined, asked outside any jail: a jailed process may not ask.

use std::mem::MaybeUninit;

/// What the kernel says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Whether a source of time disciplines it.
    pub synchronised: bool,
    /// The bound of its error, in microseconds, as the daemon that disciplines it states; the kernel lets it
    /// grow in between.
    pub error_us_max: i64,
}

/// Asks the kernel, changing nothing; `None` when it does not answer.
pub fn state() -> Option<Clock> {
    // SAFETY: `timex` is integers and padding, for which zero is a value; `modes` 0 only reads.
    let mut timex: libc::timex = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the pointer is to a whole `timex` that lives through the call.
    let state = unsafe { libc::adjtimex(&mut timex) };
    let synchronised = state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    (state >= 0).then_some(Clock { synchronised, error_us_max: timex.maxerror })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_answers() {
        let clock = super::state();
        assert!(clock.is_none_or(|clock| clock.error_us_max >= 0), "{clock:?}");
    }
}
