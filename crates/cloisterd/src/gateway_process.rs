//! The gateway's process: this program again, started by the supervisor with one descriptor. It is told
//! what to do, jails itself while it has one thread, and only then opens the ledger, starts a runtime
//! and accepts. From then on it cannot open a socket, connect or execute.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use assist::{Assist, Parts, RecordedPosture, Supervised, Supervision};
use checks::Checkers;
use credentials::Provider;
use credentials::tls::Server;
use engine::{Deployments, Worker};
use gateway::Tls;
use identity::{Identity, Lattice, PolicyFile};
use jail::channel::Channel;
use jail::probe::Places;
use ledger::{AppendError, Entry, Event, Ledger, Notary, NotaryError};
use protocol::Digest;
use protocol::access::{Access, Files};
use protocol::context::Stage;
use protocol::control::{
    DeploymentFacts, FromGateway, ListenerKind, PACKET_BYTES_MAX, POSTURE_BYTES_MAX, Setup, ToGateway,
    VERSION,
};
use protocol::corpora::CorpusFacts;
use protocol::posture::{Occasion, Summary};
use provenance::library::{self, Library};
use retrieval::Sources;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};

use crate::{compose, corpora, output, policies, sources, ways_in};

/// The first argument that makes this program the gateway.
pub(crate) const ARGUMENT: &str = "gateway-process";
/// Exit code for what a restart would not mend.
pub(crate) const EXIT_FATAL: u8 = 78;

const CONTROL: RawFd = 3;
const OVERSIGHT: RawFd = 4;
const OPEN_FILES_MAX: u64 = 4096;
/// Time that running requests have when the daemon stops.
const GRACE: Duration = Duration::from_secs(5);

/// Between two looks at the policy's files.
const POLICY_EVERY: Duration = Duration::from_secs(2);

/// Never returns before the supervisor says so or is gone.
pub(crate) fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env(crate::settings::LOG_VARIABLE)
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say("the gateway failed");
            output::report(&*error);
            ExitCode::from(EXIT_FATAL)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let channel = Arc::new(Channel::from_descriptor(jail::spawn::inherited(CONTROL)?)?);
    let (message, descriptors) =
        receive(&channel)?.ok_or("the supervisor ended before it said what to do")?;
    let ToGateway::Setup(setup) = message else {
        return Err("the supervisor's first message is no setup".into());
    };
    if setup.version != VERSION {
        return Err(format!("the supervisor speaks version {}, this gateway {VERSION}", setup.version).into());
    }
    let data = PathBuf::from(&setup.data);
    let oversight = jail::spawn::inherited(OVERSIGHT)?;
    let mut keep_fds = vec![CONTROL, OVERSIGHT];
    keep_fds.extend(descriptors.iter().map(AsRawFd::as_raw_fd));
    let applied = jail::apply(&jail::Jail {
        name: "cloister-gateway".to_owned(),
        kind: jail::Kind::Gateway,
        parent_pid: setup.supervisor_pid,
        read_write: granted(&data),
        read_only: [sources::FOLDER, corpora::FOLDER, policies::FOLDER].map(|name| data.join(name)).into(),
        keep_fds,
        memory_bytes_max: None,
        open_files_max: OPEN_FILES_MAX,
        accept: jail::weaker::parse_all(&setup.accept)?,
    })?;
    if let Some(warning) = applied.warning() {
        output::say(&warning);
    }
    if std::env::args().nth(2).as_deref() == Some("--probe") {
        let results = jail::probe::run_on_threads(jail::Kind::Gateway, &places(&data), 2);
        channel.send(&serde_json::to_vec(&results)?, &[])?;
        return Ok(());
    }
    jail::oversight::answer(oversight, &applied, places(&data))?;
    serve(channel, *setup, &data, descriptors)
}

