//! What a decision costs: under the default policy, and with a thousand policies of a site beside it, of persons, groups and
//! sources by the thousand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::{Asked, Asking, Circumstances, DEFAULT, LabelSet, Policy, PolicyFile, Principal, Verb};
use testkit::Failure;
use testkit::draw::Draw;

use crate::quantiles::Quantiles;

/// The same in each run.
const SEED: u64 = 2026;
const POLICIES: usize = 1_000;
const PERSONS: u64 = 5_000;
const GROUPS: u64 = 500;
const SOURCES: u64 = 4_500;
/// Groups that one person is in.
const GROUPS_EACH: usize = 20;
const ROUNDS: usize = 20_000;

/// Prints a table.
pub(crate) fn measure() -> Result<(), Failure> {
    println!(
        "\n{PERSONS} persons, {GROUPS} groups ({GROUPS_EACH} a person), {SOURCES} sources; {ROUNDS} draws each, each a \
         request of its own by any of the persons, who have all asked before.\n"
    );
    println!("| policies | decision | median, µs | p99, µs | p99.9, µs |\n|---|---|---|---|---|");
    for (what, policy) in [("default", default(&[])?), ("default and 1,000 more", default(&[more()])?)] {
        for number in 0..PERSONS {
            Asking::new(Ok(Arc::clone(&policy)), &person(number)?, NOON);
        }
        row(what, "use of a deployment, and of its answer: two decisions", || completion(&policy))?;
        row(what, "a source read", || source(&policy, false))?;
        row(what, "a source read, by somebody who has never asked before", || source(&policy, true))?;
        row(what, "a source read, within one request", || sources(&policy))?;
    }
    Ok(())
}

fn row(
    policies: &str,
    decision: &str,
    measured: impl FnOnce() -> Result<Vec<Duration>, Failure>,
) -> Result<(), Failure> {
    let times = Quantiles::of(measured()?.into_iter().map(|time| time.as_secs_f64() * 1e6).collect());
    let [median, p99, p999] = [times.median(), times.at(99), times.at_per_mille(999)];
    println!("| {policies} | {decision} | {median:.1} | {p99:.1} | {p999:.1} |");
    Ok(())
}

fn default(more: &[PolicyFile]) -> Result<Arc<Policy>, Failure> {
    let default = PolicyFile { name: "default.cedar".to_owned(), text: DEFAULT.to_owned() };
    let files = std::iter::once(default).chain(more.iter().cloned()).collect();
    Ok(Arc::new(Policy::compile(files).map_err(|error| error.to_string())?))
}

/// Policies as a site writes them: of a person, of groups, of a role; of one action, of several, of all.
fn more() -> PolicyFile {
    let text = (0..POLICIES).map(|n| {
        let group = n as u64 % GROUPS;
        let (scope, action) = match n % 4 {
            0 => (format!("principal == User::\"p{n}\""), "action == Action::\"read-source\"".to_owned()),
            1 => (format!("principal in Group::\"g{group}\""), "action in Action::\"use\"".to_owned()),
            2 => {
                let verb = Verb::ALL[n % Verb::ALL.len()];
                ("principal in Role::\"auditor\"".to_owned(), format!("action == Action::\"{verb}\""))
            }
            _ => (format!("principal in Group::\"g{group}\""), "action".to_owned()),
        };
        format!(
            "@id(\"site.{n}\") forbid ({scope}, {action}, resource) when {{ context.minute_of_day == {} }};\n",
            // Within the hour after midnight, which is never asked about.
            n % 60
        )
    });
    PolicyFile { name: "site.cedar".to_owned(), text: text.collect() }
}

/// At noon of some day, UTC.
const NOON: Circumstances<'static> =
    Circumstances { time_unix_s: 1_767_614_400, dialect: "llama_cpp.infill" };

/// One of the persons, always in the same groups.
fn person(number: u64) -> Result<Principal, Failure> {
    let mut draw = Draw::new(number);
    let mut groups: Vec<String> = (0..GROUPS_EACH).map(|_| format!("g{}", draw.below(GROUPS))).collect();
    groups.sort();
    groups.dedup();
    Ok(Principal {
        name: format!("p{number}"),
        credential: "token:0".to_owned(),
        clearance: "flight,radar,secret".parse()?,
        groups,
        roles: Vec::new(),
        is_owner: false,
        scope: identity::Scope::default(),
    })
}

/// What a completion asks: whether its deployment may be used, and whether its answer may be shown.
fn completion(policy: &Arc<Policy>) -> Result<Vec<Duration>, Failure> {
    let labels: LabelSet = "flight".parse()?;
    let mut draw = Draw::new(SEED);
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let person = person(draw.below(PERSONS))?;
        let begun = Instant::now();
        let asking = Asking::new(Ok(Arc::clone(policy)), &person, NOON);
        let asked = Asked::of_deployment(Verb::Complete, "coder", labels.clone());
        let used = asking.decide(&asked).allowed;
        let shown = asking.decide(&asked.carrying(labels.clone())).allowed;
        times.push(begun.elapsed());
        if !(used && shown) {
            return Err("a completion that all may have was refused".into());
        }
    }
    Ok(times)
}

fn asked(draw: &mut Draw, labels: &LabelSet) -> Asked {
    let readers = [format!("g{}", draw.below(GROUPS))];
    Asked::of_source(Verb::ReadSource, &format!("s{}", draw.below(SOURCES)), &readers, labels.clone())
}

fn source(policy: &Arc<Policy>, by_strangers: bool) -> Result<Vec<Duration>, Failure> {
    let labels: LabelSet = "flight".parse()?;
    let mut draw = Draw::new(SEED);
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS as u64 {
        let number = if by_strangers { PERSONS + round } else { draw.below(PERSONS) };
        let (person, asked) = (person(number)?, asked(&mut draw, &labels));
        let begun = Instant::now();
        let decision = Asking::new(Ok(Arc::clone(policy)), &person, NOON).decide(&asked);
        times.push(begun.elapsed());
        std::hint::black_box(decision);
    }
    Ok(times)
}

/// As one person's request filters all sources.
fn sources(policy: &Arc<Policy>) -> Result<Vec<Duration>, Failure> {
    let labels: LabelSet = "flight".parse()?;
    let mut draw = Draw::new(SEED);
    let person = person(draw.below(PERSONS))?;
    let asking = Asking::new(Ok(Arc::clone(policy)), &person, NOON);
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let asked = asked(&mut draw, &labels);
        let begun = Instant::now();
        let decision = asking.decide(&asked);
        times.push(begun.elapsed());
        std::hint::black_box(decision);
    }
    Ok(times)
}
