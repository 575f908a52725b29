//! A daemon that listens in the clear and encrypted, over the loopback, with a person who has a token and a certificate.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use testkit::Failure;
use testkit::server::Server;

/// It runs until this is dropped.
pub(crate) struct Encrypted {
    pub(crate) server: Server,
    pub(crate) tcp: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// PEM: the server's, the person's, and the authority, in one.
    pub(crate) certificate: String,
    /// PEM, of the same.
    pub(crate) key: String,
    pub(crate) token: String,
    _folder: tempfile::TempDir,
}

impl Encrypted {
    pub(crate) fn start(model: &str) -> Result<Encrypted, Failure> {
        let (mut server, folder) = (Server::new(model, &[])?, tempfile::tempdir()?);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (key, certificate) = (path("key.pem"), path("certificate.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(["-subj", "/CN=bench", "-keyout", &key, "-out", &certificate]);
        for extension in [
            "subjectAltName=IP:127.0.0.1,email:ada@site.example",
            "extendedKeyUsage=serverAuth,clientAuth",
            "basicConstraints=critical,CA:FALSE",
        ] {
            openssl.args(["-addext", extension]);
        }
        let made = openssl.output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let (tcp, tls) = (free()?, free()?);
        server.configure(&format!(
            "[server]\ntcp = '{tcp}'\n[tls]\nlisten = '{tls}'\ncertificate = '{certificate}'\nkey = '{key}'\n\
             client_ca = '{certificate}'\nrevocation = 'none'\ndomains = ['site.example']\n"
        ))?;
        server.cloisterd(&["user", "add", "ada"])?;
        let token = server.cloisterd(&["token", "issue", "ada"])?.trim().to_owned();
        server.start()?;
        Ok(Encrypted { server, tcp, tls, certificate, key, token, _folder: folder })
    }
}
