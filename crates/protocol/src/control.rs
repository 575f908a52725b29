//! Supervisor and gateway, over a seqpacket socketpair: one message a packet, descriptors beside it.
//!
//! The supervisor speaks first with [`ToGateway::Setup`]. The gateway never hands the supervisor
//! anything to sign: it hands leaf hashes in order, and gets back the checkpoint that the
//! supervisor's own frontier makes of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::access::Access;
use crate::context::{SourceFacts, Stage};
use crate::corpora::{CorpusFacts, Policy};
use crate::posture::Summary;

/// The version of this conversation.
pub const VERSION: u32 = 11;

/// The longest packet, in bytes: [`LEAF_HASHES_MAX`] hashes and room.
pub const PACKET_BYTES_MAX: usize = 64 << 10;

/// Bytes of a posture that a packet may carry.
pub const POSTURE_PART_BYTES_MAX: usize = 32 << 10;

/// Bytes of a whole posture.
pub const POSTURE_BYTES_MAX: usize = 4 << 20;

/// Leaf hashes a packet may carry.
pub const LEAF_HASHES_MAX: usize = 1024;

/// From the supervisor to the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToGateway {
    /// First message. Descriptors beside it, in this order: the admin listener, a listener for each of
    /// [`Setup::listeners`], and the sealed file of [`Setup::access`].
    Setup(Box<Setup>),
    /// The files of the ways in have changed: these count from now on. Beside it: their sealed file. What cannot be
    /// read closes its way in.
    Access(Box<Access>),
    /// A worker runs. Beside it: the gateway's end of the worker's socketpair.
    WorkerUp {
        /// The deployment's lock.
        lock: Digest,
    },
    /// Whoever has compilers run is up, instead of one before. Beside it: the gateway's end of its socketpair.
    CheckerUp,
    /// Answer to [`FromGateway::Extend`].
    Extended {
        /// The signed note.
        checkpoint: String,
    },
    /// The gateway's log and the supervisor's frontier disagree; nothing will be signed again.
    Refused {
        /// What disagrees.
        reason: String,
    },
    /// Answer to [`FromGateway::Reload`]: what serves from now on, in the order of the configuration, or why all
    /// stays as it was. What is not among them any more finishes what it runs; a worker for each new one follows.
    Reloaded(Result<Vec<DeploymentFacts>, String>),
    /// A worker for what does not serve any more runs. Beside it: the gateway's end of the worker's socketpair.
    SpareUp {
        /// What it computes.
        facts: Box<DeploymentFacts>,
    },
    /// Answer to [`FromGateway::Spare`]: there is none.
    NoSpare {
        /// The lock that was asked for.
        lock: Digest,
        /// Why not.
        reason: String,
    },
    /// The corpora of known code that there are from now on; [`ToGateway::Sources`] follows.
    Corpora(Vec<CorpusFacts>),
    /// The sources that there are from now on; answered by [`FromGateway::SourcesTaken`].
    Sources(Vec<SourceFacts>),
    /// A source has a new index, which is complete and will not be written again; answered by
    /// [`FromGateway::IndexTaken`].
    Index {
        /// The source.
        source: String,
        /// Its folder's name, in the source's own.
        folder: String,
    },
    /// How a source stands.
    SourceStage {
        /// The source.
        source: String,
        /// How.
        stage: Stage,
    },
    /// Answer to [`FromGateway::ReloadSources`], once the gateway has taken them: their names, or why all stays as
    /// it was.
    SourcesReloaded(Result<Vec<String>, String>),
    /// A part of a [`Posture`](crate::posture::Posture) as JSON; at most [`POSTURE_PART_BYTES_MAX`].
    PosturePart(Vec<u8>),
    /// The parts make a whole, of which this is to be recorded: answered by [`FromGateway::Recorded`].
    Posture(Summary),
    /// Finish what runs and exit.
    Shutdown,
}

/// From the gateway to the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromGateway {
    /// The ledger is open and the listeners are served.
    Ready,
    /// Asks for the notary's state, once, before the first [`FromGateway::Extend`]; answered by
    /// [`ToGateway::Extended`] with the last checkpoint (empty for a new log).
    Last,
    /// New leaves' hashes, in order; `from` is the index of the first.
    Extend {
        /// Index of the first leaf.
        from: u64,
        /// RFC 6962 leaf hashes, at most [`LEAF_HASHES_MAX`].
        hashes: Vec<[u8; 32]>,
    },
    /// Asks for a look at the jails; answered by a [`ToGateway::Posture`] that was begun after this.
    Posture,
    /// Answer to [`ToGateway::Posture`]: the leaf's number, or why there is none.
    Recorded(Result<u64, String>),
    /// Asks the supervisor to look at `deployments.lock` again; answered by [`ToGateway::Reloaded`].
    Reload,
    /// Asks the supervisor to look at `sources.toml` and `corpora.toml` again; answered by [`ToGateway::SourcesReloaded`].
    ReloadSources,
    /// Answer to [`ToGateway::Sources`]: what is not among them is let go of.
    SourcesTaken,
    /// Answer to [`ToGateway::Index`]: it is in use, or why not.
    IndexTaken {
        /// The source.
        source: String,
        /// The folder.
        folder: String,
        /// Why it is not in use.
        error: Option<String>,
    },
    /// Asks for a source to be indexed again.
    Synchronise {
        /// The source.
        source: String,
    },
    /// Asks for a worker by a lock that was deployed once, to run a record again; answered by
    /// [`ToGateway::SpareUp`] or [`ToGateway::NoSpare`]. It ends when its socket is closed.
    Spare {
        /// The lock.
        lock: Digest,
    },
}

