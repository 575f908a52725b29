//! When the jails are looked at, and what that comes to. The supervisor's loop drives it; it never waits.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jail::inspect::{self, Inspection};
use jail::oversight::{Heard, Oversight};
use jail::probe::ProbeResult;
use protocol::Digest;
use protocol::posture::{Flow, Occasion, Posture, Process, Row, VERSION, Verdict};

use super::processes::{self, row};
use super::sockets::Sockets;
use super::{host, program};
use crate::output;

/// After a process was started, before the jails are looked at: its fellows are being started too.
const SETTLE: Duration = Duration::from_millis(500);
/// A process has that long to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// The place of rows of the control.
pub(crate) const CONTROL: &str = "outside";

/// Looks at the jails at the start, at intervals, on change, and when asked.
pub(crate) struct Overseer {
    watched: Vec<Watched>,
    /// Of this program and of the control: neither changes while it runs.
    constant: Vec<Row>,
    own_program: Option<Digest>,
    interval: Duration,
    due: Option<(Instant, Occasion)>,
    round: Option<Round>,
    looked_once: bool,
}

/// A look that is being taken.
struct Round {
    occasion: Occasion,
    deadline: Instant,
}

/// A jailed process.
struct Watched {
    name: String,
    pid: u32,
    /// The program that it has to run.
    program: Digest,
    oversight: Oversight,
    /// Asked in this round.
    asked: bool,
    answer: Option<Vec<ProbeResult>>,
    /// What its line came to: nothing more is read from it.
    broken: Option<String>,
}

/// What the supervisor knows beside its processes.
pub(crate) struct Surroundings {
    /// Addresses that are declared to be listened on.
    pub(crate) tcp: Vec<SocketAddr>,
    /// Names of weaker claims that the configuration accepts.
    pub(crate) accepted: Vec<String>,
    /// Every way that the supervisor opened.
    pub(crate) flows: Vec<Flow>,
}

impl Overseer {
    /// Tries outside of any jail what the processes will try inside, before the supervisor gives such sockets up.
    pub(crate) fn new(interval: Duration) -> Overseer {
        let mut constant = own_control();
        constant.extend(program::rows());
        Overseer {
            watched: Vec::new(),
            constant,
            own_program: processes::digest(std::path::Path::new("/proc/self/exe")),
            interval,
            due: None,
            round: None,
            looked_once: false,
        }
    }

    /// SHA-256 of this program, which the gateway runs too.
    pub(crate) fn own_program(&self) -> Digest {
        self.own_program.unwrap_or(Digest([0; 32]))
    }

    /// A process was started.
    pub(crate) fn watch(&mut self, name: String, pid: u32, program: Digest, oversight: Oversight) {
        self.watched.push(Watched {
            name,
            pid,
            program,
            oversight,
            asked: false,
            answer: None,
            broken: None,
        });
        let occasion = if self.looked_once { Occasion::Change } else { Occasion::Start };
        self.schedule(Instant::now() + SETTLE, occasion);
    }

    /// A process has ended.
    pub(crate) fn forget(&mut self, pid: u32) {
        self.watched.retain(|watched| watched.pid != pid);
    }

    /// Somebody asks for a look. Those who ask before it begins share it.
    pub(crate) fn request(&mut self) {
        self.schedule(Instant::now(), Occasion::Request);
    }

    /// The sooner counts, and the weightier reason for it.
    fn schedule(&mut self, at: Instant, occasion: Occasion) {
        self.due =
            Some(self.due.map_or((at, occasion), |(other, reason)| (other.min(at), reason.max(occasion))));
    }

