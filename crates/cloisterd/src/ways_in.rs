//! How people are known beyond tokens and local users, as `cloister.toml` sets it up: encrypted connections and
//! clients' certificates, tokens of an identity provider, a reverse proxy. The files that these name are read here, as
//! they are; what is in them is parsed by the gateway, in its jail, and by `cloisterd config check`.

use std::error::Error;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use credentials::tls::Server;
use credentials::{CrlView, Provider};
use jail::sealed::{Purpose, SealedFile};
use protocol::access::{self, Access, FILES_BYTES_MAX, Files};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::output::Hinted;
use crate::settings::{self, Settings};
use crate::{compose, file};

const CERTIFICATES_BYTES_MAX: usize = 4 << 20;
const KEY_BYTES_MAX: usize = 32 << 10;
const CRL_BYTES_MAX: usize = 64 << 20;
const CRLS_MAX: usize = 256;
const MAPPING_BYTES_MAX: usize = 4 << 20;
const JWKS_BYTES_MAX: usize = 1 << 20;
/// Between two looks at whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Encrypted connections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Any address.
    pub(crate) listen: SocketAddr,
    /// The server's certificate and those above it, PEM.
    certificate: PathBuf,
    /// Its private key, PEM, for nobody else to read.
    key: PathBuf,
    /// Names and addresses that are answered as hosts; those of the certificate when absent.
    #[serde(default)]
    hosts: Vec<String>,
    /// `1.3` when absent; `1.2` lets older clients in, too.
    #[serde(default)]
    version_min: Version,
    /// Authorities of clients' certificates, PEM; without it, no client is asked for one.
    client_ca: Option<PathBuf>,
    /// Whether every client must show a certificate.
    clients: Option<Demand>,
    /// Whether certificates must be covered by lists of revoked ones.
    #[serde(default)]
    revocation: Revocation,
    /// The lists, PEM or DER: one of each authority of a path.
    #[serde(default)]
    crls: Vec<PathBuf>,
    /// Days for which a list is believed after its successor was due.
    #[serde(default)]
    crl_grace_days: u32,
    /// Domains whose names are names of users.
    #[serde(default)]
    domains: Vec<String>,
    /// Which certificates name which users.
    mapping: Option<PathBuf>,
}

/// The lowest version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Version {
    #[serde(rename = "1.2")]
    Tls12,
    #[default]
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Demand {
    /// A client may bring a token instead.
    #[default]
    Optional,
    Required,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Revocation {
    #[default]
    Required,
    None,
}

/// Tokens of an identity provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jwt {
    /// The provider's public keys, a JSON Web Key Set.
    jwks: PathBuf,
    /// Must be `iss`.
    issuer: String,
    /// Must be in `aud`.
    audience: String,
    /// Signatures that are accepted.
    #[serde(default = "algorithms")]
    algorithms: Vec<String>,
    /// Seconds by which the provider's clock may be off.
    #[serde(default = "skew_s")]
    skew_s: u32,
    /// Seconds since `iat` after which a token is not believed.
    #[serde(default = "age_s_max")]
    age_s_max: u32,
    /// The claim that names the person.
    #[serde(default = "person_claim")]
    person_claim: String,
    /// The claim that names groups; they count only where this is set.
    groups_claim: Option<String>,
    /// Domains whose names are names of users.
    #[serde(default)]
    domains: Vec<String>,
}

fn algorithms() -> Vec<String> {
    ["ES256", "ES384", "RS256", "PS256", "EdDSA"].map(str::to_owned).into()
}

fn skew_s() -> u32 {
    60
}

fn age_s_max() -> u32 {
    86_400
}

fn person_claim() -> String {
    "preferred_username".to_owned()
}

/// A reverse proxy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proxy {
    /// Its own socket here, which the supervisor opens.
    pub(crate) socket: PathBuf,
    /// The user that it runs as.
    uid: u32,
    /// The header in which it names the person.
    #[serde(default = "header")]
    header: String,
}

fn header() -> String {
    "x-cloister-user".to_owned()
}

impl Tls {
    pub(crate) fn check(&self) -> Result<(), String> {
        let has_clients = self.client_ca.is_some();
        if !has_clients && (self.clients.is_some() || !self.crls.is_empty() || self.mapping.is_some()) {
            return Err("tls.client_ca is missing: clients, crls and mapping are about certificates of its authorities".to_owned());
        }
        if has_clients && self.revocation == Revocation::Required && self.crls.is_empty() {
            return Err("tls.crls is empty: name a list of revoked certificates for each authority, or accept `revocation = \"none\"`".to_owned());
        }
        if self.revocation == Revocation::None && !self.crls.is_empty() {
            return Err(
                "tls.revocation is \"none\", and tls.crls names lists: one of them is meant".to_owned()
            );
        }
        if has_clients && self.domains.is_empty() && self.mapping.is_none() {
            return Err(
                "tls.domains and tls.mapping are both missing: no certificate would name anybody".to_owned()
            );
        }
        if self.crls.len() > CRLS_MAX {
            return Err(format!("tls.crls: {CRLS_MAX} files at most"));
        }
        Ok(())
    }