/// What the gateway needs to start.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// [`VERSION`].
    pub version: u32,
    /// The supervisor's process: the gateway dies with it.
    pub supervisor_pid: u32,
    /// The data directory, as the gateway's Landlock rules allow it: `ledger/` and `identity/` in it, and `context/`,
    /// `corpora/` and `policy/` for reading.
    pub data: String,
    /// The log's origin line.
    pub origin: String,
    /// The notary's public key, as a C2SP verifier key.
    pub verifier: String,
    /// Encrypts bodies.
    pub body_key: [u8; 32],
    /// Still opens bodies, while a change of the body key is not finished.
    pub body_key_older: Option<[u8; 32]>,
    /// Keys the fingerprints.
    pub fingerprint_key: [u8; 32],
    /// The user whose Unix-socket connections need no token, and may administer.
    pub owner_uid: u32,
    /// What serves, in the order of the configuration.
    pub deployments: Vec<DeploymentFacts>,
    /// The sources of local context.
    pub sources: Vec<SourceFacts>,
    /// The corpora of known code.
    pub corpora: Vec<CorpusFacts>,
    /// What is done about answers that match them.
    pub provenance: Policy,
    /// What labels mean.
    pub labels: LabelSettings,
    /// Groups whose members have a role, by the role's name.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Limits of the gateway.
    pub limits: Limits,
    /// Whether only what has a qualification report is promoted.
    pub qualified_only: bool,
    /// How the clock stood: the gateway's jail has no call to ask.
    pub clock: ClockState,
    /// Names of what its jail may go without, where the kernel lacks it.
    pub accept: Vec<String>,
    /// What each listener is, in the order of their descriptors.
    pub listeners: Vec<ListenerKind>,
    /// How people are known beyond tokens, where anything is set up; its files are in a sealed file beside this.
    pub access: Option<Access>,
}

/// What a listener is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerKind {
    /// A local socket: peers are who the kernel says.
    Unix,
    /// A loopback address, in the clear: peers bring a token.
    Tcp,
    /// Any address, encrypted.
    Tls,
    /// A local socket of the reverse proxy's.
    Proxy,
}

/// What labels mean to a site. Unknown keys fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelSettings {
    /// A ladder, lowest first: who may see a step may see all lower ones.
    pub classification: Vec<String>,
    /// Names beside it, of which each stands for itself; any name where this is absent.
    pub need_to_know: Option<Vec<String>>,
}

/// Whether the kernel's clock is disciplined by a source of time: what leaves' times are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockState {
    /// Whether the kernel says so; `None` when it could not be asked.
    pub synchronised: Option<bool>,
    /// The kernel's bound of the clock's error, in milliseconds, rounded up; `None` when it could not be asked,
    /// or the clock is not synchronised.
    pub error_ms_max: Option<u64>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("data", &self.data)
            .field("origin", &self.origin)
            .field("deployments", &self.deployments)
            .finish_non_exhaustive()
    }
}

/// What the supervisor knows of a deployment, for the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentFacts {
    /// The name clients use.
    pub alias: String,
    /// What computes its answers.
    pub source: Source,
    /// SHA-256 of the worker program.
    pub engine_build: Digest,
    /// SHA-256 of the deployment's lock.
    pub lock: Digest,
    /// The CPU level and the features that the lock pins, as the worker must state them; `None` of an upstream
    /// engine.
    pub cpu: Option<CpuFacts>,
    /// Labels that every answer carries.
    pub labels: Vec<String>,
    /// The publisher's statement on training data; empty of an upstream engine.
    pub training_data: String,
}

/// A CPU, as a worker states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFacts {
    /// The level the worker was compiled for, as `x86-64-v3`.
    pub level: String,
    /// The features of the CPU that the build can use, in the engine's own words.
    pub features: String,
}

/// What computes a deployment's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Source {
    /// A model of the vault.
    Model {
        /// SHA-256 of the weights' file.
        model: Digest,
        /// SHA-256 of the chat template's text; of nothing when there is none.
        template: Digest,
    },
    /// An inference server of the enclave, over a relay: of its model only what it states is known.
    Upstream {
        /// Its Unix socket.
        socket: String,
    },
}

impl DeploymentFacts {
    /// SHA-256 of the weights' file; `None` for an upstream engine.
    pub fn model(&self) -> Option<Digest> {
        match &self.source {
            Source::Model { model, .. } => Some(*model),
            Source::Upstream { .. } => None,
        }
    }
}

/// Limits of the gateway, each with an error of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes_max: u64,
    /// Tokens of a prompt.
    pub prompt_tokens_max: u32,
    /// Tokens of a prompt that what the team knows may take.
    pub context_tokens_max: u32,
    /// Tokens of an answer, whatever the request asks.
    pub answer_tokens_max: u32,
    /// Requests in the pipeline at once, waiting ones included.
    pub requests_max: u32,
    /// Requests of one person in the pipeline at once.
    pub requests_per_person_max: u32,
    /// Milliseconds that a completion waits for what a compiler says of it; 0 does not wait.
    pub completion_check_ms_max: u32,
    /// Milliseconds that the end of a chat's answer waits for that.
    pub chat_check_ms_max: u32,
    /// Free bytes of the ledger's file system under which nothing is answered.
    pub disk_free_bytes_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes_max: 4 << 20,
            prompt_tokens_max: 32_768,
            context_tokens_max: 1024,
            answer_tokens_max: 4_096,
            requests_max: 64,
            requests_per_person_max: 32,
            completion_check_ms_max: 80,
            chat_check_ms_max: 5_000,
            disk_free_bytes_min: 256 << 20,
        }
    }
}