/// What the gateway's probes must find closed in a data directory. In its own two folders nothing is tried: a file there
/// for a moment would be a stray one to whoever verifies or copies the ledger then.
pub(crate) fn places(data: &Path) -> Places {
    let closed = ["", "keys", "notary", "models", "run"].map(|name| data.join(name));
    let closed = closed.into_iter().chain(["/".into(), "/tmp".into()]).collect();
    Places { closed, ..Places::default() }
}

fn granted(data: &Path) -> Vec<PathBuf> {
    ["ledger", "identity"].map(|name| data.join(name)).into()
}

/// Everything after the jail.
fn serve(
    channel: Arc<Channel>,
    setup: Setup,
    data: &Path,
    descriptors: Vec<OwnedFd>,
) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().enable_time().build()?;
    let deployments = Arc::new(Deployments::new(setup.deployments.clone()));
    let asked = Arc::new(Asked::default());
    let (postures, looked) = unbounded_channel();
    let (notarised, notary_answers) = std::sync::mpsc::channel();
    let (stop, stopped) = watch::channel(false);
    let context = Arc::new(Sources::default());
    context.set(setup.sources.clone());
    let library = Arc::new(Library::default());
    let (named, to_open) = std::sync::mpsc::channel();
    let _opener_waits = named.send(library.set(setup.corpora.clone()));
    let checkers = Checkers::default();
    let (published, indexes) = std::sync::mpsc::channel();
    let (ways, ways_opened) = std::sync::mpsc::channel();
    let control = Control {
        channel: Arc::clone(&channel),
        runtime: runtime.handle().clone(),
        deployments: Arc::clone(&deployments),
        notarised,
        asked: Arc::clone(&asked),
        postures,
        context: Arc::clone(&context),
        indexes: published,
        checkers: checkers.clone(),
        library: Arc::clone(&library),
        corpora: named,
        ways: ways_opened,
        stop,
    };
    let opening = (Arc::clone(&library), data.join(corpora::FOLDER));
    std::thread::Builder::new().name("corpora".to_owned()).spawn(move || {
        let (library, folder) = opening;
        open_corpora(&library, &to_open, &folder);
    })?;
    let opening = (Arc::clone(&context), Arc::clone(&channel), data.join(sources::FOLDER));
    std::thread::Builder::new().name("indexes".to_owned()).spawn(move || {
        let (context, channel, folder) = opening;
        open_indexes(&context, &indexes, &channel, &folder);
    })?;
    std::thread::Builder::new().name("control".to_owned()).spawn(move || control.run())?;
    let notary = SupervisorNotary { channel: Arc::clone(&channel), answers: notary_answers };
    let (ledger, recovery) = Ledger::open(compose::ledger_config(
        &data.join("ledger"),
        setup.verifier.clone(),
        compose::ledger_keys(setup.body_key, setup.body_key_older),
        Box::new(notary),
        setup.limits.disk_free_bytes_min,
        setup.clock,
    )?)?;
    compose::report_recovery(&recovery);
    let start = Event::Start { software: ledger::SOFTWARE.to_owned(), clock: Some(setup.clock) };
    if let Err(error) = ledger.append_blocking(Entry { event: start, body: None }) {
        // A low disk passes, and until then nothing is answered; anything else does not.
        if !matches!(error, AppendError::DiskLow { .. }) {
            return Err(error.into());
        }
        output::say(&format!("ledger: the start is not recorded: {error}"));
    }
    let admissions = ledger.admissions()?;
    for facts in &setup.deployments {
        assist::check_admitted(&admissions, facts)?;
    }
    let identity = Identity::open(&data.join("identity"), setup.owner_uid)?;
    let identity = identity.with(Lattice::new(&setup.labels)?, compose::roles_of_groups(&setup.roles)?);
    let identity = Arc::new(identity);
    let mut descriptors = descriptors;
    let tls = match &setup.access {
        Some(access) => {
            let files = ways_in::received(descriptors.pop().ok_or("the supervisor handed over no files")?)?;
            open_ways_in(access, &files, &identity)?
        }
        None => None,
    };
    let _control_waits = ways.send((Arc::clone(&identity), tls.clone()));
    let policy = data.join(policies::FOLDER);
    let supervision =
        Arc::new(Supervisor { channel: Arc::clone(&channel), asked: Arc::clone(&asked), policy });
    let served = runtime.block_on(async {
        let assist = Assist::new(Parts {
            identity,
            ledger: ledger.clone(),
            deployments,
            limits: setup.limits.clone(),
            outside: compose::OUTSIDE,
            fingerprint_key: setup.fingerprint_key,
            admissions,
            context,
            checkers,
            library,
            provenance: setup.provenance.clone(),
            supervision,
            qualified_only: setup.qualified_only,
        });
        tokio::spawn(look_at_policy(assist.clone()));
        tokio::spawn(record_postures(assist.clone(), looked, Arc::clone(&channel), asked));
        let (admin, listeners) = listeners(descriptors, &setup, tls.as_ref())?;
        send(&channel, &FromGateway::Ready).map_err(|error| error.to_string())?;
        let mut stopped = stopped;
        let shutdown = async move {
            let _supervisor_gone = stopped.wait_for(|&stop| stop).await;
        };
        gateway::serve(Arc::new(assist.clone()), listeners, admin, &setup.limits, shutdown).await?;
        assist.finish().await;
        Ok::<_, Box<dyn Error>>(())
    });
    // Walks that still run write their result leaves in that time.
    runtime.shutdown_timeout(GRACE);
    served?;
    ledger.close()?;
    Ok(())
}

