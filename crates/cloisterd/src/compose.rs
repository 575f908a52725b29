//! Putting the parts together: the same parts under a running daemon's gateway, and under an
//! administration command that holds the lock itself.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use assist::{Assist, Outside};
use engine::{Deployments, Worker, launch};
use identity::{Action, Credential, Identity, LabelSet};
use ledger::disk::RealDisk;
use ledger::{Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary, Notary, Recovery};
use models::vault::{Deployment, Vault};
use protocol::admin::{Command, Response};
use protocol::control::DeploymentFacts;
use protocol::worker::{VERSION, WorkerSettings};

use crate::data::{Data, Keys};
use crate::output::{self, Hinted};
use crate::settings::Settings;

/// Generations that may wait for a sequence of a worker, where the configuration does not say.
const QUEUE_MAX: u32 = 64;
/// MiB that a worker keeps of conversations whose sequence others have, where the configuration does not say.
const KEPT_MIB_MAX: u64 = 512;

/// Clock and randomness, the real ones.
pub(crate) const OUTSIDE: Outside = Outside { now_unix_s, randomness };

fn now_unix_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn randomness(buffer: &mut [u8]) -> std::io::Result<()> {
    getrandom::fill(buffer).map_err(std::io::Error::from)
}

/// The notary with its key, for who holds the data directory's lock.
pub(crate) fn local_notary(data: &Data) -> Result<(LocalNotary, Keys), Box<dyn Error>> {
    let keys = data.keys()?;
    let notary = LocalNotary::open(&data.path("notary"), &data.origin()?, keys.notary)?;
    Ok((notary, keys))
}

/// The ledger of a data directory.
pub(crate) fn open_ledger(
    data: &Data,
    keys: &Keys,
    verifier: &str,
    notary: impl Notary,
    disk_free_bytes_min: u64,
) -> Result<(Ledger, Recovery), Box<dyn Error>> {
    let config = ledger_config(
        &data.path("ledger"),
        verifier.to_owned(),
        keys.body,
        Box::new(notary),
        disk_free_bytes_min,
    )?;
    Ok(Ledger::open(config)?)
}

/// A ledger on the real disk with the real clock.
pub(crate) fn ledger_config(
    directory: &Path,
    verifier: String,
    body_key: [u8; 32],
    notary: Box<dyn Notary>,
    disk_free_bytes_min: u64,
) -> std::io::Result<LedgerConfig> {
    let disk = Arc::new(RealDisk::create(directory)?);
    let config = LedgerConfig::new(verifier, LedgerKeys { body: body_key }, disk, notary);
    Ok(LedgerConfig { disk_free_bytes_min, ..config })
}

/// The deployments to serve, by the configuration's order.
pub(crate) fn deployments(data: &Data, settings: &Settings) -> Result<Vec<Deployment>, Box<dyn Error>> {
    let vault = Vault::open(&data.path("models"))?;
    match &settings.deployments {
        Some(names) => names.iter().map(|name| Ok(vault.get(name)?)).collect(),
        None => Ok(vault.list()?),
    }
}

/// What the gateway is told of a deployment.
pub(crate) fn facts(deployment: &Deployment) -> DeploymentFacts {
    DeploymentFacts {
        alias: deployment.alias.clone(),
        model: deployment.model,
        template: deployment.template,
        engine_build: deployment.engine_build,
    }
}

/// How a deployment's worker computes.
pub(crate) fn worker_settings(deployment: &Deployment, settings: &Settings) -> WorkerSettings {
    WorkerSettings {
        version: VERSION,
        supervisor_pid: std::process::id(),
        profile: deployment.profile,
        context_tokens: deployment.context_tokens,
        slots: deployment.slots,
        queue_max: settings.engine.queue_max.unwrap_or(QUEUE_MAX),
        threads: deployment.threads.unwrap_or_else(|| settings.threads()),
        kept_bytes_max: settings.engine.kept_mib_max.unwrap_or(KEPT_MIB_MAX) << 20,
        speculation: settings.engine.speculation,
    }
}

