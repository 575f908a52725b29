use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use ledger::{Filter, Page, Row};
use protocol::admin::Command;

use super::{Outcome, administer};
use crate::output;

/// Finds records by who, when, what and where, newest first.
///
/// All that is given must hold. A search for words opens the bodies of the records that the rest takes, and is
/// itself written to the ledger before.
#[derive(Debug, Args)]
pub(crate) struct Query {
    #[command(flatten)]
    which: Which,
    /// Words that all occur in prompt, context or answer, in any case.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// At most that many, and 1000.
    #[arg(long, default_value_t = 20)]
    count: u32,
    /// Only those before this leaf: the next page.
    #[arg(long, value_name = "LEAF")]
    before: Option<u64>,
    /// Print {rows, before, truncated, searched, unreadable} as JSON.
    #[arg(long)]
    json: bool,
}

/// Which records.
#[derive(Clone, Debug, Args)]
pub(super) struct Which {
    /// Whose: the whole name.
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// From this time on: 2026-11-01, 2026-11-01T12:00 (both in UTC), 2026-11-01T12:00+01:00, or an age as 30m,
    /// 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time_unix_ms)]
    since: Option<u64>,
    /// Before this time, in the same forms.
    #[arg(long, value_name = "TIME", value_parser = time_unix_ms)]
    until: Option<u64>,
    /// The leaf's kind, as intent, refusal, administration, replay, posture.
    #[arg(long)]
    kind: Option<String>,
    /// The weights' digest or its first digits; or the name that an upstream engine states.
    #[arg(long, value_name = "DIGEST")]
    model: Option<String>,
    /// The deployment's alias.
    #[arg(long, value_name = "ALIAS")]
    deployment: Option<String>,
    /// The repository, as the client named it.
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// The beginning of a path; or a pattern as 'src/**.adb', where * and ? stay within a directory.
    #[arg(long)]
    path: Option<String>,
    /// A label of the record.
    #[arg(long)]
    label: Option<String>,
    /// How it ended: answered, cancelled, failed; of a replay same, different, failed.
    #[arg(long)]
    outcome: Option<String>,
    /// What was asked or done, as chat, fill, 'token issue'.
    #[arg(long)]
    action: Option<String>,
}

impl Which {
    pub(super) fn filter(self, text: Option<String>) -> Filter {
        Filter {
            person: self.person,
            since_unix_ms: self.since,
            until_unix_ms: self.until,
            kind: self.kind,
            model: self.model,
            deployment: self.deployment,
            repository: self.repository,
            path: self.path,
            label: self.label,
            outcome: self.outcome,
            action: self.action,
            text,
        }
    }
}

impl Query {
    pub(crate) fn run(self, data: &Path) -> Outcome {
        let Query { which, text, count, before, json } = self;
        if text.is_some() && which.person.is_none() {
            output::say(
                "words are searched in records that you may read: an administrator's own, an auditor's all",
            );
        }
        let filter = which.filter(text);
        let found = administer::ask(data, Command::LedgerQuery { filter, before, count })?;
        if json {
            output::line(&found.to_string())?;
            return Ok(ExitCode::SUCCESS);
        }
        let page: Page = serde_json::from_value(found)?;
        for line in table(&page.rows) {
            output::line(&line)?;
        }
        if page.rows.is_empty() {
            output::say("none");
        }
        if page.unreadable > 0 {
            output::say(&format!("{} bodies could not be searched: erased, or damaged", page.unreadable));
        }
        if page.truncated {
            output::say(&format!("only the newest {} bodies were searched", page.searched));
        }
        if let Some(before) = page.before {
            output::say(&format!("there may be more: go on with --before {before}"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Rows for people, with a head, in columns.
fn table(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let head = ["LEAF", "TIME", "PERSON", "WHAT", "BY", "OUTCOME", "TOKENS", "ABOUT"].map(str::to_owned);
    let lines: Vec<[String; 8]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..8).map(width).collect();
    let line = |cells: &[String; 8]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

fn cells(row: &Row) -> [String; 8] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let tokens = match (row.prompt_tokens, row.answer_tokens) {
        (Some(prompt), Some(answer)) => format!("{prompt}+{answer}"),
        (Some(prompt), None) => prompt.to_string(),
        _ => String::new(),
    };
    let about = [&row.repository, &row.path, &row.subject, &row.detail];
    let mut about: Vec<String> = about.into_iter().flatten().cloned().collect();
    if let Some(record) = row.record {
        about.insert(0, format!("record {record}"));
    }
    if !row.labels.is_empty() {
        about.push(format!("[{}]", row.labels.join(",")));
    }
    let by = row.deployment.clone().or_else(|| row.dialect.clone());
    let cells = [
        row.leaf.to_string(),
        time_text(row.time_unix_ms),
        text(&row.person),
        row.action.clone().unwrap_or_else(|| row.kind.clone()),
        text(&by),
        text(&row.outcome),
        tokens,
        about.join(" "),
    ];
    cells.map(|cell| printable(&cell))
}

/// What a client sent must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A time in UTC, to the second.
fn time_text(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| unix_ms.to_string(), |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A time or an age, in milliseconds since 1970.
pub(super) fn time_unix_ms(text: &str) -> Result<u64, String> {
    parse_time(text, Timestamp::now()).and_then(|time| u64::try_from(time.as_millisecond()).ok()).ok_or_else(
        || "expected a time as 2026-11-01 or 2026-11-01T12:00Z, or an age as 30m, 2h, 7d".to_owned(),
    )
}

fn parse_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    if let Ok(time) = text.parse::<jiff::civil::DateTime>() {
        return TimeZone::UTC.to_timestamp(time).ok();
    }
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    now.checked_sub(SignedDuration::from_secs(i64::from(number) * seconds)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ages() {
        let now: Timestamp = "2026-11-02T00:00:00Z".parse().unwrap();
        let cases = [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T12:30", "2026-11-01T12:30:00Z"),
            ("2026-11-01T12:00:00+01:00", "2026-11-01T11:00:00Z"),
            ("2h", "2026-11-01T22:00:00Z"),
            ("7d", "2026-10-26T00:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text, now).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "2", "h", "-2h", "2w", "yesterday", "2026-13-01"] {
            assert_eq!(parse_time(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn a_table() {
        let row = Row {
            leaf: 7,
            time_unix_ms: 1_793_491_200_000,
            kind: "intent".to_owned(),
            person: Some("ada".to_owned()),
            action: Some("fill".to_owned()),
            deployment: Some("coder".to_owned()),
            outcome: Some("answered".to_owned()),
            prompt_tokens: Some(12),
            answer_tokens: Some(3),
            path: Some("src/\u{1b}[31ma.adb".to_owned()),
            ..Row::default()
        };
        let lines = table(&[row]);
        assert_eq!(lines[0], "LEAF  TIME                  PERSON  WHAT  BY     OUTCOME   TOKENS  ABOUT");
        assert_eq!(
            lines[1],
            "7     2026-11-01T00:00:00Z  ada     fill  coder  answered  12+3    src/\u{fffd}[31ma.adb"
        );
    }
}
