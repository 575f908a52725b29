//! The configuration file and every environment variable of `cloisterd`, resolved once. Each setting
//! has a default: no file is needed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use identity::{Lattice, Role};
use jail::weaker::{self, Weaker};
use protocol::control::{LabelSettings, Limits};
use protocol::corpora::Policy;
use protocol::worker::Speculation;
use serde::Deserialize;

use crate::host::cgroups;
use crate::ways_in;

/// Overrides the data directory, as `--data` does.
pub(crate) const DATA_VARIABLE: &str = "CLOISTER_DATA";
/// Overrides the worker program, as `engine.program` does.
pub(crate) const ENGINE_VARIABLE: &str = "CLOISTER_ENGINE";
/// Overrides the relay program, as `relay.program` does.
pub(crate) const RELAY_VARIABLE: &str = "CLOISTER_RELAY";
/// A file that holds the passphrase of sealed keys, as `--passphrase-file` does.
pub(crate) const PASSPHRASE_VARIABLE: &str = "CLOISTER_PASSPHRASE_FILE";
/// Where systemd puts a service's credentials.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// The credential that seals keys.
const CREDENTIAL: &str = "cloister-key";
/// What a service manager says of the sockets that it opened: for whom, how many, and their names.
const LISTEN_VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
/// Filters the log, as `info` or `cloisterd=debug`.
pub(crate) const LOG_VARIABLE: &str = "CLOISTER_LOG";

/// The file's name in the data directory.
pub(crate) const FILE_NAME: &str = "cloister.toml";

/// Seconds between two looks at the jails, where the configuration does not say.
const AIRGAP_INTERVAL_S: u32 = 3600;
/// Threads that any process has.
const PROCESSES_MIN: u32 = 64;
/// Processes and threads of a jailed process, where the configuration does not say: more than any needs.
const PROCESSES_MAX: u32 = 4096;

/// The shortest match that a rule can be about, in lexemes.
const LEXEMES_MIN: u32 = 31;

/// Nobody waits longer for an upstream engine.
const SILENCE_S_MAX: u32 = 3600;

/// The configuration file. Unknown keys fail.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Deployments to serve, the default one first; all of them, by name, when absent.
    pub(crate) deployments: Option<Vec<String>>,
    /// Where the server listens.
    pub(crate) server: Server,
    /// Limits, each with an error of its own.
    pub(crate) limits: LimitSettings,
    /// The engine workers.
    pub(crate) engine: Engine,
    /// The relays to upstream engines.
    pub(crate) relay: Relay,
    /// The proof that nothing leaves.
    pub(crate) airgap: Airgap,
    /// The jails of all processes.
    pub(crate) jail: Jail,
    /// The release that the programs must be of.
    pub(crate) release: Release,
    /// Which models are admitted.
    pub(crate) models: Models,
    /// Compilers that look at answers.
    pub(crate) checks: Checks,
    /// What is done about answers that match known code.
    pub(crate) provenance: Policy,
    /// Encrypted connections, and clients' certificates.
    pub(crate) tls: Option<ways_in::Tls>,
    /// Tokens of an identity provider of the enclave.
    pub(crate) jwt: Option<ways_in::Jwt>,
    /// A reverse proxy that knows people.
    pub(crate) proxy: Option<ways_in::Proxy>,
    /// What labels mean.
    pub(crate) labels: LabelSettings,
    /// Groups whose members have a role, by the role's name.
    pub(crate) roles: BTreeMap<String, Vec<String>>,
}

/// Which models are admitted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Models {
    /// Only what has a qualification report is promoted.
    pub(crate) qualified_only: bool,
}

/// Compilers that look at answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Checks {
    /// Folders of toolchains beside those of the system, with programs in their `bin`: absolute, without links.
    pub(crate) toolchains: Vec<PathBuf>,
}

/// The proof that nothing leaves.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Airgap {
    /// Seconds between two looks at the jails; an hour when absent.
    pub(crate) interval_s: Option<u32>,
    /// What happens when a jail does not hold.
    pub(crate) on_failure: OnFailure,
}

