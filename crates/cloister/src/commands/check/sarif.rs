//! SARIF of what compilers say of files, with what can be mended as fixes.

use client::{Check, Remark};
use serde_json::{Value, json};

use super::Checked;
use crate::sarif;

/// All remarks on all files.
pub(super) fn document(all: &[Checked]) -> Value {
    let results: Vec<Value> = all.iter().flat_map(results).collect();
    let mut rules: Vec<(&str, &str)> = Vec::new();
    for check in all.iter().flat_map(|checked| &checked.answer.checks) {
        if !rules.iter().any(|(id, _)| *id == check.checker) {
            rules.push((&check.checker, &check.claims));
        }
    }
    let succeeded = all.iter().all(Checked::is_whole);
    sarif::document("cloister check", &rules, succeeded, notifications(all), results)
}

/// Files that a checker did not look at.
fn notifications(all: &[Checked]) -> Vec<Value> {
    let of = |checked: &Checked| {
        let not_run = checked.answer.checks.iter().filter(|check| check.outcome == "not_run");
        let reasons = not_run.map(|check| {
            let reason = check.reason.as_deref().unwrap_or("the server does not say why");
            sarif::notification("error", &format!("{}: {}: {reason}", checked.path, check.checker))
        });
        reasons.collect::<Vec<_>>()
    };
    all.iter().flat_map(of).collect()
}

fn results(checked: &Checked) -> Vec<Value> {
    let fix = fix(checked);
    let of = |check: &Check, remark: &Remark| {
        let mut region = serde_json::Map::new();
        region.extend(remark.line.map(|line| ("startLine".to_owned(), json!(line))));
        // Columns are bytes there, and characters here: they agree where the line is ASCII.
        let is_ascii = remark.line.is_some_and(|line| {
            checked.text.lines().nth(line.saturating_sub(1) as usize).is_some_and(str::is_ascii)
        });
        if is_ascii {
            region.extend(remark.column.map(|column| ("startColumn".to_owned(), json!(column))));
        }
        let mut place = json!({ "artifactLocation": { "uri": sarif::uri(&checked.path) } });
        if !region.is_empty() {
            place["region"] = Value::Object(region);
        }
        let mut result = json!({
            "ruleId": check.checker,
            "level": remark.severity,
            "message": { "text": remark.message },
            "locations": [{ "physicalLocation": place }],
        });
        if let Some(fix) = fix.as_ref().filter(|_| remark.severity == "error") {
            result["fixes"] = json!([fix]);
        }
        result
    };
    let checks = checked.answer.checks.iter();
    checks
        .flat_map(|check| check.remarks.iter().map(move |remark| (check, remark)))
        .map(|(c, r)| of(c, r))
        .collect()
}

/// The whole file anew: what was mended for one error may need what was mended for another.
fn fix(checked: &Checked) -> Option<Value> {
    let mended = checked.answer.mended.as_ref()?;
    let end = checked.text.rsplit('\n').next().unwrap_or_default().chars().count();
    let whole = json!({ "startLine": 1, "startColumn": 1, "endLine": 1 + checked.text.matches('\n').count(), "endColumn": 1 + end });
    Some(json!({
        "description": { "text": mended.what.join(", ") },
        "artifactChanges": [{
            "artifactLocation": { "uri": sarif::uri(&checked.path) },
            "replacements": [{
                "deletedRegion": whole,
                "insertedContent": { "text": mended.text },
            }],
        }],
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Mended};
    use super::*;

    #[test]
    fn places_and_fixes() {
        let remark = |line, message: &str| Remark {
            severity: "error".into(),
            line: Some(line),
            column: Some(4),
            file: None,
            message: message.into(),
        };
        let check = Check {
            checker: "gnat".into(),
            outcome: "failed".into(),
            errors: 2,
            remarks: vec![remark(1, "missing \";\""), remark(2, "é")],
            ..Check::default()
        };
        let mended = Mended { text: "a;\n".into(), what: vec!["missing ;".into()], checks: Vec::new() };
        let answer = Answer { checks: vec![check], mended: Some(mended), record: Some(1) };
        let checked = Checked { path: "./src/a.adb".into(), answer, text: "a\né\n".into() };
        let document = document(&[checked]);
        let run = &document["runs"][0];
        assert_eq!(run["invocations"][0]["executionSuccessful"], true);
        let results = run["results"].as_array().unwrap();
        let region = |result: &Value| result["locations"][0]["physicalLocation"]["region"].clone();
        assert_eq!(region(&results[0]), json!({ "startLine": 1, "startColumn": 4 }));
        assert_eq!(region(&results[1]), json!({ "startLine": 2 }));
        let change = &results[0]["fixes"][0]["artifactChanges"][0];
        assert_eq!(change["artifactLocation"]["uri"], "src/a.adb");
        assert_eq!(change["replacements"][0]["deletedRegion"]["endLine"], 3);
    }
}
