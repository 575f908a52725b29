//! The administration commands' way to a running daemon: its admin Unix socket, in the data directory.
//! The one place in this program that dials, and it dials a path on this machine.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use protocol::admin::{Command, Request, Response, VERSION};
use protocol::frame;

/// A replay of a long answer takes a while; nothing else does.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(600);

/// Asks the daemon.
pub(crate) fn ask(path: &Path, command: Command) -> std::io::Result<Response> {
    #[expect(clippy::disallowed_methods, reason = "the admin socket of this data directory, by its path")]
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    let request = frame::encode(&Request { version: VERSION, command }).map_err(std::io::Error::other)?;
    stream.write_all(&request)?;
    let mut header = [0; frame::HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let mut payload = vec![0; frame::payload_len(header).map_err(std::io::Error::other)?];
    stream.read_exact(&mut payload)?;
    frame::decode(&payload).map_err(std::io::Error::other)
}
