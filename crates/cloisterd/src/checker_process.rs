//! The process that has compilers run for the gateway: this program again, started with the gateway's other end of a
//! socket pair. It ends with that.
//!
//! It is in no jail of its own, since it makes those of the compilers, which a jailed process cannot (`jail::tool`); no
//! program that it starts can make a socket. It holds no key, reads `cloister.toml` and `sources.toml`, and writes
//! nothing but `scratch/` of the data directory.

use std::error::Error;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use checks::{Runner, Serving, Site};
use jail::spawn::{Child, Command, Program};

use crate::data::Data;
use crate::settings::Settings;
use crate::{host, output, sources};

/// The first argument that makes this program the checker; the second is the data directory.
pub(crate) const ARGUMENT: &str = "checker-process";
/// The first argument that makes this program the launcher of a compiler.
pub(crate) const TOOL_ARGUMENT: &str = "tool-process";
/// As `ps` shows it.
const NAME: &str = "cloister-check";
/// Where compilers write, in the data directory.
const SCRATCH: &str = "scratch/checker";

const GATEWAY: RawFd = 3;
/// The engine goes before compilers.
const NICE: i32 = 5;

/// Starts one. The other descriptor is the gateway's.
pub(crate) fn start(data: &Data) -> Result<(Child, UnixStream), Box<dyn Error>> {
    let (ours, theirs) = UnixStream::pair()?;
    let program = std::env::current_exe()?;
    let root = data.root().to_str().ok_or("the data directory's path is not UTF-8")?;
    let child = jail::spawn::spawn(&Command {
        program: Program::Path(&program),
        name: NAME,
        arguments: &[ARGUMENT, root],
        environment: &[],
        descriptors: &[theirs.as_fd()],
    })?;
    Ok((child, ours))
}

/// Ends when the gateway does.
pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say("the checker failed");
            output::report(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    host::memory::forbid_dumps()?;
    let stream = UnixStream::from(jail::spawn::inherited(GATEWAY)?);
    let root = std::env::args_os().nth(2).ok_or("no data directory is named")?;
    let data = Data::open(Path::new(&root))?;
    let settings = Settings::read(data.root())?;
    // Half of the processors are the engine's.
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).div_ceil(2);
    rustix::process::nice(NICE)?;
    let runner = runner(&data, &settings)?;
    // Read for each order: a source that was removed is used no more.
    let of = {
        let data = data.clone();
        move |name: &str| sources::configured(&data).ok().and_then(|mut configured| configured.remove(name))
    };
    let rules = {
        let of = of.clone();
        move |name: &str| {
            let rules = of(name).map(|source| source.rules).unwrap_or_default();
            languages::Rules { pragmas: rules.pragmas, switches: rules.switches }
        }
    };
    let source = move |name: &str| -> Result<PathBuf, String> {
        let source = of(name).ok_or("it was removed")?;
        match &source.branch {
            Some(branch) if !is_checked_out(&source.path, branch) => {
                Err(format!("its branch {branch} is not the one whose files are on disk"))
            }
            _ => Ok(source.path),
        }
    };
    checks::serve(stream, Serving { runner, source: Box::new(source), rules: Box::new(rules), threads })?;
    Ok(())
}

/// Whether a repository's files on disk are those of that branch.
fn is_checked_out(root: &Path, branch: &str) -> bool {
    let head = std::fs::read_to_string(root.join(".git/HEAD")).unwrap_or_default();
    head.trim_end() == format!("ref: refs/heads/{branch}")
}

/// What runs compilers beside a data directory.
pub(crate) fn runner(data: &Data, settings: &Settings) -> Result<Runner, Box<dyn Error>> {
    // No part of a granted path may be a link.
    let root = data.root().canonicalize()?;
    Ok(Runner {
        launcher: std::env::current_exe()?,
        arguments: &[TOOL_ARGUMENT],
        site: Site::new(&settings.checks.toolchains),
        scratch: root.join(SCRATCH),
    })
}
