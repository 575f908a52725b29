//! Where the server is, and the credential it is shown.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use zeroize::Zeroizing;

/// A server: `unix:/absolute/path`, `https://IP:PORT`, or `http://IP:PORT`. The one name understood is `localhost`,
/// which is 127.0.0.1 without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
    /// Plain HTTP over TCP.
    Tcp(SocketAddr),
    /// HTTP over TLS over TCP.
    Tls {
        /// Where it is dialled.
        address: SocketAddr,
        /// The name that the server's certificate must have; the address where there is none. Nobody is asked
        /// where that name is.
        server_name: Option<String>,
    },
}

/// Why a text is not an [`Address`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// Neither form.
    #[error(
        "`{0}` is not a server address: expected `unix:/path/to/socket`, `https://IP:PORT` or `http://127.0.0.1:PORT`"
    )]
    Form(String),
    /// A socket's path must not depend on the working directory.
    #[error("the socket's path in `{0}` is not absolute")]
    RelativePath(String),
    /// A name would need a resolver.
    #[error(
        "`{0}` is a host name: Cloister resolves no names, give the IP address (and `server_name` for its certificate)"
    )]
    HostName(String),
    /// No port, or not a port.
    #[error("`{0}` needs a port, as in `http://127.0.0.1:8080`")]
    Port(String),
    /// A server's name is for certificates.
    #[error("a server name is for an address `https://IP:PORT`, and `{0}` is none")]
    NotTls(String),
    /// A name is no name of a host.
    #[error("`{0}` is not a server name: expected a host's, as `cloister.site`")]
    ServerName(String),
    /// This system has no Unix sockets.
    #[error("`{0}`: Unix sockets are not available on this system; use `http://127.0.0.1:PORT`")]
    NoUnixSockets(String),
}

impl Address {
    /// Whether what is sent can be read by nobody between: it stays on this machine, or is encrypted.
    pub fn is_private(&self) -> bool {
        match self {
            Address::Unix(_) | Address::Tls { .. } => true,
            Address::Tcp(address) => address.ip().is_loopback(),
        }
    }

    /// The same address, of a server whose certificate must have that name.
    pub fn with_server_name(self, name: &str) -> Result<Address, AddressError> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if name.len() > 253 || !name.split('.').all(is_label) || name.parse::<IpAddr>().is_ok() {
            return Err(AddressError::ServerName(name.to_owned()));
        }
        match self {
            Address::Tls { address, .. } => Ok(Address::Tls { address, server_name: Some(name.to_owned()) }),
            other => Err(AddressError::NotTls(other.to_string())),
        }
    }

    /// The `Host` header's text.
    pub(crate) fn host(&self) -> String {
        match self {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Tcp(address) | Address::Tls { address, server_name: None } => address.to_string(),
            Address::Tls { address, server_name: Some(name) } => format!("{name}:{}", address.port()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(text, path);
        }
        let (authority, is_tls) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(authority), _) => (authority, true),
            (None, Some(authority)) => (authority, false),
            (None, None) => return Err(AddressError::Form(text.to_owned())),
        };
        let of = |address| match is_tls {
            true => Address::Tls { address, server_name: None },
            false => Address::Tcp(address),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(AddressError::Form(text.to_owned()));
        }
        if let Ok(address) = authority.parse::<SocketAddr>() {
            return Ok(of(address));
        }
        let bare = authority.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() || authority == "localhost" {
            return Err(AddressError::Port(text.to_owned()));
        }
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        if host != "localhost" && host.parse::<IpAddr>().is_err() {
            return Err(AddressError::HostName(host.to_owned()));
        }
        let port = port.parse::<u16>().map_err(|_| AddressError::Port(text.to_owned()))?;
        Ok(of(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)))
    }
}

fn unix(text: &str, path: &str) -> Result<Address, AddressError> {
    if !cfg!(unix) {
        return Err(AddressError::NoUnixSockets(text.to_owned()));
    }
    // `unix:///path` is the same path written as a URL.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains('\0') {
        return Err(AddressError::Form(text.to_owned()));
    }
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(AddressError::RelativePath(text.to_owned()));
    }
    Ok(Address::Unix(path))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(address) => write!(f, "http://{address}"),
            Address::Tls { address, .. } => write!(f, "https://{address}"),
        }
    }
}

/// A bearer token. Never shown; wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Why a text is not a [`Token`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a token: expected one line of 1 to {} visible ASCII characters", Token::BYTES_MAX)]
pub struct TokenError;

