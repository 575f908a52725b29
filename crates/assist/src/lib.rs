//! The way of a request: identify, authorise, prompt, intent durable, engine, result durable, answer.
//! `walk.rs` is that way on one screen; this crate alone knows the order. No HTTP, no FFI.
//!
//! Whoever drops an answer's future or stream stops its generation before the next token; the ledger
//! gets a result leaf all the same.

mod administer;
mod admission;
mod answer;
mod chain;
mod checks;
mod context;
mod decisions;
pub mod evidence;
mod file_check;
mod generate;
mod json;
mod policy;
mod posture;
mod prompt;
mod prove;
mod provenance;
mod record;
mod refusal;
mod replay;
mod request;
mod tally;
pub mod template;
mod tools;
pub mod trial;
mod vocabulary;
mod walk;

use std::pin::Pin;
use std::sync::Arc;

use ::checks::Checkers;
use ::provenance::library::Library;
use engine::Deployments;
use identity::{Credential, Identity, InForce, PolicyFile};
use ledger::{Admissions, Ledger};
use protocol::control::{DeploymentFacts, Limits};
use protocol::corpora::Policy;
use protocol::{Digest, RecordNumber};
use retrieval::Sources;
use tokio::sync::{mpsc, oneshot};

pub use administer::{NotAdmitted, check_admitted};
pub use answer::{Answer, AnswerStream, Event, Findings, PassagePlace, Usage};
pub use checks::{Check, Remark};
pub use context::Lookup;
pub use decisions::{CLIENT_BYTES_MAX, Decided, PATH_BYTES_MAX};
pub use file_check::{CheckedFile, FileCheck, Mended};
pub use generate::{
    Agreement, CANDIDATES_MAX, DIALECT as GENERATE_DIALECT, FIXES_MAX, Generate, Generated, Round, SPANS_MAX,
    Step,
};
pub use json::Json;
pub use ledger::{Choice, Filter, Receipt};
pub use policy::policy_of;
pub use posture::{PostureView, Standing};
pub use prove::LeafProof;
pub use provenance::{Match, Provenance, TRACE_BYTES_MAX, Trace};
pub use refusal::{Refusal, RefusalKind};
pub use replay::{Replay, ReplayError};
pub use request::{Ask, Extra, Message, Parameters, Request, Role, Subject};
pub use tools::{CallReader, Piece, Tool, ToolCall, ToolChoice, ToolFormat, Tools};
pub use vocabulary::{SPELLED_TOKENS_MAX, Spell, Spelled, Spelling, TOKENIZED_BYTES_MAX};

use admission::Admission;
use tally::Tally;
use walk::Delivery;

/// Events of a streamed answer that may wait for its reader.
const EVENTS_MAX: usize = 4;

/// The pipeline. Shared by all surfaces.
#[derive(Clone)]
pub struct Assist {
    house: Arc<House>,
}

/// What the steps work with. Each takes care of its own locking.
struct House {
    identity: Arc<Identity>,
    ledger: Ledger,
    deployments: Arc<Deployments>,
    limits: Limits,
    admission: Arc<Admission>,
    tally: Tally,
    outside: Outside,
    fingerprint_key: [u8; 32],
    /// What the ledger says of models; whoever adds to it holds it until the leaf is written.
    admissions: tokio::sync::Mutex<Admissions>,
    /// What the team knows.
    context: Arc<Sources>,
    /// Whoever has compilers run.
    checkers: Checkers,
    pace: checks::Pace,
    /// Corpora of known code.
    library: Arc<Library>,
    /// What is done about answers that match them.
    provenance: Arc<Policy>,
    supervision: Arc<dyn Supervision>,
    /// Whether only what has a qualification report is promoted.
    qualified_only: bool,
    /// Who may do what.
    policy: InForce,
}

/// What the pipeline is made of.
pub struct Parts {
    /// Who is who.
    pub identity: Arc<Identity>,
    /// Where everything is recorded.
    pub ledger: Ledger,
    /// What serves.
    pub deployments: Arc<Deployments>,
    /// Limits of requests.
    pub limits: Limits,
    /// Clock and randomness.
    pub outside: Outside,
    /// Keys the fingerprints of answers.
    pub fingerprint_key: [u8; 32],
    /// What the ledger says of models.
    pub admissions: Admissions,
    /// The sources of local context.
    pub context: Arc<Sources>,
    /// Whoever has compilers run.
    pub checkers: Checkers,
    /// Corpora of known code.
    pub library: Arc<Library>,
    /// What is done about answers that match them.
    pub provenance: Policy,
    /// Whoever starts workers.
    pub supervision: Arc<dyn Supervision>,
    /// Whether only what has a qualification report is promoted.
    pub qualified_only: bool,
}

