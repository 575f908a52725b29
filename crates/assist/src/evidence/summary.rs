//! What the leaves of a period come to.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{CheckOutcome, ClockState, Event, Leaf, LoginOutcome, Outcome, ReplayOutcome};

/// Examples of a kind.
const EXAMPLES_MAX: usize = 3;
/// Gaps of a sort that are listed; the rest are counted.
const LISTED_MAX: usize = 50;
/// Names that are told apart in a group; the rest are counted together.
const NAMES_MAX: usize = 1000;
/// Jails that were not probed for longer are a gap.
const POSTURE_EVERY_MS: u64 = 24 * 60 * 60 * 1000;

/// What the leaves of a period come to. Leaves are added in the order of the log, all of them: those outside
/// the period are looked at for what they say of leaves inside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The period's first moment, in milliseconds since 1970.
    pub from_unix_ms: u64,
    /// The first moment after it.
    pub to_unix_ms: u64,
    /// Leaves of the period, by kind.
    pub kinds: BTreeMap<&'static str, LeafKind>,
    /// Requests by day, in days since 1970.
    pub days: BTreeMap<u64, u64>,
    /// Requests by deployment, and digest of its weights or `upstream`.
    pub deployments: Group,
    /// Requests by person.
    pub persons: Group,
    /// Ends of requests by outcome.
    pub outcomes: Group,
    /// Refusals by reason.
    pub refusals: Group,
    /// Logins by outcome, sort of credential and reason.
    pub logins: Group,
    /// Decisions by choice.
    pub decisions: Group,
    /// Checks by checker and outcome.
    pub checks: Group,
    /// Administration by action.
    pub administration: Group,
    /// States of the clock where a leaf has one.
    pub clock: Group,
    /// What is missing or odd.
    pub gaps: Gaps,
    /// Time of the log's first leaf, whatever the period.
    pub log_first_unix_ms: Option<u64>,
    /// Time of the log's last.
    pub log_last_unix_ms: Option<u64>,
    pseudonyms: Option<BTreeMap<String, usize>>,
    /// Requests of the period whose result was not seen yet.
    open: BTreeSet<u64>,
    /// The period's beginning or the log's, then each probing of the jails.
    posture_last_unix_ms: Option<u64>,
}

/// Leaves of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafKind {
    /// How many.
    pub count: u64,
    /// The first's number.
    pub first: u64,
    /// The last's.
    pub last: u64,
    /// A few of them.
    pub examples: Vec<Example>,
}

/// A leaf to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its number.
    pub index: u64,
    /// Its RFC 6962 hash.
    pub hash: [u8; 32],
    /// Its time.
    pub time_unix_ms: u64,
}

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    counts: BTreeMap<String, u64>,
}

/// What is missing or odd: for each sort how often, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// By sort; a sort that did not occur is there with no gap.
    sorts: BTreeMap<&'static str, (u64, Vec<Gap>)>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The leaf that shows it.
    pub index: Option<u64>,
    /// In words; nothing of it comes from a leaf.
    pub what: String,
}

/// The sorts.
const UNFINISHED: &str = "requests without a result: they run, or a crash ended them";
const RECOVERED: &str = "damaged ends of the write-ahead log that were set aside";
const CLOCK_WENT_BACK: &str = "the clock went back";
const CLOCK: &str = "the clock was not synchronised, or it is not known";
const REPLAY_DIFFERS: &str = "replays that did not give the same bytes";
const POSTURE_FAILED: &str = "probes of the jails that did not come out as they must";
const NO_POSTURE: &str = "more than a day without a probe of the jails on record, or none in the period";
const UNREADABLE: &str = "leaves that could not be read here: another version wrote them";
const SORTS: [&str; 8] =
    [UNFINISHED, RECOVERED, CLOCK_WENT_BACK, CLOCK, REPLAY_DIFFERS, POSTURE_FAILED, NO_POSTURE, UNREADABLE];

impl Summary {
    /// For a period; with `pseudonyms`, persons are numbered in the order in which they appear.
    pub fn new(from_unix_ms: u64, to_unix_ms: u64, pseudonyms: bool) -> Summary {
        let mut summary = Summary { from_unix_ms, to_unix_ms, ..Summary::default() };
        summary.pseudonyms = pseudonyms.then(BTreeMap::new);
        for sort in SORTS {
            summary.gaps.sorts.insert(sort, (0, Vec::new()));
        }
        summary
    }

    /// Adds the next leaf of the log.
    pub fn add(&mut self, index: u64, hash: [u8; 32], leaf: &Leaf) {
        let time = leaf.time_unix_ms;
        self.log_first_unix_ms.get_or_insert(time);
        let before = self.log_last_unix_ms.replace(time);
        if let Event::Result(result) = &leaf.event {
            self.open.remove(&result.record);
        }
        if !(self.from_unix_ms..self.to_unix_ms).contains(&time) {
            return;
        }
        if before.is_some_and(|before| before > time) {
            self.gap(CLOCK_WENT_BACK, index, "its time is before that of the leaf before it");
        }
        self.posture_last_unix_ms.get_or_insert(time);
        let kind = self.kinds.entry(leaf.event.kind()).or_default();
        if kind.count == 0 {
            kind.first = index;
        }
        (kind.count, kind.last) = (kind.count + 1, index);
        if kind.examples.len() < EXAMPLES_MAX {
            kind.examples.push(Example { index, hash, time_unix_ms: time });
        }
        self.event(index, time, &leaf.event);
    }

    /// Adds a leaf of the log that this version cannot read.
    pub fn add_unreadable(&mut self, index: u64) {
        self.gaps.add(UNREADABLE, Some(index), "it cannot be read".to_owned());
    }

