//! `kill -9` at random points under load: what a client was answered must be in the ledger afterwards,
//! and the ledger must verify.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::Failure;
use crate::draw::Draw;
use crate::load::{self, Outcome};
use crate::server::{self, Server};

/// Who is killed.
const VICTIMS: [&str; 3] = ["cloisterd", "cloister-gateway", "cloister-engine"];
const CLIENTS: usize = 4;
/// A load runs that long before the blow, at most: long enough for answers, with [`TOKENS_MAX`].
const LOAD_MS_MAX: u64 = 3000;
const TOKENS_MAX: u64 = 8;

/// What the crashes came to.
#[derive(Clone, Debug, Default)]
pub struct Crashes {
    /// How often each victim was killed.
    pub killed: BTreeMap<&'static str, u64>,
    /// Answers that clients had, each found again.
    pub answered: u64,
    /// Streams that broke after they had shown text, each text found again.
    pub broke_off: u64,
    /// Requests that broke, as they must when their server dies.
    pub broken: u64,
}

/// Kills `count` times; stops at the first answer that is missing, or the first ledger that does not verify.
pub fn run(
    server: &mut Server,
    seed: u64,
    count: u64,
    fills: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Crashes, Failure> {
    let mut draw = Draw::new(seed);
    let mut crashes = Crashes::default();
    for round in 0..count {
        let victim = *draw.one_of(&VICTIMS);
        let outcomes = crash_once(server, &mut draw, victim, fills)?;
        let context =
            |what: String| format!("seed {seed}, round {round}, {victim} killed: {what}\n{}", server.log());
        let report = server.verify().map_err(|error| context(error.to_string()))?;
        if report["verdict"] != json!("passed") {
            return Err(context(format!("the ledger does not verify: {report}")).into());
        }
        for outcome in outcomes {
            let (record, text, whole) = match outcome {
                Outcome::Answered { record, text } => (record, text, true),
                Outcome::Broken { shown: Some((record, text)), .. } if !text.is_empty() => {
                    (record, text, false)
                }
                Outcome::Broken { .. } => {
                    crashes.broken += 1;
                    continue;
                }
                Outcome::HungUp => continue,
            };
            let shown = server.show(record).map_err(|error| context(error.to_string()))?;
            let recorded = if whole { load::result_text(&shown) } else { load::recorded_text(&shown) };
            if !recorded.as_ref().is_some_and(|all| if whole { *all == text } else { all.starts_with(&text) })
            {
                return Err(context(format!(
                    "record {record}: {text:?} was shown, {recorded:?} is recorded"
                ))
                .into());
            }
            *if whole { &mut crashes.answered } else { &mut crashes.broke_off } += 1;
        }
        *crashes.killed.entry(victim).or_default() += 1;
        progress(round + 1);
    }
    Ok(crashes)
}

fn crash_once(
    server: &mut Server,
    draw: &mut Draw,
    victim: &str,
    fills: bool,
) -> Result<Vec<Outcome>, Failure> {
    let stop = AtomicBool::new(false);
    let outcomes = Mutex::new(Vec::new());
    let socket = server.socket();
    let seeds: Vec<u64> = (0..CLIENTS).map(|_| draw.number()).collect();
    let wait = Duration::from_millis(draw.below(LOAD_MS_MAX));
    let struck = std::thread::scope(|scope| -> Result<(), Failure> {
        for &seed in &seeds {
            let (stop, outcomes, socket) = (&stop, &outcomes, &socket);
            scope.spawn(move || {
                let mut draw = Draw::new(seed);
                while !stop.load(Ordering::Relaxed) {
                    let mut request = load::draw(&mut draw, fills);
                    request.body["max_tokens"] = json!(1 + draw.below(TOKENS_MAX));
                    let outcome = load::send(socket, &request);
                    let broken = matches!(outcome, Outcome::Broken { .. });
                    outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(outcome);
                    if broken {
                        // Its server is dead or starting; do not fill the disk with refusals.
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            });
        }
        std::thread::sleep(wait);
        let struck = strike(server, victim);
        // What is in flight at a worker's death must get its answer: an error.
        std::thread::sleep(Duration::from_millis(30));
        stop.store(true, Ordering::Relaxed);
        struck
    });
    struck?;
    if victim == "cloisterd" {
        server.start()?;
    } else {
        server.wait_until_up()?;
    }
    Ok(outcomes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn strike(server: &mut Server, victim: &str) -> Result<(), Failure> {
    if victim == "cloisterd" {
        return server.kill();
    }
    server::signal("KILL", server.child_pid(victim)?)
}