/// Looks again and again whether the policy's files are the approved ones still. Without, what was read last would be in
/// force until the next start.
async fn look_at_policy(assist: Assist) {
    loop {
        tokio::time::sleep(POLICY_EVERY).await;
        let assist = assist.clone();
        // What is wrong is in the log, and in every refusal.
        let _outcome = tokio::task::spawn_blocking(move || assist.look_at_policy()).await;
    }
}

/// What the supervisor saw, and its rows as JSON.
type Looked = (Summary, Arc<str>);

/// Writes each look at the jails down, tells the supervisor, and whoever asked for it.
async fn record_postures(
    assist: Assist,
    mut looked: UnboundedReceiver<Looked>,
    channel: Arc<Channel>,
    asked: Arc<Asked>,
) {
    while let Some((summary, text)) = looked.recv().await {
        let recorded = assist.record_posture(summary, &text).await;
        if let Err(error) = &recorded {
            tracing::error!(error, "a look at the jails is not recorded");
        }
        if let Err(error) = send(&channel, &FromGateway::Recorded(recorded.clone())) {
            tracing::error!(error, "the supervisor does not hear of a record");
        }
        if summary.occasion == Occasion::Request {
            let answer = recorded.map(|record| RecordedPosture { record, text });
            for waiting in locked(&asked.postures).drain(..) {
                let _gone = waiting.send(answer.clone());
            }
        }
    }
}

/// Opens each new index, which takes reading all of it, and tells the supervisor.
fn open_indexes(context: &Sources, indexes: &Receiver<(String, String)>, channel: &Channel, folder: &Path) {
    while let Ok((source, name)) = indexes.recv() {
        let error = match context.publish(&source, &folder.join(&source).join(&name)) {
            Ok(Some(view)) => {
                let revision = view.summary.unwrap_or_default().revision;
                tracing::info!(source, revision, "an index is open");
                context.stage(&source, Stage::Ready);
                None
            }
            // Removed meanwhile.
            Ok(None) => None,
            Err(error) => {
                let reason = error.to_string();
                context.stage(&source, Stage::Failed { reason: reason.clone() });
                Some(reason)
            }
        };
        if let Err(error) = send(channel, &FromGateway::IndexTaken { source, folder: name, error }) {
            tracing::error!(error, "the supervisor does not hear of an index");
        }
    }
}

