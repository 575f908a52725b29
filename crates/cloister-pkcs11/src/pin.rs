//! The token's PIN: from a file, or from the terminal without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::token::TokenError;

/// The longest PIN, in bytes.
const PIN_BYTES_MAX: usize = 255;
const CTRL_C: u8 = 3;

/// The PIN of a token, without the line's end.
pub(crate) fn get(file: Option<&Path>, token: &str) -> Result<Zeroizing<String>, TokenError> {
    let pin = match file {
        Some(path) => File::open(path).and_then(read),
        None => ask(token),
    };
    let pin = pin.map_err(TokenError::NoPin)?;
    // The bytes come apart into a text without a copy that stays.
    let text = std::str::from_utf8(&pin).map_err(|_| TokenError::BadPin)?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() || text.len() > PIN_BYTES_MAX || text.contains('\0') {
        return Err(TokenError::BadPin);
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn read(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // One byte more than fits: what is longer shows. With room from the start, nothing is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PIN_BYTES_MAX * 2));
    let limit = u64::try_from(PIN_BYTES_MAX + 3).unwrap_or(u64::MAX);
    source.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Gives the terminal back as it was, however the asking ends.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _gone = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn ask(token: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    // Standard input is the request's.
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    // Ctrl-C ends the line instead of the process, which would leave the terminal without echo.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
    silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    let guard = Silent { terminal: &terminal, before };
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let mut line = Zeroizing::new(vec![0; PIN_BYTES_MAX + 3]);
    let mut device = &terminal;
    let length =
        write!(device, "PIN of the token {}: ", token.escape_debug()).and_then(|()| device.read(&mut line));
    drop(guard);
    line.truncate(length?);
    if line.contains(&CTRL_C) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        for (text, pin) in [
            ("1234", Some("1234")),
            ("12 34\n", Some("12 34")),
            ("1234\r\n", Some("1234")),
            ("", None),
            ("\n", None),
            (&"1".repeat(256), None),
            ("1\u{0}2", None),
        ] {
            std::io::Write::write_all(&mut File::create(&path).unwrap(), text.as_bytes()).unwrap();
            let found = get(Some(&path), "t").ok();
            assert_eq!(found.as_ref().map(|found| found.as_str()), pin, "{text}");
        }
        assert!(matches!(get(Some(&folder.path().join("none")), "t"), Err(TokenError::NoPin(_))));
    }
}