    /// The lines that something can come over.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        let open = self.watched.iter().filter(|watched| watched.broken.is_none());
        open.map(|watched| (watched.pid, watched.oversight.as_fd()))
    }

    /// Something came over the line of that process.
    pub(crate) fn hear(&mut self, pid: u32) {
        let Some(watched) = self.watched.iter_mut().find(|watched| watched.pid == pid) else { return };
        match watched.oversight.hear() {
            Ok(None | Some(Heard::Applied)) => {}
            Ok(Some(Heard::Probed(results))) if watched.asked && watched.answer.is_none() => {
                watched.answer = Some(results);
            }
            // Its end, of which the supervisor hears otherwise; or else the next look finds it silent.
            Ok(Some(Heard::Ended)) => watched.broken = Some("it closed its line".to_owned()),
            // Nothing more is read, so that it cannot keep anybody busy.
            wrong => {
                let unasked = || "it answers what it was not asked".to_owned();
                watched.broken = Some(wrong.err().map_or_else(unasked, |error| output::on_one_line(&error)));
                self.schedule(Instant::now(), Occasion::Change);
            }
        }
    }

    /// When [`Overseer::advance`] has something to do, whatever is heard.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.round {
            Some(round) => Some(round.deadline),
            None => self.due.map(|(at, _)| at),
        }
    }

    /// Begins a look that is due, or goes on with one. Answers why it was taken once everybody has answered, or had the
    /// time to: then it is for [`Overseer::look`].
    pub(crate) fn advance(&mut self) -> Option<Occasion> {
        let now = Instant::now();
        if self.round.is_none() {
            let (_, occasion) = self.due.take_if(|(at, _)| *at <= now)?;
            self.round = Some(Round { occasion, deadline: now + ANSWER_WAIT });
            for watched in &mut self.watched {
                (watched.asked, watched.answer) = (false, None);
            }
        }
        for watched in &mut self.watched {
            watched.ask();
        }
        let late = self.round.as_ref().is_some_and(|round| round.deadline <= now);
        if !late && self.watched.iter().any(|watched| watched.answer.is_none()) {
            return None;
        }
        let round = self.round.take()?;
        self.looked_once = true;
        self.schedule(now + self.interval, Occasion::Interval);
        Some(round.occasion)
    }

    /// What is to be seen now, and what the processes answered.
    pub(crate) fn look(&self, occasion: Occasion, surroundings: &Surroundings) -> Posture {
        let table = Sockets::read();
        let mut rows = self.constant.clone();
        let mut all = vec![self.supervisor(surroundings, &table, &mut rows)];
        all.extend(self.watched.iter().filter_map(|watched| watched.look(surroundings, &table, &mut rows)));
        rows.extend(host::rows());
        let mut accepted = surroundings.accepted.clone();
        let weaker = all.iter().filter_map(|process| process.jail.as_ref()).flat_map(|jail| &jail.weaker);
        accepted.extend(weaker.map(|weaker| format!("jail.accept = [\"{weaker}\"]")));
        accepted.sort();
        accepted.dedup();
        let uname = rustix::system::uname();
        let words = [uname.sysname(), uname.release(), uname.machine()].map(|word| word.to_string_lossy());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Posture {
            version: VERSION,
            occasion,
            time_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            software: ledger::SOFTWARE.to_owned(),
            kernel: words.join(" "),
            accepted,
            processes: all,
            flows: surroundings.flows.clone(),
            rows,
        }
    }

    /// The supervisor has no jail, but makes no network socket any more.
    fn supervisor(&self, surroundings: &Surroundings, table: &Sockets, rows: &mut Vec<Row>) -> Process {
        const NAME: &str = "supervisor";
        let pid = std::process::id();
        // Not more: it leaves no dump, so its memory and environment are closed to its own user, too.
        let seen = inspect::threads(pid).and_then(|threads| Ok((threads, inspect::descriptors(pid)?)));
        let (threads, descriptors) =
            seen.inspect_err(|error| rows.push(processes::unread(NAME, error))).unwrap_or_default();
        let holds = threads.iter().all(|thread| thread.seccomp == 2 && thread.no_new_privs);
        let found = if holds && !threads.is_empty() { "given up" } else { "not given up" };
        let how = "/proc/self/task/TID/status";
        rows.push(row(NAME, "seccomp", "sockets of any network", how, "given up", found));
        let process = processes::process(NAME, pid, self.own_program, None, &threads, &descriptors, table);
        rows.push(processes::sockets(NAME, &process.sockets, &surroundings.tcp));
        process
    }
}

impl Watched {
    /// Asks once a round, as soon as the jail is applied.
    fn ask(&mut self) {
        if self.asked || self.broken.is_some() || self.oversight.applied().is_none() {
            return;
        }
        self.asked = true;
        if let Err(error) = self.oversight.ask() {
            self.broken = Some(output::on_one_line(&error));
        }
    }

    /// What it is, and its rows; `None` where it has ended meanwhile, which is nothing against its jail.
    fn look(&self, surroundings: &Surroundings, table: &Sockets, rows: &mut Vec<Row>) -> Option<Process> {
        let Watched { name, pid, oversight, .. } = self;
        let mut own = Vec::new();
        let inspection =
            inspect::inspect(*pid).inspect_err(|error| own.push(processes::unread(name, error))).ok();
        let program = processes::program_digest(*pid);
        own.extend(processes::applied(name, oversight.applied(), inspection.as_ref()));
        own.extend(self.answer.iter().flat_map(|results| processes::tried(name, results)));
        if self.answer.is_none() || self.broken.is_some() {
            let found = self.broken.as_deref().unwrap_or("no answer");
            own.push(row(name, "seccomp", "its probes", "asked over its line", "an answer", found));
        }
        let granted = oversight.applied().map(|applied| applied.read_write.clone()).unwrap_or_default();
        let kind = oversight.kind();
        let checks = inspection.as_ref().map(|inspection: &Inspection| inspection.checks(kind, &granted));
        own.extend(checks.into_iter().flat_map(|checks| processes::inspected(name, checks)));
        own.push(processes::program(name, self.program, program));
        let (threads, descriptors) = inspection
            .as_ref()
            .map(|inspection| (&inspection.threads[..], &inspection.descriptors[..]))
            .unwrap_or_default();
        let process =
            processes::process(name, *pid, program, oversight.applied(), threads, descriptors, table);
        own.push(processes::sockets(name, &process.sockets, &surroundings.tcp));
        let weaker = oversight.applied().map(|applied| applied.weaker.clone()).unwrap_or_default();
        processes::accept(&mut own, &weaker);
        // Asked last: whatever was not seen because it was ending is explained by this.
        if has_ended(*pid) {
            return None;
        }
        rows.extend(own);
        Some(process)
    }
}

/// Its number is still its own: the supervisor has not waited for it.
fn has_ended(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // The name, in parentheses, may hold anything; the state is what follows it.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    matches!(state, None | Some("Z" | "X" | "x"))
}

/// The positive control: what is refused inside has to succeed outside, or the probes cannot tell.
pub(crate) fn control() -> Vec<Row> {
    processes::tried(CONTROL, &jail::probe::control())
}

/// The control where the daemon runs. A host that forbids the daemon itself such sockets, as systemd's unit does, or has
/// no loopback, has nothing to show by it: that is no fault of a jail. `airgap verify` tries the control once more,
/// where the administrator is.
fn own_control() -> Vec<Row> {
    let mut rows = control();
    for row in rows.iter_mut().filter(|row| row.verdict == Verdict::Fail) {
        row.verdict = Verdict::Untried;
        row.found = format!("{}: cannot be had where the daemon runs", row.found);
    }
    rows
}
