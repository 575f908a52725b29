//! Putting the parts together: the same parts under a running daemon's gateway, and under an
//! administration command that holds the lock itself.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use assist::{Assist, Outside, Parts, Supervised, Supervision};
use checks::Checkers;
use engine::{Deployments, Worker, launch};
use identity::{
    Asked, Asking, Circumstances, Credential, Identity, Lattice, PolicyFile, RolesOfGroups, Verb,
};
use ledger::disk::RealDisk;
use ledger::{Entry, Event, Ledger, LedgerConfig, LedgerKeys, LocalNotary, Notary, Recovery};
use models::deployment::{Deployment, Lock, Upstream};
use models::vault::Vault;
use protocol::Digest;
use protocol::admin::{Command, Response};
use protocol::context::Stage;
use protocol::control::{ClockState, CpuFacts, DeploymentFacts, Source};
use protocol::relay::RelaySettings;
use protocol::worker::{Ready, WorkerSettings};
use provenance::library::Library;
use retrieval::Sources;

use crate::data::{Data, Keys};
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::sources::Indexes;
use crate::{policies, served, sources};

/// Generations that may wait for a sequence of a worker, where the configuration does not say.
const QUEUE_MAX: u32 = 64;
/// MiB that a worker keeps of conversations whose sequence others have, where the configuration does not say.
const KEPT_MIB_MAX: u64 = 512;
/// Seconds that an upstream engine may be silent, where the configuration does not say.
const SILENCE_S_MAX: u32 = 300;

/// A deployment with what its worker is started from, all of it as the lock says.
pub(crate) enum Pinned {
    /// An engine worker of ours.
    Model { deployment: Box<Deployment>, program: Rc<launch::Frozen>, model: launch::Frozen },
    /// A relay to an upstream engine.
    Upstream { upstream: Upstream, program: Rc<launch::Frozen> },
}

/// Clock and randomness, the real ones.
pub(crate) const OUTSIDE: Outside = Outside { now_unix_s, randomness };

/// The time, in seconds since 1970.
pub(crate) fn now_unix_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn randomness(buffer: &mut [u8]) -> std::io::Result<()> {
    getrandom::fill(buffer).map_err(std::io::Error::from)
}

/// How this machine's clock stands now.
pub(crate) fn clock_state() -> ClockState {
    let Some(clock) = jail::clock::state() else { return ClockState::default() };
    let error_ms = u64::try_from(clock.error_us_max).ok().map(|error_us| error_us.div_ceil(1000));
    ClockState {
        synchronised: Some(clock.synchronised),
        error_ms_max: error_ms.filter(|_| clock.synchronised),
    }
}

/// The notary with its key, for who holds the data directory's lock.
pub(crate) fn local_notary(data: &Data) -> Result<(LocalNotary, Keys), Box<dyn Error>> {
    let keys = data.keys()?;
    Ok((notary(data, &keys)?, keys))
}

/// The notary of keys that are open already.
pub(crate) fn notary(data: &Data, keys: &Keys) -> Result<LocalNotary, Box<dyn Error>> {
    let notary = LocalNotary::open(&data.path("notary"), &data.origin()?, keys.notary)?;
    Ok(match keys.notary_ml_dsa {
        Some(seed) => notary.signing_twice(seed, ledger::system_clock())?,
        None => notary,
    })
}

/// What opens bodies: an older key too, while a change of keys is not finished.
pub(crate) fn ledger_keys(body: [u8; 32], older: Option<[u8; 32]>) -> LedgerKeys {
    let keys = LedgerKeys::new(body);
    match older {
        Some(older) => keys.with_older(older),
        None => keys,
    }
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
        ledger_keys(keys.body, keys.body_older),
        Box::new(notary),
        disk_free_bytes_min,
        clock_state(),
    )?;
    Ok(Ledger::open(config)?)
}

/// A ledger on the real disk with the real clock.
pub(crate) fn ledger_config(
    directory: &Path,
    verifier: String,
    keys: LedgerKeys,
    notary: Box<dyn Notary>,
    disk_free_bytes_min: u64,
    clock_state: ClockState,
) -> std::io::Result<LedgerConfig> {
    let disk = Arc::new(RealDisk::create(directory)?);
    let config = LedgerConfig::new(verifier, keys, disk, notary);
    Ok(LedgerConfig { disk_free_bytes_min, clock_state: Some(clock_state), ..config })
}

