//! Encrypted connections: the handshake, who is at the other end by certificate, and what is answered as a host.
//!
//! What is set up can change while connections are open. A certificate is believed for [`BELIEVED_S`] after it was
//! looked at, and no longer than the settings stay as they are: a person whose certificate is revoked while a
//! connection is open gets no further on it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use credentials::tls::{Server, refusal};
use credentials::{Names, Refused, Unusable};
use identity::{Credential, Login};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// For a handshake to end.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Seconds after which a certificate is looked at again, on a connection that stays.
const BELIEVED_S: i64 = 60;

/// Connections from one address at once: a stranger's cannot use up everybody's.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 128;

/// What accepts encrypted connections now; it can be replaced while it serves.
#[derive(Debug)]
pub struct Tls {
    now: RwLock<State>,
    /// Open connections, by address.
    open: Mutex<HashMap<IpAddr, usize>>,
}

#[derive(Clone, Debug)]
struct State {
    /// How often it was replaced.
    generation: u64,
    /// `None` where what was set up last cannot be used: nobody gets in.
    server: Option<Arc<Server>>,
}

impl Tls {
    /// Accepts by this.
    pub fn new(server: Server) -> Tls {
        let state = State { generation: 0, server: Some(Arc::new(server)) };
        Tls { now: RwLock::new(state), open: Mutex::default() }
    }

    /// Accepts by this from now on; nobody where it cannot be used.
    pub fn set(&self, server: Result<Server, Unusable>) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.generation += 1;
        now.server = server.ok().map(Arc::new);
    }

    fn now(&self) -> State {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A place for one more connection from there, given back when dropped.
    pub(crate) fn place(self: &Arc<Tls>, address: IpAddr) -> Option<Place> {
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place { tls: Arc::clone(self), address })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shakes hands. What failed for the client's certificate, or for want of one, comes back as a reason.
    pub(crate) async fn accept(
        self: &Arc<Tls>,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Arc<Peer>), &'static str> {
        let State { server, .. } = self.now();
        let server = server.ok_or("tls: what is set up cannot be used")?;
        let accepting = TlsAcceptor::from(server.config()).accept(stream);
        let stream = match timeout(HANDSHAKE_TIMEOUT, accepting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                return Err(refusal(&error).map_or("tls: the handshake failed", Refused::reason));
            }
            Err(_) => return Err("tls: the handshake took too long"),
        };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(|der| der.clone().into_owned()).collect();
        Ok((stream, Arc::new(Peer { tls: Arc::clone(self), chain, looked: Mutex::new(None) })))
    }
}

/// A connection's place.
pub(crate) struct Place {
    tls: Arc<Tls>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.tls.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Who is at the other end of an encrypted connection.
#[derive(Debug)]
pub(crate) struct Peer {
    tls: Arc<Tls>,
    /// Its certificate and those above it; empty where it showed none.
    chain: Vec<CertificateDer<'static>>,
    /// What its certificate came to last.
    looked: Mutex<Option<Looked>>,
}

#[derive(Clone, Debug)]
struct Looked {
    generation: u64,
    at_unix_s: i64,
    outcome: Result<Arc<Login>, Refused>,
}

impl Peer {
    /// What the peer shows, with a token where it sends one.
    pub(crate) fn credential(&self, bearer: Option<String>) -> Credential {
        if self.chain.is_empty() {
            return bearer.map_or(Credential::None, Credential::Bearer);
        }
        match self.look(now_unix_s()) {
            Ok(login) => Credential::Certificate { login, bearer },
            Err(refused) => Credential::Void { kind: "certificate", reason: refused.reason() },
        }
    }

    fn look(&self, now_unix_s: i64) -> Result<Arc<Login>, Refused> {
        let State { generation, server } = self.tls.now();
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = looked.as_ref().filter(|looked| {
            looked.generation == generation
                && (0..BELIEVED_S).contains(&now_unix_s.saturating_sub(looked.at_unix_s))
        });
        if let Some(recent) = recent {
            return recent.outcome.clone();
        }
        let outcome = match server.as_deref().and_then(Server::clients) {
            Some(clients) => clients.login(&self.chain, now_unix_s).map(|(names, person)| {
                let Names { certificate, .. } = names;
                Arc::new(Login { certificate, person })
            }),
            // Certificates are not asked for any more.
            None => Err(Refused::Issuer),
        };
        *looked = Some(Looked { generation, at_unix_s: now_unix_s, outcome: outcome.clone() });
        outcome
    }

    /// Whether a host's name, without its port, is one that is answered.
    pub(crate) fn answers_to(&self, host: &str) -> bool {
        let State { server, .. } = self.tls.now();
        server.is_some_and(|server| server.hosts().iter().any(|known| known.eq_ignore_ascii_case(host)))
    }
}

fn now_unix_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
