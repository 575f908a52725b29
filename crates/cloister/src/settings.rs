//! Where the server is, and who asks: from the flag, else the environment, else the one file
//! `config.toml`, else the usual sockets. Resolved once, before anything is sent.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::{Address, Client, Token};
use serde::Deserialize;

use crate::environment::{self, Environment};
use crate::failure::Failure;
use crate::file;
use crate::output::Output;
use crate::tls::{OwnKey, Tls};

/// Where a daemon that serves the whole machine listens.
const SYSTEM_SOCKET: &str = "/run/cloister/cloister.sock";
/// Where a person's own daemon listens, below the home of data.
const OWN_SOCKET: &str = "cloister/run/cloister.sock";

/// What a command that asks the server needs.
pub(crate) struct Settings {
    pub(crate) client: Client,
    /// Who named the server.
    pub(crate) server_from: ServerFrom,
    /// The deployment to ask when the command line names none.
    pub(crate) deployment: Option<String>,
    /// Whether conversations are kept on this machine.
    pub(crate) history: bool,
}

/// Who named the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerFrom {
    Flag,
    Environment,
    File(PathBuf),
    Default,
}

impl fmt::Display for ServerFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerFrom::Flag => f.write_str("--server"),
            ServerFrom::Environment => f.write_str(environment::SERVER),
            ServerFrom::File(path) => path.display().fmt(f),
            ServerFrom::Default => f.write_str("the default"),
        }
    }
}

/// `config.toml`. Every key may be absent; an unknown one fails.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigurationFile {
    server: Option<String>,
    /// A relative path is taken from the file's own directory.
    token_file: Option<PathBuf>,
    deployment: Option<String>,
    /// Whether `chat` keeps conversations on this machine; it does when absent.
    history: Option<bool>,
    /// Authorities of the server's certificate; relative as `token_file`.
    ca_file: Option<PathBuf>,
    /// The name that the server's certificate must have, instead of its address.
    server_name: Option<String>,
    /// One's own certificate, and those above it.
    certificate_file: Option<PathBuf>,
    /// Its key.
    key_file: Option<PathBuf>,
    /// Its key in a token, instead: `pkcs11:token=…;object=…?module-path=…`.
    key_uri: Option<String>,
}

impl Settings {
    pub(crate) fn resolve(
        flag: Option<&str>,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<Settings, Failure> {
        let path = environment.config_home.as_ref().map(|home| home.join("cloister/config.toml"));
        let file = match &path {
            Some(path) => ConfigurationFile::read(path)?,
            None => ConfigurationFile::default(),
        };
        let (text, server_from) = server(flag, environment, &file, path.as_deref());
        let address: Address = text.parse().map_err(|error| {
            Failure::configuration(format!("the server named by {server_from} cannot be used"))
                .caused_by(&error)
        })?;
        let address = match &file.server_name {
            // The name is of the server in the file: another that is named before it is what it is.
            Some(name)
                if matches!(server_from, ServerFrom::File(_)) || matches!(address, Address::Tls { .. }) =>
            {
                address.with_server_name(name).map_err(|error| {
                    Failure::configuration("`server_name` cannot be used").caused_by(&error)
                })?
            }
            _ => address,
        };
        if !address.is_private() {
            output.say(format!(
                "warning: {address} is another machine: prompts and token travel there unencrypted"
            ));
        }
        let token = token(environment, &file, path.as_deref(), output)?;
        let is_tls = matches!(address, Address::Tls { .. });
        let client = Client::new(address, token);
        let client = match is_tls {
            true => client.secured(Arc::new(file.tls(environment, path.as_deref(), output)?)),
            false => client,
        };
        let history = file.history.unwrap_or(true);
        Ok(Settings { client, server_from, deployment: file.deployment, history })
    }
}

impl ConfigurationFile {
    /// A file that does not exist is an empty one.
    fn read(path: &Path) -> Result<Self, Failure> {
        const BYTES_MAX: u64 = 64 << 10;
        if !path.exists() {
            return Ok(ConfigurationFile::default());
        }
        let text = file::read_text(path, BYTES_MAX)?;
        toml::from_str(&text).map_err(|error| {
            Failure::configuration(format!("{} is not understood", path.display()))
                .caused_by(&error)
                .hint(
                    "The keys are `server`, `token_file`, `deployment`, `ca_file`, `server_name`, `certificate_file`, \
                     `key_file` and `key_uri`.",
                )
        })
    }

