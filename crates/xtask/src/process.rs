//! Running other programs: echoed as a person would type them, and their failure named.

use std::{
    env,
    ffi::OsStr,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    failure::{During as _, Failure},
    places::Places,
};

/// Cargo, in the repository's root, building where [`Places`] says.
///
/// What `cargo run` adds to the environment of this program is taken away again: it would differ
/// from a person's own `cargo build`, and build scripts that look at it would run again.
pub(crate) fn cargo(places: &Places) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let from_run = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR"
        });
        if from_run {
            command.env_remove(&name);
        }
    }
    command.current_dir(&places.root).env("CARGO_TARGET_DIR", &places.target);
    command
}

/// The same command in a network namespace of its own, which holds a loopback and nothing else. As root, or by a user
/// namespace in which the user stays who it is and keeps no capability.
pub(crate) fn without_network(command: &Command) -> Command {
    const LOOPBACK: &str = "ip link set lo up && exec \"$@\"";
    const LOOPBACK_WITHOUT_RIGHTS: &str =
        "ip link set lo up && exec setpriv --ambient-caps=-all --inh-caps=-all \"$@\"";
    let mut isolated = Command::new("unshare");
    if is_root() {
        isolated.args(["--net", "sh", "-c", LOOPBACK]);
    } else {
        let user = ["--user", "--map-current-user", "--keep-caps"];
        isolated.args(user).args(["--net", "sh", "-c", LOOPBACK_WITHOUT_RIGHTS]);
    }
    isolated.arg("without-network").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => isolated.env(name, value),
            None => isolated.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        isolated.current_dir(directory);
    }
    isolated
}

/// Whether this user is root.
pub(crate) fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Echoes and runs `command`; its output goes where this program's goes.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    run_quietly(command)
}

/// [`run`] without the echo.
pub(crate) fn run_quietly(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().during(|| format!("`{}` could not be started", shown(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{}` failed: {status}", shown(command))))
    }
}

/// Runs `command` and returns what it wrote to stdout; stderr goes where this program's goes.
pub(crate) fn output_of(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .during(|| format!("`{}` could not be started", shown(command)))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{}` failed: {}", shown(command), output.status)));
    }
    String::from_utf8(output.stdout)
        .during(|| format!("`{}` wrote something that is no UTF-8", shown(command)))
}

/// Whether `command` runs and ends well, in silence.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The program `name` in PATH.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The command as a shell would take it, with the environment variables that were set for it.
pub(crate) fn shown(command: &Command) -> String {
    let mut text = String::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value.filter(|_| name != "CARGO_TARGET_DIR") {
            let _ = write!(text, "{}={} ", name.to_string_lossy(), quoted(value));
        }
    }
    text.push_str(&words(command));
    text
}

/// [`shown`] without the variables.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // Cargo is called by its path, as the toolchain that runs this program; people call it `cargo`.
    let mut text = if program.file_name() == Some(OsStr::new("cargo")) {
        "cargo".to_owned()
    } else {
        quoted(program.as_os_str())
    };
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&quoted(argument));
    }
    text
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_takes_it() {
        let mut command = Command::new("/usr/bin/cargo");
        command.env("RUSTFLAGS", "-C a=b").args(["build", "it's", "", "src/main.rs:3:1"]);
        assert_eq!(shown(&command), r"RUSTFLAGS='-C a=b' cargo build 'it'\''s' '' src/main.rs:3:1");
    }

    #[test]
    fn a_failure_names_the_command() {
        let failure = run_quietly(Command::new("false").arg("x")).unwrap_err().to_string();
        assert!(failure.starts_with("`false x` failed"), "{failure}");
    }
}
