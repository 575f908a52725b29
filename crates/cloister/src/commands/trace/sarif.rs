//! SARIF 2.1.0 (OASIS): what review tools and forges show beside lines.

use serde_json::{Value, json};

use super::Traced;
use crate::provenance;

/// All matches of all files that say something.
pub(super) fn document(all: &[Traced]) -> Value {
    let results: Vec<Value> = all.iter().flat_map(results).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cloister trace",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": [
                    rule("exact", "The text is known code, lexeme for lexeme"),
                    rule("renamed", "The text is known code but for names"),
                    rule("near", "The text is near known code"),
                ],
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": all.iter().all(Traced::is_whole),
                "toolExecutionNotifications": notifications(all),
            }],
            "results": results,
        }],
    })
}

/// Files that were not compared with everything.
fn notifications(all: &[Traced]) -> Vec<Value> {
    let partial = all.iter().filter(|traced| !traced.is_whole());
    let notification = |traced: &Traced| {
        let text = format!("{} was not compared with all known code", traced.path);
        json!({ "level": "error", "message": { "text": text } })
    };
    partial.map(notification).collect()
}

fn rule(id: &str, text: &str) -> Value {
    json!({ "id": id, "shortDescription": { "text": text } })
}

fn results(traced: &Traced) -> Vec<Value> {
    let result = |one: &client::Match| {
        let level = match one.action.as_str() {
            "block" => "error",
            "warn" => "warning",
            _ => "note",
        };
        let places: Vec<String> = one.origins.iter().map(provenance::place).collect();
        let message = [vec![provenance::head(one)], places].concat().join("\n");
        let region = json!({
            "startLine": one.lines.0,
            "endLine": one.lines.1,
            "byteOffset": one.start,
            "byteLength": one.end.saturating_sub(one.start),
        });
        json!({
            "ruleId": one.kind,
            "level": level,
            "message": { "text": message },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri(&traced.path) },
                "region": region,
            }}],
            "properties": {
                "lexemes": one.lexemes,
                "documents": one.documents,
                "packages": one.packages,
                "licences": one.licences,
                "origins": one.origins,
            },
        })
    };
    traced.told().map(result).collect()
}

/// A path as a relative reference.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte.into())
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use client::{Match, Provenance};

    use super::*;

    #[test]
    fn levels_and_places() {
        let one = Match {
            start: 10,
            end: 90,
            lines: (2, 9),
            lexemes: 70,
            kind: "exact".into(),
            action: "block".into(),
            ..Match::default()
        };
        let common = Match { is_common: true, ..one.clone() };
        let copied = Match { kind: "copied".into(), ..one.clone() };
        let provenance = Provenance { matches: vec![one, common, copied], ..Provenance::default() };
        let traced = Traced { path: "./src/a b.adb".into(), provenance, digests: Default::default() };
        let document = document(&[traced]);
        let results = document["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), 1);
        assert_eq!(results[0]["level"], "error");
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "src/a%20b.adb");
        assert_eq!((&place["region"]["startLine"], &place["region"]["byteLength"]), (&json!(2), &json!(80)));
    }
}