/// Whoever starts workers.
pub trait Supervision: Send + Sync {
    /// Starts a worker by a lock that was deployed once, so that a record can be run again; it ends some time
    /// after its last handle is dropped.
    fn spare(&self, lock: Digest) -> Supervised<engine::Deployment>;

    /// What is to serve from now on, by `deployments.lock`.
    fn reload(&self) -> Supervised<Vec<DeploymentFacts>>;

    /// The names of the sources that there are from now on, by `sources.toml`; the corpora are taken anew as well. What is not among them is in no index any
    /// more.
    fn reload_sources(&self) -> Supervised<Vec<String>>;

    /// Has a source indexed as soon as may be.
    fn synchronise(&self, source: &str) -> Result<(), String>;

    /// The files of the site's policy, by name; none where it has none.
    fn policy_files(&self) -> Result<Vec<PolicyFile>, String>;

    /// Has the jails looked at.
    fn posture(&self) -> Supervised<RecordedPosture>;
}

/// A look at the jails that is in the ledger.
#[derive(Clone, Debug)]
pub struct RecordedPosture {
    /// The posture leaf.
    pub record: u64,
    /// The [`Posture`](protocol::posture::Posture), as JSON.
    pub text: Arc<str>,
}

/// What comes of it in a while, or why not.
pub type Supervised<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

/// Clock and randomness.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    /// Seconds of Unix time.
    pub now_unix_s: fn() -> i64,
    /// Fills a buffer with unpredictable bytes, or fails.
    pub randomness: fn(&mut [u8]) -> std::io::Result<()>,
}

/// A deployment, for those who ask what there is.
#[derive(Clone, Debug)]
pub struct DeploymentView {
    /// The name clients use.
    pub alias: String,
    /// SHA-256 of the weights; `None` for an upstream engine.
    pub model: Option<Digest>,
    /// What the model calls itself; empty while no worker runs.
    pub name: String,
    /// The model's architecture, as llama.cpp names it; empty while no worker runs.
    pub architecture: String,
    /// Tokens a request can hold, prompt and answer together; 0 while no worker runs.
    pub context_tokens: u32,
    /// Tokens the model was trained for; 0 while no worker runs.
    pub trained_context_tokens: u32,
    /// Requests that run at once; 0 while no worker runs.
    pub slots: u32,
    /// Requests that run or wait.
    pub running: u32,
    /// The model's chat template, where it has one.
    pub chat_template: Option<String>,
    /// Spellings of the tokens that begin and end a text; empty while no worker runs.
    pub begin_of_text: String,
    /// See `begin_of_text`.
    pub end_of_text: String,
    /// Whether it fills holes.
    pub fill: bool,
    /// How its model calls tools; `None` where it cannot, or no worker runs.
    pub tools: Option<ToolFormat>,
    /// Whether a worker runs.
    pub up: bool,
    /// The publisher's statement on training data; empty of an upstream engine.
    pub training_data: String,
}

/// How things stand.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// Leaves in the ledger.
    pub ledger_size: u64,
    /// Why nothing can be written, if so.
    pub ledger_error: Option<String>,
    /// The newest signed note over its leaves.
    pub ledger_checkpoint: Option<String>,
    /// Requests in the pipeline.
    pub requests_running: u32,
    /// Deployments with a worker.
    pub deployments_up: u32,
    /// All deployments.
    pub deployments: u32,
}

impl Assist {
    /// The pipeline over its parts. Call inside a tokio runtime.
    pub fn new(parts: Parts) -> Assist {
        let admission = Admission::new(&parts.limits);
        let tally = Tally::start(parts.ledger.clone());
        let policy = policy_of(&parts.ledger, parts.supervision.policy_files());
        if let Err(why) = &policy {
            tracing::error!(why, "nothing is answered, since the policy cannot be used");
        }
        let Parts { identity, ledger, deployments, limits, outside, fingerprint_key, .. } = parts;
        Assist {
            house: Arc::new(House {
                identity,
                ledger,
                deployments,
                limits,
                admission,
                tally,
                outside,
                fingerprint_key,
                admissions: tokio::sync::Mutex::new(parts.admissions),
                context: parts.context,
                checkers: parts.checkers,
                pace: checks::Pace::default(),
                library: parts.library,
                provenance: Arc::new(parts.provenance),
                supervision: parts.supervision,
                qualified_only: parts.qualified_only,
                policy: InForce::new(policy),
            }),
        }
    }

