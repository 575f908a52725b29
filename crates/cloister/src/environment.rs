//! Every environment variable this command reads. Nothing else in the crate reads the environment.

use std::env;
use std::path::PathBuf;

/// Names the server, as `--server` does.
pub(crate) const SERVER: &str = "CLOISTER_SERVER";
/// The token's text. `token_file` in the configuration keeps it out of the environment.
pub(crate) const TOKEN: &str = "CLOISTER_TOKEN";
/// The server's authorities, PEM, as `ca_file` in the configuration.
pub(crate) const CA: &str = "CLOISTER_CA";
/// Where `cloister/config.toml` lies.
pub(crate) const CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Where `cloister/receipts.jsonl` lies.
pub(crate) const STATE_HOME: &str = "XDG_STATE_HOME";
/// Where a daemon of one's own keeps its data directory.
pub(crate) const DATA_HOME: &str = "XDG_DATA_HOME";
/// The default of the three above lies in it.
pub(crate) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// The environment, as it was at the start.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    /// [`SERVER`].
    pub(crate) server: Option<String>,
    /// [`TOKEN`].
    pub(crate) token: Option<String>,
    /// [`CA`].
    pub(crate) ca: Option<PathBuf>,
    /// [`CONFIG_HOME`], or `~/.config`.
    pub(crate) config_home: Option<PathBuf>,
    /// [`STATE_HOME`], or `~/.local/state`.
    pub(crate) state_home: Option<PathBuf>,
    /// [`DATA_HOME`], or `~/.local/share`.
    pub(crate) data_home: Option<PathBuf>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let text = |name| env::var(name).ok().filter(|text| !text.is_empty());
        // The XDG specification: a relative path counts as absent.
        let directory =
            |name| env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
        let home = directory(HOME);
        let or_home =
            |name, below: &str| directory(name).or_else(|| home.as_ref().map(|home| home.join(below)));
        Environment {
            server: text(SERVER),
            token: text(TOKEN),
            ca: env::var_os(CA).filter(|path| !path.is_empty()).map(PathBuf::from),
            config_home: or_home(CONFIG_HOME, ".config"),
            state_home: or_home(STATE_HOME, ".local/state"),
            data_home: or_home(DATA_HOME, ".local/share"),
        }
    }
}
