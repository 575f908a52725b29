//! A trace record in the form of Agent Trace 0.1.0, for tools that read that. It is made of the ledger's slice and the commit
//! alone, so that the same ones give the same record.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lineage::grade::Grade;
use protocol::digest::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::review::{Answer, Decided, Table};
use crate::sarif;

/// As the text of the specification has it; its schema's pattern would take two numbers only.
const VERSION: &str = "0.1.0";
/// The longest name of a model.
const MODEL_CHARACTERS_MAX: usize = 250;

pub(super) fn record(table: &Table, ranges: &[Decided]) -> Value {
    // By file, then by answer: a conversation is an answer here.
    let mut files: BTreeMap<&str, BTreeMap<u64, (&Answer, Vec<Value>)>> = BTreeMap::new();
    let mut models = serde_json::Map::new();
    for range in ranges.iter().filter(|range| range.row.grade.is_ai()) {
        let Some(answer) = &range.row.answer else { continue };
        let of_file = files.entry(&range.row.path).or_default();
        let (_, found) = of_file.entry(answer.record).or_insert_with(|| (answer, Vec::new()));
        let mut said = json!({
            "start_line": range.row.first,
            "end_line": range.row.last,
            "contributor": contributor(range.row.grade, answer),
        });
        if let Some(digest) = &range.digest {
            said["content_hash"] = json!(digest);
        }
        found.push(said);
        if let Some(model) = &answer.model {
            models.insert(answer.record.to_string(), json!(model));
        }
    }
    let files: Vec<Value> = files
        .into_iter()
        .map(|(path, answers)| {
            let conversations = answers.into_iter().map(|(number, (answer, ranges))| {
                json!({
                    "url": format!("urn:cloister:record:{}:{number}", sarif::uri(&table.slice.origin)),
                    "contributor": contributor(Grade::AiVerbatim, answer),
                    "ranges": ranges,
                })
            });
            json!({ "path": path, "conversations": conversations.collect::<Vec<Value>>() })
        })
        .collect();
    let made = i64::try_from(table.slice.made_unix_ms / 1000).unwrap_or(0);
    json!({
        "version": VERSION,
        "id": id(table),
        "timestamp": Timestamp::from_second(made).unwrap_or_default().to_string(),
        "vcs": { "type": "git", "revision": table.head },
        "tool": { "name": "cloister", "version": env!("CARGO_PKG_VERSION") },
        "files": files,
        "metadata": { "cloister": { "log": table.slice.origin, "seal": table.slice.seal, "models": models } },
    })
}

/// What nobody is on record to have taken over is unknown, whatever it looks like.
fn contributor(grade: Grade, answer: &Answer) -> Value {
    let kind = match grade {
        Grade::AiVerbatim => "ai",
        Grade::AiModified => "mixed",
        _ => return json!({ "type": "unknown" }),
    };
    let model: String =
        format!("cloister/{}", answer.deployment).chars().take(MODEL_CHARACTERS_MAX).collect();
    json!({ "type": kind, "model_id": model })
}

/// A UUID of the eighth version (RFC 9562), by what the record is made of.
fn id(table: &Table) -> String {
    let made_of = format!("{} {} {}", table.slice.origin, table.slice.seal, table.head);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(made_of)[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex(&bytes);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}