/// What happens when a jail does not hold. Either way it is in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnFailure {
    /// The daemon stops.
    #[default]
    Stop,
    /// It goes on, a weaker claim: every posture record says so.
    Record,
}

impl Airgap {
    /// Between two looks at the jails.
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s.unwrap_or(AIRGAP_INTERVAL_S).into())
    }

    /// Weaker claims that are accepted, by the names of the settings.
    pub(crate) fn accepted(&self) -> Vec<String> {
        match self.on_failure {
            OnFailure::Stop => Vec::new(),
            OnFailure::Record => vec!["airgap.on_failure = \"record\"".to_owned()],
        }
    }
}

/// The release that the programs must be of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Release {
    /// The public key, PEM, that must have signed it; where it is absent, an unsigned one serves too, and so does what
    /// was not installed from a release.
    pub(crate) key: Option<PathBuf>,
}

/// Where the server listens, beside its Unix socket.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// A TCP address, a loopback one: connections are not encrypted. For others, see [`ways_in::Tls`].
    pub(crate) tcp: Option<SocketAddr>,
}

/// The limits that can be set; see [`Limits`] for units and defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitSettings {
    body_bytes_max: Option<u64>,
    prompt_tokens_max: Option<u32>,
    context_tokens_max: Option<u32>,
    answer_tokens_max: Option<u32>,
    requests_max: Option<u32>,
    requests_per_person_max: Option<u32>,
    completion_check_ms_max: Option<u32>,
    chat_check_ms_max: Option<u32>,
    disk_free_bytes_min: Option<u64>,
}

/// The engine workers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Engine {
    /// The worker program; beside this program when absent.
    pub(crate) program: Option<PathBuf>,
    /// Threads a worker computes with; the machine's cores when absent.
    pub(crate) threads: Option<u32>,
    /// Generations that may wait for a sequence of a worker.
    pub(crate) queue_max: Option<u32>,
    /// Memory of a worker for what conversations left behind when others took their sequence, in MiB.
    pub(crate) kept_mib_max: Option<u64>,
    /// Memory of a worker in MiB, beside its model, which takes a cgroup; no limit when absent.
    pub(crate) memory_mib_max: Option<u64>,
    /// Guessing tokens: `measured` where it pays, `off`, `always`.
    pub(crate) speculation: Speculation,
}

/// The relays to upstream engines.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Relay {
    /// The relay program; beside this program when absent.
    pub(crate) program: Option<PathBuf>,
    /// Generations that may wait for a slot of an upstream engine.
    pub(crate) queue_max: Option<u32>,
    /// Seconds of an upstream engine's silence after which a request fails. A long prompt is evaluated in silence.
    pub(crate) silence_s_max: Option<u32>,
}

/// The jails of all processes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Jail {
    /// What a jail may go without, by name, where the kernel or the host lacks it; nothing when absent.
    accept: Vec<Weaker>,
    /// Processes and threads that each jailed process may have, where there are cgroups; 4096 when absent.
    pub(crate) processes_max: Option<u32>,
    /// Memory of the gateway in MiB, which takes a cgroup; no limit when absent.
    pub(crate) gateway_memory_mib_max: Option<u64>,
}

impl Jail {
    fn limits(&self, memory_mib_max: Option<u64>) -> cgroups::Limits {
        cgroups::Limits {
            memory_bytes_max: memory_mib_max.map(|mib| mib.saturating_mul(1 << 20)),
            processes_max: self.processes_max.unwrap_or(PROCESSES_MAX),
        }
    }

    /// Names of what is accepted, as they cross to other processes.
    pub(crate) fn accept_names(&self) -> Vec<String> {
        weaker::names(&self.accept)
    }
}

/// Why the configuration is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file exists and cannot be read.
    #[error("{0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    /// The file is wrong.
    #[error("{path} is not valid:\n{source}")]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    /// A value is out of its range.
    #[error("{path}: {what}")]
    Value { path: PathBuf, what: String },
}

