//! Listeners that a service manager opened: systemd's protocol of socket activation (`sd_listen_fds(3)`).
//!
//! The manager names each: `cloister` for the users' socket, `admin` for the administrators', `tcp` for a loopback
//! address, `tls` for any address, whose connections are encrypted. The first two come together or not at all.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;

use jail::spawn::{DESCRIPTORS_MAX, FIRST_DESCRIPTOR};
use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::settings::{self, ListenVariables};

/// The names, in the order of [`Activated`].
const NAMES: [&str; 4] = ["cloister", "admin", "tcp", "tls"];

/// Listeners that were handed over.
#[derive(Debug)]
pub(crate) struct Activated {
    pub(crate) unix: UnixListener,
    pub(crate) admin: UnixListener,
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) tls: Option<TcpListener>,
}

/// Why what was handed over is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ActivationError {
    #[error("LISTEN_FDS is `{0}`, and no number of sockets from 1 to {DESCRIPTORS_MAX}")]
    Count(String),
    #[error(
        "the service manager hands over {count} sockets and {names} names for them: each needs FileDescriptorName="
    )]
    Names { count: usize, names: usize },
    #[error(
        "the service manager hands over a socket called `{0}`; there are cloister, admin, tcp and tls (FileDescriptorName=)"
    )]
    Unknown(String),
    #[error("the service manager hands over two sockets called `{0}`")]
    Twice(&'static str),
    #[error(
        "the service manager hands over no socket called `{0}`: cloister and admin come together (Sockets= of the service)"
    )]
    Missing(&'static str),
    #[error("the socket `{name}` is not {expected}")]
    Type { name: &'static str, expected: &'static str },
    #[error("the socket `tcp` is at {0}: only loopback addresses; others are for the socket `tls`")]
    Exposed(SocketAddr),
    #[error(transparent)]
    NotPassed(#[from] jail::spawn::InheritedError),
}

/// Takes what was handed over to this process, if anything was. To be called before anything is opened.
pub(crate) fn take() -> Result<Option<Activated>, ActivationError> {
    let Some(variables) = settings::listen_variables() else { return Ok(None) };
    let names = names(&variables)?;
    let mut sockets = Vec::new();
    for (number, name) in (FIRST_DESCRIPTOR..).zip(names) {
        sockets.push((name, jail::spawn::inherited(number)?));
    }
    assigned(sockets).map(Some)
}

/// One name for each descriptor, from [`FIRST_DESCRIPTOR`] on.
fn names(variables: &ListenVariables) -> Result<Vec<&'static str>, ActivationError> {
    let count = variables.count.parse::<usize>().ok().filter(|count| (1..=DESCRIPTORS_MAX).contains(count));
    let count = count.ok_or_else(|| ActivationError::Count(variables.count.clone()))?;
    let stated: Vec<&str> = variables.names.split(':').collect();
    if stated.len() != count {
        return Err(ActivationError::Names { count, names: stated.len() });
    }
    let known = |name: &str| NAMES.into_iter().find(|known| *known == name);
    stated
        .into_iter()
        .map(|name| known(name).ok_or_else(|| ActivationError::Unknown(name.to_owned())))
        .collect()
}

fn assigned(sockets: Vec<(&'static str, OwnedFd)>) -> Result<Activated, ActivationError> {
    let mut places: [Option<OwnedFd>; 4] = [None, None, None, None];
    for (name, socket) in sockets {
        let place = NAMES.iter().zip(&mut places).find(|(known, _)| **known == name);
        let Some((name, place)) = place else { return Err(ActivationError::Unknown(name.to_owned())) };
        if place.replace(socket).is_some() {
            return Err(ActivationError::Twice(name));
        }
    }
    let [unix, admin, tcp, tls] = places;
    let local = |name: &'static str, socket: Option<OwnedFd>| {
        let socket = socket.ok_or(ActivationError::Missing(name))?;
        let is_local = is_listening(&socket, &[AddressFamily::UNIX]);
        let expected = "a Unix stream socket that listens (ListenStream= with a path)";
        if is_local { Ok(UnixListener::from(socket)) } else { Err(ActivationError::Type { name, expected }) }
    };
    Ok(Activated {
        unix: local("cloister", unix)?,
        admin: local("admin", admin)?,
        tcp: tcp.map(loopback).transpose()?,
        tls: tls.map(|tls| internet("tls", tls)).transpose()?,
    })
}

