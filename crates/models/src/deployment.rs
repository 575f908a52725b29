//! Deployments: `deployments.toml` says what is wanted, `deployments.lock` what serves. A lock pins
//! everything that determines answers; its digest is in the leaf that deployed it.

use std::collections::BTreeMap;

use protocol::Digest;
use protocol::worker::{Device, EngineProfile};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::object::Name;

/// Version of a lock's format.
pub const SCHEMA: u32 = 2;
/// What is wanted, in the data directory.
pub const WANTED: &str = "deployments.toml";
/// What serves, in the data directory.
pub const LOCK: &str = "deployments.lock";
/// Tokens a request can hold, where nothing is said.
pub const CONTEXT_TOKENS_DEFAULT: u32 = 4096;
/// Requests that run at once, where nothing is said.
pub const SLOTS_DEFAULT: u32 = 8;
/// Requests that run at once, at most.
pub const SLOTS_MAX: u32 = 64;
/// Deployments of one server at most.
pub const DEPLOYMENTS_MAX: usize = 64;
/// Bytes of either file at most.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
const SOCKET_BYTES_MAX: usize = 4096;

/// A deployment's lock, of either sort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Lock {
    /// A model of the vault serves.
    Model(Box<Deployment>),
    /// An upstream engine serves.
    Upstream(Upstream),
}

/// The lock of a model's deployment: everything that determines its answers, besides the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The name clients use.
    pub alias: Name,
    /// The object's name and version.
    pub title: String,
    /// SHA-256 of the object's description.
    pub object: Digest,
    /// SHA-256 of the weights' file.
    pub model: Digest,
    /// Its length in bytes.
    pub model_bytes: u64,
    /// What the file calls itself.
    pub model_name: String,
    /// Its architecture.
    pub architecture: String,
    /// SHA-256 of the chat template's text; of nothing when there is none.
    pub template: Digest,
    /// SHA-256 of the worker program.
    pub engine_build: Digest,
    /// The CPU level that the worker was compiled for.
    pub cpu_level: String,
    /// The CPU's features that the worker uses, as it states them.
    pub cpu_features: String,
    /// The arithmetic.
    pub profile: EngineProfile,
    /// Where it is done; the processor when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Tokens a request can hold, prompt and answer together.
    pub context_tokens: u32,
    /// Requests that run at once.
    pub slots: u32,
    /// Threads; the server's choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Labels that every answer carries.
    pub labels: Vec<String>,
    /// The publisher's statement on training data.
    pub training_data: String,
}

/// The lock of a deployment that an inference server of the enclave serves. Nothing here determines its
/// answers: its records say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The name clients use.
    pub alias: Name,
    /// The server's Unix socket, an absolute path. There is no other address.
    pub upstream: String,
    /// The model's name that the server must state; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_stated: Option<String>,
    /// SHA-256 of the relay program.
    pub relay_build: Digest,
    /// Labels that every answer carries.
    pub labels: Vec<String>,
}

/// `deployments.toml`: aliases and what is wanted of each.
pub type Wanted = BTreeMap<Name, WantedDeployment>;

/// What is wanted of a deployment. What is absent is the default's, or the one's that serves already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WantedDeployment {
    /// An object of the vault: a name, `name@version`, or digits of a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The arithmetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<EngineProfile>,
    /// Where it is done; the processor when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Tokens a request can hold, at most what the model was trained for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Requests that run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Labels that every answer carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Instead of a model: the Unix socket of an upstream engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The model's name that the upstream engine must state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_stated: Option<String>,
}

/// Why a text is no file of deployments.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentsError {
    /// It is not TOML of that shape.
    #[error("it is not valid:\n{0}")]
    Form(#[from] Box<toml::de::Error>),
    /// A value cannot be.
    #[error("{0}")]
    Value(String),
}

#[derive(Serialize)]
struct LockFile<'a> {
    version: u32,
    deployment: &'a [Lock],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLockFile {
    version: u32,
    #[serde(default)]
    deployment: Vec<toml::Table>,
}

const LOCK_HEADING: &str = "\
# What serves, written by `cloisterd model deploy`. A change by hand is refused at the next start:
# each deployment must be as a leaf of the ledger says. What is wanted is in deployments.toml.

";

impl Lock {
    /// The name clients use.
    pub fn alias(&self) -> &Name {
        match self {
            Lock::Model(deployment) => &deployment.alias,
            Lock::Upstream(upstream) => &upstream.alias,
        }
    }

