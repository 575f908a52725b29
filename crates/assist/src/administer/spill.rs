//! A source that was labelled too low: what it reached, and what two persons sign so that it is erased.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use ledger::{ERASED_LEAVES_MAX, Erasure, Event, Filter, Ledger, QUERY_ROWS_MAX, Record};
use serde_json::{Value, json};

use super::erasure::with_bodies;
use super::{Failed, failed, failed_with_causes};
use crate::Assist;
use crate::context::repository_name;

/// Lines shorter than that are too common to tell where a text comes from.
const LINE_BYTES_MIN: usize = 24;
/// Lines that are looked for at most; where there are more, the report says so.
const LINES_MAX: usize = 500_000;

/// What a source reached.
#[derive(Default)]
struct Reached {
    /// By record: in which ways.
    records: BTreeMap<u64, BTreeSet<&'static str>>,
    /// Lines of what the source gave, and of answers that were made with it.
    lines: HashSet<u64>,
    lines_left_out: bool,
    /// Records whose bodies do not open: erased, or damaged.
    unreadable: BTreeSet<u64>,
}

impl Assist {
    /// Finds every record that a source reached, and makes the texts of an erasure of all their bodies.
    pub(super) async fn spill(&self, source: &str, reason: &str) -> Result<Value, Failed> {
        let ledger = self.house.ledger.clone();
        let (name, why) = (source.to_owned(), reason.to_owned());
        let found = tokio::task::spawn_blocking(move || spilled(&ledger, &name, &why)).await;
        let mut found = found.map_err(|error| failed(error, ""))??;
        let indexed = self.house.context.views(|facts| facts.name == source);
        found["source"] = json!(source);
        found["index"] = json!(!indexed.is_empty());
        Ok(found)
    }
}

fn spilled(ledger: &Ledger, source: &str, reason: &str) -> Result<Value, Failed> {
    let mut reached = Reached::default();
    let mut records = Vec::new();
    for kind in ["intent", "lookup"] {
        each(ledger, kind, &mut |index| records.push(index))?;
    }
    // In order: an answer comes before what repeats it.
    records.sort_unstable();
    let searched = records.len();
    // Until nothing new is found: what a later record was given, an earlier one may repeat.
    loop {
        let lines_before = reached.lines.len();
        for index in &records {
            let record = ledger.record(*index).map_err(|error| failed_with_causes(&error, ""))?;
            reached.look(ledger, &record, source)?;
        }
        if reached.lines.len() == lines_before {
            break;
        }
    }
    let records: Vec<u64> = reached.records.keys().copied().collect();
    let leaves = with_bodies(ledger, &records, Vec::new())?;
    let mut texts = Vec::new();
    for part in leaves.chunks(ERASED_LEAVES_MAX) {
        let named = ledger.erasable(part).map_err(|error| failed_with_causes(&error, ""))?;
        let text = Erasure::text(ledger.origin(), &named, reason);
        if Erasure::parse_text(ledger.origin(), &text).is_none() {
            return Err(failed("the reason must be one line of 1 to 1000 bytes", ""));
        }
        texts.push(text);
    }
    let rows: Vec<Value> =
        reached.records.iter().map(|(record, how)| json!({ "record": record, "how": how })).collect();
    Ok(json!({
        "searched": searched,
        "records": rows,
        "leaves": leaves,
        "texts": texts,
        "unreadable": reached.unreadable,
        "lines_left_out": reached.lines_left_out,
    }))
}

fn each(ledger: &Ledger, kind: &str, take: &mut dyn FnMut(u64)) -> Result<(), Failed> {
    let filter = Filter { kind: Some(kind.to_owned()), ..Filter::default() };
    let mut before = None;
    loop {
        let page = ledger.query(&filter, before, QUERY_ROWS_MAX);
        let page = page.map_err(|error| failed_with_causes(&error, ""))?;
        page.rows.iter().for_each(|row| take(row.leaf));
        before = page.before;
        if before.is_none() {
            return Ok(());
        }
    }
}

impl Reached {
    fn look(&mut self, ledger: &Ledger, record: &Record, source: &str) -> Result<(), Failed> {
        let body: Option<Value> = record.body.as_ref().and_then(|body| serde_json::from_slice(body).ok());
        let mut how = BTreeSet::new();
        match (&record.leaf.event, body) {
            (Event::Lookup(_), Some(body)) => {
                let shown = body["shown"].as_array().into_iter().flatten();
                if shown.filter(|place| place["source"] == source).count() > 0 {
                    how.insert("looked up");
                }
            }
            (Event::Intent(intent), body) => {
                // Its files lay beside the text when a compiler read it, and what compilers say quotes them.
                if intent.repository.as_deref().map(repository_name).as_deref() == Some(source) {
                    how.insert("checked against it");
                }
                match body {
                    Some(body) => self.look_into(&body, source, &mut how),
                    None => drop(self.unreadable.insert(record.index)),
                }
            }
            (_, None) => drop(self.unreadable.insert(record.index)),
            _ => {}
        }
        if how.is_empty() {
            return Ok(());
        }
        // What was answered with it may say what it says.
        if how.contains("put into the prompt") || how.contains("repeats it") {
            let related = ledger.related(record.index).map_err(|error| failed_with_causes(&error, ""))?;
            for index in related {
                let read = ledger.record(index).map_err(|error| failed_with_causes(&error, ""))?;
                let body = read.body.as_ref().and_then(|body| serde_json::from_slice::<Value>(body).ok());
                if let Some(text) = body.as_ref().and_then(|body| body["output_text"].as_str()) {
                    self.remember(text);
                }
            }
        }
        self.records.insert(record.index, how);
        Ok(())
    }

    fn look_into(&mut self, body: &Value, source: &str, how: &mut BTreeSet<&'static str>) {
        let text = |name: &str| body[name].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let context = text("context_text");
        for passage in context.iter().filter_map(Value::as_array).flatten() {
            if passage["source"] == source {
                how.insert("put into the prompt");
                self.remember(passage["text"].as_str().unwrap_or_default());
            }
        }
        let versions = &body["retrieval"]["versions"];
        let left_out = body["retrieval"]["no_room_for"].as_array().into_iter().flatten();
        if left_out.filter(|place| place["source"] == source).count() > 0 {
            how.insert("found, and left out");
        } else if names(versions, source) {
            how.insert("searched");
        }
        if text("prompt_text").iter().chain(&context).any(|value| self.repeats(value)) {
            how.insert("repeats it");
        }
    }

    fn remember(&mut self, text: &str) {
        for line in text.lines().filter_map(line_of) {
            if self.lines.len() >= LINES_MAX {
                self.lines_left_out = true;
                return;
            }
            self.lines.insert(line);
        }
    }

    /// Whether any text in it has a line of what was remembered.
    fn repeats(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text.lines().filter_map(line_of).any(|line| self.lines.contains(&line)),
            Value::Array(values) => values.iter().any(|value| self.repeats(value)),
            Value::Object(fields) => fields.values().any(|value| self.repeats(value)),
            _ => false,
        }
    }
}

/// A line, without how far it is indented; none where it is too short to tell.
fn line_of(line: &str) -> Option<u64> {
    let line = line.trim();
    (line.len() >= LINE_BYTES_MIN).then(|| {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        hasher.finish()
    })
}

/// Whether a source is named in a list of versions, whatever else that says.
fn names(versions: &Value, source: &str) -> bool {
    match versions {
        Value::Array(values) => values.iter().any(|value| names(value, source)),
        Value::Object(fields) => fields.contains_key(source) || fields.values().any(|value| value == source),
        Value::String(text) => text == source,
        _ => false,
    }
}
