use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use ledger::Recovery;
use ledger::disk::RealDisk;
use ledger::doctor::{self, Diagnosis};
use ledger::verify::{Options, Problem};
use serde_json::json;

use super::Outcome;
use crate::compose;
use crate::data::{Data, Keys};
use crate::output::{self, Hinted};

/// Leaves that the index takes in at a time.
const INDEX_LEAVES: u64 = 10_000;

/// Says what is wrong with the ledger, and mends what holds nothing acknowledged; the daemon must be stopped.
///
/// It mends a torn end of the write-ahead log (set aside, as the daemon's start does), what crashes leave
/// behind, and `relations` and `index.db`, which are made again from the leaves. Where anything else is damaged
/// it names the place and touches nothing: restore a backup (docs/backup.md).
///
/// Exit codes: 0 the ledger is whole, or was mended; 1 it is damaged.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Overwrite and remove this file of ledger/set-aside, a damaged tail that was set aside: it may hold bodies
    /// of nobody's record. That is recorded before.
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    set_aside_destroy: Option<String>,
}

impl Doctor {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let data = Data::open(data)?;
        let _lock = data.try_lock()?.ok_or_else(|| {
            Hinted::new(
                "the daemon holds the data directory",
                "stop it; a running ledger is looked at with `cloister ledger verify`",
            )
        })?;
        let disk = RealDisk::existing(&data.path("ledger"))
            .map_err(|error| Hinted::new(format!("there is no ledger: {error}"), RESTORE))?;
        match self.set_aside_destroy {
            Some(name) => destroy(&data, &disk, &name),
            None => examine(&data, &disk, self.json),
        }
    }
}

const RESTORE: &str = "restore a backup: `cloisterd ledger restore --from DIR`; docs/backup.md";

fn destroy(data: &Data, disk: &RealDisk, name: &str) -> Outcome {
    let (bytes, digest) = doctor::set_aside(disk, name)?;
    compose::record_change(data, "ledger set-aside destroy", name, format!("{bytes} bytes, {digest}"))?;
    doctor::destroy_set_aside(disk, name)?;
    output::say(&format!("destroyed {name}; the ledger has a leaf of it"));
    Ok(ExitCode::SUCCESS)
}

fn examine(data: &Data, disk: &RealDisk, json: bool) -> Outcome {
    let keys = data.keys()?;
    let found = diagnose(data, disk, &keys)?;
    let (mut after, mut recovery) = (found.clone(), Recovery::default());
    if found.damage.is_empty() {
        found.mend(disk)?;
    }
    if found.damage.is_empty() && !found.ailments.is_empty() {
        recovery = open_once(data, &keys)?;
        after = diagnose(data, disk, &keys)?;
    }
    let whole = after.damage.is_empty() && after.ailments.is_empty();
    let verdict = match (whole, found.ailments.is_empty()) {
        (true, true) => "healthy",
        (true, false) => "mended",
        (false, _) => "damaged",
    };
    if json {
        let set_aside: Vec<&str> = recovery.set_aside.iter().map(|tail| tail.moved_to.as_str()).collect();
        let document = json!({ "verdict": verdict, "found": found, "set_aside": set_aside, "after": after });
        output::line(&document.to_string())?;
    } else {
        for ailment in &found.ailments {
            output::line(&format!("found: {}: {}", ailment.file, ailment.what))?;
        }
        for problem in &after.damage {
            output::line(&format!("damage: {}{}", place(problem), problem.what))?;
        }
        if found.spares > 0 && found.damage.is_empty() {
            let spares = found.spares;
            output::line(&format!("removed {spares} prepared segments that were never used"))?;
        }
        if found.leaves_waiting > 0 {
            let waiting = found.leaves_waiting;
            output::line(&format!("{waiting} leaves wait in the write-ahead log; opening integrates them"))?;
        }
        compose::report_recovery(&recovery);
        let (good, signed) = (after.good_up_to, after.leaves_signed);
        output::line(&format!("{verdict}: the first {good} of {signed} signed leaves are good"))?;
        if !whole {
            output::say(&format!("nothing acknowledged was touched; {RESTORE}"));
        }
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn diagnose(data: &Data, disk: &RealDisk, keys: &Keys) -> Result<Diagnosis, Box<dyn std::error::Error>> {
    let mut notary = compose::notary(data, keys)?;
    let verifier = notary.verifier();
    let keys = Some(compose::ledger_keys(keys.body, keys.body_older));
    let options = Options { verifier: Some(verifier.clone()), keys, ..Options::default() };
    Ok(doctor::diagnose(disk, &options, &verifier.parse()?, &mut notary)?)
}

/// Opening mends what is left, and the index is made again.
fn open_once(data: &Data, keys: &Keys) -> Result<Recovery, Box<dyn std::error::Error>> {
    let notary = compose::notary(data, keys)?;
    let verifier = notary.verifier();
    let (ledger, recovery) = compose::open_ledger(data, keys, &verifier, notary, 0)?;
    while !ledger.catch_up_index(INDEX_LEAVES)? {}
    ledger.close()?;
    Ok(recovery)
}

fn place(problem: &Problem) -> String {
    let mut place = String::new();
    if let Some(file) = &problem.file {
        place = problem.offset.map_or_else(|| format!("{file}: "), |offset| format!("{file} at {offset}: "));
    }
    if let Some(leaf) = problem.index {
        place.push_str(&format!("leaf {leaf}: "));
    }
    place
}
