//! What the relay may call beside the engine's table: a local stream socket, and connecting it. A filter
//! cannot see the address behind its pointer; there is one socket in the relay's file system, and nobody
//! in its network.

use super::{
    Condition::{Equals, Masked},
    Rule, SOCKET_TYPE_MASK, allow, allow_when,
};

pub(super) const RULES: &[Rule] = &[
    // Not SOCK_DGRAM: the one socket is a stream, and a datagram socket need not connect to send.
    allow_when(
        libc::SYS_socket,
        &[&[Equals(0, libc::AF_UNIX), Masked(1, SOCKET_TYPE_MASK, libc::SOCK_STREAM)]],
        "a connection to the upstream engine; no other family",
    ),
    allow_when(
        libc::SYS_socketpair,
        &[&[Equals(0, libc::AF_UNIX), Masked(1, SOCKET_TYPE_MASK, libc::SOCK_STREAM)]],
        "the runtime's signal pipe",
    ),
    allow(libc::SYS_connect, "the upstream engine; the file system and the network hold nothing else"),
];