impl Settings {
    /// Reads `cloister.toml` of a data directory; defaults without one.
    pub(crate) fn read(data: &Path) -> Result<Settings, SettingsError> {
        let path = data.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => Settings::parse(&path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(error) => Err(SettingsError::Read(path, error)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
        let settings: Settings = toml::from_str(text)
            .map_err(|source| SettingsError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let wrong = |what: String| SettingsError::Value { path: path.to_owned(), what };
        if let Some(address) = settings.server.tcp.filter(|address| !address.ip().is_loopback()) {
            return Err(wrong(format!(
                "server.tcp is {address}: only loopback addresses, as 127.0.0.1:8390; others are for encrypted connections, [tls] listen"
            )));
        }
        if settings.jail.processes_max.is_some_and(|processes| processes < PROCESSES_MIN) {
            return Err(wrong(format!("jail.processes_max: {PROCESSES_MIN} at least, since threads count")));
        }
        if settings.engine.threads == Some(0) {
            return Err(wrong("engine.threads is 0: at least one".to_owned()));
        }
        if let Some(folder) = settings.checks.toolchains.iter().find(|folder| !folder.is_absolute()) {
            return Err(wrong(format!("checks.toolchains: {} is no absolute path", folder.display())));
        }
        if settings.provenance.lexemes_min < LEXEMES_MIN
            || settings
                .provenance
                .rules
                .iter()
                .any(|rule| rule.lexemes_min.is_some_and(|min| min < LEXEMES_MIN))
        {
            return Err(wrong(format!(
                "provenance.lexemes_min: {LEXEMES_MIN} at least, since no shorter match is sure to be found"
            )));
        }
        provenance::policy::check(&settings.provenance)
            .map_err(|error| wrong(format!("provenance.rules: {error}")))?;
        if let Some(tls) = &settings.tls {
            tls.check().map_err(wrong)?;
        }
        if let Some(jwt) = &settings.jwt {
            jwt.check().map_err(wrong)?;
        }
        if let Some(proxy) = &settings.proxy {
            proxy.check().map_err(wrong)?;
        }
        Lattice::new(&settings.labels).map_err(|error| wrong(error.to_string()))?;
        for (role, groups) in &settings.roles {
            role.parse::<Role>().map_err(|error| wrong(format!("roles: {error}")))?;
            if let Some(group) = groups.iter().find(|group| !identity::is_name(group)) {
                return Err(wrong(format!("roles.{role}: `{}` cannot be a group", group.escape_debug())));
            }
        }
        if settings.airgap.interval_s == Some(0) {
            return Err(wrong("airgap.interval_s is 0: at least one second".to_owned()));
        }
        if !(1..=SILENCE_S_MAX).contains(&settings.relay.silence_s_max.unwrap_or(1)) {
            return Err(wrong(format!("relay.silence_s_max: 1 to {SILENCE_S_MAX} seconds")));
        }
        Ok(settings)
    }

    /// The gateway's limits.
    pub(crate) fn limits(&self) -> Limits {
        let (set, default) = (&self.limits, Limits::default());
        Limits {
            body_bytes_max: set.body_bytes_max.unwrap_or(default.body_bytes_max),
            prompt_tokens_max: set.prompt_tokens_max.unwrap_or(default.prompt_tokens_max),
            context_tokens_max: set.context_tokens_max.unwrap_or(default.context_tokens_max),
            answer_tokens_max: set.answer_tokens_max.unwrap_or(default.answer_tokens_max),
            requests_max: set.requests_max.unwrap_or(default.requests_max),
            requests_per_person_max: set.requests_per_person_max.unwrap_or(default.requests_per_person_max),
            completion_check_ms_max: set.completion_check_ms_max.unwrap_or(default.completion_check_ms_max),
            chat_check_ms_max: set.chat_check_ms_max.unwrap_or(default.chat_check_ms_max),
            disk_free_bytes_min: set.disk_free_bytes_min.unwrap_or(default.disk_free_bytes_min),
        }
    }

    /// What a worker's cgroup allows.
    pub(crate) fn worker_limits(&self) -> cgroups::Limits {
        self.jail.limits(self.engine.memory_mib_max)
    }

    /// What the gateway's cgroup allows.
    pub(crate) fn gateway_limits(&self) -> cgroups::Limits {
        self.jail.limits(self.jail.gateway_memory_mib_max)
    }

    /// A limit that only a cgroup with the memory controller holds, by its name in the file.
    pub(crate) fn memory_limit(&self) -> Option<&'static str> {
        let gateway = self.jail.gateway_memory_mib_max.map(|_| "jail.gateway_memory_mib_max");
        gateway.or(self.engine.memory_mib_max.map(|_| "engine.memory_mib_max"))
    }

    /// The worker program: the environment's, the file's, or the one beside this program.
    pub(crate) fn engine_program(&self) -> std::io::Result<PathBuf> {
        program(ENGINE_VARIABLE, self.engine.program.as_ref(), "cloister-engine")
    }

    /// The relay program, found likewise.
    pub(crate) fn relay_program(&self) -> std::io::Result<PathBuf> {
        program(RELAY_VARIABLE, self.relay.program.as_ref(), "cloister-relay")
    }

    /// Threads a worker computes with.
    pub(crate) fn threads(&self) -> u32 {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.engine.threads.unwrap_or_else(|| u32::try_from(cores()).unwrap_or(1))
    }
}

fn program(variable: &str, set: Option<&PathBuf>, name: &str) -> std::io::Result<PathBuf> {
    match (std::env::var_os(variable), set) {
        (Some(path), _) => Ok(PathBuf::from(path)),
        (None, Some(path)) => Ok(path.clone()),
        (None, None) => Ok(std::env::current_exe()?.with_file_name(name)),
    }
}

static PASSPHRASE_FLAG: OnceLock<PathBuf> = OnceLock::new();

/// Keeps `--passphrase-file`: any command may come to open keys.
pub(crate) fn set_passphrase_file(flag: Option<PathBuf>) {
    if let Some(path) = flag {
        let _set_before = PASSPHRASE_FLAG.set(path);
    }
}

/// The file of the passphrase: the flag's or the environment's.
pub(crate) fn passphrase_file() -> Option<PathBuf> {
    PASSPHRASE_FLAG.get().cloned().or_else(|| std::env::var_os(PASSPHRASE_VARIABLE).map(PathBuf::from))
}

/// The folder of a service's credentials, where the service manager made one.
pub(crate) fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_VARIABLE).map(PathBuf::from)
}

