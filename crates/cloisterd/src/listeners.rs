//! The listeners, opened by the supervisor or before by a service manager, and handed to the gateway, which cannot
//! open any.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::data::Data;
use crate::host::activation::Activated;

/// The users' socket.
pub(crate) const SOCKET: &str = "run/cloister.sock";
/// The administrators' socket.
pub(crate) const ADMIN_SOCKET: &str = "run/admin.sock";

/// Bound and listening.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) admin: UnixListener,
    pub(crate) unix: UnixListener,
    pub(crate) tcp: Option<TcpListener>,
}

/// Why a listener was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("the socket {} cannot be opened", .0.display())]
    Unix(PathBuf, #[source] std::io::Error),
    #[error("{0} cannot be listened on: choose another address as server.tcp in cloister.toml")]
    Tcp(SocketAddr, #[source] std::io::Error),
    #[error(
        "server.tcp is {0}, and the service manager hands over no socket `tcp`: enable cloister-tcp.socket, or remove server.tcp from cloister.toml"
    )]
    NoTcp(SocketAddr),
    #[error("server.tcp is {0}, and the service manager's socket `tcp` is at {1}: let them agree")]
    OtherTcp(SocketAddr, SocketAddr),
}

impl Listeners {
    /// Opens them. Stale sockets of an earlier run are replaced: the data directory's lock is held.
    pub(crate) fn open(data: &Data, tcp: Option<SocketAddr>) -> Result<Listeners, ListenError> {
        let unix = |name: &str| {
            let path = data.path(name);
            bind(&path).map_err(|error| ListenError::Unix(path, error))
        };
        let tcp =
            tcp.map(|address| TcpListener::bind(address).map_err(|error| ListenError::Tcp(address, error)));
        Ok(Listeners { admin: unix(ADMIN_SOCKET)?, unix: unix(SOCKET)?, tcp: tcp.transpose()? })
    }

    /// The TCP address that is listened on.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|tcp| tcp.local_addr().ok())
    }

    /// Takes those of a service manager: no others are opened then. What the configuration says of TCP must agree.
    pub(crate) fn activated(activated: Activated, tcp: Option<SocketAddr>) -> Result<Listeners, ListenError> {
        let address = activated.tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        match (tcp, address) {
            (Some(wanted), None) => return Err(ListenError::NoTcp(wanted)),
            (Some(wanted), Some(found)) if wanted != found => {
                return Err(ListenError::OtherTcp(wanted, found));
            }
            _ => {}
        }
        Ok(Listeners { admin: activated.admin, unix: activated.unix, tcp: activated.tcp })
    }

    /// Where the users' and the administrators' sockets lie.
    pub(crate) fn paths(&self) -> [PathBuf; 2] {
        [&self.unix, &self.admin].map(|listener| {
            let address = listener.local_addr().ok();
            address.and_then(|address| address.as_pathname().map(Path::to_owned)).unwrap_or_default()
        })
    }

    /// In the order that `ToGateway::Setup` states.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut descriptors = vec![self.admin.as_fd(), self.unix.as_fd()];
        descriptors.extend(self.tcp.as_ref().map(AsFd::as_fd));
        descriptors
    }
}

fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}
