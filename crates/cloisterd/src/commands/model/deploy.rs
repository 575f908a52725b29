use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use identity::LabelSet;
use models::deployment::{
    self, CONTEXT_TOKENS_DEFAULT, Deployment, Lock, SLOTS_DEFAULT, Upstream, WantedDeployment,
};
use models::object::{Kind, Name, Object};
use models::vault::{Proven, Vault};
use protocol::Digest;
use protocol::admin::{Command, ModelStep};
use protocol::worker::{Device, EngineProfile};
use serde_json::Value;
use sha2::Digest as _;

use super::admit::{field, read_request, signatures};
use super::{put_proof, record, step, vault_lock};
use crate::commands::Outcome;
use crate::commands::administer::ask;
use crate::data::Data;
use crate::output::{self, Hinted};
use crate::settings::Settings;
use crate::{compose, served};

/// Deploys a promoted object under an alias, or, without arguments, all that deployments.toml wants.
///
/// A worker is started once to see that the model loads and what CPU it computes on; weights, template,
/// parameters, engine build and CPU go into deployments.lock, and the ledger. What an alias serves already and is
/// not mentioned stays. Under a running daemon the deployment is replaced at once: what runs is finished.
#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// The name clients use.
    #[arg(requires = "object")]
    alias: Option<Name>,
    /// A name, `name@version`, or digits of a digest.
    object: Option<String>,
    /// The arithmetic: `fast` gives up reproducibility, and every record says so.
    #[arg(long, value_enum, requires = "alias")]
    profile: Option<Profile>,
    /// Where it is done: `gpu` needs an engine that was built for it, and `--profile fast`. See docs/gpu.md.
    #[arg(long, value_enum, requires = "alias")]
    device: Option<DeviceName>,
    /// Tokens a request can hold, prompt and answer together.
    #[arg(long, requires = "alias")]
    context_tokens: Option<u32>,
    /// Requests that run at once.
    #[arg(long, requires = "alias")]
    slots: Option<u32>,
    /// Threads.
    #[arg(long, requires = "alias")]
    threads: Option<u32>,
    /// A label that every answer carries; may be repeated.
    #[arg(long = "label", value_name = "LABEL", requires = "alias")]
    labels: Vec<String>,
}

/// The arithmetic of a deployment.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    Reproducible,
    Fast,
}

/// Where a deployment computes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeviceName {
    Cpu,
    Gpu,
}

/// Deploys an upstream engine: a llama-server of the enclave, behind a Unix socket.
///
/// Its model is not in the vault: of what it runs only what it states is known, nothing it answers can be
/// reproduced, and every record says so. There is no other address and no fallback. See docs/upstream.md.
#[derive(Debug, Args)]
pub(crate) struct AddUpstream {
    /// The server's Unix socket, an absolute path.
    socket: PathBuf,
    /// The name clients use.
    #[arg(long)]
    name: Name,
    /// The model that the server has to state; with another it is not used.
    #[arg(long)]
    model: Option<String>,
    /// A label that every answer carries; may be repeated.
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
}

/// Ends a deployment. Its object stays in the vault, so that what it answered can be run again.
#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// The alias.
    alias: Name,
}

/// Lets an alias serve again what it served before, as two persons approved.
#[derive(Debug, Args)]
pub(crate) struct RollBack {
    /// The text, as `cloisterd model request roll-back` wrote it.
    file: PathBuf,
    /// A signature of it; given once for each person.
    #[arg(long = "approval", value_name = "FILE.sig", required = true)]
    approvals: Vec<PathBuf>,
}

/// Writes deployments.lock anew, as the ledger says: after it was lost or changed, or a command was interrupted.
#[derive(Debug, Args)]
pub(crate) struct RestoreLock {}

