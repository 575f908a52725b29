//! SARIF of what files match.

use serde_json::{Value, json};

use super::Traced;
use crate::{provenance, sarif};

/// All matches of all files that say something.
pub(super) fn document(all: &[Traced]) -> Value {
    let results: Vec<Value> = all.iter().flat_map(results).collect();
    let rules = [
        ("exact", "The text is known code, lexeme for lexeme"),
        ("renamed", "The text is known code but for names"),
        ("near", "The text is near known code"),
    ];
    let succeeded = all.iter().all(Traced::is_whole);
    sarif::document("cloister trace", &rules, succeeded, notifications(all), results)
}

/// Files that were not compared with everything.
fn notifications(all: &[Traced]) -> Vec<Value> {
    let partial = all.iter().filter(|traced| !traced.is_whole());
    let notification = |traced: &Traced| {
        sarif::notification("error", &format!("{} was not compared with all known code", traced.path))
    };
    partial.map(notification).collect()
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
                "artifactLocation": { "uri": sarif::uri(&traced.path) },
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