/// The worker program, refused when a deployment pins another.
pub(crate) fn frozen_program(settings: &Settings) -> Result<launch::Frozen, Box<dyn Error>> {
    let path = settings.engine_program()?;
    launch::freeze_program(&path).map_err(|error| {
        let hint = "build it with `cargo xtask build`, or name it as engine.program in cloister.toml";
        Hinted::new(format!("no engine worker: {error}"), hint).into()
    })
}

/// A deployment's model in a sealed file, with a progress bar.
pub(crate) fn frozen_model(data: &Data, deployment: &Deployment) -> Result<launch::Frozen, Box<dyn Error>> {
    let vault = Vault::open(&data.path("models"))?;
    let bar = output::progress(&format!("checking {}", deployment.alias));
    bar.set_length(deployment.model_bytes);
    let frozen =
        launch::freeze_model(&vault.blob_path(&deployment.model), &mut |done| bar.set_position(done))?;
    bar.finish_and_clear();
    frozen.expect(deployment.model)?;
    Ok(frozen)
}

/// Runs an administration command here, under the lock that the caller holds.
pub(crate) fn administer(data: &Data, command: Command) -> Result<Response, Box<dyn Error>> {
    let settings = Settings::read(data.root())?;
    let (notary, keys) = local_notary(data)?;
    let verifier = notary.verifier();
    let (ledger, recovery) =
        open_ledger(data, &keys, &verifier, notary, settings.limits().disk_free_bytes_min)?;
    report_recovery(&recovery);
    let identity = Identity::open(&data.path("identity"), data.owner_uid())?;
    // Only a replay needs a worker.
    let served = match command {
        Command::Replay { .. } => deployments(data, &settings)?,
        _ => Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let response = runtime.block_on(async {
        let up = Arc::new(Deployments::new(served.iter().map(facts).collect()));
        let mut children = Vec::new();
        for deployment in &served {
            children.push(launch_here(data, &settings, deployment, &up).await?);
        }
        let assist = Assist::new(identity, ledger.clone(), up, settings.limits(), OUTSIDE, keys.fingerprint);
        let response = assist.administer(rustix::process::geteuid().as_raw(), command).await;
        assist.finish().await;
        Ok::<_, Box<dyn Error>>(response)
    })?;
    drop(runtime);
    ledger.close()?;
    Ok(response)
}

/// Writes down a change of what serves, made by the user who runs this, under the lock they hold.
pub(crate) fn record_change(
    data: &Data,
    action: &str,
    subject: &str,
    detail: String,
) -> Result<(), Box<dyn Error>> {
    let identity = Identity::open(&data.path("identity"), data.owner_uid())?;
    let uid = rustix::process::geteuid().as_raw();
    let principal = identity.authenticate(&Credential::Peer { uid })?;
    let asked = Action::Administer { command: action.to_owned() };
    let decision = identity::decide(&principal, &asked, &LabelSet::default());
    if !decision.allowed {
        return Err(Hinted::new(decision.reason, "run this as the user that owns the data directory").into());
    }
    let (notary, keys) = local_notary(data)?;
    let verifier = notary.verifier();
    let (ledger, recovery) = open_ledger(data, &keys, &verifier, notary, 0)?;
    report_recovery(&recovery);
    let change = Event::Administration {
        actor: format!("{} ({})", principal.name, principal.credential),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
    };
    ledger.append_blocking(Entry { event: change, body: None })?;
    Ok(ledger.close()?)
}

async fn launch_here(
    data: &Data,
    settings: &Settings,
    deployment: &Deployment,
    up: &Deployments,
) -> Result<jail::spawn::Child, Box<dyn Error>> {
    let program = frozen_program(settings)?;
    program.expect(deployment.engine_build)?;
    let model = frozen_model(data, deployment)?;
    let launched = launch::launch(&program, &model, &worker_settings(deployment, settings))?;
    let (worker, ready) = Worker::connect(launched.socket).await?;
    up.set(&deployment.alias, worker, ready);
    Ok(launched.child)
}

/// Says what an earlier crash left.
pub(crate) fn report_recovery(recovery: &Recovery) {
    for tail in &recovery.set_aside {
        output::say(&format!(
            "ledger: {} bytes at {} of {} were damaged and are set aside as {}; leaf {} records it",
            tail.bytes, tail.offset, tail.file, tail.moved_to, tail.leaf
        ));
    }
}