impl Deploy {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let mut change = Change::begin(data)?;
        let mut wanted = served::wanted(data)?.unwrap_or_default();
        match &self.alias {
            Some(alias) => {
                let entry = wanted.entry(alias.clone()).or_default();
                self.merge_into(entry);
                entry.check()?;
                let entry = entry.clone();
                change.deploy(alias, &entry)?;
                change.want(alias, Some(&entry))?;
            }
            None if wanted.is_empty() => {
                let hint = "name an alias and an object: `cloisterd model deploy ALIAS OBJECT`";
                return Err(Hinted::new("there is no deployments.toml, or nothing in it", hint).into());
            }
            None => {
                for (alias, entry) in &wanted {
                    change.deploy(alias, entry)?;
                }
                for alias in change.aliases() {
                    if !wanted.contains_key(&alias) {
                        change.retire(&alias)?;
                    }
                }
            }
        }
        change.end()
    }

    fn merge_into(&self, entry: &mut WantedDeployment) {
        entry.model.clone_from(&self.object);
        (entry.upstream, entry.model_stated) = (None, None);
        let profile = self.profile.map(|profile| match profile {
            Profile::Reproducible => EngineProfile::Reproducible,
            Profile::Fast => EngineProfile::Fast,
        });
        entry.profile = profile.or(entry.profile);
        let device = self.device.map(|device| match device {
            DeviceName::Cpu => Device::Cpu,
            DeviceName::Gpu => Device::Gpu,
        });
        entry.device = device.or(entry.device);
        entry.context_tokens = self.context_tokens.or(entry.context_tokens);
        entry.slots = self.slots.or(entry.slots);
        entry.threads = self.threads.or(entry.threads);
        if !self.labels.is_empty() {
            entry.labels = Some(self.labels.clone());
        }
    }
}

impl AddUpstream {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let mut change = Change::begin(data)?;
        if change.locks.contains_key(&self.name) {
            let error = format!("there is a deployment {} already", self.name);
            return Err(Hinted::new(error, "retire it first, or choose another name").into());
        }
        let socket = self.socket.to_str().ok_or("the socket's path is not UTF-8")?;
        let entry = WantedDeployment {
            upstream: Some(socket.to_owned()),
            model_stated: self.model,
            labels: (!self.labels.is_empty()).then_some(self.labels),
            ..WantedDeployment::default()
        };
        entry.check()?;
        change.deploy(&self.name, &entry)?;
        change.want(&self.name, Some(&entry))?;
        change.end()
    }
}

impl Retire {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let mut change = Change::begin(data)?;
        change.retire(&self.alias)?;
        change.want(&self.alias, None)?;
        change.end()
    }
}

impl RollBack {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let mut change = Change::begin(data)?;
        let text = read_request(&self.file)?;
        let lock: Digest = field(&text, "lock")?.parse()?;
        let lock = change.vault.lock(&lock)?;
        let alias = lock.alias().clone();
        change.commit(&lock, signatures(&self.approvals)?)?;
        change.want(&alias, Some(&wanted_of(&lock)))?;
        change.end()
    }
}

impl RestoreLock {
    pub(super) fn run(self, data: &Data) -> Outcome {
        let _lock = vault_lock(data)?;
        let mut change = Change::begin_with(data, BTreeMap::new())?;
        let states = ask(data.root(), Command::ModelStates)?;
        for (alias, standing) in states["aliases"].as_object().into_iter().flatten() {
            let current = &standing["current"];
            let (Some(lock), Some(leaf)) = (current["lock"].as_str(), current["leaf"].as_u64()) else {
                continue;
            };
            let lock = Lock::parse(current["lock_text"].as_str().unwrap_or_default())
                .ok()
                .filter(|read| read.digest().to_string() == lock && read.alias().as_str() == alias)
                .ok_or_else(|| {
                    format!("leaf {leaf} holds no lock of {alias}: run `cloister ledger verify`")
                })?;
            change.vault.put_lock(&lock)?;
            put_proof(data, &change.vault, Proven::Deployment(lock.digest()), leaf)?;
            output::line(&format!("{alias}: as leaf {leaf} says"))?;
            change.locks.insert(lock.alias().clone(), lock);
        }
        change.write_locks()?;
        change.end()
    }
}

