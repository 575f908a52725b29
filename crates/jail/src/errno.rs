//! Error numbers by their names, as evidence shows them.

use std::{fmt, io, str::FromStr};

use serde::{Deserialize, Serialize};

/// An error number of the kernel. Displays and serialises as its name, such as `EPERM`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Errno(i32);

impl Errno {
    /// From the number, such as `libc::EPERM`.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Errno(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// That of the last failed call of this thread.
    #[must_use]
    pub fn last() -> Self {
        Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.pad(name),
            None => f.pad(&format!("E{}", self.0)),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is neither a known name nor `E` and a number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an error number's name")]
pub struct NotAnErrno(String);

impl FromStr for Errno {
    type Err = NotAnErrno;

    fn from_str(text: &str) -> Result<Self, NotAnErrno> {
        NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(number, _)| *number)
            .or_else(|| text.strip_prefix('E').and_then(|number| number.parse().ok()))
            .map(Errno)
            .ok_or_else(|| NotAnErrno(text.to_owned()))
    }
}

impl From<Errno> for String {
    fn from(errno: Errno) -> Self {
        errno.to_string()
    }
}

impl TryFrom<String> for Errno {
    type Error = NotAnErrno;

    fn try_from(text: String) -> Result<Self, NotAnErrno> {
        text.parse()
    }
}

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// What the probes meet; other numbers are written as numbers.
const NAMES: &[(i32, &str)] = names![
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST
    EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EPIPE ENOSYS
    ELOOP ENOTSOCK EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EAFNOSUPPORT EADDRINUSE
    EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ETIMEDOUT ECONNREFUSED
    EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDESTADDRREQ ENOKEY EOVERFLOW
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for number in [libc::EPERM, libc::ENOSYS, 0, 4000] {
            assert_eq!(Errno::new(number).to_string().parse(), Ok(Errno::new(number)));
        }
        assert_eq!(Errno::new(libc::EACCES).to_string(), "EACCES");
        assert!("EWHAT".parse::<Errno>().is_err());
    }
}
