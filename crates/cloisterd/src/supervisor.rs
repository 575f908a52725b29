//! The supervisor: opens the listeners, starts the gateway and the workers, restarts those that die,
//! and signs the ledger's checkpoints with a key that never leaves it. One thread, one loop, no runtime;
//! it parses nothing that a stranger wrote.

use std::error::Error;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use jail::Kind;
use jail::channel::{Channel, SendError};
use jail::oversight::Oversight;
use jail::spawn::{Child, Exit};
use ledger::{LocalNotary, Notary};
use models::deployment::Lock;
use protocol::Digest;
use protocol::access::Access;
use protocol::control::{
    DeploymentFacts, FromGateway, PACKET_BYTES_MAX, POSTURE_PART_BYTES_MAX, Setup, Source, ToGateway, VERSION,
};
use protocol::frame;
use protocol::posture::Flow;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::airgap::{Overseer, Surroundings};
use crate::compose::Pinned;
use crate::data::{self, Data, Keys};
use crate::gateway_process::{ARGUMENT, EXIT_FATAL};
use crate::host::activation::Activated;
use crate::host::cgroups::Cgroups;
use crate::indexing::{Ended, Indexing};
use crate::listeners::Listeners;
use crate::output;
use crate::settings::{OnFailure, Settings};
use crate::sources::Indexes;
use crate::ways_in::{self, Watch};
use crate::{checker_process, compose, corpora, gateway_process, host, policies, served, settings, sources};

/// A process that dies is started again after this, doubled at each death that comes soon,
const RESTART_WAIT_MIN: Duration = Duration::from_millis(100);
/// up to this.
const RESTART_WAIT_MAX: Duration = Duration::from_secs(10);
/// A process that ran this long was healthy.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// The gateway has that long to record that the jails do not hold.
const RECORD_WAIT: Duration = Duration::from_secs(10);
/// The gateway has that long to finish.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(15);

/// Everything that `cloisterd serve` holds.
pub(crate) struct Supervisor {
    data: Data,
    _lock: data::Lock,
    settings: Settings,
    keys: Keys,
    notary: LocalNotary,
    listeners: Listeners,
    cgroups: Option<Cgroups>,
    workers: Vec<WorkerSlot>,
    /// Workers that serve no more, or run a record again: they end when the gateway lets go of them.
    ending: Vec<Child>,
    /// Has compilers run; ends when the gateway does.
    checker: Option<Child>,
    checker_restarts: Restarts,
    gateway: Option<Gateway>,
    gateway_restarts: Restarts,
    indexing: Indexing,
    /// Files of the ways in.
    ways_in: Watch,
    /// Whether somebody waits until the gateway has taken the sources.
    sources_asked: bool,
    overseer: Overseer,
    /// What a look at the jails found wrong; once that is recorded, or after a while, everything stops.
    condemned: Option<Condemned>,
}

struct Condemned {
    why: String,
    deadline: Instant,
}

struct Gateway {
    child: Child,
    channel: Channel,
    is_ready: bool,
}

struct WorkerSlot {
    deployment: Pinned,
    child: Option<Child>,
    restarts: Restarts,
}

/// When a process may be started again.
struct Restarts {
    wait: Duration,
    started: Instant,
    due: Instant,
}

/// What woke the loop.
enum Woken {
    Signal,
    Gateway,
    GatewayEnded,
    WorkerEnded(usize),
    SpareEnded(usize),
    CheckerEnded,
    Indexer,
    IndexerEnded,
    Overseen(u32),
    Timer,
}