/// What a roll-back would be: the lock that served before, with the engine that is installed now.
pub(super) fn roll_back_step(
    data: &Data,
    vault: &Vault,
    alias: &str,
    object: &str,
) -> Result<ModelStep, Box<dyn Error>> {
    let states = ask(data.root(), Command::ModelStates)?;
    let retired = states["aliases"][alias]["retired"].as_array().cloned().unwrap_or_default();
    let served = |deployed: &Value| -> Option<Deployment> {
        match vault.lock(&deployed["lock"].as_str()?.parse().ok()?).ok()? {
            Lock::Model(before) => Some(*before),
            Lock::Upstream(_) => None,
        }
    };
    let before = retired.iter().rev().filter_map(served).find(|before| before.is_called(object));
    let before = before.ok_or_else(|| {
        let hint = "`cloisterd model list --json` lists what it served; anything else is deployed, not rolled back to";
        Hinted::new(format!("{alias} did not serve {} before", object.escape_debug()), hint)
    })?;
    let settings = Settings::read(data.root())?;
    let lock = tried(data, &settings, vault, Deployment { engine_build: Digest([0; 32]), ..before })?;
    vault.put_lock(&lock)?;
    let object = vault.object(match &lock {
        Lock::Model(deployment) => &deployment.object,
        Lock::Upstream(_) => return Err("an upstream engine is deployed, not rolled back to".into()),
    })?;
    Ok(deployed_step(&lock, Some(&object)))
}

fn deployed_step(lock: &Lock, object: Option<&Object>) -> ModelStep {
    let of = |step: ModelStep| ModelStep {
        step: "deployed".to_owned(),
        alias: Some(lock.alias().to_string()),
        lock: Some(lock.digest()),
        detail: lock.text(),
        ..step
    };
    match object {
        Some(object) => of(step("deployed", object)),
        None => of(nothing(lock.alias())),
    }
}

fn nothing(alias: &Name) -> ModelStep {
    ModelStep {
        step: String::new(),
        object: None,
        title: alias.to_string(),
        weights: None,
        signer: None,
        alias: None,
        lock: None,
        detail: String::new(),
    }
}

/// Starts a worker once: the engine that is installed, the model that is in the vault. What it states of the CPU
/// is pinned.
fn tried(
    data: &Data,
    settings: &Settings,
    vault: &Vault,
    deployment: Deployment,
) -> Result<Lock, Box<dyn Error>> {
    let program = settings.engine_program()?;
    let engine_build = compose::frozen_program(settings)?.digest;
    if !vault.holds(&engine_build)? {
        let kept = vault.keep(&mut File::open(&program)?)?;
        if kept != engine_build {
            return Err(format!("{} changed while it was read", program.display()).into());
        }
    }
    let deployment = Deployment { engine_build, ..deployment };
    let ready = compose::try_worker(data, settings, &deployment)?;
    let (cpu_level, cpu_features) = (ready.cpu_level, ready.cpu_features);
    Ok(Lock::Model(Box::new(Deployment { cpu_level, cpu_features, ..deployment })))
}

/// What would pin an object's deployment, promoted or not: nothing is deployed by it.
pub(crate) fn lock_of(
    data: &Data,
    settings: &Settings,
    vault: &Vault,
    object: &Object,
    alias: &Name,
    wanted: &WantedDeployment,
    labels: &LabelSet,
) -> Result<Lock, Box<dyn Error>> {
    if object.kind != Kind::Model {
        let what = format!("{} is no model: only models are deployed under an alias", object.title());
        let hint = match object.kind {
            Kind::Corpus => {
                "it is a corpus of known code, which answers are compared with: see `cloisterd corpus list`"
            }
            _ => "see `cloisterd model list`",
        };
        return Err(Hinted::new(what, hint).into());
    }
    let weights = object.weights().ok_or_else(|| format!("{} has no weights", object.title()))?;
    let header = gguf::read(&mut File::open(vault.blob_path(&weights.digest))?)?;
    let trained = header.context_length().and_then(|tokens| u32::try_from(tokens).ok());
    let context_tokens = wanted.context_tokens.unwrap_or(CONTEXT_TOKENS_DEFAULT);
    let template = sha2::Sha256::digest(header.chat_template().unwrap_or_default());
    let deployment = Deployment {
        schema: deployment::SCHEMA,
        alias: alias.clone(),
        title: object.title(),
        object: object.digest(),
        model: weights.digest,
        model_bytes: weights.bytes,
        model_name: models::shown(header.name().unwrap_or_default()),
        architecture: header.architecture().to_owned(),
        template: Digest(template.into()),
        engine_build: Digest([0; 32]),
        cpu_level: String::new(),
        cpu_features: String::new(),
        profile: wanted.profile.unwrap_or(EngineProfile::Reproducible),
        // The processor is not named, so that locks stay as they were.
        device: wanted.device.filter(|device| *device != Device::Cpu),
        context_tokens: context_tokens.min(trained.unwrap_or(u32::MAX)),
        slots: wanted.slots.unwrap_or(SLOTS_DEFAULT),
        threads: wanted.threads,
        labels: labels.names(),
        training_data: object.training_data.clone(),
    };
    tried(data, settings, vault, deployment)
}