    /// The bytes that its digest is over, which are in the leaf that deployed it.
    pub fn text(&self) -> String {
        // Strings, numbers and lists: nothing of them can fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// SHA-256 of [`text`](Self::text).
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text()).into())
    }

    /// Reads [`text`](Self::text); only the one spelling passes.
    pub fn parse(text: &str) -> Result<Lock, DeploymentsError> {
        let form = |error: serde_json::Error| DeploymentsError::Value(format!("not a lock: {error}"));
        let value: serde_json::Value = serde_json::from_str(text).map_err(form)?;
        // By the field that only one sort has, so that an error names the field that is wrong.
        let lock = match value.get("upstream") {
            Some(_) => serde_json::from_value(value).map(Lock::Upstream),
            None => serde_json::from_value(value).map(Box::new).map(Lock::Model),
        };
        let lock = lock.map_err(form)?;
        lock.check()?;
        if lock.text() == text {
            return Ok(lock);
        }
        Err(DeploymentsError::Value("not a lock: it is spelled in another way".to_owned()))
    }

    fn check(&self) -> Result<(), DeploymentsError> {
        let schema = match self {
            Lock::Model(deployment) => deployment.schema,
            Lock::Upstream(upstream) => upstream.schema,
        };
        if schema != SCHEMA {
            return Err(DeploymentsError::Value(format!("locks of version {schema} are not supported")));
        }
        match self {
            Lock::Model(deployment) => match deployment.device() {
                // One spelling only: its digest is in the ledger.
                Device::Cpu if deployment.device.is_some() => {
                    Err(DeploymentsError::Value("device: the processor is not named".to_owned()))
                }
                device => {
                    let refused = device.refuses(deployment.profile);
                    refused.map_or(Ok(()), |why| Err(DeploymentsError::Value(why.to_owned())))
                }
            },
            Lock::Upstream(_) => Ok(()),
        }
    }

    /// What differs from another lock, a line each: `field: this -> other`.
    pub fn differences(&self, other: &Lock) -> Vec<String> {
        let fields = |lock: &Lock| match serde_json::to_value(lock) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (here, there) = (fields(self), fields(other));
        let names: std::collections::BTreeSet<&String> = here.keys().chain(there.keys()).collect();
        let shown = |value: Option<&serde_json::Value>| match value {
            None => "nothing".to_owned(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        let differs = names.into_iter().filter(|name| here.get(*name) != there.get(*name));
        differs
            .map(|name| format!("{name}: {} -> {}", shown(here.get(name)), shown(there.get(name))))
            .collect()
    }

    /// What `deployments.toml` wants otherwise, a line each.
    pub fn drift(&self, wanted: &WantedDeployment) -> Vec<String> {
        let mut drift = Vec::new();
        let mut compare = |what: &str, locked: String, wanted: Option<String>| {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != locked) {
                drift.push(format!("{what}: {locked} is locked, {wanted} is wanted"));
            }
        };
        let labels = wanted.labels.as_ref().map(|labels| labels.join(","));
        match self {
            Lock::Model(locked) => {
                let other = wanted.model.as_ref().filter(|model| !locked.is_called(model));
                compare("model", locked.title.clone(), other.cloned());
                let profile = wanted.profile.map(|profile| format!("{profile:?}"));
                compare("profile", format!("{:?}", locked.profile), profile);
                let device = wanted.device.map(|device| format!("{device:?}"));
                compare("device", format!("{:?}", locked.device()), device);
                // A model may have been trained for less than what is wanted.
                let context = wanted.context_tokens.filter(|wanted| *wanted < locked.context_tokens);
                compare(
                    "context_tokens",
                    locked.context_tokens.to_string(),
                    context.map(|tokens| tokens.to_string()),
                );
                compare("slots", locked.slots.to_string(), wanted.slots.map(|slots| slots.to_string()));
                let threads = |threads: Option<u32>| {
                    threads.map_or_else(|| "the server's choice".to_owned(), |threads| threads.to_string())
                };
                compare("threads", threads(locked.threads), wanted.threads.map(|n| threads(Some(n))));
                compare("labels", locked.labels.join(","), labels);
                compare("upstream", "none".to_owned(), wanted.upstream.clone());
            }
            Lock::Upstream(locked) => {
                compare("upstream", locked.upstream.clone(), wanted.upstream.clone());
                let any = |stated: &Option<String>| stated.clone().unwrap_or_else(|| "any".to_owned());
                compare("model_stated", any(&locked.model_stated), wanted.model_stated.clone());
                compare("labels", locked.labels.join(","), labels);
                compare("model", "an upstream engine's".to_owned(), wanted.model.clone());
            }
        }
        drift
    }
}

/// Digits of a digest that name something.
const DIGITS_MIN: usize = 8;