impl Supervisor {
    /// Everything that can be refused is refused here, before anything runs.
    pub(crate) fn new(
        data: Data,
        lock: data::Lock,
        settings: Settings,
        activated: Option<Activated>,
    ) -> Result<Supervisor, Box<dyn Error>> {
        // Before models are checked, which takes long: a wrong passphrase is known at once.
        let (notary, keys) = compose::local_notary(&data)?;
        let deployments = served::locks(&data, &settings, &notary.verifier())?;
        if deployments.is_empty() {
            let hint = "import and deploy a model: docs/models.md";
            return Err(output::Hinted::new("there is no deployment to serve", hint).into());
        }
        let ways_in = Watch::new(&settings);
        let _readable = ways_in::read(&settings)?;
        let pinned = compose::pinned(&data, &settings, deployments)?;
        let workers = pinned.into_iter().map(WorkerSlot::new).collect();
        let overseer = Overseer::new(settings.airgap.interval());
        let listeners = match activated {
            Some(activated) => Listeners::activated(activated, &settings)?,
            None => Listeners::open(&data, &settings)?,
        };
        let cgroups = host::cgroups_of(&settings)?;
        corpora::make_folder(&data)?;
        policies::make_folder(&data)?;
        let indexing = Indexing::new(&data)?;
        // From here on nothing that this process starts can make a network socket, whatever its jail.
        jail::give_up_networks()?;
        Ok(Supervisor {
            data,
            _lock: lock,
            settings,
            keys,
            notary,
            listeners,
            cgroups,
            workers,
            ending: Vec::new(),
            checker: None,
            checker_restarts: Restarts::new(),
            gateway: None,
            gateway_restarts: Restarts::new(),
            indexing,
            ways_in,
            sources_asked: false,
            overseer,
            condemned: None,
        })
    }

    /// Runs until a signal says stop, or the gateway cannot start.
    pub(crate) fn run(mut self) -> Result<(), Box<dyn Error>> {
        let signals = signals()?;
        loop {
            self.start_what_is_due()?;
            self.look_at_ways_in()?;
            self.look_at_jails()?;
            if let Some(condemned) = self.condemned.take_if(|condemned| condemned.deadline <= Instant::now())
            {
                // Whatever becomes of the rest, this is why.
                if let Err(error) = self.shut_down() {
                    output::say(&format!("while stopping: {}", output::on_one_line(&*error)));
                }
                return Err(condemned.why.into());
            }
            match self.wait(&signals)? {
                Woken::Signal => break,
                Woken::Gateway => {
                    if !self.answer_gateway()? {
                        self.gateway_ended()?;
                    }
                }
                Woken::GatewayEnded => self.gateway_ended()?,
                Woken::WorkerEnded(index) => self.worker_ended(index),
                Woken::SpareEnded(index) => {
                    let child = self.ending.swap_remove(index);
                    self.overseer.forget(child.pid());
                    child.wait()?;
                }
                Woken::CheckerEnded => self.checker_ended(),
                Woken::Indexer => {
                    if let Some(told) = self.indexing.hear() {
                        self.tell_gateway(&told, &[])?;
                    }
                }
                Woken::IndexerEnded => self.indexer_ended()?,
                Woken::Overseen(pid) => self.overseer.hear(pid),
                Woken::Timer => {}
            }
        }
        self.shut_down()
    }

    /// The gateway first: workers are announced to it.
    fn start_what_is_due(&mut self) -> Result<(), Box<dyn Error>> {
        if self.gateway.is_none() && self.gateway_restarts.is_due() {
            self.gateway_restarts.starts();
            self.gateway = Some(self.start_gateway()?);
        }
        let Some(gateway) = self.gateway.as_ref() else { return Ok(()) };
        // Once the gateway works: the jails of the start are looked at together, and it is asked about what is made.
        if gateway.is_ready
            && let Some((started, told)) = self.indexing.start_what_is_due(&self.data, &self.settings)
        {
            let program = self.overseer.own_program();
            self.overseer.watch(started.name, started.pid, program, started.oversight);
            self.tell_gateway(&told, &[])?;
        }
        self.start_checker()?;
        let Some(gateway) = self.gateway.as_ref() else { return Ok(()) };
        for slot in &mut self.workers {
            if slot.child.is_none() && slot.restarts.is_due() {
                slot.restarts.starts();
                let launched = slot.deployment.launch(&self.settings)?;
                host::confine(
                    self.cgroups.as_ref(),
                    "worker",
                    &launched.child,
                    self.settings.worker_limits(),
                )?;
                let facts = slot.deployment.facts();
                let (name, program) = (process_name(&facts), facts.engine_build);
                self.overseer.watch(name, launched.child.pid(), program, launched.oversight);
                let up = ToGateway::WorkerUp { lock: slot.deployment.lock() };
                match send(&gateway.channel, &up, &[launched.socket.as_fd()]) {
                    // It says why, and is noticed by its process.
                    Err(error) if is_gone(&*error) => {}
                    sent => sent?,
                }
                slot.child = Some(launched.child);
            }
        }
        Ok(())
    }

