//! The listeners, opened by the supervisor or before by a service manager, and handed to the gateway, which cannot
//! open any.

use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use protocol::control::ListenerKind;

use crate::data::Data;
use crate::host::activation::Activated;
use crate::settings::Settings;

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
    /// Encrypted, at any address.
    pub(crate) tls: Option<TcpListener>,
    /// The reverse proxy's.
    pub(crate) proxy: Option<UnixListener>,
}

/// Why a listener was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("the socket {} cannot be opened", .0.display())]
    Unix(PathBuf, #[source] std::io::Error),
    #[error("{0} cannot be listened on: choose another address as {1} in cloister.toml")]
    Tcp(SocketAddr, &'static str, #[source] std::io::Error),
    #[error(
        "{2} is {0}, and the service manager hands over no socket `{1}`: enable cloister-{1}.socket, or remove {2} from cloister.toml"
    )]
    NoTcp(SocketAddr, &'static str, &'static str),
    #[error("{3} is {0}, and the service manager's socket `{2}` is at {1}: let them agree")]
    OtherTcp(SocketAddr, SocketAddr, &'static str, &'static str),
    #[error(
        "the service manager hands over a socket `tls`, and cloister.toml has no [tls]: nothing is answered there unencrypted"
    )]
    NoTls,
}

const TCP: &str = "server.tcp";
const TLS: &str = "tls.listen";

impl Listeners {
    /// Opens them. Stale sockets of an earlier run are replaced: the data directory's lock is held.
    pub(crate) fn open(data: &Data, settings: &Settings) -> Result<Listeners, ListenError> {
        let unix = |name: &str| {
            let path = data.path(name);
            bind(&path, 0o600).map_err(|error| ListenError::Unix(path, error))
        };
        let tcp = |address: Option<SocketAddr>, setting| {
            let bound = address.map(|address| {
                TcpListener::bind(address).map_err(|error| ListenError::Tcp(address, setting, error))
            });
            bound.transpose()
        };
        Ok(Listeners {
            admin: unix(ADMIN_SOCKET)?,
            unix: unix(SOCKET)?,
            tcp: tcp(settings.server.tcp, TCP)?,
            tls: tcp(settings.tls.as_ref().map(|tls| tls.listen), TLS)?,
            proxy: proxy(settings)?,
        })
    }

    /// Addresses that are listened on: in the clear, and encrypted.
    pub(crate) fn addresses(&self) -> [Option<SocketAddr>; 2] {
        [&self.tcp, &self.tls]
            .map(|listener| listener.as_ref().and_then(|listener| listener.local_addr().ok()))
    }

    /// Takes those of a service manager: no others are opened then, but the proxy's. What the configuration says of
    /// TCP must agree.
    pub(crate) fn activated(activated: Activated, settings: &Settings) -> Result<Listeners, ListenError> {
        let agree = |wanted: Option<SocketAddr>, listener: &Option<TcpListener>, name, setting| {
            let found = listener.as_ref().and_then(|listener| listener.local_addr().ok());
            match (wanted, found) {
                (Some(wanted), None) => Err(ListenError::NoTcp(wanted, name, setting)),
                (Some(wanted), Some(found)) if wanted != found => {
                    Err(ListenError::OtherTcp(wanted, found, name, setting))
                }
                _ => Ok(()),
            }
        };
        agree(settings.server.tcp, &activated.tcp, "tcp", TCP)?;
        agree(settings.tls.as_ref().map(|tls| tls.listen), &activated.tls, "tls", TLS)?;
        if activated.tls.is_some() && settings.tls.is_none() {
            return Err(ListenError::NoTls);
        }
        let Activated { admin, unix, tcp, tls } = activated;
        Ok(Listeners { admin, unix, tcp, tls, proxy: proxy(settings)? })
    }

    /// Where the users' and the administrators' sockets lie.
    pub(crate) fn paths(&self) -> [PathBuf; 2] {
        [&self.unix, &self.admin].map(|listener| {
            let address = listener.local_addr().ok();
            address.and_then(|address| address.as_pathname().map(Path::to_owned)).unwrap_or_default()
        })
    }

    /// What they are, but for the administrators'.
    pub(crate) fn kinds(&self) -> Vec<ListenerKind> {
        let mut kinds = vec![ListenerKind::Unix];
        kinds.extend(self.tcp.as_ref().map(|_| ListenerKind::Tcp));
        kinds.extend(self.tls.as_ref().map(|_| ListenerKind::Tls));
        kinds.extend(self.proxy.as_ref().map(|_| ListenerKind::Proxy));
        kinds
    }

    /// The administrators', and the others in the order of [`Listeners::kinds`].
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut descriptors = vec![self.admin.as_fd(), self.unix.as_fd()];
        descriptors.extend(self.tcp.as_ref().map(AsFd::as_fd));
        descriptors.extend(self.tls.as_ref().map(AsFd::as_fd));
        descriptors.extend(self.proxy.as_ref().map(AsFd::as_fd));
        descriptors
    }
}

/// The proxy's socket. Anybody may knock, since the proxy runs as another user; the kernel says who it is.
fn proxy(settings: &Settings) -> Result<Option<UnixListener>, ListenError> {
    let Some(proxy) = &settings.proxy else { return Ok(None) };
    let bound = bind(&proxy.socket, 0o666);
    bound.map(Some).map_err(|error| ListenError::Unix(proxy.socket.clone(), error))
}

fn bind(path: &Path, mode: u32) -> std::io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        // A path of the configuration may be a slip: nothing but a socket is replaced.
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(std::io::ErrorKind::AlreadyExists.into());
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}