/// Opens corpora, each after all of it was hashed: another digest than the pinned one is refused.
fn open_corpora(library: &Library, named: &Receiver<Vec<CorpusFacts>>, folder: &Path) {
    while let Ok(facts) = named.recv() {
        for facts in facts {
            let opened = library::open(&folder.join(&facts.name).join(&facts.folder), &facts.root);
            match &opened {
                Ok(_) => tracing::info!(corpus = facts.name, root = %facts.root, "a corpus is open"),
                Err(error) => tracing::error!(corpus = facts.name, %error, "a corpus is not used"),
            }
            library.opened(&facts, opened);
        }
    }
}

/// Sets up how people are known beyond tokens. What cannot be used fails the start.
fn open_ways_in(
    access: &Access,
    files: &Files,
    identity: &Identity,
) -> Result<Option<Arc<Tls>>, Box<dyn Error>> {
    if let Some(jwt) = &access.jwt {
        identity.set_provider(Some(Arc::new(Provider::new(jwt, &files.jwks)?)));
    }
    let Some(tls) = &access.tls else { return Ok(None) };
    let server = Server::new(tls, files, compose::now_unix_s())?;
    warn_of(&server);
    Ok(Some(Arc::new(Tls::new(server))))
}

/// The same while it serves. What cannot be used closes its way in, and only that: the others go on.
fn change_ways_in(access: &Access, files: &Files, identity: &Identity, tls: Option<&Arc<Tls>>) {
    if let Some(jwt) = &access.jwt {
        let provider = Provider::new(jwt, &files.jwks);
        match &provider {
            Ok(provider) => {
                tracing::info!(keys = provider.keys(), "the identity provider's keys are read again")
            }
            Err(error) => {
                output::say(&format!("tokens of the identity provider are refused from now on: {error}"))
            }
        }
        identity.set_provider(provider.ok().map(Arc::new));
    }
    if let (Some(set), Some(tls)) = (&access.tls, tls) {
        let server = Server::new(set, files, compose::now_unix_s());
        match &server {
            Ok(server) => warn_of(server),
            Err(error) => output::say(&format!("encrypted connections are refused from now on: {error}")),
        }
        tls.set(server);
    }
}

fn warn_of(server: &Server) {
    let warnings =
        server.clients().map(|clients| clients.warnings(compose::now_unix_s())).unwrap_or_default();
    warnings.iter().for_each(|warning| output::say(warning));
}

fn listeners(
    descriptors: Vec<OwnedFd>,
    setup: &Setup,
    tls: Option<&Arc<Tls>>,
) -> Result<(UnixListener, Vec<gateway::Listener>), Box<dyn Error>> {
    let mut descriptors = descriptors.into_iter();
    let mut next = || descriptors.next().ok_or("the supervisor handed over too few listeners");
    let admin = UnixListener::from(next()?);
    let mut listeners = Vec::new();
    for kind in &setup.listeners {
        let socket = next()?;
        let proxy = setup.access.as_ref().and_then(|access| access.proxy.clone());
        listeners.push(match kind {
            ListenerKind::Unix => gateway::Listener::Unix(socket.into()),
            ListenerKind::Tcp => gateway::Listener::Tcp(socket.into()),
            ListenerKind::Tls => gateway::Listener::Tls(
                socket.into(),
                Arc::clone(tls.ok_or("an encrypted listener without a certificate")?),
            ),
            ListenerKind::Proxy => {
                gateway::Listener::Proxy(socket.into(), proxy.ok_or("a proxy's listener without a proxy")?)
            }
        });
    }
    Ok((admin, listeners))
}

/// How people are known, for whoever changes it.
type Ways = (Arc<Identity>, Option<Arc<Tls>>);

/// Reads what the supervisor says, on a thread of its own.
struct Control {
    channel: Arc<Channel>,
    runtime: tokio::runtime::Handle,
    deployments: Arc<Deployments>,
    notarised: Sender<ToGateway>,
    asked: Arc<Asked>,
    postures: UnboundedSender<Looked>,
    context: Arc<Sources>,
    /// Names of sources and of the folders of their new indexes.
    indexes: Sender<(String, String)>,
    checkers: Checkers,
    library: Arc<Library>,
    /// Corpora that are to be opened.
    corpora: Sender<Vec<CorpusFacts>>,
    /// Comes once, before anything is served.
    ways: Receiver<Ways>,
    stop: watch::Sender<bool>,
}

