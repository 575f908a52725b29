//! Git notes in the form of the Git AI standard, version 3 (`refs/notes/ai`): a file's path on a line, beneath it keys with
//! ranges of lines, then `---` and JSON that says what the keys are.
//!
//! They are written for tools that read nothing else, from the table, and can be written again at any time. Whoever can push
//! can write them: what one says is compared and reported, and never believed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Table;

/// Where they lie.
pub(crate) const REFERENCE: &str = "refs/notes/ai";
/// The longest note, in bytes.
pub(crate) const NOTE_BYTES_MAX: usize = 4 << 20;
/// So many lines are read of one, all its ranges together: a few bytes can name four thousand million.
const NOTE_LINES_MAX: u32 = 1 << 20;

/// Lines by path.
type Lines = BTreeMap<String, BTreeSet<u32>>;

/// The note of a table's head.
pub(crate) fn write(table: &Table) -> String {
    let mut files: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    let mut sessions = serde_json::Map::new();
    for row in table.ranges.iter().filter(|row| row.grade.is_ai()) {
        let Some(answer) = &row.answer else { continue };
        let session = format!("s_{}", short(&format!("{} {}", table.slice.origin, answer.record)));
        let trace = format!("t_{}", short(&format!("{} {}", table.slice.origin, answer.leaf)));
        let lines =
            if row.first == row.last { row.first.to_string() } else { format!("{}-{}", row.first, row.last) };
        files.entry(&row.path).or_default().entry(format!("{session}::{trace}")).or_default().push(lines);
        let agent = json!({
            "tool": "cloister",
            "id": answer.record.to_string(),
            "model": answer.model.as_deref().unwrap_or(&answer.deployment),
        });
        sessions.insert(session, json!({ "agent_id": agent, "human_author": answer.prompted_by }));
    }
    let mut note = String::new();
    for (path, keys) in files {
        // A path with white space or quotes is written in quotes.
        let quoted = path.contains(|c: char| c.is_whitespace() || c == '"');
        note.push_str(&if quoted { format!("\"{path}\"\n") } else { format!("{path}\n") });
        for (key, lines) in keys {
            note.push_str(&format!("  {key} {}\n", lines.join(",")));
        }
    }
    let metadata = json!({
        "schema_version": "authorship/3.0.0",
        "base_commit_sha": table.head,
        "prompts": {},
        "sessions": Value::Object(sessions),
    });
    note.push_str("---\n");
    note.push_str(&metadata.to_string());
    note.push('\n');
    note
}

/// 14 digits, as keys have them.
fn short(text: &str) -> String {
    protocol::digest::hex(&Sha256::digest(text.as_bytes())[..7])
}

/// What a note says otherwise than the table, in words; empty where it says the same.
pub(crate) fn compare(note: &str, table: &Table) -> Vec<String> {
    let Some((said_ai, said_human)) = read(note) else {
        return vec!["it is no note of the Git AI standard".to_owned()];
    };
    let (mut ai, mut all) = (Lines::new(), Lines::new());
    for row in &table.ranges {
        all.entry(row.path.clone()).or_default().extend(row.first..=row.last);
        if row.grade.is_ai() {
            ai.entry(row.path.clone()).or_default().extend(row.first..=row.last);
        }
    }
    let mut differences = Vec::new();
    let mut report = |what: &str, said: &Lines, found: &Lines, missing: bool| {
        for (path, lines) in said {
            let held = found.get(path);
            let differ = |line: &&u32| held.is_some_and(|held| held.contains(line)) != missing;
            let differ: Vec<u32> = lines.iter().filter(differ).copied().collect();
            if !differ.is_empty() {
                differences.push(format!(
                    "{path}: {} lines, the first is {}, {what}",
                    differ.len(),
                    differ[0]
                ));
            }
        }
    };
    report("are the assistant's by the note, and not by the ledger", &said_ai, &ai, true);
    report("are a person's by the note, and the assistant's by the ledger", &said_human, &ai, false);
    report("are the assistant's by the ledger, and not by the note", &ai, &said_ai, true);
    differences
}

/// Lines of assistants and of persons, as a note says; `None` for what is no note.
fn read(note: &str) -> Option<(Lines, Lines)> {
    let (attestations, metadata) = match note.split_once("\n---\n") {
        Some(parts) => parts,
        None => ("", note.strip_prefix("---\n")?),
    };
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    metadata["schema_version"].as_str()?.strip_prefix("authorship/3.")?;
    let (mut ai, mut human) = (Lines::new(), Lines::new());
    let mut lines_left = NOTE_LINES_MAX;
    let mut path = None;
    for line in attestations.lines().filter(|line| !line.is_empty()) {
        let Some(entry) = line.strip_prefix("  ") else {
            path = Some(line.trim_matches('"').to_owned());
            continue;
        };
        let (key, ranges) = entry.rsplit_once(' ')?;
        let lines = if key.starts_with("h_") { &mut human } else { &mut ai };
        let lines = lines.entry(path.clone()?).or_default();
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            if first == 0 || last < first {
                return None;
            }
            lines_left = lines_left.checked_sub((last - first).saturating_add(1))?;
            lines.extend(first..=last);
        }
    }
    Some((ai, human))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read() {
        let note = "src/a.rs\n  s_0123456789abcd::t_0123456789abcd 1-2,5\n  h_0123456789abcd 7\n\"b c.rs\"\n  0123456789abcdef 3\n---\n{\"schema_version\":\"authorship/3.0.0\"}";
        let (ai, human) = read(note).unwrap();
        assert_eq!(ai["src/a.rs"], [1, 2, 5].into());
        assert_eq!(ai["b c.rs"], [3].into());
        assert_eq!(human["src/a.rs"], [7].into());
        assert!(read("---\n{\"schema_version\":\"authorship/3.0.0\"}").unwrap().0.is_empty());
        for wrong in [
            "",
            "words",
            "---\n{}",
            "  s_1::t_1 1\n---\n{\"schema_version\":\"authorship/3.0.0\"}",
            "a\n  s_1::t_1 0-1\n---\n{\"schema_version\":\"authorship/3.0.0\"}",
            "a\n  s_1::t_1 1-4294967295\n---\n{\"schema_version\":\"authorship/3.0.0\"}",
            "a\n  s_1::t_1 1-1000000,1-1000000\n---\n{\"schema_version\":\"authorship/3.0.0\"}",
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
