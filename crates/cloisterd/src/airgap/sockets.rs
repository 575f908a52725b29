//! Which socket is what: the kernel's tables of this network, by inode.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use protocol::posture::Socket;

/// The sockets of the network that the listeners belong to.
#[derive(Debug, Default)]
pub(super) struct Sockets(HashMap<u64, Socket>);

/// `__SO_ACCEPTCON` of linux/net.h: a local socket that listens.
const LISTENS: u32 = 1 << 16;

impl Sockets {
    /// Reads the tables. One that this kernel lacks has no sockets.
    pub(super) fn read() -> Sockets {
        let table =
            |name: &str| std::fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
        let mut sockets = HashMap::new();
        sockets.extend(table("unix").lines().skip(1).filter_map(unix));
        for name in ["tcp", "tcp6"] {
            sockets.extend(table(name).lines().skip(1).filter_map(|line| internet("tcp", line)));
        }
        for name in ["udp", "udp6"] {
            sockets.extend(table(name).lines().skip(1).filter_map(|line| internet("udp", line)));
        }
        // What nobody holds any more, and the kernel remembers for a while.
        sockets.remove(&0);
        Sockets(sockets)
    }

    /// A socket as /proc/PID/fd names it, `socket:[inode]`; `None` for what is no socket. One of a jail's own network is
    /// in no table of ours.
    pub(super) fn of(&self, target: &str) -> Option<Socket> {
        let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        let unknown = || Socket { kind: "unknown".to_owned(), local: String::new(), peer: String::new() };
        Some(self.0.get(&inode).cloned().unwrap_or_else(unknown))
    }
}

/// `address: references protocol flags type state inode path`.
fn unix(line: &str) -> Option<(u64, Socket)> {
    let mut fields = line.split_whitespace();
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    let inode = fields.nth(2)?.parse().ok()?;
    let kind = if flags & LISTENS == 0 { "unix" } else { "unix listener" };
    let local = fields.next().unwrap_or_default().to_owned();
    Some((inode, Socket { kind: kind.to_owned(), local, peer: String::new() }))
}

/// `number: local remote state queues timer retransmits user timeout inode`.
fn internet(protocol: &str, line: &str) -> Option<(u64, Socket)> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace();
    let local = address(fields.nth(1)?)?;
    let peer = address(fields.next()?)?;
    let state = fields.next()?;
    let inode = fields.nth(5)?.parse().ok()?;
    let listens = protocol == "tcp" && state == LISTEN;
    let kind = if listens { format!("{protocol} listener") } else { protocol.to_owned() };
    let peer = if listens { String::new() } else { peer.to_string() };
    Some((inode, Socket { kind, local: local.to_string(), peer }))
}

/// `0100007F:20C6`: words of the machine's own byte order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let bytes: Option<Vec<u8>> = (0..words.len() / 8)
        .map(|word| u32::from_str_radix(words.get(word * 8..word * 8 + 8)?, 16).ok())
        .collect::<Option<Vec<u32>>>()
        .map(|words| words.into_iter().flat_map(u32::to_ne_bytes).collect());
    let bytes = bytes?;
    if let Ok(four) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some((Ipv4Addr::from(four), port).into());
    }
    <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|sixteen| (Ipv6Addr::from(sixteen), port).into())
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read() {
        let line =
            "   0: 0100007F:20C6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1";
        let socket = |kind: &str, local: &str, peer: &str| Socket {
            kind: kind.to_owned(),
            local: local.to_owned(),
            peer: peer.to_owned(),
        };
        assert_eq!(internet("tcp", line), Some((77, socket("tcp listener", "127.0.0.1:8390", ""))));
        let six = "0: 00000000000000000000000001000000:0016 00000000000000000000000001000000:D431 01 0:0 0:0 0 0 0 9 1";
        assert_eq!(internet("tcp", six), Some((9, socket("tcp", "[::1]:22", "[::1]:54321"))));
        let line = "ffff8: 00000002 00000000 00010000 0001 01 4242 /run/x.sock";
        assert_eq!(unix(line), Some((4242, socket("unix listener", "/run/x.sock", ""))));
        assert_eq!(unix("ffff8: 00000003 00000000 00000000 0001 03 7"), Some((7, socket("unix", "", ""))));
        assert_eq!(unix("short"), None);
        assert_eq!(address("01:zz"), None);
    }

    #[test]
    fn a_socket_of_ours_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener));
        let target = std::fs::read_link(path).unwrap();
        let found = Sockets::read().of(target.to_str().unwrap()).unwrap();
        assert_eq!(
            (found.kind.as_str(), found.local),
            ("tcp listener", listener.local_addr().unwrap().to_string())
        );
        assert_eq!(Sockets::read().of("/dev/null"), None);
        assert_eq!(Sockets::read().of("socket:[0]").unwrap().kind, "unknown");
    }
}