    /// Ends the log: what is open now stays open.
    pub fn finish(&mut self) {
        for index in std::mem::take(&mut self.open) {
            self.gap(UNFINISHED, index, "no result names it");
        }
        let end = self.log_last_unix_ms.map(|last| last.min(self.to_unix_ms));
        if let (Some(_), Some(end)) = (self.posture_last_unix_ms, end) {
            self.probed(None, end);
        }
    }

    fn event(&mut self, index: u64, time: u64, event: &Event) {
        match event {
            Event::Genesis { clock, .. } | Event::Start { clock, .. } => self.clock_state(index, *clock),
            Event::Intent(intent) => {
                self.open.insert(index);
                *self.days.entry(time / (24 * 60 * 60 * 1000)).or_default() += 1;
                let weights = intent.model.map_or_else(|| "upstream".to_owned(), |model| model.to_string());
                self.deployments.add(&format!("{} ({weights})", intent.deployment), 1);
                let person = self.person(&intent.identity);
                self.persons.add(&person, 1);
            }
            Event::Result(result) => {
                let outcome = match result.outcome {
                    Outcome::Answered => "answered",
                    Outcome::Cancelled => "cancelled",
                    Outcome::Failed => "failed",
                    Outcome::Withheld => "withheld",
                };
                self.outcomes.add(outcome, 1);
            }
            Event::Refusal(refusal) => {
                // A policy's reason names the person.
                let names = refusal.identity.as_deref().is_some_and(|name| refusal.reason.contains(name));
                let hidden = names && self.pseudonyms.is_some();
                let reason = if hidden { "refused by the policy" } else { refusal.reason.as_str() };
                self.refusals.add(reason, u64::from(refusal.count));
            }
            Event::Login(login) => {
                let sort = login.credential.split(':').next().unwrap_or_default();
                let name = match login.outcome {
                    LoginOutcome::Accepted => format!("accepted: {sort}"),
                    LoginOutcome::Refused => format!("refused: {sort}: {}", login.reason),
                };
                self.logins.add(&name, u64::from(login.count));
            }
            Event::Decision(decision) => self.decisions.add(decision.choice.name(), 1),
            Event::Check(check) => {
                let outcome = match check.outcome {
                    CheckOutcome::Passed => "passed",
                    CheckOutcome::Failed => "failed",
                    CheckOutcome::NotRun => "not run",
                };
                self.checks.add(&format!("{}: {outcome}", check.checker), 1);
            }
            Event::Administration { action, .. } => self.administration.add(action, 1),
            Event::Recovered { bytes, .. } => {
                self.gap(RECOVERED, index, &format!("{bytes} bytes"));
            }
            Event::Replay { record, outcome, .. } if *outcome != ReplayOutcome::Same => {
                self.gap(REPLAY_DIFFERS, index, &format!("of record {record}"));
            }
            Event::Posture { failed, clock, .. } => {
                self.probed(Some(index), time);
                if *failed > 0 {
                    self.gap(POSTURE_FAILED, index, &format!("{failed} probes"));
                }
                self.clock_state(index, *clock);
            }
            Event::Erasure(_) => self.administration.add("ledger erase", 1),
            Event::Model(step) => self.administration.add(&format!("model {}", step.step.name()), 1),
            Event::Policy(_) => self.administration.add("policy set", 1),
            Event::Witness { .. } => self.administration.add("ledger witness import", 1),
            Event::Block(_) | Event::Lookup(_) | Event::Replay { .. } => {}
        }
    }

    /// The jails were probed, or the period ended.
    fn probed(&mut self, index: Option<u64>, time: u64) {
        let last = self.posture_last_unix_ms.replace(time).unwrap_or(time);
        let posture = self.kinds.contains_key("posture");
        if time.saturating_sub(last) > POSTURE_EVERY_MS || (index.is_none() && !posture) {
            let what = format!("from {} to {}", super::moment(last), super::moment(time));
            self.gaps.add(NO_POSTURE, index, what);
        }
    }

    fn clock_state(&mut self, index: u64, clock: Option<ClockState>) {
        let name = match clock.and_then(|clock| clock.synchronised) {
            Some(true) => "synchronised",
            Some(false) => "not synchronised",
            None => "not known",
        };
        self.clock.add(name, 1);
        if name != "synchronised" {
            self.gap(CLOCK, index, name);
        }
    }

    fn person(&mut self, name: &str) -> String {
        let Some(numbers) = &mut self.pseudonyms else { return name.to_owned() };
        let next = numbers.len() + 1;
        format!("person {}", numbers.entry(name.to_owned()).or_insert(next))
    }

    fn gap(&mut self, sort: &'static str, index: u64, what: &str) {
        self.gaps.add(sort, Some(index), what.to_owned());
    }

    /// How many leaves of a kind.
    pub fn count(&self, kind: &str) -> u64 {
        self.kinds.get(kind).map_or(0, |kind| kind.count)
    }
}

impl Group {
    fn add(&mut self, name: &str, count: u64) {
        let is_told_apart = self.counts.contains_key(name) || self.counts.len() < NAMES_MAX;
        *self.counts.entry(if is_told_apart { name } else { "all others" }.to_owned()).or_default() += count;
    }

    /// The most frequent first.
    pub fn rows(&self) -> Vec<(&str, u64)> {
        let mut rows: Vec<_> = self.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows
    }
}

impl Gaps {
    fn add(&mut self, sort: &'static str, index: Option<u64>, what: String) {
        let (count, listed) = self.sorts.entry(sort).or_default();
        *count += 1;
        if listed.len() < LISTED_MAX {
            listed.push(Gap { index, what });
        }
    }

    /// Each sort, how many, and the first of them.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64, &[Gap])> {
        self.sorts.iter().map(|(sort, (count, listed))| (*sort, *count, listed.as_slice()))
    }
}