fn loopback(socket: OwnedFd) -> Result<TcpListener, ActivationError> {
    let listener = internet("tcp", socket)?;
    match listener.local_addr() {
        Ok(address) if !address.ip().is_loopback() => Err(ActivationError::Exposed(address)),
        _ => Ok(listener),
    }
}

fn internet(name: &'static str, socket: OwnedFd) -> Result<TcpListener, ActivationError> {
    let wrong =
        || ActivationError::Type { name, expected: "a TCP socket that listens (ListenStream=ADDRESS:PORT)" };
    if !is_listening(&socket, &[AddressFamily::INET, AddressFamily::INET6]) {
        return Err(wrong());
    }
    let listener = TcpListener::from(socket);
    listener.local_addr().map_err(|_| wrong())?;
    Ok(listener)
}

fn is_listening(socket: impl AsFd, families: &[AddressFamily]) -> bool {
    let socket = socket.as_fd();
    sockopt::socket_domain(socket).is_ok_and(|family| families.contains(&family))
        && sockopt::socket_type(socket) == Ok(SocketType::STREAM)
        && sockopt::socket_acceptconn(socket) == Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn check(count: &str, stated: &str, expected: Result<Vec<&'static str>, ActivationError>) {
        assert_eq!(names(&ListenVariables { count: count.to_owned(), names: stated.to_owned() }), expected);
    }

    #[test]
    fn names_are_one_a_socket() {
        check("2", "cloister:admin", Ok(vec!["cloister", "admin"]));
        check("3", "tcp:admin:cloister", Ok(vec!["tcp", "admin", "cloister"]));
        for count in ["0", "-1", "33", "x", ""] {
            check(count, "cloister:admin", Err(ActivationError::Count(count.to_owned())));
        }
        check("2", "cloister", Err(ActivationError::Names { count: 2, names: 1 }));
        check("2", "", Err(ActivationError::Names { count: 2, names: 1 }));
        check("2", "cloister:admin:tcp", Err(ActivationError::Names { count: 2, names: 3 }));
        // What systemd calls a socket that nobody named.
        check(
            "2",
            "cloister:cloister-admin.socket",
            Err(ActivationError::Unknown("cloister-admin.socket".to_owned())),
        );
    }

    #[test]
    fn sockets_are_what_their_names_say() {
        let directory = tempfile::tempdir().unwrap();
        let mut number = 0;
        let mut unix = || -> OwnedFd {
            number += 1;
            UnixListener::bind(directory.path().join(number.to_string())).unwrap().into()
        };
        let tcp = |address: &str| -> OwnedFd { TcpListener::bind(address).unwrap().into() };
        let error = |sockets| assigned(sockets).unwrap_err();

        let taken =
            assigned(vec![("tcp", tcp("127.0.0.1:0")), ("admin", unix()), ("cloister", unix())]).unwrap();
        assert!(taken.unix.local_addr().unwrap().as_pathname().unwrap().ends_with("2"));
        assert!(taken.admin.local_addr().unwrap().as_pathname().unwrap().ends_with("1"));
        assert!(taken.tcp.is_some());

        assert_eq!(error(vec![("cloister", unix())]), ActivationError::Missing("admin"));
        assert_eq!(error(vec![("admin", unix())]), ActivationError::Missing("cloister"));
        assert_eq!(error(vec![("admin", unix()), ("admin", unix())]), ActivationError::Twice("admin"));
        let wrong = |error| matches!(error, ActivationError::Type { name, .. } if name == "cloister");
        assert!(wrong(error(vec![("cloister", tcp("127.0.0.1:0")), ("admin", unix())])));
        let datagram = UnixDatagram::bind(directory.path().join("datagram")).unwrap();
        assert!(wrong(error(vec![("cloister", datagram.into()), ("admin", unix())])));
        let (connected, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(wrong(error(vec![("cloister", connected.into()), ("admin", unix())])));
        let exposed = error(vec![("cloister", unix()), ("admin", unix()), ("tcp", tcp("0.0.0.0:0"))]);
        assert!(matches!(exposed, ActivationError::Exposed(_)), "{exposed}");
        let exposed = assigned(vec![("cloister", unix()), ("admin", unix()), ("tls", tcp("0.0.0.0:0"))]);
        assert!(exposed.unwrap().tls.is_some());
        let not_tcp = error(vec![("cloister", unix()), ("admin", unix()), ("tcp", unix())]);
        assert!(matches!(not_tcp, ActivationError::Type { name: "tcp", .. }), "{not_tcp}");
    }
}
