//! Packets with descriptors beside them, between a process and its supervisor.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Descriptors that one packet may carry.
pub const DESCRIPTORS_MAX: usize = 16;

/// One end of a seqpacket socket pair: packets keep their bounds, and the end of the peer shows.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Two connected ends, closed on exec.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let (left, right) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel { socket: left }, Channel { socket: right }))
    }

    /// An end that was inherited or received; an error of kind `InvalidInput` when it is not one.
    pub fn from_descriptor(socket: OwnedFd) -> io::Result<Channel> {
        let domain = rustix::net::sockopt::socket_domain(&socket)?;
        let socket_type = rustix::net::sockopt::socket_type(&socket)?;
        if (domain, socket_type) != (AddressFamily::UNIX, SocketType::SEQPACKET) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a local seqpacket socket"));
        }
        Ok(Channel { socket })
    }

    /// Whether calls that would wait answer [`io::ErrorKind::WouldBlock`] instead.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.socket, nonblocking)?)
    }

    /// Sends one packet, whole or not at all.
    ///
    /// An empty one is refused, since it would read as the peer's end. The system limits the length
    /// to the socket's send buffer (about 200 KiB by default).
    pub fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), SendError> {
        if packet.is_empty() {
            return Err(SendError::Empty);
        }
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(SendError::TooManyDescriptors { count: descriptors.len() });
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(SendError::TooManyDescriptors { count: descriptors.len() });
        }
        loop {
            let sent = rustix::net::sendmsg(
                &self.socket,
                &[IoSlice::new(packet)],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            );
            match sent {
                Ok(length) if length == packet.len() => return Ok(()),
                Ok(length) => return Err(SendError::Short { length, expected: packet.len() }),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(SendError::Io { source: errno.into() }),
            }
        }
    }

    /// Receives one packet: its length in `buffer` and its descriptors, closed on exec. `None` when
    /// the peer has ended. A packet that does not fit, or whose descriptors did not all arrive, is
    /// an error, and its descriptors are closed.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Option<(usize, Vec<OwnedFd>)>, ReceiveError> {
        if buffer.is_empty() {
            return Err(ReceiveError::PacketTruncated { buffer_bytes: 0 });
        }
        let buffer_bytes = buffer.len();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let received = rustix::net::recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(buffer)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            );
            match received {
                Ok(received) => break received,
                Err(rustix::io::Errno::INTR) => {}
                // The peer ended with packets of ours unread.
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                Err(errno) => return Err(ReceiveError::Io { source: errno.into() }),
            }
        };
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(ReceiveError::DescriptorsTruncated { arrived: descriptors.len() });
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(ReceiveError::PacketTruncated { buffer_bytes });
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        Ok(Some((received.bytes, descriptors)))
    }

    /// The socket, to be passed on.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.socket
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Why a packet was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It would read as the end.
    #[error("an empty packet cannot be told from the end of the channel")]
    Empty,
    /// Over [`DESCRIPTORS_MAX`].
    #[error("{count} descriptors beside one packet; at most {DESCRIPTORS_MAX} are allowed")]
    TooManyDescriptors {
        /// Their count.
        count: usize,
    },
    /// The kernel took a part, which a seqpacket socket never does.
    #[error("{length} of {expected} bytes were sent")]
    Short {
        /// Bytes sent.
        length: usize,
        /// The packet's length.
        expected: usize,
    },
    /// The socket failed; `BrokenPipe` when the peer has ended, `WouldBlock` when it is full and
    /// non-blocking.
    #[error("cannot send a packet")]
    Io {
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Why a packet was not received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The rest of the packet is lost.
    #[error("a packet is longer than {buffer_bytes} bytes")]
    PacketTruncated {
        /// Room that was given.
        buffer_bytes: usize,
    },
    /// Too many were sent, or this process is at its limit of open files.
    #[error(
        "some descriptors beside a packet were lost, {arrived} arrived; is the limit of open files reached?"
    )]
    DescriptorsTruncated {
        /// Those that arrived; they are closed.
        arrived: usize,
    },
    /// The socket failed; `WouldBlock` when nothing is there and it is non-blocking.
    #[error("cannot receive a packet")]
    Io {
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ReceiveError {
    /// Nothing is there yet, on a non-blocking channel.
    #[must_use]
    pub fn would_block(&self) -> bool {
        matches!(self, ReceiveError::Io { source } if source.kind() == io::ErrorKind::WouldBlock)
    }
}

impl SendError {
    /// The peer does not keep up, on a non-blocking channel.
    #[must_use]
    pub fn would_block(&self) -> bool {
        matches!(self, SendError::Io { source } if source.kind() == io::ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read};

    use super::*;

    #[test]
    fn packets_keep_their_bounds_and_carry_descriptors() {
        let (left, right) = Channel::pair().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        left.send(b"one", &[]).unwrap();
        left.send(b"second", &[reader.as_fd(), writer.as_fd()]).unwrap();
        drop((reader, writer));

        let mut buffer = [0; 16];
        let (length, descriptors) = right.recv(&mut buffer).unwrap().unwrap();
        assert_eq!((buffer.get(..length).unwrap(), descriptors.len()), (&b"one"[..], 0));
        let (length, mut descriptors) = right.recv(&mut buffer).unwrap().unwrap();
        assert_eq!((buffer.get(..length).unwrap(), descriptors.len()), (&b"second"[..], 2));
        for descriptor in &descriptors {
            assert!(rustix::io::fcntl_getfd(descriptor).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        rustix::io::write(descriptors.pop().unwrap(), b"through").unwrap();
        let mut text = String::new();
        File::from(descriptors.pop().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn the_end_is_not_a_packet() {
        let (left, right) = Channel::pair().unwrap();
        assert!(matches!(left.send(b"", &[]), Err(SendError::Empty)));
        left.send(b"last", &[]).unwrap();
        drop(left);
        let mut buffer = [0; 16];
        assert!(right.recv(&mut buffer).unwrap().is_some());
        assert!(right.recv(&mut buffer).unwrap().is_none());
        let SendError::Io { source } = right.send(b"more", &[]).unwrap_err() else { panic!() };
        assert_eq!(source.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_leaks_nothing() {
        let (left, right) = Channel::pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        let many = vec![null.as_fd(); DESCRIPTORS_MAX + 1];
        assert!(matches!(left.send(b"x", &many), Err(SendError::TooManyDescriptors { count: 17 })));

        left.send(b"too long", &[null.as_fd()]).unwrap();
        let error = right.recv(&mut [0; 3]).unwrap_err();
        assert!(matches!(error, ReceiveError::PacketTruncated { buffer_bytes: 3 }), "{error}");

        // More than the receiver has room for, from a sender without our limit.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let flood = vec![null.as_fd(); 64];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&flood)));
        rustix::net::sendmsg(&left, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty()).unwrap();
        let error = right.recv(&mut [0; 3]).unwrap_err();
        assert!(matches!(error, ReceiveError::DescriptorsTruncated { .. }), "{error}");
    }

    #[test]
    fn another_socket_is_refused() {
        let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Channel::from_descriptor(stream.into()).is_err());
        assert!(Channel::from_descriptor(File::open("/dev/null").unwrap().into()).is_err());
    }

    #[test]
    fn a_nonblocking_end_does_not_wait() {
        let (left, _right) = Channel::pair().unwrap();
        left.set_nonblocking(true).unwrap();
        assert!(left.recv(&mut [0; 3]).unwrap_err().would_block());
    }
}