/// Freezes what the deployments are started from; refused when anything is not as its lock says. A program is
/// read once, and only where a deployment needs it.
pub(crate) fn pinned(
    data: &Data,
    settings: &Settings,
    locks: Vec<Lock>,
) -> Result<Vec<Pinned>, Box<dyn Error>> {
    let (mut engine, mut relay) = (None, None);
    let mut pinned = Vec::new();
    for lock in locks {
        pinned.push(match lock {
            Lock::Model(deployment) => {
                let program = once(&mut engine, || frozen_program(settings))?;
                expect(&program, deployment.engine_build, "engine")?;
                let model = frozen_model(data, &deployment)?;
                Pinned::Model { deployment, program, model }
            }
            Lock::Upstream(upstream) => {
                let program = once(&mut relay, || frozen_relay(settings))?;
                expect(&program, upstream.relay_build, "relay")?;
                Pinned::Upstream { upstream, program }
            }
        });
    }
    Ok(pinned)
}

fn once(
    place: &mut Option<Rc<launch::Frozen>>,
    freeze: impl FnOnce() -> Result<launch::Frozen, Box<dyn Error>>,
) -> Result<Rc<launch::Frozen>, Box<dyn Error>> {
    let frozen = match place.take() {
        Some(frozen) => frozen,
        None => Rc::new(freeze()?),
    };
    Ok(Rc::clone(place.insert(frozen)))
}

fn expect(program: &launch::Frozen, pinned: Digest, what: &str) -> Result<(), Box<dyn Error>> {
    program.expect(pinned).map_err(|error| {
        let hint = format!("if you changed the {what} on purpose: `cloisterd model deploy`");
        Hinted::new(error.to_string(), hint).into()
    })
}

impl Pinned {
    /// The name clients use.
    pub(crate) fn alias(&self) -> &str {
        match self {
            Pinned::Model { deployment, .. } => deployment.alias.as_str(),
            Pinned::Upstream { upstream, .. } => upstream.alias.as_str(),
        }
    }

    /// Its lock's digest.
    pub(crate) fn lock(&self) -> Digest {
        match self {
            Pinned::Model { deployment, .. } => Lock::Model(deployment.clone()).digest(),
            Pinned::Upstream { upstream, .. } => Lock::Upstream(upstream.clone()).digest(),
        }
    }

    /// What the gateway is told of it.
    pub(crate) fn facts(&self) -> DeploymentFacts {
        let (alias, lock) = (self.alias().to_owned(), self.lock());
        match self {
            Pinned::Model { deployment, .. } => DeploymentFacts {
                alias,
                source: Source::Model { model: deployment.model, template: deployment.template },
                engine_build: deployment.engine_build,
                lock,
                cpu: Some(CpuFacts {
                    level: deployment.cpu_level.clone(),
                    features: deployment.cpu_features.clone(),
                }),
                labels: deployment.labels.clone(),
                training_data: deployment.training_data.clone(),
            },
            Pinned::Upstream { upstream, .. } => DeploymentFacts {
                alias,
                source: Source::Upstream { socket: upstream.upstream.clone() },
                engine_build: upstream.relay_build,
                lock,
                cpu: None,
                labels: upstream.labels.clone(),
                training_data: String::new(),
            },
        }
    }

    /// Starts its worker.
    pub(crate) fn launch(&self, settings: &Settings) -> Result<launch::Launched, launch::LaunchError> {
        match self {
            Pinned::Model { deployment, program, model } => {
                launch::launch(program, model, &worker_settings(deployment, settings))
            }
            Pinned::Upstream { upstream, program } => {
                launch::launch_relay(program, &relay_settings(upstream, settings))
            }
        }
    }

    /// Starts one that only tries to get out.
    pub(crate) fn launch_probe(&self, settings: &Settings) -> Result<launch::Launched, launch::LaunchError> {
        match self {
            Pinned::Model { deployment, program, model } => {
                launch::launch_probe(program, model, &worker_settings(deployment, settings))
            }
            Pinned::Upstream { upstream, program } => {
                launch::launch_relay_probe(program, &relay_settings(upstream, settings))
            }
        }
    }
}

/// How a deployment's relay speaks to its upstream engine.
fn relay_settings(upstream: &Upstream, settings: &Settings) -> RelaySettings {
    RelaySettings {
        version: protocol::relay::VERSION,
        supervisor_pid: std::process::id(),
        socket: upstream.upstream.clone(),
        model: upstream.model_stated.clone(),
        queue_max: settings.relay.queue_max.unwrap_or(QUEUE_MAX),
        silence_ms_max: settings.relay.silence_s_max.unwrap_or(SILENCE_S_MAX).saturating_mul(1000),
        accept: settings.jail.accept_names(),
    }
}