impl Control {
    fn run(self) {
        let mut ways: Option<Ways> = None;
        let mut posture = Vec::new();
        loop {
            match receive(&self.channel) {
                Ok(Some((ToGateway::WorkerUp { lock }, descriptors))) => self.connect(lock, descriptors),
                Ok(Some((ToGateway::Access(access), mut descriptors))) => {
                    ways = ways.or_else(|| self.ways.try_recv().ok());
                    let files =
                        descriptors.pop().ok_or_else(|| "no files".into()).and_then(ways_in::received);
                    match (&ways, files) {
                        (Some((identity, tls)), Ok(files)) => {
                            change_ways_in(&access, &files, identity, tls.as_ref());
                        }
                        // Nothing is served yet, and the start read what there was.
                        (None, Ok(_)) => {}
                        (_, Err(error)) => {
                            output::say(&format!("the supervisor's channel failed: {error}"));
                            break;
                        }
                    }
                }
                Ok(Some((ToGateway::CheckerUp, descriptors))) => self.connect_checker(descriptors),
                Ok(Some((ToGateway::SpareUp { facts }, descriptors))) => {
                    self.asked.spare_up(&self.runtime, *facts, descriptors);
                }
                Ok(Some((ToGateway::NoSpare { lock, reason }, _))) => self.asked.answer(lock, &Err(reason)),
                Ok(Some((ToGateway::Reloaded(answer), _))) => self.asked.reloaded(answer),
                Ok(Some((answer @ (ToGateway::Extended { .. } | ToGateway::Refused { .. }), _))) => {
                    let _nobody_asked = self.notarised.send(answer);
                }
                Ok(Some((ToGateway::PosturePart(part), _))) => {
                    if posture.len() + part.len() > POSTURE_BYTES_MAX {
                        tracing::error!("the supervisor says too much");
                        break;
                    }
                    posture.extend(part);
                }
                Ok(Some((ToGateway::Posture(summary), _))) => {
                    let text = String::from_utf8_lossy(&std::mem::take(&mut posture)).as_ref().into();
                    let _stopping = self.postures.send((summary, text));
                }
                Ok(Some((ToGateway::Corpora(facts), _))) => {
                    let _stopping = self.corpora.send(self.library.set(facts));
                }
                Ok(Some((ToGateway::Sources(facts), _))) => {
                    self.context.set(facts);
                    if let Err(error) = send(&self.channel, &FromGateway::SourcesTaken) {
                        tracing::error!(error, "the supervisor does not hear of the sources");
                    }
                }
                Ok(Some((ToGateway::Index { source, folder }, _))) => {
                    let _stopping = self.indexes.send((source, folder));
                }
                Ok(Some((ToGateway::SourceStage { source, stage }, _))) => self.context.stage(&source, stage),
                Ok(Some((ToGateway::SourcesReloaded(answer), _))) => self.asked.sources_reloaded(answer),
                // The notary's answers are still needed: the last leaves are signed after this.
                Ok(Some((ToGateway::Shutdown, _))) => {
                    let _nobody_waits = self.stop.send(true);
                }
                Ok(Some((ToGateway::Setup(_), _)) | None) => break,
                Err(error) => {
                    tracing::error!(error, "the supervisor's channel failed");
                    break;
                }
            }
        }
        let _nobody_waits = self.stop.send(true);
    }

    fn connect_checker(&self, descriptors: Vec<OwnedFd>) {
        for socket in descriptors.into_iter().map(UnixStream::from) {
            let checkers = self.checkers.clone();
            self.runtime.spawn(async move {
                if let Err(error) = checkers.connect(socket).await {
                    tracing::error!(%error, "the checker ended before it was ready");
                }
            });
        }
    }

