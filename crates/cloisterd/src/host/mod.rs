//! What the host gives and lacks, beside what the jails need of it: cgroups, descriptors of a service manager, and
//! what would carry memory to a disk.

pub(crate) mod activation;
pub(crate) mod cgroups;
pub(crate) mod memory;

use std::error::Error;

use jail::spawn::Child;

use self::cgroups::{Cgroups, Limits};
use crate::output::{self, Hinted};
use crate::settings::Settings;

/// The cgroups for our children. Without any, that is said once, and a limit that needs one is refused.
pub(crate) fn cgroups_of(settings: &Settings) -> Result<Option<Cgroups>, Box<dyn Error>> {
    let taken = Cgroups::take();
    let limits_memory = taken.as_ref().is_ok_and(Cgroups::limit_memory);
    if let Some(limit) = settings.memory_limit().filter(|_| !limits_memory) {
        let hint =
            "delegate a cgroup with the memory controller (systemd: Delegate=yes), or remove the limit";
        let lacking = Hinted::new(format!("{limit} is set, and no cgroup can hold it"), hint);
        return Err(match taken {
            Ok(_) => lacking.into(),
            Err(absent) => lacking.because(absent).into(),
        });
    }
    Ok(taken
        .inspect_err(|absent| {
            let why = output::on_one_line(absent);
            output::say(&format!("no cgroups for the jailed processes, so limits by rlimit only: {why}"));
        })
        .ok())
}

/// Puts a child into a cgroup of its own, where there are any.
pub(crate) fn confine(
    cgroups: Option<&Cgroups>,
    name: &str,
    child: &Child,
    limits: Limits,
) -> Result<(), Box<dyn Error>> {
    let Some(cgroups) = cgroups else { return Ok(()) };
    let confined = cgroups.confine(name, child.pid(), limits);
    confined.map_err(|error| format!("the {name} cannot be put into a cgroup of its own: {error}").into())
}