/// What `deployments.toml` would say of a lock.
fn wanted_of(lock: &Lock) -> WantedDeployment {
    match lock {
        Lock::Model(deployment) => WantedDeployment {
            model: Some(deployment.title.clone()),
            profile: Some(deployment.profile),
            device: deployment.device,
            context_tokens: Some(deployment.context_tokens),
            slots: Some(deployment.slots),
            threads: deployment.threads,
            labels: Some(deployment.labels.clone()),
            ..WantedDeployment::default()
        },
        Lock::Upstream(upstream) => WantedDeployment {
            upstream: Some(upstream.upstream.clone()),
            model_stated: upstream.model_stated.clone(),
            labels: Some(upstream.labels.clone()),
            ..WantedDeployment::default()
        },
    }
}

/// Changes of what is deployed, one alias after the other; each is whole when the next begins.
struct Change<'d> {
    data: &'d Data,
    settings: Settings,
    vault: Vault,
    locks: BTreeMap<Name, Lock>,
    changed: bool,
}

impl<'d> Change<'d> {
    fn begin(data: &'d Data) -> Result<Change<'d>, Box<dyn Error>> {
        let locks = served::locked(data)?;
        Change::begin_with(data, locks.into_iter().map(|lock| (lock.alias().clone(), lock)).collect())
    }

    fn begin_with(data: &'d Data, locks: BTreeMap<Name, Lock>) -> Result<Change<'d>, Box<dyn Error>> {
        let (settings, vault) = (Settings::read(data.root())?, served::vault(data)?);
        Ok(Change { data, settings, vault, locks, changed: false })
    }

    fn aliases(&self) -> Vec<Name> {
        self.locks.keys().cloned().collect()
    }

    fn deploy(&mut self, alias: &Name, wanted: &WantedDeployment) -> Result<(), Box<dyn Error>> {
        let labels: LabelSet = wanted.labels.clone().unwrap_or_default().join(",").parse()?;
        let lock = match &wanted.upstream {
            Some(socket) => Lock::Upstream(Upstream {
                schema: deployment::SCHEMA,
                alias: alias.clone(),
                upstream: socket.clone(),
                model_stated: wanted.model_stated.clone(),
                relay_build: compose::frozen_relay(&self.settings)?.digest,
                labels: labels.names(),
            }),
            None => self.model_lock(alias, wanted, &labels)?,
        };
        match self.locks.get(alias) {
            Some(current) if *current == lock => {
                output::say(&format!("{alias}: nothing to change"));
                return Ok(());
            }
            Some(current) => {
                for difference in current.differences(&lock) {
                    output::say(&format!("{alias}: {difference}"));
                }
            }
            None => {}
        }
        self.vault.put_lock(&lock)?;
        self.commit(&lock, Vec::new())
    }

    fn model_lock(
        &self,
        alias: &Name,
        wanted: &WantedDeployment,
        labels: &LabelSet,
    ) -> Result<Lock, Box<dyn Error>> {
        let object = self.vault.find(wanted.model.as_deref().unwrap_or_default())?;
        // Before gigabytes are read for nothing; the step itself is judged again.
        if object.kind == Kind::Model {
            self.promoted(&object)?;
        }
        lock_of(self.data, &self.settings, &self.vault, &object, alias, wanted, labels)
    }

    fn promoted(&self, object: &Object) -> Result<(), Box<dyn Error>> {
        match self.vault.proof(Proven::Promotion(object.digest())) {
            Ok(_) => Ok(()),
            Err(_) => {
                let error = format!("{} is not promoted", object.title());
                let hint = format!(
                    "two persons approve it first: `cloisterd model request promotion {} --out FILE`",
                    object.title()
                );
                Err(Hinted::new(error, hint).into())
            }
        }
    }

    /// The leaf, its proof, the lock: in this order, so that nothing serves that the ledger does not know.
    fn commit(&mut self, lock: &Lock, signatures: Vec<String>) -> Result<(), Box<dyn Error>> {
        let object = match lock {
            Lock::Model(deployment) => Some(self.vault.object(&deployment.object)?),
            Lock::Upstream(_) => None,
        };
        let step = deployed_step(lock, object.as_ref());
        let proven = Some(Proven::Deployment(lock.digest()));
        let answer = record(self.data, &self.vault, step, signatures, proven)?;
        self.locks.insert(lock.alias().clone(), lock.clone());
        self.write_locks()?;
        let title =
            object.map_or_else(|| "upstream engine (nothing of it is verified)".to_owned(), |o| o.title());
        output::line(&format!("{}: {title}, by leaf {}", lock.alias(), answer["leaf"]))?;
        Ok(())
    }

    fn retire(&mut self, alias: &Name) -> Result<(), Box<dyn Error>> {
        let lock = self.locks.get(alias).ok_or_else(|| format!("there is no deployment {alias}"))?;
        let (title, object) = match lock {
            Lock::Model(deployment) => (deployment.title.clone(), Some(deployment)),
            Lock::Upstream(upstream) => (upstream.alias.to_string(), None),
        };
        let step = ModelStep {
            step: "retired".to_owned(),
            title,
            object: object.map(|deployment| deployment.object),
            weights: object.map(|deployment| deployment.model),
            alias: Some(alias.to_string()),
            lock: Some(lock.digest()),
            ..nothing(alias)
        };
        record(self.data, &self.vault, step, Vec::new(), None)?;
        self.locks.remove(alias);
        self.write_locks()?;
        output::line(&format!("{alias}: retired"))?;
        Ok(())
    }

    fn write_locks(&mut self) -> Result<(), Box<dyn Error>> {
        let locks: Vec<Lock> = self.locks.values().cloned().collect();
        self.data.write(deployment::LOCK, deployment::write_locks(&locks).as_bytes())?;
        self.changed = true;
        Ok(())
    }

    /// Keeps what people wrote in `deployments.toml`, but for that one alias.
    fn want(&self, alias: &Name, wanted: Option<&WantedDeployment>) -> Result<(), Box<dyn Error>> {
        let path = self.data.path(deployment::WANTED);
        let text = if path.exists() { std::fs::read_to_string(&path)? } else { String::new() };
        let mut document: toml_edit::DocumentMut = text.parse()?;
        match wanted {
            Some(wanted) => {
                let table: toml_edit::DocumentMut = toml::to_string(wanted)?.parse()?;
                document.insert(alias.as_str(), toml_edit::Item::Table(table.as_table().clone()));
            }
            None => drop(document.remove(alias.as_str())),
        }
        Ok(self.data.write(deployment::WANTED, document.to_string().as_bytes())?)
    }

    fn end(self) -> Outcome {
        // Without a daemon there is nobody to tell: it reads the file when it starts.
        if self.changed && self.data.try_lock()?.is_none() {
            let answer = ask(self.data.root(), Command::Reload)?;
            for refused in answer["refused"].as_array().into_iter().flatten() {
                output::say(refused.as_str().unwrap_or_default());
            }
            output::say("the daemon takes it over now; what runs is finished first");
        }
        Ok(ExitCode::SUCCESS)
    }
}
