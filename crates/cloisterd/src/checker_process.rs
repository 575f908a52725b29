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
const SCRATCH: &str = "scratch";

const GATEWAY: RawFd = 3;

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
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runner = runner(&data, &settings)?;
    let source = move |name: &str| -> Option<PathBuf> {
        let configured = sources::configured(&data).ok()?;
        configured.get(name).map(|source| source.path.clone())
    };
    let rules = |_: &str| languages::Rules::default();
    checks::serve(stream, Serving { runner, source: Box::new(source), rules: Box::new(rules), threads })?;
    Ok(())
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
