use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::Digest;
use protocol::admin::Command;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Outcome;
use super::administer::ask;
use crate::output;

/// Leaves that one answer of the daemon lists.
const LISTED_MAX: u32 = 1000;

/// Runs recorded requests again and compares the bytes. Exits with 1 when any differ.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A record's number, as x-cloister-record states it.
    #[arg(required_unless_present_any = ["sample", "since"], conflicts_with_all = ["sample", "since"])]
    record: Option<u64>,
    /// That many of the answered requests, drawn by lot.
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Only those answered since a date or time, as 2026-11-24 or 2026-11-24T08:00:00Z; without
    /// --sample all of them.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Draws the same sample again, from the same ledger.
    #[arg(long, requires = "sample")]
    seed: Option<u64>,
    /// Print JSON, a line for each record.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        if let Some(record) = self.record {
            let replay = ask(data, Command::Replay { record })?;
            self.show(record, &replay)?;
            let same = matches(&replay);
            return Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        let (mut records, upstream) = answered(data, self.since)?;
        if upstream > 0 {
            output::say(&format!("{upstream} were answered by upstream engines and cannot be reproduced"));
        }
        if let Some(count) = self.sample {
            let seed = self.seed.map_or_else(fresh_seed, Ok)?;
            output::say(&format!("{} requests were answered; --seed {seed}", records.len()));
            records.sort_by_cached_key(|record| lot(seed, *record));
            records.truncate(count);
        }
        let bar = output::counted("replay");
        bar.set_length(records.len() as u64);
        let (mut same, mut different, mut failed) = (0, 0, 0);
        for record in records {
            match ask(data, Command::Replay { record }) {
                Ok(replay) if matches(&replay) => same += 1,
                Ok(replay) => {
                    different += 1;
                    bar.suspend(|| self.show(record, &replay))?;
                }
                Err(error) => {
                    failed += 1;
                    bar.suspend(|| output::say(&format!("record {record}: {error}")));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.json {
            output::line(&json!({ "same": same, "different": different, "failed": failed }).to_string())?;
        } else {
            output::line(&format!(
                "{same} the same, {different} different, {failed} could not be run again"
            ))?;
        }
        Ok(if different + failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn show(&self, record: u64, replay: &Value) -> std::io::Result<()> {
        if self.json {
            return output::line(&replay.to_string());
        }
        let tokens = &replay["tokens"];
        match replay["first_difference"].as_u64() {
            _ if matches(replay) => {
                output::line(&format!("record {record}: the same {tokens} tokens and bytes"))?
            }
            Some(place) => {
                output::line(&format!("record {record}: differs from token {place} of {tokens} on"))?
            }
            None => output::line(&format!("record {record}: the same tokens, other bytes"))?,
        }
        for difference in replay["differences"].as_array().into_iter().flatten() {
            output::line(&format!("  {}", difference.as_str().unwrap_or_default()))?;
        }
        Ok(())
    }
}

fn matches(replay: &Value) -> bool {
    replay["matches"].as_bool().unwrap_or(false)
}

/// The records that have an answer, whole or cut short by their client, oldest first; and how many more an
/// upstream engine answered.
fn answered(data: &Path, since: Option<Timestamp>) -> Result<(Vec<u64>, usize), Box<dyn std::error::Error>> {
    let since_ms = since.map_or(i64::MIN, Timestamp::as_millisecond);
    let mut records = Vec::new();
    let mut upstream = BTreeSet::new();
    let mut before = None;
    // Newest first: an intent comes after its result.
    let done = |mut records: Vec<u64>, upstream: &BTreeSet<u64>| {
        let all = records.len();
        records.retain(|record| !upstream.contains(record));
        records.reverse();
        let left_out = all - records.len();
        Ok((records, left_out))
    };
    loop {
        let leaves = ask(data, Command::LedgerList { count: LISTED_MAX, before })?;
        let leaves = leaves.as_array().map(Vec::as_slice).unwrap_or_default();
        for leaf in leaves {
            if leaf["leaf"]["time_unix_ms"].as_i64().is_some_and(|time| time < since_ms) {
                return done(records, &upstream);
            }
            let event = &leaf["leaf"]["event"];
            let outcome = event["outcome"].as_str();
            if event["kind"] == "result" && matches!(outcome, Some("answered" | "cancelled")) {
                records.extend(event["record"].as_u64());
            }
            if event["kind"] == "intent" && !event["upstream"].is_null() {
                upstream.extend(leaf["index"].as_u64());
            }
        }
        before = leaves.last().and_then(|leaf| leaf["index"].as_u64());
        if before.is_none_or(|index| index == 0) {
            return done(records, &upstream);
        }
    }
}

fn fresh_seed() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}

/// A record's place in the drawing.
fn lot(seed: u64, record: u64) -> Digest {
    Digest(
        Sha256::new().chain_update(seed.to_le_bytes()).chain_update(record.to_le_bytes()).finalize().into(),
    )
}

/// A time, or a date's beginning in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let date = || TimeZone::UTC.to_timestamp(text.parse::<Date>()?.at(0, 0, 0, 0));
    text.parse().or_else(|_| date()).map_err(|error: jiff::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time("1970-01-02").map(Timestamp::as_second), Ok(86_400));
        assert_eq!(time("1970-01-01T00:00:05Z").map(Timestamp::as_second), Ok(5));
        assert!(time("yesterday").is_err());
    }
}
