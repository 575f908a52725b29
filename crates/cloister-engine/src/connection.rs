//! The socket to the gateway: frames in on one thread, frames out on another, so that the scheduler
//! waits for neither. The outbound queue is limited by the credit that the gateway gives.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use protocol::frame;
use protocol::worker::{FromWorker, ToWorker};
use serde::de::DeserializeOwned;

/// Both directions, once the threads run. The inbox ends when the gateway is gone.
pub(crate) struct Connection {
    pub(crate) inbox: Receiver<ToWorker>,
    pub(crate) outbox: Sender<FromWorker>,
}

/// One frame; `None` at the end of the stream between frames.
pub(crate) fn read_frame<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut header = [0; frame::HEADER_BYTES];
    match stream.read(&mut header)? {
        0 => return Ok(None),
        read => stream.read_exact(&mut header[read..])?,
    }
    let mut payload = vec![0; frame::payload_len(header).map_err(io::Error::other)?];
    stream.read_exact(&mut payload)?;
    frame::decode(&payload).map(Some).map_err(io::Error::other)
}

/// Starts the two threads. The jail is applied already, and binds them too.
pub(crate) fn start(stream: UnixStream) -> io::Result<Connection> {
    let (inbox_sender, inbox) = channel();
    let (outbox, outbox_receiver) = channel::<FromWorker>();
    let mut reading = stream.try_clone()?;
    thread::Builder::new().name("reader".to_owned()).spawn(move || {
        // A malformed frame ends the conversation like the end of the stream: the scheduler stops.
        while let Ok(Some(message)) = read_frame(&mut reading) {
            if inbox_sender.send(message).is_err() {
                return;
            }
        }
    })?;
    let mut writing = stream;
    thread::Builder::new().name("writer".to_owned()).spawn(move || {
        for message in outbox_receiver {
            let Ok(bytes) = frame::encode(&message) else { return };
            if writing.write_all(&bytes).is_err() {
                return;
            }
        }
    })?;
    Ok(Connection { inbox, outbox })
}