    fn access(&self) -> Result<access::Tls, Box<dyn Error>> {
        Ok(access::Tls {
            key: read_key(&self.key)?.to_vec(),
            hosts: self.hosts.clone(),
            tls_1_2: self.version_min == Version::Tls12,
            clients: self.client_ca.as_ref().map(|_| access::Clients {
                required: self.clients.unwrap_or_default() == Demand::Required,
                revocation: self.revocation == Revocation::Required,
                grace_days: self.crl_grace_days,
                domains: self.domains.clone(),
            }),
        })
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let one = [&self.certificate, &self.key].into_iter();
        one.chain(&self.client_ca).chain(&self.mapping).chain(&self.crls)
    }
}

impl Jwt {
    pub(crate) fn check(&self) -> Result<(), String> {
        const SKEW_S_MAX: u32 = 600;
        let known = algorithms().into_iter().chain(["RS384", "RS512", "PS384", "PS512"].map(str::to_owned));
        let known: Vec<String> = known.collect();
        if let Some(name) = self.algorithms.iter().find(|name| !known.contains(name)) {
            return Err(format!("jwt.algorithms: `{name}` is none of {}", known.join(", ")));
        }
        if self.algorithms.is_empty() {
            return Err("jwt.algorithms is empty".to_owned());
        }
        if self.skew_s > SKEW_S_MAX {
            return Err(format!("jwt.skew_s: {SKEW_S_MAX} seconds at most"));
        }
        if self.issuer.is_empty() || self.audience.is_empty() || self.person_claim.is_empty() {
            return Err("jwt: issuer, audience and person_claim must not be empty".to_owned());
        }
        Ok(())
    }

    fn access(&self) -> access::Jwt {
        access::Jwt {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            algorithms: self.algorithms.clone(),
            skew_s: self.skew_s,
            age_s_max: self.age_s_max,
            person_claim: self.person_claim.clone(),
            groups_claim: self.groups_claim.clone(),
            domains: self.domains.clone(),
        }
    }
}

impl Proxy {
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.socket.is_absolute() {
            return Err("proxy.socket must be an absolute path".to_owned());
        }
        let header = self.header.to_ascii_lowercase();
        let is_name = !header.is_empty()
            && header.len() <= 64
            && header.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_name
            || ["authorization", "x-api-key", "host", "cookie", "content-type", "content-length"]
                .contains(&header.as_str())
        {
            return Err(format!("proxy.header: `{}` cannot name persons", self.header));
        }
        Ok(())
    }

    fn access(&self) -> access::Proxy {
        access::Proxy { header: self.header.to_ascii_lowercase(), uid: self.uid }
    }
}

/// What is set up, with the files as they are now; `None` where nothing is.
pub(crate) fn read(settings: &Settings) -> Result<Option<(Access, Files)>, Box<dyn Error>> {
    let Settings { tls, jwt, proxy, .. } = settings;
    if tls.is_none() && jwt.is_none() && proxy.is_none() {
        return Ok(None);
    }
    let mut files = Files::default();
    if let Some(tls) = tls {
        files.certificate = file::read(&tls.certificate, CERTIFICATES_BYTES_MAX)?;
        if let Some(path) = &tls.client_ca {
            files.client_ca = file::read(path, CERTIFICATES_BYTES_MAX)?;
        }
        let mut left = CRL_BYTES_MAX;
        for path in &tls.crls {
            let crl = file::read(path, left)?;
            left -= crl.len();
            files.crls.push(crl);
        }
        if let Some(path) = &tls.mapping {
            files.mapping = file::read(path, MAPPING_BYTES_MAX)?;
        }
    }
    if let Some(jwt) = jwt {
        files.jwks = file::read(&jwt.jwks, JWKS_BYTES_MAX)?;
    }
    let access = Access {
        tls: tls.as_ref().map(Tls::access).transpose()?,
        jwt: jwt.as_ref().map(Jwt::access),
        proxy: proxy.as_ref().map(Proxy::access),
    };
    Ok(Some((access, files)))
}