    fn connect(&self, lock: Digest, descriptors: Vec<OwnedFd>) {
        let deployments = Arc::clone(&self.deployments);
        let sockets: Vec<UnixStream> = descriptors.into_iter().map(UnixStream::from).collect();
        self.runtime.spawn(async move {
            for socket in sockets {
                match Worker::connect(socket).await {
                    Ok((worker, ready)) => {
                        tracing::info!(%lock, model = ready.model.name, "a worker is up");
                        if let Err(error) = deployments.set(lock, worker, ready) {
                            tracing::error!(%error, "a worker is not taken");
                        }
                    }
                    Err(error) => tracing::error!(%lock, %error, "a worker ended before it was ready"),
                }
            }
        });
    }
}

/// What was asked of the supervisor, and who waits for it.
#[derive(Default)]
struct Asked {
    spares: Mutex<HashMap<Digest, Waiting<engine::Deployment>>>,
    /// Answered in the order in which they were asked.
    reloads: Mutex<Waiting<Vec<DeploymentFacts>>>,
    /// Answered in the order in which they were asked.
    sources: Mutex<Waiting<Vec<String>>>,
    /// All answered by the next look that was asked for.
    postures: Mutex<Waiting<RecordedPosture>>,
    /// The worker that ran a record again last: most records of one sample need the same.
    kept: Mutex<Option<(Digest, engine::Deployment, Instant)>>,
}

type Waiting<T> = VecDeque<oneshot::Sender<Result<T, String>>>;

/// A worker that runs records again ends when nobody needed it for so long.
const SPARE_KEPT: Duration = Duration::from_secs(20);

impl Asked {
    fn answer(&self, lock: Digest, answer: &Result<engine::Deployment, String>) {
        for waiting in locked(&self.spares).remove(&lock).into_iter().flatten() {
            let _gone = waiting.send(answer.clone());
        }
    }

    fn reloaded(&self, answer: Result<Vec<DeploymentFacts>, String>) {
        if let Some(waiting) = locked(&self.reloads).pop_front() {
            let _gone = waiting.send(answer);
        }
    }

    fn sources_reloaded(&self, answer: Result<Vec<String>, String>) {
        if let Some(waiting) = locked(&self.sources).pop_front() {
            let _gone = waiting.send(answer);
        }
    }

    fn spare_up(
        self: &Arc<Asked>,
        runtime: &tokio::runtime::Handle,
        facts: DeploymentFacts,
        descriptors: Vec<OwnedFd>,
    ) {
        let asked = Arc::clone(self);
        let socket = descriptors.into_iter().next().map(UnixStream::from);
        runtime.spawn(async move {
            let lock = facts.lock;
            let answer = match socket {
                Some(socket) => compose::spare(facts, socket).await,
                None => Err("the supervisor handed over no socket".to_owned()),
            };
            if let Ok(deployment) = &answer {
                asked.keep(lock, deployment);
            }
            asked.answer(lock, &answer);
        });
    }

    /// Keeps a worker from now on for [`SPARE_KEPT`]. Called inside a runtime.
    fn keep(self: &Arc<Asked>, lock: Digest, deployment: &engine::Deployment) {
        *locked(&self.kept) = Some((lock, deployment.clone(), Instant::now()));
        let asked = Arc::clone(self);
        tokio::spawn(async move {
            // What is used again meanwhile is let go of by a later one of these.
            tokio::time::sleep(SPARE_KEPT).await;
            locked(&asked.kept).take_if(|(_, _, used)| used.elapsed() >= SPARE_KEPT);
        });
    }