/// Whether a name means an object: its name, `name@version`, or digits of its digest or its weights'.
pub fn means(name: &str, title: &str, digests: &[Digest]) -> bool {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_digits =
        digits.len() >= DIGITS_MIN && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    name == title
        || title.split_once('@').is_some_and(|(before, _)| before == name)
        || (is_digits && digests.iter().any(|digest| digest.hex().starts_with(digits)))
}

impl Deployment {
    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device.unwrap_or_default()
    }

    /// Whether a name means the object that serves.
    pub fn is_called(&self, name: &str) -> bool {
        means(name, &self.title, &[self.object, self.model])
    }
}

/// Reads `deployments.toml`.
pub fn parse_wanted(text: &str) -> Result<Wanted, DeploymentsError> {
    let wanted: Wanted = toml::from_str(text).map_err(Box::new)?;
    if wanted.len() > DEPLOYMENTS_MAX {
        return Err(DeploymentsError::Value(format!("more than {DEPLOYMENTS_MAX} deployments")));
    }
    for (alias, wanted) in &wanted {
        wanted.check().map_err(|what| DeploymentsError::Value(format!("{alias}: {what}")))?;
    }
    Ok(wanted)
}

/// The text of `deployments.lock`.
pub fn write_locks(locks: &[Lock]) -> String {
    let file = LockFile { version: SCHEMA, deployment: locks };
    format!("{LOCK_HEADING}{}", toml::to_string(&file).unwrap_or_default())
}

/// Reads `deployments.lock`.
pub fn parse_locks(text: &str) -> Result<Vec<Lock>, DeploymentsError> {
    let file: ReadLockFile = toml::from_str(text).map_err(Box::new)?;
    if file.version != SCHEMA {
        let what = format!("files of version {} are not supported", file.version);
        return Err(DeploymentsError::Value(what));
    }
    let mut locks = Vec::new();
    for table in file.deployment {
        let lock = match table.get("upstream") {
            Some(_) => table.try_into().map(Lock::Upstream),
            None => table.try_into().map(Box::new).map(Lock::Model),
        };
        let lock = lock.map_err(Box::new)?;
        lock.check()?;
        locks.push(lock);
    }
    if locks.len() > DEPLOYMENTS_MAX || !locks.is_sorted_by(|a, b| a.alias() < b.alias()) {
        let what = "its deployments are too many, or not sorted, or one is there twice";
        return Err(DeploymentsError::Value(what.to_owned()));
    }
    Ok(locks)
}

