//! TLS to the server: its authority comes from a file, and from nowhere else; the name in its certificate is looked up
//! nowhere. Version 1.3 only.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::{Address, Secure, Secured, Stream};
use oms::token::{Request, Scheme};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SignatureVerificationAlgorithm};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, SignatureAlgorithm, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::failure::Failure;
use crate::file;
use crate::token::{TokenKey, Uri};

const PEM_BYTES_MAX: u64 = 4 << 20;

/// Encrypts, believes the authorities of one file, and shows a certificate where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<ClientConfig>);

/// Where the key of one's own certificate is.
pub(crate) enum OwnKey {
    /// In a file, PEM.
    File(PathBuf),
    /// In a token.
    Token(Uri),
}

impl Tls {
    /// Reads the authorities, and one's own certificate with its key.
    pub(crate) fn new(ca: &Path, own: Option<(&Path, &OwnKey)>) -> Result<Tls, Failure> {
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
            Some((certificate, OwnKey::Token(uri))) => {
                let chain = certificates(certificate)?;
                let key = InToken::new(uri, &chain)
                    .map_err(|why| unusable(certificate, "with a key in a token").hint(why))?;
                let resolver = Own(Arc::new(CertifiedKey::new(chain, Arc::new(key))));
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            Some((certificate, OwnKey::File(key))) => {
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

/// Shows one certificate, whoever asks.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A key that stays in its token: each connection has it sign once.
#[derive(Clone, Debug)]
struct InToken {
    key: TokenKey,
    certificate: CertificateDer<'static>,
    kind: &'static Kind,
}

/// A kind of key, and how TLS 1.3 signs with it.
#[derive(Debug)]
struct Kind {
    /// The object identifier in the certificate: of the curve, or of RSA.
    oid: &'static [u8],
    algorithm: SignatureAlgorithm,
    scheme: SignatureScheme,
    asked: Scheme,
    verified: &'static dyn SignatureVerificationAlgorithm,
}

static KINDS: [Kind; 4] = [
    Kind {
        oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        algorithm: SignatureAlgorithm::ECDSA,
        scheme: SignatureScheme::ECDSA_NISTP256_SHA256,
        asked: Scheme::EcdsaSecp256r1Sha256,
        verified: webpki::aws_lc_rs::ECDSA_P256_SHA256,
    },
    Kind {
        oid: &[0x2b, 0x81, 4, 0, 0x22],
        algorithm: SignatureAlgorithm::ECDSA,
        scheme: SignatureScheme::ECDSA_NISTP384_SHA384,
        asked: Scheme::EcdsaSecp384r1Sha384,
        verified: webpki::aws_lc_rs::ECDSA_P384_SHA384,
    },
    Kind {
        oid: &[0x2b, 0x81, 4, 0, 0x23],
        algorithm: SignatureAlgorithm::ECDSA,
        scheme: SignatureScheme::ECDSA_NISTP521_SHA512,
        asked: Scheme::EcdsaSecp521r1Sha512,
        verified: webpki::aws_lc_rs::ECDSA_P521_SHA512,
    },
    Kind {
        oid: &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1],
        algorithm: SignatureAlgorithm::RSA,
        scheme: SignatureScheme::RSA_PSS_SHA256,
        asked: Scheme::RsaPssRsaeSha256,
        verified: webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    },
];

impl InToken {
    /// An error says in words why it cannot be used.
    fn new(uri: &Uri, chain: &[CertificateDer<'static>]) -> Result<InToken, String> {
        let certificate = chain.first().ok_or("there is no certificate")?.clone();
        let (_, read) = X509Certificate::from_der(&certificate).map_err(|error| error.to_string())?;
        let of = &read.public_key().algorithm;
        let oid = of.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        let oids = [Some(&of.algorithm), oid.as_ref()];
        let is = |kind: &&Kind| oids.iter().flatten().any(|oid| oid.as_bytes() == kind.oid);
        let kind = KINDS
            .iter()
            .find(is)
            .ok_or("its key is of none of these: RSA, and ECDSA on P-256, P-384 and P-521")?;
        Ok(InToken { key: TokenKey::at(uri).map_err(|error| error.to_string())?, certificate, kind })
    }
}

impl SigningKey for InToken {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.kind.scheme).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.kind.algorithm
    }
}

impl Signer for InToken {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let refused = |why: &str| rustls::Error::General(format!("the token did not sign: {why}"));
        let request = Request::Handshake { scheme: self.kind.asked, content: message.to_vec() };
        let signature = self.key.sign(&request).map_err(|why| refused(&why))?;
        // The server would only say that something is wrong.
        webpki::EndEntityCert::try_from(&self.certificate)
            .and_then(|certificate| certificate.verify_signature(self.kind.verified, message, &signature))
            .map_err(|_| refused("its key is not the one of the certificate"))?;
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.kind.scheme
    }
}