    fn start_checker(&mut self) -> Result<(), Box<dyn Error>> {
        let is_ready = self.gateway.as_ref().is_some_and(|gateway| gateway.is_ready);
        if is_ready && self.checker.is_none() && self.checker_restarts.is_due() {
            self.checker_restarts.starts();
            // Answers go without checks, and say so, until there is one.
            let started = checker_process::start(&self.data).and_then(|(child, socket)| {
                host::confine(self.cgroups.as_ref(), "checker", &child, self.settings.gateway_limits())?;
                Ok((child, socket))
            });
            match started {
                Ok((child, socket)) => {
                    self.checker = Some(child);
                    self.tell_gateway(&ToGateway::CheckerUp, &[socket.as_fd()])?;
                }
                Err(error) => {
                    output::say(&format!("the checker does not start: {}", output::on_one_line(&*error)));
                    self.checker_restarts.ended();
                }
            }
        }
        Ok(())
    }

    fn checker_ended(&mut self) {
        let Some(child) = self.checker.take() else { return };
        let exit = child.wait();
        if self.gateway.is_some() {
            output::say(&format!("the checker ended ({exit:?}); starting it again"));
        }
        self.checker_restarts.ended();
    }

    fn start_gateway(&mut self) -> Result<Gateway, Box<dyn Error>> {
        let SpawnedGateway { channel, child, oversight } = spawn_gateway(&self.data, &[])?;
        // Before it is told anything: it waits for that.
        host::confine(self.cgroups.as_ref(), "gateway", &child, self.settings.gateway_limits())?;
        let (access, files) = match ways_in::read(&self.settings)? {
            Some((access, files)) => (Some(access), Some(ways_in::sealed(&files)?)),
            None => (None, None),
        };
        let mut descriptors = self.listeners.descriptors();
        descriptors.extend(files.as_ref().map(AsFd::as_fd));
        send(&channel, &ToGateway::Setup(Box::new(self.setup(access)?)), &descriptors)?;
        self.overseer.watch("gateway".to_owned(), child.pid(), self.overseer.own_program(), oversight);
        Ok(Gateway { child, channel, is_ready: false })
    }

    /// Begins, goes on with, or ends a look at the jails. What it came to goes into the ledger, through the gateway.
    fn look_at_jails(&mut self) -> Result<(), Box<dyn Error>> {
        let Some(gateway) = self.gateway.as_ref().filter(|gateway| gateway.is_ready) else { return Ok(()) };
        let Some(occasion) = self.overseer.advance() else { return Ok(()) };
        let surroundings = Surroundings {
            tcp: self.listeners.addresses().into_iter().flatten().collect(),
            accepted: self.settings.airgap.accepted(),
            flows: self.flows(),
        };
        let posture = self.overseer.look(occasion, &surroundings);
        for failure in posture.failures() {
            output::say(&format!("airgap: FAIL: {failure}"));
        }
        let first = posture.failures().next().map(ToString::to_string);
        if let (Some(first), OnFailure::Stop) = (first, self.settings.airgap.on_failure) {
            let count = posture.failures().count();
            let why = format!("the jails do not hold ({count} findings), so nothing is served: {first}");
            self.condemned.get_or_insert(Condemned { why, deadline: Instant::now() + RECORD_WAIT });
        }
        let text = serde_json::to_vec(&posture)?;
        let parts = text.chunks(POSTURE_PART_BYTES_MAX).map(|part| ToGateway::PosturePart(part.to_vec()));
        let summary = posture.summary(compose::clock_state());
        for message in parts.chain([ToGateway::Posture(summary)]) {
            // A gateway that died meanwhile is noticed by its process; its successor is looked at, too.
            if let Err(error) = send(&gateway.channel, &message, &[]) {
                output::say(&format!("the gateway does not take a look at the jails: {error}"));
                break;
            }
        }
        Ok(())
    }

