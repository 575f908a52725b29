//! TLS to the server: its authority comes from a file, and from nowhere else; the name in its certificate is looked up
//! nowhere. Version 1.3 only.

use std::io;
use std::path::Path;
use std::sync::Arc;

use client::{Address, Secure, Secured, Stream};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::failure::Failure;
use crate::file;

const PEM_BYTES_MAX: u64 = 4 << 20;

/// Encrypts, believes the authorities of one file, and shows a certificate where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the authorities, and one's own certificate with its key.
    pub(crate) fn new(ca: &Path, own: Option<(&Path, &Path)>) -> Result<Tls, Failure> {
        let unusable = |path: &Path, why: &str| {
            Failure::configuration(format!("{} cannot be used: {why}", path.display()))
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| unusable(ca, "an authority in it").caused_by(&error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let builder =
            builder.map_err(|error| unusable(ca, "TLS").caused_by(&error))?.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let bytes = file::read(key, PEM_BYTES_MAX)?;
                let private = PrivateKeyDer::from_pem_slice(&bytes)
                    .map_err(|_| unusable(key, "it holds no private key in PEM that is not encrypted"))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| unusable(certificate, "with its key").caused_by(&error))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Tls(Arc::new(config)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let bytes = file::read(path, PEM_BYTES_MAX)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Failure::configuration(format!("{} holds no certificate in PEM", path.display()))),
    }
}

impl Secure for Tls {
    fn secure<'s>(&'s self, stream: TcpStream, address: &'s Address) -> Secured<'s> {
        Box::pin(async move {
            let Address::Tls { address, server_name } = address else {
                return Err(io::ErrorKind::Unsupported.into());
            };
            let name = match server_name {
                Some(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
                None => ServerName::IpAddress(address.ip().into()),
            };
            let stream = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}