impl Token {
    /// The longest token accepted, in bytes.
    pub const BYTES_MAX: usize = 4096;

    /// The header's value.
    pub(crate) fn authorization(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", *self.0))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > Token::BYTES_MAX || !visible {
            return Err(TokenError);
        }
        Ok(Token(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, AddressError> {
        text.parse::<Address>().map(|address| address.to_string())
    }

    #[test]
    fn addresses() {
        let cases: &[(&str, Result<&str, AddressError>)] = &[
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
            ("http://127.0.0.1:8080/", Ok("http://127.0.0.1:8080")),
            ("http://[::1]:8080", Ok("http://[::1]:8080")),
            ("http://localhost:8080", Ok("http://127.0.0.1:8080")),
            ("http://10.1.2.3:80", Ok("http://10.1.2.3:80")),
            ("http://code.example:80", Err(AddressError::HostName("code.example".into()))),
            ("http://code.example", Err(AddressError::HostName("code.example".into()))),
            ("http://localhost.example:80", Err(AddressError::HostName("localhost.example".into()))),
            ("http://127.0.0.1", Err(AddressError::Port("http://127.0.0.1".into()))),
            ("http://[::1]", Err(AddressError::Port("http://[::1]".into()))),
            ("http://localhost", Err(AddressError::Port("http://localhost".into()))),
            ("http://localhost:99999", Err(AddressError::Port("http://localhost:99999".into()))),
            ("http://127.0.0.1:80/v1", Err(AddressError::Form("http://127.0.0.1:80/v1".into()))),
            ("http://a@127.0.0.1:80", Err(AddressError::Form("http://a@127.0.0.1:80".into()))),
            ("https://10.0.0.5:8443", Ok("https://10.0.0.5:8443")),
            ("https://[::1]:8443/", Ok("https://[::1]:8443")),
            ("https://cloister.site:8443", Err(AddressError::HostName("cloister.site".into()))),
            ("https://10.0.0.5", Err(AddressError::Port("https://10.0.0.5".into()))),
            ("127.0.0.1:80", Err(AddressError::Form("127.0.0.1:80".into()))),
            ("", Err(AddressError::Form(String::new()))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).as_deref(), expected.as_deref(), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn unix_addresses() {
        assert_eq!(parse("unix:/run/c.sock").as_deref(), Ok("unix:/run/c.sock"));
        assert_eq!(parse("unix:///run/c.sock").as_deref(), Ok("unix:/run/c.sock"));
        assert_eq!(parse("unix:run/c.sock"), Err(AddressError::RelativePath("unix:run/c.sock".into())));
        assert_eq!(parse("unix:"), Err(AddressError::Form("unix:".into())));
    }

    #[test]
    fn only_loopback_and_tls_are_private() {
        let private = |text: &str| text.parse::<Address>().unwrap().is_private();
        assert!(private("http://127.0.0.1:1") && private("http://[::1]:1") && private("http://localhost:1"));
        assert!(private("https://10.0.0.1:1"));
        assert!(!private("http://10.0.0.1:1") && !private("http://0.0.0.0:1"));
    }

    #[test]
    fn a_server_name_is_for_certificates() {
        let address = || "https://10.0.0.5:8443".parse::<Address>().unwrap();
        let named = address().with_server_name("cloister.site").unwrap();
        assert_eq!(
            (named.to_string().as_str(), named.host().as_str()),
            ("https://10.0.0.5:8443", "cloister.site:8443")
        );
        assert_eq!(address().host(), "10.0.0.5:8443");
        for bad in ["", "a..b", "a b", "10.0.0.5", "a/b", "*.site"] {
            assert_eq!(address().with_server_name(bad), Err(AddressError::ServerName(bad.into())), "{bad}");
        }
        let plain = "http://127.0.0.1:1".parse::<Address>().unwrap();
        assert_eq!(plain.with_server_name("a"), Err(AddressError::NotTls("http://127.0.0.1:1".into())));
    }

    #[test]
    fn tokens_are_one_visible_line_and_never_shown() {
        let token: Token = "clst_0123_abc\n".parse().unwrap();
        assert_eq!(*token.authorization(), "Bearer clst_0123_abc");
        assert_eq!(format!("{token:?}"), "Token(…)");
        for bad in ["", " \n", "a b", "a\nb", "é"] {
            assert_eq!(bad.parse::<Token>().err(), Some(TokenError), "{bad:?}");
        }
        assert!("x".repeat(Token::BYTES_MAX + 1).parse::<Token>().is_err());
    }
}