    /// Every way by which anything goes between these processes, and to and from people.
    fn flows(&self) -> Vec<Flow> {
        let flow = |from: &str, to: &str, by: &str, carries: &str| Flow {
            from: from.to_owned(),
            to: to.to_owned(),
            by: by.to_owned(),
            carries: carries.to_owned(),
        };
        let [users, admin] = self.listeners.paths().map(|path| path.display().to_string());
        let mut flows = vec![
            flow("people", "gateway", &users, "requests and answers"),
            flow("administrators", "gateway", &admin, "commands and answers"),
            flow("gateway", "supervisor", "a socket pair", "hashes of leaves, and checkpoints over them"),
        ];
        let [tcp, tls] = self.listeners.addresses();
        if let Some(address) = tcp {
            let by = format!("tcp {address}");
            flows.push(flow("people with a token", "gateway", &by, "requests and answers"));
        }
        if let Some(address) = tls {
            let by = format!("tls {address}");
            flows.push(flow("people with a certificate or a token", "gateway", &by, "requests and answers"));
        }
        if let Some(proxy) = &self.settings.proxy {
            let by = proxy.socket.display().to_string();
            flows.push(flow("people the reverse proxy knows", "gateway", &by, "requests and answers"));
        }
        for slot in &self.workers {
            let facts = slot.deployment.facts();
            let name = process_name(&facts);
            flows.push(flow("gateway", &name, "a socket pair", "prompts as tokens, and tokens"));
            if let Source::Upstream { socket } = &facts.source {
                flows.push(flow(&name, "the site's inference server", socket, "prompts and texts"));
            }
        }
        flows.push(flow(
            "gateway",
            "checker",
            "a socket pair",
            "texts to be checked, and what compilers write",
        ));
        flows.push(flow("checker", "each compiler", "files and pipes", "one text, and what it writes of it"));
        flows.push(flow("indexer", "supervisor", "a socket pair", "how far it is"));
        flows.push(flow("indexer", "gateway", "files, read-only", "the index of one source each"));
        let name = "every jailed process";
        flows.push(flow("supervisor", name, "a socket pair each", "requests for probes, and outcomes"));
        flows.push(flow(name, "the daemon's standard error", "the same descriptor", "messages"));
        flows
    }

    /// Hands over the files of the ways in, where any has changed. One that cannot be read closes what it is for: it
    /// goes over as if it were empty, and nothing empty is accepted.
    fn look_at_ways_in(&mut self) -> Result<(), Box<dyn Error>> {
        let is_ready = self.gateway.as_ref().is_some_and(|gateway| gateway.is_ready);
        if !is_ready || !self.ways_in.has_changed() {
            return Ok(());
        }
        let (access, files) = match ways_in::read(&self.settings) {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(()),
            Err(error) => {
                output::say(&format!("the ways in are closed: {}", output::on_one_line(&*error)));
                ways_in::closed(&self.settings)
            }
        };
        let files = ways_in::sealed(&files)?;
        self.tell_gateway(&ToGateway::Access(Box::new(access)), &[files.as_fd()])
    }

