//! A passphrase from the terminal, without echo.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::data::DataError;

/// A terminal's line has no more.
const LINE_BYTES_MAX: usize = 4096;
const CTRL_C: u8 = 3;

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

/// Asks the controlling terminal, whatever standard input is; [`DataError::NoPassphrase`] without one.
pub(crate) fn ask(prompt: &str) -> Result<Zeroizing<Vec<u8>>, DataError> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    ask_on(&terminal.map_err(|_| DataError::NoPassphrase)?, prompt)
}

fn ask_on(terminal: &File, prompt: &str) -> Result<Zeroizing<Vec<u8>>, DataError> {
    let before = tcgetattr(terminal).map_err(|_| DataError::NoPassphrase)?;
    let mut silent = before.clone();
    // Ctrl-C ends the line instead of the process, which would leave the terminal without echo.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
    silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    let guard = Silent { terminal, before };
    tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(|_| DataError::NoPassphrase)?;
    let mut line = Zeroizing::new(vec![0; LINE_BYTES_MAX]);
    let mut terminal = terminal;
    let read = write!(terminal, "{prompt}: ").and_then(|()| terminal.read(&mut line));
    drop(guard);
    let length = read.map_err(|_| DataError::NoPassphrase)?;
    line.truncate(length);
    if line.contains(&CTRL_C) {
        return Err(DataError::Interrupted);
    }
    while line.last().is_some_and(|byte| [b'\n', b'\r'].contains(byte)) {
        line.pop();
    }
    Ok(line)
}