    /// The kept worker, if it is by that lock. Another is let go of: there is room for one.
    fn kept(&self, lock: Digest) -> Option<engine::Deployment> {
        let mut kept = locked(&self.kept);
        kept.take_if(|(of, deployment, _)| *of != lock || deployment.worker.is_gone());
        kept.as_ref().map(|(_, deployment, _)| deployment.clone())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The supervisor, which starts workers.
struct Supervisor {
    channel: Arc<Channel>,
    asked: Arc<Asked>,
    /// The folder of the policy's files.
    policy: PathBuf,
}

impl Supervisor {
    /// Waits for an answer, and asks for one unless another's will do.
    fn ask<T: Send + 'static>(
        &self,
        question: Option<&FromGateway>,
        waiting: &mut Waiting<T>,
    ) -> Supervised<T> {
        let (sender, answer) = oneshot::channel();
        waiting.push_back(sender);
        let sent = question.map_or(Ok(()), |question| send(&self.channel, question));
        let sent = sent.map_err(|error| error.to_string());
        Box::pin(async move {
            sent?;
            answer.await.unwrap_or_else(|_| Err("the supervisor is gone".to_owned()))
        })
    }
}

impl Supervision for Supervisor {
    fn spare(&self, lock: Digest) -> Supervised<engine::Deployment> {
        if let Some(kept) = self.asked.kept(lock) {
            self.asked.keep(lock, &kept);
            return Box::pin(async { Ok(kept) });
        }
        let mut spares = locked(&self.asked.spares);
        let waiting = spares.entry(lock).or_default();
        let question = FromGateway::Spare { lock };
        self.ask(waiting.is_empty().then_some(&question), waiting)
    }

    fn reload(&self) -> Supervised<Vec<DeploymentFacts>> {
        // Each asks: what it is about may be newer than another's question.
        self.ask(Some(&FromGateway::Reload), &mut locked(&self.asked.reloads))
    }

    fn reload_sources(&self) -> Supervised<Vec<String>> {
        self.ask(Some(&FromGateway::ReloadSources), &mut locked(&self.asked.sources))
    }

    fn synchronise(&self, source: &str) -> Result<(), String> {
        let question = FromGateway::Synchronise { source: source.to_owned() };
        send(&self.channel, &question).map_err(|error| error.to_string())
    }

    fn policy_files(&self) -> Result<Vec<PolicyFile>, String> {
        policies::read(&self.policy)
    }

    fn posture(&self) -> Supervised<RecordedPosture> {
        self.ask(Some(&FromGateway::Posture), &mut locked(&self.asked.postures))
    }
}

/// Asks the supervisor, which holds the key.
struct SupervisorNotary {
    channel: Arc<Channel>,
    answers: Receiver<ToGateway>,
}

impl SupervisorNotary {
    fn ask(&mut self, question: &FromGateway) -> Result<String, NotaryError> {
        send(&self.channel, question).map_err(unreachable)?;
        match self.answers.recv() {
            Ok(ToGateway::Extended { checkpoint }) => Ok(checkpoint),
            Ok(ToGateway::Refused { reason }) => Err(NotaryError::Refused(reason)),
            _ => Err(unreachable("the supervisor is gone")),
        }
    }
}

fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> NotaryError {
    NotaryError::Unreachable(error.into())
}

impl Notary for SupervisorNotary {
    fn last(&mut self) -> Result<Option<String>, NotaryError> {
        self.ask(&FromGateway::Last).map(|checkpoint| Some(checkpoint).filter(|text| !text.is_empty()))
    }

    fn extend(&mut self, from: u64, hashes: &[[u8; 32]]) -> Result<String, NotaryError> {
        self.ask(&FromGateway::Extend { from, hashes: hashes.to_vec() })
    }
}

fn send(channel: &Channel, message: &FromGateway) -> Result<(), Box<dyn Error + Send + Sync>> {
    Ok(channel.send(&protocol::frame::encode(message)?, &[])?)
}

fn receive(channel: &Channel) -> Result<Option<(ToGateway, Vec<OwnedFd>)>, String> {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    let Some((len, descriptors)) = channel.recv(&mut packet).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let payload = packet.get(protocol::frame::HEADER_BYTES..len).ok_or("a packet is too short")?;
    let message = protocol::frame::decode(payload).map_err(|error| error.to_string())?;
    Ok(Some((message, descriptors)))
}