    fn setup(&self, access: Option<Access>) -> Result<Setup, Box<dyn Error>> {
        Ok(Setup {
            version: VERSION,
            supervisor_pid: std::process::id(),
            data: self.data.root().to_str().ok_or("the data directory's path is not UTF-8")?.to_owned(),
            origin: self.data.origin()?,
            verifier: self.notary.verifier(),
            body_key: self.keys.body,
            body_key_older: self.keys.body_older,
            fingerprint_key: self.keys.fingerprint,
            owner_uid: self.data.owner_uid(),
            deployments: self.workers.iter().map(|slot| slot.deployment.facts()).collect(),
            sources: self.indexing.facts(),
            corpora: corpora::facts(&corpora::configured(&self.data)?),
            provenance: self.settings.provenance.clone(),
            labels: self.settings.labels.clone(),
            roles: self.settings.roles.clone(),
            limits: self.settings.limits(),
            qualified_only: self.settings.models.qualified_only,
            clock: compose::clock_state(),
            accept: self.settings.jail.accept_names(),
            listeners: self.listeners.kinds(),
            access,
        })
    }

    fn wait(&self, signals: &UnixStream) -> Result<Woken, Box<dyn Error>> {
        let readable = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut watched = vec![(Woken::Signal, readable(signals.as_fd()))];
        if let Some(gateway) = &self.gateway {
            // Its messages before its end: what it handed over to be signed is signed.
            watched.push((Woken::Gateway, readable(gateway.channel.as_fd())));
            watched.push((Woken::GatewayEnded, readable(gateway.child.as_fd())));
        }
        for (index, slot) in self.workers.iter().enumerate() {
            if let Some(child) = &slot.child {
                watched.push((Woken::WorkerEnded(index), readable(child.as_fd())));
            }
        }
        for (index, child) in self.ending.iter().enumerate() {
            watched.push((Woken::SpareEnded(index), readable(child.as_fd())));
        }
        if let Some(checker) = &self.checker {
            watched.push((Woken::CheckerEnded, readable(checker.as_fd())));
        }
        if let Some(indexer) = self.indexing.running() {
            // What it says before its end.
            if self.indexing.is_open() {
                watched.push((Woken::Indexer, readable(indexer.channel.as_fd())));
            }
            watched.push((Woken::IndexerEnded, readable(indexer.child.as_fd())));
        }
        watched.extend(self.overseer.lines().map(|(pid, line)| (Woken::Overseen(pid), readable(line))));
        let mut polled: Vec<_> = watched.iter().map(|(_, fd)| fd.clone()).collect();
        let timeout = self.next_start().map(|wait| Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(format!("the supervisor cannot wait: {errno}").into()),
        }
        let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(polled);
        let first = watched.into_iter().zip(ready).find(|(_, ready)| *ready);
        Ok(first.map_or(Woken::Timer, |((woken, _), _)| woken))
    }

    /// Time until something is to be started again, or the jails are to be looked at.
    fn next_start(&self) -> Option<Duration> {
        let gateway = self.gateway.is_none().then_some(&self.gateway_restarts);
        let workers = self.workers.iter().filter(|slot| slot.child.is_none()).map(|slot| &slot.restarts);
        let checker = (self.checker.is_none()
            && self.gateway.as_ref().is_some_and(|gateway| gateway.is_ready))
        .then_some(&self.checker_restarts);
        let starts = gateway.into_iter().chain(workers).chain(checker).map(|restarts| restarts.due);
        let is_ready = self.gateway.as_ref().is_some_and(|gateway| gateway.is_ready);
        let looks = self.overseer.due().filter(|_| is_ready);
        let stops = self.condemned.as_ref().map(|condemned| condemned.deadline);
        let indexing = self.indexing.next().filter(|_| is_ready);
        let ways_in = self.ways_in.due().filter(|_| is_ready);
        let first = starts.chain(looks).chain(stops).chain(indexing).chain(ways_in).min()?;
        Some(first.saturating_duration_since(Instant::now()))
    }

