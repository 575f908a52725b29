use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use engine::launch;
use jail::probe::{ProbeResult, Verdict};
use protocol::control::{PACKET_BYTES_MAX, Setup, ToGateway, VERSION};

use super::Outcome;
use crate::data::Data;
use crate::settings::Settings;
use crate::{compose, output, supervisor};

/// The jails that the processes run in.
#[derive(Debug, Subcommand)]
pub(crate) enum Jail {
    /// Tries to get out of the engine's and the gateway's jail, from every thread, and tries the same
    /// outside, where it must succeed. Exits with 1 if anything got out.
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
        let rows = [
            ("outside", jail::probe::control()),
            ("engine", probe_engine(&data, &settings)?),
            ("gateway", probe_gateway(&data, &settings)?),
        ];
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

fn probe_engine(data: &Data, settings: &Settings) -> Result<Vec<ProbeResult>, Box<dyn std::error::Error>> {
    let program = compose::frozen_program(settings)?;
    let deployments = compose::deployments(data, settings)?;
    let deployment = deployments.first().ok_or("there is no deployment to probe with")?;
    let model = compose::frozen_model(data, deployment)?;
    let launched = launch::launch_probe(&program, &model, &compose::worker_settings(deployment, settings))?;
    let mut answer = Vec::new();
    (&launched.socket).read_to_end(&mut answer)?;
    launched.child.wait()?;
    Ok(serde_json::from_slice(&answer)?)
}

fn probe_gateway(data: &Data, settings: &Settings) -> Result<Vec<ProbeResult>, Box<dyn std::error::Error>> {
    let (channel, child) = supervisor::spawn_gateway(&["--probe"])?;
    let setup = Setup {
        version: VERSION,
        supervisor_pid: std::process::id(),
        data: data.root().to_str().ok_or("the data directory's path is not UTF-8")?.to_owned(),
        origin: String::new(),
        verifier: String::new(),
        body_key: [0; 32],
        fingerprint_key: [0; 32],
        owner_uid: data.owner_uid(),
        deployments: Vec::new(),
        limits: settings.limits(),
    };
    supervisor::send(&channel, &ToGateway::Setup(Box::new(setup)), &[])?;
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let answer = channel.recv(&mut packet)?;
    child.wait()?;
    let (len, _) = answer.ok_or("the gateway could not be jailed; its reason is above")?;
    Ok(serde_json::from_slice(&packet[..len])?)
}