/// How a deployment's worker computes.
fn worker_settings(deployment: &Deployment, settings: &Settings) -> WorkerSettings {
    WorkerSettings {
        version: protocol::worker::VERSION,
        supervisor_pid: std::process::id(),
        profile: deployment.profile,
        device: deployment.device(),
        context_tokens: deployment.context_tokens,
        slots: deployment.slots,
        queue_max: settings.engine.queue_max.unwrap_or(QUEUE_MAX),
        threads: deployment.threads.unwrap_or_else(|| settings.threads()),
        kept_bytes_max: settings.engine.kept_mib_max.unwrap_or(KEPT_MIB_MAX) << 20,
        speculation: settings.engine.speculation,
        accept: settings.jail.accept_names(),
    }
}

/// The worker program, refused when a deployment pins another.
pub(crate) fn frozen_program(settings: &Settings) -> Result<launch::Frozen, Box<dyn Error>> {
    let path = settings.engine_program()?;
    launch::freeze_program(&path).map_err(|error| {
        let hint = "build it with `cargo xtask build`, or name it as engine.program in cloister.toml";
        Hinted::new("there is no engine worker", hint).because(error).into()
    })
}

/// The relay program.
pub(crate) fn frozen_relay(settings: &Settings) -> Result<launch::Frozen, Box<dyn Error>> {
    let path = settings.relay_program()?;
    launch::freeze_program(&path).map_err(|error| {
        let hint = "build it with `cargo xtask build`, or name it as relay.program in cloister.toml";
        Hinted::new("there is no relay", hint).because(error).into()
    })
}

/// Freezes what a lock that does not serve any more is started from: the engine is the one it pins, which the
/// vault has kept.
pub(crate) fn pinned_once(data: &Data, settings: &Settings, lock: Lock) -> Result<Pinned, Box<dyn Error>> {
    let Lock::Model(deployment) = lock else {
        return Err("an upstream engine answered, whose answers cannot be reproduced".into());
    };
    let mut program = frozen_program(settings)?;
    if program.digest != deployment.engine_build {
        let vault = Vault::open(&data.path("models"))?;
        program = launch::freeze_program(&vault.blob_path(&deployment.engine_build))?;
        program.expect(deployment.engine_build)?;
    }
    let model = frozen_model(data, &deployment)?;
    Ok(Pinned::Model { deployment, program: Rc::new(program), model })
}

/// Starts a worker once, to see that it comes up and what it states of itself.
pub(crate) fn try_worker(
    data: &Data,
    settings: &Settings,
    deployment: &Deployment,
) -> Result<Ready, Box<dyn Error>> {
    let program = Rc::new(frozen_program(settings)?);
    expect(&program, deployment.engine_build, "engine")?;
    let model = frozen_model(data, deployment)?;
    let launched = launch::launch(&program, &model, &worker_settings(deployment, settings))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let ready = runtime.block_on(async {
        let (worker, ready) = Worker::connect(launched.socket).await?;
        drop(worker);
        Ok::<_, Box<dyn Error>>(ready)
    });
    drop(runtime);
    launched.child.kill()?;
    launched.child.wait()?;
    ready.map_err(|error| format!("{} cannot be served: {error}", deployment.title).into())
}