    /// Whether somebody may come in at all, before a surface reads what they send.
    pub fn identify(&self, credential: &Credential, dialect: &'static str) -> Result<(), Refusal> {
        self.house.identify(credential, dialect).map(drop)
    }

    /// A whole answer. Its result leaf is durable when this returns.
    pub async fn answer(&self, request: Request) -> Result<Answer, Refusal> {
        let (sender, receiver) = oneshot::channel();
        // A task of its own, so that the ledger gets its result leaf though the client be gone.
        tokio::spawn(walk::walk(Arc::clone(&self.house), request, Delivery::Whole(sender)));
        receiver.await.unwrap_or_else(|_| Err(Refusal::broken()))
    }

    /// An answer in blocks, each durable before it is handed out.
    pub async fn stream(&self, request: Request) -> Result<AnswerStream, Refusal> {
        let (opened, opening) = oneshot::channel();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let delivery = Delivery::Stream { opened: Some(opened), events: sender };
        tokio::spawn(walk::walk(Arc::clone(&self.house), request, delivery));
        let opened = opening.await.unwrap_or_else(|_| Err(Refusal::broken()))?;
        Ok(AnswerStream {
            record: RecordNumber(opened.receipt.index),
            receipt: opened.receipt,
            deployment: opened.deployment,
            events,
        })
    }

    /// Evaluates the prompt only, so that the next request with the same beginning is quick.
    pub async fn warm(&self, mut request: Request) -> Result<Answer, Refusal> {
        request.parameters.tokens_max = Some(0);
        self.answer(request).await
    }

    /// The tokens that a request's prompt has, without what the team knows. Nothing is answered.
    pub async fn count(&self, request: Request) -> Result<u32, Refusal> {
        self.house.count(&request).await
    }

    /// What there is.
    pub fn deployments(&self) -> Vec<DeploymentView> {
        let view = |(facts, up): (Arc<DeploymentFacts>, Option<engine::Deployment>)| {
            let ready = up.as_ref().map(|up| &*up.ready);
            DeploymentView {
                alias: facts.alias.clone(),
                model: facts.model(),
                name: ready.map(|ready| ready.model.name.clone()).unwrap_or_default(),
                architecture: ready.map(|ready| ready.model.architecture.clone()).unwrap_or_default(),
                context_tokens: ready.map_or(0, |ready| ready.context_tokens),
                trained_context_tokens: ready.map_or(0, |ready| ready.trained_context_tokens),
                slots: ready.map_or(0, |ready| ready.slots),
                running: up.as_ref().map_or(0, |up| u32::try_from(up.worker.running()).unwrap_or(u32::MAX)),
                chat_template: ready.and_then(|ready| ready.model.chat_template.clone()),
                begin_of_text: ready.map(|ready| ready.begin_of_text_spelling.clone()).unwrap_or_default(),
                end_of_text: ready.map(|ready| ready.end_of_text_spelling.clone()).unwrap_or_default(),
                fill: ready.is_some_and(|ready| ready.fill.is_some()),
                tools: ready.and_then(|ready| walk::tool_format(&facts, ready)),
                up: ready.is_some(),
                training_data: facts.training_data.clone(),
            }
        };
        self.house.deployments.list().into_iter().map(view).collect()
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        let deployments = self.deployments();
        let head = self.house.ledger.head();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Status {
            ledger_size: head.size,
            ledger_error: head.poisoned.map(|reason| reason.to_string()),
            ledger_checkpoint: head.checkpoint,
            requests_running: self.house.admission.running(),
            deployments_up: count(deployments.iter().filter(|deployment| deployment.up).count()),
            deployments: count(deployments.len()),
        }
    }

    /// Writes what is still tallied; call last, before the ledger is closed.
    pub async fn finish(&self) {
        self.house.tally.flush().await;
    }
}