impl WantedDeployment {
    /// Whether it can be had at all.
    pub fn check(&self) -> Result<(), String> {
        if self.model.is_some() == self.upstream.is_some() {
            return Err("either `model` or `upstream` must be given".to_owned());
        }
        if let Some(slots) = self.slots.filter(|slots| !(1..=SLOTS_MAX).contains(slots)) {
            return Err(format!("{slots} slots: 1 to {SLOTS_MAX} are possible"));
        }
        if self.context_tokens == Some(0) || self.threads == Some(0) {
            return Err("context_tokens and threads must be at least 1".to_owned());
        }
        if self.upstream.is_some() && self.device.is_some() {
            return Err("the device of an upstream engine is its own affair".to_owned());
        }
        let profile = self.profile.unwrap_or(EngineProfile::Reproducible);
        if let Some(why) = self.device.and_then(|device| device.refuses(profile)) {
            return Err(why.to_owned());
        }
        if let Some(socket) = &self.upstream {
            let fits = socket.len() <= SOCKET_BYTES_MAX && !socket.contains(|c: char| c.is_control());
            if !fits || !socket.starts_with('/') {
                return Err(format!("`{}` is not the absolute path of a Unix socket", socket.escape_debug()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(alias: &str) -> Lock {
        Lock::Model(Box::new(Deployment {
            schema: SCHEMA,
            alias: alias.parse().unwrap(),
            title: "coder@1".to_owned(),
            object: Digest([1; 32]),
            model: Digest([2; 32]),
            model_bytes: 7,
            model_name: "Coder".to_owned(),
            architecture: "qwen2".to_owned(),
            template: Digest([3; 32]),
            engine_build: Digest([4; 32]),
            cpu_level: "x86-64-v3".to_owned(),
            cpu_features: "AVX2 = 1".to_owned(),
            profile: EngineProfile::Reproducible,
            device: None,
            context_tokens: 512,
            slots: 8,
            threads: None,
            labels: vec!["secret".to_owned()],
            training_data: "undisclosed".to_owned(),
        }))
    }

    fn upstream(alias: &str) -> Lock {
        Lock::Upstream(Upstream {
            schema: SCHEMA,
            alias: alias.parse().unwrap(),
            upstream: "/run/llama.sock".to_owned(),
            model_stated: None,
            relay_build: Digest([5; 32]),
            labels: Vec::new(),
        })
    }

    #[test]
    fn locks_are_read_as_they_were_written() {
        let locks = [lock("a"), upstream("b"), lock("c")];
        assert_eq!(parse_locks(&write_locks(&locks)).unwrap(), locks);
        for lock in &locks {
            assert_eq!(Lock::parse(&lock.text()).unwrap(), *lock);
        }
        assert!(parse_locks(&write_locks(&[lock("b"), lock("a")])).is_err());
        assert!(parse_locks(&write_locks(&[lock("a"), lock("a")])).is_err());
        assert!(Lock::parse(&format!("{} ", lock("a").text())).is_err());
        let unknown = write_locks(&[lock("a")]).replace("slots", "slot");
        assert!(parse_locks(&unknown).unwrap_err().to_string().contains("slot"));
    }

    #[test]
    fn what_differs_is_said() {
        let Lock::Model(other) = lock("a") else { unreachable!() };
        let other = Lock::Model(Box::new(Deployment { slots: 4, threads: Some(2), ..*other }));
        assert_eq!(lock("a").differences(&other), ["slots: 8 -> 4", "threads: nothing -> 2"]);
        assert_eq!(lock("a").differences(&lock("a")), [""; 0]);
        let wanted = |text: &str| parse_wanted(text).unwrap().pop_first().unwrap().1;
        let drift = |text: &str| lock("a").drift(&wanted(text));
        assert_eq!(drift("[a]\nmodel = 'coder'\nslots = 8\ncontext_tokens = 4096"), [""; 0]);
        assert_eq!(drift("[a]\nmodel = 'coder@1'\nslots = 9"), ["slots: 8 is locked, 9 is wanted"]);
        assert_eq!(drift("[a]\nmodel = '01010101'\ncontext_tokens = 100").len(), 1);
        assert_eq!(drift("[a]\nmodel = 'coder@2'\nthreads = 1\nlabels = []").len(), 3);
        assert_eq!(upstream("a").drift(&wanted("[a]\nupstream = '/x'")).len(), 1);
    }

    /// Of a lock, which is in the ledger by its digest, nothing changes where no GPU is asked for.
    #[test]
    fn a_gpu_is_in_the_lock() {
        let Lock::Model(cpu) = lock("a") else { unreachable!() };
        let of = |device, profile| Lock::Model(Box::new(Deployment { device, profile, ..(*cpu).clone() }));
        let gpu = of(Some(Device::Gpu), EngineProfile::Fast);
        assert!(!lock("a").text().contains("device") && gpu.text().contains(r#""device":"gpu""#));
        assert_eq!(Lock::parse(&gpu.text()).unwrap(), gpu);
        assert_eq!(
            parse_locks(&write_locks(std::slice::from_ref(&gpu))).unwrap(),
            std::slice::from_ref(&gpu)
        );
        assert_ne!(gpu.digest(), of(None, EngineProfile::Fast).digest());
        let refused = |lock: Lock| Lock::parse(&lock.text()).unwrap_err().to_string();
        assert!(refused(of(Some(Device::Gpu), EngineProfile::Reproducible)).contains("`reproducible`"));
        assert!(refused(of(Some(Device::Cpu), EngineProfile::Fast)).contains("not named"));
        let wanted = |text: &str| parse_wanted(text).unwrap().pop_first().unwrap().1;
        let drift = lock("a").drift(&wanted("[a]\nmodel = 'coder'\nprofile = 'fast'\ndevice = 'gpu'"));
        assert_eq!(drift[1], "device: Cpu is locked, Gpu is wanted");
    }

    #[test]
    fn what_cannot_be_wanted() {
        for (text, words) in [
            ("[A]\nmodel = 'x'", "cannot be a name"),
            ("[a]", "either `model` or `upstream`"),
            ("[a]\nmodel = 'x'\nupstream = '/s'", "either `model` or `upstream`"),
            ("[a]\nmodel = 'x'\nslots = 65", "65 slots"),
            ("[a]\nmodel = 'x'\nthreads = 0", "at least 1"),
            ("[a]\nupstream = 'relative'", "absolute path"),
            ("[a]\nupstream = \"/with\\u001b[31m\"", "absolute path"),
            ("[a]\nmodel = 'x'\nwidth = 1", "width"),
            ("[a]\nmodel = 'x'\ndevice = 'gpu'", "`reproducible` cannot be had on a GPU"),
            ("[a]\nmodel = 'x'\nprofile = 'fast'\ndevice = 'tpu'", "tpu"),
            ("[a]\nupstream = '/s'\ndevice = 'gpu'", "an upstream engine"),
        ] {
            let error = parse_wanted(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