    /// Answers one message; false when the gateway's end of the channel is closed.
    fn answer_gateway(&mut self) -> Result<bool, Box<dyn Error>> {
        let Some(gateway) = self.gateway.as_mut() else { return Ok(true) };
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let Some((len, _)) = gateway.channel.recv(&mut packet)? else { return Ok(false) };
        let payload =
            packet.get(frame::HEADER_BYTES..len).ok_or("the gateway sent a packet that is too short")?;
        let answer = match frame::decode(payload)? {
            FromGateway::Ready => {
                let [users, _] = self.listeners.paths();
                output::say(&format!("serving on {}", users.display()));
                let [tcp, tls] = self.listeners.addresses();
                if let Some(tcp) = tcp {
                    output::say(&format!("serving on http://{tcp} (with a token: `cloisterd token issue`)"));
                }
                if let Some(tls) = tls {
                    output::say(&format!("serving on https://{tls}"));
                }
                gateway.is_ready = true;
                for told in self.indexing.published(&self.data) {
                    self.tell_gateway(&told, &[])?;
                }
                return Ok(true);
            }
            FromGateway::Posture => {
                self.overseer.request();
                return Ok(true);
            }
            FromGateway::Recorded(recorded) => {
                if let Err(error) = recorded {
                    output::say(&format!("a look at the jails is not in the ledger: {error}"));
                }
                if let Some(condemned) = &mut self.condemned {
                    condemned.deadline = Instant::now();
                }
                return Ok(true);
            }
            FromGateway::Reload => {
                let answer = ToGateway::Reloaded(self.reload().map_err(|error| output::on_one_line(&*error)));
                return self.tell_gateway(&answer, &[]).map(|()| true);
            }
            FromGateway::ReloadSources => return self.reload_sources().map(|()| true),
            FromGateway::SourcesTaken => return self.sources_taken().map(|()| true),
            FromGateway::IndexTaken { source, folder, error } => {
                match error {
                    None => self.indexing.usable(&self.data, &source, &folder),
                    Some(error) => self.indexing.unusable(&self.data, &source, &folder, &error),
                }
                return Ok(true);
            }
            FromGateway::Synchronise { source } => {
                let _removed_meanwhile = self.indexing.synchronise(&source);
                return Ok(true);
            }
            FromGateway::Spare { lock } => return self.start_spare(lock).map(|()| true),
            FromGateway::Last => self.notary.last().map(Option::unwrap_or_default),
            FromGateway::Extend { from, hashes } => self.notary.extend(from, &hashes),
        };
        let answer = match answer {
            Ok(checkpoint) => ToGateway::Extended { checkpoint },
            Err(error) => {
                output::say(&format!("the notary refuses: {error}"));
                ToGateway::Refused { reason: error.to_string() }
            }
        };
        self.tell_gateway(&answer, &[])?;
        Ok(true)
    }

