//! What a look at the jails came to: the body of a posture record, as JSON, and what `cloisterd airgap verify` shows.

use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::control::ClockState;

/// The version of this form.
pub const VERSION: u32 = 1;

/// Everything that was looked at, at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// [`VERSION`].
    pub version: u32,
    /// Why now.
    pub occasion: Occasion,
    /// When, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// Our name and version.
    pub software: String,
    /// The kernel's name, release and machine.
    pub kernel: String,
    /// Weaker claims that the configuration accepts, by the names of the settings.
    pub accepted: Vec<String>,
    /// Each process.
    pub processes: Vec<Process>,
    /// Every way by which anything goes between processes, and to and from people.
    pub flows: Vec<Flow>,
    /// Each thing that was looked at.
    pub rows: Vec<Row>,
}

/// Why the jails were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// Time went by.
    Interval,
    /// A process ended or was started.
    Change,
    /// The daemon was started.
    Start,
    /// An administrator asked.
    Request,
}

/// A process, as it was seen from outside, and what it said of its jail before it read anything of a stranger's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// What it is, as `engine code`.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// SHA-256 of the program that it runs; `None` where that could not be read.
    pub program: Option<Digest>,
    /// Its jail; `None` of the supervisor, and of a process that has told of none.
    pub jail: Option<Jail>,
    /// Its threads.
    pub threads: u32,
    /// Sockets that it holds.
    pub sockets: Vec<Socket>,
    /// Everything else that it holds open, in the kernel's words, without repetitions.
    pub files: Vec<String>,
}

/// A jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jail {
    /// Which kind.
    pub kind: String,
    /// How its namespaces were entered.
    pub route: String,
    /// Inode of its network namespace.
    pub network_namespace: u64,
    /// The kernel's Landlock ABI; 0 is none.
    pub landlock_abi: u32,
    /// System calls that its table admits.
    pub system_calls_allowed: u32,
    /// Directories that it may read and write.
    pub read_write: Vec<String>,
    /// Files and directories that it may read.
    pub read_only: Vec<String>,
    /// Pieces that this kernel lacks, and the configuration accepts to be without.
    pub weaker: Vec<String>,
}

/// Something that can go from one to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Who begins it.
    pub from: String,
    /// Who is on the other side.
    pub to: String,
    /// By which way.
    pub by: String,
    /// What goes over it.
    pub carries: String,
}

/// A socket that a process holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Socket {
    /// `tcp listener`, `tcp`, `unix listener`, `unix`, or `unknown`.
    pub kind: String,
    /// Its address; empty of a local pair.
    pub local: String,
    /// Its peer's address; empty where there is none, and of local sockets.
    pub peer: String,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Whose: [`Process::name`], `outside` of the control, `program`, `host`.
    pub place: String,
    /// The layer of the jail that it shows.
    pub layer: String,
    /// What was looked at.
    pub name: String,
    /// What was tried, or read.
    pub how: String,
    /// What has to come of it.
    pub expected: String,
    /// What came of it.
    pub found: String,
    /// What that means.
    pub verdict: Verdict,
}

/// What a row means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it has to be.
    Pass,
    /// Not as it has to be.
    Fail,
    /// This machine cannot show it. Never a pass.
    Untried,
    /// Not as it has to be, and the configuration accepts that by name. Never a pass.
    Accepted,
    /// Nothing that Cloister enforces.
    Advice,
}

/// What a posture leaf says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Why now.
    pub occasion: Occasion,
    /// Rows that came out as they must.
    pub passed: u32,
    /// Rows that did not.
    pub failed: u32,
    /// Rows that this machine cannot show, or that are accepted as they are.
    pub untried: u32,
    /// How the clock stood.
    pub clock: ClockState,
}

impl Posture {
    /// The counts of its rows.
    #[must_use]
    pub fn summary(&self, clock: ClockState) -> Summary {
        let count = |verdict| {
            let rows = self.rows.iter().filter(|row| row.verdict == verdict).count();
            u32::try_from(rows).unwrap_or(u32::MAX)
        };
        Summary {
            occasion: self.occasion,
            passed: count(Verdict::Pass),
            failed: count(Verdict::Fail),
            untried: count(Verdict::Untried).saturating_add(count(Verdict::Accepted)),
            clock,
        }
    }

    /// Rows that did not come out as they must.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.verdict == Verdict::Fail)
    }
}

impl Occasion {
    /// Its name, as a leaf has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Occasion::Start => "start",
            Occasion::Interval => "interval",
            Occasion::Change => "change",
            Occasion::Request => "request",
        }
    }
}

/// One line: what it is about, the layer first, so that a missing one is named.
impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Row { place, layer, name, how, expected, found, .. } = self;
        write!(f, "{layer}: {place}: {name}: {found} instead of {expected} ({how})")
    }
}
