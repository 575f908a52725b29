//! SPDX 2.3 as JSON, with a snippet for each match: what a bill of materials takes in.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Traced;
use crate::provenance;

/// What a file is known by.
#[derive(Debug, Default)]
pub(super) struct Digests {
    sha1: [u8; 20],
    sha256: [u8; 32],
}

impl Digests {
    pub(super) fn of(text: &str) -> Digests {
        Digests { sha1: Sha1::digest(text).into(), sha256: Sha256::digest(text).into() }
    }
}

/// All files, and a snippet for each match that says something. Nothing is concluded: what is concluded of a licence is
/// a person's to say.
pub(super) fn document(all: &[Traced], now: Timestamp) -> Value {
    let mut files = Vec::new();
    let mut snippets = Vec::new();
    let mut whole = Sha256::new();
    for (number, traced) in (1..).zip(all) {
        let Digests { sha1, sha256 } = &traced.digests;
        whole.update(sha256);
        traced.provenance.corpora.iter().for_each(|corpus| whole.update(&corpus.root));
        let id = format!("SPDXRef-File-{number}");
        files.push(json!({
            "SPDXID": id,
            "fileName": relative(&traced.path),
            "checksums": [
                { "algorithm": "SHA1", "checksumValue": hexadecimal(sha1) },
                { "algorithm": "SHA256", "checksumValue": hexadecimal(sha256) },
            ],
            "licenseConcluded": "NOASSERTION",
            "copyrightText": "NOASSERTION",
        }));
        snippets.extend((1..).zip(traced.told()).map(|(of_file, one)| snippet(&id, number, of_file, one)));
    }
    whole.update(now.to_string());
    let described: Vec<Value> =
        (1..=files.len()).map(|number| json!(format!("SPDXRef-File-{number}"))).collect();
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "matches with known code",
        "documentNamespace": format!("urn:cloister:trace:{}", hexadecimal(&whole.finalize())),
        "creationInfo": {
            "created": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "creators": [format!("Tool: cloister-{}", env!("CARGO_PKG_VERSION"))],
        },
        "documentDescribes": described,
        "files": files,
        "snippets": snippets,
    })
}

fn snippet(file: &str, number: u32, of_file: u32, one: &client::Match) -> Value {
    // Offsets of SPDX count from 1, both ends included.
    let pointer = |name: &str, value: u64| json!({ "reference": file, name: value });
    let places: Vec<String> = one.origins.iter().map(provenance::place).collect();
    json!({
        "SPDXID": format!("SPDXRef-Snippet-{number}-{of_file}"),
        "snippetFromFile": file,
        "ranges": [
            { "startPointer": pointer("offset", one.start as u64 + 1), "endPointer": pointer("offset", one.end as u64) },
            {
                "startPointer": pointer("lineNumber", one.lines.0.into()),
                "endPointer": pointer("lineNumber", one.lines.1.into()),
            },
        ],
        "licenseConcluded": "NOASSERTION",
        // The other place's licence is not found in this one: it stands in the name and the comment.
        "licenseInfoInSnippets": ["NOASSERTION"],
        "copyrightText": "NOASSERTION",
        "name": provenance::head(one),
        "comment": places.join("\n"),
    })
}

fn relative(path: &str) -> String {
    let path = path.trim_start_matches('/');
    if path.starts_with("./") { path.to_owned() } else { format!("./{path}") }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use client::{Match, Provenance};

    use super::*;

    #[test]
    fn a_snippet_for_each_match() {
        let one = Match {
            start: 0,
            end: 4,
            lines: (1, 1),
            kind: "exact".into(),
            licences: vec!["GPL-3.0-only".into(), "unknown".into()],
            ..Match::default()
        };
        let provenance = Provenance { matches: vec![one], ..Provenance::default() };
        let traced = Traced { path: "a.adb".into(), provenance, digests: Digests::of("abc\n") };
        let document = document(&[traced], Timestamp::UNIX_EPOCH);
        assert_eq!(document["creationInfo"]["created"], "1970-01-01T00:00:00Z");
        let file = &document["files"][0];
        assert_eq!(file["checksums"][0]["checksumValue"], "03cfd743661f07975fa2f1220c5194cbaff48451");
        let snippet = &document["snippets"][0];
        assert_eq!(snippet["snippetFromFile"], file["SPDXID"]);
        assert!(snippet["name"].as_str().unwrap().contains("GPL-3.0-only"));
        let range = &snippet["ranges"][0];
        assert_eq!(
            (&range["startPointer"]["offset"], &range["endPointer"]["offset"]),
            (&json!(1), &json!(4))
        );
    }
}