    fn tell_gateway(
        &self,
        answer: &ToGateway,
        descriptors: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<(), Box<dyn Error>> {
        let Some(gateway) = &self.gateway else { return Ok(()) };
        // A gateway that died meanwhile is noticed by its process.
        if let Err(error) = send(&gateway.channel, answer, descriptors) {
            output::say(&format!("the gateway does not take its answer: {error}"));
        }
        Ok(())
    }

    /// Serves what `deployments.lock` says now. Whatever is wrong with it, what serves goes on serving.
    fn reload(&mut self) -> Result<Vec<DeploymentFacts>, Box<dyn Error>> {
        let locks = served::locks(&self.data, &self.settings, &self.notary.verifier())?;
        let order: Vec<Digest> = locks.iter().map(Lock::digest).collect();
        let is_new = |lock: &Lock| {
            let digest = lock.digest();
            !self.workers.iter().any(|slot| slot.deployment.lock() == digest)
        };
        let new = compose::pinned(&self.data, &self.settings, locks.into_iter().filter(is_new).collect())?;
        let before = std::mem::take(&mut self.workers);
        for slot in before.into_iter().chain(new.into_iter().map(WorkerSlot::new)) {
            if order.contains(&slot.deployment.lock()) {
                self.workers.push(slot);
            } else {
                output::say(&format!("{} is retired", slot.deployment.alias()));
                self.ending.extend(slot.child);
            }
        }
        self.workers.sort_by_key(|slot| order.iter().position(|lock| *lock == slot.deployment.lock()));
        Ok(self.workers.iter().map(|slot| slot.deployment.facts()).collect())
    }

    /// Takes what `sources.toml` and `corpora.toml` say now. The gateway hears it first; what is removed is removed once
    /// it has let go.
    fn reload_sources(&mut self) -> Result<(), Box<dyn Error>> {
        let configured = sources::configured(&self.data)
            .and_then(|sources| Ok((sources, corpora::configured(&self.data)?)));
        match configured {
            Ok((configured, known)) => {
                self.tell_gateway(&ToGateway::Corpora(corpora::facts(&known)), &[])?;
                if let Some(pid) = self.indexing.set(configured) {
                    self.overseer.forget(pid);
                }
                self.sources_asked = true;
                self.tell_gateway(&ToGateway::Sources(self.indexing.facts()), &[])
            }
            Err(error) => {
                let reason = output::on_one_line(&*error);
                self.tell_gateway(&ToGateway::SourcesReloaded(Err(reason)), &[])
            }
        }
    }

    fn sources_taken(&mut self) -> Result<(), Box<dyn Error>> {
        if !std::mem::take(&mut self.sources_asked) {
            return Ok(());
        }
        let names: Vec<String> = self.indexing.facts().into_iter().map(|facts| facts.name).collect();
        let removed = sources::configured(&self.data).and_then(|configured| {
            for name in sources::abandoned(&self.data, &configured) {
                Indexes::of(&self.data, &name).remove()?;
            }
            Ok(names)
        });
        let answer = removed.map_err(|error| output::on_one_line(&*error));
        self.tell_gateway(&ToGateway::SourcesReloaded(answer), &[])
    }

    fn indexer_ended(&mut self) -> Result<(), Box<dyn Error>> {
        // What it said last is still in its line.
        while self.indexing.is_open() {
            if let Some(told) = self.indexing.hear() {
                self.tell_gateway(&told, &[])?;
            }
        }
        let Some(Ended { pid, told }) = self.indexing.ended(&self.data)? else { return Ok(()) };
        self.overseer.forget(pid);
        for told in told {
            self.tell_gateway(&told, &[])?;
        }
        Ok(())
    }

    /// A worker by a lock of the past, only if the ledger says that it was deployed.
    fn start_spare(&mut self, lock: Digest) -> Result<(), Box<dyn Error>> {
        let started = served::once(&self.data, lock, &self.notary.verifier()).and_then(|locked| {
            let pinned = compose::pinned_once(&self.data, &self.settings, locked)?;
            let launched = pinned.launch(&self.settings)?;
            host::confine(self.cgroups.as_ref(), "worker", &launched.child, self.settings.worker_limits())?;
            Ok((pinned.facts(), launched))
        });
        match started {
            Ok((facts, launched)) => {
                let name = format!("{}, to run a record again", process_name(&facts));
                self.overseer.watch(name, launched.child.pid(), facts.engine_build, launched.oversight);
                let up = ToGateway::SpareUp { facts: Box::new(facts) };
                self.tell_gateway(&up, &[launched.socket.as_fd()])?;
                self.ending.push(launched.child);
                Ok(())
            }
            Err(error) => {
                let reason = output::on_one_line(&*error);
                self.tell_gateway(&ToGateway::NoSpare { lock, reason }, &[])
            }
        }
    }

    /// Its workers end by themselves, since their sockets do.
    fn gateway_ended(&mut self) -> Result<(), Box<dyn Error>> {
        let Some(gateway) = self.gateway.take() else { return Ok(()) };
        let exit = gateway.child.wait()?;
        self.overseer.forget(gateway.child.pid());
        if exit == Exit::Code(i32::from(EXIT_FATAL)) {
            return Err("the gateway cannot start; its reason is above".into());
        }
        output::say(&format!("the gateway ended ({exit:?}); starting it again"));
        self.gateway_restarts.ended();
        Ok(())
    }

    fn worker_ended(&mut self, index: usize) {
        let slot = &mut self.workers[index];
        let Some(child) = slot.child.take() else { return };
        let exit = child.wait();
        self.overseer.forget(child.pid());
        let alias = slot.deployment.alias();
        output::say(&format!("the worker of {alias} ended ({exit:?}); starting it again"));
        slot.restarts.ended();
    }

    fn shut_down(mut self) -> Result<(), Box<dyn Error>> {
        output::say("stopping");
        let Some(gateway) = &self.gateway else { return Ok(()) };
        send(&gateway.channel, &ToGateway::Shutdown, &[])?;
        let deadline = Instant::now() + SHUTDOWN_WAIT;
        // The gateway has its last leaves signed before it ends.
        while let Some(gateway) = &self.gateway {
            if let Some(exit) = gateway.child.try_wait()? {
                return match exit {
                    Exit::Code(0) => Ok(()),
                    exit => Err(format!("the gateway ended badly ({exit:?})").into()),
                };
            }
            if Instant::now() > deadline {
                gateway.child.kill()?;
                return Err("the gateway did not stop in time and was killed".into());
            }
            let mut polled = [PollFd::new(&gateway.channel, PollFlags::IN)];
            let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let ready = rustix::event::poll(&mut polled, Some(&wait)).unwrap_or(0);
            if ready > 0 && !self.answer_gateway()? {
                // Closed; its process ends in a moment.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

/// What a worker is called in the proof.
fn process_name(facts: &DeploymentFacts) -> String {
    let kind = match facts.source {
        Source::Model { .. } => "engine",
        Source::Upstream { .. } => "relay",
    };
    format!("{kind} {}", facts.alias)
}

/// The gateway's process, and our ends of its lines.
pub(crate) struct SpawnedGateway {
    pub(crate) channel: Channel,
    pub(crate) child: Child,
    pub(crate) oversight: Oversight,
}

/// Starts this program as the gateway of a data directory.
pub(crate) fn spawn_gateway(data: &Data, more: &[&str]) -> Result<SpawnedGateway, Box<dyn Error>> {
    let (channel, theirs) = Channel::pair()?;
    let (oversight, its_end) = Oversight::of(Kind::Gateway, gateway_process::places(data.root()))?;
    let program = std::env::current_exe()?;
    let mut arguments = vec![ARGUMENT];
    arguments.extend(more);
    let log = std::env::var(settings::LOG_VARIABLE).unwrap_or_else(|_| "warn".to_owned());
    let child = jail::spawn::spawn(&jail::spawn::Command {
        program: jail::spawn::Program::Path(&program),
        name: "cloister-gateway",
        arguments: &arguments,
        environment: &[(settings::LOG_VARIABLE, &log)],
        descriptors: &[theirs.as_fd(), its_end.as_fd()],
    })?;
    Ok(SpawnedGateway { channel, child, oversight })
}

/// Sends a message to the gateway.
pub(crate) fn send(
    channel: &Channel,
    message: &ToGateway,
    descriptors: &[std::os::fd::BorrowedFd<'_>],
) -> Result<(), Box<dyn Error>> {
    Ok(channel.send(&frame::encode(message)?, descriptors)?)
}

/// Whether a message was not sent because its receiver has ended.
fn is_gone(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<SendError>();
    matches!(error, Some(SendError::Io { source }) if source.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Readable once a signal asks to stop.
fn signals() -> std::io::Result<UnixStream> {
    let (reading, writing) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::low_level::pipe::register(signal, writing.try_clone()?)?;
    }
    Ok(reading)
}

impl WorkerSlot {
    fn new(deployment: Pinned) -> WorkerSlot {
        WorkerSlot { deployment, child: None, restarts: Restarts::new() }
    }
}

impl Restarts {
    fn new() -> Restarts {
        let now = Instant::now();
        Restarts { wait: RESTART_WAIT_MIN, started: now, due: now }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    fn starts(&mut self) {
        self.started = Instant::now();
    }

    fn ended(&mut self) {
        if self.started.elapsed() > HEALTHY_AFTER {
            self.wait = RESTART_WAIT_MIN;
        }
        self.due = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(RESTART_WAIT_MAX);
    }
}
