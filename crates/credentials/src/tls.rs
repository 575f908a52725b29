//! The server's half of TLS: its certificate and key, what it speaks, and what is wrong with them.
//!
//! TLS 1.3, and 1.2 only where a site says so; no compression, no renegotiation, no early data, and no resumption:
//! each connection shows its certificate anew, so a session of one person cannot go on as another's, nor outlive a
//! revocation. The cryptography is AWS-LC's (aws-lc-rs), which this workspace has for models' signatures anyway: C and
//! assembly without C++, and of the same code as its module that is validated by FIPS 140-3.

use std::sync::Arc;

use protocol::access;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{OtherError, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{Clients, Refused, Unusable};

/// Certificates that the server may send.
const CHAIN_MAX: usize = 8;

/// What accepts encrypted connections.
#[derive(Debug)]
pub struct Server {
    config: Arc<ServerConfig>,
    clients: Option<Arc<Clients>>,
    hosts: Vec<String>,
    not_after_unix_s: i64,
}

impl Server {
    /// Reads what the site set up. A certificate that a client would not believe is refused here already.
    pub fn new(set: &access::Tls, files: &access::Files, now_unix_s: i64) -> Result<Server, Unusable> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = chain(&files.certificate)?;
        let stated = stated(chain.first(), now_unix_s)?;
        let certified = certified(chain, &set.key, &provider)?;
        let clients = match &set.clients {
            Some(clients) => Some(Arc::new(Clients::new(clients, files, Arc::clone(&provider))?)),
            None => None,
        };
        let versions: &[&rustls::SupportedProtocolVersion] =
            if set.tls_1_2 { &[&TLS13, &TLS12] } else { &[&TLS13] };
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| Unusable::new("tls", error.to_string()))?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as _),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let hosts = if set.hosts.is_empty() { stated.hosts } else { set.hosts.clone() };
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Server { config: Arc::new(config), clients, hosts, not_after_unix_s: stated.not_after_unix_s })
    }

    /// For the handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// What is asked of clients' certificates, where any is.
    pub fn clients(&self) -> Option<&Clients> {
        self.clients.as_deref()
    }

    /// Names and addresses that are answered as hosts, in lower case.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The last second of the certificate's time, since 1970.
    pub fn not_after_unix_s(&self) -> i64 {
        self.not_after_unix_s
    }
}

/// Why a handshake failed, where it was for the client's certificate.
pub fn refusal(error: &std::io::Error) -> Option<Refused> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(OtherError(cause))) => {
            cause.downcast_ref::<Refused>().copied()
        }
        rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature) => Some(Refused::Signature),
        rustls::Error::InvalidCertificate(_) => Some(Refused::Malformed),
        rustls::Error::NoCertificatesPresented => Some(Refused::Absent),
        _ => None,
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    const WHAT: &str = "tls.certificate";
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| Unusable::new(WHAT, error.to_string()))?;
    if chain.is_empty() || chain.len() > CHAIN_MAX {
        return Err(Unusable::new(
            WHAT,
            format!("must hold 1 to {CHAIN_MAX} certificates in PEM, the server's first"),
        ));
    }
    Ok(chain)
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Unusable> {
    const WHAT: &str = "tls.key";
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| Unusable::new(WHAT, "holds no private key in PEM that is not encrypted"))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|_| {
        Unusable::new(WHAT, "is of a kind that is not supported: use ECDSA P-256 or P-384, Ed25519 or RSA")
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(Unusable::new(WHAT, "the key does not belong to the certificate"))
        }
        Err(error) => Err(Unusable::new("tls.certificate", error.to_string())),
    }
}

struct Stated {
    hosts: Vec<String>,
    not_after_unix_s: i64,
}

/// What the server's certificate says, where clients would believe it.
fn stated(der: Option<&CertificateDer<'_>>, now_unix_s: i64) -> Result<Stated, Unusable> {
    let wrong = |why: String| Unusable::new("tls.certificate", why);
    let parsed = der.and_then(|der| X509Certificate::from_der(der).ok());
    let (_, certificate) = parsed.ok_or_else(|| wrong("the certificate is malformed".to_owned()))?;
    let validity = certificate.validity();
    let not_after_unix_s = validity.not_after.timestamp();
    if now_unix_s > not_after_unix_s {
        return Err(wrong(format!("the certificate has expired ({})", validity.not_after)));
    }
    if now_unix_s < validity.not_before.timestamp() {
        return Err(wrong(format!("the certificate is not valid before {}", validity.not_before)));
    }
    let usage = certificate.extended_key_usage().map_err(|_| wrong("its usages are malformed".to_owned()))?;
    if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        return Err(wrong(
            "the certificate is not for servers: its extended usage lacks serverAuth".to_owned(),
        ));
    }
    let alternative = certificate.subject_alternative_name();
    let alternative = alternative.map_err(|_| wrong("its alternative names are malformed".to_owned()))?;
    let mut hosts = Vec::new();
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => hosts.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => hosts.extend(address(bytes)),
            _ => {}
        }
    }
    if hosts.is_empty() {
        return Err(wrong(
            "the certificate has no alternative name (SAN) of a host or address; a common name is not looked at".to_owned(),
        ));
    }
    Ok(Stated { hosts, not_after_unix_s })
}

/// As a `Host` header has it.
fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| format!("[{}]", std::net::Ipv6Addr::from(sixteen)))
}
