//! in-toto statements of what was found and decided, in DSSE envelopes.

use std::path::Path;

use lineage::approval::Range;
use lineage::slice::Slice;
use oms::KeySigner;
use serde_json::{Value, json};

use super::Verdict;
use crate::failure::Failure;
use crate::file;
use crate::review::{Row, Table};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Of the lines and the answers that they are of: docs/pipelines.md has its fields.
const PROVENANCE: &str = "urn:cloister:ai-code-provenance/v1";
const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";
const VERIFIER: &str = "urn:cloister:gate";

/// The longest key, in bytes.
const KEY_BYTES_MAX: u64 = 64 << 10;

pub(super) fn signer(path: &Path) -> Result<KeySigner, Failure> {
    let key = file::read(path, KEY_BYTES_MAX)?;
    KeySigner::from_pem(&key, None)
        .map_err(|error| Failure::usage(format!("the key {} cannot sign", path.display())).caused_by(&error))
}

pub(super) fn signed(statement: &Value, signer: &KeySigner) -> Result<Vec<u8>, Failure> {
    oms::dsse::sign(statement.to_string().as_bytes(), signer)
        .map_err(|error| Failure::refused("the statement was not signed").caused_by(&error))
}

/// Commit and tree, as git names them.
fn subject(table: &Table) -> Value {
    json!([
        { "name": "commit", "digest": { "gitCommit": table.head } },
        { "name": "tree", "digest": { "gitTree": table.tree } },
    ])
}

/// Every range, with the leaf that commits to its answer and the proof that it is in the log.
pub(super) fn provenance(
    table: &Table,
    verdict: &Verdict<'_>,
    slice: &Slice,
    contents: impl Fn(&str) -> Option<Vec<u8>>,
) -> Value {
    let mut file: (&str, Vec<u8>) = ("", Vec::new());
    let mut ranges = Vec::new();
    for decided in &verdict.ranges {
        let row: &Row = decided.row;
        if file.0 != row.path {
            file = (&row.path, contents(&row.path).unwrap_or_default());
        }
        let range = Range::of(&row.path, &file.1, row.first, row.last, &table.tree);
        let leaf = row.answer.as_ref().and_then(|answer| {
            let proof = slice.proof(answer.leaf)?;
            Some(json!({
                "index": answer.leaf,
                "hash": slice.leaf_hash(answer.leaf)?,
                "proof": proof.to_string(),
            }))
        });
        ranges.push(json!({
            "range": row,
            "digest": range.map(|range| range.digest),
            "leaf": leaf,
            "decision": decided.decision,
        }));
    }
    json!({
        "_type": STATEMENT,
        "subject": subject(table),
        "predicateType": PROVENANCE,
        "predicate": {
            "decidedOn": verdict.time.to_string(),
            "passed": verdict.passed,
            "policy": verdict.policy,
            "base": table.base,
            "slice": table.slice,
            "lines": table.lines,
            "ranges": ranges,
            "notGraded": table.not_graded,
            "voidApprovals": table.void_approvals,
        },
    })
}

/// SLSA's verification summary: that this gate decided, by which policy, and how.
pub(super) fn summary(table: &Table, verdict: &Verdict<'_>) -> Value {
    let digest = verdict.policy.strip_prefix("sha256:").unwrap_or(&verdict.policy);
    let repository = table.slice.repository.as_deref().unwrap_or("repository");
    json!({
        "_type": STATEMENT,
        "subject": subject(table),
        "predicateType": SUMMARY,
        "predicate": {
            "verifier": { "id": VERIFIER, "version": { "cloister": env!("CARGO_PKG_VERSION") } },
            "timeVerified": verdict.time.to_string(),
            "resourceUri": format!("git+{repository}@{}", table.head),
            "policy": { "uri": "urn:cloister:gate-policy", "digest": { "sha256": digest } },
            "verificationResult": if verdict.passed { "PASSED" } else { "FAILED" },
            // The gate says nothing of how anything was built.
            "verifiedLevels": [],
            "slsaVersion": "1.1",
        },
    })
}
