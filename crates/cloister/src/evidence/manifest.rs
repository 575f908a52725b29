//! The signed list of a folder's files: an in-toto statement about the release's commit.

use std::collections::BTreeMap;

use protocol::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::FILES_MAX;
use crate::review::statement::{STATEMENT, subject};

const PREDICATE: &str = "urn:cloister:release-evidence/v1";

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) bytes: u64,
    pub(super) digest: Digest,
}

/// All files but the manifest itself, by name.
pub(super) type Files = BTreeMap<String, Listed>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Value,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    release: String,
    files: Files,
}

/// What a manifest says.
pub(super) struct Manifest {
    pub(super) release: String,
    pub(super) subject: Value,
    pub(super) files: Files,
}

pub(super) fn statement(release: &str, head: &str, tree: &str, files: &Files) -> Value {
    serde_json::json!({
        "_type": STATEMENT,
        "subject": subject(head, tree),
        "predicateType": PREDICATE,
        "predicate": { "release": release, "files": files },
    })
}

/// A manifest of a statement that was signed, or what is wrong with it.
pub(super) fn parse(statement: &[u8]) -> Result<Manifest, String> {
    let read: Statement =
        serde_json::from_slice(statement).map_err(|error| format!("it is no manifest: {error}"))?;
    if read.kind != STATEMENT || read.predicate_type != PREDICATE {
        return Err("it is a statement of another kind".to_owned());
    }
    let Predicate { release, files } = read.predicate;
    if files.len() > FILES_MAX {
        return Err(format!("it lists more than {FILES_MAX} files"));
    }
    if let Some(name) = files.keys().find(|name| !super::folder::is_name(name)) {
        return Err(format!("it lists `{name}`, which no such folder has"));
    }
    Ok(Manifest { release, subject: read.subject, files })
}