/// The credential that seals keys, where the service manager hands one over.
pub(crate) fn credential_file() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_VARIABLE).map(|directory| Path::new(&directory).join(CREDENTIAL))
}

/// What a service manager says of the sockets that it opened for this process.
#[derive(Debug)]
pub(crate) struct ListenVariables {
    /// How many.
    pub(crate) count: String,
    /// Their names, with colons between them.
    pub(crate) names: String,
}

/// `None` where no socket is for this process.
pub(crate) fn listen_variables() -> Option<ListenVariables> {
    let [process, count, names] = LISTEN_VARIABLES.map(|name| std::env::var(name).unwrap_or_default());
    (process == std::process::id().to_string()).then_some(ListenVariables { count, names })
}

/// The data directory: the flag's, the environment's, or the user's own.
pub(crate) fn data_directory(flag: Option<PathBuf>) -> PathBuf {
    flag.or_else(|| std::env::var_os(DATA_VARIABLE).map(PathBuf::from)).unwrap_or_else(|| {
        let home =
            std::env::var_os("HOME").map(PathBuf::from).filter(|_| !rustix::process::geteuid().is_root());
        match (std::env::var_os("XDG_DATA_HOME").map(PathBuf::from), home) {
            (Some(data), Some(_)) => data.join("cloister"),
            (None, Some(home)) => home.join(".local/share/cloister"),
            (_, None) => PathBuf::from("/var/lib/cloister"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(Path::new("cloister.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn empty_is_valid() {
        assert_eq!(parse("").unwrap().limits(), Limits::default());
    }

    #[test]
    fn set() {
        let settings =
            parse("deployments = ['a']\n[server]\ntcp = '127.0.0.1:1'\n[limits]\nrequests_max = 3").unwrap();
        assert_eq!(settings.limits().requests_max, 3);
        assert_eq!(settings.server.tcp.unwrap().port(), 1);
    }

    #[test]
    fn wrong_says_where() {
        assert!(parse("[server]\nport = 1").unwrap_err().contains("unknown field `port`"));
        assert!(parse("[server]\ntcp = '0.0.0.0:80'").unwrap_err().contains("loopback"));
        assert!(parse("[limits]\nrequests_max = 'x'").unwrap_err().contains("requests_max"));
        assert!(parse("[relay]\nsilence_s_max = 0").unwrap_err().contains("relay.silence_s_max"));
        assert!(parse("[engine]\nthreads = 0").unwrap_err().contains("threads"));
        assert!(parse("[provenance]\nlexemes_min = 30").unwrap_err().contains("lexemes_min"));
        assert!(parse("[[provenance.rules]]\nlicences = ['GPL-*']").unwrap_err().contains("action"));
    }

    /// A weaker jail that no jail knows would be a word without effect.
    #[test]
    fn only_known_names_are_accepted() {
        let settings = parse("[jail]\naccept = ['no-landlock', 'shared-network-namespace']").unwrap();
        assert_eq!(settings.jail.accept_names(), ["no-landlock", "shared-network-namespace"]);
        let error = parse("[jail]\naccept = ['no-seccomp']").unwrap_err();
        for weaker in Weaker::ALL {
            assert!(error.contains(weaker.name()), "{error}");
        }
        assert!(parse("").unwrap().jail.accept_names().is_empty());
    }

    #[test]
    fn ways_in_are_whole_or_refused() {
        let tls = "[tls]\nlisten = '0.0.0.0:8443'\ncertificate = '/c'\nkey = '/k'\n";
        assert!(parse(tls).is_ok());
        for (more, what) in [
            ("client_ca = '/a'", "crls"),
            ("clients = 'required'", "client_ca"),
            ("client_ca = '/a'\nrevocation = 'none'\ncrls = ['/x']", "revocation"),
            ("client_ca = '/a'\nrevocation = 'maybe'", "maybe"),
            ("client_ca = '/a'\nrevocation = 'none'", "domains"),
            ("cipher = 'RC4'", "cipher"),
        ] {
            let error = parse(&format!("{tls}{more}")).unwrap_err();
            assert!(error.contains(what), "{more}: {error}");
        }
        assert!(parse(&format!("{tls}client_ca = '/a'\ncrls = ['/x']\ndomains = ['site']")).is_ok());
        let jwt = "[jwt]\njwks = '/j'\nissuer = 'https://idp'\naudience = 'cloister'\n";
        assert!(parse(jwt).is_ok());
        for (more, what) in [
            ("algorithms = ['none']", "none"),
            ("algorithms = ['HS256']", "HS256"),
            ("algorithms = []", "algorithms"),
            ("skew_s = 100000", "skew_s"),
        ] {
            let error = parse(&format!("{jwt}{more}")).unwrap_err();
            assert!(error.contains(what), "{more}: {error}");
        }
        assert!(parse("[proxy]\nsocket = '/p'\nuid = 33").is_ok());
        assert!(parse("[proxy]\nsocket = '/p'").unwrap_err().contains("uid"));
        assert!(
            parse("[proxy]\nsocket = '/p'\nuid = 33\nheader = 'Authorization'")
                .unwrap_err()
                .contains("header")
        );
    }
}
