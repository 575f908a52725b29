//! SARIF 2.1.0 of a change's lines.

use serde_json::{Value, json};

use crate::review::{Row, Table};
use crate::sarif;

/// All ranges that are of the assistant, or look so.
pub(super) fn document(table: &Table) -> Value {
    let rules = [
        ("ai-verbatim", "Lines of an answer of the assistant, as they were"),
        ("ai-modified", "Lines of an answer of the assistant, changed since"),
        ("matches-ai", "Lines like an answer of the assistant that nobody is on record to have taken over"),
    ];
    let results: Vec<Value> = table.ranges.iter().filter(|row| row.grade.is_ai()).map(result).collect();
    let notes: Vec<Value> = table
        .not_graded
        .iter()
        .map(|(path, why)| sarif::notification("error", &format!("{path} was not graded: {why}")))
        .chain(table.void_approvals.iter().map(|void| {
            sarif::notification(
                "warning",
                &format!("the approval {} counts for nothing: {}", void.file, void.why),
            )
        }))
        .collect();
    sarif::document("cloister review", &rules, table.not_graded.is_empty(), notes, results)
}

fn result(row: &Row) -> Value {
    let mut message = format!("{}, {} % kept", row.grade.name(), row.kept_percent);
    if let Some(answer) = &row.answer {
        message.push_str(&format!(
            ": record {}, asked by {}, {} ({}); check: {}",
            answer.record, answer.prompted_by, answer.deployment, answer.decision, answer.check
        ));
    }
    let level = match &row.answer {
        Some(answer) if answer.unresolved().next().is_some() || answer.check == "failed" => "warning",
        _ => "note",
    };
    json!({
        "ruleId": row.grade.name(),
        "level": level,
        "message": { "text": message },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": sarif::uri(&row.path) },
            "region": { "startLine": row.first, "endLine": row.last },
        }}],
        "properties": row,
    })
}
