//! in-toto statements of what was found and decided, in DSSE envelopes.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use oms::KeySigner;
use protocol::Digest;
use serde_json::{Value, json};

use super::approvals::Refused;
use super::table::{NotGraded, Source};
use super::{Decided, Gated};
use crate::failure::Failure;
use crate::file;

pub(crate) const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// Of the lines and the answers that they are of: docs/pipelines.md has its fields.
const PROVENANCE: &str = "urn:cloister:ai-code-provenance/v1";
const SUMMARY: &str = "https://slsa.dev/verification_summary/v1";
const VERIFIER: &str = "urn:cloister:gate";

/// The longest key, in bytes.
pub(crate) const KEY_BYTES_MAX: u64 = 64 << 10;

/// What a statement is made of.
pub(crate) struct Stated<'s> {
    pub(crate) head: &'s str,
    pub(crate) tree: &'s str,
    pub(crate) base: Option<&'s str>,
    pub(crate) slice: &'s Source,
    /// Lines by grade.
    pub(crate) lines: BTreeMap<&'s str, u64>,
    pub(crate) ranges: &'s [Decided],
    pub(crate) not_graded: &'s [NotGraded],
    pub(crate) void_approvals: &'s [Refused],
    /// What the gate decided; none where no policy was asked.
    pub(crate) gate: Option<&'s Gated>,
}

pub(crate) fn signer(path: &Path) -> Result<KeySigner, Failure> {
    let key = file::read(path, KEY_BYTES_MAX)?;
    KeySigner::from_pem(&key, None)
        .map_err(|error| Failure::usage(format!("the key {} cannot sign", path.display())).caused_by(&error))
}

pub(crate) fn signed(statement: &Value, signer: &KeySigner) -> Result<Vec<u8>, Failure> {
    oms::dsse::sign(statement.to_string().as_bytes(), signer)
        .map_err(|error| Failure::refused("the statement was not signed").caused_by(&error))
}

/// Commit and tree, as git names them.
pub(crate) fn subject(head: &str, tree: &str) -> Value {
    json!([
        { "name": "commit", "digest": { "gitCommit": head } },
        { "name": "tree", "digest": { "gitTree": tree } },
    ])
}

/// Every range, with the leaf that commits to its answer and the proof that it is in the log, which `proof` hands out by the
/// leaf's number.
pub(crate) fn provenance(
    stated: &Stated<'_>,
    proof: impl Fn(u64) -> Option<(Digest, tlog::TlogProof)>,
) -> Value {
    let ranges = stated.ranges.iter().map(|decided| {
        let leaf = decided.row.answer.as_ref().and_then(|answer| {
            let (hash, proof) = proof(answer.leaf)?;
            Some(json!({ "index": answer.leaf, "hash": hash, "proof": proof.to_string() }))
        });
        json!({
            "range": decided.row,
            "digest": decided.digest,
            "leaf": leaf,
            "decision": decided.decision,
        })
    });
    json!({
        "_type": STATEMENT,
        "subject": subject(stated.head, stated.tree),
        "predicateType": PROVENANCE,
        "predicate": {
            "decidedOn": stated.gate.map(decided_on),
            "passed": stated.gate.map(|gate| gate.passed),
            "policy": stated.gate.map(|gate| gate.policy),
            "base": stated.base,
            "slice": stated.slice,
            "lines": stated.lines,
            "ranges": ranges.collect::<Vec<Value>>(),
            "notGraded": stated.not_graded,
            "voidApprovals": stated.void_approvals,
        },
    })
}

/// SLSA's verification summary: that this gate decided, by which policy, and how.
pub(crate) fn summary(stated: &Stated<'_>, gate: &Gated) -> Value {
    let repository = stated.slice.repository.as_deref().unwrap_or("repository");
    json!({
        "_type": STATEMENT,
        "subject": subject(stated.head, stated.tree),
        "predicateType": SUMMARY,
        "predicate": {
            "verifier": { "id": VERIFIER, "version": { "cloister": env!("CARGO_PKG_VERSION") } },
            "timeVerified": decided_on(gate),
            "resourceUri": format!("git+{repository}@{}", stated.head),
            "policy": { "uri": "urn:cloister:gate-policy", "digest": { "sha256": gate.policy.hex() } },
            "verificationResult": if gate.passed { "PASSED" } else { "FAILED" },
            // The gate says nothing of how anything was built.
            "verifiedLevels": [],
            "slsaVersion": "1.1",
        },
    })
}

fn decided_on(gate: &Gated) -> String {
    let seconds = gate.circumstances.time_unix_s;
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
