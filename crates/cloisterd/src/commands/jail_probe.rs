use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use jail::probe::{ProbeResult, Verdict};
use models::deployment::Lock;
use protocol::control::{PACKET_BYTES_MAX, Setup, ToGateway, VERSION};

use super::Outcome;
use crate::compose::Pinned;
use crate::data::Data;
use crate::import_process::{self, Answer, FilePath, PROBE, Task};
use crate::importer::Importer;
use crate::settings::Settings;
use crate::{compose, output, served, supervisor};

/// The jails that the processes run in.
#[derive(Debug, Subcommand)]
pub(crate) enum Jail {
    /// Tries to get out of the engine's, the relay's, the gateway's and the importer's jail, from every thread, and
    /// tries the same outside, where it must succeed. Exits with 1 if anything got out. An upstream engine has to be
    /// there: that its relay reaches it is tried too.
    Probe {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Jail {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let Jail::Probe { json } = self;
        let data = Data::open(data)?;
        let settings = Settings::read(data.root())?;
        let mut rows = vec![("outside", jail::probe::control())];
        rows.extend(probe_workers(&data, &settings)?);
        rows.push(("gateway", probe_gateway(&data, &settings)?));
        rows.push(("importer", probe_importer(&data, &settings)?));
        let failed = rows.iter().flat_map(|(_, rows)| rows).any(|row| matches!(row.verdict, Verdict::Fail));
        if json {
            output::line(&serde_json::to_string(&rows)?)?;
        } else {
            for (place, rows) in &rows {
                rows.iter().try_for_each(|row| output::line(&format!("{place:8} {row}")))?;
            }
            output::say(if failed {
                "FAIL: something got out, or the control failed"
            } else {
                "nothing got out"
            });
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// What was tried in the jail of that name.
type Probed = (&'static str, Vec<ProbeResult>);

/// The engine's jail with the first model, and the relay's with every upstream engine: each has a socket.
fn probe_workers(data: &Data, settings: &Settings) -> Result<Vec<Probed>, Box<dyn std::error::Error>> {
    let mut locks = served::locks(data, settings, &served::verifier(data)?)?;
    let mut engines = 0;
    locks.retain(|lock| {
        let is_model = matches!(lock, Lock::Model(_));
        engines += usize::from(is_model);
        !is_model || engines == 1
    });
    if locks.is_empty() {
        return Err("there is no deployment to probe with".into());
    }
    let mut rows = Vec::new();
    for deployment in compose::pinned(data, settings, locks)? {
        let launched = deployment.launch_probe(settings)?;
        let mut answer = Vec::new();
        (&launched.socket).read_to_end(&mut answer)?;
        launched.child.wait()?;
        if answer.is_empty() {
            return Err(format!("{} could not be jailed; its reason is above", deployment.alias()).into());
        }
        let place = match deployment {
            Pinned::Model { .. } => "engine",
            Pinned::Upstream { .. } => "relay",
        };
        rows.push((place, serde_json::from_slice(&answer)?));
    }
    Ok(rows)
}

fn probe_gateway(data: &Data, settings: &Settings) -> Result<Vec<ProbeResult>, Box<dyn std::error::Error>> {
    // A data directory that never served has none, and what is not there cannot be granted.
    crate::sources::make_folder(data)?;
    crate::corpora::make_folder(data)?;
    crate::policies::make_folder(data)?;
    let supervisor::SpawnedGateway { channel, child, oversight: _oversight } =
        supervisor::spawn_gateway(data, &["--probe"])?;
    let setup = Setup {
        version: VERSION,
        supervisor_pid: std::process::id(),
        data: data.root().to_str().ok_or("the data directory's path is not UTF-8")?.to_owned(),
        origin: String::new(),
        verifier: String::new(),
        body_key: [0; 32],
        body_key_older: None,
        fingerprint_key: [0; 32],
        owner_uid: data.owner_uid(),
        deployments: Vec::new(),
        sources: Vec::new(),
        corpora: Vec::new(),
        provenance: settings.provenance.clone(),
        labels: settings.labels.clone(),
        roles: settings.roles.clone(),
        limits: settings.limits(),
        qualified_only: settings.models.qualified_only,
        clock: protocol::control::ClockState::default(),
        accept: settings.jail.accept_names(),
        listeners: Vec::new(),
        access: None,
    };
    supervisor::send(&channel, &ToGateway::Setup(Box::new(setup)), &[])?;
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let answer = channel.recv(&mut packet)?;
    child.wait()?;
    let (len, _) = answer.ok_or("the gateway could not be jailed; its reason is above")?;
    Ok(serde_json::from_slice(&packet[..len])?)
}

/// The vault's descriptions stand for a medium: they may be read, and must not be written by it either.
fn probe_importer(data: &Data, settings: &Settings) -> Result<Vec<ProbeResult>, Box<dyn std::error::Error>> {
    served::vault(data)?;
    let task = import_process::Import {
        medium: FilePath::absolute(&data.path("models/objects"))?,
        vault: FilePath::absolute(&data.path("models"))?,
        name: None,
        version: None,
        kind: None,
        signature: None,
        serve: false,
        corpus: false,
        unsigned: false,
        now_unix_s: 0,
    };
    let accept = settings.jail.accept_names();
    match Importer::start(Task::Import(Box::new(task)), accept, &[PROBE])?.next()? {
        Answer::Probed { rows } => Ok(serde_json::from_slice(&rows)?),
        other => Err(format!("the importer answered {other:?}, and no probe").into()),
    }
}