/// Parses what the gateway would, and says what it comes to, and what will be wrong soon.
pub(crate) fn examine(settings: &Settings) -> Result<Vec<String>, Box<dyn Error>> {
    let Some((access, files)) = read(settings)? else { return Ok(Vec::new()) };
    let (now, mut said) = (compose::now_unix_s(), Vec::new());
    if let Some(set) = &access.tls {
        let server = Server::new(set, &files, now)?;
        let days = server.not_after_unix_s().saturating_sub(now) / 86_400;
        said.push(format!(
            "tls: answers as {}; the certificate is valid for {days} more days",
            server.hosts().join(", ")
        ));
        if let Some(clients) = server.clients() {
            for crl in clients.crls() {
                let days = crl.next_update_unix_s.saturating_sub(now) / 86_400;
                let CrlView { issuer, revoked, .. } = crl;
                said.push(format!("tls: {issuer} revokes {revoked}; its next list is due in {days} days"));
            }
            said.extend(clients.warnings(now).into_iter().map(|warning| format!("tls: {warning}")));
        }
    }
    if let Some(set) = &access.jwt {
        let provider = Provider::new(set, &files.jwks)?;
        said.push(format!("jwt: {} keys of {}", provider.keys(), set.issuer));
    }
    Ok(said)
}

/// The same with nothing in the files: what is closed by it says so.
pub(crate) fn closed(settings: &Settings) -> (Access, Files) {
    let tls = settings.tls.as_ref().map(|_| access::Tls {
        key: Vec::new(),
        hosts: Vec::new(),
        tls_1_2: false,
        clients: None,
    });
    let access = Access {
        tls,
        jwt: settings.jwt.as_ref().map(Jwt::access),
        proxy: settings.proxy.as_ref().map(Proxy::access),
    };
    (access, Files::default())
}

/// The files, to be handed over.
pub(crate) fn sealed(files: &Files) -> Result<SealedFile, Box<dyn Error>> {
    let bytes = files.encode()?;
    let mut reader = bytes.as_slice();
    Ok(SealedFile::fill("ways-in", Purpose::Data, &mut reader, FILES_BYTES_MAX, &mut |_| {})?)
}

/// What was handed over.
pub(crate) fn received(file: OwnedFd) -> Result<Files, Box<dyn Error>> {
    if !jail::sealed::is_sealed(&file) {
        return Err("the supervisor's file of the ways in is not sealed".into());
    }
    let mut bytes = Vec::new();
    // The descriptor's place is wherever it was left.
    let mut file = std::fs::File::from(file);
    std::io::Seek::rewind(&mut file)?;
    file.take(FILES_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(Files::decode(&bytes)?)
}

/// A private key, which nobody but its owner may be able to read. A service manager's credentials are the exception:
/// it guards their folder.
fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, Box<dyn Error>> {
    let cannot = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let key = std::fs::File::open(path).map_err(cannot)?;
    let metadata = key.metadata().map_err(cannot)?;
    let is_handed_over = settings::credentials_directory().is_some_and(|folder| path.starts_with(folder));
    if metadata.mode() & 0o077 != 0 && !is_handed_over {
        let error = format!("others than its owner may read the key {}", path.display());
        return Err(Hinted::new(error, "`chmod 600` it").into());
    }
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() && !is_handed_over {
        return Err(format!("the key {} is of another user", path.display()).into());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX + 1));
    key.take(KEY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > KEY_BYTES_MAX {
        return Err(format!("{} is longer than {KEY_BYTES_MAX} bytes", path.display()).into());
    }
    Ok(bytes)
}

/// Notices when a file has changed: by its number, length and times.
#[derive(Debug)]
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
    due: Instant,
}

type Stamp = (u64, u64, i64, i64, i64);

impl Watch {
    /// Watches the files that these settings name, as they are now.
    pub(crate) fn new(settings: &Settings) -> Watch {
        let tls = settings.tls.iter().flat_map(Tls::paths);
        let paths: Vec<PathBuf> = tls.chain(settings.jwt.iter().map(|jwt| &jwt.jwks)).cloned().collect();
        let seen = paths.iter().map(|path| stamp(path)).collect();
        Watch { paths, seen, due: Instant::now() + LOOK_EVERY }
    }

    /// When to look next; never where there is no file.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.paths.is_empty()).then_some(self.due)
    }

    /// Whether anything has changed since it was looked at last.
    pub(crate) fn has_changed(&mut self) -> bool {
        if self.paths.is_empty() || Instant::now() < self.due {
            return false;
        }
        self.due = Instant::now() + LOOK_EVERY;
        let now = self.paths.iter().map(|path| stamp(path)).collect();
        std::mem::replace(&mut self.seen, now) != self.seen
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime_nsec()))
}