/// A deployment's model in a sealed file, with a progress bar.
fn frozen_model(data: &Data, deployment: &Deployment) -> Result<launch::Frozen, Box<dyn Error>> {
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
    let identity = Arc::new(identity_of(data, &settings)?);
    let admissions = ledger.admissions()?;
    let context = Arc::new(Sources::default());
    if command.is_of_sources() {
        open_sources(data, &context)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let response = runtime.block_on(async {
        let supervision = Arc::new(HereAndNow { data: data.clone(), settings: settings.clone(), verifier });
        let assist = Assist::new(Parts {
            identity,
            ledger: ledger.clone(),
            deployments: Arc::new(Deployments::new(Vec::new())),
            limits: settings.limits(),
            outside: OUTSIDE,
            fingerprint_key: keys.fingerprint,
            admissions,
            context,
            checkers: Checkers::default(),
            library: Arc::new(Library::default()),
            provenance: settings.provenance.clone(),
            supervision,
            qualified_only: settings.models.qualified_only,
        });
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
    record_change_by(data, &data.keys()?, action, subject, detail)
}

/// Likewise, by keys that are open already.
pub(crate) fn record_change_by(
    data: &Data,
    keys: &Keys,
    action: &str,
    subject: &str,
    detail: String,
) -> Result<(), Box<dyn Error>> {
    let identity = identity_of(data, &Settings::read(data.root())?)?;
    let uid = rustix::process::geteuid().as_raw();
    let principal = identity.authenticate(&Credential::Peer { uid })?;
    let notary = notary(data, keys)?;
    let verifier = notary.verifier();
    let (ledger, recovery) = open_ledger(data, keys, &verifier, notary, 0)?;
    report_recovery(&recovery);
    let policy = assist::policy_of(&ledger, policies::read(&data.path(policies::FOLDER)));
    let circumstances = Circumstances { time_unix_s: now_unix_s(), dialect: "admin" };
    let asking = Asking::new(policy.map(Arc::new).map_err(Arc::from), &principal, circumstances);
    let decision = asking.decide(&Asked::of_server(Verb::Administer, action));
    if !decision.allowed {
        ledger.close()?;
        return Err(Hinted::new(decision.reason, "run this as the user that owns the data directory").into());
    }
    let change = Event::Administration {
        actor: format!("{} ({})", principal.name, principal.credential),
        action: action.to_owned(),
        subject: subject.to_owned(),
        detail,
    };
    ledger.append_blocking(Entry { event: change, body: None })?;
    Ok(ledger.close()?)
}

/// Who is who, with what the settings say of labels and roles.
fn identity_of(data: &Data, settings: &Settings) -> Result<Identity, Box<dyn Error>> {
    let identity = Identity::open(&data.path("identity"), data.owner_uid())?;
    Ok(identity.with(Lattice::new(&settings.labels)?, roles_of_groups(&settings.roles)?))
}

/// Groups whose members have a role, as the settings name them.
pub(crate) fn roles_of_groups(
    named: &BTreeMap<String, Vec<String>>,
) -> Result<RolesOfGroups, identity::NoRole> {
    named.iter().map(|(role, groups)| Ok((role.parse()?, groups.clone()))).collect()
}

/// The indexes that there are, while no daemon runs.
fn open_sources(data: &Data, context: &Sources) -> Result<(), Box<dyn Error>> {
    let configured = sources::configured(data)?;
    context.set(sources::facts(&configured));
    for name in configured.keys() {
        let Some(published) = Indexes::of(data, name).published() else { continue };
        match context.publish(name, &published) {
            Ok(_) => context.stage(name, Stage::Ready),
            Err(error) => context.stage(name, Stage::Failed { reason: error.to_string() }),
        }
    }
    Ok(())
}

/// Nothing serves while a command runs without the daemon; what a record needs is started here.
struct HereAndNow {
    data: Data,
    settings: Settings,
    verifier: String,
}

impl Supervision for HereAndNow {
    fn spare(&self, lock: Digest) -> Supervised<engine::Deployment> {
        let launched = (|| {
            let lock = served::once(&self.data, lock, &self.verifier)?;
            let pinned = pinned_once(&self.data, &self.settings, lock)?;
            Ok::<_, Box<dyn Error>>((pinned.facts(), pinned.launch(&self.settings)?))
        })();
        let launched = launched.map_err(|error| output::on_one_line(&*error));
        Box::pin(async move {
            let (facts, launched) = launched?;
            spare(facts, launched.socket).await
        })
    }

    fn reload(&self) -> Supervised<Vec<DeploymentFacts>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn reload_sources(&self) -> Supervised<Vec<String>> {
        let data = self.data.clone();
        let names = sources::configured(&data).and_then(|configured| {
            for name in sources::abandoned(&data, &configured) {
                Indexes::of(&data, &name).remove()?;
            }
            Ok(configured.into_keys().collect())
        });
        let names = names.map_err(|error| output::on_one_line(&*error));
        Box::pin(async move { names })
    }

    fn synchronise(&self, _source: &str) -> Result<(), String> {
        Err("no daemon runs: the command does it itself".to_owned())
    }

    fn policy_files(&self) -> Result<Vec<PolicyFile>, String> {
        policies::read(&self.data.path(policies::FOLDER))
    }

    fn posture(&self) -> Supervised<assist::RecordedPosture> {
        let none = "no daemon runs, so there is nothing to look at: start `cloisterd serve`";
        Box::pin(async move { Err(none.to_owned()) })
    }
}

/// A worker that serves nobody, once it is up.
pub(crate) async fn spare(
    facts: DeploymentFacts,
    socket: std::os::unix::net::UnixStream,
) -> Result<engine::Deployment, String> {
    let (worker, ready) = Worker::connect(socket).await.map_err(|error| error.to_string())?;
    engine::pinned(Arc::new(facts), worker, ready).map_err(|error| error.to_string())
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