    /// What encrypts, from the files that are named.
    fn tls(
        &self,
        environment: &Environment,
        path: Option<&Path>,
        output: &mut Output,
    ) -> Result<Tls, Failure> {
        let beside = |file: &PathBuf| beside(path, file);
        let ca = environment.ca.clone().or_else(|| self.ca_file.as_ref().map(beside));
        let ca = ca.ok_or_else(|| {
            Failure::configuration("the server's authority is not known").hint(format!(
                "Name its certificate: `ca_file` in config.toml, or {}. The system's authorities are not asked.",
                environment::CA
            ))
        })?;
        let own = match (&self.certificate_file, &self.key_file, &self.key_uri) {
            (Some(certificate), Some(key), None) => {
                let key = beside(key);
                if others_may_read(&key) {
                    output.say(format!("warning: others may read {}: `chmod 600` it", key.display()));
                }
                Some((beside(certificate), OwnKey::File(key)))
            }
            (Some(certificate), None, Some(uri)) => {
                let uri = uri.parse().map_err(|error| {
                    Failure::configuration("`key_uri` cannot be used").caused_by(&error).hint(
                        "Write it as pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/…/opensc-pkcs11.so.",
                    )
                })?;
                Some((beside(certificate), OwnKey::Token(uri)))
            }
            (None, None, None) => None,
            _ => {
                let error = "`certificate_file` comes with one of `key_file` and `key_uri`";
                return Err(Failure::configuration(error));
            }
        };
        Tls::new(&ca, own.as_ref().map(|(certificate, key)| (certificate.as_path(), key)))
    }
}

/// A relative path of the configuration file is taken from its directory.
fn beside(path: Option<&Path>, file: &Path) -> PathBuf {
    path.and_then(Path::parent).map_or_else(|| file.to_owned(), |directory| directory.join(file))
}

fn server(
    flag: Option<&str>,
    environment: &Environment,
    file: &ConfigurationFile,
    path: Option<&Path>,
) -> (String, ServerFrom) {
    if let Some(server) = flag {
        return (server.to_owned(), ServerFrom::Flag);
    }
    if let Some(server) = &environment.server {
        return (server.clone(), ServerFrom::Environment);
    }
    if let (Some(server), Some(path)) = (&file.server, path) {
        return (server.clone(), ServerFrom::File(path.to_owned()));
    }
    let own = environment.data_home.as_ref().map(|home| home.join(OWN_SOCKET));
    let socket = match own {
        Some(own) if !Path::new(SYSTEM_SOCKET).exists() => own,
        _ => PathBuf::from(SYSTEM_SOCKET),
    };
    (format!("unix:{}", socket.display()), ServerFrom::Default)
}

fn token(
    environment: &Environment,
    file: &ConfigurationFile,
    path: Option<&Path>,
    output: &mut Output,
) -> Result<Option<Token>, Failure> {
    if let Some(text) = &environment.token {
        return text.parse().map(Some).map_err(|error| {
            Failure::configuration(format!("{} cannot be used", environment::TOKEN)).caused_by(&error)
        });
    }
    let Some(token_file) = &file.token_file else { return Ok(None) };
    let token_path = beside(path, token_file);
    let text = file::read_text(&token_path, Token::BYTES_MAX as u64 + 2)?;
    if others_may_read(&token_path) {
        output.say(format!("warning: others may read {}: `chmod 600` it", token_path.display()));
    }
    text.parse().map(Some).map_err(|error| {
        Failure::configuration(format!("the token in {} cannot be used", token_path.display()))
            .caused_by(&error)
    })
}

#[cfg(unix)]
fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> ConfigurationFile {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn flag_before_environment_before_file_before_default() {
        let path = Path::new("/c/config.toml");
        let empty = Environment::default();
        let named = Environment { server: Some("unix:/e".into()), ..Environment::default() };
        let configured = file("server = 'unix:/f'");
        let ask = |flag, environment, file| server(flag, environment, file, Some(path));
        assert_eq!(ask(Some("unix:/a"), &named, &configured), ("unix:/a".into(), ServerFrom::Flag));
        assert_eq!(ask(None, &named, &configured), ("unix:/e".into(), ServerFrom::Environment));
        let from_file = ServerFrom::File(path.to_owned());
        assert_eq!(ask(None, &empty, &configured), ("unix:/f".into(), from_file));
        assert_eq!(ask(None, &empty, &file("")).1, ServerFrom::Default);
    }

    #[cfg(unix)]
    #[test]
    fn the_own_socket_is_the_default_without_a_system_one() {
        let environment = Environment { data_home: Some("/home/a/share".into()), ..Environment::default() };
        let expected = if Path::new(SYSTEM_SOCKET).exists() {
            format!("unix:{SYSTEM_SOCKET}")
        } else {
            "unix:/home/a/share/cloister/run/cloister.sock".to_owned()
        };
        assert_eq!(server(None, &environment, &file(""), None).0, expected);
    }

    #[test]
    fn unknown_keys_fail() {
        let error = toml::from_str::<ConfigurationFile>("sever = 'unix:/x'").err().unwrap();
        assert!(error.to_string().contains("unknown field `sever`"), "{error}");
    }
}
